//! Subqueries: evaluates an inner expression at its own steps; its values become the samples of a range vector.

use std::sync::Arc;

use model::{Batch, Column, Histogram, ResetHint};

use super::evaluator::Evaluator;
use super::operands::Operands;
use crate::Error;
use crate::plan::Subquery;
use crate::window::Grid;

/// Memory per inner step, besides samples.
const STEP_BYTES: usize = 128;

impl Evaluator<'_> {
    /// The inner values for all outer steps as one batch (absent slots are stale markers, which ranges skip), and which series
    /// lose their name at the end. Inner steps are aligned to multiples of the step, independent of the outer times.
    pub(super) fn subquery(&self, subquery: &Subquery, ends: &[i64]) -> Result<(Batch, Vec<bool>), Error> {
        let step_ms = subquery.step.as_ref().map_or(self.query.options.default_step_ms, |step| step.ms).max(1);
        let (Some(first), Some(last)) = (ends.first(), ends.last()) else { return Ok((Batch::default(), vec![])) };
        // The first inner step is the first multiple of the step after the start of the first range.
        let after = first.saturating_sub(subquery.range.ms);
        let mut start_ms = after / step_ms * step_ms;
        if start_ms <= after {
            start_ms += step_ms;
        }
        if start_ms > *last {
            return Ok((Batch::default(), vec![]));
        }
        let steps = usize::try_from((last - start_ms) / step_ms).map_err(|_| Error::TooManySamples)? + 1;
        // A step yields at least a sample per series: the query is refused before memory for so many steps is reserved.
        if steps > self.query.options.max_samples {
            return Err(Error::TooManySamples);
        }
        let grid = Grid { start_ms, step_ms, len: steps };
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
        let timestamps_ms = (0..steps).map(|i| grid.time(i)).collect();
        Ok((Batch { timestamps_ms, columns: columns.collect(), ..Batch::default() }, drops))
    }
}

/// A subquery skips samples between its steps, so a histogram's reset hint about its predecessor does not hold.
fn without_hint(mut histogram: Arc<Histogram>) -> Arc<Histogram> {
    if matches!(histogram.reset_hint, ResetHint::Reset | ResetHint::NotReset) {
        Arc::make_mut(&mut histogram).reset_hint = ResetHint::Unknown;
    }
    histogram
}
