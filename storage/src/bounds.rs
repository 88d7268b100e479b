//! Which times count: what time it is, how long samples are kept, how late they may come.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::limits;

/// The times that an open database goes by, milliseconds since the epoch. `i64::MIN` means unknown.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// How long samples are kept; 0 for ever.
    pub(crate) retention_ms: AtomicI64,
    /// Nothing before this is kept or taken.
    pub(crate) horizon_ms: AtomicI64,
    /// The newest row since the start.
    pub(crate) newest_ms: AtomicI64,
    /// How far behind the newest sample one may lie that comes out of order; 0 refuses all.
    out_of_order_ms: AtomicI64,
    /// What time it is, as far as old data is concerned ([`crate::Clock`]).
    pub(crate) now_ms: AtomicI64,
    /// What of it was stored last for the next start.
    pub(crate) stored_now_ms: AtomicI64,
}

impl Bounds {
    pub(crate) fn new(horizon_ms: i64) -> Self {
        Self {
            retention_ms: AtomicI64::new(0),
            horizon_ms: AtomicI64::new(horizon_ms),
            newest_ms: AtomicI64::new(i64::MIN),
            out_of_order_ms: AtomicI64::new(0),
            now_ms: AtomicI64::new(i64::MIN),
            stored_now_ms: AtomicI64::new(i64::MIN),
        }
    }

    pub(crate) fn set_out_of_order_window(&self, window_ms: i64) {
        self.out_of_order_ms.store(window_ms.max(0), Ordering::Release);
    }

    /// From when on a sample is taken although its series has a later one; `i64::MAX` when never.
    pub(crate) fn out_of_order_from(&self) -> i64 {
        match (self.out_of_order_ms.load(Ordering::Acquire), self.newest_ms.load(Ordering::Relaxed)) {
            (0, _) | (_, i64::MIN) => i64::MAX,
            (window, newest) => newest.min(self.present_until()).saturating_sub(window),
        }
    }

    /// What lies after this was stored while the clock was wrong, or comes from a target whose clock is.
    pub(crate) fn present_until(&self) -> i64 {
        match self.now_ms.load(Ordering::Relaxed) {
            i64::MIN => i64::MAX,
            now => now.saturating_add(limits::AHEAD_MS),
        }
    }

    /// What time it is, if that is known.
    pub(crate) fn now(&self) -> Option<i64> {
        Some(self.now_ms.load(Ordering::Acquire)).filter(|now| *now != i64::MIN)
    }
}
