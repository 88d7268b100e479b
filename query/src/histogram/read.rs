//! Quantiles, fractions, average and variance of native histograms. Within a bucket observations are interpolated: on a
//! logarithmic scale for exponential schemas, on a linear one for custom bounds and around zero.

use model::Histogram;
use model::histogram::Bucket;

use crate::functions::kahan::Kahan;

/// A value, and whether NaN observations influence it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) value: f64,
    pub(crate) has_nan: bool,
}

impl Reading {
    fn plain(value: f64) -> Self {
        Self { value, has_nan: false }
    }
}

pub(crate) fn average(histogram: &Histogram) -> f64 {
    histogram.sum / histogram.count
}

/// Assumes all observations of a bucket in its middle.
pub(crate) fn variance(histogram: &Histogram) -> f64 {
    let mean = average(histogram);
    let mut squares = Kahan::default();
    for bucket in histogram.buckets().filter(|b| b.count != 0.0) {
        // The arithmetic mean for linear buckets, the geometric mean for exponential ones.
        let middle = if histogram.is_custom() {
            (bucket.upper + bucket.lower) / 2.0
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
        };
        let delta = middle - mean;
        squares.add(bucket.count * delta * delta);
    }
    squares.value() / histogram.count
}

/// The zero bucket of a histogram with buckets on one side only ends at zero.
fn one_sided(mut bucket: Bucket, histogram: &Histogram) -> Bucket {
    match (histogram.negative.is_empty(), histogram.positive.is_empty()) {
        (true, false) => bucket.lower = 0.0,
        (false, true) => bucket.upper = 0.0,
        _ => {}
    }
    bucket
}

/// The `q`-quantile.
pub(crate) fn quantile(q: f64, histogram: &Histogram) -> Reading {
    if q < 0.0 {
        return Reading::plain(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return Reading::plain(f64::INFINITY);
    }
    if histogram.count == 0.0 || q.is_nan() {
        return Reading::plain(f64::NAN);
    }
    // NaN observations are in no bucket: then ranks are only valid counted from below.
    let upwards = histogram.sum.is_nan() || q < 0.5;
    // Counted from the nearer end, which needs fewer buckets.
    let rank = if upwards { q } else { 1.0 - q } * histogram.count;
    let found = if upwards {
        reach(histogram.buckets(), rank)
    } else {
        let all: Vec<Bucket> = histogram.buckets().collect();
        reach(all.into_iter().rev(), rank)
    };
    let Some((bucket, count)) = found else { return unreached(rank, histogram) };
    let bucket = match within(bucket, histogram) {
        Ok(bucket) => bucket,
        Err(value) => return Reading::plain(value),
    };
    let count = count.min(histogram.count);
    // Rounding, or NaN observations: the rank is beyond all buckets.
    if count < rank {
        let has_nan = histogram.sum.is_nan();
        return Reading { value: if has_nan { f64::NAN } else { bucket.upper }, has_nan };
    }
    // The position of the rank within its bucket.
    let part = if upwards { rank - (count - bucket.count) } else { count - rank };
    let has_nan = histogram.sum.is_nan() && histogram.buckets().map(|b| b.count).sum::<f64>() < histogram.count;
    Reading { value: interpolated(&bucket, part / bucket.count, histogram.is_custom()), has_nan }
}

/// Without any bucket.
fn unreached(rank: f64, histogram: &Histogram) -> Reading {
    let has_nan = histogram.sum.is_nan();
    // A NaN rank is never reached.
    let reachable = rank > 0.0 && !has_nan;
    Reading { value: if reachable { 0.0 } else { f64::NAN }, has_nan }
}

/// The first bucket whose cumulative count reaches a rank, otherwise the last; with the cumulative count before it.
fn reach(buckets: impl Iterator<Item = Bucket>, rank: f64) -> Option<(Bucket, f64)> {
    let mut count = 0.0;
    let mut last = None;
    for bucket in buckets {
        count += bucket.count;
        last = Some((bucket, count));
        if bucket.count != 0.0 && count >= rank {
            break;
        }
    }
    last
}

/// The interval in which observations of a bucket are assumed; `Err` is the quantile where that is unbounded.
fn within(mut bucket: Bucket, histogram: &Histogram) -> Result<Bucket, f64> {
    if !histogram.is_custom() {
        let around_zero = bucket.lower < 0.0 && bucket.upper > 0.0;
        return Ok(if around_zero { one_sided(bucket, histogram) } else { bucket });
    }
    if bucket.lower == f64::NEG_INFINITY {
        // The lowest custom bucket is unbounded below: its upper bound is the best estimate.
        if bucket.upper <= 0.0 {
            return Err(bucket.upper);
        }
        bucket.lower = 0.0;
    } else if bucket.upper == f64::INFINITY {
        return Err(bucket.lower);
    }
    Ok(bucket)
}

fn interpolated(bucket: &Bucket, share: f64, linear: bool) -> f64 {
    let Bucket { lower, upper, .. } = *bucket;
    if linear || lower <= 0.0 && upper >= 0.0 {
        return lower + (upper - lower) * share;
    }
    // Exponential buckets are interpolated on a logarithmic scale.
    let (from, to) = (lower.abs().log2(), upper.abs().log2());
    if lower > 0.0 { (from + (to - from) * share).exp2() } else { -(to + (from - to) * (1.0 - share)).exp2() }
}

/// The fraction of observations between two values.
pub(crate) fn fraction(lower: f64, upper: f64, histogram: &Histogram) -> Reading {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return Reading::plain(f64::NAN);
    }
    if lower >= upper {
        return Reading::plain(0.0);
    }
    let mut counted = histogram.count;
    let mut has_nan = false;
    if histogram.sum.is_nan() {
        // NaN observations count in the total but are in no bucket.
        counted = histogram.buckets().map(|b| b.count).sum();
        has_nan = counted < histogram.count;
    }
    let rank = |value| rank_of(value, histogram).map_or(counted, |rank| rank.min(counted));
    Reading { value: (rank(upper) - rank(lower)) / histogram.count, has_nan }
}

/// The number of observations below a value; `None` when all in buckets are.
fn rank_of(value: f64, histogram: &Histogram) -> Option<f64> {
    let mut rank = 0.0;
    for bucket in histogram.buckets() {
        // Custom buckets have none around zero: the first of them begins there when it ends above it.
        let is_first = bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0;
        let around_zero = !histogram.is_custom() && bucket.lower <= 0.0 && bucket.upper >= 0.0;
        let bucket = match (histogram.is_custom(), is_first, around_zero) {
            (true, true, _) => Bucket { lower: 0.0, ..bucket },
            (false, _, true) => one_sided(bucket, histogram),
            _ => bucket,
        };
        if bucket.lower >= value {
            return Some(rank);
        }
        if bucket.upper > value {
            let below = share_below(value, &bucket, histogram.is_custom() || around_zero);
            // A bucket without a lower bound cannot be interpolated: all of it counts.
            return Some(if bucket.lower == f64::NEG_INFINITY { bucket.count } else { rank + bucket.count * below });
        }
        rank += bucket.count;
    }
    None
}

/// The fraction of a bucket below a value.
pub(super) fn share_below(value: f64, bucket: &Bucket, linear: bool) -> f64 {
    if linear {
        return (value - bucket.lower) / (bucket.upper - bucket.lower);
    }
    let (from, to, at) = (bucket.lower.abs().log2(), bucket.upper.abs().log2(), value.abs().log2());
    if value > 0.0 { (at - from) / (to - from) } else { 1.0 - (at - to) / (from - to) }
}

#[cfg(test)]
mod tests {
    use model::histogram::Buckets;

    use super::*;

    #[test]
    fn quantiles_and_fractions_are_inverse() {
        let histogram = Histogram {
            schema: 1,
            count: 20.0,
            zero_count: 4.0,
            zero_threshold: 0.25,
            positive: Buckets::run(0, vec![2.0, 0.0, 4.0]),
            negative: Buckets::run(-1, vec![3.0, 7.0]),
            ..Histogram::default()
        };
        for q in [0.02, 0.3, 0.45, 0.6, 0.75, 0.99] {
            let value = quantile(q, &histogram).value;
            let share = fraction(f64::NEG_INFINITY, value, &histogram).value;
            assert!((share - q).abs() < 1e-12, "{q}: {value} gives {share}");
        }
        assert_eq!(fraction(-0.25, 0.25, &histogram), Reading::plain(0.2));
    }

    #[test]
    fn what_is_no_number() {
        let histogram =
            Histogram { count: 10.0, sum: f64::NAN, positive: Buckets::run(1, vec![8.0]), ..Histogram::default() };
        assert!(quantile(0.9, &histogram).value.is_nan() && quantile(0.9, &histogram).has_nan);
        assert_eq!(quantile(0.8, &histogram), Reading { value: 2.0, has_nan: true });
        assert_eq!(fraction(f64::NEG_INFINITY, f64::INFINITY, &histogram), Reading { value: 0.8, has_nan: true });
    }

    #[test]
    fn infinite_custom_buckets() {
        let histogram = Histogram {
            schema: Histogram::CUSTOM,
            count: 4.0,
            custom_values: [-1.0, 5.0].into(),
            positive: Buckets::run(0, vec![1.0, 2.0, 1.0]),
            ..Histogram::default()
        };
        let at = |q| quantile(q, &histogram).value;
        assert_eq!([at(0.1), at(0.5), at(0.9)], [-1.0, 2.0, 5.0]);
    }

    #[test]
    fn custom_buckets_that_meet_at_zero() {
        let of = |bounds: &[f64]| Histogram {
            schema: Histogram::CUSTOM,
            count: 5.0,
            custom_values: bounds.into(),
            positive: Buckets::run(0, vec![2.0, 3.0]),
            ..Histogram::default()
        };
        let share = |bounds, lower, upper| fraction(lower, upper, &of(bounds)).value;
        assert_eq!(share(&[0.0, 10.0], f64::NEG_INFINITY, 0.0), 0.4);
        assert_eq!(share(&[0.0, 10.0], 0.0, f64::INFINITY), 0.6);
        // The first bucket begins at zero.
        assert_eq!(share(&[10.0, 20.0], 0.0, 5.0), 0.2);
        assert_eq!(share(&[10.0, 20.0], f64::NEG_INFINITY, 0.0), 0.0);
    }
}
