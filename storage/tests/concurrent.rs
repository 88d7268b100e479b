//! Readers that come again and again while rows come in, are sealed and merged: each finds every row that was committed
//! before it asked, once.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use model::{Appender, Batch, Labels, Layout, Matcher, Querier, ReadHints, Row, Selection, SourceId, Timestamp};
use storage::{Db, Options};

const BUCKET_MS: i64 = 1000;
const STEP_MS: i64 = 20;
const ROWS: i64 = 4000;
const SOURCES: usize = 6;
/// The metric whose times are its own: a second before its scrape, but later than the one before.
const OWN: usize = 3;

/// When a row is committed.
fn at(row: i64) -> Timestamp {
    Timestamp(row * STEP_MS)
}

fn commit(db: &Db, sources: &[SourceId], layouts: &[Layout; 2], row: i64) {
    let ts = at(row);
    let values = [row as f64, -(row as f64), 7.0, row as f64];
    for (i, &source) in sources.iter().enumerate() {
        // Half of the sources have a series with own times; some change their layout now and then.
        let layout = &layouts[usize::from(i % 3 == 0 && row % 200 > 150)];
        let own = [(OWN as u32, ts - BUCKET_MS)];
        let own_times: &[_] = if i % 2 == 0 { &own } else { &[] };
        let row = Row { source, ts, layout, values: &values, present: &[0b1111], own_times, histograms: &[] };
        assert_eq!(db.commit(&[row]).unwrap().stored, 4);
    }
}

/// The values of a metric over a time, by source, each beside its time.
fn read(db: &Db, name: &str, range: (Timestamp, Timestamp)) -> Vec<(String, Vec<(Timestamp, f64)>)> {
    let matchers = [Matcher::equal("__name__", name)];
    let mut found = vec![];
    let selection = Selection { start: range.0, end: range.1, matchers: &matchers };
    db.select(&selection, &ReadHints::default(), &mut |batch: Batch| {
        for column in &batch.columns {
            let labels = batch.labels(column);
            let present = (0..column.values.len()).filter(|&i| column.is_present(i));
            let samples = present.map(|i| (batch.timestamps[i], column.values[i])).collect();
            found.push((labels.value("job").to_owned(), samples));
        }
        Ok(())
    })
    .unwrap();
    found
}

#[test]
fn no_reader_misses_a_committed_row_whatever_goes_on_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { bucket_ms: BUCKET_MS as u32, memory_bytes: 8 << 20, ..Options::new(dir.path()) };
    let db = Db::open(options, &prometheus::Registry::new()).unwrap();
    let name = |i: usize| Labels::from_pairs([("__name__", format!("m{i}").as_str())]);
    let ids = db.metrics(&(0..4).map(name).collect::<Vec<_>>()).unwrap();
    let more = db.metrics(&[name(4)]).unwrap();
    let layouts = [db.layout(&ids).unwrap(), db.layout(&[ids[..3].to_vec(), more].concat()).unwrap()];
    let sources: Vec<SourceId> =
        (0..SOURCES).map(|i| db.source(&Labels::from_pairs([("job", format!("s{i}").as_str())])).unwrap()).collect();
    let (committed, done) = (AtomicI64::new(-1), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (db, committed, done, layouts, sources) = (&db, &committed, &done, &layouts, &sources);
        let read_all = move |metric: usize, back: i64| {
            let name = format!("m{metric}");
            while !done.load(Ordering::Acquire) {
                let last = committed.load(Ordering::Acquire);
                let first = (last - back).max(0);
                let found = read(db, &name, (at(first), at(last)));
                assert!(last < first || found.len() == SOURCES, "{name} of {} sources", found.len());
                for (job, samples) in found {
                    let expected: Vec<Timestamp> = (first..=last).map(at).collect();
                    let times: Vec<Timestamp> = samples.iter().map(|(ts, _)| *ts).collect();
                    assert_eq!(times, expected, "{name} of {job}");
                    let right = |(ts, value): &(Timestamp, f64)| match metric {
                        0 => *value == (ts.0 / STEP_MS) as f64,
                        1 => *value == -((ts.0 / STEP_MS) as f64),
                        _ => *value == 7.0,
                    };
                    assert!(samples.iter().all(right), "{name} of {job}");
                }
            }
        };
        scope.spawn(move || read_all(0, 30));
        scope.spawn(move || read_all(1, 300));
        scope.spawn(move || {
            while !done.load(Ordering::Acquire) {
                db.compact(at(committed.load(Ordering::Acquire))).unwrap();
            }
        });
        for row in 0..ROWS {
            commit(db, sources, layouts, row);
            committed.store(row, Ordering::Release);
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(
        read(&db, "m2", (Timestamp::EPOCH, at(ROWS))).iter().map(|(_, samples)| samples.len()).sum::<usize>(),
        { SOURCES * ROWS as usize }
    );
}

/// A selection of many parts: every series comes once, from one reader or several, and who has enough ends it.
#[test]
fn parts_are_all_there_and_end_when_they_are_not_wanted() {
    const COLUMNS: usize = 2500;
    let dir = tempfile::tempdir().unwrap();
    let options = Options { bucket_ms: BUCKET_MS as u32, memory_bytes: 8 << 20, ..Options::new(dir.path()) };
    let db = Db::open(options, &prometheus::Registry::new()).unwrap();
    let metric = |i: usize| Labels::from_pairs([("__name__", format!("m{i}").as_str())]);
    let layout = db.layout(&db.metrics(&(0..COLUMNS).map(metric).collect::<Vec<_>>()).unwrap()).unwrap();
    let present = vec![u64::MAX; COLUMNS.div_ceil(64)];
    for job in 0..SOURCES {
        let source = db.source(&Labels::from_pairs([("job", format!("s{job}").as_str())])).unwrap();
        for ts in [10, 20].map(Timestamp) {
            let values: Vec<f64> = (0..COLUMNS).map(|i| (i * job) as f64 + ts.0 as f64).collect();
            let present = &present;
            let row = Row { source, ts, layout: &layout, values: &values, present, own_times: &[], histograms: &[] };
            assert_eq!(db.commit(&[row]).unwrap().stored as usize, COLUMNS);
        }
    }
    let selection = Selection { start: Timestamp::EPOCH, end: Timestamp(100), matchers: &[] };
    let mut found = std::collections::BTreeSet::new();
    db.select(&selection, &ReadHints::default(), &mut |batch| {
        assert_eq!(batch.timestamps, [10, 20].map(Timestamp));
        for column in &batch.columns {
            let labels = batch.labels(column);
            let number = |name: &str| labels.value(name)[1..].parse::<usize>().unwrap();
            let first = (number("__name__") * number("job")) as f64;
            assert_eq!(column.values, [first + 10.0, first + 20.0], "{labels}");
            assert!(found.insert(labels.clone()), "{labels} came twice");
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(found.len(), SOURCES * COLUMNS);
    let parts = db.open(&selection, &ReadHints::default()).unwrap();
    assert!(parts.count() > 2, "{} parts", parts.count());
    let read_by = |first: usize| {
        let (reader, mut labels) = (parts.reader().unwrap(), Vec::new());
        let mut sink = |batch: Batch| {
            labels.extend(batch.columns.iter().map(|column| batch.labels(column)));
            Ok(())
        };
        (first..parts.count()).step_by(2).for_each(|part| reader.read(part, &mut sink).unwrap());
        labels
    };
    let (even, odd) = std::thread::scope(|scope| {
        let odd = scope.spawn(|| read_by(1));
        (read_by(0), odd.join().unwrap())
    });
    assert_eq!(even.len() + odd.len(), found.len());
    assert_eq!(even.into_iter().chain(odd).collect::<std::collections::BTreeSet<_>>(), found);
    let mut batches = 0;
    let ended = db.select(&selection, &ReadHints::default(), &mut |_| {
        batches += 1;
        if batches < 2 { Ok(()) } else { Err(model::QuerierError::Stopped) }
    });
    assert!(matches!(ended, Err(model::QuerierError::Stopped)) && batches == 2, "{ended:?} after {batches}");
}
