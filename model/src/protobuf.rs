//! The fields of a protobuf message, read in place: of scraped expositions and of remote write. No groups, which neither has.

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// An integer, a truth value, or a word of an enum.
    Varint(u64),
    /// Eight bytes, which are a double in all messages that are read here.
    Double(f64),
    /// A string, a message, or packed numbers.
    Bytes(&'a [u8]),
    /// Four bytes, which nothing in these messages is.
    Fixed32,
}

/// Why a message cannot be read.
pub type Broken = &'static str;

/// The fields of a message, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fields<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// Those of a message, from the first on.
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self { message, at: 0 }
    }

    /// How many bytes are read.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// The number of the next field and what it holds; `None` at the end.
    ///
    /// # Errors
    /// When the message breaks off, or no field begins here.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "it can fail, which the trait has no room for")]
    pub fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, Broken> {
        if self.at >= self.message.len() {
            return Ok(None);
        }
        let tag = self.varint()?;
        // The low three bits of a tag are the wire type, the rest is the field number. Groups (3 and 4) are obsolete
        // and not part of the exposition format.
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                let bytes = self.bytes(8)?.try_into().map_err(|_| "BUG: eight bytes were taken")?;
                Value::Double(f64::from_le_bytes(bytes))
            }
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_| "length of a field out of range")?;
                Value::Bytes(self.bytes(length)?)
            }
            5 => {
                self.bytes(4)?;
                Value::Fixed32
            }
            _ => return Err("unknown wire type"),
        };
        match tag >> 3 {
            0 => Err("field number 0"),
            number => Ok(Some((number, value))),
        }
    }

    /// The next message of a stream in which each is preceded by its length; `None` at the end.
    ///
    /// # Errors
    /// When the message breaks off, or is longer than upstream takes.
    pub fn next_delimited(&mut self) -> Result<Option<&'a [u8]>, Broken> {
        if self.at >= self.message.len() {
            return Ok(None);
        }
        let start = self.at;
        let length = self.varint()?;
        // Upstream's `MetricStreamingDecoder` refuses length prefixes longer than `binary.MaxVarintLen32`.
        if self.at - start > 5 {
            return Err("length of a message out of range");
        }
        let length = usize::try_from(length).map_err(|_| "length of a message out of range")?;
        self.bytes(length).map(Some)
    }

    /// The next of several numbers that are packed into one field; `None` at the end.
    ///
    /// # Errors
    /// When the last one breaks off.
    #[inline]
    pub fn next_packed(&mut self) -> Result<Option<u64>, Broken> {
        if self.at >= self.message.len() { Ok(None) } else { self.varint().map(Some) }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Broken> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.message.get(self.at).ok_or(TRUNCATED)?;
            self.at += 1;
            // Seven bits a byte, least significant first. The tenth byte keeps one bit; the others are shifted out.
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("number of more than ten bytes")
    }

    #[inline]
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        // The length is whatever the target wrote and may be anything up to 2^64.
        let end = self.at.checked_add(length).ok_or(TRUNCATED)?;
        let bytes = self.message.get(self.at..end).ok_or(TRUNCATED)?;
        self.at = end;
        Ok(bytes)
    }
}

const TRUNCATED: Broken = "message breaks off";

impl<'a> Value<'a> {
    /// A string, a message, or packed numbers.
    ///
    /// # Errors
    /// When it is something else.
    #[inline]
    pub fn bytes(self) -> Result<&'a [u8], Broken> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(WRONG_TYPE) }
    }

    /// A double.
    ///
    /// # Errors
    /// When it is something else.
    #[inline]
    pub fn double(self) -> Result<f64, Broken> {
        if let Self::Double(number) = self { Ok(number) } else { Err(WRONG_TYPE) }
    }

    /// An integer.
    ///
    /// # Errors
    /// When it is something else.
    #[inline]
    pub fn varint(self) -> Result<u64, Broken> {
        if let Self::Varint(number) = self { Ok(number) } else { Err(WRONG_TYPE) }
    }

    /// An `int64`, as it is written: negative ones take ten bytes.
    ///
    /// # Errors
    /// When it is something else.
    #[inline]
    pub fn int(self) -> Result<i64, Broken> {
        self.varint().map(u64::cast_signed)
    }

    /// Each of a field of integers: one, or several packed together.
    ///
    /// # Errors
    /// When it holds something else, or breaks off.
    pub fn each_varint(self, mut each: impl FnMut(u64)) -> Result<(), Broken> {
        let Self::Bytes(packed) = self else {
            each(self.varint()?);
            return Ok(());
        };
        let mut numbers = Fields::new(packed);
        while let Some(number) = numbers.next_packed()? {
            each(number);
        }
        Ok(())
    }

    /// Each of a field of doubles: one, or several packed together.
    ///
    /// # Errors
    /// As above.
    pub fn each_double(self, mut each: impl FnMut(f64)) -> Result<(), Broken> {
        let Self::Bytes(packed) = self else {
            each(self.double()?);
            return Ok(());
        };
        let (numbers, []) = packed.as_chunks::<8>() else { return Err("packed numbers end early") };
        // Proto3 packs numbers by default; the unpacked form above is legal as well and old clients write it.
        numbers.iter().for_each(|bytes| each(f64::from_le_bytes(*bytes)));
        Ok(())
    }
}

/// The number that a `sint32` or `sint64` is.
#[must_use]
#[inline]
pub fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

const WRONG_TYPE: Broken = "field of the wrong wire type";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_each_kind() {
        let mut fields = Fields::new(b"\x08\x96\x01\x12\x02ab\x19\0\0\0\0\0\0\xf0\x3f\x25\0\0\0\0");
        assert_eq!(fields.next(), Ok(Some((1, Value::Varint(150)))));
        assert_eq!(fields.next(), Ok(Some((2, Value::Bytes(b"ab")))));
        assert_eq!(fields.next(), Ok(Some((3, Value::Double(1.0)))));
        assert_eq!(fields.next(), Ok(Some((4, Value::Fixed32))));
        assert_eq!(fields.next(), Ok(None));
    }

    #[test]
    fn broken_messages_are_errors() {
        let cases: [&[u8]; 8] = [
            b"\x08",
            b"\x08\xff",
            b"\x12\x03ab",
            b"\x19\0\0",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x0b",
            b"\x02\0",
        ];
        for message in cases {
            assert!(Fields::new(message).next().is_err(), "{message:?}");
        }
        assert!(Fields::new(b"\x03ab").next_delimited().is_err());
        assert!(Fields::new(b"\x81\x80\x80\x80\x80\x00a").next_delimited().is_err());
    }
}
