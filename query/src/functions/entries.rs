//! The samples of a range, floats and histograms in order of time, and results of functions of them.

use std::sync::Arc;

use model::{Histogram, Timestamp};

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
    pub(super) ts: Timestamp,
    pub(super) start: Timestamp,
    pub(super) cell: SampleRef<'a>,
}

impl Entry<'_> {
    /// Start timestamp and timestamp.
    pub(super) fn times(&self) -> (Timestamp, Timestamp) {
        (self.start, self.ts)
    }
}

/// All samples of a range in the order of their times.
pub(super) fn entries<'a>(window: &Window<'a>) -> Vec<Entry<'a>> {
    let floats = window.ts.iter().zip(window.values).enumerate();
    let mut all: Vec<Entry<'a>> = floats
        .map(|(i, (ts, value))| Entry { ts: *ts, start: window.start_of(i), cell: SampleRef::Float(*value) })
        .collect();
    let histograms = window.histograms.iter();
    all.extend(histograms.map(|h| Entry { ts: h.ts, start: h.start, cell: SampleRef::Histogram(&h.histogram) }));
    // Floats come first: the sort is stable, and times are distinct.
    all.sort_by_key(|entry| entry.ts);
    all
}
