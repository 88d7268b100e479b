//! A native histogram out of an `io.prometheus.client.Histogram` message, in place.

use model::Histogram;
use model::histogram::{Buckets, ClassicError, Span, WholeCounts};

use super::encoding::{Broken, Fields, Value};
use crate::parse::Native;
use crate::parse::form::LINES_MAX;

/// Spans and buckets of one side.
#[derive(Default)]
struct Side {
    spans: Vec<Span>,
    /// Integer counts, each as the difference to the one before.
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

/// The histogram that a message is, whole counts as floats, without empty buckets (upstream:
/// `model/textparse/protobufparse.go`, `Histogram`).
///
/// # Errors
/// When the message is broken, or its spans and buckets do not go together. Whether they make sense is not looked at.
pub(super) fn read(message: &[u8]) -> Result<Native, String> {
    let mut histogram = Histogram::default();
    let (mut count, mut zero_count) = (0, 0);
    let (mut positive, mut negative) = (Side::default(), Side::default());
    let (mut count_float, mut zero_float) = (0.0, 0.0);
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => count = value.varint()?,
            2 => histogram.sum = value.double()?,
            4 => count_float = value.double()?,
            5 => histogram.schema = schema(value.varint()?)?,
            6 => histogram.zero_threshold = value.double()?,
            7 => zero_count = value.varint()?,
            8 => zero_float = value.double()?,
            9 => negative.spans.push(span(value.bytes()?)?),
            10 => each_varint(value, |n| negative.deltas.push(unzigzag(n)))?,
            11 => each_double(value, |n| negative.counts.push(n))?,
            12 => positive.spans.push(span(value.bytes()?)?),
            13 => each_varint(value, |n| positive.deltas.push(unzigzag(n)))?,
            14 => each_double(value, |n| positive.counts.push(n))?,
            _ => {}
        }
    }
    // Entries of counts identify float histograms even when all of them are zero.
    let float = count_float > 0.0 || zero_float > 0.0 || !positive.counts.is_empty() || !negative.counts.is_empty();
    let counts = if float {
        (histogram.count, histogram.zero_count) = (count_float, zero_float);
        None
    } else {
        (histogram.count, histogram.zero_count) = (whole(count), whole(zero_count));
        // Wrapping as Go's uint64 does; the validation compares the sum with the count and refuses what overflowed.
        let in_buckets = zero_count.wrapping_add(positive.observations()).wrapping_add(negative.observations());
        Some(WholeCounts { count, in_buckets })
    };
    // Packed and unpacked fields may alternate with spans, so the sides are put together at the end.
    histogram.positive = positive.buckets(float);
    histogram.negative = negative.buckets(float);
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

impl Side {
    fn buckets(self, float: bool) -> Buckets {
        let counts = if float { self.counts } else { absolute(&self.deltas).map(|count| count as f64).collect() };
        Buckets { spans: self.spans, counts }
    }

    /// In all its buckets, of which none may be negative.
    fn observations(&self) -> u64 {
        absolute(&self.deltas).fold(0, |sum, count| sum.wrapping_add(count.cast_unsigned()))
    }
}

/// Absolute counts from deltas. An overflow wraps to a negative count, which the validation refuses.
fn absolute(deltas: &[i64]) -> impl Iterator<Item = i64> {
    deltas.iter().scan(0i64, |last, delta| {
        // Each bucket holds the difference to the one before, the first the difference to 0.
        *last = last.wrapping_add(*delta);
        Some(*last)
    })
}

fn span(message: &[u8]) -> Result<Span, Broken> {
    let mut span = Span::default();
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => span.offset = i32::try_from(unzigzag(value.varint()?)).map_err(|_| "offset of a span out of range")?,
            2 => span.length = u32::try_from(value.varint()?).map_err(|_| "length of a span out of range")?,
            _ => {}
        }
    }
    Ok(span)
}

/// Of a field of numbers: one, or several packed together.
fn each_varint(value: Value<'_>, mut each: impl FnMut(u64)) -> Result<(), Broken> {
    let Value::Bytes(packed) = value else {
        each(value.varint()?);
        return Ok(());
    };
    let mut numbers = Fields::new(packed);
    while let Some(number) = numbers.next_packed()? {
        each(number);
    }
    Ok(())
}

fn each_double(value: Value<'_>, mut each: impl FnMut(f64)) -> Result<(), Broken> {
    let Value::Bytes(packed) = value else {
        each(value.double()?);
        return Ok(());
    };
    let (numbers, []) = packed.as_chunks::<8>() else { return Err("packed numbers end early") };
    // Proto3 packs numbers by default; the unpacked form above is legal as well and old clients write it.
    numbers.iter().for_each(|bytes| each(f64::from_le_bytes(*bytes)));
    Ok(())
}

fn schema(number: u64) -> Result<i32, Broken> {
    i32::try_from(unzigzag(number)).map_err(|_| "schema out of range")
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

#[expect(clippy::cast_precision_loss, reason = "counts are stored as floats, as upstream queries them")]
fn whole(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
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
