//! What there is, from bitmaps: which metrics and sources match and were written in a range, the label names and values
//! they have. Only a listing of series reads the labels of these, and of no others.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use model::labels::sort_by_labels;
use model::{Labels, Listing, Parts, QuerierError, Selection, SourceId, Timestamp};
use roaring::RoaringBitmap;

use crate::error::Error;
use crate::index::select::{Selected, Writers, candidates, each_posting};
use crate::kv::bitmap;
use crate::kv::schema::{METRIC_LABEL, SOURCE_LABEL, metric_segments_key};
use crate::kv::store::Store;
use crate::limits;
use crate::reader::Reader;
use crate::reader::context::ReadContext;
use crate::reader::snapshot::ReadSnapshot;
use crate::reader::written::Written;

/// What these sources wrote in a range.
fn read_written(
    (context, snapshot): (ReadContext<'_>, &ReadSnapshot<'_>),
    range: &RangeInclusive<Timestamp>,
    sources: &RoaringBitmap,
) -> Result<Written, Error> {
    let mut written = Written::default();
    let mut reader = Reader::new(context, snapshot, range.clone(), &[])?;
    for source in sources {
        let segments = reader.segments(SourceId(source))?;
        // Targets of one kind wrote the same segments, whose metrics are then added up once.
        written.by_segments.entry(segments.into_iter().collect()).or_default().insert(source);
    }
    for (segments, sources) in &written.by_segments {
        let metrics = context.index.metrics_of(context.store, segments)?;
        if !metrics.is_empty() {
            written.metrics |= &*metrics;
            written.sources |= sources;
        }
    }
    Ok(written)
}

/// What was written in the buckets and partitions of a selection's range: by all sources when the selection is of most.
fn written(
    (context, snapshot): (ReadContext<'_>, &ReadSnapshot<'_>),
    (selection, present): (&Selection<'_>, &RoaringBitmap),
    sources: &RoaringBitmap,
) -> Result<Arc<Written>, Error> {
    let range = selection.start..=selection.end;
    // Few sources are cheaper by themselves; what most wrote is read for all, and cached.
    if sources.len() * 2 < present.len() {
        return read_written((context, snapshot), &range, sources).map(Arc::new);
    }
    let buckets = context.buckets(&range);
    context.cache.written(snapshot, buckets, || read_written((context, snapshot), &range, present))
}

/// The series of a selection that its sources wrote in its range. A pair may be in several.
fn pairs(context: ReadContext<'_>, selection: &Selection<'_>) -> Result<Vec<Selected>, Error> {
    let ReadContext { store, index, .. } = context;
    let snapshot = context.snapshot();
    let present = context.sources_in(&snapshot, &(selection.start..=selection.end))?;
    if present.is_empty() {
        return Ok(Vec::new());
    }
    let candidates = candidates((store, index), selection.matchers, &present)?;
    let written = written((context, &snapshot), (selection, &present), &having_any(store, &candidates)?)?;
    let mut found = Vec::new();
    for (segments, sources) in &written.by_segments {
        let metrics = index.metrics_of(store, segments)?;
        for candidate in &candidates {
            let one = Selected { metrics: &candidate.metrics & &*metrics, sources: &candidate.sources & sources };
            if !one.metrics.is_empty() && !one.sources.is_empty() {
                found.push(one);
            }
        }
    }
    Ok(found)
}

/// The metrics and the sources of a selection. Of the sources those are left out all of whose metrics are among `but`.
fn sides(
    context: ReadContext<'_>,
    selection: &Selection<'_>,
    but: &RoaringBitmap,
) -> Result<(RoaringBitmap, RoaringBitmap), Error> {
    // Everything is asked for: what was written is the answer, without any matching.
    if selection.matchers.is_empty() {
        let snapshot = context.snapshot();
        let present = context.sources_in(&snapshot, &(selection.start..=selection.end))?;
        let written = written((context, &snapshot), (selection, &present), &present)?;
        if written.metrics.is_disjoint(but) {
            return Ok((written.metrics.clone(), written.sources.clone()));
        }
    }
    let (mut metrics, mut sources) = (RoaringBitmap::new(), RoaringBitmap::new());
    for one in pairs(context, selection)? {
        if !one.metrics.is_subset(but) {
            sources |= one.sources;
        }
        metrics |= one.metrics;
    }
    Ok((metrics, sources))
}

/// The sources that may have written any of these.
fn having_any(store: &Store, candidates: &[Selected]) -> Result<RoaringBitmap, Error> {
    let mut sources = RoaringBitmap::new();
    for candidate in candidates {
        // Too many to look at one by one: any of the sources may have one of them.
        if candidate.metrics.len() > limits::METRICS_ONE_BY_ONE {
            sources |= &candidate.sources;
            continue;
        }
        let mut segments = RoaringBitmap::new();
        each_posting(store, (&candidate.metrics, metric_segments_key), &mut |metric, bytes| {
            segments |= bitmap::decode_or_report(store, &metric_segments_key(metric), bytes);
        })?;
        // Reading who wrote each of the segments would cost more than reading the sources.
        if segments.len() > limits::SEGMENTS_PER_SOURCE * candidate.sources.len() {
            sources |= &candidate.sources;
            continue;
        }
        sources |= Writers::read(store, &segments, &candidate.sources)?.of_any(&segments);
    }
    Ok(sources)
}

/// What an item of a listing takes besides its text.
const ITEM_BYTES: usize = 64;

/// The label sets of the series that have a sample in the time of an opened selection, sorted: by what is stored, and not by
/// buckets.
pub(crate) fn with_samples(parts: &dyn Parts, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
    let (mut found, limit) = (Vec::new(), listing.most());
    // Asked for before anything is read.
    (listing.grow)(parts.reader_bytes())?;
    parts.read_all(&mut |batch| {
        for column in &batch.columns {
            if (0..batch.timestamps.len()).any(|slot| column.is_present(slot)) {
                (listing.grow)(ITEM_BYTES + batch.source.as_text().len() + column.metric.as_text().len())?;
                found.push(batch.labels(column));
            }
        }
        if found.len() / 2 > limit {
            first(&mut found, limit);
        }
        Ok(())
    })?;
    first(&mut found, limit);
    Ok(found)
}

/// Sorted, each once, and no more than asked for.
fn first(found: &mut Vec<Labels>, limit: usize) {
    sort_by_labels(found, |labels| labels);
    found.dedup();
    found.truncate(limit);
}

/// The label sets of the series, sorted.
pub(crate) fn series(
    context: ReadContext<'_>,
    selection: &Selection<'_>,
    listing: &Listing<'_>,
) -> Result<Vec<Labels>, QuerierError> {
    let (mut found, limit) = (Vec::new(), listing.most());
    for one in pairs(context, selection)? {
        (listing.grow)(0)?;
        // A source or a metric whose labels are damaged is left out.
        let labels = one.sources.iter().map(|source| context.index.source_labels(context.store, SourceId(source)));
        let sources: Vec<Labels> = labels.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        for metric in &one.metrics {
            let Some(metric) = context.index.metric_labels(context.store, metric)? else { continue };
            for source in &sources {
                (listing.grow)(ITEM_BYTES + source.as_text().len() + metric.as_text().len())?;
                found.push(source.joined(&metric));
            }
            // With a limit no more than twice as many are held.
            if found.len() / 2 > limit {
                first(&mut found, limit);
            }
        }
    }
    first(&mut found, limit);
    Ok(found)
}

/// The label names of the series, sorted.
pub(crate) fn label_names(
    context: ReadContext<'_>,
    selection: &Selection<'_>,
    listing: &Listing<'_>,
) -> Result<Vec<String>, QuerierError> {
    let (metrics, sources) = sides(context, selection, &RoaringBitmap::new())?;
    let mut names: BTreeSet<String> = BTreeSet::new();
    for (side, ids) in [(METRIC_LABEL, metrics), (SOURCE_LABEL, sources)] {
        // Label names are few, and each is decided by two bitmaps.
        for name in context.index.label_names(context.store, side)?.iter() {
            (listing.grow)(0)?;
            if !names.contains(name) && !context.index.having(context.store, side, name)?.is_disjoint(&ids) {
                (listing.grow)(ITEM_BYTES + name.len())?;
                names.insert(name.clone());
            }
        }
    }
    Ok(names.into_iter().take(listing.most()).collect())
}

/// The values that a label has in the series, sorted.
pub(crate) fn label_values(
    context: ReadContext<'_>,
    name: &str,
    selection: &Selection<'_>,
    listing: &Listing<'_>,
) -> Result<Vec<String>, QuerierError> {
    let ReadContext { store, index, .. } = context;
    // Where a metric has the label, that of its source is hidden, and does not count.
    let having = index.having(store, METRIC_LABEL, name)?;
    let (metrics, sources) = sides(context, selection, &having)?;
    let mut values = index.values_of(store, (METRIC_LABEL, name), &metrics, listing)?;
    values.extend(index.values_of(store, (SOURCE_LABEL, name), &sources, listing)?);
    values.sort_unstable();
    values.dedup();
    values.truncate(listing.most());
    Ok(values)
}
