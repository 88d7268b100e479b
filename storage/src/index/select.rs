//! Matchers into Metrics × Sources: a matcher on a label is decided by the metric where the metric has the label, else by
//! the source. The step *select* of the query path. No label of any series is read.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use model::labels::METRIC_NAME;
use model::{Matcher, SourceId};
use roaring::RoaringBitmap;

use super::Index;
use crate::error::Error;
use crate::kv;
use crate::kv::bitmap;
use crate::kv::schema::{
    Cf, METRIC_LABEL, SOURCE_LABEL, last_id, metric_segments_key, segment_sources_key, source_segments_prefix,
};
use crate::kv::store::{Store, after_prefix};
use crate::limits;

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
    Ok(select_in_segments(parts, matchers, alive)?.0)
}

/// The same, and the segments that their metrics are columns of, where these were looked up.
pub(crate) fn select_in_segments(
    parts: (&Store, &Index),
    matchers: &[Matcher],
    alive: &RoaringBitmap,
) -> Result<(Vec<Selected>, Option<RoaringBitmap>), Error> {
    let mut selected = Written { selected: Vec::new(), segments: Some(RoaringBitmap::new()) };
    for candidate in candidates(parts, matchers, alive)? {
        // By whichever side has fewer postings to read.
        if candidate.metrics.len() > limits::METRICS_PER_SOURCE * candidate.sources.len() {
            selected.add_by_source(parts, &candidate)?;
        } else {
            selected.add(parts, &candidate)?;
        }
    }
    Ok((selected.selected, selected.segments))
}

/// Metrics that match, with the sources with which they would if these had them.
pub(crate) fn candidates(
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
            // The first matcher, mostly the name, is decided by metrics alone: no need to start from all of them.
            None if sides.sources.is_empty() => {
                vec![Selected { metrics: RoaringBitmap::clone(&sides.metrics), sources: alive.clone() }]
            }
            None => vec![everything((store, index), alive)?],
        };
        let mut left = Vec::with_capacity(before.len() + 1);
        for Selected { metrics, sources } in before {
            let by_source = &sources & &sides.sources;
            if !by_source.is_empty() {
                // Metrics without the label: the source decides.
                left.push(Selected { metrics: &metrics - &*sides.metrics_having, sources: by_source });
            }
            // Metrics with it: theirs counts, whatever the source has.
            left.push(Selected { metrics: metrics & &*sides.metrics, sources });
        }
        left.retain(|one| !one.metrics.is_empty() && !one.sources.is_empty());
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
    // A label that is not there has the empty value.
    if matcher.matches_empty() {
        sources |= alive - &*index.having(store, SOURCE_LABEL, &matcher.name)?;
    }
    Ok(Sides { metrics, metrics_having, sources })
}

/// Metrics by the sources that wrote them: one entry for all that have the same sources.
#[derive(Debug)]
struct Written {
    selected: Vec<Selected>,
    /// All segments of these metrics, unless some were selected source by source.
    segments: Option<RoaringBitmap>,
}

impl Written {
    /// Where sources are few: what each of them wrote, instead of who wrote each metric.
    fn add_by_source(&mut self, (store, index): (&Store, &Index), candidate: &Selected) -> Result<(), Error> {
        self.segments = None;
        let mut by_segments: HashMap<Vec<u32>, RoaringBitmap> = HashMap::new();
        for source in &candidate.sources {
            let mut segments = Vec::new();
            store.each(Cf::Postings, &source_segments_prefix(SourceId(source)), |key, _| {
                segments.extend(last_id(key));
                Ok::<_, Error>(true)
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

    /// Where metrics are few: which segments have each of them, and who wrote these.
    fn add(&mut self, (store, index): (&Store, &Index), candidate: &Selected) -> Result<(), Error> {
        let groups = by_segments(store, &candidate.metrics)?;
        let all = groups.iter().fold(RoaringBitmap::new(), |all, (segments, _)| all | segments);
        // Churn can leave more segments than sources: then the sources are fewer to look at.
        if all.len() > limits::SEGMENTS_PER_SOURCE * candidate.sources.len() {
            return self.add_by_source((store, index), candidate);
        }
        let writers = Writers::read(store, &all, &candidate.sources)?;
        self.segments.iter_mut().for_each(|segments| *segments |= &all);
        // A target's page has several segments, and a page that changes has had many.
        let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
        for (segments, metrics) in groups {
            let sources = writers.of_any(&segments);
            if sources.is_empty() {
                continue;
            }
            match known.entry(bitmap::encode(&sources)) {
                Entry::Occupied(at) => self.selected[*at.get()].metrics |= metrics,
                Entry::Vacant(place) => {
                    place.insert(self.selected.len());
                    self.selected.push(Selected { metrics, sources });
                }
            }
        }
        Ok(())
    }
}

/// Who wrote segments.
pub(crate) struct Writers(HashMap<u32, RoaringBitmap>);

impl Writers {
    /// Those of these segments that are among some sources.
    pub(crate) fn read(store: &Store, segments: &RoaringBitmap, among: &RoaringBitmap) -> Result<Self, Error> {
        let mut writers = HashMap::new();
        each_posting(store, (segments, segment_sources_key), &mut |segment, bytes| {
            let wrote = bitmap::decode_or_report(store, &segment_sources_key(segment), bytes);
            writers.insert(segment, wrote & among);
        })?;
        Ok(Self(writers))
    }

    /// The sources that wrote any of these segments.
    pub(crate) fn of_any(&self, segments: &RoaringBitmap) -> RoaringBitmap {
        let wrote = segments.iter().filter_map(|segment| self.0.get(&segment));
        wrote.fold(RoaringBitmap::new(), |all, some| all | some)
    }
}

/// Metrics by the segments that have them: sets of segments, each with the metrics that are in all of it and nowhere else.
pub(crate) fn by_segments(
    store: &Store,
    metrics: &RoaringBitmap,
) -> Result<Vec<(RoaringBitmap, RoaringBitmap)>, Error> {
    let mut groups: Vec<(RoaringBitmap, RoaringBitmap)> = Vec::new();
    // By the stored bytes: most metrics of a segment have the same, and need no decoding.
    let mut known: HashMap<Box<[u8]>, usize> = HashMap::new();
    let mut last: (Vec<u8>, usize) = (Vec::new(), 0);
    each_posting(store, (metrics, metric_segments_key), &mut |metric, bytes| {
        if last.0 != bytes {
            let at = *known.entry(bytes.into()).or_insert_with(|| {
                let segments = bitmap::decode_or_report(store, &metric_segments_key(metric), bytes);
                groups.push((segments, RoaringBitmap::new()));
                groups.len() - 1
            });
            last = (bytes.to_vec(), at);
        }
        groups[last.1].1.insert(metric);
    })?;
    Ok(groups)
}

/// Calls `each` with the stored posting of each of these ids.
pub(crate) fn each_posting(
    store: &Store,
    (ids, key_of): (&RoaringBitmap, fn(u32) -> [u8; 5]),
    each: &mut dyn FnMut(u32, &[u8]),
) -> Result<(), Error> {
    if ids.len() <= limits::POSTINGS_ONE_BY_ONE {
        for id in ids {
            if let Some(bytes) = store.db.get_pinned_cf(store.cf(Cf::Postings), key_of(id)).map_err(kv::Error::read)? {
                each(id, &bytes);
            }
        }
        return Ok(());
    }
    let (Some(first), Some(last)) = (ids.min(), ids.max()) else { return Ok(()) };
    let (first_key, end) = (key_of(first), after_prefix(&key_of(last)));
    let mut iter = store.iter(Cf::Postings, &first_key, &end);
    iter.seek_to_first();
    let mut wanted = ids.iter();
    let mut passed = 0;
    let mut next = wanted.next();
    while let (Some(id), Some((key, bytes))) = (next, iter.item()) {
        match last_id(key) {
            Some(at) if at == id => {
                each(id, bytes);
                next = wanted.next();
                passed = 0;
                iter.next();
            }
            Some(at) if at > id => {
                // Ids without a posting: on to the first that may have the one that is here.
                wanted.advance_to(at);
                next = wanted.next();
            }
            // A few steps are cheaper than a seek.
            _ if passed < limits::POSTINGS_PER_SEEK => {
                passed += 1;
                iter.next();
            }
            _ => {
                passed = 0;
                iter.seek(key_of(id));
            }
        }
    }
    Ok(iter.status().map_err(kv::Error::read)?)
}
