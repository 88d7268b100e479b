//! Selections in label order, for readers that merge the series of several stores (remote read, StoreAPI).
//!
//! The label sets of all series are sorted first; samples are then read in parts of some hundred series that follow one
//! another. Neighbours in the order mostly have one metric name, which is how pages are cut, so that little is read twice.

use std::collections::BTreeMap;
use std::ops::Range;

use model::labels::sort_by_labels;
use model::{Labels, SourceId};

/// What a sorted series takes in memory besides its labels.
pub(crate) const SERIES_BYTES: usize = size_of::<SortedSeries>() + size_of::<(SourceId, u32)>() + 16;

/// One series of a sorted selection.
#[derive(Debug)]
pub(crate) struct SortedSeries {
    pub(crate) labels: Labels,
    /// The pairs of source and metric that have these labels: one, but for series that several sources expose.
    pub(crate) pairs: Vec<(SourceId, u32)>,
}

/// The series of a selection in label order.
#[derive(Debug)]
pub(crate) struct Sorted {
    series: Vec<SortedSeries>,
    /// Series in one part.
    at_once: usize,
}

impl Sorted {
    /// Sorts the series of a selection, to be read so many at once.
    pub(crate) fn new(mut series: Vec<SortedSeries>, at_once: usize) -> Self {
        sort_by_labels(&mut series, |one| &one.labels);
        Self { series, at_once }
    }

    /// Of how many parts.
    pub(crate) fn count(&self) -> usize {
        self.series.len().div_ceil(self.at_once)
    }

    pub(crate) fn part(&self, part: usize) -> &[SortedSeries] {
        let from = part.saturating_mul(self.at_once).min(self.series.len());
        let part: Range<usize> = from..from.saturating_add(self.at_once).min(self.series.len());
        &self.series[part]
    }

    /// Columns that are in memory at once.
    pub(crate) fn columns_max(&self) -> usize {
        self.at_once.min(self.series.len())
    }
}

/// The sources of series that are of one pair, each with its metrics, ascending, and the places of their series.
pub(crate) fn by_source(series: &[SortedSeries]) -> BTreeMap<SourceId, Vec<(u32, usize)>> {
    let mut sources: BTreeMap<SourceId, Vec<(u32, usize)>> = BTreeMap::new();
    for (at, one) in series.iter().enumerate() {
        if let [(source, metric)] = one.pairs[..] {
            sources.entry(source).or_default().push((metric, at));
        }
    }
    sources.values_mut().for_each(|metrics| metrics.sort_unstable());
    sources
}
