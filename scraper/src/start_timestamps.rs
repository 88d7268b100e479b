//! Start timestamps ("created") of a source's series: the zero samples that are stored at those times. Part of step 5.
//!
//! As with upstream a zero is stored once, at the start timestamp, if that is before the sample, later than what is stored
//! of the series, and no more than an hour ago. For series of the last scrape this is known here; for others the store is
//! asked.

use std::collections::HashMap;
use std::sync::Arc;

use model::histogram::ResetHint;
use model::sample::histogram_mark;
use model::{ExtraSample, Histogram, Timestamp};

/// Zeros further back are left out, as upstream does; milliseconds.
const BACK_MAX_MS: i64 = 60 * 60 * 1000;
/// Zeros of one scrape. At worst each is a row.
const ZEROS_MAX: usize = 100_000;

/// The start timestamps of one source's columns.
#[derive(Debug, Default)]
pub(crate) struct StartTimestamps {
    known: HashMap<u32, Timestamp>,
    /// New start timestamps of this scrape, by column.
    new: HashMap<u32, ExtraSample>,
    /// The zero samples to store.
    zeros: Vec<ExtraSample>,
}

impl StartTimestamps {
    /// Begins a scrape.
    pub(crate) fn begin(&mut self) {
        self.new.clear();
        self.zeros.clear();
    }

    /// Notes the start timestamp of a sample; `zero` is the empty histogram to store, if the sample is a histogram.
    pub(crate) fn note(&mut self, column: u32, start: Timestamp, ts: Timestamp, zero: Option<Box<Histogram>>) {
        // Zero is how protobuf says nothing.
        let is_said = start != Timestamp::EPOCH && start < ts;
        if is_said && self.known.get(&column) != Some(&start) && self.new.len() < ZEROS_MAX {
            let value = if zero.is_some() { histogram_mark() } else { 0.0 };
            self.new.insert(column, ExtraSample { column, ts: start, value, histogram: zero });
        }
    }

    /// Decides what is to be stored with a scrape of that time; `is_new` says whether the time of a column is later than what is
    /// known of it.
    pub(crate) fn choose(&mut self, ts: Timestamp, is_new: impl Fn(u32, Timestamp) -> bool) {
        let times = ts.saturating_sub(BACK_MAX_MS)..ts;
        for (column, zero) in self.new.drain() {
            // Remembered also when the zero is not stored: the same start timestamp is not looked at again.
            self.known.insert(column, zero.ts);
            // Out-of-order zeros are dropped silently: upstream ignores ErrOutOfOrderST for the same reason, a start
            // that is already covered by samples.
            if times.contains(&zero.ts) && is_new(column, zero.ts) {
                self.zeros.push(zero);
            }
        }
    }

    /// The zero samples to store with this scrape.
    pub(crate) fn zeros(&self) -> &[ExtraSample] {
        &self.zeros
    }

    /// Columns were removed; the others have moved.
    pub(crate) fn move_columns(&mut self, moved: impl Fn(u32) -> Option<u32>) {
        // Columns that were removed lose their entry; should the series come back, its zero may be stored again.
        self.known = self.known.drain().filter_map(|(column, start)| Some((moved(column)?, start))).collect();
    }
}

/// A histogram without observations, with the buckets' layout of the one that follows.
pub(crate) fn empty(like: &Histogram) -> Box<Histogram> {
    Box::new(Histogram {
        schema: like.schema,
        zero_threshold: like.zero_threshold,
        custom_values: Arc::clone(&like.custom_values),
        reset_hint: ResetHint::Reset,
        ..Histogram::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is stored of these columns and times: by time.
    fn noted(
        starts: &mut StartTimestamps,
        ts: Timestamp,
        times: &[(u32, i64)],
        is_new: fn(u32, Timestamp) -> bool,
    ) -> Vec<(i64, u32)> {
        starts.begin();
        times.iter().for_each(|(column, start)| starts.note(*column, Timestamp(*start), ts, None));
        starts.choose(ts, is_new);
        let mut zeros: Vec<_> = starts.zeros().iter().map(|zero| (zero.ts.0, zero.column)).collect();
        zeros.sort_unstable();
        zeros
    }

    #[test]
    fn a_zero_comes_once_and_not_before_what_is_known_of_its_series() {
        let mut starts = StartTimestamps::default();
        let hour = 3_600_000;
        let first =
            [(1, 10 * hour - 5), (0, 10 * hour - 5), (2, 10 * hour - 7), (3, 9 * hour - 1), (4, 10 * hour), (5, 0)];
        let expected = vec![(10 * hour - 7, 2), (10 * hour - 5, 0), (10 * hour - 5, 1)];
        assert_eq!(noted(&mut starts, Timestamp(10 * hour), &first, |_, _| true), expected);
        let again = [(0, 10 * hour - 5), (2, 10 * hour + 1), (3, 10 * hour - 1), (4, 10 * hour)];
        let expected = vec![(10 * hour, 4), (10 * hour + 1, 2)];
        assert_eq!(noted(&mut starts, Timestamp(10 * hour + 9), &again, |column, _| column != 3), expected);
        assert_eq!(noted(&mut starts, Timestamp(10 * hour + 20), &again, |_, _| true), []);
    }

    #[test]
    fn one_scrape_has_so_many_zeros() {
        let times: Vec<_> = (0..2 + ZEROS_MAX as u32).map(|i| (i, i64::from(i) + 1)).collect();
        assert_eq!(noted(&mut StartTimestamps::default(), Timestamp(500_000), &times, |_, _| true).len(), ZEROS_MAX);
    }

    #[test]
    fn what_a_failed_body_said_is_forgotten_and_columns_move() {
        let mut starts = StartTimestamps::default();
        starts.note(7, Timestamp(100), Timestamp(1000), None);
        assert_eq!(noted(&mut starts, Timestamp(2000), &[(3, 100)], |_, _| true), [(100, 3)]);
        starts.move_columns(|column| (column == 3).then_some(0));
        assert_eq!(noted(&mut starts, Timestamp(3000), &[(0, 100), (3, 2500)], |_, _| true), [(2500, 3)]);
    }
}
