//! Series in memory: the store that scripts load into.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use model::labels::{BUCKET, METRIC_NAME};
use model::{Batch, Column, Labels, LabelsBuilder, Querier, QuerierError, Selection};

use super::Point;

/// Batches are this wide, so that scripts meet columns with holes as well as full ones.
const COLUMNS: usize = 3;

#[derive(Debug, Default)]
pub(crate) struct Store {
    series: BTreeMap<Labels, BTreeMap<i64, f64>>,
    /// Where native histograms should be.
    histograms: BTreeMap<Labels, BTreeSet<i64>>,
    /// A selection reached one of them.
    reached_histogram: AtomicBool,
}

impl Store {
    /// Loads one line of series notation, from a time on.
    #[cfg(test)]
    pub(crate) fn load_line(&mut self, line: &str, (start_ms, step_ms): (i64, i64)) -> Result<(), String> {
        let (labels, points) = super::notation::series(line)?;
        self.load(&labels, &points, (start_ms, step_ms));
        Ok(())
    }

    pub(crate) fn load(&mut self, labels: &Labels, points: &[Point], (start_ms, step_ms): (i64, i64)) {
        for (i, point) in points.iter().enumerate() {
            let ts = start_ms + step_ms * i as i64;
            match point {
                Point::Absent => {}
                Point::Float(value) => {
                    self.series.entry(labels.clone()).or_default().insert(ts, *value);
                }
                Point::Histogram(_) => {
                    self.histograms.entry(labels.clone()).or_default().insert(ts);
                }
            }
        }
    }

    /// Notes the histograms with custom buckets that `load_with_nhcb` would make of a classic bucket's series.
    pub(crate) fn load_classic(&mut self, labels: &Labels, points: &[Point], step_ms: i64) {
        let name = labels.name();
        let Some(base) = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix)) else {
            return;
        };
        let mut builder = LabelsBuilder::new(labels);
        builder.del(BUCKET).set(METRIC_NAME, base);
        let found = points.iter().enumerate().filter(|(_, p)| matches!(p, Point::Float(_)));
        self.histograms.entry(builder.labels()).or_default().extend(found.map(|(i, _)| step_ms * i as i64));
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Was a native histogram reached since the last call?
    pub(crate) fn take_reached_histogram(&self) -> bool {
        self.reached_histogram.swap(false, Ordering::Relaxed)
    }

    fn matching<'a>(&'a self, selection: &'a Selection<'_>) -> impl Iterator<Item = (&'a Labels, Vec<(i64, f64)>)> {
        let matches = |labels: &Labels| selection.matchers.iter().all(|m| m.matches(labels.value(&m.name)));
        let series = self.series.iter().filter(move |(labels, _)| matches(labels));
        let in_range = series.map(|(labels, samples)| {
            let range = if selection.start_ms <= selection.end_ms {
                samples.range(selection.start_ms..=selection.end_ms).map(|(t, v)| (*t, *v)).collect()
            } else {
                Vec::new()
            };
            (labels, range)
        });
        in_range.filter(|(_, samples)| !samples.is_empty())
    }

    fn note_histograms(&self, selection: &Selection<'_>) {
        let matches = |labels: &Labels| selection.matchers.iter().all(|m| m.matches(labels.value(&m.name)));
        let range = selection.start_ms..=selection.end_ms.max(selection.start_ms);
        if self.histograms.iter().any(|(l, ts)| matches(l) && ts.range(range.clone()).next().is_some()) {
            self.reached_histogram.store(true, Ordering::Relaxed);
        }
    }
}

fn batch(series: &[(&Labels, Vec<(i64, f64)>)]) -> Batch {
    let all: BTreeSet<i64> = series.iter().flat_map(|(_, samples)| samples.iter().map(|(ts, _)| *ts)).collect();
    let timestamps_ms: Vec<i64> = all.into_iter().collect();
    let columns = series.iter().map(|(labels, samples)| {
        let mut values = vec![0.0; timestamps_ms.len()];
        let mut present = vec![0u64; timestamps_ms.len().div_ceil(64)];
        for (ts, value) in samples {
            if let Ok(i) = timestamps_ms.binary_search(ts) {
                values[i] = *value;
                present[i / 64] |= 1 << (i % 64);
            }
        }
        let full = samples.len() == timestamps_ms.len();
        Column { labels: (*labels).clone(), values, present: (!full).then_some(present), ..Column::default() }
    });
    Batch { columns: columns.collect(), timestamps_ms }
}

fn limited<T>(values: BTreeSet<T>, limit: usize) -> Vec<T> {
    values.into_iter().take(if limit == 0 { usize::MAX } else { limit }).collect()
}

impl Querier for Store {
    fn select(
        &self,
        selection: &Selection<'_>,
        sink: &mut dyn FnMut(Batch) -> Result<(), QuerierError>,
    ) -> Result<(), QuerierError> {
        self.note_histograms(selection);
        let found: Vec<_> = self.matching(selection).collect();
        found.chunks(COLUMNS).try_for_each(|chunk| sink(batch(chunk)))
    }

    fn series(&self, selection: &Selection<'_>, limit: usize) -> Result<Vec<Labels>, QuerierError> {
        Ok(limited(self.matching(selection).map(|(labels, _)| labels.clone()).collect(), limit))
    }

    fn label_names(&self, selection: &Selection<'_>, limit: usize) -> Result<Vec<String>, QuerierError> {
        let names = self.matching(selection).flat_map(|(labels, _)| labels.iter().map(|(n, _)| n.to_owned()));
        Ok(limited(names.collect(), limit))
    }

    fn label_values(&self, name: &str, selection: &Selection<'_>, limit: usize) -> Result<Vec<String>, QuerierError> {
        let values = self.matching(selection).filter_map(|(labels, _)| labels.get(name).map(str::to_owned));
        Ok(limited(values.collect(), limit))
    }
}
