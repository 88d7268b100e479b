//! Retention: whole buckets and partitions are dropped, those past the retention time and the oldest when the directory is too
//! large.
//!
//! Invariant: a bucket or partition and everything that refers to it go in one write; its files are reclaimed after that.

pub(crate) mod forget;

use std::sync::atomic::Ordering;

use model::Timestamp;
use roaring::RoaringBitmap;
use rocksdb::WriteBatch;

use crate::compaction::compact::drop_partition;
use crate::components::Components;
use crate::error::Error;
use crate::kv::bitmap;
use crate::kv::schema::{
    Bucket, Cf, META_HORIZON_MS, META_NOW_MS, Partition, RowKey, SOURCE_LABEL, bucket_key, partition_key, seen_key,
};
use crate::kv::store::after_prefix;
use crate::kv::{self};
use crate::limits;
use crate::stored::{self, disk_bytes};

/// What is dropped whole.
enum Oldest {
    Bucket(Bucket),
    Partition(Partition),
}

/// See [`crate::Db::set_now`].
pub(crate) fn set_now(db: &Components, now: Timestamp) -> Result<(), Error> {
    db.bounds.now.store(now, Ordering::Release);
    // A start needs it only roughly: most calls write nothing.
    if db.bounds.stored_now.load(Ordering::Relaxed).0.abs_diff(now.0) >= limits::NOW_EVERY_MS {
        db.store.put(Cf::Meta, META_NOW_MS, now.0.to_be_bytes())?;
        db.bounds.stored_now.store(now, Ordering::Relaxed);
    }
    let horizon = db.bounds.horizon.load(Ordering::Acquire);
    if horizon <= now {
        return Ok(());
    }
    // Left by a version that dropped data by a wrong clock. Everything before it is gone already, and nothing would be
    // stored until then. At least a millisecond back, as a retention of 0 keeps samples for ever.
    let lowered = now.saturating_sub(db.bounds.retention_ms.load(Ordering::Acquire).max(1));
    tracing::warn!(
        horizon = horizon.0,
        lowered = lowered.0,
        "the retention horizon lies in the future, so the clock was wrong; setting it back"
    );
    db.store.put(Cf::Meta, META_HORIZON_MS, lowered.0.to_be_bytes())?;
    db.bounds.horizon.store(lowered, Ordering::Release);
    Ok(())
}

/// See [`crate::Db::last_told`].
pub(crate) fn last_told(db: &Components) -> Result<Option<Timestamp>, Error> {
    let kept = db
        .store
        .get(Cf::Meta, META_NOW_MS)?
        .and_then(|bytes| Some(Timestamp(i64::from_be_bytes(bytes.try_into().ok()?))));
    match kept {
        Some(kept) => Ok(Some(kept)),
        // Of an earlier version, which kept none.
        None => Ok(Some(stored::newest_stored(db)?).filter(|newest| *newest != Timestamp::MIN)),
    }
}

/// Drops the buckets and partitions that lie wholly before the retention, and forgets what only they used. To be called
/// about every minute. Returns how many went.
///
/// # Errors
/// When the store cannot be read or written.
pub(crate) fn enforce_retention(db: &Components, now: Timestamp) -> Result<usize, Error> {
    let _one = db.maintenance.lock();
    db.metrics.head_series.sub(db.states.forget_idle());
    merge_postings(db)?;
    let mut dropped = 0;
    let retention_ms = db.bounds.retention_ms.load(Ordering::Acquire);
    if retention_ms > 0 {
        let horizon = now.saturating_sub(retention_ms);
        if db.bounds.horizon.fetch_max(horizon, Ordering::AcqRel) < horizon {
            db.store.put(Cf::Meta, META_HORIZON_MS, horizon.0.to_be_bytes())?;
        }
        let buckets = stored::buckets(db)?;
        let old: Vec<Bucket> = buckets.into_iter().filter(|bucket| bucket.end(db.store.bucket_ms) <= horizon).collect();
        let partitions = stored::partitions(db)?;
        let ended: Vec<Partition> =
            partitions.into_iter().filter(|partition| partition.end(db.store.bucket_ms) <= horizon).collect();
        dropped = old.len() + ended.len();
        drop_all(db, &old, &ended, "time")?;
    }
    Ok(dropped)
}

/// Readers of a posting put together what was added to it one by one; on its way to the disk it becomes one value.
fn merge_postings(db: &Components) -> Result<(), Error> {
    if db.index.posted.load(Ordering::Relaxed) < limits::POSTED_ONE_BY_ONE {
        return Ok(());
    }
    db.index.posted.store(0, Ordering::Relaxed);
    Ok(db.store.db.flush_cf(db.store.cf(Cf::Postings)).map_err(kv::Error::write)?)
}

/// Drops the oldest partitions and buckets until the data directory has at most about `bytes_max`; the newest bucket
/// always stays. Returns how many went.
///
/// # Errors
/// When the store cannot be read or written.
pub(crate) fn enforce_size(db: &Components, bytes_max: u64) -> Result<usize, Error> {
    let _one = db.maintenance.lock();
    let mut bytes = disk_bytes(db);
    let mut buckets = stored::buckets(db)?;
    // The newest bucket is being written to.
    buckets.pop();
    let mut oldest: Vec<(Timestamp, Oldest)> = buckets.into_iter().map(|b| (b.0, Oldest::Bucket(b))).collect();
    oldest.extend(stored::partitions(db)?.into_iter().map(|p| (p.start.0, Oldest::Partition(p))));
    oldest.sort_unstable_by_key(|(start, _)| *start);
    let (mut buckets, mut partitions) = (Vec::new(), Vec::new());
    for (_, one) in oldest {
        if bytes <= bytes_max {
            break;
        }
        match one {
            Oldest::Bucket(bucket) => {
                bytes = bytes.saturating_sub(bytes_under(db, Cf::Rows, &bucket.bytes()));
                buckets.push(bucket);
            }
            Oldest::Partition(partition) => {
                bytes = bytes.saturating_sub(bytes_under(db, Cf::Pages, &partition.bytes()));
                partitions.push(partition);
            }
        }
    }
    drop_all(db, &buckets, &partitions, "size")?;
    // What shared a file with later ones would be counted again at the next call.
    if let (Some(first), Some(last)) = (buckets.first(), buckets.last()) {
        let (from, to) = (first.bytes(), after_prefix(&last.bytes()));
        db.store.db.compact_range_cf(db.store.cf(Cf::Rows), Some(&from[..]), Some(&to[..]));
    }
    if let (Some(first), Some(last)) = (partitions.first(), partitions.last()) {
        let (from, to) = (first.bytes(), after_prefix(&last.bytes()));
        db.store.db.compact_range_cf(db.store.cf(Cf::Pages), Some(&from[..]), Some(&to[..]));
    }
    Ok(buckets.len() + partitions.len())
}

fn bytes_under(db: &Components, cf: Cf, prefix: &[u8]) -> u64 {
    let (from, to) = (prefix.to_vec(), after_prefix(prefix));
    let sizes = db.store.db.get_approximate_sizes_cf(db.store.cf(cf), &[rocksdb::Range::new(&from, &to)]);
    sizes.iter().sum()
}

fn drop_all(db: &Components, buckets: &[Bucket], partitions: &[Partition], reason: &str) -> Result<(), Error> {
    let mut sources = RoaringBitmap::new();
    for &bucket in buckets {
        sources |= drop_bucket(db, bucket)?;
        db.metrics.buckets_dropped.with_label_values(&[reason]).inc();
    }
    for &partition in partitions {
        sources |= bitmap::get(&db.store, &partition_key(partition))?;
        let horizon = db.bounds.horizon.fetch_max(partition.end(db.store.bucket_ms), Ordering::AcqRel);
        let horizon = horizon.max(partition.end(db.store.bucket_ms));
        let mut batch = WriteBatch::default();
        batch.put_cf(db.store.cf(Cf::Meta), META_HORIZON_MS, horizon.0.to_be_bytes());
        db.store.copy(&mut batch, (Cf::Meta, META_HORIZON_MS), Some(&horizon.0.to_be_bytes()));
        drop_partition(db, partition, batch)?;
        db.metrics.buckets_dropped.with_label_values(&[reason]).inc();
    }
    drop_histograms(db)?;
    db.dropped.delete_files(&db.store, || db.flushed.reopened())?;
    if !db.swept.load(Ordering::Acquire) {
        // An earlier process may have ended between dropping and forgetting.
        sources = bitmap::all(&db.store, SOURCE_LABEL)?;
    } else if sources.is_empty() {
        return Ok(());
    }
    forget::unpost(db, &sources)?;
    forget::sweep(db)?;
    db.swept.store(true, Ordering::Release);
    Ok(())
}

/// Native histograms before whatever is left, and before what may still come in, have no marker any more.
fn drop_histograms(db: &Components) -> Result<(), Error> {
    if !db.histograms.get() {
        return Ok(());
    }
    let open = Bucket::of(db.bounds.horizon.load(Ordering::Acquire), db.store.bucket_ms);
    let rows = stored::buckets(db)?.first().copied();
    let pages = stored::partitions(db)?.first().map(|partition| partition.start);
    let to = rows.into_iter().chain(pages).fold(open, Bucket::min);
    let (from, to) = ([0; 8], to.bytes());
    let mut batch = WriteBatch::default();
    batch.delete_range_cf(db.store.cf(Cf::Histograms), from, to);
    db.store.write(batch)?;
    db.dropped.add(Cf::Histograms, (&from, &to), db.flushed.reopened());
    Ok(())
}

/// Returns the sources that wrote in the bucket.
fn drop_bucket(db: &Components, bucket: Bucket) -> Result<RoaringBitmap, Error> {
    let store = &db.store;
    let end = bucket.end(store.bucket_ms);
    // Before the gate is taken: whoever gets it after this refuses rows of the bucket as too old.
    db.bounds.horizon.fetch_max(end, Ordering::AcqRel);
    let from = RowKey::frame(bucket, model::SourceId(0), 0).bytes();
    let last = RowKey { bucket, source: model::SourceId(u32::MAX), segment: u32::MAX, slot: u32::MAX }.bytes();
    let sources;
    {
        // Rows of this bucket that were admitted before the horizon moved are in when the gate is ours.
        let _gate = db.index.gate.write();
        sources = bitmap::get(store, &bucket_key(bucket))?;
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(store.cf(Cf::Rows), &from[..], &after_prefix(&bucket.bytes())[..]);
        for source in &sources {
            batch.delete_cf(store.cf(Cf::Postings), seen_key(model::SourceId(source), bucket));
        }
        batch.delete_cf(store.cf(Cf::Postings), bucket_key(bucket));
        let horizon = db.bounds.horizon.load(Ordering::Acquire);
        batch.put_cf(store.cf(Cf::Meta), META_HORIZON_MS, horizon.0.to_be_bytes());
        store.copy(&mut batch, (Cf::Meta, META_HORIZON_MS), Some(&horizon.0.to_be_bytes()));
        let _in_flight = db.cache.trackers.rows.begin_all();
        store.write(batch)?;
    }
    db.dropped.add(Cf::Rows, (&from, &last), db.flushed.reopened());
    Ok(sources)
}
