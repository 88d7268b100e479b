//! Which times count: what time it is, how long samples are kept, how late they may come.

use std::sync::atomic::{AtomicI64, Ordering};

use model::Timestamp;

use crate::atomic_timestamp::AtomicTimestamp;
use crate::limits;

/// The times that an open database goes by. [`Timestamp::MIN`] means unknown.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// How long samples are kept; 0 for ever.
    pub(crate) retention_ms: AtomicI64,
    /// Nothing before this is kept or taken.
    pub(crate) horizon: AtomicTimestamp,
    /// The newest row since the start.
    pub(crate) newest: AtomicTimestamp,
    /// How far behind the newest sample one may lie that comes out of order; 0 refuses all.
    out_of_order_ms: AtomicI64,
    /// What time it is, as far as old data is concerned ([`crate::Clock`]).
    pub(crate) now: AtomicTimestamp,
    /// What of it was stored last for the next start.
    pub(crate) stored_now: AtomicTimestamp,
}

impl Bounds {
    pub(crate) fn new(horizon: Timestamp) -> Self {
        Self {
            retention_ms: AtomicI64::new(0),
            horizon: AtomicTimestamp::new(horizon),
            newest: AtomicTimestamp::new(Timestamp::MIN),
            out_of_order_ms: AtomicI64::new(0),
            now: AtomicTimestamp::new(Timestamp::MIN),
            stored_now: AtomicTimestamp::new(Timestamp::MIN),
        }
    }

    pub(crate) fn set_out_of_order_window(&self, window_ms: i64) {
        self.out_of_order_ms.store(window_ms.max(0), Ordering::Release);
    }

    /// From when on a sample is taken although its series has a later one; [`Timestamp::MAX`] when never.
    pub(crate) fn out_of_order_from(&self) -> Timestamp {
        match (self.out_of_order_ms.load(Ordering::Acquire), self.newest.load(Ordering::Relaxed)) {
            (0, _) | (_, Timestamp::MIN) => Timestamp::MAX,
            // One sample of the far future must not move the window past everything that still comes in.
            (window_ms, newest) => newest.min(self.present_until()).saturating_sub(window_ms),
        }
    }

    /// What lies after this was stored while the clock was wrong, or comes from a target whose clock is.
    pub(crate) fn present_until(&self) -> Timestamp {
        match self.now.load(Ordering::Relaxed) {
            Timestamp::MIN => Timestamp::MAX,
            now => now.saturating_add(limits::AHEAD_MS),
        }
    }

    /// What time it is, if that is known.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        Some(self.now.load(Ordering::Acquire)).filter(|now| *now != Timestamp::MIN)
    }
}
