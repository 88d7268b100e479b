//! A point in time that threads share.

use std::sync::atomic::{AtomicI64, Ordering};

use model::Timestamp;

/// An atomic [`Timestamp`]; the orderings are those of [`AtomicI64`].
#[derive(Debug)]
pub(crate) struct AtomicTimestamp(AtomicI64);

impl AtomicTimestamp {
    pub(crate) const fn new(ts: Timestamp) -> Self {
        Self(AtomicI64::new(ts.0))
    }

    pub(crate) fn load(&self, order: Ordering) -> Timestamp {
        Timestamp(self.0.load(order))
    }

    pub(crate) fn store(&self, ts: Timestamp, order: Ordering) {
        self.0.store(ts.0, order);
    }

    /// Moves it on to `ts` unless it is there or past it; returns what it was before.
    pub(crate) fn fetch_max(&self, ts: Timestamp, order: Ordering) -> Timestamp {
        Timestamp(self.0.fetch_max(ts.0, order))
    }
}

/// [`Timestamp::MIN`], which stands for "none so far" wherever one of these is used.
impl Default for AtomicTimestamp {
    fn default() -> Self {
        Self::new(Timestamp::MIN)
    }
}
