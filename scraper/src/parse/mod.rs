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
mod line_parser;
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
pub use entry::{Entry, Fingerprint, Native, Point, Recognised, Sample};
pub use form::{Format, ParseError, Wanted};
pub use kind::MetricKind;
use line_parser::LineParser;
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
    Lines(LineParser<'a>),
    OpenMetrics2(Box<OpenMetrics2Parser<'a>>),
    Protobuf(Box<ProtobufParser<'a>>),
    Converted(Box<Converter<'a>>),
}

impl<'a> Parser<'a> {
    /// Starts at the first byte, with default settings.
    #[must_use]
    pub fn new(format: Format, body: &'a [u8]) -> Self {
        Self::of(format, body, Wanted::default())
    }

    /// Starts at the first byte.
    #[must_use]
    pub fn of(format: Format, body: &'a [u8], wanted: Wanted) -> Self {
        let lines = match format {
            Format::Text => LineParser::Text(TextParser::new(body, wanted)),
            Format::OpenMetrics => LineParser::OpenMetrics(OpenMetricsParser::new(body, wanted)),
            Format::OpenMetrics2 => {
                return Self::over(Inner::OpenMetrics2(Box::new(OpenMetrics2Parser::new(body, wanted))));
            }
            Format::Protobuf => return Self::over(Inner::Protobuf(Box::new(ProtobufParser::new(body, wanted)))),
        };
        // In the text format `_created` series have no meaning; protobuf and OpenMetrics 2 carry start timestamps in
        // the sample.
        let start_times = wanted.start_times && format == Format::OpenMetrics;
        // Without settings that join lines, the converter would only cost time.
        if !wanted.convert && !start_times {
            return Self::over(Inner::Lines(lines));
        }
        Self::over(Inner::Converted(Box::new(Converter::new(lines, Wanted { start_times, ..wanted }))))
    }

    fn over(inner: Inner<'a>) -> Self {
        Self { inner, pairs: LabelPairs::new() }
    }

    /// Moves past the next entry if it is the one that the fingerprint was taken of and nothing is wrong with it; `None` does not
    /// move, and [`Parser::next_entry`] says what is there.
    #[inline]
    pub fn recognise(&mut self, fingerprint: &Fingerprint) -> Option<Recognised<'a>> {
        match &mut self.inner {
            Inner::Lines(parser) => parser.recognise(fingerprint),
            Inner::OpenMetrics2(parser) => parser.recognise(fingerprint),
            Inner::Protobuf(parser) => parser.recognise(fingerprint),
            Inner::Converted(parser) => parser.recognise(fingerprint),
        }
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// When the bytes are not an exposition; there is nothing to read after that.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        match &mut self.inner {
            Inner::Lines(parser) => parser.next_entry(),
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
            Inner::Lines(parser) => Some(&parser.lines().pieces),
            Inner::OpenMetrics2(parser) => Some(&parser.lines.pieces),
            // The converter hands out entries later than the line parser reads them, so the pieces may be of another
            // line.
            Inner::Protobuf(_) | Inner::Converted(_) => None,
        };
        series.push_labels(pieces, &mut self.pairs)?;
        Ok(&mut self.pairs)
    }

    /// The fingerprint of the entry that [`Parser::next_entry`] returned last.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        match &self.inner {
            Inner::Lines(parser) => parser.lines().fingerprint(),
            Inner::OpenMetrics2(parser) => parser.fingerprint(),
            Inner::Protobuf(parser) => parser.fingerprint(),
            Inner::Converted(parser) => parser.fingerprint(),
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
            Inner::Lines(_) => Ok(Native::default()),
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
            Inner::Lines(_) => Ok(Vec::new()),
        }
    }

    /// The exemplars beyond the first of the sample that was read or recognised last; only OpenMetrics 2 has more than one.
    #[must_use]
    pub fn further_exemplars(&self) -> &[Exemplar<'a>] {
        match &self.inner {
            Inner::OpenMetrics2(parser) => parser.exemplars().get(1..).unwrap_or_default(),
            Inner::Lines(_) | Inner::Protobuf(_) | Inner::Converted(_) => &[],
        }
    }

    /// Where the entry stands that [`Parser::next_entry`] returned last, and how it begins: `line 3 ("up 1")`.
    #[must_use]
    pub fn place(&self) -> String {
        let (place, excerpt) = match &self.inner {
            Inner::Lines(parser) => return parser.place(),
            Inner::OpenMetrics2(parser) => parser.lines.place(),
            Inner::Protobuf(parser) => parser.place(),
            Inner::Converted(parser) => return parser.place(),
        };
        format!("{place} ({excerpt:?})")
    }

    /// How many native histograms were met whose buckets were left out, not being asked for.
    #[must_use]
    pub fn native_histograms(&self) -> usize {
        match &self.inner {
            Inner::Lines(_) | Inner::Converted(_) => 0,
            Inner::Protobuf(parser) => parser.native_histograms(),
            Inner::OpenMetrics2(parser) => parser.native_histograms(),
        }
    }
}
