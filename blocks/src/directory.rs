//! What there is in a data directory of Prometheus.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Meta};

/// Letters of a block's name.
const ULID_LETTERS: usize = 26;

/// Blocks, and the logs of what is in none yet.
#[derive(Clone, Debug, Default)]
pub struct DataDirectory {
    /// The blocks with their folders, oldest first.
    pub(crate) blocks: Vec<(PathBuf, Meta)>,
    /// Why a block is none.
    pub(crate) refused: Vec<String>,
    /// `wal` and, for what came late, `wbl`.
    pub(crate) logs: Vec<PathBuf>,
}

impl DataDirectory {
    /// Looks what there is.
    ///
    /// # Errors
    /// When the directory cannot be read, or there is nothing of Prometheus in it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut found = Self::default();
        let entries = fs::read_dir(path).map_err(Error::read(path))?;
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            let is_block = name.to_str().is_some_and(is_ulid);
            // What it is still writing, or about to remove, has another ending.
            if !is_block || !entry.path().is_dir() {
                continue;
            }
            match Meta::read(&entry.path()) {
                Ok(meta) => found.blocks.push((entry.path(), meta)),
                Err(error) => found.refused.push(model::with_causes(&error)),
            }
        }
        found.forget_parents();
        found.blocks.sort_by(|(_, a), (_, b)| (a.start(), &a.ulid).cmp(&(b.start(), &b.ulid)));
        found.logs = ["wal", "wbl"].map(|name| path.join(name)).into_iter().filter(|log| log.is_dir()).collect();
        if found.blocks.is_empty() && found.refused.is_empty() && found.logs.is_empty() {
            return Err(Error::NoData { path: path.to_owned() });
        }
        Ok(found)
    }

    /// Blocks that were joined to others which are there.
    fn forget_parents(&mut self) {
        let joined: HashSet<String> =
            self.blocks.iter().flat_map(|(_, meta)| meta.parents()).map(str::to_owned).collect();
        self.blocks.retain(|(_, meta)| !joined.contains(&meta.ulid));
    }

    /// The blocks, oldest first.
    pub fn blocks(&self) -> impl Iterator<Item = &Meta> {
        self.blocks.iter().map(|(_, meta)| meta)
    }

    /// Is there a log of what is in no block yet?
    #[must_use]
    pub fn has_head(&self) -> bool {
        !self.logs.is_empty()
    }
}

fn is_ulid(name: &str) -> bool {
    name.len() == ULID_LETTERS && name.bytes().all(|letter| letter.is_ascii_digit() || letter.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(folder: &Path, ulid: &str, min_time: i64, parents: &str) {
        fs::create_dir(folder.join(ulid)).unwrap();
        let meta = format!(
            r#"{{"ulid":"{ulid}","minTime":{min_time},"maxTime":7200000,"stats":{{"numSamples":5,"numSeries":1}},
            "compaction":{{"level":2,"sources":[],"parents":[{parents}]}},"version":1}}"#
        );
        fs::write(folder.join(ulid).join("meta.json"), meta).unwrap();
    }

    #[test]
    fn blocks_are_found_in_the_order_of_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert!(matches!(DataDirectory::open(path), Err(Error::NoData { .. })));
        let [new, old, parent] =
            ["01ARZ3NDEKTSV4RRFFQ69G5FAA", "01ARZ3NDEKTSV4RRFFQ69G5FAB", "01ARZ3NDEKTSV4RRFFQ69G5FAC"];
        block(path, new, 100, "");
        block(path, old, 0, &format!(r#"{{"ulid":"{parent}","minTime":0,"maxTime":1}}"#));
        block(path, parent, 0, "");
        fs::create_dir(path.join("01ARZ3NDEKTSV4RRFFQ69G5FAD.tmp-for-creation")).unwrap();
        fs::create_dir(path.join("01ARZ3NDEKTSV4RRFFQ69G5FAE")).unwrap();
        fs::create_dir(path.join("chunks_head")).unwrap();
        fs::create_dir(path.join("wal")).unwrap();
        let found = DataDirectory::open(path).unwrap();
        let names: Vec<&str> = found.blocks().map(|meta| meta.ulid.as_str()).collect();
        assert_eq!((names, found.has_head(), found.refused.len()), (vec![old, new], true, 1));
        assert!(found.refused[0].contains("meta.json"), "{}", found.refused[0]);
        assert_eq!(found.blocks().map(Meta::samples).sum::<u64>(), 10);
    }
}
