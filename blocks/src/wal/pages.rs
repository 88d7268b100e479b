//! Records in the pages of a segment (upstream: `tsdb/wlog/reader.go`, `tsdb/wlog/wlog.go`).
//!
//! Layout: pages of 32 KiB, each with parts of records and zeros behind them. A part: a byte that says which part of its record it is
//! (three bits) and how the record is compressed, a length of two bytes, a checksum of four, the bytes.

use std::borrow::Cow;
use std::io::Read as _;

use crate::bytes::Bytes;
use crate::error::Broken;

const PAGE_BYTES: usize = 32 << 10;
const ZEROS: u8 = 0;
const WHOLE: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;
const PART_BITS: u8 = 0b111;
const SNAPPY: u8 = 1 << 3;
const ZSTD: u8 = 1 << 4;
/// A record that says it is longer is none.
const RECORD_BYTES_MAX: usize = 1 << 30;

/// Where and why reading ended early.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) at: usize,
    pub(super) why: Broken,
    /// Is what is missing at the end of the segment?
    pub(super) is_cut: bool,
}

/// Hands out all records of a segment.
pub(super) fn each(segment: &[u8], take: &mut dyn FnMut(&[u8])) -> Result<(), End> {
    let mut record = Vec::new();
    for (page, at) in segment.chunks(PAGE_BYTES).zip((0..).step_by(PAGE_BYTES)) {
        let mut rest = Bytes(page);
        while !rest.is_empty() {
            let at = at + page.len() - rest.0.len();
            let broken = |why| End { at, why, is_cut: false };
            let Ok(kind) = rest.byte() else { break };
            if kind & PART_BITS == ZEROS {
                if rest.0.iter().any(|byte| *byte != 0) {
                    return Err(broken("there is something behind the end of a page"));
                }
                break;
            }
            let is_cut = at + PAGE_BYTES > segment.len();
            let part = part(&mut rest).map_err(|why| End { at, why, is_cut })?;
            let goes_on = !record.is_empty();
            match kind & PART_BITS {
                WHOLE | FIRST if !goes_on => {}
                MIDDLE | LAST if goes_on => {}
                _ => return Err(broken("a part of a record is missing")),
            }
            record.extend_from_slice(part);
            if matches!(kind & PART_BITS, WHOLE | LAST) {
                take(&decompressed(kind, &record).map_err(broken)?);
                record.clear();
            }
        }
    }
    if record.is_empty() {
        Ok(())
    } else {
        Err(End { at: segment.len(), why: "the last record is not complete", is_cut: true })
    }
}

fn part<'b>(rest: &mut Bytes<'b>) -> Result<&'b [u8], Broken> {
    let length = u16::from_be_bytes([rest.byte()?, rest.byte()?]);
    let sum = rest.be32()?;
    let part = rest.take(usize::from(length))?;
    if crc32c::crc32c(part) == sum { Ok(part) } else { Err("a checksum is wrong") }
}

fn decompressed(kind: u8, record: &[u8]) -> Result<Cow<'_, [u8]>, Broken> {
    if kind & SNAPPY != 0 {
        match snap::raw::decompress_len(record) {
            Ok(bytes) if bytes <= RECORD_BYTES_MAX => {}
            _ => return Err("a record says that it is too long"),
        }
        let whole = snap::raw::Decoder::new().decompress_vec(record);
        return whole.map(Cow::Owned).map_err(|_| "a record cannot be decompressed");
    }
    if kind & ZSTD != 0 {
        let mut whole = Vec::new();
        let decoder = zstd::stream::read::Decoder::new(record).map_err(|_| "a record cannot be decompressed")?;
        let read = decoder.take(RECORD_BYTES_MAX as u64).read_to_end(&mut whole);
        return read.map(|_| Cow::Owned(whole)).map_err(|_| "a record cannot be decompressed");
    }
    Ok(Cow::Borrowed(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part_of(kind: u8, bytes: &[u8]) -> Vec<u8> {
        let mut part = vec![kind];
        part.extend((bytes.len() as u16).to_be_bytes());
        part.extend(crc32c::crc32c(bytes).to_be_bytes());
        part.extend(bytes);
        part
    }

    fn records(segment: &[u8]) -> (Vec<Vec<u8>>, Result<(), End>) {
        let mut all = Vec::new();
        let end = each(segment, &mut |record| all.push(record.to_owned()));
        (all, end)
    }

    #[test]
    fn records_are_put_together() {
        let snappy = snap::raw::Encoder::new().compress_vec(b"snappy").unwrap();
        let zstd = zstd::bulk::compress(b"zstd", 1).unwrap();
        let mut segment = part_of(WHOLE, b"a");
        segment.extend(part_of(WHOLE | SNAPPY, &snappy));
        segment.extend(part_of(WHOLE | ZSTD, &zstd));
        segment.extend(part_of(FIRST, b"b"));
        segment.resize(PAGE_BYTES, 0);
        segment.extend(part_of(MIDDLE, b"c"));
        segment.extend(part_of(LAST, b"d"));
        let expected = [&b"a"[..], b"snappy", b"zstd", b"bcd"].map(<[u8]>::to_vec).to_vec();
        assert_eq!(records(&segment), (expected.clone(), Ok(())));
        // What is cut at the end of a segment is no damage.
        for n in 1..20 {
            let (all, end) = records(&segment[..segment.len() - n]);
            let end = end.err();
            assert!(all == expected[..3] && end.is_none_or(|end| end.is_cut), "{n}");
        }
        segment[10] ^= 1;
        let (all, end) = records(&segment);
        assert_eq!((all.len(), end.map_err(|end| end.is_cut)), (1, Err(false)));
    }

    #[test]
    fn parts_without_the_others_are_told() {
        let lonely = part_of(LAST, b"d");
        assert_eq!(records(&lonely).1, Err(End { at: 0, why: "a part of a record is missing", is_cut: false }));
        let twice = [part_of(FIRST, b"a"), part_of(FIRST, b"b")].concat();
        assert!(records(&twice).1.is_err());
        let bomb = part_of(WHOLE | SNAPPY, &[0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(records(&bomb).1.map_err(|end| end.why), Err("a record says that it is too long"));
    }
}
