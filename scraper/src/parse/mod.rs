//! Exposition bytes to entries that borrow them. Step 4 of the scrape path.
//!
//! Three depths. [`Parser::recognise`] compares what comes next with an entry of the last scrape: a hash, then the value.
//! [`Parser::next_entry`] reads whatever comes next. [`Series::labels`] takes the series apart, which only one that was not
//! in the last scrape needs.

mod labels;
mod lines;
mod number;
mod openmetrics;
mod protobuf;
mod series;
mod text;

use std::borrow::Cow;

use model::Histogram;
use openmetrics::OpenMetricsParser;
pub use protobuf::Part;
use protobuf::ProtobufParser;
pub use series::{Exemplar, LabelPairs, Series};
use text::TextParser;

/// In which form a target says what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format, 0.0.4 and 1.0.0.
    Text,
    /// OpenMetrics text, 0.0.1 and 1.0.0.
    OpenMetrics,
    /// Delimited `io.prometheus.client.MetricFamily` messages.
    Protobuf,
}

/// Which form of a histogram is wanted of a target that exposes it as a native one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histograms {
    /// The native one; otherwise what there is of a classic one.
    pub native: bool,
    /// The classic one beside the native one.
    pub classic: bool,
}

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
    /// A histogram whose buckets go up and down.
    GaugeHistogram,
    /// Quantiles, `_sum`, `_count`.
    Summary,
    /// Labels about the target; the value is 1.
    Info,
    /// One series per state, 0 or 1.
    StateSet,
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
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }
}

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
    /// When the counting began, milliseconds since the epoch; protobuf alone says it here.
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
pub struct Mark {
    /// A hash of the series, or of the whole comment.
    pub key: u64,
    /// How many bytes that is; 0 in protobuf.
    len: u32,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Series,
    Comment,
    /// A comment that says of what type the next series are.
    Type(MetricKind),
}

impl Mark {
    /// Is it one of a series? Otherwise of a comment.
    #[must_use]
    pub fn is_series(&self) -> bool {
        self.what == What::Series
    }
}

/// What was recognised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Recognised<'a> {
    /// The comment that the mark was taken of.
    Comment,
    /// The series that the mark was taken of has this sample now.
    Series(Point<'a>),
}

/// Where and why an exposition is not one. The text shows at most a hundred bytes of the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}: {excerpt:?}")]
pub struct ParseError {
    /// `line 3`, from 1; or `byte 17`, from 0.
    pub place: String,
    /// What was expected, or what is wrong.
    pub reason: String,
    /// The start of the line; in protobuf the name of the metric family.
    pub excerpt: String,
}

/// Reads an exposition entry by entry.
#[derive(Debug)]
pub struct Parser<'a>(Inner<'a>);

#[derive(Debug)]
enum Inner<'a> {
    Text(TextParser<'a>),
    OpenMetrics(OpenMetricsParser<'a>),
    Protobuf(Box<ProtobufParser<'a>>),
}

impl<'a> Parser<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(format: Format, body: &'a [u8]) -> Self {
        Self::of(format, body, Histograms::default())
    }

    /// Starts at the first byte.
    #[must_use]
    pub fn of(format: Format, body: &'a [u8], histograms: Histograms) -> Self {
        Self(match format {
            Format::Text => Inner::Text(TextParser::new(body)),
            Format::OpenMetrics => Inner::OpenMetrics(OpenMetricsParser::new(body)),
            Format::Protobuf => Inner::Protobuf(Box::new(ProtobufParser::new(body, histograms))),
        })
    }

    /// Moves past the next entry if it is the one that the mark was taken of and nothing is wrong with it; `None` does not
    /// move, and [`Parser::next_entry`] says what is there.
    #[inline]
    pub fn recognise(&mut self, mark: &Mark) -> Option<Recognised<'a>> {
        match &mut self.0 {
            Inner::Text(parser) => parser.recognise(mark),
            Inner::OpenMetrics(parser) => parser.recognise(mark),
            Inner::Protobuf(parser) => parser.recognise(mark),
        }
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// When the bytes are not an exposition; there is nothing to read after that.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        match &mut self.0 {
            Inner::Text(parser) => parser.next_entry(),
            Inner::OpenMetrics(parser) => parser.next_entry(),
            Inner::Protobuf(parser) => parser.next_entry(),
        }
    }

    /// The mark of the entry that [`Parser::next_entry`] returned last.
    #[must_use]
    pub fn mark(&self) -> Mark {
        match &self.0 {
            Inner::Text(parser) => parser.lines.mark(),
            Inner::OpenMetrics(parser) => parser.lines.mark(),
            Inner::Protobuf(parser) => parser.mark(),
        }
    }

    /// The native histogram whose marker was the value of the last entry.
    ///
    /// # Errors
    /// When it is none; there is nothing to read after that.
    pub fn histogram(&self) -> Result<Histogram, ParseError> {
        match &self.0 {
            Inner::Protobuf(parser) => parser.histogram(),
            Inner::Text(_) | Inner::OpenMetrics(_) => Ok(Histogram::default()),
        }
    }

    /// Where the entry stands that [`Parser::next_entry`] returned last, and how it begins: `line 3 ("up 1")`.
    #[must_use]
    pub fn place(&self) -> String {
        let (place, excerpt) = match &self.0 {
            Inner::Text(parser) => parser.lines.place(),
            Inner::OpenMetrics(parser) => parser.lines.place(),
            Inner::Protobuf(parser) => parser.place(),
        };
        format!("{place} ({excerpt:?})")
    }

    /// How many native histograms were met whose buckets were left out, not being asked for.
    #[must_use]
    pub fn native_histograms(&self) -> usize {
        match &self.0 {
            Inner::Text(_) | Inner::OpenMetrics(_) => 0,
            Inner::Protobuf(parser) => parser.native_histograms(),
        }
    }
}
