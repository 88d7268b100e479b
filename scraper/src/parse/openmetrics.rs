//! OpenMetrics text, 0.0.1 and 1.0.0: where entries begin and end.
//!
//! As strict as upstream's lexer, which is less than the standard asks for: one blank where there is one, no empty lines,
//! no other comments than HELP, TYPE, UNIT and the EOF that ends the input. Times are in seconds.

use super::entry::What;
use super::labels::{Quoted, unescape, walk_strict_labels};
use super::lines::Lines;
use super::number::{parse_seconds, parse_value};
use super::strict::{Comment, Fault, NO_EOF, named};
use super::text::{invalid_type, utf8};
use super::{Entry, Exemplar, Fingerprint, MetricKind, ParseError, Point, Recognised, Sample, Wanted};

/// Reads an exposition entry by entry.
#[derive(Debug)]
pub(super) struct OpenMetricsParser<'a> {
    pub(super) lines: Lines<'a>,
}

impl<'a> OpenMetricsParser<'a> {
    pub(super) fn new(body: &'a [u8], wanted: Wanted) -> Self {
        Self { lines: Lines::new(body, wanted) }
    }

    #[inline]
    pub(super) fn recognise(&mut self, fingerprint: &Fingerprint) -> Option<Recognised<'a>> {
        let end = self.lines.find(fingerprint)?;
        if !fingerprint.is_series() {
            let comment = self.lines.slice(self.lines.pos, end);
            // The comment goes on beyond what was hashed: it is another one.
            if !self.lines.pass_comment(fingerprint, end) {
                return None;
            }
            // A recognised comment still sets the unit of the series behind it.
            self.note_unit(comment, fingerprint.what);
            return Some(Recognised::Comment);
        }
        let (point, next) = self.point(end).ok()?;
        self.lines.pos = next;
        Some(Recognised::Series(point))
    }

    pub(super) fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        match self.lines.byte(self.lines.pos) {
            // Without `# EOF` the body may have been cut off, which the format makes an error.
            None => Err(self.lines.fail(NO_EOF)),
            Some(b'#') => self.comment(),
            Some(_) => self.series().map(Some),
        }
    }

    fn series(&mut self) -> Result<Entry<'a>, ParseError> {
        let (_, end) = self.lines.walk_series(|_| Ok(()))?;
        let (point, next) = self.point(end).map_err(|(at, why)| self.lines.fail_at(at, why))?;
        let text = self.lines.pass_series(end, next)?;
        Ok(Entry::Series(Sample { series: self.lines.series(text), point }))
    }

    /// What follows a series that ends at `end`, and where the next line begins.
    #[inline]
    fn point(&self, end: usize) -> Result<(Point<'a>, usize), Fault> {
        let (value, at) = self.lines.number(end, "expected a value after the series", parse_value)?;
        let mut point = Point::new(value, None);
        // The common line has a value only.
        if self.lines.byte(at) == Some(b'\n') {
            return Ok((point, at + 1));
        }
        let mut at = at;
        // Anything but an exemplar has to be the timestamp. The exemplar, if any, stands behind it.
        if !self.lines.tail(at).starts_with(b" # {") {
            let (ts, after) = self.lines.number(at, "expected a timestamp or an exemplar", parse_seconds)?;
            point.ts = Some(ts);
            at = after;
        }
        if self.lines.tail(at).starts_with(b" # {") {
            let (exemplar, after) = self.exemplar(at + 4)?;
            point.exemplar = Some(exemplar);
            at = after;
        }
        self.end_of_line(at).map(|next| (point, next))
    }

    /// An exemplar, from behind its opening brace.
    fn exemplar(&self, start: usize) -> Result<(Exemplar<'a>, usize), Fault> {
        let length = walk_strict_labels(self.lines.tail(start), Quoted::Exemplar, |_| Ok(()))
            .map_err(|(at, why)| (start + at, why))?;
        let labels = utf8(self.lines.slice(start, start + length)).ok_or((start, "label value is not valid UTF-8"))?;
        let (value, mut at) =
            self.lines.number(start + length, "expected a value after the exemplar's labels", parse_value)?;
        let mut ts = None;
        if self.lines.byte(at) == Some(b' ') {
            let (time, after) = self.lines.number(at, "expected the exemplar's timestamp", parse_seconds)?;
            ts = Some(time);
            at = after;
        }
        Ok((Exemplar::text(labels, value, ts), at))
    }

    fn end_of_line(&self, at: usize) -> Result<usize, Fault> {
        match self.lines.byte(at) {
            Some(b'\n') => Ok(at + 1),
            None => Err((at, NO_EOF)),
            Some(_) => Err((at, "expected the end of the line")),
        }
    }

    /// `# EOF`, or `# HELP`, `# TYPE` or `# UNIT` with a name and a text.
    fn comment(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        let Some(Comment { keyword, name, text, length }) = self.lines.comment()? else { return Ok(None) };
        let metric = utf8(name).map(unescape).ok_or_else(|| self.lines.fail("metric name is not valid UTF-8"))?;
        let as_text = || utf8(text).ok_or_else(|| self.lines.fail(&format!("text of {keyword} is not valid UTF-8")));
        let entry = match keyword {
            "HELP" => Entry::Help { metric, text: unescape(as_text()?) },
            "UNIT" => {
                // Upstream's `OpenMetricsParser.Next` makes the same check, as the specification asks for.
                if !ends_with_unit(name, text) {
                    return Err(self.lines.fail("the unit is not the end of the metric name"));
                }
                Entry::Unit { metric, unit: as_text()? }
            }
            _ => {
                let kind = kind_of(text).ok_or_else(|| self.lines.fail(&invalid_type(text)))?;
                Entry::Type { metric, kind }
            }
        };
        let what = match &entry {
            Entry::Type { kind, .. } => What::Type(*kind),
            Entry::Unit { .. } => What::Unit,
            _ => What::Comment,
        };
        let comment = self.lines.slice(self.lines.pos, self.lines.pos + length);
        self.lines.pass_new_comment(comment, what)?;
        self.note_unit(comment, what);
        Ok(Some(entry))
    }

    /// Sets the unit for the series behind a `# TYPE` or `# UNIT` comment.
    fn note_unit(&mut self, comment: &'a [u8], what: What) {
        if self.lines.unit.is_none() || !matches!(what, What::Type(_) | What::Unit) {
            return;
        }
        // The family name tells whether a unit belongs to the type that follows, in whichever order the two stand.
        let (family, text) = named(comment);
        match what {
            What::Unit => {
                let text = text.strip_prefix(b" ").and_then(|text| text.strip_suffix(b"\n"));
                self.lines.set_unit(family, text.and_then(utf8).unwrap_or_default());
            }
            _ => self.lines.begin_family(family),
        }
    }
}

/// `_seconds` ends the name of what has the unit `seconds`; no unit always fits.
fn ends_with_unit(name: &[u8], unit: &[u8]) -> bool {
    unit.is_empty() || name.strip_suffix(unit).is_some_and(|front| front.ends_with(b"_"))
}

pub(super) fn kind_of(text: &[u8]) -> Option<MetricKind> {
    Some(match text {
        b"counter" => MetricKind::Counter,
        b"gauge" => MetricKind::Gauge,
        b"histogram" => MetricKind::Histogram,
        b"gaugehistogram" => MetricKind::GaugeHistogram,
        b"summary" => MetricKind::Summary,
        b"info" => MetricKind::Info,
        b"stateset" => MetricKind::StateSet,
        b"unknown" => MetricKind::Unknown,
        _ => return None,
    })
}
