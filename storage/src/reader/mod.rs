//! The reader: rows and pages of one source into columns. The step *read* of the query path; flush and compaction read the
//! same way.
//!
//! Rows at the time of their scrape and columns of pages become runs, which are aligned to one common line of times
//! (`alignment`). Samples with their own times are cells, and a series that has any gets times of its own unless all of them
//! are on the line. `latest` reads back from the newest sample; `cache` keeps what is read again and again, as long as
//! `epochs` tell that it holds; `scan` is a selection, cut into tasks; `mask` is what deletions hide.

pub(crate) mod alignment;
pub(crate) mod chosen;
pub(crate) mod context;
pub(crate) mod epochs;
mod latest;
pub(crate) mod lazy_rows;
pub(crate) mod mask;
pub(crate) mod metric_labels;
pub(crate) mod read_cache;
pub(crate) mod scan;
pub(crate) mod snapshot;
pub(crate) mod sorted;
pub(crate) mod written;

use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};

use foldhash::fast::RandomState;
use model::{SourceId, Timestamp};
use roaring::RoaringBitmap;

use crate::error::Error;
use crate::index::names::{by_name, grouped, named};
use crate::kv::schema::{Bucket, Partition, RowKey};
use crate::limits;
use crate::pages::Named;
use crate::pages::reader::PageReader;
use crate::pages::timeline::Timeline;
use crate::rows::decoder::{RowDecoder, Wanted, wanted};
use crate::rows::scan as row_scan;
use alignment::Gathered;
use context::ReadContext;
use lazy_rows::LazyRows;
use mask::Mask;
use read_cache::Buckets;
use snapshot::ReadSnapshot;

/// What is stored of one source in the range of a reader.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) source: SourceId,
    /// All its buckets, as the read cache has them, and those of the range.
    all_buckets: Buckets,
    within: Range<usize>,
    /// Partitions with pages.
    pub(crate) timelines: Vec<(Partition, Timeline)>,
}

impl Stored {
    /// Buckets with rows, and the segments written in each; ascending.
    pub(crate) fn buckets(&self) -> &[(Bucket, RoaringBitmap)] {
        &self.all_buckets[self.within.clone()]
    }

    /// All segments that its rows or pages are of.
    pub(crate) fn segments(&self) -> RoaringBitmap {
        let rows = self.buckets().iter().map(|(_, segments)| segments);
        rows.chain(self.timelines.iter().map(|(_, timeline)| &timeline.segments))
            .fold(RoaringBitmap::new(), |all, segments| all | segments)
    }
}

/// Reads sources one after another; what it learns about metrics serves the next source with the same.
pub(crate) struct Reader<'v> {
    context: ReadContext<'v>,
    snapshot: &'v ReadSnapshot<'v>,
    rows: LazyRows<'v>,
    /// The same rows once more, for what came since columns were cached: that is asked for again and again, and its blocks stay
    /// in RocksDB's cache even where those of whole columns do not.
    tails: LazyRows<'v>,
    pages: PageReader<'v>,
    range: RangeInclusive<Timestamp>,
    masks: &'v [Mask],
    /// No other segment has any of the metrics that are asked for.
    segments: Option<&'v RoaringBitmap>,
    metrics: Vec<u32>,
    plans: HashMap<u32, Wanted, RandomState>,
    /// The wanted by the name they lie under in pages.
    names: Vec<Named>,
    /// The segments that these names are of; of any when `None`.
    names_of: Option<RoaringBitmap>,
    /// Rows of the last run: the next one is likely as long.
    rows_hint: usize,
}

impl<'v> Reader<'v> {
    /// A reader of a range of time, without what is masked.
    pub(crate) fn new(
        context: ReadContext<'v>,
        snapshot: &'v ReadSnapshot<'v>,
        range: RangeInclusive<Timestamp>,
        masks: &'v [Mask],
    ) -> Result<Self, Error> {
        let buckets = context.buckets(&range);
        let rows = LazyRows::new(snapshot, buckets, snapshot.fill_rows);
        let tails = LazyRows::new(snapshot, buckets, true);
        let pages = PageReader::new(snapshot, &context.cache.partitions(snapshot)?, &range);
        let (segments, metrics, plans, names, names_of, rows_hint) = <_>::default();
        Ok(Self {
            context,
            snapshot,
            rows,
            tails,
            pages,
            range,
            masks,
            segments,
            metrics,
            plans,
            names,
            names_of,
            rows_hint,
        })
    }

    /// Looks at rows of these segments alone, if any: no others have the metrics that will be asked for.
    pub(crate) fn of_segments(self, segments: Option<&'v RoaringBitmap>) -> Self {
        Self { segments, ..self }
    }

    /// Makes room at once for so many rows of a segment, rather than as they come.
    pub(crate) fn expect_rows(&mut self, rows: usize) {
        self.rows_hint = rows;
    }

    /// What there is of a source.
    pub(crate) fn stored(&mut self, source: SourceId) -> Result<Stored, Error> {
        let (from, to) = self.context.buckets(&self.range);
        // All buckets of a source are cached together: a dashboard asks for many ranges of the same sources.
        let all = self.context.cache.buckets(self.snapshot, source)?;
        let within =
            all.partition_point(|(bucket, _)| *bucket < from)..all.partition_point(|(bucket, _)| *bucket <= to);
        Ok(Stored { source, all_buckets: all, within, timelines: self.pages.timelines(source)? })
    }

    /// The segments that a source wrote in the range, or in a bucket or partition that reaches into it.
    pub(crate) fn segments(&mut self, source: SourceId) -> Result<RoaringBitmap, Error> {
        let (from, to) = self.context.buckets(&self.range);
        let rows = self.context.cache.buckets(self.snapshot, source)?;
        let rows = rows.iter().filter(|(bucket, _)| (from..=to).contains(bucket));
        let mut all = rows.fold(RoaringBitmap::new(), |all, (_, segments)| all | segments);
        for partition in self.pages.partitions_of(source) {
            if let Some(timeline) = self.context.cache.timeline_head(self.snapshot, partition, source)? {
                all |= &timeline.segments;
            }
        }
        Ok(all)
    }

    /// The times of all rows of a source, ascending.
    pub(crate) fn times(&mut self, stored: &Stored) -> Result<Vec<Timestamp>, Error> {
        let mut times: Vec<Timestamp> = Vec::new();
        for (_, timeline) in &stored.timelines {
            times.extend(timeline.timestamps.iter().filter(|ts| self.range.contains(ts)));
        }
        for (bucket, segments) in stored.buckets() {
            for segment in segments {
                let place = RowKey::frame(*bucket, stored.source, segment);
                row_scan::times_of(self.context.store, self.rows.iter(), place, &self.range, &mut times)?;
            }
        }
        times.sort();
        times.dedup();
        Ok(times)
    }

    /// The samples of these metrics (ascending) of a source. Of two at one time that of a page comes first.
    pub(crate) fn gather(&mut self, stored: &Stored, metrics: &[u32]) -> Result<Gathered, Error> {
        self.want(metrics);
        let mut gathered = Gathered::default();
        self.name(stored)?;
        for (partition, timeline) in &stored.timelines {
            let place = (*partition, stored.source);
            // Pages first: alignment keeps the first of two samples at one time, and pages hold what was accepted
            // first.
            let run = self.pages.run(place, timeline, (&self.names, &self.range), &mut gathered.cells)?;
            if !run.columns.is_empty() {
                gathered.runs.push(run);
            }
        }
        for (bucket, segments) in stored.buckets() {
            for segment in in_both(segments, self.segments) {
                self.plan(segment)?;
                let Some(wanted) = self.plans.get(&segment).filter(|wanted| !wanted.is_empty()) else { continue };
                let place = RowKey::frame(*bucket, stored.source, segment);
                if let Some(run) = self.context.cache.run(
                    self.snapshot,
                    (&mut self.rows, &mut self.tails),
                    (place, wanted),
                    &self.range,
                )? {
                    if !run.timestamps.is_empty() {
                        gathered.runs.push(run);
                    }
                    continue;
                }
                let mut decoder = RowDecoder::new(wanted, self.rows_hint);
                let cells = &mut gathered.cells;
                row_scan::scan_segment(
                    self.context.store,
                    self.rows.iter(),
                    (place, wanted),
                    &self.range,
                    &mut |frame, ts, row| decoder.add_row(frame, ts, row, cells),
                )?;
                if !decoder.run.timestamps.is_empty() {
                    // The next segment likely has as many rows: its columns are allocated once.
                    self.rows_hint = decoder.run.timestamps.len();
                    gathered.runs.push(decoder.run);
                }
            }
        }
        // Masks are applied at alignment, when times and metrics are known together.
        for mask in self.masks {
            mask.add_to(stored.source, metrics, &mut gathered.deleted);
        }
        Ok(gathered)
    }

    /// Makes known what metrics lie under in pages, and returns them: gathering these needs no look at their labels.
    pub(crate) fn know(&mut self, named: &[(u32, u32)]) -> Vec<u32> {
        let mut metrics: Vec<u32> = named.iter().map(|&(_, metric)| metric).collect();
        metrics.sort_unstable();
        self.want(&metrics);
        self.names = self.wanted_of(named);
        metrics
    }

    /// Finds what the wanted metrics lie under in the pages of a source.
    fn name(&mut self, stored: &Stored) -> Result<(), Error> {
        // Names given by `know`, or found by labels, hold for every source.
        if stored.timelines.is_empty() || self.names_of.is_none() && !self.names.is_empty() {
            return Ok(());
        }
        // A few metrics are cheaper by their labels than by all names of the source's segments.
        if self.metrics.len() <= limits::NAMED_BY_LABELS {
            self.names = by_name(self.context.store, self.context.index, &self.metrics)?;
            return Ok(());
        }
        let of_pages = stored.timelines.iter().map(|(_, timeline)| &timeline.segments);
        let segments = of_pages.fold(RoaringBitmap::new(), |all, segments| all | segments);
        if self.names_of.as_ref() != Some(&segments) {
            self.names = self.wanted_of(&named(self.context.store, self.context.index, &segments)?);
            self.names_of = Some(segments);
        }
        Ok(())
    }

    /// The wanted among metrics, each of which stands after what it lies under in pages.
    fn wanted_of(&self, named: &[(u32, u32)]) -> Vec<Named> {
        let place = |&(name, metric)| self.metrics.binary_search(&metric).ok().map(|i| (name, metric, i));
        grouped(named.iter().filter_map(place).collect())
    }

    fn want(&mut self, metrics: &[u32]) {
        // The next source mostly has the same metrics: plans and names are kept then.
        if self.metrics != metrics {
            self.metrics = metrics.to_vec();
            self.plans.clear();
            self.names.clear();
            self.names_of = None;
        }
    }

    fn plan(&mut self, segment: u32) -> Result<(), Error> {
        if !self.plans.contains_key(&segment) {
            let columns = self.context.index.segment_metrics(self.context.store, segment)?;
            let plan = columns.map_or_else(Wanted::new, |columns| wanted(&columns, &self.metrics));
            self.plans.insert(segment, plan);
        }
        Ok(())
    }
}

/// Those of some segments that are among others, ascending.
pub(crate) fn in_both<'s>(
    segments: &'s RoaringBitmap,
    others: Option<&'s RoaringBitmap>,
) -> impl Iterator<Item = u32> + 's {
    // A target has tens of segments, and one metric is mostly in one of them.
    let (walked, others) = match others {
        Some(fewer) if fewer.len() < segments.len() => (fewer, Some(segments)),
        others => (segments, others),
    };
    walked.iter().filter(move |segment| others.is_none_or(|others| others.contains(*segment)))
}

/// The newest sample of each of these metrics (ascending; all when `None`) of a source in a range, deleted or not: its
/// time and bits, by metric.
pub(crate) fn newest(
    context: ReadContext<'_>,
    source: SourceId,
    range: RangeInclusive<Timestamp>,
    metrics: Option<&[u32]>,
) -> Result<HashMap<u32, (Timestamp, u64)>, Error> {
    let mut newest = HashMap::new();
    // Asked for late rows, and once per source after a start: it must not push out what queries use.
    let snapshot = context.passing_snapshot();
    let mut reader = Reader::new(context, &snapshot, range, &[])?;
    let stored = reader.stored(source)?;
    let all = if metrics.is_none() {
        reader.know(&named(context.store, context.index, &stored.segments())?)
    } else {
        Vec::new()
    };
    let metrics = metrics.unwrap_or(&all);
    let gathered = reader.gather(&stored, metrics)?;
    let line = gathered.common_times();
    let aligned = gathered.align(&line);
    for (wanted, slots) in aligned.common {
        let last = (0..line.len()).rev().find(|i| slots.present[i / 64] >> (i % 64) & 1 == 1);
        newest.extend(last.map(|i| (metrics[wanted], (line[i], slots.values[i].to_bits()))));
    }
    for (wanted, times, values) in aligned.own_times {
        let last = times.last().zip(values.last());
        newest.extend(last.map(|(ts, value)| (metrics[wanted], (*ts, value.to_bits()))));
    }
    Ok(newest)
}
