//! What is kept beside the database to repair it, as it is synced: a copy of the MANIFEST, and how far the write-ahead logs
//! reach.
//!
//! Invariant: nothing is written by the path of the directory when another lies there.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use rocksdb::FlushOptions;

use super::manifest_copy::ManifestCopy;
use super::wal::{self, Synced};
use crate::kv::error::Error;
use crate::kv::schema::{Cf, META_LOG};
use crate::kv::store::Store;
use crate::limits;

/// Keeps what repairs need.
#[derive(Debug)]
pub(crate) struct Safeguards {
    kept: Mutex<Kept>,
    /// The newest row, as far as it is known.
    newest_ms: AtomicI64,
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

impl Default for Safeguards {
    fn default() -> Self {
        Self { kept: Mutex::default(), newest_ms: AtomicI64::new(i64::MIN) }
    }
}

impl Safeguards {
    /// An earlier opening had rows until then.
    pub(crate) fn go_on_from(&self, newest_ms: i64) {
        self.row_at(newest_ms);
        self.kept.lock().synced.newest_ms = newest_ms;
    }

    /// A row of that time was, or is just being, stored.
    pub(crate) fn row_at(&self, ts_ms: i64) {
        self.newest_ms.fetch_max(ts_ms, Ordering::Relaxed);
    }

    /// Syncs the write-ahead log to the disk, and what helps to repair it beside it.
    pub(crate) fn sync(&self, store: &Store) -> Result<(), Error> {
        let sequence = store.db.latest_sequence_number();
        let newest_ms = self.newest_ms.load(Ordering::Relaxed);
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
        if let Err(error) = self.keep(store, sequence, newest_ms) {
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

    fn keep(&self, store: &Store, sequence: u64, newest_ms: i64) -> std::io::Result<()> {
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
        let log_since_ms = if log == kept.synced.log { kept.synced.log_since_ms } else { kept.synced.newest_ms };
        kept.synced = Synced { sequence, newest_ms, log, log_since_ms };
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
