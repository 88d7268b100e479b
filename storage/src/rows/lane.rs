//! 64 columns of a row against 64 base values. Drawn in `docs/formats/rows.md`.
//!
//! A column's code is 0 when its bits are those of the base; else, when both are integers (or both are integers once
//! multiplied by the scale that the base asks for), the zigzag of their difference; else the column is an exception and
//! its bits are stored apart, XORed with the base. Whoever decodes computes exactly the expression the encoder verified.

use crate::kv::varint::{unzigzag, zigzag};

/// Columns in a lane.
pub(crate) const LANE: usize = 64;
/// A code of more bits than this is an exception, so that one unaligned 8-byte load always holds a whole code.
pub(crate) const WIDTH_MAX: u32 = 56;
/// What an exception costs, in bits, when widths are weighed.
const EXCEPTION_BITS: u32 = 72;
/// So many columns of a lane are decoded one by one; more, and all of them are.
const PICKED_MAX: u32 = 12;
/// Decimal places, as factors, in the order they are tried on a base that is not an integer.
const SCALES: [f64; 2] = [1e3, 1e6];

/// A base value and what it makes of the values coded against it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base {
    bits: u64,
    int: i64,
    /// 1 for an integer, a factor for a decimal, 0 when the base takes no part in differences.
    scale: f64,
}

impl Base {
    #[inline]
    pub(crate) fn new(value: f64) -> Self {
        let bits = value.to_bits();
        // Counters, gauges of bytes and the like: most bases are integers.
        if let Some(int) = as_int(value) {
            return Self { bits, int, scale: 1.0 };
        }
        let scaled = SCALES.into_iter().find_map(|scale| Some((as_scaled(value, scale)?, scale)));
        let (int, scale) = scaled.unwrap_or((0, 0.0));
        Self { bits, int, scale }
    }

    /// The code of a value whose bits are not the base's; `None` for an exception.
    #[inline]
    fn code(&self, value: f64) -> Option<u64> {
        let int = if self.scale == 1.0 {
            as_int(value)?
        } else if self.scale == 0.0 {
            return None;
        } else {
            as_scaled(value, self.scale)?
        };
        Some(zigzag(int.wrapping_sub(self.int)))
    }

    #[inline]
    fn value(&self, code: u64) -> f64 {
        let int = self.int.wrapping_add(unzigzag(code)) as f64;
        if self.scale == 1.0 { int } else { int / self.scale }
    }
}

#[inline]
fn as_int(value: f64) -> Option<i64> {
    let int = value as i64;
    ((int as f64).to_bits() == value.to_bits()).then_some(int)
}

#[inline]
fn as_scaled(value: f64, scale: f64) -> Option<i64> {
    // Rounded to the nearest, then verified by the very division that decodes it.
    let int = (value * scale + 0.5_f64.copysign(value)) as i64;
    ((int as f64 / scale).to_bits() == value.to_bits()).then_some(int)
}

/// What `encode` wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Bits of a packed code.
    pub(crate) width: u32,
    /// Bytes of exceptions after the packed codes.
    pub(crate) exception_bytes: usize,
}

/// Bytes that `columns` codes of `width` bits take.
#[inline]
pub(crate) fn packed_bytes(columns: usize, width: u32) -> usize {
    (columns * width as usize).div_ceil(8)
}

/// Appends the packed codes and exceptions of a lane. `values` and `base` are equally long, at most `LANE`; columns
/// whose bit in `present` is 0 are packed as 0.
pub(crate) fn encode(values: &[f64], base: &[f64], present: u64, out: &mut Vec<u8>) -> Shape {
    let (values, base) = (&values[..values.len().min(LANE)], &base[..values.len().min(LANE)]);
    let mut changed = 0u64;
    for (i, (v, b)) in values.iter().zip(base).enumerate() {
        changed |= u64::from(v.to_bits() != b.to_bits()) << i;
    }
    // Absent columns have no value that could differ.
    changed &= present;
    if changed == 0 {
        return Shape::default();
    }
    let mut codes = [0u64; LANE];
    let mut by_width = [0u32; 65];
    let mut exceptions = 0u64;
    for i in bits(changed) {
        match Base::new(base[i]).code(values[i]) {
            Some(code) if code >> WIDTH_MAX == 0 => {
                codes[i] = code;
                by_width[(64 - code.leading_zeros()) as usize] += 1;
            }
            _ => exceptions |= 1 << i,
        }
    }
    // One leap should not widen 63 other codes: it becomes an exception where that is cheaper.
    let width = cheapest_width(&by_width, values.len() as u32);
    for i in bits(changed & !exceptions) {
        if codes[i] >> width != 0 {
            exceptions |= 1 << i;
            codes[i] = 0;
        }
    }
    pack(&codes[..values.len()], width, out);
    let start = out.len();
    for i in bits(exceptions) {
        push_exception(i, values[i].to_bits() ^ base[i].to_bits(), out);
    }
    Shape { width, exception_bytes: out.len() - start }
}

fn cheapest_width(by_width: &[u32; 65], columns: u32) -> u32 {
    let widest = (0..=WIDTH_MAX).rev().find(|&w| by_width[w as usize] > 0).unwrap_or(0);
    let (mut best, mut best_bits, mut wider) = (widest, widest * columns, 0);
    for width in (0..widest).rev() {
        // Codes that no longer fit become exceptions.
        wider += by_width[width as usize + 1];
        let bits = width * columns + wider * EXCEPTION_BITS;
        if bits < best_bits {
            (best, best_bits) = (width, bits);
        }
    }
    best
}

fn pack(codes: &[u64], width: u32, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let (mut word, mut filled) = (0u64, 0u32);
    for &code in codes {
        word |= code << filled;
        filled += width;
        if filled >= 64 {
            out.extend_from_slice(&word.to_le_bytes());
            filled -= 64;
            word = if filled == 0 { 0 } else { code >> (width - filled) };
        }
    }
    out.extend_from_slice(&word.to_le_bytes()[..filled.div_ceil(8) as usize]);
}

/// The head of an exception: the column in the low six bits, in the high two how the XOR is cut.
fn push_exception(column: usize, xor: u64, out: &mut Vec<u8>) {
    let bytes = xor.to_le_bytes();
    let (cut, kept) = if xor & 0xffff_ffff == 0 {
        (1, &bytes[4..])
    } else if xor >> 48 == 0 {
        (3, &bytes[..6])
    } else if xor >> 56 == 0 {
        (2, &bytes[..7])
    } else {
        (0, &bytes[..])
    };
    out.push(column as u8 | cut << 6);
    out.extend_from_slice(kept);
}

/// The base values of one lane, ready to decode many rows against.
#[derive(Debug)]
pub(crate) struct LaneBase(Box<[Base; LANE]>);

impl LaneBase {
    /// From the base values of the lane's columns; those past the end count as 0.
    pub(crate) fn new(values: &[f64]) -> Self {
        Self(Box::new(std::array::from_fn(|i| Base::new(values.get(i).copied().unwrap_or(0.0)))))
    }

    /// The values that it was made from.
    pub(crate) fn values(&self) -> [f64; LANE] {
        std::array::from_fn(|i| f64::from_bits(self.0[i].bits))
    }

    /// Fills `out` with the lane's values, absent ones included, at least where a bit of `wanted` is set; `None` when the
    /// exceptions make no sense.
    pub(crate) fn decode(
        &self,
        (width, packed, exceptions): (u32, &[u8], &[u8]),
        wanted: u64,
        out: &mut [f64; LANE],
    ) -> Option<()> {
        // A query of one metric name wants a few columns of a lane.
        if wanted.count_ones() <= PICKED_MAX {
            self.pick(width, packed, wanted, out)?;
        } else if width == 0 {
            for (slot, base) in out.iter_mut().zip(self.0.iter()) {
                *slot = f64::from_bits(base.bits);
            }
        } else {
            self.unpack(width, packed, out)?;
        }
        let mut rest = exceptions;
        while let Some((&head, after)) = rest.split_first() {
            let column = usize::from(head & 0x3f);
            let (len, shift) = [(8, 0), (4, 32), (7, 0), (6, 0)][usize::from(head >> 6)];
            let (kept, after) = after.split_at_checked(len)?;
            let mut bytes = [0u8; 8];
            bytes[..len].copy_from_slice(kept);
            // Six bits name the column, so that it is always one of the lane.
            out[column] = f64::from_bits(self.0[column].bits ^ u64::from_le_bytes(bytes) << shift);
            rest = after;
        }
        Some(())
    }

    fn pick(&self, width: u32, packed: &[u8], wanted: u64, out: &mut [f64; LANE]) -> Option<()> {
        let mask = (1u64 << width) - 1;
        for i in bits(wanted) {
            let bit = i * width as usize;
            let from = packed.get(bit / 8..)?;
            let mut word = [0u8; 8];
            // Near the end there are fewer bytes than a load takes; the code lies within them.
            let len = from.len().min(8);
            word[..len].copy_from_slice(&from[..len]);
            let code = u64::from_le_bytes(word) >> (bit % 8) & mask;
            let base = &self.0[i];
            out[i] = if code == 0 { f64::from_bits(base.bits) } else { base.value(code) };
        }
        Some(())
    }

    fn unpack(&self, width: u32, packed: &[u8], out: &mut [f64; LANE]) -> Option<()> {
        // Padded, so that the last code can be loaded with 8 bytes like the first.
        let mut bytes = [0u8; LANE * WIDTH_MAX as usize / 8 + 8];
        bytes.get_mut(..packed.len())?.copy_from_slice(packed);
        let mask = (1u64 << width) - 1;
        for (i, (slot, base)) in out.iter_mut().zip(self.0.iter()).enumerate() {
            let bit = i * width as usize;
            let mut word = [0u8; 8];
            word.copy_from_slice(&bytes[bit / 8..bit / 8 + 8]);
            let code = u64::from_le_bytes(word) >> (bit % 8) & mask;
            *slot = if code == 0 { f64::from_bits(base.bits) } else { base.value(code) };
        }
        Some(())
    }
}

/// The set bits of a word, ascending.
pub(crate) fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        (word != 0).then(|| {
            word &= word - 1;
            bit
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodes and decodes a lane, and says how many bytes it took.
    #[track_caller]
    fn round_trip(values: &[f64], base: &[f64], present: u64) -> usize {
        let mut bytes = Vec::new();
        let shape = encode(values, base, present, &mut bytes);
        let (packed, exceptions) = bytes.split_at(bytes.len() - shape.exception_bytes);
        assert_eq!(packed.len(), packed_bytes(values.len(), shape.width));
        let mut out = [0.0; LANE];
        LaneBase::new(base).decode((shape.width, packed, exceptions), u64::MAX, &mut out).unwrap();
        for i in 0..values.len() {
            let mut one = [0.0; LANE];
            LaneBase::new(base).decode((shape.width, packed, exceptions), 1 << i, &mut one).unwrap();
            assert_eq!(one[i].to_bits(), out[i].to_bits(), "column {i} alone");
        }
        for i in bits(present) {
            assert_eq!(out[i].to_bits(), values[i].to_bits(), "column {i}: {} against {}", values[i], base[i]);
        }
        bytes.len()
    }

    #[test]
    fn equal_lanes_cost_nothing() {
        let odd = [f64::NAN, -0.0, f64::INFINITY, 0.1, 5.0];
        assert_eq!(round_trip(&odd, &odd, 0b11111), 0);
    }

    #[test]
    fn integers_are_packed_by_their_distance() {
        let base: Vec<f64> = (0..64).map(|i| f64::from(i) * 1e6).collect();
        let values: Vec<f64> = base.iter().map(|b| b + 7.0).collect();
        assert_eq!(round_trip(&values, &base, u64::MAX), 64 * 4 / 8);
        let down: Vec<f64> = base.iter().map(|b| b - 8.0).collect();
        assert_eq!(round_trip(&down, &base, u64::MAX), 64 * 4 / 8);
    }

    #[test]
    fn decimals_are_integers_at_the_scale_of_their_base() {
        let base: Vec<f64> = (0..64).map(|i| f64::from(i * 70 + 1) / 1000.0).collect();
        let values: Vec<f64> = (0..64).map(|i| f64::from(i * 70 + 6) / 1000.0).collect();
        assert_eq!(round_trip(&values, &base, u64::MAX), 64 * 4 / 8);
    }

    #[test]
    fn one_leap_does_not_widen_the_lane() {
        let base = [10.0; 64];
        let mut values = [11.0; 64];
        values[5] = 1e15;
        values[6] = std::f64::consts::PI;
        assert!(round_trip(&values, &base, u64::MAX) <= 64 * 2 / 8 + 2 * 9);
    }

    #[test]
    fn the_ends_of_the_integers() {
        let base = [i64::MAX as f64, i64::MIN as f64, 0.0, 9_007_199_254_740_993.0];
        let values = [i64::MIN as f64, i64::MAX as f64, 1e300, -9_007_199_254_740_992.0];
        round_trip(&values, &base, 0xf);
        round_trip(&[f64::MIN_POSITIVE, 5e-324, f64::MAX, -f64::MAX], &[0.1, 0.001, 0.5, 1e-6], 0xf);
    }

    #[test]
    fn damaged_exceptions_are_refused() {
        let mut out = [0.0; LANE];
        let base = LaneBase::new(&[]);
        assert_eq!(base.decode((0, &[], &[0x05, 1, 2]), u64::MAX, &mut out), None);
        assert_eq!(base.decode((3, &[0; 600], &[]), u64::MAX, &mut out), None);
    }

    fn any_value() -> impl proptest::strategy::Strategy<Value = f64> {
        use proptest::prelude::*;
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (-1000i64..1000).prop_map(|n| n as f64),
            any::<i64>().prop_map(|n| n as f64),
            (-100_000i64..100_000, 1u32..7).prop_map(|(n, d)| n as f64 / 10f64.powi(d as i32)),
            Just(-0.0),
            Just(model::sample::stale_nan()),
            Just(f64::INFINITY),
        ]
    }

    proptest::proptest! {
        #[test]
        fn any_lane_comes_back_bit_for_bit(
            pairs in proptest::collection::vec((any_value(), any_value(), proptest::bool::ANY), 0..=64),
            present in proptest::num::u64::ANY,
        ) {
            let base: Vec<f64> = pairs.iter().map(|p| p.0).collect();
            let values: Vec<f64> = pairs.iter().map(|p| if p.2 { p.0 } else { p.1 }).collect();
            let columns = if pairs.len() == 64 { u64::MAX } else { (1 << pairs.len()) - 1 };
            round_trip(&values, &base, present & columns);
        }
    }
}
