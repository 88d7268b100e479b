//! The text of one series taken apart: names, labels, quotes.

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

impl RawLabel {
    /// Of the names of one series only the first is right.
    pub(super) fn named_once(&self, named: &mut bool) -> Result<(), &'static str> {
        let repeated = self.is_name && *named;
        *named |= self.is_name;
        if repeated { Err("metric name already set") } else { Ok(()) }
    }
}

/// Walks what stands behind an opening brace, calls `on_label` for each item, and returns the length up to and with the
/// closing brace; or where it goes wrong and why.
pub(super) fn walk_labels(
    text: &[u8],
    mut on_label: impl FnMut(RawLabel) -> Result<(), &'static str>,
) -> Result<usize, (usize, &'static str)> {
    let tail = |at: usize| text.get(at..).unwrap_or_default();
    let mut at = 0;
    loop {
        at += blanks(tail(at));
        if tail(at).first() == Some(&b'}') {
            return Ok(at + 1);
        }
        let (name, length, quoted) = match tail(at).first() {
            Some(b'"') => {
                let n = quoted_len(tail(at)).ok_or((at, "quoted name without an end"))?;
                (at + 1..at + n - 1, n, true)
            }
            _ => {
                let n = name_len(tail(at), false);
                (at..at + n, n, false)
            }
        };
        if length == 0 {
            return Err((at, "expected a label name"));
        }
        let name_at = at;
        at += length;
        at += blanks(tail(at));
        let is_name = quoted && matches!(tail(at).first(), Some(b',' | b'}'));
        let mut value = 0..0;
        if !is_name {
            if tail(at).first() != Some(&b'=') {
                return Err((at, "expected an equal sign"));
            }
            at += 1;
            at += blanks(tail(at));
            let n = quoted_len(tail(at)).ok_or((at, "expected a label value in double quotes"))?;
            value = at + 1..at + n - 1;
            at += n;
        }
        on_label(RawLabel { is_name, name, value }).map_err(|why| (name_at, why))?;
        at += blanks(tail(at));
        // A missing comma is accepted, two are not.
        if tail(at).first() == Some(&b',') {
            at += 1;
        }
    }
}

/// Where a quoted string stands in OpenMetrics.
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
        at += if quoted { strict_quoted_len(tail(at), place).unwrap_or(0) } else { name_len(tail(at), false) };
        if at == name_at {
            return Err((at, "expected a label name"));
        }
        let rim = usize::from(quoted);
        let name = name_at + rim..at - rim;
        let is_name = quoted && matches!(tail(at).first(), Some(b',' | b'}'));
        let mut value = 0..0;
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

/// The length of a quoted string with its quotes, or `None` if there is none that may stand there.
pub(super) fn strict_quoted_len(text: &[u8], place: Quoted) -> Option<usize> {
    let length = quoted_len(text)?;
    let inside = text.get(1..length - 1)?;
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
        let found = at + memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(found) == Some(&b'"') {
            return Some(found + 1);
        }
        at = found + 2;
    }
}

/// The length of an unquoted name at the start of `text`; colons only in metric names.
pub(super) fn name_len(text: &[u8], colons: bool) -> usize {
    let word = |b: &u8| LETTERS[usize::from(*b)] && (colons || *b != b':');
    match text.first() {
        Some(first) if word(first) && !first.is_ascii_digit() => {
            text.iter().position(|b| !word(b)).unwrap_or(text.len())
        }
        _ => 0,
    }
}

/// What names are made of.
const LETTERS: [bool; 256] = {
    let mut letters = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        letters[byte] = (byte as u8).is_ascii_alphanumeric() || byte == b'_' as usize || byte == b':' as usize;
        byte += 1;
    }
    letters
};

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
