//! Subqueries: evaluates an inner expression at its own steps; its values become the samples of a range vector.

use std::sync::Arc;

use model::{Batch, Column, Histogram, ResetHint, Timestamp};

use super::evaluator::Evaluator;
use super::operands::Operands;
use crate::Error;
use crate::options::Times;
use crate::plan::Subquery;
use crate::window::Grid;

/// Memory per inner step, besides samples.
const STEP_BYTES: usize = 128;

impl Evaluator<'_> {
    /// The inner values for all outer steps as one batch (absent slots are stale markers, which ranges skip), and which series
    /// lose their name at the end. Inner steps are aligned to multiples of the step, independent of the outer times.
    pub(super) fn subquery(&self, subquery: &Subquery, ends: &[Timestamp]) -> Result<(Batch, Vec<bool>), Error> {
        let step_ms = subquery.step.as_ref().map_or(self.query.options.default_step_ms, |step| step.ms).max(1);
        let (Some(first), Some(last)) = (ends.first(), ends.last()) else { return Ok((Batch::default(), vec![])) };
        // The first inner step is the first multiple of the step after the start of the first range.
        let after = first.saturating_sub(subquery.range.ms);
        // Division rounds towards zero: before the epoch this is a multiple behind `after` already, and no step is added.
        let mut start = Timestamp(after.0 / step_ms * step_ms);
        if start <= after {
            // Past the last time there is, no step is left.
            let Some(next) = start.checked_add(step_ms) else { return Ok((Batch::default(), vec![])) };
            start = next;
        }
        if start > *last {
            return Ok((Batch::default(), vec![]));
        }
        let steps = Times { start, end: *last, step_ms }.whole_steps();
        let steps = usize::try_from(steps).map_err(|_| Error::TooManySamples)?.saturating_add(1);
        // A step yields at least a sample per series: the query is refused before memory for so many steps is reserved.
        if steps > self.query.options.max_samples {
            return Err(Error::TooManySamples);
        }
        let grid = Grid { start, step_ms, len: steps };
        // Memory per step besides the series: timestamps, windows, plans of sweeps.
        self.hold(0, steps.saturating_mul(STEP_BYTES))?;
        let samples = &self.samples;
        // Inner samples are counted by inner steps, and attributed to outer ranges below.
        samples.enter(if samples.is_wanted() { steps } else { 0 });
        let series = self.vector(subquery.expr, &grid)?;
        samples.leave_subquery(&grid, (ends, subquery.range.ms), self.query.budget.is_some());
        let drops = series.iter().map(|s| s.drop_name).collect();
        let columns = series.into_iter().map(|s| Column {
            metric: s.labels,
            values: s.values,
            histograms: s.histograms.into_iter().map(|(step, h)| (step, without_hint(h))).collect(),
            ..Column::default()
        });
        let timestamps = (0..steps).map(|i| grid.time(i)).collect();
        Ok((Batch { timestamps, columns: columns.collect(), ..Batch::default() }, drops))
    }
}

/// A subquery skips samples between its steps, so a histogram's reset hint about its predecessor does not hold.
fn without_hint(mut histogram: Arc<Histogram>) -> Arc<Histogram> {
    if matches!(histogram.reset_hint, ResetHint::Reset | ResetHint::NotReset) {
        Arc::make_mut(&mut histogram).reset_hint = ResetHint::Unknown;
    }
    histogram
}
