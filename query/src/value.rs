//! Results, and the form series have during evaluation.

use model::sample::STALE_NAN_BITS;
use model::{Labels, labels::METRIC_NAME};

/// What a query yields.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number at a time.
    Scalar {
        /// Milliseconds since the epoch.
        ts_ms: i64,
        /// The number.
        value: f64,
    },
    /// A text at a time.
    String {
        /// Milliseconds since the epoch.
        ts_ms: i64,
        /// The text.
        value: String,
    },
    /// Series with one sample each, all at the time of the query except for a plain selector with `timestamp`.
    Vector(Vec<Sample>),
    /// Series with any number of samples, sorted by labels.
    Matrix(Vec<RangeSeries>),
}

/// A series with one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The labels of the series.
    pub labels: Labels,
    /// Milliseconds since the epoch.
    pub ts_ms: i64,
    /// The value.
    pub value: f64,
}

/// A series with its samples.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeSeries {
    /// The labels of the series.
    pub labels: Labels,
    /// Milliseconds since the epoch and value; times ascend.
    pub points: Vec<(i64, f64)>,
}

/// A series during evaluation: a slot per step.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    /// The name is to be removed at the end of the query (delayed name removal).
    pub(crate) drop_name: bool,
    /// [`ABSENT`] where there is no sample.
    pub(crate) values: Vec<f64>,
}

/// Marks a slot without a sample. It is the stale marker's NaN: no sample that a query sees has it, and no arithmetic
/// yields it.
pub(crate) const ABSENT: f64 = f64::from_bits(STALE_NAN_BITS);

#[inline]
pub(crate) fn is_absent(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

impl Series {
    /// Slots with a sample.
    pub(crate) fn present(&self) -> usize {
        self.values.iter().filter(|v| !is_absent(**v)).count()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.iter().all(|v| is_absent(*v))
    }
}

/// Labels that say what the raw samples were, and so no longer hold for what was computed from them.
const METADATA: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

/// Without the metric name, and the type and unit that go with it.
pub(crate) fn without_name(labels: &Labels) -> Labels {
    if !labels.iter().any(|(name, _)| METADATA.contains(&name)) {
        return labels.clone();
    }
    Labels::from_sorted(labels.iter().filter(|(name, _)| !METADATA.contains(name)))
}
