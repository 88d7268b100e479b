//! The framing that RocksDB's MANIFEST and write-ahead logs share. A log is blocks of 32 KiB; a fragment is
//! `[crc32c u32][length u16][type u8][bytes]` and never crosses a block; longer records are cut into several fragments
//! (types 2 first, 3 middle, 4 last; 1 is whole). Fewer than seven bytes at the end of a block are left as zeros.
//!
//! Invariant: a damaged fragment costs the records that it is a part of, and at worst those of the rest of its block.

use std::io::{self, Read};
use std::ops::Range;

const BLOCK: usize = 32 << 10;
const HEAD: usize = 7;

/// What a log holds, in its order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'b> {
    /// A whole record.
    Record(&'b [u8]),
    /// Bytes of the log that are no part of any.
    Damaged,
}

/// CRC-32C, masked as RocksDB stores it.
fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The fragment that begins at `at` of a block: its type and where its bytes lie.
fn fragment(block: &[u8], at: usize) -> Result<(u8, Range<usize>), Option<Range<usize>>> {
    let Some(head) = block.get(at..at + HEAD) else { return Err(None) };
    let length = usize::from(u16::from_le_bytes([head[4], head[5]]));
    let bytes = at + HEAD..at + HEAD + length;
    if bytes.end > block.len() {
        return Err(None);
    }
    let stored = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    // Other types are those of recycled logs, which our options do not ask for. The checksum covers type and bytes.
    let whole = (1..=4).contains(&head[6]) && checksum(&block[at + 6..bytes.end]) == stored;
    if whole { Ok((head[6], bytes)) } else { Err(Some(bytes)) }
}

/// Calls `each` with what a log holds and the place after it; returns how long the log is.
pub(super) fn scan(mut log: impl Read, each: &mut dyn FnMut(Piece<'_>, u64) -> io::Result<()>) -> io::Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut start = 0u64;
    let mut open: Option<Vec<u8>> = None;
    loop {
        let length = fill(&mut log, &mut block)?;
        let block = &block[..length];
        let mut at = 0;
        while block.len() - at >= HEAD {
            match fragment(block, at) {
                Ok((kind, bytes)) => {
                    at = bytes.end;
                    let here = start + at as u64;
                    match (kind, open.take()) {
                        (1 | 2, Some(_)) => {
                            // The rest of the record before is not there.
                            each(Piece::Damaged, here)?;
                            if kind == 2 {
                                open = Some(block[bytes].to_vec());
                            } else {
                                each(Piece::Record(&block[bytes]), here)?;
                            }
                        }
                        (1, None) => each(Piece::Record(&block[bytes]), here)?,
                        (2, None) => open = Some(block[bytes].to_vec()),
                        (_, Some(mut record)) => {
                            record.extend_from_slice(&block[bytes]);
                            if kind == 3 {
                                open = Some(record);
                            } else {
                                each(Piece::Record(&record), here)?;
                            }
                        }
                        (_, None) => each(Piece::Damaged, here)?,
                    }
                }
                Err(bytes) => {
                    open = None;
                    // Where only its bytes are damaged its length still leads to the next one.
                    let next = bytes.map(|bytes| bytes.end).filter(|next| {
                        block.len() - next < HEAD && block.len() == BLOCK || fragment(block, *next).is_ok()
                    });
                    at = next.unwrap_or(block.len());
                    each(Piece::Damaged, start + at as u64)?;
                }
            }
        }
        start += block.len() as u64;
        // Only the last block of a log is short.
        if block.len() < BLOCK {
            if open.is_some() || at < block.len() {
                each(Piece::Damaged, start)?;
            }
            return Ok(start);
        }
    }
}

/// Is what follows the last whole record a fragment that was not written to its end? Else it was, and is damaged.
pub(super) fn is_cut(log: &[u8], end: usize) -> bool {
    let at = if BLOCK - end % BLOCK < HEAD { end.next_multiple_of(BLOCK) } else { end };
    let start = at - at % BLOCK;
    let block = log.get(start..).unwrap_or_default();
    let block = &block[..block.len().min(BLOCK)];
    let is_empty = block.get(at - start..).is_none_or(|rest| rest.iter().all(|byte| *byte == 0));
    is_empty || !matches!(fragment(block, at - start), Err(Some(_)))
}

/// Reads until a block is full or the log ends.
fn fill(log: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < block.len() {
        match log.read(&mut block[length..]) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Adds a record to a log of which `at` bytes are written already, and `out` is what comes next.
pub(super) fn put(mut record: &[u8], at: u64, out: &mut Vec<u8>) {
    let at = (at % BLOCK as u64) as usize;
    let mut first = true;
    loop {
        let left = BLOCK - (at + out.len()) % BLOCK;
        if left < HEAD {
            out.resize(out.len() + left, 0);
            continue;
        }
        let (now, later) = record.split_at(record.len().min(left - HEAD));
        let kind = match (first, later.is_empty()) {
            (true, true) => 1,
            (true, false) => 2,
            (false, false) => 3,
            (false, true) => 4,
        };
        // The checksum covers the type, too.
        let checked = [&[kind], now].concat();
        out.extend_from_slice(&checksum(&checked).to_le_bytes());
        out.extend_from_slice(&(now.len() as u16).to_le_bytes());
        out.extend_from_slice(&checked);
        (record, first) = (later, false);
        if record.is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis_masked() {
        // "123456789" has the CRC-32C 0xe3069283.
        assert_eq!(checksum(b"123456789"), 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }

    /// The records of a log, `None` for what is damaged, and its length.
    fn pieces(log: &[u8]) -> (Vec<Option<Vec<u8>>>, u64) {
        let mut found = Vec::new();
        let length = scan(log, &mut |piece, _| {
            found.push(if let Piece::Record(bytes) = piece { Some(bytes.to_vec()) } else { None });
            Ok(())
        });
        (found, length.unwrap())
    }

    fn log(records: &[Vec<u8>]) -> Vec<u8> {
        let mut log = Vec::new();
        records.iter().for_each(|record| put(record, 0, &mut log));
        log
    }

    #[test]
    fn records_come_back_wherever_blocks_end_and_a_torn_end_is_damage() {
        for fill in [0, BLOCK - 30, BLOCK - 20, BLOCK - 14, BLOCK - 11, BLOCK - 8] {
            let records = [vec![6; fill.saturating_sub(HEAD)], vec![9; 5], vec![8; 3 * BLOCK], vec![]];
            let mut log = log(&records);
            let mut expected: Vec<_> = records.into_iter().map(Some).collect();
            assert_eq!(pieces(&log), (expected.clone(), log.len() as u64), "{fill}");
            log.extend_from_slice(&[7; 40]);
            expected.push(None);
            let (found, _) = pieces(&log);
            assert_eq!(found[..4], expected[..4]);
            assert!(found[4..].iter().all(Option::is_none), "{fill}");
        }
    }

    #[test]
    fn a_cut_end_is_told_from_a_damaged_one() {
        let mut log = log(&[vec![1; 50], vec![2; 50]]);
        let end = 50 + HEAD;
        assert!(is_cut(&log[..end], end) && is_cut(&log[..end + 20], end));
        log[end + 30] ^= 1;
        assert!(!is_cut(&log, end));
        log[end..].fill(0);
        assert!(is_cut(&log, end));
    }

    #[test]
    fn a_damaged_byte_costs_its_record_or_its_block() {
        let records: Vec<Vec<u8>> = (0..100u8).map(|i| vec![i; 1000]).collect();
        let log = log(&records);
        for at in (0..log.len()).step_by(1733) {
            let mut damaged = log.clone();
            damaged[at] ^= 0x10;
            let (found, _) = pieces(&damaged);
            let whole: Vec<&Vec<u8>> = found.iter().flatten().collect();
            assert!(whole.len() >= records.len() - 34 && whole.len() < records.len(), "{at}: {}", whole.len());
            assert!(whole.is_sorted(), "{at}");
            assert!(whole.iter().all(|record| records.contains(record)), "{at}");
            assert!(found.iter().any(Option::is_none), "{at}");
        }
    }
}
