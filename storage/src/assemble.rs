//! Rows of one source into columns. The step *read* of the query path.
//!
//! Rows at the time of their scrape become runs, column by column, which are laid on one common time line. Samples with
//! their own times are kept as cells, and series that have any leave the common batch unless their times all lie on it.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use model::{Batch, Column, Labels, SourceId};
use roaring::RoaringBitmap;
use rocksdb::DBRawIterator;

use crate::error::Error;
use crate::index::Index;
use crate::rows::codec::{Corrupt, ORDINARY, RowView};
use crate::rows::lane::{LANE, LaneBase};
use crate::rows::reader;
use crate::rows::state::Frame;
use crate::schema::{Bucket, RowKey};
use crate::store::Store;

/// Where one column of a segment goes: bit in its lane, and index of its metric among the wanted.
type Wanted = Vec<(usize, Vec<(usize, usize)>)>;

/// Reads sources one after another; what it learns about segments serves the next source with the same metrics.
pub(crate) struct Reader<'a> {
    store: &'a Store,
    index: &'a Index,
    iter: DBRawIterator<'a>,
    range: RangeInclusive<i64>,
    metrics: Vec<u32>,
    plans: HashMap<u32, Wanted>,
    /// Rows of the last run: the next one is likely as long.
    rows_hint: usize,
}

/// Rows of one segment in one bucket, column by column.
#[derive(Debug, Default)]
struct Run {
    timestamps: Vec<i64>,
    columns: Vec<RunColumn>,
}

#[derive(Debug, Default)]
struct RunColumn {
    wanted: usize,
    values: Vec<f64>,
    present: Vec<u64>,
}

/// What was read of one source.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    runs: Vec<Run>,
    cells: HashMap<usize, Vec<(i64, f64)>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(store: &'a Store, index: &'a Index, range: RangeInclusive<i64>) -> Self {
        let (from, to) = (Bucket::of(*range.start(), store.bucket_ms), Bucket::of(*range.end(), store.bucket_ms));
        let iter = reader::rows_iter(store, from, to);
        Self { store, index, iter, range, metrics: Vec::new(), plans: HashMap::new(), rows_hint: 0 }
    }

    /// The samples of these metrics (ascending) of a source.
    pub(crate) fn gather(
        &mut self,
        source: SourceId,
        metrics: &[u32],
        buckets: &[(Bucket, RoaringBitmap)],
    ) -> Result<Gathered, Error> {
        if self.metrics != metrics {
            self.metrics = metrics.to_vec();
            self.plans.clear();
        }
        let mut gathered = Gathered::default();
        for (bucket, segments) in buckets {
            for segment in segments {
                self.plan(segment)?;
                let Some(wanted) = self.plans.get(&segment).filter(|wanted| !wanted.is_empty()) else { continue };
                let mut taker = Taker::new(wanted, self.rows_hint);
                let place = RowKey::frame(*bucket, source, segment);
                let cells = &mut gathered.cells;
                reader::scan_segment(self.store, &mut self.iter, place, &self.range, &mut |frame, ts, row| {
                    taker.take(frame, ts, row, cells)
                })?;
                if !taker.run.timestamps.is_empty() {
                    self.rows_hint = taker.run.timestamps.len();
                    gathered.runs.push(taker.run);
                }
            }
        }
        Ok(gathered)
    }

    fn plan(&mut self, segment: u32) -> Result<(), Error> {
        if self.plans.contains_key(&segment) {
            return Ok(());
        }
        let mut wanted = Wanted::new();
        if let Some(columns) = self.index.segment_metrics(self.store, segment)? {
            for (lane, columns) in columns.chunks(LANE).enumerate() {
                let found = |(bit, metric)| Some((bit, self.metrics.binary_search(metric).ok()?));
                let found: Vec<_> = columns.iter().enumerate().filter_map(found).collect();
                if !found.is_empty() {
                    wanted.push((lane, found));
                }
            }
        }
        self.plans.insert(segment, wanted);
        Ok(())
    }
}

/// Takes the wanted columns out of the rows of one segment and bucket.
struct Taker<'w> {
    wanted: &'w Wanted,
    bases: Vec<LaneBase>,
    run: Run,
}

impl<'w> Taker<'w> {
    fn new(wanted: &'w Wanted, rows: usize) -> Self {
        let columns = wanted.iter().flat_map(|(_, columns)| columns);
        let columns = columns.map(|&(_, wanted)| RunColumn {
            wanted,
            values: Vec::with_capacity(rows),
            present: Vec::with_capacity(rows.div_ceil(64)),
        });
        let columns = columns.collect();
        Self { wanted, bases: Vec::new(), run: Run { timestamps: Vec::new(), columns } }
    }

    fn take(
        &mut self,
        frame: &Frame,
        ts: i64,
        row: &RowView<'_>,
        cells: &mut HashMap<usize, Vec<(i64, f64)>>,
    ) -> Result<(), Corrupt> {
        if self.bases.is_empty() {
            let base = |(lane, _): &(usize, _)| LaneBase::new(frame.values.get(lane * LANE..).unwrap_or(&[]));
            self.bases = self.wanted.iter().map(base).collect();
        }
        let ordinary = row.flags & ORDINARY != 0;
        let at = self.run.timestamps.len();
        let mut out = [0.0; LANE];
        let mut columns = self.run.columns.iter_mut();
        for ((lane, wanted), base) in self.wanted.iter().zip(&self.bases) {
            let present = row.present(*lane);
            if let Err(reason) = row.decode(*lane, base, &mut out) {
                self.run.truncate(at);
                return Err(reason);
            }
            for ((bit, wanted), column) in wanted.iter().zip(&mut columns) {
                let here = present >> bit & 1;
                if ordinary {
                    column.push(at, out[*bit], here);
                } else if here == 1 {
                    cells.entry(*wanted).or_default().push((ts, out[*bit]));
                }
            }
        }
        if ordinary {
            self.run.timestamps.push(ts);
        }
        Ok(())
    }
}

impl Run {
    /// Back to `rows` rows, when the next one turned out broken half way.
    fn truncate(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.values.truncate(rows);
            column.present.truncate(rows.div_ceil(64));
            if let Some(last) = column.present.last_mut().filter(|_| !rows.is_multiple_of(64)) {
                *last &= (1 << (rows % 64)) - 1;
            }
        }
    }
}

impl RunColumn {
    fn push(&mut self, at: usize, value: f64, present: u64) {
        self.values.push(value);
        if at.is_multiple_of(64) {
            self.present.push(0);
        }
        self.present[at / 64] |= present << (at % 64);
    }
}

impl Gathered {
    /// Batches: one with the common time line, then one for each other set of times. `labels` names a wanted metric,
    /// or says that it is not to be handed out.
    pub(crate) fn into_batches(
        self,
        labels: &mut dyn FnMut(usize) -> Result<Option<Labels>, Error>,
    ) -> Result<Vec<Batch>, Error> {
        let mut timeline: Vec<i64> = Vec::new();
        for run in &self.runs {
            if !timeline.ends_with(&run.timestamps) {
                timeline.extend_from_slice(&run.timestamps);
            }
        }
        // Long sorted stretches: the stable sort only merges them.
        timeline.sort();
        timeline.dedup();
        let mut columns: HashMap<usize, Slots> = HashMap::new();
        for run in &self.runs {
            let places = run.places(&timeline);
            for column in run.columns.iter().filter(|column| column.present.iter().any(|&word| word != 0)) {
                columns.entry(column.wanted).or_insert_with(|| Slots::new(timeline.len())).fill(column, &places);
            }
        }
        let mut apart: HashMap<Vec<i64>, Vec<Column>> = HashMap::new();
        for (wanted, cells) in self.cells {
            let Some(labels) = labels(wanted)? else { continue };
            let on_line = cells.iter().all(|(ts, _)| timeline.binary_search(ts).is_ok());
            if on_line {
                columns.entry(wanted).or_insert_with(|| Slots::new(timeline.len())).fill_cells(&cells, &timeline);
                continue;
            }
            let dense = columns.remove(&wanted);
            let (timestamps, values) = merge(dense.as_ref(), &timeline, cells);
            apart.entry(timestamps).or_default().push(Column { labels, values, present: None });
        }
        let mut batches = Vec::with_capacity(1 + apart.len());
        let mut wanted: Vec<usize> = columns.keys().copied().collect();
        wanted.sort_unstable();
        let mut common = Vec::with_capacity(wanted.len());
        for i in wanted {
            if let (Some(slots), Some(labels)) = (columns.remove(&i), labels(i)?) {
                common.push(slots.column(labels));
            }
        }
        if !common.is_empty() {
            batches.push(Batch { timestamps_ms: timeline, columns: common });
        }
        batches.extend(apart.into_iter().map(|(timestamps_ms, columns)| Batch { timestamps_ms, columns }));
        Ok(batches)
    }
}

/// Where the rows of a run lie on the time line.
enum Places {
    From(usize),
    Each(Vec<usize>),
}

impl Run {
    fn places(&self, timeline: &[i64]) -> Places {
        let place = |ts: &i64| timeline.binary_search(ts).unwrap_or_else(|place| place);
        let first = self.timestamps.first().map_or(0, place);
        if timeline[first..].starts_with(&self.timestamps) {
            return Places::From(first);
        }
        Places::Each(self.timestamps.iter().map(place).collect())
    }
}

/// One series on the time line.
struct Slots {
    values: Vec<f64>,
    present: Vec<u64>,
}

impl Slots {
    fn new(len: usize) -> Self {
        Self { values: vec![0.0; len], present: vec![0; len.div_ceil(64)] }
    }

    /// What is there already stays: of two samples at one time the first read is kept.
    fn set(&mut self, place: usize, value: f64) {
        if self.present[place / 64] >> (place % 64) & 1 == 0 {
            self.values[place] = value;
            self.present[place / 64] |= 1 << (place % 64);
        }
    }

    fn fill(&mut self, column: &RunColumn, places: &Places) {
        let rows = column.values.len();
        if let Places::From(first) = *places
            && all_set(&column.present, rows)
            && none_set(&self.present, first, rows)
        {
            self.values[first..first + rows].copy_from_slice(&column.values);
            for place in first..first + rows {
                self.present[place / 64] |= 1 << (place % 64);
            }
            return;
        }
        for (i, &value) in column.values.iter().enumerate() {
            if column.present[i / 64] >> (i % 64) & 1 == 1 {
                let place = match places {
                    Places::From(first) => first + i,
                    Places::Each(each) => each[i],
                };
                self.set(place, value);
            }
        }
    }

    fn fill_cells(&mut self, cells: &[(i64, f64)], timeline: &[i64]) {
        for (ts, value) in cells {
            if let Ok(place) = timeline.binary_search(ts) {
                self.set(place, *value);
            }
        }
    }

    fn column(self, labels: Labels) -> Column {
        let all = all_set(&self.present, self.values.len());
        Column { labels, values: self.values, present: (!all).then_some(self.present) }
    }
}

fn all_set(present: &[u64], len: usize) -> bool {
    present.iter().map(|word| word.count_ones() as usize).sum::<usize>() == len
}

fn none_set(present: &[u64], first: usize, len: usize) -> bool {
    (first..first + len).all(|place| present[place / 64] >> (place % 64) & 1 == 0)
}

/// The samples of a series with its own times, ascending.
fn merge(dense: Option<&Slots>, timeline: &[i64], mut cells: Vec<(i64, f64)>) -> (Vec<i64>, Vec<f64>) {
    if let Some(slots) = dense {
        let present = |i: &usize| slots.present[i / 64] >> (i % 64) & 1 == 1;
        let mut all: Vec<_> = (0..timeline.len()).filter(present).map(|i| (timeline[i], slots.values[i])).collect();
        all.append(&mut cells);
        cells = all;
    }
    cells.sort_by_key(|&(ts, _)| ts);
    cells.dedup_by_key(|&mut (ts, _)| ts);
    cells.into_iter().unzip()
}
