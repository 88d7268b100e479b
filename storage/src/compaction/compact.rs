//! Small partitions become larger ones, source by source.

use std::collections::BTreeMap;

use model::{SourceId, Timestamp};
use roaring::RoaringBitmap;
use rocksdb::WriteBatch;

use super::pace::{Compacted, Pace, Stop, give_way, grace_ms};
use super::rewrite::{remove_pages, rewrite};
use crate::components::Components;
use crate::error::Error;
use crate::kv::schema::{Cf, Partition, merged_key, partition_key, ruled_key};
use crate::kv::store::after_prefix;
use crate::limits;
use crate::pages::timeline::Timeline;
use crate::pages::{self, timeline_of};

/// Partitions with their sources.
type Partitions = Vec<(Partition, RoaringBitmap)>;
/// Timelines that are no more, by partition.
type Replaced = BTreeMap<Partition, Vec<(SourceId, Timeline)>>;

/// Merges the partitions within each larger one that ended well before `now`.
pub(super) fn merge_partitions(
    db: &Components,
    now: Timestamp,
    pace: &mut Pace<'_>,
    compacted: &mut Compacted,
) -> Result<(), Stop> {
    // From small to large: what one turn merged the next one may merge further.
    for &buckets in &limits::PARTITION_BUCKETS[1..] {
        let mut by_parent: BTreeMap<Partition, Partitions> = BTreeMap::new();
        for (partition, sources) in pages::partitions(&db.read().snapshot())? {
            if partition.buckets < buckets {
                let parent = Partition::of(partition.start.0, buckets, db.store.bucket_ms);
                by_parent.entry(parent).or_default().push((partition, sources));
            }
        }
        for (parent, children) in by_parent {
            // The last child is flushed in the same round, at the earliest.
            let due = parent.end(db.store.bucket_ms).saturating_add(grace_ms(db.store.bucket_ms)) <= now;
            if due
                && children.len() > 1
                && !db.store.has(Cf::Meta, merged_key(parent))?
                && merge_into(db, parent, &children, pace, compacted)?
            {
                db.store.put(Cf::Meta, merged_key(parent), [])?;
            }
        }
    }
    Ok(())
}

/// Says whether nothing was put off.
fn merge_into(
    db: &Components,
    parent: Partition,
    children: &Partitions,
    pace: &mut Pace<'_>,
    compacted: &mut Compacted,
) -> Result<bool, Stop> {
    let mut replaced = Replaced::new();
    // Cleared also when merging was broken off: the sources that are done have their samples in the parent already.
    let done = merge_sources(db, parent, children, pace, (compacted, &mut replaced));
    for (child, sources) in children {
        let gone = replaced.remove(child).unwrap_or_default();
        clear(db, *child, sources, &gone)?;
    }
    done
}

fn merge_sources(
    db: &Components,
    parent: Partition,
    children: &Partitions,
    pace: &mut Pace<'_>,
    (compacted, replaced): (&mut Compacted, &mut Replaced),
) -> Result<bool, Stop> {
    let sources = children.iter().fold(RoaringBitmap::new(), |all, (_, sources)| all | sources);
    let mut all = true;
    for source in sources.into_iter().map(SourceId) {
        let having = children.iter().filter(|(_, sources)| sources.contains(source.0));
        let (mut parts, mut rows) = (0, 0);
        {
            // Not held during the rewrite: a snapshot keeps RocksDB from discarding what is deleted meanwhile.
            let snapshot = db.read().snapshot();
            for (child, _) in having {
                if let Some(timeline) = timeline_of(&snapshot, *child, source)? {
                    parts += 1;
                    rows += timeline.timestamps.len();
                }
            }
        }
        // One part alone gains nothing, and too many rows make a column slow to decode.
        if parts < 2 || rows > limits::MERGED_ROWS {
            continue;
        }
        let Some(written) = rewrite(db, source, parent, pace)? else {
            all = false;
            continue;
        };
        compacted.merged += 1;
        for (partition, timeline) in written.replaced {
            if partition != parent {
                replaced.entry(partition).or_default().push((source, timeline));
            }
        }
        give_way(&db.maintenance)?;
    }
    Ok(all)
}

/// Takes away the pages that were merged; the partition itself when nothing else is in it.
fn clear(
    db: &Components,
    partition: Partition,
    sources: &RoaringBitmap,
    gone: &[(SourceId, Timeline)],
) -> Result<(), Error> {
    // A timeline that cannot be read looks like one that is gone: the partition must not be dropped for that.
    let skipped = db.store.skipped();
    let snapshot = db.read().snapshot();
    for source in sources {
        // One source that is left keeps the partition: what was merged goes page by page then.
        if timeline_of(&snapshot, partition, SourceId(source))?.is_some() {
            for (source, timeline) in gone {
                remove_pages(db, partition, *source, timeline)?;
            }
            return Ok(());
        }
    }
    drop(snapshot);
    db.store.nothing_skipped_since(skipped)?;
    drop_partition(db, partition, WriteBatch::default())
}

/// Takes away a partition with all that is in it, together with what the batch says.
pub(crate) fn drop_partition(db: &Components, partition: Partition, mut batch: WriteBatch) -> Result<(), Error> {
    let store = &db.store;
    let (from, to) = (partition.bytes().to_vec(), after_prefix(&partition.bytes()));
    batch.delete_range_cf(store.cf(Cf::Pages), &from, &to);
    batch.delete_cf(store.cf(Cf::Postings), partition_key(partition));
    // The marks go too: late samples may begin a partition of the same time anew, which is merged again.
    for key in [merged_key(partition), ruled_key(partition)] {
        batch.delete_cf(store.cf(Cf::Meta), &key);
        store.copy(&mut batch, (Cf::Meta, &key), None);
    }
    let in_flight = db.cache.trackers.pages.begin_all();
    store.write(batch)?;
    drop(in_flight);
    db.dropped.add(Cf::Pages, (&from, &to), db.flushed.reopened());
    Ok(())
}
