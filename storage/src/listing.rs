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
use crate::reader::written::{Listed, ListingKey, Written};

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
fn pairs(
    (context, snapshot): (ReadContext<'_>, &ReadSnapshot<'_>),
    selection: &Selection<'_>,
) -> Result<Vec<Selected>, Error> {
    let ReadContext { store, index, .. } = context;
    let present = context.sources_in(snapshot, &(selection.start..=selection.end))?;
    if present.is_empty() {
        return Ok(Vec::new());
    }
    let candidates = candidates((store, index), selection.matchers, &present)?;
    let written = written((context, snapshot), (selection, &present), &having_any(store, &candidates)?)?;
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

/// By what a listing is cached.
fn key(context: ReadContext<'_>, selection: &Selection<'_>, listing: &Listing<'_>) -> ListingKey {
    (context.selection_key(&(selection.start..=selection.end), selection.matchers.into()), listing.most())
}

/// The items of a listing. Those that come from the cache count towards its bounds, as those do that were read.
fn counted<T: Clone>(
    items: Arc<Vec<T>>,
    (listing, is_read): (&Listing<'_>, bool),
    len: impl Fn(&T) -> usize,
) -> Result<Vec<T>, QuerierError> {
    if !is_read {
        items.iter().try_for_each(|item| (listing.grow)(ITEM_BYTES + len(item)))?;
    }
    Ok(Arc::unwrap_or_clone(items))
}

/// The series that are listed.
enum Series<'w> {
    /// All that were written.
    All(&'w Written),
    Matching(Vec<Selected>),
}

/// The metrics and the sources of series. Of the sources those are left out all of whose metrics are among `but`.
fn sides(
    context: ReadContext<'_>,
    series: &Series<'_>,
    but: &RoaringBitmap,
) -> Result<(RoaringBitmap, RoaringBitmap), Error> {
    let (mut metrics, mut sources) = (RoaringBitmap::new(), RoaringBitmap::new());
    let mut add = |of: &RoaringBitmap, by: &RoaringBitmap| {
        if !of.is_subset(but) {
            sources |= by;
        }
        metrics |= of;
    };
    match series {
        Series::All(written) if written.metrics.is_disjoint(but) => {
            return Ok((written.metrics.clone(), written.sources.clone()));
        }
        Series::All(written) => {
            for (segments, by) in &written.by_segments {
                add(&*context.index.metrics_of(context.store, segments)?, by);
            }
        }
        Series::Matching(pairs) => pairs.iter().for_each(|one| add(&one.metrics, &one.sources)),
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
    let mut found = Found::new(listing);
    // Asked for before anything is read.
    (listing.grow)(parts.reader_bytes())?;
    let read = parts.read_all(&mut |batch| {
        for column in &batch.columns {
            if (0..batch.timestamps.len()).any(|slot| column.is_present(slot)) {
                found.grow(&batch.source, &column.metric)?;
                found.labels.push(batch.labels(column));
            }
        }
        if found.are_enough() { Err(QuerierError::Stopped) } else { Ok(()) }
    });
    match read {
        // Not by the listing's bounds: enough is there.
        Err(QuerierError::Stopped) if found.are_enough() => {}
        read => read?,
    }
    Ok(found.sorted())
}

/// The label sets that a listing has found.
struct Found<'l> {
    labels: Vec<Labels>,
    listing: &'l Listing<'l>,
}

impl<'l> Found<'l> {
    fn new(listing: &'l Listing<'l>) -> Self {
        Self { labels: Vec::new(), listing }
    }

    /// To be called before a set of these is added.
    fn grow(&self, source: &Labels, metric: &Labels) -> Result<(), QuerierError> {
        (self.listing.grow)(ITEM_BYTES + source.as_text().len() + metric.as_text().len())
    }

    /// Are there as many as asked for? Any will do: to find the first in order, all would have to be looked at.
    fn are_enough(&mut self) -> bool {
        if self.labels.len() < self.listing.most() {
            return false;
        }
        self.sort();
        self.labels.len() >= self.listing.most()
    }

    fn sort(&mut self) {
        sort_by_labels(&mut self.labels, |labels| labels);
        self.labels.dedup();
    }

    /// Sorted, each once, and no more than asked for.
    fn sorted(mut self) -> Vec<Labels> {
        self.sort();
        self.labels.truncate(self.listing.most());
        self.labels
    }
}

/// The label sets of the series, sorted.
pub(crate) fn series(
    context: ReadContext<'_>,
    selection: &Selection<'_>,
    listing: &Listing<'_>,
) -> Result<Vec<Labels>, QuerierError> {
    let snapshot = context.snapshot();
    let mut is_read = false;
    let sets = context.cache.label_sets(&snapshot, key(context, selection, listing), || {
        is_read = true;
        read_series((context, &snapshot), selection, listing)
    })?;
    counted(sets, (listing, is_read), |set| set.as_text().len())
}

fn read_series(
    (context, snapshot): (ReadContext<'_>, &ReadSnapshot<'_>),
    selection: &Selection<'_>,
    listing: &Listing<'_>,
) -> Result<Vec<Labels>, QuerierError> {
    let mut found = Found::new(listing);
    for one in pairs((context, snapshot), selection)? {
        (listing.grow)(0)?;
        // A source or a metric whose labels are damaged is left out.
        let labels = one.sources.iter().map(|source| context.index.source_labels(context.store, SourceId(source)));
        // With each of its sources a metric is another series.
        let sources = labels.filter_map(Result::transpose).take(listing.most());
        let sources: Vec<Labels> = sources.collect::<Result<_, _>>()?;
        for metric in &one.metrics {
            let Some(metric) = context.index.metric_labels(context.store, metric)? else { continue };
            for source in &sources {
                found.grow(source, &metric)?;
                found.labels.push(source.joined(&metric));
            }
            if found.are_enough() {
                return Ok(found.sorted());
            }
        }
    }
    Ok(found.sorted())
}

/// The label names, or the values of a label, of the series, sorted.
pub(crate) fn texts(
    context: ReadContext<'_>,
    listed: Listed,
    selection: &Selection<'_>,
    listing: &Listing<'_>,
) -> Result<Vec<String>, QuerierError> {
    let snapshot = context.snapshot();
    let mut is_read = false;
    let key = (key(context, selection, listing), listed.clone());
    let texts = context.cache.texts(&snapshot, key, || {
        is_read = true;
        read_texts((context, &snapshot), &listed, selection, listing)
    })?;
    counted(texts, (listing, is_read), String::len)
}

fn read_texts(
    (context, snapshot): (ReadContext<'_>, &ReadSnapshot<'_>),
    listed: &Listed,
    selection: &Selection<'_>,
    listing: &Listing<'_>,
) -> Result<Vec<String>, QuerierError> {
    let read = |series: &Series<'_>| match listed {
        Listed::Values(name) => label_values(context, name, series, listing),
        Listed::Names => label_names(context, series, listing),
    };
    if !selection.matchers.is_empty() {
        return read(&Series::Matching(pairs((context, snapshot), selection)?));
    }
    // Of everything: what was written decides alone.
    let present = context.sources_in(snapshot, &(selection.start..=selection.end))?;
    let written = written((context, snapshot), (selection, &present), &present)?;
    read(&Series::All(&written))
}

/// The label names of the series, sorted.
fn label_names(
    context: ReadContext<'_>,
    series: &Series<'_>,
    listing: &Listing<'_>,
) -> Result<Vec<String>, QuerierError> {
    let (metrics, sources) = sides(context, series, &RoaringBitmap::new())?;
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
fn label_values(
    context: ReadContext<'_>,
    name: &str,
    series: &Series<'_>,
    listing: &Listing<'_>,
) -> Result<Vec<String>, QuerierError> {
    let ReadContext { store, index, .. } = context;
    // Where a metric has the label, that of its source is hidden, and does not count.
    let having = index.having(store, METRIC_LABEL, name)?;
    let (metrics, sources) = sides(context, series, &having)?;
    let mut values = index.values_of(store, (METRIC_LABEL, name), &metrics, listing)?;
    values.extend(index.values_of(store, (SOURCE_LABEL, name), &sources, listing)?);
    values.sort_unstable();
    values.dedup();
    values.truncate(listing.most());
    Ok(values)
}
