//! Classic histograms as native ones with custom bounds (upstream: `util/convertnhcb`).

use super::{Buckets, Histogram};

/// Why classic buckets are no histogram.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClassicError {
    /// There is neither a bucket nor a count.
    #[error("there is neither a bucket nor a count")]
    Nothing,
    /// A bound is NaN, or a count below zero.
    #[error("a bucket's bound is no number, or its count is negative")]
    Number,
    /// Cumulative counts may not fall from bound to bound.
    #[error("counts are not cumulative: {count} up to {bound} is less than up to a smaller bound")]
    NotCumulative {
        /// The bound.
        bound: f64,
        /// Observations up to it.
        count: f64,
    },
    /// The last bucket does not hold all observations.
    #[error("count mismatch: {count} observations, {last} in buckets")]
    Count {
        /// Observations as the count has it.
        count: f64,
        /// Observations in all buckets.
        last: f64,
    },
}

impl Histogram {
    /// A histogram with custom bounds from classic buckets: (upper bound, observations up to it), in any order, and the
    /// count and sum beside them. Of buckets with one bound the first counts. Without a count, that of the last bucket is
    /// taken; without a bucket that ends at infinity, the count is.
    ///
    /// # Errors
    /// When the buckets contradict each other or the count.
    pub fn from_classic(buckets: &[(f64, f64)], count: Option<f64>, sum: f64) -> Result<Self, ClassicError> {
        if buckets.is_empty() && count.is_none() {
            return Err(ClassicError::Nothing);
        }
        if buckets.iter().any(|(bound, count)| bound.is_nan() || *count < 0.0) || count.is_some_and(|count| count < 0.0)
        {
            return Err(ClassicError::Number);
        }
        let mut sorted = buckets.to_vec();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        // The sort is stable, so the first of equal bounds is the one that was exposed first.
        sorted.dedup_by_key(|(bound, _)| *bound);
        // The buckets are cumulative: the last one holds all observations.
        let count = count.or(sorted.last().map(|(_, count)| *count)).unwrap_or(0.0);
        if sorted.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
            sorted.push((f64::INFINITY, count));
        }
        let (mut before, mut counts, mut bounds) = (0.0, Vec::new(), Vec::new());
        for (bound, up_to) in &sorted {
            if *up_to < before {
                return Err(ClassicError::NotCumulative { bound: *bound, count: *up_to });
            }
            counts.push(up_to - before);
            bounds.push(*bound);
            before = *up_to;
        }
        // Also true for a +Inf bucket that disagrees with the count.
        if before != count {
            return Err(ClassicError::Count { count, last: before });
        }
        // The last bound is +Inf, which custom bounds leave out.
        bounds.pop();
        let mut positive = Buckets::run(0, counts);
        // As upstream's converter: empty buckets are not stored, their bounds are.
        positive.compact();
        Ok(Self { schema: Self::CUSTOM, count, sum, positive, custom_values: bounds.into(), ..Self::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_made_up() {
        let got = Histogram::from_classic(&[(5.0, 3.0), (1.0, 1.0), (2.0, 1.0), (1.0, 2.0)], Some(4.0), 7.5).unwrap();
        assert_eq!(got.notation(), "{{schema:-53 count:4 sum:7.5 custom_values:[1 2 5] buckets:[1 0 2 1]}}");
        assert_eq!(got.validate(), Ok(()));
        let got = Histogram::from_classic(&[(f64::INFINITY, 2.0)], None, 0.0).unwrap();
        assert_eq!(got.notation(), "{{schema:-53 count:2 custom_values:[] buckets:[2]}}");
        // As upstream has it, what is no number is some observations.
        let got = Histogram::from_classic(&[(1.0, f64::NAN)], Some(4.0), 0.0).unwrap();
        assert_eq!(got.notation(), "{{schema:-53 count:4 custom_values:[1] buckets:[NaN NaN]}}");
        assert_eq!(got.validate(), Ok(()));
    }

    #[test]
    fn what_makes_no_sense() {
        let of = |buckets: &[(f64, f64)], count| Histogram::from_classic(buckets, count, 0.0).unwrap_err();
        assert_eq!(of(&[(1.0, 2.0), (2.0, 1.0)], None), ClassicError::NotCumulative { bound: 2.0, count: 1.0 });
        assert_eq!(of(&[(f64::INFINITY, 2.0)], Some(3.0)), ClassicError::Count { count: 3.0, last: 2.0 });
        assert_eq!(of(&[(f64::NAN, 1.0)], None), ClassicError::Number);
        assert_eq!(of(&[(1.0, -1.0)], None), ClassicError::Number);
        assert_eq!(of(&[], Some(-1.0)), ClassicError::Number);
        assert_eq!(of(&[], None), ClassicError::Nothing);
    }
}
