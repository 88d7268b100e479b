//! Which buckets may have been flushed to pages. Whoever writes into one of these must look whether its rows are still there.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Marks that flushing leaves for writers, and writers for flushing.
#[derive(Debug)]
pub(crate) struct FlushMarks {
    /// Buckets that end by this time may have been flushed.
    until_ms: AtomicI64,
    /// How often a row opened a bucket of its source that may have been flushed.
    reopened: AtomicU64,
}

impl FlushMarks {
    pub(crate) fn new(until_ms: i64) -> Self {
        Self { until_ms: AtomicI64::new(until_ms), reopened: AtomicU64::new(0) }
    }

    /// May a bucket that ends then have been flushed?
    pub(crate) fn covers(&self, end_ms: i64) -> bool {
        end_ms <= self.until_ms.load(Ordering::Acquire)
    }

    /// A bucket that ends then is about to be flushed. True where none that ends so late was.
    pub(crate) fn begin(&self, end_ms: i64) -> bool {
        self.until_ms.fetch_max(end_ms, Ordering::AcqRel) < end_ms
    }

    /// How often a flushed bucket was opened again so far.
    pub(crate) fn reopened(&self) -> u64 {
        self.reopened.load(Ordering::Acquire)
    }

    pub(super) fn add_reopened(&self, buckets: u64) {
        self.reopened.fetch_add(buckets, Ordering::AcqRel);
    }
}
