//! A child process commits and says so; it is killed at a random moment. Everything it said is there, nothing twice.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use model::{Appender, Labels, Querier, Row, Selection};
use prometheus::Registry;
use storage::{Db, Options};

const CHILD_DIRECTORY: &str = "WEFT_STORAGE_CRASH_CHILD";
const COLUMNS: usize = 1500;
const BUCKET_MS: u32 = 10_000;

fn open(path: &std::path::Path) -> Db {
    let options = Options { bucket_ms: BUCKET_MS, memory_bytes: 8 << 20, ..Options::new(path) };
    Db::open(options, &Registry::new()).unwrap()
}

fn value(ts: i64, column: usize) -> f64 {
    (ts * 7 + column as i64) as f64 / if column.is_multiple_of(3) { 4.0 } else { 1.0 }
}

/// Commits rows of two sources in turn until it is killed, one line per commit that returned.
fn child(path: &std::path::Path) {
    let db = open(path);
    let sources: Vec<_> =
        ["a", "b"].iter().map(|job| db.source(&Labels::from_pairs([("job", job)])).unwrap()).collect();
    let metrics: Vec<Labels> =
        (0..COLUMNS).map(|i| Labels::from_pairs([("__name__", "m".to_owned()), ("i", i.to_string())])).collect();
    let layout = db.layout(&db.metrics(&metrics).unwrap()).unwrap();
    // Where an earlier child was killed, the next one goes on.
    let newest = stored(&db).into_keys().max().unwrap_or(0);
    let mut out = std::io::stdout().lock();
    for ts in newest + 1.. {
        let values: Vec<f64> = (0..COLUMNS).map(|i| value(ts, i)).collect();
        let row = |source| Row {
            source,
            ts_ms: ts,
            layout: &layout,
            values: &values,
            present: &[u64::MAX; COLUMNS.div_ceil(64)],
            own_times: &[],
        };
        let committed = db.commit(&[row(sources[0]), row(sources[1])]).unwrap();
        assert_eq!(committed.stored as usize, 2 * COLUMNS);
        writeln!(out, "{ts}").unwrap();
        out.flush().unwrap();
    }
}

/// How many samples there are at each time, each of them checked.
fn stored(db: &Db) -> BTreeMap<i64, usize> {
    let mut count: BTreeMap<i64, usize> = BTreeMap::new();
    let mut sink = |batch: model::Batch| {
        assert!(batch.timestamps_ms.is_sorted_by(|a, b| a < b));
        for column in &batch.columns {
            let index: usize = column.labels.value("i").parse().unwrap();
            for (i, &ts) in batch.timestamps_ms.iter().enumerate().filter(|(i, _)| column.is_present(*i)) {
                assert_eq!(column.values[i].to_bits(), value(ts, index).to_bits());
                *count.entry(ts).or_default() += 1;
            }
        }
        Ok(())
    };
    db.select(&Selection { start_ms: i64::MIN, end_ms: i64::MAX, matchers: &[] }, &mut sink).unwrap();
    count
}

#[test]
fn what_was_committed_survives_a_kill() {
    if let Some(path) = std::env::var_os(CHILD_DIRECTORY) {
        return child(path.as_ref());
    }
    let dir = tempfile::tempdir().unwrap();
    let mut newest = 0;
    for round in 0..4 {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "what_was_committed_survives_a_kill", "--nocapture"])
            .env(CHILD_DIRECTORY, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        // A different number of commits each round; where in the next one the signal lands is up to the machine.
        let commits = 15 + 17 * round + (std::process::id() as usize % 11);
        let mut said = 0;
        let mut line = String::new();
        while said < commits && lines.read_line(&mut line).unwrap() > 0 {
            if let Ok(ts) = line.trim().parse::<i64>() {
                (newest, said) = (ts, said + 1);
            }
            line.clear();
        }
        assert_eq!(said, commits, "the child ended early");
        process.kill().unwrap();
        process.wait().unwrap();
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        // A last line without its end was still a commit that returned, if its number is whole.
        newest = rest
            .split_inclusive('\n')
            .filter(|l| l.ends_with('\n'))
            .filter_map(|l| l.trim().parse().ok())
            .max()
            .unwrap_or(newest);

        let db = open(dir.path());
        let found = stored(&db);
        assert!((1..=newest).all(|ts| found.get(&ts) == Some(&(2 * COLUMNS))), "up to {newest}: {found:?}");
        // At most the one commit whose line was not written; and it is whole.
        let beyond: Vec<_> = found.range(newest + 1..).collect();
        assert!(beyond.len() <= 1 && beyond.iter().all(|(_, n)| **n == 2 * COLUMNS), "{beyond:?}");
    }
}
