//! The messages of `io.prometheus.client` (`metrics.proto`), field by field in the order of their numbers.

use model::histogram::Buckets;
use model::{Histogram, Timestamp};

use super::text::cumulative;

/// `MetricType`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricType {
    Untyped = 3,
    Histogram = 4,
    GaugeHistogram = 5,
}

// Wire types: how long a field is.
const VARINT: u32 = 0;
const DOUBLE: u32 = 1;
const BYTES: u32 = 2;

/// `LabelPair`, as the field `label` of `Metric`.
pub(super) fn pair(out: &mut Vec<u8>, name: &str, value: &str) {
    tag(out, 1, BYTES);
    varint(out, (bytes_len(name.len()) + bytes_len(value.len())) as u64);
    bytes(out, 1, name.as_bytes());
    bytes(out, 2, value.as_bytes());
}

/// The fields of a `MetricFamily` before its metrics.
pub(super) fn family_head(out: &mut Vec<u8>, name: &str, kind: MetricType) {
    bytes(out, 1, name.as_bytes());
    tag(out, 3, VARINT);
    varint(out, kind as u64);
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
    tag(out, 5, BYTES);
    varint(out, DOUBLE_LEN as u64);
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
    tag(out, 6, VARINT);
    // Negative numbers take ten bytes, as `int64` has it.
    varint(out, ts.0.cast_unsigned());
}

fn classic(out: &mut Vec<u8>, value: &Histogram) {
    double(out, 2, value.sum);
    // The bucket of all observations is left out, as protobuf allows.
    for (bound, below) in cumulative(value) {
        tag(out, 3, BYTES);
        varint(out, 2 * DOUBLE_LEN as u64);
        double(out, 2, bound);
        double(out, 4, below);
    }
    double(out, 4, value.count);
}

fn native(out: &mut Vec<u8>, value: &Histogram) {
    double(out, 2, value.sum);
    double(out, 4, value.count);
    tag(out, 5, VARINT);
    varint(out, zigzag(value.schema));
    double(out, 6, value.zero_threshold);
    double(out, 8, value.zero_count);
    buckets(out, &value.negative, (9, 11));
    buckets(out, &value.positive, (12, 14));
}

fn buckets(out: &mut Vec<u8>, side: &Buckets, (spans, counts): (u32, u32)) {
    let mut message = Vec::new();
    for span in &side.spans {
        message.clear();
        tag(&mut message, 1, VARINT);
        varint(&mut message, zigzag(span.offset));
        tag(&mut message, 2, VARINT);
        varint(&mut message, u64::from(span.length));
        bytes(out, spans, &message);
    }
    side.counts.iter().for_each(|count| double(out, counts, *count));
}

fn zigzag(n: i32) -> u64 {
    u64::from((n << 1 ^ n >> 31).cast_unsigned())
}

/// A tag of one byte and eight of the number.
const DOUBLE_LEN: usize = 9;

fn double(out: &mut Vec<u8>, field: u32, value: f64) {
    tag(out, field, DOUBLE);
    out.extend_from_slice(&value.to_le_bytes());
}

/// The length of a field of bytes whose number is below 16.
fn bytes_len(len: usize) -> usize {
    1 + (len as u64 | 1).ilog2() as usize / 7 + 1 + len
}

fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    tag(out, field, BYTES);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn tag(out: &mut Vec<u8>, field: u32, wire: u32) {
    varint(out, u64::from(field << 3 | wire));
}

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_fields_are_those_that_are_written() {
        for len in [0, 1, 127, 128, 129, 16_383, 16_384, 100_000, 2_097_151, 2_097_152] {
            let mut out = Vec::new();
            bytes(&mut out, 15, &vec![0; len]);
            assert_eq!(out.len(), bytes_len(len), "{len}");
        }
    }

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
        assert_eq!([0, -1, 1, -53, i32::MAX, i32::MIN].map(zigzag), [0, 1, 2, 105, 0xffff_fffe, 0xffff_ffff]);
        let mut out = Vec::new();
        timestamp(&mut out, Timestamp(-1));
        assert_eq!(out, b"\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    }
}
