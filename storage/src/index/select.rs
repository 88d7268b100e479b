//! Matchers into Metrics × Sources: a matcher on a label is decided by the metric where the metric has the label, else by
//! the source. The step *select* of the query path. No label of any series is read.

use std::collections::HashMap;
use std::sync::Arc;

use model::labels::METRIC_NAME;
use model::{Matcher, SourceId};
use roaring::RoaringBitmap;

use super::Index;
use super::postings;
use crate::error::Error;
use crate::limits;
use crate::schema::{Cf, METRIC_LABEL, SOURCE_LABEL, last_id, metric_sources_key, source_segments_prefix};
use crate::store::{Store, after_prefix};

/// Metrics that match, and the sources with which each of them does. No pair is in two of a selection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Selected {
    pub(crate) metrics: RoaringBitmap,
    pub(crate) sources: RoaringBitmap,
}

/// What one matcher says about each side.
#[derive(Debug)]
struct Sides {
    /// Metrics that have the label, with a value that matches.
    metrics: Arc<RoaringBitmap>,
    /// Metrics that have the label.
    metrics_having: Arc<RoaringBitmap>,
    /// Sources that match where the metric lacks the label.
    sources: RoaringBitmap,
}

/// The series that match among those of the sources in `alive`.
pub(crate) fn select(
    parts: (&Store, &Index),
    matchers: &[Matcher],
    alive: &RoaringBitmap,
) -> Result<Vec<Selected>, Error> {
    let mut selected = Written::default();
    for candidate in candidates(parts, matchers, alive)? {
        if candidate.metrics.len() > limits::METRICS_PER_SOURCE * candidate.sources.len() {
            selected.add_by_source(parts, &candidate)?;
        } else {
            selected.add(parts.0, &candidate)?;
        }
    }
    Ok(selected.selected)
}

/// Metrics that match, with the sources with which they would if these had them.
pub(super) fn candidates(
    (store, index): (&Store, &Index),
    matchers: &[Matcher],
    alive: &RoaringBitmap,
) -> Result<Vec<Selected>, Error> {
    // The name first: it leaves the fewest metrics for the others.
    let mut order: Vec<&Matcher> = matchers.iter().collect();
    order.sort_by_key(|matcher| matcher.name != METRIC_NAME);
    let mut found: Option<Vec<Selected>> = None;
    for matcher in order {
        let sides = sides_of((store, index), matcher, alive)?;
        let before = match found {
            Some(found) => found,
            None if sides.sources.is_empty() => {
                vec![Selected { metrics: RoaringBitmap::clone(&sides.metrics), sources: alive.clone() }]
            }
            None => vec![everything((store, index), alive)?],
        };
        let halves = before.into_iter().flat_map(|one| {
            let by_source =
                Selected { metrics: &one.metrics - &*sides.metrics_having, sources: &one.sources & &sides.sources };
            [Selected { metrics: one.metrics & &*sides.metrics, sources: one.sources }, by_source]
        });
        let left: Vec<_> = halves.filter(|one| !one.metrics.is_empty() && !one.sources.is_empty()).collect();
        if left.is_empty() {
            return Ok(Vec::new());
        }
        found = Some(left);
    }
    match found {
        Some(found) => Ok(found),
        None => Ok(vec![everything((store, index), alive)?]),
    }
}

fn everything((store, index): (&Store, &Index), alive: &RoaringBitmap) -> Result<Selected, Error> {
    Ok(Selected { metrics: RoaringBitmap::clone(&*index.all(store, METRIC_LABEL)?), sources: alive.clone() })
}

fn sides_of((store, index): (&Store, &Index), matcher: &Matcher, alive: &RoaringBitmap) -> Result<Sides, Error> {
    let metrics = index.matching(store, METRIC_LABEL, matcher)?;
    let metrics_having = index.having(store, METRIC_LABEL, &matcher.name)?;
    let mut sources = alive & &*index.matching(store, SOURCE_LABEL, matcher)?;
    if matcher.matches_empty() {
        sources |= alive - &*index.having(store, SOURCE_LABEL, &matcher.name)?;
    }
    Ok(Sides { metrics, metrics_having, sources })
}

/// Metrics by the sources that wrote them: one entry for all that have the same sources.
#[derive(Debug, Default)]
struct Written {
    selected: Vec<Selected>,
}

impl Written {
    /// Where sources are few: what each of them wrote, instead of who wrote each metric.
    fn add_by_source(&mut self, (store, index): (&Store, &Index), candidate: &Selected) -> Result<(), Error> {
        let mut by_segments: HashMap<Vec<u32>, RoaringBitmap> = HashMap::new();
        for source in &candidate.sources {
            let mut segments = Vec::new();
            store.each(Cf::Postings, &source_segments_prefix(SourceId(source)), |key, _| {
                segments.extend(last_id(key));
                Ok(true)
            })?;
            by_segments.entry(segments).or_default().insert(source);
        }
        for (segments, sources) in by_segments {
            let metrics = &candidate.metrics & &*index.metrics_of(store, &segments.into())?;
            if !metrics.is_empty() {
                self.selected.push(Selected { metrics, sources });
            }
        }
        Ok(())
    }

    fn add(&mut self, store: &Store, candidate: &Selected) -> Result<(), Error> {
        // By the stored bytes: metrics of one layout have the same, and need no decoding.
        let mut known: HashMap<Box<[u8]>, Option<usize>> = HashMap::new();
        let mut last: Option<(Vec<u8>, Option<usize>)> = None;
        each_metric(store, &candidate.metrics, &mut |metric, bytes| {
            let at = match &last {
                Some((same, at)) if same == bytes => *at,
                _ => match known.get(bytes) {
                    Some(at) => *at,
                    None => {
                        let key = metric_sources_key(metric);
                        let sources = postings::decode_or_report(store, &key, bytes) & &candidate.sources;
                        let at = (!sources.is_empty()).then(|| {
                            self.selected.push(Selected { metrics: RoaringBitmap::new(), sources });
                            self.selected.len() - 1
                        });
                        known.insert(bytes.into(), at);
                        at
                    }
                },
            };
            if last.as_ref().is_none_or(|(same, _)| same != bytes) {
                last = Some((bytes.to_vec(), at));
            }
            if let Some(at) = at {
                self.selected[at].metrics.insert(metric);
            }
        })
    }
}

/// Calls `each` with the stored posting of the sources of each of these metrics.
pub(super) fn each_metric(
    store: &Store,
    metrics: &RoaringBitmap,
    each: &mut dyn FnMut(u32, &[u8]),
) -> Result<(), Error> {
    if metrics.len() <= limits::METRICS_ONE_BY_ONE {
        for metric in metrics {
            let key = metric_sources_key(metric);
            if let Some(bytes) = store.db.get_pinned_cf(store.cf(Cf::Postings), key).map_err(Error::read)? {
                each(metric, &bytes);
            }
        }
        return Ok(());
    }
    let (Some(first), Some(last)) = (metrics.min(), metrics.max()) else { return Ok(()) };
    let (first_key, end) = (metric_sources_key(first), after_prefix(&metric_sources_key(last)));
    let mut iter = store.iter(Cf::Postings, &first_key, &end);
    iter.seek_to_first();
    let mut wanted = metrics.iter();
    let mut passed = 0;
    let mut next = wanted.next();
    while let (Some(metric), Some((key, bytes))) = (next, iter.item()) {
        match last_id(key) {
            Some(at) if at == metric => {
                each(metric, bytes);
                next = wanted.next();
                passed = 0;
                iter.next();
            }
            Some(at) if at > metric => {
                wanted.advance_to(at);
                next = wanted.next();
            }
            _ if passed < limits::POSTINGS_PER_SEEK => {
                passed += 1;
                iter.next();
            }
            _ => {
                passed = 0;
                iter.seek(metric_sources_key(metric));
            }
        }
    }
    iter.status().map_err(Error::read)
}
