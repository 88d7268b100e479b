//! `queries.active` in the data directory: the queries that run, in slots of equal length, overwritten in place. It is never
//! synced: it is to outlive this process, not the machine. In upstream's form: `[`, and then in each slot nothing but zeros, or an
//! object, zeros and a comma.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use model::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

const NAME: &str = "queries.active";
/// The length of a slot.
const SLOT: usize = 1000;
/// More slots than this are neither made nor read.
const SLOTS_MAX: usize = 1000;

/// A query that a process did not finish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unfinished {
    /// Its text, cut where it is long.
    pub(crate) query: String,
    /// When it began, in seconds since 1970.
    pub(crate) timestamp_sec: i64,
}

/// What an earlier process left in its file. What cannot be read of it is left out.
pub(crate) fn unfinished(directory: &Path) -> Vec<Unfinished> {
    let mut bytes = Vec::new();
    let Ok(file) = File::open(directory.join(NAME)) else { return Vec::new() };
    // Whoever wrote it: no more is read than was ever written.
    file.take((1 + SLOTS_MAX * SLOT) as u64).read_to_end(&mut bytes).ok();
    let slots = bytes.strip_prefix(b"[").unwrap_or_default().chunks(SLOT);
    let entries = slots.filter_map(|slot| {
        let written = slot.split(|byte| *byte == 0).next()?;
        serde_json::from_slice(written.strip_suffix(b",").unwrap_or(written)).ok()
    });
    entries.collect()
}

/// The file of this process. Without one, when it could not be made, nothing is written.
#[derive(Debug)]
pub(super) struct QueryFile {
    file: Option<File>,
    free: Mutex<Vec<usize>>,
}

impl QueryFile {
    /// An empty one in the place of what an earlier process left.
    pub(super) fn create(directory: &Path, slots: usize) -> Self {
        let path = directory.join(NAME);
        let slots = slots.min(SLOTS_MAX);
        let made = File::options().create(true).truncate(true).write(true).open(&path).and_then(|file| {
            file.set_len((1 + slots * SLOT) as u64)?;
            file.write_all_at(b"[", 0)?;
            Ok(file)
        });
        if let Err(error) = &made {
            // A log of queries is not worth a server that does not start.
            tracing::warn!(path = %path.display(), %error, "queries that run cannot be noted");
        }
        Self { file: made.ok(), free: Mutex::new((0..slots).rev().collect()) }
    }

    /// Notes a query, if there is a slot for it.
    pub(super) fn begin(&self, query: &str, now: Timestamp) -> Option<usize> {
        let file = self.file.as_ref()?;
        let slot = self.free.lock().pop()?;
        // A failure costs a line of a log.
        file.write_all_at(&entry(query, now), at(slot)).ok();
        Some(slot)
    }

    /// It has ended.
    pub(super) fn end(&self, slot: Option<usize>) {
        let (Some(slot), Some(file)) = (slot, &self.file) else { return };
        file.write_all_at(&[0; SLOT], at(slot)).ok();
        self.free.lock().push(slot);
    }
}

fn at(slot: usize) -> u64 {
    (1 + slot * SLOT) as u64
}

/// The beginning of a text, at most so many bytes, and whole characters.
pub(super) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

fn entry(query: &str, now: Timestamp) -> [u8; SLOT] {
    let mut query = cut(query, SLOT);
    let text = loop {
        let entry = Unfinished { query: query.to_owned(), timestamp_sec: now.0 / 1000 };
        let text = serde_json::to_vec(&entry).unwrap_or_default();
        // The comma needs a byte. A byte of the query is at most six of the text.
        match (text.len() + 1).checked_sub(SLOT) {
            None | Some(0) => break text,
            Some(over) => query = cut(query, query.len().saturating_sub(over.div_ceil(6))),
        }
    };
    let mut slot = [0; SLOT];
    slot[..text.len()].copy_from_slice(&text);
    slot[SLOT - 1] = b',';
    slot
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_ran_is_told_to_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        assert!(unfinished(folder.path()).is_empty());
        let file = QueryFile::create(folder.path(), 3);
        let long = "\"\u{1}é".repeat(500);
        let slots = ["up", "rate(a[5m])", &long].map(|query| file.begin(query, Timestamp(5_999)));
        assert_eq!((slots[0], file.begin("no slot", Timestamp(0))), (Some(0), None));
        file.end(slots[1]);
        let found = unfinished(folder.path());
        assert_eq!(found[0], Unfinished { query: "up".to_owned(), timestamp_sec: 5 });
        assert!(found.len() == 2 && long.starts_with(&found[1].query) && found[1].query.len() > 300, "{found:?}");
        // The place of one that has ended is used again.
        assert_eq!(file.begin("again", Timestamp(0)), Some(1));
        // A new process begins without any.
        QueryFile::create(folder.path(), 3);
        assert!(unfinished(folder.path()).is_empty());
    }

    #[test]
    fn a_file_of_anything_is_read_as_far_as_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let mut bytes = b"[".to_vec();
        bytes.extend(entry("up", Timestamp(1_000)));
        bytes.extend([b'x'; SLOT]);
        bytes.extend(&entry("down", Timestamp(2_000))[..100]);
        for (bytes, texts) in [
            (&bytes[..], &["up", "down"][..]),
            (&bytes[..20], &[]),
            (&bytes[1..], &[]),
            (b"", &[]),
            (b"[]", &[]),
            (&[0xff; 3 * SLOT], &[]),
        ] {
            fs::write(&path, bytes).unwrap();
            let found: Vec<String> = unfinished(folder.path()).into_iter().map(|one| one.query).collect();
            assert_eq!(found, texts, "{bytes:.40?}");
        }
    }

    #[test]
    fn a_directory_that_cannot_be_written_to_ends_no_query() {
        let file = QueryFile::create("/nonesuch".as_ref(), 3);
        file.end(file.begin("up", Timestamp(0)));
    }
}
