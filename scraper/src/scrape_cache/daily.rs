//! How many series a target may begin in a day: `series_limit`.

use std::collections::HashSet;

use model::{Labels, Timestamp};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The series of one target today: those that were there when the day began, and those that began since. There are never
/// more of them than the limit.
#[derive(Debug, Default)]
pub(super) struct DailySeries {
    day: i64,
    carried: usize,
    seen: HashSet<u64>,
}

impl DailySeries {
    /// Begins a scrape; true if it is the first of a day. Then `there` counts the series of the scrape before.
    pub(super) fn begin(&mut self, ts: Timestamp, there: impl FnOnce() -> usize) -> bool {
        let day = ts.0.div_euclid(DAY_MS);
        let first = day != self.day;
        if first {
            (self.day, self.carried) = (day, there());
            self.seen.clear();
        }
        first
    }

    /// True if this series may begin, where `pending` others of the same scrape do.
    pub(super) fn admits(&self, key: u64, pending: usize, limit: usize) -> bool {
        limit == 0 || self.seen.contains(&key) || self.carried + self.seen.len() + pending < limit
    }

    /// Records the series of a successful scrape. For a series from the day before, only its key is new.
    pub(super) fn keep(&mut self, series: impl Iterator<Item = (u64, bool)>) {
        for (key, was_there) in series {
            if self.seen.insert(key) && was_there {
                self.carried = self.carried.saturating_sub(1);
            }
        }
    }
}

/// The key of a series.
pub(super) fn key(source: u16, metric: &Labels) -> u64 {
    metric.hash64() ^ u64::from(source)
}
