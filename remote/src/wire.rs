//! Fields of messages that are put together by hand.

use prost::encoding::{WireType, encode_key, encode_varint};

/// Adds a field that is text, bytes or a message.
pub(crate) fn push_field(out: &mut Vec<u8>, number: u32, content: &[u8]) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(content.len() as u64, out);
    out.extend_from_slice(content);
}
