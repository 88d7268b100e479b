//! Go's quoting of strings and characters, for messages and printed queries, and unquoting.

use std::borrow::Cow;
use std::fmt;

/// Go's `strconv.Quote`.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    text.chars().for_each(|c| push(c, '"', &mut out));
    out.push('"');
    out
}

/// Go's `strconv.QuoteRune`; the end of the input shows as the replacement character.
pub(super) fn quoted_char(c: Option<char>) -> String {
    let mut out = String::from("'");
    push(c.unwrap_or(char::REPLACEMENT_CHARACTER), '\'', &mut out);
    out.push('\'');
    out
}

fn push(c: char, quote: char, out: &mut String) {
    match c {
        c if c == quote || c == '\\' => out.extend(['\\', c]),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        c if is_printable(c) => out.push(c),
        c if u32::from(c) < 0x80 => *out += &format!("\\x{:02x}", u32::from(c)),
        c if u32::from(c) < 0x1_0000 => *out += &format!("\\u{:04x}", u32::from(c)),
        c => *out += &format!("\\U{:08x}", u32::from(c)),
    }
}

fn is_printable(c: char) -> bool {
    // Combining marks after another character are not escaped.
    c.is_ascii_graphic() || c == ' ' || !c.is_ascii() && format!("a{c}").escape_debug().count() == 2
}

/// Go's `%#U`.
pub(super) fn code_point(c: char) -> String {
    let shown = if is_printable(c) { format!(" '{c}'") } else { String::new() };
    format!("U+{:04X}{shown}", u32::from(c))
}

/// The text inside a quoted string, with Go's escapes resolved.
pub(crate) fn unquote(quoted: &str) -> Result<String, String> {
    Text::unquoted(quoted)?.string.map_err(|_| "invalid UTF-8 in string".to_owned())
}

/// The value of a string literal. Escapes can produce invalid UTF-8; then it is kept as bytes.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    string: Result<String, Vec<u8>>,
}

impl Text {
    pub(super) fn new(string: String) -> Self {
        Self { string: Ok(string) }
    }

    /// From a quoted string, with Go's escapes.
    pub(super) fn unquoted(quoted: &str) -> Result<Self, String> {
        let bytes = unescaped(quoted)?;
        Ok(Self { string: String::from_utf8(bytes).map_err(|error| error.into_bytes()) })
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.string.as_ref().map_or_else(Vec::len, String::len)
    }

    /// The text, if it is valid UTF-8.
    pub(crate) fn as_str(&self) -> Option<&str> {
        self.string.as_deref().ok()
    }

    /// The text, with replacement characters for invalid UTF-8.
    pub(crate) fn lossy(&self) -> Cow<'_, str> {
        match &self.string {
            Ok(string) => Cow::Borrowed(string),
            Err(bytes) => String::from_utf8_lossy(bytes),
        }
    }
}

/// Quoted as Go does it.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Invalid UTF-8 is shown as `\x` escapes, which parse to the same bytes again.
        let bytes = match &self.string {
            Ok(string) => return f.write_str(&quoted(string)),
            Err(bytes) => bytes,
        };
        let mut out = String::from("\"");
        for chunk in bytes.utf8_chunks() {
            chunk.valid().chars().for_each(|c| push(c, '"', &mut out));
            chunk.invalid().iter().for_each(|byte| out += &format!("\\x{byte:02x}"));
        }
        write!(f, "{out}\"")
    }
}

fn unescaped(quoted: &str) -> Result<Vec<u8>, String> {
    let quote = quoted.chars().next().unwrap_or('"');
    let body = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or("");
    // Raw strings have no escapes; most others have none either.
    if quote == '`' || !body.contains('\\') {
        return Ok(body.as_bytes().to_vec());
    }
    let mut out = Vec::with_capacity(body.len());
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            escape(&mut chars, quote, &mut out)?;
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Ok(out)
}

/// Resolves the escape after a backslash.
pub(super) fn escape(chars: &mut std::str::Chars<'_>, quote: char, out: &mut Vec<u8>) -> Result<(), String> {
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
            ("\u{1}\n\u{7f}", r#""\x01\n\x7f""#),
            ("é\u{301}\u{200b}\u{10ffff}", "\"é\u{301}\\u200b\\U0010ffff\""),
            ("\u{a0}", r#""\u00a0""#),
        ] {
            assert_eq!(quoted(text), expected);
        }
        assert_eq!(quoted_char(Some('\'')), r"'\''");
        assert_eq!(quoted_char(None), "'\u{fffd}'");
    }

    #[test]
    fn unquoting_is_gos() {
        assert_eq!(unquote(r#""a\x41\u00e9\t\101""#).as_deref(), Ok("aA\u{e9}\tA"));
        assert_eq!(unquote(r"'it\'s'").as_deref(), Ok("it's"));
        assert_eq!(unquote(r"`\d`").as_deref(), Ok(r"\d"));
        assert_eq!(unquote(r#""\xff""#), Err("invalid UTF-8 in string".to_owned()));
        let text = Text::unquoted(r#""a\xc5z\n""#).unwrap();
        assert_eq!((text.as_str(), &*text.lossy(), text.to_string().as_str()), (None, "a\u{fffd}z\n", r#""a\xc5z\n""#));
    }
}
