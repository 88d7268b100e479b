//! CURRENT and MANIFEST say what the database is: without them nothing opens. The MANIFEST is kept a second time under
//! `spare/`, byte by byte as it grows, and CURRENT follows from it. Where both copies of the MANIFEST are damaged RocksDB's
//! repair finds the files again.
//!
//! Invariant: a copy that lacks what the directory has is never used as if it were all: RocksDB deletes files that its
//! MANIFEST does not name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use model::Timestamp;

use super::directory::{DIRECTORY, move_aside, names, replace};
use super::manifest::{self, Manifest};
use super::record::QuarantineRecord;
use crate::kv::error::file_number;
use crate::kv::schema::Cf;

/// Where the second MANIFEST lies.
const SPARE: &str = "spare";
const CURRENT: &str = "CURRENT";
const MANIFEST: &str = "MANIFEST-";

/// How much of which MANIFEST was copied.
#[derive(Debug, Default)]
pub(crate) struct ManifestCopy {
    name: String,
    copied: u64,
}

/// The number in the name of a MANIFEST.
fn number(name: &str) -> Option<u64> {
    name.strip_prefix(MANIFEST)?.parse().ok()
}

/// The MANIFEST that CURRENT names, if it makes sense.
fn named(directory: &Path) -> Option<String> {
    let text = fs::read(directory.join(CURRENT)).ok()?;
    let name = std::str::from_utf8(&text).ok()?.strip_suffix('\n')?;
    number(name).map(|_| name.to_owned())
}

/// Has the directory any file that a database must have?
pub(crate) fn is_database(directory: &Path) -> bool {
    let all = names(directory).unwrap_or_default().into_iter().chain(names(&directory.join(SPARE)).unwrap_or_default());
    all.into_iter().any(|name| name.ends_with(".sst") || number(&name).is_some())
}

impl ManifestCopy {
    /// Copies what the MANIFEST gained, and writes CURRENT again where it is gone. To be called while the database is open,
    /// now and then, and when it is opened and closed.
    pub(crate) fn keep(&mut self, directory: &Path) -> io::Result<()> {
        let name = match named(directory).filter(|name| directory.join(name).exists()) {
            Some(name) => name,
            None if !self.name.is_empty() && directory.join(&self.name).exists() => {
                tracing::error!(directory = %directory.display(), "the file CURRENT is missing or damaged; writing it again");
                replace(&directory.join(CURRENT), format!("{}\n", self.name).as_bytes())?;
                self.name.clone()
            }
            None => return Ok(()),
        };
        let mut from = File::open(directory.join(&name))?;
        let length = from.metadata()?.len();
        let spare = directory.join(SPARE);
        let to = spare.join(&name);
        if name == self.name && length == self.copied && to.exists() {
            return Ok(());
        }
        fs::create_dir_all(&spare)?;
        // RocksDB began another MANIFEST, or the copy is gone: it is copied as a whole.
        if name != self.name || length < self.copied || !to.exists() {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes)?;
            // Not synced: after a power failure it is whole or of no use, and is made anew at the next start.
            let new = spare.join("new");
            fs::write(&new, &bytes)?;
            fs::rename(new, &to)?;
            self.copied = bytes.len() as u64;
            for other in names(&spare)?.into_iter().filter(|other| *other != name) {
                fs::remove_file(spare.join(other))?;
            }
            self.name = name;
            return Ok(());
        }
        let mut bytes = Vec::new();
        from.seek(SeekFrom::Start(self.copied))?;
        from.read_to_end(&mut bytes)?;
        let mut to = OpenOptions::new().write(true).open(to)?;
        // A copy that was cut short by a crash is brought back to what is known to be right.
        to.set_len(self.copied)?;
        to.seek(SeekFrom::End(0))?;
        to.write_all(&bytes)?;
        self.copied += bytes.len() as u64;
        Ok(())
    }
}

/// Where CURRENT or the MANIFEST is damaged or gone, makes them whole; what was done is returned. To be called before the
/// directory is opened.
pub(crate) fn restore(
    directory: &Path,
    repair: &dyn Fn() -> Result<(), rocksdb::Error>,
) -> io::Result<Vec<QuarantineRecord>> {
    for name in names(directory)?.iter().filter_map(|name| name.strip_suffix(".kept")) {
        // An earlier process ended while it repaired.
        fs::rename(directory.join(format!("{name}.kept")), directory.join(name))?;
    }
    let files = names(directory)?;
    let spares = names(&directory.join(SPARE))?;
    let is_data = |name: &String| name.ends_with(".sst") || name.ends_with(".log") || number(name).is_some();
    if !files.iter().chain(&spares).any(is_data) {
        return Ok(Vec::new());
    }
    let before = named(directory);
    let there = |name: &String| files.contains(name) || spares.contains(name);
    let latest = || files.iter().chain(&spares).filter(|name| number(name).is_some()).max_by_key(|name| number(name));
    let name = before.clone().filter(there).or_else(|| latest().cloned());
    let mut done = Vec::new();
    let whole = match &name {
        Some(name) => restore_manifest(directory, name, &mut done)?,
        None => false,
    };
    match name {
        Some(name) if whole => {
            if before.as_ref() != Some(&name) {
                replace(&directory.join(CURRENT), format!("{name}\n").as_bytes())?;
                done.push(restored(CURRENT, "it named no MANIFEST, and was written again"));
            }
        }
        _ => {
            move_aside(directory, CURRENT)?;
            for name in files.iter().filter(|name| number(name).is_some()) {
                move_aside(directory, name)?;
            }
            rebuild_manifest(directory, &files, repair)?;
            done.push(restored(
                "MANIFEST",
                "both its copies were damaged or gone, and it was made again from the files",
            ));
            done.extend(unreadable(directory)?);
        }
    }
    Ok(done)
}

/// Has RocksDB's repair find the sorted files. It knows families by these alone, so that logs are kept from it.
fn rebuild_manifest(
    directory: &Path,
    files: &[String],
    repair: &dyn Fn() -> Result<(), rocksdb::Error>,
) -> io::Result<()> {
    let logs: Vec<&String> = files.iter().filter(|name| name.ends_with(".log")).collect();
    let hidden = |name: &str| directory.join(format!("{name}.kept"));
    logs.iter().try_for_each(|name| fs::rename(directory.join(name), hidden(name)))?;
    let repaired = repair().map_err(|error| io::Error::other(format!("RocksDB's repair failed: {error}")));
    logs.iter().try_for_each(|name| fs::rename(hidden(name), directory.join(name)))?;
    repaired?;
    manifest::declare(directory, &Cf::ALL.map(Cf::name))
}

/// Makes a MANIFEST whole from its copy; false where that is not possible.
fn restore_manifest(directory: &Path, name: &str, done: &mut Vec<QuarantineRecord>) -> io::Result<bool> {
    let read = |path: &Path| match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        bytes => bytes,
    };
    let path = directory.join(name);
    let (bytes, spare) = (read(&path)?, read(&directory.join(SPARE).join(name))?);
    let (_, whole) = manifest::edits(&bytes);
    let (_, copied) = manifest::edits(&spare);
    let is_torn = whole < bytes.len();
    // A torn end is what a killed machine leaves, and no edit that counts; the copy has it if it is more.
    if whole > 0 && whole >= copied && (!is_torn || ends_torn(&bytes, whole)) {
        // An edit that was written whole and is damaged now may have named files that nothing else names.
        let is_lost = is_torn && !super::log::is_cut(&bytes, whole);
        return Ok(!is_lost || names_all(directory, &bytes[..whole])?);
    }
    let mut both = spare;
    // The copy as far as it is whole, and behind it what the MANIFEST gained since.
    both.truncate(copied);
    both.extend_from_slice(bytes.get(copied..).unwrap_or_default());
    let (_, end) = manifest::edits(&both);
    let is_whole = end > 0 && end >= whole && (end == both.len() || ends_torn(&both, end));
    // What came after the copy may be lost with the MANIFEST: then there are files that it does not name.
    if !is_whole || bytes.len() < both.len() && !names_all(directory, &both[..end])? {
        return Ok(false);
    }
    move_aside(directory, name)?;
    replace(&path, &both[..end])?;
    done.push(restored(name, "it was damaged or gone, and was made again from its copy"));
    Ok(true)
}

/// Does a MANIFEST name all sorted files of a directory?
fn names_all(directory: &Path, manifest: &[u8]) -> io::Result<bool> {
    let known = Manifest::parse(manifest).files;
    let files = names(directory)?;
    let mut numbers = files.iter().filter(|name| name.ends_with(".sst")).filter_map(|name| file_number(name));
    Ok(numbers.all(|number| known.contains_key(&number)))
}

/// Is there nothing whole after the end of a log?
fn ends_torn(bytes: &[u8], end: usize) -> bool {
    let mut any = false;
    let scanned = super::log::scan(bytes, &mut |piece, after| {
        any |= matches!(piece, super::log::Piece::Record(_)) && after > end as u64;
        Ok(())
    });
    scanned.is_ok() && !any
}

/// What RocksDB's repair could not read, it moved to `lost/`.
fn unreadable(directory: &Path) -> io::Result<Vec<QuarantineRecord>> {
    let lost = directory.join("lost");
    let mut found = Vec::new();
    for name in names(&lost)? {
        let to = directory.join(DIRECTORY);
        fs::create_dir_all(&to)?;
        fs::rename(lost.join(&name), to.join(&name))?;
        if name.ends_with(".sst") {
            let what = "RocksDB's repair could not read it".to_owned();
            let family = "unknown".to_owned();
            found.push(QuarantineRecord {
                place: name,
                family,
                from: Timestamp::MIN,
                to: Timestamp::MAX,
                metrics: Vec::new(),
                what,
            });
        }
    }
    Ok(found)
}

/// Something that cost nothing.
fn restored(place: &str, what: &str) -> QuarantineRecord {
    let (place, family) = (place.to_owned(), "database".to_owned());
    let mut record = QuarantineRecord {
        place,
        family,
        from: Timestamp::MIN,
        to: Timestamp::MAX,
        metrics: Vec::new(),
        what: what.to_owned(),
    };
    record.set_rebuilt();
    record
}
