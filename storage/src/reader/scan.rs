//! Selections: which series, then their samples, source by source.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{
    Batch, BatchSink, Column, Histogram, Labels, Listing, Matcher, PartReader, Parts, Querier, QuerierError, Selection,
    SourceId,
};
use roaring::RoaringBitmap;

use crate::db::Db;
use crate::deletes::Deleted;
use crate::error::Error;
use crate::histograms::HistogramReader;
use crate::index::dedup::{self, Groups};
use crate::index::postings;
use crate::index::select::{Selected, select};
use crate::kv::schema::{Bucket, Cf, bucket_key};
use crate::limits;
use crate::listing as list;
use crate::quarantine;
use crate::reader::Reader;
use crate::reader::snapshot::View;

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

    /// All samples, or at least the newest of each series.
    fn chosen(&self, selection: &Selection<'_>, latest: bool) -> Result<Chosen<'_>, Error> {
        let range = selection.start_ms..=selection.end_ms;
        // Before the view: a deletion that is cleaned up meanwhile is then either still masked or already gone.
        let deleted = self.deleted(&range)?;
        let mut view = View::new(&self.store);
        let selected = if range.is_empty() { Vec::new() } else { self.selected(&view, selection)? };
        let groups = dedup::groups(&self.store, &self.index, &selected)?;
        let pairs: u64 = selected.iter().map(|one| one.sources.len() * one.metrics.len()).sum();
        let sources = selected.iter().fold(RoaringBitmap::new(), |all, one| all | &one.sources).len();
        view.caching_pages = pairs <= limits::CACHED_PAIRS;
        view.caching_rows = view.caching_pages && sources <= limits::CACHED_SOURCES;
        let parts = parts(&selected, &range, limits::batch_values(self.options.memory_bytes));
        let matchers = selection.matchers.to_vec();
        Ok(Chosen { db: self, view, range, matchers, deleted, parts, groups, latest })
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
    parts: Vec<Vec<Piece>>,
    groups: Groups,
    /// At least the newest sample of each series is wanted, not all.
    latest: bool,
}

impl Chosen<'_> {
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
        // Series of several pairs are read in the end, and from all their sources.
        self.parts.len() + usize::from(!self.groups.is_empty())
    }

    fn reader_bytes(&self) -> usize {
        let rows = if self.latest { 1 } else { self.rows_at_most() };
        let columns = self.parts.iter().flatten().map(|piece| piece.range.len()).max().unwrap_or_default();
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
    known: RefCell<Known>,
}

/// Labels of metrics that were asked for lately, each at the place its id leads to: other sources have the same, as a rule.
#[derive(Default)]
struct Known(Vec<Option<(u32, Labels)>>);

impl Known {
    /// Makes room for sources of so many metrics.
    fn expect(&mut self, metrics: usize) {
        let places = (4 * metrics).next_power_of_two().min(limits::KNOWN_METRICS);
        if self.0.len() < places {
            self.0.clear();
            self.0.resize(places, None);
        }
    }

    fn place(&self, metric: u32) -> usize {
        metric as usize & (self.0.len() - 1)
    }

    fn has(&self, metric: u32) -> bool {
        self.0[self.place(metric)].as_ref().is_some_and(|(of, _)| *of == metric)
    }

    /// The labels of the first of some metrics of a source; those behind it are likely to be asked for next.
    fn labels(&mut self, db: &Db, metrics: &[u32]) -> Result<Option<&Labels>, Error> {
        let Some(&metric) = metrics.first() else { return Ok(None) };
        if !self.has(metric) {
            let near = &metrics[..metrics.len().min(limits::KNOWN_AT_ONCE)];
            let mut found = Vec::with_capacity(near.len());
            let unknown = near.iter().copied().filter(|metric| !self.has(*metric));
            db.index.labels_of_metrics(&db.store, unknown, |metric, labels| found.push((metric, labels.apart())))?;
            // Where two have one place, that of this one is its own.
            found.sort_unstable_by_key(|(one, _)| *one == metric);
            for (metric, labels) in found {
                let place = self.place(metric);
                self.0[place] = Some((metric, labels));
            }
        }
        // It is not there when its labels are damaged.
        Ok(self.0[self.place(metric)].as_ref().filter(|(of, _)| *of == metric).map(|(_, labels)| labels))
    }
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
        let mut out = |batch| sink(batch).map_err(Stop::Sink);
        match self.chosen.parts.get(part) {
            Some(pieces) => {
                pieces.iter().try_for_each(|piece| self.piece((reader, histograms.as_mut()), piece, &mut out))
            }
            None => self.groups((reader, histograms.as_mut()), &mut out),
        }
    }

    /// What there is of some metrics of one source.
    fn piece(&self, (reader, mut histograms): Readers<'_, 'a>, piece: &Piece, out: &mut Out<'_>) -> Result<(), Stop> {
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
            let Some(metric_labels) = known.labels(db, &metrics[i..])? else { return Ok(false) };
            column.metric = metric_labels.clone();
            if let Some(histograms) = &mut histograms {
                histograms.fill((source, metric), times, column)?;
            }
            Ok(true)
        };
        let batches = gathered.into_batches(&mut complete)?.into_iter();
        batches.map(|batch| Batch { source: source_labels.clone(), ..batch }).try_for_each(out)
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

/// Some metrics of one source.
#[derive(Debug)]
struct Piece {
    source: SourceId,
    /// All that are selected of this source, and often of the next.
    metrics: Arc<[u32]>,
    range: Range<usize>,
}

/// A selection in pieces, source by source, as many to a part as are worth a thread's while.
fn parts(selected: &[Selected], range: &RangeInclusive<i64>, batch_values: usize) -> Vec<Vec<Piece>> {
    let rows = assumed_rows(range);
    let (least, some, most) = limits::BATCH_COLUMNS;
    // Each batch reads the times of its source: of a long range more values at once are worth it, up to a bound.
    let some = (limits::LONG_BATCH * batch_values / rows).clamp(least, some);
    let columns_max = (batch_values / rows).clamp(some, most);
    let mut parts: Vec<Vec<Piece>> = Vec::new();
    let mut work = usize::MAX;
    by_source(selected, &mut |source, metrics| {
        for from in (0..metrics.len()).step_by(columns_max) {
            if work >= limits::PART_WORK {
                parts.push(Vec::new());
                work = 0;
            }
            let range = from..metrics.len().min(from + columns_max);
            work = work.saturating_add(range.len().saturating_mul(rows.saturating_add(limits::COLUMN_WORK)));
            let piece = Piece { source, metrics: Arc::clone(metrics), range };
            parts.last_mut().expect("BUG: a part was begun").push(piece);
        }
    });
    parts
}

/// About how many rows a source has in a range.
fn assumed_rows(range: &RangeInclusive<i64>) -> usize {
    let rows = range.end().saturating_sub(*range.start()) / limits::ASSUMED_INTERVAL_MS + 1;
    usize::try_from(rows).unwrap_or(usize::MAX)
}

/// Calls `each` with every source of a selection and its metrics, ascending.
fn by_source(selected: &[Selected], each: &mut dyn FnMut(SourceId, &Arc<[u32]>)) {
    let mut selected_of: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (i, one) in selected.iter().enumerate() {
        for source in &one.sources {
            selected_of.entry(source).or_default().push(i);
        }
    }
    // The next source is likely to have the same.
    let (mut last, mut metrics): (Vec<usize>, Arc<[u32]>) = <_>::default();
    for (source, these) in selected_of {
        if these != last {
            let union = these.iter().fold(RoaringBitmap::new(), |all, &i| all | &selected[i].metrics);
            metrics = union.into_iter().collect();
            last = these;
        }
        each(SourceId(source), &metrics);
    }
}

impl Querier for Db {
    fn open<'q>(&'q self, selection: &Selection<'_>, latest: bool) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        let chosen = self.chosen(selection, latest);
        if let Err(error) = &chosen
            && error.is_damage()
        {
            self.store.damaged(&model::with_causes(error));
        }
        Ok(Box::new(chosen.map_err(unreadable)?))
    }

    fn list_series(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        let length_ms = selection.end_ms.saturating_sub(selection.start_ms);
        if length_ms <= limits::LISTED_EXACTLY_MS {
            return list::with_samples(&*self.open(selection, true)?, listing);
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
