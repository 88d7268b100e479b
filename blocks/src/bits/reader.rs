//! Bits read (upstream: `bstreamReader` of `tsdb/chunkenc/bstream.go`, `varbit.go`, and `xorRead`).

use model::protobuf::unzigzag;

use crate::error::Broken;

const SHORT: Broken = "it ends too early";
/// Bits behind as many ones as their place tells, and one more.
const WIDTHS: [u32; 9] = [0, 3, 6, 9, 12, 18, 25, 56, 64];

/// Reads bits, the first ones from the highest places of their byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BitReader<'b> {
    bytes: &'b [u8],
    /// The next bit.
    at: usize,
}

/// A float, and the window of bits in which it last changed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct XorReader {
    pub(crate) bits: u64,
    leading: u32,
    trailing: u32,
}

impl<'b> BitReader<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next 64 bits and some, zeros behind the end: eight bytes and the one after them.
    #[inline]
    fn nine(&self) -> (u64, u8) {
        let from = self.at / 8;
        if let Some(bytes) = self.bytes.get(from..from + 9)
            && let Some((word, [last])) = bytes.split_first_chunk::<8>()
        {
            return (u64::from_be_bytes(*word), *last);
        }
        let mut word = [0; 8];
        let rest = self.bytes.get(from..).unwrap_or_default();
        let n = rest.len().min(8);
        word[..n].copy_from_slice(&rest[..n]);
        (u64::from_be_bytes(word), rest.get(8).copied().unwrap_or_default())
    }

    /// The next 64 bits.
    #[inline]
    fn peek(&self) -> u64 {
        let (word, last) = self.nine();
        let shift = (self.at % 8) as u32;
        word << shift | u64::from(last).unbounded_shr(8 - shift)
    }

    #[inline]
    fn skip(&mut self, n: u32) -> Result<(), Broken> {
        self.at += n as usize;
        if self.at > self.bytes.len() * 8 { Err(SHORT) } else { Ok(()) }
    }

    /// The next `n` bits, 64 at most, as a number.
    #[inline]
    pub(crate) fn bits(&mut self, n: u32) -> Result<u64, Broken> {
        let bits = self.peek().unbounded_shr(64 - n);
        self.skip(n)?;
        Ok(bits)
    }

    #[inline]
    pub(crate) fn is_one(&mut self) -> Result<bool, Broken> {
        self.bits(1).map(|bit| bit == 1)
    }

    /// So many ones, up to `most`, and the zero behind fewer.
    #[inline]
    pub(crate) fn ones(&mut self, most: u32) -> Result<u32, Broken> {
        let ones = self.peek().leading_ones().min(most);
        self.skip(if ones < most { ones + 1 } else { ones })?;
        Ok(ones)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Broken> {
        self.bits(8).map(|bits| bits as u8)
    }

    pub(crate) fn float(&mut self) -> Result<f64, Broken> {
        self.bits(64).map(f64::from_bits)
    }

    pub(crate) fn uvarint(&mut self) -> Result<u64, Broken> {
        let mut number = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.bits(8)?;
            number |= (byte & 0x7f).unbounded_shl(shift);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a number has more than 64 bits")
    }

    pub(crate) fn varint(&mut self) -> Result<i64, Broken> {
        self.uvarint().map(unzigzag)
    }

    /// A number that takes as many bits as it needs, in steps.
    pub(crate) fn varbit_uint(&mut self) -> Result<u64, Broken> {
        let ones = self.ones(8)?;
        self.bits(WIDTHS[ones as usize])
    }

    /// The same of a number that may be negative.
    #[inline]
    pub(crate) fn varbit_int(&mut self) -> Result<i64, Broken> {
        let width = WIDTHS[self.ones(8)? as usize];
        self.signed(width)
    }

    /// A number from `-2^(n-1) + 1` to `2^(n-1)`.
    #[inline]
    pub(crate) fn signed(&mut self, n: u32) -> Result<i64, Broken> {
        let bits = self.bits(n)?;
        let is_negative = n > 0 && n < 64 && bits > 1 << (n - 1);
        Ok(if is_negative { bits.wrapping_sub(1 << n).cast_signed() } else { bits.cast_signed() })
    }

    /// A float that may have changed since it was read last.
    #[inline]
    pub(crate) fn xor(&mut self, last: &mut XorReader) -> Result<f64, Broken> {
        match self.ones(2)? {
            0 => {}
            1 => self.in_window(last)?,
            _ => self.in_new_window(last)?,
        }
        Ok(f64::from_bits(last.bits))
    }

    /// What changed, in the bits in which it did before.
    #[inline]
    pub(crate) fn in_window(&mut self, last: &mut XorReader) -> Result<(), Broken> {
        let width = 64u32.checked_sub(last.leading + last.trailing).ok_or("a float has more than 64 bits")?;
        last.bits ^= self.bits(width)?.unbounded_shl(last.trailing);
        Ok(())
    }

    /// What changed, behind the place and number of its bits.
    #[inline]
    pub(crate) fn in_new_window(&mut self, last: &mut XorReader) -> Result<(), Broken> {
        let leading = self.bits(5)? as u32;
        let width = match self.bits(6)? as u32 {
            // 64 stands as 0, which it never is.
            0 => 64,
            width => width,
        };
        last.leading = leading;
        last.trailing = 64u32.checked_sub(leading + width).ok_or("a float has more than 64 bits")?;
        self.in_window(last)
    }
}

impl XorReader {
    pub(crate) fn new(value: f64) -> Self {
        Self { bits: value.to_bits(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::{Bits, Xor};

    #[test]
    fn numbers_come_back_as_they_were_written() {
        let numbers =
            [0, 1, -1, 3, 4, -3, 5, 31, 32, -31, 255, 256, 2048, -2047, 1 << 17, 1 << 24, 1 << 55, i64::MAX, i64::MIN];
        let mut bits = Bits::default();
        for number in numbers {
            bits.varbit_int(number);
            bits.varbit_uint(number.cast_unsigned());
            bits.write(1, 1);
            bits.varint(number);
            bits.uvarint(number.cast_unsigned());
        }
        let mut reader = BitReader::new(&bits.bytes);
        for number in numbers {
            assert_eq!(reader.varbit_int(), Ok(number));
            assert_eq!(reader.varbit_uint(), Ok(number.cast_unsigned()));
            assert_eq!(reader.is_one(), Ok(true));
            assert_eq!((reader.varint(), reader.uvarint()), (Ok(number), Ok(number.cast_unsigned())));
        }
        assert!(reader.bits(8).is_err());
    }

    #[test]
    fn floats_come_back_as_they_were_written() {
        let floats =
            [1.0, 1.0, 1.5, 1.0, 0.1, f64::NAN, f64::INFINITY, -0.0, 0.0, f64::from_bits(u64::MAX), 3.0, 4.0, 4.0];
        let mut bits = Bits::default();
        bits.float(7.0);
        let mut last = Xor::new(7.0);
        floats.iter().for_each(|float| bits.xor(&mut last, *float));
        let mut reader = BitReader::new(&bits.bytes);
        let mut last = XorReader::new(reader.float().unwrap());
        for float in floats {
            assert_eq!(reader.xor(&mut last).unwrap().to_bits(), float.to_bits());
        }
    }

    #[test]
    fn nonsense_is_told() {
        assert!(BitReader::new(&[]).varint().is_err());
        assert!(BitReader::new(&[0xff; 16]).uvarint().is_err());
        // 31 leading zeros and 63 bits.
        assert!(BitReader::new(&[0xff; 16]).xor(&mut XorReader::default()).is_err());
    }
}
