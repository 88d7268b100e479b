//! What nothing stored refers to any more goes while the database is open, and who still holds its ids is told.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use model::{AppendError, Appender, Committed, Labels, Layout, Querier, Row, Selection, SourceId};
use prometheus::Registry;
use storage::{Db, Options};

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

fn commit(db: &Db, (source, layout): &(SourceId, Layout), ts_ms: i64) -> Result<Committed, AppendError> {
    db.commit(&[Row {
        source: *source,
        ts_ms,
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
        let start_ms = generation * BUCKET_MS;
        for ts_ms in (start_ms..start_ms + BUCKET_MS).step_by(250) {
            assert_eq!(commit(&db, &pod, ts_ms).unwrap().stored, 2);
            assert_eq!(commit(&db, &node, ts_ms).unwrap().stored, 2);
        }
        db.compact(start_ms + BUCKET_MS).unwrap();
        db.enforce_retention(start_ms + BUCKET_MS).unwrap();
    }
    // Merged partitions last as long as their youngest bucket.
    for name in ["pod", "container"] {
        assert!((6..=22).contains(&values(&db, name)), "{} values of {name}", values(&db, name));
    }
    let now_ms = 1000 * BUCKET_MS;
    commit(&db, &node, now_ms).unwrap();
    // What was made since the last sweep is left alone by the next.
    db.enforce_retention(now_ms).unwrap();
    assert_eq!((values(&db, "pod"), values(&db, "container")), (1, 1));
}

#[test]
fn who_holds_forgotten_ids_is_told_and_asks_again() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let (idle, busy) = (pod(&db, "idle"), pod(&db, "busy"));
    commit(&db, &idle, 0).unwrap();
    commit(&db, &busy, 0).unwrap();
    for ts_ms in [20 * BUCKET_MS, 40 * BUCKET_MS] {
        commit(&db, &busy, ts_ms).unwrap();
        db.enforce_retention(ts_ms).unwrap();
    }
    let now_ms = 41 * BUCKET_MS;
    assert!(matches!(commit(&db, &idle, now_ms), Err(AppendError::Forgotten)));
    // Neither half alone is good, and a layout cannot be made of what is gone.
    assert!(matches!(commit(&db, &(idle.0, busy.1.clone()), now_ms), Err(AppendError::Forgotten)));
    assert!(matches!(commit(&db, &(busy.0, idle.1.clone()), now_ms), Err(AppendError::Forgotten)));
    assert!(matches!(db.layout(&idle.1.metrics), Err(AppendError::Forgotten)));
    assert_eq!(commit(&db, &pod(&db, "idle"), now_ms).unwrap().stored, 2);
    assert_eq!(commit(&db, &busy, now_ms).unwrap().stored, 2);
    let selection = Selection { start_ms: now_ms, end_ms: now_ms, matchers: &[] };
    let series = |db: &Db| db.series(&selection, 0).unwrap();
    assert_eq!(series(&db).len(), 4);
    let before = series(&db);
    drop(db);
    assert_eq!(series(&open(dir.path())), before);
}
