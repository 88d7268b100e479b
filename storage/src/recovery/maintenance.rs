//! Background work, deletions and counts, through whichever opening of the directory there is.

use std::io;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::{Exemplar, Grow, Labels, Matcher, QuerierError, Timestamp};

use super::worker::Worker;
use super::{Db, StoreError as _};
use crate::cardinality::Cardinality;
use crate::compaction::pace::{Compacted, Pace};
use crate::error::Error;
use crate::partition_stats::PartitionStats;
use crate::stats::Stats;
use crate::tombstones::RetentionRule;

impl Db {
    /// How long samples are kept from now on, milliseconds; 0 keeps them for ever.
    pub fn set_retention(&self, retention_ms: i64) {
        // Remembered first: an opening that begins just now then starts with it.
        self.settings.lock().retention_ms = Some(retention_ms);
        if let Ok(opening) = self.enter() {
            opening.set_retention(retention_ms);
        }
    }

    /// How far behind the newest sample of the database a sample may lie that comes out of order, milliseconds; 0 refuses
    /// all.
    pub fn set_out_of_order_window(&self, window_ms: i64) {
        self.settings.lock().out_of_order_ms = Some(window_ms);
        if let Ok(opening) = self.enter() {
            opening.set_out_of_order_window(window_ms);
        }
    }

    /// Replaces the retention rules. They act when partitions are merged, and on partitions wholly past them.
    pub fn set_retention_rules(&self, rules: Vec<RetentionRule>) {
        self.settings.lock().rules = Some(rules.clone());
        if let Ok(opening) = self.enter() {
            opening.set_retention_rules(rules);
        }
    }

    /// How many exemplars are kept, of all series together; 0 keeps none, which is what a database starts with.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn set_exemplars_max(&self, max: usize) -> Result<(), Error> {
        self.settings.lock().exemplars_max = Some(max);
        self.with(|opening| opening.set_exemplars_max(max))
    }

    /// The number after the last of at most so many exemplars that are kept from a number on, and these with their series, in the
    /// order in which they were stored.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn exemplars_since(&self, number: u64, most: usize) -> Result<(u64, Vec<(Labels, Exemplar)>), Error> {
        let opening = self.enter_query()?;
        let found = opening.exemplars_since(number, most);
        self.note(&opening, &found);
        found
    }

    /// The exemplars of a stretch of time, first and last millisecond, of the series that any of these selectors match:
    /// by series, in their order, the oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: (Timestamp, Timestamp),
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, Error> {
        // As a query, which does not wait for the directory to be opened again.
        let opening = self.enter_query()?;
        let found = opening.exemplars(selectors, range);
        self.note(&opening, &found);
        found
    }

    /// Deletes the samples from `start` to `end`, both included, of the series that all matchers select. They are
    /// gone for every reader at once, and from the disk after [`Db::clean_deleted`] or the next merge. Samples that come
    /// in later are not touched: the end is cut to the newest sample there is.
    ///
    /// # Errors
    /// When the store cannot be read or written; then nothing is deleted.
    pub fn delete(&self, matchers: &[Matcher], start: Timestamp, end: Timestamp) -> Result<(), Error> {
        self.with(|opening| opening.delete(matchers, start, end))
    }

    /// Takes deleted samples out of rows and pages, so that they are gone from the disk too.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn clean_deleted(&self) -> Result<(), Error> {
        self.with(|opening| opening.clean_deleted())
    }

    /// Sets the current time, as [`crate::Clock`] gives it: retention rules go by it, and what was stored as of a later time
    /// keeps no present sample out. To be called about every second.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_now(&self, now: Timestamp) -> Result<(), Error> {
        self.with(|opening| opening.set_now(now))
    }

    /// The time that was last set by [`Db::set_now`]; `None` before the first time.
    #[must_use]
    pub fn now(&self) -> Option<Timestamp> {
        self.enter().ok()?.now()
    }

    /// The time that an earlier process stored last, within a minute; where none was, about that of the newest stored
    /// sample. `None` for a new directory. What [`crate::Clock`] begins with.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn last_told(&self) -> Result<Option<Timestamp>, Error> {
        self.with(|opening| opening.last_told())
    }

    /// Drops the buckets and partitions that lie wholly before the retention, and forgets what only they used. To be called
    /// about every minute. Returns how many went.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn enforce_retention(&self, now: Timestamp) -> Result<usize, Error> {
        self.with(|opening| opening.enforce_retention(now))
    }

    /// Drops the oldest partitions and buckets until the data directory has at most about `bytes_max`; the newest bucket
    /// always stays. Returns how many went.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn enforce_size(&self, bytes_max: u64) -> Result<usize, Error> {
        self.with(|opening| opening.enforce_size(bytes_max))
    }

    /// Writes the rows of all buckets that ended well before `now` as pages, and merges small partitions.
    /// The database's own thread does this; tests and tools may.
    ///
    /// # Errors
    /// When the store cannot be read or written. What was done until then stays done.
    pub fn compact(&self, now: Timestamp) -> Result<Compacted, Error> {
        self.with(|opening| opening.compact(now))
    }

    pub(super) fn compact_paced(&self, now: Timestamp, pace: &mut Pace<'_>) -> Result<Compacted, Error> {
        let pace = std::cell::RefCell::new(pace);
        self.with(|opening| opening.compact_paced(now, &mut **pace.borrow_mut()))
    }

    /// Has a thread of the database's own call [`Db::compact`] by the system's clock, until [`Db::close`]. It works a quarter
    /// of the time at most.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub fn start_compaction(self: &Arc<Self>) -> io::Result<()> {
        // By the length of a bucket, so that it is flushed soon after its end.
        let every = Duration::from_millis(u64::from(self.bucket_ms() / 6).clamp(1000, 300_000));
        let db = Arc::downgrade(self);
        let worker = Worker::start(every, move |pace| {
            // The thread must not keep the database alive.
            let Some(db) = db.upgrade() else { return ControlFlow::Break(()) };
            if let Err(error) = db.compact_paced(Timestamp::now(), pace) {
                db.metrics.seal_failures.inc();
                tracing::error!(%error, "cannot write rows as pages; they stay as they are until the next round");
            }
            ControlFlow::Continue(())
        })?;
        *self.worker.lock() = Some(worker);
        Ok(())
    }

    /// The length of a bucket.
    fn bucket_ms(&self) -> u32 {
        self.enter().map_or(self.options.bucket_ms, |opening| opening.components.store.bucket_ms)
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

    /// How much there is in each stretch of time that is kept and dropped as a whole, by start.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn partitions(&self) -> Result<Vec<PartitionStats>, Error> {
        let opening = self.enter_query()?;
        let counted = opening.partitions();
        self.note(&opening, &counted);
        counted
    }

    /// Counts the series of a range of time by the values of a label; those are new that are not in the range before. `grow` is told
    /// what that takes.
    ///
    /// # Errors
    /// When the store cannot be read, or `grow` refuses.
    pub fn cardinality(
        &self,
        label: &str,
        range: &RangeInclusive<Timestamp>,
        before: &RangeInclusive<Timestamp>,
        grow: &Grow<'_>,
    ) -> Result<Cardinality, QuerierError> {
        let opening = self.enter_query().map_err(QuerierError::from_store)?;
        let counted = opening.cardinality(label, (range, before), grow);
        self.note(&opening, &counted);
        counted
    }

    /// The start of the oldest bucket that is stored; `None` when there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn start_time(&self) -> Result<Option<Timestamp>, Error> {
        let opening = self.enter_query()?;
        let first = opening.start_time();
        self.note(&opening, &first);
        first
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
