//! Query strings and forms, read as Go's `net/url` and `mime/multipart` read them: clients depend on what these take.

use std::borrow::Cow;

/// Names and values, and the first thing that was wrong; what is wrong is left out.
pub(super) type Pairs = (Vec<(String, String)>, Option<String>);

/// `a=1&b=2`. A semicolon is no separator, and no part of a pair.
pub(super) fn urlencoded(text: &[u8]) -> Pairs {
    let (mut pairs, mut fault) = (Vec::new(), None);
    for pair in text.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        // Go's `url.ParseQuery` since 1.17: the pair is refused, the others count. The last such fault is the one
        // reported.
        if pair.contains(&b';') {
            fault = Some("invalid semicolon separator in query".to_owned());
            continue;
        }
        let (name, value) = cut(pair, b'=').unwrap_or((pair, b""));
        match unescaped(name).and_then(|name| Ok((name, unescaped(value)?))) {
            Ok(pair) => pairs.push(pair),
            Err(wrong) => {
                // Of escapes the first fault is reported, as Go has it.
                fault.get_or_insert(wrong);
            }
        }
    }
    (pairs, fault)
}

fn cut(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let i = bytes.iter().position(|b| *b == at)?;
    Some((&bytes[..i], &bytes[i + 1..]))
}

fn unescaped(text: &[u8]) -> Result<String, String> {
    // Most names and values hold neither.
    if !text.iter().any(|b| matches!(b, b'%' | b'+')) {
        return Ok(String::from_utf8_lossy(text).into_owned());
    }
    let digit = |at: usize| text.get(at).and_then(|b| char::from(*b).to_digit(16));
    let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let (Some(high), Some(low)) = (digit(at), digit(at + 1)) else {
                    let escape = text[at - 1..].get(..3).unwrap_or(&text[at - 1..]);
                    return Err(format!("invalid URL escape {:?}", String::from_utf8_lossy(escape)));
                };
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 2;
            }
            byte => out.push(*byte),
        }
    }
    Ok(String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// What a header's value begins with, in lower case, and its parameters: `text/plain; charset=utf-8`.
pub(super) struct Media<'a> {
    pub(super) kind: String,
    parameters: Vec<(String, Cow<'a, str>)>,
}

impl<'a> Media<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let (kind, mut rest) = text.split_once(';').unwrap_or((text, ""));
        let mut parameters = Vec::new();
        while let Some((name, after)) = rest.split_once('=') {
            let name = name.trim_matches([' ', '\t', ';']).to_ascii_lowercase();
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => unquoted(quoted),
                None => {
                    let end = after.find(';').unwrap_or(after.len());
                    (Cow::Borrowed(after[..end].trim()), &after[end..])
                }
            };
            parameters.push((name, value));
            rest = after;
        }
        Self { kind: kind.trim().to_ascii_lowercase(), parameters }
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}

/// A quoted text from behind its first quote, and what follows it.
fn unquoted(text: &str) -> (Cow<'_, str>, &str) {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (Cow::Owned(out), &text[at + 1..]),
            '\\' => out.extend(chars.next().map(|(_, c)| c)),
            c => out.push(c),
        }
    }
    (Cow::Owned(out), "")
}

/// The values of a form in parts, `multipart/form-data`; files among them are left out. `None` when it is none, or cut.
pub(super) fn multipart(body: &[u8], boundary: &str) -> Option<Vec<(String, String)>> {
    let dashes = format!("--{boundary}").into_bytes();
    let mut rest = body;
    // What stands before the first boundary does not count. Its line says how lines end.
    let newline: &[u8] = loop {
        let (line, after) = line(rest)?;
        rest = after;
        match boundary_line(line, &dashes) {
            Some(Boundary::Last) => return Some(Vec::new()),
            Some(Boundary::Part) => break if line.ends_with(b"\r\n") { b"\r\n" } else { b"\n" },
            None => {}
        }
    };
    let mut values = Vec::new();
    loop {
        // `Content-Disposition` names the field; other headers of a part are skipped.
        let disposition;
        (disposition, rest) = part_headers(rest)?;
        let value;
        (value, rest) = part_body(rest, &[newline, &dashes].concat(), &dashes)?;
        let media = Media::of(&disposition);
        let name = media.parameter("name").filter(|name| media.kind == "form-data" && !name.is_empty());
        let is_file = media.parameter("filename").is_some_and(|name| !name.is_empty());
        if let Some(name) = name.filter(|_| !is_file) {
            values.push((name.to_owned(), String::from_utf8_lossy(value).into_owned()));
        }
        let (line, after) = line(rest)?;
        rest = after;
        if boundary_line(line, &dashes)? == Boundary::Last {
            return Some(values);
        }
    }
}

/// A line with its end, and what follows it.
fn line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|b| *b == b'\n').map_or(text.len(), |at| at + 1);
    (end > 0).then(|| text.split_at(end))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Boundary {
    Part,
    Last,
}

fn boundary_line(line: &[u8], dashes: &[u8]) -> Option<Boundary> {
    let after = line.strip_prefix(dashes)?;
    let (is_last, after) = after.strip_prefix(b"--").map_or((false, after), |after| (true, after));
    let blanks = after.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    match &after[blanks..] {
        b"\r\n" | b"\n" if !is_last => Some(Boundary::Part),
        b"\r\n" | b"\n" | b"" if is_last => Some(Boundary::Last),
        _ => None,
    }
}

/// The value of `Content-Disposition`, and what follows the headers.
fn part_headers(mut rest: &[u8]) -> Option<(String, &[u8])> {
    let mut disposition = String::new();
    loop {
        let (text, after) = line(rest)?;
        rest = after;
        let text = text.trim_ascii_end();
        if text.is_empty() {
            return Some((disposition, rest));
        }
        let (name, value) = cut(text, b':')?;
        if name.eq_ignore_ascii_case(b"content-disposition") {
            disposition = String::from_utf8_lossy(value.trim_ascii()).into_owned();
        }
    }
}

/// A part up to the boundary behind it, and what begins with that boundary.
fn part_body<'a>(rest: &'a [u8], end: &[u8], dashes: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    // What begins with the boundary and goes on in other letters is no boundary but content.
    let ends = |after: Option<&u8>| matches!(after, None | Some(b' ' | b'\t' | b'\r' | b'\n' | b'-'));
    if rest.starts_with(dashes) && ends(rest.get(dashes.len())) {
        return Some((b"", rest));
    }
    let at = (0..rest.len())
        .find(|at| rest[*at] == end[0] && rest[*at..].starts_with(end) && ends(rest.get(*at + end.len())))?;
    Some((&rest[..at], &rest[at + end.len() - dashes.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_strings_as_go_reads_them() {
        for (text, pairs, fault) in [
            ("a=1&b=2&&a=3", vec![("a", "1"), ("b", "2"), ("a", "3")], None),
            ("a+b=c%20d%2Be&f", vec![("a b", "c d+e"), ("f", "")], None),
            ("a=b=c", vec![("a", "b=c")], None),
            ("a=%zz&b=%4&c=%41", vec![("c", "A")], Some("invalid URL escape \"%zz\"")),
            ("b=%4", vec![], Some("invalid URL escape \"%4\"")),
            ("a=1;b=2&c=3", vec![("c", "3")], Some("invalid semicolon separator in query")),
            ("q=é{\"", vec![("q", "é{\"")], None),
        ] {
            let (got, wrong) = urlencoded(text.as_bytes());
            let got: Vec<(&str, &str)> = got.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!((got, wrong.as_deref()), (pairs, fault), "{text}");
        }
        assert_eq!(urlencoded(b"a=%ff\xff").0[0].1, "\u{fffd}\u{fffd}");
    }

    #[test]
    fn media_types_and_their_parameters() {
        let media = Media::of("Multipart/Form-Data ; Boundary=\"a \\\"b;\" ; x=y");
        assert_eq!((&*media.kind, media.parameter("boundary")), ("multipart/form-data", Some("a \"b;")));
        assert_eq!(media.parameter("x"), Some("y"));
        assert_eq!(Media::of("text/plain;").parameter("x"), None);
        assert_eq!(Media::of("a; boundary=b; c").parameter("boundary"), Some("b"));
    }

    /// What Go's server makes of the same bodies.
    #[test]
    fn forms_in_parts() {
        let part = |headers: &str, value: &str| format!("--xx\r\n{headers}\r\n\r\n{value}\r\n");
        let query = "Content-Disposition: form-data; name=\"query\"";
        let file = format!("{query}; filename=\"q\"");
        let typed = format!("{query}\r\nContent-Type: text/plain");
        let pairs = |pairs: &[(&str, &str)]| {
            Some(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>())
        };
        let one = pairs(&[("query", "1+1")]);
        let end = "--xx--\r\n";
        for (body, expected) in [
            (part(query, "1+1") + end, one.clone()),
            ((part(query, "1+1") + end).replace("\r\n", "\n"), one.clone()),
            (format!("hello\r\n{}--xx--", part(query, "1+1")), one.clone()),
            (part(&typed, "1+1") + end, one.clone()),
            (part("content-disposition:form-data;name=query", "1+1") + end, one.clone()),
            (part("Content-Disposition: form-data", "9") + &part(query, "1+1") + end, one.clone()),
            (part("Content-Disposition: attachment; name=query", "9") + &part(query, "1+1") + end, one),
            (part(&file, "1+1") + end, pairs(&[])),
            (part(query, "a\r\n--x\r\n--xxy\r\nb") + end, pairs(&[("query", "a\r\n--x\r\n--xxy\r\nb")])),
            (format!("--xx\r\n{query}\r\n\r\n--xx--"), pairs(&[("query", "")])),
            (end.to_owned(), pairs(&[])),
            (part(query, "1+1"), None),
            (part(query, "1+1") + "--xx\r\nContent-Disp", None),
            ("--xx\r\nno header\r\n\r\n1\r\n--xx--".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(multipart(body.as_bytes(), "xx"), expected, "{body}");
        }
        let whole = part(query, "1+1") + &part(&typed, "2") + end;
        (0..whole.len() - 2).for_each(|cut| assert_eq!(multipart(&whole.as_bytes()[..cut], "xx"), None, "{cut}"));
    }
}
