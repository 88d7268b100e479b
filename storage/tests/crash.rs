//! A child process commits, appends series, flushes, merges, deletes and drops, and says what it did; it is killed at random
//! moments. All that it said is there, nothing is there twice, and nothing that was deleted is back.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test's helpers fail as the test does")]

#[path = "kit/writes.rs"]
mod writes;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};

use model::{AppendError, Appender, Labels, Layout, Matcher, Querier, ReadHints, Row, Selection, SourceId, Timestamp};
use prometheus::Registry;
use storage::{Db, Options};
use writes::{append, value};

const CHILD_DIRECTORY: &str = "WEFT_STORAGE_CRASH_CHILD";
const TEST: &str = "what_was_committed_survives_a_kill";
const KILLS: u32 = 60;
/// Of the two sources: of two segments, and of a few columns.
const COLUMNS: [usize; 2] = [Layout::SEGMENT_COLUMNS + 6, 3];
/// Samples of one moment that are never deleted.
const LASTING: usize = COLUMNS[0] + COLUMNS[1] - 2;
/// The column that is deleted now and then.
const DELETED: usize = 1;
/// Ten commits fill a bucket, 480 the largest partition.
const BUCKET_MS: u32 = 10;
const RETENTION_MS: i64 = 700;
/// What comes series by series: columns from here on, of another source, so many times each, half of which came before.
const SERIES: std::ops::Range<usize> = 5000..5004;
const SERIES_EVERY: i64 = 10;
const SERIES_TIMES: i64 = 20;
/// Commits between two deletions.
const DELETE_EVERY: i64 = 37;

fn open(path: &Path) -> Db {
    let options =
        Options { bucket_ms: BUCKET_MS, memory_bytes: 8 << 20, retention_ms: RETENTION_MS, ..Options::new(path) };
    Db::open(options, &Registry::new()).unwrap()
}

/// Commits and deletes until it is killed, one line for each that returned (and one before a deletion starts), while a
/// second thread seals what came in.
fn child(path: &Path) {
    // A panic anywhere ends the process, which the parent notices.
    std::panic::set_hook(Box::new(|panic| {
        let _ = writeln!(std::io::stderr(), "{panic}");
        std::process::abort();
    }));
    let db = open(path);
    // Where an earlier child was killed, the next one goes on.
    let newest = AtomicI64::new(stored(&db).lasting.into_keys().max().unwrap_or_default().0);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for round in 0.. {
                // Buckets end as soon as the first commit beyond them is in.
                let now = Timestamp(newest.load(Ordering::Acquire));
                let sealed = db.compact(now).unwrap();
                say("sealed", i64::try_from(sealed.samples).unwrap());
                say("merged", i64::try_from(sealed.merged).unwrap());
                if round % 3 == 0 {
                    db.clean_deleted().unwrap();
                    db.enforce_retention(now).unwrap();
                }
            }
        });
        commit_and_delete(&db, &newest);
    });
}

fn say(what: &str, number: i64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what} {number}").unwrap();
    out.flush().unwrap();
}

/// The ids of what is written. The housekeeping beside forgets what has no rows yet at any time.
fn names(db: &Db) -> Result<([SourceId; 2], [Layout; 2]), AppendError> {
    let source = |job| db.source(&Labels::from_pairs([("job", job)]));
    let metrics: Vec<Labels> = (0..COLUMNS[0])
        .map(|i| Labels::from_pairs([("__name__", format!("m{}", i % 7)), ("i", i.to_string())]))
        .collect();
    let layout = |n: usize| db.layout(&db.metrics(&metrics[..n])?);
    Ok(([source("a")?, source("b")?], [layout(COLUMNS[0])?, layout(COLUMNS[1])?]))
}

fn commit_and_delete(db: &Db, newest: &AtomicI64) {
    let mut named = names(db);
    for ts in (newest.load(Ordering::Acquire) + 1..).map(Timestamp) {
        let values: Vec<f64> = (0..COLUMNS[0]).map(|i| value(ts, i)).collect();
        let commit = |(sources, layouts): &([SourceId; 2], [Layout; 2])| {
            let row = |i: usize| Row {
                source: sources[i],
                ts,
                layout: &layouts[i],
                values: &values[..COLUMNS[i]],
                present: &[u64::MAX; COLUMNS[0].div_ceil(64)][..COLUMNS[i].div_ceil(64)],
                own_times: &[],
                histograms: &[],
            };
            db.commit(&[row(0), row(1)])
        };
        let committed = loop {
            match named.as_ref().map_err(|error| matches!(error, AppendError::Forgotten)).map(commit) {
                Err(true) | Ok(Err(AppendError::Forgotten)) => named = names(db),
                other => break other.unwrap().unwrap(),
            }
        };
        assert_eq!(committed.stored as usize, COLUMNS[0] + COLUMNS[1]);
        say("committed", ts.0);
        newest.store(ts.0, Ordering::Release);
        if ts.0 % SERIES_EVERY == 0 {
            append(db, "c", SERIES, &series_times(ts).collect::<Vec<_>>()).unwrap();
            say("appended", ts.0);
        }
        if ts.0 % DELETE_EVERY == 0 {
            say("deleting", ts.0);
            db.delete(&[Matcher::equal("i", DELETED.to_string())], Timestamp::MIN, ts).unwrap();
            say("deleted", ts.0);
        }
    }
}

/// The times of the batch of series that comes then: all of them are over.
fn series_times(ts: Timestamp) -> impl Iterator<Item = Timestamp> {
    let end = ts - 3 * i64::from(BUCKET_MS);
    ((end - SERIES_TIMES).0.max(1)..end.0.max(1)).map(Timestamp)
}

#[derive(Debug, Default)]
struct Stored {
    /// Times and columns that came series by series.
    series: BTreeSet<(Timestamp, usize)>,
    /// Samples by time, less those of the deleted column.
    lasting: BTreeMap<Timestamp, usize>,
    /// Times of samples of the deleted column, of both sources.
    deleted: [BTreeSet<Timestamp>; 2],
}

/// What there is, the value of each sample checked.
fn stored(db: &Db) -> Stored {
    let mut stored = Stored::default();
    let mut sink = |batch: model::Batch| {
        assert!(batch.timestamps.is_sorted_by(|a, b| a < b));
        for column in &batch.columns {
            let labels = batch.labels(column);
            let index: usize = labels.value("i").parse().unwrap();
            let source = usize::from(labels.value("job") == "b");
            for (i, &ts) in batch.timestamps.iter().enumerate().filter(|(i, _)| column.is_present(*i)) {
                assert_eq!(column.values[i].to_bits(), value(ts, index).to_bits());
                if SERIES.contains(&index) {
                    assert!(stored.series.insert((ts, index)), "series {index} is there twice at {ts}");
                } else if index == DELETED {
                    assert!(stored.deleted[source].insert(ts), "{ts} is there twice");
                } else {
                    *stored.lasting.entry(ts).or_default() += 1;
                }
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
    stored
}

/// What the children said: the newest times, and how much went from rows into pages, and into larger ones.
#[derive(Clone, Debug, Default)]
struct Said {
    committed: Timestamp,
    /// When batches of series came.
    appended: BTreeSet<Timestamp>,
    deleting: Timestamp,
    deleted: Timestamp,
    sealed: i64,
    merged: i64,
}

impl Said {
    /// Reads up to `lines` lines; says whether they came. A line without its end was cut by the kill.
    fn hear(&mut self, from: &mut BufReader<ChildStdout>, mut lines: u64) -> bool {
        let mut line = String::new();
        while lines > 0 {
            line.clear();
            if from.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
                return false;
            }
            // What the test harness says of itself, at any moment, may come before it on its line.
            let mut words = line.split_whitespace().rev();
            let (Some(Ok(number)), Some(what)) = (words.next().map(str::parse::<i64>), words.next()) else { continue };
            let ts = Timestamp(number);
            match what {
                "committed" => self.committed = ts,
                "appended" => drop(self.appended.insert(ts)),
                "deleting" => self.deleting = ts,
                "deleted" => self.deleted = ts,
                "sealed" => self.sealed += number,
                "merged" => self.merged += number,
                _ => continue,
            }
            lines -= 1;
        }
        true
    }

    /// Returns the newest time that is there.
    fn check(&self, found: &Stored, seed: u64) -> Timestamp {
        let newest = found.lasting.keys().last().copied().unwrap_or_default();
        // At most the one commit whose line was not written.
        assert!((self.committed..=self.committed + 1).contains(&newest), "seed {seed}: {self:?}, newest {newest}");
        // The child's clock may have been at that commit.
        let kept_from = (self.committed + 1 - RETENTION_MS).max(Timestamp(1));
        for ts in (kept_from.0..=newest.0).map(Timestamp) {
            assert_eq!(found.lasting.get(&ts), Some(&LASTING), "seed {seed}: {self:?}, at {ts}");
            for column in &found.deleted {
                let there = column.contains(&ts);
                assert!(there || ts <= self.deleting, "seed {seed}: {self:?}, the deleted column lacks {ts}");
                assert!(!there || ts > self.deleted, "seed {seed}: {self:?}, the deleted column has {ts}");
            }
        }
        for ts in self.appended.iter().flat_map(|ts| series_times(*ts)).filter(|ts| *ts >= kept_from) {
            assert!(
                SERIES.into_iter().all(|i| found.series.contains(&(ts, i))),
                "seed {seed}: {self:?}, no series at {ts}"
            );
        }
        assert!(found.lasting.values().all(|n| *n <= LASTING), "seed {seed}: twice: {:?}", found.lasting);
        newest
    }
}

fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

#[test]
fn what_was_committed_survives_a_kill() {
    if let Some(path) = std::env::var_os(CHILD_DIRECTORY) {
        return child(path.as_ref());
    }
    let dir = tempfile::tempdir().unwrap();
    let seed = u64::from(std::process::id()) << 20 | Timestamp::now().0 as u64 & 0xf_ffff;
    let (mut random, mut said) = (seed | 1, Said::default());
    for _ in 0..KILLS {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", TEST, "--nocapture"])
            .env(CHILD_DIRECTORY, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let heard = said.hear(&mut lines, 1 + next(&mut random) % 60);
        // Some more work, so that the signal does not always come just after a line.
        let mut work = next(&mut random) % 4_000_000;
        while work > 0 {
            work = std::hint::black_box(work) - 1;
        }
        process.kill().unwrap();
        let status = process.wait().unwrap();
        assert!(heard, "seed {seed}: the child ended early, {status}");
        said.hear(&mut lines, u64::MAX);
        // The next child goes on from there, and may be killed before it says that it committed.
        let db = open(dir.path());
        assert_eq!(db.quarantine_records(), [], "seed {seed}: a kill is no damage");
        said.committed = said.check(&stored(&db), seed);
    }
    assert!(
        said.sealed > 0 && said.merged > 0 && said.deleted > Timestamp::EPOCH && !said.appended.is_empty(),
        "the children did too little: {said:?}"
    );
    println!("{KILLS} kills: {said:?}");
}
