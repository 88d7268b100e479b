//! Since when the samples of a source count: the zeros that are stored at those times. Part of step 5.
//!
//! As with upstream a zero is stored once, at the time that counting began, if that is before the sample, later than
//! what is stored of the series, and no more than an hour ago. Here "what is stored" is the last scrape of the source, and
//! beyond that the store says.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::Histogram;
use model::histogram::ResetHint;

/// Zeros further back are left out, as upstream does; milliseconds.
const BACK_MAX_MS: i64 = 60 * 60 * 1000;
/// Times of one scrape at which there are zeros, the newest of them. Each is a row.
const ROWS_MAX: usize = 256;

/// A column that began to count.
#[derive(Debug)]
pub(crate) struct Zero {
    pub(crate) column: u32,
    /// Of a column of histograms: one without observations.
    pub(crate) histogram: Option<Histogram>,
}

/// When the columns of one source began to count.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    known: HashMap<u32, i64>,
    /// What this scrape says anew: by column, the time and its zero.
    new: HashMap<u32, (i64, Zero)>,
    /// The last scrape that was stored.
    last_ms: Option<i64>,
}

impl Starts {
    /// Nothing was exposed yet.
    pub(crate) fn begin(&mut self) {
        self.new.clear();
    }

    /// A sample of that time counts since `start_ms`.
    pub(crate) fn note(&mut self, column: u32, start_ms: i64, ts_ms: i64, histogram: Option<&Histogram>) {
        // Zero is how protobuf says nothing.
        if start_ms == 0 || start_ms >= ts_ms || self.known.get(&column) == Some(&start_ms) {
            return;
        }
        let histogram = histogram.map(empty);
        self.new.insert(column, (start_ms, Zero { column, histogram }));
    }

    /// The zeros that are to be stored before a scrape of that time, by their time; columns ascending.
    pub(crate) fn rows(&mut self, ts_ms: i64) -> BTreeMap<i64, Vec<Zero>> {
        let after = self.last_ms.unwrap_or(i64::MIN).max(ts_ms.saturating_sub(BACK_MAX_MS) - 1);
        let mut rows: BTreeMap<i64, Vec<Zero>> = BTreeMap::new();
        for (column, (start_ms, zero)) in self.new.drain() {
            self.known.insert(column, start_ms);
            if start_ms > after && start_ms < ts_ms {
                rows.entry(start_ms).or_default().push(zero);
            }
        }
        while rows.len() > ROWS_MAX {
            rows.pop_first();
        }
        rows.values_mut().for_each(|zeros| zeros.sort_unstable_by_key(|zero| zero.column));
        rows
    }

    /// The scrape of that time is stored.
    pub(crate) fn end(&mut self, ts_ms: i64) {
        self.last_ms = Some(ts_ms);
    }

    /// Columns were given up, the others have moved.
    pub(crate) fn move_columns(&mut self, moved: impl Fn(u32) -> Option<u32>) {
        self.known = self.known.drain().filter_map(|(column, start_ms)| Some((moved(column)?, start_ms))).collect();
    }
}

/// A histogram without observations that the one that follows can be compared with bucket by bucket.
fn empty(like: &Histogram) -> Histogram {
    Histogram {
        schema: like.schema,
        zero_threshold: like.zero_threshold,
        custom_values: Arc::clone(&like.custom_values),
        reset_hint: ResetHint::Reset,
        ..Histogram::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(starts: &mut Starts, ts_ms: i64, times: &[(u32, i64)]) -> Vec<(i64, Vec<u32>)> {
        starts.begin();
        times.iter().for_each(|(column, start_ms)| starts.note(*column, *start_ms, ts_ms, None));
        let rows = starts.rows(ts_ms);
        starts.end(ts_ms);
        rows.into_iter().map(|(at, zeros)| (at, zeros.iter().map(|zero| zero.column).collect())).collect()
    }

    #[test]
    fn a_zero_comes_once_and_not_before_what_is_stored() {
        let mut starts = Starts::default();
        let hour = 3_600_000;
        let first =
            [(1, 10 * hour - 5), (0, 10 * hour - 5), (2, 10 * hour - 7), (3, 9 * hour - 1), (4, 10 * hour), (5, 0)];
        let expected = vec![(10 * hour - 7, vec![2]), (10 * hour - 5, vec![0, 1])];
        assert_eq!(noted(&mut starts, 10 * hour, &first), expected);
        let again = [(0, 10 * hour - 5), (2, 10 * hour + 1), (3, 10 * hour - 1), (4, 10 * hour)];
        assert_eq!(noted(&mut starts, 10 * hour + 9, &again), [(10 * hour + 1, vec![2])]);
        assert_eq!(noted(&mut starts, 10 * hour + 20, &again), []);
    }

    #[test]
    fn one_scrape_has_so_many_times() {
        let times: Vec<_> = (0..1000).map(|i| (i, i64::from(i) + 1)).collect();
        let rows = noted(&mut Starts::default(), 5000, &times);
        assert_eq!((rows.len(), rows[0].0), (ROWS_MAX, 745));
    }

    #[test]
    fn what_a_failed_body_said_is_forgotten_and_columns_move() {
        let mut starts = Starts::default();
        starts.note(7, 100, 1000, None);
        assert_eq!(noted(&mut starts, 2000, &[(3, 100)]), [(100, vec![3])]);
        starts.move_columns(|column| (column == 3).then_some(0));
        assert_eq!(noted(&mut starts, 3000, &[(0, 100), (3, 2500)]), [(2500, vec![3])]);
    }
}
