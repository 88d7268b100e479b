//! The messages of `io.prometheus.client` (`metrics.proto`), field by field in the order of their numbers.

use model::histogram::Buckets;
use model::{Histogram, Timestamp};

use super::text::cumulative;
use crate::protobuf::{DOUBLE_LEN, bytes, bytes_len, double, length, number, varint, zigzag};

/// `MetricType`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricType {
    Untyped = 3,
    Histogram = 4,
    GaugeHistogram = 5,
}

/// `LabelPair`, as the field `label` of `Metric`.
pub(in crate::api) fn pair(out: &mut Vec<u8>, name: &str, value: &str) {
    length(out, 1, bytes_len(name.len()) + bytes_len(value.len()));
    bytes(out, 1, name.as_bytes());
    bytes(out, 2, value.as_bytes());
}

/// The fields of a `MetricFamily` before its metrics.
pub(super) fn family_head(out: &mut Vec<u8>, name: &str, kind: MetricType) {
    bytes(out, 1, name.as_bytes());
    number(out, 3, kind as u64);
}

/// A message as the field `metric` of `MetricFamily`.
pub(super) fn metric_field(out: &mut Vec<u8>, metric: &[u8]) {
    bytes(out, 4, metric);
}

/// What stands before a message in a delimited stream.
pub(super) fn delimiter(out: &mut Vec<u8>, message_len: usize) {
    varint(out, message_len as u64);
}

/// What follows the labels of a `Metric` that is a float.
pub(super) fn untyped(out: &mut Vec<u8>, value: f64, ts: Timestamp) {
    // `Untyped` has one field.
    length(out, 5, DOUBLE_LEN);
    double(out, 1, value);
    timestamp(out, ts);
}

/// The same of one that is a histogram: a native one, or a classic one for custom bounds.
pub(super) fn histogram(out: &mut Vec<u8>, value: &Histogram, ts: Timestamp, scratch: &mut Vec<u8>) {
    timestamp(out, ts);
    scratch.clear();
    // Of whole counts only their floats are kept, and upstream federates all counts as floats.
    if value.is_custom() {
        classic(scratch, value);
    } else {
        native(scratch, value);
    }
    bytes(out, 7, scratch);
}

fn timestamp(out: &mut Vec<u8>, ts: Timestamp) {
    number(out, 6, ts.0.cast_unsigned());
}

fn classic(out: &mut Vec<u8>, value: &Histogram) {
    double(out, 2, value.sum);
    // The bucket of all observations is left out, as protobuf allows.
    for (bound, below) in cumulative(value) {
        length(out, 3, 2 * DOUBLE_LEN);
        double(out, 2, bound);
        double(out, 4, below);
    }
    double(out, 4, value.count);
}

fn native(out: &mut Vec<u8>, value: &Histogram) {
    double(out, 2, value.sum);
    double(out, 4, value.count);
    number(out, 5, zigzag(value.schema));
    double(out, 6, value.zero_threshold);
    double(out, 8, value.zero_count);
    buckets(out, &value.negative, (9, 11));
    buckets(out, &value.positive, (12, 14));
}

fn buckets(out: &mut Vec<u8>, side: &Buckets, (spans, counts): (u32, u32)) {
    let mut message = Vec::new();
    for span in &side.spans {
        message.clear();
        number(&mut message, 1, zigzag(span.offset));
        number(&mut message, 2, u64::from(span.length));
        bytes(out, spans, &message);
    }
    side.counts.iter().for_each(|count| double(out, counts, *count));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_family() {
        let mut metric = Vec::new();
        pair(&mut metric, "a", "b");
        untyped(&mut metric, 1.0, Timestamp(300));
        let mut out = Vec::new();
        family_head(&mut out, "up", MetricType::Untyped);
        metric_field(&mut out, &metric);
        let expected =
            b"\x0a\x02up\x18\x03\x22\x16\x0a\x06\x0a\x01a\x12\x01b\x2a\x09\x09\0\0\0\0\0\0\xf0\x3f\x30\xac\x02";
        assert_eq!(out, expected);
        let mut out = Vec::new();
        timestamp(&mut out, Timestamp(-1));
        assert_eq!(out, b"\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    }
}
