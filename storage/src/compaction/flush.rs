//! Rows become pages: the buckets that ended, source by source.

use model::{SourceId, Timestamp};
use rocksdb::WriteBatch;

use super::pace::{Compacted, Pace, Stop, give_way, grace_ms};
use super::rewrite::rewrite;
use crate::components::Components;
use crate::error::Error;
use crate::kv::bitmap;
use crate::kv::schema::{Bucket, Cf, Partition, RowKey, bucket_key, seen_key};
use crate::kv::store::after_prefix;
use crate::{limits, pages, stored};

/// Flushes all buckets that ended well before `now`.
pub(super) fn flush_buckets(
    db: &Components,
    now: Timestamp,
    pace: &mut Pace<'_>,
    compacted: &mut Compacted,
) -> Result<(), Stop> {
    let bucket_ms = db.store.bucket_ms;
    for bucket in stored::buckets(db)? {
        if bucket.end(bucket_ms).saturating_add(grace_ms(bucket_ms)) > now {
            continue;
        }
        // From here on, whoever writes into the bucket must look whether its rows are still there.
        if db.flushed.begin(bucket.end(bucket_ms)) {
            // Whoever did not see that yet has written when the gate is ours, and is among the sources below.
            drop(db.index.gate.write());
        }
        let reopened = db.flushed.reopened();
        let mut all = true;
        for source in bitmap::get(&db.store, &bucket_key(bucket))? {
            let source = SourceId(source);
            if !db.store.has(Cf::Postings, seen_key(source, bucket))? {
                continue;
            }
            let target = covering(db, bucket, source)?;
            match rewrite(db, source, target, pace)? {
                Some(written) => {
                    compacted.sources += 1;
                    compacted.samples += written.from_rows;
                }
                None => all = false,
            }
            // After a source, not before: each turn gets on.
            give_way(&db.maintenance)?;
        }
        if all {
            drop_flushed_rows(db, bucket, reopened)?;
        }
        // Files that hold no bucket in part overlap with no other: they sink through the levels as they are.
        db.store.flush_large(Cf::Pages, limits::PAGES_FILE_BYTES)?;
    }
    Ok(())
}

/// The partition that has pages of the source and holds the bucket; the bucket's own when there is none.
pub(crate) fn covering(db: &Components, bucket: Bucket, source: SourceId) -> Result<Partition, Error> {
    let snapshot = db.read().snapshot();
    for (partition, sources) in pages::partitions(&snapshot)? {
        let covers = partition.start <= bucket && bucket.0 < partition.end(db.store.bucket_ms);
        if covers && sources.contains(source.0) && pages::timeline_head(&snapshot, partition, source)?.is_some() {
            return Ok(partition);
        }
    }
    Ok(Partition { start: bucket, buckets: 1 })
}

/// Takes away the rows of a bucket of which every source was flushed; not when a late row came in meanwhile.
fn drop_flushed_rows(db: &Components, bucket: Bucket, reopened: u64) -> Result<(), Error> {
    let store = &db.store;
    let (from, to) = (bucket.bytes(), after_prefix(&bucket.bytes()));
    // Late rows that were admitted before are in when the gate is ours.
    let _gate = db.index.gate.write();
    if db.flushed.reopened() != reopened {
        return Ok(());
    }
    let mut batch = WriteBatch::default();
    batch.delete_range_cf(store.cf(Cf::Rows), &from[..], &to[..]);
    batch.delete_cf(store.cf(Cf::Postings), bucket_key(bucket));
    store.write(batch)?;
    let last = RowKey { bucket, source: SourceId(u32::MAX), segment: u32::MAX, slot: u32::MAX }.bytes();
    db.dropped.add(Cf::Rows, (&from, &last), db.flushed.reopened());
    Ok(())
}
