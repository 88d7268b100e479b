//! OpenMetrics text 2.0.0 (upstream: `model/textparse/openmetrics2parse.go`).
//!
//! Differences to version 1: a histogram or a summary is one line with a composite value in braces, which stands for several
//! series; a sample carries its start timestamp (`st@`) and may have several exemplars, each with a time. Metric names are
//! those of their families: `# TYPE` and `# UNIT` hold for the series of exactly that name.

mod composite;

use std::collections::VecDeque;

use model::Histogram;
use model::sample::histogram_mark;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::entry::What;
use super::form::LINES_MAX;
use super::labels::{Quoted, unescape, walk_strict_labels};
use super::lines::Lines;
use super::number::{parse_seconds, parse_value};
use super::openmetrics::kind_of;
use super::part::Member;
use super::strict::{Comment, Fault, NO_EOF};
use super::text::{invalid_type, utf8};
use super::{Entry, Exemplar, Fingerprint, MetricKind, ParseError, Point, Recognised, Sample, Series, Wanted};
use composite::{Composite, Of};

/// Reads an exposition entry by entry.
#[derive(Debug)]
pub(super) struct OpenMetrics2Parser<'a> {
    pub(super) lines: Lines<'a>,
    wanted: Wanted,
    /// The family name of the last line, to which type and unit belong.
    family: &'a [u8],
    has_unit: bool,
    /// The series of the last line that were not handed out yet.
    ahead: VecDeque<Ahead<'a>>,
    fingerprint: Fingerprint,
    /// The native histogram of the last line.
    histogram: Histogram,
    /// The exemplars of the last entry.
    exemplars: Vec<Exemplar<'a>>,
    native_histograms: usize,
}

#[derive(Debug)]
struct Ahead<'a> {
    sample: Sample<'a>,
    fingerprint: Fingerprint,
    exemplars: Vec<Exemplar<'a>>,
}

impl<'a> OpenMetrics2Parser<'a> {
    pub(super) fn new(body: &'a [u8], wanted: Wanted) -> Self {
        Self {
            lines: Lines::new(body, wanted),
            wanted,
            family: &[],
            has_unit: false,
            ahead: VecDeque::new(),
            fingerprint: Fingerprint { key: 0, len: 0, what: What::Comment },
            histogram: Histogram::default(),
            exemplars: Vec::new(),
            native_histograms: 0,
        }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(super) fn histogram(&mut self) -> Histogram {
        std::mem::take(&mut self.histogram)
    }

    pub(super) fn exemplars(&self) -> &[Exemplar<'a>] {
        &self.exemplars
    }

    pub(super) fn native_histograms(&self) -> usize {
        self.native_histograms
    }

    pub(super) fn recognise(&mut self, fingerprint: &Fingerprint) -> Option<Recognised<'a>> {
        if self.ahead.is_empty() {
            let is_comment = self.lines.byte(self.lines.pos) == Some(b'#');
            // Cheap test first: the next line is of the other sort than the fingerprint.
            if is_comment == fingerprint.is_series() {
                return None;
            }
            if is_comment {
                self.lines.find(fingerprint)?;
                // Comments are read in full even when they are known, since they set type and unit.
                self.comment().ok()??;
                return Some(Recognised::Comment);
            }
            // The whole line is read, since type and unit hold only for series of exactly the family's name.
            self.series().ok()?;
        }
        // A line that stands for several series is compared series by series; a mismatch leaves it for `next_entry`.
        if self.ahead.front().is_some_and(|ahead| ahead.fingerprint == *fingerprint) {
            return self.hand_out().map(|sample| Recognised::Series(sample.point));
        }
        None
    }

    pub(super) fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        if self.ahead.is_empty() {
            match self.lines.byte(self.lines.pos) {
                None => return Err(self.lines.fail(NO_EOF)),
                Some(b'#') => return self.comment(),
                Some(_) => self.series()?,
            }
        }
        Ok(self.hand_out().map(Entry::Series))
    }

    fn hand_out(&mut self) -> Option<Sample<'a>> {
        let Ahead { sample, fingerprint, exemplars } = self.ahead.pop_front()?;
        (self.fingerprint, self.exemplars) = (fingerprint, exemplars);
        Some(sample)
    }

    /// Begins a line of this name; type and unit of another name are dropped.
    fn begin(&mut self, name: &'a [u8]) {
        if name != self.family {
            (self.family, self.has_unit) = (name, false);
            self.lines.set_unit(&[], "");
            self.lines.set_kind_apart(MetricKind::Unknown);
        }
    }

    /// Reads a line into the series it stands for, and moves past it.
    fn series(&mut self) -> Result<(), ParseError> {
        let start = self.lines.pos;
        let mut first = true;
        let (length, end) = self.lines.walk_series(|label| {
            let first = std::mem::take(&mut first);
            if label.is_name && !first {
                return Err("metric name must be the first item in the label set");
            }
            if label.name.is_empty() { Err("a name must not be empty") } else { Ok(()) }
        })?;
        // `walk_series` checked that a name in quotes is the first item.
        let name = match self.lines.pieces.labels.first().filter(|label| label.is_name) {
            // Behind the brace.
            Some(label) => self.lines.tail(start + length + 1).get(label.name.clone()).unwrap_or_default(),
            None => self.lines.slice(start, start + length),
        };
        self.begin(name);
        // Only composite values begin with a brace; exemplars have ` # {`.
        if self.lines.tail(end).starts_with(b" {") {
            return self.composite(end);
        }
        // Takes the parser as an argument, because the closure would otherwise borrow it across `pass_series`.
        let fail = |this: &Self, (at, why): Fault| this.lines.fail_at(at, why);
        let (value, at) =
            self.lines.number(end, "expected a value after the series", parse_value).map_err(|f| fail(self, f))?;
        self.check(value).map_err(|why| self.lines.fail_at(end, why))?;
        let (mut point, exemplars, next) = self.behind(at).map_err(|f| fail(self, f))?;
        (point.value, point.exemplar) = (value, exemplars.first().copied());
        let text = self.lines.pass_series(end, next)?;
        let sample = Sample { series: self.lines.series(text), point };
        self.ahead.push_back(Ahead { sample, fingerprint: self.lines.fingerprint(), exemplars });
        Ok(())
    }

    /// Checks that a series of this type may have this value.
    fn check(&self, value: f64) -> Result<(), &'static str> {
        match self.lines.kind {
            MetricKind::Counter if value.is_nan() => Err("counter sample value must not be NaN"),
            MetricKind::Histogram | MetricKind::GaugeHistogram | MetricKind::Summary => {
                Err("composite value required for histograms and summaries")
            }
            MetricKind::Info if value != 1.0 => Err("info sample value must be 1"),
            MetricKind::StateSet if value != 0.0 && value != 1.0 => Err("stateset sample value must be 0 or 1"),
            MetricKind::StateSet => {
                let pieces = &self.lines.pieces;
                // A stateset exposes each state as `name{name="state"}`.
                let inside = self.lines.tail(self.lines.pos + pieces.inside);
                let named = |label: &super::labels::RawLabel| inside.get(label.name.clone()) == Some(self.family);
                if pieces.labels.iter().any(|label| !label.is_name && named(label)) {
                    return Ok(());
                }
                Err("stateset sample must have a label matching the metric family name")
            }
            _ => Ok(()),
        }
    }

    /// A line with a composite value, whose series ends at `end`.
    fn composite(&mut self, end: usize) -> Result<(), ParseError> {
        let of = match self.lines.kind {
            MetricKind::Histogram => Of::Histogram,
            MetricKind::GaugeHistogram => Of::GaugeHistogram,
            MetricKind::Summary => Of::Summary,
            _ => return Err(self.lines.fail_at(end, "composite value not supported for this metric type")),
        };
        let inside = end + " {".len();
        let (composite, length) =
            Composite::read(self.lines.tail(inside), of).map_err(|(at, why)| self.lines.fail_at(inside + at, why))?;
        let (point, exemplars, next) = self.behind(inside + length).map_err(|(at, why)| self.lines.fail_at(at, why))?;
        let fail = |why: String| self.lines.fail_at(end, &why);
        // The choice is that of the protobuf parser: native if wanted and there, else converted if wanted, else
        // classic.
        let is_native = composite.is_native() && self.wanted.native;
        let converts = !is_native && self.wanted.convert && of != Of::Summary;
        let histogram = match (is_native, converts) {
            (true, _) => Some(composite.native().map_err(fail)?),
            (_, true) => Some(composite.converted().map_err(fail)?),
            _ => None,
        };
        // Classic series beside a native or converted histogram only with `always_scrape_classic_histograms`.
        let explodes = match is_native {
            true => self.wanted.classic && composite.is_classic(),
            false => !converts || self.wanted.classic,
        };
        let members = if explodes { members(&composite, of).map_err(fail)? } else { Vec::new() };
        // Everything that can fail is done: from here on the position has moved and the entries are handed out.
        let text = self.lines.pass_series(end, next)?;
        let (line, native) = (self.lines.fingerprint().key, self.lines.series(text));
        let (kind, unit) = (self.lines.kind, self.lines.unit);
        self.native_histograms += usize::from(composite.is_native() && !is_native);
        let mut fingerprint = Fingerprint { key: line, len: 0, what: What::Series };
        if let Some(histogram) = histogram {
            self.histogram = histogram;
            let point = Point { value: histogram_mark(), ..point };
            let exemplars = exemplars.clone();
            // What is there of `le` is written otherwise.
            fingerprint.key = if of == Of::GaugeHistogram { xxh3_64_with_seed(b"le", line) } else { line };
            self.ahead.push_back(Ahead { sample: Sample { series: native, point }, fingerprint, exemplars });
        }
        // Exemplars go to the bucket that counted them, as clients of version 1 wrote them on `_bucket` lines.
        let mut of_buckets = spread(exemplars, &members);
        for (member, value) in members {
            fingerprint.key = member.key(line);
            let exemplars = if let Member::Bucket(_) = member { of_buckets.pop_front() } else { None };
            let exemplars = exemplars.unwrap_or_default();
            let point = Point { value, exemplar: exemplars.first().copied(), ..point };
            let series = Series::Member { text, kind, unit, member };
            self.ahead.push_back(Ahead { sample: Sample { series, point }, fingerprint, exemplars });
        }
        Ok(())
    }

    /// Reads timestamps, exemplars and the end of the line behind a value; also returns the start of the next line.
    fn behind(&self, mut at: usize) -> Result<(Point<'a>, Vec<Exemplar<'a>>, usize), Fault> {
        let (mut point, mut exemplars) = (Point::new(0.0, None), Vec::new());
        loop {
            let rest = self.lines.tail(at);
            if rest.starts_with(b"\n") {
                break;
            }
            if rest.starts_with(b" # {") {
                at = self.read_exemplars(at, &mut exemplars)?;
                break;
            }
            // A bare `st@` is not a start timestamp; it fails below as a number.
            let start = rest.starts_with(b" st@") && !matches!(rest.get(4), None | Some(b' ' | b'\n'));
            if start {
                let parse = |token: &[u8]| parse_seconds(token.get(3..).unwrap_or_default());
                let (start_time, after) = self.lines.number(at, "expected a start timestamp", parse)?;
                if point.start_time.replace(start_time).is_some() {
                    return Err((at, "duplicate start timestamp"));
                }
                at = after;
                continue;
            }
            let (ts, after) =
                self.lines.number(at, "expected a timestamp, an exemplar or the end of the line", parse_seconds)?;
            if point.start_time.is_some() {
                return Err((at, "timestamp must precede start timestamp"));
            }
            if point.ts.replace(ts).is_some() {
                return Err((at, "duplicate timestamp"));
            }
            at = after;
        }
        // The store takes exemplars of a series in order of time only.
        exemplars.sort_by_key(|exemplar: &Exemplar<'_>| exemplar.ts);
        Ok((point, exemplars, at + 1))
    }

    /// Exemplars, from before the first; where the line ends.
    fn read_exemplars(&self, mut at: usize, exemplars: &mut Vec<Exemplar<'a>>) -> Result<usize, Fault> {
        while self.lines.tail(at).starts_with(b" # {") {
            let start = at + " # {".len();
            let length = walk_strict_labels(self.lines.tail(start), Quoted::Exemplar, |label| {
                if label.name.is_empty() { Err("a name must not be empty") } else { Ok(()) }
            })
            .map_err(|(at, why)| (start + at, why))?;
            let labels = utf8(self.lines.slice(start, start + length)).ok_or((start, "exemplar is not valid UTF-8"))?;
            let (value, after) =
                self.lines.number(start + length, "expected a value after the exemplar's labels", parse_value)?;
            let (ts, after) = self.lines.number(after, "expected the exemplar's timestamp", parse_seconds)?;
            // Further ones are parsed for errors and dropped.
            if exemplars.len() < LINES_MAX {
                exemplars.push(Exemplar::text(labels, value, Some(ts)));
            }
            at = after;
        }
        match self.lines.byte(at) {
            Some(b'\n') => Ok(at),
            None => Err((at, NO_EOF)),
            Some(_) => Err((at, "expected the end of the line or another exemplar")),
        }
    }

    /// `# EOF`, or `# HELP`, `# TYPE` or `# UNIT` with a name and a text.
    fn comment(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        let Some(Comment { keyword, name, text, length }) = self.lines.comment()? else { return Ok(None) };
        if text.ends_with(b"\r") {
            return Err(self.lines.fail(&format!("unexpected carriage return after {keyword}")));
        }
        let metric = utf8(name).map(unescape).ok_or_else(|| self.lines.fail("metric name is not valid UTF-8"))?;
        let as_text = utf8(text).ok_or_else(|| self.lines.fail(&format!("text of {keyword} is not valid UTF-8")));
        self.begin(name);
        let (entry, what) = match keyword {
            "HELP" => (Entry::Help { metric, text: unescape(as_text?) }, What::Comment),
            "UNIT" => {
                let unit = as_text?;
                self.has_unit = !unit.is_empty();
                self.lines.set_unit(name, unit);
                (Entry::Unit { metric, unit }, What::Unit)
            }
            _ => {
                let kind = kind_of(text).ok_or_else(|| self.lines.fail(&invalid_type(text)))?;
                if kind == MetricKind::Info && !name.ends_with(b"_info") {
                    return Err(self.lines.fail("the name of an info metric family must end with _info"));
                }
                self.lines.set_kind_apart(kind);
                (Entry::Type { metric, kind }, What::Type(kind))
            }
        };
        if self.has_unit && matches!(self.lines.kind, MetricKind::Info | MetricKind::StateSet) {
            return Err(self.lines.fail("info and stateset metrics must have an empty unit"));
        }
        self.lines.pass_new_comment(self.lines.slice(self.lines.pos, self.lines.pos + length), what)?;
        // `pass_new_comment` set the seed by the type; in this format the type is not part of it.
        self.lines.set_kind_apart(self.lines.kind);
        self.fingerprint = self.lines.fingerprint();
        Ok(Some(entry))
    }
}

/// The series that a composite value stands for, and their values.
fn members(composite: &Composite<'_>, of: Of) -> Result<Vec<(Member, f64)>, String> {
    let (count, sum) = if of == Of::GaugeHistogram { ("_gcount", "_gsum") } else { ("_count", "_sum") };
    let mut members =
        vec![(Member::Count(count), composite.number(of.count())?), (Member::Sum(sum), composite.number(of.sum())?)];
    if of == Of::Summary {
        members.extend(composite.quantiles()?.into_iter().map(|(quantile, value)| (Member::Quantile(quantile), value)));
    } else {
        members.extend(composite.buckets()?.into_iter().map(|(bound, count)| (Member::Bucket(bound), count)));
    }
    Ok(members)
}

/// Assigns each exemplar to the bucket of its value; NaN goes to the last one.
fn spread<'a>(exemplars: Vec<Exemplar<'a>>, members: &[(Member, f64)]) -> VecDeque<Vec<Exemplar<'a>>> {
    let bounds: Vec<f64> = members
        .iter()
        .filter_map(|(member, _)| if let Member::Bucket(le) = member { Some(*le) } else { None })
        .collect();
    let mut of_buckets = VecDeque::new();
    if exemplars.is_empty() || bounds.is_empty() {
        return of_buckets;
    }
    of_buckets.resize_with(bounds.len(), Vec::new);
    for exemplar in exemplars {
        let below =
            // The first bucket whose upper bound is not below the value; bounds are ascending and end with +Inf.
            if exemplar.value.is_nan() { bounds.len() - 1 } else { bounds.partition_point(|le| *le < exemplar.value) };
        if let Some(bucket) = of_buckets.get_mut(below) {
            bucket.push(exemplar);
        }
    }
    of_buckets
}
