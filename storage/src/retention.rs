//! Whole buckets go: those past the retention, and the oldest when the directory is too large.
//!
//! Invariant: a bucket and every mark of it go in one write; the files it leaves are only reclaimed after that.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use roaring::RoaringBitmap;
use rocksdb::WriteBatch;

use crate::db::Db;
use crate::error::Error;
use crate::index::{forget, postings};
use crate::limits;
use crate::schema::{Bucket, Cf, META_HORIZON_MS, RowKey, bucket_key, parse_bucket_key, seen_key};
use crate::store::after_prefix;

impl Db {
    /// Drops the buckets that lie wholly before the retention, and forgets what only they used. To be called about every
    /// minute. Returns how many buckets went.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn enforce_retention(&self, now_ms: i64) -> Result<usize, Error> {
        self.store.metrics.head_series.sub(self.states.forget_idle(limits::IDLE_ROUNDS));
        let mut dropped = 0;
        let retention_ms = self.retention_ms.load(Ordering::Acquire);
        if retention_ms > 0 {
            let horizon = now_ms.saturating_sub(retention_ms);
            self.horizon_ms.fetch_max(horizon, Ordering::AcqRel);
            let buckets = self.stored_buckets()?;
            let old: Vec<Bucket> =
                buckets.into_iter().filter(|bucket| bucket.end_ms(self.store.bucket_ms) <= horizon).collect();
            dropped = old.len();
            self.drop_buckets(&old, "time")?;
        }
        self.refresh_metrics()?;
        Ok(dropped)
    }

    /// Drops the oldest buckets until the data directory has at most about `bytes_max`; the newest bucket always stays.
    /// Returns how many buckets went.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn enforce_size(&self, bytes_max: u64) -> Result<usize, Error> {
        let mut bytes = self.disk_bytes();
        let mut oldest = self.stored_buckets()?;
        oldest.pop();
        let mut too_many = Vec::new();
        for bucket in oldest {
            if bytes <= bytes_max {
                break;
            }
            bytes = bytes.saturating_sub(self.bucket_bytes(bucket));
            too_many.push(bucket);
        }
        self.drop_buckets(&too_many, "size")?;
        if !too_many.is_empty() {
            // What shared a file with later buckets would be counted again at the next call.
            let (from, to) = (too_many[0].bytes(), too_many[too_many.len() - 1].bytes());
            self.store.db.compact_range_cf(self.store.cf(Cf::Rows), Some(&from[..]), Some(&after_prefix(&to)[..]));
            self.refresh_metrics()?;
        }
        Ok(too_many.len())
    }

    /// All buckets that hold rows, oldest first.
    pub(crate) fn stored_buckets(&self) -> Result<Vec<Bucket>, Error> {
        let mut buckets = Vec::new();
        self.store.each(Cf::Postings, &bucket_key(Bucket(0))[..1], |key, _| {
            match parse_bucket_key(key) {
                Some(bucket) => buckets.push(bucket),
                None => self.store.corrupt(Cf::Postings, key, "not a bucket"),
            }
            Ok(true)
        })?;
        Ok(buckets)
    }

    fn bucket_bytes(&self, bucket: Bucket) -> u64 {
        let (from, to) = (bucket.bytes(), after_prefix(&bucket.bytes()));
        let sizes = self.store.db.get_approximate_sizes_cf(self.store.cf(Cf::Rows), &[rocksdb::Range::new(&from, &to)]);
        sizes.iter().sum()
    }

    fn drop_buckets(&self, buckets: &[Bucket], reason: &str) -> Result<(), Error> {
        let mut sources = RoaringBitmap::new();
        for &bucket in buckets {
            sources |= self.drop_bucket(bucket)?;
            self.store.metrics.buckets_dropped.with_label_values(&[reason]).inc();
        }
        if !self.swept.load(Ordering::Acquire) {
            // An earlier process may have ended between dropping and forgetting.
            sources = postings::all(&self.store, crate::schema::SOURCE_LABEL)?;
        } else if sources.is_empty() {
            return Ok(());
        }
        forget::unpost(self, &sources)?;
        forget::sweep(self)?;
        self.swept.store(true, Ordering::Release);
        Ok(())
    }

    /// Returns the sources that wrote in the bucket.
    fn drop_bucket(&self, bucket: Bucket) -> Result<RoaringBitmap, Error> {
        let store = &self.store;
        let end_ms = bucket.end_ms(store.bucket_ms);
        self.horizon_ms.fetch_max(end_ms, Ordering::AcqRel);
        let from = RowKey::frame(bucket, model::SourceId(0), 0).bytes();
        let last = RowKey { bucket, source: model::SourceId(u32::MAX), segment: u32::MAX, slot: u32::MAX }.bytes();
        let sources;
        {
            // Rows of this bucket that were admitted before the horizon moved are in when the gate is ours.
            let _gate = self.index.gate.write().unwrap_or_else(PoisonError::into_inner);
            sources = postings::get(store, &bucket_key(bucket))?;
            let mut batch = WriteBatch::default();
            batch.delete_range_cf(store.cf(Cf::Rows), &from[..], &after_prefix(&bucket.bytes())[..]);
            for source in &sources {
                batch.delete_cf(store.cf(Cf::Postings), seen_key(model::SourceId(source), bucket));
            }
            batch.delete_cf(store.cf(Cf::Postings), bucket_key(bucket));
            let horizon = self.horizon_ms.load(Ordering::Acquire);
            batch.put_cf(store.cf(Cf::Meta), META_HORIZON_MS, horizon.to_be_bytes());
            store.write(batch)?;
        }
        store.db.delete_file_in_range_cf(store.cf(Cf::Rows), from, last).map_err(Error::write)?;
        Ok(sources)
    }
}
