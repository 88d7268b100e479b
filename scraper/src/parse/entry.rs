//! What an exposition says, entry by entry, and what an entry is recognised by.

use std::borrow::Cow;

use model::Histogram;
use model::histogram::{HistogramError, WholeCounts};

use super::kind::MetricKind;
use super::series::{Exemplar, Series};

/// One thing an exposition says.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<'a> {
    /// `# HELP metric text`
    Help {
        /// The metric family.
        metric: Cow<'a, str>,
        /// The text, unescaped.
        text: Cow<'a, str>,
    },
    /// `# TYPE metric type`
    Type {
        /// The metric family.
        metric: Cow<'a, str>,
        /// Its type.
        kind: MetricKind,
    },
    /// `# UNIT metric unit`
    Unit {
        /// The metric family.
        metric: Cow<'a, str>,
        /// The unit, which the name ends with; may be empty.
        unit: &'a str,
    },
    /// Any other line that starts with `#`.
    Comment(&'a [u8]),
    /// A sample.
    Series(Sample<'a>),
}

/// A sample as it was exposed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<'a> {
    /// Whose it is.
    pub series: Series<'a>,
    /// What it says.
    pub point: Point<'a>,
}

/// A sample without its series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point<'a> {
    /// The value. In the text formats every NaN is the ordinary one. `model::sample::histogram_mark` stands for a native
    /// histogram, which [`Parser::histogram`] reads.
    pub value: f64,
    /// The sample's own time, milliseconds since the epoch.
    pub ts_ms: Option<i64>,
    /// When the counting began, milliseconds since the epoch. In OpenMetrics it is there if it was asked for.
    pub start_ms: Option<i64>,
    /// One of the events that were counted.
    pub exemplar: Option<Exemplar<'a>>,
}

impl Point<'_> {
    pub(crate) fn new(value: f64, ts_ms: Option<i64>) -> Self {
        Self { value, ts_ms, start_ms: None, exemplar: None }
    }
}

/// What an entry is recognised by in the next scrape. Equal marks mean that everything but value, times and exemplar is
/// equal, byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// A hash of the series, or of the whole comment.
    pub key: u64,
    /// How many bytes that is; 0 in protobuf.
    pub(super) len: u32,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Series,
    Comment,
    /// A comment that says of what type the next series are.
    Type(MetricKind),
    /// A comment that says of what unit they are.
    Unit,
}

impl Fingerprint {
    /// Is it one of a series? Otherwise of a comment.
    #[must_use]
    pub fn is_series(&self) -> bool {
        self.what == What::Series
    }
}

/// What was recognised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Recognised<'a> {
    /// The comment that the fingerprint was taken of.
    Comment,
    /// The series that the fingerprint was taken of has this sample now.
    Series(Point<'a>),
}

/// A native histogram as it was exposed.
#[derive(Clone, Debug, Default)]
pub struct Native {
    /// With counts that are floats.
    pub histogram: Histogram,
    /// What the counts are where they were exposed as whole numbers.
    pub counts: Option<WholeCounts>,
}

impl Native {
    /// Checks what upstream checks of a histogram of this form.
    ///
    /// # Errors
    /// What makes no sense.
    pub fn validate(&self) -> Result<(), HistogramError> {
        self.counts.map_or_else(|| self.histogram.validate(), |counts| self.histogram.validate_whole(counts))
    }
}
