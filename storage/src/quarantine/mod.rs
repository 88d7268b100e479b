//! Files that cannot be used are set aside, so that the rest of the database can be: moved to `quarantine/` in the data
//! directory, and taken out of RocksDB's MANIFEST. What is hurt is kept beside them, and told.
//!
//! Invariant: nothing is ever deleted here.

mod log;
mod manifest;
pub(crate) mod manifest_copy;
pub(crate) mod safeguards;
pub(crate) mod salvage;
pub(crate) mod wal;
mod warnings;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use rocksdb::{DB, ErrorKind, LiveFile};

use crate::kv::schema::{Bucket, Cf};
use crate::limits;
use manifest::{Manifest, Place};
pub(crate) use warnings::warnings;

/// Where files go that are set aside.
pub(crate) const DIRECTORY: &str = "quarantine";
/// Names the files, one a line, that were found damaged while the database was open.
const WAITING: &str = "waiting";
/// Names the families, one a line, of which files were set aside and that are not made anew yet.
const TO_REBUILD: &str = "to-rebuild";
/// Starts what is said of damage that cost nothing.
const REBUILT: &str = "rebuilt: ";
/// What was set aside: a line each, its fields separated by tabs.
const TOLD: &str = "damage.tsv";
/// The last bytes of every file of RocksDB's.
const MAGIC: [u8; 8] = 0x88e2_41b7_85f4_cff7_u64.to_le_bytes();

/// Something that cannot be read, and what is hurt by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file that was set aside, or the key that cannot be read.
    pub place: String,
    /// What was stored there: `rows`, `pages`, `postings` and so on.
    pub family: String,
    /// The first millisecond that may be hurt; `i64::MIN` when all of time may be.
    pub from_ms: i64,
    /// The last one.
    pub to_ms: i64,
    /// Names of metrics that may be hurt, as far as they can be told; a bounded number.
    pub metrics: Vec<String>,
    /// What is wrong.
    pub what: String,
}

impl Damage {
    /// True where everything that the file held could be made anew: nothing is lost.
    #[must_use]
    pub fn is_rebuilt(&self) -> bool {
        self.what.starts_with(REBUILT)
    }

    pub(crate) fn set_rebuilt(&mut self) {
        self.what.insert_str(0, REBUILT);
    }
}

/// A file that cannot stay, and why.
#[derive(Clone, Debug)]
pub(crate) struct Bad {
    file: LiveFile,
    what: String,
}

/// What was set aside, and the keys it had.
#[derive(Clone, Debug)]
pub(crate) struct Hurt {
    pub(crate) damage: Damage,
    /// Where it was a file of keys.
    pub(crate) keys: Option<RangeInclusive<Vec<u8>>>,
}

impl From<Damage> for Hurt {
    fn from(damage: Damage) -> Self {
        Self { damage, keys: None }
    }
}

/// The file that a text of RocksDB's names.
pub(crate) fn named(text: &str) -> Option<u64> {
    let (before, _) = text.split_once(".sst")?;
    let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    before[before.len() - digits..].parse().ok()
}

/// Does RocksDB say that something stored is damaged? A file that is gone, or has sectors that cannot be read, is no better
/// than one with other bytes in it.
pub(crate) fn is_damage(error: &rocksdb::Error) -> bool {
    let unreadable = ["No such file or directory", "While pread"];
    match error.kind() {
        ErrorKind::Corruption => true,
        ErrorKind::IOError => {
            let text: &str = error.as_ref();
            named(text).is_some() && unreadable.iter().any(|way| text.contains(way))
        }
        _ => false,
    }
}

fn number_of(file: &LiveFile) -> Option<u64> {
    named(&file.name)
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
    let waiting = fs::read_to_string(directory.join(DIRECTORY).join(WAITING)).unwrap_or_default();
    let waiting: BTreeSet<u64> = waiting.lines().filter_map(named).collect();
    let mut bad = Vec::new();
    for file in db.live_files().map_err(|error| io::Error::other(error.to_string()))? {
        let number = number_of(&file);
        let what = match wrong_with(directory, &file)? {
            None if number.is_some_and(|number| waiting.contains(&number)) => {
                Some("it has blocks that cannot be read".to_owned())
            }
            None => error.filter(|error| number.is_some() && named(error) == number).map(str::to_owned),
            wrong => wrong,
        };
        bad.extend(what.map(|what| Bad { file, what }));
    }
    Ok(bad)
}

/// The files that RocksDB cannot open, each tried by itself.
pub(crate) fn unopenable_files(db: &DB, directory: &Path, families: &salvage::Families<'_>) -> io::Result<Vec<Bad>> {
    let mut bad = Vec::new();
    for file in db.live_files().map_err(|error| io::Error::other(error.to_string()))? {
        let number = number_of(&file).unwrap_or_default();
        if let Some(what) = salvage::wrong_with(directory, (number, &file.name), families)? {
            bad.push(Bad { file, what });
        }
    }
    Ok(bad)
}

/// What was set aside so far, the latest last.
pub(crate) fn told(directory: &Path) -> Vec<Damage> {
    let text = fs::read_to_string(directory.join(DIRECTORY).join(TOLD)).unwrap_or_default();
    let mut told: Vec<Damage> = text.lines().filter_map(parse).collect();
    told.drain(..told.len().saturating_sub(limits::DAMAGES));
    told
}

/// Adds to what was set aside.
pub(crate) fn tell(directory: &Path, damage: &Damage) -> io::Result<()> {
    let Damage { place, family, from_ms, to_ms, metrics, what } = damage;
    let what = what.replace(['\t', '\n'], " ");
    let line = format!("{place}\t{family}\t{from_ms}\t{to_ms}\t{what}\t{}\n", metrics.join("\t"));
    fs::create_dir_all(directory.join(DIRECTORY))?;
    let mut file = File::options().create(true).append(true).open(directory.join(DIRECTORY).join(TOLD))?;
    file.write_all(line.as_bytes())
}

fn parse(line: &str) -> Option<Damage> {
    let mut fields = line.split('\t');
    Some(Damage {
        place: fields.next()?.to_owned(),
        family: fields.next()?.to_owned(),
        from_ms: fields.next()?.parse().ok()?,
        to_ms: fields.next()?.parse().ok()?,
        what: fields.next()?.to_owned(),
        metrics: fields.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
    })
}

/// Remembers a damaged file for the next time the database is opened.
pub(crate) fn wait(directory: &Path, number: u64) -> io::Result<()> {
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

/// The families that are to be made anew.
pub(crate) fn to_rebuild(directory: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(directory.join(DIRECTORY).join(TO_REBUILD)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Remembers that families are to be made anew, even if the process ends before that is done.
pub(crate) fn rebuild_later(directory: &Path, families: impl IntoIterator<Item = String>) -> io::Result<()> {
    fs::create_dir_all(directory.join(DIRECTORY))?;
    let mut all = to_rebuild(directory);
    all.extend(families);
    let text = all.into_iter().fold(String::new(), |text, family| text + &family + "\n");
    fs::write(directory.join(DIRECTORY).join(TO_REBUILD), text)
}

/// They were made anew.
pub(crate) fn rebuilt(directory: &Path) -> io::Result<()> {
    gone(&directory.join(DIRECTORY).join(TO_REBUILD))
}

/// Removes a file that may not be there.
fn gone(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Takes the files out of the database, which nobody may have open, and moves them aside.
pub(crate) fn set_aside(directory: &Path, bad: Vec<Bad>) -> io::Result<Vec<Hurt>> {
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
    rebuild_later(directory, families)?;
    for place in &places {
        let name = bad.iter().find(|one| number_of(&one.file) == Some(place.number)).map(|one| one.file.name.as_str());
        name.map_or(Ok(()), |name| salvage::prepare(directory, place.number, name))?;
    }
    manifest::remove(directory, &places)?;
    let mut hurt = Vec::new();
    for Bad { file, what } in bad {
        let from = path_of(directory, &file);
        if from.exists() {
            fs::rename(&from, aside.join(file.name.trim_start_matches('/')))?;
        }
        let damage = damage_of(&file, &what);
        let keys = file.start_key.unwrap_or_default()..=file.end_key.unwrap_or_default();
        hurt.push(Hurt { damage, keys: Some(keys) });
    }
    gone(&aside.join(WAITING))?;
    Ok(hurt)
}

fn damage_of(file: &LiveFile, what: &str) -> Damage {
    let keys = (file.start_key.as_deref().unwrap_or_default(), file.end_key.as_deref().unwrap_or_default());
    let (from_ms, to_ms) = time_of(&file.column_family_name, keys.0, keys.1);
    Damage {
        place: file.name.trim_start_matches('/').to_owned(),
        family: file.column_family_name.clone(),
        from_ms,
        to_ms,
        metrics: Vec::new(),
        what: what.to_owned(),
    }
}

/// The starts of the first and the last bucket or partition of a stretch of keys, where its family lies by time.
fn time_of(family: &str, first: &[u8], last: &[u8]) -> (i64, i64) {
    let timed = [Cf::Rows, Cf::Pages, Cf::Histograms].iter().any(|cf| cf.name() == family);
    let start = |key: &[u8]| Some(Bucket::from_bytes(*key.first_chunk::<8>().filter(|_| timed)?).0);
    (start(first).unwrap_or(i64::MIN), start(last).unwrap_or(i64::MAX))
}
