//! `metric_usage.json` in the data directory: the counts, written whole and put in the place of those before.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read as _, Write as _};
use std::path::Path;

use super::counts::Counts;

pub(super) const NAME: &str = "metric_usage.json";
/// Longer files are not read: this process writes none.
const BYTES_MAX: u64 = 256 << 20;

/// What is in a file; nothing if it is not there, and what cannot be read is begun anew.
pub(super) fn read(path: &Path) -> Counts {
    let Ok(file) = File::open(path) else { return Counts::default() };
    serde_json::from_reader(BufReader::new(file.take(BYTES_MAX))).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), %error, "which metrics are asked for is counted anew");
        Counts::default()
    })
}

/// Writes the counts. A failure costs those of the time since they were last written.
pub(super) fn write(path: &Path, counts: &Counts) {
    let new = path.with_extension("new");
    let written = File::create(&new).and_then(|file| {
        let mut writer = BufWriter::new(file);
        serde_json::to_writer(&mut writer, counts)?;
        writer.flush()?;
        // A crash leaves the file before or this one, and never a part.
        fs::rename(&new, path)
    });
    if let Err(error) = written {
        tracing::warn!(path = %path.display(), %error, "cannot write down which metrics are asked for");
        fs::remove_file(&new).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_anything_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        assert_eq!(read(&path), Counts::default());
        for text in ["", "{", "[]", r#"{"names": {"a": 1}}"#, "\u{0}"] {
            fs::write(&path, text).unwrap();
            assert_eq!(read(&path), Counts::default(), "{text:?}");
        }
        // Fields of later versions do not matter, nor ones that are missing.
        fs::write(&path, r#"{"names": {"a": {"api": 3, "later": 1}}, "later": 1}"#).unwrap();
        assert_eq!(read(&path).names["a"].api, 3);
        write(&folder.path().join("none").join(NAME), &Counts::default());
    }
}
