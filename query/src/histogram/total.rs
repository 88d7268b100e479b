//! Sums and means of histograms.

use std::cmp::Ordering;

use model::{Histogram, ResetHint};

use super::cells::{Cells, at_resolution, common_bounds, widen, within_zero};
use crate::functions::kahan::Kahan;

/// Exponential and custom bucket layouts cannot be combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot apply this operation on histograms with a mix of exponential and custom bucket schemas")]
pub(crate) struct Incompatible;

/// What was found while histograms were combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Combined {
    /// Their reset hints conflict.
    pub(crate) resets_collide: bool,
    /// Their custom bounds differ; only common ones are kept.
    pub(crate) bounds_differ: bool,
}

impl std::ops::BitOrAssign for Combined {
    fn bitor_assign(&mut self, other: Self) {
        self.resets_collide |= other.resets_collide;
        self.bounds_differ |= other.bounds_differ;
    }
}

/// A running sum of histograms, with the coarsest schema and the widest zero bucket among them.
#[derive(Clone, Debug)]
pub(crate) struct Total {
    /// Hint, schema, zero threshold and bounds, which are not summed.
    frame: Histogram,
    count: Kahan,
    sum: Kahan,
    zero: Kahan,
    positive: Cells,
    negative: Cells,
}

impl Total {
    pub(crate) fn new(first: &Histogram) -> Self {
        let frame = Histogram { positive: <_>::default(), negative: <_>::default(), ..first.clone() };
        Self {
            count: Kahan::new(first.count),
            sum: Kahan::new(first.sum),
            zero: Kahan::new(first.zero_count),
            positive: Cells::new(&first.positive),
            negative: Cells::new(&first.negative),
            frame,
        }
    }

    /// Adds a histogram.
    pub(crate) fn add(&mut self, other: &Histogram) -> Result<Combined, Incompatible> {
        self.add_times(other, 1.0)
    }

    /// Subtracts a histogram. The caller sets whether the result is a gauge.
    pub(crate) fn subtract(&mut self, other: &Histogram) -> Result<Combined, Incompatible> {
        self.add_times(other, -1.0)
    }

    fn add_times(&mut self, other: &Histogram, sign: f64) -> Result<Combined, Incompatible> {
        // Checked before anything is changed: on an error the sum stays as it was.
        if self.frame.is_custom() != other.is_custom() {
            return Err(Incompatible);
        }
        let resets_collide = self.meet_hint(other.reset_hint);
        let bounds_differ = self.frame.is_custom() && self.frame.custom_values != other.custom_values;
        self.count.add(sign * other.count);
        self.sum.add(sign * other.sum);
        // The common case is equal layouts, which need no reconciliation.
        let same = self.frame.schema == other.schema && self.frame.zero_threshold == other.zero_threshold;
        if bounds_differ {
            // Both sides are merged to the common bounds before they are added.
            let bounds = common_bounds(&self.frame.custom_values, &other.custom_values);
            let mut cells = Cells::new(&other.positive);
            cells.rebound(&other.custom_values, &bounds);
            self.positive.rebound(&self.frame.custom_values, &bounds);
            self.positive.add(cells.0.iter().map(|(i, count)| (*i, count.value())), sign);
            self.frame.custom_values = bounds.into();
        } else if same {
            self.zero.add(sign * other.zero_count);
            for (mine, buckets) in [(&mut self.positive, &other.positive), (&mut self.negative, &other.negative)] {
                // Buckets inside the zero bucket are only possible in an invalid histogram: see `within_zero`.
                let within = within_zero(buckets.iter().map(|(i, _)| i), other.schema, other.zero_threshold);
                mine.add(buckets.iter().skip(within), sign);
            }
        } else {
            self.add_reconciled(other, sign);
        }
        Ok(Combined { resets_collide, bounds_differ })
    }

    /// Adds a histogram of another schema or zero threshold.
    fn add_reconciled(&mut self, other: &Histogram, sign: f64) {
        let frame = &mut self.frame;
        // The coarser schema: buckets can be merged, but not split.
        let schema = frame.schema.min(other.schema);
        // Ends, since every turn widens the zero bucket, and there are finitely many buckets to widen it over.
        let (positive, negative, zero) = loop {
            let (positive, negative, zero, reached) = at_resolution(other, schema, frame.zero_threshold);
            // The other histogram's zero bucket had to grow further than this one's: both must have the same.
            if reached.partial_cmp(&frame.zero_threshold) != Some(Ordering::Greater) {
                break (positive, negative, zero);
            }
            let sides = [&mut self.positive, &mut self.negative];
            frame.zero_threshold = widen(sides, frame.schema, reached, &mut self.zero);
        };
        self.coarsen(schema);
        self.zero.add(sign * zero.value());
        self.positive.add(positive.0.iter().map(|(i, count)| (*i, count.value())), sign);
        self.negative.add(negative.0.iter().map(|(i, count)| (*i, count.value())), sign);
    }

    /// Reduces the resolution to an exponential schema.
    pub(crate) fn coarsen(&mut self, schema: i32) {
        if !self.frame.is_custom() && schema < self.frame.schema {
            self.positive.coarsen(self.frame.schema, schema);
            self.negative.coarsen(self.frame.schema, schema);
            self.frame.schema = schema;
        }
    }

    /// The hint of the sum; true when the hints conflict.
    fn meet_hint(&mut self, other: ResetHint) -> bool {
        let mine = self.frame.reset_hint;
        self.frame.reset_hint = match (mine, other) {
            (a, b) if a == b => a,
            // A gauge among counters makes the sum a gauge.
            (ResetHint::Gauge, _) | (_, ResetHint::Gauge) => ResetHint::Gauge,
            _ => ResetHint::Unknown,
        };
        matches!((mine, other), (ResetHint::Reset, ResetHint::NotReset) | (ResetHint::NotReset, ResetHint::Reset))
    }

    fn each(&mut self, mut f: impl FnMut(&mut Kahan)) {
        [&mut self.count, &mut self.sum, &mut self.zero].into_iter().for_each(&mut f);
        self.positive.each(&mut f);
        self.negative.each(&mut f);
    }

    fn scale(&mut self, factor: f64) {
        // Sum and compensation are scaled apart, so that the sum keeps its precision.
        self.each(|n| (n.sum, n.lost) = (n.sum * factor, n.lost * factor));
    }

    fn divide(&mut self, divisor: f64) {
        self.each(|n| (n.sum, n.lost) = (n.sum / divisor, n.lost / divisor));
    }

    /// An upper bound for all of its numbers, and for any sum of its buckets.
    fn largest(&mut self) -> f64 {
        // Not the maximum: merging buckets adds them, and the sum of all numbers bounds every such merge.
        let mut sum = 0.0;
        self.each(|n| sum += n.sum.abs());
        sum
    }

    fn overflows(&mut self) -> bool {
        let mut found = false;
        self.each(|n| found |= n.sum.is_infinite());
        found
    }

    /// Its weight in samples, approximately: see [`crate::value::weight`].
    pub(crate) fn weight(&self) -> usize {
        12 + (self.positive.0.len() + self.negative.0.len()) / 2
    }

    /// The sum as a histogram.
    pub(crate) fn finish(self) -> Histogram {
        Histogram {
            count: self.count.value(),
            sum: self.sum.value(),
            zero_count: self.zero.value(),
            positive: self.positive.buckets(Kahan::value),
            negative: self.negative.buckets(Kahan::value),
            ..self.frame
        }
    }
}

/// As [`Total::largest`].
fn largest(histogram: &Histogram) -> f64 {
    let Histogram { count, sum, zero_count, positive, negative, .. } = histogram;
    [count, sum, zero_count].into_iter().chain(&positive.counts).chain(&negative.counts).map(|n| n.abs()).sum()
}

/// A mean of histograms that switches to incremental means when the sum would overflow.
#[derive(Clone, Debug)]
pub(crate) struct Mean {
    total: Total,
    n: f64,
    running: bool,
}

impl Mean {
    /// As [`Total::weight`].
    pub(crate) fn weight(&self) -> usize {
        self.total.weight()
    }

    pub(crate) fn new(first: &Histogram) -> Self {
        Self { total: Total::new(first), n: 1.0, running: false }
    }

    pub(crate) fn add(&mut self, histogram: &Histogram) -> Result<Combined, Incompatible> {
        self.n += 1.0;
        if !self.running {
            // Far from overflow the previous sum need not be kept.
            if self.total.largest() + largest(histogram) < f64::MAX {
                return self.total.add(histogram);
            }
            // Close to overflow the sum is tried on a copy.
            let before = self.total.clone();
            let combined = self.total.add(histogram)?;
            if !self.total.overflows() {
                return Ok(combined);
            }
            self.running = true;
            // From here on the mean is updated incrementally, starting with that of the samples so far.
            self.total = before;
            self.total.divide(self.n - 1.0);
        }
        // `mean * (n - 1) / n + value / n`: neither term can overflow.
        self.total.scale((self.n - 1.0) / self.n);
        self.total.add(&super::divided(histogram, self.n))
    }

    pub(crate) fn finish(mut self) -> Histogram {
        if !self.running {
            self.total.divide(self.n);
        }
        self.total.finish()
    }
}

#[cfg(test)]
mod tests {
    use model::histogram::Buckets;

    use super::*;

    fn of(schema: i32, zero: (f64, f64), counts: &[f64]) -> Histogram {
        Histogram {
            schema,
            zero_threshold: zero.0,
            zero_count: zero.1,
            count: zero.1 + counts.iter().sum::<f64>(),
            positive: Buckets::run(0, counts.to_vec()),
            ..Histogram::default()
        }
    }

    #[test]
    fn the_coarser_schema_and_the_wider_zero_bucket_win() {
        let fine = of(1, (0.0, 0.0), &[1.0, 2.0, 3.0, 4.0]);
        let coarse = of(0, (0.8, 5.0), &[0.0, 6.0]);
        // Fine bounds: 0.7…1, …1.4, …2, …2.8. The threshold 0.8 lies within the first, which goes as a whole.
        for (a, b) in [(&fine, &coarse), (&coarse, &fine)] {
            let mut total = Total::new(a);
            assert_eq!(total.add(b), Ok(Combined::default()));
            let sum = total.finish();
            assert_eq!((sum.schema, sum.zero_threshold, sum.zero_count, sum.count), (0, 1.0, 6.0, 21.0));
            assert_eq!(sum.positive, [(1, 11.0), (2, 4.0)].into_iter().collect());
        }
    }

    #[test]
    fn hints_meet() {
        let with = |reset_hint| Histogram { reset_hint, ..Histogram::default() };
        let meet = |a, b| {
            let mut total = Total::new(&with(a));
            let collide = total.add(&with(b)).unwrap().resets_collide;
            (total.finish().reset_hint, collide)
        };
        use ResetHint::{Gauge, NotReset, Reset, Unknown};
        assert_eq!(meet(Reset, NotReset), (Unknown, true));
        assert_eq!(meet(NotReset, Unknown), (Unknown, false));
        assert_eq!(meet(NotReset, NotReset), (NotReset, false));
        assert_eq!(meet(Reset, Gauge), (Gauge, false));
    }

    #[test]
    fn custom_bounds_in_common() {
        let custom = |bounds: &[f64], counts: &[f64]| Histogram {
            schema: Histogram::CUSTOM,
            custom_values: bounds.into(),
            positive: Buckets::run(0, counts.to_vec()),
            ..Histogram::default()
        };
        let mut total = Total::new(&custom(&[1.0, 2.0, 4.0], &[1.0, 2.0, 3.0, 4.0]));
        assert!(total.subtract(&custom(&[2.0, 3.0], &[1.0, 1.0, 1.0])).unwrap().bounds_differ);
        assert_eq!(total.add(&Histogram::default()), Err(Incompatible));
        let got = total.finish();
        assert_eq!((&*got.custom_values, got.positive), (&[2.0][..], Buckets::run(0, vec![2.0, 5.0])));
    }

    #[test]
    fn means_of_huge_counts() {
        let huge = of(0, (0.0, f64::MAX), &[f64::MAX / 2.0]);
        let mut mean = Mean::new(&huge);
        mean.add(&huge).unwrap();
        let got = mean.finish();
        assert_eq!((got.zero_count, got.positive), (f64::MAX, Buckets::run(0, vec![f64::MAX / 2.0])));
    }
}
