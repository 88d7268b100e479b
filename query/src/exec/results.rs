//! The result of a query, from the series of its root.

use std::sync::Arc;

use model::Timestamp;

use crate::value::{RangeSeries, Sample, SampleRef, Series, Value, is_absent};
use crate::window::Grid;

/// Which form the result takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Vector,
    Matrix,
}

pub(super) fn as_sample(series: Series, ts: Timestamp) -> Option<Sample> {
    let (value, histogram) = match series.at(0)? {
        SampleRef::Float(value) => (value, None),
        SampleRef::Histogram(histogram) => (0.0, Some(Arc::clone(histogram))),
    };
    Some(Sample { labels: series.labels, ts, value, histogram })
}

pub(super) fn as_vector(series: Vec<Series>, ts: Timestamp) -> Value {
    Value::Vector(series.into_iter().filter_map(|one| as_sample(one, ts)).collect())
}

pub(super) fn as_matrix(series: Vec<Series>, grid: &Grid) -> Value {
    let present = series.into_iter().filter(|s| !s.is_empty());
    let matrix = present
        .map(|s| {
            // Counted first: the result lives until it was sent, and must not have spare capacity.
            let n_points = s.values.iter().filter(|v| !is_absent(**v)).count();
            let mut points = Vec::with_capacity(n_points);
            let present = s.values.iter().enumerate().filter(|(_, v)| !is_absent(**v));
            points.extend(present.map(|(i, v)| (grid.time(i), *v)));
            let histograms = s.histograms.into_iter().map(|(step, h)| (grid.time(step as usize), h));
            RangeSeries { points, histograms: histograms.collect(), labels: s.labels }
        })
        .collect();
    Value::Matrix(matrix)
}
