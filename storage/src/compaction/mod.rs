//! Rows become pages, and small partitions large ones, in the background.
//!
//! A round goes source by source: what is stored of it in a partition is read as a query would read it and written as new
//! pages, of a generation that nothing names yet; one small write then names it, and takes away the rows and timelines it
//! replaces. Whenever the process ends, each sample is either still where it was or wholly where it goes.
//!
//! Invariant: one round at a time (`Db::maintenance`); a source is held back only for that small write.

mod merge;
pub(crate) mod rewrite;

use std::ops::ControlFlow;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::SourceId;
use rocksdb::{CompactOptions, WriteBatch};

use crate::cache::lock;
use crate::db::{Db, Dropped};
use crate::error::Error;
use crate::index::postings;
use crate::kv::schema::{Bucket, Cf, Partition, RowKey, bucket_key, seen_key};
use crate::kv::store::after_prefix;
use crate::limits;
use crate::pages;
use crate::reader::snapshot::View;

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Samples that went from rows into pages.
    pub samples: u64,
    /// Sources written, each once per partition.
    pub sources: u64,
    /// Sources whose small partitions became one larger.
    pub merged: u64,
}

/// Called between two steps with the time the last one took; says whether to go on.
pub(crate) type Pace<'p> = dyn FnMut(Duration) -> ControlFlow<()> + 'p;

/// A round that was told to end, or could not go on.
pub(crate) enum Stop {
    Asked,
    Store(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl Db {
    /// Turns the rows of all buckets that ended well before `now_ms` into pages, merges small partitions, and applies retention
    /// rules as of `now_ms`. The database's own thread does this, by the system's clock but for the rules; tests and tools may.
    ///
    /// # Errors
    /// When the store cannot be read or written. What was done until then stays done.
    pub(crate) fn seal(&self, now_ms: i64) -> Result<Sealed, Error> {
        self.now_ms.fetch_max(now_ms, Ordering::AcqRel);
        self.seal_paced(now_ms, &mut |_| ControlFlow::Continue(()))
    }

    pub(crate) fn seal_paced(&self, now_ms: i64, pace: &mut Pace<'_>) -> Result<Sealed, Error> {
        let _one = lock(&self.maintenance);
        let pace: &mut Pace<'_> = &mut |took| {
            // A commit that waits for a deletion to be carried out goes first; the rest is for the next round.
            if self.deletes.waiting.load(Ordering::Acquire) > 0 { ControlFlow::Break(()) } else { pace(took) }
        };
        let mut sealed = Sealed::default();
        let done = self.seal_buckets(now_ms, pace, &mut sealed).and_then(|()| self.merge(now_ms, pace, &mut sealed));
        let done = done.and_then(|()| self.apply_rules(pace));
        self.delete_files()?;
        match done {
            Err(Stop::Store(error)) => Err(error),
            Ok(()) | Err(Stop::Asked) => Ok(sealed),
        }
    }

    /// How long after its end a bucket is left alone: scrapes that started in it may still come in.
    fn grace_ms(&self) -> i64 {
        i64::from(self.store.bucket_ms / 15).max(1)
    }

    fn seal_buckets(&self, now_ms: i64, pace: &mut Pace<'_>, sealed: &mut Sealed) -> Result<(), Stop> {
        let bucket_ms = self.store.bucket_ms;
        for bucket in self.stored_buckets()? {
            if bucket.end_ms(bucket_ms).saturating_add(self.grace_ms()) > now_ms {
                continue;
            }
            // From here on, whoever writes into the bucket must look whether its rows are still there.
            if self.store.sealed_until_ms.fetch_max(bucket.end_ms(bucket_ms), Ordering::AcqRel)
                < bucket.end_ms(bucket_ms)
            {
                // Who did not see that yet has written when the gate is ours, and is among the sources below.
                drop(self.index.gate.write().unwrap_or_else(PoisonError::into_inner));
            }
            let late = self.store.late_frames.load(Ordering::Acquire);
            let mut all = true;
            for source in postings::get(&self.store, &bucket_key(bucket))? {
                let source = SourceId(source);
                if !self.store.has(Cf::Postings, seen_key(source, bucket))? {
                    continue;
                }
                let target = self.covering(bucket, source)?;
                match self.rewrite(source, target, pace)? {
                    Some(written) => {
                        sealed.sources += 1;
                        sealed.samples += written.from_rows;
                    }
                    None => all = false,
                }
            }
            if all {
                self.drop_sealed_rows(bucket, late)?;
            }
            // Files that hold no bucket in part overlap with no other: they sink through the levels as they are.
            self.store.flush_large(Cf::Pages, limits::PAGES_FILE_BYTES)?;
        }
        Ok(())
    }

    /// The partition that has pages of the source and holds the bucket; the bucket's own when there is none.
    fn covering(&self, bucket: Bucket, source: SourceId) -> Result<Partition, Error> {
        let view = View::new(&self.store);
        for (partition, sources) in pages::partitions(&view)? {
            let covers = partition.start <= bucket && bucket.0 < partition.end_ms(self.store.bucket_ms);
            if covers && sources.contains(source.0) && pages::timeline_head(&view, partition, source)?.is_some() {
                return Ok(partition);
            }
        }
        Ok(Partition { start: bucket, buckets: 1 })
    }

    /// Takes away the rows of a bucket of which every source is sealed; not when a late row came in meanwhile.
    fn drop_sealed_rows(&self, bucket: Bucket, late: u64) -> Result<(), Error> {
        let store = &self.store;
        let (from, to) = (bucket.bytes(), after_prefix(&bucket.bytes()));
        {
            // Late rows that were admitted before are in when the gate is ours.
            let _gate = self.index.gate.write().unwrap_or_else(PoisonError::into_inner);
            if store.late_frames.load(Ordering::Acquire) != late {
                return Ok(());
            }
            let mut batch = WriteBatch::default();
            batch.delete_range_cf(store.cf(Cf::Rows), &from[..], &to[..]);
            batch.delete_cf(store.cf(Cf::Postings), bucket_key(bucket));
            store.write(batch)?;
            let last = RowKey { bucket, source: SourceId(u32::MAX), segment: u32::MAX, slot: u32::MAX }.bytes();
            self.files_left(Cf::Rows, &from, &last);
        }
        Ok(())
    }

    /// A range of keys was dropped, from the first to the last; its files are still there.
    pub(crate) fn files_left(&self, cf: Cf, first: &[u8], last: &[u8]) {
        let late = self.store.late_frames.load(Ordering::Acquire);
        lock(&self.dropped).push(Dropped { cf, first: first.to_vec(), last: last.to_vec(), late });
    }

    /// Deletes the files that hold only dropped keys, unless someone reads now: then a later round does. Dropped rows that
    /// share files with others, or with late ones, are taken out of them in any case.
    pub(crate) fn delete_files(&self) -> Result<(), Error> {
        let store = &self.store;
        let mut dropped = std::mem::take(&mut *lock(&self.dropped));
        if let Ok(_nobody_reads) = store.files.try_write() {
            let late = store.late_frames.load(Ordering::Acquire);
            for Dropped { cf, first, last, .. } in dropped.iter().filter(|one| one.cf != Cf::Rows || one.late == late) {
                let deleted = store.db.delete_file_in_range_cf(store.cf(*cf), first, last);
                deleted.map_err(|source| store.write_error(source))?;
            }
            dropped.retain(|one| one.cf == Cf::Rows);
        }
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        for rows in dropped.extract_if(.., |one| one.cf == Cf::Rows) {
            store.db.compact_range_cf_opt(store.cf(Cf::Rows), Some(rows.first), Some(rows.last), &options);
        }
        lock(&self.dropped).extend(dropped);
        Ok(())
    }

    /// Pages come into a partition that may have been dropped before: files in its range are no longer to be deleted.
    fn revive(&self, partition: Partition) {
        lock(&self.dropped).retain(|one| one.cf != Cf::Pages || one.first != partition.bytes());
    }
}
