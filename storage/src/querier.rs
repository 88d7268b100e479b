//! Selections: which series, then their samples, source by source.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;

use model::{Batch, Column, Labels, Querier, QuerierError, Selection, SourceId};
use roaring::RoaringBitmap;

use crate::db::Db;
use crate::error::Error;
use crate::index::collide::{self, join};
use crate::index::postings;
use crate::index::select::{Selected, select};
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
type EachAlive<'f> = dyn FnMut(&Labels, &[u32]) -> Result<(), Error> + 'f;
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
        if alive.is_empty() { Ok(Vec::new()) } else { select(&self.store, selection.matchers, &alive) }
    }

    fn select_batches(&self, selection: &Selection<'_>, sink: &mut Sink<'_>) -> Result<(), Stop> {
        let range = selection.start_ms..=selection.end_ms;
        let view = View::new(&self.store);
        let selected = self.selected(&view, selection)?;
        let groups = collide::groups(&self.store, &self.index, &selected)?;
        let grouped: HashSet<(SourceId, u32)> = groups.values().flatten().copied().collect();
        let deleted = self.deleted(&range)?;
        let mut reader = Reader::new(&view, &self.index, range.clone(), &deleted)?;
        let columns_max = columns_max(&range);
        by_source(&selected, &mut |source, metrics| {
            let stored = reader.stored(source)?;
            let Some(source_labels) = self.index.source_labels(&self.store, source)? else { return Ok(()) };
            for metrics in metrics.chunks(columns_max) {
                let gathered = reader.gather(&stored, metrics)?;
                let mut labels = |i: usize| match metrics[i] {
                    metric if grouped.contains(&(source, metric)) => Ok(None),
                    metric => self.labels(&source_labels, metric),
                };
                for batch in gathered.into_batches(&mut labels)? {
                    sink(batch).map_err(Stop::Sink)?;
                }
            }
            Ok(())
        })?;
        for (labels, pairs) in groups {
            let batch = self.merged(&mut reader, labels, &pairs)?;
            if !batch.timestamps_ms.is_empty() {
                sink(batch).map_err(Stop::Sink)?;
            }
        }
        Ok(())
    }

    fn labels(&self, source: &Labels, metric: u32) -> Result<Option<Labels>, Error> {
        Ok(self.index.metric_labels(&self.store, metric)?.map(|metric| join(source, &metric)))
    }

    /// One series out of several pairs; of two samples at one time that of the older pair stays.
    fn merged(&self, reader: &mut Reader<'_>, labels: Labels, pairs: &[(SourceId, u32)]) -> Result<Batch, Error> {
        let mut samples: BTreeMap<i64, f64> = BTreeMap::new();
        for &(source, metric) in pairs {
            let stored = reader.stored(source)?;
            let gathered = reader.gather(&stored, &[metric])?;
            for batch in gathered.into_batches(&mut |_| Ok(Some(labels.clone())))? {
                for column in &batch.columns {
                    let present = |(i, _): &(usize, &i64)| column.is_present(*i);
                    for (i, ts) in batch.timestamps_ms.iter().enumerate().filter(present) {
                        samples.entry(*ts).or_insert(column.values[i]);
                    }
                }
            }
        }
        let (timestamps_ms, values) = samples.into_iter().unzip();
        Ok(Batch { timestamps_ms, columns: vec![Column { labels, values, present: None }] })
    }

    /// Calls `each` with every source and those of its matching metrics that it wrote in the buckets of the range.
    fn each_alive(&self, selection: &Selection<'_>, each: &mut EachAlive<'_>) -> Result<(), Error> {
        let view = View::new(&self.store);
        let mut reader = Reader::new(&view, &self.index, selection.start_ms..=selection.end_ms, &[])?;
        let mut by_segments: HashMap<Vec<u32>, RoaringBitmap> = HashMap::new();
        let walked = by_source(&self.selected(&view, selection)?, &mut |source, metrics| {
            let Some(labels) = self.index.source_labels(&self.store, source)? else { return Ok(()) };
            let segments: Vec<u32> = reader.stored(source)?.segments().iter().collect();
            if !by_segments.contains_key(&segments) {
                let mut written = RoaringBitmap::new();
                for &segment in &segments {
                    let columns = self.index.segment_metrics(&self.store, segment)?;
                    written.extend(columns.iter().flat_map(|columns| columns.iter().copied()));
                }
                if by_segments.len() >= limits::SEGMENT_SETS {
                    by_segments.clear();
                }
                by_segments.insert(segments.clone(), written);
            }
            let metrics: Vec<u32> = metrics.iter().copied().filter(|m| by_segments[&segments].contains(*m)).collect();
            if !metrics.is_empty() {
                each(&labels, &metrics)?;
            }
            Ok(())
        });
        match walked {
            Err(Stop::Store(error)) => Err(error),
            _ => Ok(()),
        }
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
        let mut metrics_of: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for one in selected {
            for source in one.sources.range(some.clone()) {
                metrics_of.entry(source).or_default().push(one.metric);
            }
        }
        for (source, metrics) in metrics_of {
            each(SourceId(source), &metrics)?;
        }
        sources.remove_range(some);
    }
    Ok(())
}

impl Querier for Db {
    fn select(&self, selection: &Selection<'_>, sink: &mut Sink<'_>) -> Result<(), QuerierError> {
        if selection.start_ms > selection.end_ms {
            return Ok(());
        }
        self.select_batches(selection, sink).map_err(|stop| match stop {
            Stop::Store(error) => unreadable(error),
            Stop::Sink(error) => error,
        })
    }

    fn series(&self, selection: &Selection<'_>, limit: usize) -> Result<Vec<Labels>, QuerierError> {
        let mut found = BTreeSet::new();
        let each = &mut |source: &Labels, metrics: &[u32]| {
            for &metric in metrics {
                if let Some(labels) = self.labels(source, metric)? {
                    keep(&mut found, labels, limit);
                }
            }
            Ok(())
        };
        self.each_alive(selection, each).map_err(unreadable)?;
        Ok(found.into_iter().collect())
    }

    fn label_names(&self, selection: &Selection<'_>, limit: usize) -> Result<Vec<String>, QuerierError> {
        let mut found: BTreeSet<String> = BTreeSet::new();
        let mut done = RoaringBitmap::new();
        let add = |found: &mut BTreeSet<String>, labels: &Labels| {
            for (name, _) in labels {
                if !found.contains(name) {
                    found.insert(name.to_owned());
                }
            }
        };
        let each = &mut |source: &Labels, metrics: &[u32]| {
            add(&mut found, source);
            for &metric in metrics {
                if done.insert(metric)
                    && let Some(labels) = self.index.metric_labels(&self.store, metric)?
                {
                    add(&mut found, &labels);
                }
            }
            Ok(())
        };
        self.each_alive(selection, each).map_err(unreadable)?;
        Ok(cut(found, limit))
    }

    fn label_values(&self, name: &str, selection: &Selection<'_>, limit: usize) -> Result<Vec<String>, QuerierError> {
        let having = postings::having(&self.store, crate::schema::METRIC_LABEL, name).map_err(unreadable)?;
        let mut found: BTreeSet<String> = BTreeSet::new();
        let mut done = RoaringBitmap::new();
        let each = &mut |source: &Labels, metrics: &[u32]| {
            let mut lacking = false;
            for &metric in metrics {
                if !having.contains(metric) {
                    lacking = true;
                } else if done.insert(metric)
                    && let Some(labels) = self.index.metric_labels(&self.store, metric)?
                {
                    found.extend(labels.get(name).map(str::to_owned));
                }
            }
            if lacking {
                found.extend(source.get(name).map(str::to_owned));
            }
            Ok(())
        };
        self.each_alive(selection, each).map_err(unreadable)?;
        Ok(cut(found, limit))
    }
}

/// Adds to a sorted set of at most `limit` (0: any number), which keeps its first ones.
fn keep(found: &mut BTreeSet<Labels>, labels: Labels, limit: usize) {
    found.insert(labels);
    if limit > 0 && found.len() > limit {
        found.pop_last();
    }
}

fn cut(found: BTreeSet<String>, limit: usize) -> Vec<String> {
    let limit = if limit == 0 { usize::MAX } else { limit };
    found.into_iter().take(limit).collect()
}
