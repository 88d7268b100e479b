//! Damage to what the whole database hangs on: CURRENT, MANIFEST, write-ahead logs and the lock. It opens, holds all that
//! can be had, and what is lost is told with its time, to whoever asks for that time.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod kit;
#[path = "kit/times.rs"]
mod times;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kit::copy;
use model::{Appender, Labels, Matcher, Querier, ReadHints, Row, Selection, Timestamp};
use prometheus::Registry;
use storage::{Db, Error, Options, QuarantineRecord};
use times::times;

const BUCKET_MS: i64 = 1000;
const STEP_MS: i64 = 10;
const COLUMNS: usize = 300;
const END: Timestamp = Timestamp(8 * BUCKET_MS);

fn options(path: &Path) -> Options {
    Options { bucket_ms: BUCKET_MS as u32, memory_bytes: 8 << 20, retention_ms: 0, ..Options::new(path) }
}

fn open(path: &Path) -> Db {
    Db::open(options(path), &Registry::new()).unwrap()
}

/// Of random bits, so that a thousand rows fill a memtable.
fn value(ts: Timestamp, column: usize) -> f64 {
    f64::from_bits((ts.0 as u64 * 1009 + column as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2)
}

fn put(db: &Db, ts: Timestamp) {
    let labels: Vec<Labels> =
        (0..COLUMNS).map(|i| Labels::from_pairs([("__name__", format!("m{}", i % 9)), ("i", i.to_string())])).collect();
    let layout = db.layout(&db.metrics(&labels).unwrap()).unwrap();
    let source = db.source(&Labels::from_pairs([("job", "a")])).unwrap();
    let values: Vec<f64> = (0..COLUMNS).map(|i| value(ts, i)).collect();
    let present = [u64::MAX; COLUMNS.div_ceil(64)];
    let row = Row { source, ts, layout: &layout, values: &values, present: &present, own_times: &[], histograms: &[] };
    assert_eq!(db.commit(&[row]).unwrap().stored as usize, COLUMNS);
}

/// Samples by time, the values checked, and what a query of a range is warned of.
fn stored(
    db: &Db,
    (start, end): (Timestamp, Timestamp),
    matchers: &[Matcher],
) -> (BTreeMap<Timestamp, usize>, Vec<String>) {
    let mut found = BTreeMap::new();
    let mut sink = |batch: model::Batch| {
        for column in &batch.columns {
            let index: usize = batch.labels(column).value("i").parse().unwrap();
            for (i, &ts) in batch.timestamps.iter().enumerate().filter(|(i, _)| column.is_present(*i)) {
                assert_eq!(column.values[i].to_bits(), value(ts, index).to_bits(), "{index} at {ts}");
                *found.entry(ts).or_default() += 1;
            }
        }
        Ok(())
    };
    let parts = db.open(&Selection { start, end, matchers }, &ReadHints::default()).unwrap();
    parts.read_all(&mut sink).unwrap();
    let warnings = parts.warnings();
    (found, warnings)
}

fn whole(db: &Db, end: Timestamp) -> bool {
    let (found, warnings) = stored(db, (Timestamp::EPOCH, end - 1), &[]);
    warnings.is_empty() && found.len() as i64 == end.0 / STEP_MS && found.values().all(|n| *n == COLUMNS)
}

/// A directory as a killed process leaves it: with sorted files, and with more than one log.
fn made(dir: &Path) -> PathBuf {
    let (live, base) = (dir.join("live"), dir.join("base"));
    let db = open(&live);
    put(&db, Timestamp::EPOCH);
    // What ids stand for is in files from here on, as it is after a minute.
    db.snapshot(&dir.join("first")).unwrap();
    times(Timestamp(STEP_MS)..END, STEP_MS).for_each(|ts| put(&db, ts));
    db.close().unwrap();
    copy(&live, &base);
    assert!(names(&base, ".log").len() > 1 && !names(&base, ".sst").is_empty());
    base
}

/// The files of a directory whose names contain this, in their order.
fn names(directory: &Path, part: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().contains(part))
        .collect();
    found.sort();
    found
}

fn flip(file: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(file).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 0x10;
    fs::write(file, bytes).unwrap();
}

fn cut(file: &Path, to: impl Fn(usize) -> usize) {
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..to(bytes.len())]).unwrap();
}

fn lost(db: &Db) -> Vec<QuarantineRecord> {
    db.quarantine_records().into_iter().filter(|one| !one.is_rebuilt()).collect()
}

/// Opens a copy with this damage; nothing is lost, now or after more was stored.
#[track_caller]
fn costs_nothing(base: &Path, place: &str, damage: &dyn Fn(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    copy(base, dir.path());
    damage(dir.path());
    let db = open(dir.path());
    assert!(whole(&db, END), "{place}: {:?}", db.quarantine_records());
    put(&db, END);
    db.compact(Timestamp(END.0 * 2)).unwrap();
    drop(db);
    assert!(whole(&open(dir.path()), END + STEP_MS), "{place}");
}

#[test]
fn current_and_manifest_are_made_whole_from_each_other_and_from_their_copy() {
    let dir = tempfile::tempdir().unwrap();
    let base = made(dir.path());
    let current = |dir: &Path| dir.join("CURRENT");
    let manifest = |dir: &Path| names(dir, "MANIFEST-").pop().unwrap();
    costs_nothing(&base, "CURRENT gone", &|dir| fs::remove_file(current(dir)).unwrap());
    costs_nothing(&base, "CURRENT empty", &|dir| fs::write(current(dir), "").unwrap());
    costs_nothing(&base, "CURRENT names another", &|dir| fs::write(current(dir), "MANIFEST-000099\n").unwrap());
    for part in [0, 2, 4] {
        costs_nothing(&base, &format!("CURRENT {part}"), &|dir| flip(&current(dir), |len| len * part / 5));
        costs_nothing(&base, &format!("MANIFEST {part}"), &|dir| flip(&manifest(dir), |len| len * part / 5 + 9));
        costs_nothing(&base, &format!("MANIFEST to {part}"), &|dir| cut(&manifest(dir), |len| len * part / 5));
    }
    costs_nothing(&base, "MANIFEST gone", &|dir| fs::remove_file(manifest(dir)).unwrap());
    costs_nothing(&base, "both gone", &|dir| {
        fs::remove_file(manifest(dir)).unwrap();
        fs::remove_file(current(dir)).unwrap();
    });
    costs_nothing(&base, "the copy is damaged", &|dir| flip(&manifest(&dir.join("spare")), |len| len / 2));
    costs_nothing(&base, "neither copy is left", &|dir| {
        fs::remove_file(manifest(dir)).unwrap();
        fs::remove_dir_all(dir.join("spare")).unwrap();
    });
    costs_nothing(&base, "both copies are damaged", &|dir| {
        flip(&manifest(dir), |len| len / 2);
        flip(&manifest(&dir.join("spare")), |len| len / 2);
    });
}

#[test]
fn current_is_written_again_while_the_database_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    put(&db, Timestamp::EPOCH);
    fs::remove_file(dir.path().join("CURRENT")).unwrap();
    db.close().unwrap();
    assert!(dir.path().join("CURRENT").exists());
    drop(db);
    assert!(whole(&open(dir.path()), Timestamp(STEP_MS)));
}

/// Opens a copy with this damage to its logs. What is missing is told, and nothing else is missing; what follows is there,
/// and so is all that is stored from then on. Returns how much is missing, and from how long a time.
#[track_caller]
fn logs_damaged(base: &Path, damage: impl Fn(&Path)) -> (usize, i64) {
    let dir = tempfile::tempdir().unwrap();
    copy(base, dir.path());
    damage(dir.path());
    let db = open(dir.path());
    put(&db, END);
    let check = |db: &Db| {
        let (found, warnings) = stored(db, (Timestamp::EPOCH, END), &[]);
        let told = lost(db);
        let is_told = |ts| told.iter().any(|one| (one.from..=one.to).contains(&ts));
        let missing: Vec<Timestamp> =
            times(Timestamp::EPOCH..END + 1, STEP_MS).filter(|ts| found.get(ts) != Some(&COLUMNS)).collect();
        assert!(missing.iter().all(|ts| is_told(*ts)), "{missing:?} and {told:?}");
        // Of a log that also held what came to nothing, more is told than is missing.
        assert!(missing.is_empty() || !warnings.is_empty(), "{missing:?}");
        assert_eq!(told.is_empty(), warnings.is_empty(), "{warnings:?}");
        for ts in &missing {
            assert!(!stored(db, (*ts, *ts), &[]).1.is_empty(), "a query of {ts} is not warned");
        }
        let span = told.iter().map(|one| one.to.saturating_since(one.from)).max().unwrap_or_default();
        (missing.len(), span)
    };
    let before = check(&db);
    db.compact(Timestamp(END.0 * 2)).unwrap();
    drop(db);
    let db = open(dir.path());
    assert_eq!(check(&db), before);
    before
}

#[test]
fn what_a_damaged_log_lost_is_told_and_what_follows_is_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let base = made(dir.path());
    let rows = (END.0 / STEP_MS) as usize;
    let log = |dir: &Path, i: usize| names(dir, ".log").swap_remove(i);
    let last = names(&base, ".log").len() - 1;
    // The torn end of a record that was never written whole costs nothing.
    let torn = |dir: &Path| {
        let mut bytes = fs::read(log(dir, last)).unwrap();
        bytes.extend_from_slice(&[1, 2, 3, 4, 200, 0, 1, 7, 7]);
        fs::write(log(dir, last), bytes).unwrap();
    };
    assert_eq!(logs_damaged(&base, torn), (0, 0));
    assert_eq!(logs_damaged(&base, |_| {}), (0, 0));
    for i in [0, last] {
        for part in [1, 3, 5] {
            let (missing, span) = logs_damaged(&base, |dir| flip(&log(dir, i), |len| len * part / 6));
            // Rows of the first log are in sorted files; a flipped bit costs a write, or those of its block.
            assert!(missing <= 40 || span <= 2 * BUCKET_MS, "log {i} at {part}: {missing} over {span} ms");
            assert!(i == 0 || missing > 0, "log {i} at {part}");
        }
        let (missing, _) = logs_damaged(&base, |dir| fs::remove_file(log(dir, i)).unwrap());
        assert!(missing < rows && (i == 0 || missing > 0), "without log {i}: {missing}");
    }
    let (missing, _) = logs_damaged(&base, |dir| cut(&log(dir, last), |len| len / 2));
    assert!(missing > 0 && missing < rows / 2, "{missing}");
    let (missing, _) = logs_damaged(&base, |dir| fs::write(log(dir, last), "").unwrap());
    assert!(missing > 0 && missing < rows, "{missing}");
}

#[test]
fn no_second_database_opens_the_directory_though_its_lock_was_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    put(&db, Timestamp::EPOCH);
    fs::remove_file(dir.path().join("LOCK")).unwrap();
    let second = Db::open(options(dir.path()), &Registry::new());
    assert!(matches!(second, Err(Error::InUse { .. })), "{second:?}");
    put(&db, Timestamp(STEP_MS));
    drop(db);
    assert!(whole(&open(dir.path()), Timestamp(2 * STEP_MS)));
}

/// A flipped bit costs a block: what can be read of the file that was set aside goes back, and queries of the rest are not
/// warned.
#[test]
fn a_flipped_bit_in_rows_costs_no_more_than_a_block() {
    let dir = tempfile::tempdir().unwrap();
    let base = made(dir.path());
    // Everything into files.
    open(&base).snapshot(&dir.path().join("flushed")).unwrap();
    let flushed = dir.path().join("flushed");
    let largest = names(&flushed, ".sst").into_iter().max_by_key(|file| fs::metadata(file).unwrap().len()).unwrap();
    flip(&largest, |len| len / 2);
    let db = open(&flushed);
    db.compact(Timestamp(END.0 * 2)).unwrap();
    put(&db, END);
    assert_eq!(db.stopped(), None);
    let told = lost(&db);
    let [one] = &told[..] else { panic!("{told:?}") };
    assert!(one.family == "rows" && one.to - one.from < 2 * BUCKET_MS, "{one:?}");
    let (found, warnings) = stored(&db, (Timestamp::EPOCH, END), &[]);
    let missing: Vec<Timestamp> = times(Timestamp::EPOCH..END, STEP_MS).filter(|ts| !found.contains_key(ts)).collect();
    assert!(!missing.is_empty() && missing.len() < 60, "{missing:?}");
    assert!(missing.iter().all(|ts| (one.from..=one.to).contains(ts)), "{missing:?} {one:?}");
    assert!(warnings.len() == 1 && warnings[0].contains("rows") && warnings[0].contains("1970-01-01T"), "{warnings:?}");
    assert_eq!(stored(&db, (one.to + 1, Timestamp::MAX), &[]).1, [""; 0]);
    let others = [Matcher::equal("__name__", "other")];
    assert_eq!(stored(&db, (Timestamp::EPOCH, END), &others).1, [""; 0], "metrics that are not hurt");
    let listed = Selection { start: Timestamp::EPOCH, end: END, matchers: &[] };
    assert_eq!(db.listing_warnings(&listed), warnings);
}

/// As by a sector that cannot be read any more, or somebody's hand.
#[test]
fn files_that_go_while_the_database_is_open_end_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let base = made(dir.path());
    let count = {
        let dir = tempfile::tempdir().unwrap();
        copy(&base, dir.path());
        drop(open(dir.path()));
        names(dir.path(), ".sst").len()
    };
    for i in 0..count {
        let dir = tempfile::tempdir().unwrap();
        copy(&base, dir.path());
        let db = open(dir.path());
        let Some(file) = names(dir.path(), ".sst").into_iter().nth(i) else { continue };
        fs::remove_file(&file).unwrap();
        put(&db, END);
        db.compact(Timestamp(END.0 * 2)).unwrap();
        put(&db, END + STEP_MS);
        assert_eq!(db.stopped(), None, "{file:?}");
        drop(db);
        let db = open(dir.path());
        let (found, _) = stored(&db, (Timestamp::EPOCH, END + STEP_MS), &[]);
        assert_eq!((found.get(&END), found.get(&(END + STEP_MS))), (Some(&COLUMNS), Some(&COLUMNS)), "{file:?}");
        let told = lost(&db);
        for ts in times(Timestamp::EPOCH..END, STEP_MS).filter(|ts| !found.contains_key(ts)) {
            assert!(told.iter().any(|one| (one.from..=one.to).contains(&ts)), "{file:?}: {ts} {told:?}");
        }
    }
}

/// Several who store and one who asks, while file after file is damaged under them: nobody waits for ever, every row that
/// was stored meanwhile is there, and whoever asks has an answer or is told to ask again.
#[test]
fn storing_and_asking_go_on_while_files_are_damaged() {
    const ROWS: i64 = 150;
    let dir = tempfile::tempdir().unwrap();
    let base = made(dir.path());
    let files = names(&base, ".sst");
    // One at least is met whatever is still in memory.
    let largest = files.iter().max_by_key(|file| fs::metadata(file).unwrap().len()).unwrap();
    flip(largest, |len| len / 2);
    let db = open(&base);
    let stored_rows = std::sync::atomic::AtomicI64::new(0);
    std::thread::scope(|threads| {
        let store = || {
            for _ in 0..ROWS {
                let n = stored_rows.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let source = db.source(&Labels::from_pairs([("job", n.to_string())])).unwrap();
                let layout = db.layout(&db.metrics(&[Labels::from_pairs([("__name__", "extra")])]).unwrap()).unwrap();
                let (ts, values, present) = (END + n, &[n as f64], &[1]);
                let row = Row { source, ts, layout: &layout, values, present, own_times: &[], histograms: &[] };
                assert_eq!(db.commit(&[row]).unwrap().stored, 1);
            }
        };
        let storing = [threads.spawn(store), threads.spawn(store)];
        let db = &db;
        threads.spawn(move || {
            while storing.iter().any(|thread| !thread.is_finished()) {
                let asked =
                    db.open(&Selection { start: Timestamp::EPOCH, end: END, matchers: &[] }, &ReadHints::default());
                let answered = asked.and_then(|parts| parts.read_all(&mut |_| Ok(())));
                if let Err(error) = answered {
                    let text = model::with_causes(&error);
                    assert!(text.contains("ask again") || text.contains("Corruption"), "{text}");
                }
            }
        });
        // Files that came later may hold what is stored meanwhile.
        for (i, file) in files.iter().enumerate() {
            if file.exists() {
                flip(file, |len| len / 3);
            }
            db.compact(END + i as i64 * BUCKET_MS).unwrap();
        }
    });
    assert_eq!(db.stopped(), None);
    assert!(!db.quarantine_records().is_empty(), "nothing was met");
    let check = |db: &Db| {
        let mut found = Vec::new();
        let matchers = [Matcher::equal("__name__", "extra")];
        let mut sink = |batch: model::Batch| {
            found.extend(batch.columns.iter().flat_map(|column| column.values.iter().map(|value| *value as i64)));
            Ok(())
        };
        db.select(
            &Selection { start: END, end: Timestamp::MAX, matchers: &matchers },
            &ReadHints::default(),
            &mut sink,
        )
        .unwrap();
        found.sort_unstable();
        assert!(found.into_iter().eq(0..2 * ROWS), "{:?}", db.quarantine_records());
    };
    check(&db);
    drop(db);
    check(&open(&base));
}
