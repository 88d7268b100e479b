//! Notes of samples that were stored for a time that was read already. They are on disk before the samples are, so that none is
//! lost with the process. Drawn in `docs/formats/directory.md`.
//!
//! Invariant: a note is in a file as long as what it tells of is not sent.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use foldhash::fast::RandomState;
use model::{MetricId, SourceId, Timestamp, Touched};

/// Source, metric, first and last time; little endian.
const NOTE_BYTES: usize = 4 + 4 + 8 + 8;
/// Wildcard: matches any metric.
const ANY: u32 = u32::MAX;
const PREFIX: &str = "late-";
/// With more notes than this those of a source become one.
const NOTES_MAX: usize = 1 << 16;

/// The notes of one remote.
#[derive(Debug)]
pub(super) struct Notes {
    directory: PathBuf,
    pending: Vec<Touched>,
    /// The files that hold what is pending; the last is written to.
    files: Vec<PathBuf>,
    open: Option<File>,
    next: u64,
}

/// Notes that are being worked on.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) notes: Vec<Touched>,
    files: Vec<PathBuf>,
}

impl Notes {
    /// Those that are left in a directory, which must be there.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let mut files: Vec<(u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let number = path.file_name().and_then(|name| name.to_str()?.strip_prefix(PREFIX)?.parse().ok());
            files.extend(number.map(|number| (number, path)));
        }
        files.sort_unstable();
        let next = files.last().map_or(0, |(number, _)| number + 1);
        let files: Vec<PathBuf> = files.into_iter().map(|(_, path)| path).collect();
        let mut pending = Vec::new();
        for path in &files {
            // What is cut short at the end was not yet followed by its write.
            pending.extend(fs::read(path)?.chunks_exact(NOTE_BYTES).map(decode));
        }
        let mut notes = Self { directory: directory.to_owned(), pending, files, open: None, next };
        notes.bound();
        Ok(notes)
    }

    /// Adds notes, and returns once they are in the file.
    pub(super) fn add(&mut self, notes: &[Touched]) -> io::Result<()> {
        self.pending.extend_from_slice(notes);
        self.bound();
        let mut bytes = Vec::with_capacity(notes.len() * NOTE_BYTES);
        notes.iter().for_each(|note| encode(note, &mut bytes));
        if self.open.is_none() {
            let path = self.directory.join(format!("{PREFIX}{}", self.next));
            self.next += 1;
            self.open = Some(OpenOptions::new().create(true).append(true).open(&path)?);
            self.files.push(path);
        }
        // One write: a process that is killed leaves all of it or none.
        self.open.as_mut().map_or(Ok(()), |file| file.write_all(&bytes))
    }

    /// Those that there are. Their files stay until [`Taken::done`].
    pub(super) fn take(&mut self) -> Taken {
        self.open = None;
        Taken { notes: std::mem::take(&mut self.pending), files: std::mem::take(&mut self.files) }
    }

    /// Notes that are too many become one per source, and at last one for all: more is then read than need be.
    fn bound(&mut self) {
        if self.pending.len() <= NOTES_MAX {
            return;
        }
        let mut merged: HashMap<u32, Touched, RandomState> = HashMap::default();
        for note in self.pending.drain(..) {
            let whole = merged.entry(note.source.0).or_insert(Touched { metric: None, ..note });
            whole.from = whole.from.min(note.from);
            whole.to = whole.to.max(note.to);
        }
        self.pending.extend(merged.into_values());
        self.pending.sort_unstable_by_key(|note| note.source);
    }
}

impl Taken {
    /// All of it was sent.
    pub(super) fn done(self) {
        for path in self.files {
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove notes of late samples; they are sent again after a restart");
            }
        }
    }
}

fn encode(note: &Touched, out: &mut Vec<u8>) {
    out.extend_from_slice(&note.source.0.to_le_bytes());
    out.extend_from_slice(&note.metric.map_or(ANY, |metric| metric.0).to_le_bytes());
    out.extend_from_slice(&note.from.0.to_le_bytes());
    out.extend_from_slice(&note.to.0.to_le_bytes());
}

fn decode(bytes: &[u8]) -> Touched {
    let number = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    let time = |at: usize| Timestamp(i64::from_le_bytes(std::array::from_fn(|i| bytes[at + i])));
    let metric = Some(number(4)).filter(|metric| *metric != ANY).map(MetricId);
    Touched { source: SourceId(number(0)), metric, from: time(8), to: time(16) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(source: u32, metric: Option<u32>, from: i64, to: i64) -> Touched {
        Touched { source: SourceId(source), metric: metric.map(MetricId), from: Timestamp(from), to: Timestamp(to) }
    }

    #[test]
    fn notes_stay_until_they_are_done() {
        let folder = tempfile::tempdir().unwrap();
        let mut notes = Notes::open(folder.path()).unwrap();
        let (first, second) = (note(1, None, 5, 6), note(2, Some(7), -5, i64::MAX));
        notes.add(&[first, second]).unwrap();
        let taken = notes.take();
        assert_eq!(taken.notes, [first, second]);
        notes.add(&[note(3, None, 1, 1)]).unwrap();
        // The process ends, and a note is cut short.
        let path = folder.path().join("late-1");
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(&[1, 2, 3]).unwrap();
        assert_eq!(Notes::open(folder.path()).unwrap().pending, [first, second, note(3, None, 1, 1)]);
        taken.done();
        let mut notes = Notes::open(folder.path()).unwrap();
        notes.add(&[first]).unwrap();
        let taken = notes.take();
        assert_eq!(taken.notes, [note(3, None, 1, 1), first]);
        taken.done();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn too_many_notes_become_one_per_source() {
        let folder = tempfile::tempdir().unwrap();
        let mut notes = Notes::open(folder.path()).unwrap();
        let many: Vec<Touched> = (0..=NOTES_MAX as i64).map(|i| note(1 + i as u32 % 2, Some(3), i, i)).collect();
        notes.add(&many).unwrap();
        let last = NOTES_MAX as i64;
        assert_eq!(notes.take().notes, [note(1, None, 0, last), note(2, None, 1, last - 1)]);
    }
}
