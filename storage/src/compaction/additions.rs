//! Samples that are added to what is stored of a source in a partition, as it is written anew.

use std::borrow::Cow;

use model::{Histogram, Timestamp};
use roaring::RoaringBitmap;

/// Samples of one series, at ascending times.
#[derive(Debug)]
pub(crate) struct AddedSeries<'a> {
    pub(crate) metric: u32,
    pub(crate) times: Cow<'a, [Timestamp]>,
    pub(crate) values: Cow<'a, [f64]>,
    /// The native histograms, each with the index of its time, ascending.
    pub(crate) histograms: Vec<(usize, &'a Histogram)>,
}

/// Samples of one source within one partition.
#[derive(Debug)]
pub(crate) struct Additions<'a> {
    /// By metric, ascending, each once.
    pub(crate) series: Vec<AddedSeries<'a>>,
    /// The times that most series have, ascending: these become times of the source.
    pub(crate) common_times: Vec<Timestamp>,
    /// The segments of a layout that has all of the metrics.
    pub(crate) segments: RoaringBitmap,
}

impl<'a> Additions<'a> {
    pub(super) fn of(&self, metric: u32) -> Option<&AddedSeries<'a>> {
        let place = self.series.binary_search_by_key(&metric, |one| one.metric).ok()?;
        Some(&self.series[place])
    }
}
