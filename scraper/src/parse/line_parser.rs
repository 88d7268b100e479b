//! The formats in which each line is one entry: the text format and OpenMetrics 1. Input of the converter.

use super::entry::{Entry, Fingerprint, Recognised};
use super::form::ParseError;
use super::lines::Lines;
use super::openmetrics::OpenMetricsParser;
use super::text::TextParser;

/// Reads one of the line formats.
#[derive(Debug)]
pub(super) enum LineParser<'a> {
    Text(TextParser<'a>),
    OpenMetrics(OpenMetricsParser<'a>),
}

impl<'a> LineParser<'a> {
    /// Moves past the next entry if it is the one that the fingerprint was taken of.
    #[inline]
    pub(super) fn recognise(&mut self, fingerprint: &Fingerprint) -> Option<Recognised<'a>> {
        match self {
            Self::Text(parser) => parser.recognise(fingerprint),
            Self::OpenMetrics(parser) => parser.recognise(fingerprint),
        }
    }

    /// The next entry; `None` at the end.
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        match self {
            Self::Text(parser) => parser.next_entry(),
            Self::OpenMetrics(parser) => parser.next_entry(),
        }
    }

    pub(super) fn lines(&self) -> &Lines<'a> {
        match self {
            Self::Text(parser) => &parser.lines,
            Self::OpenMetrics(parser) => &parser.lines,
        }
    }

    /// Number and start of the last entry's line, for errors: `line 3 ("up 1")`.
    pub(super) fn place(&self) -> String {
        let (place, excerpt) = self.lines().place();
        format!("{place} ({excerpt:?})")
    }

    /// The same for the line that ends before this byte.
    #[cold]
    pub(super) fn place_before(&self, end: usize) -> String {
        self.lines().place_before(end)
    }

    /// The part of an OpenMetrics body that is not read yet; empty for the text format.
    pub(super) fn rest(&self) -> &'a [u8] {
        if let Self::OpenMetrics(parser) = self { parser.lines.tail(parser.lines.pos) } else { &[] }
    }

    /// How many bytes are read.
    pub(super) fn at(&self) -> usize {
        self.lines().pos
    }
}
