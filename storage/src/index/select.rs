//! Matchers into (Metric, Sources): a matcher on a label is decided by the metric where the metric has the label, else by
//! the source. The step *select* of the query path.

use std::collections::HashMap;

use model::Matcher;
use model::labels::METRIC_NAME;
use roaring::RoaringBitmap;

use super::postings;
use crate::error::Error;
use crate::schema::{METRIC_LABEL, SOURCE_LABEL, metric_sources_key};
use crate::store::Store;

/// A metric that matches, and the sources with which it does.
#[derive(Debug)]
pub(crate) struct Selected {
    pub(crate) metric: u32,
    pub(crate) sources: RoaringBitmap,
}

/// What one matcher says about each side.
#[derive(Debug)]
struct Sides {
    /// Metrics that have the label, with a value that matches.
    metrics: RoaringBitmap,
    /// Metrics that have the label.
    metrics_having: RoaringBitmap,
    /// Sources that match where the metric lacks the label.
    sources: RoaringBitmap,
}

/// The series that match among those of the sources in `alive`.
pub(crate) fn select(store: &Store, matchers: &[Matcher], alive: &RoaringBitmap) -> Result<Vec<Selected>, Error> {
    // The name first: it leaves the fewest metrics for the others.
    let mut order: Vec<&Matcher> = matchers.iter().collect();
    order.sort_by_key(|matcher| matcher.name != METRIC_NAME);
    let mut metrics: Option<RoaringBitmap> = None;
    let mut sides = Vec::with_capacity(order.len());
    for matcher in order {
        let side = sides_of(store, matcher, alive)?;
        let mut these = side.metrics.clone();
        if !side.sources.is_empty() {
            let among = match &metrics {
                Some(metrics) => metrics.clone(),
                None => postings::all(store, METRIC_LABEL)?,
            };
            these |= among - &side.metrics_having;
        }
        let left = match metrics {
            Some(metrics) => metrics & these,
            None => these,
        };
        if left.is_empty() {
            return Ok(Vec::new());
        }
        metrics = Some(left);
        sides.push(side);
    }
    let metrics = match metrics {
        Some(metrics) => metrics,
        None => postings::all(store, METRIC_LABEL)?,
    };
    with_sources(store, &metrics, &sides, alive)
}

fn sides_of(store: &Store, matcher: &Matcher, alive: &RoaringBitmap) -> Result<Sides, Error> {
    let metrics = postings::matching(store, METRIC_LABEL, matcher)?;
    let metrics_having = postings::having(store, METRIC_LABEL, &matcher.name)?;
    let mut sources = postings::matching(store, SOURCE_LABEL, matcher)? & alive;
    if matcher.matches_empty() {
        sources |= alive - postings::having(store, SOURCE_LABEL, &matcher.name)?;
    }
    Ok(Sides { metrics, metrics_having, sources })
}

/// Metrics that leave the same matchers to their sources share the set of sources.
fn with_sources(
    store: &Store,
    metrics: &RoaringBitmap,
    sides: &[Sides],
    alive: &RoaringBitmap,
) -> Result<Vec<Selected>, Error> {
    let mut allowed: HashMap<Vec<bool>, RoaringBitmap> = HashMap::new();
    let mut selected = Vec::new();
    for metric in metrics {
        let by_source: Vec<bool> = sides.iter().map(|side| !side.metrics_having.contains(metric)).collect();
        let allowed = allowed.entry(by_source).or_insert_with_key(|by_source| {
            let deciding = sides.iter().zip(by_source).filter(|(_, by_source)| **by_source);
            deciding.fold(alive.clone(), |allowed, (side, _)| allowed & &side.sources)
        });
        if allowed.is_empty() {
            continue;
        }
        let sources = postings::get(store, &metric_sources_key(metric))? & &*allowed;
        if !sources.is_empty() {
            selected.push(Selected { metric, sources });
        }
    }
    Ok(selected)
}
