//! What a query has done so far, for whoever looks at it while it runs.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::memory::QueryMemory;

/// Counts of one query, which its threads raise now and then.
#[derive(Debug, Default)]
pub struct Progress {
    samples: AtomicU64,
    peak_samples: AtomicUsize,
    /// Not kept alive by this: it goes with the query and its result.
    memory: Mutex<Weak<QueryMemory>>,
}

impl Progress {
    /// Samples that were worked on. Raised by some hundred thousand at a time, so 0 for a query that just began.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }

    /// The most samples that were held at once; known when the query has ended.
    #[must_use]
    pub fn peak_samples(&self) -> usize {
        self.peak_samples.load(Ordering::Relaxed)
    }

    /// Bytes that it holds of the memory of queries.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.memory.lock().upgrade().map_or(0, |memory| memory.used())
    }

    pub(crate) fn begin(&self, memory: &Arc<QueryMemory>) {
        *self.memory.lock() = Arc::downgrade(memory);
    }

    pub(crate) fn add(&self, samples: usize) {
        self.samples.fetch_add(samples as u64, Ordering::Relaxed);
    }

    pub(crate) fn end(&self, peak_samples: usize) {
        // A query that found no memory is tried again, and each attempt counts.
        self.peak_samples.fetch_max(peak_samples, Ordering::Relaxed);
    }
}
