//! Strings and characters quoted as Go quotes them, for messages, printed queries and templates, and what escapes mean (Go:
//! `strconv`).

use std::fmt::Write as _;

/// `"…"` with escapes: Go's `%q`.
#[must_use]
pub fn quoted(text: &str) -> String {
    quoted_as(text, '"', false)
}

/// The same between any quotes; all that is not ASCII is escaped if asked for.
#[must_use]
pub fn quoted_as(text: &str, quote: char, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    text.chars().for_each(|c| push_char(&mut out, c, (quote, ascii)));
    out.push(quote);
    out
}

/// A character as it stands between quotes.
pub fn push_char(out: &mut String, c: char, (quote, ascii): (char, bool)) {
    match c {
        c if c == quote || c == '\\' => out.extend(['\\', c]),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        c if is_print(c) && (c.is_ascii() || !ascii) => out.push(c),
        c if u32::from(c) < 0x80 => push(out, format_args!("\\x{:02x}", u32::from(c))),
        c if u32::from(c) < 0x1_0000 => push(out, format_args!("\\u{:04x}", u32::from(c))),
        c => push(out, format_args!("\\U{:08x}", u32::from(c))),
    }
}

fn push(out: &mut String, args: std::fmt::Arguments<'_>) {
    out.write_fmt(args).expect("BUG: writing to a string does not fail");
}

/// `U+00E9 'é'`: Go's `%#U`.
#[must_use]
pub fn code_point(c: char) -> String {
    let shown = if is_print(c) { format!(" '{c}'") } else { String::new() };
    format!("U+{:04X}{shown}", u32::from(c))
}

/// Is it shown as itself? Of other scripts, what Rust's own escaping leaves alone, and combining marks.
#[must_use]
pub fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    // As part of a string, a combining mark is left alone: only at its start it would be escaped.
    let text: String = ['a', c].into_iter().collect();
    text.escape_debug().count() == 2
}

/// Resolves the escape after a backslash, in a literal between these quotes, to bytes: those of `\xff` are no UTF-8.
///
/// # Errors
/// When there is no such escape, in the words of upstream's lexer.
pub fn escape(chars: &mut std::str::Chars<'_>, quote: char, out: &mut Vec<u8>) -> Result<(), String> {
    let c = chars.next().ok_or("escape sequence not terminated")?;
    let simple = match c {
        'a' => Some(7),
        'b' => Some(8),
        'f' => Some(12),
        'n' => Some(b'\n'),
        'r' => Some(b'\r'),
        't' => Some(b'\t'),
        'v' => Some(11),
        '\\' => Some(b'\\'),
        // Only the string's own quote may be escaped, as in Go.
        c if c == quote => u8::try_from(c).ok(),
        _ => None,
    };
    if let Some(byte) = simple {
        out.push(byte);
        return Ok(());
    }
    // The number of digits is fixed for each form. The first octal digit is the character that was read.
    let (count, base, first) = match c {
        '0'..='7' => (3, 8, Some(c)),
        'x' => (2, 16, chars.next()),
        'u' => (4, 16, chars.next()),
        'U' => (8, 16, chars.next()),
        _ => return Err(format!("unknown escape sequence {}", code_point(c))),
    };
    let mut value = 0u32;
    let mut digit = first;
    for i in 0..count {
        if i > 0 {
            digit = chars.next();
        }
        let c = digit.ok_or("escape sequence not terminated")?;
        let d = c.to_digit(base).ok_or_else(|| format!("illegal character {} in escape sequence", code_point(c)))?;
        // Eight hexadecimal digits fit: nothing wraps.
        value = value.wrapping_mul(base).wrapping_add(d);
    }
    let invalid = || "escape sequence is an invalid Unicode code point".to_owned();
    // Octal and `\x` escapes are bytes, not characters, and so can produce invalid UTF-8.
    if count <= 3 {
        out.push(u8::try_from(value).map_err(|_| invalid())?);
    } else {
        let c = char::from_u32(value).ok_or_else(invalid)?;
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_is_gos() {
        for (text, expected) in [
            ("a\"b\\c'", r#""a\"b\\c'""#),
            ("\u{1}\n\t\x07\u{7f}\0", r#""\x01\n\t\a\x7f\x00""#),
            ("é\u{301}\u{200b}😀\u{10ffff}", "\"é\u{301}\\u200b😀\\U0010ffff\""),
            ("\u{a0}\u{e000}", r#""\u00a0\ue000""#),
        ] {
            assert_eq!(quoted(text), expected);
        }
        assert_eq!(quoted_as("é'\"", '\'', true), r#"'\u00e9\'"'"#);
        assert_eq!((code_point('é'), code_point('\u{200b}')), ("U+00E9 'é'".to_owned(), "U+200B".to_owned()));
    }

    #[test]
    fn escapes_are_gos() {
        let bytes = |text: &str| {
            let mut out = Vec::new();
            escape(&mut text.chars(), '"', &mut out).map(|()| out)
        };
        let valid = [("n", &b"\n"[..]), ("\"", b"\""), ("101", b"A"), ("xff", b"\xff"), ("u00e9", "é".as_bytes())];
        for (text, expected) in valid {
            assert_eq!(bytes(text).as_deref(), Ok(expected), "{text}");
        }
        for (text, why) in [
            ("q", "unknown escape sequence U+0071 'q'"),
            ("x1", "escape sequence not terminated"),
            ("x1g", "illegal character U+0067 'g' in escape sequence"),
            ("400", "escape sequence is an invalid Unicode code point"),
            ("ud800", "escape sequence is an invalid Unicode code point"),
        ] {
            assert_eq!(bytes(text), Err(why.to_owned()), "{text}");
        }
    }
}
