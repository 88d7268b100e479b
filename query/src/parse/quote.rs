//! String literals of queries, and what they mean.

use std::borrow::Cow;
use std::fmt;

pub(super) use model::quote::escape;
pub(crate) use model::quote::quoted;
use model::quote::{push_char, quoted_as};

/// Go's `strconv.QuoteRune`; the end of the input shows as the replacement character.
pub(super) fn quoted_char(c: Option<char>) -> String {
    quoted_as(c.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut [0; 4]), '\'', false)
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
            chunk.valid().chars().for_each(|c| push_char(&mut out, c, ('"', false)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_quoted() {
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
