//! Answers that are plain types: serialised by serde, spelled as Go's `encoding/json` spells JSON.

use std::io::{self, Write};

use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use model::{Exemplar, Labels};
use serde::{Serialize, Serializer};
use serde_json::ser::{CharEscape, Formatter};
use serde_json::value::RawValue;

use super::json::{labels, number, success, timestamp};

/// `{"status":"success","data":…}` of a type.
pub(crate) fn success_of(data: &impl Serialize) -> Response {
    success(|out| serialize(out, data), &[], &[])
}

/// Text for whoever asks for it, else JSON.
pub(crate) fn text_or_json<R: Serialize>(headers: &HeaderMap, report: &R, text: fn(&R) -> String) -> Response {
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/plain") && !accepts.contains("application/json") {
        return ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text(report)).into_response();
    }
    success_of(report)
}

/// A value at the end of a text, with `<`, `>` and `&` escaped, as Go does by default.
pub(crate) fn serialize(out: &mut String, value: &impl Serialize) {
    write(out, value, GoFormatter { html: true });
}

/// The same with `<`, `>` and `&` as they are.
pub(crate) fn serialize_plain(out: &mut String, value: &impl Serialize) {
    write(out, value, GoFormatter { html: false });
}

fn write(out: &mut String, value: &impl Serialize, formatter: GoFormatter) {
    // serde writes bytes; the text is taken apart and put together again without a copy.
    let mut bytes = std::mem::take(out).into_bytes();
    let written = value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter));
    written.expect("BUG: answers have string keys, and writing to memory does not fail");
    *out = String::from_utf8(bytes).expect("BUG: JSON is UTF-8");
}

struct GoFormatter {
    html: bool,
}

impl Formatter for GoFormatter {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        // Zero among them: an exponent below 1e-6 and from 1e21 on, without a leading zero.
        let magnitude = value.abs();
        if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
            // Go's `encoding/json` removes the leading zero of exponents, which Rust never writes.
            return write!(writer, "{value:e}");
        }
        write!(writer, "{value}")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if !self.html {
            return writer.write_all(fragment.as_bytes());
        }
        let mut plain = 0;
        for (at, c) in fragment.char_indices().filter(|(_, c)| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}')) {
            writer.write_all(&fragment.as_bytes()[plain..at])?;
            write!(writer, "\\u{:04x}", u32::from(c))?;
            plain = at + c.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[plain..])
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        let text: &[u8] = match escape {
            CharEscape::Quote => b"\\\"",
            CharEscape::ReverseSolidus => b"\\\\",
            CharEscape::Solidus => b"/",
            // Go has no short form of these two.
            CharEscape::Backspace => b"\\u0008",
            CharEscape::FormFeed => b"\\u000c",
            CharEscape::LineFeed => b"\\n",
            CharEscape::CarriageReturn => b"\\r",
            CharEscape::Tab => b"\\t",
            CharEscape::AsciiControl(byte) => return write!(writer, "\\u{byte:04x}"),
        };
        writer.write_all(text)
    }
}

/// JSON that the formatter of values and label sets wrote.
fn raw<S: Serializer>(serializer: S, write: impl FnOnce(&mut String)) -> Result<S::Ok, S::Error> {
    let mut text = String::new();
    write(&mut text);
    // Taken over verbatim, so that samples and label sets are spelled by one place only.
    RawValue::from_string(text).map_err(serde::ser::Error::custom)?.serialize(serializer)
}

/// A label set: `{"job":"a"}`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabelSet<'a>(pub(crate) &'a Labels);

impl Serialize for LabelSet<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        raw(serializer, |out| labels(out, self.0))
    }
}

/// JSON as it is, of an engine that writes its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a>(pub(crate) &'a str);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        raw(serializer, |out| out.push_str(self.0))
    }
}

/// `{"labels":{…},"value":"1","timestamp":1.5}`
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExemplarJson<'a>(pub(crate) &'a Exemplar);

impl Serialize for ExemplarJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        raw(serializer, |out| {
            out.push_str("{\"labels\":");
            labels(out, &self.0.labels);
            out.push_str(",\"value\":");
            number(out, self.0.value);
            out.push_str(",\"timestamp\":");
            timestamp(out, self.0.ts);
            out.push('}');
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::{label_string, string};
    use super::*;

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut out = "x".to_owned();
        write(&mut out);
        out
    }

    #[test]
    fn strings_are_those_of_the_formatter_of_our_own() {
        for c in (0..0x180u32).chain(0x2020..0x2030).filter_map(char::from_u32) {
            let text = format!("a{c}é{c}");
            assert_eq!(written(|out| serialize(out, &text)), written(|out| string(out, &text)), "{text:?}");
            assert_eq!(written(|out| serialize_plain(out, &text)), written(|out| label_string(out, &text)), "{text:?}");
        }
    }

    #[test]
    fn floats_are_as_go_writes_them() {
        let all = [
            (0.0, "0"),
            (1.5, "1.5"),
            (2.0, "2"),
            (5e-7, "5e-7"),
            (1e-6, "0.000001"),
            (1e21, "1e21"),
            (1e20, "100000000000000000000"),
        ];
        for (value, text) in all {
            assert_eq!(written(|out| serialize(out, &value)), format!("x{text}"));
        }
    }

    #[test]
    fn label_sets_stand_as_they_are() {
        let labels = Labels::from_pairs([("a", "<1>")]);
        assert_eq!(written(|out| serialize(out, &[LabelSet(&labels)])), r#"x[{"a":"<1>"}]"#);
    }
}
