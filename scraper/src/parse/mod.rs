//! Exposition bytes to entries that borrow them. Step 4 of the scrape path.
//!
//! Two depths: [`TextParser`] finds where a series ends and reads value and time; [`series_labels`] takes the series text
//! apart, which only a line that was not in the last scrape needs.

mod labels;
mod number;
mod text;

use std::borrow::Cow;

pub use labels::series_labels;
pub use text::{CheapLine, TextParser};

/// What `# TYPE` says of a metric family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// No or an unknown type; `untyped` in the text format.
    #[default]
    Unknown,
    /// Only ever rises, until it starts again from zero.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Classic histogram: `_bucket`, `_sum`, `_count`.
    Histogram,
    /// Quantiles, `_sum`, `_count`.
    Summary,
}

impl MetricKind {
    /// As `/api/v1/metadata` writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }
}

/// One thing an exposition says.
#[derive(Debug, PartialEq)]
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
    /// Any other line that starts with `#`.
    Comment(&'a [u8]),
    /// A sample.
    Series(Sample<'a>),
}

/// A sample as it was exposed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<'a> {
    /// Name and labels as written, without blanks after them; [`series_labels`] reads it.
    pub series: &'a [u8],
    /// The value; every NaN is the ordinary one.
    pub value: f64,
    /// The sample's own time, milliseconds since the epoch.
    pub ts_ms: Option<i64>,
}

/// Where and why an exposition is not one. The text shows at most a hundred bytes of the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}: {excerpt:?}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What was expected, or what is wrong.
    pub reason: String,
    /// The start of the line.
    pub excerpt: String,
}
