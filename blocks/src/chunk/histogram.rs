//! Native histograms, decoded (upstream: `histogramIterator` of `tsdb/chunkenc/histogram.go`, `floatHistogramIterator` of
//! `float_histogram.go`, `histogram_meta.go`, `histogram_st.go`).
//!
//! Layout: the number of samples and whether they are gauges (two bits: in the third byte, or, with start timestamps, before the
//! number), which buckets there are, once, and the samples: time, count, zero count, sum, buckets. Whole counts stand as differences
//! of differences, those of buckets also to the bucket before; floats as what changed in them.

use model::histogram::{Buckets, Span};
use model::{Histogram, ResetHint};

use super::parts::{FLOAT_HISTOGRAM, FLOAT_HISTOGRAM_ST, HISTOGRAM_ST, Samples, byte, head};
use super::start_times::StartTimes;
use crate::bits::{BitReader, XorReader};
use crate::error::Broken;

/// More buckets than this on one side of a histogram do not fit into a chunk.
const BUCKETS_MAX: u64 = 1 << 24;
/// Spans without buckets that a histogram may have in any case.
pub(super) const EMPTY_SPANS_MAX: usize = 16;
const GAUGE: u8 = 0b1100_0000;

/// What all histograms of a chunk have in common.
struct Layout {
    schema: i32,
    zero_threshold: f64,
    positive: Vec<Span>,
    negative: Vec<Span>,
    custom_values: std::sync::Arc<[f64]>,
    is_gauge: bool,
}

/// Numbers of one histogram after another: count, zero count, the positive buckets and the negative ones; the sum stands by itself.
enum Numbers {
    /// Each with how much it rose.
    Whole(Vec<(i64, i64)>),
    Floats(Vec<XorReader>),
}

pub(super) fn decode(encoding: u8, data: &[u8], samples: &mut Samples) -> Result<(), Broken> {
    let (head, data) = head(data)?;
    let (flags, data) = byte(data)?;
    let has_starts = matches!(encoding, HISTOGRAM_ST | FLOAT_HISTOGRAM_ST);
    let (count, kind, starts) = if has_starts { (head & 0x3fff, (head >> 8) as u8, flags) } else { (head, flags, 0) };
    if count == 0 {
        return Ok(());
    }
    let starts = StartTimes::new(starts);
    let mut bits = BitReader::new(data);
    let layout = Layout::read(&mut bits, kind & GAUGE == GAUGE)?;
    let buckets = covered(&layout.positive)?.saturating_add(covered(&layout.negative)?);
    // A number takes a bit at least.
    if buckets > data.len() * 8 {
        return Err("a histogram has more buckets than fit into its chunk");
    }
    // Each histogram has a copy of the spans, of which empty ones take hardly a bit.
    if layout.positive.len() + layout.negative.len() > 2 * buckets + EMPTY_SPANS_MAX {
        return Err("a histogram has more spans than its buckets need");
    }
    let are_floats = matches!(encoding, FLOAT_HISTOGRAM | FLOAT_HISTOGRAM_ST);
    let mut numbers = if are_floats {
        Numbers::Floats(vec![XorReader::default(); buckets + 2])
    } else {
        Numbers::Whole(vec![(0, 0); buckets + 2])
    };
    let (mut ts, mut delta, mut sum) = (0i64, 0i64, XorReader::default());
    for i in 0..count {
        if i == 0 {
            ts = bits.varbit_int()?;
            sum = numbers.first(&mut bits)?;
        } else {
            delta = delta.wrapping_add(bits.varbit_int()?);
            ts = ts.wrapping_add(delta);
            numbers.next(&mut bits, &mut sum)?;
        }
        samples.histogram(ts, layout.histogram(&numbers, f64::from_bits(sum.bits), i));
        starts.skip(&mut bits, i)?;
    }
    Ok(())
}

impl Numbers {
    /// Reads all of the first histogram, and its sum.
    fn first(&mut self, bits: &mut BitReader<'_>) -> Result<XorReader, Broken> {
        match self {
            Self::Whole(numbers) => {
                let (ahead, buckets) = numbers.split_at_mut(2);
                for (number, _) in ahead {
                    *number = bits.varbit_uint()?.cast_signed();
                }
                let sum = XorReader::new(bits.float()?);
                for (number, _) in buckets {
                    *number = bits.varbit_int()?;
                }
                Ok(sum)
            }
            Self::Floats(numbers) => {
                let (ahead, buckets) = numbers.split_at_mut(2);
                for number in ahead {
                    *number = XorReader::new(bits.float()?);
                }
                let sum = XorReader::new(bits.float()?);
                for number in buckets {
                    *number = XorReader::new(bits.float()?);
                }
                Ok(sum)
            }
        }
    }

    /// Reads all of a later one. Of whole counts a stale marker has no buckets; floats have them.
    fn next(&mut self, bits: &mut BitReader<'_>, sum: &mut XorReader) -> Result<(), Broken> {
        match self {
            Self::Whole(numbers) => {
                let (ahead, buckets) = numbers.split_at_mut(2);
                ahead.iter_mut().try_for_each(|number| risen(bits, number))?;
                if model::sample::is_stale(bits.xor(sum)?) {
                    return Ok(());
                }
                buckets.iter_mut().try_for_each(|number| risen(bits, number))
            }
            Self::Floats(numbers) => {
                let (ahead, buckets) = numbers.split_at_mut(2);
                ahead.iter_mut().try_for_each(|number| bits.xor(number).map(drop))?;
                if model::sample::is_stale(bits.xor(sum)?) {
                    return Ok(());
                }
                buckets.iter_mut().try_for_each(|number| bits.xor(number).map(drop))
            }
        }
    }
}

/// A whole number that rose by as much as before, and some more or less.
#[inline]
fn risen(bits: &mut BitReader<'_>, (number, delta): &mut (i64, i64)) -> Result<(), Broken> {
    *delta = delta.wrapping_add(bits.varbit_int()?);
    *number = number.wrapping_add(*delta);
    Ok(())
}

impl Layout {
    fn read(bits: &mut BitReader<'_>, is_gauge: bool) -> Result<Self, Broken> {
        let zero_threshold = zero_threshold(bits)?;
        let schema = i32::try_from(bits.varbit_int()?).map_err(|_| "the schema of a histogram is out of range")?;
        let (positive, negative) = (spans(bits)?, spans(bits)?);
        let custom_values = if schema == Histogram::CUSTOM { bounds(bits)? } else { Vec::new() };
        Ok(Self { schema, zero_threshold, positive, negative, custom_values: custom_values.into(), is_gauge })
    }

    fn histogram(&self, numbers: &Numbers, sum: f64, i: u16) -> Histogram {
        let n_positive = self.positive.iter().map(|span| span.length as usize).sum::<usize>();
        let (ahead, positive, negative): ([f64; 2], Vec<f64>, Vec<f64>) = match numbers {
            Numbers::Whole(numbers) => {
                let (positive, negative) = numbers[2..].split_at(n_positive);
                ([numbers[0].0, numbers[1].0].map(whole), absolute(positive), absolute(negative))
            }
            Numbers::Floats(numbers) => {
                let float = |number: &XorReader| f64::from_bits(number.bits);
                let (positive, negative) = numbers[2..].split_at(n_positive);
                let floats = |side: &[XorReader]| side.iter().map(float).collect();
                ([float(&numbers[0]), float(&numbers[1])], floats(positive), floats(negative))
            }
        };
        let [count, zero_count] = ahead;
        let reset_hint = match (self.is_gauge, i) {
            (true, _) => ResetHint::Gauge,
            // The chunk before it need not be there any more.
            (false, 0) => ResetHint::Unknown,
            (false, _) => ResetHint::NotReset,
        };
        Histogram {
            reset_hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count,
            count,
            sum,
            positive: Buckets { spans: self.positive.clone(), counts: positive },
            negative: Buckets { spans: self.negative.clone(), counts: negative },
            custom_values: std::sync::Arc::clone(&self.custom_values),
        }
    }
}

/// A count as Go has it.
#[expect(clippy::cast_precision_loss, reason = "counts are stored as floats, as upstream queries them")]
fn whole(count: i64) -> f64 {
    count.cast_unsigned() as f64
}

/// Buckets that stand as differences to the one before.
fn absolute(numbers: &[(i64, i64)]) -> Vec<f64> {
    let sums = numbers.iter().scan(0i64, |sum, (number, _)| {
        *sum = sum.wrapping_add(*number);
        Some(*sum)
    });
    #[expect(clippy::cast_precision_loss, reason = "counts are stored as floats, as upstream queries them")]
    sums.map(|count| count as f64).collect()
}

fn spans(bits: &mut BitReader<'_>) -> Result<Vec<Span>, Broken> {
    let mut spans = Vec::new();
    for _ in 0..bits.varbit_uint()? {
        let length = u32::try_from(bits.varbit_uint()?).map_err(|_| "the length of a span is out of range")?;
        let offset = i32::try_from(bits.varbit_int()?).map_err(|_| "the offset of a span is out of range")?;
        spans.push(Span { offset, length });
    }
    Ok(spans)
}

/// How many buckets spans cover.
fn covered(spans: &[Span]) -> Result<usize, Broken> {
    let buckets: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    if buckets > BUCKETS_MAX {
        Err("a histogram has more buckets than fit into its chunk")
    } else {
        Ok(buckets as usize)
    }
}

fn bounds(bits: &mut BitReader<'_>) -> Result<Vec<f64>, Broken> {
    let mut bounds = Vec::new();
    for _ in 0..bits.varbit_uint()? {
        bounds.push(match bits.varbit_uint()? {
            0 => bits.float()?,
            #[expect(clippy::cast_precision_loss, reason = "as upstream reads it")]
            thousandths => (thousandths - 1) as f64 / 1000.0,
        });
    }
    Ok(bounds)
}

fn zero_threshold(bits: &mut BitReader<'_>) -> Result<f64, Broken> {
    Ok(match bits.byte()? {
        0 => 0.0,
        255 => bits.float()?,
        exponent => 0.5 * f64::powi(2.0, i32::from(exponent) - 243),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::Timestamp;
    use model::querier::chunks::{ChunkSamples, SampleChunk};

    use super::super::parts::HISTOGRAM;
    use super::super::{Chunk, decode, encoded};
    use super::*;
    use crate::bits::Bits;

    fn decoded(encoding: u8, data: &[u8]) -> Samples {
        let mut samples = Samples::default();
        decode(encoding, data, &mut samples).unwrap();
        samples
    }

    fn round(histograms: Vec<Histogram>) {
        let slots: Vec<(u32, Arc<Histogram>)> = (0..).zip(histograms.iter().cloned().map(Arc::new)).collect();
        let times: Vec<Timestamp> = (0..histograms.len() as i64).map(|i| Timestamp(i * i * 1000 - 7)).collect();
        let mut chunks: Vec<Chunk> = Vec::new();
        encoded(SampleChunk { timestamps: &times, samples: ChunkSamples::Histograms(&slots) }, &mut chunks);
        let mut samples = Samples::default();
        for chunk in &chunks {
            decode(chunk.encoding, &chunk.data, &mut samples).unwrap();
        }
        assert_eq!(samples.timestamps, times);
        let back: Vec<Histogram> = samples.histograms.into_iter().map(|(_, histogram)| histogram).collect();
        assert_eq!((back, samples.invalid), (histograms, 0));
    }

    #[test]
    fn histograms_come_back_as_they_were_encoded() {
        let of = |counts: &[f64]| Histogram {
            schema: 3,
            zero_threshold: 0.001,
            zero_count: 1.5,
            count: counts.iter().sum::<f64>() * 2.0 + 1.5,
            sum: -3.25,
            positive: Buckets {
                spans: vec![Span { offset: -2, length: 1 }, Span { offset: 4, length: 2 }],
                counts: counts.to_vec(),
            },
            negative: Buckets::run(7, counts.to_vec()),
            ..Histogram::default()
        };
        round(vec![of(&[1.0, 2.0, 3.0]), of(&[1.0, 2.0, 4.5]), of(&[2.0, 2.0, 4.5]), of(&[0.0, 1.0, 0.25])]);
        let custom = Histogram {
            schema: Histogram::CUSTOM,
            count: 3.0,
            positive: Buckets::run(0, vec![1.0, 2.0]),
            custom_values: [0.005, 0.1, 2e9].into(),
            ..Histogram::default()
        };
        round(vec![custom.clone(), custom]);
    }

    #[test]
    fn whole_counts_are_differences_of_differences() {
        // Two buckets; 3 in the first and 4 in the second, then 4 and 6, then 6 and 9 and a stale marker.
        let mut bits = Bits::new(&[0, 4, 0]);
        bits.write(0, 8);
        for number in [2i64, 1] {
            if number == 2 { bits.varbit_int(number) } else { bits.varbit_uint(number.cast_unsigned()) }
        }
        bits.varbit_uint(2);
        bits.varbit_int(0);
        bits.varbit_uint(0);
        bits.varbit_int(1000);
        bits.varbit_uint(7);
        bits.varbit_uint(0);
        bits.float(1.0);
        bits.varbit_int(3);
        bits.varbit_int(1);
        let mut sum = crate::bits::Xor::new(1.0);
        for (time, count, buckets) in [(50, 3, [1, 1]), (0, 2, [1, 0])] {
            bits.varbit_int(time);
            bits.varbit_int(count);
            bits.varbit_int(0);
            bits.xor(&mut sum, 1.0);
            buckets.into_iter().for_each(|bucket| bits.varbit_int(bucket));
        }
        (0..3).for_each(|_| bits.varbit_int(0));
        bits.xor(&mut sum, model::sample::stale_nan());
        let samples = decoded(HISTOGRAM, &bits.bytes);
        assert_eq!(samples.timestamps, [1000, 1050, 1100, 1150].map(Timestamp));
        let counts: Vec<_> =
            samples.histograms.iter().map(|(_, one)| (one.count, one.positive.counts.clone())).collect();
        assert_eq!(counts, [(7.0, vec![3.0, 4.0]), (10.0, vec![4.0, 6.0]), (15.0, vec![6.0, 9.0])]);
        assert!(model::sample::is_stale(samples.values[3]));
        let hints: Vec<ResetHint> = samples.histograms.iter().map(|(_, one)| one.reset_hint).collect();
        assert_eq!(hints, [ResetHint::Unknown, ResetHint::NotReset, ResetHint::NotReset]);
    }

    #[test]
    fn buckets_that_do_not_fit_are_refused_before_memory_is_taken() {
        let mut bits = Bits::new(&[0, 1, 0]);
        bits.write(0, 8);
        bits.varbit_int(2);
        bits.varbit_uint(1);
        bits.varbit_uint(u64::from(u32::MAX));
        bits.varbit_int(0);
        bits.varbit_uint(0);
        assert!(decode(HISTOGRAM, &bits.bytes, &mut Samples::default()).is_err());
    }
}
