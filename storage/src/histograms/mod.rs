//! Samples that are native histograms. In rows and pages a marker stands in for each, so that times, presence, late samples,
//! flushing and deletion are those of every other sample; the histogram itself is stored under its series and time.
//! Drawn in `docs/formats/histograms.md`.
//!
//! Invariant: a histogram and the row with its marker come in one write, and it stays at least as long as that marker.

mod codec;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::sample::is_histogram_mark;
use model::{Column, Histogram, SourceId, Timestamp};
use rocksdb::{DBRawIterator, WriteBatch};

use crate::error::Error;
use crate::kv::schema::{Bucket, Cf, RowKey};
use crate::kv::snapshot::Snapshot;
use crate::kv::store::Store;

/// Where the histograms of a series in a bucket lie. The key is that of a row, with the metric in place of a segment.
fn place(bucket: Bucket, source: SourceId, metric: u32) -> RowKey {
    RowKey::frame(bucket, source, metric)
}

/// Was any sample that is there, or was, a native histogram? Most servers never see one, and their readers then need not look.
#[derive(Debug)]
pub(crate) struct AnyHistograms(AtomicBool);

impl AnyHistograms {
    pub(crate) fn new(any: bool) -> Self {
        Self(AtomicBool::new(any))
    }

    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// There are some from now on; to be called before the first can be read.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Adds a histogram to the batch.
pub(crate) fn put(
    store: &Store,
    batch: &mut WriteBatch,
    (source, metric): (SourceId, u32),
    ts: Timestamp,
    one: &Histogram,
) {
    let key = place(Bucket::of(ts, store.bucket_ms), source, metric).at(ts);
    let mut bytes = Vec::with_capacity(64);
    codec::encode(one, key.seed(), &mut bytes);
    batch.put_cf(store.cf(Cf::Histograms), key.bytes(), bytes);
}

/// Reads the histograms that columns have markers for.
pub(crate) struct HistogramReader<'v> {
    snapshot: &'v Snapshot<'v>,
    iter: Option<DBRawIterator<'v>>,
}

impl<'v> HistogramReader<'v> {
    pub(crate) fn new(snapshot: &'v Snapshot<'v>) -> Self {
        Self { snapshot, iter: None }
    }

    /// Fills in the histograms of a column over these times. A marker whose histogram cannot be read is no sample any more.
    pub(crate) fn fill(
        &mut self,
        (source, metric): (SourceId, u32),
        times: &[Timestamp],
        column: &mut Column,
    ) -> Result<(), Error> {
        let store = self.snapshot.store;
        let bucket_of = |slot: usize| Bucket::of(times[slot], store.bucket_ms);
        let marked: Vec<usize> = (0..times.len())
            .filter(|&slot| is_histogram_mark(column.values[slot]) && column.is_present(slot))
            .collect();
        for in_bucket in marked.chunk_by(|a, b| bucket_of(*a) == bucket_of(*b)) {
            let place = place(bucket_of(in_bucket[0]), source, metric);
            let iter = self.iter.get_or_insert_with(|| self.snapshot.iter(Cf::Histograms, &[], &[]));
            iter.seek(place.at(times[in_bucket[0]]).bytes());
            for &slot in in_bucket {
                let key = place.at(times[slot]);
                // Times ascend, so that one iterator only moves forward.
                while iter.key().is_some_and(|at| at < &key.bytes()[..]) {
                    iter.next();
                }
                let found = iter.item().filter(|(at, _)| *at == key.bytes());
                let decoded = found.map(|(_, bytes)| codec::decode(bytes, key.seed()));
                match decoded {
                    Some(Ok(histogram)) => {
                        column.histograms.push((u32::try_from(slot).unwrap_or(u32::MAX), Arc::new(histogram)));
                        continue;
                    }
                    Some(Err(reason)) => store.corrupt(Cf::Histograms, &key.bytes(), reason),
                    None => store.corrupt(Cf::Histograms, &key.bytes(), "a histogram is missing"),
                }
                let all = || vec![u64::MAX; times.len().div_ceil(64)];
                // A marker without its histogram must not be read as the NaN that it is.
                column.present.get_or_insert_with(all)[slot / 64] &= !(1 << (slot % 64));
            }
            if let Err(source) = iter.status() {
                // An iterator that met an error is of no more use.
                self.iter = None;
                store.skip_damaged(Cf::Histograms, &place.bytes(), source)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use model::histogram::Buckets;
    use model::sample::histogram_mark;
    use model::{Appender, Batch, Labels, Querier, ReadHints, ResetHint, Row, Selection};

    use super::*;
    use crate::Options;
    use crate::db::Db;

    const BUCKET_MS: i64 = 1000;

    fn open(path: &std::path::Path) -> Db {
        let options = Options { bucket_ms: BUCKET_MS as u32, memory_bytes: 8 << 20, ..Options::new(path) };
        Db::open(options, &prometheus::Registry::new()).unwrap()
    }

    fn histogram(ts: Timestamp) -> Histogram {
        let hint = if ts.0 % 1000 == 0 { ResetHint::Gauge } else { ResetHint::Unknown };
        let positive = Buckets::run(-2, vec![ts.0 as f64, 0.0, 3.0]);
        Histogram { reset_hint: hint, schema: 3, count: ts.0 as f64 + 3.0, sum: 0.1, positive, ..Histogram::default() }
    }

    fn times() -> impl Iterator<Item = Timestamp> {
        (0..12 * BUCKET_MS).step_by(250).map(Timestamp)
    }

    /// A float and, every other time, a histogram.
    fn fill(db: &Db) {
        let metrics = ["requests_total", "latency_seconds"].map(|name| Labels::from_pairs([("__name__", name)]));
        let layout = db.layout(&db.metrics(&metrics).unwrap()).unwrap();
        let source = db.source(&Labels::from_pairs([("job", "a")])).unwrap();
        for ts in times() {
            let histograms = [(1, histogram(ts))];
            let some = ts.0 % 500 == 0;
            let (values, histograms) =
                if some { ([1.0, histogram_mark()], &histograms[..]) } else { ([1.0, 7.5], &[][..]) };
            let row =
                Row { source, ts, layout: &layout, values: &values, present: &[0b11], own_times: &[], histograms };
            assert_eq!(db.commit(&[row]).unwrap().stored, 2);
        }
    }

    /// The samples of the second series: times, and whether each is the histogram of its time or the float.
    fn found(db: &Db) -> Vec<(Timestamp, bool)> {
        let mut found = Vec::new();
        let mut sink = |batch: Batch| {
            for column in batch.columns.iter().filter(|column| column.metric.name() == "latency_seconds") {
                for (i, &ts) in batch.timestamps.iter().enumerate() {
                    let one = column.histograms.iter().find(|(slot, _)| *slot as usize == i).map(|(_, one)| one);
                    match one {
                        Some(one) => {
                            assert_eq!((&**one, one.reset_hint), (&histogram(ts), histogram(ts).reset_hint));
                        }
                        None => assert_eq!(column.values[i].to_bits(), 7.5f64.to_bits()),
                    }
                    found.push((ts, one.is_some()));
                }
            }
            Ok(())
        };
        db.select(
            &Selection { start: Timestamp::EPOCH, end: Timestamp::MAX, matchers: &[] },
            &ReadHints::default(),
            &mut sink,
        )
        .unwrap();
        found
    }

    fn stored(db: &Db) -> usize {
        let mut stored = 0;
        db.components
            .store
            .each(Cf::Histograms, &[], |_, _| {
                stored += 1;
                Ok::<_, crate::Error>(true)
            })
            .unwrap();
        stored
    }

    #[test]
    fn histograms_stay_with_their_markers_and_go_with_their_buckets() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path());
        fill(&db);
        let all: Vec<(Timestamp, bool)> = times().map(|ts| (ts, ts.0 % 500 == 0)).collect();
        assert_eq!((found(&db), stored(&db)), (all.clone(), 24));
        db.compact(Timestamp(30 * BUCKET_MS)).unwrap();
        assert_eq!((found(&db), stored(&db)), (all.clone(), 24));
        drop(db);
        let db = open(dir.path());
        assert_eq!(found(&db), all);
        db.set_retention(BUCKET_MS);
        db.enforce_retention(Timestamp(9 * BUCKET_MS)).unwrap();
        let left = found(&db);
        assert_eq!(left, all[all.len() - left.len()..]);
        assert!((16..=24).contains(&left.len()), "{} samples left", left.len());
        assert_eq!(stored(&db), left.len() / 2);
        db.enforce_retention(Timestamp(100 * BUCKET_MS)).unwrap();
        assert_eq!((found(&db), stored(&db)), (vec![], 0));
    }

    #[test]
    fn a_damaged_histogram_is_no_sample_and_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path());
        fill(&db);
        let mut keys = Vec::new();
        db.components
            .store
            .each(Cf::Histograms, &[], |key, _| {
                keys.push(key.to_vec());
                Ok::<_, crate::Error>(true)
            })
            .unwrap();
        db.components.store.put(Cf::Histograms, &keys[2], [0; 9]).unwrap();
        db.components.store.delete(Cf::Histograms, &keys[5]).unwrap();
        let lost = [1000, 2500].map(Timestamp);
        let left: Vec<(Timestamp, bool)> =
            times().filter(|ts| !lost.contains(ts)).map(|ts| (ts, ts.0 % 500 == 0)).collect();
        let mut present = Vec::new();
        let mut sink = |batch: Batch| {
            for column in batch.columns.iter().filter(|column| column.metric.name() == "latency_seconds") {
                let slots = (0..batch.timestamps.len()).filter(|&i| column.is_present(i));
                let is_one = |i: usize| column.histograms.iter().any(|(slot, _)| *slot as usize == i);
                present.extend(slots.map(|i| (batch.timestamps[i], is_one(i))));
            }
            Ok(())
        };
        db.select(
            &Selection { start: Timestamp::EPOCH, end: Timestamp::MAX, matchers: &[] },
            &ReadHints::default(),
            &mut sink,
        )
        .unwrap();
        assert_eq!(present, left);
        assert_eq!(db.components.metrics.corrupt_values.get(), 2);
    }

    #[test]
    fn rows_whose_histograms_do_not_fit_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path());
        let layout = db.layout(&db.metrics(&[Labels::from_pairs([("__name__", "a")])]).unwrap()).unwrap();
        let source = db.source(&Labels::empty()).unwrap();
        let one = || histogram(Timestamp(1));
        let (good, bad) = ([(0, one())], [(0, Histogram { schema: 77, ..one() })]);
        let twice = [(0, one()), (0, one())];
        let base = Row {
            source,
            ts: Timestamp(1),
            layout: &layout,
            values: &[histogram_mark()],
            present: &[1],
            own_times: &[],
            histograms: &good,
        };
        for row in [
            Row { values: &[1.0], ..base },
            Row { present: &[0], ..base },
            Row { histograms: &bad, ..base },
            Row { histograms: &twice, ..base },
        ] {
            assert!(db.commit(&[row]).is_err());
        }
        assert_eq!(db.commit(&[base]).unwrap().stored, 1);
    }
}
