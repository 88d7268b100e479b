//! The samples of a range, floats and histograms in order of time, and results of functions of them.

use std::sync::Arc;

use model::Histogram;

use crate::value::SampleRef;
use crate::window::Window;

/// The result of a range function.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl Outcome {
    pub(crate) fn histogram(histogram: Histogram) -> Self {
        Self::Histogram(Arc::new(histogram))
    }
}

/// A sample of either kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) ts_ms: i64,
    pub(super) start_ms: i64,
    pub(super) cell: SampleRef<'a>,
}

impl Entry<'_> {
    /// Start timestamp and timestamp.
    pub(super) fn times(&self) -> (i64, i64) {
        (self.start_ms, self.ts_ms)
    }
}

/// All samples of a range in the order of their times.
pub(super) fn entries<'a>(window: &Window<'a>) -> Vec<Entry<'a>> {
    let floats = window.ts.iter().zip(window.values).enumerate();
    let mut all: Vec<Entry<'a>> = floats
        .map(|(i, (ts, value))| Entry { ts_ms: *ts, start_ms: window.start_of(i), cell: SampleRef::Float(*value) })
        .collect();
    let histograms = window.histograms.iter();
    all.extend(histograms.map(|h| Entry {
        ts_ms: h.ts_ms,
        start_ms: h.start_ms,
        cell: SampleRef::Histogram(&h.histogram),
    }));
    // Floats come first: the sort is stable, and times are distinct.
    all.sort_by_key(|entry| entry.ts_ms);
    all
}
