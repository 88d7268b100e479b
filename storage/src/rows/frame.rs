//! The frame of a segment in a bucket: the base values that its rows are coded against. Drawn in `docs/formats/rows.md`.

use super::codec;
use crate::kv::checksum::Corrupt;

/// The base values of a segment in a bucket.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) values: Box<[f64]>,
    /// The frame's checksum, part of the seed of its rows': a row never decodes against another frame.
    pub(crate) tag: u32,
}

impl Frame {
    pub(crate) fn parse(bytes: &[u8], seed: u64) -> Result<Self, Corrupt> {
        let values = codec::decode_frame(bytes, seed)?.into_boxed_slice();
        Ok(Self { values, tag: Self::tag_of(bytes) })
    }

    pub(crate) fn tag_of(bytes: &[u8]) -> u32 {
        bytes.split_last_chunk::<4>().map_or(0, |(_, tag)| u32::from_le_bytes(*tag))
    }
}
