//! The buckets of one side by index, each with a Kahan compensation.

use model::Histogram;
use model::histogram::{Buckets, joined_index, upper_bound};

use crate::functions::kahan::Kahan;

/// Indexes ascending, without duplicates.
#[derive(Clone, Debug, Default)]
pub(super) struct Cells(pub(super) Vec<(i32, Kahan)>);

impl Cells {
    pub(super) fn new(buckets: &Buckets) -> Self {
        Self(buckets.iter().map(|(i, count)| (i, Kahan::new(count))).collect())
    }

    /// Adds the counts of other buckets, times `sign`; missing buckets are created.
    pub(super) fn add(&mut self, others: impl Iterator<Item = (i32, f64)>, sign: f64) {
        // Both lists are sorted by index: one pass finds the buckets that exist.
        let mut at = 0;
        let mut missing = Vec::new();
        for (index, count) in others {
            while self.0.get(at).is_some_and(|(i, _)| *i < index) {
                at += 1;
            }
            match self.0.get_mut(at) {
                Some((i, sum)) if *i == index => sum.add(sign * count),
                _ => missing.push((index, Kahan::new(sign * count))),
            }
        }
        // New buckets are rare once a sum has seen a few histograms.
        if !missing.is_empty() {
            self.0.extend(missing);
            self.0.sort_by_key(|(i, _)| *i);
        }
    }

    /// Maps every bucket to another index and merges those with equal ones; the mapping must be monotonic.
    pub(super) fn map(&mut self, index: impl Fn(i32) -> i32) {
        let mut out: Vec<(i32, Kahan)> = Vec::with_capacity(self.0.len());
        for (i, count) in &self.0 {
            let i = index(*i);
            match out.last_mut() {
                Some((last, sum)) if *last == i => {
                    // The compensation is added as well, or its precision would be lost.
                    sum.add(count.sum);
                    sum.add(count.lost);
                }
                _ => out.push((i, *count)),
            }
        }
        self.0 = out;
    }

    /// Reduces the resolution to a coarser exponential schema.
    pub(super) fn coarsen(&mut self, from: i32, to: i32) {
        let halvings = from.saturating_sub(to).clamp(0, 31);
        if halvings > 0 {
            self.map(|i| joined_index(i, halvings as u32));
        }
    }

    /// Merges custom buckets to a subset of the bounds.
    pub(super) fn rebound(&mut self, from: &[f64], to: &[f64]) {
        self.map(|i| {
            let bound = usize::try_from(i).ok().and_then(|i| from.get(i)).copied().unwrap_or(f64::INFINITY);
            // The first common bound at or above that of the bucket, which holds all of its observations.
            to.partition_point(|b| *b < bound) as i32
        });
    }

    /// Merges the buckets that begin below a zero threshold into `zero`. Returns the bound to which the threshold must grow if
    /// it is within a populated bucket.
    pub(super) fn sink(&mut self, threshold: f64, schema: i32, zero: &mut Kahan) -> Option<f64> {
        let bound = |i: i32| upper_bound(i, schema, &[]);
        let below = self.0.iter().take_while(|(i, _)| bound(i.saturating_sub(1)) < threshold).count();
        let mut reach = None;
        for (i, count) in self.0.drain(..below) {
            zero.add(count.sum);
            zero.add(count.lost);
            // The threshold is within a populated bucket: the zero bucket must include all of it.
            if bound(i) > threshold && count.value() != 0.0 {
                reach = Some(bound(i));
            }
        }
        reach
    }

    pub(super) fn each(&mut self, f: &mut impl FnMut(&mut Kahan)) {
        self.0.iter_mut().for_each(|(_, count)| f(count));
    }

    pub(super) fn buckets(&self, value: impl Fn(Kahan) -> f64) -> Buckets {
        self.0.iter().map(|(i, count)| (*i, value(*count))).collect()
    }
}

/// How many buckets of a side end within the zero bucket. Such a histogram is invalid; as upstream, these buckets are ignored
/// in sums and in reset detection.
pub(super) fn within_zero(buckets: impl Iterator<Item = i32>, schema: i32, threshold: f64) -> usize {
    if threshold == 0.0 || schema == Histogram::CUSTOM {
        return 0;
    }
    buckets.take_while(|i| upper_bound(*i, schema, &[]) <= threshold).count()
}

impl Cells {
    /// Without the buckets that end within the zero bucket.
    pub(super) fn beyond_zero(mut self, schema: i32, threshold: f64) -> Self {
        let within = within_zero(self.0.iter().map(|(i, _)| *i), schema, threshold);
        self.0.drain(..within);
        self
    }
}

/// The intersection of two sets of custom bounds.
pub(super) fn common_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().copied().filter(|bound| b.contains(bound)).collect()
}

/// A histogram's buckets at a coarser schema and a larger zero threshold: positive and negative ones that end beyond the
/// zero bucket, the zero count, and the threshold, which may have had to grow further.
pub(super) fn at_resolution(histogram: &Histogram, schema: i32, threshold: f64) -> (Cells, Cells, Kahan, f64) {
    let (mut positive, mut negative) = (Cells::new(&histogram.positive), Cells::new(&histogram.negative));
    let mut zero = Kahan::new(histogram.zero_count);
    let mut reached = histogram.zero_threshold;
    if histogram.zero_threshold < threshold {
        reached = widen([&mut positive, &mut negative], histogram.schema, threshold, &mut zero);
    }
    positive.coarsen(histogram.schema, schema);
    negative.coarsen(histogram.schema, schema);
    let threshold = threshold.max(reached);
    (positive.beyond_zero(schema, threshold), negative.beyond_zero(schema, threshold), zero, reached)
}

/// Widens the zero bucket to `threshold`, further if that is within a populated bucket.
pub(super) fn widen(sides: [&mut Cells; 2], schema: i32, mut threshold: f64, zero: &mut Kahan) -> f64 {
    let [positive, negative] = sides;
    loop {
        // Growing on one side can reach into a bucket of the other side: repeated until nothing is cut.
        let reach = positive.sink(threshold, schema, zero);
        let reach = negative.sink(reach.unwrap_or(threshold), schema, zero).or(reach);
        match reach {
            Some(further) => threshold = further,
            None => return threshold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(cells: &Cells) -> Vec<(i32, f64)> {
        cells.0.iter().map(|(i, count)| (*i, count.value())).collect()
    }

    #[test]
    fn coarser_and_rebound() {
        let mut cells = Cells::new(&Buckets::run(-2, vec![1.0, 2.0, 3.0, 4.0, 5.0]));
        cells.coarsen(1, 0);
        assert_eq!(plain(&cells), [(-1, 1.0), (0, 5.0), (1, 9.0)]);
        let mut custom = Cells::new(&Buckets::run(0, vec![1.0, 2.0, 3.0, 4.0]));
        custom.rebound(&[1.0, 2.0, 3.0], &[2.0]);
        assert_eq!(plain(&custom), [(0, 3.0), (1, 7.0)]);
    }

    #[test]
    fn zero_buckets_swallow_whole_buckets() {
        let mut positive = Cells::new(&Buckets::run(-1, vec![1.0, 2.0, 3.0]));
        let mut negative = Cells::new(&Buckets::run(1, vec![10.0, 20.0]));
        let mut zero = Kahan::new(0.5);
        // 0.7 lies within (0.5, 1], so all of that bucket counts as zero; nothing of the negative side reaches so near.
        assert_eq!(widen([&mut positive, &mut negative], 0, 0.7, &mut zero), 1.0);
        assert_eq!(
            (zero.value(), plain(&positive), plain(&negative)),
            (3.5, vec![(1, 3.0)], vec![(1, 10.0), (2, 20.0)])
        );
        assert_eq!(widen([&mut positive, &mut negative], 0, 1.5, &mut zero), 2.0);
        assert_eq!((zero.value(), plain(&positive), plain(&negative)), (16.5, vec![], vec![(2, 20.0)]));
    }
}
