//! A data directory opened to be read by a program beside the server: as a copy, which shares the sorted files with it. The
//! directory itself is neither written to nor locked for longer than copying takes.

use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::open::prometheus_data;
use crate::options::Options;
use crate::recovery::Db;

/// What is not copied: RocksDB's own log, and its lock.
const LEFT: [&str; 2] = ["LOG", "LOCK"];
/// Folders that a database needs, with files that may be copied.
const FOLDERS: [&str; 2] = ["spare", "quarantine"];
/// A folder of a copy begins with this.
const NAME: &str = ".reading-";
/// Files of `quarantine` that say what is damaged; the damaged files themselves are not read.
const RECORD: &str = "damage.tsv";
/// What a program that reads everything once needs of memory.
const MEMORY_BYTES: usize = 64 << 20;

/// An open copy. Its folder is removed when it is dropped.
#[derive(Debug)]
pub struct ReadCopy {
    /// `None` only while dropped.
    db: Option<Db>,
    folder: PathBuf,
}

impl ReadCopy {
    /// Copies the directory at `path` into a new folder within `root`, or within the directory itself, and opens the copy.
    ///
    /// # Errors
    /// When there is no database of ours at `path`, when it is in use, or when it cannot be copied or opened.
    pub fn open(path: &Path, root: Option<&Path>) -> Result<Self, Error> {
        let copying = |source| Error::Copy { path: path.to_owned(), source };
        if !path.join("CURRENT").is_file() {
            let found = prometheus_data::of_prometheus(path);
            return Err(Error::NoDatabase { path: path.to_owned(), found });
        }
        let directory = File::open(path).map_err(copying)?;
        // Shared, as others may read as well. A server has it exclusively.
        if let Err(TryLockError::WouldBlock) = directory.try_lock_shared() {
            return Err(Error::InUse { path: path.to_owned() });
        }
        let folder = new_folder(root.unwrap_or(path)).map_err(copying)?;
        let mut copy = Self { db: None, folder };
        copy_files(path, &copy.folder).map_err(copying)?;
        // From here on a server may start.
        drop(directory);
        let options = Options { memory_bytes: MEMORY_BYTES, ..Options::new(&copy.folder) };
        copy.db = Some(Db::open(options, &prometheus::Registry::new())?);
        Ok(copy)
    }
}

impl Deref for ReadCopy {
    type Target = Db;

    fn deref(&self) -> &Db {
        self.db.as_ref().expect("BUG: it is open until it is dropped")
    }
}

impl Drop for ReadCopy {
    fn drop(&mut self) {
        // Closed first: it writes to its folder.
        self.db.take();
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            let folder = self.folder.display();
            tracing::warn!(%error, %folder, "cannot remove the copy of a data directory; it can be removed by hand");
        }
    }
}

/// A folder that nobody else uses.
fn new_folder(root: &Path) -> io::Result<PathBuf> {
    for number in 0.. {
        let folder = root.join(format!("{NAME}{}-{number}", std::process::id()));
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < u16::MAX => {}
            made => return made.map(|()| folder),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        let (source, target) = (entry.path(), to.join(&name));
        if entry.file_type()?.is_dir() {
            if FOLDERS.contains(&&*text) {
                fs::create_dir(&target)?;
                copy_small(&source, &target, &text)?;
            }
        } else if text.ends_with(".sst") {
            // They never change. On another file system there are no links to them.
            fs::hard_link(&source, &target).or_else(|_| fs::copy(&source, &target).map(drop))?;
        } else if !LEFT.iter().any(|left| text.starts_with(left)) {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}

fn copy_small(from: &Path, to: &Path, folder: &str) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let is_wanted = folder != "quarantine" || entry.file_name() == RECORD;
        if is_wanted && entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
