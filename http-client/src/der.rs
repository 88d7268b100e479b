//! DER, as much of it as certificates need.

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// The element at the start: its tag, its content, and all of it.
pub(crate) fn element<'a>(input: &mut &'a [u8]) -> Option<(u8, &'a [u8], &'a [u8])> {
    let whole = *input;
    let (tag, rest) = whole.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        // The long form: that many bytes of length. Certificates need no more than four.
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    *input = rest;
    Some((*tag, content, whole.get(..whole.len() - rest.len())?))
}

/// The content of the element at the start, which must have this tag.
pub(crate) fn take<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, content, _) = element(input)?;
    (found == tag).then_some(content)
}

/// The same, if the element at the start has this tag.
pub(crate) fn take_if<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    if input.first() == Some(&tag) { take(input, tag) } else { None }
}

/// The bytes of a bit string that has whole bytes.
pub(crate) fn take_bits<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    take(input, BIT_STRING)?.strip_prefix(&[0])
}
