//! `…_over_time`, `changes`, `resets`: one value from the samples of a range.

use std::cmp::Ordering;

use super::kahan::{Kahan, Mean, Variance};
use crate::window::Window;

pub(crate) fn avg(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    let (first, rest) = window.values.split_first()?;
    let mut mean = Mean::new(*first);
    rest.iter().for_each(|v| mean.add(*v));
    Some(mean.value())
}

pub(crate) fn sum(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    window.values.first()?;
    let mut sum = Kahan::default();
    window.values.iter().for_each(|v| sum.add(*v));
    // As upstream: an infinite sum has no compensation.
    Some(if sum.sum.is_infinite() { sum.sum } else { sum.value() })
}

pub(crate) fn count(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    window.values.first()?;
    Some(window.values.len() as f64)
}

pub(crate) fn present(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    window.values.first().map(|_| 1.0)
}

pub(crate) fn first(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    window.values.first().copied()
}

pub(crate) fn last(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    window.values.last().copied()
}

pub(crate) fn max(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    // NaN loses against every number, and is the result only if there is nothing else.
    window.values.iter().copied().reduce(|m, v| if v > m || m.is_nan() { v } else { m })
}

pub(crate) fn min(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    window.values.iter().copied().reduce(|m, v| if v < m || m.is_nan() { v } else { m })
}

pub(crate) fn stddev(window: &Window<'_>, args: &[f64]) -> Option<f64> {
    stdvar(window, args).map(f64::sqrt)
}

pub(crate) fn stdvar(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    window.values.first()?;
    let mut variance = Variance::default();
    window.values.iter().for_each(|v| variance.add(*v));
    Some(variance.value())
}

pub(crate) fn changes(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    // From NaN to NaN is no change, as upstream counts.
    let changed = window.since_anchor()?.windows(2).filter(|w| w[0] != w[1] && !(w[0].is_nan() && w[1].is_nan()));
    Some(changed.count() as f64)
}

pub(crate) fn resets(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    Some(window.since_anchor()?.windows(2).filter(|w| w[1] < w[0]).count() as f64)
}

pub(crate) fn quantile(window: &Window<'_>, args: &[f64]) -> Option<f64> {
    window.values.first()?;
    Some(quantile_of(*args.first()?, &mut window.values.to_vec()))
}

pub(crate) fn mad(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    window.values.first()?;
    // The deviation from NaN is NaN.
    if window.values.iter().any(|v| v.is_nan()) {
        return Some(f64::NAN);
    }
    let mut values = window.values.to_vec();
    let median = quantile_of(0.5, &mut values);
    // The second quantile sorts the deviations, so the buffer can be reused.
    values.iter_mut().for_each(|v| *v = (*v - median).abs());
    Some(quantile_of(0.5, &mut values))
}

pub(crate) fn ts_of_first(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    window.ts.first().map(|ts| ts.as_seconds())
}

pub(crate) fn ts_of_last(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    window.ts.last().map(|ts| ts.as_seconds())
}

pub(crate) fn ts_of_max(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    ts_where(window, |v, best| v >= best)
}

pub(crate) fn ts_of_min(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    ts_where(window, |v, best| v <= best)
}

fn ts_where(window: &Window<'_>, better: fn(f64, f64) -> bool) -> Option<f64> {
    let mut samples = window.ts.iter().zip(window.values);
    let (ts, value) = samples.next()?;
    // `better` accepts equal values: of several extremes, the latest timestamp is the result.
    let best =
        samples.fold(
            (ts, *value),
            |(best_ts, best), (ts, value)| {
                if better(*value, best) || best.is_nan() { (ts, *value) } else { (best_ts, best) }
            },
        );
    Some(best.0.as_seconds())
}

/// Holt's double exponential smoothing; arguments: smoothing factor, trend factor.
pub(crate) fn smoothing(window: &Window<'_>, args: &[f64]) -> Option<f64> {
    let &[smooth, trend_factor] = args else { return None };
    let &[first, second, ..] = window.values else { return None };
    let (mut before, mut level, mut trend) = (0.0, first, second - first);
    for (i, value) in window.values[1..].iter().enumerate() {
        // The initial trend is that of the first two values; from the third on it is smoothed.
        if i > 0 {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        // The new level is a mixture of the value and the continued trend.
        let next = smooth * value + (1.0 - smooth) * (level + trend);
        (before, level) = (level, next);
    }
    Some(level)
}

/// By size; NaN comes first, as upstream sorts it.
pub(super) fn order(a: &f64, b: &f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => a.total_cmp(b),
        (a, b) => b.cmp(&a),
    }
}

/// The quantile of some values, interpolated; sorts them.
pub(crate) fn quantile_of(q: f64, values: &mut [f64]) -> f64 {
    values.sort_unstable_by(order);
    quantile_of_sorted(q, values)
}

/// The quantile of values in [`order`].
pub(super) fn quantile_of_sorted(q: f64, values: &[f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let rank = q * (values.len() - 1) as f64;
    let lower = rank.floor().max(0.0) as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    if weight == 0.0 {
        // With weight zero the upper value is ignored, even if it is infinite.
        return values[lower];
    }
    values[lower] * (1.0 - weight) + values[upper] * weight
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;

    fn of(f: crate::functions::RangeFn, values: &[f64], args: &[f64]) -> Option<f64> {
        let ts: Vec<Timestamp> = (1..=values.len() as i64).map(|i| Timestamp(i * 1000)).collect();
        let end = Timestamp(10_000);
        f(&Window { ts: &ts, values, end, eval_time: end, ..Window::default() }, args)
    }

    #[test]
    fn one_value_of_many() {
        let values = [1.0, 3.0, 2.0, f64::NAN];
        assert_eq!(of(max, &values, &[]), Some(3.0));
        assert_eq!(of(min, &values, &[]), Some(1.0));
        assert_eq!(of(count, &values, &[]), Some(4.0));
        assert_eq!(of(changes, &values, &[]), Some(3.0));
        assert_eq!(of(resets, &values, &[]), Some(1.0));
        assert_eq!(of(quantile, &values[..3], &[0.5]), Some(2.0));
        assert_eq!(of(stdvar, &values[..2], &[]), Some(1.0));
        assert_eq!(of(mad, &[4.0, 6.0, 2.0, 1.0, 999.0], &[]), Some(2.0));
        assert_eq!(of(ts_of_max, &values, &[]), Some(2.0));
        assert_eq!(of(sum, &[], &[]), None);
    }

    #[test]
    fn quantiles_outside_their_range() {
        assert_eq!(quantile_of(-0.1, &mut [1.0]), f64::NEG_INFINITY);
        assert_eq!(quantile_of(1.1, &mut [1.0]), f64::INFINITY);
        assert!(quantile_of(0.5, &mut []).is_nan());
    }

    #[test]
    fn a_rank_that_is_whole_is_no_mixture() {
        assert_eq!(quantile_of(0.5, &mut [1.0, 2.0, f64::INFINITY]), 2.0);
        assert_eq!(quantile_of(1.0, &mut [f64::INFINITY, 1.0]), f64::INFINITY);
        assert_eq!(quantile_of(0.0, &mut [f64::NEG_INFINITY, 1.0]), f64::NEG_INFINITY);
    }
}
