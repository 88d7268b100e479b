//! What chunks of all encodings have in common: the forms before and after, and their heads.

use model::{Histogram, Timestamp};

use crate::error::Broken;

/// Samples of a chunk, as upstream cuts them (`tsdb.DefaultSamplesPerChunk`).
pub const SAMPLES: usize = 120;

/// What a time and a float take, decoded.
pub(super) const SAMPLE_BYTES: usize = size_of::<Timestamp>() + size_of::<f64>();
/// What a histogram takes without its buckets, decoded.
pub(super) const HISTOGRAM_BYTES: usize = SAMPLE_BYTES + size_of::<(u32, Histogram)>();

/// Floats.
pub(crate) const XOR: u8 = 1;
/// Native histograms with whole counts.
pub(crate) const HISTOGRAM: u8 = 2;
/// Native histograms with float counts.
pub(crate) const FLOAT_HISTOGRAM: u8 = 3;
/// Floats, with start timestamps, and shorter where times are not even.
pub(crate) const XOR2: u8 = 4;
/// As [`HISTOGRAM`], with start timestamps.
pub(crate) const HISTOGRAM_ST: u8 = 5;
/// As [`FLOAT_HISTOGRAM`], with start timestamps.
pub(crate) const FLOAT_HISTOGRAM_ST: u8 = 6;

/// A chunk that was encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Of its first sample.
    pub start: Timestamp,
    /// Of its last sample.
    pub end: Timestamp,
    /// Which of upstream's encodings it has (`chunkenc.Encoding`).
    pub encoding: u8,
    /// The samples.
    pub data: Vec<u8>,
}

/// Samples of one series, decoded: `model::SeriesSamples` borrows from it.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// As they came: ascending in a chunk that is in order.
    pub timestamps: Vec<Timestamp>,
    /// The mark of histograms where there is one.
    pub values: Vec<f64>,
    /// Each with the index of its time.
    pub histograms: Vec<(u32, Histogram)>,
    /// Histograms that were left out, because they are not valid.
    pub invalid: u64,
}

impl Samples {
    /// Adds a float.
    pub fn float(&mut self, ts: i64, value: f64) {
        self.timestamps.push(Timestamp(ts));
        self.values.push(value);
    }

    /// Takes a histogram, if it makes sense.
    pub fn histogram(&mut self, ts: i64, histogram: Histogram) {
        if model::sample::is_stale(histogram.sum) {
            return self.float(ts, histogram.sum);
        }
        if histogram.validate().is_err() {
            self.invalid += 1;
            return;
        }
        self.histograms.push((self.timestamps.len() as u32, histogram));
        self.float(ts, model::sample::histogram_mark());
    }

    /// Brings them into the order of their times; of several at one time the first stays.
    pub fn sort(&mut self) {
        if self.timestamps.is_sorted_by(|a, b| a < b) {
            return;
        }
        let whole = std::mem::take(self);
        self.invalid = whole.invalid;
        let mut order: Vec<usize> = (0..whole.timestamps.len()).collect();
        // Stable: the first of one time comes first.
        order.sort_by_key(|i| whole.timestamps[*i]);
        order.dedup_by_key(|i| whole.timestamps[*i]);
        for i in order {
            let histogram = whole.histograms.binary_search_by_key(&i, |(at, _)| *at as usize);
            if let Ok(found) = histogram {
                self.histograms.push((self.timestamps.len() as u32, whole.histograms[found].1.clone()));
            }
            self.float(whole.timestamps[i].0, whole.values[i]);
        }
    }

    /// Leaves the samples of some times.
    pub fn retain(&mut self, keep: impl Fn(Timestamp) -> bool) {
        if self.timestamps.iter().all(|ts| keep(*ts)) {
            return;
        }
        let whole = std::mem::take(self);
        self.invalid = whole.invalid;
        let mut histograms = whole.histograms.into_iter().peekable();
        for (i, (ts, value)) in (0u32..).zip(whole.timestamps.into_iter().zip(whole.values)) {
            let histogram = histograms.next_if(|(at, _)| *at == i);
            if !keep(ts) {
                continue;
            }
            if let Some((_, histogram)) = histogram {
                self.histograms.push((self.timestamps.len() as u32, histogram));
            }
            self.float(ts.0, value);
        }
    }

    pub(super) fn truncate(&mut self, n: usize) {
        self.timestamps.truncate(n);
        self.values.truncate(n);
        let histograms = self.histograms.partition_point(|(i, _)| (*i as usize) < n);
        self.histograms.truncate(histograms);
    }
}

/// Its number of samples, and what is behind that.
pub(super) fn head(data: &[u8]) -> Result<(u16, &[u8]), Broken> {
    let (count, rest) = data.split_first_chunk::<2>().ok_or("a chunk is empty")?;
    Ok((u16::from_be_bytes(*count), rest))
}

/// Its first byte, and what is behind that.
pub(super) fn byte(data: &[u8]) -> Result<(u8, &[u8]), Broken> {
    data.split_first().map(|(byte, rest)| (*byte, rest)).ok_or("a chunk ends in its head")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_brought_into_order_with_their_histograms() {
        let mut samples = Samples::default();
        samples.float(30, 3.0);
        samples.histogram(10, Histogram { sum: 1.0, ..Histogram::default() });
        samples.float(30, 4.0);
        samples.histogram(20, Histogram { sum: 2.0, ..Histogram::default() });
        samples.histogram(10, Histogram { sum: 5.0, ..Histogram::default() });
        samples.sort();
        assert_eq!(samples.timestamps, [10, 20, 30].map(Timestamp));
        let sums: Vec<(u32, f64)> = samples.histograms.iter().map(|(i, one)| (*i, one.sum)).collect();
        assert_eq!((sums, samples.values[2]), (vec![(0, 1.0), (1, 2.0)], 3.0));
        samples.retain(|ts| ts != Timestamp(10));
        assert_eq!((samples.histograms[0].0, samples.timestamps.len()), (0, 2));
    }
}
