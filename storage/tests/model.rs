//! Random scripts of appends (scrapes and batches of series, late ones too), compaction, deletions, reopenings, retention and
//! selections against an obviously correct model in memory.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::histogram::{Buckets, Histogram};
use model::sample::{histogram_mark, is_histogram_mark};
use model::{
    AppendError, Appender, Batch, Committed, ExtraSample, Labels, Lateness, Layout, Matcher, Memo, MetricId, Querier,
    ReadHints, Row, Scraped, Selection, SeriesAppender, SeriesBatch, SeriesOrder, SeriesSamples, SourceId,
    SourceLabels, Timestamp,
};
use prometheus::Registry;
use proptest::prelude::*;
use storage::{Db, Options};

const BUCKET_MS: i64 = 1000;
const LATE_MS: i64 = 1500;
const RETENTION_MS: i64 = 6000;
/// Far from both ends of time, so that distances to them can be added.
const FIRST: Timestamp = Timestamp(i64::MIN / 2);
const LAST: Timestamp = Timestamp(i64::MAX / 2);

/// Source 0 with metric 1, and source 1 with metric 4, are one series; so are metrics 0 and 5 of source 0.
const SOURCES: [&[(&str, &str)]; 3] = [&[("job", "a")], &[("job", "b")], &[("job", "c"), ("zone", "z")]];
const METRICS: [&[(&str, &str)]; 6] = [
    &[("__name__", "up")],
    &[("__name__", "x"), ("code", "200")],
    &[("__name__", "x"), ("code", "500")],
    &[("__name__", "y"), ("zone", "w")],
    &[("__name__", "x"), ("code", "200"), ("job", "a")],
    &[("__name__", "up"), ("job", "a")],
];
/// Columns of each layout, as indices of metrics, repeated by `WIDE` distinct copies where a segment must overflow.
const LAYOUTS: [&[usize]; 4] = [&[0, 1, 2, 3, 4, 5], &[1, 0], &[5, 4, 3], &[0, 3]];

#[derive(Clone, Debug)]
struct Scrape {
    source: usize,
    layout: usize,
    ts_step: i64,
    values: Vec<u8>,
    present: u8,
    own: Vec<(usize, i64)>,
    /// Column, time, value, and is it a start?
    further: Vec<(usize, i64, u8, bool)>,
}

/// Samples of some series of one source, in no order.
#[derive(Clone, Debug)]
struct Pieces {
    source: usize,
    /// Metric, when before the newest clock, and the values.
    samples: Vec<(usize, i64, u8)>,
    /// One more sample each so many milliseconds, for so many times: of time that is over there may be much.
    every: i64,
    times: usize,
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Scrape>),
    Series(Vec<Pieces>, bool),
    Reopen,
    Retention(i64),
    /// From when on, for how long; and some of it by one of the matchers.
    Select(i64, i64, usize),
    /// How far the clock of the seal is ahead of the newest row.
    Seal(i64),
    /// Which matcher, and how long before the oldest clock the range starts and ends.
    Delete(usize, i64, i64),
    Clean,
}

fn value(code: u8) -> f64 {
    match code {
        0 => f64::from_bits(0x7ff0_0000_0000_0002),
        1 => -0.0,
        2 => f64::INFINITY,
        3 => f64::NAN,
        4..=60 => f64::from(code),
        61..=120 => f64::from(code) / 100.0,
        230.. => histogram_mark(),
        _ => f64::from(code) * 1e9 + 0.1,
    }
}

/// The native histogram that a series has at a time, if it has one.
fn histogram(ts: Timestamp) -> Histogram {
    let n = ts.0;
    let counts = (0..n % 4).map(|i| (n % 100 + i) as f64 / if n % 3 == 0 { 8.0 } else { 1.0 }).collect();
    let positive = Buckets::run((n % 7) as i32 - 3, counts);
    Histogram { schema: (n % 9) as i32, count: n as f64, sum: n as f64 / 3.0, positive, ..Histogram::default() }
}

fn scrape() -> impl Strategy<Value = Scrape> {
    let own = prop::collection::vec((0..6usize, -2500..800i64), 0..3);
    let further = prop::collection::vec((0..6usize, -2500..800i64, any::<u8>(), any::<bool>()), 1..5);
    let ts_step = prop_oneof![3 => 1..400i64, 1 => Just(0), 1 => -300..0i64, 1 => 900..2500i64];
    let values = prop::collection::vec(any::<u8>(), 6);
    (
        0..3usize,
        0..4usize,
        ts_step,
        values,
        prop_oneof![2 => Just(0xff), 1 => any::<u8>()],
        prop_oneof![2 => Just(vec![]), 1 => own],
        prop_oneof![4 => Just(vec![]), 1 => further],
    )
        .prop_map(|(source, layout, ts_step, values, present, own, further)| Scrape {
            source,
            layout,
            ts_step,
            values,
            present,
            own,
            further,
        })
}

fn pieces() -> impl Strategy<Value = Pieces> {
    let samples = prop::collection::vec((0..3usize, -9000..600i64, any::<u8>()), 1..12);
    (0..3usize, samples, 20..900i64, prop_oneof![1 => Just(1usize), 1 => 1..9usize])
        .prop_map(|(source, samples, every, times)| Pieces { source, samples, every, times })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (prop::collection::vec(pieces(), 1..3), any::<bool>()).prop_map(|(all, any)| Step::Series(all, any)),
        12 => prop::collection::vec(scrape(), 1..3).prop_map(Step::Commit),
        1 => Just(Step::Reopen),
        1 => (0..9000i64).prop_map(Step::Retention),
        6 => (-8000..1000i64, 0..6000i64, 0..4usize).prop_map(|(from, len, i)| Step::Select(from, len, i)),
        3 => prop_oneof![Just(0), 0..20_000i64].prop_map(Step::Seal),
        1 => (0..4usize, 0..9000i64, 0..6000i64).prop_map(|(i, start, end)| Step::Delete(i, start, end)),
        1 => Just(Step::Clean),
    ]
}

/// What the store must hold: samples by (source, metric), each with its bits and whether it came at its scrape's time.
/// What lies before the horizon may be there or not.
#[derive(Default)]
struct Model {
    samples: BTreeMap<(usize, usize), BTreeMap<Timestamp, (u64, bool)>>,
    newest: [Option<Timestamp>; 3],
    /// The newest scrape since the database was opened.
    newest_of_all: Option<Timestamp>,
    window: i64,
    horizon: Timestamp,
    /// The ids of sources and metrics, which come new once they were forgotten.
    ids: (Vec<SourceId>, Vec<MetricId>),
}

impl Model {
    fn newest_of(&self, series: (usize, usize)) -> Option<Timestamp> {
        self.samples.get(&series)?.last_key_value().map(|(ts, _)| *ts)
    }

    /// From when on late samples are taken.
    fn late_from(&self) -> Timestamp {
        match self.newest_of_all {
            Some(newest) if self.window > 0 => newest - self.window,
            _ => Timestamp::MAX,
        }
    }

    fn take(
        &mut self,
        series: (usize, usize),
        sample: (Timestamp, f64),
        ordinary: bool,
        counts: &mut Committed,
    ) -> bool {
        self.take_from(series, sample, (ordinary, self.late_from()), counts)
    }

    /// The same where late samples are taken from another time on.
    fn take_from(
        &mut self,
        series: (usize, usize),
        sample: (Timestamp, f64),
        (ordinary, late_from): (bool, Timestamp),
        counts: &mut Committed,
    ) -> bool {
        let (ts, bits) = (sample.0, sample.1.to_bits());
        if self.newest_of(series).is_some_and(|newest| newest > ts) && ts < late_from {
            counts.out_of_order += 1;
            return false;
        }
        match self.samples.get(&series).and_then(|samples| samples.get(&ts)) {
            Some((stored, _)) if *stored == bits => counts.stored += 1,
            Some(_) => counts.duplicate += 1,
            None => {
                counts.stored += 1;
                self.samples.entry(series).or_default().insert(ts, (bits, ordinary));
                return true;
            }
        }
        false
    }

    fn commit(&mut self, scrape: &Scrape, ts: Timestamp, own: &BTreeMap<usize, Timestamp>, counts: &mut Committed) {
        let before = self.newest[scrape.source];
        let floor = (before.map_or(ts, |newest| newest.max(ts)) - LATE_MS).min(self.late_from()).max(self.horizon);
        let mut stored = false;
        for (column, at, code, _) in scrape.further(true, ts) {
            let series = (scrape.source, LAYOUTS[scrape.layout][column]);
            if (floor..ts).contains(&(ts + at)) && self.newest_of(series).is_none_or(|newest| newest < ts + at) {
                self.samples.entry(series).or_default().insert(ts + at, (value(code).to_bits(), false));
            }
        }
        let columns = || LAYOUTS[scrape.layout].iter().enumerate().filter(|(i, _)| scrape.present >> i & 1 == 1);
        for (i, &metric) in columns().filter(|(i, _)| !own.contains_key(i)) {
            let sample = (ts, value(scrape.values[i]));
            let late = before.is_some_and(|newest| ts < newest);
            if ts < self.horizon || (late && ts < self.late_from() && self.late_from() < Timestamp::MAX) {
                counts.too_old += 1;
            } else if late && ts < self.late_from() {
                counts.out_of_order += 1;
            } else {
                stored |= self.take((scrape.source, metric), sample, true, counts);
            }
        }
        for (i, &metric) in columns() {
            let Some(&own_ts) = own.get(&i) else { continue };
            if own_ts < floor {
                counts.too_old += 1;
            } else {
                self.take((scrape.source, metric), (own_ts, value(scrape.values[i])), false, counts);
            }
        }
        for (column, at, code, _) in scrape.further(false, ts) {
            if ts + at < floor {
                counts.too_old += 1;
            } else {
                let series = (scrape.source, LAYOUTS[scrape.layout][column]);
                self.take(series, (ts + at, value(code)), false, counts);
            }
        }
        if stored {
            self.newest[scrape.source] = before.max(Some(ts));
        }
    }

    /// What comes series by series: samples of one source by time and metric, each once.
    fn append(
        &mut self,
        source: usize,
        samples: &BTreeMap<(Timestamp, usize), f64>,
        late_from: Timestamp,
        counts: &mut Committed,
    ) {
        for (&(ts, metric), &value) in samples {
            let newest = self.newest[source];
            let floor = (newest.map_or(ts, |newest| newest.max(ts)) - LATE_MS).min(late_from).max(self.horizon);
            if ts < self.horizon || newest.is_some_and(|newest| ts < newest) && ts < floor {
                counts.too_old += 1;
            } else if self.take_from((source, metric), (ts, value), (true, late_from), counts) {
                self.newest[source] = newest.max(Some(ts));
            }
        }
    }

    fn retain(&mut self, now: Timestamp) {
        self.horizon = self.horizon.max(now - RETENTION_MS);
    }

    fn delete(&mut self, matcher: &Matcher, from: Timestamp, to: Timestamp) {
        for (&(source, metric), samples) in &mut self.samples {
            if matcher.matches(labels(source, metric).value(&matcher.name)) {
                samples.retain(|&ts, _| ts < from || ts > to);
            }
        }
    }

    fn has(&self, wanted: &Labels, ts: Timestamp, bits: u64) -> bool {
        let pairs = self.samples.iter().filter(|((source, metric), _)| labels(*source, *metric) == *wanted);
        pairs.into_iter().any(|(_, samples)| samples.get(&ts).is_some_and(|(stored, _)| *stored == bits))
    }

    fn reopen(&mut self) {
        self.newest_of_all = None;
    }

    /// The series of a range as a reader sees them; of two pairs with equal labels the first one's samples stay.
    fn select(&self, from: Timestamp, to: Timestamp) -> BTreeMap<Labels, BTreeMap<Timestamp, u64>> {
        let mut found: BTreeMap<Labels, BTreeMap<Timestamp, u64>> = BTreeMap::new();
        let mut pairs: Vec<_> = self.samples.iter().collect();
        pairs.sort_by_key(|((source, metric), _)| (self.ids.0[*source], self.ids.1[*metric]));
        for (&(source, metric), samples) in pairs {
            let mut in_range = samples.range(from.min(to)..=to).filter(|(ts, _)| **ts >= from).peekable();
            if in_range.peek().is_some() {
                let series = found.entry(labels(source, metric)).or_default();
                for (&ts, &(bits, _)) in in_range {
                    series.entry(ts).or_insert(bits);
                }
            }
        }
        found
    }
}

impl Scrape {
    /// Of the columns that its layout has: the starts by series and time, each once, or the repeats.
    fn further(&self, starts: bool, ts: Timestamp) -> impl Iterator<Item = (usize, i64, u8, bool)> {
        let columns = LAYOUTS[self.layout].len();
        let mut further = self.further.clone();
        let mut seen = BTreeSet::new();
        further.retain(|one| one.0 < columns && one.3 == starts && (!starts || seen.insert(one.0)));
        further.into_iter().map(move |one| (one.0, own_time(ts + one.1) - ts, one.2, one.3))
    }
}

/// Samples with times of their own have none that a row has which came series by series: those are times of their source even
/// where all that they bring is there already, and others are not.
fn own_time(ts: Timestamp) -> Timestamp {
    ts - i64::from(ts.0.rem_euclid(5) == 3)
}

fn row_time(ts: Timestamp) -> Timestamp {
    ts - ts.0.rem_euclid(5) + 3
}

fn labels(source: usize, metric: usize) -> Labels {
    Labels::from_pairs(SOURCES[source].iter().chain(METRICS[metric]).copied())
}

/// A scrape as the store gets it.
struct Part {
    source: usize,
    layout: usize,
    ts: Timestamp,
    values: Vec<f64>,
    present: [u64; 1],
    own: Vec<(u32, Timestamp)>,
    histograms: Vec<(u32, Histogram)>,
    starts: Vec<ExtraSample>,
    repeats: Vec<ExtraSample>,
}

struct Harness {
    db: Option<Db>,
    dir: tempfile::TempDir,
    layouts: Vec<Layout>,
    clock: [Timestamp; 3],
    model: Model,
    /// Of senders by how many series they send: mostly others than the last time, and over restarts and retentions.
    memos: [Memo; 3],
    /// Of who selects: some by two matchers in turn, and everything.
    asked: [Memo; 3],
}

/// What is deleted, or selected: by the name, by a label of the source, by one that some metrics override, everything.
fn matcher(i: usize) -> Matcher {
    match i {
        0 => Matcher::equal("__name__", "x"),
        1 => Matcher::equal("job", "a"),
        2 => Matcher::new(model::MatchOp::NotEqual, "zone", "").unwrap(),
        _ => Matcher::new(model::MatchOp::Regex, "__name__", ".*").unwrap(),
    }
}

fn open(dir: &tempfile::TempDir, window: i64) -> Db {
    let options = Options {
        bucket_ms: BUCKET_MS as u32,
        late_ms: LATE_MS,
        retention_ms: RETENTION_MS,
        memory_bytes: 8 << 20,
        ..Options::new(dir.path())
    };
    let db = Db::open(options, &Registry::new()).unwrap();
    db.set_out_of_order_window(window);
    db
}

impl Harness {
    fn new(window: i64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = open(&dir, window);
        let model = Model { window, horizon: Timestamp::MIN, ..Model::default() };
        let mut harness = Self {
            db: Some(db),
            dir,
            layouts: vec![],
            clock: [Timestamp(10_000); 3],
            model,
            memos: <_>::default(),
            asked: <_>::default(),
        };
        harness.name_everything();
        harness
    }

    fn db(&self) -> &Db {
        self.db.as_ref().unwrap()
    }

    fn name_everything(&mut self) {
        let db = self.db();
        let sources: Vec<SourceId> =
            SOURCES.iter().map(|pairs| db.source(&Labels::from_pairs(pairs.iter().copied())).unwrap()).collect();
        let metrics: Vec<Labels> = METRICS.iter().map(|pairs| Labels::from_pairs(pairs.iter().copied())).collect();
        let ids = db.metrics(&metrics).unwrap();
        let layout = |columns: &&[usize]| db.layout(&columns.iter().map(|&i| ids[i]).collect::<Vec<_>>()).unwrap();
        let layouts = LAYOUTS.iter().map(layout).collect();
        self.layouts = layouts;
        self.model.ids = (sources, ids);
    }

    fn commit(&mut self, scrapes: &[Scrape]) {
        let mut seen = BTreeSet::new();
        let mut expected = Committed::default();
        let mut parts = vec![];
        for scrape in scrapes.iter().filter(|scrape| seen.insert(scrape.source)) {
            let ts = self.clock[scrape.source] + scrape.ts_step;
            self.clock[scrape.source] = ts.max(self.clock[scrape.source]);
            let columns = LAYOUTS[scrape.layout].len();
            let present = u64::from(scrape.present);
            let own: BTreeMap<usize, Timestamp> = scrape
                .own
                .iter()
                .filter(|(column, _)| *column < columns && present >> column & 1 == 1)
                .map(|&(column, offset)| (column, own_time(ts + offset)))
                .collect();
            self.model.commit(scrape, ts, &own, &mut expected);
            let own: Vec<(u32, Timestamp)> = own.into_iter().map(|(column, ts)| (column as u32, ts)).collect();
            let values: Vec<f64> = (0..columns).map(|i| value(scrape.values[i])).collect();
            let own_ts = |column| own.iter().find(|(own, _)| *own == column).map_or(ts, |(_, ts)| *ts);
            let marked = (0..columns).filter(|&i| is_histogram_mark(values[i]) && present >> i & 1 == 1);
            let histograms = marked.map(|i| (i as u32, histogram(own_ts(i as u32)))).collect();
            let (source, layout) = (scrape.source, scrape.layout);
            let further = |starts| -> Vec<ExtraSample> {
                let further = scrape.further(starts, ts).map(|(column, at, code, _)| {
                    let (ts, value) = (ts + at, value(code));
                    let histogram = is_histogram_mark(value).then(|| Box::new(histogram(ts)));
                    ExtraSample { column: column as u32, ts, value, histogram }
                });
                further.collect()
            };
            let (starts, repeats) = (further(true), further(false));
            parts.push(Part { source, layout, ts, values, present: [present], own, histograms, starts, repeats });
        }
        let mut got = self.try_commit(&parts);
        if matches!(got, Err(AppendError::Forgotten)) {
            self.name_everything();
            got = self.try_commit(&parts);
        }
        assert_eq!(got.unwrap(), expected);
        self.model.newest_of_all = parts.iter().map(|part| part.ts).max().max(self.model.newest_of_all);
    }

    fn try_commit<'p>(&'p self, parts: &'p [Part]) -> Result<Committed, AppendError> {
        let part = |part: &'p Part| {
            let Part { source, layout, ts, values, present, own, histograms, starts, repeats } = part;
            let (source, layout) = (self.model.ids.0[*source], &self.layouts[*layout]);
            let row = Row { source, ts: *ts, layout, values, present, own_times: own, histograms };
            Scraped { row, starts, repeats }
        };
        self.db().commit_scrape(&parts.iter().map(part).collect::<Vec<_>>())
    }

    /// Batches of series, taken in any time or by the window.
    fn append(&mut self, all: &[Pieces], any: bool) {
        let now = self.clock.into_iter().max().unwrap_or_default();
        let (mut expected, mut wanted) =
            (Committed::default(), BTreeMap::<usize, BTreeMap<(Timestamp, usize), f64>>::new());
        // By series, in the order of the batch.
        let mut series: Vec<(Labels, Vec<(Timestamp, f64)>)> = Vec::new();
        for pieces in all {
            let mut of_metric: BTreeMap<usize, Vec<(Timestamp, f64)>> = BTreeMap::new();
            let repeated = (0..pieces.times as i64).flat_map(|n| pieces.samples.iter().map(move |one| (n, one)));
            for (n, &(metric, before, code)) in repeated {
                let (ts, value) =
                    (row_time((now + before - n * pieces.every).max(Timestamp(8))), value(code.wrapping_add(n as u8)));
                of_metric.entry(metric).or_default().push((ts, value));
            }
            for (metric, samples) in of_metric {
                for &(ts, value) in &samples {
                    let wanted = wanted.entry(pieces.source).or_default();
                    match wanted.get(&(ts, metric)).map(|first| first.to_bits() == value.to_bits()) {
                        None => drop(wanted.insert((ts, metric), value)),
                        Some(_) if ts < self.model.horizon => expected.too_old += 1,
                        Some(true) => expected.stored += 1,
                        Some(false) => expected.duplicate += 1,
                    }
                }
                series.push((labels(pieces.source, metric), samples));
            }
        }
        type Columns = (Vec<Timestamp>, Vec<f64>, Vec<(u32, Histogram)>);
        let columns: Vec<Columns> = series
            .iter()
            .map(|(_, samples)| {
                let marked = (0..).zip(samples).filter(|(_, (_, value))| is_histogram_mark(*value));
                let histograms = marked.map(|(i, (ts, _))| (i, histogram(*ts))).collect();
                let (times, values) = samples.iter().copied().unzip();
                (times, values, histograms)
            })
            .collect();
        let batch: Vec<SeriesSamples<'_>> = series
            .iter()
            .zip(&columns)
            .map(|((labels, _), (times, values, histograms))| SeriesSamples {
                histograms,
                ..SeriesSamples::floats(labels, times, values)
            })
            .collect();
        let sources = SourceLabels::Named(["job".to_owned(), "zone".to_owned()].into());
        let lateness = if any { Lateness::Any } else { Lateness::Window };
        let memo = batch.len().checked_sub(1).and_then(|i| self.memos.get(i));
        let got = self.db().append_series(&SeriesBatch { series: &batch, sources: &sources, lateness, memo }).unwrap();
        let late_from = if any { Timestamp::MIN } else { self.model.late_from() };
        for (source, samples) in &wanted {
            self.model.append(*source, samples, late_from, &mut expected);
        }
        assert_eq!(got, expected);
        let newest = wanted.values().flat_map(|samples| samples.keys().map(|(ts, _)| *ts)).max();
        self.model.newest_of_all = newest.filter(|ts| *ts >= self.model.horizon).max(self.model.newest_of_all);
        // The ids are asked for again where they were forgotten, and the model must know them.
        self.name_everything();
    }

    fn select(&self, from: Timestamp, to: Timestamp, some: usize) {
        // First some and then all, so that what is kept of the one serves the other.
        let matcher = matcher(some);
        let asked_again = |matchers: &[Matcher], memo: usize| {
            let hints = ReadHints { memo: Some(&self.asked[memo]), ..ReadHints::default() };
            let selection = Selection { start: from, end: to, matchers };
            read_by(&selection, |selection, sink| self.db().select(selection, &hints, sink))
        };
        let memo = some.min(3) / 2;
        let mut some = read(self.db(), from, to, std::slice::from_ref(&matcher));
        assert_eq!(asked_again(std::slice::from_ref(&matcher), memo), some, "{from}..={to}");
        let got = read(self.db(), from, to, &[]);
        assert_eq!(asked_again(&[], 2), got, "{from}..={to}");
        for (labels, samples) in got.iter().filter(|(labels, _)| matcher.matches(labels.value(&matcher.name))) {
            assert_eq!(some.remove(labels).as_ref(), Some(samples), "{labels} by {matcher:?} in {from}..={to}");
        }
        assert!(some.is_empty(), "{some:?} by {matcher:?} in {from}..={to}");
        let expected = self.model.select(from.max(self.model.horizon), to);
        let newest = read_latest(self.db(), from, to);
        let last = |all: &BTreeMap<Labels, BTreeMap<Timestamp, u64>>| -> Vec<(Labels, Option<(Timestamp, u64)>)> {
            let last = |samples: &BTreeMap<Timestamp, u64>| samples.last_key_value().map(|(ts, bits)| (*ts, *bits));
            all.iter().map(|(labels, samples)| (labels.clone(), last(samples))).collect()
        };
        assert_eq!(last(&newest), last(&got), "newest of {from}..={to}");
        for limit in [0, 1 + got.len() / 2] {
            let first = got.clone().into_iter().take(if limit == 0 { usize::MAX } else { limit });
            assert!(read_sorted(self.db(), from, to, limit).into_iter().eq(first), "{limit} sorted of {from}..={to}");
        }
        let kept: BTreeMap<Labels, BTreeMap<Timestamp, u64>> = got
            .iter()
            .map(|(labels, samples)| {
                (labels.clone(), samples.range(self.model.horizon..).map(|(ts, bits)| (*ts, *bits)).collect())
            })
            .filter(|(_, samples): &(_, BTreeMap<_, _>)| !samples.is_empty())
            .collect();
        assert_eq!(kept, expected, "{from}..={to}");
        // Of what is older, some may be gone (one of two pairs with equal labels too); nothing else is there.
        for (labels, samples) in &got {
            let known = |(ts, bits): (&Timestamp, &u64)| self.model.has(labels, *ts, *bits);
            assert!(samples.iter().all(known), "{labels}");
        }
        // Whatever has samples is alive.
        let selection = Selection { start: from, end: to, matchers: &[] };
        let series: BTreeSet<Labels> = self.db().series(&selection, 0).unwrap().into_iter().collect();
        assert!(expected.keys().all(|labels| series.contains(labels)), "{series:?}");
        // Where the range is short, nothing else is listed.
        let has_samples = |labels: &Labels| got.get(labels).is_some_and(|samples| !samples.is_empty());
        assert!(
            to.saturating_since(from) > 6 * 60 * 60 * 1000 || series.iter().all(has_samples),
            "{from}..={to} {series:?}"
        );
        let jobs: BTreeSet<String> = self.db().label_values("job", &selection, 0).unwrap().into_iter().collect();
        assert!(expected.keys().all(|labels| jobs.contains(labels.value("job"))), "{jobs:?}");
    }

    fn run(&mut self, step: &Step) {
        let now = self.clock.into_iter().max().unwrap_or_default();
        match step {
            Step::Commit(scrapes) => self.commit(scrapes),
            Step::Series(all, any) => self.append(all, *any),
            Step::Select(from, len, some) => self.select(now + *from, now + *from + *len, *some),
            Step::Retention(ahead) => {
                self.db().enforce_retention(now + *ahead - 4000).unwrap();
                self.model.retain(now + *ahead - 4000);
            }
            Step::Seal(ahead) => {
                self.db().compact(now + *ahead).unwrap();
            }
            Step::Delete(i, start, end) => {
                // Where nothing is written any more: what comes in again after a deletion is there again.
                let settled = self.clock.into_iter().min().unwrap_or_default().min(now - self.model.window) - 3000;
                let (from, to, matcher) = (settled - *start, settled - *end, matcher(*i));
                self.db().delete(std::slice::from_ref(&matcher), from, to).unwrap();
                self.model.delete(&matcher, from, to);
            }
            Step::Clean => self.db().clean_deleted().unwrap(),
            Step::Reopen => {
                drop(self.db.take());
                self.db = Some(open(&self.dir, self.model.window));
                self.model.reopen();
                self.name_everything();
            }
        }
    }
}

/// Everything a selection yields, with the contract checked on the way.
fn read(db: &Db, start: Timestamp, end: Timestamp, matchers: &[Matcher]) -> BTreeMap<Labels, BTreeMap<Timestamp, u64>> {
    read_by(&Selection { start, end, matchers }, |selection, sink| db.select(selection, &ReadHints::default(), sink))
}

/// What a selection of the newest samples yields.
fn read_latest(db: &Db, start: Timestamp, end: Timestamp) -> BTreeMap<Labels, BTreeMap<Timestamp, u64>> {
    read_by(&Selection { start, end, matchers: &[] }, |selection, sink| db.select(selection, &ReadHints::NEWEST, sink))
}

/// The first series in label order, as they come.
fn read_sorted(db: &Db, start: Timestamp, end: Timestamp, limit: usize) -> Vec<(Labels, BTreeMap<Timestamp, u64>)> {
    let (bytes, order) = (Cell::new(0), RefCell::new(Vec::new()));
    let grow = |more| {
        bytes.set(bytes.get() + more);
        Ok(())
    };
    let hints = ReadHints { order: SeriesOrder::ByLabels { grow: &grow }, limit, ..ReadHints::default() };
    let mut found = read_by(&Selection { start, end, matchers: &[] }, |selection, sink| {
        db.select(selection, &hints, &mut |batch| {
            assert_eq!((batch.columns.len(), batch.source.is_empty()), (1, true));
            assert!(batch.columns[0].present.is_none());
            order.borrow_mut().push(batch.columns[0].metric.clone());
            sink(batch)
        })
    });
    let order = order.into_inner();
    assert!(bytes.get() >= order.iter().map(|labels| labels.as_text().len()).sum());
    order.into_iter().map(|labels| (labels.clone(), found.remove(&labels).unwrap_or_default())).collect()
}

type Sink<'s> = dyn FnMut(Batch) -> Result<(), model::QuerierError> + 's;

fn read_by(
    selection: &Selection<'_>,
    select: impl Fn(&Selection<'_>, &mut Sink<'_>) -> Result<(), model::QuerierError>,
) -> BTreeMap<Labels, BTreeMap<Timestamp, u64>> {
    let mut found = BTreeMap::new();
    let (mut sources, mut metrics) = (HashMap::new(), HashMap::new());
    let mut sink = |batch: Batch| {
        if let Some(id) = batch.source_id {
            assert_eq!(*sources.entry(id).or_insert_with(|| batch.source.clone()), batch.source);
        }
        assert!(batch.timestamps.is_sorted_by(|a, b| a < b), "{:?}", batch.timestamps);
        for column in &batch.columns {
            let labels = batch.labels(column);
            if let Some(id) = column.metric_id {
                assert_eq!(*metrics.entry(id).or_insert_with(|| column.metric.clone()), column.metric);
            }
            assert_eq!(column.values.len(), batch.timestamps.len());
            assert!(column.histograms.is_sorted_by_key(|(slot, _)| *slot));
            let marked = |i: &usize| column.is_present(*i) && is_histogram_mark(column.values[*i]);
            let (marked, times) = ((0..column.values.len()).filter(marked), &batch.timestamps);
            assert!(marked.eq(column.histograms.iter().map(|(slot, _)| *slot as usize)), "{labels}");
            for (slot, one) in &column.histograms {
                assert_eq!(**one, histogram(times[*slot as usize]), "{labels}");
            }
            let samples: BTreeMap<Timestamp, u64> = (0..column.values.len())
                .filter(|&i| column.is_present(i))
                .map(|i| (batch.timestamps[i], column.values[i].to_bits()))
                .collect();
            assert!(!samples.is_empty(), "{labels} has no samples");
            assert!(found.insert(labels.clone(), samples).is_none(), "{labels} came twice");
        }
        Ok(())
    };
    select(selection, &mut sink).unwrap();
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_store_does_what_the_model_does(
        steps in prop::collection::vec(step(), 1..60),
        window in prop_oneof![Just(0), 500..4000i64],
    ) {
        let mut harness = Harness::new(window);
        for step in &steps {
            harness.run(step);
        }
        harness.select(FIRST, LAST, 0);
        harness.run(&Step::Reopen);
        harness.select(FIRST, LAST, 0);
    }
}

#[test]
fn a_row_goes_in_and_comes_out() {
    let mut harness = Harness::new(0);
    let scrape = Scrape {
        source: 2,
        layout: 0,
        ts_step: 5,
        values: vec![0, 1, 2, 3, 70, 200],
        present: 0xff,
        own: vec![],
        further: vec![],
    };
    harness.commit(std::slice::from_ref(&scrape));
    harness.commit(&[Scrape { values: vec![9, 9, 9, 9, 71, 9], ..scrape }]);
    harness.select(Timestamp(0), Timestamp(20_000), 1);
    let up = read(
        harness.db(),
        Timestamp(0),
        Timestamp(20_000),
        &[Matcher::equal("__name__", "up"), Matcher::equal("zone", "z")],
    );
    assert_eq!(up.len(), 2);
}

#[test]
fn a_start_counts_for_what_came_before_it_in_its_scrape() {
    let (own, further) = (vec![(3, -1364)], vec![(3, -1, 0, true)]);
    let mut harness = Harness::new(0);
    harness.commit(&[Scrape { source: 0, layout: 0, ts_step: 1, values: vec![0; 6], present: 0xff, own, further }]);
    harness.select(Timestamp(0), Timestamp(20_000), 1);
}

#[test]
fn what_was_merged_outlives_the_cleaning_of_where_it_came_from() {
    let scrape = |ts_step| {
        let values = vec![4, 5, 6, 7, 8, 9];
        vec![Scrape { source: 0, layout: 0, ts_step, values, present: 0xff, own: vec![], further: vec![] }]
    };
    // Source 1 is not merged, having one part alone: the partition of the first bucket stays, and remembers source 0.
    let other = Scrape { source: 1, ..scrape(1).remove(0) };
    let steps = [
        Step::Commit(scrape(52)),
        Step::Commit(vec![other]),
        Step::Commit(scrape(2_180)),
        Step::Seal(3_834),
        Step::Commit(scrape(4_000)),
        // Up to 10 020: in the first bucket, before its first sample.
        Step::Delete(1, 5_480, -3_020),
        Step::Clean,
    ];
    let mut harness = Harness::new(2_915);
    for step in &steps {
        harness.run(step);
        harness.select(FIRST, LAST, 0);
    }
}
