//! A scan: which series a selection is of, then their samples, source by source. The steps *select* and *read* of the query
//! path.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::{
    Batch, BatchSink, Grow, Labels, Matcher, Memo, MetricId, PartReader, Parts, QuerierError, ReadHints, SamplesNeeded,
    Selection, SeriesOrder, SourceId, Timestamp,
};
use roaring::RoaringBitmap;

use crate::drain::Drain;
use crate::error::Error;
use crate::histograms::{AnyHistograms, HistogramReader};
use crate::index::dedup;
use crate::index::select::{Selected, select_in_segments};
use crate::limits;
use crate::quarantine::records::Records;
use crate::quarantine::warnings::warnings;
use crate::reader::Reader;
use crate::reader::alignment::ColumnValues;
use crate::reader::chosen::Chosen;
use crate::reader::context::ReadContext;
use crate::reader::mask::Mask;
use crate::reader::metric_labels::MetricLabels;
use crate::reader::snapshot::ReadSnapshot;
use crate::reader::sorted::{self, SERIES_BYTES, Sorted, SortedSeries};

/// Why a selection ended: the store could not be read, or its receiver asked for it.
pub(crate) enum Stop {
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

/// What a selection is opened with, besides the store.
#[derive(Debug)]
pub(crate) struct ScanOptions<'a> {
    /// What is deleted in the range. To be resolved before the scan is planned: a deletion that is cleaned up meanwhile is
    /// then either still masked or already gone.
    pub(crate) masks: Vec<Mask>,
    /// Are there native histograms? To be asked after the snapshot was taken.
    pub(crate) histograms: &'a AnyHistograms,
    /// Values that one batch aims not to exceed.
    pub(crate) batch_values: usize,
    pub(crate) drain: &'a Drain,
    pub(crate) records: &'a Records,
}

/// The scan plan: a selection, cut into tasks that threads work on side by side, over one snapshot.
pub(crate) struct ScanPlan<'a> {
    context: ReadContext<'a>,
    snapshot: ReadSnapshot<'a>,
    range: RangeInclusive<Timestamp>,
    matchers: Arc<[Matcher]>,
    options: ScanOptions<'a>,
    /// Each a part of the selection that is worth a thread's while.
    parts: Vec<Vec<ScanTask>>,
    chosen: Arc<Chosen>,
    /// At least the newest sample of each series is wanted, not all.
    latest: bool,
    /// The series in label order, where that was asked for; then there are no `parts`.
    sorted: Option<Sorted>,
    /// How many series more are needed.
    left: AtomicUsize,
}

/// The series that match in a range, and the matchers.
fn chosen(
    context: ReadContext<'_>,
    snapshot: &ReadSnapshot<'_>,
    (range, matchers): (&RangeInclusive<Timestamp>, &[Matcher]),
    memo: Option<&Memo>,
) -> Result<(Arc<[Matcher]>, Arc<Chosen>), Error> {
    let ReadContext { store, index, cache } = context;
    let read = |matchers: &[Matcher]| {
        let sources = context.sources_in(snapshot, range)?;
        // The posting lists need not be read at all.
        if sources.is_empty() {
            return Ok(Chosen::default());
        }
        let (selected, segments) = select_in_segments((store, index), matchers, &sources)?;
        let groups = dedup::groups(store, index, &selected)?;
        Ok(Chosen { selected, segments, groups })
    };
    if let Some(memo) = memo {
        return cache.chosen_again((snapshot, memo), (context.buckets(range), matchers), read);
    }
    let matchers: Arc<[Matcher]> = matchers.into();
    let chosen = cache.chosen(snapshot, context.selection_key(range, Arc::clone(&matchers)), || read(&matchers))?;
    Ok((matchers, chosen))
}

impl<'a> ScanPlan<'a> {
    /// Plans the scan of a selection.
    pub(crate) fn new(
        context: ReadContext<'a>,
        selection: &Selection<'_>,
        hints: &ReadHints<'_>,
        options: ScanOptions<'a>,
    ) -> Result<Self, Stop> {
        let range = selection.start..=selection.end;
        let mut snapshot = context.snapshot();
        let (matchers, chosen) = if range.is_empty() {
            (selection.matchers.into(), Arc::default())
        } else {
            chosen(context, &snapshot, (&range, selection.matchers), hints.memo)?
        };
        let selected = &chosen.selected;
        // A large selection leaves the block cache to others.
        let pairs: u64 = selected.iter().map(|one| one.sources.len() * one.metrics.len()).sum();
        let sources = match &selected[..] {
            [one] => one.sources.len(),
            more => more.iter().fold(RoaringBitmap::new(), |all, one| all | &one.sources).len(),
        };
        snapshot.fill_pages = pairs <= limits::CACHED_PAIRS;
        // Rows hold all metrics of a source, so that few pairs of many sources read much.
        snapshot.fill_rows = snapshot.fill_pages && sources <= limits::CACHED_SOURCES;
        let parts = match hints.order {
            SeriesOrder::Any => parts(selected, (&range, hints.sources), options.batch_values),
            SeriesOrder::ByLabels { .. } => Vec::new(),
        };
        let latest = hints.samples == SamplesNeeded::Newest;
        let left = AtomicUsize::new(if hints.limit == 0 { usize::MAX } else { hints.limit });
        let mut plan = Self { context, snapshot, range, matchers, options, latest, parts, chosen, sorted: None, left };
        if let SeriesOrder::ByLabels { grow } = hints.order {
            plan.sorted = Some(plan.sort(grow)?);
        }
        Ok(plan)
    }

    /// Hands a batch to its receiver, as far as its series are needed.
    fn hand_out(&self, mut batch: Batch, sink: &mut BatchSink<'_>) -> Result<(), Stop> {
        // Threads take their share of the limit one after the other; no more is handed out in all.
        let needed = |left: usize| Some(left.saturating_sub(batch.columns.len()));
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, needed).unwrap_or_default();
        batch.columns.truncate(left);
        if batch.columns.is_empty() { Ok(()) } else { sink(batch).map_err(Stop::Sink) }
    }

    /// The series of a selection with their labels, in no order: those of several pairs once.
    fn each_series(&self, each: &mut dyn FnMut(Labels, Vec<(SourceId, u32)>) -> Result<(), Stop>) -> Result<(), Stop> {
        let grouped: HashSet<(SourceId, u32)> = self.chosen.groups.values().flatten().copied().collect();
        let mut known = MetricLabels::default();
        let mut result: Result<(), Stop> = Ok(());
        by_source(&self.chosen.selected, &mut |source, metrics| {
            let mut of_source = || {
                let context = self.context;
                let Some(source_labels) = context.index.source_labels(context.store, source)? else { return Ok(()) };
                // Sources of one kind share their metrics, whose labels are then read once for all.
                known.expect(metrics.len());
                let ungrouped = metrics.iter().enumerate().filter(|(_, metric)| !grouped.contains(&(source, **metric)));
                for (i, metric) in ungrouped {
                    if let Some(labels) = known.labels(context, &metrics[i..])? {
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
        self.chosen.groups.iter().try_for_each(|(labels, pairs)| each(labels.clone(), pairs.clone()))
    }

    /// The series of a selection in label order.
    fn sort(&self, grow: &Grow<'_>) -> Result<Sorted, Stop> {
        let mut series = Vec::new();
        self.each_series(&mut |labels, pairs| {
            grow(labels.as_text().len() + SERIES_BYTES).map_err(Stop::Sink)?;
            series.push(SortedSeries { labels, pairs });
            Ok(())
        })?;
        // What one part holds in memory is bounded like a batch.
        let at_once = (self.options.batch_values / self.rows_at_most().max(1)).clamp(1, limits::SORTED_AT_ONCE);
        Ok(Sorted::new(series, at_once))
    }

    /// Rows of one source, as many as there may be where anything is stored: a range may reach far beyond that.
    fn rows_at_most(&self) -> usize {
        let assumed = assumed_rows(length_ms(&self.range));
        let of_bucket = assumed_rows(i64::from(self.context.store.bucket_ms));
        // Looking would cost more than it saves.
        if assumed <= limits::BUCKETS_TRUSTED * of_bucket {
            return assumed;
        }
        let stored_ms = self.context.stored_ms(&self.snapshot, &self.range);
        stored_ms.map_or(assumed, |stored_ms| assumed.min(assumed_rows(stored_ms)))
    }
}

impl Parts for ScanPlan<'_> {
    fn count(&self) -> usize {
        if let Some(sorted) = &self.sorted {
            return sorted.count();
        }
        // Series of several pairs are read in the end, and from all their sources.
        self.parts.len() + usize::from(!self.chosen.groups.is_empty())
    }

    fn reader_bytes(&self) -> usize {
        let rows = if self.latest { 1 } else { self.rows_at_most() };
        let columns = match &self.sorted {
            Some(sorted) => sorted.columns_max(),
            None => self.parts.iter().flatten().map(|task| task.range.len()).max().unwrap_or_default(),
        };
        let known = columns.saturating_mul(4).min(limits::KNOWN_METRICS).saturating_mul(limits::KNOWN_BYTES);
        let column = rows.saturating_mul(limits::VALUE_READ_BYTES).saturating_add(limits::COLUMN_READ_BYTES);
        columns.saturating_mul(column).saturating_add(known)
    }

    fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
        let reader =
            Reader::new(self.context, &self.snapshot, self.range.clone(), &self.options.masks).map_err(unreadable)?;
        let reader = reader.of_segments(self.chosen.segments.as_ref());
        let histograms = self.options.histograms.get().then(|| HistogramReader::new(&self.snapshot));
        let grouped = self.chosen.groups.values().flatten().copied().collect();
        let (readers, known) = (RefCell::new((reader, histograms)), RefCell::default());
        Ok(Box::new(PlanReader { plan: self, grouped, readers, known }))
    }

    fn warnings(&self) -> Vec<String> {
        let selection = Selection { start: *self.range.start(), end: *self.range.end(), matchers: &self.matchers };
        warnings(&self.options.records.all(), &selection)
    }
}

struct PlanReader<'a> {
    plan: &'a ScanPlan<'a>,
    /// Pairs that are not a series by themselves.
    grouped: HashSet<(SourceId, u32)>,
    readers: RefCell<(Reader<'a>, Option<HistogramReader<'a>>)>,
    known: RefCell<MetricLabels>,
}

impl PartReader for PlanReader<'_> {
    fn read(&self, part: usize, sink: &mut BatchSink<'_>) -> Result<(), QuerierError> {
        let read = self.read_part(part, sink);
        if let Err(Stop::Store(error)) = &read
            && error.is_damage()
        {
            // Asks for the directory to be opened again, which sets the damaged file aside.
            self.plan.context.store.damaged(&model::with_causes(error));
        }
        Ok(read?)
    }
}

impl<'a> PlanReader<'a> {
    fn read_part(&self, part: usize, sink: &mut BatchSink<'_>) -> Result<(), Stop> {
        let mut readers = self.readers.borrow_mut();
        let (reader, histograms) = &mut *readers;
        let mut out = |batch| self.plan.hand_out(batch, sink);
        if let Some(sorted) = &self.plan.sorted {
            return self.sorted(sorted.part(part), (reader, histograms.as_mut()), &mut out);
        }
        match self.plan.parts.get(part) {
            Some(tasks) => tasks.iter().try_for_each(|task| self.task((reader, histograms.as_mut()), task, &mut out)),
            None => self.groups((reader, histograms.as_mut()), &mut out),
        }
    }

    /// What there is of some metrics of one source.
    fn task(&self, (reader, mut histograms): Readers<'_, 'a>, task: &ScanTask, out: &mut Out<'_>) -> Result<(), Stop> {
        let ScanPlan { context, options, .. } = self.plan;
        // Between two tasks: a database that closes need not wait for a long scan.
        options.drain.check()?;
        let (source, metrics) = (task.source, &task.metrics[task.range.clone()]);
        let stored = reader.stored(source)?;
        let Some(source_labels) = context.index.source_labels(context.store, source)? else { return Ok(()) };
        let gathered =
            if self.plan.latest { reader.gather_latest(&stored, metrics)? } else { reader.gather(&stored, metrics)? };
        let mut known = self.known.borrow_mut();
        known.expect(task.metrics.len());
        let mut complete = |i: usize, times: &[Timestamp], values: ColumnValues| {
            let metric = metrics[i];
            // Comes with all its pairs, in the last part.
            if !self.grouped.is_empty() && self.grouped.contains(&(source, metric)) {
                return Ok(None);
            }
            let Some(labels) = known.labels(*context, &metrics[i..])? else { return Ok(None) };
            let mut column = values.of(labels.clone(), Some(MetricId(metric)));
            if let Some(histograms) = &mut histograms {
                histograms.fill((source, metric), times, &mut column)?;
            }
            Ok(Some(column))
        };
        gathered.into_batches((Some(source), &source_labels), &mut complete)?.into_iter().try_for_each(out)
    }

    /// Some series in their order: each source is read once for all of them.
    fn sorted(
        &self,
        series: &[SortedSeries],
        (reader, mut histograms): Readers<'_, 'a>,
        out: &mut Out<'_>,
    ) -> Result<(), Stop> {
        let mut found: Vec<Option<Batch>> = Vec::new();
        found.resize_with(series.len(), || None);
        for (source, wanted) in sorted::by_source(series) {
            self.plan.options.drain.check()?;
            let metrics: Vec<u32> = wanted.iter().map(|(metric, _)| *metric).collect();
            let stored = reader.stored(source)?;
            let gathered = if self.plan.latest {
                reader.gather_latest(&stored, &metrics)?
            } else {
                reader.gather(&stored, &metrics)?
            };
            let mut complete = |i: usize, times: &[Timestamp], values: ColumnValues| {
                // The labels handed out are whole ones.
                let mut column = values.of(series[wanted[i].1].labels.clone(), Some(MetricId(metrics[i])));
                if let Some(histograms) = &mut histograms {
                    histograms.fill((source, metrics[i]), times, &mut column)?;
                }
                Ok(Some(column))
            };
            let batches = gathered.into_batches((None, &Labels::empty()), &mut complete)?;
            for mut batch in batches.into_iter().flat_map(Batch::into_series) {
                // The id is not theirs.
                let Some(MetricId(metric)) = batch.columns[0].metric_id.take() else { continue };
                let Ok(i) = metrics.binary_search(&metric) else { continue };
                found[wanted[i].1] = Some(batch);
            }
        }
        for (one, found) in series.iter().zip(found) {
            let batch = match (found, &one.pairs) {
                // Not among what was read source by source: its samples come from several.
                (None, pairs) if pairs.len() > 1 => {
                    merged((&mut *reader, histograms.as_deref_mut()), &one.labels, pairs)?
                }
                (found, _) => found.unwrap_or_default(),
            };
            if !batch.timestamps.is_empty() {
                out(batch)?;
            }
        }
        Ok(())
    }

    fn groups(&self, (reader, mut histograms): Readers<'_, 'a>, out: &mut Out<'_>) -> Result<(), Stop> {
        let mut groups: Vec<_> = self.plan.chosen.groups.iter().collect();
        // The map has no order of its own, and answers should not differ from call to call.
        groups.sort_unstable_by_key(|(_, pairs)| *pairs);
        for (labels, pairs) in groups {
            let readers = (&mut *reader, histograms.as_deref_mut());
            let batch = merged(readers, labels, pairs)?;
            if !batch.timestamps.is_empty() {
                out(batch)?;
            }
        }
        Ok(())
    }
}

/// One series out of several pairs; of two samples at one time that of the older pair stays.
fn merged<'v>(
    (reader, mut histograms): Readers<'_, 'v>,
    labels: &Labels,
    pairs: &[(SourceId, u32)],
) -> Result<Batch, Error> {
    let mut found = Vec::new();
    for &(source, metric) in pairs {
        let stored = reader.stored(source)?;
        let gathered = reader.gather(&stored, &[metric])?;
        let mut complete = |_, times: &[Timestamp], values: ColumnValues| {
            let mut column = values.of(labels.clone(), None);
            if let Some(histograms) = &mut histograms {
                histograms.fill((source, metric), times, &mut column)?;
            }
            Ok(Some(column))
        };
        let batches = gathered.into_batches((None, &Labels::empty()), &mut complete)?;
        found.extend(batches.into_iter().flat_map(Batch::into_series));
    }
    // Pairs come oldest first, so that the merge prefers the sample of the older one.
    Ok(Batch::merge(found).unwrap_or_default())
}

/// The scan task: some metrics of one source.
#[derive(Debug)]
struct ScanTask {
    source: SourceId,
    /// All that are selected of this source, and often of the next.
    metrics: Arc<[u32]>,
    range: Range<usize>,
}

/// A selection as tasks, source by source, as many to a part as are worth a thread's while.
fn parts(
    selected: &[Selected],
    (range, sources): (&RangeInclusive<Timestamp>, Option<&HashSet<SourceId>>),
    batch_values: usize,
) -> Vec<Vec<ScanTask>> {
    let rows = assumed_rows(length_ms(range));
    let (least, some, most) = limits::BATCH_COLUMNS;
    // Each batch reads the times of its source: of a long range more values at once are worth it, up to a bound.
    let some = (limits::LONG_BATCH * batch_values / rows).clamp(least, some);
    let columns_max = (batch_values / rows).clamp(some, most);
    let mut parts: Vec<Vec<ScanTask>> = Vec::new();
    let mut work = usize::MAX;
    by_source(selected, &mut |source, metrics| {
        if sources.is_some_and(|sources| !sources.contains(&source)) {
            return;
        }
        for from in (0..metrics.len()).step_by(columns_max) {
            if work >= limits::PART_WORK {
                parts.push(Vec::new());
                work = 0;
            }
            let range = from..metrics.len().min(from + columns_max);
            work = work.saturating_add(range.len().saturating_mul(rows.saturating_add(limits::COLUMN_WORK)));
            let task = ScanTask { source, metrics: Arc::clone(metrics), range };
            parts.last_mut().expect("BUG: a part was begun").push(task);
        }
    });
    parts
}

fn length_ms(range: &RangeInclusive<Timestamp>) -> i64 {
    range.end().saturating_since(*range.start())
}

/// About how many rows a source has in a range of this length.
fn assumed_rows(length_ms: i64) -> usize {
    let rows = length_ms / limits::ASSUMED_INTERVAL_MS + 1;
    usize::try_from(rows).unwrap_or(usize::MAX)
}

/// Calls `each` with every source of a selection and its metrics, ascending.
fn by_source(selected: &[Selected], each: &mut dyn FnMut(SourceId, &Arc<[u32]>)) {
    // Mostly all sources have the same metrics, and there is nothing to put together.
    if let [one] = selected {
        let metrics: Arc<[u32]> = one.metrics.iter().collect();
        return one.sources.iter().for_each(|source| each(SourceId(source), &metrics));
    }
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
