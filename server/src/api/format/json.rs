//! JSON as upstream writes it, byte for byte: strings, numbers, times, label sets, histograms, and the frame of a success.

use std::fmt::{self, Write as _};

use axum::response::{IntoResponse, Response};
use http::HeaderName;
use http::header::CONTENT_TYPE;
use model::float::push_json;
use model::{Histogram, Labels, Timestamp};

/// The beginning of every successful response.
pub(crate) const SUCCESS: &str = "{\"status\":\"success\",\"data\":";

/// The header of every API answer.
pub(crate) const JSON: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];

/// Formatted text at the end.
pub(crate) fn put(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    out.write_fmt(text).ok();
}

/// A string with `<`, `>` and `&` escaped, as Go does by default.
pub(crate) fn string(out: &mut String, text: &str) {
    write_string(out, text, true);
}

/// A name or value of a label: upstream leaves `<`, `>` and `&` alone there.
pub(crate) fn label_string(out: &mut String, text: &str) {
    write_string(out, text, false);
}

/// Masks of the lowest and the highest bit of each byte of a word.
const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// True if none of eight bytes has to be escaped, as in nearly all texts.
fn is_plain(eight: [u8; 8], html: bool) -> bool {
    // The order of bytes does not matter: only whether there is one.
    let word = u64::from_ne_bytes(eight);
    let below = |limit: u8, word: u64| word.wrapping_sub(LOW * u64::from(limit)) & !word;
    let holds = |byte: u8| below(1, word ^ (LOW * u64::from(byte)));
    // The high bit of `word` itself stands for bytes beyond ASCII, among them U+2028 and U+2029. They take the slow
    // path.
    let mut found = word | below(b' ', word) | holds(b'"') | holds(b'\\');
    if html {
        found |= holds(b'<') | holds(b'>') | holds(b'&');
    }
    found & HIGH == 0
}

fn write_string(out: &mut String, text: &str, html: bool) {
    out.push('"');
    let (eights, rest) = text.as_bytes().as_chunks::<8>();
    // Filled up with blanks, which are plain.
    let mut last = [b' '; 8];
    last[..rest.len()].copy_from_slice(rest);
    if is_plain(last, html) && eights.iter().all(|eight| is_plain(*eight, html)) {
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        let special =
            c < ' ' || matches!(c, '"' | '\\') || html && matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
        if !special {
            continue;
        }
        // Runs of plain characters are copied at once.
        out.push_str(&text[plain..at]);
        plain = at + c.len_utf8();
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Go writes all other control characters so, U+2028 and U+2029 among them; there are none beyond U+FFFF.
            c => put(out, format_args!("\\u{:04x}", u32::from(c))),
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// `{"job":"a"}`
pub(crate) fn labels(out: &mut String, labels: &Labels) {
    object(out, labels.iter(), label_string);
}

/// An object of the pairs in their order.
pub(crate) fn object<V>(
    out: &mut String,
    pairs: impl IntoIterator<Item = (impl AsRef<str>, V)>,
    mut value: impl FnMut(&mut String, V),
) {
    out.push('{');
    for (i, (name, v)) in pairs.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        label_string(out, name.as_ref());
        out.push(':');
        value(out, v);
    }
    out.push('}');
}

/// An array.
pub(crate) fn array<T>(out: &mut String, all: impl IntoIterator<Item = T>, item: impl FnMut(&mut String, T)) {
    out.push('[');
    items(out, all, item);
    out.push(']');
}

/// The items of an array, without its brackets.
pub(crate) fn items<T>(out: &mut String, all: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut String, T)) {
    for (i, it) in all.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        item(out, it);
    }
}

/// A sample's time: seconds, with three decimals unless it is a whole second.
pub(crate) fn timestamp(out: &mut String, ts: Timestamp) {
    let (seconds, rest) = (ts.0.unsigned_abs() / 1000, ts.0.unsigned_abs() % 1000);
    if ts < Timestamp::EPOCH {
        out.push('-');
    }
    out.push_str(itoa::Buffer::new().format(seconds));
    if rest != 0 {
        // A digit more than is shown: the leading zeros.
        out.push('.');
        out.push_str(&itoa::Buffer::new().format(1000 + rest)[1..]);
    }
}

pub(crate) fn point(out: &mut String, ts: Timestamp, value: f64) {
    out.push('[');
    timestamp(out, ts);
    out.push(',');
    number(out, value);
    out.push(']');
}

/// A number is a string, as JSON knows no infinity.
pub(crate) fn number(out: &mut String, value: f64) {
    out.push('"');
    push_json(out, value);
    out.push('"');
}

pub(crate) fn histogram_point(out: &mut String, ts: Timestamp, value: &Histogram) {
    out.push('[');
    timestamp(out, ts);
    out.push(',');
    histogram(out, value);
    out.push(']');
}

/// `{"count":"3","sum":"4.5","buckets":[[0,"1","2","3"]]}`: of each bucket that is not empty which bounds belong to it (0:
/// the upper one, 1: the lower one, 2: neither, 3: both), the bounds, and its count.
pub(crate) fn histogram(out: &mut String, histogram: &Histogram) {
    out.push_str("{\"count\":");
    number(out, histogram.count);
    out.push_str(",\"sum\":");
    number(out, histogram.sum);
    // Upstream's `MarshalHistogram` leaves out empty buckets, and the field if none is left.
    let mut buckets = histogram.buckets().filter(|bucket| bucket.count != 0.0).peekable();
    if buckets.peek().is_some() {
        out.push_str(",\"buckets\":");
        array(out, buckets, |out, bucket| {
            let bounds = match (bucket.lower_inclusive, bucket.upper_inclusive) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            };
            put(out, format_args!("[{bounds}"));
            for value in [bucket.lower, bucket.upper, bucket.count] {
                out.push(',');
                number(out, value);
            }
            out.push(']');
        });
    }
    out.push('}');
}

/// `{"status":"success","data":…}` with warnings and infos behind it.
pub(crate) fn success(data: impl FnOnce(&mut String), warnings: &[String], infos: &[String]) -> Response {
    (JSON, success_text(data, warnings, infos)).into_response()
}

/// The same as a text.
pub(crate) fn success_text(data: impl FnOnce(&mut String), warnings: &[String], infos: &[String]) -> String {
    let mut body = String::from(SUCCESS);
    data(&mut body);
    success_tail(&mut body, warnings, infos);
    body
}

/// The text behind the data.
pub(crate) fn success_tail(out: &mut String, warnings: &[String], infos: &[String]) {
    for (name, texts) in [("warnings", warnings), ("infos", infos)] {
        if !texts.is_empty() {
            put(out, format_args!(",\"{name}\":"));
            array(out, texts, |out, text| string(out, text));
        }
    }
    out.push('}');
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The text that a function of this folder appends.
    pub(in crate::api::format) fn written(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn strings_and_label_strings() {
        assert_eq!(written(|o| string(o, "a<b>\"\\\n\u{1}&é")), r#""a\u003cb\u003e\"\\\n\u0001\u0026é""#);
        assert_eq!(written(|o| label_string(o, "a<b>&")), r#""a<b>&""#);
    }

    #[test]
    fn bytes_that_must_be_escaped_are_found_at_each_place() {
        for c in (0..0x180u32).filter_map(char::from_u32) {
            for place in 0..20 {
                let text = format!("{}{c}{}", "a".repeat(place), "~".repeat(19 - place));
                let mut expected = serde_json::to_string(&text).unwrap();
                // Written in full by Go.
                expected = expected.replace("\\b", "\\u0008").replace("\\f", "\\u000c");
                assert_eq!(written(|o| label_string(o, &text)), expected);
                for html in ['<', '>', '&'] {
                    expected = expected.replace(html, &format!("\\u{:04x}", u32::from(html)));
                }
                assert_eq!(written(|o| string(o, &text)), expected);
            }
        }
    }

    #[test]
    fn times_have_three_decimals_or_none() {
        let of = |ms| written(|o| timestamp(o, Timestamp(ms)));
        assert_eq!(
            (of(1_700_000_000_000), of(1_700_000_000_050), of(-1_500)),
            ("1700000000".into(), "1700000000.050".into(), "-1.500".into())
        );
    }
}
