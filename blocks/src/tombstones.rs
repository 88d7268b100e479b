//! Times at which samples of a series are deleted (upstream: `tsdb/docs/format/tombstones.md`).

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use model::Timestamp;

use crate::Error;
use crate::bytes::Bytes;
use crate::chunk::Samples;
use crate::error::Broken;
use crate::index::checked;

const MAGIC: u32 = 0x0130_ba30;
const VERSION: u8 = 1;

/// By the number of the series, times from and to, both included.
#[derive(Debug, Default)]
pub(crate) struct Tombstones(HashMap<u64, Vec<(Timestamp, Timestamp)>, foldhash::fast::RandomState>);

impl Tombstones {
    /// Those of a block; none where the file is missing.
    pub(crate) fn of_block(block: &Path) -> Result<Self, Error> {
        let path = block.join("tombstones");
        match fs::read(&path) {
            Ok(bytes) => Self::read(&bytes).map_err(|why| Error::damaged(&path, why)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::Read { path, source: error }),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, Broken> {
        let mut rest = Bytes(bytes);
        if rest.be32()? != MAGIC || rest.byte()? != VERSION {
            return Err("it does not begin as tombstones do");
        }
        // The checksum is of what is behind the version.
        let mut rest = Bytes(checked(rest.0)?);
        let mut all = Self::default();
        while !rest.is_empty() {
            all.add(rest.uvarint()?, (Timestamp(rest.varint()?), Timestamp(rest.varint()?)));
        }
        Ok(all)
    }

    pub(crate) fn add(&mut self, series: u64, times: (Timestamp, Timestamp)) {
        self.0.entry(series).or_default().push(times);
    }

    /// Is a sample of a series deleted?
    pub(crate) fn has(&self, series: u64, ts: Timestamp) -> bool {
        self.0.get(&series).is_some_and(|times| times.iter().any(|(from, to)| (*from..=*to).contains(&ts)))
    }

    /// Takes out of the samples of a series what is deleted.
    pub(crate) fn apply(&self, series: u64, samples: &mut Samples) {
        if self.0.contains_key(&series) {
            samples.retain(|ts| !self.has(series, ts));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_series_are_deleted() {
        // Series 3 from 5 to 10, and from 20 to 20.
        let content = [3, 10, 20, 3, 40, 40];
        let mut bytes = vec![0x01, 0x30, 0xba, 0x30, 1];
        bytes.extend(content);
        bytes.extend(crc32c::crc32c(&content).to_be_bytes());
        let tombstones = Tombstones::read(&bytes).unwrap();
        let deleted = |series| (0..30).filter(|ts| tombstones.has(series, Timestamp(*ts))).collect::<Vec<i64>>();
        assert_eq!((deleted(3), deleted(4)), (vec![5, 6, 7, 8, 9, 10, 20], vec![]));
        for n in 0..bytes.len() {
            assert!(Tombstones::read(&bytes[..n]).is_err(), "{n}");
        }
    }
}
