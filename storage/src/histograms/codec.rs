//! A native histogram as bytes. Drawn in `docs/formats/histograms.md`.
//!
//! Invariant: what is decoded is what was encoded, bit for bit, the reset hint among it. Whole counts, which is what targets
//! expose, are small numbers; any others are floats.

use std::sync::Arc;

use model::histogram::{Buckets, Histogram, ResetHint, Span};

use crate::kv::checksum::checksum;
use crate::kv::varint::{self, unzigzag, zigzag};

const CHECKSUM_BYTES: usize = 4;
/// The low bits of the first byte are the reset hint.
const HINT: u8 = 3;
const CUSTOM: u8 = 4;
const WHOLE: u8 = 8;

/// Appends the histogram to `out`. The seed ties the checksum to the key.
pub(crate) fn encode(histogram: &Histogram, seed: u64, out: &mut Vec<u8>) {
    let start = out.len();
    // One flag for all: a histogram is either counted or computed, hardly ever a mixture.
    let whole = counts(histogram).all(is_whole);
    let hint = match histogram.reset_hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    };
    let form = hint | if histogram.is_custom() { CUSTOM } else { 0 } | if whole { WHOLE } else { 0 };
    out.push(form);
    float(histogram.sum, out);
    count(histogram.count, whole, out);
    if histogram.is_custom() {
        varint::put(histogram.custom_values.len() as u64, out);
        histogram.custom_values.iter().for_each(|bound| float(*bound, out));
        side(&histogram.positive, whole, out);
    } else {
        varint::put(zigzag(i64::from(histogram.schema)), out);
        float(histogram.zero_threshold, out);
        count(histogram.zero_count, whole, out);
        side(&histogram.positive, whole, out);
        side(&histogram.negative, whole, out);
    }
    let sum = checksum(&out[start..], seed);
    out.extend_from_slice(&sum.to_le_bytes());
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// What about the bytes is wrong.
pub(crate) fn decode(bytes: &[u8], seed: u64) -> Result<Histogram, &'static str> {
    let Some((mut body, sum)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err("shorter than a checksum");
    };
    // Before anything is parsed: lengths of damaged bytes are not to be believed.
    if checksum(body, seed) != u32::from_le_bytes(*sum) {
        return Err("the checksum is wrong");
    }
    let histogram = parse(&mut body).ok_or("it ends early")?;
    if body.is_empty() { Ok(histogram) } else { Err("it does not end where it should") }
}

fn parse(bytes: &mut &[u8]) -> Option<Histogram> {
    let (&form, rest) = bytes.split_first()?;
    *bytes = rest;
    let whole = form & WHOLE != 0;
    let reset_hint = match form & HINT {
        0 => ResetHint::Unknown,
        1 => ResetHint::Reset,
        2 => ResetHint::NotReset,
        _ => ResetHint::Gauge,
    };
    let mut histogram = Histogram { reset_hint, sum: take_float(bytes)?, ..Histogram::default() };
    histogram.count = take_count(whole, bytes)?;
    if form & CUSTOM != 0 {
        histogram.schema = Histogram::CUSTOM;
        let bounds = varint::take_usize(bytes)?;
        // Bounded by the bytes that there are, whatever the number says: no entry takes less than one.
        let bounds: Option<Arc<[f64]>> = (0..bounds.min(bytes.len() + 1)).map(|_| take_float(bytes)).collect();
        histogram.custom_values = bounds?;
        histogram.positive = take_side(whole, bytes)?;
    } else {
        histogram.schema = i32::try_from(unzigzag(varint::take(bytes)?)).ok()?;
        histogram.zero_threshold = take_float(bytes)?;
        histogram.zero_count = take_count(whole, bytes)?;
        histogram.positive = take_side(whole, bytes)?;
        histogram.negative = take_side(whole, bytes)?;
    }
    Some(histogram)
}

fn counts(histogram: &Histogram) -> impl Iterator<Item = f64> {
    let buckets = histogram.positive.counts.iter().chain(&histogram.negative.counts);
    [histogram.count, histogram.zero_count].into_iter().chain(buckets.copied())
}

/// Is it a number that an unsigned integer says exactly, its sign too?
fn is_whole(value: f64) -> bool {
    // Below 2^53, up to where a float tells every integer from the next.
    (0.0..9e15).contains(&value) && value.is_sign_positive() && value.fract() == 0.0
}

fn float(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn take_float(bytes: &mut &[u8]) -> Option<f64> {
    let (value, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(f64::from_bits(u64::from_le_bytes(*value)))
}

fn count(value: f64, whole: bool, out: &mut Vec<u8>) {
    if whole { varint::put(value as u64, out) } else { float(value, out) }
}

#[expect(clippy::cast_precision_loss, reason = "whole counts lie below 2^53")]
fn take_count(whole: bool, bytes: &mut &[u8]) -> Option<f64> {
    if whole { Some(varint::take(bytes)? as f64) } else { take_float(bytes) }
}

/// Spans, then counts: whole ones as the difference to their neighbour.
fn side(buckets: &Buckets, whole: bool, out: &mut Vec<u8>) {
    varint::put(buckets.spans.len() as u64, out);
    for span in &buckets.spans {
        varint::put(zigzag(i64::from(span.offset)), out);
        varint::put(u64::from(span.length), out);
    }
    varint::put(buckets.counts.len() as u64, out);
    let mut last = 0;
    for value in &buckets.counts {
        if whole {
            let next = *value as i64;
            varint::put(zigzag(next - last), out);
            last = next;
        } else {
            float(*value, out);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "whole counts lie below 2^53")]
fn take_side(whole: bool, bytes: &mut &[u8]) -> Option<Buckets> {
    let mut buckets = Buckets::default();
    // However long a damaged list says it is, each of its entries takes a byte.
    for _ in 0..varint::take_usize(bytes)?.min(bytes.len() + 1) {
        let offset = i32::try_from(unzigzag(varint::take(bytes)?)).ok()?;
        buckets.spans.push(Span { offset, length: u32::try_from(varint::take(bytes)?).ok()? });
    }
    let mut last = 0i64;
    for _ in 0..varint::take_usize(bytes)?.min(bytes.len() + 1) {
        buckets.counts.push(if whole {
            last = last.checked_add(unzigzag(varint::take(bytes)?))?;
            last as f64
        } else {
            take_float(bytes)?
        });
    }
    Some(buckets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![8 => (0..5000u32).prop_map(f64::from), 1 => any::<f64>(), 1 => Just(-0.0), 1 => Just(9e15)]
    }

    fn buckets() -> impl Strategy<Value = Buckets> {
        let spans = prop::collection::vec((any::<i32>(), 0..9u32), 0..4);
        (spans, prop::collection::vec(number(), 0..20)).prop_map(|(spans, counts)| Buckets {
            spans: spans.into_iter().map(|(offset, length)| Span { offset, length }).collect(),
            counts,
        })
    }

    fn histogram() -> impl Strategy<Value = Histogram> {
        let hint = prop_oneof![
            Just(ResetHint::Unknown),
            Just(ResetHint::Reset),
            Just(ResetHint::NotReset),
            Just(ResetHint::Gauge)
        ];
        let custom = prop_oneof![Just(None), prop::collection::vec(any::<f64>(), 0..6).prop_map(Some)];
        (hint, -4..9i32, prop::array::uniform4(number()), buckets(), buckets(), custom).prop_map(
            |(reset_hint, schema, [zero_threshold, zero_count, count, sum], positive, negative, custom)| {
                let common = Histogram { reset_hint, count, sum, positive, ..Histogram::default() };
                match custom {
                    Some(bounds) => Histogram { schema: Histogram::CUSTOM, custom_values: bounds.into(), ..common },
                    None => Histogram { schema, zero_threshold, zero_count, negative, ..common },
                }
            },
        )
    }

    /// All of it, bits and layout of spans too.
    fn shown(histogram: &Histogram) -> String {
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let side = |buckets: &Buckets| (buckets.spans.clone(), bits(&buckets.counts));
        let h = histogram;
        let numbers = bits(&[h.zero_threshold, h.zero_count, h.count, h.sum]);
        let sides = (side(&h.positive), side(&h.negative));
        format!("{:?} {} {numbers:?} {sides:?} {:?}", h.reset_hint, h.schema, bits(&h.custom_values))
    }

    proptest! {
        #[test]
        fn what_is_decoded_is_what_was_encoded(histogram in histogram(), seed in any::<u64>()) {
            let mut bytes = Vec::new();
            encode(&histogram, seed, &mut bytes);
            prop_assert_eq!(shown(&decode(&bytes, seed).unwrap()), shown(&histogram));
            prop_assert!(decode(&bytes, seed ^ 1).is_err());
            for end in 0..bytes.len() {
                prop_assert!(decode(&bytes[..end], seed).is_err());
            }
        }

        #[test]
        fn damaged_bytes_behind_a_good_checksum_are_errors_at_worst(mut bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let sum = checksum(&bytes, 7);
            bytes.extend_from_slice(&sum.to_le_bytes());
            if let Ok(histogram) = decode(&bytes, 7) {
                prop_assert!(histogram.positive.counts.len() + histogram.positive.spans.len() <= bytes.len());
            }
        }
    }
}
