//! A native histogram out of an `io.prometheus.client.Histogram` message, in place.

use model::Histogram;
use model::histogram::{ClassicError, Encoded, EncodedCounts, Span};
use model::protobuf::{Broken, Fields, unzigzag};

use crate::parse::Native;
use crate::parse::form::LINES_MAX;

/// The histogram that a message is, whole counts as floats, without empty buckets (upstream:
/// `model/textparse/protobufparse.go`, `Histogram`).
///
/// # Errors
/// When the message is broken, or its spans and buckets do not go together. Whether they make sense is not looked at.
pub(super) fn read(message: &[u8]) -> Result<Native, String> {
    let mut encoded = Encoded::default();
    let (mut count, mut zero_count) = (0, 0);
    let (mut count_float, mut zero_float) = (0.0, 0.0);
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => count = value.varint()?,
            2 => encoded.sum = value.double()?,
            4 => count_float = value.double()?,
            5 => encoded.schema = schema(value.varint()?)?,
            6 => encoded.zero_threshold = value.double()?,
            7 => zero_count = value.varint()?,
            8 => zero_float = value.double()?,
            9 => encoded.negative.spans.push(Span::read(value.bytes()?)?),
            10 => value.each_varint(|n| encoded.negative.deltas.push(unzigzag(n)))?,
            11 => value.each_double(|n| encoded.negative.counts.push(n))?,
            12 => encoded.positive.spans.push(Span::read(value.bytes()?)?),
            13 => value.each_varint(|n| encoded.positive.deltas.push(unzigzag(n)))?,
            14 => value.each_double(|n| encoded.positive.counts.push(n))?,
            _ => {}
        }
    }
    // Entries of counts identify float histograms even when all of them are zero.
    let has_floats = !encoded.positive.counts.is_empty() || !encoded.negative.counts.is_empty();
    encoded.counts = if count_float > 0.0 || zero_float > 0.0 || has_floats {
        EncodedCounts::Floats { count: count_float, zero_count: zero_float }
    } else {
        EncodedCounts::Whole { count, zero_count }
    };
    // Packed and unpacked fields may alternate with spans, so the sides are put together at the end.
    let (mut histogram, counts) = encoded.histogram();
    for (side, buckets) in [("positive", &mut histogram.positive), ("negative", &mut histogram.negative)] {
        // Must hold before `compact`, which walks spans and counts side by side.
        let required: u64 = buckets.spans.iter().map(|span| u64::from(span.length)).sum();
        if required != buckets.counts.len() as u64 {
            return Err(format!("{side} side: spans require {required} buckets, have {}", buckets.counts.len()));
        }
        // Of spans out of range the validation tells, and there is no telling where their buckets are.
        if are_in_range(&buckets.spans) {
            buckets.compact();
        }
    }
    Ok(Native { histogram, counts })
}

/// True if the index of every bucket fits an `i32`.
fn are_in_range(spans: &[Span]) -> bool {
    let mut end = 0i64;
    spans.iter().all(|span| {
        // Offsets are relative to the end of the span before; in i64 no sum of them overflows within one message.
        let first = end + i64::from(span.offset);
        end = first + i64::from(span.length);
        i32::try_from(first).is_ok() && i32::try_from(end).is_ok()
    })
}

/// The histogram with custom buckets that the classic part of a message is; `None` when it has too many buckets.
///
/// # Errors
/// When it is none. In the text formats such a one is left out, here it fails the scrape: upstream has it so.
pub(super) fn from_classic(message: &[u8]) -> Result<Option<Histogram>, Broken> {
    let (mut buckets, mut count, mut count_float, mut sum) = (Vec::new(), 0.0, 0.0, 0.0);
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => count = whole(value.varint()?),
            2 => sum = value.double()?,
            3 => {
                // Proto3 leaves out zeros: a bucket without fields is one with bound 0 and count 0.
                let (mut up_to, mut bound, mut float) = (0.0, 0.0, 0.0);
                let mut bucket = Fields::new(value.bytes()?);
                while let Some((number, value)) = bucket.next()? {
                    match number {
                        1 => up_to = whole(value.varint()?),
                        2 => bound = value.double()?,
                        4 => float = value.double()?,
                        _ => {}
                    }
                }
                if buckets.len() >= LINES_MAX {
                    // Bounds the memory of one histogram; no converted histogram is handed out then.
                    return Ok(None);
                }
                buckets.push((bound, if float == 0.0 { up_to } else { float }));
            }
            4 => count_float = value.double()?,
            _ => {}
        }
    }
    let count = if count_float == 0.0 { count } else { count_float };
    let histogram = Histogram::from_classic(&buckets, Some(count), sum).map_err(|error| match error {
        ClassicError::Number => "cannot convert to custom buckets: a bound is NaN or a count negative",
        ClassicError::NotCumulative { .. } => "cannot convert to custom buckets: count is not cumulative",
        ClassicError::Count { .. } => "cannot convert to custom buckets: count mismatch",
        // Parse errors are static texts here, so the values in question are not shown.
        _ => "cannot convert to custom buckets",
    })?;
    histogram.validate().map_err(|_| "cannot convert to custom buckets: invalid histogram")?;
    Ok(Some(histogram))
}

fn schema(number: u64) -> Result<i32, Broken> {
    i32::try_from(unzigzag(number)).map_err(|_| "schema out of range")
}

#[expect(clippy::cast_precision_loss, reason = "counts are stored as floats, as upstream queries them")]
fn whole(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use model::histogram::{Buckets, WholeCounts};
    use model::protobuf::Value;

    use super::*;

    /// Fields as they are written: (number, varint), (number, double) or (number, bytes).
    fn message(fields: &[(u8, Value<'_>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, value) in fields {
            match value {
                Value::Varint(n) => {
                    out.push(number << 3);
                    varint(*n, &mut out);
                }
                Value::Double(n) => {
                    out.push(number << 3 | 1);
                    out.extend_from_slice(&n.to_le_bytes());
                }
                Value::Bytes(bytes) => {
                    out.push(number << 3 | 2);
                    varint(bytes.len() as u64, &mut out);
                    out.extend_from_slice(bytes);
                }
                Value::Fixed32 => unreachable!("no field is one"),
            }
        }
        out
    }

    fn varint(mut n: u64, out: &mut Vec<u8>) {
        while n >= 0x80 {
            out.push(n as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
    }

    #[test]
    fn whole_counts_packed_or_not_and_float_counts() {
        let span = message(&[(1, Value::Varint(3)), (2, Value::Varint(3))]);
        let head = [(1, Value::Varint(9)), (2, Value::Double(1.5)), (5, Value::Varint(4)), (12, Value::Bytes(&span))];
        let expected = Histogram {
            schema: 2,
            count: 9.0,
            sum: 1.5,
            positive: Buckets { spans: vec![Span { offset: -2, length: 3 }], counts: vec![4.0, 2.0, 3.0] },
            ..Histogram::default()
        };
        let apart = [(13, Value::Varint(8)), (13, Value::Varint(3)), (13, Value::Varint(2))];
        let packed = [(13, Value::Bytes(&[8, 3, 2]))];
        for deltas in [&apart[..], &packed[..]] {
            let read = read(&message(&[&head[..], deltas].concat())).unwrap();
            assert_eq!(
                (read.histogram, read.counts),
                (expected.clone(), Some(WholeCounts { count: 9, in_buckets: 9 }))
            );
        }
        let floats: Vec<u8> = [4.0f64, 2.0, 3.0].iter().flat_map(|n| n.to_le_bytes()).collect();
        let float = [(4, Value::Double(9.0)), (14, Value::Bytes(&floats))];
        let read = read(&message(&[&head[..], &float[..]].concat())).unwrap();
        assert_eq!((read.histogram, read.counts), (expected, None));
    }

    #[test]
    fn what_is_no_histogram_is_an_error() {
        let span = message(&[(1, Value::Varint(0)), (2, Value::Varint(2))]);
        let head = [(1, Value::Varint(3)), (5, Value::Varint(0)), (12, Value::Bytes(&span))];
        for (rest, reason) in [
            (vec![(13, Value::Varint(2))], "spans require 2 buckets, have 1"),
            (vec![(13, Value::Bytes(&[2, 0x80]))], "breaks off"),
            (vec![(14, Value::Bytes(&[2, 5])), (4, Value::Double(1.0))], "packed numbers end early"),
            (vec![(5, Value::Varint(u64::MAX)), (13, Value::Bytes(&[2, 0]))], "schema out of range"),
        ] {
            let error = read(&message(&[&head[..], &rest[..]].concat())).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
