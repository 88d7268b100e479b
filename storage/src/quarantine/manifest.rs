//! RocksDB's MANIFEST: a log of edits, each a row of tagged fields. Read for what the repairs need to know, and written to
//! take a file out of the database.
//!
//! Invariant: only written while nobody has the database open; what is there is never rewritten, save a torn end cut off.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::log::{self, Piece};
use crate::kv::varint;

// Tags of fields.
const LOG_NUMBER: u64 = 2;
const LAST_SEQUENCE: u64 = 4;
const NUMBERS: [u64; 3] = [3, 9, MAX_COLUMN_FAMILY];
const MAX_COLUMN_FAMILY: u64 = 203;
const MIN_LOG_NUMBER: u64 = 10;
const COMPARATOR: u64 = 1;
const COMPACT_CURSOR: u64 = 5;
const DELETED_FILE: u64 = 6;
const NEW_FILE: u64 = 103;
const COLUMN_FAMILY: u64 = 200;
const COLUMN_FAMILY_ADD: u64 = 201;
const COLUMN_FAMILY_DROP: u64 = 202;
const IN_ATOMIC_GROUP: u64 = 300;
/// Fields with this bit have their length before them.
const SKIPPABLE: u64 = 1 << 13;
/// The order of keys that all families have.
const BYTEWISE: &str = "leveldb.BytewiseComparator";
/// Ends the further fields of a new file, each of which has its length before it.
const END_OF_FILE_FIELDS: u64 = 1;

/// A file at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) family: u32,
    pub(super) level: u32,
    pub(super) number: u64,
}

/// What all edits together say.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    /// The ids of the column families by name.
    pub(super) families: HashMap<String, u32>,
    /// The families and levels of the files, by number.
    pub(super) files: BTreeMap<u64, (u32, u32)>,
    /// By family, the first log that may hold what no file of it does.
    logs: HashMap<u32, u64>,
    min_log: u64,
    /// As of the last edit.
    pub(super) last_sequence: u64,
}

impl Manifest {
    /// Logs before this one hold nothing that is not in files.
    pub(super) fn first_log(&self) -> u64 {
        self.logs.values().copied().min().unwrap_or_default().max(self.min_log)
    }

    /// Is everything of a family that came before this log, or in it, in files?
    pub(super) fn is_flushed(&self, family: &str, log: u64) -> bool {
        let first = self.families.get(family).and_then(|id| self.logs.get(id)).copied().unwrap_or_default();
        first.max(self.min_log) > log
    }

    /// Where the files are.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.files.iter().map(|(&number, &(family, level))| Place { family, level, number })
    }

    pub(super) fn read(directory: &Path) -> io::Result<Self> {
        Ok(Self::parse(&fs::read(current(directory)?)?))
    }

    /// What is damaged is passed over.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut manifest = Self { families: [("default".to_owned(), 0)].into(), ..Self::default() };
        edits(bytes).0.iter().for_each(|edit| {
            // An edit that is cut short, or has fields of a later version, counts as far as it goes.
            let _ = manifest.apply(edit);
        });
        manifest
    }

    fn apply(&mut self, mut edit: &[u8]) -> Option<()> {
        let edit = &mut edit;
        let (mut family, mut log, mut added, mut is_drop) = (0, None, None, false);
        let (mut new, mut deleted) = (Vec::new(), Vec::new());
        while !edit.is_empty() {
            match varint::take(edit)? {
                LOG_NUMBER => log = Some(varint::take(edit)?),
                LAST_SEQUENCE => self.last_sequence = self.last_sequence.max(varint::take(edit)?),
                MIN_LOG_NUMBER => self.min_log = self.min_log.max(varint::take(edit)?),
                tag if NUMBERS.contains(&tag) || tag == IN_ATOMIC_GROUP => drop(varint::take(edit)?),
                COMPARATOR => drop(text(edit)?),
                COMPACT_CURSOR => drop((varint::take(edit)?, text(edit)?)),
                DELETED_FILE => {
                    varint::take(edit)?;
                    deleted.push(varint::take(edit)?);
                }
                NEW_FILE => new.push(new_file(edit)?),
                COLUMN_FAMILY => family = u32::try_from(varint::take(edit)?).ok()?,
                COLUMN_FAMILY_ADD => added = Some(String::from_utf8(text(edit)?.to_vec()).ok()?),
                COLUMN_FAMILY_DROP => is_drop = true,
                tag if tag & SKIPPABLE != 0 => drop(text(edit)?),
                _ => return None,
            }
        }
        for number in deleted {
            self.files.remove(&number);
        }
        self.files.extend(new.into_iter().map(|(number, level)| (number, (family, level))));
        self.families.extend(added.map(|name| (name, family)));
        if let Some(log) = log {
            let known = self.logs.entry(family).or_default();
            *known = log.max(*known);
        }
        if is_drop {
            self.logs.remove(&family);
            self.families.retain(|_, id| *id != family);
        }
        Some(())
    }
}

fn text<'b>(edit: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = varint::take_usize(edit)?;
    let (text, rest) = edit.split_at_checked(length)?;
    *edit = rest;
    Some(text)
}

/// The number and the level of a new file.
fn new_file(edit: &mut &[u8]) -> Option<(u64, u32)> {
    let level = u32::try_from(varint::take(edit)?).ok()?;
    let number = varint::take(edit)?;
    varint::take(edit)?;
    text(edit)?;
    text(edit)?;
    varint::take(edit)?;
    varint::take(edit)?;
    while varint::take(edit)? != END_OF_FILE_FIELDS {
        text(edit)?;
    }
    Some((number, level))
}

/// The MANIFEST that CURRENT names.
pub(super) fn current(directory: &Path) -> io::Result<PathBuf> {
    Ok(directory.join(fs::read_to_string(directory.join("CURRENT"))?.trim()))
}

/// The edits of a log up to the first that is damaged, and where the last of them ends.
pub(super) fn edits(bytes: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let (mut edits, mut end, mut whole) = (Vec::new(), 0, true);
    let scanned = log::scan(bytes, &mut |piece, after| {
        match piece {
            Piece::Record(edit) if whole => {
                edits.push(edit.to_vec());
                end = after;
            }
            _ => whole = false,
        }
        Ok(())
    });
    scanned.expect("BUG: memory is read without errors");
    (edits, usize::try_from(end).unwrap_or(usize::MAX))
}

/// Takes files out of the database.
pub(super) fn remove(directory: &Path, files: &[Place]) -> io::Result<()> {
    let edit = |file: &Place| {
        let (level, family) = (u64::from(file.level), u64::from(file.family));
        encode(&[DELETED_FILE, level, file.number, COLUMN_FAMILY, family])
    };
    append(directory, &files.iter().map(edit).collect::<Vec<_>>())
}

/// Adds column families that the MANIFEST lacks, under the ids that they have in a directory that was made with all of them:
/// logs name families by their ids.
pub(super) fn declare(directory: &Path, names: &[&str]) -> io::Result<()> {
    let mut known = Manifest::read(directory)?.families;
    let mut added = Vec::new();
    for (name, id) in names.iter().zip(1..) {
        if known.contains_key(*name) {
            continue;
        }
        let highest = known.values().copied().max().unwrap_or_default();
        let id = if known.values().any(|used| *used == id) { highest + 1 } else { id };
        known.insert((*name).to_owned(), id);
        let mut edit = encode(&[COMPARATOR]);
        put_text(BYTEWISE, &mut edit);
        edit.extend(encode(&[LOG_NUMBER, 0, MAX_COLUMN_FAMILY, u64::from(highest.max(id))]));
        edit.extend(encode(&[COLUMN_FAMILY, u64::from(id), COLUMN_FAMILY_ADD]));
        put_text(name, &mut edit);
        added.push(edit);
    }
    append(directory, &added)
}

fn encode(numbers: &[u64]) -> Vec<u8> {
    let mut edit = Vec::new();
    numbers.iter().for_each(|number| varint::put(*number, &mut edit));
    edit
}

fn put_text(text: &str, edit: &mut Vec<u8>) {
    varint::put(text.len() as u64, edit);
    edit.extend_from_slice(text.as_bytes());
}

fn append(directory: &Path, edits: &[Vec<u8>]) -> io::Result<()> {
    let path = current(directory)?;
    let (_, end) = self::edits(&fs::read(&path)?);
    let mut out = Vec::new();
    edits.iter().for_each(|edit| log::put(edit, end as u64, &mut out));
    let mut log = OpenOptions::new().write(true).open(&path)?;
    log.set_len(end as u64)?;
    log.seek(SeekFrom::End(0))?;
    log.write_all(&out)?;
    log.sync_all()
}
