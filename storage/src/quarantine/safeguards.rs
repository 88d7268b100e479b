//! What is kept beside the database to repair it, as it is synced: a copy of the MANIFEST, and how far the write-ahead logs
//! reach.
//!
//! Invariant: nothing is written by the path of the directory when another lies there.

use std::sync::atomic::Ordering;
use std::time::Instant;

use model::Timestamp;
use parking_lot::Mutex;
use rocksdb::FlushOptions;

use super::manifest_copy::ManifestCopy;
use super::wal::{self, Synced};
use crate::atomic_timestamp::AtomicTimestamp;
use crate::kv::error::Error;
use crate::kv::schema::{Cf, META_LOG};
use crate::kv::store::Store;
use crate::limits;

/// Keeps what repairs need.
#[derive(Debug, Default)]
pub(crate) struct Safeguards {
    kept: Mutex<Kept>,
    /// The newest row, as far as it is known.
    newest: AtomicTimestamp,
}

/// What is kept, as of the last sync.
#[derive(Debug, Default)]
struct Kept {
    manifest: ManifestCopy,
    synced: Synced,
    /// The logs there were.
    logs: Vec<u64>,
    /// When copies were last written to a file.
    copies_flushed: Option<Instant>,
}

impl Safeguards {
    /// An earlier opening had rows until then.
    pub(crate) fn go_on_from(&self, newest: Timestamp) {
        self.row_at(newest);
        self.kept.lock().synced.newest = newest;
    }

    /// A row of that time was, or is just being, stored.
    pub(crate) fn row_at(&self, ts: Timestamp) {
        self.newest.fetch_max(ts, Ordering::Relaxed);
    }

    /// Syncs the write-ahead log to the disk, and what helps to repair it beside it.
    pub(crate) fn sync(&self, store: &Store) -> Result<(), Error> {
        // Both before the sync: what is written during it may not be on the disk when it returns.
        let sequence = store.db.latest_sequence_number();
        let newest = self.newest.load(Ordering::Relaxed);
        store.sync_log()?;
        if !store.is_in_place() {
            return Ok(());
        }
        let flushed = self.kept.lock().copies_flushed;
        if flushed.is_none_or(|flushed| flushed.elapsed() >= limits::COPIES_FLUSHED_EVERY)
            && store.has_unflushed_copies()
        {
            self.kept.lock().copies_flushed = Some(Instant::now());
            store.flush_copies()?;
        }
        if let Err(error) = self.keep(store, sequence, newest) {
            tracing::warn!(%error, "cannot update the copy of the MANIFEST and the file SYNCED, which repairs need");
        }
        Ok(())
    }

    /// Copies the MANIFEST, where nothing was written since that was last done.
    pub(crate) fn keep_manifest(&self, store: &Store) {
        if !store.is_in_place() {
            return;
        }
        if let Err(error) = self.kept.lock().manifest.keep(store.db.path()) {
            tracing::warn!(%error, "cannot copy the MANIFEST");
        }
    }

    fn keep(&self, store: &Store, sequence: u64, newest: Timestamp) -> std::io::Result<()> {
        let path = store.db.path();
        let kept = &mut *self.kept.lock();
        kept.manifest.keep(path)?;
        let mut logs = wal::logs(path)?;
        // There is always the one that is written to.
        if logs.is_empty() || wal::is_needed(path, &kept.logs, &logs)? {
            tracing::error!("a write-ahead log was removed; what it held is written to files");
            leave_log(store).map_err(std::io::Error::other)?;
            logs = wal::logs(path)?;
        }
        let log = logs.first().copied().unwrap_or_default();
        // A log that was not there at the last sync holds nothing older than what was newest then, as a rule.
        let log_since = if log == kept.synced.log { kept.synced.log_since } else { kept.synced.newest };
        kept.synced = Synced { sequence, newest, log, log_since };
        kept.logs = logs;
        kept.synced.write(path)
    }
}

/// Writes to files what is only in logs, and begins another log: RocksDB does so only where one has been written to.
fn leave_log(store: &Store) -> Result<(), Error> {
    store.put(Cf::Meta, META_LOG, [])?;
    let families: Vec<_> = Cf::ALL.iter().map(|cf| store.cf(*cf)).collect();
    store.db.flush_cfs_opt(&families, &FlushOptions::default()).map_err(|source| store.write_error(source))
}
