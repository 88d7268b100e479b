//! What chunks of all encodings have in common: the forms before and after, and their heads.

use model::{Histogram, Timestamp};

use crate::error::Broken;

/// Samples of a chunk, as upstream cuts them (`tsdb.DefaultSamplesPerChunk`).
pub const SAMPLES: usize = 120;

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
pub(crate) struct Samples {
    pub(crate) timestamps: Vec<Timestamp>,
    /// The mark of histograms where there is one.
    pub(crate) values: Vec<f64>,
    /// Each with the index of its time.
    pub(crate) histograms: Vec<(u32, Histogram)>,
    /// Histograms that were left out, because they are not valid.
    pub(crate) invalid: u64,
}

impl Samples {
    pub(crate) fn float(&mut self, ts: i64, value: f64) {
        self.timestamps.push(Timestamp(ts));
        self.values.push(value);
    }

    /// Takes a histogram, if it makes sense.
    pub(crate) fn histogram(&mut self, ts: i64, histogram: Histogram) {
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

    /// Leaves the samples of some times.
    pub(crate) fn retain(&mut self, keep: impl Fn(Timestamp) -> bool) {
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
