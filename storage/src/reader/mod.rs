//! Rows and pages of one source into columns. The step *read* of the query path; sealing reads the same way.
//!
//! Rows at the time of their scrape and columns of pages become runs, which are laid on one common line of time. Samples
//! with their own times are kept as cells, and series that have any leave the line unless their times all lie on it.

pub(crate) mod alignment;
pub(crate) mod cache;
pub(crate) mod epochs;
mod latest;
pub(crate) mod scan;
pub(crate) mod snapshot;

use std::collections::HashMap;
use std::ops::RangeInclusive;

use model::SourceId;
use roaring::RoaringBitmap;
use rocksdb::DBRawIterator;

use crate::deletes::Deleted;
use crate::error::Error;
use crate::index::Index;
use crate::kv::schema::{Bucket, Partition, RowKey};
use crate::kv::store::Store;
use crate::limits;
use crate::pages::reader::PageReader;
use crate::pages::timeline::Timeline;
use crate::pages::{Named, by_name, grouped, named};
use crate::reader::snapshot::View;
use crate::rows::decoder::{Taker, Wanted, wanted};
use crate::rows::scan as row_scan;
use alignment::Gathered;

/// What is stored of one source in the range of a reader.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) source: SourceId,
    /// Buckets with rows, and the segments written in each.
    pub(crate) buckets: Vec<(Bucket, RoaringBitmap)>,
    /// Partitions with pages.
    pub(crate) timelines: Vec<(Partition, Timeline)>,
}

impl Stored {
    /// All segments that its rows or pages are of.
    pub(crate) fn segments(&self) -> RoaringBitmap {
        let rows = self.buckets.iter().map(|(_, segments)| segments);
        rows.chain(self.timelines.iter().map(|(_, timeline)| &timeline.segments))
            .fold(RoaringBitmap::new(), |all, segments| all | segments)
    }
}

/// The rows once more, for what came since columns were kept: that is asked for again and again, and its blocks stay in
/// memory even where those of whole columns do not.
pub(crate) struct Tails<'v> {
    view: &'v View<'v>,
    buckets: (Bucket, Bucket),
    iter: Option<DBRawIterator<'v>>,
}

impl<'v> Tails<'v> {
    fn iter(&mut self) -> &mut DBRawIterator<'v> {
        self.iter.get_or_insert_with(|| row_scan::rows_iter(self.view, self.buckets, true))
    }
}

/// Reads sources one after another; what it learns about metrics serves the next source with the same.
pub(crate) struct Reader<'v> {
    view: &'v View<'v>,
    index: &'v Index,
    rows: DBRawIterator<'v>,
    tails: Tails<'v>,
    pages: PageReader<'v>,
    range: RangeInclusive<i64>,
    deleted: &'v [Deleted],
    metrics: Vec<u32>,
    plans: HashMap<u32, Wanted>,
    /// The wanted by the name they lie under in pages.
    names: Vec<Named>,
    /// The segments that these names are of; of any when `None`.
    names_of: Option<RoaringBitmap>,
    /// Rows of the last run: the next one is likely as long.
    rows_hint: usize,
}

impl<'v> Reader<'v> {
    /// A reader of a range of time, without what was deleted.
    pub(crate) fn new(
        view: &'v View<'v>,
        index: &'v Index,
        range: RangeInclusive<i64>,
        deleted: &'v [Deleted],
    ) -> Result<Self, Error> {
        let bucket_ms = view.store.bucket_ms;
        let buckets = (Bucket::of(*range.start(), bucket_ms), Bucket::of(*range.end(), bucket_ms));
        let rows = row_scan::rows_iter(view, buckets, view.caching_rows);
        let tails = Tails { view, buckets, iter: None };
        let pages = PageReader::new(view, &range)?;
        let (metrics, plans, names, names_of) = <_>::default();
        Ok(Self { view, index, rows, tails, pages, range, deleted, metrics, plans, names, names_of, rows_hint: 0 })
    }

    /// Makes room at once for so many rows of a segment, rather than as they come.
    pub(crate) fn expect_rows(&mut self, rows: usize) {
        self.rows_hint = rows;
    }

    /// What there is of a source.
    pub(crate) fn stored(&mut self, source: SourceId) -> Result<Stored, Error> {
        let bucket_ms = self.view.store.bucket_ms;
        let (from, to) = (Bucket::of(*self.range.start(), bucket_ms), Bucket::of(*self.range.end(), bucket_ms));
        let all = self.view.store.kept.buckets(self.view, source)?;
        let buckets = all.iter().filter(|(bucket, _)| (from..=to).contains(bucket)).cloned().collect();
        Ok(Stored { source, buckets, timelines: self.pages.timelines(source)? })
    }

    /// The segments that a source wrote in the range, or in a bucket or partition that reaches into it.
    pub(crate) fn segments(&mut self, source: SourceId) -> Result<RoaringBitmap, Error> {
        let bucket_ms = self.view.store.bucket_ms;
        let (from, to) = (Bucket::of(*self.range.start(), bucket_ms), Bucket::of(*self.range.end(), bucket_ms));
        let rows = self.view.store.kept.buckets(self.view, source)?;
        let rows = rows.iter().filter(|(bucket, _)| (from..=to).contains(bucket));
        Ok(rows.fold(self.pages.segments(source)?, |all, (_, segments)| all | segments))
    }

    /// The times of all rows of a source, ascending.
    pub(crate) fn times(&mut self, stored: &Stored) -> Result<Vec<i64>, Error> {
        let mut times: Vec<i64> = Vec::new();
        for (_, timeline) in &stored.timelines {
            times.extend(timeline.timestamps.iter().filter(|ts| self.range.contains(ts)));
        }
        for (bucket, segments) in &stored.buckets {
            for segment in segments {
                let place = RowKey::frame(*bucket, stored.source, segment);
                row_scan::times_of(self.view.store, &mut self.rows, place, &self.range, &mut times)?;
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
            let run = self.pages.run(place, timeline, (&self.names, &self.range), &mut gathered.cells)?;
            if !run.columns.is_empty() {
                gathered.runs.push(run);
            }
        }
        for (bucket, segments) in &stored.buckets {
            for segment in segments {
                self.plan(segment)?;
                let Some(wanted) = self.plans.get(&segment).filter(|wanted| !wanted.is_empty()) else { continue };
                let place = RowKey::frame(*bucket, stored.source, segment);
                let kept = &self.view.store.kept;
                if let Some(run) =
                    kept.run(self.view, (&mut self.rows, &mut self.tails), (place, wanted), &self.range)?
                {
                    if !run.timestamps.is_empty() {
                        gathered.runs.push(run);
                    }
                    continue;
                }
                let mut taker = Taker::new(wanted, self.rows_hint);
                let cells = &mut gathered.cells;
                row_scan::scan_segment(
                    self.view.store,
                    &mut self.rows,
                    (place, wanted),
                    &self.range,
                    &mut |bases, ts, row| taker.take(bases, ts, row, cells),
                )?;
                if !taker.run.timestamps.is_empty() {
                    self.rows_hint = taker.run.timestamps.len();
                    gathered.runs.push(taker.run);
                }
            }
        }
        for deleted in self.deleted {
            deleted.of(stored.source, metrics, &mut gathered.deleted);
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
        if stored.timelines.is_empty() || self.names_of.is_none() && !self.names.is_empty() {
            return Ok(());
        }
        if self.metrics.len() <= limits::NAMED_BY_LABELS {
            self.names = by_name(self.view.store, self.index, &self.metrics)?;
            return Ok(());
        }
        let of_pages = stored.timelines.iter().map(|(_, timeline)| &timeline.segments);
        let segments = of_pages.fold(RoaringBitmap::new(), |all, segments| all | segments);
        if self.names_of.as_ref() != Some(&segments) {
            self.names = self.wanted_of(&named(self.view.store, self.index, &segments)?);
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
        if self.metrics != metrics {
            self.metrics = metrics.to_vec();
            self.plans.clear();
            self.names.clear();
            self.names_of = None;
        }
    }

    fn plan(&mut self, segment: u32) -> Result<(), Error> {
        if !self.plans.contains_key(&segment) {
            let columns = self.index.segment_metrics(self.view.store, segment)?;
            let plan = columns.map_or_else(Wanted::new, |columns| wanted(&columns, &self.metrics));
            self.plans.insert(segment, plan);
        }
        Ok(())
    }
}

/// The newest sample of each of these metrics (ascending; all when `None`) of a source in a range, deleted or not: its
/// time and bits, by metric.
pub(crate) fn newest(
    (store, index): (&Store, &Index),
    source: SourceId,
    range: RangeInclusive<i64>,
    metrics: Option<&[u32]>,
) -> Result<HashMap<u32, (i64, u64)>, Error> {
    let mut newest = HashMap::new();
    let view = View::passing(store);
    let mut reader = Reader::new(&view, index, range, &[])?;
    let stored = reader.stored(source)?;
    let all = if metrics.is_none() { reader.know(&named(store, index, &stored.segments())?) } else { Vec::new() };
    let metrics = metrics.unwrap_or(&all);
    let gathered = reader.gather(&stored, metrics)?;
    let line = gathered.line();
    let laid = gathered.lay(&line);
    for (wanted, slots) in laid.common {
        let last = (0..line.len()).rev().find(|i| slots.present[i / 64] >> (i % 64) & 1 == 1);
        newest.extend(last.map(|i| (metrics[wanted], (line[i], slots.values[i].to_bits()))));
    }
    for (wanted, times, values) in laid.apart {
        let last = times.last().zip(values.last());
        newest.extend(last.map(|(ts, value)| (metrics[wanted], (*ts, value.to_bits()))));
    }
    Ok(newest)
}
