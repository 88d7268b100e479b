//! What metrics lie under in pages.

use roaring::RoaringBitmap;

use super::Index;
use crate::error::Error;
use crate::kv::schema::page_name;
use crate::kv::store::Store;
use crate::pages::Named;

/// Metrics by what they lie under in pages, ascending, each with its index among those given (which ascend).
pub(crate) fn by_name(store: &Store, index: &Index, metrics: &[u32]) -> Result<Vec<Named>, Error> {
    let mut named = Vec::with_capacity(metrics.len());
    for (i, &metric) in metrics.iter().enumerate() {
        if let Some(labels) = index.metric_labels(store, metric)? {
            named.push((page_name(labels.name()), metric, i));
        }
    }
    Ok(grouped(named))
}

/// Of (what it lies under, metric, its index among the wanted).
pub(crate) fn grouped(mut named: Vec<(u32, u32, usize)>) -> Vec<Named> {
    named.sort_unstable();
    let groups = named.chunk_by(|a, b| a.0 == b.0);
    groups.map(|group| (group[0].0, group.iter().map(|&(_, metric, i)| (metric, i)).collect())).collect()
}

/// The metrics of segments, each after what it lies under in pages; ascending.
pub(crate) fn named(store: &Store, index: &Index, segments: &RoaringBitmap) -> Result<Vec<(u32, u32)>, Error> {
    let mut all = Vec::new();
    for segment in segments {
        if let Some(names) = index.segment_names(store, segment)? {
            all.extend_from_slice(&names);
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}
