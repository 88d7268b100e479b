//! Exposition bytes to entries that borrow them. Step 4 of the scrape path.
//!
//! Three depths. [`Parser::recognise`] compares what comes next with an entry of the last scrape: a hash, then the value.
//! [`Parser::next_entry`] reads whatever comes next. [`Series::labels`] takes the series apart, which only one that was not
//! in the last scrape needs.

mod convert;
mod entry;
mod family;
mod form;
mod kind;
mod labels;
mod lines;
mod number;
mod openmetrics;
mod openmetrics2;
mod pairs;
mod part;
mod protobuf;
mod series;
mod strict;
mod text;

use convert::Converter;
pub use entry::{Entry, Mark, Native, Point, Recognised, Sample};
pub use form::{Format, ParseError, Wanted};
pub use kind::MetricKind;
use openmetrics::OpenMetricsParser;
use openmetrics2::OpenMetrics2Parser;
pub use pairs::LabelPairs;
pub use part::{Member, Part};
use protobuf::ProtobufParser;
pub use series::{Exemplar, Series};
use text::TextParser;

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
    pub fn histogram(&mut self) -> Result<Native, ParseError> {
        match &mut self.inner {
            Inner::Protobuf(parser) => parser.histogram(),
            Inner::Converted(parser) => Ok(Native { histogram: parser.histogram(), counts: None }),
            Inner::OpenMetrics2(parser) => Ok(Native { histogram: parser.histogram(), counts: None }),
            Inner::Text(_) | Inner::OpenMetrics(_) => Ok(Native::default()),
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
