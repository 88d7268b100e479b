//! Deduplication: different (source, metric) pairs can have equal labels, where a metric exposes a label that another source has.
//! They are one series.
//!
//! Labels split in one way only into those with a source's label names and the rest, unless a metric has a label whose name some
//! source has too. So only such metrics, and others of their name that lack the label, need their pairs compared. Bitmaps say
//! which these are; where there are none, which is the rule, no label is read.

use std::collections::HashMap;

use model::labels::METRIC_NAME;
use model::{Labels, SourceId};
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64;

use super::Index;
use super::select::Selected;
use crate::error::Error;
use crate::kv::bitmap;
use crate::kv::schema::{Cf, METRIC_LABEL, SOURCE_LABEL, label_prefix, parse_label_key};
use crate::kv::store::Store;
use crate::limits;

/// Pairs with equal labels, each group with its labels, pairs ascending.
pub(crate) type Groups = HashMap<Labels, Vec<(SourceId, u32)>>;

/// The groups of more than one pair among the selected.
pub(crate) fn groups(store: &Store, index: &Index, selected: &[Selected]) -> Result<Groups, Error> {
    let Suspects { shadowing, others } = suspects(store, index, selected)?;
    if shadowing.is_empty() {
        return Ok(Groups::new());
    }
    // (hash of the labels, source, metric)
    let mut pairs: Vec<(u64, u32, u32)> = Vec::new();
    each_pair((store, index), selected, &shadowing, |pair| pairs.push(pair))?;
    pairs.sort_unstable();
    // The others have equal labels only where they meet one of the shadowing: those that meet none are not kept.
    let mut more = Vec::new();
    each_pair((store, index), selected, &others, |pair| {
        if pairs.binary_search_by_key(&pair.0, |pair| pair.0).is_ok() {
            more.push(pair);
        }
    })?;
    pairs.extend(more);
    pairs.sort_unstable();
    by_labels(store, index, &pairs)
}

/// Metrics whose pairs may be equal to others.
#[derive(Debug, Default)]
struct Suspects {
    /// Have a label that some selected source gives, too.
    shadowing: RoaringBitmap,
    /// Have none, but lack what one of the shadowing has.
    others: RoaringBitmap,
}

/// Two metrics with equal labels on their series differ in a label that one of them has, and a source gives to the other.
/// One metric has equal labels on the series of two sources where it has all that they differ in.
fn suspects(store: &Store, index: &Index, selected: &[Selected]) -> Result<Suspects, Error> {
    let (mut metrics, mut sources) = (RoaringBitmap::new(), RoaringBitmap::new());
    for one in selected {
        metrics |= &one.metrics;
        sources |= &one.sources;
    }
    // By label of the sources: the metrics that have it, where others lack it.
    let mut having = Vec::new();
    let mut shadowing_any = RoaringBitmap::new();
    let mut name_given = false;
    for name in index.label_names(store, SOURCE_LABEL)?.iter() {
        let with = &metrics & &*index.having(store, METRIC_LABEL, name)?;
        if with.is_empty() || index.having(store, SOURCE_LABEL, name)?.is_disjoint(&sources) {
            continue;
        }
        shadowing_any |= &with;
        if with != metrics {
            name_given |= name == METRIC_NAME;
            having.push(with);
        }
    }
    let mut found = Suspects::default();
    // A metric may be selected in several parts, each with other sources.
    if sources.len() > 1 {
        found.shadowing = shadowing_any;
    }
    if having.is_empty() {
        return Ok(found);
    }
    let mut add = |group: &RoaringBitmap| {
        for with in &having {
            let with = group & with;
            if !with.is_empty() && with.len() < group.len() {
                found.others |= group - &with;
                found.shadowing |= with;
            }
        }
    };
    if name_given {
        add(&metrics);
    } else {
        // Series with equal labels have equal names.
        each_name(store, index, &metrics, &mut add)?;
    }
    found.others -= &found.shadowing;
    Ok(found)
}

/// Calls `each` with those of the metrics that have the same name, name by name.
fn each_name(
    store: &Store,
    index: &Index,
    metrics: &RoaringBitmap,
    each: &mut dyn FnMut(&RoaringBitmap),
) -> Result<(), Error> {
    let named = index.having(store, METRIC_LABEL, METRIC_NAME)?;
    // Metrics without a name are a group of their own.
    each(&(metrics - &*named));
    let metrics = metrics & &*named;
    // Few metrics are cheaper by their labels than by the postings of every name there is.
    if metrics.len().saturating_mul(limits::POSTINGS_PER_LABELS) < named.len() {
        let mut by_name: HashMap<String, RoaringBitmap> = HashMap::new();
        for metric in &metrics {
            if let Some(labels) = index.metric_labels(store, metric)? {
                by_name.entry(labels.name().to_owned()).or_default().insert(metric);
            }
        }
        by_name.values().for_each(each);
        return Ok(());
    }
    store.each(Cf::Postings, &label_prefix(METRIC_LABEL, METRIC_NAME), |key, bytes| {
        if parse_label_key(key).is_some_and(|(_, name)| !name.is_empty()) {
            let group = bitmap::decode_or_report(store, key, bytes) & &metrics;
            if group.len() > 1 {
                each(&group);
            }
        }
        Ok(true)
    })
}

/// Calls `each` with the selected pairs of these metrics.
fn each_pair(
    (store, index): (&Store, &Index),
    selected: &[Selected],
    metrics: &RoaringBitmap,
    mut each: impl FnMut((u64, u32, u32)),
) -> Result<(), Error> {
    for one in selected {
        for metric in &one.metrics & metrics {
            let Some(labels) = index.metric_labels(store, metric)? else { continue };
            for source in &one.sources {
                if let Some(source_labels) = index.source_labels(store, SourceId(source))? {
                    each((xxh3_64(source_labels.joined(&labels).as_text().as_bytes()), source, metric));
                }
            }
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
                groups.entry(source_labels.joined(&labels)).or_default().push((SourceId(source), metric));
            }
        }
    }
    groups.retain(|_, pairs| pairs.len() > 1);
    Ok(groups)
}
