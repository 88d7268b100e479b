//! What readers keep of sources between queries: where they have rows and pages, and columns of their open buckets. A
//! dashboard asks for the same again and again, and between two times there is little that is new.
//!
//! Invariant: what is kept is as it was read from a snapshot, and is used only while [`Changes`] says that nothing but
//! newer rows came since.

mod columns;

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use model::SourceId;
use roaring::RoaringBitmap;
use rocksdb::DBRawIterator;

use crate::cache::{Cache, lock};
use crate::error::Error;
use crate::kv::schema::{Bucket, Partition, RowKey};
use crate::limits;
use crate::listing::Written;
use crate::pages::{self, timeline::Timeline};
use crate::reader::Tails;
use crate::reader::epochs::Changes;
use crate::reader::snapshot::View;
use crate::rows::decoder::Wanted;
use crate::rows::run::Run;
use crate::rows::scan;
use columns::{Columns, Refused};

/// Buckets in which a source has rows, and the segments written in each.
pub(crate) type Buckets = Arc<[(Bucket, RoaringBitmap)]>;
/// Partitions, each with the sources that have, or had, pages in it.
pub(crate) type Partitions = Arc<[(Partition, RoaringBitmap)]>;
type Segment = (Bucket, u32, u32);
/// With the moment of the view that it was read from.
type Dated<T> = (u64, T);

/// The bounded memory of readers.
pub(crate) struct Kept {
    /// Anything but newer rows in buckets and segments that were there already.
    pub(crate) rows: Changes,
    /// Timelines that came or went.
    pub(crate) pages: Changes,
    /// Newer rows.
    pub(crate) newer: Changes,
    buckets: Cache<u32, Dated<Buckets>>,
    heads: Cache<(Partition, u32), Dated<Option<Arc<Timeline>>>>,
    columns: Cache<Segment, Arc<Mutex<Columns>>>,
    /// As views show them in whose time nothing came or went.
    partitions: Mutex<Dated<Option<Partitions>>>,
    alive: Cache<(Bucket, Bucket), (Moments, Arc<RoaringBitmap>)>,
    written: Cache<(Bucket, Bucket), (Moments, Arc<Written>)>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

/// When a view was taken, by the clocks of [`Kept`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moments {
    rows: u64,
    pages: u64,
    newer: u64,
}

impl Moments {
    /// Newer rows do not matter here.
    fn are_those_of(&self, view: &View<'_>) -> bool {
        (self.rows, self.pages) == (view.moments.rows, view.moments.pages)
    }
}

impl Kept {
    /// Keeps about so many bytes in all.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            rows: Changes::default(),
            pages: Changes::default(),
            newer: Changes::default(),
            buckets: Cache::new(bytes / 8),
            heads: Cache::new(bytes / 8),
            columns: Cache::new(bytes / 8 * 5),
            partitions: Mutex::default(),
            alive: Cache::new(bytes / 16),
            written: Cache::new(bytes / 16),
        }
    }

    /// To be asked for before a snapshot is taken.
    pub(crate) fn moments(&self) -> Moments {
        Moments { rows: self.rows.now(), pages: self.pages.now(), newer: self.newer.now() }
    }

    /// Does a view show what every other shows of its moments? While something is under way one may see it, another not.
    fn is_quiet(&self, view: &View<'_>) -> bool {
        view.caching && self.rows.quiet_since(view.moments.rows) && self.pages.quiet_since(view.moments.pages)
    }

    /// All partitions, with the sources that have, or had, pages in each; by start.
    pub(crate) fn partitions(&self, view: &View<'_>) -> Result<Partitions, Error> {
        if !self.is_quiet(view) {
            return Ok(pages::partitions(view)?.into());
        }
        if let (moment, Some(partitions)) = &*lock(&self.partitions)
            && *moment == view.moments.pages
        {
            return Ok(Arc::clone(partitions));
        }
        let partitions: Partitions = pages::partitions(view)?.into();
        *lock(&self.partitions) = (view.moments.pages, Some(Arc::clone(&partitions)));
        Ok(partitions)
    }

    /// The sources that have rows or pages in some buckets, from the first to the last; some that had may be among them.
    pub(crate) fn alive(
        &self,
        view: &View<'_>,
        buckets: (Bucket, Bucket),
        read: impl FnOnce() -> Result<RoaringBitmap, Error>,
    ) -> Result<Arc<RoaringBitmap>, Error> {
        self.of_quiet(&self.alive, (view, buckets), |alive| alive.serialized_size() + limits::CACHE_ENTRY_BYTES, read)
    }

    /// What all sources wrote in some buckets, from the first to the last.
    pub(crate) fn written(
        &self,
        view: &View<'_>,
        buckets: (Bucket, Bucket),
        read: impl FnOnce() -> Result<Written, Error>,
    ) -> Result<Arc<Written>, Error> {
        self.of_quiet(&self.written, (view, buckets), Written::weight, read)
    }

    fn of_quiet<T>(
        &self,
        cache: &Cache<(Bucket, Bucket), (Moments, Arc<T>)>,
        (view, buckets): (&View<'_>, (Bucket, Bucket)),
        weight: impl FnOnce(&T) -> usize,
        read: impl FnOnce() -> Result<T, Error>,
    ) -> Result<Arc<T>, Error> {
        if !self.is_quiet(view) {
            return read().map(Arc::new);
        }
        if let Some((_, found)) = cache.get(&buckets).filter(|(moments, _)| moments.are_those_of(view)) {
            return Ok(found);
        }
        let found = Arc::new(read()?);
        cache.insert(buckets, (view.moments, Arc::clone(&found)), weight(&found));
        Ok(found)
    }

    /// All buckets in which a source has rows.
    pub(crate) fn buckets(&self, view: &View<'_>, source: SourceId) -> Result<Buckets, Error> {
        let kept = self.buckets.get(&source.0);
        if let Some((_, buckets)) =
            kept.filter(|(moment, _)| self.rows.none_since(source, (*moment).min(view.moments.rows)))
        {
            return Ok(buckets);
        }
        let buckets: Buckets = scan::seen(view, source, Bucket(i64::MIN), Bucket(i64::MAX))?.into();
        if view.caching && self.rows.none_since(source, view.moments.rows) {
            let weight = buckets.iter().map(|(_, segments)| segments.serialized_size() + 48).sum::<usize>();
            self.buckets.insert(
                source.0,
                (view.moments.rows, Arc::clone(&buckets)),
                weight + limits::CACHE_ENTRY_BYTES,
            );
        }
        Ok(buckets)
    }

    /// The timeline of a source in a partition, without its timestamps.
    pub(crate) fn head(
        &self,
        view: &View<'_>,
        partition: Partition,
        source: SourceId,
    ) -> Result<Option<Arc<Timeline>>, Error> {
        let key = (partition, source.0);
        if let Some((_, head)) =
            self.heads.get(&key).filter(|(moment, _)| self.pages.none_since(source, (*moment).min(view.moments.pages)))
        {
            return Ok(head);
        }
        let head = pages::timeline_head(view, partition, source)?.map(Arc::new);
        if view.caching && self.pages.none_since(source, view.moments.pages) {
            let weight = head.as_ref().map_or(0, |head| head.segments.serialized_size() + 96);
            self.heads.insert(key, (view.moments.pages, head.clone()), weight + limits::CACHE_ENTRY_BYTES);
        }
        Ok(head)
    }

    /// The wanted columns of the segment that `place` names, over a range, when they are kept or may be.
    pub(crate) fn run<'v>(
        &self,
        view: &View<'_>,
        (rows, tails): (&mut DBRawIterator<'v>, &mut Tails<'v>),
        (place, wanted): (RowKey, &Wanted),
        range: &RangeInclusive<i64>,
    ) -> Result<Option<Run>, Error> {
        let source = place.source;
        let asked: usize = wanted.iter().map(|(_, columns)| columns.len()).sum();
        if !view.caching || asked > limits::KEPT_COLUMNS {
            return Ok(None);
        }
        let from_ms = place.bucket.0.max(*range.start());
        let key = (place.bucket, source.0, place.segment);
        let kept = self.columns.get(&key);
        let is_new = kept.is_none();
        let kept = kept.unwrap_or_default();
        let mut columns = lock(&kept);
        if is_new
            || !columns.reaches_back_to(from_ms)
            || !self.rows.none_since(source, columns.moment.min(view.moments.rows))
        {
            // Also when a change came since this view: what it shows is not to be kept.
            if !self.rows.none_since(source, view.moments.rows) {
                return Ok(None);
            }
            *columns = Columns::new(view.moments.rows, from_ms);
        }
        let all_read = columns.read_at.is_some_and(|moment| self.newer.none_since(source, moment));
        if all_read && columns.is_whole(wanted) {
            return Ok(Some(columns.run(range, wanted)));
        }
        let before = columns.weight();
        let iter = if columns.has(wanted) { tails.iter() } else { rows };
        match columns.extend(view, iter, (place, wanted), *range.end()) {
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
        if is_new || weight != before {
            self.columns.insert(key, kept, weight + limits::CACHE_ENTRY_BYTES);
        }
        Ok(Some(run))
    }
}
