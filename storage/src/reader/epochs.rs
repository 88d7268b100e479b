//! Tells whether what was read of a source earlier still holds.
//!
//! Invariant: a change is open before the first byte of it is visible, and has its second stamp after the last. So what was
//! read at a moment that is no earlier than the last stamp, while nothing is open, lacks no change that anyone can know of.

use std::sync::atomic::{AtomicU64, Ordering};

use model::SourceId;

const SLOTS: usize = 1024;

/// Stamps the changes of sources by a clock of its own; sources that fall on one slot change together.
#[derive(Debug)]
pub(crate) struct Changes {
    clock: AtomicU64,
    /// Changes under way, of any source.
    open: AtomicU64,
    slots: Box<[Slot]>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Changes under way.
    open: AtomicU64,
    /// The latest stamp.
    last: AtomicU64,
}

/// A change under way; dropped when all of it is visible.
#[derive(Debug)]
pub(crate) struct Changing<'a> {
    changes: &'a Changes,
    slots: &'a [Slot],
}

impl Default for Changes {
    fn default() -> Self {
        Self { clock: AtomicU64::new(0), open: AtomicU64::new(0), slots: (0..SLOTS).map(|_| Slot::default()).collect() }
    }
}

impl Changes {
    /// The moment; to be asked for before anything is read.
    pub(crate) fn now(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    /// Does what was read of a source at that moment still hold? To be asked after the snapshot was taken that it is to be
    /// used with, or that it comes from.
    pub(crate) fn none_since(&self, source: SourceId, moment: u64) -> bool {
        let slot = &self.slots[source.0 as usize % SLOTS];
        // In this order: a change that ends between the two has its stamp.
        slot.open.load(Ordering::SeqCst) == 0 && slot.last.load(Ordering::SeqCst) <= moment
    }

    /// Was nothing of any source under way at that moment, nor since? To be asked after the snapshot was taken: it then shows
    /// what every other shows of which the same was true.
    pub(crate) fn quiet_since(&self, moment: u64) -> bool {
        // In this order: a change that begins between the two writes after it, and so after the snapshot.
        self.open.load(Ordering::SeqCst) == 0 && self.clock.load(Ordering::SeqCst) == moment
    }

    /// To be called before anything of the source is written of which these tell.
    pub(crate) fn of(&self, source: SourceId) -> Changing<'_> {
        let slot = source.0 as usize % SLOTS;
        self.open(&self.slots[slot..=slot])
    }

    /// The same for all sources.
    pub(crate) fn of_all(&self) -> Changing<'_> {
        self.open(&self.slots)
    }

    fn open<'a>(&'a self, slots: &'a [Slot]) -> Changing<'a> {
        self.open.fetch_add(1, Ordering::SeqCst);
        slots.iter().for_each(|slot| {
            slot.open.fetch_add(1, Ordering::SeqCst);
        });
        self.stamp(slots);
        Changing { changes: self, slots }
    }

    fn stamp(&self, slots: &[Slot]) {
        let stamp = self.clock.fetch_add(1, Ordering::SeqCst) + 1;
        slots.iter().for_each(|slot| {
            slot.last.fetch_max(stamp, Ordering::SeqCst);
        });
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.changes.stamp(self.slots);
        self.slots.iter().for_each(|slot| {
            slot.open.fetch_sub(1, Ordering::SeqCst);
        });
        self.changes.open.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_holds_while_a_change_is_open_and_nothing_older_after_it() {
        let changes = Changes::default();
        let (one, other) = (SourceId(1), SourceId(2));
        let before = changes.now();
        assert!(changes.none_since(one, before) && changes.quiet_since(before));
        let first = changes.of(one);
        let second = changes.of(one);
        let during = changes.now();
        assert!(!changes.quiet_since(before) && !changes.quiet_since(during));
        drop(first);
        assert!(!changes.quiet_since(changes.now()), "the second is open");
        assert!(!changes.none_since(one, during), "the second is open");
        drop(second);
        assert!(!changes.none_since(one, during), "read before its end");
        assert!(changes.none_since(one, changes.now()) && changes.quiet_since(changes.now()));
        assert!(changes.none_since(other, before));
        drop(changes.of_all());
        assert!(!changes.none_since(other, during));
    }
}
