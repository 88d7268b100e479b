//! Whether the store can be written, and why not. RocksDB gives the reason once; its later answers only say that an earlier
//! write failed.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::error::Error;

/// How RocksDB says that a file had an error before, and that the disk is full.
const AGAIN: [&str; 2] = ["Writer has previous error", "Seen error"];
const FULL: &str = "No space left on device";

/// Does RocksDB only say that something failed before?
fn is_again(text: &str) -> bool {
    AGAIN.iter().any(|again| text.contains(again))
}

/// What is known of failed writes.
#[derive(Debug, Default)]
pub(crate) struct WriteHealth {
    /// Held while the log is synced, until it is known why that failed.
    syncing: Mutex<()>,
    /// Did the latest write fail?
    failing: AtomicBool,
    /// Why the latest write failed that gave a reason of its own.
    failed: Mutex<String>,
    /// Why nothing is written until the directory is opened again.
    stopped: Mutex<Option<String>>,
}

impl WriteHealth {
    /// A write succeeded.
    pub(super) fn recovered(&self) {
        if self.failing.load(Ordering::Relaxed) {
            self.failing.store(false, Ordering::Release);
            *self.stopped.lock() = None;
        }
    }

    /// Syncs the log, unless a write failed: to sync a log that could not be written is for RocksDB a worse error than a full
    /// disk, and none that it recovers from by itself.
    pub(super) fn sync(
        &self,
        path: &Path,
        sync: impl FnOnce() -> Result<(), rocksdb::Error>,
    ) -> Result<(), (Error, Option<String>)> {
        let _syncing = self.syncing.lock();
        if self.failing.load(Ordering::Acquire) {
            return Err((Error::WriteStopped { cause: self.failed.lock().clone() }, None));
        }
        sync().map_err(|source| self.failure(path, source))
    }

    /// Why a write failed, and the message to pass on where it tells of damage.
    pub(super) fn write_failed(&self, path: &Path, source: rocksdb::Error) -> (Error, Option<String>) {
        if is_again(source.as_ref()) && self.failed.lock().is_empty() {
            // A sync that is just failing has not said yet why.
            drop(self.syncing.lock());
        }
        self.failure(path, source)
    }

    fn failure(&self, path: &Path, source: rocksdb::Error) -> (Error, Option<String>) {
        let text = source.to_string();
        self.failing.store(true, Ordering::Release);
        if is_again(&text) {
            let mut cause = self.failed.lock().clone();
            if cause.is_empty() {
                // A failure in the background is reported in RocksDB's own log only.
                cause = format!("in the background; {} says why", path.join("LOG").display());
                self.stopped.lock().get_or_insert_with(|| cause.clone());
            }
            return (Error::WriteStopped { cause }, None);
        }
        let full = text.contains(FULL);
        let damage = super::error::is_damage(&source).then(|| text.clone());
        if !full {
            self.stopped.lock().get_or_insert_with(|| text.clone());
        }
        *self.failed.lock() = text;
        let error = if full { Error::DiskFull { path: path.to_owned(), source } } else { Error::write(source) };
        (error, damage)
    }

    /// Why nothing is written until the directory is opened again, if that is so.
    pub(super) fn stopped(&self) -> Option<String> {
        self.stopped.lock().clone()
    }
}
