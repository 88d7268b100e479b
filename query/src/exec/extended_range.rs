//! `anchored` and `smoothed` selectors: ranges that include samples beyond their bounds, and interpolated values.

use super::evaluator::{Evaluator, Sink};
use super::scan::ScanOf;
use crate::Error;
use crate::annotations::{Annotation, AnnotationList};
use crate::functions::histogram_rate;
use crate::plan::{NodeId, Scan};
use crate::value::{ABSENT, Series};
use crate::window::{Dense, Grid, Look, Timed, Window, reaching};

impl Evaluator<'_> {
    /// At every step the value interpolated between the samples around it; the last sample before it when none follows.
    pub(super) fn smoothed_selector(
        &self,
        (id, scan): (NodeId, &Scan),
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let ends = self.ends(&scan.shift, grid);
        let of = ScanOf { scan, id: Some(id) };
        let reach = self.smoothed_reach();
        let mut dense = Dense::default();
        self.batches(self.wanted_smoothed(of, &ends), &mut |batch| {
            // The samples of the lookback, and those as far ahead: the bounds in between are found in each window by
            // `between`.
            let windows = reaching(&batch.timestamps_ms, &ends, self.query.lookback_ms, reach);
            for column in &batch.columns {
                dense.load(&batch.timestamps_ms, column, Look::default());
                self.account_work(ends.len())?;
                let mut series =
                    Series::of_floats(self.labels_of(&batch, column)?, false, Vec::with_capacity(ends.len()));
                for (step, (window, end)) in windows.iter().zip(&ends).enumerate() {
                    let (ts, values) = dense.slice(&batch.timestamps_ms, column, *window);
                    series.values.push(between(ts, values, *end));
                    let histograms = dense.histograms(*window);
                    // Histograms are interpolated with histograms only.
                    if !histograms.is_empty() {
                        let mixed = !ts.is_empty();
                        self.smoothed_histogram(scan, (histograms, mixed), *end, (step, &mut series));
                    }
                }
                // Counted by results, not by the samples they were interpolated from.
                self.count(of.id, &series)?;
                if !series.is_empty() {
                    sink(series)?;
                }
            }
            Ok(())
        })
    }

    /// The same for histograms; absent where floats and histograms are mixed.
    fn smoothed_histogram(
        &self,
        scan: &Scan,
        (histograms, mixed): (&[Timed], bool),
        end_ms: i64,
        (step, series): (usize, &mut Series),
    ) {
        let mut annotations = AnnotationList::default();
        if mixed {
            series.values[step] = ABSENT;
            annotations.add(Annotation::MixedRange);
        } else {
            let histogram = histogram_rate::smoothed(histograms, end_ms, &mut annotations);
            series.histograms.extend(histogram.map(|histogram| (step as u32, histogram)));
        }
        self.annotate_all(scan.span, series.labels.name(), &mut annotations);
    }
}

fn between(ts: &[i64], values: &[f64], at_ms: i64) -> f64 {
    let after = ts.partition_point(|t| *t <= at_ms);
    // A value is never extrapolated backwards.
    let Some(before) = after.checked_sub(1) else { return ABSENT };
    match ts.get(after) {
        // A sample exactly at the time is the value itself.
        Some(next) if ts[before] < at_ms => {
            let share = (at_ms - ts[before]) as f64 / (next - ts[before]) as f64;
            values[before] + (values[after] - values[before]) * share
        }
        _ => values[before],
    }
}

/// The samples of an extended range as a result: those between the bounds, and an interpolated one at each bound.
pub(super) fn points(window: &Window<'_>) -> Vec<(i64, f64)> {
    // A bare range has no function that makes it a counter: falls are interpolated.
    let Some(edges) = window.edges(false) else { return Vec::new() };
    let inner = window.ts[edges.inner.clone()].iter().copied().zip(window.values[edges.inner].iter().copied());
    let left = (window.start_ms, edges.left.value);
    [left].into_iter().chain(inner).chain([(window.end_ms, edges.right.value)]).collect()
}
