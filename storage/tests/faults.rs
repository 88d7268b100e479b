//! Writes that fail: a child process opens, commits, appends series, flushes, merges, deletes, drops and closes, and its n-th
//! write (or sync, creation, rename, truncation) fails, for n = 1, 2, … until none fails. Nothing that was said to be stored
//! is ever lost, reading goes on, and the next process finds a database that is whole.
//!
//! The failing is done by `faults.c`, which a C compiler makes and the loader puts before libc: without `cc` the test says
//! that it was skipped.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test's helpers fail as the test does, and say why")]

#[path = "kit/writes.rs"]
mod writes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use model::{Appender, Labels, Matcher, Querier, ReadHints, Row, Selection, Timestamp, with_causes};
use prometheus::Registry;
use storage::{Db, Error, Options};
use writes::{append, value};

const CHILD_DIRECTORY: &str = "WEFT_STORAGE_FAULT_CHILD";
const TEST: &str = "no_failing_write_loses_what_was_stored";
const COLUMNS: usize = 70;
/// The column that is deleted half way.
const DELETED: usize = 1;
const BUCKET_MS: u32 = 10;
/// What comes series by series: columns from here on, of another source.
const SERIES: std::ops::Range<usize> = 100..104;
/// How often it comes, and how many times each has: half of them came before.
const SERIES_EVERY: i64 = 10;
const SERIES_TIMES: i64 = 20;
/// Commits of one run.
const COMMITS: i64 = 120;
/// When the deletion comes, and what it covers.
const DELETE_AT: Timestamp = Timestamp(60);
/// Every n is tried in every mode up to here; then each `STEP`-th in one mode, the next in the next: all of the several
/// hundred would take minutes.
const EACH: usize = 25;
const STEP: usize = 5;

fn open(path: &Path, registry: &Registry) -> Result<Db, Error> {
    let options = Options {
        bucket_ms: BUCKET_MS,
        memory_bytes: 8 << 20,
        retention_ms: 0,
        sync_interval: std::time::Duration::from_millis(5),
        ..Options::new(path)
    };
    Db::open(options, registry)
}

/// What came of one step of the child's.
#[derive(Debug, Default)]
struct Said {
    committed: Vec<Timestamp>,
    /// When batches of series came.
    appended: Vec<Timestamp>,
    refused: Vec<String>,
    deleted: bool,
    delete_tried: bool,
}

impl Said {
    fn of(text: &str) -> Self {
        let mut said = Self::default();
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("appended", ts)) => said.appended.push(Timestamp(ts.parse().unwrap())),
                Some(("committed", ts)) => said.committed.push(Timestamp(ts.parse().unwrap())),
                Some(("refused", why)) => said.refused.push(why.to_owned()),
                Some(("deleting", _)) => said.delete_tried = true,
                Some(("deleted", _)) => said.deleted = true,
                _ => {}
            }
        }
        said
    }

    /// Is all there that was said, and whole?
    fn check(&self, (found, series): &Stored) {
        for ts in self.appended.iter().flat_map(|ts| series_times(*ts)) {
            assert!(SERIES.into_iter().all(|i| series.contains(&(ts, i))), "series at {ts} are lost");
        }
        for ts in &self.committed {
            assert!(found.contains_key(ts), "the commit at {ts} is lost");
        }
        for (ts, columns) in found {
            let gone = self.delete_tried && *ts <= DELETE_AT && !columns.contains(&DELETED);
            assert!(gone || columns.len() == COLUMNS, "{} columns at {ts}", columns.len());
            assert!(!gone || columns.len() == COLUMNS - 1, "{} columns at {ts}", columns.len());
            assert!(gone || !self.deleted || *ts > DELETE_AT, "what was deleted at {ts} is back");
        }
    }
}

/// What is there: times and columns of scrapes, and of series.
type Stored = (BTreeMap<Timestamp, Vec<usize>>, BTreeSet<(Timestamp, usize)>);

/// The times of the batch of series that comes then: all of them are over.
fn series_times(ts: Timestamp) -> impl Iterator<Item = Timestamp> {
    let end = ts - 2 * i64::from(BUCKET_MS);
    (1..=SERIES_TIMES).rev().map(move |before| end - before)
}

/// Times and columns, the values checked.
fn stored(db: &Db) -> Stored {
    let mut found: BTreeMap<Timestamp, Vec<usize>> = BTreeMap::new();
    let mut series = BTreeSet::new();
    let mut sink = |batch: model::Batch| {
        for column in &batch.columns {
            let labels = batch.labels(column);
            let index: usize = labels.value("i").parse().unwrap();
            for (i, &ts) in batch.timestamps.iter().enumerate().filter(|(i, _)| column.is_present(*i)) {
                assert_eq!(column.values[i].to_bits(), value(ts, index).to_bits());
                if SERIES.contains(&index) {
                    assert!(series.insert((ts, index)), "series {index} is twice at {ts}");
                    continue;
                }
                let columns = found.entry(ts).or_default();
                assert!(!columns.contains(&index), "column {index} is twice at {ts}");
                columns.push(index);
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
    (found, series)
}

fn names() -> Vec<Labels> {
    (0..COLUMNS).map(|i| Labels::from_pairs([("__name__", format!("m{}", i % 7)), ("i", i.to_string())])).collect()
}

/// The child: whatever fails is said, and the next thing is tried.
fn child(path: &Path) {
    let db = match open(path, &Registry::new()) {
        Ok(db) => db,
        Err(error) => return println!("refused open: {:?}", with_causes(&error)),
    };
    let mut said = Said::default();
    let labels = names();
    for ts in (1..=COMMITS).map(Timestamp) {
        match commit(&db, &labels, ts) {
            Ok(()) => {
                println!("committed {ts}");
                said.committed.push(ts);
            }
            Err(error) => println!("refused commit {ts}: {:?}", with_causes(&*error)),
        }
        let tried = |what: &str, result: Result<(), Error>| match result {
            Ok(()) => println!("{what} {ts}"),
            Err(error) => println!("refused {what} {ts}: {:?}", with_causes(&error)),
        };
        if ts == DELETE_AT {
            println!("deleting {ts}");
            said.delete_tried = true;
            tried("deleted", db.delete(&[Matcher::equal("i", DELETED.to_string())], Timestamp::MIN, DELETE_AT));
        }
        if ts.0 % 23 == 0 {
            tried("sealed", db.compact(ts).map(|_| ()));
        }
        if ts.0 % SERIES_EVERY == 0 {
            match append(&db, "b", SERIES, &series_times(ts).collect::<Vec<_>>()) {
                Ok(()) => {
                    println!("appended {ts}");
                    said.appended.push(ts);
                }
                Err(error) => println!("refused series {ts}: {:?}", with_causes(&error)),
            }
        }
        if ts.0 % 40 == 0 {
            tried("cleaned", db.clean_deleted());
            tried("retained", db.enforce_retention(ts).map(|_| ()));
        }
    }
    said.check(&stored(&db));
    match db.close() {
        Ok(()) => println!("closed"),
        Err(error) => println!("refused close: {:?}", with_causes(&error)),
    }
}

fn commit(db: &Db, labels: &[Labels], ts: Timestamp) -> Result<(), Box<dyn std::error::Error>> {
    let source = db.source(&Labels::from_pairs([("job", "a")]))?;
    let layout = db.layout(&db.metrics(labels)?)?;
    let values: Vec<f64> = (0..COLUMNS).map(|i| value(ts, i)).collect();
    let present = [u64::MAX; COLUMNS.div_ceil(64)];
    let row = Row { source, ts, layout: &layout, values: &values, present: &present, own_times: &[], histograms: &[] };
    let committed = db.commit(&[row])?;
    assert_eq!(committed.stored as usize, COLUMNS);
    Ok(())
}

/// The library that lets writes fail.
fn shim(dir: &Path) -> Option<PathBuf> {
    let library = dir.join("faults.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults.c");
    let made =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").status();
    match made {
        Ok(status) => {
            assert!(status.success(), "faults.c does not compile");
            Some(library)
        }
        Err(error) => {
            println!("skipped: there is no C compiler named cc: {error}");
            None
        }
    }
}

/// Which error, and whether once or from then on.
#[derive(Clone, Copy, Debug)]
struct Mode {
    errno: i32,
    forever: bool,
}

const MODES: [Mode; 4] = [
    Mode { errno: 28, forever: false },
    Mode { errno: 5, forever: true },
    Mode { errno: 5, forever: false },
    Mode { errno: 28, forever: true },
];

/// Runs a child whose n-th write fails; what failed, if anything did.
fn run(dir: &Path, shim: &Path, n: usize, mode: Mode) -> (Output, Option<String>) {
    let (data, report) = (dir.join("data"), dir.join("report"));
    let _ = std::fs::remove_dir_all(&data);
    let _ = std::fs::remove_file(&report);
    std::fs::create_dir(&data).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", TEST, "--nocapture"]).env(CHILD_DIRECTORY, &data).env("LD_PRELOAD", shim);
    command.env("WEFT_FAULT_DIR", &data).env("WEFT_FAULT_REPORT", &report);
    command.env("WEFT_FAULT_AT", n.to_string()).env("WEFT_FAULT_ERRNO", mode.errno.to_string());
    if mode.forever {
        command.env("WEFT_FAULT_FOREVER", "1");
    }
    let output = command.output().unwrap();
    (output, std::fs::read_to_string(&report).ok())
}

/// The next process: finds all, and nothing that makes no sense; it writes, seals, and finds all again.
fn check_after(data: &Path, said: &Said) {
    let registry = Registry::new();
    let db = open(data, &registry).unwrap();
    said.check(&stored(&db));
    commit(&db, &names(), Timestamp(COMMITS + 1)).unwrap();
    db.compact(Timestamp(COMMITS * 100)).unwrap();
    let found = stored(&db);
    said.check(&found);
    assert!(found.0.contains_key(&Timestamp(COMMITS + 1)));
    let families = registry.gather();
    let corrupt = families.iter().find(|family| family.name() == "weft_storage_corrupt_values_total").unwrap();
    assert!(corrupt.get_metric()[0].get_counter().get_value() == 0.0, "something makes no sense");
}

/// One n in one mode; says whether anything failed.
fn check(dir: &Path, shim: &Path, n: usize, mode: Mode) -> bool {
    let (output, failed) = run(dir, shim, n, mode);
    let out = String::from_utf8_lossy(&output.stdout);
    let place = format!("write {n}, {mode:?}, {failed:?}\n{out}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the child ended with {}: {place}", output.status);
    let said = Said::of(&out);
    if failed.is_none() {
        assert!(said.refused.is_empty() && out.contains("closed"), "nothing failed, and yet: {place}");
    }
    // The end of the log that failed is not written again; why, an earlier line has said. And where a file failed in the
    // background, RocksDB says no more than that it did: then its own log is named.
    let named = ["No space left on device", "Input/output error"];
    let log = dir.join("data/LOG");
    let again = |refused: &str| refused.starts_with("close") && said.refused.len() > 1;
    for refused in said.refused.iter().filter(|refused| !again(refused)) {
        let logged =
            || std::fs::read_to_string(&log).unwrap().lines().any(|line| named.iter().any(|name| line.contains(name)));
        let reason =
            named.iter().any(|name| refused.contains(name)) || (refused.contains(log.to_str().unwrap()) && logged());
        assert!(reason, "{refused:?} does not say why: {place}");
    }
    let checked = std::panic::catch_unwind(|| check_after(&dir.join("data"), &said));
    assert!(checked.is_ok(), "{place}");
    failed.is_some()
}

#[test]
fn no_failing_write_loses_what_was_stored() {
    if let Some(path) = std::env::var_os(CHILD_DIRECTORY) {
        return child(path.as_ref());
    }
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let Some(shim) = shim(dir.path()) else { return };
    let mut n = 1;
    let mut tried = 0;
    'all: loop {
        let modes = if n <= EACH { &MODES[..] } else { std::slice::from_ref(&MODES[tried % MODES.len()]) };
        for mode in modes {
            tried += 1;
            if !check(dir.path(), &shim, n, *mode) {
                break 'all;
            }
        }
        n += if n < EACH { 1 } else { STEP };
    }
    assert!(n > 1, "the library that lets writes fail has no effect");
    println!("{tried} runs, until write {n} of a run did not come");
}

const CHILD_READ_ONLY: &str = "WEFT_STORAGE_READ_ONLY_CHILD";
const READ_ONLY_TEST: &str = "a_directory_that_was_read_only_is_written_again";

/// Commits while the directory can be written, cannot, and can again; without a restart.
fn read_only_child(data: &Path, gate: &Path) {
    let db = open(data, &Registry::new()).unwrap();
    let names = names();
    commit(&db, &names, Timestamp(1)).unwrap();
    std::fs::write(gate, "").unwrap();
    let error = commit(&db, &names, Timestamp(2)).unwrap_err();
    assert!(with_causes(&*error).contains("Read-only file system"), "{}", with_causes(&*error));
    db.look_after();
    assert!(db.stopped().is_some() && commit(&db, &names, Timestamp(3)).is_err());
    assert!(stored(&db).0.contains_key(&Timestamp(1)), "reading goes on");
    std::fs::remove_file(gate).unwrap();
    db.look_after();
    assert_eq!(db.stopped(), None);
    commit(&db, &names, Timestamp(4)).unwrap();
    let found: Vec<Timestamp> = stored(&db).0.into_keys().collect();
    assert!(found.starts_with(&[Timestamp(1)]) && found.ends_with(&[Timestamp(4)]) && found.len() <= 4, "{found:?}");
}

#[test]
fn a_directory_that_was_read_only_is_written_again() {
    if let Some(path) = std::env::var_os(CHILD_READ_ONLY) {
        let data = Path::new(&path);
        return read_only_child(data, &data.with_extension("gate"));
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(shim) = shim(dir.path()) else { return };
    let data = dir.path().join("data");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", READ_ONLY_TEST, "--nocapture"]).env(CHILD_READ_ONLY, &data).env("LD_PRELOAD", shim);
    command.env("WEFT_FAULT_DIR", &data).env("WEFT_FAULT_WHILE", data.with_extension("gate"));
    let output = command.env("WEFT_FAULT_ERRNO", "30").output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
