//! Integers and texts of files, one after the other (upstream: `tsdb/encoding/encoding.go`).

use model::protobuf::unzigzag;

use crate::error::Broken;

const SHORT: Broken = "it ends too early";

/// What is left to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'b>(pub(crate) &'b [u8]);

impl<'b> Bytes<'b> {
    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<&'b [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Broken> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn be32(&mut self) -> Result<u32, Broken> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn be64(&mut self) -> Result<u64, Broken> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn float(&mut self) -> Result<f64, Broken> {
        self.be64().map(f64::from_bits)
    }

    /// Seven bits a byte, the least significant first.
    pub(crate) fn uvarint(&mut self) -> Result<u64, Broken> {
        let mut number = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a number has more than 64 bits")
    }

    /// The same of a number that may be negative.
    pub(crate) fn varint(&mut self) -> Result<i64, Broken> {
        self.uvarint().map(unzigzag)
    }

    /// How many items follow, of which each takes a byte at least: more than there are bytes makes no sense.
    pub(crate) fn count(&mut self) -> Result<usize, Broken> {
        let n = usize::try_from(self.uvarint()?).map_err(|_| SHORT)?;
        if n > self.0.len() { Err(SHORT) } else { Ok(n) }
    }

    /// A text behind its length.
    pub(crate) fn text(&mut self) -> Result<&'b str, Broken> {
        let n = self.count()?;
        str::from_utf8(self.take(n)?).map_err(|_| "a text is not UTF-8")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read() {
        let bytes = [0xac, 0x02, 0x01, 0, 0, 1, 0, 2, b'h', b'i', 7];
        let mut bytes = Bytes(&bytes);
        assert_eq!((bytes.uvarint(), bytes.varint(), bytes.be32()), (Ok(300), Ok(-1), Ok(256)));
        assert_eq!((bytes.text(), bytes.byte(), bytes.is_empty()), (Ok("hi"), Ok(7), true));
        assert_eq!(bytes.byte(), Err(SHORT));
    }

    #[test]
    fn what_is_too_long_or_too_short_is_told() {
        let longest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(Bytes(&longest).uvarint(), Ok(u64::MAX));
        assert_eq!(Bytes(&longest).varint(), Ok(i64::MIN));
        assert!(Bytes(&[0xff; 11]).uvarint().is_err());
        assert!(Bytes(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).uvarint().is_err());
        assert_eq!((Bytes(&[0x80]).uvarint(), Bytes(&[9, b'a']).text()), (Err(SHORT), Err(SHORT)));
        assert!(Bytes(&[1, 0xff]).text().is_err());
    }
}
