//! Whole buckets and partitions go: those past the retention, and the oldest when the directory is too large.
//!
//! Invariant: each and every mark of it go in one write; the files it leaves are only reclaimed after that.

pub(crate) mod forget;

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use roaring::RoaringBitmap;
use rocksdb::WriteBatch;

use crate::cache::lock;
use crate::db::Db;
use crate::error::Error;
use crate::index::postings;
use crate::kv::schema::{
    Bucket, Cf, META_HORIZON_MS, META_NOW_MS, Partition, RowKey, bucket_key, parse_bucket_key, partition_key, seen_key,
};
use crate::kv::store::after_prefix;
use crate::limits;
use crate::pages;
use crate::reader::snapshot::View;

/// What is dropped whole.
enum Oldest {
    Bucket(Bucket),
    Partition(Partition),
}

impl Db {
    /// See [`crate::Db::set_now`].
    pub(crate) fn set_now(&self, now_ms: i64) -> Result<(), Error> {
        self.now_ms.store(now_ms, Ordering::Release);
        if self.kept_now_ms.load(Ordering::Relaxed).abs_diff(now_ms) >= limits::NOW_EVERY_MS {
            self.store.put(Cf::Meta, META_NOW_MS, now_ms.to_be_bytes())?;
            self.kept_now_ms.store(now_ms, Ordering::Relaxed);
        }
        let horizon = self.horizon_ms.load(Ordering::Acquire);
        if horizon <= now_ms {
            return Ok(());
        }
        // Left by a version that dropped what a wrong clock said. Nothing is before it any more, and nothing would be stored
        // until then.
        let lowered = now_ms.saturating_sub(self.retention_ms.load(Ordering::Acquire).max(1));
        tracing::warn!(horizon, lowered, "the time before which nothing is kept lies in the future; it is set back");
        self.store.put(Cf::Meta, META_HORIZON_MS, lowered.to_be_bytes())?;
        self.horizon_ms.store(lowered, Ordering::Release);
        Ok(())
    }

    pub(crate) fn now_ms(&self) -> Option<i64> {
        Some(self.now_ms.load(Ordering::Acquire)).filter(|now| *now != i64::MIN)
    }

    pub(crate) fn last_told_ms(&self) -> Result<Option<i64>, Error> {
        let kept =
            self.store.get(Cf::Meta, META_NOW_MS)?.and_then(|bytes| Some(i64::from_be_bytes(bytes.try_into().ok()?)));
        match kept {
            Some(kept) => Ok(Some(kept)),
            // Of an earlier version, which kept none.
            None => Ok(Some(self.newest_stored()?).filter(|newest| *newest != i64::MIN)),
        }
    }

    /// Drops the buckets and partitions that lie wholly before the retention, and forgets what only they used. To be called
    /// about every minute. Returns how many went.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn enforce_retention(&self, now_ms: i64) -> Result<usize, Error> {
        let _one = lock(&self.maintenance);
        self.store.metrics.head_series.sub(self.states.forget_idle());
        self.gather_postings()?;
        let mut dropped = 0;
        let retention_ms = self.retention_ms.load(Ordering::Acquire);
        if retention_ms > 0 {
            let horizon = now_ms.saturating_sub(retention_ms);
            if self.horizon_ms.fetch_max(horizon, Ordering::AcqRel) < horizon {
                self.store.put(Cf::Meta, META_HORIZON_MS, horizon.to_be_bytes())?;
            }
            let buckets = self.stored_buckets()?;
            let old: Vec<Bucket> =
                buckets.into_iter().filter(|bucket| bucket.end_ms(self.store.bucket_ms) <= horizon).collect();
            let partitions = self.stored_partitions()?;
            let ended: Vec<Partition> =
                partitions.into_iter().filter(|partition| partition.end_ms(self.store.bucket_ms) <= horizon).collect();
            dropped = old.len() + ended.len();
            self.drop_all(&old, &ended, "time")?;
        }
        self.refresh_metrics()?;
        Ok(dropped)
    }

    /// Readers of a posting put together what was added to it one by one; on its way to the disk it becomes one value.
    fn gather_postings(&self) -> Result<(), Error> {
        if self.store.posted.load(Ordering::Relaxed) < limits::POSTED_ONE_BY_ONE {
            return Ok(());
        }
        self.store.posted.store(0, Ordering::Relaxed);
        self.store.db.flush_cf(self.store.cf(Cf::Postings)).map_err(Error::write)
    }

    /// Drops the oldest partitions and buckets until the data directory has at most about `bytes_max`; the newest bucket
    /// always stays. Returns how many went.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn enforce_size(&self, bytes_max: u64) -> Result<usize, Error> {
        let _one = lock(&self.maintenance);
        let mut bytes = self.disk_bytes();
        let mut buckets = self.stored_buckets()?;
        buckets.pop();
        let mut oldest: Vec<(i64, Oldest)> = buckets.into_iter().map(|b| (b.0, Oldest::Bucket(b))).collect();
        oldest.extend(self.stored_partitions()?.into_iter().map(|p| (p.start.0, Oldest::Partition(p))));
        oldest.sort_unstable_by_key(|(start, _)| *start);
        let (mut buckets, mut partitions) = (Vec::new(), Vec::new());
        for (_, one) in oldest {
            if bytes <= bytes_max {
                break;
            }
            match one {
                Oldest::Bucket(bucket) => {
                    bytes = bytes.saturating_sub(self.bytes_under(Cf::Rows, &bucket.bytes()));
                    buckets.push(bucket);
                }
                Oldest::Partition(partition) => {
                    bytes = bytes.saturating_sub(self.bytes_under(Cf::Pages, &partition.bytes()));
                    partitions.push(partition);
                }
            }
        }
        self.drop_all(&buckets, &partitions, "size")?;
        // What shared a file with later ones would be counted again at the next call.
        if let (Some(first), Some(last)) = (buckets.first(), buckets.last()) {
            let (from, to) = (first.bytes(), after_prefix(&last.bytes()));
            self.store.db.compact_range_cf(self.store.cf(Cf::Rows), Some(&from[..]), Some(&to[..]));
        }
        if let (Some(first), Some(last)) = (partitions.first(), partitions.last()) {
            let (from, to) = (first.bytes(), after_prefix(&last.bytes()));
            self.store.db.compact_range_cf(self.store.cf(Cf::Pages), Some(&from[..]), Some(&to[..]));
        }
        if !buckets.is_empty() || !partitions.is_empty() {
            self.refresh_metrics()?;
        }
        Ok(buckets.len() + partitions.len())
    }

    /// All partitions that hold pages, by start.
    pub(crate) fn stored_partitions(&self) -> Result<Vec<Partition>, Error> {
        let partitions = pages::partitions(&View::new(&self.store))?;
        Ok(partitions.into_iter().map(|(partition, _)| partition).collect())
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

    fn bytes_under(&self, cf: Cf, prefix: &[u8]) -> u64 {
        let (from, to) = (prefix.to_vec(), after_prefix(prefix));
        let sizes = self.store.db.get_approximate_sizes_cf(self.store.cf(cf), &[rocksdb::Range::new(&from, &to)]);
        sizes.iter().sum()
    }

    fn drop_all(&self, buckets: &[Bucket], partitions: &[Partition], reason: &str) -> Result<(), Error> {
        let mut sources = RoaringBitmap::new();
        for &bucket in buckets {
            sources |= self.drop_bucket(bucket)?;
            self.store.metrics.buckets_dropped.with_label_values(&[reason]).inc();
        }
        for &partition in partitions {
            sources |= postings::get(&self.store, &partition_key(partition))?;
            let horizon = self.horizon_ms.fetch_max(partition.end_ms(self.store.bucket_ms), Ordering::AcqRel);
            let horizon = horizon.max(partition.end_ms(self.store.bucket_ms));
            let mut batch = WriteBatch::default();
            batch.put_cf(self.store.cf(Cf::Meta), META_HORIZON_MS, horizon.to_be_bytes());
            self.store.copy(&mut batch, (Cf::Meta, META_HORIZON_MS), Some(&horizon.to_be_bytes()));
            self.drop_partition(partition, batch)?;
            self.store.metrics.buckets_dropped.with_label_values(&[reason]).inc();
        }
        self.drop_histograms()?;
        self.delete_files()?;
        if !self.swept.load(Ordering::Acquire) {
            // An earlier process may have ended between dropping and forgetting.
            sources = postings::all(&self.store, crate::kv::schema::SOURCE_LABEL)?;
        } else if sources.is_empty() {
            return Ok(());
        }
        forget::unpost(self, &sources)?;
        forget::sweep(self)?;
        self.swept.store(true, Ordering::Release);
        Ok(())
    }

    /// Native histograms before whatever is left, and before what may still come in, have no marker any more.
    fn drop_histograms(&self) -> Result<(), Error> {
        if !self.store.has_histograms.load(Ordering::Acquire) {
            return Ok(());
        }
        let open = Bucket::of(self.horizon_ms.load(Ordering::Acquire), self.store.bucket_ms);
        let rows = self.stored_buckets()?.first().copied();
        let pages = self.stored_partitions()?.first().map(|partition| partition.start);
        let to = rows.into_iter().chain(pages).fold(open, Bucket::min);
        let (from, to) = ([0; 8], to.bytes());
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(self.store.cf(Cf::Histograms), from, to);
        self.store.write(batch)?;
        self.files_left(Cf::Histograms, &from, &to);
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
            store.copy(&mut batch, (Cf::Meta, META_HORIZON_MS), Some(&horizon.to_be_bytes()));
            let _changing = store.kept.rows.of_all();
            store.write(batch)?;
        }
        self.files_left(Cf::Rows, &from, &last);
        Ok(sources)
    }
}
