//! What integers stand for the values of a column: decimals without their point, integers, or the bits of floats.

/// How an f64 becomes an i64 and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `n / 10^places`, |n| < 2^51.
    Decimal(u8),
    /// `n as f64`.
    Integer,
    /// The bits of a finite value, turned so that integers ascend as values do.
    Bits,
}

/// The most decimal places.
const PLACES_MAX: u8 = 13;
const POWERS: [f64; PLACES_MAX as usize + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13];

/// Added to a float of less than 2^51, it leaves the nearest integer in the low bits of the sum.
const MAGIC: f64 = 6_755_399_441_055_744.0;
const MAGIC_BITS: i64 = MAGIC.to_bits() as i64;
const LIMIT: i64 = 1 << 51;

impl Form {
    /// Four bits.
    pub(super) fn tag(self) -> u8 {
        match self {
            Self::Decimal(places) => places,
            Self::Integer => 14,
            Self::Bits => 15,
        }
    }

    pub(super) fn from_tag(tag: u8) -> Self {
        match tag & 0x0f {
            places @ 0..=PLACES_MAX => Self::Decimal(places),
            14 => Self::Integer,
            _ => Self::Bits,
        }
    }

    /// The integer of a value; `None` when there is none whose value has the same bits.
    pub(super) fn int(self, value: f64) -> Option<i64> {
        match self {
            Self::Decimal(places) => {
                let (n, wrong) = decimal(value, POWERS[usize::from(places)]);
                (wrong == 0).then_some(n)
            }
            Self::Integer => {
                // What lies beyond an i64 saturates, and -0 becomes 0: neither comes back with its bits.
                let n = value as i64;
                ((n as f64).to_bits() == value.to_bits()).then_some(n)
            }
            Self::Bits => value.is_finite().then(|| ordered(value)),
        }
    }

    /// The integers of up to `N` values, and whether one of them has none.
    #[inline]
    pub(super) fn ints<const N: usize>(self, values: &[f64], ints: &mut [i64; N]) -> bool {
        // Collected, not branched on: the loops below are then vectorised.
        let mut wrong = 0;
        let pairs = ints.iter_mut().zip(values);
        match self {
            // Whole numbers have a loop of their own, without a multiplication.
            Self::Decimal(0) => pairs.for_each(|(n, &value)| {
                let sum = value + MAGIC;
                *n = (sum.to_bits() as i64).wrapping_sub(MAGIC_BITS);
                wrong |= ((sum - MAGIC).to_bits() ^ value.to_bits()) | beyond(*n);
            }),
            Self::Decimal(places) => {
                let power = POWERS[usize::from(places)];
                pairs.for_each(|(n, &value)| {
                    let (int, off) = decimal(value, power);
                    *n = int;
                    wrong |= off;
                });
            }
            Self::Integer | Self::Bits => pairs.for_each(|(n, &value)| match self.int(value) {
                Some(int) => *n = int,
                None => wrong = 1,
            }),
        }
        wrong != 0
    }

    pub(super) fn value(self, n: i64) -> f64 {
        let mut value = [0.0];
        self.values(&[n], &mut value);
        value[0]
    }

    #[inline]
    pub(super) fn values<const N: usize>(self, ints: &[i64; N], values: &mut [f64; N]) {
        let pairs = values.iter_mut().zip(ints);
        match self {
            Self::Decimal(0) => pairs.for_each(|(value, &n)| *value = small(n)),
            Self::Decimal(places) => {
                let power = POWERS[usize::from(places)];
                pairs.for_each(|(value, &n)| *value = small(n) / power);
            }
            Self::Integer => pairs.for_each(|(value, &n)| *value = n as f64),
            Self::Bits => pairs.for_each(|(value, &n)| *value = f64::from_bits(turn(n) as u64)),
        }
    }

    /// The fewest places, from `from` up, with which a value is a decimal.
    pub(super) fn places(value: f64, from: u8) -> Option<u8> {
        (from..=PLACES_MAX).find(|&places| Self::Decimal(places).int(value).is_some())
    }
}

/// The integer of a decimal, and 0 if it is one.
#[inline]
fn decimal(value: f64, power: f64) -> (i64, u64) {
    let sum = value * power + MAGIC;
    let n = (sum.to_bits() as i64).wrapping_sub(MAGIC_BITS);
    (n, (((sum - MAGIC) / power).to_bits() ^ value.to_bits()) | beyond(n))
}

/// Not 0 for integers that `small` does not give back, what NaN and infinities leave among them.
#[inline]
fn beyond(n: i64) -> u64 {
    (n.wrapping_add(LIMIT) as u64) >> 52
}

/// `n as f64` for |n| < 2^51, in two instructions that work on many at a time.
#[inline]
fn small(n: i64) -> f64 {
    f64::from_bits(n.wrapping_add(MAGIC_BITS) as u64) - MAGIC
}

/// The bits of any value, as an integer that ascends with it.
#[inline]
pub(super) fn ordered(value: f64) -> i64 {
    turn(value.to_bits() as i64)
}

/// Its own inverse: flips all bits of negative integers but the sign.
#[inline]
fn turn(bits: i64) -> i64 {
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_need_the_places_they_are_written_with() {
        for (value, places) in [(5.0, 0), (-12.5, 1), (0.37, 2), (12_345.678, 3), (1_700_000_000.123, 3), (1e-9, 9)] {
            assert_eq!(Form::places(value, 0), Some(places), "{value}");
            let n = Form::Decimal(places).int(value).unwrap();
            assert_eq!(Form::Decimal(places).value(n).to_bits(), value.to_bits());
        }
        for odd in [1.0 / 3.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 5e-324] {
            assert_eq!(Form::places(odd, 0), None, "{odd}");
        }
        let stale = model::sample::stale_nan();
        assert!((0..=PLACES_MAX).all(|places| Form::Decimal(places).int(stale).is_none()));
    }

    #[test]
    fn the_ends_of_the_forms() {
        let limit = LIMIT as f64;
        for (value, int) in [(limit - 1.0, true), (limit, false), (-limit, true), (-limit - 1.0, false)] {
            assert_eq!(Form::Decimal(0).int(value).is_some(), int, "{value}");
        }
        for value in [i64::MAX as f64, i64::MIN as f64, 9_007_199_254_740_994.0] {
            let n = Form::Integer.int(value).unwrap();
            assert_eq!(Form::Integer.value(n).to_bits(), value.to_bits());
        }
    }

    #[test]
    fn bits_ascend_with_their_values() {
        let ascending = [f64::NEG_INFINITY, -2.0, -1.0, -0.0, 0.0, 5e-324, 1.0, f64::INFINITY];
        let ints: Vec<i64> = ascending.iter().map(|&v| ordered(v)).collect();
        assert!(ints.is_sorted(), "{ints:?}");
    }

    proptest::proptest! {
        #[test]
        fn what_has_an_integer_comes_back(bits in proptest::num::u64::ANY, n in -(1i64 << 53)..1 << 53, tag in 0..16u8) {
            let form = Form::from_tag(tag);
            proptest::prop_assert_eq!(form.tag(), tag);
            let decimal = n as f64 / POWERS[usize::from(tag.min(PLACES_MAX))];
            for value in [f64::from_bits(bits), n as f64, decimal] {
                let mut ints = [0];
                let wrong = form.ints(&[value], &mut ints);
                proptest::prop_assert_eq!(form.int(value), (!wrong).then_some(ints[0]));
                if let Some(n) = form.int(value) {
                    proptest::prop_assert_eq!(form.value(n).to_bits(), value.to_bits());
                }
            }
        }
    }
}
