//! Integers as what they differ by, in blocks of 64 packed codes with patches.

use super::form::Form;
use super::pack::{BLOCK, WIDTH_MAX, pack, unpack};
use super::varint;

/// In the head of a block: patches follow its codes.
const PATCHED: u8 = 0x40;
/// In the head of a block: a bit per difference says which are not 0, and only these have codes.
const SPARSE: u8 = 0x80;
/// In the head of a patch: it is the last of its block.
const LAST: u8 = 0x80;
/// In the head of a patch: it stands for 1 and no number follows.
const ONE: u8 = 0x40;
/// The most differences that are looked at to choose order and base.
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
    first: i64,
    /// Before the first step, for order 2.
    step: i64,
    base: i64,
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
            for i in (from..ints.len()).rev() {
                ints[i] = ints[i].wrapping_sub(ints[i - 1]);
            }
        }
        let skipped = usize::from(order.max(1)).min(ints.len());
        let base = window.settle(&ints[skipped..]);
        let mut step = 0;
        if order == 2 {
            step = ints[1].wrapping_sub(base);
            ints[1] = base;
        }
        Self { order, factor, first, step, base }
    }

    pub(super) fn encode(&self, differences: &[i64], out: &mut Vec<u8>) {
        if self.factor > 1 {
            varint::put(self.factor, out);
        }
        varint::put(zigzag(self.first), out);
        if self.order == 2 {
            varint::put(zigzag(self.step), out);
        }
        varint::put(zigzag(self.base), out);
        for block in differences[1..].chunks(BLOCK) {
            encode_block(block, self.base, out);
        }
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
        samples.sort_unstable();
        let mut best = Self { base: 0, top: 0, bits: usize::MAX };
        let zeros = samples.iter().filter(|&&sample| sample == 0).count();
        let trims = (n / 8 + 1).min(4);
        for low in 0..trims {
            for high in 0..trims {
                let (base, top) = (samples[low], samples[n - 1 - high]);
                let width = width(base, top);
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

/// Bits of a patch whose code has so many bits.
#[inline]
fn patch_bits(code_bits: usize) -> usize {
    match code_bits {
        0 => 0,
        1 => 8,
        // Below the base, how far is not known here.
        64 => 40,
        _ => 8 + 8 * (code_bits + 1).div_ceil(7),
    }
}

fn encode_block(differences: &[i64], base: i64, out: &mut Vec<u8>) {
    let mut codes = [0u64; BLOCK];
    let (mut len, mut zeros, mut any) = (differences.len(), 0, 0);
    for (code, &difference) in codes.iter_mut().zip(differences) {
        *code = difference.wrapping_sub(base) as u64;
        any |= *code;
        zeros += usize::from(difference == 0);
    }
    if any == 0 {
        return out.push(0);
    }
    let mut widths = Widths::of(&codes[..len]);
    let (mut width, bits) = widths.cheapest(len);
    let mut head = 0;
    let mut set = 0u64;
    if zeros * 8 > len && bits > len {
        widths.forget(base.wrapping_neg() as u64, zeros);
        let (sparse_width, sparse_bits) = widths.cheapest(len - zeros);
        if sparse_bits + len < bits {
            (width, head) = (sparse_width, SPARSE);
            (len, set) = squeeze(&mut codes, differences);
        }
    }
    let mut patches = [(0u8, 0u64); BLOCK];
    let mut n_patches = 0;
    for (i, code) in codes[..len].iter_mut().enumerate() {
        if *code >> width != 0 {
            patches[n_patches] = (i as u8, std::mem::take(code));
            n_patches += 1;
        }
    }
    head |= if n_patches > 0 { PATCHED } else { 0 };
    out.push(width as u8 | head);
    if head & SPARSE != 0 {
        out.extend_from_slice(&set.to_le_bytes()[..differences.len().div_ceil(8)]);
    }
    pack(&codes, len, width, out);
    for (i, &(place, code)) in patches[..n_patches].iter().enumerate() {
        let last = if i + 1 == n_patches { LAST } else { 0 };
        if code == 1 {
            out.push(place | ONE | last);
        } else {
            out.push(place | last);
            varint::put(zigzag(code as i64), out);
        }
    }
}

/// Leaves the codes of differences other than 0, and gives their number and places.
fn squeeze(codes: &mut [u64; BLOCK], differences: &[i64]) -> (usize, u64) {
    let (mut len, mut set) = (0, 0);
    for (i, &difference) in differences.iter().enumerate() {
        if difference != 0 {
            codes[len] = codes[i];
            len += 1;
            set |= 1 << i;
        }
    }
    codes[len..].fill(0);
    (len, set)
}

/// How many codes have how many bits.
#[derive(Debug)]
struct Widths([u8; 65]);

impl Widths {
    fn of(codes: &[u64]) -> Self {
        // Two tables, so that a code needs not wait for the count of the one before it.
        let mut tables = [[0u8; 65]; 2];
        for (i, code) in codes.iter().enumerate() {
            tables[i % 2][(64 - code.leading_zeros()) as usize] += 1;
        }
        let [mut widths, other] = tables;
        widths.iter_mut().zip(other).for_each(|(n, more)| *n += more);
        Self(widths)
    }

    fn forget(&mut self, code: u64, n: usize) {
        self.0[(64 - code.leading_zeros()) as usize] -= n as u8;
    }

    /// The width for which `len` packed codes and patches together are smallest, and the bits they take.
    fn cheapest(&self, len: usize) -> (usize, usize) {
        let (mut best, mut best_bits, mut patched) = (0, usize::MAX, 0);
        for (width, &n) in self.0.iter().enumerate().rev() {
            let bits = width * len + patched;
            if bits < best_bits && width <= WIDTH_MAX {
                (best, best_bits) = (width, bits);
            }
            if n > 0 {
                patched += usize::from(n) * patch_bits(width);
            }
        }
        (best, best_bits)
    }
}

/// What the head of a column says of its integers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) form: Form,
    pub(super) order: u8,
    pub(super) factored: bool,
}

/// Appends `count` values, at least one; `None` when the bytes are not those of so many.
pub(super) fn decode(mut bytes: &[u8], shape: Shape, count: usize, out: &mut Vec<f64>) -> Option<()> {
    let Shape { form, order, factored } = shape;
    let bytes = &mut bytes;
    let factor = if factored { varint::take(bytes)? as i64 } else { 1 };
    let first = unzigzag(varint::take(bytes)?);
    let step = if order == 2 { unzigzag(varint::take(bytes)?) } else { 0 };
    let base = unzigzag(varint::take(bytes)?);
    let zero = base.wrapping_neg() as u64;
    let base = base.wrapping_mul(factor);
    let mut sum = Sum { order, factor, base, last: first, step: step.wrapping_mul(factor) };
    out.reserve(count);
    out.push(form.value(first));
    let (mut codes, mut ints, mut values) = ([0u64; BLOCK], [0i64; BLOCK], [0f64; BLOCK]);
    let mut left = count - 1;
    while left > 0 {
        let len = left.min(BLOCK);
        decode_block(bytes, len, zero, &mut codes)?;
        sum.integrate(&codes, &mut ints);
        form.values(&ints, &mut values);
        out.extend_from_slice(&values[..len]);
        left -= len;
    }
    bytes.is_empty().then_some(())
}

/// Takes the codes of a block off the front of `bytes`; `zero` is the code of the difference 0.
fn decode_block(bytes: &mut &[u8], len: usize, zero: u64, codes: &mut [u64; BLOCK]) -> Option<()> {
    let head = take_byte(bytes)?;
    let width = usize::from(head & !(SPARSE | PATCHED));
    if width > WIDTH_MAX {
        return None;
    }
    if head & SPARSE == 0 {
        return decode_codes(bytes, len, (width, head & PATCHED != 0), codes);
    }
    let (low, rest) = bytes.split_at_checked(len.div_ceil(8))?;
    *bytes = rest;
    let mut set = [0u8; 8];
    set[..low.len()].copy_from_slice(low);
    let mut set = u64::from_le_bytes(set);
    let mut packed = [0u64; BLOCK];
    decode_codes(bytes, set.count_ones() as usize, (width, head & PATCHED != 0), &mut packed)?;
    codes.fill(zero);
    for &code in &packed {
        if set == 0 {
            break;
        }
        codes[set.trailing_zeros() as usize] = code;
        set &= set - 1;
    }
    Some(())
}

fn decode_codes(
    bytes: &mut &[u8],
    len: usize,
    (width, mut patched): (usize, bool),
    codes: &mut [u64; BLOCK],
) -> Option<()> {
    unpack(bytes, len, width, codes)?;
    while patched {
        let head = take_byte(bytes)?;
        codes[usize::from(head & !(ONE | LAST))] =
            if head & ONE != 0 { 1 } else { unzigzag(varint::take(bytes)?) as u64 };
        patched = head & LAST == 0;
    }
    Some(())
}

fn take_byte(bytes: &mut &[u8]) -> Option<u8> {
    let (&byte, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(byte)
}

/// From codes back to integers, block by block.
#[derive(Clone, Copy, Debug)]
struct Sum {
    order: u8,
    factor: i64,
    base: i64,
    last: i64,
    step: i64,
}

impl Sum {
    #[inline]
    fn integrate(&mut self, codes: &[u64; BLOCK], ints: &mut [i64; BLOCK]) {
        let difference = |code: u64| (code as i64).wrapping_mul(self.factor).wrapping_add(self.base);
        let pairs = ints.iter_mut().zip(codes);
        match self.order {
            // `last` stays the first.
            0 => pairs.for_each(|(n, &code)| *n = self.last.wrapping_add(difference(code))),
            1 => {
                let mut last = self.last;
                pairs.for_each(|(n, &code)| {
                    last = last.wrapping_add(difference(code));
                    *n = last;
                });
                self.last = last;
            }
            _ => {
                let (mut last, mut step) = (self.last, self.step);
                pairs.for_each(|(n, &code)| {
                    step = step.wrapping_add(difference(code));
                    last = last.wrapping_add(step);
                    *n = last;
                });
                (self.last, self.step) = (last, step);
            }
        }
    }
}

#[inline]
pub(super) fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

#[inline]
pub(super) fn unzigzag(z: u64) -> i64 {
    (z >> 1) as i64 ^ -((z & 1) as i64)
}
