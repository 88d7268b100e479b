//! Copies of the whole database, in a moment and with next to no room: files are linked, not copied.

use std::fs;
use std::path::Path;

use rocksdb::checkpoint::Checkpoint;

use crate::db::Db;
use crate::error::Error;

impl Db {
    /// Makes `directory`, which must not exist yet, a database of its own with everything committed until now. Its parent
    /// is made if missing. On the same file system as the database it shares the files that both have.
    ///
    /// # Errors
    /// When the directory exists or cannot be written.
    pub(crate) fn snapshot(&self, directory: &Path) -> Result<(), Error> {
        if let Some(parent) = directory.parent() {
            fs::create_dir_all(parent).map_err(|source| Error::Unwritable { path: parent.to_owned(), source })?;
        }
        let checkpoint = Checkpoint::new(&self.store.db).map_err(Error::write)?;
        checkpoint.create_checkpoint(directory).map_err(Error::write)
    }
}
