//! The directory of damaged files in the data directory, and the few ways in which repairs move files about.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Where files go that are set aside.
pub(crate) const DIRECTORY: &str = "quarantine";

/// The names of the files of a directory; none where there is no directory.
pub(crate) fn names(directory: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(directory) {
        Ok(files) => files.map(|file| Ok(file?.file_name().to_string_lossy().into_owned())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Replaces a file in one step: a crash leaves the old bytes or the new ones.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, path)
}

/// Moves a file of the data directory into quarantine, if it is there.
pub(super) fn move_aside(directory: &Path, name: &str) -> io::Result<()> {
    let from = directory.join(name);
    if !from.exists() {
        return Ok(());
    }
    let to = directory.join(DIRECTORY);
    fs::create_dir_all(&to)?;
    fs::rename(from, to.join(name))
}

/// Removes a file that may not be there.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
