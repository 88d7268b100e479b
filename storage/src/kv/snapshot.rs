//! The store as it was at one moment, for whoever reads more than one key.

use std::fmt;

use parking_lot::RwLockReadGuard;
use rocksdb::DBRawIterator;

use super::error::Error;
use super::schema::Cf;
use super::store::{Store, between};

/// The store at one moment: while it is held, rows that become pages stay rows to its reader.
pub(crate) struct Snapshot<'a> {
    pub(crate) store: &'a Store,
    snapshot: rocksdb::Snapshot<'a>,
    /// Is what is read likely to be read again? Else RocksDB's block cache is left to others.
    pub(crate) fill_cache: bool,
    /// The same of blocks of rows and of pages, unless there is too much of them.
    pub(crate) fill_rows: bool,
    pub(crate) fill_pages: bool,
    /// Files that hold only dropped keys stay as long as someone may read them.
    _files: RwLockReadGuard<'a, ()>,
}

impl fmt::Debug for Snapshot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("store", self.store).finish_non_exhaustive()
    }
}

impl<'a> Snapshot<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        // Before the snapshot: a file that it needs may not be deleted in between.
        let files = store.files.read();
        let snapshot = store.db.snapshot();
        Self { store, snapshot, fill_cache: true, fill_rows: true, fill_pages: true, _files: files }
    }

    pub(crate) fn get(&self, cf: Cf, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        let key = key.as_ref();
        match self.snapshot.get_cf(self.store.cf(cf), key) {
            Err(source) if cf == Cf::Pages => self.store.skip_damaged(cf, key, source).map(|()| None),
            got => got.map_err(Error::read),
        }
    }

    /// Over the keys from `from`, up to but not including `to` (to the end, when that is empty); not yet positioned.
    pub(crate) fn iter(&self, cf: Cf, from: &[u8], to: &[u8]) -> DBRawIterator<'_> {
        self.iter_filling(cf, (from, to), cf != Cf::Pages || self.fill_pages)
    }

    /// The same where blocks stay in the block cache only if `fill`, and never for who reads everything once.
    pub(crate) fn iter_filling(&self, cf: Cf, (from, to): (&[u8], &[u8]), fill: bool) -> DBRawIterator<'_> {
        let mut options = between(from, to);
        options.fill_cache(self.fill_cache && fill);
        self.snapshot.raw_iterator_cf_opt(self.store.cf(cf), options)
    }
}
