//! Columns at rest. Drawn in `docs/formats/pages.md`.

pub(crate) mod column;
pub(crate) mod page;
pub(crate) mod reader;
pub(crate) mod timeline;

use model::{SourceId, Timestamp};
use roaring::RoaringBitmap;

use crate::error::Error;
use crate::kv;
use crate::kv::bitmap;
use crate::kv::schema::{Cf, PARTITIONS, Partition, parse_partition_key, timeline_key};
use crate::kv::snapshot::Snapshot;
use crate::kv::store::after_prefix;
use crate::limits;
use timeline::Timeline;

/// What metrics lie under in pages ([`crate::kv::schema::page_name`]), and these metrics, ascending, each with its index
/// among the wanted.
pub(crate) type Named = (u32, Vec<(u32, usize)>);

/// All partitions, each with the sources that have, or had, pages in it; by start.
pub(crate) fn partitions(snapshot: &Snapshot<'_>) -> Result<Vec<(Partition, RoaringBitmap)>, Error> {
    let mut found = Vec::new();
    let mut iter = snapshot.iter(Cf::Postings, &PARTITIONS, &after_prefix(&PARTITIONS));
    iter.seek_to_first();
    while let Some((key, value)) = iter.item() {
        match parse_partition_key(key) {
            Some(partition) => found.push((partition, bitmap::decode_or_report(snapshot.store, key, value))),
            None => snapshot.store.corrupt(Cf::Postings, key, "not a partition"),
        }
        iter.next();
    }
    iter.status().map_err(kv::Error::read)?;
    Ok(found)
}

/// The timeline of a source in a partition.
pub(crate) fn timeline_of(
    snapshot: &Snapshot<'_>,
    partition: Partition,
    source: SourceId,
) -> Result<Option<Timeline>, Error> {
    let key = timeline_key(partition, source);
    let Some(bytes) = snapshot.get(Cf::Pages, key)? else { return Ok(None) };
    let timeline = Timeline::parse(&bytes, partition, source);
    Ok(timeline.map_err(|reason| snapshot.store.corrupt(Cf::Pages, &key, reason)).ok())
}

/// The same without its timestamps.
pub(crate) fn timeline_head(
    snapshot: &Snapshot<'_>,
    partition: Partition,
    source: SourceId,
) -> Result<Option<Timeline>, Error> {
    let key = timeline_key(partition, source);
    let Some(bytes) = snapshot.get(Cf::Pages, key)? else { return Ok(None) };
    let timeline = Timeline::head(&bytes, partition, source);
    Ok(timeline.map_err(|reason| snapshot.store.corrupt(Cf::Pages, &key, reason)).ok())
}

/// The first time from `ts` on at which there is anything of a source in pages.
pub(crate) fn first_from(snapshot: &Snapshot<'_>, source: SourceId, ts: Timestamp) -> Result<Option<Timestamp>, Error> {
    let mut first: Option<Timestamp> = None;
    for (partition, sources) in partitions(snapshot)? {
        if sources.contains(source.0) && partition.end(snapshot.store.bucket_ms) > ts {
            let times =
                timeline_of(snapshot, partition, source)?.map(|timeline| timeline.timestamps).unwrap_or_default();
            // Not the first partition that has one: they go by their starts, and are of different lengths.
            let next = times.get(times.partition_point(|one| *one < ts)).copied();
            first = first.into_iter().chain(next).min();
        }
    }
    Ok(first)
}

/// The time of the newest row that pages hold of a source.
pub(crate) fn newest_of(snapshot: &Snapshot<'_>, source: SourceId) -> Result<Option<Timestamp>, Error> {
    let having = partitions(snapshot)?.into_iter().rev().filter(|(_, sources)| sources.contains(source.0));
    let mut newest = None;
    for (partition, _) in having.take(limits::NEWEST_BUCKETS) {
        let timeline = timeline_of(snapshot, partition, source)?;
        newest = newest.max(timeline.and_then(|timeline| timeline.timestamps.last().copied()));
        if newest.is_some() && partition.buckets == 1 {
            break;
        }
    }
    Ok(newest)
}
