//! Text files, and the files that a pattern matches.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::schema::Source;
use crate::yaml::{self, Tree};

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    String::from_utf8(bytes).map_err(|error| {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, error.utf8_error());
        Error::Read { path: path.to_owned(), source }
    })
}

/// The files that a pattern matches, sorted; as in Prometheus it is no error if there are none.
pub(crate) fn matching(pattern: &Path) -> Vec<PathBuf> {
    let mut pattern = pattern.to_string_lossy().into_owned();
    // Two stars mean folders of any depth to the library, and no more than one star to Go's `filepath.Glob`.
    while pattern.contains("**") {
        pattern = pattern.replace("**", "*");
    }
    let Ok(paths) = glob::glob(&pattern) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = paths.filter_map(Result::ok).collect();
    paths.sort();
    paths
}

/// Parses the first document of a file.
pub(crate) fn document(source: &Source<'_>, text: &str) -> Result<Option<Tree>, Error> {
    let (document, faults) = yaml::parse_all(text).map_err(|(pos, message)| source.error(pos, "", message))?;
    source.report_syntax(faults)?;
    Ok(document)
}
