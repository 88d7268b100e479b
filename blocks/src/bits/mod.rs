//! A stream of bits, as chunks of Prometheus' TSDB are written (upstream: `tsdb/chunkenc/bstream.go`, `varbit.go`, and `xorWrite`).

mod reader;

pub(crate) use reader::{BitReader, XorReader};

/// Leading zeros that no value has: there is no window of bits yet.
const NO_WINDOW: u32 = 255;

/// Bits, the first ones in the highest places of their byte.
#[derive(Debug, Default)]
pub(crate) struct Bits {
    pub(crate) bytes: Vec<u8>,
    /// Bits of the last byte that are not written yet.
    free: u32,
}

/// A float and the window of bits in which it last changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Xor {
    bits: u64,
    leading: u32,
    trailing: u32,
}

impl Bits {
    pub(crate) fn new(head: &[u8]) -> Self {
        Self { bytes: head.to_vec(), free: 0 }
    }

    /// The lowest `n` bits of a number, 64 at most.
    pub(crate) fn write(&mut self, number: u64, n: u32) {
        let mut left = n;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let taken = left.min(self.free);
            left -= taken;
            self.free -= taken;
            let bits = (number >> left) & ((1 << taken) - 1);
            if let Some(last) = self.bytes.last_mut() {
                *last |= (bits as u8) << self.free;
            }
        }
    }

    pub(crate) fn float(&mut self, value: f64) {
        self.write(value.to_bits(), 64);
    }

    /// Seven bits a byte, the least significant first.
    pub(crate) fn uvarint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.write(number & 0x7f | 0x80, 8);
            number >>= 7;
        }
        self.write(number, 8);
    }

    /// The same of a number that may be negative.
    pub(crate) fn varint(&mut self, number: i64) {
        self.uvarint((number << 1 ^ number >> 63).cast_unsigned());
    }

    /// A number in as many bits as it needs, in steps.
    pub(crate) fn varbit_uint(&mut self, number: u64) {
        let fits = |bits: u32| number.leading_zeros() >= 64 - bits;
        self.varbit(number, number == 0, fits);
    }

    /// The same of a number that may be negative.
    pub(crate) fn varbit_int(&mut self, number: i64) {
        self.varbit(number.cast_unsigned(), number == 0, |bits| fits(number, bits));
    }

    fn varbit(&mut self, number: u64, is_zero: bool, fits: impl Fn(u32) -> bool) {
        if is_zero {
            return self.write(0, 1);
        }
        for (ones, bits) in (1..).zip([3, 6, 9, 12, 18, 25, 56]) {
            if fits(bits) {
                // So many ones, and a zero.
                self.write((1 << (ones + 1)) - 2, ones + 1);
                return self.write(number, bits);
            }
        }
        self.write(0xff, 8);
        self.write(number, 64);
    }

    /// What changed in a float since it was written last.
    pub(crate) fn xor(&mut self, last: &mut Xor, value: f64) {
        let delta = last.bits ^ value.to_bits();
        last.bits = value.to_bits();
        if delta == 0 {
            return self.write(0, 1);
        }
        self.write(1, 1);
        // Five bits hold it.
        let (leading, trailing) = (delta.leading_zeros().min(31), delta.trailing_zeros());
        if last.leading != NO_WINDOW && leading >= last.leading && trailing >= last.trailing {
            self.write(0, 1);
            return self.write(delta >> last.trailing, 64 - last.leading - last.trailing);
        }
        (last.leading, last.trailing) = (leading, trailing);
        self.write(1, 1);
        self.write(u64::from(leading), 5);
        let width = 64 - leading - trailing;
        // 64 stands as 0, which it never is.
        self.write(u64::from(width), 6);
        self.write(delta >> trailing, width);
    }
}

impl Xor {
    pub(crate) fn new(value: f64) -> Self {
        Self { bits: value.to_bits(), leading: NO_WINDOW, trailing: 0 }
    }
}

/// Can a number be told from others in so many bits? From `-2^(n-1) + 1` to `2^(n-1)`.
pub(crate) fn fits(number: i64, bits: u32) -> bool {
    let half = 1i64 << (bits - 1);
    (1 - half..=half).contains(&number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(write: impl FnOnce(&mut Bits)) -> String {
        let mut bits = Bits::default();
        write(&mut bits);
        let all: String = bits.bytes.iter().map(|byte| format!("{byte:08b}")).collect();
        all[..all.len() - bits.free as usize].to_owned()
    }

    #[test]
    fn numbers_take_as_many_bits_as_they_need() {
        for (number, expected) in
            [(0, "0"), (4, "10100"), (-3, "10101"), (5, "110000101"), (-31, "110100001"), (33, "1110000100001")]
        {
            assert_eq!(shown(|bits| bits.varbit_int(number)), expected, "{number}");
        }
        for (number, expected) in [(0, "0"), (7, "10111"), (8, "110001000"), (511, "1110111111111")] {
            assert_eq!(shown(|bits| bits.varbit_uint(number)), expected, "{number}");
        }
        assert_eq!(shown(|bits| bits.varbit_int(i64::MIN)).len(), 72);
        assert_eq!(shown(|bits| bits.varint(-1)), "00000001");
        assert_eq!(shown(|bits| bits.uvarint(300)), "1010110000000010");
    }

    #[test]
    fn floats_are_written_as_their_difference() {
        let bits = shown(|bits| {
            let mut last = Xor::new(1.0);
            bits.xor(&mut last, 1.0);
            bits.xor(&mut last, 1.5);
            bits.xor(&mut last, 1.0);
        });
        // The same; then bit 51 alone in a window of its own; then again in that window.
        assert_eq!(bits, format!("0{}{}", "1101100000001".to_owned() + "1", "101"));
        assert_eq!(shown(|bits| bits.xor(&mut Xor::new(0.0), f64::from_bits(u64::MAX))).len(), 2 + 5 + 6 + 64);
    }
}
