//! Up to 64 codes as bytes: packed at the width that suits most, with patches for the others.

use super::pack::{BLOCK, WIDTH_MAX, pack, unpack};
use crate::kv::varint::{self, unzigzag, zigzag};

/// In the head of a block: patches follow its codes.
const PATCHED: u8 = 0x40;
/// In the head of a block: a bit per difference says which are not 0, and only these have codes.
const SPARSE: u8 = 0x80;
/// In the head of a patch: it is the last of its block.
const LAST: u8 = 0x80;
/// In the head of a patch: it stands for 1 and no number follows.
const ONE: u8 = 0x40;

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

/// Appends the codes of up to 64 differences, their distances from the base.
pub(super) fn encode(differences: &[i64], base: i64, out: &mut Vec<u8>) {
    let mut codes = [0u64; BLOCK];
    let (mut len, mut zeros, mut any) = (differences.len(), 0, 0);
    for (code, &difference) in codes.iter_mut().zip(differences) {
        *code = difference.wrapping_sub(base) as u64;
        any |= *code;
        zeros += usize::from(difference == 0);
    }
    if any == 0 {
        // All differences are the base: width 0 and no patches say that.
        return out.push(0);
    }
    let mut widths = Widths::of(&codes[..len]);
    let (mut width, bits) = widths.cheapest(len);
    let mut head = 0;
    let mut set = 0u64;
    // A bit per difference costs `len` bits: with few zeros, or with codes as short, it is not tried.
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
        // Too wide: it leaves a 0 among the packed codes and goes behind them.
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

/// Takes the codes of a block off the front of `bytes`; `zero` is the code of the difference 0.
pub(super) fn decode(bytes: &mut &[u8], len: usize, zero: u64, codes: &mut [u64; BLOCK]) -> Option<()> {
    let head = take_byte(bytes)?;
    let width = usize::from(head & !(SPARSE | PATCHED));
    // Only damaged bytes say so: no writer packs wider.
    if width > WIDTH_MAX {
        return None;
    }
    // Every difference has a code.
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
        // Lowest set bit first, as the writer squeezed them.
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
        // Six bits are left, so that a place is always one of a block.
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
