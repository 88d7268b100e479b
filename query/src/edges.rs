//! The values at the bounds of an extended range (`anchored`, `smoothed`). Step 6 of the query path.
//!
//! A counter does not decrease between the samples around a bound: after a reset it starts from zero. A start timestamp says
//! when it was reset, and acts as a sample of zero at that time.

use std::ops::Range;

use model::Timestamp;

use crate::histogram::started_anew;
use crate::parse::types::Extension;
use crate::window::Window;

/// The value at a bound, and its start timestamp ([`Timestamp::EPOCH`] when unknown).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Edge {
    pub(crate) value: f64,
    pub(crate) start: Timestamp,
}

/// An extended range: the values at its bounds, and which samples lie between them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Edges {
    pub(crate) left: Edge,
    pub(crate) right: Edge,
    pub(crate) inner: Range<usize>,
}

/// A value at a time.
#[derive(Clone, Copy)]
struct Point {
    ts: Timestamp,
    value: f64,
}

/// Does the start timestamp of a sample say that the counter began after a time?
fn starts_after(bound: Timestamp, start: Timestamp, ts: Timestamp) -> bool {
    start > bound && ts > bound && started_anew((bound, bound), (start, ts))
}

fn between(from: Point, to: Point, at: Timestamp, counter: bool) -> f64 {
    // A fall of a counter is a reset between the samples: it grew from zero.
    let first = if counter && to.value < from.value { 0.0 } else { from.value };
    first + (to.value - first) * (at - from.ts) as f64 / (to.ts - from.ts) as f64
}

impl Window<'_> {
    /// The start timestamp of a float; [`Timestamp::EPOCH`] when unknown.
    pub(crate) fn start_of(&self, i: usize) -> Timestamp {
        self.starts.get(i).copied().unwrap_or_default()
    }

    fn point(&self, i: usize) -> Point {
        Point { ts: self.ts[i], value: self.values[i] }
    }

    fn is_smoothed(&self) -> bool {
        self.extension == Some(Extension::Smoothed)
    }

    /// The edges of an extended range; `None` when all samples are on one side of it and no start timestamp is within it.
    pub(crate) fn edges(&self, counter: bool) -> Option<Edges> {
        let (mut first, mut last) = (self.anchor(), self.ts.len().checked_sub(1)?);
        if self.is_smoothed() {
            // Anchored ranges end with their last sample; smoothed ones use the one behind the bound, too.
            last = self.ts[..last].partition_point(|ts| *ts < self.end);
        }
        if self.ts[last] <= self.start {
            return None;
        }
        // All samples are after the range: only a start timestamp within it yields a value.
        if self.is_smoothed() && self.ts[first] > self.end {
            let (start, ts) = (self.start_of(first), self.ts[first]);
            let began = counter && starts_after(self.lookback_start(), start, ts);
            if !began || starts_after(self.end, start, ts) {
                return None;
            }
        }
        let (left, right) = (self.left_edge(first, counter), self.right_edge(last, counter));
        // Samples at the bounds are the edges, and so not between them.
        first += usize::from(self.ts[first] <= self.start);
        let after = last + usize::from(self.ts[last] < self.end);
        Some(Edges { left, right, inner: first..after.max(first) })
    }

    /// The start of the lookback before the range.
    fn lookback_start(&self) -> Timestamp {
        self.start.saturating_sub(self.lookback_ms)
    }

    /// The edge before the first sample, from the start timestamp of that sample.
    fn edge_before(&self, i: usize, bound: Timestamp, start: Timestamp) -> Edge {
        let (sample, began) = (self.point(i), self.start_of(i));
        let value = if !starts_after(self.lookback_start(), began, sample.ts) {
            sample.value
        } else if self.is_smoothed() && !starts_after(bound, began, sample.ts) {
            between(Point { ts: began, value: 0.0 }, sample, bound, true)
        } else {
            0.0
        };
        Edge { value, start }
    }

    /// `first` is the last sample at or before the start of the range, or else the first there is.
    fn left_edge(&self, first: usize, counter: bool) -> Edge {
        let bound = self.start;
        let (mut from, own_start) = (self.point(first), self.start_of(first));
        // A counter that began behind the bound had no start there.
        let mut start = if own_start > bound { Timestamp::EPOCH } else { own_start };
        // A sample at the bound is its value.
        if from.ts == bound {
            return Edge { value: from.value, start: own_start };
        }
        if from.ts > bound {
            return if counter { self.edge_before(first, bound, start) } else { Edge { value: from.value, start } };
        }
        let (mut to, next_start) = (self.point(first + 1), self.start_of(first + 1));
        // The next sample belongs to a counter that started after the bound: its start acts as a sample of zero.
        if counter && starts_after(bound, next_start, to.ts) {
            to = Point { ts: next_start, value: 0.0 };
        } else if counter && started_anew((own_start, from.ts), (next_start, to.ts)) {
            from = Point { ts: next_start, value: 0.0 };
            start = next_start;
        }
        let value = if self.is_smoothed() { between(from, to, bound, counter) } else { from.value };
        Edge { value, start }
    }

    /// `last` is the first sample at or after the end of the range, or else the last there is.
    fn right_edge(&self, last: usize, counter: bool) -> Edge {
        let bound = self.end;
        let (mut to, own_start) = (self.point(last), self.start_of(last));
        let mut start = if own_start > bound { Timestamp::EPOCH } else { own_start };
        if to.ts <= bound || last == 0 && !counter {
            return Edge { value: to.value, start };
        }
        if last == 0 {
            return self.edge_before(last, bound, start);
        }
        let (mut from, start_before) = (self.point(last - 1), self.start_of(last - 1));
        if counter && starts_after(bound, own_start, to.ts) {
            to = Point { ts: own_start, value: 0.0 };
            start = start_before;
        } else if counter && started_anew((start_before, from.ts), (own_start, to.ts)) {
            from = Point { ts: own_start, value: 0.0 };
        }
        let value = if self.is_smoothed() { between(from, to, bound, counter) } else { from.value };
        Edge { value, start }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOKBACK_MS: i64 = 100;

    fn edges(extension: Extension, (ts, values, starts): (&[i64], &[f64], &[i64]), end: i64) -> Option<Edges> {
        let [ts, starts] = [ts, starts].map(|times| times.iter().copied().map(Timestamp).collect::<Vec<_>>());
        let (end, lookback_ms, extension) = (Timestamp(end), LOOKBACK_MS, Some(extension));
        Window { ts: &ts, values, starts: &starts, start: end - 10, end, lookback_ms, extension, ..Window::default() }
            .edges(true)
    }

    fn values(edges: Option<Edges>) -> Option<(f64, f64, Range<usize>)> {
        edges.map(|Edges { left, right, inner }| (left.value, right.value, inner))
    }

    #[test]
    fn edges_of_extended_ranges() {
        let of = |extension, end| values(edges(extension, (&[0, 10, 20, 30], &[1.0, 5.0, 2.0, 4.0], &[]), end));
        assert_eq!(of(Extension::Anchored, 35), Some((2.0, 4.0, 3..4)));
        assert_eq!(of(Extension::Smoothed, 15), Some((3.0, 1.0, 1..2)));
        // A bound on a sample has its value; a reset between both bounds happened before them.
        assert_eq!(of(Extension::Smoothed, 10), Some((1.0, 5.0, 1..1)));
        assert_eq!(of(Extension::Smoothed, 20), Some((5.0, 2.0, 2..2)));
        assert_eq!(of(Extension::Smoothed, 45), None);
        assert_eq!(of(Extension::Smoothed, -5), None);
    }

    #[test]
    fn a_start_timestamp_stands_for_a_sample_of_zero() {
        let smoothed = |samples, end| values(edges(Extension::Smoothed, samples, end));
        let restarted = (&[10, 20][..], &[6.0, 9.0][..], &[1, 16][..]);
        // At 14 the counter is about to begin anew, at 18 it has risen for 2 of the 4 until its next sample.
        assert_eq!(smoothed(restarted, 24), Some((0.0, 9.0, 1..2)));
        assert_eq!(smoothed(restarted, 28), Some((4.5, 9.0, 1..2)));
        // Before its first sample it rose since 1.
        assert_eq!(smoothed(restarted, 14), Some((2.0, 0.0, 0..1)));
        assert_eq!(smoothed(restarted, 18).map(|(_, right, inner)| (right, inner)), Some((4.5, 0..1)));
        // All samples lie after the range, in which the counter began.
        let begins = (&[30][..], &[10.0][..], &[20][..]);
        assert_eq!(smoothed(begins, 25), Some((0.0, 5.0, 0..0)));
        assert_eq!(smoothed(begins, 15), None);
        assert_eq!(smoothed((begins.0, begins.1, &[]), 25), None);
        // An anchored range begins with the counter.
        let anchored = |samples, end| values(edges(Extension::Anchored, samples, end));
        assert_eq!(anchored(begins, 31), Some((0.0, 10.0, 0..1)));
        assert_eq!(anchored((begins.0, begins.1, &[]), 31), Some((10.0, 10.0, 0..1)));
    }
}
