//! String and character literals of templates, and what they mean (Go: `strconv`).

use model::quote::escape;
pub(super) use model::quote::{code_point, is_print, quoted, quoted_as};

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
    let mut chars = inner.chars();
    while !chars.as_str().is_empty() {
        push_unescaped(&mut chars, quote, &mut bytes)?;
    }
    Some(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The number of a character constant.
pub(super) fn unquoted_char(literal: &str) -> Option<Result<i64, ()>> {
    let (mut chars, mut bytes) = (literal.strip_prefix('\'')?.chars(), Vec::new());
    push_unescaped(&mut chars, '\'', &mut bytes)?;
    // A byte beyond ASCII is no text, but a number all the same.
    let number = match std::str::from_utf8(&bytes).ok().and_then(|text| text.chars().next()) {
        Some(c) => i64::from(u32::from(c)),
        None => i64::from(*bytes.first()?),
    };
    Some(if chars.as_str() == "'" { Ok(number) } else { Err(()) })
}

/// Takes a character off the inside of a literal.
fn push_unescaped(chars: &mut std::str::Chars<'_>, quote: char, bytes: &mut Vec<u8>) -> Option<()> {
    match chars.next()? {
        '\\' => escape(chars, quote, bytes).ok(),
        '\n' => None,
        c if c == quote => None,
        c => {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            Some(())
        }
    }
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
        let bytes = (unquoted_char(r"'\xe9'"), unquoted_char("'é'"), unquoted_char("'a"));
        assert_eq!(bytes, (Some(Ok(0xe9)), Some(Ok(0xe9)), Some(Err(()))));
    }
}
