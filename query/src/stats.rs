//! Query statistics: samples looked at and read, in total and per step, and timings.

use std::time::Duration;

use model::Timestamp;
use parking_lot::Mutex;

use crate::window::Grid;

/// Statistics of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Samples that selectors looked at (upstream: `totalQueryableSamples`): a range counts in full at each step, also that of a
    /// subquery. A histogram counts as several samples, by its size.
    pub total_samples: u64,
    /// The same without the samples that were counted at the step before (upstream: `samplesRead`).
    pub samples_read: u64,
    /// Series found, summed over selectors.
    pub series: u64,
    /// The most samples held at once.
    pub peak_samples: usize,
    /// By step: its time, samples looked at and read; empty unless asked for.
    pub per_step: Vec<(Timestamp, [u64; 2])>,
    /// Time of planning.
    pub preparation: Duration,
    /// Time of evaluation.
    pub evaluation: Duration,
    /// Time of sorting the result.
    pub sorting: Duration,
}

/// Counts samples while a query runs. Subqueries and invariant nodes are evaluated at other steps than the query: their
/// samples are counted in a level of their own, and then attributed to the outer steps.
#[derive(Debug)]
pub(crate) struct Counter {
    /// The innermost last; `None` when nothing is counted.
    levels: Option<Mutex<Vec<Level>>>,
}

/// Samples looked at and read, in all and at each step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Level {
    pub(crate) all: [u64; 2],
    /// Series found.
    pub(crate) series: u64,
    /// Empty when not counted per step.
    pub(crate) steps: Vec<[u64; 2]>,
}

impl Level {
    fn of(steps: usize) -> Self {
        Self { all: [0; 2], series: 0, steps: vec![[0; 2]; steps] }
    }

    fn add(&mut self, step: usize, counts: [u64; 2]) {
        // The total is counted also where steps are not.
        let places = self.steps.get_mut(step).into_iter().chain([&mut self.all]);
        places.for_each(|place| (0..2).for_each(|i| place[i] += counts[i]));
    }
}

impl Counter {
    /// A counter with so many steps; it counts nothing unless `wanted`.
    pub(crate) fn new(wanted: bool, steps: usize) -> Self {
        Self { levels: wanted.then(|| Mutex::new(vec![Level::of(steps)])) }
    }

    /// A counter with the same steps, for another thread.
    pub(crate) fn apart(&self) -> Self {
        Self::new(self.is_wanted(), self.steps())
    }

    fn steps(&self) -> usize {
        self.with(|levels| levels.last().map_or(0, |level| level.steps.len()))
    }

    /// Opens a level with the same steps; returns its number.
    pub(crate) fn enter_beside(&self) -> usize {
        self.enter(self.steps());
        self.with(|levels| levels.len().saturating_sub(1))
    }

    /// Discards a level and those above it.
    pub(crate) fn forget(&self, level: usize) {
        self.with(|levels| levels.truncate(level));
    }

    /// Adds a level's counts to the current one.
    pub(crate) fn absorb(&self, level: &Level) {
        self.with(|levels| {
            let Some(mine) = levels.last_mut() else { return };
            mine.series += level.series;
            let steps = mine.steps.iter_mut().zip(&level.steps).chain([(&mut mine.all, &level.all)]);
            steps.for_each(|(mine, more)| (0..2).for_each(|i| mine[i] += more[i]));
        });
    }

    /// Is anything counted?
    pub(crate) fn is_wanted(&self) -> bool {
        self.levels.is_some()
    }

    fn with<T: Default>(&self, work: impl FnOnce(&mut Vec<Level>) -> T) -> T {
        let levels = self.levels.as_ref().map(|levels| levels.lock());
        levels.map(|mut levels| work(&mut levels)).unwrap_or_default()
    }

    /// Counts samples looked at and read, by step; returns how many were read.
    pub(crate) fn add(&self, counts: impl Iterator<Item = (usize, [u64; 2])>) -> u64 {
        self.with(|levels| {
            let Some(level) = levels.last_mut() else { return 0 };
            let before = level.all[1];
            counts.for_each(|(step, counts)| level.add(step, counts));
            level.all[1] - before
        })
    }

    /// Counts series that were found.
    pub(crate) fn add_series(&self, found: u64) {
        self.with(|levels| levels.last_mut().into_iter().for_each(|level| level.series += found));
    }

    /// Opens a level with so many steps.
    pub(crate) fn enter(&self, steps: usize) {
        self.with(|levels| levels.push(Level::of(steps)));
    }

    /// Closes the current level.
    pub(crate) fn leave(&self) -> Level {
        self.with(|levels| levels.pop().unwrap_or_default())
    }

    /// Closes the level of an invariant node: its samples are looked at by every step and read once.
    pub(crate) fn leave_invariant(&self, steps: usize) {
        let Level { all: [looked, read], series, .. } = self.leave();
        self.add_series(series);
        self.add((0..steps).map(|step| (step, [looked, if step == 0 { read } else { 0 }])));
    }

    /// Closes the level of a subquery: each outer range counts the samples of the inner steps within it as looked at, and those
    /// that no earlier range contained as read. Inner steps outside all ranges count as read only with `all`.
    pub(crate) fn leave_subquery(&self, inner: &Grid, (ends, range_ms): (&[Timestamp], i64), all: bool) {
        let level = self.leave();
        self.add_series(level.series);
        // One range contains all inner steps.
        if ends.len() <= 1 {
            self.add([(0, level.all)].into_iter());
            return;
        }
        // Each inner step is read by the first outer range that ends at or after it.
        let times = || level.steps.iter().enumerate().map(|(k, counts)| (inner.time(k), counts));
        let reads = times().filter(|(_, counts)| counts[1] > 0).filter_map(|(at, counts)| {
            let step = ends.partition_point(|end| *end < at).min(ends.len() - 1);
            let seen = at <= ends[step] && at > ends[step].saturating_sub(range_ms);
            (seen || all).then_some((step, [0, counts[1]]))
        });
        self.add(reads);
        // A sliding window over inner steps gives the samples within each outer range.
        let (mut low, mut high, mut looked) = (0, 0, 0);
        self.add(ends.iter().enumerate().map(|(step, end)| {
            while high < level.steps.len() && inner.time(high) <= *end {
                looked += level.steps[high][0];
                high += 1;
            }
            while low < high && inner.time(low) <= end.saturating_sub(range_ms) {
                looked -= level.steps[low][0];
                low += 1;
            }
            (step, [looked, 0])
        }));
    }

    /// The total, including levels that an error left open.
    pub(crate) fn finish(self) -> Level {
        let levels = self.levels.map(|levels| levels.into_inner());
        let mut levels = levels.unwrap_or_default().into_iter();
        let mut first = levels.next().unwrap_or_default();
        // After an error levels can be open; their counts are part of the total.
        levels.for_each(|open| {
            first.add(0, open.all);
            first.series += open.series;
        });
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
        counter.add_series(2);
        // Inner steps at 10 to 50; ranges up to 20, 40 and 60, which see 25 each: 10 and 20, then 20, 30 and 40, then 40 and 50.
        let inner = Grid { start: Timestamp(10), step_ms: 10, len: 5 };
        counter.leave_subquery(&inner, (&[20, 40, 60].map(Timestamp), 25), false);
        counter.enter(1);
        counter.add([(0, [4, 2])].into_iter());
        counter.add_series(1);
        counter.leave_invariant(3);
        let level = counter.finish();
        assert_eq!((level.all, level.series), ([7 * 7 + 12, 7], 3));
        assert_eq!(level.steps, [[14 + 4, 2 + 2], [21 + 4, 2], [14 + 4, 1]]);
    }

    #[test]
    fn what_stands_in_a_gap_was_read_for_nothing() {
        let read = |all| {
            let counter = Counter::new(true, 2);
            counter.enter(3);
            counter.add((0..3).map(|step| (step, [1, 1])));
            // Ranges up to 0 and 20 see 10: the steps at 10 and 25 are in none.
            counter.leave_subquery(
                &Grid { start: Timestamp(10), step_ms: 7, len: 3 },
                (&[0, 20].map(Timestamp), 10),
                all,
            );
            counter.finish().all
        };
        assert_eq!((read(false), read(true)), ([1, 1], [1, 3]));
    }

    #[test]
    fn a_fixed_subquery_is_read_once() {
        let counter = Counter::new(true, 3);
        counter.enter(2);
        counter.add((0..2).map(|step| (step, [5, 5])));
        counter.leave_subquery(&Grid { start: Timestamp(10), step_ms: 10, len: 2 }, (&[Timestamp(20); 3], 20), false);
        assert_eq!(counter.finish().steps, [[10, 10], [10, 0], [10, 0]]);
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
