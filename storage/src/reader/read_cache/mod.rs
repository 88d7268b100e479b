//! The read cache: where sources have rows and pages, and columns of their open buckets, kept between queries. A dashboard
//! asks for the same again and again, and little is new between two refreshes.
//!
//! Invariant: an entry is as it was read from a snapshot, and is used only while [`WriteTracker`] says that nothing but newer
//! rows came since.

mod block;
mod columns;

use std::fmt;
use std::hash::Hash;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::{Labels, Matcher, Memo, QuerierError, SourceId, Timestamp};
use parking_lot::Mutex;
use roaring::RoaringBitmap;

use crate::cache::Cache;
use crate::error::Error;
use crate::kv::schema::{Bucket, Partition, RowKey};
use crate::limits;
use crate::pages::{self, timeline::Timeline};
use crate::reader::chosen::{Chosen, RememberedSelection, SelectionKey};
#[cfg(doc)]
use crate::reader::epochs::WriteTracker;
use crate::reader::epochs::{Epochs, Trackers};
use crate::reader::lazy_rows::LazyRows;
use crate::reader::snapshot::ReadSnapshot;

use crate::reader::written::{Listed, ListingKey, Written};
use crate::rows::decoder::Wanted;
use crate::rows::run::Run;
use crate::rows::scan;
use columns::{Columns, Refused};

/// Buckets in which a source has rows, and the segments written in each; ascending.
pub(crate) type Buckets = Arc<[(Bucket, RoaringBitmap)]>;
/// Partitions, each with the sources that have, or had, pages in it.
pub(crate) type Partitions = Arc<[(Partition, RoaringBitmap)]>;
type Segment = (Bucket, u32, u32);
/// With the epoch of the snapshot that it was read from.
type Dated<T> = (u64, T);
/// With the epochs of the snapshot that it was read from.
type Kept<T> = (Epochs, Arc<T>);

/// How many there were in this process.
static READ_CACHES: AtomicU64 = AtomicU64::new(0);

/// The bounded memory of readers.
pub(crate) struct ReadCache {
    /// Its number in this process: what is remembered elsewhere names it.
    id: u64,
    /// Of the writes that it depends on.
    pub(crate) trackers: Trackers,
    buckets: Cache<u32, Dated<Buckets>>,
    heads: Cache<(Partition, u32), Dated<Option<Arc<Timeline>>>>,
    columns: Cache<Segment, Arc<Mutex<Columns>>>,
    /// As snapshots show them during which no write was in flight.
    partitions: Mutex<Dated<Option<Partitions>>>,
    sources: Cache<(Bucket, Bucket), Kept<RoaringBitmap>>,
    written: Cache<(Bucket, Bucket), Kept<Written>>,
    chosen: Cache<SelectionKey, Kept<Chosen>>,
    texts: Cache<(ListingKey, Listed), Kept<Vec<String>>>,
    label_sets: Cache<ListingKey, Kept<Vec<Labels>>>,
}

impl fmt::Debug for ReadCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadCache").finish_non_exhaustive()
    }
}

impl ReadCache {
    /// Takes about so many bytes in all.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            id: READ_CACHES.fetch_add(1, Ordering::Relaxed),
            trackers: Trackers::default(),
            // The parts add up to the whole; most of it is for columns.
            buckets: Cache::new(bytes / 32),
            heads: Cache::new(bytes / 32),
            columns: Cache::new(bytes / 16 * 12),
            partitions: Mutex::default(),
            sources: Cache::new(bytes / 32),
            written: Cache::new(bytes / 32),
            chosen: Cache::new(bytes / 32),
            texts: Cache::new(bytes / 32),
            label_sets: Cache::new(bytes / 16),
        }
    }

    /// True if no write was in flight when the snapshot was taken: every other snapshot of its epochs then shows the same.
    fn no_write_in_flight(&self, snapshot: &ReadSnapshot<'_>) -> bool {
        let Trackers { rows, pages, .. } = &self.trackers;
        snapshot.fill_cache
            && rows.no_write_in_flight_since(snapshot.epochs.rows)
            && pages.no_write_in_flight_since(snapshot.epochs.pages)
    }

    /// All partitions, with the sources that have, or had, pages in each; by start.
    pub(crate) fn partitions(&self, snapshot: &ReadSnapshot<'_>) -> Result<Partitions, Error> {
        if !self.no_write_in_flight(snapshot) {
            return Ok(pages::partitions(snapshot)?.into());
        }
        if let (epoch, Some(partitions)) = &*self.partitions.lock()
            && *epoch == snapshot.epochs.pages
        {
            return Ok(Arc::clone(partitions));
        }
        let partitions: Partitions = pages::partitions(snapshot)?.into();
        *self.partitions.lock() = (snapshot.epochs.pages, Some(Arc::clone(&partitions)));
        Ok(partitions)
    }

    /// The sources that have rows or pages in some buckets, from the first to the last; some that had may be among them.
    pub(crate) fn sources_in(
        &self,
        snapshot: &ReadSnapshot<'_>,
        buckets: (Bucket, Bucket),
        read: impl FnOnce() -> Result<RoaringBitmap, Error>,
    ) -> Result<Arc<RoaringBitmap>, Error> {
        self.cached(
            &self.sources,
            (snapshot, buckets),
            |sources| sources.serialized_size() + limits::CACHE_ENTRY_BYTES,
            read,
        )
    }

    /// What all sources wrote in some buckets, from the first to the last.
    pub(crate) fn written(
        &self,
        snapshot: &ReadSnapshot<'_>,
        buckets: (Bucket, Bucket),
        read: impl FnOnce() -> Result<Written, Error>,
    ) -> Result<Arc<Written>, Error> {
        self.cached(&self.written, (snapshot, buckets), Written::weight, read)
    }

    /// The series that match in some buckets. They are of the index, of which everything is written before the rows that make it
    /// count: as long as there are only newer rows, it says the same of these buckets.
    pub(crate) fn chosen(
        &self,
        snapshot: &ReadSnapshot<'_>,
        key: SelectionKey,
        read: impl FnOnce() -> Result<Chosen, Error>,
    ) -> Result<Arc<Chosen>, Error> {
        let of_key = key.weight();
        self.cached(&self.chosen, (snapshot, key), |chosen| chosen.weight() + of_key, read)
    }

    /// The same where the caller has a memo. Small ones are kept there alone: thousands of rules would push the selections of all
    /// others out of the cache.
    pub(crate) fn chosen_again(
        &self,
        (snapshot, memo): (&ReadSnapshot<'_>, &Memo),
        (buckets, matchers): ((Bucket, Bucket), &[Matcher]),
        read: impl FnOnce(&[Matcher]) -> Result<Chosen, Error>,
    ) -> Result<(Arc<[Matcher]>, Arc<Chosen>), Error> {
        let known = memo
            .get::<RememberedSelection>()
            .filter(|known| known.cache == self.id && known.key.buckets == buckets && *known.key.matchers == *matchers);
        if !self.no_write_in_flight(snapshot) {
            let matchers = known.map_or_else(|| matchers.into(), |known| Arc::clone(&known.key.matchers));
            let chosen = read(&matchers)?;
            return Ok((matchers, Arc::new(chosen)));
        }
        if let Some(known) = known.filter(|known| known.epochs.same_but_newer(snapshot.epochs)) {
            return Ok((Arc::clone(&known.key.matchers), Arc::clone(&known.chosen)));
        }
        let matchers: Arc<[Matcher]> = matchers.into();
        let key = SelectionKey { buckets, matchers: Arc::clone(&matchers) };
        if let Some((_, found)) = self.chosen.get(&key).filter(|(epochs, _)| epochs.same_but_newer(snapshot.epochs)) {
            return Ok((matchers, found));
        }
        let chosen = Arc::new(read(&matchers)?);
        let (cache, epochs, weight) = (self.id, snapshot.epochs, chosen.weight() + key.weight());
        if weight <= limits::REMEMBERED_SELECTION {
            memo.set(RememberedSelection { cache, epochs, key, chosen: Arc::clone(&chosen) });
        } else {
            self.chosen.insert(key, (epochs, Arc::clone(&chosen)), weight);
        }
        Ok((matchers, chosen))
    }

    /// The texts of a listing. It is of the index and of what was written in the buckets, as above.
    pub(crate) fn texts(
        &self,
        snapshot: &ReadSnapshot<'_>,
        key: (ListingKey, Listed),
        read: impl FnOnce() -> Result<Vec<String>, QuerierError>,
    ) -> Result<Arc<Vec<String>>, QuerierError> {
        let of_key = key.0.0.weight();
        let weight = |texts: &Vec<String>| of_key + listing_weight(texts, String::len);
        self.cached(&self.texts, (snapshot, key), weight, read)
    }

    /// The label sets of a listing.
    pub(crate) fn label_sets(
        &self,
        snapshot: &ReadSnapshot<'_>,
        key: ListingKey,
        read: impl FnOnce() -> Result<Vec<Labels>, QuerierError>,
    ) -> Result<Arc<Vec<Labels>>, QuerierError> {
        let of_key = key.0.weight();
        let weight =
            |sets: &Vec<Labels>| of_key + listing_weight(sets, |set| size_of::<Labels>() + set.as_text().len());
        self.cached(&self.label_sets, (snapshot, key), weight, read)
    }

    fn cached<K: Hash + Eq, T, E>(
        &self,
        cache: &Cache<K, Kept<T>>,
        (snapshot, key): (&ReadSnapshot<'_>, K),
        weight: impl FnOnce(&T) -> usize,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        if !self.no_write_in_flight(snapshot) {
            return read().map(Arc::new);
        }
        // Newer rows of known buckets and segments change nothing of what is cached here.
        if let Some((_, found)) = cache.get(&key).filter(|(epochs, _)| epochs.same_but_newer(snapshot.epochs)) {
            return Ok(found);
        }
        let found = Arc::new(read()?);
        cache.insert(key, (snapshot.epochs, Arc::clone(&found)), weight(&found));
        Ok(found)
    }

    /// All buckets in which a source has rows.
    pub(crate) fn buckets(&self, snapshot: &ReadSnapshot<'_>, source: SourceId) -> Result<Buckets, Error> {
        let cached = self.buckets.get(&source.0);
        // The older of the two epochs: a snapshot may be older than the entry, which then shows too much.
        if let Some((_, buckets)) =
            cached.filter(|(epoch, _)| self.trackers.rows.unchanged_since(source, (*epoch).min(snapshot.epochs.rows)))
        {
            return Ok(buckets);
        }
        let buckets: Buckets = scan::seen(snapshot, source, Bucket(Timestamp::MIN), Bucket(Timestamp::MAX))?.into();
        if snapshot.fill_cache && self.trackers.rows.unchanged_since(source, snapshot.epochs.rows) {
            let weight = buckets.iter().map(|(_, segments)| segments.serialized_size() + 48).sum::<usize>();
            self.buckets.insert(
                source.0,
                (snapshot.epochs.rows, Arc::clone(&buckets)),
                weight + limits::CACHE_ENTRY_BYTES,
            );
        }
        Ok(buckets)
    }

    /// The timeline of a source in a partition, without its timestamps.
    pub(crate) fn timeline_head(
        &self,
        snapshot: &ReadSnapshot<'_>,
        partition: Partition,
        source: SourceId,
    ) -> Result<Option<Arc<Timeline>>, Error> {
        let key = (partition, source.0);
        if let Some((_, head)) = self
            .heads
            .get(&key)
            .filter(|(epoch, _)| self.trackers.pages.unchanged_since(source, (*epoch).min(snapshot.epochs.pages)))
        {
            return Ok(head);
        }
        let head = pages::timeline_head(snapshot, partition, source)?.map(Arc::new);
        if snapshot.fill_cache && self.trackers.pages.unchanged_since(source, snapshot.epochs.pages) {
            let weight = head.as_ref().map_or(0, |head| head.segments.serialized_size() + 96);
            self.heads.insert(key, (snapshot.epochs.pages, head.clone()), weight + limits::CACHE_ENTRY_BYTES);
        }
        Ok(head)
    }

    /// The wanted columns of the segment that `place` names, over a range, when they are cached or may be.
    pub(crate) fn run<'v>(
        &self,
        snapshot: &ReadSnapshot<'_>,
        (rows, tails): (&mut LazyRows<'v>, &mut LazyRows<'v>),
        (place, wanted): (RowKey, &Wanted),
        range: &RangeInclusive<Timestamp>,
    ) -> Result<Option<Run>, Error> {
        let source = place.source;
        let asked: usize = wanted.iter().map(|(_, columns)| columns.len()).sum();
        if !snapshot.fill_cache || asked > limits::CACHED_COLUMNS {
            return Ok(None);
        }
        // A cached segment may begin within its bucket: a short range reads no more than it needs.
        let from = place.bucket.0.max(*range.start());
        let key = (place.bucket, source.0, place.segment);
        let cached = self.columns.get(&key);
        let is_new = cached.is_none();
        let cached = cached.unwrap_or_default();
        // Held while rows are read: a second query of the segment waits, and then finds them.
        let mut columns = cached.lock();
        if is_new
            || !columns.reaches_back_to(from)
            || !self.trackers.rows.unchanged_since(source, columns.epoch.min(snapshot.epochs.rows))
        {
            // Also when a write came since this snapshot: what it shows is not to be cached.
            if !self.trackers.rows.unchanged_since(source, snapshot.epochs.rows) {
                return Ok(None);
            }
            *columns = Columns::new(snapshot.epochs.rows, from);
        }
        columns.ask(from);
        // Nothing newer came since there was no row behind the last: no iterator is needed at all.
        let all_read = columns.read_at.is_some_and(|epoch| self.trackers.newer.unchanged_since(source, epoch));
        if all_read && let Some(run) = columns.whole_run(range, wanted) {
            return Ok(Some(run));
        }
        let before = columns.weight();
        // Only the tail is read where the columns are there: its blocks are worth keeping, those of whole columns are
        // not.
        let iter = if columns.has(wanted) { tails.iter() } else { rows.iter() };
        match columns.extend(snapshot, iter, (place, wanted), *range.end()) {
            Ok(()) => {}
            Err(Refused::Store(error)) => {
                self.columns.remove(&key);
                return Err(error);
            }
            Err(Refused::Rows) => {
                self.columns.remove(&key);
                return Ok(None);
            }
        }
        let run = columns.run(range, wanted);
        let weight = columns.weight();
        drop(columns);
        // The weight grew with the rows; the cache must account for it.
        if is_new || weight != before {
            self.columns.insert(key, cached, weight + limits::CACHE_ENTRY_BYTES);
        }
        Ok(Some(run))
    }
}

/// What the items of a listing weigh, each with what it takes outside the list.
fn listing_weight<T>(items: &[T], outside: impl Fn(&T) -> usize) -> usize {
    items.iter().map(|item| size_of::<T>() + outside(item)).sum::<usize>() + limits::CACHE_ENTRY_BYTES
}
