//! Blocks that are written here are read back to the same samples, whole or damaged, at once or in parts.
#![allow(clippy::unwrap_used, reason = "a test: a failed step is its message")]

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use blocks::{DataDirectory, Import, Report, export};
use model::histogram::Buckets;
use model::sample::histogram_mark;
use model::{
    Batch, BatchSink, Column, Committed, Histogram, Labels, Listing, PartReader, Parts, Querier, QuerierError,
    ReadHints, Selection, SeriesAppendError, SeriesAppender, SeriesBatch, Timestamp,
};
use parking_lot::Mutex;

/// A float by its bits, or a histogram.
type Value = (u64, Option<Histogram>);

/// Samples by series and time; the first at a time stays.
#[derive(Debug, Default)]
struct Store(Mutex<BTreeMap<Labels, BTreeMap<Timestamp, Value>>>);

impl SeriesAppender for Store {
    fn append_series(&self, batch: &SeriesBatch<'_>) -> Result<Committed, SeriesAppendError> {
        let mut committed = Committed::default();
        for series in batch.series {
            let mut all = self.0.lock();
            let samples = all.entry(series.labels.clone()).or_default();
            for (i, (ts, value)) in (0..).zip(series.timestamps.iter().zip(series.values)) {
                let histogram = series.histograms.iter().find(|(at, _)| *at == i).map(|(_, one)| one.clone());
                samples.entry(*ts).or_insert((value.to_bits(), histogram));
                committed.stored += 1;
            }
        }
        Ok(committed)
    }
}

/// The samples of a selection, series by series.
struct Found(Vec<Batch>);

impl Parts for Found {
    fn count(&self) -> usize {
        1
    }

    fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
        Ok(Box::new(self))
    }
}

impl PartReader for &Found {
    fn read(&self, _: usize, sink: &mut BatchSink<'_>) -> Result<(), QuerierError> {
        self.0.iter().cloned().try_for_each(sink)
    }
}

impl Querier for Store {
    fn open<'q>(&'q self, selection: &Selection<'_>, _: &ReadHints<'_>) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        let of = |(labels, samples): (&Labels, &BTreeMap<Timestamp, Value>)| {
            let found: Vec<_> = samples.range(selection.start..=selection.end).collect();
            let histogram =
                |(i, (_, (_, one))): (usize, &(&Timestamp, &Value))| Some((i as u32, Arc::new(one.clone()?)));
            let column = Column {
                metric: labels.clone(),
                values: found.iter().map(|(_, (bits, _))| f64::from_bits(*bits)).collect(),
                histograms: found.iter().enumerate().filter_map(histogram).collect(),
                ..Column::default()
            };
            Batch { timestamps: found.iter().map(|(ts, _)| **ts).collect(), columns: vec![column], ..Batch::default() }
        };
        Ok(Box::new(Found(self.0.lock().iter().map(of).collect())))
    }

    fn list_series(&self, _: &Selection<'_>, _: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        Ok(self.0.lock().keys().cloned().collect())
    }

    fn list_label_names(&self, _: &Selection<'_>, _: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        Ok(Vec::new())
    }

    fn list_label_values(&self, _: &str, _: &Selection<'_>, _: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        Ok(Vec::new())
    }
}

const HOUR_MS: i64 = 3_600_000;
const END: Timestamp = Timestamp(30 * HOUR_MS);

/// Series of several targets over 30 hours, with floats, stale markers and histograms.
fn filled() -> Store {
    let store = Store::default();
    let mut all = BTreeMap::new();
    for i in 0..40 {
        let (target, path) = (format!("t{}", i % 5), format!("/{}", i / 5));
        let labels = [("__name__", "requests"), ("instance", target.as_str()), ("path", path.as_str())];
        let samples: BTreeMap<Timestamp, Value> = (0..600)
            .map(|n| {
                let value = if n % 97 == 96 { model::sample::stale_nan() } else { (n * (i + 1)) as f64 / 7.0 };
                (Timestamp(n * 180_000 + i64::from(n % 3 == 0)), (value.to_bits(), None))
            })
            .collect();
        all.insert(Labels::from_pairs(labels), samples);
    }
    let histogram = |n: i64| Histogram {
        schema: 2,
        count: n as f64 * 3.0,
        sum: 0.1 * n as f64,
        positive: Buckets::run(-1, vec![n as f64, n as f64 * 2.0]),
        ..Histogram::default()
    };
    let samples = (0..300).map(|n| (Timestamp(n * 300_000), (histogram_mark().to_bits(), Some(histogram(n % 100)))));
    all.insert(Labels::from_pairs([("__name__", "seconds"), ("instance", "t1"), ("ü", "\"é\"")]), samples.collect());
    *store.0.lock() = all;
    store
}

fn exported(store: &Store) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let (mut paths, mut samples) = (Vec::new(), 0);
    export(store, (Timestamp(0), END), &[], folder.path(), &mut |one| {
        samples += one.samples;
        paths.push(one.path.clone());
    })
    .unwrap();
    assert_eq!((paths.len(), samples), (2, 40 * 600 + 300), "two blocks of 18 hours");
    (folder, paths)
}

fn imported(folder: &Path, notes: &Path, batches: usize) -> (Store, Report) {
    let (store, mut left) = (Store::default(), batches);
    let mut watch = |_: &_| {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let report = Import::run(&DataDirectory::open(folder).unwrap(), &store, notes, &mut watch).unwrap();
    (store, report)
}

#[test]
fn all_samples_come_back() {
    let store = filled();
    let (folder, _) = exported(&store);
    let notes = folder.path().join("notes.json");
    let (back, report) = imported(folder.path(), &notes, usize::MAX);
    assert_eq!(*back.0.lock(), *store.0.lock());
    assert_eq!((report.is_complete, report.blocks, report.n_faults), (true, 2, 0), "{report}");
    assert_eq!((report.samples, report.stored), (24_300, 24_300));
    // Again: nothing is left to do.
    let (back, report) = imported(folder.path(), &notes, usize::MAX);
    assert_eq!((back.0.lock().len(), report.blocks_before, report.is_complete), (0, 2, true));
}

#[test]
fn an_import_that_ended_goes_on() {
    let store = filled();
    let (folder, _) = exported(&store);
    let notes = folder.path().join("notes.json");
    let (first, report) = imported(folder.path(), &notes, 1);
    assert!(!report.is_complete && report.samples > 0, "{report}");
    let (rest, report) = imported(folder.path(), &notes, usize::MAX);
    assert!(report.is_complete, "{report}");
    let mut all = first.0.into_inner();
    for (labels, samples) in rest.0.into_inner() {
        let known = all.entry(labels).or_default();
        assert!(samples.keys().all(|ts| !known.contains_key(ts)), "nothing is read twice");
        known.extend(samples);
    }
    assert_eq!(all, *store.0.lock());
}

#[test]
fn a_block_is_named_by_what_is_in_it() {
    let store = filled();
    let ((_a, first), (_b, second)) = (exported(&store), exported(&store));
    let names = |paths: &[PathBuf]| paths.iter().map(|path| path.file_name().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&first), names(&second));
}

/// Some bytes of a file, spread over all of it.
fn places(bytes: usize) -> impl Iterator<Item = usize> {
    (0..bytes).step_by((bytes / 16).max(1))
}

#[test]
fn damage_costs_what_is_damaged() {
    let store = filled();
    let (folder, paths) = exported(&store);
    let other = paths[1].clone();
    for name in ["index", "chunks/000001", "meta.json"] {
        let path = paths[0].join(name);
        let whole = fs::read(&path).unwrap();
        for at in places(whole.len()) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            fs::write(&path, &damaged).unwrap();
            check(folder.path(), &store, &other, &format!("{name} at {at}"));
            fs::write(&path, &whole[..at]).unwrap();
            check(folder.path(), &store, &other, &format!("{name} cut at {at}"));
        }
        fs::write(&path, &whole).unwrap();
    }
}

/// Whatever is wrong with one block, the other comes whole, and nothing comes that was not there.
fn check(folder: &Path, store: &Store, other: &Path, what: &str) {
    let notes = tempfile::tempdir().unwrap();
    let (back, report) = imported(folder, &notes.path().join("notes.json"), usize::MAX);
    assert!(report.is_complete, "{what}: {report}");
    let (expected, back) = (store.0.lock(), back.0.into_inner());
    let of_other = Timestamp(18 * HOUR_MS);
    let mut missing = 0;
    for (labels, samples) in &*expected {
        for (ts, value) in samples {
            match back.get(labels).and_then(|samples| samples.get(ts)) {
                Some(found) => assert_eq!(found, value, "{what}"),
                None if *ts >= of_other => panic!("{what}: {labels} at {ts} of {} is missing", other.display()),
                None => missing += 1,
            }
        }
    }
    assert!(missing == 0 || report.n_faults > 0, "{what}: {missing} samples are missing and nothing was told");
    assert!(back.keys().all(|labels| expected.contains_key(labels)), "{what}");
}
