//! Selections: which series, then their samples, source by source.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread;

use model::{Batch, Column, Histogram, Labels, Querier, QuerierError, Selection, SourceId};
use roaring::RoaringBitmap;

use crate::db::Db;
use crate::deletes::Deleted;
use crate::error::Error;
use crate::histograms::HistogramReader;
use crate::index::collide::{self, Groups, join};
use crate::index::select::{Selected, select};
use crate::index::{list, postings};
use crate::limits;
use crate::pages;
use crate::read::Reader;
use crate::schema::{Bucket, Cf, bucket_key};
use crate::store::View;

/// Why a selection ended: our own trouble or the receiver's wish.
enum Stop {
    Store(Error),
    Sink(QuerierError),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

fn unreadable(error: Error) -> QuerierError {
    QuerierError::Store(Box::new(error))
}

type EachSource<'f> = dyn FnMut(SourceId, &[u32]) -> Result<(), Stop> + 'f;
type Out<'o> = dyn FnMut(Batch) -> Result<(), Stop> + 'o;
type Sink<'s> = dyn FnMut(Batch) -> Result<(), QuerierError> + 's;

impl Db {
    fn buckets(&self, range: &RangeInclusive<i64>) -> (Bucket, Bucket) {
        let bucket_ms = self.store.bucket_ms;
        (Bucket::of(*range.start(), bucket_ms), Bucket::of(*range.end(), bucket_ms))
    }

    /// The sources that have rows or pages in a range.
    pub(crate) fn alive(&self, view: &View<'_>, range: &RangeInclusive<i64>) -> Result<RoaringBitmap, Error> {
        let (from, to) = self.buckets(range);
        let mut end = bucket_key(to).to_vec();
        end.push(0);
        let mut alive = RoaringBitmap::new();
        for (partition, sources) in pages::partitions(view)? {
            if partition.start.0 <= *range.end() && partition.end_ms(self.store.bucket_ms) > *range.start() {
                alive |= sources;
            }
        }
        let mut iter = view.iter(Cf::Postings, &bucket_key(from), &end);
        iter.seek_to_first();
        while let Some((key, value)) = iter.item() {
            alive |= postings::decode_or_report(&self.store, key, value);
            iter.next();
        }
        iter.status().map_err(Error::read)?;
        Ok(alive)
    }

    fn selected(&self, view: &View<'_>, selection: &Selection<'_>) -> Result<Vec<Selected>, Error> {
        let alive = self.alive(view, &(selection.start_ms..=selection.end_ms))?;
        if alive.is_empty() { Ok(Vec::new()) } else { select((&self.store, &self.index), selection.matchers, &alive) }
    }

    fn select_either(&self, selection: &Selection<'_>, latest: bool, sink: &mut Sink<'_>) -> Result<(), QuerierError> {
        if selection.start_ms > selection.end_ms {
            return Ok(());
        }
        self.select_batches(selection, latest, sink).map_err(|stop| match stop {
            Stop::Store(error) => unreadable(error),
            Stop::Sink(error) => error,
        })
    }

    /// All samples, or at least the newest of each series.
    fn select_batches(&self, selection: &Selection<'_>, latest: bool, sink: &mut Sink<'_>) -> Result<(), Stop> {
        let range = selection.start_ms..=selection.end_ms;
        // Before the view: a deletion that is cleaned up meanwhile is then either still masked or already gone.
        let deleted = self.deleted(&range)?;
        let view = View::new(&self.store);
        let selected = self.selected(&view, selection)?;
        let groups = collide::groups(&self.store, &self.index, &selected)?;
        let (range, deleted, selected, groups) = (&range, &deleted[..], &selected[..], &groups);
        let chosen = Chosen { db: self, view: &view, range, deleted, selected, groups, latest };
        let pairs: u64 = selected.iter().map(|one| one.sources.len() * one.metrics.len()).sum();
        if pairs < limits::READ_AHEAD_PAIRS {
            return chosen.read(&mut |batch| sink(batch).map_err(Stop::Sink));
        }
        // What is read is worked on meanwhile.
        thread::scope(|scope| {
            let (ahead, batches) = mpsc::sync_channel(limits::READ_AHEAD_BATCHES);
            let reading = scope.spawn(move || {
                chosen.read(&mut |batch| ahead.send(batch).map_err(|_| Stop::Sink(QuerierError::Stopped)))
            });
            let taken = batches.into_iter().try_for_each(sink);
            let read = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            taken.map_err(Stop::Sink).and(read)
        })
    }

    fn has_histograms(&self) -> bool {
        self.store.has_histograms.load(Ordering::Acquire)
    }

    fn labels(&self, source: &Labels, metric: u32) -> Result<Option<Labels>, Error> {
        Ok(self.index.metric_labels(&self.store, metric)?.map(|metric| join(source, &metric)))
    }

    /// One series out of several pairs; of two samples at one time that of the older pair stays.
    fn merged<'v>(
        &self,
        (reader, mut histograms): (&mut Reader<'v>, Option<&mut HistogramReader<'v>>),
        labels: Labels,
        pairs: &[(SourceId, u32)],
    ) -> Result<Batch, Error> {
        let mut samples: BTreeMap<i64, (f64, Option<Arc<Histogram>>)> = BTreeMap::new();
        for &(source, metric) in pairs {
            let stored = reader.stored(source)?;
            let gathered = reader.gather(&stored, &[metric])?;
            let mut complete = |_, times: &[i64], column: &mut Column| match &mut histograms {
                Some(histograms) => histograms.fill((source, metric), times, column).map(|()| true),
                None => Ok(true),
            };
            for batch in gathered.into_batches(&mut complete)? {
                for mut column in batch.columns {
                    let mut found: HashMap<usize, Arc<Histogram>> =
                        column.histograms.drain(..).map(|(slot, one)| (slot as usize, one)).collect();
                    let present = |(i, _): &(usize, &i64)| column.is_present(*i);
                    for (i, ts) in batch.timestamps_ms.iter().enumerate().filter(present) {
                        samples.entry(*ts).or_insert_with(|| (column.values[i], found.remove(&i)));
                    }
                }
            }
        }
        let mut column = Column { labels, ..Column::default() };
        let mut timestamps_ms = Vec::with_capacity(samples.len());
        for (slot, (ts, (value, histogram))) in (0..).zip(samples) {
            timestamps_ms.push(ts);
            column.values.push(value);
            column.histograms.extend(histogram.map(|histogram| (slot, histogram)));
        }
        Ok(Batch { timestamps_ms, columns: vec![column] })
    }
}

/// What one selection reads.
struct Chosen<'a> {
    db: &'a Db,
    view: &'a View<'a>,
    range: &'a RangeInclusive<i64>,
    deleted: &'a [Deleted],
    selected: &'a [Selected],
    groups: &'a Groups,
    /// At least the newest sample of each series is wanted, not all.
    latest: bool,
}

impl Chosen<'_> {
    /// Hands over what there is of the selected series, source by source, then that of groups of pairs with equal labels.
    fn read(&self, out: &mut Out<'_>) -> Result<(), Stop> {
        let Self { db, view, range, .. } = *self;
        let grouped: HashSet<(SourceId, u32)> = self.groups.values().flatten().copied().collect();
        let mut reader = Reader::new(view, &db.index, range.clone(), self.deleted)?;
        let mut histograms = db.has_histograms().then(|| HistogramReader::new(view));
        let columns_max = columns_max(range);
        by_source(self.selected, &mut |source, metrics| {
            let stored = reader.stored(source)?;
            let Some(source_labels) = db.index.source_labels(&db.store, source)? else { return Ok(()) };
            for metrics in metrics.chunks(columns_max) {
                let gathered = if self.latest {
                    reader.gather_latest(&stored, metrics)?
                } else {
                    reader.gather(&stored, metrics)?
                };
                let mut complete = |i: usize, times: &[i64], column: &mut Column| {
                    let metric = metrics[i];
                    if grouped.contains(&(source, metric)) {
                        return Ok(false);
                    }
                    let Some(labels) = db.labels(&source_labels, metric)? else { return Ok(false) };
                    column.labels = labels;
                    if let Some(histograms) = &mut histograms {
                        histograms.fill((source, metric), times, column)?;
                    }
                    Ok(true)
                };
                gathered.into_batches(&mut complete)?.into_iter().try_for_each(&mut *out)?;
            }
            Ok(())
        })?;
        for (labels, pairs) in self.groups {
            let batch = db.merged((&mut reader, histograms.as_mut()), labels.clone(), pairs)?;
            if !batch.timestamps_ms.is_empty() {
                out(batch)?;
            }
        }
        Ok(())
    }
}

/// How many columns a batch over this range may have.
fn columns_max(range: &RangeInclusive<i64>) -> usize {
    let rows = range.end().saturating_sub(*range.start()) / limits::ASSUMED_INTERVAL_MS + 1;
    let (least, most) = limits::BATCH_COLUMNS;
    (limits::BATCH_VALUES / usize::try_from(rows).unwrap_or(usize::MAX)).clamp(least, most)
}

/// Calls `each` with every source of a selection and its metrics, ascending.
fn by_source(selected: &[Selected], each: &mut EachSource<'_>) -> Result<(), Stop> {
    let mut sources = selected.iter().fold(RoaringBitmap::new(), |all, one| all | &one.sources);
    while let Some(first) = sources.min() {
        let last = sources.select(u32::try_from(limits::SOURCES_AT_ONCE - 1).unwrap_or(u32::MAX)).or(sources.max());
        let some = first..=last.unwrap_or(first);
        let mut selected_of: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (i, one) in selected.iter().enumerate() {
            for source in one.sources.range(some.clone()) {
                selected_of.entry(source).or_default().push(i);
            }
        }
        // The next source is likely to have the same.
        let (mut last, mut metrics) = (Vec::new(), Vec::new());
        for (source, these) in selected_of {
            if these != last {
                let union = these.iter().fold(RoaringBitmap::new(), |all, &i| all | &selected[i].metrics);
                metrics = union.into_iter().collect();
                last = these;
            }
            each(SourceId(source), &metrics)?;
        }
        sources.remove_range(some);
    }
    Ok(())
}

impl Querier for Db {
    fn select(&self, selection: &Selection<'_>, sink: &mut Sink<'_>) -> Result<(), QuerierError> {
        self.select_either(selection, false, sink)
    }

    fn select_latest(&self, selection: &Selection<'_>, sink: &mut Sink<'_>) -> Result<(), QuerierError> {
        self.select_either(selection, true, sink)
    }

    fn series(&self, selection: &Selection<'_>, limit: usize) -> Result<Vec<Labels>, QuerierError> {
        list::series(self, selection, at_most(limit)).map_err(unreadable)
    }

    fn label_names(&self, selection: &Selection<'_>, limit: usize) -> Result<Vec<String>, QuerierError> {
        list::label_names(self, selection, at_most(limit)).map_err(unreadable)
    }

    fn label_values(&self, name: &str, selection: &Selection<'_>, limit: usize) -> Result<Vec<String>, QuerierError> {
        list::label_values(self, name, selection, at_most(limit)).map_err(unreadable)
    }
}

fn at_most(limit: usize) -> usize {
    if limit == 0 { usize::MAX } else { limit }
}
