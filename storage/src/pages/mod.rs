//! Columns at rest. Drawn in `docs/formats/pages.md`.

pub(crate) mod column;
pub(crate) mod page;
pub(crate) mod reader;
pub(crate) mod timeline;

use std::sync::Arc;

use model::SourceId;
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::Error;
use crate::index::{Index, postings};
use crate::kv::schema::{Cf, PARTITIONS, Partition, TIMELINE_NAME, parse_partition_key, timeline_key};
use crate::kv::store::{Store, after_prefix};
use crate::limits;
use crate::reader::snapshot::View;
use timeline::Timeline;

/// What pages of a metric name lie under.
pub(crate) fn name_of(metric_name: &str) -> u32 {
    (xxh3_64(metric_name.as_bytes()) as u32).max(TIMELINE_NAME + 1)
}

/// What metrics lie under in pages, and these metrics, ascending, each with its index among the wanted.
pub(crate) type Named = (u32, Vec<(u32, usize)>);

/// Metrics, each after what it lies under in pages; ascending.
pub(crate) type Names = Arc<[(u32, u32)]>;

/// Metrics by what they lie under in pages, ascending, each with its index among those given (which ascend).
pub(crate) fn by_name(store: &Store, index: &Index, metrics: &[u32]) -> Result<Vec<Named>, Error> {
    let mut named = Vec::with_capacity(metrics.len());
    for (i, &metric) in metrics.iter().enumerate() {
        if let Some(labels) = index.metric_labels(store, metric)? {
            named.push((name_of(labels.name()), metric, i));
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

/// All partitions, each with the sources that have, or had, pages in it; by start.
pub(crate) fn partitions(view: &View<'_>) -> Result<Vec<(Partition, RoaringBitmap)>, Error> {
    let mut found = Vec::new();
    let mut iter = view.iter(Cf::Postings, &PARTITIONS, &after_prefix(&PARTITIONS));
    iter.seek_to_first();
    while let Some((key, value)) = iter.item() {
        match parse_partition_key(key) {
            Some(partition) => found.push((partition, postings::decode_or_report(view.store, key, value))),
            None => view.store.corrupt(Cf::Postings, key, "not a partition"),
        }
        iter.next();
    }
    iter.status().map_err(Error::read)?;
    Ok(found)
}

/// The timeline of a source in a partition.
pub(crate) fn timeline_of(view: &View<'_>, partition: Partition, source: SourceId) -> Result<Option<Timeline>, Error> {
    let key = timeline_key(partition, source);
    let Some(bytes) = view.get(Cf::Pages, key)? else { return Ok(None) };
    let timeline = Timeline::parse(&bytes, partition, source);
    Ok(timeline.map_err(|reason| view.store.corrupt(Cf::Pages, &key, reason)).ok())
}

/// The same without its timestamps.
pub(crate) fn timeline_head(
    view: &View<'_>,
    partition: Partition,
    source: SourceId,
) -> Result<Option<Timeline>, Error> {
    let key = timeline_key(partition, source);
    let Some(bytes) = view.get(Cf::Pages, key)? else { return Ok(None) };
    let timeline = Timeline::head(&bytes, partition, source);
    Ok(timeline.map_err(|reason| view.store.corrupt(Cf::Pages, &key, reason)).ok())
}

/// The first time from `ts_ms` on at which there is anything of a source in pages.
pub(crate) fn first_from(view: &View<'_>, source: SourceId, ts_ms: i64) -> Result<Option<i64>, Error> {
    let mut first: Option<i64> = None;
    for (partition, sources) in partitions(view)? {
        if sources.contains(source.0) && partition.end_ms(view.store.bucket_ms) > ts_ms {
            let times = timeline_of(view, partition, source)?.map(|timeline| timeline.timestamps).unwrap_or_default();
            let next = times.get(times.partition_point(|ts| *ts < ts_ms)).copied();
            first = first.into_iter().chain(next).min();
        }
    }
    Ok(first)
}

/// The time of the newest row that pages hold of a source.
pub(crate) fn newest_of(view: &View<'_>, source: SourceId) -> Result<Option<i64>, Error> {
    let having = partitions(view)?.into_iter().rev().filter(|(_, sources)| sources.contains(source.0));
    let mut newest = None;
    for (partition, _) in having.take(limits::NEWEST_BUCKETS) {
        let timeline = timeline_of(view, partition, source)?;
        newest = newest.max(timeline.and_then(|timeline| timeline.timestamps.last().copied()));
        if newest.is_some() && partition.buckets == 1 {
            break;
        }
    }
    Ok(newest)
}
