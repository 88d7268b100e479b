//! Samples of any store, as blocks of Prometheus.
//!
//! `index` writes the index of a block, `segments` its chunks, `ulid` names it.

mod index;
mod segments;
mod ulid;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use model::querier::chunks::chunks;
use model::{Batch, Listing, Matcher, Querier, QuerierError, ReadHints, Selection, SeriesOrder, Timestamp};
use serde::Serialize;

use crate::Error;
use crate::chunk::{Chunk, SAMPLES, encoded};
use index::IndexWriter;
use segments::SegmentWriter;

/// Time of one block: what Prometheus makes of its two hours after two rounds of compaction.
const BLOCK_MS: i64 = 18 * 3_600_000;

/// A block that was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Its folder.
    pub path: PathBuf,
    /// How many series it has.
    pub series: u64,
    /// How many samples.
    pub samples: u64,
}

/// `meta.json`, written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'w> {
    ulid: &'w str,
    min_time: i64,
    max_time: i64,
    stats: Stats,
    compaction: Compaction<'w>,
    version: u8,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    num_samples: u64,
    num_series: u64,
    num_chunks: u64,
}

#[derive(Serialize)]
struct Compaction<'w> {
    level: u8,
    sources: [&'w str; 1],
}

/// Writes what a store has from `start` to `end`, both included, as blocks into the folder `into`; `watch` hears of each. A block of the
/// same time and content has the same name, and is written anew.
///
/// # Errors
/// When the store cannot be read, or the folder not be written to.
pub fn export(
    store: &dyn Querier,
    (start, end): (Timestamp, Timestamp),
    matchers: &[Matcher],
    into: &Path,
    watch: &mut dyn FnMut(&Exported),
) -> Result<(), Error> {
    let mut at = start;
    while at <= end {
        // Aligned as Prometheus' own, so that it can join them.
        let next = Timestamp(at.0.div_euclid(BLOCK_MS).saturating_add(1).saturating_mul(BLOCK_MS));
        let selection = Selection { start: at, end: end.min(next.saturating_sub(1)), matchers };
        if let Some(exported) = block(store, &selection, into)? {
            watch(&exported);
        }
        if next <= at {
            break;
        }
        at = next;
    }
    Ok(())
}

fn block(store: &dyn Querier, selection: &Selection<'_>, into: &Path) -> Result<Option<Exported>, Error> {
    let listed = store.list_series(selection, &Listing::of_at_most(0)).map_err(Error::Querier)?;
    if listed.is_empty() {
        return Ok(None);
    }
    let symbols: BTreeSet<&str> =
        listed.iter().flat_map(|labels| labels.iter()).flat_map(|(name, value)| [name, value]).collect();
    let folder = into.join(format!("export-{}.tmp-for-creation", selection.start.0));
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(folder.join("chunks")).map_err(Error::write(&folder))?;
    let mut writer = Writer {
        index: IndexWriter::create(&folder.join("index"), &symbols)?,
        segments: SegmentWriter::create(&folder.join("chunks"))?,
        stats: Stats::default(),
        chunks: Vec::new(),
    };
    drop(symbols);
    drop(listed);
    let hints = ReadHints { order: SeriesOrder::ByLabels { grow: &|_| Ok(()) }, ..ReadHints::default() };
    let mut fault = None;
    let read = store.select(selection, &hints, &mut |batch| {
        writer.series(&batch).map_err(|error| {
            fault = Some(error);
            QuerierError::Stopped
        })
    });
    match (fault, read) {
        (Some(error), _) => return Err(error),
        (None, read) => read.map_err(Error::Querier)?,
    }
    finish(writer, (&folder, into), selection)
}

/// Samples of a block on their way to its files.
struct Writer {
    index: IndexWriter,
    segments: SegmentWriter,
    stats: Stats,
    /// Of the series that is being written.
    chunks: Vec<Chunk>,
}

impl Writer {
    fn series(&mut self, batch: &Batch) -> Result<(), Error> {
        let [column] = &batch.columns[..] else { return Ok(()) };
        if batch.timestamps.is_empty() {
            return Ok(());
        }
        self.chunks.clear();
        chunks(batch, SAMPLES).for_each(|chunk| encoded(chunk, &mut self.chunks));
        let places = self.chunks.iter().map(|chunk| self.segments.write(chunk)).collect::<Result<Vec<u64>, Error>>()?;
        self.index.series(&column.metric, &self.chunks, &places)?;
        self.stats.num_series += 1;
        self.stats.num_chunks += places.len() as u64;
        self.stats.num_samples += batch.timestamps.len() as u64;
        Ok(())
    }
}

fn finish(
    writer: Writer,
    (folder, into): (&Path, &Path),
    selection: &Selection<'_>,
) -> Result<Option<Exported>, Error> {
    let Writer { index, segments, stats, .. } = writer;
    let sum = segments.finish()?;
    index.finish()?;
    if stats.num_series == 0 {
        fs::remove_dir_all(folder).map_err(Error::write(folder))?;
        return Ok(None);
    }
    let ulid = ulid::named((selection.start, selection.end), (stats.num_samples, sum));
    let meta = Written {
        ulid: &ulid,
        min_time: selection.start.0,
        max_time: selection.end.0.saturating_add(1),
        stats,
        compaction: Compaction { level: 1, sources: [&ulid] },
        version: 1,
    };
    let path = folder.join("meta.json");
    let text = serde_json::to_vec_pretty(&meta).unwrap_or_default();
    fs::write(&path, text).map_err(Error::write(&path))?;
    let path = into.join(&ulid);
    fs::remove_dir_all(&path).ok();
    fs::rename(folder, &path).map_err(Error::write(&path))?;
    Ok(Some(Exported { path, series: stats.num_series, samples: stats.num_samples }))
}
