//! One sorted file as a database of its own: links to it and a MANIFEST that names nothing else, in a directory of its own
//! beside it. So a file can be tried, or read, without the database that it is of.

use std::fs;
use std::io;
use std::path::Path;

use rocksdb::{ColumnFamilyDescriptor, DB, Options as DbOptions};

use super::directory::DIRECTORY;
use super::manifest::{self, Manifest, Place};

/// Starts the names of directories with one file each.
pub(crate) const READING: &str = "reading-";

/// The column families that a database is opened with.
pub(crate) type Families<'f> = dyn Fn() -> Vec<ColumnFamilyDescriptor> + 'f;

/// Why a file of a database cannot be opened, if it cannot.
pub(super) fn wrong_with(
    directory: &Path,
    (number, name): (u64, &str),
    families: &Families<'_>,
) -> io::Result<Option<String>> {
    prepare(directory, number, name)?;
    let reading = directory.join(DIRECTORY).join(format!("{READING}{number:06}"));
    let opened = DB::open_cf_descriptors_read_only(&DbOptions::default(), &reading, families(), false);
    let wrong = opened.err().map(|error| error.to_string());
    fs::remove_dir_all(reading)?;
    Ok(wrong)
}

/// Makes a database of one file, as a directory beside it; its MANIFEST still names the file.
pub(super) fn prepare(directory: &Path, number: u64, name: &str) -> io::Result<()> {
    let from = directory.join(name.trim_start_matches('/'));
    if !from.exists() {
        return Ok(());
    }
    let to = directory.join(DIRECTORY).join(format!("{READING}{number:06}"));
    if to.exists() {
        fs::remove_dir_all(&to)?;
    }
    fs::create_dir_all(&to)?;
    let current = manifest::current(directory)?;
    let others: Vec<Place> = Manifest::read(directory)?.places().filter(|place| place.number != number).collect();
    fs::copy(&current, to.join(current.file_name().unwrap_or_default()))?;
    fs::copy(directory.join("CURRENT"), to.join("CURRENT"))?;
    manifest::remove(&to, &others)?;
    // A link is enough: RocksDB never changes a sorted file.
    fs::hard_link(&from, to.join(name.trim_start_matches('/')))
}
