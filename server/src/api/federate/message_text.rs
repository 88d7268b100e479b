//! Messages as text, for whoever looks at them: what `prototext` makes of them, but for its blanks, which differ from build to
//! build there.

use std::fmt::Write as _;

use model::float::push_g;

// Fields stand in the order in which `metrics.proto` declares them, which is that of the text.

/// What a field is, and of a message which.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Double,
    Int,
    Unsigned,
    Zigzag,
    Type,
    Message(&'static [Field]),
}

type Field = (u64, &'static str, Kind);

const FAMILY: &[Field] =
    &[(1, "name", Kind::Text), (2, "help", Kind::Text), (3, "type", Kind::Type), (4, "metric", Kind::Message(METRIC))];
const METRIC: &[Field] = &[
    (1, "label", Kind::Message(&[(1, "name", Kind::Text), (2, "value", Kind::Text)])),
    (2, "gauge", Kind::Message(VALUE)),
    (3, "counter", Kind::Message(VALUE)),
    (4, "summary", Kind::Message(SUMMARY)),
    (5, "untyped", Kind::Message(VALUE)),
    (7, "histogram", Kind::Message(HISTOGRAM)),
    (6, "timestamp_ms", Kind::Int),
];
const VALUE: &[Field] = &[(1, "value", Kind::Double)];
const SUMMARY: &[Field] = &[
    (1, "sample_count", Kind::Unsigned),
    (2, "sample_sum", Kind::Double),
    (3, "quantile", Kind::Message(&[(1, "quantile", Kind::Double), (2, "value", Kind::Double)])),
];
const SPAN: &[Field] = &[(1, "offset", Kind::Zigzag), (2, "length", Kind::Unsigned)];
const BUCKET: &[Field] = &[
    (1, "cumulative_count", Kind::Unsigned),
    (4, "cumulative_count_float", Kind::Double),
    (2, "upper_bound", Kind::Double),
];
const HISTOGRAM: &[Field] = &[
    (1, "sample_count", Kind::Unsigned),
    (4, "sample_count_float", Kind::Double),
    (2, "sample_sum", Kind::Double),
    (3, "bucket", Kind::Message(BUCKET)),
    (5, "schema", Kind::Zigzag),
    (6, "zero_threshold", Kind::Double),
    (8, "zero_count_float", Kind::Double),
    (9, "negative_span", Kind::Message(SPAN)),
    (11, "negative_count", Kind::Double),
    (12, "positive_span", Kind::Message(SPAN)),
    (14, "positive_count", Kind::Double),
];

/// Writes families as text.
#[derive(Debug)]
pub(in crate::api) struct MessageText {
    is_multiline: bool,
    text: String,
}

impl MessageText {
    pub(in crate::api) fn new(is_multiline: bool) -> Self {
        Self { is_multiline, text: String::new() }
    }

    /// The fields before the metrics.
    pub(in crate::api) fn family(&mut self, out: &mut Vec<u8>, head: &[u8]) {
        self.text.clear();
        self.fields(head, FAMILY, 0);
        // The metrics follow.
        out.extend_from_slice(self.text.as_bytes());
    }

    pub(in crate::api) fn metric(&mut self, out: &mut Vec<u8>, metric: &[u8]) {
        self.text.clear();
        if !self.is_multiline {
            self.text.push(' ');
        }
        self.message("metric", metric, METRIC, 0);
        out.extend_from_slice(self.text.as_bytes());
    }

    pub(in crate::api) fn end(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
    }

    fn message(&mut self, name: &str, message: &[u8], of: &[Field], depth: usize) {
        self.indent(depth);
        self.text.push_str(name);
        self.text.push_str(if self.is_multiline { ": {\n" } else { ":{" });
        self.fields(message, of, depth + 1);
        self.indent(depth);
        self.text.push_str(if self.is_multiline { "}\n" } else { "}" });
    }

    fn indent(&mut self, depth: usize) {
        if self.is_multiline {
            self.text.extend(std::iter::repeat_n("  ", depth));
        }
    }

    /// The fields of a message that `protobuf` wrote.
    fn fields(&mut self, message: &[u8], of: &[Field], depth: usize) {
        for (i, (place, value)) in read(message, of).into_iter().enumerate() {
            if i > 0 && !self.is_multiline {
                self.text.push(' ');
            }
            let (_, name, kind) = of[place];
            if let (Kind::Message(of), Value::Bytes(bytes)) = (kind, &value) {
                self.message(name, bytes, of, depth);
                continue;
            }
            self.indent(depth);
            self.text.push_str(name);
            self.text.push_str(if self.is_multiline { ": " } else { ":" });
            self.value(kind, &value);
            self.text.push_str(if self.is_multiline { "\n" } else { "" });
        }
    }

    fn value(&mut self, kind: Kind, value: &Value<'_>) {
        let out = &mut self.text;
        // Writing to a string does not fail.
        match (kind, value) {
            (Kind::Double, Value::Number(bits)) => match f64::from_bits(*bits) {
                number if number.is_nan() => out.push_str("nan"),
                f64::INFINITY => out.push_str("inf"),
                f64::NEG_INFINITY => out.push_str("-inf"),
                number => push_g(out, number),
            },
            (Kind::Int, Value::Number(n)) => write!(out, "{}", n.cast_signed()).unwrap_or_default(),
            (Kind::Zigzag, Value::Number(n)) => {
                write!(out, "{}", (n >> 1).cast_signed() ^ -(n & 1).cast_signed()).unwrap_or_default()
            }
            (Kind::Type, Value::Number(n)) => out.push_str(match n {
                0 => "COUNTER",
                1 => "GAUGE",
                2 => "SUMMARY",
                4 => "HISTOGRAM",
                5 => "GAUGE_HISTOGRAM",
                _ => "UNTYPED",
            }),
            (_, Value::Number(n)) => write!(out, "{n}").unwrap_or_default(),
            (_, Value::Bytes(text)) => quote(out, &String::from_utf8_lossy(text)),
        }
    }
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The values of a message by the place of their field, which is found by its number.
fn read<'a>(mut message: &'a [u8], of: &[Field]) -> Vec<(usize, Value<'a>)> {
    let mut out = Vec::new();
    while let Some(tag) = varint(&mut message) {
        let place = of.iter().position(|(number, ..)| *number == tag >> 3).expect("BUG: a field without a name");
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut message).expect("BUG: a number without an end")),
            1 => {
                let (number, rest) = message.split_first_chunk().expect("BUG: a number without an end");
                message = rest;
                Value::Number(u64::from_le_bytes(*number))
            }
            _ => {
                let len = varint(&mut message).and_then(|len| usize::try_from(len).ok());
                let (bytes, rest) = message.split_at(len.expect("BUG: bytes without a length"));
                message = rest;
                Value::Bytes(bytes)
            }
        };
        out.push((place, value));
    }
    out.sort_by_key(|(place, _)| *place);
    out
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut n = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        n |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            break;
        }
    }
    Some(n)
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' || c == '\u{7f}' => write!(out, "\\x{:02x}", u32::from(c)).unwrap_or_default(),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::super::protobuf::{MetricType, family_head, histogram, pair, untyped};
    use super::*;
    use model::{Histogram, Timestamp};

    fn shown(multiline: bool, kind: MetricType, metric: &[u8]) -> String {
        let (mut head, mut out, mut text) = (Vec::new(), Vec::new(), MessageText::new(multiline));
        family_head(&mut head, "up", kind);
        text.family(&mut out, &head);
        text.metric(&mut out, metric);
        text.end(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_family_on_one_line_and_on_several() {
        let mut metric = Vec::new();
        pair(&mut metric, "a", "b\"\\\n\u{1}é");
        untyped(&mut metric, f64::INFINITY, Timestamp(-300));
        let label = r#"b\"\\\n\x01é"#;
        assert_eq!(
            shown(false, MetricType::Untyped, &metric),
            format!(
                "name:\"up\" type:UNTYPED metric:{{label:{{name:\"a\" value:\"{label}\"}} untyped:{{value:inf}} timestamp_ms:-300}}\n"
            )
        );
        assert_eq!(
            shown(true, MetricType::Untyped, &metric),
            format!(
                "name: \"up\"\ntype: UNTYPED\nmetric: {{\n  label: {{\n    name: \"a\"\n    value: \"{label}\"\n  }}\n  \
                 untyped: {{\n    value: inf\n  }}\n  timestamp_ms: -300\n}}\n\n"
            )
        );
    }

    #[test]
    fn histograms() {
        let (mut metric, mut scratch) = (Vec::new(), Vec::new());
        let native = Histogram {
            schema: -2,
            count: 3.5,
            sum: f64::NAN,
            zero_threshold: 0.5,
            zero_count: 1.0,
            negative: [(-3, 2.5)].into_iter().collect(),
            ..Histogram::default()
        };
        histogram(&mut metric, &native, Timestamp(1), &mut scratch);
        assert_eq!(
            shown(false, MetricType::GaugeHistogram, &metric),
            "name:\"up\" type:GAUGE_HISTOGRAM metric:{histogram:{sample_count_float:3.5 sample_sum:nan schema:-2 \
             zero_threshold:0.5 zero_count_float:1 negative_span:{offset:-3 length:1} negative_count:2.5} timestamp_ms:1}\n"
        );
        metric.clear();
        let custom = Histogram {
            schema: Histogram::CUSTOM,
            custom_values: [0.5].into(),
            count: 3.0,
            positive: [(0, 1.0), (1, 2.0)].into_iter().collect(),
            ..Histogram::default()
        };
        histogram(&mut metric, &custom, Timestamp(1), &mut scratch);
        assert_eq!(
            shown(false, MetricType::Histogram, &metric),
            "name:\"up\" type:HISTOGRAM metric:{histogram:{sample_count_float:3 sample_sum:0 \
             bucket:{cumulative_count_float:1 upper_bound:0.5}} timestamp_ms:1}\n"
        );
    }
}
