//! Entries made from several lines of a text page: classic histograms as native ones with custom buckets (upstream:
//! `model/textparse/nhcbparse.go`), and start timestamps from `_created` lines.
//!
//! The lines of one histogram are consecutive. They are collected until a line of another group comes, and the histogram is
//! handed out as an entry of its own before that line. Lines that make no valid histogram are dropped, as upstream does.
//! Start timestamps are read from the whole family when it begins, because `_created` may stand behind the samples.

use std::borrow::Cow;
use std::collections::HashMap;

use memchr::{memchr, memmem, memrchr};
use model::sample::histogram_mark;
use model::{Histogram, Timestamp};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::entry::What;
use super::family::{Member, Role};
use super::form::LINES_MAX;
use super::line_parser::LineParser;
use super::number::timestamp_of_seconds;
use super::openmetrics::OpenMetricsParser;
use super::{Entry, Exemplar, Fingerprint, MetricKind, ParseError, Point, Recognised, Sample, Series, Wanted};

/// The seed of the keys of histograms that were gathered.
const WHOLE_SEED: u64 = 0x4e48_4342;

type Next<'a> = Result<Option<(Entry<'a>, Fingerprint)>, ParseError>;

/// Reads an exposition entry by entry.
#[derive(Debug)]
pub(super) struct Converter<'a> {
    /// The parser of the text format.
    lines: LineParser<'a>,
    wanted: Wanted,
    /// What the last `# TYPE` line gave.
    family: Cow<'a, str>,
    kind: MetricKind,
    /// Start timestamps of the current family, by group of series.
    start_times: HashMap<u64, Timestamp>,
    gathered: Option<Gathered<'a>>,
    /// The entry that ended a histogram; handed out after it.
    held: Option<Next<'a>>,
    /// The next entry, if it was read already. The end and an error stay here.
    ahead: Option<Next<'a>>,
    /// The histogram that was handed out last, or is the next entry.
    whole: Whole<'a>,
    fingerprint: Fingerprint,
}

/// The lines of one histogram that were read so far.
#[derive(Debug)]
struct Gathered<'a> {
    group: u64,
    /// The first of its series.
    series: Series<'a>,
    lines: usize,
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
    point: Point<'a>,
    exemplars: Vec<Exemplar<'a>>,
    /// The position behind the last of its lines.
    place: usize,
}

#[derive(Debug, Default)]
struct Whole<'a> {
    histogram: Histogram,
    exemplars: Vec<Exemplar<'a>>,
    place: Option<usize>,
}

impl<'a> Converter<'a> {
    pub(super) fn new(lines: LineParser<'a>, wanted: Wanted) -> Self {
        Self {
            lines,
            wanted,
            family: Cow::Borrowed(""),
            kind: MetricKind::Unknown,
            start_times: HashMap::new(),
            gathered: None,
            held: None,
            ahead: None,
            whole: Whole::default(),
            fingerprint: Fingerprint { key: 0, len: 0, what: What::Comment },
        }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(super) fn histogram(&mut self) -> Histogram {
        std::mem::take(&mut self.whole.histogram)
    }

    pub(super) fn exemplars(&self) -> &[Exemplar<'a>] {
        &self.whole.exemplars
    }

    /// Where the last entry stands, and how it begins; of a histogram that is its last line.
    #[cold]
    pub(super) fn place(&self) -> String {
        match self.whole.place {
            Some(end) => self.lines.place_before(end),
            None => self.lines.place(),
        }
    }

    pub(super) fn recognise(&mut self, fingerprint: &Fingerprint) -> Option<Recognised<'a>> {
        // The common case: no pending entry and no family whose lines depend on each other, so the line format's own
        // recognition is enough. A `# TYPE` line takes the slow path since it begins a family.
        let plain = self.ahead.is_none() && self.held.is_none() && self.gathered.is_none();
        if plain && !self.joins() && !matches!(fingerprint.what, What::Type(_)) {
            return self.lines.recognise(fingerprint);
        }
        match self.look_ahead() {
            // Entries have to be read in full here: a line may be swallowed, or preceded by a histogram that was
            // collected.
            Ok(Some((entry, own))) if own == *fingerprint => {
                self.fingerprint = own;
                Some(match entry {
                    Entry::Series(sample) => Recognised::Series(sample.point),
                    _ => Recognised::Comment,
                })
            }
            other => {
                self.ahead = Some(other);
                None
            }
        }
    }

    pub(super) fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        match self.look_ahead() {
            Ok(Some((entry, fingerprint))) => {
                self.fingerprint = fingerprint;
                Ok(Some(entry))
            }
            end => {
                // The end and an error stay: the parser does not move beyond them however often it is asked.
                self.ahead = Some(end.clone());
                end.map(|_| None)
            }
        }
    }

    fn look_ahead(&mut self) -> Next<'a> {
        self.ahead.take().unwrap_or_else(|| self.read())
    }

    fn read(&mut self) -> Next<'a> {
        // The place of a converted histogram is that of its last line; any other entry has the place that the line
        // parser knows.
        self.whole.place = None;
        loop {
            let next = match self.held.take() {
                Some(held) => held,
                None => {
                    self.lines.next_entry().map(|entry| entry.map(|entry| (entry, self.lines.lines().fingerprint())))
                }
            };
            let (mut sample, fingerprint) = match next {
                Ok(Some((Entry::Series(sample), fingerprint))) => (sample, fingerprint),
                // A histogram that was being collected is dropped with the scrape, which fails.
                Err(_) => return next,
                other => {
                    if let Some(whole) = self.finish() {
                        // The comment, or the end of the body, is handed out by the next call.
                        self.held = Some(other);
                        return Ok(Some(whole));
                    }
                    if let Ok(Some((Entry::Type { metric, kind }, _))) = &other {
                        self.begin_family(metric.clone(), *kind);
                    }
                    return other;
                }
            };
            let member = self.member(&sample);
            // Lines of another group end the histogram; so does a series that belongs to no group at all.
            let ended = self.gathered.as_ref().is_some_and(|gathered| member.is_none_or(|m| m.group != gathered.group));
            if ended && let Some(whole) = self.finish() {
                self.held = Some(Ok(Some((Entry::Series(sample), fingerprint))));
                return Ok(Some(whole));
            }
            if let Some(member) = member {
                if self.wanted.start_times && member.role == Role::Created {
                    continue;
                }
                // The family was searched for `_created` when its TYPE line was read, so the time is known also for
                // samples before that line.
                sample.point.start_time = self.start_times.get(&member.group).copied();
                // Without `always_scrape_classic_histograms` the line exists only as part of the histogram.
                if self.wanted.convert && self.gather(&sample, member) && !self.wanted.classic {
                    continue;
                }
            }
            return Ok(Some((Entry::Series(sample), fingerprint)));
        }
    }

    fn begin_family(&mut self, family: Cow<'a, str>, kind: MetricKind) {
        (self.family, self.kind) = (family, kind);
        self.start_times.clear();
        // Searching the rest of the body costs time, so only families that can have `_created` series are searched.
        if self.wanted.start_times && self.joins() {
            created(self.lines.rest(), &self.family, kind, &mut self.start_times);
        }
    }

    /// True if lines of the current family have to be read together.
    fn joins(&self) -> bool {
        match self.kind {
            MetricKind::Histogram => true,
            MetricKind::Counter | MetricKind::Summary => self.wanted.start_times,
            _ => false,
        }
    }

    /// The role of the series in the family of the last `# TYPE` line.
    fn member(&self, sample: &Sample<'a>) -> Option<Member> {
        let (true, Series::Text { text, .. }) = (self.joins(), sample.series) else { return None };
        Member::of(text, &self.family, self.kind)
    }

    /// Collects a line of a classic histogram; false if it is none. (A `_created` line is none, and does not end one.)
    fn gather(&mut self, sample: &Sample<'a>, member: Member) -> bool {
        if self.kind != MetricKind::Histogram || !matches!(member.role, Role::Bucket(_) | Role::Count | Role::Sum) {
            return false;
        }
        let place = self.lines.at();
        let gathered = self.gathered.get_or_insert_with(|| Gathered {
            group: member.group,
            series: sample.series,
            lines: 0,
            buckets: Vec::with_capacity(16),
            count: None,
            sum: 0.0,
            point: sample.point,
            exemplars: Vec::new(),
            place,
        });
        let Point { value, ts, exemplar, .. } = sample.point;
        gathered.lines += 1;
        match member.role {
            // Bounds the memory of one histogram. Its lines are still counted and swallowed; `finish` then drops it.
            _ if gathered.lines > LINES_MAX => {}
            Role::Bucket(bound) => gathered.buckets.push((bound, value)),
            Role::Count => gathered.count = Some(value),
            _ => gathered.sum = value,
        }
        // All exemplars of the buckets belong to the histogram, which has no bucket series to carry them.
        gathered.exemplars.extend(exemplar.filter(|_| gathered.lines <= LINES_MAX));
        gathered.point.ts = ts;
        gathered.place = place;
        true
    }

    /// The collected histogram as an entry, if it is valid.
    fn finish(&mut self) -> Option<(Entry<'a>, Fingerprint)> {
        let Gathered { group, series, lines, buckets, count, sum, point, exemplars, place, .. } =
            self.gathered.take()?;
        if lines > LINES_MAX {
            return None;
        }
        let histogram = Histogram::from_classic(&buckets, count, sum).ok()?;
        // Upstream drops an invalid conversion without an error: the target's text is valid exposition all the same.
        histogram.validate().ok()?;
        self.whole = Whole { histogram, exemplars, place: Some(place) };
        let Series::Text { text, kind, unit, .. } = series else { return None };
        let series = Series::Text { text, kind, unit, whole: true };
        let point = Point { value: histogram_mark(), exemplar: None, ..point };
        // Not of a line: whichever is the first, it is the same histogram.
        let family = xxh3_64_with_seed(self.family.as_bytes(), WHOLE_SEED);
        // The group hash does not depend on the order of labels or on which line came first.
        let key = xxh3_64_with_seed(unit.unwrap_or_default().as_bytes(), family.wrapping_add(group));
        Some((Entry::Series(Sample { series, point }), Fingerprint { key, len: 0, what: What::Series }))
    }
}

/// The start timestamps of the current family by group, from the `_created` series before the next `# TYPE` line.
fn created(rest: &[u8], family: &str, kind: MetricKind, times: &mut HashMap<u64, Timestamp>) {
    // The next TYPE line begins another family. Without one the family goes on to the end of the body.
    let block = memmem::find(rest, b"\n# TYPE ").and_then(|end| rest.get(..=end)).unwrap_or(rest);
    let mut at = 0;
    while let Some(found) = block.get(at..).and_then(|tail| memmem::find(tail, b"_created")) {
        let found = at + found;
        // The name may also be found in a label value or a comment; parsing the whole line and asking for its role
        // rules that out.
        let start = block.get(..found).and_then(|before| memrchr(b'\n', before)).map_or(0, |at| at + 1);
        let line = block.get(start..).unwrap_or_default();
        if let Ok(Some(Entry::Series(Sample { series: Series::Text { text, .. }, point }))) =
            // Only the first entry is read from `line`, which reaches to the end of the block. A line that is broken
            // here fails the scrape when it is its turn.
            OpenMetricsParser::new(line, Wanted::default()).next_entry()
            && let Some(Member { group, role: Role::Created }) = Member::of(text, family, kind)
            && let Ok(start) = timestamp_of_seconds(point.value)
        {
            times.insert(group, start);
        }
        // One attempt per line, so a line that repeats the word does not make the search quadratic.
        at = found + memchr(b'\n', block.get(found..).unwrap_or_default()).unwrap_or(line.len());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Format, Parser};
    use super::*;

    /// Labels and value of every sample; of a histogram its notation and how many exemplars it has.
    fn read(format: Format, page: &str, classic: bool) -> Vec<String> {
        let wanted = Wanted { convert: true, classic, ..Wanted::default() };
        let mut parser = Parser::of(format, page.as_bytes(), wanted);
        let mut out = Vec::new();
        while let Some(entry) = parser.next_entry().unwrap() {
            let Entry::Series(Sample { series, point }) = entry else { continue };
            let labels = series.labels().unwrap();
            let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let labels = labels.join(",");
            out.push(if model::sample::is_histogram_mark(point.value) {
                let exemplars = parser.exemplars().unwrap().len();
                format!(
                    "{labels} {} {:?} {exemplars}",
                    parser.histogram().unwrap().histogram.notation(),
                    point.ts.map(|ts| ts.0)
                )
            } else {
                format!("{labels} {}", point.value)
            });
        }
        out
    }

    #[track_caller]
    fn check(page: &str, expected: &[&str]) {
        assert_eq!(read(Format::Text, page, false), expected, "{page}");
    }

    #[test]
    fn the_lines_of_a_histogram_become_one() {
        let page = "# TYPE h histogram\nh_bucket{a=\"1\",le=\"1\"} 2\nh_bucket{a=\"1\",le=\"+Inf\"} 3\nh_sum{a=\"1\"} 4.5\n\
                    h_count{a=\"1\"} 3 77\nh_count{a=\"2\"} 1\nother 7\n# TYPE g gauge\ng_sum 1\n";
        let expected = [
            "__name__=h,a=1 {{schema:-53 count:3 sum:4.5 custom_values:[1] buckets:[2 1]}} Some(77) 0",
            "__name__=h,a=2 {{schema:-53 count:1 custom_values:[] buckets:[1]}} None 0",
            "__name__=other 7",
            "__name__=g_sum 1",
        ];
        check(page, &expected);
        // With the classic ones, in the order of the page.
        let both = read(Format::Text, page, true);
        assert_eq!(both.len(), 9);
        assert_eq!([&both[4], &both[6], &both[7]], [expected[0], expected[1], expected[2]]);
        assert_eq!(both[0], "__name__=h_bucket,a=1,le=1.0 2");
    }

    #[test]
    fn what_is_no_histogram_is_left_out_or_left_as_it_is() {
        let falling = "h_bucket{le=\"1\"} 3\nh_bucket{le=\"2\"} 1\nh_count 3\n";
        check(&format!("# TYPE h histogram\n{falling}up 1\n"), &["__name__=up 1"]);
        check("# TYPE h histogram\nh_sum 3\n", &[]);
        check("# TYPE h histogram\nh_bucket{le=\"x\"} 3\n", &["__name__=h_bucket,le=x 3"]);
        check("# TYPE h gauge\nh_bucket{le=\"1\"} 3\n", &["__name__=h_bucket,le=1 3"]);
        check("h_count 3\n", &["__name__=h_count 3"]);
        let many = |n: usize| format!("# TYPE h histogram\n{}up 1\n", "h_bucket{le=\"1\"} 3\n".repeat(n));
        assert_eq!(read(Format::Text, &many(LINES_MAX), false).len(), 2);
        check(&many(LINES_MAX + 1), &["__name__=up 1"]);
        let created = "__name__=h_created 5";
        let whole = "__name__=h {{schema:-53 count:1 sum:2 custom_values:[] buckets:[1]}} None 0";
        check("# TYPE h histogram\nh_count 1\nh_created 5\nh_sum 2\n", &[created, whole]);
        check("# TYPE h histogram\nhh_count 3\nh 4\n", &["__name__=hh_count 3", "__name__=h 4"]);
    }

    #[test]
    fn names_in_quotes_and_exemplars() {
        let page = "# TYPE \"a.b\" histogram\n{\"a.b_bucket\",le=\"1.0\",x=\"y\"} 1 # {t=\"1\"} 0.5\n\
                    {\"a.b_bucket\",x=\"y\",le=\"+Inf\"} 2 # {t=\"2\"} 9 10\n# EOF\n";
        let expected = "__name__=a.b,x=y {{schema:-53 count:2 custom_values:[1] buckets:[1 1]}} None 2";
        assert_eq!(read(Format::OpenMetrics, page, false), [expected]);
    }

    #[test]
    fn an_error_about_a_histogram_names_its_last_line() {
        let page = b"# TYPE h histogram\nh_count 1\nh_sum 1\n\n# HELP x y\nx 1\n";
        let mut parser = Parser::of(Format::Text, page, Wanted { convert: true, ..Wanted::default() });
        let places: Vec<_> = std::iter::from_fn(|| parser.next_entry().unwrap().map(|_| parser.place())).collect();
        assert_eq!(places[1], "line 3 (\"h_sum 1\")");
        assert_eq!(places[3], "line 6 (\"x\")");
    }
}
