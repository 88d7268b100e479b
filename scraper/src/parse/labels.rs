//! The text of one series taken apart: metric name and labels.

use std::borrow::Cow;

use memchr::memchr2;
use model::float::format_g;
use model::labels::METRIC_NAME;

use super::MetricKind;
use super::number::parse_value;

/// One item between the braces, as written.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawLabel<'a> {
    /// A quoted string that stands alone is the metric name.
    pub(super) is_name: bool,
    /// The name, without quotes but still escaped.
    pub(super) name: &'a [u8],
    /// The value, without quotes but still escaped; empty for a metric name.
    pub(super) value: &'a [u8],
}

/// The (name, value) pairs of a series text that [`super::TextParser`] has accepted: `__name__` first, then in the order
/// written, empty values and repeated names included. `le` of histograms and `quantile` of summaries are brought into
/// one spelling (`1` becomes `1.0`).
///
/// # Errors
/// Which label is not UTF-8.
pub fn series_labels(series: &[u8], kind: MetricKind) -> Result<Vec<(String, String)>, String> {
    // Leading blanks are part of the name, as upstream has it.
    let lead = blanks(series);
    let name = name_len(series.get(lead..).unwrap_or_default(), true);
    let (name, rest) = series.split_at_checked(if name == 0 { 0 } else { lead + name }).unwrap_or((series, &[]));
    let mut pairs = Vec::new();
    let mut fault = None;
    if !name.is_empty() {
        push(&mut pairs, &mut fault, b"__name__", name, kind);
    }
    let gap = blanks(rest);
    if let Some(inside) = rest.get(gap + 1..) {
        let mut on_label = |label: RawLabel<'_>| {
            let (name, value) =
                if label.is_name { (METRIC_NAME.as_bytes(), label.name) } else { (label.name, label.value) };
            push(&mut pairs, &mut fault, name, value, kind);
            Ok(())
        };
        walk_labels(inside, &mut on_label).map_err(|(_, why)| why.to_owned())?;
    }
    if let Some(at) = pairs.iter().position(|(name, _)| name == METRIC_NAME) {
        pairs[..=at].rotate_right(1);
    }
    fault.map_or(Ok(pairs), Err)
}

fn push(pairs: &mut Vec<(String, String)>, fault: &mut Option<String>, name: &[u8], value: &[u8], kind: MetricKind) {
    match (std::str::from_utf8(name), std::str::from_utf8(value)) {
        (Ok(name), Ok(value)) => {
            let name = unescape(name);
            let value = normalised(&name, unescape(value), kind);
            pairs.push((name.into_owned(), value.into_owned()));
        }
        (Ok(name), Err(_)) => *fault = Some(format!("value of label {name:?} is not valid UTF-8")),
        (Err(_), _) => *fault = Some(format!("label name {:?} is not valid UTF-8", String::from_utf8_lossy(name))),
    }
}

fn normalised<'a>(name: &str, value: Cow<'a, str>, kind: MetricKind) -> Cow<'a, str> {
    let bound = kind == MetricKind::Histogram && name == "le" || kind == MetricKind::Summary && name == "quantile";
    if !bound {
        return value;
    }
    match parse_value(value.as_bytes()) {
        Err(_) => value,
        Ok(number) => {
            let mut text = format_g(number);
            if number.is_finite() && !text.contains(['e', '.']) {
                text.push_str(".0");
            }
            Cow::Owned(text)
        }
    }
}

/// Walks what stands behind an opening brace, calls `on_label` for each item, and returns the length up to and with the
/// closing brace; or where it goes wrong and why.
pub(super) fn walk_labels<'a>(
    text: &'a [u8],
    on_label: &mut dyn FnMut(RawLabel<'a>) -> Result<(), &'static str>,
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
                (text.get(at + 1..at + n - 1).unwrap_or_default(), n, true)
            }
            _ => {
                let n = name_len(tail(at), false);
                (text.get(at..at + n).unwrap_or_default(), n, false)
            }
        };
        if length == 0 {
            return Err((at, "expected a label name"));
        }
        let name_at = at;
        at += length;
        at += blanks(tail(at));
        let is_name = quoted && matches!(tail(at).first(), Some(b',' | b'}'));
        let mut value: &[u8] = &[];
        if !is_name {
            if tail(at).first() != Some(&b'=') {
                return Err((at, "expected an equal sign"));
            }
            at += 1;
            at += blanks(tail(at));
            let n = quoted_len(tail(at)).ok_or((at, "expected a label value in double quotes"))?;
            value = text.get(at + 1..at + n - 1).unwrap_or_default();
            if std::str::from_utf8(value).is_err() {
                return Err((at, "label value is not valid UTF-8"));
            }
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
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || colons && *b == b':';
    match text.first() {
        Some(first) if word(first) && !first.is_ascii_digit() => text.iter().take_while(|b| word(b)).count(),
        _ => 0,
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
