//! The series of an answer, as they are handed out: in label order, decoded part by part.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use blocks::chunk::{self, Samples};
use model::{Batch, BatchSink, Column, PartReader, Parts, QuerierError, ResetHint, Timestamp};

use super::error::ReadError;
use super::gathered::{Piece, Series};

/// A part has as many series as take this much, decoded, and one at least.
const PART_BYTES: usize = 1 << 20;
/// A series without its samples.
const SERIES_BYTES: usize = 256;

/// An opened selection.
#[derive(Debug)]
pub(super) struct Found {
    /// Of the remote, for errors.
    name: String,
    /// Nothing else was asked for.
    times: (Timestamp, Timestamp),
    series: Vec<Series>,
    parts: Vec<Range<usize>>,
    /// What the largest part takes, decoded.
    largest: usize,
    /// Histograms that were left out.
    invalid: AtomicU64,
}

impl Found {
    pub(super) fn new(name: &str, times: (Timestamp, Timestamp), series: Vec<Series>) -> Self {
        let (mut parts, mut largest) = (Vec::new(), 0);
        let (mut from, mut bytes) = (0, 0);
        for (i, one) in series.iter().enumerate() {
            bytes += SERIES_BYTES + one.pieces.iter().map(decoded_bytes).sum::<usize>();
            largest = largest.max(bytes);
            if bytes >= PART_BYTES || i + 1 == series.len() {
                parts.push(from..i + 1);
                (from, bytes) = (i + 1, 0);
            }
        }
        Self { name: name.to_owned(), times, series, parts, largest, invalid: AtomicU64::new(0) }
    }

    /// A series; `None` if it has no sample in the time asked.
    fn decoded(&self, series: &Series) -> Result<Option<Batch>, ReadError> {
        let mut samples = Samples::default();
        for piece in &series.pieces {
            match piece {
                Piece::Chunk { encoding, data } => chunk::decode(*encoding, data, &mut samples).map_err(|why| {
                    ReadError { name: self.name.clone(), why: format!("a chunk of {} is broken: {why}", series.labels) }
                })?,
                Piece::Samples(more) => append(&mut samples, more),
            }
        }
        samples.sort();
        let (start, end) = self.times;
        samples.retain(|ts| (start..=end).contains(&ts));
        self.invalid.fetch_add(samples.invalid, Ordering::Relaxed);
        if samples.timestamps.is_empty() {
            return Ok(None);
        }
        let histograms = samples.histograms.into_iter().map(|(slot, mut histogram)| {
            // The sample before it may come from another store.
            if histogram.reset_hint == ResetHint::NotReset {
                histogram.reset_hint = ResetHint::Unknown;
            }
            (slot, Arc::new(histogram))
        });
        let column = Column {
            metric: series.labels.clone(),
            histograms: histograms.collect(),
            values: samples.values,
            ..Column::default()
        };
        Ok(Some(Batch { timestamps: samples.timestamps, columns: vec![column], ..Batch::default() }))
    }
}

fn append(samples: &mut Samples, more: &Samples) {
    let before = samples.timestamps.len() as u32;
    samples.timestamps.extend_from_slice(&more.timestamps);
    samples.values.extend_from_slice(&more.values);
    samples.histograms.extend(more.histograms.iter().map(|(slot, one)| (before + slot, one.clone())));
    samples.invalid += more.invalid;
}

fn decoded_bytes(piece: &Piece) -> usize {
    match piece {
        Piece::Chunk { encoding, data } => chunk::decoded_bytes(*encoding, data),
        Piece::Samples(samples) => {
            let of_histogram = |(_, one): &(u32, model::Histogram)| {
                let buckets = one.positive.counts.len() + one.negative.counts.len();
                let spans = one.positive.spans.len() + one.negative.spans.len();
                size_of::<model::Histogram>() + 8 * (buckets + spans)
            };
            16 * samples.timestamps.len() + samples.histograms.iter().map(of_histogram).sum::<usize>()
        }
    }
}

impl Parts for Found {
    fn count(&self) -> usize {
        self.parts.len()
    }

    fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
        Ok(Box::new(FoundReader(self)))
    }

    fn reader_bytes(&self) -> usize {
        self.largest
    }

    fn warnings(&self) -> Vec<String> {
        let invalid = self.invalid.load(Ordering::Relaxed);
        let told = || format!("remote_read {}: {invalid} histograms that are not valid were left out", self.name);
        (invalid > 0).then(told).into_iter().collect()
    }
}

struct FoundReader<'f>(&'f Found);

impl PartReader for FoundReader<'_> {
    fn read(&self, part: usize, sink: &mut BatchSink<'_>) -> Result<(), QuerierError> {
        for series in &self.0.series[self.0.parts[part].clone()] {
            if let Some(batch) = self.0.decoded(series).map_err(ReadError::told)? {
                sink(batch)?;
            }
        }
        Ok(())
    }
}
