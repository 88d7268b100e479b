//! Chooses what the codes of a column of integers count.

/// The most differences that are looked at.
const SAMPLES: usize = 32;
/// What a patch costs, in bits, before it is known.
const PATCH_BITS: usize = 32;

/// What the codes of a run of integers are differences of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// 0: the integers' distances from the first. 1: steps from one to the next. 2: differences of steps.
    pub(super) order: u8,
    /// Divides all distances.
    pub(super) factor: u64,
    pub(super) first: i64,
    /// Before the first step, for order 2.
    pub(super) step: i64,
    pub(super) base: i64,
}

impl Plan {
    /// Chooses, and leaves in `ints[1..]` the differences that are coded.
    pub(super) fn make(ints: &mut [i64]) -> Self {
        let first = ints[0];
        let factor = reduce(ints);
        let steps = Window::guess(ints, 1);
        let (mut order, mut window) = (1, steps);
        for other in [0, 2] {
            let guess = Window::guess(ints, other);
            if guess.bits < window.bits {
                (order, window) = (other, guess);
            }
        }
        for from in 1..=usize::from(order) {
            // From the end, since each needs the one before it as it still is.
            for i in (from..ints.len()).rev() {
                ints[i] = ints[i].wrapping_sub(ints[i - 1]);
            }
        }
        let skipped = usize::from(order.max(1)).min(ints.len());
        let base = window.settle(&ints[skipped..]);
        let mut step = 0;
        if order == 2 {
            step = ints[1].wrapping_sub(base);
            // The first step is in the head; its place among the codes costs nothing as the base.
            ints[1] = base;
        }
        Self { order, factor, first, step, base }
    }
}

/// Replaces integers by their distances from the first over a factor of all these distances.
fn reduce(ints: &mut [i64]) -> u64 {
    let first = ints[0];
    let (mut all, mut wrapped) = (0, 0);
    for n in ints.iter_mut() {
        let distance = n.wrapping_sub(first);
        wrapped |= (*n ^ first) & (*n ^ distance);
        all |= distance;
        *n = distance;
    }
    let shift = all.trailing_zeros() % 64;
    let mut odd = 0u64;
    // Of distances that wrapped, only powers of two are factors still.
    if wrapped >= 0 {
        for n in ints.iter() {
            odd = gcd(odd, n.unsigned_abs() >> shift);
            if odd == 1 {
                break;
            }
        }
    }
    let odd = odd.max(1);
    if shift > 0 || odd > 1 {
        let inverse = inverse(odd) as i64;
        ints.iter_mut().for_each(|n| *n = (*n >> shift).wrapping_mul(inverse));
    }
    odd << shift
}

/// The greatest common divisor of the odd `a` (or 0) and the odd part of `b`.
fn gcd(mut a: u64, b: u64) -> u64 {
    if b == 0 || (a > 0 && b.is_multiple_of(a)) {
        return a;
    }
    let mut b = b >> b.trailing_zeros();
    while a != 0 {
        (a, b) = (b % a, a);
    }
    b
}

/// What an odd number must be multiplied by to give 1, modulo 2^64: dividing without remainder is multiplying by it.
fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    // Every turn doubles the low bits that are right, from 3.
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
    }
    inverse
}

/// A range into which most differences fall.
#[derive(Clone, Copy, Debug)]
struct Window {
    base: i64,
    top: i64,
    /// What a thousand differences would cost, about.
    bits: usize,
}

impl Window {
    /// From evenly spaced differences of an order.
    fn guess(ints: &[i64], order: u8) -> Self {
        let skipped = usize::from(order.max(1));
        let n = ints.len().saturating_sub(skipped).min((ints.len() / 8).clamp(SAMPLES / 2, SAMPLES));
        if n < usize::from(order) {
            return Self { base: 0, top: 0, bits: if order == 1 { 0 } else { usize::MAX } };
        }
        let mut samples = [0i64; SAMPLES];
        let samples = &mut samples[..n];
        for (j, sample) in samples.iter_mut().enumerate() {
            let i = skipped + j * (ints.len() - skipped) / n;
            *sample = match order {
                0 => ints[i],
                1 => ints[i].wrapping_sub(ints[i - 1]),
                _ => ints[i].wrapping_sub(ints[i - 1]).wrapping_sub(ints[i - 1].wrapping_sub(ints[i - 2])),
            };
        }
        // Sorted, so that a range is two places; what is trimmed off its ends would be patches.
        samples.sort_unstable();
        let mut best = Self { base: 0, top: 0, bits: usize::MAX };
        let zeros = samples.iter().filter(|&&sample| sample == 0).count();
        let trims = (n / 8 + 1).min(4);
        for low in 0..trims {
            for high in 0..trims {
                let (base, top) = (samples[low], samples[n - 1 - high]);
                let width = width(base, top);
                // A sparse block spends a bit on each difference, and codes on those other than 0.
                let packed = (width * n).min(width * (n - zeros) + n);
                let bits = (packed + (low + high) * PATCH_BITS) * 1000 / n;
                if bits < best.bits {
                    best = Self { base, top, bits };
                }
            }
        }
        best
    }

    /// The base for all differences: further down when that saves more patches than it costs in width.
    fn settle(&self, differences: &[i64]) -> i64 {
        let now = width(self.base, self.top);
        // Below this, codes would grow by more than one bit.
        let floor = self.base.saturating_sub(1i64.checked_shl(now as u32).unwrap_or(i64::MAX));
        let (mut lowest, mut below) = (self.base, 0);
        for &difference in differences {
            if difference < self.base && difference >= floor {
                lowest = lowest.min(difference);
                below += 1;
            }
        }
        let wider = width(lowest, self.top) - now;
        if wider * differences.len() <= below * PATCH_BITS { lowest } else { self.base }
    }
}

/// Bits of the widest code of a range.
fn width(base: i64, top: i64) -> usize {
    (64 - top.wrapping_sub(base).leading_zeros()) as usize
}
