//! Data directories that earlier builds wrote open in this one, and hold what was stored: one directory for each format,
//! kept under `tests/fixtures`.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod kit;
#[path = "kit/times.rs"]
mod times;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kit::copy;
use model::histogram::Buckets;
use model::sample::histogram_mark;
use model::{Appender, Exemplar, Histogram, Labels, Matcher, Querier, ReadHints, Row, Selection, Timestamp};
use prometheus::Registry;
use storage::{Db, Options};
use times::times;

/// The formats of which there is a directory: with the second, what everything hangs on is kept twice.
const FORMATS: [&str; 2] = ["weft-2", "weft-2-copies"];
/// Where to write a directory of the format of this build, to be kept as a fixture.
const WRITE_TO: &str = "WEFT_WRITE_FIXTURE";

const BUCKET_MS: i64 = 1000;
const STEP_MS: i64 = 50;
const SOURCES: usize = 3;
const COLUMNS: usize = 12;
/// The column whose samples are native histograms, and the one of which the first half second was deleted.
const HISTOGRAMS: usize = 5;
const DELETED: usize = 7;
const DELETED_UNTIL: Timestamp = Timestamp(500);
/// Pages end here; the rows of the next bucket are in a sorted file, those after it in the write-ahead log alone.
const SEALED: Timestamp = Timestamp(3 * BUCKET_MS);
const FLUSHED: Timestamp = Timestamp(4 * BUCKET_MS);
const END: Timestamp = Timestamp(5 * BUCKET_MS);

fn open(path: &Path) -> Db {
    let options = Options { bucket_ms: BUCKET_MS as u32, memory_bytes: 8 << 20, retention_ms: 0, ..Options::new(path) };
    let db = Db::open(options, &Registry::new()).unwrap();
    db.set_exemplars_max(100).unwrap();
    db
}

fn value(ts: Timestamp, source: usize, column: usize) -> f64 {
    (ts.0 * 3 + source as i64 * 1000 + column as i64) as f64 / if column.is_multiple_of(2) { 1.0 } else { 8.0 }
}

fn histogram(ts: Timestamp) -> Histogram {
    let positive = Buckets::run(2, vec![ts.0 as f64, 1.0]);
    Histogram { schema: 3, count: ts.0 as f64 + 1.0, sum: ts.0 as f64 / 4.0, positive, ..Histogram::default() }
}

fn labels(column: usize) -> Labels {
    Labels::from_pairs([("__name__", format!("m{}", column % 4)), ("i", column.to_string())])
}

fn exemplar(ts: Timestamp) -> Exemplar {
    Exemplar { labels: Labels::from_pairs([("trace_id", format!("t{ts}"))]), value: ts.0 as f64, ts }
}

fn put(db: &Db, ts: Timestamp) {
    let names: Vec<Labels> = (0..COLUMNS).map(labels).collect();
    let metrics = db.metrics(&names).unwrap();
    let layout = db.layout(&metrics).unwrap();
    for source in 0..SOURCES {
        let id = db.source(&Labels::from_pairs([("job", format!("job{source}"))])).unwrap();
        let mut values: Vec<f64> = (0..COLUMNS).map(|i| value(ts, source, i)).collect();
        values[HISTOGRAMS] = histogram_mark();
        let row = Row {
            source: id,
            ts,
            layout: &layout,
            values: &values,
            present: &[u64::MAX],
            own_times: &[],
            histograms: &[(HISTOGRAMS as u32, histogram(ts))],
        };
        assert_eq!(db.commit(&[row]).unwrap().stored as usize, COLUMNS);
        if ts.0 % 500 == 0 {
            Appender::exemplars(db, id, &[(metrics[0], exemplar(ts))]).unwrap();
        }
    }
}

/// What every fixture holds.
fn fill(path: &Path) {
    let db = open(path);
    for ts in times(Timestamp::EPOCH..FLUSHED, STEP_MS) {
        put(&db, ts);
    }
    db.delete(&[Matcher::equal("i", DELETED.to_string())], Timestamp::EPOCH, DELETED_UNTIL - 1).unwrap();
    db.compact(SEALED + BUCKET_MS / 2).unwrap();
    // A snapshot has all that is in the log in files.
    db.snapshot(&path.join("flushed")).unwrap();
    fs::remove_dir_all(path.join("flushed")).unwrap();
    for ts in times(FLUSHED..END, STEP_MS) {
        put(&db, ts);
    }
}

/// Everything stored: by source and column, the time and the bits of each sample, those of a histogram being its own.
fn stored(db: &Db) -> BTreeMap<(usize, usize), Vec<(Timestamp, u64)>> {
    let mut found: BTreeMap<(usize, usize), Vec<(Timestamp, u64)>> = BTreeMap::new();
    let mut sink = |batch: model::Batch| {
        for column in &batch.columns {
            let labels = batch.labels(column);
            let source: usize = labels.value("job").strip_prefix("job").unwrap().parse().unwrap();
            let index: usize = labels.value("i").parse().unwrap();
            assert_eq!(labels.name(), format!("m{}", index % 4));
            let histograms: BTreeMap<u32, Arc<Histogram>> = column.histograms.iter().cloned().collect();
            for (i, &ts) in batch.timestamps.iter().enumerate().filter(|(i, _)| column.is_present(*i)) {
                let bits = match histograms.get(&(i as u32)) {
                    Some(one) => {
                        assert_eq!(**one, histogram(ts));
                        0
                    }
                    None => column.values[i].to_bits(),
                };
                found.entry((source, index)).or_default().push((ts, bits));
            }
        }
        Ok(())
    };
    db.select(
        &Selection { start: Timestamp::MIN, end: Timestamp::MAX, matchers: &[] },
        &ReadHints::default(),
        &mut sink,
    )
    .unwrap();
    found
}

fn check(db: &Db, end: Timestamp) {
    let found = stored(db);
    assert_eq!(found.len(), SOURCES * COLUMNS);
    for ((source, column), samples) in found {
        let from = if column == DELETED { DELETED_UNTIL } else { Timestamp::EPOCH };
        let bits = |ts| if column == HISTOGRAMS { 0 } else { value(ts, source, column).to_bits() };
        let expected: Vec<(Timestamp, u64)> = times(from..end, STEP_MS).map(|ts| (ts, bits(ts))).collect();
        assert_eq!(samples, expected, "source {source}, column {column}");
    }
    let all = Selection { start: Timestamp::EPOCH, end: Timestamp::MAX, matchers: &[] };
    assert_eq!(db.label_names(&all, 0).unwrap(), ["__name__", "i", "job"]);
    assert_eq!(db.label_values("job", &all, 0).unwrap(), ["job0", "job1", "job2"]);
    assert_eq!(db.series(&all, 0).unwrap().len(), SOURCES * COLUMNS);
    let selectors = [vec![Matcher::equal("__name__", "m0")]];
    let exemplars = Db::exemplars(db, &selectors, (Timestamp::EPOCH, END - 1)).unwrap();
    let expected: Vec<Exemplar> = times(Timestamp::EPOCH..END, 500).map(exemplar).collect();
    assert_eq!(exemplars.len(), SOURCES);
    assert!(exemplars.iter().all(|(_, its)| *its == expected), "{exemplars:?}");
    assert_eq!(db.quarantine_records(), []);
}

/// Opens, reads all, writes on, seals, merges, and reads all again after a restart.
fn check_directory(path: &Path) {
    let later = Timestamp(10 * BUCKET_MS);
    let db = open(path);
    check(&db, END);
    for ts in times(END..later, STEP_MS) {
        put(&db, ts);
    }
    db.compact(later + 2 * BUCKET_MS).unwrap();
    db.clean_deleted().unwrap();
    check(&db, later);
    drop(db);
    check(&open(path), later);
}

#[test]
fn directories_of_earlier_builds_open_and_hold_what_was_stored() {
    for format in FORMATS {
        let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format);
        let dir = tempfile::tempdir().unwrap();
        copy(&fixture, dir.path());
        check_directory(dir.path());
    }
}

#[test]
fn this_build_reads_what_it_writes() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    if let Some(to) = std::env::var_os(WRITE_TO) {
        let to = PathBuf::from(to);
        fs::create_dir_all(&to).unwrap();
        for file in fs::read_dir(dir.path()).unwrap().map(Result::unwrap).filter(|f| f.file_type().unwrap().is_file()) {
            let name = file.file_name().to_string_lossy().into_owned();
            // What RocksDB writes for people, and makes anew.
            if !["LOG", "OPTIONS", "LOCK"].iter().any(|other| name.starts_with(other)) {
                fs::copy(file.path(), to.join(&name)).unwrap();
            }
        }
    }
    check_directory(dir.path());
}
