//! Write-ahead logs: what is in no block yet, and what came late (upstream: `tsdb/docs/format/wal.md`).
//!
//! `pages` makes records of the pages of segments, `record` reads what is in them.

mod pages;
mod record;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;
pub(crate) use record::{Found, Record};

/// Hands out what is in all records of a log, in the order in which they were written. What of a segment cannot be read is told to
/// `damaged`; the next segment begins anew.
pub(crate) fn read(log: &Path, take: &mut dyn FnMut(Found), damaged: &mut dyn FnMut(Error)) -> Result<(), Error> {
    for (path, is_last) in segments(log)? {
        let bytes = fs::read(&path).map_err(Error::read(&path))?;
        let end = pages::each(&bytes, &mut |record| match Record::new(record).and_then(|record| record.each(take)) {
            Ok(()) => {}
            Err(why) => damaged(Error::damaged(&path, format!("a record: {why}"))),
        });
        match end {
            Ok(()) => {}
            // The process ended while it wrote.
            Err(end) if is_last && end.is_cut => {}
            Err(end) => damaged(Error::damaged(&path, format!("from byte {} on: {}", end.at, end.why))),
        }
    }
    Ok(())
}

/// A name for what a log holds now: its folder, its last segment, and the bytes of all segments.
pub(crate) fn name(log: &Path) -> Result<String, Error> {
    let (mut last, mut bytes) = (String::new(), 0);
    for (path, _) in segments(log)? {
        bytes += fs::metadata(&path).map_err(Error::read(&path))?.len();
        last = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    }
    let folder = log.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!("{folder}/{last}:{bytes}"))
}

/// The segments of the last checkpoint and those behind it, each with whether it is the last of the log.
fn segments(log: &Path) -> Result<Vec<(PathBuf, bool)>, Error> {
    let (mut numbered, mut checkpoints) = (BTreeMap::new(), BTreeMap::new());
    for entry in fs::read_dir(log).map_err(Error::read(log))?.filter_map(Result::ok) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if let Some(number) = name.strip_prefix("checkpoint.").and_then(number) {
            checkpoints.insert(number, entry.path());
        } else if let Some(number) = number(&name) {
            numbered.insert(number, entry.path());
        }
    }
    let mut all = Vec::new();
    if let Some((number, checkpoint)) = checkpoints.pop_last() {
        // What it was made of may not be removed yet.
        numbered = numbered.split_off(&(number + 1));
        all.extend(segments(&checkpoint)?.into_iter().map(|(path, _)| (path, false)));
    }
    let last = numbered.keys().next_back().copied();
    all.extend(numbered.into_iter().map(|(number, path)| (path, Some(number) == last)));
    Ok(all)
}

/// The number that a segment is named by.
fn number(name: &str) -> Option<u64> {
    name.bytes().all(|letter| letter.is_ascii_digit()).then(|| name.parse().ok()).flatten()
}
