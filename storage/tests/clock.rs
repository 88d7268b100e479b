//! A clock that steps: nothing is dropped for it, and what comes afterwards is stored.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::path::Path;

use model::{
    Appender, Committed, Labels, Layout, MatchOp, Matcher, Querier, ReadHints, Row, Selection, SourceId, Timestamp,
};
use prometheus::Registry;
use storage::{Clock, Db, Options};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
const T: Timestamp = Timestamp(1_800_000_000_000);
const EVERY_MS: i64 = 15_000;

/// A target that is scraped by a clock that may be wrong.
struct Scraped {
    db: Db,
    clock: Clock,
    source: SourceId,
    layout: Layout,
    /// Since T, by a clock that never steps.
    monotonic_ms: i64,
    /// What was stored: time and value.
    stored: Vec<(Timestamp, f64)>,
}

fn open(path: &Path) -> Db {
    Db::open(Options { memory_bytes: 8 << 20, ..Options::new(path) }, &Registry::new()).unwrap()
}

impl Scraped {
    fn start(path: &Path, monotonic_ms: i64, stored: Vec<(Timestamp, f64)>) -> Self {
        let db = open(path);
        let metrics = db.metrics(&[Labels::from_pairs([("__name__", "serial")])]).unwrap();
        let layout = db.layout(&metrics).unwrap();
        let source = db.source(&Labels::from_pairs([("job", "j")])).unwrap();
        let clock = Clock::new(db.last_told().unwrap(), monotonic_ms);
        Self { db, clock, source, layout, monotonic_ms, stored }
    }

    fn commit(&mut self, ts: Timestamp) -> Committed {
        let value = self.stored.len() as f64;
        let row = Row {
            source: self.source,
            ts,
            layout: &self.layout,
            values: &[value],
            present: &[1],
            own_times: &[],
            histograms: &[],
        };
        let committed = self.db.commit(&[row]).unwrap();
        if committed.stored == 1 {
            self.stored.push((ts, value));
        }
        committed
    }

    /// Scrapes for so long by a clock that is so far off; housekeeping each minute. Says how many scrapes were stored.
    fn run(&mut self, lasting_ms: i64, off_ms: i64) -> usize {
        let before = self.stored.len();
        let until = self.monotonic_ms + lasting_ms;
        while self.monotonic_ms < until {
            self.monotonic_ms += EVERY_MS;
            let system = T + self.monotonic_ms + off_ms;
            let told = self.clock.read(system, self.monotonic_ms);
            self.db.set_now(told.now).unwrap();
            self.commit(system);
            if self.monotonic_ms % MINUTE == 0 {
                self.db.enforce_retention(told.now).unwrap();
            }
        }
        self.stored.len() - before
    }

    #[track_caller]
    fn check(&self) {
        let found = samples(&self.db);
        let mut stored = self.stored.clone();
        stored.sort_by_key(|(ts, _)| *ts);
        let differing = found.iter().zip(&stored).find(|(found, stored)| found != stored);
        assert!(differing.is_none(), "found, stored: {differing:?}");
        assert_eq!(found.len(), stored.len());
    }
}

fn samples(db: &Db) -> Vec<(Timestamp, f64)> {
    let matchers = [Matcher::new(MatchOp::Equal, "__name__", "serial").unwrap()];
    let selection = Selection { start: Timestamp::EPOCH, end: T + 1000 * DAY, matchers: &matchers };
    let mut found = Vec::new();
    db.select(&selection, &ReadHints::default(), &mut |batch| {
        found.extend(batch.timestamps.iter().copied().zip(batch.columns[0].values.iter().copied()));
        Ok(())
    })
    .unwrap();
    found
}

const PER_MINUTE: usize = (MINUTE / EVERY_MS) as usize;

#[test]
fn a_month_ahead_for_a_minute_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut target = Scraped::start(dir.path(), 0, Vec::new());
    assert_eq!(target.run(40 * MINUTE, 0), 40 * PER_MINUTE);
    assert_eq!(target.run(75_000, 30 * DAY), 5);
    assert_eq!(target.run(10 * MINUTE, 0), 10 * PER_MINUTE, "scrapes go on once the clock is right again");
    target.check();
    // Also after a restart, and once everything is sealed.
    let (monotonic_ms, stored) = (target.monotonic_ms, std::mem::take(&mut target.stored));
    drop(target);
    let mut target = Scraped::start(dir.path(), monotonic_ms, stored);
    assert_eq!(target.run(10 * MINUTE, 0), 10 * PER_MINUTE);
    target.check();
    target.db.compact(T + 60 * DAY).unwrap();
    target.check();
    assert_eq!(target.run(10 * MINUTE, 0), 10 * PER_MINUTE);
    target.check();
}

#[test]
fn steps_of_any_width_lose_at_most_a_minute() {
    for step_ms in [2 * MINUTE, 10 * MINUTE, 59 * MINUTE, 60 * MINUTE, 5 * DAY, 100 * DAY] {
        for sealed in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let mut target = Scraped::start(dir.path(), 0, Vec::new());
            target.run(5 * MINUTE, 0);
            assert_eq!(target.run(3 * MINUTE, step_ms), 3 * PER_MINUTE, "ahead by {step_ms}");
            if sealed {
                target.db.compact(T + step_ms + DAY).unwrap();
            }
            // Long enough to come to where the clock was ahead, where that is near. Serial numbers differ there: a
            // sample that is there already stays, and the scrape says so.
            let back = target.run(70 * MINUTE, 0);
            let met = if step_ms < 70 * MINUTE { 3 * PER_MINUTE } else { 0 };
            assert!((70 * PER_MINUTE - met..=70 * PER_MINUTE).contains(&back), "back by {step_ms}: {back}");
            target.check();
            target.db.compact(T + step_ms + DAY).unwrap();
            target.check();
            // And back below what was ever true.
            assert_eq!(target.run(3 * MINUTE, -DAY), 3 * PER_MINUTE, "back by a day");
            target.check();
        }
    }
}

#[test]
fn a_restart_while_the_clock_is_wrong_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut target = Scraped::start(dir.path(), 0, Vec::new());
    target.run(40 * MINUTE, 0);
    for _ in 0..3 {
        target.run(5 * MINUTE, 30 * DAY);
        target.check();
        let (monotonic_ms, stored) = (target.monotonic_ms, std::mem::take(&mut target.stored));
        drop(target);
        target = Scraped::start(dir.path(), monotonic_ms, stored);
    }
    target.run(5 * MINUTE, 0);
    target.check();
}

#[test]
fn a_step_back_within_a_minute_is_out_of_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut target = Scraped::start(dir.path(), 0, Vec::new());
    target.run(5 * MINUTE, 0);
    let now = T + target.monotonic_ms;
    assert_eq!(target.commit(now - 30_000), Committed { out_of_order: 1, ..Committed::default() });
    target.check();
}

#[test]
fn a_horizon_in_the_future_is_set_back() {
    let dir = tempfile::tempdir().unwrap();
    // What a build did that believed every reading.
    let mut target = Scraped::start(dir.path(), 0, Vec::new());
    target.run(MINUTE, 0);
    target.db.enforce_retention(T + 30 * DAY).unwrap();
    assert!(target.stored.len() == PER_MINUTE && samples(&target.db).is_empty());
    drop(target);
    let mut target = Scraped::start(dir.path(), 2 * MINUTE, Vec::new());
    assert_eq!(target.commit(T + 2 * MINUTE).too_old, 1);
    assert_eq!(target.run(MINUTE, 0), PER_MINUTE);
    target.check();
}

#[test]
fn what_a_range_takes_is_estimated_by_what_is_stored_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut target = Scraped::start(dir.path(), 0, Vec::new());
    target.run(40 * MINUTE, 0);
    // As of another month, so that the range between is empty.
    target.run(10 * MINUTE, 30 * DAY);
    let matchers = [Matcher::new(MatchOp::Equal, "__name__", "serial").unwrap()];
    for sealed in [false, true] {
        if sealed {
            target.db.compact(T + 60 * DAY).unwrap();
        }
        let bytes = |start: Timestamp, end: Timestamp| {
            let selection = Selection { start, end, matchers: &matchers };
            target.db.open(&selection, &ReadHints::default()).unwrap().reader_bytes()
        };
        let all = bytes(T - 30_000 * DAY, T + 30_000 * DAY);
        assert!(all < 64 << 10, "{all} bytes for 200 samples, sealed: {sealed}");
        assert!(bytes(T, T + 10 * MINUTE) <= all);
    }
}
