//! What sources wrote in a range of time, as listings need it and the read cache keeps it, and what is listed of it.

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::reader::chosen::SelectionKey;

/// What is listed of the labels of series.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Listed {
    /// The names of labels.
    Names,
    /// The values of the label of this name.
    Values(Box<str>),
}

/// The series that a listing is of, and the most items that it may have.
pub(crate) type ListingKey = (SelectionKey, usize);

/// What sources wrote in a range of time.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Sources by the segments they wrote: those with the same wrote the same metrics.
    pub(crate) by_segments: HashMap<Arc<[u32]>, RoaringBitmap>,
    /// All metrics, and all sources.
    pub(crate) metrics: RoaringBitmap,
    pub(crate) sources: RoaringBitmap,
}

impl Written {
    /// What it weighs in a cache.
    pub(crate) fn weight(&self) -> usize {
        let by_segments = self.by_segments.iter();
        let by_segments = by_segments.map(|(segments, sources)| segments.len() * 4 + sources.serialized_size() + 96);
        by_segments.sum::<usize>() + self.metrics.serialized_size() + self.sources.serialized_size()
    }
}
