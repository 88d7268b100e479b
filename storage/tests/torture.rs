//! Every kind of damage to every file of a data directory, at random: a bit flipped, cut short, emptied, gone, swapped with
//! another, before the directory is opened or while it is open. It opens, it stores, it never answers a wrong value, and
//! what it says is lost is what is lost.
//!
//! A run of the tests goes through a fixed number of rounds from a fixed seed. `WEFT_TORTURE_SECONDS` goes on for so long
//! from a seed of its own, which is printed; `WEFT_TORTURE_SEED` is one round that failed.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test's helpers fail as the test does, and say why")]

mod kit;
#[path = "kit/times.rs"]
mod times;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kit::copy;
use model::sample::histogram_mark;
use model::{Appender, Histogram, Labels, Querier, ReadHints, Row, Selection, Timestamp, with_causes};
use prometheus::Registry;
use storage::{Db, Options, QuarantineRecord};
use times::times;

const BUCKET_MS: i64 = 1000;
const STEP_MS: i64 = 50;
const SOURCES: usize = 3;
const COLUMNS: usize = 60;
/// The column whose samples are native histograms, each with its number as the count.
const HISTOGRAMS: usize = 7;
/// What is sealed; what is in sorted files as rows; where the write-ahead log ends.
const SEALED: Timestamp = Timestamp(4 * BUCKET_MS);
const FLUSHED: Timestamp = Timestamp(6 * BUCKET_MS);
const END: Timestamp = Timestamp(9 * BUCKET_MS);
/// Rounds without `WEFT_TORTURE_SECONDS`.
const ROUNDS: u64 = 60;

fn options(path: &Path) -> Options {
    Options {
        bucket_ms: BUCKET_MS as u32,
        memory_bytes: 8 << 20,
        retention_ms: 0,
        sync_interval: Duration::from_millis(20),
        ..Options::new(path)
    }
}

/// A number of its own for every sample.
fn serial(ts: Timestamp, source: usize, column: usize) -> f64 {
    ((ts.0 / STEP_MS * SOURCES as i64 + source as i64) * COLUMNS as i64 + column as i64) as f64
}

fn put(db: &Db, ts: Timestamp) -> Result<(), model::AppendError> {
    let labels: Vec<Labels> =
        (0..COLUMNS).map(|i| Labels::from_pairs([("__name__", format!("m{}", i % 9)), ("i", i.to_string())])).collect();
    let layout = db.layout(&db.metrics(&labels)?)?;
    for source in 0..SOURCES {
        let id = db.source(&Labels::from_pairs([("job", source.to_string())]))?;
        let mut values: Vec<f64> = (0..COLUMNS).map(|i| serial(ts, source, i)).collect();
        let count = std::mem::replace(&mut values[HISTOGRAMS], histogram_mark());
        let histogram = Histogram { count, zero_count: count, zero_threshold: 1.0, ..Histogram::default() };
        let present = [u64::MAX; COLUMNS.div_ceil(64)];
        let (own_times, histograms) = (&[], &[(HISTOGRAMS as u32, histogram)]);
        let row = Row { source: id, ts, layout: &layout, values: &values, present: &present, own_times, histograms };
        assert_eq!(db.commit(&[row])?.stored as usize, COLUMNS);
    }
    Ok(())
}

/// How many samples there are of each moment, each value checked, and what a query is warned of.
fn stored(db: &Db) -> Result<(BTreeMap<Timestamp, usize>, Vec<String>), model::QuerierError> {
    let mut found: BTreeMap<Timestamp, usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut sink = |batch: model::Batch| {
        for column in &batch.columns {
            let labels = batch.labels(column);
            let index: usize = labels.value("i").parse().unwrap();
            let source: usize = labels.value("job").parse().unwrap();
            assert_eq!(labels.name(), format!("m{}", index % 9));
            for (i, &ts) in batch.timestamps.iter().enumerate().filter(|(i, _)| column.is_present(*i)) {
                let histogram = column.histograms.iter().find(|(slot, _)| *slot as usize == i);
                let value = histogram.map_or(column.values[i], |(_, histogram)| histogram.count);
                assert_eq!(histogram.is_some(), index == HISTOGRAMS, "source {source}, column {index} at {ts}");
                assert_eq!(value, serial(ts, source, index), "source {source}, column {index} at {ts}");
                assert!(seen.insert(value as u64), "source {source}, column {index} is twice at {ts}");
                *found.entry(ts).or_default() += 1;
            }
        }
        Ok(())
    };
    let parts =
        db.open(&Selection { start: Timestamp::EPOCH, end: Timestamp::MAX, matchers: &[] }, &ReadHints::default())?;
    parts.read_all(&mut sink)?;
    let warnings = parts.warnings();
    Ok((found, warnings))
}

/// A directory as a killed process leaves it: pages, rows in files, and rows in the write-ahead log alone.
fn made(dir: &Path) -> PathBuf {
    let (live, base) = (dir.join("live"), dir.join("base"));
    let db = Db::open(options(&live), &Registry::new()).unwrap();
    let fill = |range| times(range, STEP_MS).for_each(|ts| put(&db, ts).unwrap());
    fill(Timestamp::EPOCH..FLUSHED);
    db.compact(SEALED + BUCKET_MS / 2).unwrap();
    // A snapshot has all that is in the log in files.
    db.snapshot(&dir.join("flushed")).unwrap();
    fill(FLUSHED..END);
    // A close syncs the log, as the thread of the database's own does now and then.
    db.close().unwrap();
    copy(&live, &base);
    base
}

/// The files of a directory and of those below, in an order of their own.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if file.file_type().unwrap().is_dir() {
            found.extend(files(&file.path()));
        } else {
            found.push(file.path());
        }
    }
    found.sort();
    found
}

/// What is done in some rounds, in which nothing may be said to be damaged.
const NOTHING: &str = "nothing";

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % n.max(1) as u64) as usize
    }
}

/// Damages one file; says what was done.
fn damage(directory: &Path, random: &mut Random) -> String {
    let files = files(directory);
    let file = &files[random.below(files.len())];
    let name = file.strip_prefix(directory).unwrap().display().to_string();
    let mut bytes = fs::read(file).unwrap();
    match random.below(7) {
        6 => NOTHING.to_owned(),
        // The half of all: what a disk does.
        0..=1 if !bytes.is_empty() => {
            let (at, bit) = (random.below(bytes.len()), random.below(8));
            bytes[at] ^= 1 << bit;
            fs::write(file, bytes).unwrap();
            format!("{name}: bit {bit} of byte {at} flipped")
        }
        2 => {
            let length = random.below(bytes.len());
            fs::write(file, &bytes[..length]).unwrap();
            format!("{name}: cut to {length} of {} bytes", bytes.len())
        }
        3 => {
            fs::write(file, b"").unwrap();
            format!("{name}: emptied")
        }
        4 => {
            let others: Vec<&PathBuf> =
                files.iter().filter(|other| *other != file && other.extension() == file.extension()).collect();
            if others.is_empty() {
                return NOTHING.to_owned();
            }
            let other = others[random.below(others.len())];
            fs::write(file, fs::read(other).unwrap()).unwrap();
            fs::write(other, bytes).unwrap();
            format!("{name}: swapped with {}", other.display())
        }
        _ => {
            fs::remove_file(file).unwrap();
            format!("{name}: removed")
        }
    }
}

/// Is all that is missing said to be lost? Returns how much is missing.
fn check(db: &Db, end: Timestamp) -> usize {
    let (found, warnings) = stored(db).unwrap_or_else(|error| panic!("{}", with_causes(&error)));
    let told: Vec<QuarantineRecord> = db.quarantine_records().into_iter().filter(|one| !one.is_rebuilt()).collect();
    let mut missing = 0;
    for ts in times(Timestamp::EPOCH..end, STEP_MS) {
        let there = found.get(&ts).copied().unwrap_or_default();
        missing += SOURCES * COLUMNS - there;
        let is_told = told.iter().any(|one| (one.from..=one.to).contains(&ts));
        assert!(there == SOURCES * COLUMNS || is_told, "{there} samples at {ts}, and only this is told: {told:#?}");
    }
    assert!(missing == 0 || !warnings.is_empty(), "{missing} are missing, and a query is not warned");
    missing
}

/// What happens in one round after the damage was done; returns how many samples are missing in the end, and how many
/// damages are told.
fn live_on(directory: &Path, db: Db, met_live: bool) -> (usize, usize) {
    if met_live {
        // What a query meets may fail it once; what stores sets it aside.
        let _ = stored(&db);
    } else {
        check(&db, END);
    }
    let end = END + 3 * BUCKET_MS;
    for ts in times(END..end, STEP_MS) {
        put(&db, ts).unwrap_or_else(|error| panic!("at {ts}: {}", with_causes(&error)));
    }
    check(&db, end);
    db.compact(end + BUCKET_MS).unwrap();
    db.enforce_retention(end).unwrap();
    db.stats(10).unwrap();
    assert_eq!(db.stopped(), None);
    put(&db, end).unwrap();
    check(&db, end + 1);
    drop(db);
    let db = Db::open(options(directory), &Registry::new()).unwrap_or_else(|error| panic!("{}", with_causes(&error)));
    put(&db, end + STEP_MS).unwrap();
    (check(&db, end + STEP_MS + 1), db.quarantine_records().len())
}

fn round(base: &Path, seed: u64) {
    let mut random = Random(seed);
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("data");
    copy(base, &directory);
    let met_live = random.below(3) == 0;
    let open = || Db::open(options(&directory), &Registry::new());
    let db = met_live.then(|| open().unwrap());
    let done = damage(&directory, &mut random);
    println!("seed {seed}: {done}{}", if met_live { ", while it was open" } else { "" });
    let db = db.unwrap_or_else(|| open().unwrap_or_else(|error| panic!("{}", with_causes(&error))));
    let (missing, told) = live_on(&directory, db, met_live);
    assert!(done != NOTHING || told == 0, "{told} damages are told without any");
    println!("seed {seed}: {missing} samples lost");
}

#[test]
fn no_damage_ends_storing_or_loses_what_is_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let base = made(dir.path());
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let (seconds, seed) = (number("WEFT_TORTURE_SECONDS"), number("WEFT_TORTURE_SEED"));
    let first = seed.unwrap_or_else(|| if seconds.is_some() { Timestamp::now().0 as u64 * 1000 } else { 1 });
    let started = Instant::now();
    let goes_on = |n: u64| match seconds {
        Some(seconds) => started.elapsed() < Duration::from_secs(seconds),
        None => n < if seed.is_some() { 1 } else { ROUNDS },
    };
    let mut failed = Vec::new();
    for n in (0..).take_while(|n| goes_on(*n)) {
        let seed = first + n;
        if std::panic::catch_unwind(|| round(&base, seed)).is_err() {
            failed.push(seed);
        }
    }
    assert_eq!(failed, [], "seeds of rounds that failed");
}
