//! `anchored` and `smoothed` selectors: ranges that include samples beyond their bounds, and interpolated values.

use model::Timestamp;

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
            let windows = reaching(&batch.timestamps, &ends, self.query.lookback_ms, reach);
            for column in &batch.columns {
                dense.load(&batch.timestamps, column, Look::default());
                self.account_work(ends.len())?;
                let mut series =
                    Series::of_floats(self.labels_of(&batch, column)?, false, Vec::with_capacity(ends.len()));
                for (step, (window, end)) in windows.iter().zip(&ends).enumerate() {
                    let (ts, values) = dense.slice(&batch.timestamps, column, *window);
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
        end: Timestamp,
        (step, series): (usize, &mut Series),
    ) {
        let mut annotations = AnnotationList::default();
        if mixed {
            series.values[step] = ABSENT;
            annotations.add(Annotation::MixedRange);
        } else {
            let histogram = histogram_rate::smoothed(histograms, end, &mut annotations);
            series.histograms.extend(histogram.map(|histogram| (step as u32, histogram)));
        }
        self.annotate_all(scan.span, series.labels.name(), &mut annotations);
    }
}

fn between(ts: &[Timestamp], values: &[f64], at: Timestamp) -> f64 {
    let after = ts.partition_point(|t| *t <= at);
    // A value is never extrapolated backwards.
    let Some(before) = after.checked_sub(1) else { return ABSENT };
    match ts.get(after) {
        // A sample exactly at the time is the value itself.
        Some(next) if ts[before] < at => {
            let share = (at - ts[before]) as f64 / (*next - ts[before]) as f64;
            values[before] + (values[after] - values[before]) * share
        }
        _ => values[before],
    }
}

/// The samples of an extended range as a result: those between the bounds, and an interpolated one at each bound.
pub(super) fn points(window: &Window<'_>) -> Vec<(Timestamp, f64)> {
    // A bare range has no function that makes it a counter: falls are interpolated.
    let Some(edges) = window.edges(false) else { return Vec::new() };
    let inner = window.ts[edges.inner.clone()].iter().copied().zip(window.values[edges.inner].iter().copied());
    let left = (window.start, edges.left.value);
    [left].into_iter().chain(inner).chain([(window.end, edges.right.value)]).collect()
}
