//! What readers do not see: ranges of time of series that were deleted.

use model::{SourceId, Timestamp};
use roaring::RoaringBitmap;

use crate::index::select::Selected;

/// A range of time of some series that is deleted, or need not be kept.
#[derive(Clone, Debug)]
pub(crate) struct Mask {
    /// The first and last millisecond.
    pub(crate) range: (Timestamp, Timestamp),
    pub(crate) series: Vec<Selected>,
}

impl Mask {
    /// Adds to `out` what is masked of these metrics (ascending) of a source: an index, first and last millisecond.
    pub(crate) fn add_to(&self, source: SourceId, metrics: &[u32], out: &mut Vec<(usize, Timestamp, Timestamp)>) {
        let mut add = |i: usize| out.push((i, self.range.0, self.range.1));
        for one in self.series.iter().filter(|one| one.sources.contains(source.0)) {
            if one.metrics.len() < metrics.len() as u64 {
                one.metrics.iter().flat_map(|metric| metrics.binary_search(&metric)).for_each(&mut add);
            } else {
                (0..metrics.len()).filter(|&i| one.metrics.contains(metrics[i])).for_each(&mut add);
            }
        }
    }

    /// The sources of its series.
    pub(crate) fn sources(&self) -> RoaringBitmap {
        self.series.iter().fold(RoaringBitmap::new(), |all, one| all | &one.sources)
    }
}
