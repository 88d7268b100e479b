//! Files that are damaged, cut or gone: the database opens, says what is hurt and serves the rest; with its files whole
//! again it would hold all.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

#[path = "kit/times.rs"]
mod times;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use model::{Appender, Labels, Querier, ReadHints, Row, Selection, Timestamp};
use prometheus::Registry;
use storage::{Db, Options};
use times::times;

const BUCKET_MS: i64 = 1000;
const STEP_MS: i64 = 20;
const SOURCES: usize = 3;
const FAMILIES: [&str; 11] = [
    "default",
    "meta",
    "rows",
    "pages",
    "histograms",
    "exemplars",
    "metrics",
    "sources",
    "layouts",
    "postings",
    "copies",
];
const COLUMNS: usize = 200;
/// What is sealed, and where the rows end.
const SEALED: Timestamp = Timestamp(5 * BUCKET_MS);
const END: Timestamp = Timestamp(8 * BUCKET_MS);

fn open(path: &Path) -> Db {
    let options = Options { bucket_ms: BUCKET_MS as u32, memory_bytes: 8 << 20, retention_ms: 0, ..Options::new(path) };
    Db::open(options, &Registry::new()).unwrap()
}

fn value(ts: Timestamp, source: usize, column: usize) -> f64 {
    f64::from_bits((ts.0 as u64 * 1009 + source as u64 * 31 + column as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2)
}

fn put(db: &Db, source: usize, ts: Timestamp) {
    let labels: Vec<Labels> =
        (0..COLUMNS).map(|i| Labels::from_pairs([("__name__", format!("m{}", i % 9)), ("i", i.to_string())])).collect();
    let layout = db.layout(&db.metrics(&labels).unwrap()).unwrap();
    let id = db.source(&Labels::from_pairs([("job", source.to_string())])).unwrap();
    let values: Vec<f64> = (0..COLUMNS).map(|i| value(ts, source, i)).collect();
    let present = [u64::MAX; COLUMNS.div_ceil(64)];
    let row =
        Row { source: id, ts, layout: &layout, values: &values, present: &present, own_times: &[], histograms: &[] };
    assert_eq!(db.commit(&[row]).unwrap().stored as usize, COLUMNS);
}

/// Samples by source and time, the values checked.
fn stored(db: &Db, end: Timestamp) -> Result<BTreeMap<(usize, Timestamp), usize>, model::QuerierError> {
    let mut found = BTreeMap::new();
    let mut sink = |batch: model::Batch| {
        for column in &batch.columns {
            let labels = batch.labels(column);
            let index: usize = labels.value("i").parse().unwrap();
            let source: usize = labels.value("job").parse().unwrap();
            for (i, &ts) in batch.timestamps.iter().enumerate().filter(|(i, _)| column.is_present(*i)) {
                assert_eq!(column.values[i].to_bits(), value(ts, source, index).to_bits(), "{source} {index} {ts}");
                *found.entry((source, ts)).or_default() += 1;
            }
        }
        Ok(())
    };
    db.select(&Selection { start: Timestamp::EPOCH, end, matchers: &[] }, &ReadHints::default(), &mut sink)?;
    Ok(found)
}

/// A database whose every column family has files: pages of five buckets, rows of three.
fn made() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    for ts in times(Timestamp::EPOCH..END, STEP_MS) {
        (0..SOURCES).for_each(|source| put(&db, source, ts));
    }
    db.compact(SEALED + 100).unwrap();
    // A snapshot has all that is in the log in files.
    db.snapshot(&dir.path().join("whole")).unwrap();
    dir
}

/// The files of a column family, largest first.
fn files(path: &Path, family: &str) -> Vec<PathBuf> {
    let descriptors = FAMILIES.iter().map(|name| {
        let mut options = rocksdb::Options::default();
        if *name == "postings" {
            options.set_merge_operator_associative("union", |_, _, _| None);
        }
        rocksdb::ColumnFamilyDescriptor::new(*name, options)
    });
    let db =
        rocksdb::DB::open_cf_descriptors_read_only(&rocksdb::Options::default(), path, descriptors, false).unwrap();
    let mut files = db.live_files().unwrap();
    files.retain(|file| file.column_family_name == family);
    files.sort_by_key(|file| std::cmp::Reverse(file.size));
    files.iter().map(|file| path.join(file.name.trim_start_matches('/'))).collect()
}

fn flip(file: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(file).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 0x55;
    fs::write(file, bytes).unwrap();
}

fn copy(from: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    // Links would share the damage.
    for file in fs::read_dir(from).unwrap().map(Result::unwrap).filter(|file| file.file_type().unwrap().is_file()) {
        fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    dir
}

/// Opens a copy in which a file is damaged; what is still found, and what is said.
#[track_caller]
fn damaged(made: &Path, family: &str, damage: impl Fn(&Path)) -> (tempfile::TempDir, Db) {
    let dir = copy(&made.join("whole"));
    let files = files(dir.path(), family);
    damage(files.first().expect("there is a file"));
    let db = open(dir.path());
    (dir, db)
}

/// Removes all files of two families.
fn lose(path: &Path, families: [&str; 2]) {
    families.map(|family| files(path, family)).iter().flatten().for_each(|file| fs::remove_file(file).unwrap());
}

/// What is done to a file.
type Damaging<'d> = &'d dyn Fn(&Path);

fn all() -> usize {
    SOURCES * (END.0 / STEP_MS) as usize
}

/// What cannot even be opened is set aside: the rest is there, and goes on.
#[test]
fn files_without_a_sound_end_are_set_aside() {
    let made = made();
    let cut = |file: &Path| fs::write(file, &fs::read(file).unwrap()[..100]).unwrap();
    let gone = |file: &Path| fs::remove_file(file).unwrap();
    let end = |file: &Path| flip(file, |len| len - 3);
    let index = |file: &Path| flip(file, |len| len - 30);
    let ways: [(&str, Damaging<'_>); 4] = [("cut", &cut), ("gone", &gone), ("end", &end), ("footer", &index)];
    for family in ["rows", "pages"] {
        for (way, damage) in ways {
            let (dir, db) = damaged(made.path(), family, damage);
            let place = format!("{family} {way}: {:?}", db.quarantine_records());
            let told = db.quarantine_records();
            assert_eq!(told.len(), 1, "{place}");
            assert_eq!(told[0].family, family, "{place}");
            let (from, to) = if family == "rows" { (SEALED, END - 1) } else { (Timestamp::EPOCH, SEALED - 1) };
            assert_eq!((told[0].from, told[0].to), (from, to), "{place}");
            assert_eq!(told[0].metrics, (0..9).map(|i| format!("m{i}")).collect::<Vec<_>>(), "{place}");
            let found = stored(&db, END).unwrap();
            let lost = ((to + 1 - from) / STEP_MS) as usize * SOURCES;
            assert_eq!(found.len(), all() - lost, "{place}");
            assert!(found.keys().all(|(_, ts)| *ts < from || *ts > to), "{place}");
            assert!(found.values().all(|n| *n == COLUMNS), "{place}");
            if way != "gone" {
                assert!(dir.path().join("quarantine").join(&told[0].place).exists(), "{place}");
            }
            // It is written to and sealed as before, and still tells what is lost after a start.
            (0..SOURCES).for_each(|source| put(&db, source, END));
            db.compact(END + 100).unwrap();
            drop(db);
            let db = open(dir.path());
            assert_eq!(db.quarantine_records(), told, "{place}");
            assert_eq!(stored(&db, END).unwrap().len(), all() - lost + SOURCES, "{place}");
        }
    }
}

/// A block that cannot be read hides what is in it, and not what is beside it.
#[test]
fn damaged_blocks_are_passed_over() {
    let made = made();
    for family in ["rows", "pages"] {
        let (_dir, db) = damaged(made.path(), family, |file| flip(file, |len| len / 3));
        assert_eq!(db.quarantine_records(), [], "nothing was read yet");
        let found = stored(&db, END).unwrap();
        let told = db.quarantine_records();
        assert!(!told.is_empty(), "{family}");
        assert!(told.iter().all(|one| one.family == family && one.to < Timestamp::MAX), "{told:?}");
        let whole = found.values().filter(|n| **n == COLUMNS).count();
        assert!(whole < all() && whole >= all() / 2, "{family}: {whole} of {} are whole", all());
        // What was not said to be hurt is there.
        for ts in times(Timestamp::EPOCH..END, STEP_MS) {
            let hurt = told.iter().any(|one| (one.from..=one.to).contains(&ts));
            assert!(hurt || (0..SOURCES).all(|source| found.get(&(source, ts)) == Some(&COLUMNS)), "{family}: {ts}");
        }
    }
}

/// A compaction that meets a damaged file would stop all writing: the file is set aside at once, and writing goes on.
#[test]
fn a_compaction_that_meets_damage_does_not_stop_writing() {
    let made = made();
    let (dir, db) = damaged(made.path(), "rows", |file| flip(file, |len| len / 2));
    let before = stored(&db, SEALED - 1).unwrap();
    // Of three buckets in the file one goes, so that the rest of it is written anew.
    db.compact(SEALED + BUCKET_MS + 100).unwrap();
    (0..SOURCES).for_each(|source| put(&db, source, END));
    assert_eq!(db.stopped(), None);
    assert!(
        db.quarantine_records().iter().any(|one| one.place.ends_with(".sst") && one.family == "rows"),
        "{:?}",
        db.quarantine_records()
    );
    assert!(
        fs::read_dir(dir.path().join("quarantine"))
            .unwrap()
            .any(|file| { file.unwrap().file_name().to_string_lossy().ends_with(".sst") })
    );
    assert_eq!(stored(&db, SEALED - 1).unwrap(), before);
    db.compact(END + 10 * BUCKET_MS).unwrap();
    let check = |db: &Db| {
        let found = stored(db, END).unwrap();
        assert!((0..SOURCES).all(|source| found.get(&(source, END)) == Some(&COLUMNS)));
    };
    check(&db);
    drop(db);
    check(&open(dir.path()));
}

/// A file of the index that is gone or cannot be opened costs nothing: what ids stand for is kept twice, and postings follow
/// from what is stored. What is written afterwards has the ids it had.
#[test]
fn a_lost_file_of_the_index_is_made_anew() {
    let made = made();
    let cut = |file: &Path| fs::write(file, &fs::read(file).unwrap()[..100]).unwrap();
    let gone = |file: &Path| fs::remove_file(file).unwrap();
    let ways: [(&str, Damaging<'_>); 2] = [("cut", &cut), ("gone", &gone)];
    for family in ["sources", "metrics", "layouts", "postings", "copies", "meta"] {
        for (way, damage) in ways {
            let (dir, db) = damaged(made.path(), family, damage);
            let told = db.quarantine_records();
            assert!(told.len() == 1 && told[0].family == family && told[0].is_rebuilt(), "{family} {way}: {told:?}");
            assert_eq!(stored(&db, END).unwrap().len(), all(), "{family} {way}");
            // The other way round than before.
            (0..SOURCES).rev().for_each(|source| put(&db, source, END));
            let check = |db: &Db| {
                let found = stored(db, END).unwrap();
                assert_eq!(found.len(), all() + SOURCES, "{family} {way}");
                assert!(found.values().all(|n| *n == COLUMNS), "{family} {way}");
                assert_eq!(series(db), SOURCES * COLUMNS, "{family} {way}");
            };
            check(&db);
            db.compact(END + 10 * BUCKET_MS).unwrap();
            check(&db);
            drop(db);
            check(&open(dir.path()));
        }
    }
}

fn series(db: &Db) -> usize {
    db.series(&Selection { start: Timestamp::EPOCH, end: END, matchers: &[] }, 0).unwrap().len()
}

/// Without a copy, as when both are damaged: the ids are not given to others, and what was stored under them never shows
/// under another name. What is written from then on is there.
#[test]
fn lost_names_are_not_given_to_others() {
    let made = made();
    for family in ["sources", "metrics", "layouts"] {
        let dir = copy(&made.path().join("whole"));
        lose(dir.path(), [family, "copies"]);
        let db = open(dir.path());
        let told: Vec<String> =
            db.quarantine_records().into_iter().filter(|one| !one.is_rebuilt()).map(|one| one.family).collect();
        assert!(told.contains(&family.to_owned()), "{family}: {:?}", db.quarantine_records());
        // The other way round than before.
        (0..SOURCES).rev().for_each(|source| put(&db, source, END));
        let found = stored(&db, END).unwrap();
        for source in 0..SOURCES {
            assert_eq!(found.get(&(source, END)), Some(&COLUMNS), "{family}: {found:?}");
        }
    }
}

/// Without `meta` and its copy the length of a bucket is known from a text file, whatever is asked for.
#[test]
fn a_lost_meta_is_made_anew() {
    let made = made();
    let dir = copy(&made.path().join("whole"));
    drop(open(dir.path()));
    lose(dir.path(), ["meta", "copies"]);
    let options = || Options { bucket_ms: 777, memory_bytes: 8 << 20, retention_ms: 0, ..Options::new(dir.path()) };
    let db = Db::open(options(), &Registry::new()).unwrap();
    assert!(db.quarantine_records().iter().any(|one| one.family == "meta"));
    assert_eq!(stored(&db, END).unwrap().len(), all());
    // Into files with them, so that they can be lost again.
    db.snapshot(&dir.path().join("flushed")).unwrap();
    drop(db);
    fs::remove_file(dir.path().join("FORMAT")).unwrap();
    lose(dir.path(), ["meta", "copies"]);
    let error = Db::open(options(), &Registry::new()).unwrap_err().to_string();
    assert!(error.contains("meta being lost"), "{error}");
}

/// Wherever a bit flips in any file of the index: all is there, read at a start, read by a query, by a commit or by a
/// compaction, and it stays there.
#[test]
fn a_damaged_index_costs_nothing() {
    let made = made();
    for family in ["metrics", "sources", "layouts", "postings", "meta", "copies"] {
        for part in 0..4 {
            let dir = copy(&made.path().join("whole"));
            let file = files(dir.path(), family).remove(0);
            flip(&file, |len| len * part / 4 + 3);
            let place = format!("{family} {part}");
            let db = open(dir.path());
            (0..SOURCES).for_each(|source| put(&db, source, END));
            // What the query meets, the next commit sets aside.
            let _ = stored(&db, END);
            (0..SOURCES).for_each(|source| put(&db, source, END + STEP_MS));
            let check = |db: &Db| {
                let found = stored(db, END + STEP_MS).unwrap();
                assert_eq!(found.len(), all() + 2 * SOURCES, "{place}: {:?}", db.quarantine_records());
                assert!(found.values().all(|n| *n == COLUMNS), "{place}");
                assert_eq!(series(db), SOURCES * COLUMNS, "{place}");
                assert!(
                    db.quarantine_records().iter().all(storage::QuarantineRecord::is_rebuilt),
                    "{place}: {:?}",
                    db.quarantine_records()
                );
                assert_eq!(db.stopped(), None, "{place}");
            };
            check(&db);
            db.compact(END + 10 * BUCKET_MS).unwrap();
            db.enforce_retention(END).unwrap();
            db.stats(10).unwrap();
            check(&db);
            drop(db);
            check(&open(dir.path()));
        }
    }
}

/// A sample that is a native histogram is none where that is lost, and never a float.
#[test]
fn lost_histograms_are_no_samples() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir.path().join("live"));
    let source = db.source(&Labels::from_pairs([("job", "a")])).unwrap();
    let names = ["plain", "spread"].map(|name| Labels::from_pairs([("__name__", name)]));
    let layout = db.layout(&db.metrics(&names).unwrap()).unwrap();
    for ts in (0..5).map(Timestamp) {
        let histogram = model::Histogram { count: 1.0, zero_count: 1.0, ..model::Histogram::default() };
        let values = [1.0, model::sample::histogram_mark()];
        let row = Row {
            source,
            ts,
            layout: &layout,
            values: &values,
            present: &[3],
            own_times: &[],
            histograms: &[(1, histogram)],
        };
        assert_eq!(db.commit(&[row]).unwrap().stored, 2);
    }
    let path = dir.path().join("files");
    db.snapshot(&path).unwrap();
    fs::remove_file(&files(&path, "histograms")[0]).unwrap();
    for _ in 0..2 {
        let db = open(&path);
        let mut found = Vec::new();
        let mut sink = |batch: model::Batch| {
            for column in &batch.columns {
                let there = (0..batch.timestamps.len()).filter(|i| column.is_present(*i)).count();
                found.push((column.metric.name().to_owned(), there));
            }
            Ok(())
        };
        db.select(
            &Selection { start: Timestamp::EPOCH, end: Timestamp(9), matchers: &[] },
            &ReadHints::default(),
            &mut sink,
        )
        .unwrap();
        found.retain(|(_, there)| *there > 0);
        assert_eq!(found, [("plain".to_owned(), 5)]);
        assert!(db.quarantine_records().iter().any(|one| one.family == "histograms"), "{:?}", db.quarantine_records());
    }
}
