//! A deletion holds for what was there, and not for what comes.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

#[path = "kit/times.rs"]
mod times;

use std::path::Path;

use model::{
    Appender, Committed, Labels, Layout, MatchOp, Matcher, MetricId, Querier, ReadHints, Row, Selection, SourceId,
    Timestamp,
};
use prometheus::Registry;
use storage::{Db, Options};
use times::times;

const BUCKET_MS: i64 = 1000;
const EVERY_MS: i64 = 100;
const END: Timestamp = Timestamp(5 * BUCKET_MS);

fn open(path: &Path) -> Db {
    let options = Options { bucket_ms: BUCKET_MS as u32, memory_bytes: 8 << 20, retention_ms: 0, ..Options::new(path) };
    let db = Db::open(options, &Registry::new()).unwrap();
    db.set_out_of_order_window(1_000_000);
    db
}

struct Target {
    source: SourceId,
    layout: Layout,
}

impl Target {
    fn new(db: &Db, job: &str) -> Self {
        let metrics: Vec<Labels> = ["a", "b"].map(|name| Labels::from_pairs([("__name__", name)])).into();
        let metrics: Vec<MetricId> = db.metrics(&metrics).unwrap();
        Self { source: db.source(&Labels::from_pairs([("job", job)])).unwrap(), layout: db.layout(&metrics).unwrap() }
    }

    fn commit(&self, db: &Db, ts: Timestamp, value: f64) -> Committed {
        let row = Row {
            source: self.source,
            ts,
            layout: &self.layout,
            values: &[value, -value],
            present: &[0b11],
            own_times: &[],
            histograms: &[],
        };
        db.commit(&[row]).unwrap()
    }
}

fn named(name: &str) -> [Matcher; 1] {
    [Matcher::new(MatchOp::Equal, "__name__", name).unwrap()]
}

/// The samples of a metric of a job.
fn samples(db: &Db, name: &str, job: &str) -> Vec<(Timestamp, f64)> {
    let matchers = [named(name)[0].clone(), Matcher::new(MatchOp::Equal, "job", job).unwrap()];
    let mut found = Vec::new();
    let selection = Selection { start: Timestamp(i64::MIN / 4), end: Timestamp(i64::MAX / 4), matchers: &matchers };
    db.select(&selection, &ReadHints::default(), &mut |batch| {
        for column in &batch.columns {
            let present = (0..batch.timestamps.len()).filter(|&i| column.is_present(i));
            found.extend(present.map(|i| (batch.timestamps[i], column.values[i])));
        }
        Ok(())
    })
    .unwrap();
    found
}

/// Samples of two jobs from 0 to 5 s; with `sealed` the first three seconds are pages.
fn filled(path: &Path, sealed: bool) -> (Db, Target, Target) {
    let db = open(path);
    let (one, other) = (Target::new(&db, "one"), Target::new(&db, "other"));
    for ts in times(Timestamp::EPOCH..END, EVERY_MS) {
        one.commit(&db, ts, 1.0);
        other.commit(&db, ts, 1.0);
    }
    if sealed {
        db.compact(Timestamp(3500)).unwrap();
    }
    (db, one, other)
}

#[test]
fn what_comes_after_a_deletion_stays() {
    for (sealed, cleaned) in [(false, false), (true, false), (false, true), (true, true)] {
        let dir = tempfile::tempdir().unwrap();
        let (db, one, _) = filled(dir.path(), sealed);
        let (from, to) = (Timestamp(1000), Timestamp(4300));
        db.delete(&named("a"), from, to).unwrap();
        if cleaned {
            db.clean_deleted().unwrap();
        }
        // Between samples that are gone, and corrected ones at the same times.
        let again = [1050, 1100, 2000, 3050, 3100, 4200, 4250].map(Timestamp);
        for ts in again {
            assert_eq!(one.commit(&db, ts, 7.0).stored, if ts.0 % EVERY_MS == 0 { 1 } else { 2 }, "{ts}");
        }
        let kept = |ts: &Timestamp| !(from..=to).contains(ts);
        let mut expected: Vec<(Timestamp, f64)> =
            times(Timestamp::EPOCH..END, EVERY_MS).filter(kept).map(|ts| (ts, 1.0)).collect();
        expected.extend(again.map(|ts| (ts, 7.0)));
        expected.sort_by_key(|(ts, _)| *ts);
        let check = |db: &Db, when: &str| {
            assert_eq!(samples(db, "a", "one"), expected, "{when}, sealed {sealed}, cleaned {cleaned}");
            let others = samples(db, "a", "other");
            assert_eq!(others.len(), 50 - 34, "{when}: the other job stays as it was");
            assert_eq!(samples(db, "b", "one").len(), 50 + 3, "{when}: the other metric too");
        };
        check(&db, "at once");
        drop(db);
        let db = open(dir.path());
        check(&db, "after a restart");
        db.clean_deleted().unwrap();
        check(&db, "cleaned");
        db.compact(Timestamp(1_000_000)).unwrap();
        check(&db, "sealed");
    }
}

#[test]
fn a_series_that_is_new_after_a_deletion_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (db, ..) = filled(dir.path(), false);
    db.delete(&named("a"), Timestamp::EPOCH, Timestamp::MAX).unwrap();
    let new = Target::new(&db, "new");
    new.commit(&db, Timestamp(2000), 3.0);
    assert_eq!(samples(&db, "a", "new"), [(Timestamp(2000), 3.0)]);
    // And is deleted by a deletion that comes later.
    db.delete(&named("a"), Timestamp::EPOCH, Timestamp::MAX).unwrap();
    assert_eq!(samples(&db, "a", "new"), []);
    new.commit(&db, Timestamp(2000), 4.0);
    assert_eq!(samples(&db, "a", "new"), [(Timestamp(2000), 4.0)]);
}

#[test]
fn cleaning_reaches_rows_that_are_not_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let (db, one, _) = filled(dir.path(), false);
    db.delete(&named("a"), Timestamp::EPOCH, Timestamp::MAX).unwrap();
    db.clean_deleted().unwrap();
    assert_eq!(samples(&db, "a", "one"), []);
    assert_eq!(samples(&db, "b", "one").len(), 50);
    // Nothing is masked any more.
    one.commit(&db, Timestamp(2000), 2.0);
    one.commit(&db, Timestamp(5000), 2.0);
    assert_eq!(samples(&db, "a", "one"), [(Timestamp(2000), 2.0), (Timestamp(5000), 2.0)]);
}
