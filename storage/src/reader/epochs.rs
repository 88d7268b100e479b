//! Tells whether what was read of a source earlier still holds: every write is announced before it and finished after it, by
//! a clock of its own.
//!
//! Invariant: a write is in flight before the first byte of it is visible, and has its second stamp after the last. So what
//! was read at an epoch that is no earlier than the last stamp, while no write is in flight, lacks no write that anyone can
//! know of.

use std::sync::atomic::{AtomicU64, Ordering};

use model::SourceId;

const SLOTS: usize = 1024;

/// Stamps the writes of sources by a clock of its own; sources that share a slot are written together.
#[derive(Debug)]
pub(crate) struct WriteTracker {
    clock: AtomicU64,
    /// Writes in flight, of any source.
    open: AtomicU64,
    slots: Box<[Slot]>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Writes in flight.
    open: AtomicU64,
    /// The latest stamp.
    last: AtomicU64,
}

/// A write in flight; dropped when all of it is visible.
#[derive(Debug)]
pub(crate) struct WriteInFlight<'a> {
    changes: &'a WriteTracker,
    slots: &'a [Slot],
}

impl Default for WriteTracker {
    fn default() -> Self {
        Self { clock: AtomicU64::new(0), open: AtomicU64::new(0), slots: (0..SLOTS).map(|_| Slot::default()).collect() }
    }
}

impl WriteTracker {
    /// The epoch, which a reader takes before it reads anything.
    pub(crate) fn now(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    /// True if what was read of a source at that epoch still holds. To be asked after the snapshot was taken that it is to be
    /// used with, or that it comes from.
    pub(crate) fn unchanged_since(&self, source: SourceId, epoch: u64) -> bool {
        let slot = &self.slots[source.0 as usize % SLOTS];
        // In this order: a write that ends between the two has its stamp.
        slot.open.load(Ordering::SeqCst) == 0 && slot.last.load(Ordering::SeqCst) <= epoch
    }

    /// True if no write of any source was in flight at that epoch, nor began since. To be asked after the snapshot was taken:
    /// it then shows what every other snapshot of that epoch shows.
    pub(crate) fn no_write_in_flight_since(&self, epoch: u64) -> bool {
        // In this order: a write that begins between the two comes after it, and so after the snapshot.
        self.open.load(Ordering::SeqCst) == 0 && self.clock.load(Ordering::SeqCst) == epoch
    }

    /// To be called before anything of the source is written that the tracker covers.
    pub(crate) fn begin(&self, source: SourceId) -> WriteInFlight<'_> {
        let slot = source.0 as usize % SLOTS;
        self.open(&self.slots[slot..=slot])
    }

    /// The same for all sources.
    pub(crate) fn begin_all(&self) -> WriteInFlight<'_> {
        self.open(&self.slots)
    }

    fn open<'a>(&'a self, slots: &'a [Slot]) -> WriteInFlight<'a> {
        // In flight before it has a stamp: whoever does not see the one sees the other.
        self.open.fetch_add(1, Ordering::SeqCst);
        slots.iter().for_each(|slot| {
            slot.open.fetch_add(1, Ordering::SeqCst);
        });
        self.stamp(slots);
        WriteInFlight { changes: self, slots }
    }

    fn stamp(&self, slots: &[Slot]) {
        let stamp = self.clock.fetch_add(1, Ordering::SeqCst) + 1;
        slots.iter().for_each(|slot| {
            // Two writes that share a slot may take their stamps in one order and come here in the other.
            slot.last.fetch_max(stamp, Ordering::SeqCst);
        });
    }
}

impl Drop for WriteInFlight<'_> {
    fn drop(&mut self) {
        // While it still is in flight, as `unchanged_since` looks at these in the other order.
        self.changes.stamp(self.slots);
        self.slots.iter().for_each(|slot| {
            slot.open.fetch_sub(1, Ordering::SeqCst);
        });
        self.changes.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The trackers of all writes.
#[derive(Debug, Default)]
pub(crate) struct Trackers {
    /// Anything but newer rows in buckets and segments that were there already.
    pub(crate) rows: WriteTracker,
    /// Timelines that came or went.
    pub(crate) pages: WriteTracker,
    /// Newer rows.
    pub(crate) newer: WriteTracker,
}

impl Trackers {
    /// To be asked for before a snapshot is taken.
    pub(crate) fn now(&self) -> Epochs {
        Epochs { rows: self.rows.now(), pages: self.pages.now(), newer: self.newer.now() }
    }
}

/// When a snapshot was taken, by the clocks of [`Trackers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epochs {
    pub(crate) rows: u64,
    pub(crate) pages: u64,
    pub(crate) newer: u64,
}

impl Epochs {
    /// Are both the same but for newer rows?
    pub(crate) fn same_but_newer(self, other: Self) -> bool {
        (self.rows, self.pages) == (other.rows, other.pages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_holds_while_a_write_is_in_flight_and_nothing_older_after_it() {
        let changes = WriteTracker::default();
        let (one, other) = (SourceId(1), SourceId(2));
        let before = changes.now();
        assert!(changes.unchanged_since(one, before) && changes.no_write_in_flight_since(before));
        let first = changes.begin(one);
        let second = changes.begin(one);
        let during = changes.now();
        assert!(!changes.no_write_in_flight_since(before) && !changes.no_write_in_flight_since(during));
        drop(first);
        assert!(!changes.no_write_in_flight_since(changes.now()), "the second is open");
        assert!(!changes.unchanged_since(one, during), "the second is open");
        drop(second);
        assert!(!changes.unchanged_since(one, during), "read before its end");
        assert!(changes.unchanged_since(one, changes.now()) && changes.no_write_in_flight_since(changes.now()));
        assert!(changes.unchanged_since(other, before));
        drop(changes.begin_all());
        assert!(!changes.unchanged_since(other, during));
    }
}
