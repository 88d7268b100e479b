//! Which buckets may have been flushed to pages. Whoever writes into one of these must look whether its rows are still there.

use std::sync::atomic::{AtomicU64, Ordering};

use model::Timestamp;

use crate::atomic_timestamp::AtomicTimestamp;

/// Marks that flushing leaves for writers, and writers for flushing.
#[derive(Debug)]
pub(crate) struct FlushMarks {
    /// Buckets that end by this time may have been flushed.
    until: AtomicTimestamp,
    /// How often a row opened a bucket of its source that may have been flushed.
    reopened: AtomicU64,
}

impl FlushMarks {
    pub(crate) fn new(until: Timestamp) -> Self {
        Self { until: AtomicTimestamp::new(until), reopened: AtomicU64::new(0) }
    }

    /// May a bucket that ends then have been flushed?
    pub(crate) fn covers(&self, end: Timestamp) -> bool {
        end <= self.until.load(Ordering::Acquire)
    }

    /// A bucket that ends then is about to be flushed. True where none that ends so late was.
    pub(crate) fn begin(&self, end: Timestamp) -> bool {
        self.until.fetch_max(end, Ordering::AcqRel) < end
    }

    /// How often a flushed bucket was opened again so far.
    pub(crate) fn reopened(&self) -> u64 {
        self.reopened.load(Ordering::Acquire)
    }

    pub(super) fn add_reopened(&self, buckets: u64) {
        self.reopened.fetch_add(buckets, Ordering::AcqRel);
    }
}
