//! RocksDB behind our column families: reads, bounded iteration, one kind of write.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};

use rocksdb::{ColumnFamily, DB, DBRawIterator, FlushOptions, ReadOptions, WriteBatch, WriteOptions, properties};

use crate::cache::lock;
use crate::error::Error;
use crate::kv::schema::{Bucket, Cf, id_key};
use crate::limits;
use crate::metrics::Metrics;
use crate::quarantine::safeguards::{Beside, Identity, identity};
use crate::quarantine::{self, Damage};
use crate::reader::cache::Kept;

/// How RocksDB says that a file had an error before, and that the disk is full.
const AGAIN: [&str; 2] = ["Writer has previous error", "Seen error"];
const FULL: &str = "No space left on device";

/// Does RocksDB only say that something failed before?
fn is_again(text: &str) -> bool {
    AGAIN.iter().any(|again| text.contains(again))
}

/// The open database.
pub(crate) struct Store {
    pub(crate) db: DB,
    pub(crate) metrics: Metrics,
    pub(crate) bucket_ms: u32,
    /// Read-held by whoever reads, write-held while files are deleted under ranges that were dropped.
    pub(crate) files: RwLock<()>,
    /// What readers keep between queries.
    pub(crate) kept: Kept,
    /// Buckets that end by this time may have been sealed.
    pub(crate) sealed_until_ms: AtomicI64,
    /// How many ids were added to postings since these were last brought together.
    pub(crate) posted: AtomicU64,
    /// Was any sample that is there, or was, a native histogram? Most servers never see one.
    pub(crate) has_histograms: AtomicBool,
    /// How often a row opened a bucket of its source that may have been sealed.
    pub(crate) late_frames: AtomicU64,
    /// How much was copied since that was last written to a file.
    pub(crate) copied: AtomicU64,
    /// How often something could not be read and was passed over, and why the last time.
    unreadable: AtomicU64,
    unread: Mutex<Option<rocksdb::Error>>,
    /// The newest row, as far as it is known.
    pub(crate) newest_ms: AtomicI64,
    /// Of the directory, as it was opened.
    pub(crate) identity: Option<Identity>,
    /// What is kept beside the database.
    pub(crate) beside: Mutex<Beside>,
    /// Held while the log is synced, until it is known why that failed.
    syncing: Mutex<()>,
    /// Did the latest write fail?
    failing: AtomicBool,
    /// Why the latest write failed that gave a reason of its own.
    failed: Mutex<String>,
    /// Is something damaged that must be set aside or rebuilt?
    damaged: AtomicBool,
    /// Is whoever uses the store to end, so that it can be opened again?
    leaving: AtomicBool,
    /// Why nothing is written until the next start.
    stopped: Mutex<Option<String>>,
    /// What cannot be read, the latest last; bounded.
    damage: Mutex<Vec<Damage>>,
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
    /// Readers keep about `kept_bytes`.
    pub(crate) fn new(db: DB, metrics: Metrics, bucket_ms: u32, kept_bytes: usize) -> Self {
        let (files, sealed_until_ms) = (RwLock::default(), AtomicI64::new(i64::MIN));
        let (posted, late_frames) = (AtomicU64::new(0), AtomicU64::new(0));
        Self {
            identity: identity(db.path()),
            db,
            metrics,
            bucket_ms,
            files,
            kept: Kept::new(kept_bytes),
            sealed_until_ms,
            posted,
            has_histograms: AtomicBool::new(true),
            late_frames,
            copied: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            unread: Mutex::default(),
            newest_ms: AtomicI64::new(i64::MIN),
            beside: Mutex::default(),
            syncing: Mutex::default(),
            failing: AtomicBool::new(false),
            failed: Mutex::default(),
            damaged: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            stopped: Mutex::default(),
            damage: Mutex::default(),
        }
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
        match cf.copy_key(key).filter(|_| quarantine::is_damage(&source)) {
            Some(copy) => {
                self.damaged(source.as_ref());
                match self.db.get_cf(self.cf(Cf::Copies), copy) {
                    Ok(Some(value)) => Ok(Some(value)),
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
        Ok(self.db.get_pinned_cf(self.cf(cf), key).map_err(Error::read)?.is_some())
    }

    /// Atomic, and in the hands of the operating system when this returns.
    pub(crate) fn write(&self, batch: WriteBatch) -> Result<(), Error> {
        self.db.write_opt(batch, &WriteOptions::default()).map_err(|source| self.write_error(source))?;
        if self.failing.load(Ordering::Relaxed) {
            self.failing.store(false, Ordering::Release);
            *lock(&self.stopped) = None;
        }
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
        options.set_wait(false);
        self.db.flush_cf_opt(self.cf(cf), &options).map_err(|source| self.write_error(source))
    }

    /// Has the log on the disk.
    pub(crate) fn sync_log(&self) -> Result<(), Error> {
        // To sync a log that could not be written is for RocksDB a worse error than a full disk, and none that it recovers
        // from by itself.
        let _syncing = lock(&self.syncing);
        if self.failing.load(Ordering::Acquire) {
            return Err(Error::Stopped { cause: lock(&self.failed).clone() });
        }
        self.db.flush_wal(true).map_err(|source| self.failure(source))
    }

    /// Why a write failed: RocksDB's later answers only say that an earlier one did.
    pub(crate) fn write_error(&self, source: rocksdb::Error) -> Error {
        if is_again(source.as_ref()) && lock(&self.failed).is_empty() {
            // A sync that is just failing has not said yet why.
            drop(lock(&self.syncing));
        }
        self.failure(source)
    }

    fn failure(&self, source: rocksdb::Error) -> Error {
        let text = source.to_string();
        self.failing.store(true, Ordering::Release);
        if is_again(&text) {
            let mut cause = lock(&self.failed).clone();
            if cause.is_empty() {
                // What failed in the background is said to nobody but RocksDB's own log.
                cause = format!("in the background; {} says why", self.db.path().join("LOG").display());
                lock(&self.stopped).get_or_insert_with(|| cause.clone());
            }
            return Error::Stopped { cause };
        }
        let full = text.contains(FULL);
        if quarantine::is_damage(&source) {
            self.damaged(&text);
        }
        if !full {
            lock(&self.stopped).get_or_insert_with(|| text.clone());
        }
        *lock(&self.failed) = text;
        if full { Error::DiskFull { path: self.db.path().to_owned(), source } } else { Error::write(source) }
    }

    /// Over the keys from `from`, up to but not including `to`; not yet positioned.
    pub(crate) fn iter(&self, cf: Cf, from: &[u8], to: &[u8]) -> DBRawIterator<'_> {
        self.db.raw_iterator_cf_opt(self.cf(cf), between(from, to))
    }

    /// Calls `each` with every key and value that starts with `prefix`, until it says false.
    pub(crate) fn each(
        &self,
        cf: Cf,
        prefix: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let mut iter = self.iter(cf, prefix, &after_prefix(prefix));
        iter.seek_to_first();
        while let Some((key, value)) = iter.item() {
            if !each(key, value)? {
                return Ok(());
            }
            iter.next();
        }
        iter.status().map_err(Error::read)
    }

    /// How an iterator ended. What cannot be read where `place` lies is reported and passed over.
    pub(crate) fn ended(&self, iter: &DBRawIterator<'_>, cf: Cf, place: &[u8]) -> Result<(), Error> {
        iter.status().or_else(|source| self.passed_over(cf, place, source))
    }

    /// Reports what is damaged under a key; any other reason not to read it stays an error.
    pub(crate) fn passed_over(&self, cf: Cf, place: &[u8], source: rocksdb::Error) -> Result<(), Error> {
        if !quarantine::is_damage(&source) {
            return Err(Error::read(source));
        }
        self.corrupt(cf, place, &source);
        // The next who appends sets the file aside; what can be read of it goes back.
        self.damaged(source.as_ref());
        *lock(&self.unread) = Some(source);
        self.unreadable.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// How often something could not be read and was passed over.
    pub(crate) fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Acquire)
    }

    /// An error when something was passed over since then: what is read to be written anew, or to be dropped, must be all.
    pub(crate) fn all_was_read(&self, since: u64) -> Result<(), Error> {
        if self.unreadable() == since {
            return Ok(());
        }
        lock(&self.unread).clone().map_or(Ok(()), |source| Err(Error::read(source)))
    }

    /// Remembers a damage, once.
    pub(crate) fn hurt(&self, damage: Damage) {
        let mut all = lock(&self.damage);
        if !all.iter().any(|known| known.place == damage.place && known.family == damage.family) {
            if all.len() < limits::DAMAGES {
                return all.push(damage);
            }
            // What is lost stays told, though not one by one.
            match all.iter_mut().find(|one| one.family == damage.family && one.is_rebuilt() == damage.is_rebuilt()) {
                Some(one) => {
                    (one.from_ms, one.to_ms) = (one.from_ms.min(damage.from_ms), one.to_ms.max(damage.to_ms));
                    one.metrics.clear();
                }
                None => {
                    all.remove(0);
                    all.push(damage);
                }
            }
        }
    }

    /// Forgets what was met of a file that is set aside now.
    pub(crate) fn supersede(&self, file: &str) {
        let number = quarantine::named(file);
        lock(&self.damage).retain(|one| number.is_none() || quarantine::named(&one.what) != number);
    }

    /// Something is damaged that is needed: the file that the text names is set aside when the directory is opened again.
    pub(crate) fn damaged(&self, text: &str) {
        if let Some(number) = quarantine::named(text)
            && let Err(error) = quarantine::wait(self.db.path(), number)
        {
            tracing::error!(%error, "cannot remember a damaged file");
        }
        self.damaged.store(true, Ordering::Release);
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Acquire)
    }

    /// Has whoever uses the store end soon, or go on.
    pub(crate) fn leave(&self, now: bool) {
        self.leaving.store(now, Ordering::Release);
    }

    /// An error when whoever uses the store is to end.
    pub(crate) fn stay(&self) -> Result<(), Error> {
        if self.leaving.load(Ordering::Acquire) { Err(Error::Reopening) } else { Ok(()) }
    }

    pub(crate) fn stopped(&self) -> Option<String> {
        lock(&self.stopped).clone()
    }

    pub(crate) fn damage(&self) -> Vec<Damage> {
        lock(&self.damage).clone()
    }

    /// A stored value cannot be read, or makes no sense: said and counted once per value met, remembered, and otherwise
    /// passed over.
    pub(crate) fn corrupt(&self, cf: Cf, key: &[u8], reason: impl fmt::Display) {
        self.metrics.corrupt_values.inc();
        let (place, family) = (hex(key), cf.name().to_owned());
        tracing::error!(column_family = family, key = place, %reason, "skipping a corrupt value");
        let (mut from_ms, mut to_ms) = (i64::MIN, i64::MAX);
        if let (Cf::Rows | Cf::Pages | Cf::Histograms, Some(bytes)) = (cf, key.first_chunk::<8>()) {
            let buckets = key.get(8..12).filter(|_| cf == Cf::Pages).and_then(|bytes| bytes.try_into().ok());
            let buckets = buckets.map_or(1, u32::from_be_bytes);
            from_ms = Bucket::from_bytes(*bytes).0;
            to_ms = from_ms.saturating_add(i64::from(buckets) * i64::from(self.bucket_ms)).saturating_sub(1);
        }
        self.hurt(Damage { place, family, from_ms, to_ms, metrics: Vec::new(), what: reason.to_string() });
    }
}

fn hex(key: &[u8]) -> String {
    key.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
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
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}
