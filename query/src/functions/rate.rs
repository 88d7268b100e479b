//! Change over a range: `rate`, `increase`, `delta`, `irate`, `idelta`, and linear regression.

use model::Timestamp;

use super::kahan::Kahan;
use crate::edges::Edges;
use crate::histogram::started_anew;
use crate::window::Window;

/// The kind of change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// Of a counter, corrected for resets.
    pub(super) counter: bool,
    pub(super) per_second: bool,
}

impl Kind {
    pub(super) const RATE: Self = Self { counter: true, per_second: true };
    pub(super) const INCREASE: Self = Self { counter: true, per_second: false };
    pub(super) const DELTA: Self = Self { counter: false, per_second: false };
}

pub(crate) fn rate(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    extrapolated(window, Kind::RATE)
}

pub(crate) fn increase(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    extrapolated(window, Kind::INCREASE)
}

pub(crate) fn delta(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    extrapolated(window, Kind::DELTA)
}

/// Extrapolation of a change to the bounds of its range, in seconds: to the bound, unless it is further from the samples than
/// 1.1 sample intervals, in which case half an interval is assumed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    last: Timestamp,
    sampled: f64,
    to_start: f64,
    to_end: f64,
}

impl Stretch {
    #[inline]
    pub(super) fn new(window: &Window<'_>, (first, last): (Timestamp, Timestamp), intervals: usize) -> Self {
        // As upstream's `extrapolatedRate`.
        let mut to_start = (first - window.start) as f64 / 1000.0;
        let mut to_end = (window.end - last) as f64 / 1000.0;
        let sampled = (last - first) as f64 / 1000.0;
        // With a known start timestamp, one sample is enough; there is no interval then.
        let average = if intervals == 0 { 0.0 } else { sampled / intervals as f64 };
        let threshold = average * 1.1;
        // The series probably begins, or ends, within the range.
        if to_start >= threshold {
            to_start = average / 2.0;
        }
        if to_end >= threshold {
            to_end = average / 2.0;
        }
        Self { last, sampled, to_start, to_end }
    }

    /// A counter is not extrapolated below zero.
    #[inline]
    pub(super) fn not_below_zero(self, times: f64) -> Self {
        Self { to_start: self.to_start.min(self.sampled * times), ..self }
    }

    /// Could [`Self::not_below_zero`] shorten the extrapolation? Decided without a division; true when in doubt.
    #[inline]
    pub(super) fn may_reach_zero(&self, first: f64, change: f64) -> bool {
        // The margin covers rounding of both products.
        let surely_not = first * self.sampled > change * self.to_start * (1.0 + 1e-9);
        !surely_not
    }

    /// The start timestamp is known: no extrapolation on that side.
    pub(super) fn begin_at(&mut self, start: Timestamp) {
        // The counter existed from this time on: the sampled interval begins there.
        self.to_start = 0.0;
        self.sampled = (self.last - start) as f64 / 1000.0;
    }

    #[inline]
    pub(super) fn factor(&self, range_seconds: f64, kind: Kind) -> f64 {
        let factor = (self.sampled + self.to_start + self.to_end) / self.sampled;
        if kind.per_second { factor / range_seconds } else { factor }
    }
}

/// The difference between the last and first sample, extrapolated to the bounds of the range.
pub(super) fn extrapolated(window: &Window<'_>, kind: Kind) -> Option<f64> {
    if window.extension.is_some() {
        let change = between_edges(window, kind.counter)?;
        return Some(if kind.per_second { change / window.seconds() } else { change });
    }
    let (&first_ts, &last_ts) = (window.ts.first()?, window.ts.last()?);
    let (&first, &last) = (window.values.first()?, window.values.last()?);
    let intervals = window.ts.len() - 1;
    if intervals == 0 {
        return None;
    }
    let mut result = last - first;
    if kind.counter {
        let mut previous = first;
        // After a reset the counter started from zero: the lost value is added.
        for &value in &window.values[1..] {
            if value < previous {
                result += previous;
            }
            previous = value;
        }
    }
    let mut stretch = Stretch::new(window, (first_ts, last_ts), intervals);
    // A constant counter has no slope that reaches zero, and a negative first value is not that of a counter.
    if kind.counter && result > 0.0 && first >= 0.0 {
        stretch = stretch.not_below_zero(first / result);
    }
    Some(result * stretch.factor(window.seconds(), kind))
}

/// The difference of the values at the bounds of an extended range, corrected for resets.
fn between_edges(window: &Window<'_>, counter: bool) -> Option<f64> {
    let Edges { left, right, inner } = window.edges(counter)?;
    let mut result = right.value - left.value;
    if counter {
        // The value at the left bound takes the place of the first sample, with its start timestamp at the bound.
        let (mut previous, mut times) = (left.value, (left.start, window.start));
        let inner = inner.map(|i| (window.values[i], (window.start_of(i), window.ts[i])));
        for (value, here) in inner.chain([(right.value, (right.start, window.end))]) {
            if value < previous || started_anew(times, here) {
                result += previous;
            }
            (previous, times) = (value, here);
        }
    }
    Some(result)
}

pub(crate) fn irate(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    instant(window, true)
}

pub(crate) fn idelta(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    instant(window, false)
}

fn instant(window: &Window<'_>, is_rate: bool) -> Option<f64> {
    let &[.., before, last] = window.values else { return None };
    let &[.., before_ts, last_ts] = window.ts else { return None };
    // After a reset the increase is the value itself.
    let change = if is_rate && last < before { last } else { last - before };
    // Guards the division below, as upstream does; stored timestamps are distinct.
    let interval_ms = last_ts - before_ts;
    if interval_ms == 0 {
        return None;
    }
    Some(if is_rate { change / (interval_ms as f64 / 1000.0) } else { change })
}

pub(crate) fn deriv(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    if window.values.len() < 2 {
        return None;
    }
    Some(regression(window, window.ts[0]).0)
}

pub(crate) fn predict_linear(window: &Window<'_>, args: &[f64]) -> Option<f64> {
    if window.values.len() < 2 {
        return None;
    }
    let (slope, intercept) = regression(window, window.eval_time);
    Some(slope * args.first()? + intercept)
}

/// Least squares: the slope per second, and the value at a time (the intercept).
fn regression(window: &Window<'_>, at: Timestamp) -> (f64, f64) {
    let first = window.values[0];
    // A constant series has slope zero exactly, without rounding errors.
    if window.values.iter().all(|v| *v == first) {
        // As upstream: the deviations of infinite values are NaN.
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    // With `@` or a large offset that time may be anywhere. Bounded here, so that no distance below can be too large.
    let (earliest, latest) = (window.ts[0], window.ts[window.ts.len() - 1]);
    let at = at.clamp(latest.saturating_sub(i64::MAX), earliest.saturating_add(i64::MAX));
    let [mut sum_x, mut sum_y, mut sum_xy, mut sum_xx] = [Kahan::default(); 4];
    for (&ts, &y) in window.ts.iter().zip(window.values) {
        // Relative to that time, so that squares stay small.
        let x = (ts - at) as f64 / 1000.0;
        sum_x.add(x);
        sum_y.add(y);
        sum_xy.add(x * y);
        sum_xx.add(x * x);
    }
    let n = window.values.len() as f64;
    let (sum_x, sum_y) = (sum_x.value(), sum_y.value());
    let covariance = sum_xy.value() - sum_x * sum_y / n;
    let variance = sum_xx.value() - sum_x * sum_x / n;
    let slope = covariance / variance;
    (slope, sum_y / n - slope * sum_x / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window<'a>(ts: &'a [Timestamp], values: &'a [f64]) -> Window<'a> {
        Window { ts, values, end: Timestamp(60_000), eval_time: Timestamp(60_000), ..Window::default() }
    }

    #[test]
    fn resets_are_added_and_borders_reached() {
        let times = [15_000, 30_000, 45_000, 60_000].map(Timestamp);
        let w = window(&times, &[10.0, 20.0, 5.0, 15.0]);
        // 10 → 20, reset to 5, → 15: 25 in 45 s; 15 s more at the start, bounded by the way down to zero: 18 s.
        assert_eq!(increase(&w, &[]), Some(25.0 * ((45.0 + 15.0) / 45.0)));
        assert_eq!(delta(&w, &[]), Some(5.0 * ((45.0 + 15.0) / 45.0)));
        assert_eq!(irate(&w, &[]), Some(10.0 / 15.0));
        assert_eq!(rate(&window(&times[..1], &[1.0]), &[]), None);
    }

    #[test]
    fn a_line_is_continued() {
        let times = [0, 30_000, 60_000].map(Timestamp);
        let w = window(&times, &[0.0, 30.0, 60.0]);
        assert_eq!(deriv(&w, &[]), Some(1.0));
        assert_eq!(predict_linear(&w, &[60.0]), Some(120.0));
    }
}
