//! Quarantine records: what was found damaged, and what is affected by it. Those of files are kept in `damage.tsv` beside
//! the files that were set aside.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::ops::RangeInclusive;
use std::path::Path;

use model::Timestamp;

use super::directory::DIRECTORY;
use crate::kv::schema::{Bucket, Cf};
use crate::limits;

/// Starts the reason of a record whose data could be rebuilt.
const REBUILT: &str = "rebuilt: ";
/// The records of files: a line each, its fields separated by tabs.
const RECORDS: &str = "damage.tsv";

/// Something that cannot be read, and what is affected by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineRecord {
    /// The file that was set aside, or the key that cannot be read.
    pub place: String,
    /// What was stored there: `rows`, `pages`, `postings` and so on.
    pub family: String,
    /// The first millisecond that may be affected; [`Timestamp::MIN`] when all of time may be.
    pub from: Timestamp,
    /// The last one.
    pub to: Timestamp,
    /// Names of metrics that may be affected, as far as they are known; a bounded number.
    pub metrics: Vec<String>,
    /// What is wrong.
    pub what: String,
}

impl QuarantineRecord {
    /// True where everything that the file held could be rebuilt: nothing is lost.
    #[must_use]
    pub fn is_rebuilt(&self) -> bool {
        self.what.starts_with(REBUILT)
    }

    pub(crate) fn set_rebuilt(&mut self) {
        self.what.insert_str(0, REBUILT);
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        Some(Self {
            place: fields.next()?.to_owned(),
            family: fields.next()?.to_owned(),
            from: Timestamp(fields.next()?.parse().ok()?),
            to: Timestamp(fields.next()?.parse().ok()?),
            what: fields.next()?.to_owned(),
            // A record without names ends with a tab, behind which there is an empty field.
            metrics: fields.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        })
    }
}

/// What was set aside while a directory was opened, and the keys it had.
#[derive(Clone, Debug)]
pub(crate) struct Quarantined {
    pub(crate) record: QuarantineRecord,
    /// Where it was a file of keys.
    pub(crate) keys: Option<RangeInclusive<Vec<u8>>>,
}

impl From<QuarantineRecord> for Quarantined {
    fn from(record: QuarantineRecord) -> Self {
        Self { record, keys: None }
    }
}

/// The records of a directory so far, the latest last.
pub(crate) fn read_records(directory: &Path) -> Vec<QuarantineRecord> {
    let text = fs::read_to_string(directory.join(DIRECTORY).join(RECORDS)).unwrap_or_default();
    let mut records: Vec<QuarantineRecord> = text.lines().filter_map(QuarantineRecord::parse).collect();
    records.drain(..records.len().saturating_sub(limits::QUARANTINE_RECORDS));
    records
}

/// Adds to them.
pub(crate) fn append_record(directory: &Path, record: &QuarantineRecord) -> io::Result<()> {
    let QuarantineRecord { place, family, from, to, metrics, what } = record;
    // RocksDB's messages may have several lines; a record has one.
    let what = what.replace(['\t', '\n'], " ");
    let line = format!("{place}\t{family}\t{from}\t{to}\t{what}\t{}\n", metrics.join("\t"));
    fs::create_dir_all(directory.join(DIRECTORY))?;
    let mut file = File::options().create(true).append(true).open(directory.join(DIRECTORY).join(RECORDS))?;
    file.write_all(line.as_bytes())
}

/// The starts of the first and the last bucket or partition of a range of keys, where its family lies by time.
pub(crate) fn time_of(family: &str, first: &[u8], last: &[u8]) -> (Timestamp, Timestamp) {
    let timed = [Cf::Rows, Cf::Pages, Cf::Histograms].iter().any(|cf| cf.name() == family);
    let start = |key: &[u8]| Some(Bucket::from_bytes(*key.first_chunk::<8>().filter(|_| timed)?).0);
    (start(first).unwrap_or(Timestamp::MIN), start(last).unwrap_or(Timestamp::MAX))
}
