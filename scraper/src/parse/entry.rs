//! The entries of an exposition, and the fingerprints by which they are recognised in the next scrape.

use std::borrow::Cow;

use model::histogram::{HistogramError, WholeCounts};
use model::{Histogram, Timestamp};

use super::kind::MetricKind;
use super::series::{Exemplar, Series};

/// One entry of an exposition.
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
    /// Its series.
    pub series: Series<'a>,
    /// Its value and times.
    pub point: Point<'a>,
}

/// A sample without its series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point<'a> {
    /// The value. In the text formats every NaN is the ordinary one. `model::sample::histogram_mark` stands for a native
    /// histogram, which [`Parser::histogram`] reads.
    pub value: f64,
    /// The sample's own time.
    pub ts: Option<Timestamp>,
    /// The start timestamp. In OpenMetrics 1 only with [`Wanted::start_times`](super::Wanted).
    pub start_time: Option<Timestamp>,
    /// One of the events that were counted.
    pub exemplar: Option<Exemplar<'a>>,
}

impl Point<'_> {
    pub(crate) fn new(value: f64, ts: Option<Timestamp>) -> Self {
        Self { value, ts, start_time: None, exemplar: None }
    }
}

/// Identifies an entry in the next scrape. Equal fingerprints mean that everything but value, times and exemplar is equal,
/// byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// A hash of the series, or of the whole comment.
    pub key: u64,
    /// The length of that text in bytes; 0 in protobuf.
    pub(super) len: u32,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Series,
    Comment,
    /// A comment that sets the type of the series behind it.
    Type(MetricKind),
    /// A comment that sets their unit.
    Unit,
}

impl Fingerprint {
    /// True for a series, false for a comment.
    #[must_use]
    pub fn is_series(&self) -> bool {
        self.what == What::Series
    }
}

/// An entry that was recognised.
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
    /// The counts as integers, if they were exposed as such.
    pub counts: Option<WholeCounts>,
}

impl Native {
    /// Upstream's checks for an integer or a float histogram.
    ///
    /// # Errors
    /// Which rule the histogram breaks.
    pub fn validate(&self) -> Result<(), HistogramError> {
        self.counts.map_or_else(|| self.histogram.validate(), |counts| self.histogram.validate_whole(counts))
    }
}
