//! Sorted files that cannot be used are set aside, so that the rest of the database can be: moved to `quarantine/` in the data
//! directory, and taken out of RocksDB's MANIFEST.
//!
//! Invariant: nothing is ever deleted here.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use rocksdb::{DB, LiveFile};

use super::directory::DIRECTORY;
use super::manifest::{self, Manifest, Place};
use super::pending::{all_set_aside, rebuild_later, to_set_aside};
use super::record::{QuarantineRecord, Quarantined, time_of};
use super::single_file::{self, Families};
use crate::kv::error::file_number;

/// The last bytes of every file of RocksDB's.
const MAGIC: [u8; 8] = 0x88e2_41b7_85f4_cff7_u64.to_le_bytes();

/// A file that cannot stay, and why.
#[derive(Clone, Debug)]
pub(crate) struct Bad {
    file: LiveFile,
    what: String,
}

fn number_of(file: &LiveFile) -> Option<u64> {
    file_number(&file.name)
}

fn path_of(directory: &Path, file: &LiveFile) -> PathBuf {
    directory.join(file.name.trim_start_matches('/'))
}

/// Why a file cannot be opened, from its length and its end alone.
fn wrong_with(directory: &Path, file: &LiveFile) -> io::Result<Option<String>> {
    let mut opened = match File::open(path_of(directory, file)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some("the file is missing".to_owned())),
        opened => opened?,
    };
    let length = opened.metadata()?.len();
    if length != file.size as u64 {
        return Ok(Some(format!("the file has {length} bytes and must have {}", file.size)));
    }
    let mut end = [0; 8];
    opened.seek(SeekFrom::End(-8))?;
    opened.read_exact(&mut end)?;
    Ok((end != MAGIC).then(|| "the end of the file makes no sense".to_owned()))
}

/// The files that cannot stay: those whose end is wrong, those that `error` names, and those that wait for this.
pub(crate) fn bad_files(db: &DB, directory: &Path, error: Option<&str>) -> io::Result<Vec<Bad>> {
    let waiting = to_set_aside(directory);
    let mut bad = Vec::new();
    for file in db.live_files().map_err(|error| io::Error::other(error.to_string()))? {
        let number = number_of(&file);
        let what = match wrong_with(directory, &file)? {
            None if number.is_some_and(|number| waiting.contains(&number)) => {
                Some("it has blocks that cannot be read".to_owned())
            }
            None => error.filter(|error| number.is_some() && file_number(error) == number).map(str::to_owned),
            wrong => wrong,
        };
        bad.extend(what.map(|what| Bad { file, what }));
    }
    Ok(bad)
}

/// The files that RocksDB cannot open, each tried by itself.
pub(crate) fn unopenable_files(db: &DB, directory: &Path, families: &Families<'_>) -> io::Result<Vec<Bad>> {
    let mut bad = Vec::new();
    for file in db.live_files().map_err(|error| io::Error::other(error.to_string()))? {
        let number = number_of(&file).unwrap_or_default();
        if let Some(what) = single_file::wrong_with(directory, (number, &file.name), families)? {
            bad.push(Bad { file, what });
        }
    }
    Ok(bad)
}

/// Takes the files out of the database, which nobody may have open, and moves them aside.
pub(crate) fn set_aside(directory: &Path, bad: Vec<Bad>) -> io::Result<Vec<Quarantined>> {
    let families = Manifest::read(directory)?.families;
    let mut places = Vec::new();
    for Bad { file, .. } in &bad {
        let family = families.get(&file.column_family_name).copied();
        let (Some(family), Some(number)) = (family, number_of(file)) else {
            return Err(io::Error::other(format!("{} is of no known column family", file.name)));
        };
        places.push(Place { family, level: file.level.unsigned_abs(), number });
    }
    let aside = directory.join(DIRECTORY);
    fs::create_dir_all(&aside)?;
    let families = bad.iter().map(|one| one.file.column_family_name.clone());
    // Noted before the first file moves: if the process ends in between, the next one rebuilds all the same.
    rebuild_later(directory, families)?;
    for place in &places {
        let name = bad.iter().find(|one| number_of(&one.file) == Some(place.number)).map(|one| one.file.name.as_str());
        // Needs the MANIFEST that still names the file: what can be read of it is salvaged from there.
        name.map_or(Ok(()), |name| single_file::prepare(directory, place.number, name))?;
    }
    // The MANIFEST first, then the files: in this order a crash leaves a file that nobody names, which is harmless.
    manifest::remove(directory, &places)?;
    let mut quarantined = Vec::new();
    for Bad { file, what } in bad {
        let from = path_of(directory, &file);
        // A file that is gone is set aside, too, in that nothing names it any more.
        if from.exists() {
            fs::rename(&from, aside.join(file.name.trim_start_matches('/')))?;
        }
        let record = record_of(&file, &what);
        let keys = file.start_key.unwrap_or_default()..=file.end_key.unwrap_or_default();
        quarantined.push(Quarantined { record, keys: Some(keys) });
    }
    all_set_aside(directory)?;
    Ok(quarantined)
}

fn record_of(file: &LiveFile, what: &str) -> QuarantineRecord {
    let keys = (file.start_key.as_deref().unwrap_or_default(), file.end_key.as_deref().unwrap_or_default());
    let (from, to) = time_of(&file.column_family_name, keys.0, keys.1);
    QuarantineRecord {
        place: file.name.trim_start_matches('/').to_owned(),
        family: file.column_family_name.clone(),
        from,
        to,
        metrics: Vec::new(),
        what: what.to_owned(),
    }
}
