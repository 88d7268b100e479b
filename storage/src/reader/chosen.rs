//! The series of a selection, as the read cache keeps them.

use std::sync::Arc;

use model::Matcher;
use roaring::RoaringBitmap;

use crate::index::dedup::Groups;
use crate::index::select::Selected;
use crate::kv::schema::Bucket;
use crate::limits;
use crate::reader::epochs::Epochs;

/// A selection, by its matchers and the buckets of its range, from the first to the last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SelectionKey {
    pub(crate) buckets: (Bucket, Bucket),
    pub(crate) matchers: Arc<[Matcher]>,
}

impl SelectionKey {
    /// What it weighs in a cache.
    pub(crate) fn weight(&self) -> usize {
        self.matchers.iter().map(|one| one.name.len() + one.value.len() + size_of::<Matcher>()).sum()
    }
}

/// A selection as a caller's memo keeps it.
#[derive(Debug)]
pub(crate) struct RememberedSelection {
    /// The cache whose trackers the epochs are of.
    pub(crate) cache: u64,
    /// Those of the snapshot that it was read from.
    pub(crate) epochs: Epochs,
    pub(crate) key: SelectionKey,
    pub(crate) chosen: Arc<Chosen>,
}

/// The series that match, as metrics and sources.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    pub(crate) selected: Vec<Selected>,
    /// The segments that the metrics are columns of, if that is known: no other need be looked at.
    pub(crate) segments: Option<RoaringBitmap>,
    /// Pairs that are one series.
    pub(crate) groups: Groups,
}

impl Chosen {
    /// What it weighs in a cache.
    pub(crate) fn weight(&self) -> usize {
        let selected = self.selected.iter();
        let selected = selected.map(|one| one.metrics.serialized_size() + one.sources.serialized_size() + 64);
        let groups = self.groups.iter().map(|(labels, pairs)| labels.as_text().len() + 8 * pairs.len() + 64);
        let segments = self.segments.as_ref().map_or(0, RoaringBitmap::serialized_size);
        selected.sum::<usize>() + segments + groups.sum::<usize>() + limits::CACHE_ENTRY_BYTES
    }
}
