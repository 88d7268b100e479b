//! Splits the text of one series into its parts: names, labels, quoted strings.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2};

/// One item between the braces, by where it stands.
#[derive(Clone, Debug)]
pub(super) struct RawLabel {
    /// A quoted string that stands alone is the metric name.
    pub(super) is_name: bool,
    /// The name, without quotes but still escaped.
    pub(super) name: Range<usize>,
    /// The value, without quotes but still escaped; empty for a metric name.
    pub(super) value: Range<usize>,
}

/// Walks the text behind an opening brace, calls `on_label` for each item, and returns the length including the closing
/// brace; or position and reason of a syntax error.
pub(super) fn walk_labels(
    text: &[u8],
    mut on_label: impl FnMut(RawLabel) -> Result<(), &'static str>,
) -> Result<usize, (usize, &'static str)> {
    let mut at = 0;
    loop {
        at = behind_blanks(text, at);
        let name_at = at;
        let quoted = match text.get(at) {
            Some(b'}') => return Ok(at + 1),
            first => first == Some(&b'"'),
        };
        let from = text.get(at..).unwrap_or_default();
        let length =
            // Nothing is unescaped here: positions are enough for a line that turns out to be known.
            if quoted { quoted_len(from).ok_or((at, "quoted name without an end"))? } else { name_len(from, false) };
        if length == 0 {
            return Err((at, "expected a label name"));
        }
        let rim = usize::from(quoted);
        let name = at + rim..at + length - rim;
        at = behind_blanks(text, at + length);
        // `{"name"}` and `{"name",...}` give the metric name (UTF-8 names); `{"label"="value"}` a quoted label name.
        let is_name = quoted && matches!(text.get(at), Some(b',' | b'}'));
        let mut value = 0..0;
        if !is_name {
            if text.get(at) != Some(&b'=') {
                return Err((at, "expected an equal sign"));
            }
            at = behind_blanks(text, at + 1);
            let from = text.get(at..).unwrap_or_default();
            let n = quoted_len(from).ok_or((at, "expected a label value in double quotes"))?;
            value = at + 1..at + n - 1;
            at = behind_blanks(text, at + n);
        }
        on_label(RawLabel { is_name, name, value }).map_err(|why| (name_at, why))?;
        // A missing comma is accepted, two are not.
        at = behind_blanks(text, at);
        if text.get(at) == Some(&b',') {
            at += 1;
        }
    }
}

/// The place of a quoted string in OpenMetrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoted {
    /// A name, which may hold line breaks.
    Label,
    /// A label value, which may hold NULs.
    Value,
    /// Anything in an exemplar, which holds neither.
    Exemplar,
}

/// The same in OpenMetrics: no blanks, one comma between labels, one more allowed behind the last. `place` is
/// [`Quoted::Label`] for the labels of a series and [`Quoted::Exemplar`] for those of an exemplar, which has no name.
pub(super) fn walk_strict_labels(
    text: &[u8],
    place: Quoted,
    mut on_label: impl FnMut(RawLabel) -> Result<(), &'static str>,
) -> Result<usize, (usize, &'static str)> {
    let tail = |at: usize| text.get(at..).unwrap_or_default();
    let value_place = if place == Quoted::Label { Quoted::Value } else { place };
    let mut at = 0;
    loop {
        let name_at = at;
        let quoted = match tail(at).first() {
            Some(b'}') => return Ok(at + 1),
            first => first == Some(&b'"'),
        };
        // A quoted string that is not allowed here has length 0 and falls into the error below.
        at += if quoted { strict_quoted_len(tail(at), place).unwrap_or(0) } else { name_len(tail(at), false) };
        if at == name_at {
            return Err((at, "expected a label name"));
        }
        let rim = usize::from(quoted);
        let name = name_at + rim..at - rim;
        let is_name = quoted && matches!(tail(at).first(), Some(b',' | b'}'));
        let mut value = 0..0;
        // Exemplars have labels only, so a lone quoted string lacks its value.
        if is_name && place == Quoted::Exemplar || !is_name && tail(at).first() != Some(&b'=') {
            return Err((at, "expected an equal sign"));
        }
        if !is_name {
            let n = strict_quoted_len(tail(at + 1), value_place)
                .ok_or((at + 1, "expected a label value in double quotes"))?;
            value = at + 2..at + n;
            at += 1 + n;
        }
        on_label(RawLabel { is_name, name, value }).map_err(|why| (name_at, why))?;
        match tail(at).first() {
            Some(b',') => at += 1,
            Some(b'}') => {}
            _ => return Err((at, "expected a comma or the closing brace")),
        }
    }
}

/// The length of a quoted string with its quotes, or `None` if there is none or it is not allowed there.
pub(super) fn strict_quoted_len(text: &[u8], place: Quoted) -> Option<usize> {
    let length = quoted_len(text)?;
    let inside = text.get(1..length - 1)?;
    // Upstream's lexer accepts a raw line break in a quoted name but not as the second half of an escape sequence.
    let broken =
        memchr(b'\n', inside).is_some_and(|at| place != Quoted::Label || at > 0 && inside.get(at - 1) == Some(&b'\\'));
    let has_nul = place != Quoted::Value && memchr(0, inside).is_some();
    (!broken && !has_nul).then_some(length)
}

/// The length of a quoted string with its quotes, or `None` if there is none or it has no end.
pub(super) fn quoted_len(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        let found = at + quote_or_backslash(text.get(at..)?)?;
        if text.get(found) == Some(&b'"') {
            return Some(found + 1);
        }
        // Skips the escaped byte whatever it is, so `\"` does not end the string and `\\` does not escape a quote.
        at = found + 2;
    }
}

/// Where the first of the two stands. Most values are short: eight bytes at a time are faster than a call.
#[inline]
fn quote_or_backslash(text: &[u8]) -> Option<usize> {
    const NEAR: usize = 4;
    let (chunks, _) = text.as_chunks::<8>();
    for (i, chunk) in chunks.iter().take(NEAR).enumerate() {
        // Bytes behind the first match may be wrong (see `zero_bytes`), but only the first one is used.
        let found = zero_bytes(chunk, b'"') | zero_bytes(chunk, b'\\');
        if found != 0 {
            return Some(i * 8 + first_byte(found));
        }
    }
    // The rest of a long value, or the last bytes of a short one: `memchr2` uses wider registers.
    let behind = chunks.len().min(NEAR) * 8;
    Some(behind + memchr2(b'"', b'\\', text.get(behind..)?)?)
}

const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = 0x8080_8080_8080_8080;

/// Sets the top bits of the bytes equal to `byte`. Behind the first match other bits may be set, too.
#[inline]
fn zero_bytes(chunk: &[u8; 8], byte: u8) -> u64 {
    let other = u64::from_le_bytes(*chunk) ^ (ONES * u64::from(byte));
    // The usual zero-byte test: only a byte that is 0 borrows into its top bit without having had it set.
    other.wrapping_sub(ONES) & !other & TOPS
}

/// The first byte whose top bit is set.
#[inline]
fn first_byte(tops: u64) -> usize {
    tops.trailing_zeros() as usize / 8
}

/// The length of an unquoted name at the start of `text`; colons only in metric names.
#[inline]
pub(super) fn name_len(text: &[u8], colons: bool) -> usize {
    // A name may hold digits but not begin with one, which the masks below do not check.
    if text.first().is_none_or(u8::is_ascii_digit) {
        return 0;
    }
    let (chunks, rest) = text.as_chunks::<8>();
    for (i, chunk) in chunks.iter().enumerate() {
        let others = TOPS & !letters(u64::from_le_bytes(*chunk), colons);
        if others != 0 {
            return i * 8 + first_byte(others);
        }
    }
    let mut last = [0; 8];
    // NULs fill up the last chunk; they are not letters, so `first_byte` finds the end at the latest there.
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    chunks.len() * 8 + first_byte(TOPS & !letters(u64::from_le_bytes(last), colons))
}

/// The top bits of bytes that names are made of: letters, digits, underscores, colons where they may be.
#[inline]
fn letters(chunk: u64, colons: bool) -> u64 {
    // Bytes above 0x7f are excluded at the end by `!chunk & TOPS`.
    let low = chunk & !TOPS;
    // No sum carries into the next byte, as none of the two is above 0x7f.
    let from = |bytes: u64, first: u8| bytes + ONES * u64::from(0x80 - first);
    let between = |bytes: u64, first: u8, behind: u8| from(bytes, first) & !from(bytes, behind);
    // Setting 0x20 makes upper case lower case. No other byte is moved into their range.
    let letters = between(low | (ONES * 0x20), b'a', b'z' + 1);
    // A colon stands behind the digits.
    let digits = between(low, b'0', b'9' + 1 + u8::from(colons));
    let underscores = between(low, b'_', b'_' + 1);
    (letters | digits | underscores) & !chunk & TOPS
}

/// The position behind optional blanks; mostly there are none.
#[inline]
fn behind_blanks(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(b' ' | b'\t') => at + blanks(text.get(at..).unwrap_or_default()),
        _ => at,
    }
}

/// How many blanks and tabs `text` starts with.
pub(super) fn blanks(text: &[u8]) -> usize {
    text.iter().take_while(|b| matches!(b, b' ' | b'\t')).count()
}

/// `\\`, `\"` and `\n`; any other backslash stands for itself.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.peek().copied() } else { None };
        match escaped {
            Some(next @ ('\\' | '"' | 'n')) => {
                chars.next();
                out.push(if next == 'n' { '\n' } else { next });
            }
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_ends_a_name_or_does_not() {
        for byte in 0..=255u8 {
            let word = byte.is_ascii_alphanumeric() || byte == b'_';
            for at in 1..20 {
                let mut text = [b'x'; 24];
                text[at] = byte;
                for end in [at + 1, 24] {
                    let colon = word || byte == b':';
                    assert_eq!(name_len(&text[..end], false), if word { end } else { at }, "{byte} at {at}");
                    assert_eq!(name_len(&text[..end], true), if colon { end } else { at }, "{byte} at {at}");
                }
            }
            let first = word && !byte.is_ascii_digit();
            assert_eq!(name_len(&[byte], false), usize::from(first), "{byte}");
        }
        assert_eq!((name_len(b"", true), name_len(b":a", false), name_len(b":a", true)), (0, 0, 2));
    }

    #[test]
    fn quotes_end_where_they_end() {
        for length in 0..80 {
            let mut text = vec![b'#'; length + 2];
            (text[0], text[length + 1]) = (b'"', b'"');
            assert_eq!(quoted_len(&text), Some(length + 2));
            assert_eq!(quoted_len(&text[..=length]), None);
            text.push(b'"');
            text[length + 1] = b'\\';
            assert_eq!(quoted_len(&text), None, "the last is escaped");
            text.push(b'"');
            assert_eq!(quoted_len(&text), Some(length + 4));
            // Bytes that differ from a quote by one bit.
            text[length + 1] = b'#';
            assert_eq!(quoted_len(&text), Some(length + 3));
        }
    }
}
