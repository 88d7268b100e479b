//! What nothing stored refers to any more goes while the database is open, and who still holds its ids is told.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

#[path = "kit/times.rs"]
mod times;

use model::{AppendError, Appender, Committed, Labels, Layout, Querier, Row, Selection, SourceId, Timestamp};
use prometheus::Registry;
use storage::{Db, Options};
use times::times;

const BUCKET_MS: i64 = 1000;
const RETENTION_MS: i64 = 5 * BUCKET_MS;

fn open(path: &std::path::Path) -> Db {
    let options = Options {
        bucket_ms: BUCKET_MS as u32,
        retention_ms: RETENTION_MS,
        memory_bytes: 8 << 20,
        ..Options::new(path)
    };
    Db::open(options, &Registry::new()).unwrap()
}

/// The ids of a pod, which exposes two metrics of its own.
fn pod(db: &Db, pod: &str) -> (SourceId, Layout) {
    let metrics =
        ["started", "requests_total"].map(|name| Labels::from_pairs([("__name__", name), ("container", pod)]));
    let layout = db.layout(&db.metrics(&metrics).unwrap()).unwrap();
    (db.source(&Labels::from_pairs([("job", "pods"), ("pod", pod)])).unwrap(), layout)
}

fn commit(db: &Db, (source, layout): &(SourceId, Layout), ts: Timestamp) -> Result<Committed, AppendError> {
    db.commit(&[Row {
        source: *source,
        ts,
        layout,
        values: &[1.0, 2.0],
        present: &[0b11],
        own_times: &[],
        histograms: &[],
    }])
}

/// How many values of a label are stored, alive or not.
fn values(db: &Db, name: &str) -> u64 {
    let stats = db.stats(100).unwrap();
    stats.values_by_label_name.iter().find(|count| count.name == name).map_or(0, |count| count.value)
}

#[test]
fn labels_of_pods_that_ended_go_with_their_samples() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let node = pod(&db, "node");
    for generation in 0..60 {
        let pod = pod(&db, &format!("web-{generation}"));
        let start = Timestamp(generation * BUCKET_MS);
        for ts in times(start..start + BUCKET_MS, 250) {
            assert_eq!(commit(&db, &pod, ts).unwrap().stored, 2);
            assert_eq!(commit(&db, &node, ts).unwrap().stored, 2);
        }
        db.compact(start + BUCKET_MS).unwrap();
        db.enforce_retention(start + BUCKET_MS).unwrap();
    }
    // Merged partitions last as long as their youngest bucket.
    for name in ["pod", "container"] {
        assert!((6..=22).contains(&values(&db, name)), "{} values of {name}", values(&db, name));
    }
    let now = Timestamp(1000 * BUCKET_MS);
    commit(&db, &node, now).unwrap();
    // What was made since the last sweep is left alone by the next.
    db.enforce_retention(now).unwrap();
    assert_eq!((values(&db, "pod"), values(&db, "container")), (1, 1));
}

#[test]
fn who_holds_forgotten_ids_is_told_and_asks_again() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let (idle, busy) = (pod(&db, "idle"), pod(&db, "busy"));
    commit(&db, &idle, Timestamp::EPOCH).unwrap();
    commit(&db, &busy, Timestamp::EPOCH).unwrap();
    for ts in [20 * BUCKET_MS, 40 * BUCKET_MS].map(Timestamp) {
        commit(&db, &busy, ts).unwrap();
        db.enforce_retention(ts).unwrap();
    }
    let now = Timestamp(41 * BUCKET_MS);
    assert!(matches!(commit(&db, &idle, now), Err(AppendError::Forgotten)));
    // Neither half alone is good, and a layout cannot be made of what is gone.
    assert!(matches!(commit(&db, &(idle.0, busy.1.clone()), now), Err(AppendError::Forgotten)));
    assert!(matches!(commit(&db, &(busy.0, idle.1.clone()), now), Err(AppendError::Forgotten)));
    assert!(matches!(db.layout(&idle.1.metrics), Err(AppendError::Forgotten)));
    assert_eq!(commit(&db, &pod(&db, "idle"), now).unwrap().stored, 2);
    assert_eq!(commit(&db, &busy, now).unwrap().stored, 2);
    let selection = Selection { start: now, end: now, matchers: &[] };
    let series = |db: &Db| db.series(&selection, 0).unwrap();
    assert_eq!(series(&db).len(), 4);
    let before = series(&db);
    drop(db);
    assert_eq!(series(&open(dir.path())), before);
}
