//! `histogram </ number` and `histogram >/ number`: the observations below or above a value.

use model::Histogram;
use model::histogram::Bucket;

use super::read::share_below;

/// Which observations are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    Below,
    Above,
}

/// The observations below a value (`upper`) or above it. If nothing is trimmed the histogram is unchanged, otherwise its sum is
/// estimated from the midpoints of the remaining buckets.
pub(crate) fn trim(histogram: &Histogram, at: f64, upper: bool) -> Histogram {
    let keep = if upper { Keep::Below } else { Keep::Above };
    let mut out = histogram.clone();
    let (mut count, mut sum, mut cut) = (0.0, 0.0, false);
    let mut take = |bucket: Bucket, slot: &mut f64, (kept, middle): (f64, f64)| {
        count += kept;
        sum += middle * kept;
        cut |= kept != bucket.count;
        *slot = kept;
    };
    // Custom buckets are interpolated linearly, exponential ones on a logarithmic scale.
    let linear = histogram.is_custom();
    for (bucket, slot) in histogram.positive_buckets().zip(&mut out.positive.counts).filter(|(b, _)| b.count != 0.0) {
        take(bucket, slot, kept(&bucket, at, keep, linear));
    }
    for (bucket, slot) in histogram.negative_buckets().zip(&mut out.negative.counts).filter(|(b, _)| b.count != 0.0) {
        take(bucket, slot, kept(&bucket, at, keep, linear));
    }
    if histogram.zero_count > 0.0 {
        let filled = |counts: &[f64]| counts.iter().any(|count| *count != 0.0);
        let (below, above) = (filled(&histogram.negative.counts), filled(&histogram.positive.counts));
        // Without buckets on one side, all observations of the zero bucket are assumed on the other.
        let mut zero = histogram.zero_bucket();
        if below && !above {
            zero.upper = 0.0;
        }
        if above && !below {
            zero.lower = 0.0;
        }
        take(zero, &mut out.zero_count, kept_of_zero(&zero, at, keep));
    }
    // Unchanged histograms keep their exact sum.
    if cut {
        (out.count, out.sum) = (count, sum);
        out.compact();
    }
    out
}

/// How many observations of a bucket are kept, and their midpoint.
fn kept(bucket: &Bucket, at: f64, keep: Keep, linear: bool) -> (f64, f64) {
    let Bucket { lower, upper, count, .. } = *bucket;
    let (whole, none) = match keep {
        Keep::Below => (upper <= at, lower >= at),
        Keep::Above => (lower >= at, upper <= at),
    };
    if whole {
        return (count, middle(lower, upper, linear));
    }
    if none || at.is_nan() {
        return (0.0, 0.0);
    }
    if lower == f64::NEG_INFINITY || upper == f64::INFINITY {
        return kept_of_endless(bucket, at, keep);
    }
    // The value is within the bucket: its observations are split by interpolation.
    let below = share_below(at, bucket, linear);
    match keep {
        Keep::Below => (count * below, middle(lower, at, linear)),
        Keep::Above => (count - count * below, middle(at, upper, linear)),
    }
}

/// A bucket that is unbounded on one side cannot be interpolated; but the first custom bucket starts at zero if its upper bound
/// is above zero.
fn kept_of_endless(bucket: &Bucket, at: f64, keep: Keep) -> (f64, f64) {
    let Bucket { lower, upper, count, .. } = *bucket;
    let from_zero = lower == f64::NEG_INFINITY && upper > 0.0 && upper != f64::INFINITY;
    match keep {
        // Observations are spread evenly between zero and the upper bound.
        Keep::Below if from_zero && at > 0.0 => (count * at / upper, at / 2.0),
        // Nothing is known of observations below the bucket's bound: all are kept, as if at the value.
        Keep::Below if lower == f64::NEG_INFINITY && upper <= 0.0 => (count, at),
        Keep::Above if from_zero && at >= 0.0 => (count * (1.0 - at / upper), f64::midpoint(at, upper)),
        Keep::Above if lower != f64::NEG_INFINITY => (count, at),
        _ => (0.0, 0.0),
    }
}

fn kept_of_zero(zero: &Bucket, at: f64, keep: Keep) -> (f64, f64) {
    let Bucket { lower, upper, count, .. } = *zero;
    let (whole, none) = match keep {
        Keep::Below => (at >= upper, at <= lower),
        Keep::Above => (at <= lower, at >= upper),
    };
    match (keep, whole, none) {
        // A zero bucket without width is on both sides; as upstream, removal is checked first.
        (Keep::Below, _, true) | (Keep::Above, false, true) => (0.0, 0.0),
        (_, true, _) => (count, f64::midpoint(lower, upper)),
        (Keep::Below, ..) => (count * ((at - lower) / (upper - lower)), f64::midpoint(lower, at)),
        (Keep::Above, ..) => (count * ((upper - at) / (upper - lower)), f64::midpoint(at, upper)),
    }
}

/// The assumed position of observations in an interval.
fn middle(lower: f64, upper: f64, linear: bool) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) if upper > 0.0 => upper / 2.0,
        (true, false) => upper,
        (false, true) => lower,
        (false, false) if linear => f64::midpoint(lower, upper),
        // The geometric mean; the sign is that of the side on which both bounds are.
        (false, false) => (lower * upper).abs().sqrt().copysign(lower + upper),
    }
}

#[cfg(test)]
mod tests {
    use model::histogram::Buckets;

    use super::*;

    #[test]
    fn both_parts_make_the_whole() {
        let histogram = Histogram {
            schema: 2,
            count: 30.0,
            sum: 1.0,
            zero_count: 5.0,
            zero_threshold: 0.1,
            positive: Buckets::run(-3, vec![3.0, 4.0, 0.0, 5.0]),
            negative: Buckets::run(0, vec![6.0, 7.0]),
            ..Histogram::default()
        };
        for at in [-10.0, -1.1, -0.95, -0.05, 0.0, 0.07, 0.55, 1.0, 3.0] {
            let (below, above) = (trim(&histogram, at, true), trim(&histogram, at, false));
            assert!((below.count + above.count - 30.0).abs() < 1e-9, "{at}: {below} and {above}");
        }
        assert_eq!(trim(&histogram, 100.0, true), histogram);
        assert_eq!(trim(&histogram, -100.0, true).count, 0.0);
    }
}
