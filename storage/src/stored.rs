//! What there is, by whole buckets and partitions.

use std::fs;
use std::sync::atomic::Ordering;

use model::Timestamp;

use crate::components::Components;
use crate::error::Error;
use crate::kv::schema::{Bucket, Cf, Partition, bucket_key, parse_bucket_key};
use crate::pages;

/// All partitions that hold pages, by start.
pub(crate) fn partitions(db: &Components) -> Result<Vec<Partition>, Error> {
    let partitions = pages::partitions(&db.read().snapshot())?;
    Ok(partitions.into_iter().map(|(partition, _)| partition).collect())
}

/// All buckets that hold rows, oldest first.
pub(crate) fn buckets(db: &Components) -> Result<Vec<Bucket>, Error> {
    let mut buckets = Vec::new();
    // By the tag alone, which starts the keys of all buckets.
    db.store.each(Cf::Postings, &bucket_key(Bucket(Timestamp::EPOCH))[..1], |key, _| {
        match parse_bucket_key(key) {
            Some(bucket) => buckets.push(bucket),
            None => db.store.corrupt(Cf::Postings, key, "not a bucket"),
        }
        Ok::<_, Error>(true)
    })?;
    Ok(buckets)
}

/// The last millisecond of the newest bucket or partition.
pub(crate) fn newest_end(db: &Components) -> Result<Option<Timestamp>, Error> {
    let bucket_ms = db.store.bucket_ms;
    let pages = partitions(db)?.into_iter().map(|partition| partition.end(bucket_ms)).max();
    let rows = buckets(db)?.last().map(|bucket| bucket.end(bucket_ms));
    Ok(rows.max(pages).map(|end| end - 1))
}

/// The newest row, as far as it is known: the end of the newest bucket before the first row after a start.
pub(crate) fn newest_stored(db: &Components) -> Result<Timestamp, Error> {
    match db.bounds.newest.load(Ordering::Relaxed) {
        // No row came in since the start.
        Timestamp::MIN => Ok(newest_end(db)?.unwrap_or(Timestamp::MIN)),
        newest => Ok(newest),
    }
}

/// Bytes of the files in the data directory.
pub(crate) fn disk_bytes(db: &Components) -> u64 {
    // A file that goes away while it is looked at counts for nothing.
    let files = fs::read_dir(&db.options.path).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).filter(fs::Metadata::is_file).map(|file| file.len()).sum()
}
