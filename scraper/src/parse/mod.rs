//! Exposition bytes to entries that borrow them. Step 4 of the scrape path.
//!
//! Three depths. [`Parser::recognise`] compares what comes next with an entry of the last scrape: a hash, then the value.
//! [`Parser::next_entry`] reads whatever comes next. [`Series::labels`] takes the series apart, which only one that was not
//! in the last scrape needs.

mod convert;
mod entry;
mod family;
mod labels;
mod lines;
mod number;
mod openmetrics;
mod openmetrics2;
mod protobuf;
mod series;
mod text;

use convert::Converter;
pub use entry::{Entry, Mark, MetricKind, Point, Recognised, Sample};
use model::Histogram;
use openmetrics::OpenMetricsParser;
pub use openmetrics2::Member;
use openmetrics2::OpenMetrics2Parser;
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
    /// OpenMetrics text, 2.0.0.
    OpenMetrics2,
    /// Delimited `io.prometheus.client.MetricFamily` messages.
    Protobuf,
}

/// What is wanted of a target, and in which form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The native one of those that have it; otherwise what there is of a classic one.
    pub native: bool,
    /// The classic one beside the native one.
    pub classic: bool,
    /// A native one with custom buckets in place of the classic one, where there is no other native one.
    pub convert: bool,
    /// The labels `__type__` and `__unit__`, out of what the page says of the family.
    pub types: bool,
    /// Since when samples count ([`Point::start_ms`]): in OpenMetrics out of `_created` series, which are no series then.
    pub start_times: bool,
    /// Is OpenMetrics 2.0 read?
    pub openmetrics2: bool,
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
pub struct Parser<'a> {
    inner: Inner<'a>,
    /// The labels that were asked for last.
    pairs: LabelPairs<'a>,
}

#[derive(Debug)]
enum Inner<'a> {
    Text(TextParser<'a>),
    OpenMetrics(OpenMetricsParser<'a>),
    OpenMetrics2(Box<OpenMetrics2Parser<'a>>),
    Protobuf(Box<ProtobufParser<'a>>),
    Converted(Box<Converter<'a>>),
}

impl<'a> Parser<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(format: Format, body: &'a [u8]) -> Self {
        Self::of(format, body, Wanted::default())
    }

    /// Starts at the first byte.
    #[must_use]
    pub fn of(format: Format, body: &'a [u8], wanted: Wanted) -> Self {
        let parser = |inner| Self { inner, pairs: LabelPairs::new() };
        let lines = parser(match format {
            Format::Text => Inner::Text(TextParser::new(body, wanted)),
            Format::OpenMetrics => Inner::OpenMetrics(OpenMetricsParser::new(body, wanted)),
            Format::OpenMetrics2 => {
                return parser(Inner::OpenMetrics2(Box::new(OpenMetrics2Parser::new(body, wanted))));
            }
            Format::Protobuf => return parser(Inner::Protobuf(Box::new(ProtobufParser::new(body, wanted)))),
        });
        let start_times = wanted.start_times && format == Format::OpenMetrics;
        if !wanted.convert && !start_times {
            return lines;
        }
        parser(Inner::Converted(Box::new(Converter::new(lines, Wanted { start_times, ..wanted }))))
    }

    /// Moves past the next entry if it is the one that the mark was taken of and nothing is wrong with it; `None` does not
    /// move, and [`Parser::next_entry`] says what is there.
    #[inline]
    pub fn recognise(&mut self, mark: &Mark) -> Option<Recognised<'a>> {
        match &mut self.inner {
            Inner::Text(parser) => parser.recognise(mark),
            Inner::OpenMetrics(parser) => parser.recognise(mark),
            Inner::OpenMetrics2(parser) => parser.recognise(mark),
            Inner::Protobuf(parser) => parser.recognise(mark),
            Inner::Converted(parser) => parser.recognise(mark),
        }
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// When the bytes are not an exposition; there is nothing to read after that.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        match &mut self.inner {
            Inner::Text(parser) => parser.next_entry(),
            Inner::OpenMetrics(parser) => parser.next_entry(),
            Inner::OpenMetrics2(parser) => parser.next_entry(),
            Inner::Protobuf(parser) => parser.next_entry(),
            Inner::Converted(parser) => parser.next_entry(),
        }
    }

    /// [`Series::labels`] of the entry that [`Parser::next_entry`] returned last, whose series that is.
    ///
    /// # Errors
    /// Which label is not UTF-8 or has no name; in the text formats there is none.
    pub fn labels(&mut self, series: &Series<'a>) -> Result<&mut LabelPairs<'a>, String> {
        self.pairs.clear();
        let pieces = match &self.inner {
            Inner::Text(parser) => Some(&parser.lines.pieces),
            Inner::OpenMetrics(parser) => Some(&parser.lines.pieces),
            Inner::OpenMetrics2(parser) => Some(&parser.lines.pieces),
            Inner::Protobuf(_) | Inner::Converted(_) => None,
        };
        series.push_labels(pieces, &mut self.pairs)?;
        Ok(&mut self.pairs)
    }

    /// The mark of the entry that [`Parser::next_entry`] returned last.
    #[must_use]
    pub fn mark(&self) -> Mark {
        match &self.inner {
            Inner::Text(parser) => parser.lines.mark(),
            Inner::OpenMetrics(parser) => parser.lines.mark(),
            Inner::OpenMetrics2(parser) => parser.mark(),
            Inner::Protobuf(parser) => parser.mark(),
            Inner::Converted(parser) => parser.mark(),
        }
    }

    /// The native histogram whose marker was the value of the last entry; there once.
    ///
    /// # Errors
    /// When it is none; there is nothing to read after that.
    pub fn histogram(&mut self) -> Result<Histogram, ParseError> {
        match &mut self.inner {
            Inner::Protobuf(parser) => parser.histogram(),
            Inner::Converted(parser) => Ok(parser.histogram()),
            Inner::OpenMetrics2(parser) => Ok(parser.histogram()),
            Inner::Text(_) | Inner::OpenMetrics(_) => Ok(Histogram::default()),
        }
    }

    /// The exemplars of that histogram, in the order exposed.
    ///
    /// # Errors
    /// When the bytes are not an exposition; there is nothing to read after that.
    pub fn exemplars(&self) -> Result<Vec<Exemplar<'a>>, ParseError> {
        match &self.inner {
            Inner::Protobuf(parser) => parser.exemplars(),
            Inner::Converted(parser) => Ok(parser.exemplars().to_vec()),
            Inner::OpenMetrics2(parser) => Ok(parser.exemplars().to_vec()),
            Inner::Text(_) | Inner::OpenMetrics(_) => Ok(Vec::new()),
        }
    }

    /// The exemplars beyond the first of the sample that was read or recognised last; only OpenMetrics 2 has more than one.
    #[must_use]
    pub fn further_exemplars(&self) -> &[Exemplar<'a>] {
        match &self.inner {
            Inner::OpenMetrics2(parser) => parser.exemplars().get(1..).unwrap_or_default(),
            Inner::Text(_) | Inner::OpenMetrics(_) | Inner::Protobuf(_) | Inner::Converted(_) => &[],
        }
    }

    /// Where the entry stands that [`Parser::next_entry`] returned last, and how it begins: `line 3 ("up 1")`.
    #[must_use]
    pub fn place(&self) -> String {
        let (place, excerpt) = match &self.inner {
            Inner::Text(parser) => parser.lines.place(),
            Inner::OpenMetrics(parser) => parser.lines.place(),
            Inner::OpenMetrics2(parser) => parser.lines.place(),
            Inner::Protobuf(parser) => parser.place(),
            Inner::Converted(parser) => return parser.place(),
        };
        format!("{place} ({excerpt:?})")
    }

    /// Where the line stands that ends before that byte.
    #[cold]
    fn place_before(&self, end: usize) -> String {
        match &self.inner {
            Inner::Text(parser) => parser.lines.place_before(end),
            Inner::OpenMetrics(parser) => parser.lines.place_before(end),
            Inner::OpenMetrics2(_) | Inner::Protobuf(_) | Inner::Converted(_) => self.place(),
        }
    }

    /// What of OpenMetrics text is not read yet.
    fn rest(&self) -> &'a [u8] {
        if let Inner::OpenMetrics(parser) = &self.inner { parser.lines.tail(parser.lines.pos) } else { &[] }
    }

    /// How many bytes of a text are read.
    fn at(&self) -> usize {
        match &self.inner {
            Inner::Text(parser) => parser.lines.pos,
            Inner::OpenMetrics(parser) => parser.lines.pos,
            Inner::OpenMetrics2(_) | Inner::Protobuf(_) | Inner::Converted(_) => 0,
        }
    }

    /// How many native histograms were met whose buckets were left out, not being asked for.
    #[must_use]
    pub fn native_histograms(&self) -> usize {
        match &self.inner {
            Inner::Text(_) | Inner::OpenMetrics(_) | Inner::Converted(_) => 0,
            Inner::Protobuf(parser) => parser.native_histograms(),
            Inner::OpenMetrics2(parser) => parser.native_histograms(),
        }
    }
}
