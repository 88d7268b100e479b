//! What a query costs: samples looked at and read, step by step where that is asked for, and where the time went.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::window::Grid;

/// What a query cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Samples that selectors looked at, summed over the steps: a range counts whole at each of them. A histogram counts
    /// as so many samples as its bytes make.
    pub total_samples: u64,
    /// The same where a step counts only what lies after the end of the step before.
    pub samples_read: u64,
    /// The most samples held at once.
    pub peak_samples: usize,
    /// For each step its time in milliseconds, and its share of both; empty unless asked for.
    pub per_step: Vec<(i64, [u64; 2])>,
    /// Until the evaluation began.
    pub preparation: Duration,
    /// Of the evaluation.
    pub evaluation: Duration,
    /// Of putting the series of a range query in order.
    pub sorting: Duration,
}

/// Counts while a query runs. What an expression costs that is evaluated at other steps than the query's, as subqueries and
/// what never changes are, is counted in a level of its own, and then spread over the steps around it.
#[derive(Debug)]
pub(crate) struct Counter {
    /// The innermost last; `None` when nobody asks.
    levels: Option<Mutex<Vec<Level>>>,
}

/// Samples looked at and read, in all and at each step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Level {
    pub(crate) all: [u64; 2],
    /// Empty: not told.
    pub(crate) steps: Vec<[u64; 2]>,
}

impl Level {
    fn of(steps: usize) -> Self {
        Self { all: [0; 2], steps: vec![[0; 2]; steps] }
    }

    fn add(&mut self, step: usize, counts: [u64; 2]) {
        let places = self.steps.get_mut(step).into_iter().chain([&mut self.all]);
        places.for_each(|place| (0..2).for_each(|i| place[i] += counts[i]));
    }
}

impl Counter {
    /// Counts when `wanted`, and at each of so many steps.
    pub(crate) fn new(wanted: bool, steps: usize) -> Self {
        Self { levels: wanted.then(|| Mutex::new(vec![Level::of(steps)])) }
    }

    /// Counts apart what belongs to the same steps, on another thread.
    pub(crate) fn apart(&self) -> Self {
        Self::new(self.is_wanted(), self.steps())
    }

    fn steps(&self) -> usize {
        self.with(|levels| levels.last().map_or(0, |level| level.steps.len()))
    }

    /// What follows is counted apart, and belongs to the same steps. Says which level that is.
    pub(crate) fn enter_beside(&self) -> usize {
        self.enter(self.steps());
        self.with(|levels| levels.len().saturating_sub(1))
    }

    /// What was counted on a level, and what that left open, counts for nothing.
    pub(crate) fn forget(&self, level: usize) {
        self.with(|levels| levels.truncate(level));
    }

    /// Takes over what was counted apart.
    pub(crate) fn absorb(&self, level: &Level) {
        self.with(|levels| {
            let Some(mine) = levels.last_mut() else { return };
            let steps = mine.steps.iter_mut().zip(&level.steps).chain([(&mut mine.all, &level.all)]);
            steps.for_each(|(mine, more)| (0..2).for_each(|i| mine[i] += more[i]));
        });
    }

    /// Does anyone ask?
    pub(crate) fn is_wanted(&self) -> bool {
        self.levels.is_some()
    }

    fn with<T: Default>(&self, work: impl FnOnce(&mut Vec<Level>) -> T) -> T {
        let levels = self.levels.as_ref().map(|levels| levels.lock().unwrap_or_else(PoisonError::into_inner));
        levels.map(|mut levels| work(&mut levels)).unwrap_or_default()
    }

    /// Counts samples looked at and read, by step.
    pub(crate) fn add(&self, counts: impl Iterator<Item = (usize, [u64; 2])>) {
        self.with(|levels| {
            let Some(level) = levels.last_mut() else { return };
            counts.for_each(|(step, counts)| level.add(step, counts));
        });
    }

    /// What follows is counted apart, by so many steps.
    pub(crate) fn enter(&self, steps: usize) {
        self.with(|levels| levels.push(Level::of(steps)));
    }

    /// What was counted since [`enter`](Self::enter).
    pub(crate) fn leave(&self) -> Level {
        self.with(|levels| levels.pop().unwrap_or_default())
    }

    /// Ends a level whose value holds for every step: looked at by each, read once.
    pub(crate) fn leave_invariant(&self, steps: usize) {
        let [looked, read] = self.leave().all;
        self.add((0..steps).map(|step| (step, [looked, if step == 0 { read } else { 0 }])));
    }

    /// Ends the level of a subquery with these steps. What it read counts at the first step that sees it, and not at all when none does;
    /// what it looked at counts when the samples it yields are looked at.
    pub(crate) fn leave_subquery(&self, inner: &Grid, (range_ms, offset_ms): (i64, i64), outer: &Grid) -> u64 {
        let level = self.leave();
        let reads = level.steps.iter().enumerate().filter(|(_, counts)| counts[1] > 0);
        self.add(reads.filter_map(|(k, counts)| {
            let read = [0, counts[1]];
            if outer.len <= 1 {
                return Some((0, read));
            }
            let after_ms = (inner.time(k) + offset_ms - outer.start_ms).max(0);
            let step = usize::try_from((after_ms + outer.step_ms - 1) / outer.step_ms).unwrap_or(0).min(outer.len - 1);
            let seen = inner.time(k) + offset_ms > outer.time(step) - range_ms;
            seen.then_some((step, read))
        }));
        level.all[0]
    }

    /// Everything, also what an error left open.
    pub(crate) fn finish(self) -> Level {
        let levels = self.levels.map(|levels| levels.into_inner().unwrap_or_else(PoisonError::into_inner));
        let mut levels = levels.unwrap_or_default().into_iter();
        let mut first = levels.next().unwrap_or_default();
        levels.for_each(|open| first.add(0, open.all));
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subquery_is_read_by_the_step_that_sees_it() {
        let counter = Counter::new(true, 3);
        counter.enter(5);
        counter.add((0..5).map(|step| (step, [7, 1])));
        // Inner steps at 10 to 50; outer ones at 20, 40 and 60, which see 15 each: what stands at 10 and 30 is seen by the
        // step after it, at 20 and 40 by the one at the same time, and at 50 by the last.
        let (inner, outer) = (Grid { start_ms: 10, step_ms: 10, len: 5 }, Grid { start_ms: 20, step_ms: 20, len: 3 });
        assert_eq!(counter.leave_subquery(&inner, (15, 0), &outer), 35);
        counter.enter(1);
        counter.add([(0, [4, 2])].into_iter());
        counter.leave_invariant(3);
        let level = counter.finish();
        assert_eq!((level.all, level.steps), ([12, 7], vec![[4, 4], [4, 2], [4, 1]]));
    }

    #[test]
    fn what_stands_in_a_gap_was_not_read() {
        let counter = Counter::new(true, 2);
        counter.enter(2);
        counter.add((0..2).map(|step| (step, [1, 1])));
        let (inner, outer) = (Grid { start_ms: 10, step_ms: 10, len: 2 }, Grid { start_ms: 0, step_ms: 20, len: 2 });
        counter.leave_subquery(&inner, (10, 0), &outer);
        assert_eq!(counter.finish().all, [0, 1]);
    }

    #[test]
    fn nothing_is_counted_that_nobody_asks_for() {
        let counter = Counter::new(false, 0);
        counter.enter(2);
        counter.add([(0, [1, 1])].into_iter());
        counter.leave_invariant(1);
        assert!(!counter.is_wanted());
        assert_eq!(counter.finish().all, [0, 0]);
    }
}
