//! Write-ahead logs, looked at before RocksDB replays them. It stops at the first damaged byte, or refuses to open; here
//! what is damaged is taken out, so that everything around it is replayed, and what is missing is recorded.
//!
//! Every write has a sequence number, and they have no gaps: a gap is a write that is gone, whether its bytes are damaged or
//! its whole log is missing. How far the logs reached is kept beside them (`SYNCED`): a log that ends before that has lost
//! its end, while a torn end after it is what any killed machine leaves.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::Path;

use model::Timestamp;

use super::directory::{move_aside, names};
use super::log::{self, Piece};
use super::manifest::Manifest;
use super::record::QuarantineRecord;
use crate::kv::checksum::checksum;
use crate::kv::schema::{Cf, RowKey};
use crate::kv::varint;

const SYNCED: &str = "SYNCED";
/// Sequence number, and how many it takes.
const BATCH_HEAD: usize = 12;
/// Writes that are looked at on each side of a gap to tell the time of what is missing: scrapes overlap.
const NEIGHBOURS: usize = 64;

// What a write consists of.
const DELETE: u8 = 4;
const PUT: u8 = 5;
const MERGE: u8 = 6;
const DELETE_RANGE: u8 = 14;

/// How far the logs reached when they were last synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Synced {
    /// The sequence number of the last write.
    pub(crate) sequence: u64,
    /// The newest row.
    pub(crate) newest: Timestamp,
    /// The oldest log.
    pub(crate) log: u64,
    /// The newest row when that was begun.
    pub(crate) log_since: Timestamp,
}

impl Synced {
    fn text(self) -> String {
        let Self { sequence, newest, log, log_since } = self;
        let text = format!("{sequence:020} {newest:+020} {log:020} {log_since:+020} ");
        let sum = checksum(text.as_bytes(), 0);
        format!("{text}{sum:08x}\n")
    }

    pub(crate) fn read(directory: &Path) -> Option<Self> {
        let text = fs::read_to_string(directory.join(SYNCED)).ok()?;
        let mut fields = text.split_whitespace();
        let synced = Self {
            sequence: fields.next()?.parse().ok()?,
            newest: Timestamp(fields.next()?.parse().ok()?),
            log: fields.next()?.parse().ok()?,
            log_since: Timestamp(fields.next()?.parse().ok()?),
        };
        (synced.text() == text).then_some(synced)
    }

    /// Always of one length, so that it is overwritten at once.
    pub(crate) fn write(self, directory: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).write(true).truncate(false).open(directory.join(SYNCED))?;
        file.write_all(self.text().as_bytes())
    }
}

/// The numbers of the logs of a directory, ascending.
pub(crate) fn logs(directory: &Path) -> io::Result<Vec<u64>> {
    let names = names(directory)?;
    let mut logs: Vec<u64> = names.iter().filter_map(|name| name.strip_suffix(".log")?.parse().ok()).collect();
    logs.sort_unstable();
    Ok(logs)
}

/// Is a log gone that was there before, and whose writes are not all in files?
pub(crate) fn is_needed(directory: &Path, before: &[u64], now: &[u64]) -> io::Result<bool> {
    let gone = before.iter().filter(|log| !now.contains(log)).max();
    match gone {
        Some(gone) => Ok(*gone >= Manifest::read(directory)?.first_log()),
        None => Ok(false),
    }
}

fn name_of(log: u64) -> String {
    format!("{log:06}.log")
}

/// Writes that are missing.
#[derive(Debug)]
struct Gap {
    log: u64,
    from: Timestamp,
    to: Timestamp,
    /// Writes behind it that were looked at.
    seen: usize,
    /// How many sequence numbers are missing, where that is known.
    missing: Option<u64>,
}

/// Goes through the writes of all logs.
#[derive(Debug, Default)]
struct Walk {
    rows: Option<u32>,
    next: Option<u64>,
    /// Times of the last few writes.
    before: VecDeque<Timestamp>,
    since: Option<Timestamp>,
    /// Something damaged was met since the last write.
    damaged: bool,
    gaps: Vec<Gap>,
}

impl Walk {
    fn gap(&mut self, log: u64, missing: Option<u64>) {
        let from = self.before.iter().copied().min().or(self.since).unwrap_or(Timestamp::MIN);
        self.gaps.push(Gap { log, from, to: Timestamp::MIN, seen: 0, missing });
    }

    fn write(&mut self, log: u64, record: &[u8]) {
        let Some((head, body)) = record.split_first_chunk::<BATCH_HEAD>() else { return };
        let sequence = u64::from_le_bytes([head[0], head[1], head[2], head[3], head[4], head[5], head[6], head[7]]);
        let count = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        match self.next {
            // Sequence numbers have no gaps: what lies between was written and is not there.
            Some(next) if sequence > next => self.gap(log, Some(sequence - next)),
            None if self.damaged => self.gap(log, None),
            _ => {}
        }
        self.damaged = false;
        self.next = self.next.max(Some(sequence + u64::from(count)));
        let times = times(body, self.rows);
        let Some((first, last)) = times else { return };
        // Rows are written about in the order of their times: the writes on both sides bound what is missing.
        for gap in self.gaps.iter_mut().filter(|gap| gap.seen < NEIGHBOURS) {
            gap.seen += 1;
            gap.to = gap.to.max(last);
        }
        self.before.push_back(first);
        if self.before.len() > NEIGHBOURS {
            self.before.pop_front();
        }
    }
}

/// The first and last time of the rows of a write, as far as it is understood.
fn times(mut body: &[u8], rows: Option<u32>) -> Option<(Timestamp, Timestamp)> {
    let body = &mut body;
    let mut found: Option<(Timestamp, Timestamp)> = None;
    let mut next = || {
        let (&kind, rest) = body.split_first()?;
        *body = rest;
        let strings = match kind {
            PUT | MERGE | DELETE_RANGE => 2,
            DELETE => 1,
            // Nothing that this store writes: how long it is, is not known.
            _ => return None,
        };
        let family = varint::take(body)?;
        let mut key = None;
        for _ in 0..strings {
            let length = varint::take_usize(body)?;
            let (text, rest) = body.split_at_checked(length)?;
            *body = rest;
            // The key comes first; values are passed over.
            key = key.or(Some(text));
        }
        Some((kind == PUT && rows.map(u64::from) == Some(family)).then_some(key?))
    };
    while let Some(row) = next() {
        let ts = row.and_then(RowKey::parse).filter(|key| key.slot > 0).map(|key| key.ts());
        if let Some(ts) = ts {
            let (first, last) = found.unwrap_or((ts, ts));
            found = Some((first.min(ts), last.max(ts)));
        }
    }
    found
}

/// Takes what is damaged out of the logs of a directory that nobody has open, and tells what is missing.
pub(crate) fn check(directory: &Path) -> io::Result<Vec<QuarantineRecord>> {
    let manifest = Manifest::read(directory)?;
    let synced = Synced::read(directory);
    let first = manifest.first_log();
    // Older logs hold nothing that is not in files; RocksDB deletes them when it opens.
    let logs: Vec<u64> = logs(directory)?.into_iter().filter(|log| *log >= first).collect();
    let mut walk = Walk { rows: manifest.families.get(Cf::Rows.name()).copied(), ..Walk::default() };
    if let Some(synced) = synced.filter(|synced| synced.log >= first) {
        // Before the first write that is found in it there is only what was newest when it was begun.
        walk.since = Some(synced.log_since);
        if !logs.contains(&synced.log) {
            walk.gap(synced.log, None);
        }
    }
    for (i, log) in logs.iter().enumerate() {
        let file = BufReader::with_capacity(1 << 16, File::open(directory.join(name_of(*log)))?);
        let (mut any_damaged, mut inside) = (false, false);
        log::scan(file, &mut |piece, _| {
            match piece {
                Piece::Record(record) => {
                    inside |= any_damaged;
                    walk.write(*log, record);
                }
                Piece::Damaged => {
                    any_damaged = true;
                    walk.damaged = true;
                }
            }
            Ok(())
        })?;
        // A torn end of the last log is no damage; anywhere else RocksDB would stop there, and drop what follows.
        if inside || any_damaged && i + 1 < logs.len() {
            take_out(directory, *log)?;
        }
    }
    // What was synced, and is neither found in a log nor in files, was at the end of a log that is cut or gone.
    let known = walk.next.unwrap_or_default().max(manifest.last_sequence + 1);
    if let Some(synced) = synced.filter(|synced| synced.sequence >= known) {
        let log = logs.last().copied().unwrap_or(synced.log);
        walk.gap(log, Some(synced.sequence + 1 - known));
        if let Some(gap) = walk.gaps.last_mut() {
            (gap.to, gap.seen) = (synced.newest, 1);
        }
        // RocksDB need not stop where it ends.
        if walk.damaged && logs.contains(&log) {
            take_out(directory, log)?;
        }
    }
    Ok(walk.gaps.into_iter().map(|gap| gap.into_record(&manifest)).collect())
}

impl Gap {
    fn into_record(self, manifest: &Manifest) -> QuarantineRecord {
        // Without a write behind it nothing tells how far it went.
        let to = if self.seen == 0 { Timestamp::MAX } else { self.to };
        let missing = self.missing.map_or_else(|| "an unknown number of".to_owned(), |n| n.to_string());
        let what = format!("{missing} entries of the write-ahead log are damaged or gone");
        let (place, family) = (name_of(self.log), Cf::Rows.name().to_owned());
        let mut record = QuarantineRecord { place, family, from: self.from.min(to), to, metrics: Vec::new(), what };
        // The index is rebuilt.
        if [Cf::Rows, Cf::Pages, Cf::Histograms].iter().all(|cf| manifest.is_flushed(cf.name(), self.log)) {
            record.set_rebuilt();
        }
        record
    }
}

/// Writes a log anew without what is damaged; the damaged one is set aside.
fn take_out(directory: &Path, log: u64) -> io::Result<()> {
    let path = directory.join(name_of(log));
    let new = directory.join(format!("{log:06}.new"));
    let mut out = BufWriter::new(File::create(&new)?);
    let (mut at, mut framed) = (0, Vec::new());
    log::scan(BufReader::with_capacity(1 << 16, File::open(&path)?), &mut |piece, _| {
        if let Piece::Record(record) = piece {
            framed.clear();
            log::put(record, at, &mut framed);
            at += framed.len() as u64;
            out.write_all(&framed)?;
        }
        Ok(())
    })?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    move_aside(directory, &name_of(log))?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_the_logs_reached_comes_back_and_a_flipped_bit_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let synced = Synced { sequence: 7, newest: Timestamp(-3), log: 12, log_since: Timestamp::MIN };
        Synced { sequence: u64::MAX, newest: Timestamp::MAX, ..synced }.write(dir.path()).unwrap();
        synced.write(dir.path()).unwrap();
        assert_eq!(Synced::read(dir.path()), Some(synced));
        let mut text = synced.text().into_bytes();
        text[19] ^= 1;
        fs::write(dir.path().join(SYNCED), text).unwrap();
        assert_eq!(Synced::read(dir.path()), None);
    }
}
