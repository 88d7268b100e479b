//! Copies of the whole database, in a moment and with next to no room: files are linked, not copied.

use std::path::Path;

use rocksdb::checkpoint::Checkpoint;

use super::error::Error;
use super::store::Store;

/// Makes `directory`, which must not exist yet, a database of its own with everything written until now. On the same file
/// system as the database it shares the files that both have.
///
/// # Errors
/// When the directory exists or cannot be written.
pub(crate) fn create(store: &Store, directory: &Path) -> Result<(), Error> {
    let checkpoint = Checkpoint::new(&store.db).map_err(Error::write)?;
    checkpoint.create_checkpoint(directory).map_err(Error::write)
}
