//! Range vectors: the samples of each series within the range of each step, from a range selector or a subquery. Step 6 of
//! the query path.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::labels::METRIC_NAME;
use model::{Batch, Timestamp};

use super::evaluator::Evaluator;
use super::extended_range;
use super::scan::ScanOf;
use crate::Error;
use crate::functions::sweep::{Planned, Sweep, Sweeper};
use crate::parse::types::Extension;
use crate::plan::{NodeId, NodeKind};
use crate::value::{RangeSeries, SAMPLE_BYTES, SERIES_BYTES, histogram_bytes, label_bytes, weight, without_name};
use crate::window::{Dense, Grid, Look, Reach, Timed, Window, reaching};

impl Evaluator<'_> {
    /// Calls `each` for every series of a range vector, in any order.
    pub(super) fn windows(
        &self,
        id: NodeId,
        grid: &Grid,
        each: &mut dyn FnMut(&Ranges<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.measured_windows(id, each, |each| self.windows_of(id, grid, each))
    }

    fn windows_of(
        &self,
        id: NodeId,
        grid: &Grid,
        each: &mut dyn FnMut(&Ranges<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match &self.node(id).kind {
            NodeKind::Matrix(scan, range) => {
                let ends = self.ends(&scan.shift, grid);
                let extended = (self.reach(scan), scan.extension);
                let starts = self.query.uses_starts;
                let look = Look { starts, totals: scan.totals, ..Look::default() };
                let of = ScanOf { scan, id: Some(id) };
                self.batches(self.wanted_range(of, (&ends, range.ms)), &mut |batch| {
                    let frame = Frame { ends: &ends, range_ms: range.ms, grid, extended, look };
                    each_window(&batch, &frame, &[], &mut |ranges| {
                        self.count_ranges(id, ranges)?;
                        each(ranges)
                    })
                })
            }
            NodeKind::Subquery(subquery) => {
                let ends = self.ends(&subquery.shift, grid);
                // The inner result is one batch, so that both kinds of ranges take the same path from here on.
                let (batch, drops) = self.subquery(subquery, &ends)?;
                let (extended, look) = <_>::default();
                let frame = Frame { ends: &ends, range_ms: subquery.range.ms, grid, extended, look };
                // Samples of a subquery were counted when it was evaluated.
                each_window(&batch, &frame, &drops, each)
            }
            _ => Err(Error::execution("BUG: not a range vector")),
        }
    }

    /// Measures the time to read ranges; time spent in `each` is not counted.
    fn measured_windows(
        &self,
        id: NodeId,
        each: &mut dyn FnMut(&Ranges<'_>) -> Result<(), Error>,
        work: impl FnOnce(&mut dyn FnMut(&Ranges<'_>) -> Result<(), Error>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(profile) = self.query.profile else { return work(each) };
        let (mut outside, mut series) = (Duration::ZERO, 0);
        let begun = Instant::now();
        let done = work(&mut |ranges| {
            series += 1;
            let handed_on = Instant::now();
            let done = each(ranges);
            outside += handed_on.elapsed();
            done
        });
        profile.add(id, begun.elapsed().saturating_sub(outside), (series, 0));
        done
    }

    /// A range vector as the result of a query.
    pub(super) fn range_vector(&self, id: NodeId, grid: &Grid) -> Result<Vec<RangeSeries>, Error> {
        let mut matrix = Vec::new();
        // Only instant queries may have a range vector as their result.
        self.windows(id, &grid.first(), &mut |ranges| {
            let window = ranges.at(0);
            let histograms: Vec<_> = window.histograms.iter().map(|h| (h.ts, Arc::clone(&h.histogram))).collect();
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
                let labels = if ranges.drop_name { without_name(&labels) } else { labels };
                matrix.push(RangeSeries { labels, points, histograms });
            }
            Ok(())
        })?;
        Ok(matrix)
    }

    /// Counts the samples of a range vector at every step.
    fn count_ranges(&self, id: NodeId, ranges: &Ranges<'_>) -> Result<(), Error> {
        if !self.samples.is_wanted() {
            return Ok(());
        }
        // A histogram counts as several samples, as in upstream's statistics.
        let weigh = |floats: usize, histograms: &[Timed]| {
            floats as u64 + histograms.iter().map(|h| weight(&h.histogram) as u64).sum::<u64>()
        };
        let Frame { ends, extended: (reach, _), .. } = ranges.frame;
        let read = self.samples.add((0..ends.len()).map(|step| {
            let window = ranges.at(step);
            // Samples that the previous step had in its range were read already.
            let known = if step == 0 { Timestamp::MIN } else { ends[step - 1].saturating_add(reach.ahead_ms) };
            let old_floats = window.ts.partition_point(|ts| *ts <= known);
            let old_histograms = window.histograms.partition_point(|h| h.ts <= known);
            let new = weigh(window.ts.len() - old_floats, &window.histograms[old_histograms..]);
            (step, [weigh(window.ts.len(), window.histograms), new])
        }));
        self.charge(Some(id), read)
    }
}

/// The ranges of all steps.
#[derive(Clone, Copy)]
struct Frame<'a> {
    ends: &'a [Timestamp],
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
    // All columns of a batch share timestamps, and so the bounds of windows.
    let windows = reaching(&batch.timestamps, frame.ends, frame.range_ms, frame.extended.0);
    let mut dense = Dense::default();
    let plan = OnceCell::new();
    for (i, column) in batch.columns.iter().enumerate() {
        dense.load(&batch.timestamps, column, frame.look);
        let drop_name = drops.get(i).copied().unwrap_or(false);
        each(&Ranges { batch, column, windows: &windows, plan: &plan, dense: &dense, frame: *frame, drop_name })?;
    }
    Ok(())
}

/// The samples of one series within the range of each step.
pub(super) struct Ranges<'a> {
    batch: &'a Batch,
    column: &'a model::Column,
    windows: &'a [(usize, usize)],
    /// The plan of a sweep over columns without gaps, computed once per batch.
    plan: &'a OnceCell<Vec<Option<Planned>>>,
    dense: &'a Dense,
    frame: Frame<'a>,
    /// The name is dropped at the end of the query.
    pub(super) drop_name: bool,
}

impl Ranges<'_> {
    /// The labels of the series, projected if not all are needed.
    pub(super) fn labels(&self, evaluator: &Evaluator<'_>) -> Result<model::Labels, Error> {
        evaluator.labels_of(self.batch, self.column)
    }

    /// The same without the metric name, for a function that drops it at once.
    pub(super) fn nameless_labels(&self, evaluator: &Evaluator<'_>) -> Result<model::Labels, Error> {
        evaluator.nameless_labels_of(self.batch, self.column)
    }

    /// The metric name.
    pub(super) fn name(&self) -> &str {
        self.column.metric.get(METRIC_NAME).unwrap_or_else(|| self.batch.source.name())
    }

    /// Are there histograms or start timestamps?
    pub(super) fn has_mixed_samples(&self) -> bool {
        self.dense.has_mixed_samples()
    }

    /// The window of a step, for series of plain floats.
    #[inline]
    pub(super) fn floats_at(&self, step: usize) -> Window<'_> {
        let (ts, values) = self.dense.slice(&self.batch.timestamps, self.column, self.windows[step]);
        let Frame { ends, range_ms, grid, extended: (reach, extension), .. } = self.frame;
        let (end, eval_time) = (ends[step], grid.time(step));
        let start = end.saturating_sub(range_ms);
        let lookback_ms = reach.back_ms;
        Window { ts, values, starts: &[], histograms: &[], start, end, eval_time, extension, lookback_ms }
    }

    /// Computes a function incrementally over all steps. `arg` is its scalar argument at a step.
    pub(super) fn sweep(&self, sweeper: Sweeper, arg: impl Fn(usize) -> f64, out: &mut Vec<f64>) {
        let (ts, values, rank) = self.dense.floats(&self.batch.timestamps, self.column);
        let times = (self.frame.ends, self.frame.range_ms);
        // Declared here so that they outlive the branch that may borrow them.
        let (own_windows, own_plan): (Vec<_>, _);
        // Columns with gaps have windows of their own; all others share those of the batch.
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
