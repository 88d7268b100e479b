//! Where buckets begin and end.

use super::{Histogram, ResetHint};

/// The roots `2^(1/2)`, `2^(1/4)` … `2^(1/256)`. Bounds between powers of two are products of them; the first one is
/// the float below the nearest, so that bounds are upstream's to the last bit.
#[expect(clippy::approx_constant, reason = "the first is just not the constant")]
const ROOTS: [f64; 8] = [
    1.414_213_562_373_095,
    1.189_207_115_002_721,
    1.090_507_732_665_257_7,
    1.044_273_782_427_413_8,
    1.021_897_148_654_116_6,
    1.010_889_286_051_700_5,
    1.005_429_901_112_802_7,
    1.002_711_275_050_202_5,
];

/// One bucket as its bounds tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Where it begins.
    pub lower: f64,
    /// Where it ends.
    pub upper: f64,
    /// Does the lower bound belong to it?
    pub lower_inclusive: bool,
    /// Does the upper bound belong to it?
    pub upper_inclusive: bool,
    /// Its observations.
    pub count: f64,
    /// Its index on its side; 0 for the zero bucket.
    pub index: i32,
}

/// Where bucket `index` of a schema ends. The last bucket of finite values ends at the largest float, the one after it
/// at infinity.
#[must_use]
pub fn upper_bound(index: i32, schema: i32, custom_values: &[f64]) -> f64 {
    if schema == Histogram::CUSTOM {
        return match usize::try_from(index) {
            // The bucket behind the last bound ends at +Inf.
            Ok(i) => custom_values.get(i).copied().unwrap_or(f64::INFINITY),
            // Index -1 is asked for as the lower bound of the first bucket.
            Err(_) => f64::NEG_INFINITY,
        };
    }
    let (exponent, fraction) = if schema < 0 {
        // Below schema 0 each bucket spans several powers of two, so the bound is a whole power.
        (i64::from(index) << schema.unsigned_abs().min(16), 0)
    } else {
        let schema = schema.unsigned_abs().min(8);
        // The high bits are the power of two, the low `schema` bits the fraction within it, shifted to 256ths.
        (i64::from(index) >> schema, (index & ((1 << schema) - 1)) << (8 - schema))
    };
    // 2^1024 is beyond the floats. Upstream ends this bucket at the largest float, so that it holds all finite
    // values.
    if exponent == 1024 && fraction == 0 {
        return f64::MAX;
    }
    let mut bound = 1.0;
    for (i, root) in ROOTS.iter().enumerate() {
        // Each root corresponds to a bit of the fraction, the highest first.
        if fraction >> (7 - i) & 1 == 1 {
            bound *= root;
        }
    }
    // In two steps: the power alone may leave the range of floats where the product does not.
    let exponent = i32::try_from(exponent.clamp(-2200, 2200)).unwrap_or(0);
    bound * 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2)
}

impl Histogram {
    /// The buckets above zero (or of custom bounds), ascending, empty ones that a span covers among them.
    pub fn positive_buckets(&self) -> impl Iterator<Item = Bucket> {
        let bound = |i: i32| upper_bound(i, self.schema, &self.custom_values);
        self.positive.iter().map(move |(index, count)| {
            let (lower, upper) = (bound(index.saturating_sub(1)), bound(index));
            let (lower_inclusive, upper_inclusive) =
                // The first custom bucket begins at -Inf, which it includes; exponential ones include the bound
                // farther from zero.
                if self.is_custom() { (index == 0, true) } else { (lower < 0.0, upper > 0.0) };
            Bucket { lower, upper, lower_inclusive, upper_inclusive, count, index }
        })
    }

    /// The buckets below zero, from zero downwards.
    pub fn negative_buckets(&self) -> impl Iterator<Item = Bucket> {
        let bound = |i: i32| -upper_bound(i, self.schema, &[]);
        self.negative.iter().map(move |(index, count)| {
            let (lower, upper) = (bound(index), bound(index.saturating_sub(1)));
            Bucket { lower, upper, lower_inclusive: lower < 0.0, upper_inclusive: upper > 0.0, count, index }
        })
    }

    /// The buckets below zero, towards zero.
    pub(super) fn lowest_first(&self) -> impl Iterator<Item = Bucket> {
        let downwards: Vec<Bucket> = self.negative_buckets().collect();
        downwards.into_iter().rev()
    }

    /// The bucket around zero.
    #[must_use]
    pub fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
            index: 0,
        }
    }

    /// All buckets, ascending; the zero bucket unless it is empty. Where a bucket would reach into the zero bucket, its
    /// bound is the zero threshold.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> {
        let zero = Some(self.zero_bucket()).filter(|zero| zero.count > 0.0);
        let threshold = self.zero_threshold;
        // Observations within the zero threshold are in the zero bucket, so the bucket next to it begins there
        // (upstream: `AllBucketIterator`).
        let cut = move |mut b: Bucket| {
            if b.upper < 0.0 && b.upper > -threshold {
                b.upper = -threshold;
            } else if b.lower > 0.0 && b.lower < threshold {
                b.lower = threshold;
            }
            b
        };
        self.lowest_first().map(cut).chain(zero).chain(self.positive_buckets().map(cut))
    }

    /// May its counters fall at any time?
    #[must_use]
    pub fn is_gauge(&self) -> bool {
        self.reset_hint == ResetHint::Gauge
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Buckets;

    #[test]
    fn bounds_of_schemas() {
        for (index, schema, bound) in [
            (0, 0, 1.0),
            (1, 0, 2.0),
            (-1, 0, 0.5),
            (0, -4, 1.0),
            (-1, -4, 1.0 / 65_536.0),
            (1, 1, std::f64::consts::SQRT_2.next_down()),
            // As upstream's table has them, which rounds some the other way.
            (6, 8, 2.0 * 0.508_189_157_455_476_4),
            (255, 8, 2.0 * 0.997_296_056_085_469_8),
            (-1, 8, 0.997_296_056_085_469_8),
            (135, 8, 2.0 * 0.720_636_559_564_312_6),
            (1024, 0, f64::MAX),
            (1025, 0, f64::INFINITY),
            (64, -4, f64::MAX),
            (262_144, 8, f64::MAX),
            (-1074, 0, 5e-324),
            (i32::MAX, -4, f64::INFINITY),
            (i32::MIN, -4, 0.0),
        ] {
            assert_eq!(upper_bound(index, schema, &[]), bound, "bucket {index} of schema {schema}");
        }
        let custom = |i| upper_bound(i, Histogram::CUSTOM, &[5.0, 10.0]);
        assert_eq!([custom(-1), custom(0), custom(1), custom(2)], [f64::NEG_INFINITY, 5.0, 10.0, f64::INFINITY]);
    }

    #[test]
    fn buckets_in_order() {
        let histogram = Histogram {
            zero_count: 2.0,
            zero_threshold: 0.6,
            positive: Buckets::run(0, vec![1.0, 3.0]),
            negative: Buckets::run(0, vec![4.0]),
            ..Histogram::default()
        };
        let found: Vec<_> = histogram.buckets().map(|b| (b.lower, b.upper, b.count)).collect();
        assert_eq!(found, [(-1.0, -0.6, 4.0), (-0.6, 0.6, 2.0), (0.6, 1.0, 1.0), (1.0, 2.0, 3.0)]);
    }
}
