//! What every reader needs: the store, the index, and the read cache.

use std::ops::RangeInclusive;
use std::sync::Arc;

use model::{Matcher, Timestamp};
use roaring::RoaringBitmap;

use super::chosen::SelectionKey;
use super::read_cache::ReadCache;
use super::snapshot::ReadSnapshot;
use crate::error::Error;
use crate::index::Index;
use crate::kv::bitmap;
use crate::kv::schema::{Bucket, Cf, bucket_key};
use crate::kv::{self, store::Store};

/// The parts of the database that are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadContext<'a> {
    pub(crate) store: &'a Store,
    pub(crate) index: &'a Index,
    pub(crate) cache: &'a ReadCache,
}

impl<'a> ReadContext<'a> {
    pub(crate) fn snapshot(self) -> ReadSnapshot<'a> {
        ReadSnapshot::new(self.store, &self.cache.trackers)
    }

    /// For who reads everything once: it leaves the caches to the others.
    pub(crate) fn passing_snapshot(self) -> ReadSnapshot<'a> {
        ReadSnapshot::passing(self.store, &self.cache.trackers)
    }

    /// The buckets of the first and last millisecond of a range.
    pub(crate) fn buckets(self, range: &RangeInclusive<Timestamp>) -> (Bucket, Bucket) {
        let bucket_ms = self.store.bucket_ms;
        (Bucket::of(*range.start(), bucket_ms), Bucket::of(*range.end(), bucket_ms))
    }

    /// By what a selection is cached.
    pub(crate) fn selection_key(self, range: &RangeInclusive<Timestamp>, matchers: Arc<[Matcher]>) -> SelectionKey {
        SelectionKey { buckets: self.buckets(range), matchers }
    }

    /// The sources that have rows or pages in a range.
    pub(crate) fn sources_in(
        self,
        snapshot: &ReadSnapshot<'_>,
        range: &RangeInclusive<Timestamp>,
    ) -> Result<Arc<RoaringBitmap>, Error> {
        let (from, to) = self.buckets(range);
        self.cache.sources_in(snapshot, (from, to), || {
            let mut sources = RoaringBitmap::new();
            for (partition, having) in &*self.cache.partitions(snapshot)? {
                if partition.start.0 <= *range.end() && partition.end(self.store.bucket_ms) > *range.start() {
                    sources |= having;
                }
            }
            let mut end = bucket_key(to).to_vec();
            // The bucket `to` included: the end is exclusive, and this is the next key after its own.
            end.push(0);
            let mut iter = snapshot.iter(Cf::Postings, &bucket_key(from), &end);
            iter.seek_to_first();
            while let Some((key, value)) = iter.item() {
                sources |= bitmap::decode_or_report(self.store, key, value);
                iter.next();
            }
            iter.status().map_err(kv::Error::read)?;
            Ok(sources)
        })
    }

    /// For how long there is anything in a range, milliseconds, by whole buckets and partitions.
    pub(crate) fn stored_ms(
        self,
        snapshot: &ReadSnapshot<'_>,
        range: &RangeInclusive<Timestamp>,
    ) -> Result<i64, Error> {
        let bucket_ms = self.store.bucket_ms;
        let (from, to) = self.buckets(range);
        let mut stored_ms = 0i64;
        for (partition, _) in &*self.cache.partitions(snapshot)? {
            if partition.start.0 <= *range.end() && partition.end(bucket_ms) > *range.start() {
                stored_ms = stored_ms.saturating_add(partition.end(bucket_ms).saturating_since(partition.start.0));
            }
        }
        let mut end = bucket_key(to).to_vec();
        end.push(0);
        let mut iter = snapshot.iter(Cf::Postings, &bucket_key(from), &end);
        iter.seek_to_first();
        // A bucket that is partly flushed counts twice: the sum is a bound, and need not be exact.
        while iter.valid() {
            stored_ms = stored_ms.saturating_add(i64::from(bucket_ms));
            iter.next();
        }
        iter.status().map_err(kv::Error::read)?;
        Ok(stored_ms)
    }
}
