//! Results of common subexpressions, from the first place of each to its last.
//!
//! They only spare time: a result is kept where there is memory to spare, dropped where that gets scarce, and then evaluated
//! again.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::memory::QueryMemory;
use crate::plan::Plan;
use crate::stats::Level;
use crate::value::Series;
use crate::window::Grid;

/// Results by the slots of the plan.
#[derive(Debug, Default)]
pub(crate) struct CommonCache(Mutex<Vec<Slot>>);

/// An expression with several places.
#[derive(Debug)]
struct Slot {
    /// Places that have not been evaluated yet.
    places: usize,
    kept: Option<Kept>,
}

/// A result.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) series: Arc<Vec<Series>>,
    pub(super) grid: Grid,
    /// The memory it takes.
    pub(super) bytes: usize,
    /// The samples that evaluating it looked at, and the most held at once.
    pub(super) cost: Level,
    pub(super) peak: usize,
}

impl CommonCache {
    /// An empty cache with the slots of a plan.
    pub(crate) fn of(plan: &Plan) -> Self {
        Self(Mutex::new(plan.common.iter().map(|places| Slot { places: *places, kept: None }).collect()))
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.0.lock()
    }

    /// Drops results that are not being read. True if there was any.
    pub(super) fn clear(&self, memory: &QueryMemory) -> bool {
        let unread = |kept: &mut Kept| Arc::strong_count(&kept.series) == 1;
        let mut slots = self.slots();
        let gone: Vec<Kept> = slots.iter_mut().filter_map(|slot| slot.kept.take_if(unread)).collect();
        gone.iter().for_each(|kept| memory.give(kept.bytes));
        !gone.is_empty()
    }

    /// Arrives at a place of a slot: returns the kept result, and whether more places follow.
    pub(super) fn arrive(&self, slot: usize, grid: &Grid, memory: &QueryMemory) -> (Option<Kept>, bool) {
        let slot = &mut self.slots()[slot];
        slot.places = slot.places.saturating_sub(1);
        if slot.places > 0 {
            return (slot.kept.clone().filter(|kept| kept.grid == *grid), true);
        }
        // At the last place the result is handed over, and its memory with it.
        let kept = slot.kept.take();
        kept.iter().for_each(|kept| memory.give(kept.bytes));
        (kept.filter(|kept| kept.grid == *grid), false)
    }

    /// Keeps a result if there is spare memory.
    pub(super) fn keep(&self, slot: usize, kept: Kept, memory: &QueryMemory) {
        // Spare memory only: a query must not fail because of its cache.
        if memory.take_spare(kept.bytes) {
            let before = self.slots()[slot].kept.replace(kept);
            before.iter().for_each(|before| memory.give(before.bytes));
        }
    }
}
