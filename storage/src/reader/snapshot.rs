//! The store as it was at one moment, for whoever reads more than one key.

use std::fmt;
use std::sync::{PoisonError, RwLockReadGuard};

use rocksdb::{DBRawIterator, Snapshot};

use crate::error::Error;
use crate::kv::schema::Cf;
use crate::kv::store::{Store, between};
use crate::reader::cache::Moments;

/// The store at one moment: while it is held, rows that become pages stay rows to its reader.
pub(crate) struct View<'a> {
    pub(crate) store: &'a Store,
    snapshot: Snapshot<'a>,
    /// No later than the snapshot.
    pub(crate) moments: Moments,
    /// Is what is read likely to be read again?
    pub(crate) caching: bool,
    /// The same of blocks of these families, unless there is too much of them.
    pub(crate) caching_rows: bool,
    pub(crate) caching_pages: bool,
    /// Files that hold only dropped keys stay as long as someone may read them.
    _files: RwLockReadGuard<'a, ()>,
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("store", self.store).finish_non_exhaustive()
    }
}

impl<'a> View<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        let files = store.files.read().unwrap_or_else(PoisonError::into_inner);
        let moments = store.kept.moments();
        Self {
            store,
            snapshot: store.db.snapshot(),
            moments,
            caching: true,
            caching_rows: true,
            caching_pages: true,
            _files: files,
        }
    }

    /// For who reads everything once: it leaves the cache to the others.
    pub(crate) fn passing(store: &'a Store) -> Self {
        Self { caching: false, ..Self::new(store) }
    }

    pub(crate) fn get(&self, cf: Cf, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        let key = key.as_ref();
        match self.snapshot.get_cf(self.store.cf(cf), key) {
            Err(source) if cf == Cf::Pages => self.store.passed_over(cf, key, source).map(|()| None),
            got => got.map_err(Error::read),
        }
    }

    /// Over the keys from `from`, up to but not including `to` (to the end, when that is empty); not yet positioned.
    pub(crate) fn iter(&self, cf: Cf, from: &[u8], to: &[u8]) -> DBRawIterator<'_> {
        self.iter_caching(cf, (from, to), cf != Cf::Pages || self.caching_pages)
    }

    /// The same where blocks stay in memory only if `caching`, and never for who reads everything once.
    pub(crate) fn iter_caching(&self, cf: Cf, (from, to): (&[u8], &[u8]), caching: bool) -> DBRawIterator<'_> {
        let mut options = between(from, to);
        options.fill_cache(self.caching && caching);
        self.snapshot.raw_iterator_cf_opt(self.store.cf(cf), options)
    }
}
