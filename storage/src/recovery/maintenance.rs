//! Housekeeping, deletions and counts, through whichever opening of the directory there is.

use std::path::Path;

use model::{Exemplar, Labels, Matcher};

use super::Db;
use crate::cache::lock;
use crate::compaction::{Pace, Sealed};
use crate::deletes::RetentionRule;
use crate::error::Error;
use crate::recovery::worker::Sealer;
use crate::stats::Stats;

impl Db {
    /// How long samples are kept from now on, milliseconds; 0 keeps them for ever.
    pub fn set_retention(&self, retention_ms: i64) {
        lock(&self.settings).retention_ms = Some(retention_ms);
        if let Ok(opening) = self.enter() {
            opening.set_retention(retention_ms);
        }
    }

    /// How far behind the newest sample of the database a sample may lie that comes out of order, milliseconds; 0 refuses
    /// all.
    pub fn set_out_of_order_window(&self, window_ms: i64) {
        lock(&self.settings).out_of_order_ms = Some(window_ms);
        if let Ok(opening) = self.enter() {
            opening.set_out_of_order_window(window_ms);
        }
    }

    /// Replaces the retention rules. They act when partitions are merged, and on partitions wholly past them.
    pub fn set_retention_rules(&self, rules: Vec<RetentionRule>) {
        lock(&self.settings).rules = Some(rules.clone());
        if let Ok(opening) = self.enter() {
            opening.set_retention_rules(rules);
        }
    }

    /// How many exemplars are kept, of all series together; 0 keeps none, which is what a database starts with.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn set_exemplars_max(&self, max: usize) -> Result<(), Error> {
        lock(&self.settings).exemplars_max = Some(max);
        self.with(|opening| opening.set_exemplars_max(max))
    }

    /// The exemplars of a stretch of time, first and last millisecond, of the series that any of these selectors match:
    /// by series, in their order, the oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: (i64, i64),
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, Error> {
        let opening = self.enter_query()?;
        let found = opening.exemplars(selectors, range);
        self.note(&opening, &found);
        found
    }

    /// Deletes the samples from `start_ms` to `end_ms`, both included, of the series that all matchers select. They are
    /// gone for every reader at once, and from the disk after [`Db::clean_deleted`] or the next merge. Samples that come
    /// in later are not touched: the end is cut to the newest sample there is.
    ///
    /// # Errors
    /// When the store cannot be read or written; then nothing is deleted.
    pub fn delete(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64) -> Result<(), Error> {
        self.with(|opening| opening.delete(matchers, start_ms, end_ms))
    }

    /// Takes deleted samples out of rows and pages, so that they are gone from the disk too.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn clean_deleted(&self) -> Result<(), Error> {
        self.with(|opening| opening.clean_deleted())
    }

    /// Tells what time it is, as [`crate::Clock`] sees it: retention rules go by it, and what was stored as of a later time
    /// keeps no present sample out. To be called about every second.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_now(&self, now_ms: i64) -> Result<(), Error> {
        self.with(|opening| opening.set_now(now_ms))
    }

    /// The time that was told last; `None` before the first time.
    #[must_use]
    pub fn now_ms(&self) -> Option<i64> {
        self.enter().ok()?.now_ms()
    }

    /// The time that an earlier process was told last, within a minute; where none was, about that of the newest stored
    /// sample. `None` for a new directory. What [`crate::Clock`] begins with.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn last_told_ms(&self) -> Result<Option<i64>, Error> {
        self.with(|opening| opening.last_told_ms())
    }

    /// Drops the buckets and partitions that lie wholly before the retention, and forgets what only they used. To be called
    /// about every minute. Returns how many went.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn enforce_retention(&self, now_ms: i64) -> Result<usize, Error> {
        self.with(|opening| opening.enforce_retention(now_ms))
    }

    /// Drops the oldest partitions and buckets until the data directory has at most about `bytes_max`; the newest bucket
    /// always stays. Returns how many went.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn enforce_size(&self, bytes_max: u64) -> Result<usize, Error> {
        self.with(|opening| opening.enforce_size(bytes_max))
    }

    /// Turns the rows of all buckets that ended well before `now_ms` into pages, and merges small partitions.
    /// The database's own thread does this; tests and tools may.
    ///
    /// # Errors
    /// When the store cannot be read or written. What was done until then stays done.
    pub fn seal(&self, now_ms: i64) -> Result<Sealed, Error> {
        self.with(|opening| opening.seal(now_ms))
    }

    pub(crate) fn seal_paced(&self, now_ms: i64, pace: &mut Pace<'_>) -> Result<Sealed, Error> {
        let pace = std::cell::RefCell::new(pace);
        self.with(|opening| opening.seal_paced(now_ms, &mut **pace.borrow_mut()))
    }

    pub(crate) fn seal_with(&self, sealer: Sealer) {
        *lock(&self.sealer) = Some(sealer);
    }

    pub(crate) fn count_seal_failure(&self) {
        self.metrics.seal_failures.inc();
    }

    /// The length of a bucket.
    pub(crate) fn bucket_ms(&self) -> u32 {
        self.enter().map_or(self.options.bucket_ms, |opening| opening.store.bucket_ms)
    }

    /// Makes `directory`, which must not exist yet, a database of its own with everything committed until now. Its parent
    /// is made if missing. On the same file system as the database it shares the files that both have.
    ///
    /// # Errors
    /// When the directory exists or cannot be written.
    pub fn snapshot(&self, directory: &Path) -> Result<(), Error> {
        self.with(|opening| opening.snapshot(directory))
    }

    /// Bytes that the store may still take of [`crate::Options::memory_bytes`], at most.
    #[must_use]
    pub fn memory_unused(&self) -> usize {
        self.enter_query().map_or(0, |opening| opening.memory_unused())
    }

    /// Counts what is stored; the lists have at most `limit` entries.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn stats(&self, limit: usize) -> Result<Stats, Error> {
        let opening = self.enter_query()?;
        let counted = opening.stats(limit);
        self.note(&opening, &counted);
        counted
    }
}
