//! Strings and characters quoted as Go quotes them, and what such quotes mean (Go: `strconv`).

use std::fmt::Write as _;

/// `"…"` with escapes: Go's `%q`.
pub(super) fn quoted(text: &str) -> String {
    quoted_as(text, '"', false)
}

/// The same between any quotes; all that is not ASCII is escaped if asked for.
pub(super) fn quoted_as(text: &str, quote: char, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            _ if c == quote => {
                out.push('\\');
                out.push(c);
            }
            _ if is_print(c) && (c.is_ascii() || !ascii) => out.push(c),
            _ if c < ' ' || c == '\x7f' => push(&mut out, format_args!("\\x{:02x}", u32::from(c))),
            _ if u32::from(c) < 0x10000 => push(&mut out, format_args!("\\u{:04x}", u32::from(c))),
            _ => push(&mut out, format_args!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push(quote);
    out
}

fn push(out: &mut String, args: std::fmt::Arguments<'_>) {
    out.write_fmt(args).expect("BUG: writing to a string does not fail");
}

/// `U+00E9 'é'`: Go's `%#U`.
pub(super) fn code_point(c: char) -> String {
    let shown = if is_print(c) { format!(" '{c}'") } else { String::new() };
    format!("U+{:04X}{shown}", u32::from(c))
}

/// Is it shown as itself? Of other scripts, what Rust's own escaping leaves alone, and combining marks.
pub(super) fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    // As part of a string, a combining mark is left alone: only at its start it would be escaped.
    let text: String = ['a', c].into_iter().collect();
    text.escape_debug().count() == 2
}

/// Can it stand between backquotes?
pub(super) fn is_raw(text: &str) -> bool {
    text.chars().all(|c| c == '\t' || c >= ' ' && !matches!(c, '`' | '\x7f' | '\u{feff}'))
}

/// What a Go string literal, with its quotes, means; `None` when it is none. Bytes that are not UTF-8 become U+FFFD.
pub(super) fn unquoted(literal: &str) -> Option<String> {
    let quote = literal.chars().next()?;
    let inner = literal.get(1..)?.strip_suffix(quote)?;
    if quote == '`' {
        return Some(inner.replace('\r', ""));
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while !rest.is_empty() {
        let (piece, after) = unescaped(rest, quote)?;
        match piece {
            Piece::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Piece::Byte(byte) => bytes.push(byte),
        }
        rest = after;
    }
    Some(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The number of a character constant.
pub(super) fn unquoted_char(literal: &str) -> Option<Result<i64, ()>> {
    let (piece, tail) = unescaped(literal.strip_prefix('\'')?, '\'')?;
    let number = match piece {
        Piece::Char(c) => i64::from(u32::from(c)),
        Piece::Byte(byte) => i64::from(byte),
    };
    Some(if tail == "'" { Ok(number) } else { Err(()) })
}

enum Piece {
    Char(char),
    Byte(u8),
}

/// The first character of the inside of a literal, and the rest.
fn unescaped(text: &str, quote: char) -> Option<(Piece, &str)> {
    let mut chars = text.chars();
    let c = chars.next()?;
    if c == quote || c == '\n' {
        return None;
    }
    if c != '\\' {
        return Some((Piece::Char(c), chars.as_str()));
    }
    let escape = chars.next()?;
    let rest = chars.as_str();
    let plain = match escape {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' => '\\',
        '\'' | '"' if escape == quote => escape,
        'x' => return number(rest, 2, 16).and_then(|(n, rest)| Some((Piece::Byte(u8::try_from(n).ok()?), rest))),
        '0'..='7' => {
            return number(&text[1..], 3, 8).and_then(|(n, rest)| Some((Piece::Byte(u8::try_from(n).ok()?), rest)));
        }
        'u' | 'U' => {
            let (n, rest) = number(rest, if escape == 'u' { 4 } else { 8 }, 16)?;
            return Some((Piece::Char(char::from_u32(n)?), rest));
        }
        _ => return None,
    };
    Some((Piece::Char(plain), rest))
}

fn number(text: &str, digits: usize, radix: u32) -> Option<(u32, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    if !number.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    Some((u32::from_str_radix(number, radix).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for (text, literal) in [
            ("a\"b\\", r#""a\"b\\""#),
            ("\n\t\x07\x7f\0", r#""\n\t\a\x7f\x00""#),
            ("é日\u{301}😀", "\"é日\u{301}😀\""),
            ("\u{a0}\u{200b}\u{e000}\u{10ffff}", r#""\u00a0\u200b\ue000\U0010ffff""#),
        ] {
            assert_eq!(quoted(text), literal);
            assert_eq!(unquoted(literal).as_deref(), Some(text));
        }
        assert_eq!(unquoted("`a\\n\rb`").as_deref(), Some("a\\nb"));
        assert_eq!(unquoted(r#""\101\xc3\xa9\u00e9""#).as_deref(), Some("Aéé"));
        assert_eq!(unquoted(r#""\xff""#).as_deref(), Some("\u{fffd}"));
        for bad in [r#""\'""#, r#""\400""#, r#""\ud800""#, r#""\x1""#, "\"a", r#""\q""#] {
            assert_eq!(unquoted(bad), None, "{bad}");
        }
        assert_eq!(
            (unquoted_char("'a'"), unquoted_char("'ab'"), unquoted_char("'\\n'")),
            (Some(Ok(97)), Some(Err(())), Some(Ok(10)))
        );
    }
}
