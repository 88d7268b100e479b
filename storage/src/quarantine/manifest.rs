//! RocksDB's MANIFEST, as far as taking a file out of it needs: a log of edits, to which one more is added.
//!
//! A log is blocks of 32 KiB; a record is `[crc32c u32][length u16][type u8][bytes]` and never crosses a block, longer ones
//! are cut (types 2 first, 3 middle, 4 last; 1 is whole). An edit is a row of tagged fields, varints throughout.
//!
//! Invariant: only used while nobody has the database open; what is there is never rewritten, save a torn end cut off.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::varint;

const BLOCK: usize = 32 << 10;
const HEAD: usize = 7;

// Tags of fields.
const COMPARATOR: u64 = 1;
const NUMBERS: [u64; 6] = [2, 3, 4, 9, 10, 203];
const DELETED_FILE: u64 = 6;
const COLUMN_FAMILY: u64 = 200;
const COLUMN_FAMILY_ADD: u64 = 201;
/// Fields with this bit have their length before them.
const SKIPPABLE: u64 = 1 << 13;

/// A file at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) family: u32,
    pub(super) level: u32,
    pub(super) number: u64,
}

/// Of the polynomial of Castagnoli, masked as RocksDB stores it.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn current(directory: &Path) -> io::Result<PathBuf> {
    Ok(directory.join(fs::read_to_string(directory.join("CURRENT"))?.trim()))
}

/// The edits of a log, and where the last whole one ends.
fn edits(log: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let (mut edits, mut open, mut at, mut end) = (Vec::new(), None::<Vec<u8>>, 0, 0);
    loop {
        if BLOCK - at % BLOCK < HEAD {
            at = at.next_multiple_of(BLOCK);
        }
        let Some((head, rest)) = log.get(at..).and_then(|rest| rest.split_first_chunk::<HEAD>()) else { break };
        let length = usize::from(u16::from_le_bytes([head[4], head[5]]));
        let Some(bytes) = rest.get(..length) else { break };
        if u32::from_le_bytes([head[0], head[1], head[2], head[3]]) != checksum(&log[at + 6..at + HEAD + length]) {
            break;
        }
        at += HEAD + length;
        match (head[6], open.take()) {
            (1, None) => edits.push(bytes.to_vec()),
            (2, None) => open = Some(bytes.to_vec()),
            (3 | 4, Some(mut edit)) => {
                edit.extend_from_slice(bytes);
                if head[6] == 3 { open = Some(edit) } else { edits.push(edit) }
            }
            _ => break,
        }
        if open.is_none() {
            end = at;
        }
    }
    (edits, end)
}

/// The name and id of the column family that an edit adds.
fn added(mut edit: &[u8]) -> Option<(String, u32)> {
    let mut id = 0;
    loop {
        let tag = varint::take(&mut edit)?;
        let mut text = || {
            let length = varint::take_usize(&mut edit)?;
            let (text, rest) = edit.split_at_checked(length)?;
            edit = rest;
            Some(text)
        };
        match tag {
            COLUMN_FAMILY_ADD => return Some((String::from_utf8(text()?.to_vec()).ok()?, id)),
            COLUMN_FAMILY => id = u32::try_from(varint::take(&mut edit)?).ok()?,
            tag if tag == COMPARATOR || tag & SKIPPABLE != 0 => drop(text()?),
            tag if NUMBERS.contains(&tag) => drop(varint::take(&mut edit)?),
            DELETED_FILE => drop((varint::take(&mut edit)?, varint::take(&mut edit)?)),
            // What follows are files; an edit with such adds no family.
            _ => return None,
        }
    }
}

/// The ids of the column families by name.
pub(super) fn families(directory: &Path) -> io::Result<HashMap<String, u32>> {
    let (edits, _) = edits(&fs::read(current(directory)?)?);
    let named = edits.iter().filter_map(|edit| added(edit));
    Ok(std::iter::once(("default".to_owned(), 0)).chain(named).collect())
}

/// Adds an edit to what is written at `at` of a log.
fn put(mut edit: &[u8], at: usize, out: &mut Vec<u8>) {
    let mut first = true;
    loop {
        let left = BLOCK - (at + out.len()) % BLOCK;
        if left < HEAD {
            out.resize(out.len() + left, 0);
            continue;
        }
        let (now, later) = edit.split_at(edit.len().min(left - HEAD));
        let kind = match (first, later.is_empty()) {
            (true, true) => 1,
            (true, false) => 2,
            (false, false) => 3,
            (false, true) => 4,
        };
        let checked = [&[kind], now].concat();
        out.extend_from_slice(&checksum(&checked).to_le_bytes());
        out.extend_from_slice(&(now.len() as u16).to_le_bytes());
        out.extend_from_slice(&checked);
        (edit, first) = (later, false);
        if edit.is_empty() {
            return;
        }
    }
}

/// Takes files out of the database.
pub(super) fn remove(directory: &Path, files: &[Place]) -> io::Result<()> {
    let path = current(directory)?;
    let (_, end) = edits(&fs::read(&path)?);
    let mut out = Vec::new();
    for file in files {
        let mut edit = Vec::new();
        for number in [DELETED_FILE, u64::from(file.level), file.number, COLUMN_FAMILY, u64::from(file.family)] {
            varint::put(number, &mut edit);
        }
        put(&edit, end, &mut out);
    }
    let mut log = OpenOptions::new().write(true).open(&path)?;
    log.set_len(end as u64)?;
    log.seek(SeekFrom::End(0))?;
    log.write_all(&out)?;
    log.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis_masked() {
        // "123456789" has the CRC-32C 0xe3069283.
        assert_eq!(checksum(b"123456789"), 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }

    #[test]
    fn a_torn_end_is_no_edit() {
        // At the end of a block, long enough to be cut.
        for fill in [0, BLOCK - 30, BLOCK - 20, BLOCK - 11, BLOCK - 8] {
            let mut log = Vec::new();
            let mut expected = vec![vec![6; fill.saturating_sub(HEAD)]];
            put(&expected[0], 0, &mut log);
            for edit in [vec![9; 5], vec![8; 3 * BLOCK]] {
                let at = log.len();
                let mut more = Vec::new();
                put(&edit, at, &mut more);
                log.append(&mut more);
                expected.push(edit);
            }
            let whole = log.len();
            log.extend_from_slice(&[7; 40]);
            assert_eq!(edits(&log), (expected, whole));
        }
    }
}
