//! Different (Source, Metric) pairs can have equal labels: one exposes what the other is given. They are one series.
//!
//! Labels split in one way only into those with a source's label names and the rest, unless a metric has a label whose
//! name some source has too. So only such metrics, and others of their name, need their pairs compared.

use std::collections::{BTreeSet, HashMap, HashSet};

use model::{Labels, SourceId};
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64;

use super::Index;
use super::select::Selected;
use crate::error::Error;
use crate::store::Store;

/// Pairs with equal labels, each group with its labels, pairs ascending.
pub(crate) type Groups = HashMap<Labels, Vec<(SourceId, u32)>>;

/// The labels of a series: the source's, overridden by the metric's.
pub(crate) fn join(source: &Labels, metric: &Labels) -> Labels {
    let (mut left, mut right) = (source.iter().peekable(), metric.iter().peekable());
    let pairs = std::iter::from_fn(|| match (left.peek(), right.peek()) {
        (Some(l), Some(r)) if l.0 < r.0 => left.next(),
        (Some(l), Some(r)) => {
            if l.0 == r.0 {
                left.next();
            }
            right.next()
        }
        (Some(_), None) => left.next(),
        (None, _) => right.next(),
    });
    Labels::from_sorted(pairs)
}

/// The groups of more than one pair among the selected.
pub(crate) fn groups(store: &Store, index: &Index, selected: &[Selected]) -> Result<Groups, Error> {
    let sources = selected.iter().fold(RoaringBitmap::new(), |all, one| all | &one.sources);
    let mut source_names = BTreeSet::new();
    for source in &sources {
        if let Some(labels) = index.source_labels(store, SourceId(source))? {
            add_names(&mut source_names, &labels);
        }
    }
    // (hash of the labels, source, metric)
    let mut suspects: Vec<(u64, u32, u32)> = Vec::new();
    let mut names = HashSet::new();
    let mut plain = Vec::new();
    for one in selected {
        let Some(labels) = index.metric_labels(store, one.metric)? else { continue };
        if labels.iter().any(|(name, _)| source_names.contains(name)) {
            each_pair(store, index, one, &labels, |hash, source| suspects.push((hash, source, one.metric)))?;
            names.insert(labels.name().to_owned());
        } else {
            plain.push(one);
        }
    }
    if suspects.is_empty() {
        return Ok(Groups::new());
    }
    suspects.sort_unstable();
    let mut others = Vec::new();
    for one in plain {
        let Some(labels) = index.metric_labels(store, one.metric)? else { continue };
        if names.contains(labels.name()) {
            each_pair(store, index, one, &labels, |hash, source| {
                if suspects.binary_search_by_key(&hash, |suspect| suspect.0).is_ok() {
                    others.push((hash, source, one.metric));
                }
            })?;
        }
    }
    suspects.extend(others);
    suspects.sort_unstable();
    by_labels(store, index, &suspects)
}

fn add_names(names: &mut BTreeSet<String>, labels: &Labels) {
    for (name, _) in labels {
        if !names.contains(name) {
            names.insert(name.to_owned());
        }
    }
}

fn each_pair(
    store: &Store,
    index: &Index,
    one: &Selected,
    labels: &Labels,
    mut each: impl FnMut(u64, u32),
) -> Result<(), Error> {
    for source in &one.sources {
        if let Some(source_labels) = index.source_labels(store, SourceId(source))? {
            each(xxh3_64(join(&source_labels, labels).as_text().as_bytes()), source);
        }
    }
    Ok(())
}

fn by_labels(store: &Store, index: &Index, suspects: &[(u64, u32, u32)]) -> Result<Groups, Error> {
    let mut groups = Groups::new();
    for run in suspects.chunk_by(|a, b| a.0 == b.0).filter(|run| run.len() > 1) {
        for &(_, source, metric) in run {
            let source_labels = index.source_labels(store, SourceId(source))?;
            if let (Some(source_labels), Some(labels)) = (source_labels, index.metric_labels(store, metric)?) {
                groups.entry(join(&source_labels, &labels)).or_default().push((SourceId(source), metric));
            }
        }
    }
    groups.retain(|_, pairs| pairs.len() > 1);
    Ok(groups)
}
