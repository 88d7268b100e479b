//! Results of queries, and series during evaluation.

use std::sync::Arc;

use model::labels::{METRIC_NAME, METRIC_TYPE, METRIC_UNIT};
use model::sample::STALE_NAN_BITS;
use model::{Histogram, Labels, Timestamp};

use crate::histogram::{self, Sparse};

/// The result of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number at a time.
    Scalar {
        /// The time of the query.
        ts: Timestamp,
        /// The number.
        value: f64,
    },
    /// A text at a time.
    String {
        /// The time of the query.
        ts: Timestamp,
        /// The text.
        value: String,
    },
    /// Series with one sample each, all at the time of the query.
    Vector(Vec<Sample>),
    /// Series with any number of samples, sorted by labels.
    Matrix(Vec<RangeSeries>),
}

/// A series with one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The labels of the series.
    pub labels: Labels,
    /// The time of the query.
    pub ts: Timestamp,
    /// The value; 0 where it is a histogram.
    pub value: f64,
    /// The histogram it is instead of a float.
    pub histogram: Option<Arc<Histogram>>,
}

/// A series with its samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RangeSeries {
    /// The labels of the series.
    pub labels: Labels,
    /// Time and value; times ascend.
    pub points: Vec<(Timestamp, f64)>,
    /// The samples that are histograms: their times ascend, and none of them is among those of `points`.
    pub histograms: Vec<(Timestamp, Arc<Histogram>)>,
}

/// Memory of a sample: its value, and its timestamp in a result.
pub(crate) const SAMPLE_BYTES: usize = 16;
/// Memory of a series besides its samples: the struct, entries in lists and maps, and short labels.
pub(crate) const SERIES_BYTES: usize = 384;
/// Length of labels that is included in that.
const LABELS_INCLUDED: usize = 128;
/// The longest label value, as upstream has it: its length has three bytes.
pub(crate) const LABEL_VALUE_MAX: usize = 1 << 24;
/// Label sets longer than this are not cached, and truncated in messages.
pub(crate) const LABELS_LONG: usize = 1 << 10;

/// Memory of a label text beyond [`SERIES_BYTES`].
pub(crate) fn text_bytes(len: usize) -> usize {
    len.saturating_sub(LABELS_INCLUDED)
}

/// Memory of labels beyond [`SERIES_BYTES`].
pub(crate) fn label_bytes(labels: &Labels) -> usize {
    text_bytes(labels.as_text().len())
}

impl Value {
    /// Approximate memory in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Scalar { .. } => SERIES_BYTES,
            Self::String { value, .. } => SERIES_BYTES + value.len(),
            Self::Vector(samples) => {
                let histogram = |sample: &Sample| sample.histogram.as_deref().map_or(0, histogram_bytes);
                samples.iter().map(|one| SERIES_BYTES + label_bytes(&one.labels) + histogram(one)).sum()
            }
            Self::Matrix(series) => series.iter().map(RangeSeries::bytes).sum(),
        }
    }
}

impl RangeSeries {
    /// Approximate memory in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let histograms: usize = self.histograms.iter().map(|(_, h)| histogram_bytes(h)).sum();
        SERIES_BYTES + label_bytes(&self.labels) + self.points.len() * SAMPLE_BYTES + histograms
    }
}

/// A series during evaluation, with a slot per step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    /// The name is removed at the end of the query (delayed name removal).
    pub(crate) drop_name: bool,
    /// [`ABSENT`] where there is no float.
    pub(crate) values: Vec<f64>,
    /// Histograms by step, where `values` is absent.
    pub(crate) histograms: Sparse,
}

/// Marks a slot without a sample. It is the stale marker's NaN, which no sample in a query has and no arithmetic yields.
pub(crate) const ABSENT: f64 = f64::from_bits(STALE_NAN_BITS);

#[inline]
pub(crate) fn is_absent(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

impl Series {
    /// A series of floats.
    pub(crate) fn of_floats(labels: Labels, drop_name: bool, values: Vec<f64>) -> Self {
        Self { labels, drop_name, values, histograms: Vec::new() }
    }

    /// Slots with a sample.
    pub(crate) fn present(&self) -> usize {
        self.values.iter().filter(|v| !is_absent(**v)).count() + self.histograms.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.histograms.is_empty() && self.values.iter().all(|v| is_absent(*v))
    }

    pub(crate) fn has_floats(&self) -> bool {
        self.values.iter().any(|v| !is_absent(*v))
    }

    /// Is there a sample at a step?
    #[inline]
    pub(crate) fn has(&self, step: usize) -> bool {
        !is_absent(self.values[step]) || histogram::at(&self.histograms, step).is_some()
    }

    /// The steps with a sample, in order.
    pub(crate) fn steps(&self) -> impl Iterator<Item = usize> {
        (0..self.values.len()).filter(|step| self.has(*step))
    }

    /// The sample at a step.
    #[inline]
    pub(crate) fn at(&self, step: usize) -> Option<SampleRef<'_>> {
        let value = self.values[step];
        if !is_absent(value) {
            return Some(SampleRef::Float(value));
        }
        histogram::at(&self.histograms, step).map(SampleRef::Histogram)
    }

    /// 1 where there is a histogram.
    pub(crate) fn histogram_as_one(&self, step: usize) -> f64 {
        histogram::at(&self.histograms, step).map_or(ABSENT, |_| 1.0)
    }

    /// Sets the sample of an empty step. Histograms mostly arrive in ascending order of steps.
    pub(crate) fn put(&mut self, step: usize, cell: SampleRef<'_>) {
        match cell {
            SampleRef::Float(value) => self.values[step] = value,
            SampleRef::Histogram(histogram) => self.put_histogram(step, Arc::clone(histogram)),
        }
    }

    pub(crate) fn put_histogram(&mut self, step: usize, histogram: Arc<Histogram>) {
        // Mostly the end of the list, as steps ascend.
        let place = self.histograms.partition_point(|(at, _)| (*at as usize) < step);
        self.histograms.insert(place, (step as u32, histogram));
    }

    /// Removes the samples of steps for which `keep` is false.
    pub(crate) fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let absent = self.values.iter_mut().enumerate().filter(|(step, _)| !keep(*step));
        absent.for_each(|(_, value)| *value = ABSENT);
        self.histograms.retain(|(step, _)| keep(*step as usize));
    }

    /// Approximate memory in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let histograms: usize = self.histograms.iter().map(|(_, h)| histogram_bytes(h)).sum();
        self.values.len() * SAMPLE_BYTES + histograms + SERIES_BYTES + label_bytes(&self.labels)
    }

    /// Samples it counts as towards the limit: one per slot, and for histograms as upstream counts them.
    pub(crate) fn weight(&self) -> usize {
        self.values.len() + self.histograms.iter().map(|(_, h)| weight(h)).sum::<usize>()
    }
}

/// Memory of a histogram in a list.
pub(crate) fn histogram_bytes(histogram: &Histogram) -> usize {
    let buckets = |b: &model::histogram::Buckets| (b.spans.capacity() + b.counts.capacity()) * 8;
    let bounds = histogram.custom_values.len() * 8;
    // 64: about what the `Arc`, the slot in a list and the allocator take.
    size_of::<Histogram>() + 64 + buckets(&histogram.positive) + buckets(&histogram.negative) + bounds
}

/// Samples that a histogram counts as, by its size.
pub(crate) fn weight(histogram: &Histogram) -> usize {
    let buckets = |b: &model::histogram::Buckets| b.spans.len() + b.counts.len();
    let words = buckets(&histogram.positive) + buckets(&histogram.negative) + histogram.custom_values.len();
    // As upstream's `HPoint.size`: the bytes of a Go histogram (168 without its slices) and of its timestamp, in samples
    // of 16 bytes.
    (words * 8 + 168 + 8) / 16
}

/// One sample during evaluation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SampleRef<'a> {
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}

/// Labels that describe raw samples, and do not hold for values computed from them.
pub(crate) const METADATA: [&str; 3] = [METRIC_NAME, METRIC_TYPE, METRIC_UNIT];

/// Is a label one of [`METADATA`]?
pub(crate) fn is_metadata(name: &str) -> bool {
    METADATA.contains(&name)
}

/// Removes the metric name, type and unit.
pub(crate) fn without_name(labels: &Labels) -> Labels {
    // Most computed series have lost their name already, and are not copied.
    if labels.iter().any(|(name, _)| is_metadata(name)) {
        labels.filtered(|name| !is_metadata(name))
    } else {
        labels.clone()
    }
}
