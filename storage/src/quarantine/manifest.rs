//! RocksDB's MANIFEST: a log of edits, each a list of tagged fields. Read for what repairs need to know, and written to take a
//! file out of the database, which RocksDB offers no way to do (`docs/decisions/0030-the-manifest-is-edited.md`).
//!
//! The fields are those of `db/version_edit.cc` in RocksDB `VERIFIED_VERSION`; a test fails when another version is linked.
//!
//! Invariant: only written while nobody has the database open; what is there is never rewritten, save a torn end cut off.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::log::{self, Piece};
use crate::kv::varint;

/// The version of RocksDB whose MANIFEST this file was compared with.
#[cfg(test)]
const VERIFIED_VERSION: &str = "11.8.1";

// Tags of fields.
const COMPARATOR: u64 = 1;
const LOG_NUMBER: u64 = 2;
const NEXT_FILE_NUMBER: u64 = 3;
const LAST_SEQUENCE: u64 = 4;
const COMPACT_CURSOR: u64 = 5;
const DELETED_FILE: u64 = 6;
const PREVIOUS_LOG_NUMBER: u64 = 9;
const MIN_LOG_NUMBER: u64 = 10;
const NEW_FILE: u64 = 103;
const COLUMN_FAMILY: u64 = 200;
const COLUMN_FAMILY_ADD: u64 = 201;
const COLUMN_FAMILY_DROP: u64 = 202;
const MAX_COLUMN_FAMILY: u64 = 203;
const IN_ATOMIC_GROUP: u64 = 300;
/// Fields with this bit have their length before them, so that versions that do not know them can skip them.
const SKIPPABLE: u64 = 1 << 13;
/// Ends the further fields of a new file, each of which has its length before it.
const END_OF_FILE_FIELDS: u64 = 1;
/// The order of keys that all families have.
const BYTEWISE: &str = "leveldb.BytewiseComparator";

/// One field of an edit.
#[derive(Debug, PartialEq, Eq)]
enum Field<'b> {
    /// A tag and one number.
    Number(u64, u64),
    /// A tag and a text.
    Text(u64, &'b [u8]),
    CompactCursor(u64, &'b [u8]),
    /// Level and number.
    DeletedFile(u64, u64),
    NewFile(NewFile<'b>),
    ColumnFamilyDrop,
}

/// A file that an edit adds.
#[derive(Debug, PartialEq, Eq)]
struct NewFile<'b> {
    level: u64,
    number: u64,
    bytes: u64,
    /// The smallest key and the largest.
    keys: [&'b [u8]; 2],
    /// The smallest sequence number and the largest.
    sequences: [u64; 2],
    /// Tags and values of further fields.
    further: Vec<(u64, &'b [u8])>,
}

impl<'b> Field<'b> {
    /// Takes a field off an edit. `None` where it is cut short, or of a later version and not to be skipped.
    fn take(edit: &mut &'b [u8]) -> Option<Self> {
        Some(match varint::take(edit)? {
            tag @ (LOG_NUMBER | NEXT_FILE_NUMBER | LAST_SEQUENCE | PREVIOUS_LOG_NUMBER | MIN_LOG_NUMBER
            | COLUMN_FAMILY | MAX_COLUMN_FAMILY | IN_ATOMIC_GROUP) => Self::Number(tag, varint::take(edit)?),
            tag @ (COMPARATOR | COLUMN_FAMILY_ADD) => Self::Text(tag, text(edit)?),
            COMPACT_CURSOR => Self::CompactCursor(varint::take(edit)?, text(edit)?),
            DELETED_FILE => Self::DeletedFile(varint::take(edit)?, varint::take(edit)?),
            NEW_FILE => Self::NewFile(NewFile::take(edit)?),
            COLUMN_FAMILY_DROP => Self::ColumnFamilyDrop,
            // As RocksDB does: what a later version added with this bit is passed over by its length.
            tag if tag & SKIPPABLE != 0 => Self::Text(tag, text(edit)?),
            _ => return None,
        })
    }

    fn put(&self, edit: &mut Vec<u8>) {
        match self {
            Self::Number(tag, number) => put_numbers(&[*tag, *number], edit),
            Self::Text(tag, text) => {
                put_numbers(&[*tag], edit);
                put_text(text, edit);
            }
            Self::CompactCursor(level, key) => {
                put_numbers(&[COMPACT_CURSOR, *level], edit);
                put_text(key, edit);
            }
            Self::DeletedFile(level, number) => put_numbers(&[DELETED_FILE, *level, *number], edit),
            Self::NewFile(file) => file.put(edit),
            Self::ColumnFamilyDrop => put_numbers(&[COLUMN_FAMILY_DROP], edit),
        }
    }
}

impl<'b> NewFile<'b> {
    fn take(edit: &mut &'b [u8]) -> Option<Self> {
        let mut file = Self {
            level: varint::take(edit)?,
            number: varint::take(edit)?,
            bytes: varint::take(edit)?,
            keys: [text(edit)?, text(edit)?],
            sequences: [varint::take(edit)?, varint::take(edit)?],
            further: Vec::new(),
        };
        loop {
            match varint::take(edit)? {
                END_OF_FILE_FIELDS => return Some(file),
                tag => file.further.push((tag, text(edit)?)),
            }
        }
    }

    fn put(&self, edit: &mut Vec<u8>) {
        put_numbers(&[NEW_FILE, self.level, self.number, self.bytes], edit);
        self.keys.iter().for_each(|key| put_text(key, edit));
        put_numbers(&self.sequences, edit);
        for (tag, value) in &self.further {
            put_numbers(&[*tag], edit);
            put_text(value, edit);
        }
        put_numbers(&[END_OF_FILE_FIELDS], edit);
    }
}

fn text<'b>(edit: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = varint::take_usize(edit)?;
    let (text, rest) = edit.split_at_checked(length)?;
    *edit = rest;
    Some(text)
}

fn put_numbers(numbers: &[u64], edit: &mut Vec<u8>) {
    numbers.iter().for_each(|number| varint::put(*number, edit));
}

fn put_text(text: &[u8], edit: &mut Vec<u8>) {
    varint::put(text.len() as u64, edit);
    edit.extend_from_slice(text);
}

fn encode(fields: &[Field<'_>]) -> Vec<u8> {
    let mut edit = Vec::new();
    fields.iter().for_each(|field| field.put(&mut edit));
    edit
}

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
        // The family that was flushed longest ago decides.
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
        // No edit adds the default family: RocksDB takes it for granted.
        let mut manifest = Self { families: [("default".to_owned(), 0)].into(), ..Self::default() };
        edits(bytes).0.iter().for_each(|edit| {
            // An edit that is cut short, or has fields of a later version, counts as far as it goes.
            let _ = manifest.apply(edit);
        });
        manifest
    }

    fn apply(&mut self, mut edit: &[u8]) -> Option<()> {
        let (mut family, mut log, mut added, mut is_drop) = (0, None, None, false);
        let (mut new, mut deleted) = (Vec::new(), Vec::new());
        while !edit.is_empty() {
            match Field::take(&mut edit)? {
                Field::Number(LOG_NUMBER, number) => log = Some(number),
                Field::Number(LAST_SEQUENCE, number) => self.last_sequence = self.last_sequence.max(number),
                Field::Number(MIN_LOG_NUMBER, number) => self.min_log = self.min_log.max(number),
                Field::Number(COLUMN_FAMILY, id) => family = u32::try_from(id).ok()?,
                Field::Text(COLUMN_FAMILY_ADD, name) => added = Some(String::from_utf8(name.to_vec()).ok()?),
                Field::DeletedFile(_, number) => deleted.push(number),
                Field::NewFile(file) => new.push((file.number, u32::try_from(file.level).ok()?)),
                Field::ColumnFamilyDrop => is_drop = true,
                Field::Number(..) | Field::Text(..) | Field::CompactCursor(..) => {}
            }
        }
        // The family that an edit is of may stand anywhere in it.
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

/// The MANIFEST that CURRENT names.
pub(super) fn current(directory: &Path) -> io::Result<PathBuf> {
    Ok(directory.join(fs::read_to_string(directory.join("CURRENT"))?.trim()))
}

/// The edits of a log up to the first that is damaged, and where the last of them ends.
pub(super) fn edits(bytes: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let (mut edits, mut end, mut whole) = (Vec::new(), 0, true);
    let scanned = log::scan(bytes, &mut |piece, after| {
        match piece {
            // RocksDB stops at the first damaged edit, since later ones build on it.
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
        // One edit for each file, since an edit is of one family only.
        let deleted = Field::DeletedFile(u64::from(file.level), file.number);
        encode(&[deleted, Field::Number(COLUMN_FAMILY, u64::from(file.family))])
    };
    append(directory, &files.iter().map(edit).collect::<Vec<_>>())
}

/// Adds column families that the MANIFEST lacks, under the ids that they have in a directory that was made with all of them:
/// logs name families by their ids.
pub(super) fn declare(directory: &Path, names: &[&str]) -> io::Result<()> {
    let mut known = Manifest::read(directory)?.families;
    let mut added = Vec::new();
    // From 1, as 0 is the default family.
    for (name, id) in names.iter().zip(1..) {
        if known.contains_key(*name) {
            continue;
        }
        let highest = known.values().copied().max().unwrap_or_default();
        let id = if known.values().any(|used| *used == id) { highest + 1 } else { id };
        known.insert((*name).to_owned(), id);
        added.push(encode(&[
            Field::Text(COMPARATOR, BYTEWISE.as_bytes()),
            // Nothing of it is in a file: every log there is has to be replayed into it.
            Field::Number(LOG_NUMBER, 0),
            Field::Number(MAX_COLUMN_FAMILY, u64::from(highest.max(id))),
            Field::Number(COLUMN_FAMILY, u64::from(id)),
            Field::Text(COLUMN_FAMILY_ADD, name.as_bytes()),
        ]));
    }
    append(directory, &added)
}

fn append(directory: &Path, edits: &[Vec<u8>]) -> io::Result<()> {
    let path = current(directory)?;
    // Right behind the last whole edit: behind a torn one RocksDB would not find the new ones.
    let (_, end) = self::edits(&fs::read(&path)?);
    let mut out = Vec::new();
    edits.iter().for_each(|edit| log::put(edit, end as u64, &mut out));
    let mut log = OpenOptions::new().write(true).open(&path)?;
    log.set_len(end as u64)?;
    log.seek(SeekFrom::End(0))?;
    log.write_all(&out)?;
    log.sync_all()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rocksdb::DB;

    use super::*;
    use crate::kv::options::{Memory, db_options, families};
    use crate::kv::schema::Cf;
    use crate::options::Options;

    /// Tags above [`SKIPPABLE`] whose meaning was looked up, none of which says where files are: the id of the database, logs
    /// that were added and deleted (two versions), that timestamps are kept in keys, the size of the last MANIFEST.
    const KNOWN_SKIPPABLE: [u64; 7] = [1, 4, 5, 7, 8, 9, 11];
    /// The same of further fields of files: time of the oldest ancestor and of creation, checksum and its function,
    /// temperature, unique id, epoch, size of range deletions and of the tail, timestamps in keys, what helps to open it.
    const KNOWN_OF_FILES: [u64; 11] = [5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17];

    /// A directory in which RocksDB wrote edits of all kinds: families and files that were added, moved, compacted and
    /// dropped.
    fn filled() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { memory_bytes: 8 << 20, ..Options::new(dir.path()) };
        let memory = Memory::new(&options);
        let mut db_options = db_options(&options, &memory.memtables);
        db_options.create_if_missing(true);
        for round in 0..3u8 {
            let mut db =
                DB::open_cf_descriptors(&db_options, dir.path(), families(&options, &memory.block_cache)).unwrap();
            for cf in Cf::ALL {
                for file in 0..3u8 {
                    let handle = db.cf_handle(cf.name()).unwrap();
                    (0..50u8).for_each(|key| db.put_cf(handle, [file, key], [round; 100]).unwrap());
                    db.flush_cf(handle).unwrap();
                }
            }
            let rows = db.cf_handle(Cf::Rows.name()).unwrap();
            db.compact_range_cf(rows, None::<&[u8]>, None::<&[u8]>);
            db.delete_range_cf(db.cf_handle(Cf::Pages.name()).unwrap(), [0], [9]).unwrap();
            db.delete_file_in_range_cf(db.cf_handle(Cf::Pages.name()).unwrap(), [0], [9]).unwrap();
            db.create_cf("passing", &rocksdb::Options::default()).unwrap();
            db.drop_cf("passing").unwrap();
        }
        dir
    }

    /// The version that RocksDB writes beside its options.
    fn linked_version(directory: &Path) -> String {
        let names = crate::quarantine::directory::names(directory).unwrap();
        let options =
            names.iter().filter(|name| name.starts_with("OPTIONS-")).max().expect("RocksDB writes its options");
        let text = fs::read_to_string(directory.join(options)).unwrap();
        let version = text.lines().find_map(|line| line.trim().strip_prefix("rocksdb_version="));
        version.expect("the options name the version").to_owned()
    }

    #[test]
    fn the_linked_rocksdb_is_the_one_whose_manifest_was_looked_at() {
        let dir = filled();
        assert_eq!(
            linked_version(dir.path()),
            VERIFIED_VERSION,
            "another RocksDB is linked: compare the fields in quarantine/manifest.rs with its db/version_edit.cc and \
             db/version_edit.h, and the framing in quarantine/log.rs with its db/log_format.h, before changing \
             VERIFIED_VERSION"
        );
    }

    #[test]
    fn every_edit_that_rocksdb_wrote_is_understood_and_written_the_same() {
        let dir = filled();
        let bytes = fs::read(current(dir.path()).unwrap()).unwrap();
        let (edits, end) = edits(&bytes);
        assert_eq!(end, bytes.len(), "the log is read to its end");
        let mut seen = BTreeSet::new();
        let mut framed = Vec::new();
        for edit in &edits {
            log::put(edit, 0, &mut framed);
            let (mut rest, mut fields) = (&edit[..], Vec::new());
            while !rest.is_empty() {
                let field = Field::take(&mut rest);
                fields.push(field.unwrap_or_else(|| panic!("a field that is not known in {edit:x?}")));
            }
            assert_eq!(encode(&fields), *edit, "{fields:?}");
            for field in &fields {
                match field {
                    Field::Number(tag, _) => drop(seen.insert(*tag)),
                    Field::Text(tag, _) if tag & SKIPPABLE != 0 => {
                        assert!(KNOWN_SKIPPABLE.contains(&(tag & !SKIPPABLE)), "skippable tag {tag} is new");
                    }
                    Field::Text(tag, _) => drop(seen.insert(*tag)),
                    Field::CompactCursor(..) => drop(seen.insert(COMPACT_CURSOR)),
                    Field::DeletedFile(..) => drop(seen.insert(DELETED_FILE)),
                    Field::NewFile(file) => {
                        seen.insert(NEW_FILE);
                        let new = file.further.iter().find(|(tag, _)| !KNOWN_OF_FILES.contains(tag));
                        assert_eq!(new, None, "a field of files is new");
                    }
                    Field::ColumnFamilyDrop => drop(seen.insert(COLUMN_FAMILY_DROP)),
                }
            }
        }
        assert_eq!(framed, bytes, "the framing is RocksDB's");
        let needed =
            [LOG_NUMBER, LAST_SEQUENCE, DELETED_FILE, NEW_FILE, COLUMN_FAMILY, COLUMN_FAMILY_ADD, COLUMN_FAMILY_DROP];
        assert!(needed.iter().all(|tag| seen.contains(tag)), "not all that is needed was written: {seen:?}");
    }

    #[test]
    fn what_is_read_of_a_manifest_is_what_rocksdb_reads() {
        let dir = filled();
        let manifest = Manifest::read(dir.path()).unwrap();
        let options = Options { memory_bytes: 8 << 20, ..Options::new(dir.path()) };
        let memory = Memory::new(&options);
        let open = || {
            let db_options = db_options(&options, &memory.memtables);
            DB::open_cf_descriptors_read_only(&db_options, dir.path(), families(&options, &memory.block_cache), false)
                .unwrap()
        };
        let live = |db: &DB| -> BTreeMap<u64, (String, i32)> {
            let number = |name: &str| crate::kv::error::file_number(name).unwrap();
            let files = db.live_files().unwrap();
            files.into_iter().map(|file| (number(&file.name), (file.column_family_name, file.level))).collect()
        };
        let db = open();
        let name = |id: u32| manifest.families.iter().find(|(_, known)| **known == id).unwrap().0.clone();
        let read: BTreeMap<u64, (String, i32)> =
            manifest.files.iter().map(|(number, (family, level))| (*number, (name(*family), *level as i32))).collect();
        let before = live(&db);
        assert_eq!(read, before);
        assert!(manifest.last_sequence > 0 && manifest.last_sequence <= db.latest_sequence_number());
        drop(db);
        // One file less, for RocksDB too.
        let gone = manifest.places().next().unwrap();
        remove(dir.path(), &[gone]).unwrap();
        let mut left = before;
        left.remove(&gone.number);
        assert_eq!(live(&open()), left);
    }
}
