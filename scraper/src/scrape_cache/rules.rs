//! The rules for the samples of a body, and the counts of a scrape.

use super::histograms::HistogramRules;
use crate::sample_mutation::SeriesRules;

/// The rules and limits of a job for the samples of its targets.
#[derive(Clone, Debug, Default)]
pub struct SampleRules {
    /// How exposed labels become a series.
    pub series: SeriesRules,
    /// Times that samples carry are used; otherwise they get the time of the scrape.
    pub honor_timestamps: bool,
    /// Series with own times get stale markers too.
    pub track_timestamps_staleness: bool,
    /// Most samples after metric relabelling; 0: any number.
    pub sample_limit: usize,
    /// Past `sample_limit` new series are left out; otherwise the scrape fails.
    pub soft: bool,
    /// Most series that a target may begin in a day (of UTC); further ones are left out. 0: any number.
    pub series_limit: usize,
    /// Most entries of a body, comments among them; 0: any number.
    pub entry_limit: usize,
    /// Limits of native histograms.
    pub histograms: HistogramRules,
}

/// The counts of a scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples exposed.
    pub scraped: usize,
    /// Samples that metric relabelling kept.
    pub post_relabel: usize,
    /// Series that the last scrape did not have.
    pub added: usize,
    /// Samples of a series that was already there at that time; the first won.
    pub duplicate: usize,
    /// Samples of their own time whose series has a later one.
    pub out_of_order: usize,
    /// Samples too far in the future.
    pub out_of_bounds: usize,
    /// Native histograms whose buckets were left out, not being asked for.
    pub native_histograms: usize,
    /// Samples of new series that a limit left out.
    pub over_limit: usize,
}

impl Counts {
    /// Samples that are not stored although metric relabelling kept them.
    pub(super) fn left_out(&self) -> usize {
        self.duplicate + self.out_of_order + self.out_of_bounds
    }
}
