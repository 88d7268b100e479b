//! The timestamps of one source in one partition, once for all its columns, and what names the pages that are valid.
//! Drawn in `docs/formats/pages.md`.
//!
//! Invariant: pages whose generation the timeline does not name do not exist to readers, whoever left them.

use model::{SourceId, Timestamp};
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64;

use super::column;
use crate::kv::checksum::Corrupt;
use crate::kv::schema::{Partition, timeline_key};
use crate::kv::varint;
use crate::limits;

/// What one flush or compaction wrote of a source in a partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Timeline {
    /// The generation of its pages.
    pub(crate) generation: u32,
    /// The segments whose metrics the pages may hold.
    pub(crate) segments: RoaringBitmap,
    /// Samples in the pages.
    pub(crate) samples: u64,
    /// Times of the source's rows, ascending.
    pub(crate) timestamps: Vec<Timestamp>,
}

const CHECKSUM_BYTES: usize = 4;

/// Appends times as offsets from the start of their partition: count, then a column.
pub(super) fn put_times(times: &[Timestamp], start: Timestamp, out: &mut Vec<u8>) {
    varint::put(times.len() as u64, out);
    // A partition is far shorter than 2^53 milliseconds, and so is how far a time may lie around it.
    let offsets: Vec<f64> = times.iter().map(|ts| ts.0.wrapping_sub(start.0) as f64).collect();
    column::encode(&offsets, out);
}

/// The times that `put_times` wrote, the bytes being exactly its.
pub(super) fn take_times(mut bytes: &[u8], start: Timestamp) -> Result<Vec<Timestamp>, Corrupt> {
    let count = varint::take_usize(&mut bytes).filter(|&count| count <= limits::TIMELINE_ROWS);
    let count = count.ok_or(Corrupt::Shape("a timeline without a count"))?;
    let mut offsets = Vec::new();
    column::decode(bytes, count, &mut offsets)?;
    // Wrapping like `put_times`: a partition at the end of time reaches past it.
    let times: Vec<Timestamp> =
        offsets.into_iter().map(|offset| Timestamp(start.0.wrapping_add(offset as i64))).collect();
    if times.is_sorted_by(|a, b| a < b) { Ok(times) } else { Err(Corrupt::Shape("times are not ascending")) }
}

impl Timeline {
    /// The bytes under the timeline's key.
    pub(crate) fn encode(&self, partition: Partition, source: SourceId) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.timestamps.len() + 64);
        varint::put(u64::from(self.generation), &mut out);
        varint::put(self.samples, &mut out);
        varint::put(self.segments.len(), &mut out);
        let mut before = 0;
        // As differences, which are small: the segments of a source were mostly made together.
        for segment in &self.segments {
            varint::put(u64::from(segment - before), &mut out);
            before = segment;
        }
        put_times(&self.timestamps, partition.start.0, &mut out);
        let checksum = checksum(&out, partition, source);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    pub(crate) fn parse(bytes: &[u8], partition: Partition, source: SourceId) -> Result<Self, Corrupt> {
        let (head, rest) = Self::split(bytes, partition, source)?;
        Ok(Self { timestamps: take_times(rest, partition.start.0)?, ..head })
    }

    /// Without the timestamps.
    pub(crate) fn head(bytes: &[u8], partition: Partition, source: SourceId) -> Result<Self, Corrupt> {
        Self::split(bytes, partition, source).map(|(head, _)| head)
    }

    fn split(bytes: &[u8], partition: Partition, source: SourceId) -> Result<(Self, &[u8]), Corrupt> {
        let (bytes, stored) =
            bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Corrupt::Shape("shorter than a checksum"))?;
        let (got, expected) = (checksum(bytes, partition, source), u32::from_le_bytes(*stored));
        if got != expected {
            return Err(Corrupt::Checksum { got, expected });
        }
        let mut rest = bytes;
        let head = Self::parse_head(&mut rest).ok_or(Corrupt::Shape("a timeline cut short"))?;
        Ok((head, rest))
    }

    fn parse_head(bytes: &mut &[u8]) -> Option<Self> {
        let generation = u32::try_from(varint::take(bytes)?).ok()?;
        let samples = varint::take(bytes)?;
        let mut segments = RoaringBitmap::new();
        let mut last = 0u32;
        for _ in 0..varint::take(bytes)? {
            last = last.checked_add(u32::try_from(varint::take(bytes)?).ok()?)?;
            segments.insert(last);
        }
        Some(Self { generation, segments, samples, timestamps: Vec::new() })
    }
}

fn checksum(bytes: &[u8], partition: Partition, source: SourceId) -> u32 {
    crate::kv::checksum::checksum(bytes, xxh3_64(&timeline_key(partition, source)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::schema::Bucket;

    #[test]
    fn a_timeline_comes_back_and_damage_is_noticed() {
        let partition = Partition { start: Bucket(Timestamp(-1_800_000)), buckets: 2 };
        let timeline = Timeline {
            generation: 7,
            segments: [3, 900, 70_000].into_iter().collect(),
            samples: 1 << 40,
            timestamps: [-1_800_000, -1_785_003, -1_770_001, 5].map(Timestamp).to_vec(),
        };
        let bytes = timeline.encode(partition, SourceId(4));
        assert_eq!(Timeline::parse(&bytes, partition, SourceId(4)), Ok(timeline));
        assert!(Timeline::parse(&bytes, partition, SourceId(5)).is_err());
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Timeline::parse(&damaged, partition, SourceId(4)).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(Timeline::parse(&bytes[..len], partition, SourceId(4)).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn no_row_at_all_is_a_timeline_too() {
        let partition = Partition { start: Bucket(Timestamp::EPOCH), buckets: 1 };
        let timeline = Timeline { generation: 1, ..Timeline::default() };
        let bytes = timeline.encode(partition, SourceId(0));
        assert_eq!(Timeline::parse(&bytes, partition, SourceId(0)), Ok(timeline));
    }
}
