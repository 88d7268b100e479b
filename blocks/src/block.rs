//! A block: some hours or days of all series, closed (upstream: `tsdb/docs/format/README.md`).

use std::path::Path;

use model::{Labels, Timestamp};

use crate::chunk::Samples;
use crate::index::{self, Index, Listed};
use crate::segments::Segments;
use crate::tombstones::Tombstones;
use crate::{Error, Meta};

/// A block that was opened.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) meta: Meta,
    index: Index,
    segments: Segments,
    tombstones: Tombstones,
}

impl Block {
    pub(crate) fn open(path: &Path, meta: Meta) -> Result<Self, Error> {
        Ok(Self {
            meta,
            index: Index::open(&path.join("index"))?,
            segments: Segments::open(&path.join("chunks"))?,
            tombstones: Tombstones::of_block(path)?,
        })
    }

    /// Hands out each series, in the order of their labels; of one that is damaged the reason.
    pub(crate) fn each(&self, take: &mut dyn FnMut(Result<Listed, Error>)) -> Result<(), Error> {
        self.index.each(take)
    }

    /// Reads a series that [`Block::each`] has named: its samples from a time on to before another. `damaged` hears of what cannot
    /// be read.
    pub(crate) fn read(
        &mut self,
        at: u64,
        (from, to): (Timestamp, Timestamp),
        damaged: &mut dyn FnMut(Error),
    ) -> Result<(Labels, Samples), Error> {
        let mut series = self.index.series(at)?;
        series.chunks.retain(|chunk| chunk.start < to && from <= chunk.end);
        let mut samples = Samples::default();
        self.segments.read(&series.chunks, &mut samples, damaged)?;
        samples.retain(|ts| from <= ts && ts < to);
        self.tombstones.apply(index::number(at), &mut samples);
        Ok((series.labels, samples))
    }

    /// Lets every reading of chunks fail from now on.
    #[cfg(test)]
    pub(crate) fn refuse_reads(&mut self) {
        self.segments.refuse_reads();
    }
}
