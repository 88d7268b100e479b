//! A data directory that goes away while it is open, and comes back, or another in its place.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::fs;
use std::path::Path;

use model::{Appender, Labels, Querier, ReadHints, Row, Selection, Timestamp, with_causes};
use prometheus::Registry;
use storage::{Db, Options};

fn open(path: &Path) -> Db {
    Db::open(Options { memory_bytes: 8 << 20, retention_ms: 0, ..Options::new(path) }, &Registry::new()).unwrap()
}

fn commit(db: &Db, ts: Timestamp) -> Result<(), String> {
    let told = |error| with_causes(&error);
    let source = db.source(&Labels::from_pairs([("job", "j")])).map_err(told)?;
    let metrics = db.metrics(&[Labels::from_pairs([("__name__", "m")])]).map_err(told)?;
    let layout = db.layout(&metrics).map_err(told)?;
    let (values, present) = ([1.0], [1]);
    let row = Row { source, ts, layout: &layout, values: &values, present: &present, own_times: &[], histograms: &[] };
    db.commit(&[row]).map(drop).map_err(told)
}

fn times(db: &Db) -> Vec<Timestamp> {
    let mut times = Vec::new();
    let selection = Selection { start: Timestamp::EPOCH, end: Timestamp(i64::MAX / 4), matchers: &[] };
    db.select(&selection, &ReadHints::default(), &mut |batch| {
        times.extend(batch.timestamps);
        Ok(())
    })
    .unwrap();
    times
}

#[test]
fn a_directory_that_went_away_and_came_back() {
    let dir = tempfile::tempdir().unwrap();
    let (path, elsewhere) = (dir.path().join("data"), dir.path().join("elsewhere"));
    let db = open(&path);
    commit(&db, Timestamp(1)).unwrap();
    db.look_after();
    assert_eq!(db.stopped(), None);
    fs::rename(&path, &elsewhere).unwrap();
    db.look_after();
    for _ in 0..2 {
        let error = commit(&db, Timestamp(2)).unwrap_err();
        assert!(error.contains("was removed or is not mounted") && error.contains("data"), "{error}");
        assert_eq!(times(&db), [Timestamp(1)], "what is open can be read");
    }
    assert!(db.stopped().is_some());
    assert!(!path.exists(), "nothing is made in its place");
    // An empty directory, as that under a mount, is not taken for it.
    fs::create_dir(&path).unwrap();
    db.look_after();
    assert!(commit(&db, Timestamp(3)).is_err() && fs::read_dir(&path).unwrap().next().is_none());
    fs::remove_dir(&path).unwrap();
    fs::rename(&elsewhere, &path).unwrap();
    db.look_after();
    assert_eq!(db.stopped(), None);
    commit(&db, Timestamp(4)).unwrap();
    assert_eq!(times(&db), [1, 4].map(Timestamp));
    drop(db);
    assert_eq!(times(&open(&path)), [1, 4].map(Timestamp));
}

/// A database in `data` that has noticed that a copy of an earlier time lies in its place; `before` is done to it before that.
fn replaced_by_a_copy(folder: &Path, before: impl FnOnce(&Db)) -> Db {
    let (path, copy) = (folder.join("data"), folder.join("copy"));
    let db = open(&path);
    commit(&db, Timestamp(1)).unwrap();
    db.snapshot(&copy).unwrap();
    commit(&db, Timestamp(2)).unwrap();
    before(&db);
    fs::rename(&path, folder.join("elsewhere")).unwrap();
    fs::rename(&copy, &path).unwrap();
    db.look_after();
    db
}

#[test]
fn another_database_in_its_place_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let db = replaced_by_a_copy(dir.path(), |_| {});
    assert_eq!(db.stopped(), None);
    assert_eq!(times(&db), [Timestamp(1)], "restored from a copy");
    commit(&db, Timestamp(3)).unwrap();
    drop(db);
    assert_eq!(times(&open(&path)), [1, 3].map(Timestamp));
}

#[test]
fn the_database_that_was_left_does_nothing_to_a_copy_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    // A snapshot leaves the database with files that the copy knows nothing of.
    let db = replaced_by_a_copy(dir.path(), |db| db.snapshot(&dir.path().join("later")).unwrap());
    assert_eq!((db.stopped(), db.quarantine_records()), (None, vec![]));
    assert_eq!(times(&db), [Timestamp(1)]);
    drop(db);
    let db = open(&path);
    assert_eq!((times(&db), db.quarantine_records()), (vec![Timestamp(1)], vec![]));
}
