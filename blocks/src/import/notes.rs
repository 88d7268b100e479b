//! How far an import is, in a file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;

/// By the name of a block or a log, what of it is stored.
#[derive(Debug)]
pub(super) struct Notes {
    path: PathBuf,
    done: BTreeMap<String, Done>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
struct Done {
    /// So many batches of it.
    batches: usize,
    is_complete: bool,
}

impl Notes {
    /// What an earlier import has left. A file that is damaged is as one that is missing: what is imported again is there already.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let done = match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(Error::read(path)(error)),
        };
        Ok(Self { path: path.to_owned(), done })
    }

    pub(super) fn is_complete(&self, name: &str) -> bool {
        self.done.get(name).is_some_and(|done| done.is_complete)
    }

    pub(super) fn batches(&self, ulid: &str) -> usize {
        self.done.get(ulid).map_or(0, |done| done.batches)
    }

    pub(super) fn note(&mut self, ulid: &str, batches: usize) -> Result<(), Error> {
        self.done.insert(ulid.to_owned(), Done { batches, is_complete: false });
        self.write()
    }

    pub(super) fn complete(&mut self, name: &str) -> Result<(), Error> {
        self.done.entry(name.to_owned()).or_default().is_complete = true;
        self.write()
    }

    fn write(&self) -> Result<(), Error> {
        let new = self.path.with_extension("tmp");
        let text = serde_json::to_vec(&self.done).unwrap_or_default();
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &self.path))
            .map_err(|source| Error::Write { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("import.json");
        let mut notes = Notes::read(&path).unwrap();
        notes.note("a", 3).unwrap();
        notes.note("b", 1).unwrap();
        notes.complete("b").unwrap();
        let notes = Notes::read(&path).unwrap();
        assert_eq!((notes.batches("a"), notes.batches("c")), (3, 0));
        assert_eq!((notes.is_complete("a"), notes.is_complete("b"), notes.is_complete("c")), (false, true, false));
        fs::write(&path, "{").unwrap();
        assert_eq!(Notes::read(&path).unwrap().batches("a"), 0);
        assert!(Notes::read(folder.path()).is_err());
    }
}
