//! Quantiles and fractions of classic histograms: cumulative counts under upper bounds.

/// One bucket: its upper bound, and the observations up to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) upper: f64,
    pub(crate) count: f64,
}

/// Differences this small, relative to the counts, come from rounding.
const TOLERANCE: f64 = 1e-12;

/// Cumulative counts that decreased and were raised: the bounds between which that was, and the largest correction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Raised {
    pub(crate) first: f64,
    pub(crate) last: f64,
    pub(crate) most: f64,
}

impl Raised {
    /// Combines both.
    pub(crate) fn and(self, other: Self) -> Self {
        let (first, last) = (self.first.min(other.first), self.last.max(other.last));
        Self { first, last, most: self.most.max(other.most) }
    }
}

/// Sorts, joins equal bounds; `None` unless the last bucket reaches infinity.
fn prepare(buckets: &mut Vec<Bucket>) -> Option<()> {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    // Without the +Inf bucket the total is unknown.
    if buckets.last()?.upper != f64::INFINITY {
        return None;
    }
    // Labels such as `le="1"` and `le="1.0"` are the same bound; upstream's `coalesceBuckets` adds their counts.
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
    Some(())
}

/// The quantile, interpolated within its bucket, and which counts were raised for monotonicity.
pub(crate) fn quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Raised>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if prepare(buckets).is_none() {
        return (f64::NAN, None);
    }
    // Scrapes of different times can have decreasing counts.
    let forced = ascend(buckets);
    let last = buckets.len() - 1;
    let total = buckets[last].count;
    // A single +Inf bucket has no finite bound to interpolate with.
    if last == 0 || total == 0.0 || total.is_nan() {
        return (f64::NAN, forced);
    }
    let mut rank = q * total;
    let found = buckets[..last].iter().position(|b| b.count >= rank).unwrap_or(last);
    // In the +Inf bucket the largest finite bound is the best estimate.
    if found == last {
        return (buckets[last - 1].upper, forced);
    }
    // The lowest bucket has no lower bound unless it starts at zero.
    if found == 0 && buckets[0].upper <= 0.0 {
        return (buckets[0].upper, forced);
    }
    let (mut start, end, mut count) = (0.0, buckets[found].upper, buckets[found].count);
    if found > 0 {
        start = buckets[found - 1].upper;
        count -= buckets[found - 1].count;
        rank -= buckets[found - 1].count;
    }
    // Observations are assumed to be spread evenly within the bucket.
    (start + (end - start) * (rank / count), forced)
}

/// Makes the counts monotonic. Corrections beyond rounding errors are returned.
fn ascend(buckets: &mut [Bucket]) -> Option<Raised> {
    let mut raised: Option<Raised> = None;
    let mut before = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let near = (bucket.count - before).abs() <= TOLERANCE * (bucket.count.abs() + before.abs());
        if !near && bucket.count < before {
            let here = Raised { first: bucket.upper, last: bucket.upper, most: before - bucket.count };
            raised = Some(raised.map_or(here, |raised| raised.and(here)));
        }
        // Differences within rounding errors are smoothed without an annotation.
        if near || bucket.count < before {
            bucket.count = before;
        } else {
            before = bucket.count;
        }
    }
    raised
}

/// The fraction of observations between two values, interpolated within their buckets.
pub(crate) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if prepare(buckets).is_none() {
        return f64::NAN;
    }
    let total = buckets[buckets.len() - 1].count;
    if total == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    // Counts that are not monotonic can exceed the total; upstream does not raise them here.
    (rank_of(upper, buckets).min(total) - rank_of(lower, buckets).min(total)) / total
}

/// The observations below a value.
fn rank_of(value: f64, buckets: &[Bucket]) -> f64 {
    let mut rank = 0.0;
    let mut low = f64::NEG_INFINITY;
    for (i, bucket) in buckets.iter().enumerate() {
        // The lowest bucket is assumed to start at zero.
        if i == 0 && bucket.upper > 0.0 {
            low = 0.0;
        }
        if low >= value {
            return rank;
        }
        if bucket.upper > value {
            // A bucket without a lower bound cannot be interpolated: all of it counts as below.
            if low.is_infinite() {
                return bucket.count;
            }
            return rank + (bucket.count - rank) * (value - low) / (bucket.upper - low);
        }
        rank = bucket.count;
        low = bucket.upper;
    }
    rank
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs.iter().map(|&(upper, count)| Bucket { upper, count }).collect()
    }

    #[test]
    fn interpolation() {
        let full = [(1.0, 10.0), (2.0, 30.0), (f64::INFINITY, 40.0)];
        assert_eq!(quantile(0.5, &mut buckets(&full)), (1.5, None));
        assert_eq!(quantile(0.9, &mut buckets(&full)), (2.0, None));
        assert_eq!(fraction(0.0, 1.5, &mut buckets(&full)), 0.5);
        assert!(quantile(0.5, &mut buckets(&full[..2])).0.is_nan());
        let raised = quantile(0.5, &mut buckets(&[(1.0, 5.0), (2.0, 3.0), (4.0, 4.5), (f64::INFINITY, 6.0)])).1;
        assert_eq!(raised, Some(Raised { first: 2.0, last: 4.0, most: 2.0 }));
    }
}
