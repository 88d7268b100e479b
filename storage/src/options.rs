//! What the caller decides about a database.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::CommitObserver;

/// How a database is opened. [`Options::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory; made if it does not exist.
    pub path: PathBuf,
    /// How long samples are kept, milliseconds; 0 keeps them for ever. Applied by [`crate::Db::enforce_retention`].
    pub retention_ms: i64,
    /// The length of a bucket of time, milliseconds. A directory keeps the length it was made with.
    pub bucket_ms: u32,
    /// How far a sample with its own time may lie before the newest of its source, milliseconds.
    pub late_ms: i64,
    /// What memtables and block cache take together, at most.
    pub memory_bytes: usize,
    /// How often the write-ahead log is synced to the disk: a power failure costs at most this.
    pub sync_interval: Duration,
    /// The write-ahead log is cut short at this size; what is replayed at a start is bounded by it.
    pub wal_bytes: u64,
    /// Who is told of every write of samples, before it.
    pub commits: Option<Arc<dyn CommitObserver>>,
}

impl Options {
    /// The defaults for a directory.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            retention_ms: 15 * 24 * 60 * 60 * 1000,
            bucket_ms: 30 * 60 * 1000,
            late_ms: 60 * 60 * 1000,
            memory_bytes: 256 << 20,
            sync_interval: Duration::from_secs(1),
            wal_bytes: 64 << 20,
            commits: None,
        }
    }

    /// Why these options cannot work, if they cannot.
    pub(crate) fn refused(&self) -> Option<String> {
        if self.bucket_ms == 0 || self.bucket_ms > 24 * 60 * 60 * 1000 {
            return Some(format!("bucket_ms is {}, and must be from 1 to 86400000 (a day)", self.bucket_ms));
        }
        if self.memory_bytes < 8 << 20 {
            return Some(format!("memory_bytes is {}, and must be at least 8388608 (8 MiB)", self.memory_bytes));
        }
        if self.retention_ms < 0 || self.late_ms < 0 {
            return Some("retention_ms and late_ms must not be negative".to_owned());
        }
        if self.sync_interval.is_zero() {
            return Some("sync_interval must be longer than 0".to_owned());
        }
        None
    }
}
