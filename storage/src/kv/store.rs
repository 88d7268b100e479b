//! RocksDB behind our column families: reads, bounded iteration, one kind of write.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use rocksdb::{ColumnFamily, DB, DBRawIterator, FlushOptions, ReadOptions, WriteBatch, WriteOptions, properties};

use super::error::{Error, is_damage};
use super::listener::{CorruptValue, DamageListener};
use super::schema::{Cf, id_key};
use super::write_health::WriteHealth;

/// What tells a directory from another at the same path: its device and inode.
pub(crate) type Identity = (u64, u64);

/// That of what lies at a path.
pub(crate) fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// The open database.
pub(crate) struct Store {
    pub(crate) db: DB,
    /// The length of a bucket of time. A directory keeps the one it was made with.
    pub(crate) bucket_ms: u32,
    /// Read-held by whoever reads, write-held while files are deleted under ranges that were dropped.
    pub(super) files: RwLock<()>,
    /// How many entries were copied to `copies` since these were last written to a file.
    copied: AtomicU64,
    /// How often something damaged was skipped by a reader, and why the last time.
    skipped: AtomicU64,
    last_skipped: Mutex<Option<rocksdb::Error>>,
    /// Of the directory, as it was opened.
    identity: Option<Identity>,
    health: WriteHealth,
    listener: Arc<dyn DamageListener>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.db.path()).field("bucket_ms", &self.bucket_ms).finish()
    }
}

impl Drop for Store {
    /// RocksDB, closed while it recovers from a full disk, waits for a recovery that waits for flushes which closing
    /// prevents (seen in 11.8.1). Told first that all work ends, the recovery gives up.
    fn drop(&mut self) {
        // Closing deletes files that the database does not need, by their names: not those of another database.
        if !self.is_in_place()
            && let Err(error) = self.db.disable_file_deletions()
        {
            tracing::warn!(%error, "cannot keep RocksDB from deleting files");
        }
        self.db.cancel_all_background_work(false);
    }
}

impl Store {
    /// Damage that is met goes to `listener`.
    pub(crate) fn new(db: DB, bucket_ms: u32, listener: Arc<dyn DamageListener>) -> Self {
        Self {
            identity: identity(db.path()),
            db,
            bucket_ms,
            files: RwLock::default(),
            copied: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            last_skipped: Mutex::default(),
            health: WriteHealth::default(),
            listener,
        }
    }

    /// Is the directory where it was opened?
    pub(crate) fn is_in_place(&self) -> bool {
        identity(self.db.path()) == self.identity
    }

    pub(crate) fn cf(&self, cf: Cf) -> &ColumnFamily {
        self.db.cf_handle(cf.name()).expect("BUG: all column families were opened")
    }

    pub(crate) fn get(&self, cf: Cf, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        let key = key.as_ref();
        match self.db.get_cf(self.cf(cf), key) {
            // Marks that decide what is dropped must be known; what an id stands for is kept twice.
            Err(source) => self.get_copy((cf, key), source),
            got => got.map_err(Error::read),
        }
    }

    /// The copy of what cannot be read, which is to be rebuilt soon.
    fn get_copy(&self, (cf, key): (Cf, &[u8]), source: rocksdb::Error) -> Result<Option<Vec<u8>>, Error> {
        // A read that failed for another reason may succeed the next time; the copy is for damage.
        match cf.copy_key(key).filter(|_| is_damage(&source)) {
            Some(copy) => {
                self.listener.on_damage(source.as_ref());
                match self.db.get_cf(self.cf(Cf::Copies), copy) {
                    Ok(Some(value)) => Ok(Some(value)),
                    // The first error says what is wrong.
                    Ok(None) | Err(_) => Err(Error::read(source)),
                }
            }
            None => Err(Error::read(source)),
        }
    }

    /// Calls `each` with the place of every key that is there, and its value. The keys ascend. What had to be read for it is
    /// not cached: a target that comes asks for each of its metrics, once.
    pub(crate) fn get_sorted<K: AsRef<[u8]>>(
        &self,
        cf: Cf,
        keys: &[K],
        mut each: impl FnMut(usize, &[u8]),
    ) -> Result<(), Error> {
        // Sorted keys let RocksDB read each block once.
        let values = self.db.batched_multi_get_cf_opt(self.cf(cf), keys, true, &passing());
        for (i, value) in values.into_iter().enumerate() {
            if let Some(value) = value.map_err(Error::read)? {
                each(i, &value);
            }
        }
        Ok(())
    }

    /// Calls `each` with the place of every id that stands for something, and with that. The ids ascend. The cache is left
    /// to others.
    pub(crate) fn passing_texts(&self, cf: Cf, ids: &[u32], mut each: impl FnMut(usize, &[u8])) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let keys: Vec<[u8; 5]> = ids.iter().map(|id| id_key(*id)).collect();
        let texts = self.db.batched_multi_get_cf_opt(self.cf(cf), &keys, true, &passing());
        for (i, text) in texts.into_iter().enumerate() {
            match text {
                Ok(Some(text)) => each(i, &text),
                Ok(None) => {}
                Err(source) => {
                    if let Some(text) = self.get_copy((cf, &keys[i]), source)? {
                        each(i, &text);
                    }
                }
            }
        }
        Ok(())
    }

    pub(crate) fn has(&self, cf: Cf, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        // Pinned: the value stays in its block, and is not copied.
        Ok(self.db.get_pinned_cf(self.cf(cf), key).map_err(Error::read)?.is_some())
    }

    /// Atomic, and in the hands of the operating system when this returns.
    pub(crate) fn write(&self, batch: WriteBatch) -> Result<(), Error> {
        self.db.write_opt(batch, &WriteOptions::default()).map_err(|source| self.write_error(source))?;
        self.health.recovered();
        Ok(())
    }

    pub(crate) fn put(&self, cf: Cf, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.cf(cf), key.as_ref(), value.as_ref());
        self.copy(&mut batch, (cf, key.as_ref()), Some(value.as_ref()));
        self.write(batch)
    }

    pub(crate) fn delete(&self, cf: Cf, key: impl AsRef<[u8]>) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        batch.delete_cf(self.cf(cf), key.as_ref());
        self.copy(&mut batch, (cf, key.as_ref()), None);
        self.write(batch)
    }

    /// Adds to a batch that what lies under a key is this from now on, or nothing, also where it is kept twice.
    pub(crate) fn copy(&self, batch: &mut WriteBatch, (cf, key): (Cf, &[u8]), value: Option<&[u8]>) {
        match (cf.copy_key(key), value) {
            (Some(key), Some(value)) => {
                batch.put_cf(self.cf(Cf::Copies), key, value);
                self.copied.fetch_add(1, Ordering::Relaxed);
            }
            (Some(key), None) => batch.delete_cf(self.cf(Cf::Copies), key),
            (None, _) => {}
        }
    }

    /// Has what was written of a column family put into a file of its own, soon, when that is worth one.
    pub(crate) fn flush_large(&self, cf: Cf, least_bytes: u64) -> Result<(), Error> {
        let waiting = self.db.property_int_value_cf(self.cf(cf), properties::CUR_SIZE_ACTIVE_MEM_TABLE);
        if waiting.map_err(Error::read)?.unwrap_or_default() < least_bytes {
            return Ok(());
        }
        let mut options = FlushOptions::default();
        // Whoever writes does not wait for the file.
        options.set_wait(false);
        self.db.flush_cf_opt(self.cf(cf), &options).map_err(|source| self.write_error(source))
    }

    /// Writes copies to a file, if there are new ones: what ids stand for is otherwise in the log alone for hours, and with it
    /// all that is stored under them.
    pub(crate) fn flush_copies(&self) -> Result<(), Error> {
        // Before the flush: what is copied during it counts for the next one.
        if self.copied.swap(0, Ordering::Relaxed) == 0 {
            return Ok(());
        }
        self.db.flush_cf(self.cf(Cf::Copies)).map_err(|source| self.write_error(source))
    }

    /// Are there copies that are in the log alone?
    pub(crate) fn has_unflushed_copies(&self) -> bool {
        self.copied.load(Ordering::Relaxed) > 0
    }

    /// Syncs the write-ahead log to the disk.
    pub(crate) fn sync_log(&self) -> Result<(), Error> {
        self.health.sync(self.db.path(), || self.db.flush_wal(true)).map_err(|failed| self.notify(failed))
    }

    /// Why a write failed: RocksDB's later answers only say that an earlier one did.
    pub(crate) fn write_error(&self, source: rocksdb::Error) -> Error {
        self.notify(self.health.write_failed(self.db.path(), source))
    }

    /// Why nothing is written until the directory is opened again, if that is so.
    pub(crate) fn stopped(&self) -> Option<String> {
        self.health.stopped()
    }

    /// Tells the listener of the damage that a failure speaks of.
    fn notify(&self, (error, damage): (Error, Option<String>)) -> Error {
        if let Some(message) = damage {
            self.listener.on_damage(&message);
        }
        error
    }

    /// Over the keys from `from`, up to but not including `to`; not yet positioned.
    pub(crate) fn iter(&self, cf: Cf, from: &[u8], to: &[u8]) -> DBRawIterator<'_> {
        self.db.raw_iterator_cf_opt(self.cf(cf), between(from, to))
    }

    /// Calls `each` with every key and value that starts with `prefix`, until it says false.
    pub(crate) fn each<E: From<Error>>(
        &self,
        cf: Cf,
        prefix: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut iter = self.iter(cf, prefix, &after_prefix(prefix));
        iter.seek_to_first();
        while let Some((key, value)) = iter.item() {
            if !each(key, value)? {
                return Ok(());
            }
            iter.next();
        }
        Ok(iter.status().map_err(Error::read)?)
    }

    /// How an iterator ended. What cannot be read where `place` lies is reported and skipped.
    pub(crate) fn ended(&self, iter: &DBRawIterator<'_>, cf: Cf, place: &[u8]) -> Result<(), Error> {
        iter.status().or_else(|source| self.skip_damaged(cf, place, source))
    }

    /// Reports what is damaged under a key; any other reason not to read it stays an error.
    pub(crate) fn skip_damaged(&self, cf: Cf, place: &[u8], source: rocksdb::Error) -> Result<(), Error> {
        if !is_damage(&source) {
            return Err(Error::read(source));
        }
        self.corrupt(cf, place, &source);
        // The next append sets the file aside; what can be read of it goes back.
        self.listener.on_damage(source.as_ref());
        *self.last_skipped.lock() = Some(source);
        self.skipped.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// How often something damaged was skipped.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Acquire)
    }

    /// An error when something was skipped since then: what is read to be written anew, or to be dropped, must be all.
    pub(crate) fn nothing_skipped_since(&self, skipped: u64) -> Result<(), Error> {
        if self.skipped() == skipped {
            return Ok(());
        }
        self.last_skipped.lock().clone().map_or(Ok(()), |source| Err(Error::read(source)))
    }

    /// Something is damaged that is needed. The message is RocksDB's.
    pub(crate) fn damaged(&self, message: &str) {
        self.listener.on_damage(message);
    }

    /// A stored value cannot be read, or makes no sense, and is skipped.
    pub(crate) fn corrupt(&self, cf: Cf, key: &[u8], reason: impl fmt::Display) {
        self.listener.on_corrupt_value(&CorruptValue { cf, key, bucket_ms: self.bucket_ms, reason: &reason });
    }
}

pub(crate) fn between(from: &[u8], to: &[u8]) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(from);
    if !to.is_empty() {
        options.set_iterate_upper_bound(to);
    }
    options
}

/// For reads that leave the cache to others.
fn passing() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    options
}

/// The first key after all that start with `prefix`.
pub(crate) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        // A byte of 0xff has no next one: the byte before it is counted up instead.
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}
