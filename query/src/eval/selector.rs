//! Selectors: batches from the store → series. Step 3 of the query path.

use std::sync::Arc;

use model::{Batch, QuerierError, Selection};

use super::{Evaluator, Sink, extended};
use crate::Error;
use crate::parse::ast::{At, Expr, ExprKind, Extension, Selector, Shift};
use crate::value::{ABSENT, RangeSeries, Series, is_absent, weight};
use crate::window::{Dense, Grid, Look, Reach, Timed, Window, bounds, reaching};

/// Which samples within the time before each step count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    All,
    Newest,
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
            At::Start => self.times.start_ms,
            At::End => self.times.end_ms,
        }
    }

    /// Hands over the batches that hold the samples in `(end - length, end]` of every step.
    pub(super) fn batches(
        &self,
        selector: &Selector,
        (ends, length_ms): (&[i64], i64),
        need: Need,
        each: &mut dyn FnMut(Batch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (Some(first), Some(last)) = (ends.first(), ends.last()) else { return Ok(()) };
        let selection = Selection {
            start_ms: first.saturating_sub(length_ms).saturating_add(1),
            end_ms: *last,
            matchers: &selector.matchers,
        };
        let mut failed = None;
        let mut sink = |batch: Batch| {
            let outcome = self.check().and_then(|()| {
                let before = self.held.get();
                self.hold(batch.timestamps_ms.len() * batch.columns.len())?;
                self.held.set(before);
                each(batch)
            });
            outcome.map_err(|error| {
                failed = Some(error);
                QuerierError::Stopped
            })
        };
        let result = match need {
            Need::Newest if first == last => self.querier.select_latest(&selection, &mut sink),
            _ => self.querier.select(&selection, &mut sink),
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
        // Whether a histogram was reset shows beside the one before it.
        let need = if selector.totals { Need::All } else { Need::Newest };
        let look = Look { stale_markers: true, starts: take == Take::Start, totals: selector.totals };
        self.batches(selector, (ends, self.lookback_ms), need, &mut |batch| {
            let windows = bounds(&batch.timestamps_ms, ends, self.lookback_ms);
            for column in &batch.columns {
                dense.load(&batch.timestamps_ms, column, look);
                let mut series = Series::of_floats(column.labels.clone(), false, Vec::with_capacity(ends.len()));
                let seen = if dense.is_rich() || take == Take::Start {
                    let floats = |window| dense.slice(&batch.timestamps_ms, column, window);
                    latest_rich(&dense, &windows, floats, take, &mut series)
                } else {
                    latest_floats(&windows, dense.floats(&batch.timestamps_ms, column), take, &mut series.values)
                };
                self.count(&series);
                if seen > 0 {
                    sink(series)?;
                }
            }
            Ok(())
        })
    }

    /// Counts what was taken of a selector's samples.
    pub(super) fn count(&self, series: &Series) {
        if self.samples.is_wanted() {
            let floats = series.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)).map(|(step, _)| (step, 1));
            let histograms = series.histograms.iter().map(|(step, h)| (*step as usize, weight(h) as u64));
            self.samples.add(floats.chain(histograms).map(|(step, n)| (step, [n, n])));
        }
    }

    /// Counts the samples of a range vector at every step; those of a subquery are counted as read where it is evaluated.
    fn count_ranges(&self, ranges: &Ranges<'_>, read: bool) {
        if !self.samples.is_wanted() {
            return;
        }
        let weigh = |floats: usize, histograms: &[Timed]| {
            floats as u64 + histograms.iter().map(|h| weight(&h.histogram) as u64).sum::<u64>()
        };
        let Frame { ends, extended: (reach, _), .. } = ranges.frame;
        self.samples.add((0..ends.len()).map(|step| {
            let window = ranges.at(step);
            let known_ms = if step == 0 { i64::MIN } else { ends[step - 1].saturating_add(reach.ahead_ms) };
            let old_floats = window.ts.partition_point(|ts| *ts <= known_ms);
            let old_histograms = window.histograms.partition_point(|h| h.ts_ms <= known_ms);
            let new = weigh(window.ts.len() - old_floats, &window.histograms[old_histograms..]);
            (step, [weigh(window.ts.len(), window.histograms), if read { new } else { 0 }])
        }));
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
                let starts = self.options.use_start_timestamps;
                let look = Look { starts, totals: selector.totals, ..Look::default() };
                self.range_batches(selector, (&ends, range.ms), &mut |batch| {
                    let frame = Frame { ends: &ends, range_ms: range.ms, grid, extended, look };
                    each_window(&batch, &frame, &[], &mut |ranges| {
                        self.count_ranges(ranges, true);
                        each(ranges)
                    })
                })
            }
            ExprKind::Subquery(subquery) => {
                let ends = self.ends(&subquery.shift, grid);
                let (batch, drops) = self.subquery(subquery, &ends, grid)?;
                let (extended, look) = <_>::default();
                let frame = Frame { ends: &ends, range_ms: subquery.range.ms, grid, extended, look };
                each_window(&batch, &frame, &drops, &mut |ranges| {
                    self.count_ranges(ranges, false);
                    each(ranges)
                })
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
            self.hold(window.ts.len() + histograms.iter().map(|(_, h)| weight(h)).sum::<usize>())?;
            let points = match window.extension {
                None => window.ts.iter().copied().zip(window.values.iter().copied()).collect(),
                Some(_) => extended::points(&window),
            };
            if !points.is_empty() || !histograms.is_empty() {
                let labels = if ranges.drop_name {
                    crate::value::without_name(ranges.labels())
                } else {
                    ranges.labels().clone()
                };
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
    for (i, column) in batch.columns.iter().enumerate() {
        dense.load(&batch.timestamps_ms, column, frame.look);
        let drop_name = drops.get(i).copied().unwrap_or(false);
        each(&Ranges { batch, column, windows: &windows, dense: &dense, frame: *frame, drop_name })?;
    }
    Ok(())
}

/// The samples of one series that each step sees.
pub(super) struct Ranges<'a> {
    batch: &'a Batch,
    column: &'a model::Column,
    windows: &'a [(usize, usize)],
    dense: &'a Dense,
    frame: Frame<'a>,
    /// The name goes at the end of the query.
    pub(super) drop_name: bool,
}

impl Ranges<'_> {
    pub(super) fn labels(&self) -> &model::Labels {
        &self.column.labels
    }

    /// Does no sample lie below the one before it?
    pub(super) fn rises(&self) -> bool {
        self.dense.rises(self.column)
    }

    /// Are there histograms, or floats that say since when they count?
    pub(super) fn is_rich(&self) -> bool {
        self.dense.is_rich()
    }

    /// The floats of a step, where there is nothing else.
    #[inline]
    pub(super) fn floats_at(&self, step: usize, rises: bool) -> Window<'_> {
        let (ts, values) = self.dense.slice(&self.batch.timestamps_ms, self.column, self.windows[step]);
        let Frame { ends, range_ms, grid, extended: (_, extension), .. } = self.frame;
        let (end_ms, eval_ms) = (ends[step], grid.time(step));
        let start_ms = end_ms - range_ms;
        Window { ts, values, starts: &[], histograms: &[], start_ms, end_ms, eval_ms, rises, extension }
    }

    pub(super) fn at(&self, step: usize) -> Window<'_> {
        let (starts, histograms) = (self.dense.starts(self.windows[step]), self.dense.histograms(self.windows[step]));
        Window { starts, histograms, ..self.floats_at(step, false) }
    }
}
