//! Recovery: the database as its users hold it. When something stored turns out to be damaged, the directory is closed and
//! opened again within the process: damaged files are set aside and the index is rebuilt, as at a start.
//!
//! Invariants: RocksDB is closed only when nobody uses it. Appends and background work wait meanwhile and are tried again;
//! a query that is open is told to end, one that begins just then is refused, since its thread may hold another.

use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};

use crate::db::{Carried, Db as Opening};
use crate::error::Error;
use crate::limits;
use crate::metrics::Metrics;
use crate::open;
use crate::open::prometheus_data;
use crate::options::Options;
use crate::quarantine::manifest_copy::is_database;
use crate::quarantine::record::{QuarantineRecord, read_records};
use crate::tombstones::RetentionRule;
use worker::Worker;

mod append;
mod maintenance;
mod query;
mod watch;
mod worker;

/// An open database. Shared by reference (it is `Send` and `Sync`); closed by [`Db::close`] or by dropping it.
pub struct Db {
    /// `None` while the directory cannot be opened.
    current: RwLock<Option<Arc<Opening>>>,
    phase: AtomicU8,
    /// Counts the openings.
    number: AtomicU64,
    /// Held by whoever opens the directory again.
    reopening: Mutex<Reopening>,
    /// Notified when someone stops using an opening that is to be closed.
    unused: (Mutex<()>, Condvar),
    settings: Mutex<Settings>,
    closing: AtomicBool,
    worker: Mutex<Option<Worker>>,
    metrics: Metrics,
    registry: prometheus::Registry,
    options: Options,
    /// Locked as long as the database is open: another process can take RocksDB's LOCK once that file was deleted.
    directory: Mutex<Option<File>>,
    /// Is it no longer where it was opened?
    away: AtomicBool,
    /// When it was last reopened because it had become writable again.
    written_again: Mutex<Option<Instant>>,
}

/// What was set since the start, for the next opening.
#[derive(Debug, Default)]
struct Settings {
    retention_ms: Option<i64>,
    out_of_order_ms: Option<i64>,
    rules: Option<Vec<RetentionRule>>,
    exemplars_max: Option<usize>,
}

/// Why the directory is not open, and when that was last tried.
#[derive(Debug, Default)]
struct Reopening {
    failed: Option<(String, Instant)>,
    /// What the opening that was closed last handed over.
    carried: Option<Carried>,
}

/// What an opening is used for.
const OPEN: u8 = 0;
/// Whoever uses it is to end.
const DRAINING: u8 = 1;
/// Nobody uses it: waiting for the next one blocks nobody.
const CLOSED: u8 = 2;

/// An opening in use.
struct InUse<'d> {
    db: &'d Db,
    /// `None` only while dropped.
    opening: Option<Arc<Opening>>,
    number: u64,
}

impl std::ops::Deref for InUse<'_> {
    type Target = Opening;

    fn deref(&self) -> &Opening {
        self.opening.as_ref().expect("BUG: it is in use")
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.opening.take();
        // Only then somebody may wait for the last user.
        if self.db.phase.load(Ordering::SeqCst) == DRAINING {
            let _waiting = self.db.unused.0.lock();
            self.db.unused.1.notify_all();
        }
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Db {
    /// Opens the directory, making it if there is none, and registers the store's own metrics.
    ///
    /// # Errors
    /// When the directory is in use, of another format, not writable or damaged, each by its own name.
    pub fn open(options: Options, registry: &prometheus::Registry) -> Result<Self, Error> {
        let start = |source| Error::Start { path: options.path.clone(), source };
        let metrics = Metrics::new().map_err(|e| start(Box::new(e)))?;
        // Before anything in it is looked at, so that no other process repairs it at the same time.
        let directory = open::lock_directory(&options)?;
        if let Some(found) = prometheus_data::of_prometheus(&options.path) {
            let path = options.path.display();
            tracing::info!(%path, found, "the data directory holds a Prometheus database, too; its files stay as they are");
        }
        let opening = Opening::start(&options, &metrics, None)?;
        metrics.register(registry).map_err(|e| start(Box::new(e)))?;
        Ok(Self {
            current: RwLock::new(Some(Arc::new(opening))),
            phase: AtomicU8::new(OPEN),
            number: AtomicU64::new(0),
            reopening: Mutex::default(),
            unused: Default::default(),
            settings: Mutex::default(),
            closing: AtomicBool::new(false),
            worker: Mutex::default(),
            metrics,
            registry: registry.clone(),
            options,
            directory: Mutex::new(directory),
            away: AtomicBool::new(false),
            written_again: Mutex::default(),
        })
    }

    /// Why nothing is written now, if that is so: the log could not be written, or something damaged could not be set
    /// aside. A full disk is no such reason.
    #[must_use]
    pub fn stopped(&self) -> Option<String> {
        if self.away.load(Ordering::Acquire) {
            return Some(model::with_causes(&self.is_away()));
        }
        match self.enter_query() {
            Ok(opening) => opening.components.store.stopped(),
            // Being opened again takes a moment.
            Err(Error::Reopening) => None,
            Err(error) => Some(model::with_causes(&error)),
        }
    }

    /// What cannot be read, as far as it was met: files that were set aside (also by earlier processes) and keys that were
    /// passed over. The latest last, a bounded number.
    #[must_use]
    pub fn quarantine_records(&self) -> Vec<QuarantineRecord> {
        match self.enter_query() {
            Ok(opening) => opening.components.records.all(),
            Err(_) => read_records(&self.options.path),
        }
    }

    /// Refuses further rows and syncs the write-ahead log. Reads go on until the database is dropped.
    ///
    /// # Errors
    /// When the log cannot be synced.
    pub fn close(&self) -> Result<(), Error> {
        // First of all: from here on nothing is opened again.
        self.closing.store(true, Ordering::SeqCst);
        // Taken out first: whoever joins a thread must not hold what it may want.
        let worker = self.worker.lock().take();
        drop(worker);
        let current = self.current.read().clone();
        match current {
            Some(opening) => opening.close(),
            None => Ok(()),
        }
    }

    fn in_use(&self, current: &Option<Arc<Opening>>) -> Option<InUse<'_>> {
        let opening = Some(Arc::clone(current.as_ref()?));
        Some(InUse { db: self, opening, number: self.number.load(Ordering::SeqCst) })
    }

    /// The directory, open; waits while it is being opened again. For whoever holds no selection.
    fn enter(&self) -> Result<InUse<'_>, Error> {
        if self.away.load(Ordering::Acquire) {
            return Err(self.is_away());
        }
        loop {
            let current = self.current.read();
            if let Some(in_use) = self.in_use(&current) {
                return Ok(in_use);
            }
            let number = self.number.load(Ordering::SeqCst);
            drop(current);
            self.reopen(number)?;
        }
    }

    /// The same for queries: one thread may hold several, so that it must not wait for those to end.
    fn enter_query(&self) -> Result<InUse<'_>, Error> {
        let current = match self.current.try_read() {
            Some(current) => current,
            None if self.phase.load(Ordering::SeqCst) == DRAINING => return Err(Error::Reopening),
            None => self.current.read(),
        };
        if let Some(in_use) = self.in_use(&current) {
            return Ok(in_use);
        }
        drop(current);
        let cause = self.reopening.lock().failed.as_ref().map(|(cause, _)| cause.clone());
        Err(Error::Unavailable { cause: cause.unwrap_or_else(|| "the database is closed".to_owned()) })
    }

    /// Does something for which the directory must be open. If something is damaged that it needs, or that was met before,
    /// that is set aside or rebuilt first, and it is tried again.
    fn with<T, E: StoreError>(&self, work: impl Fn(&Opening) -> Result<T, E>) -> Result<T, E> {
        let mut left = limits::REOPENED_FOR_ONE;
        loop {
            let mut opening = self.enter().map_err(E::from_store)?;
            // Bounded: damage that comes back each time must not loop for ever.
            let mut is_last = left == 0 || self.closing.load(Ordering::SeqCst);
            if opening.components.records.needs_reopening() && !is_last {
                left -= 1;
                if self.leave_and_reopen(opening).is_ok() {
                    continue;
                }
                // What is wrong may be nothing that this needs.
                opening = self.enter().map_err(E::from_store)?;
                is_last = true;
            }
            let done = work(&opening);
            self.note(&opening, &done);
            let again = done.as_ref().is_err_and(|error| {
                error.of_store().is_some_and(|error| error.is_damage() || matches!(error, Error::Reopening))
            });
            if is_last || !opening.components.records.needs_reopening() {
                return done;
            }
            left -= 1;
            // What is done is done; the next who comes need not wait for it.
            let reopened = self.leave_and_reopen(opening);
            if !again {
                return done;
            }
            reopened.map_err(E::from_store)?;
        }
    }

    /// Remembers what an error says of damage.
    fn note<T, E: StoreError>(&self, opening: &Opening, done: &Result<T, E>) {
        if let Err(error) = done
            && let Some(error) = error.of_store().filter(|error| error.is_damage())
        {
            opening.components.store.damaged(&model::with_causes(error));
        }
    }

    fn leave_and_reopen(&self, opening: InUse<'_>) -> Result<(), Error> {
        let number = opening.number;
        // Whoever reopens the directory waits until nobody uses it: this thread must not either.
        drop(opening);
        self.reopen(number)
    }

    /// Closes an opening, unless someone else did, and opens the directory again.
    fn reopen(&self, number: u64) -> Result<(), Error> {
        let mut reopening = self.reopening.lock();
        // Another caller met the same damage and has reopened the directory.
        if self.number.load(Ordering::SeqCst) != number {
            return Ok(());
        }
        if let Some((cause, when)) = &reopening.failed
            // Opening is expensive, and every append would try it.
            && when.elapsed() < limits::REOPEN_EVERY
        {
            return Err(Error::Unavailable { cause: cause.clone() });
        }
        if self.closing.load(Ordering::SeqCst) {
            return Err(Error::Unavailable { cause: "the database is closing".to_owned() });
        }
        self.phase.store(DRAINING, Ordering::SeqCst);
        let mut current = self.current.write();
        let opened = self.replace(&mut current, &mut reopening);
        self.phase.store(OPEN, Ordering::SeqCst);
        opened
    }

    fn replace(&self, current: &mut Option<Arc<Opening>>, reopening: &mut Reopening) -> Result<(), Error> {
        if let Some(mut opening) = current.take() {
            // Scans look at it between tasks, and background work between writes.
            opening.components.drain.set(true);
            let since = Instant::now();
            let mut waiting = self.unused.0.lock();
            let only = loop {
                match Arc::try_unwrap(opening) {
                    Ok(only) => break only,
                    Err(used) if since.elapsed() > limits::REOPEN_PATIENCE => {
                        used.components.drain.set(false);
                        *current = Some(used);
                        let cause =
                            "something stored is damaged, and a query does not end so that it could be set aside";
                        return Err(Error::Unavailable { cause: cause.to_owned() });
                    }
                    Err(used) => opening = used,
                }
                self.unused.1.wait_for(&mut waiting, Duration::from_millis(20));
            };
            drop(waiting);
            tracing::warn!("stored data is damaged: reopening the database without it");
            // What the next opening cannot read from the disk.
            reopening.carried = Some(only.carried());
            self.leave(only);
        }
        self.phase.store(CLOSED, Ordering::SeqCst);
        if !is_database(&self.options.path) {
            // Opening it would make a new one.
            let cause = format!("the data directory {} is gone or empty", self.options.path.display());
            reopening.failed = Some((cause.clone(), Instant::now()));
            return Err(Error::Unavailable { cause });
        }
        let carried = reopening.carried.take();
        let again = Opening::start(&self.options, &self.metrics, carried.as_ref());
        match again.and_then(|opening| self.settings.lock().apply(&opening).map(|()| opening)) {
            Ok(opening) => {
                self.metrics.reopened.inc();
                self.number.fetch_add(1, Ordering::SeqCst);
                reopening.failed = None;
                *current = Some(Arc::new(opening));
                Ok(())
            }
            Err(error) => {
                let cause = model::with_causes(&error);
                tracing::error!(error = cause, "cannot reopen the database; trying again every few seconds");
                reopening.failed = Some((cause, Instant::now()));
                // For the next attempt.
                reopening.carried = carried;
                Err(error)
            }
        }
    }
}

impl Settings {
    fn apply(&self, opening: &Opening) -> Result<(), Error> {
        self.retention_ms.iter().for_each(|retention_ms| opening.set_retention(*retention_ms));
        self.out_of_order_ms.iter().for_each(|window_ms| opening.set_out_of_order_window(*window_ms));
        self.rules.iter().for_each(|rules| opening.set_retention_rules(rules.clone()));
        self.exemplars_max.iter().try_for_each(|max| opening.set_exemplars_max(*max))
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        let worker = self.worker.lock().take();
        drop(worker);
        self.metrics.unregister(&self.registry);
    }
}

/// An error that may be one of the store's.
trait StoreError {
    fn of_store(&self) -> Option<&Error>;
    fn from_store(error: Error) -> Self;
}

impl StoreError for Error {
    fn of_store(&self) -> Option<&Error> {
        Some(self)
    }

    fn from_store(error: Error) -> Self {
        error
    }
}
