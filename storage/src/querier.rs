//! Selections: which series, then their samples, source by source.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::{
    Batch, BatchSink, Column, Grow, Histogram, Labels, Listing, Matcher, MetricId, PartReader, Parts, Querier,
    QuerierError, ReadHints, SamplesNeeded, Selection, SeriesOrder, SourceId,
};
use roaring::RoaringBitmap;

use crate::db::Db;
use crate::deletes::Deleted;
use crate::error::Error;
use crate::histograms::HistogramReader;
use crate::index::collide::{self, Groups};
use crate::index::select::{Selected, select};
use crate::index::{list, postings};
use crate::limits;
use crate::metric_labels::MetricLabels;
use crate::quarantine;
use crate::read::Reader;
use crate::scan::{ScanTask, assumed_rows, by_source, tasks};
use crate::schema::{Bucket, Cf, bucket_key};
use crate::sorted::{self, SERIES_BYTES, Sorted, SortedSeries};
use crate::view::View;

/// Why a selection ended: the store could not be read, or its receiver asked for it.
enum Stop {
    Store(Error),
    Sink(QuerierError),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<Stop> for QuerierError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Store(error) => unreadable(error),
            Stop::Sink(error) => error,
        }
    }
}

type Out<'o> = dyn FnMut(Batch) -> Result<(), Stop> + 'o;
type Readers<'r, 'a> = (&'r mut Reader<'a>, Option<&'r mut HistogramReader<'a>>);

fn unreadable(error: Error) -> QuerierError {
    QuerierError::Store(Box::new(error))
}

impl Db {
    pub(crate) fn buckets(&self, range: &RangeInclusive<i64>) -> (Bucket, Bucket) {
        let bucket_ms = self.store.bucket_ms;
        (Bucket::of(*range.start(), bucket_ms), Bucket::of(*range.end(), bucket_ms))
    }

    /// The sources that have rows or pages in a range.
    pub(crate) fn alive(&self, view: &View<'_>, range: &RangeInclusive<i64>) -> Result<Arc<RoaringBitmap>, Error> {
        let (from, to) = self.buckets(range);
        self.store.kept.alive(view, (from, to), || {
            let mut alive = RoaringBitmap::new();
            for (partition, sources) in &*self.store.kept.partitions(view)? {
                if partition.start.0 <= *range.end() && partition.end_ms(self.store.bucket_ms) > *range.start() {
                    alive |= sources;
                }
            }
            let mut end = bucket_key(to).to_vec();
            end.push(0);
            let mut iter = view.iter(Cf::Postings, &bucket_key(from), &end);
            iter.seek_to_first();
            while let Some((key, value)) = iter.item() {
                alive |= postings::decode_or_report(&self.store, key, value);
                iter.next();
            }
            iter.status().map_err(Error::read)?;
            Ok(alive)
        })
    }

    /// For how long there is anything in a range, milliseconds, by whole buckets and partitions.
    fn stored_ms(&self, view: &View<'_>, range: &RangeInclusive<i64>) -> Result<i64, Error> {
        let bucket_ms = self.store.bucket_ms;
        let (from, to) = self.buckets(range);
        let mut stored_ms = 0i64;
        for (partition, _) in &*self.store.kept.partitions(view)? {
            if partition.start.0 <= *range.end() && partition.end_ms(bucket_ms) > *range.start() {
                stored_ms = stored_ms.saturating_add(partition.end_ms(bucket_ms).saturating_sub(partition.start.0));
            }
        }
        let mut end = bucket_key(to).to_vec();
        end.push(0);
        let mut iter = view.iter(Cf::Postings, &bucket_key(from), &end);
        iter.seek_to_first();
        while iter.valid() {
            stored_ms = stored_ms.saturating_add(i64::from(bucket_ms));
            iter.next();
        }
        iter.status().map_err(Error::read)?;
        Ok(stored_ms)
    }

    fn selected(&self, view: &View<'_>, selection: &Selection<'_>) -> Result<Vec<Selected>, Error> {
        let alive = self.alive(view, &(selection.start_ms..=selection.end_ms))?;
        if alive.is_empty() { Ok(Vec::new()) } else { select((&self.store, &self.index), selection.matchers, &alive) }
    }

    fn chosen(&self, selection: &Selection<'_>, hints: &ReadHints<'_>) -> Result<Chosen<'_>, Stop> {
        let range = selection.start_ms..=selection.end_ms;
        // Before the view: a deletion that is cleaned up meanwhile is then either still masked or already gone.
        let deleted = self.deleted(&range)?;
        let mut view = View::new(&self.store);
        let selected = if range.is_empty() { Vec::new() } else { self.selected(&view, selection)? };
        let groups = collide::groups(&self.store, &self.index, &selected)?;
        let pairs: u64 = selected.iter().map(|one| one.sources.len() * one.metrics.len()).sum();
        let sources = selected.iter().fold(RoaringBitmap::new(), |all, one| all | &one.sources).len();
        view.caching_pages = pairs <= limits::CACHED_PAIRS;
        view.caching_rows = view.caching_pages && sources <= limits::CACHED_SOURCES;
        let parts = match hints.order {
            SeriesOrder::Any => tasks(&selected, &range, limits::batch_values(self.options.memory_bytes)),
            SeriesOrder::ByLabels { .. } => Vec::new(),
        };
        let matchers = selection.matchers.to_vec();
        let latest = hints.samples == SamplesNeeded::Newest;
        let left = AtomicUsize::new(if hints.limit == 0 { usize::MAX } else { hints.limit });
        let mut chosen = Chosen { db: self, view, range, matchers, deleted, parts, groups, latest, sorted: None, left };
        if let SeriesOrder::ByLabels { grow } = hints.order {
            chosen.sorted = Some(chosen.sort(&selected, grow)?);
        }
        Ok(chosen)
    }

    fn has_histograms(&self) -> bool {
        self.store.has_histograms.load(Ordering::Acquire)
    }

    /// One series out of several pairs; of two samples at one time that of the older pair stays.
    fn merged<'v>(
        &self,
        (reader, mut histograms): Readers<'_, 'v>,
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
        let mut column = Column { metric: labels, ..Column::default() };
        let mut timestamps_ms = Vec::with_capacity(samples.len());
        for (slot, (ts, (value, histogram))) in (0..).zip(samples) {
            timestamps_ms.push(ts);
            column.values.push(value);
            column.histograms.extend(histogram.map(|histogram| (slot, histogram)));
        }
        Ok(Batch { timestamps_ms, columns: vec![column], ..Batch::default() })
    }
}

/// A selection with the store as it is to be read.
struct Chosen<'a> {
    db: &'a Db,
    view: View<'a>,
    range: RangeInclusive<i64>,
    matchers: Vec<Matcher>,
    deleted: Vec<Deleted>,
    parts: Vec<Vec<ScanTask>>,
    groups: Groups,
    /// At least the newest sample of each series is wanted, not all.
    latest: bool,
    /// The series in label order, where that was asked for; then there are no `parts`.
    sorted: Option<Sorted>,
    /// How many series more are needed.
    left: AtomicUsize,
}

impl Chosen<'_> {
    /// Hands a batch to its receiver, as far as its series are needed.
    fn hand_out(&self, mut batch: Batch, sink: &mut BatchSink<'_>) -> Result<(), Stop> {
        let needed = |left: usize| Some(left.saturating_sub(batch.columns.len()));
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, needed).unwrap_or_default();
        batch.columns.truncate(left);
        if batch.columns.is_empty() { Ok(()) } else { sink(batch).map_err(Stop::Sink) }
    }

    /// The series of a selection with their labels, in no order: those of several pairs once.
    fn each_series(
        &self,
        selected: &[Selected],
        each: &mut dyn FnMut(Labels, Vec<(SourceId, u32)>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let grouped: HashSet<(SourceId, u32)> = self.groups.values().flatten().copied().collect();
        let mut known = MetricLabels::default();
        let mut result: Result<(), Stop> = Ok(());
        by_source(selected, &mut |source, metrics| {
            let mut of_source = || {
                let Some(source_labels) = self.db.index.source_labels(&self.db.store, source)? else { return Ok(()) };
                known.expect(metrics.len());
                for (i, metric) in
                    metrics.iter().enumerate().filter(|(_, metric)| !grouped.contains(&(source, **metric)))
                {
                    if let Some(labels) = known.labels((&self.db.store, &self.db.index), &metrics[i..])? {
                        each(source_labels.joined(labels), vec![(source, *metric)])?;
                    }
                }
                Ok(())
            };
            if result.is_ok() {
                result = of_source();
            }
        });
        result?;
        self.groups.iter().try_for_each(|(labels, pairs)| each(labels.clone(), pairs.clone()))
    }

    /// The series of a selection in label order.
    fn sort(&self, selected: &[Selected], grow: &Grow<'_>) -> Result<Sorted, Stop> {
        let mut series = Vec::new();
        self.each_series(selected, &mut |labels, pairs| {
            grow(labels.as_text().len() + SERIES_BYTES).map_err(Stop::Sink)?;
            series.push(SortedSeries { labels, pairs });
            Ok(())
        })?;
        // What one part holds in memory is bounded like a batch.
        let values = limits::batch_values(self.db.options.memory_bytes);
        let at_once = (values / self.rows_at_most().max(1)).clamp(1, limits::SORTED_AT_ONCE);
        Ok(Sorted::new(series, at_once))
    }

    /// Rows of one source, as many as there may be where anything is stored: a range may reach far beyond that.
    fn rows_at_most(&self) -> usize {
        let assumed = assumed_rows(&self.range);
        let of_bucket = assumed_rows(&(0..=i64::from(self.db.store.bucket_ms)));
        if assumed <= limits::BUCKETS_TRUSTED * of_bucket {
            return assumed;
        }
        let stored_ms = self.db.stored_ms(&self.view, &self.range);
        stored_ms.map_or(assumed, |stored_ms| assumed.min(assumed_rows(&(0..=stored_ms))))
    }
}

impl Parts for Chosen<'_> {
    fn count(&self) -> usize {
        if let Some(sorted) = &self.sorted {
            return sorted.count();
        }
        // Series of several pairs are read in the end, and from all their sources.
        self.parts.len() + usize::from(!self.groups.is_empty())
    }

    fn reader_bytes(&self) -> usize {
        let rows = if self.latest { 1 } else { self.rows_at_most() };
        let columns = match &self.sorted {
            Some(sorted) => sorted.columns_max(),
            None => self.parts.iter().flatten().map(|piece| piece.range.len()).max().unwrap_or_default(),
        };
        let known = columns.saturating_mul(4).min(limits::KNOWN_METRICS).saturating_mul(limits::KNOWN_BYTES);
        let column = rows.saturating_mul(limits::VALUE_READ_BYTES).saturating_add(limits::COLUMN_READ_BYTES);
        columns.saturating_mul(column).saturating_add(known)
    }

    fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
        let reader = Reader::new(&self.view, &self.db.index, self.range.clone(), &self.deleted).map_err(unreadable)?;
        let histograms = self.db.has_histograms().then(|| HistogramReader::new(&self.view));
        let grouped = self.groups.values().flatten().copied().collect();
        let (readers, known) = (RefCell::new((reader, histograms)), RefCell::default());
        Ok(Box::new(ChosenReader { chosen: self, grouped, readers, known }))
    }

    fn warnings(&self) -> Vec<String> {
        let selection =
            Selection { start_ms: *self.range.start(), end_ms: *self.range.end(), matchers: &self.matchers };
        quarantine::warnings(&self.db.store.damage(), &selection)
    }
}

struct ChosenReader<'a> {
    chosen: &'a Chosen<'a>,
    /// Pairs that are not a series by themselves.
    grouped: HashSet<(SourceId, u32)>,
    readers: RefCell<(Reader<'a>, Option<HistogramReader<'a>>)>,
    known: RefCell<MetricLabels>,
}

impl PartReader for ChosenReader<'_> {
    fn read(&self, part: usize, sink: &mut BatchSink<'_>) -> Result<(), QuerierError> {
        let read = self.read_part(part, sink);
        if let Err(Stop::Store(error)) = &read
            && error.is_damage()
        {
            self.chosen.db.store.damaged(&model::with_causes(error));
        }
        Ok(read?)
    }
}

impl<'a> ChosenReader<'a> {
    fn read_part(&self, part: usize, sink: &mut BatchSink<'_>) -> Result<(), Stop> {
        let mut readers = self.readers.borrow_mut();
        let (reader, histograms) = &mut *readers;
        let mut out = |batch| self.chosen.hand_out(batch, sink);
        if let Some(sorted) = &self.chosen.sorted {
            return self.sorted(sorted.part(part), (reader, histograms.as_mut()), &mut out);
        }
        match self.chosen.parts.get(part) {
            Some(pieces) => {
                pieces.iter().try_for_each(|piece| self.piece((reader, histograms.as_mut()), piece, &mut out))
            }
            None => self.groups((reader, histograms.as_mut()), &mut out),
        }
    }

    /// What there is of some metrics of one source.
    fn piece(
        &self,
        (reader, mut histograms): Readers<'_, 'a>,
        piece: &ScanTask,
        out: &mut Out<'_>,
    ) -> Result<(), Stop> {
        let Chosen { db, latest, .. } = self.chosen;
        db.store.stay()?;
        let (source, metrics) = (piece.source, &piece.metrics[piece.range.clone()]);
        let stored = reader.stored(source)?;
        let Some(source_labels) = db.index.source_labels(&db.store, source)? else { return Ok(()) };
        let gathered =
            if *latest { reader.gather_latest(&stored, metrics)? } else { reader.gather(&stored, metrics)? };
        let mut known = self.known.borrow_mut();
        known.expect(piece.metrics.len());
        let mut complete = |i: usize, times: &[i64], column: &mut Column| {
            let metric = metrics[i];
            if self.grouped.contains(&(source, metric)) {
                return Ok(false);
            }
            let Some(metric_labels) = known.labels((&db.store, &db.index), &metrics[i..])? else { return Ok(false) };
            column.metric = metric_labels.clone();
            column.metric_id = Some(MetricId(metric));
            if let Some(histograms) = &mut histograms {
                histograms.fill((source, metric), times, column)?;
            }
            Ok(true)
        };
        let batches = gathered.into_batches(&mut complete)?.into_iter();
        let whose = |batch| Batch { source_id: Some(source), source: source_labels.clone(), ..batch };
        batches.map(whose).try_for_each(out)
    }

    /// Some series in their order: each source is read once for all of them.
    fn sorted(
        &self,
        series: &[SortedSeries],
        (reader, mut histograms): Readers<'_, 'a>,
        out: &mut Out<'_>,
    ) -> Result<(), Stop> {
        let Chosen { db, latest, .. } = self.chosen;
        let mut found: Vec<Option<Batch>> = Vec::new();
        found.resize_with(series.len(), || None);
        for (source, wanted) in sorted::by_source(series) {
            db.store.stay()?;
            let metrics: Vec<u32> = wanted.iter().map(|(metric, _)| *metric).collect();
            let stored = reader.stored(source)?;
            let gathered =
                if *latest { reader.gather_latest(&stored, &metrics)? } else { reader.gather(&stored, &metrics)? };
            let mut complete = |i: usize, times: &[i64], column: &mut Column| {
                column.metric_id = Some(MetricId(metrics[i]));
                match &mut histograms {
                    Some(histograms) => histograms.fill((source, metrics[i]), times, column).map(|()| true),
                    None => Ok(true),
                }
            };
            for mut batch in gathered.into_batches(&mut complete)?.into_iter().flat_map(Batch::into_series) {
                let column = &mut batch.columns[0];
                // The labels handed out are whole ones, and the id is not theirs.
                let Some(MetricId(metric)) = column.metric_id.take() else { continue };
                let Ok(i) = metrics.binary_search(&metric) else { continue };
                let (_, at) = wanted[i];
                column.metric = series[at].labels.clone();
                found[at] = Some(batch);
            }
        }
        for (one, found) in series.iter().zip(found) {
            let batch = match (found, &one.pairs) {
                (None, pairs) if pairs.len() > 1 => {
                    let readers = (&mut *reader, histograms.as_deref_mut());
                    db.merged(readers, one.labels.clone(), pairs)?
                }
                (found, _) => found.unwrap_or_default(),
            };
            if !batch.timestamps_ms.is_empty() {
                out(batch)?;
            }
        }
        Ok(())
    }

    fn groups(&self, (reader, mut histograms): Readers<'_, 'a>, out: &mut Out<'_>) -> Result<(), Stop> {
        let mut groups: Vec<_> = self.chosen.groups.iter().collect();
        groups.sort_unstable_by_key(|(_, pairs)| *pairs);
        for (labels, pairs) in groups {
            let readers = (&mut *reader, histograms.as_deref_mut());
            let batch = self.chosen.db.merged(readers, labels.clone(), pairs)?;
            if !batch.timestamps_ms.is_empty() {
                out(batch)?;
            }
        }
        Ok(())
    }
}

impl Querier for Db {
    fn open<'q>(
        &'q self,
        selection: &Selection<'_>,
        hints: &ReadHints<'_>,
    ) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        let chosen = self.chosen(selection, hints);
        if let Err(Stop::Store(error)) = &chosen
            && error.is_damage()
        {
            self.store.damaged(&model::with_causes(error));
        }
        Ok(Box::new(chosen?))
    }

    fn list_series(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        let length_ms = selection.end_ms.saturating_sub(selection.start_ms);
        if length_ms <= limits::LISTED_EXACTLY_MS {
            return list::with_samples(&*self.open(selection, &ReadHints::NEWEST)?, listing);
        }
        list::series(self, selection, listing)
    }

    fn list_label_names(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        list::label_names(self, selection, listing)
    }

    fn list_label_values(
        &self,
        name: &str,
        selection: &Selection<'_>,
        listing: &Listing<'_>,
    ) -> Result<Vec<String>, QuerierError> {
        list::label_values(self, name, selection, listing)
    }

    fn listing_warnings(&self, selection: &Selection<'_>) -> Vec<String> {
        quarantine::warnings(&self.store.damage(), selection)
    }
}
