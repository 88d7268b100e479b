//! What the next opening of the directory has to do: files to set aside, and families to rebuild. Kept in files of their own,
//! so that it is done even if the process ends before.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use super::directory::{DIRECTORY, remove_if_there};
use crate::kv::error::file_number;

/// Names the files, one a line, that were found damaged while the database was open.
const WAITING: &str = "waiting";
/// Names the families, one a line, of which files were set aside and that are not rebuilt yet.
const TO_REBUILD: &str = "to-rebuild";

/// Has a damaged file set aside when the directory is opened the next time.
pub(crate) fn set_aside_later(directory: &Path, number: u64) -> io::Result<()> {
    let aside = directory.join(DIRECTORY);
    fs::create_dir_all(&aside)?;
    let waiting = aside.join(WAITING);
    let mut text = fs::read_to_string(&waiting).unwrap_or_default();
    let line = format!("{number:06}.sst\n");
    if !text.contains(&line) {
        text.push_str(&line);
        fs::write(waiting, text)?;
    }
    Ok(())
}

/// The numbers of the files that are to be set aside.
pub(super) fn to_set_aside(directory: &Path) -> BTreeSet<u64> {
    let text = fs::read_to_string(directory.join(DIRECTORY).join(WAITING)).unwrap_or_default();
    text.lines().filter_map(file_number).collect()
}

/// All of them were set aside.
pub(super) fn all_set_aside(directory: &Path) -> io::Result<()> {
    remove_if_there(&directory.join(DIRECTORY).join(WAITING))
}

/// Has column families rebuilt when the directory is opened.
pub(crate) fn rebuild_later(directory: &Path, families: impl IntoIterator<Item = String>) -> io::Result<()> {
    fs::create_dir_all(directory.join(DIRECTORY))?;
    let mut all = to_rebuild(directory);
    all.extend(families);
    let text = all.into_iter().fold(String::new(), |text, family| text + &family + "\n");
    fs::write(directory.join(DIRECTORY).join(TO_REBUILD), text)
}

/// The families that are to be rebuilt.
pub(crate) fn to_rebuild(directory: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(directory.join(DIRECTORY).join(TO_REBUILD)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// All of them were rebuilt.
pub(crate) fn all_rebuilt(directory: &Path) -> io::Result<()> {
    remove_if_there(&directory.join(DIRECTORY).join(TO_REBUILD))
}
