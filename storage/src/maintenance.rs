//! Who may change what is stored for good: one at a time. Background work gives way to appends between two sources, and goes on
//! after them.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

/// Held by whoever flushes, compacts, deletes, drops, or writes pages.
#[derive(Debug, Default)]
pub(crate) struct Maintenance {
    lock: Mutex<()>,
    /// How many appends wait for it.
    waiting: AtomicUsize,
}

impl Maintenance {
    /// For background work and requests, which wait their turn.
    pub(crate) fn lock(&self) -> MutexGuard<'_, ()> {
        self.lock.lock()
    }

    /// For appends: background work lets them in.
    pub(crate) fn lock_first(&self) -> MutexGuard<'_, ()> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let held = self.lock.lock();
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        held
    }

    /// Does an append wait? To be asked by background work that holds the lock.
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }
}
