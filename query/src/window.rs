//! Windows: the samples of a series within the range of a step. Bounds are computed once per batch, for all columns.

use std::sync::Arc;

use model::sample::is_stale;
use model::{Column, Histogram, ResetHint, Timestamp};

use crate::histogram;
use crate::parse::types::Extension;

/// The steps of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) start: Timestamp,
    pub(crate) step_ms: i64,
    pub(crate) len: usize,
}

impl Grid {
    pub(crate) fn time(&self, i: usize) -> Timestamp {
        // Exact, although it may wrap on the way: every step lies between two times that there are, while the distance
        // between these may be more than an `i64` holds.
        Timestamp(self.start.0.wrapping_add(self.step_ms.wrapping_mul(i as i64)))
    }

    /// The first step alone.
    pub(crate) fn first(&self) -> Self {
        Self { len: self.len.min(1), ..*self }
    }
}

/// A histogram at its time.
#[derive(Clone, Debug)]
pub(crate) struct Timed {
    pub(crate) ts: Timestamp,
    /// The start timestamp; [`Timestamp::EPOCH`] when unknown.
    pub(crate) start: Timestamp,
    pub(crate) histogram: Arc<Histogram>,
}

/// The samples of one series in `(start, end]`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window<'a> {
    /// Of floats.
    pub(crate) ts: &'a [Timestamp],
    pub(crate) values: &'a [f64],
    /// Start timestamps of floats, [`Timestamp::EPOCH`] when unknown; empty when all are.
    pub(crate) starts: &'a [Timestamp],
    pub(crate) histograms: &'a [Timed],
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// The time of the step, without `offset` and `@`.
    pub(crate) eval_time: Timestamp,
    /// The modifier that includes samples beyond the bounds.
    pub(crate) extension: Option<Extension>,
    /// How far beyond.
    pub(crate) lookback_ms: i64,
}

/// How far beyond the bounds of a range samples are included.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reach {
    pub(crate) back_ms: i64,
    pub(crate) ahead_ms: i64,
}

impl Window<'_> {
    /// Floats and histograms.
    pub(crate) fn len(&self) -> usize {
        self.ts.len() + self.histograms.len()
    }

    /// Are there no samples?
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of the range.
    pub(crate) fn seconds(&self) -> f64 {
        (self.end - self.start) as f64 / 1000.0
    }

    /// The last sample at or before the start of the range, otherwise the first one.
    pub(crate) fn anchor(&self) -> usize {
        // Without the last sample, so that there is always one behind the anchor if there are two.
        let within = self.ts.len().saturating_sub(1);
        self.ts[..within].partition_point(|ts| *ts <= self.start).saturating_sub(1)
    }

    /// The values from the anchor on; `None` when all are before the range.
    pub(crate) fn since_anchor(&self) -> Option<&[f64]> {
        let last = self.ts.last()?;
        match self.extension {
            None => Some(self.values),
            Some(_) if *last <= self.start => None,
            Some(_) => Some(&self.values[self.anchor()..]),
        }
    }
}

/// For each step, the index range of timestamps in `(end - length, end]`. `ends` are ascending.
pub(crate) fn bounds(timestamps: &[Timestamp], ends: &[Timestamp], length_ms: i64) -> Vec<(usize, usize)> {
    reaching(timestamps, ends, length_ms, Reach::default())
}

/// As [`bounds`], extended by `reach`.
pub(crate) fn reaching(
    timestamps: &[Timestamp],
    ends: &[Timestamp],
    length_ms: i64,
    reach: Reach,
) -> Vec<(usize, usize)> {
    // Both bounds only move forward, as ends are ascending.
    let (mut low, mut high) = (0, 0);
    // Linear, not a binary search: all steps together pass each timestamp once.
    let skip = |mut i: usize, limit: Timestamp| {
        while timestamps.get(i).is_some_and(|ts| *ts <= limit) {
            i += 1;
        }
        i
    };
    let before = length_ms.saturating_add(reach.back_ms);
    let find = |end: &Timestamp| {
        low = skip(low, end.saturating_sub(before));
        high = skip(high, end.saturating_add(reach.ahead_ms));
        (low, high.max(low))
    };
    ends.iter().map(find).collect()
}

/// Which properties of a column are needed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    pub(crate) stale_markers: bool,
    pub(crate) starts: bool,
    /// Only counts and sums: histograms are returned without buckets, with counter resets as hints (upstream:
    /// `HistogramStatsIterator`).
    pub(crate) totals: bool,
}

/// A column without gaps, with the rank of each slot. Buffers are reused from column to column.
#[derive(Debug, Default)]
pub(crate) struct Dense {
    ts: Vec<Timestamp>,
    values: Vec<f64>,
    /// Empty when the column has no gaps.
    rank: Vec<usize>,
    starts: Vec<Timestamp>,
    histograms: Vec<Timed>,
    histogram_rank: Vec<usize>,
}

impl Dense {
    /// Loads a column: drops absent slots and, unless needed, stale markers; separates histograms.
    pub(crate) fn load(&mut self, timestamps: &[Timestamp], column: &Column, look: Look) {
        self.rank.clear();
        self.ts.clear();
        self.values.clear();
        self.starts.clear();
        self.histograms.clear();
        self.histogram_rank.clear();
        let starts = if look.starts { &*column.start_times } else { &[] };
        let holes = column.present.is_some()
            || !column.histograms.is_empty()
            || !starts.is_empty()
            || (!look.stale_markers && column.values.iter().any(|v| is_stale(*v)));
        // The common case: the slices of the batch are used without a copy.
        if !holes {
            return;
        }
        let mut histograms = column.histograms.iter().peekable();
        let mut starts = starts.iter().peekable();
        let has_starts = starts.peek().is_some();
        for (i, (ts, value)) in timestamps.iter().zip(&column.values).enumerate() {
            // The rank of a slot is the number of floats before it: a range of slots becomes a range of floats.
            self.rank.push(self.ts.len());
            if !column.histograms.is_empty() {
                self.histogram_rank.push(self.histograms.len());
            }
            // Sparse lists are walked along with the slots.
            let start = starts.next_if(|(slot, _)| *slot as usize == i).map_or(Timestamp::EPOCH, |(_, start)| *start);
            if let Some((_, histogram)) = histograms.next_if(|(slot, _)| *slot as usize == i) {
                let histogram = Arc::clone(histogram);
                self.histograms.push(Timed { ts: *ts, start, histogram });
            } else if column.is_present(i) && (look.stale_markers || !is_stale(*value)) {
                self.ts.push(*ts);
                self.values.push(*value);
                if has_starts {
                    self.starts.push(start);
                }
            }
        }
        // One more than slots, for the ends of ranges.
        self.rank.push(self.ts.len());
        self.histogram_rank.push(self.histograms.len());
        if look.totals {
            self.tell_resets();
        }
    }

    /// Replaces unknown reset hints by a comparison with the previous histogram, and removes the buckets.
    fn tell_resets(&mut self) {
        // Backwards, so that the previous histogram still has its buckets when it is compared.
        for i in (0..self.histograms.len()).rev() {
            let current = &self.histograms[i].histogram;
            let mut reset_hint = current.reset_hint;
            if let Some(before) = i.checked_sub(1).map(|i| &self.histograms[i].histogram)
                && reset_hint == ResetHint::Unknown
            {
                let reset = histogram::is_reset(current, before);
                reset_hint = if reset { ResetHint::Reset } else { ResetHint::NotReset };
            }
            let Histogram { schema, count, sum, .. } = **current;
            self.histograms[i].histogram = Arc::new(Histogram { reset_hint, schema, count, sum, ..<_>::default() });
        }
    }

    /// Does it have histograms or start timestamps?
    pub(crate) fn has_mixed_samples(&self) -> bool {
        !self.histograms.is_empty() || !self.starts.is_empty()
    }

    /// All floats, and the rank of each slot of the batch; empty when every slot has a float.
    pub(crate) fn floats<'a>(
        &'a self,
        timestamps: &'a [Timestamp],
        column: &'a Column,
    ) -> (&'a [Timestamp], &'a [f64], &'a [usize]) {
        if self.rank.is_empty() { (timestamps, &column.values, &[]) } else { (&self.ts, &self.values, &self.rank) }
    }

    /// The floats between two bounds of the batch.
    #[inline]
    pub(crate) fn slice<'a>(
        &'a self,
        timestamps: &'a [Timestamp],
        column: &'a Column,
        (low, high): (usize, usize),
    ) -> (&'a [Timestamp], &'a [f64]) {
        let (ts, values, rank) = self.floats(timestamps, column);
        let (low, high) = if rank.is_empty() { (low, high) } else { (rank[low], rank[high]) };
        (&ts[low..high], &values[low..high])
    }

    /// The start timestamps of floats between two bounds of the batch; empty when all are unknown.
    pub(crate) fn starts(&self, (low, high): (usize, usize)) -> &[Timestamp] {
        if self.starts.is_empty() { &[] } else { &self.starts[self.rank[low]..self.rank[high]] }
    }

    /// The histograms between two bounds of the batch.
    pub(crate) fn histograms(&self, (low, high): (usize, usize)) -> &[Timed] {
        if self.histograms.is_empty() {
            return &[];
        }
        &self.histograms[self.histogram_rank[low]..self.histogram_rank[high]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_open_right_closed() {
        let times = [10, 20, 30].map(Timestamp);
        assert_eq!(bounds(&times, &[20, 30, 40, 60].map(Timestamp), 10), [(1, 2), (2, 3), (3, 3), (3, 3)]);
        assert_eq!(bounds(&times, &[5, 25].map(Timestamp), 100), [(0, 0), (0, 2)]);
    }

    #[test]
    fn holes_are_skipped() {
        let column = Column {
            values: vec![1.0, 2.0, model::sample::stale_nan(), 4.0],
            present: Some(vec![0b1101]),
            ..Column::default()
        };
        let ts = [1, 2, 3, 4].map(Timestamp);
        let mut dense = Dense::default();
        dense.load(&ts, &column, Look::default());
        assert_eq!(dense.slice(&ts, &column, (0, 4)), (&[1, 4].map(Timestamp)[..], &[1.0, 4.0][..]));
        assert_eq!(dense.slice(&ts, &column, (1, 3)), (&[][..], &[][..]));
        dense.load(&ts, &column, Look { stale_markers: true, ..Look::default() });
        assert_eq!(dense.slice(&ts, &column, (0, 4)).0, [1, 3, 4].map(Timestamp));
    }

    #[test]
    fn histograms_are_set_apart() {
        let histogram = |count| Arc::new(Histogram { count, ..Histogram::default() });
        let column = Column {
            values: vec![0.0, 2.0, 0.0, 4.0],
            histograms: vec![(0, histogram(7.0)), (2, histogram(5.0))],
            start_times: vec![(2, Timestamp(25)), (3, Timestamp(30))],
            ..Column::default()
        };
        let ts = [10, 20, 30, 40].map(Timestamp);
        let mut dense = Dense::default();
        dense.load(&ts, &column, Look { starts: true, totals: true, ..Look::default() });
        assert_eq!(dense.slice(&ts, &column, (0, 4)), (&[20, 40].map(Timestamp)[..], &[2.0, 4.0][..]));
        assert_eq!(dense.starts((1, 4)), [0, 30].map(Timestamp));
        let found: Vec<_> = dense.histograms((1, 4)).iter().map(|h| (h.ts, h.start, h.histogram.count)).collect();
        assert_eq!(found, [(Timestamp(30), Timestamp(25), 5.0)]);
        let hints: Vec<_> = dense.histograms((0, 4)).iter().map(|h| h.histogram.reset_hint).collect();
        assert_eq!(hints, [ResetHint::Unknown, ResetHint::Reset]);
        dense.load(&ts, &column, Look::default());
        assert!(dense.starts((0, 4)).is_empty() && dense.has_mixed_samples());
    }
}
