//! What is kept beside the database to repair it, as it is synced: the MANIFEST a second time, and how far the write-ahead
//! logs reach.
//!
//! Invariant: nothing is written by the path of the directory when another lies there.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rocksdb::FlushOptions;

use crate::cache::lock;
use crate::error::Error;
use crate::kv::schema::{Cf, META_LOG};
use crate::kv::store::Store;
use crate::limits;
use crate::quarantine::manifest_copy::Spare;
use crate::quarantine::wal::{self, Synced};

/// What is kept, as of the last sync.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    spare: Spare,
    synced: Synced,
    /// The logs there were.
    logs: Vec<u64>,
    /// When copies were last written to a file.
    flushed: Option<Instant>,
}

/// What tells a directory from another at the same path: its device and inode.
pub(crate) type Identity = (u64, u64);

/// That of what lies at a path.
pub(crate) fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

impl Store {
    /// Is the directory where it was opened?
    pub(crate) fn is_in_place(&self) -> bool {
        identity(self.db.path()) == self.identity
    }

    /// An earlier opening had rows until then.
    pub(crate) fn go_on_from(&self, newest_ms: i64) {
        self.newest_ms.fetch_max(newest_ms, Ordering::Relaxed);
        lock(&self.beside).synced.newest_ms = newest_ms;
    }

    /// Has the log on the disk, and what helps to repair it beside it.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        let sequence = self.db.latest_sequence_number();
        let newest_ms = self.newest_ms.load(Ordering::Relaxed);
        self.sync_log()?;
        if !self.is_in_place() {
            return Ok(());
        }
        let flushed = lock(&self.beside).flushed;
        if flushed.is_none_or(|flushed| flushed.elapsed() >= limits::COPIES_FLUSHED_EVERY) {
            self.flush_copies()?;
        }
        if let Err(error) = self.keep_beside(sequence, newest_ms) {
            tracing::warn!(%error, "cannot keep beside the database what would help to repair it");
        }
        Ok(())
    }

    /// Has copies in a file, if there are new ones: what ids stand for is otherwise in the log alone for hours, and with it
    /// all that is stored under them.
    pub(crate) fn flush_copies(&self) -> Result<(), Error> {
        if self.copied.swap(0, Ordering::Relaxed) == 0 {
            return Ok(());
        }
        lock(&self.beside).flushed = Some(Instant::now());
        self.db.flush_cf(self.cf(Cf::Copies)).map_err(|source| self.write_error(source))
    }

    /// Keeps the MANIFEST twice, where nothing was written since that was last done.
    pub(crate) fn keep_manifest(&self) {
        if !self.is_in_place() {
            return;
        }
        if let Err(error) = lock(&self.beside).spare.keep(self.db.path()) {
            tracing::warn!(%error, "cannot keep the MANIFEST twice");
        }
    }

    fn keep_beside(&self, sequence: u64, newest_ms: i64) -> std::io::Result<()> {
        let path = self.db.path();
        let beside = &mut *lock(&self.beside);
        beside.spare.keep(path)?;
        let mut logs = wal::logs(path)?;
        // There is always the one that is written to.
        if logs.is_empty() || wal::is_needed(path, &beside.logs, &logs)? {
            tracing::error!("a write-ahead log was removed; what it held is written to files");
            self.leave_log().map_err(std::io::Error::other)?;
            logs = wal::logs(path)?;
        }
        let log = logs.first().copied().unwrap_or_default();
        let log_since_ms = if log == beside.synced.log { beside.synced.log_since_ms } else { beside.synced.newest_ms };
        beside.synced = Synced { sequence, newest_ms, log, log_since_ms };
        beside.logs = logs;
        beside.synced.write(path)
    }

    /// Writes to files what is only in logs, and begins another log: RocksDB does so only where one has been written to.
    fn leave_log(&self) -> Result<(), Error> {
        self.put(Cf::Meta, META_LOG, [])?;
        let families: Vec<_> = Cf::ALL.iter().map(|cf| self.cf(*cf)).collect();
        self.db.flush_cfs_opt(&families, &FlushOptions::default()).map_err(|source| self.write_error(source))
    }
}
