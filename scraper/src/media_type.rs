//! `Content-Type` taken apart as Go's `mime.ParseMediaType` does it, its error texts included; targets that Prometheus
//! scrapes are judged by these rules.

/// A media type in lower case, and its `version` parameter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MediaType {
    pub(crate) name: String,
    pub(crate) version: Option<String>,
}

/// Reads a header that is not empty.
pub(crate) fn parse(header: &str) -> Result<MediaType, &'static str> {
    // Parameters begin at the first semicolon; a name in quotes cannot stand before it.
    let (name, mut rest) = header.split_at(header.find(';').unwrap_or(header.len()));
    let name = name.trim().to_lowercase();
    check(&name)?;
    let mut params: Vec<(String, String)> = Vec::new();
    loop {
        rest = rest.trim_start();
        // Go ignores a trailing semicolon.
        if rest.is_empty() || rest.trim() == ";" {
            break;
        }
        let (key, value, after) = param(rest).ok_or("mime: invalid media parameter")?;
        match params.iter().find(|(known, _)| *known == key) {
            // The same parameter twice with one value is accepted, as Go does.
            Some((_, known)) if *known != value => return Err("mime: duplicate parameter name"),
            Some(_) => {}
            None => params.push((key, value)),
        }
        rest = after;
    }
    let version = params.into_iter().find(|(key, _)| key == "version").map(|(_, value)| value);
    Ok(MediaType { name, version })
}

fn check(name: &str) -> Result<(), &'static str> {
    match token(name) {
        ("", _) => Err("mime: no media type"),
        (_, "") => Ok(()),
        (_, rest) => match rest.strip_prefix('/').map(token) {
            None => Err("mime: expected slash after first token"),
            Some(("", _)) => Err("mime: expected token after slash"),
            Some((_, "")) => Ok(()),
            Some(_) => Err("mime: unexpected content after media subtype"),
        },
    }
}

/// A semicolon, a name in lower case, an equal sign and a value.
fn param(text: &str) -> Option<(String, String, &str)> {
    let (key, rest) = token(text.strip_prefix(';')?.trim_start());
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => unquote(quoted)?,
        None => {
            let (value, rest) = token(rest);
            if value.is_empty() {
                return None;
            }
            (value.to_owned(), rest)
        }
    };
    (!key.is_empty()).then(|| (key.to_lowercase(), value, rest))
}

/// Up to the closing quote; a backslash before what needs none stands for itself.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (c, chars.peek()) {
            ('"', _) => return Some((value, &text[at + 1..])),
            ('\r' | '\n', _) => return None,
            // Windows paths in file names made Go lenient here: only what has to be escaped is unescaped.
            ('\\', Some((_, next))) if "()<>@,;:\\\"/[]?=".contains(*next) => {
                value.push(*next);
                chars.next();
            }
            _ => value.push(c),
        }
    }
    None
}

/// The token that a text starts with, and what follows it.
fn token(text: &str) -> (&str, &str) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`{|}~".contains(c);
    text.split_at(text.find(|c| !allowed(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_reads_them() {
        let good = [
            ("text/plain", "text/plain", None),
            (" Text/PLAIN ; charset=utf-8", "text/plain", None),
            ("text/plain;version=0.0.4;", "text/plain", Some("0.0.4")),
            ("text/plain; Version = \"1.0\\\".0\" ; a=b", "text/plain", Some("1.0\".0")),
            ("text/plain; a=b; a=b", "text/plain", None),
            ("text", "text", None),
        ];
        for (header, name, version) in good {
            let expected = MediaType { name: name.to_owned(), version: version.map(str::to_owned) };
            assert_eq!(parse(header), Ok(expected), "{header}");
        }
        let bad = [
            ("text plain", "mime: expected slash after first token"),
            ("text/plain; charset", "mime: invalid media parameter"),
            ("text/plain; charset=", "mime: invalid media parameter"),
            ("text/plain; charset=\"utf-8", "mime: invalid media parameter"),
            ("text/plain; =utf-8", "mime: invalid media parameter"),
            ("text/plain; a=b; A=c", "mime: duplicate parameter name"),
            (";", "mime: no media type"),
        ];
        for (header, why) in bad {
            assert_eq!(parse(header), Err(why), "{header}");
        }
    }
}
