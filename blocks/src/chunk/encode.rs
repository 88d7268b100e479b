//! Chunks as Prometheus' TSDB encodes them (upstream: `tsdb/chunkenc/xor.go`, `float_histogram.go`, `histogram_meta.go`).
//!
//! Layout of both: a number of samples (two bytes, the most significant first), then bits. Of floats: the first time as a varint and
//! the value as it is, the second time as a difference and the value as what changed in it, from then on the time as a difference of
//! differences. Of histograms: a byte with the hint on resets, the layout of the buckets once, then time, count, zero count, sum and
//! buckets of each.

use std::sync::Arc;

use model::histogram::{Buckets, Span};
use model::querier::chunks::{ChunkSamples, SampleChunk};
use model::{Histogram, ResetHint, Timestamp};

use super::parts::{Chunk, FLOAT_HISTOGRAM, XOR};
use crate::bits::{Bits, Xor, fits};

/// Encodes samples; histograms become several chunks where their buckets differ or a counter falls.
pub fn encoded(chunk: SampleChunk<'_>, chunks: &mut Vec<Chunk>) {
    match chunk.samples {
        ChunkSamples::Floats(values) => chunks.push(made(chunk.timestamps, XOR, floats(chunk.timestamps, values))),
        ChunkSamples::Histograms(histograms) => {
            let mut times = chunk.timestamps;
            for run in histograms.chunk_by(|(_, a), (_, b)| goes_on(a, b)) {
                let (of_run, rest) = times.split_at(run.len());
                times = rest;
                chunks.push(made(of_run, FLOAT_HISTOGRAM, float_histograms(of_run, run)));
            }
        }
    }
}

fn made(times: &[Timestamp], encoding: u8, data: Vec<u8>) -> Chunk {
    let end = |ts: Option<&Timestamp>| ts.copied().unwrap_or(Timestamp::EPOCH);
    Chunk { start: end(times.first()), end: end(times.last()), encoding, data }
}

/// The number of samples, which are 120 at most.
fn head(samples: usize) -> [u8; 2] {
    u16::try_from(samples).unwrap_or(u16::MAX).to_be_bytes()
}

fn floats(times: &[Timestamp], values: &[f64]) -> Vec<u8> {
    let mut bits = Bits::new(&head(values.len()));
    let (mut last_ts, mut last_delta, mut last) = (0i64, 0i64, Xor::new(0.0));
    for (i, (ts, value)) in times.iter().zip(values).enumerate() {
        let delta = ts.0.wrapping_sub(last_ts);
        match i {
            0 => {
                bits.varint(ts.0);
                bits.float(*value);
                last = Xor::new(*value);
            }
            1 => bits.uvarint(delta.cast_unsigned()),
            _ => time_delta(&mut bits, delta.wrapping_sub(last_delta)),
        }
        if i > 0 {
            bits.xor(&mut last, *value);
        }
        (last_ts, last_delta) = (ts.0, delta);
    }
    bits.bytes
}

/// A difference of differences of times, in a chunk of floats.
fn time_delta(bits: &mut Bits, dod: i64) {
    if dod == 0 {
        return bits.write(0, 1);
    }
    let number = dod.cast_unsigned();
    for (ones, width) in (1..).zip([14, 17, 20]) {
        if fits(dod, width) {
            bits.write((1 << (ones + 1)) - 2, ones + 1);
            return bits.write(number, width);
        }
    }
    bits.write(0b1111, 4);
    bits.write(number, 64);
}

/// Can a histogram stand in the chunk of the one before it? What reads it takes it for no reset then.
fn goes_on(before: &Arc<Histogram>, next: &Arc<Histogram>) -> bool {
    let is_gauge = |one: &Histogram| one.reset_hint == ResetHint::Gauge;
    let same_layout = before.schema == next.schema
        && before.zero_threshold.to_bits() == next.zero_threshold.to_bits()
        && before.custom_values == next.custom_values
        && before.positive.spans == next.positive.spans
        && before.negative.spans == next.negative.spans
        && is_gauge(before) == is_gauge(next);
    let rises = |before: &Buckets, next: &Buckets| before.counts.iter().zip(&next.counts).all(|(a, b)| a <= b);
    let is_reset = || {
        next.reset_hint == ResetHint::Reset
            || next.count < before.count
            || next.zero_count < before.zero_count
            || !rises(&before.positive, &next.positive)
            || !rises(&before.negative, &next.negative)
    };
    same_layout && (is_gauge(next) || !is_reset())
}

fn float_histograms(times: &[Timestamp], histograms: &[(u32, Arc<Histogram>)]) -> Vec<u8> {
    let Some((_, first)) = histograms.first() else { return Vec::new() };
    let [high, low] = head(histograms.len());
    let hint = match first.reset_hint {
        ResetHint::Gauge => 0b1100_0000,
        ResetHint::Reset => 0b1000_0000,
        // What is before it in another chunk, who reads it has to compare.
        ResetHint::Unknown | ResetHint::NotReset => 0,
    };
    let mut bits = Bits::new(&[high, low, hint]);
    layout(&mut bits, first);
    let numbers = |one: &Histogram| {
        let head = [one.count, one.zero_count, one.sum];
        head.into_iter().chain(one.positive.counts.clone()).chain(one.negative.counts.clone()).collect::<Vec<f64>>()
    };
    let mut last: Vec<Xor> = Vec::new();
    let (mut last_ts, mut last_delta) = (0i64, 0i64);
    for (ts, (_, histogram)) in times.iter().zip(histograms) {
        let numbers = numbers(histogram);
        if last.is_empty() {
            bits.varbit_int(ts.0);
            numbers.iter().for_each(|number| bits.float(*number));
            last = numbers.into_iter().map(Xor::new).collect();
            last_ts = ts.0;
            continue;
        }
        let delta = ts.0.wrapping_sub(last_ts);
        bits.varbit_int(delta.wrapping_sub(last_delta));
        numbers.iter().zip(&mut last).for_each(|(number, last)| bits.xor(last, *number));
        (last_ts, last_delta) = (ts.0, delta);
    }
    bits.bytes
}

fn layout(bits: &mut Bits, histogram: &Histogram) {
    zero_threshold(bits, histogram.zero_threshold);
    bits.varbit_int(i64::from(histogram.schema));
    for spans in [&histogram.positive.spans, &histogram.negative.spans] {
        bits.varbit_uint(spans.len() as u64);
        for Span { offset, length } in spans {
            bits.varbit_uint(u64::from(*length));
            bits.varbit_int(i64::from(*offset));
        }
    }
    if histogram.is_custom() {
        bits.varbit_uint(histogram.custom_values.len() as u64);
        histogram.custom_values.iter().for_each(|bound| custom_bound(bits, *bound));
    }
}

/// One byte for zero and for powers of two from 2^-243 to 2^10, nine for others.
fn zero_threshold(bits: &mut Bits, threshold: f64) {
    if threshold == 0.0 {
        return bits.write(0, 8);
    }
    let (exponent, mantissa) = ((threshold.to_bits() >> 52) & 0x7ff, threshold.to_bits() & ((1 << 52) - 1));
    // The exponent of a float whose fraction is taken from 0.5 on, as Go has it.
    let exponent = i64::try_from(exponent).unwrap_or_default() - 1022;
    if threshold > 0.0 && mantissa == 0 && (-242..=11).contains(&exponent) {
        return bits.write((exponent + 243).cast_unsigned(), 8);
    }
    bits.write(255, 8);
    bits.float(threshold);
}

/// Thousandths up to 33554.43 in a few bytes, others as they are behind a zero.
fn custom_bound(bits: &mut Bits, bound: f64) {
    let thousandths = bound * 1000.0;
    let rounded = thousandths.round();
    if !(0.0..=33_554_430.0).contains(&thousandths) || rounded / 1000.0 != bound {
        bits.write(0, 1);
        return bits.float(bound);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 2^25")]
    bits.varbit_uint(rounded as u64 + 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times<const N: usize>(times: [i64; N]) -> [Timestamp; N] {
        times.map(Timestamp)
    }

    fn histogram(count: f64, offset: i32, counts: &[f64]) -> (u32, Arc<Histogram>) {
        let positive = Buckets::run(offset, counts.to_vec());
        (0, Arc::new(Histogram { count, sum: 1.0, positive, ..Histogram::default() }))
    }

    fn kinds(histograms: &[(u32, Arc<Histogram>)]) -> Vec<(i64, i64)> {
        let times: Vec<Timestamp> = (0..histograms.len() as i64).map(Timestamp).collect();
        let mut chunks = Vec::new();
        encoded(SampleChunk { timestamps: &times, samples: ChunkSamples::Histograms(histograms) }, &mut chunks);
        chunks.iter().map(|chunk| (chunk.start.0, chunk.end.0)).collect()
    }

    #[test]
    fn floats_begin_as_they_are_and_go_on_as_differences() {
        let bytes = floats(&times([1, 2, 3]), &[1.0, 1.0, 1.0]);
        // Three samples, the time 1 (as 2), 1.0 in eight bytes, a difference of 1, and two bits for the rest.
        assert_eq!(bytes, [0, 3, 2, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn a_chunk_of_histograms_ends_where_they_differ() {
        let rising = [histogram(1.0, 0, &[1.0]), histogram(2.0, 0, &[2.0])];
        assert_eq!(kinds(&rising), [(0, 1)]);
        assert_eq!(kinds(&[rising[1].clone(), rising[0].clone()]), [(0, 0), (1, 1)], "a reset");
        assert_eq!(kinds(&[rising[0].clone(), histogram(2.0, 1, &[2.0])]), [(0, 0), (1, 1)], "other buckets");
        let gauges = [2.0, 1.0].map(|count| {
            let (_, one) = histogram(count, 0, &[count]);
            (0, Arc::new(Histogram { reset_hint: ResetHint::Gauge, ..(*one).clone() }))
        });
        assert_eq!(kinds(&gauges), [(0, 1)], "they may fall");
    }

    #[test]
    fn thresholds_and_bounds_are_short_where_they_can_be() {
        let bytes = |write: &dyn Fn(&mut Bits)| {
            let mut bits = Bits::default();
            write(&mut bits);
            bits.bytes
        };
        assert_eq!(bytes(&|bits| zero_threshold(bits, 2.0f64.powi(-128))), [116]);
        assert_eq!(bytes(&|bits| zero_threshold(bits, 0.0)), [0]);
        assert_eq!(bytes(&|bits| zero_threshold(bits, 0.001)).len(), 9);
        assert_eq!(bytes(&|bits| custom_bound(bits, 0.001)).len(), 1);
        for odd in [-1.0, 0.0001, 40_000.0, f64::MAX] {
            assert_eq!(bytes(&|bits| custom_bound(bits, odd)).len(), 9, "{odd}");
        }
    }
}
