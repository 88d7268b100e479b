//! The partitions of a data directory as upstream lists blocks.

use std::io::{self, Write};

use ::rules::duration_text;
use model::{Querier, ReadHints, Selection, Timestamp};
use storage::{Db, PartitionStats};

use super::told;
use crate::outcome::Stop;
use crate::table::Columns;

const HEADER: [&str; 8] =
    ["BLOCK ULID", "MIN TIME", "MAX TIME", "DURATION", "NUM SAMPLES", "NUM CHUNKS", "NUM SERIES", "SIZE"];
const COLUMNS: Columns = Columns { min: 13, padding: 2, pad_last: false };

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Its first millisecond and the one past its last; `-rows` behind it for what is not in pages yet.
    pub(super) id: String,
    pub(super) start: Timestamp,
    /// One past its last millisecond.
    pub(super) end: Timestamp,
    pub(super) samples: u64,
    /// Of pages, all that the layouts of its sources have.
    pub(super) series: u64,
    /// Columns of pages; rows have none.
    pub(super) chunks: u64,
    pub(super) bytes: u64,
}

impl Block {
    /// What is stored in it.
    pub(super) fn selection<'m>(&self, matchers: &'m [model::Matcher]) -> Selection<'m> {
        Selection { start: self.start, end: self.end.saturating_sub(1), matchers }
    }
}

/// All partitions, by start. Of rows, series and samples are counted by reading them.
pub(super) fn blocks(db: &Db) -> Result<Vec<Block>, Stop> {
    let partitions = db.partitions().map_err(|error| told(&error))?;
    partitions.into_iter().map(|one| block(db, &one)).collect()
}

fn block(db: &Db, one: &PartitionStats) -> Result<Block, Stop> {
    let kind = if one.level > 0 { "" } else { "-rows" };
    let mut block = Block {
        id: format!("{}-{}{kind}", one.start.0, one.end.0),
        start: one.start,
        end: one.end,
        samples: one.samples.unwrap_or(0),
        series: one.series,
        chunks: if one.level > 0 { one.series } else { 0 },
        bytes: one.bytes,
    };
    if one.samples.is_none() {
        (block.series, block.samples) = count(db, &block.selection(&[])).map_err(|error| told(&error))?;
    }
    Ok(block)
}

/// How many series and samples there are.
fn count(db: &Db, selection: &Selection<'_>) -> Result<(u64, u64), model::QuerierError> {
    let (mut n_series, mut samples) = (0, 0);
    db.select(selection, &ReadHints::default(), &mut |batch| {
        for series in batch.into_series() {
            n_series += 1;
            samples += series.timestamps.len() as u64;
        }
        Ok(())
    })?;
    Ok((n_series, samples))
}

/// Prints the blocks as upstream does.
pub(super) fn print(blocks: &[Block], human: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut rows = vec![HEADER.map(str::to_owned).to_vec()];
    for block in blocks {
        rows.push(vec![
            block.id.clone(),
            time(block.start, human),
            time(block.end, human),
            duration(block),
            block.samples.to_string(),
            block.chunks.to_string(),
            block.series.to_string(),
            if human { bytes(block.bytes) } else { block.bytes.to_string() },
        ]);
    }
    COLUMNS.print(&rows, out)
}

/// How long a block is, in Go's form.
pub(super) fn duration(block: &Block) -> String {
    duration_text(block.end.0.saturating_sub(block.start.0).saturating_mul(1_000_000))
}

fn time(ts: Timestamp, human: bool) -> String {
    let seconds = jiff::Timestamp::from_second(ts.0.div_euclid(1000)).ok().filter(|_| human);
    seconds.map_or_else(|| ts.0.to_string(), |time| time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string())
}

/// `1GiB512MiB3B`, as upstream writes bytes for people.
fn bytes(mut n: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n == 0 {
        return "0B".to_owned();
    }
    let mut parts = Vec::new();
    for unit in UNITS {
        if !n.is_multiple_of(1024) {
            parts.push(format!("{}{unit}", n % 1024));
        }
        n /= 1024;
    }
    parts.reverse();
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_times_are_written_for_people() {
        for (n, text) in [(0, "0B"), (5, "5B"), (1536, "1KiB512B"), (1 << 30, "1GiB"), ((1 << 30) + 1, "1GiB1B")] {
            assert_eq!(bytes(n), text);
        }
        assert_eq!(time(Timestamp(1_435_781_451_781), true), "2015-07-01 20:10:51 +0000 UTC");
        assert_eq!(time(Timestamp(-1), true), "1969-12-31 23:59:59 +0000 UTC");
        assert_eq!(time(Timestamp(1_435_781_451_781), false), "1435781451781");
    }
}
