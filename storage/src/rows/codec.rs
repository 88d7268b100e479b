//! A row as bytes: flags, the column count, a head per lane, the lanes, a checksum. Drawn in `docs/formats/rows.md`.
//!
//! Invariant: a row needs its frame (the base values of its segment in its bucket) and nothing else, and one lane can be
//! decoded without the others.

use super::lane::{self, LANE, LaneBase};
use crate::kv::checksum::{Corrupt, checksum};

/// Lanes in the widest segment.
pub(crate) const LANES_MAX: usize = model::Layout::SEGMENT_COLUMNS / LANE;

/// The row holds samples at the time of their scrape.
pub(crate) const ORDINARY: u8 = 1;
/// The row holds samples that came with their own times.
pub(crate) const OWN_TIMES: u8 = 2;
/// Not a row but the base values that rows of this segment and bucket are coded against.
pub(crate) const FRAME: u8 = 4;

const HEAD_WIDTH: u8 = 0x3f;
const HEAD_EXCEPTIONS: u8 = 0x40;
const HEAD_PRESENCE: u8 = 0x80;
/// Head of a lane of which no column is present.
const HEAD_ABSENT: u8 = 0x3f;
const CHECKSUM_BYTES: usize = 4;

/// The columns of a segment, as they go into a row. All three run over the same columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns<'a> {
    pub(crate) values: &'a [f64],
    pub(crate) base: &'a [f64],
    /// Bit per column; bits past the last column are ignored.
    pub(crate) present: &'a [u64],
}

/// Appends the row to `out`. The seed ties the checksum to the key.
pub(crate) fn encode(columns: &Columns<'_>, flags: u8, seed: u64, out: &mut Vec<u8>) {
    let start = out.len();
    let count = columns.values.len();
    debug_assert!(count == columns.base.len() && count <= model::Layout::SEGMENT_COLUMNS, "a segment and its frame");
    out.push(flags);
    out.extend_from_slice(&(count as u16).to_le_bytes());
    // Apart from the heads, so that a reader finds every lane without decoding one.
    let mut payload = Vec::with_capacity(count * 2 + 16);
    for (i, values) in columns.values.chunks(LANE).enumerate() {
        let all = all_present(values.len());
        let present = columns.present.get(i).copied().unwrap_or(0) & all;
        // Absent lanes cost one byte: wide layouts of which little is exposed stay cheap.
        if present == 0 {
            out.push(HEAD_ABSENT);
            continue;
        }
        let mut head = 0;
        if present != all {
            head |= HEAD_PRESENCE;
            payload.extend_from_slice(&present.to_le_bytes());
        }
        let base = &columns.base[i * LANE..i * LANE + values.len()];
        let shape = lane::encode(values, base, present, &mut payload);
        // Six bits: widths go up to 56, and 63 stands for an absent lane.
        head |= shape.width as u8;
        if shape.exception_bytes == 0 {
            out.push(head);
        } else {
            out.push(head | HEAD_EXCEPTIONS);
            out.extend_from_slice(&(shape.exception_bytes as u16).to_le_bytes());
        }
    }
    out.extend_from_slice(&payload);
    let checksum = checksum(&out[start..], seed);
    out.extend_from_slice(&checksum.to_le_bytes());
}

/// The presence word of a lane of which every column is present.
pub(crate) fn all_present(columns: usize) -> u64 {
    if columns >= LANE { u64::MAX } else { (1 << columns) - 1 }
}

/// A checked row; its lanes can be decoded one by one.
#[derive(Debug)]
pub(crate) struct RowView<'a> {
    pub(crate) flags: u8,
    pub(crate) columns: usize,
    lanes: [LaneView<'a>; LANES_MAX],
}

#[derive(Clone, Copy, Debug, Default)]
struct LaneView<'a> {
    present: u64,
    width: u32,
    packed: &'a [u8],
    exceptions: &'a [u8],
}

impl<'a> RowView<'a> {
    pub(crate) fn parse(bytes: &'a [u8], seed: u64) -> Result<Self, Corrupt> {
        let (bytes, stored) =
            bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Corrupt::Shape("shorter than a checksum"))?;
        let (got, expected) = (checksum(bytes, seed), u32::from_le_bytes(*stored));
        // Before anything is interpreted: lengths in damaged bytes could mean anything.
        if got != expected {
            return Err(Corrupt::Checksum { got, expected });
        }
        Self::parse_checked(bytes).ok_or(Corrupt::Shape("lane heads and length do not agree"))
    }

    fn parse_checked(bytes: &'a [u8]) -> Option<Self> {
        let (&[flags, low, high], mut rest) = bytes.split_first_chunk::<3>()?;
        let columns = usize::from(u16::from_le_bytes([low, high]));
        let n_lanes = columns.div_ceil(LANE);
        // On the stack: rows are parsed by the million, and none has more lanes.
        let mut heads = [(HEAD_ABSENT, 0usize); LANES_MAX];
        // More lanes than a segment has make no sense.
        for slot in heads.get_mut(..n_lanes)? {
            let (&head, after) = rest.split_first()?;
            (slot.0, rest) = (head, after);
            if head != HEAD_ABSENT && head & HEAD_EXCEPTIONS != 0 {
                let (len, after) = rest.split_first_chunk::<2>()?;
                (slot.1, rest) = (usize::from(u16::from_le_bytes(*len)), after);
            }
        }
        let mut lanes = [LaneView::default(); LANES_MAX];
        for (i, (lane, &(head, exception_bytes))) in lanes.iter_mut().zip(&heads[..n_lanes]).enumerate() {
            if head == HEAD_ABSENT {
                continue;
            }
            let in_lane = (columns - i * LANE).min(LANE);
            lane.present = all_present(in_lane);
            if head & HEAD_PRESENCE != 0 {
                let (word, after) = rest.split_first_chunk::<8>()?;
                (lane.present, rest) = (u64::from_le_bytes(*word) & lane.present, after);
            }
            lane.width = u32::from(head & HEAD_WIDTH);
            if lane.width > lane::WIDTH_MAX {
                return None;
            }
            (lane.packed, rest) = rest.split_at_checked(lane::packed_bytes(in_lane, lane.width))?;
            (lane.exceptions, rest) = rest.split_at_checked(exception_bytes)?;
        }
        // Bytes left over mean that a head says something wrong.
        rest.is_empty().then_some(Self { flags, columns, lanes })
    }

    /// Which columns of a lane hold a sample.
    pub(crate) fn present(&self, lane: usize) -> u64 {
        self.lanes[lane].present
    }

    /// Fills `out` with the values of a lane where `wanted` has a bit; those of absent columns mean nothing.
    pub(crate) fn decode(
        &self,
        lane: usize,
        base: &LaneBase,
        wanted: u64,
        out: &mut [f64; LANE],
    ) -> Result<(), Corrupt> {
        let view = &self.lanes[lane];
        if view.present == 0 {
            return Ok(());
        }
        base.decode((view.width, view.packed, view.exceptions), wanted, out)
            .ok_or(Corrupt::Shape("lane does not decode"))
    }

    /// All columns: values, and a presence word per lane.
    pub(crate) fn decode_all(&self, base: &[f64]) -> Result<(Vec<f64>, Vec<u64>), Corrupt> {
        let mut values = vec![0.0; self.columns];
        let mut present = Vec::with_capacity(self.columns.div_ceil(LANE));
        let mut out = [0.0; LANE];
        for (i, chunk) in values.chunks_mut(LANE).enumerate() {
            present.push(self.present(i));
            let lane_base = LaneBase::new(base.get(i * LANE..).unwrap_or(&[]));
            self.decode(i, &lane_base, u64::MAX, &mut out)?;
            for bit in lane::bits(self.present(i)) {
                chunk[bit] = out[bit];
            }
        }
        Ok((values, present))
    }
}

/// The base values that a frame holds; absent columns have the base 0.
pub(crate) fn decode_frame(bytes: &[u8], seed: u64) -> Result<Vec<f64>, Corrupt> {
    let view = RowView::parse(bytes, seed)?;
    if view.flags != FRAME {
        return Err(Corrupt::Shape("a row where the frame should be"));
    }
    // A frame is a row whose own frame is all zeros.
    let zeros = vec![0.0; view.columns];
    view.decode_all(&zeros).map(|(values, _)| values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(values: &[f64], base: &[f64], present: &[u64]) -> Vec<u8> {
        let mut bytes = vec![];
        encode(&Columns { values, base, present }, ORDINARY, 7, &mut bytes);
        bytes
    }

    #[test]
    fn a_row_like_its_frame_is_lane_heads_only() {
        let base: Vec<f64> = (0..1024).map(|i| f64::from(i) * 0.37).collect();
        let bytes = encoded(&base, &base, &[u64::MAX; 16]);
        assert_eq!(bytes.len(), 3 + 16 + 4);
        let (values, present) = RowView::parse(&bytes, 7).unwrap().decode_all(&base).unwrap();
        assert_eq!((values, present), (base, vec![u64::MAX; 16]));
    }

    /// The example of `docs/formats/rows.md`.
    #[test]
    fn the_documented_example_holds() {
        let bytes = encoded(&[13.0, f64::from_bits(0x7ff8_0000_0000_0001)], &[10.0, 0.5], &[0b11]);
        let documented = [0x01, 0x02, 0, 0x43, 0x09, 0, 0x06, 0x01, 0x01, 0, 0, 0, 0, 0, 0x18, 0x40];
        assert_eq!(bytes[..bytes.len() - CHECKSUM_BYTES], documented);
    }

    #[test]
    fn every_flipped_bit_and_every_other_key_is_noticed() {
        let bytes = encoded(&[1.0, 2.5, f64::NAN], &[1.0, 2.0, 3.0], &[0b101]);
        assert!(RowView::parse(&bytes, 7).is_ok());
        assert!(RowView::parse(&bytes, 8).is_err());
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(RowView::parse(&damaged, 7).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(RowView::parse(&bytes[..len], 7).is_err(), "cut to {len}");
        }
    }

    proptest! {
        #[test]
        fn any_row_comes_back_bit_for_bit(
            cells in prop::collection::vec((any::<u64>(), any::<u64>(), 0..4u8, any::<bool>()), 0..=1024),
        ) {
            let base: Vec<f64> = cells.iter().map(|c| if c.2 == 0 { f64::from_bits(c.0) } else { (c.0 % 1000) as f64 }).collect();
            let values: Vec<f64> = cells.iter().zip(&base).map(|(c, base)| match c.2 {
                0 => f64::from_bits(c.1),
                1 => base + (c.1 % 100) as f64,
                2 => (c.1 % 100_000) as f64 / 1000.0,
                _ => *base,
            }).collect();
            let mut present = vec![0u64; cells.len().div_ceil(64)];
            for (i, cell) in cells.iter().enumerate() {
                present[i / 64] |= u64::from(cell.3) << (i % 64);
            }
            let bytes = encoded(&values, &base, &present);
            let (got, got_present) = RowView::parse(&bytes, 7).unwrap().decode_all(&base).unwrap();
            prop_assert_eq!(&got_present, &present);
            for i in (0..cells.len()).filter(|i| present[i / 64] >> (i % 64) & 1 == 1) {
                prop_assert_eq!(got[i].to_bits(), values[i].to_bits());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), columns in 0..200u16) {
            let mut body = vec![ORDINARY];
            body.extend(columns.to_le_bytes());
            body.extend(bytes);
            if let Some(view) = RowView::parse_checked(&body) {
                let _ = view.decode_all(&[1.0; 200]);
            }
        }
    }
}
