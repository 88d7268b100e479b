//! Selectors: batches from the store → series. Step 3 of the query path.

use std::cell::OnceCell;
use std::sync::Arc;

use model::{Batch, Column, Parts, QuerierError, ReadHints, SamplesNeeded, Selection};

use super::partitions::Part;
use super::{Evaluator, Query, Sink, extended_range};
use crate::Error;
use crate::functions::sweep::{Planned, Sweep, Sweeper};
use crate::parse::ast::{At, Expr, ExprKind, Extension, Selector, Shift};
use crate::value::{
    ABSENT, RangeSeries, SAMPLE_BYTES, SERIES_BYTES, Series, histogram_bytes, is_absent, label_bytes, weight,
};
use crate::window::{Dense, Grid, Look, Reach, Timed, Window, bounds, reaching};

/// What is read for a selector.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'e> {
    selection: Selection<'e>,
    hints: ReadHints<'static>,
}

impl<'e> Wanted<'e> {
    /// The samples in `(end - length, end]` of every step, and as far beyond as `reach` says.
    pub(super) fn new(selector: &'e Selector, (ends, length_ms): (&[i64], i64), reach: Reach) -> Option<Self> {
        let before = length_ms.saturating_add(reach.back_ms);
        let start_ms = ends.first()?.saturating_sub(before).saturating_add(1);
        let end_ms = ends.last()?.saturating_add(reach.ahead_ms);
        Some(Self {
            selection: Selection { start_ms, end_ms, matchers: &selector.matchers },
            hints: ReadHints::default(),
        })
    }
}

/// The samples of a batch, and about how many bytes they and their series take.
pub(super) fn cost_of(batch: &Batch) -> (usize, usize) {
    let samples = batch.timestamps_ms.len() * batch.columns.len();
    let of_column = |column: &Column| {
        // Those of one series are alike: to look at each costs as much as to read it.
        let largest = [column.histograms.first(), column.histograms.last()].into_iter().flatten();
        let largest = largest.map(|(_, h)| histogram_bytes(h)).max().unwrap_or_default();
        let histograms = largest * column.histograms.len();
        SERIES_BYTES + label_bytes(&column.metric) + histograms
    };
    let columns: usize = batch.columns.iter().map(of_column).sum();
    (samples, samples * SAMPLE_BYTES + label_bytes(&batch.source) + columns)
}

impl Evaluator<'_> {
    /// For each step, the time up to which a selector looks.
    pub(super) fn ends(&self, shift: &Shift, grid: &Grid) -> Vec<i64> {
        let fixed = self.fixed_time(shift);
        (0..grid.len).map(|i| fixed.unwrap_or_else(|| grid.time(i)).saturating_sub(shift.offset.ms)).collect()
    }

    /// The time that `@` names.
    pub(super) fn fixed_time(&self, shift: &Shift) -> Option<i64> {
        shift.at.map(|at| self.fixed_at(at))
    }

    pub(super) fn fixed_at(&self, at: At) -> i64 {
        match at {
            At::Ms(ms) => ms,
            At::Start => self.query.times.start_ms,
            At::End => self.query.times.end_ms,
        }
    }

    /// What is read for a selector that stands here.
    pub(super) fn wanted<'e>(&self, leaf: &'e Expr, grid: &Grid) -> Option<Wanted<'e>> {
        match &leaf.kind {
            ExprKind::Vector(selector) if selector.extension == Some(Extension::Smoothed) => {
                self.wanted_smoothed(selector, &self.ends(&selector.shift, grid))
            }
            ExprKind::Vector(selector) => self.wanted_latest(selector, &self.ends(&selector.shift, grid)),
            ExprKind::Matrix(selector, range) => {
                Wanted::new(selector, (&self.ends(&selector.shift, grid), range.ms), self.reach(selector))
            }
            _ => None,
        }
    }

    fn wanted_latest<'e>(&self, selector: &'e Selector, ends: &[i64]) -> Option<Wanted<'e>> {
        let wanted = Wanted::new(selector, (ends, self.query.lookback_ms), Reach::default())?;
        // Whether a histogram was reset shows beside the one before it.
        let newest = !selector.totals && ends.first() == ends.last();
        let samples = if newest { SamplesNeeded::Newest } else { SamplesNeeded::All };
        Some(Wanted { hints: ReadHints { samples, ..wanted.hints }, ..wanted })
    }

    pub(super) fn open(&self, wanted: &Wanted<'_>) -> Result<Box<dyn Parts + '_>, Error> {
        let Query { querier, bounds, readings, .. } = self.query;
        readings.open((*querier, &bounds.share), &wanted.selection, &wanted.hints).map_err(Error::Store)
    }

    /// Hands over what is wanted of a selector, batch by batch: of a part when this thread reads only that.
    pub(super) fn batches(
        &self,
        wanted: Option<Wanted<'_>>,
        each: &mut dyn FnMut(Batch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(wanted) = wanted else { return Ok(()) };
        let mut failed = None;
        let mut sink = |batch: Batch| {
            let outcome = self.check().and_then(|()| {
                let before = self.held();
                self.samples.add_series(batch.columns.len() as u64);
                self.query.budget.as_ref().map_or(Ok(()), |budget| budget.take_series(batch.columns.len() as u64))?;
                let (samples, bytes) = cost_of(&batch);
                self.hold(samples, bytes)?;
                // Samples are counted as they come, their memory for as long as they are there.
                self.held.set(before.samples);
                let bytes = self.taken.bytes() - before.bytes;
                let outcome = each(batch);
                self.taken.give(bytes);
                outcome
            });
            outcome.map_err(|error| {
                failed = Some(error);
                QuerierError::Stopped
            })
        };
        let result = match self.part {
            Some(Part { reader, part, .. }) => reader.read(part, &mut sink),
            None => {
                let parts = self.open(&wanted)?;
                let _reading = self.reserve(parts.reader_bytes())?;
                let read = parts.read_all(&mut sink);
                self.annotations().warn_of_store(parts.warnings());
                read
            }
        };
        match (failed, result) {
            (Some(error), _) => Err(error),
            (None, result) => result.map_err(Error::Store),
        }
    }

    /// The latest sample of each series within the lookback, at every step, or what is taken of it.
    pub(super) fn instant_selector(
        &self,
        selector: &Selector,
        grid: &Grid,
        take: Take,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        self.latest(selector, &self.ends(&selector.shift, grid), take, sink)
    }

    /// The latest sample within the lookback of each end, or what is taken of it.
    pub(super) fn latest(
        &self,
        selector: &Selector,
        ends: &[i64],
        take: Take,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let mut dense = Dense::default();
        let look = Look { stale_markers: true, starts: take == Take::Start, totals: selector.totals };
        self.batches(self.wanted_latest(selector, ends), &mut |batch| {
            let windows = bounds(&batch.timestamps_ms, ends, self.query.lookback_ms);
            for column in &batch.columns {
                dense.load(&batch.timestamps_ms, column, look);
                let mut series =
                    Series::of_floats(self.labels_of(&batch, column)?, false, Vec::with_capacity(ends.len()));
                let seen = if dense.is_rich() || take == Take::Start {
                    let floats = |window| dense.slice(&batch.timestamps_ms, column, window);
                    latest_rich(&dense, &windows, floats, take, &mut series)
                } else {
                    latest_floats(&windows, dense.floats(&batch.timestamps_ms, column), take, &mut series.values)
                };
                self.pace(ends.len())?;
                self.count(&series)?;
                if seen > 0 {
                    sink(series)?;
                }
            }
            Ok(())
        })
    }

    /// Counts what was taken of a selector's samples.
    pub(super) fn count(&self, series: &Series) -> Result<(), Error> {
        if !self.samples.is_wanted() {
            return Ok(());
        }
        let floats = series.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)).map(|(step, _)| (step, 1));
        let histograms = series.histograms.iter().map(|(step, h)| (*step as usize, weight(h) as u64));
        self.charge(self.samples.add(floats.chain(histograms).map(|(step, n)| (step, [n, n]))))
    }

    /// Takes what was read off what the query may cost.
    fn charge(&self, read: u64) -> Result<(), Error> {
        self.query.budget.as_ref().map_or(Ok(()), |budget| budget.take_samples(read))
    }

    /// Counts the samples of a range vector at every step.
    fn count_ranges(&self, ranges: &Ranges<'_>) -> Result<(), Error> {
        if !self.samples.is_wanted() {
            return Ok(());
        }
        let weigh = |floats: usize, histograms: &[Timed]| {
            floats as u64 + histograms.iter().map(|h| weight(&h.histogram) as u64).sum::<u64>()
        };
        let Frame { ends, extended: (reach, _), .. } = ranges.frame;
        let read = self.samples.add((0..ends.len()).map(|step| {
            let window = ranges.at(step);
            let known_ms = if step == 0 { i64::MIN } else { ends[step - 1].saturating_add(reach.ahead_ms) };
            let old_floats = window.ts.partition_point(|ts| *ts <= known_ms);
            let old_histograms = window.histograms.partition_point(|h| h.ts_ms <= known_ms);
            let new = weigh(window.ts.len() - old_floats, &window.histograms[old_histograms..]);
            (step, [weigh(window.ts.len(), window.histograms), new])
        }));
        self.charge(read)
    }

    /// Calls `each` with every series of a range vector, in any order, as a function from step to samples.
    pub(super) fn windows(
        &self,
        expr: &Expr,
        grid: &Grid,
        each: &mut dyn FnMut(&Ranges<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match &expr.unwrapped().kind {
            ExprKind::Matrix(selector, range) => {
                let ends = self.ends(&selector.shift, grid);
                let extended = (self.reach(selector), selector.extension);
                let starts = self.query.uses_starts;
                let look = Look { starts, totals: selector.totals, ..Look::default() };
                let wanted = Wanted::new(selector, (&ends, range.ms), extended.0);
                self.batches(wanted, &mut |batch| {
                    let frame = Frame { ends: &ends, range_ms: range.ms, grid, extended, look };
                    each_window(&batch, &frame, &[], &mut |ranges| {
                        self.count_ranges(ranges)?;
                        each(ranges)
                    })
                })
            }
            ExprKind::Subquery(subquery) => {
                let ends = self.ends(&subquery.shift, grid);
                let (batch, drops) = self.subquery(subquery, &ends)?;
                let (extended, look) = <_>::default();
                let frame = Frame { ends: &ends, range_ms: subquery.range.ms, grid, extended, look };
                // What the subquery looked at was counted where it is evaluated.
                each_window(&batch, &frame, &drops, each)
            }
            _ => Err(Error::execution("BUG: not a range vector")),
        }
    }

    /// A range vector as the result of a query: the samples themselves.
    pub(super) fn range_vector(&self, expr: &Expr, grid: &Grid) -> Result<Vec<RangeSeries>, Error> {
        let mut matrix = Vec::new();
        self.windows(expr, &grid.first(), &mut |ranges| {
            let window = ranges.at(0);
            let histograms: Vec<_> = window.histograms.iter().map(|h| (h.ts_ms, Arc::clone(&h.histogram))).collect();
            let samples = window.ts.len() + histograms.iter().map(|(_, h)| weight(h)).sum::<usize>();
            let bytes =
                window.ts.len() * SAMPLE_BYTES + histograms.iter().map(|(_, h)| histogram_bytes(h)).sum::<usize>();
            let labels = ranges.labels(self)?;
            self.hold(samples, bytes + SERIES_BYTES + label_bytes(&labels))?;
            let points = match window.extension {
                None => window.ts.iter().copied().zip(window.values.iter().copied()).collect(),
                Some(_) => extended_range::points(&window),
            };
            if !points.is_empty() || !histograms.is_empty() {
                let labels = if ranges.drop_name { crate::value::without_name(&labels) } else { labels };
                matrix.push(RangeSeries { labels, points, histograms });
            }
            Ok(())
        })?;
        Ok(matrix)
    }
}

/// What is taken of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Take {
    /// The float or histogram it is.
    Value,
    /// Its time, in seconds.
    Time,
    /// Of a float its time, in milliseconds; a histogram as it is.
    FloatMillis,
    /// Since when it counts, in seconds; 0 when nobody says.
    Start,
}

impl Take {
    #[inline]
    fn from(self, ts_ms: i64, start_ms: i64, value: f64) -> f64 {
        match self {
            Self::Value => value,
            Self::Time => ts_ms as f64 / 1000.0,
            Self::FloatMillis => ts_ms as f64,
            Self::Start => start_ms as f64 / 1000.0,
        }
    }
}

/// What is taken of the last float of each window; how many there are.
fn latest_floats(
    windows: &[(usize, usize)],
    (ts, floats, rank): (&[i64], &[f64], &[usize]),
    take: Take,
    values: &mut Vec<f64>,
) -> u64 {
    let mut seen = 0;
    for (low, high) in windows {
        let (low, high) = if rank.is_empty() { (*low, *high) } else { (rank[*low], rank[*high]) };
        // A stale marker ends the series: what lies before it is not looked at.
        let value = if low < high { floats[high - 1] } else { ABSENT };
        let found = !is_absent(value);
        seen += u64::from(found);
        values.push(if found && take != Take::Value { take.from(ts[high - 1], 0, value) } else { value });
    }
    seen
}

/// What is taken of the latest samples of windows in which there are histograms, or starts of floats; how many there are.
fn latest_rich<'a>(
    dense: &Dense,
    windows: &[(usize, usize)],
    floats: impl Fn((usize, usize)) -> (&'a [i64], &'a [f64]),
    take: Take,
    series: &mut Series,
) -> u64 {
    for (step, window) in windows.iter().enumerate() {
        let (ts, samples) = floats(*window);
        let start_ms = dense.starts(*window).last().copied().unwrap_or(0);
        let histogram = dense.histograms(*window).last().filter(|h| ts.last().is_none_or(|ts| *ts < h.ts_ms));
        series.values.push(match (histogram, ts.last().zip(samples.last())) {
            (Some(h), _) if matches!(take, Take::Value | Take::FloatMillis) => {
                series.histograms.push((step as u32, Arc::clone(&h.histogram)));
                ABSENT
            }
            (Some(h), _) => take.from(h.ts_ms, h.start_ms, 0.0),
            (None, Some((ts, value))) if !is_absent(*value) => take.from(*ts, start_ms, *value),
            _ => ABSENT,
        });
    }
    series.present() as u64
}

/// Where the ranges of all steps lie.
#[derive(Clone, Copy)]
struct Frame<'a> {
    ends: &'a [i64],
    range_ms: i64,
    grid: &'a Grid,
    extended: (Reach, Option<Extension>),
    look: Look,
}

fn each_window(
    batch: &Batch,
    frame: &Frame<'_>,
    drops: &[bool],
    each: &mut dyn FnMut(&Ranges<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let windows = reaching(&batch.timestamps_ms, frame.ends, frame.range_ms, frame.extended.0);
    let mut dense = Dense::default();
    let plan = OnceCell::new();
    for (i, column) in batch.columns.iter().enumerate() {
        dense.load(&batch.timestamps_ms, column, frame.look);
        let drop_name = drops.get(i).copied().unwrap_or(false);
        each(&Ranges { batch, column, windows: &windows, plan: &plan, dense: &dense, frame: *frame, drop_name })?;
    }
    Ok(())
}

/// The samples of one series that each step sees.
pub(super) struct Ranges<'a> {
    batch: &'a Batch,
    column: &'a model::Column,
    windows: &'a [(usize, usize)],
    /// What a sweep knows of the windows of columns without holes.
    plan: &'a OnceCell<Vec<Option<Planned>>>,
    dense: &'a Dense,
    frame: Frame<'a>,
    /// The name goes at the end of the query.
    pub(super) drop_name: bool,
}

impl Ranges<'_> {
    /// The labels of the series, as far as they are needed.
    pub(super) fn labels(&self, evaluator: &Evaluator<'_>) -> Result<model::Labels, Error> {
        evaluator.labels_of(self.batch, self.column)
    }

    /// Are there histograms, or floats that say since when they count?
    pub(super) fn is_rich(&self) -> bool {
        self.dense.is_rich()
    }

    /// The floats of a step, where there is nothing else.
    #[inline]
    pub(super) fn floats_at(&self, step: usize) -> Window<'_> {
        let (ts, values) = self.dense.slice(&self.batch.timestamps_ms, self.column, self.windows[step]);
        let Frame { ends, range_ms, grid, extended: (reach, extension), .. } = self.frame;
        let (end_ms, eval_ms) = (ends[step], grid.time(step));
        let start_ms = end_ms - range_ms;
        let lookback_ms = reach.back_ms;
        Window { ts, values, starts: &[], histograms: &[], start_ms, end_ms, eval_ms, extension, lookback_ms }
    }

    /// The values of a swept function at every step. `arg` is its argument at a step.
    pub(super) fn sweep(&self, sweeper: Sweeper, arg: impl Fn(usize) -> f64, out: &mut Vec<f64>) {
        let (ts, values, rank) = self.dense.floats(&self.batch.timestamps_ms, self.column);
        let times = (self.frame.ends, self.frame.range_ms);
        let (own_windows, own_plan): (Vec<_>, _);
        let (windows, plan) = if rank.is_empty() {
            (self.windows, self.plan.get_or_init(|| sweeper.plan((ts, self.windows), times)))
        } else {
            own_windows = self.windows.iter().map(|&(low, high)| (rank[low], rank[high])).collect();
            own_plan = sweeper.plan((ts, &own_windows), times);
            (&own_windows[..], &own_plan)
        };
        sweeper.run(&Sweep { values, windows, plan }, arg, out);
    }

    pub(super) fn at(&self, step: usize) -> Window<'_> {
        let (starts, histograms) = (self.dense.starts(self.windows[step]), self.dense.histograms(self.windows[step]));
        Window { starts, histograms, ..self.floats_at(step) }
    }
}
