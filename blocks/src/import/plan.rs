//! In which order the series of a block are read: source by source, and of a source with many samples slice by slice of time.

use std::collections::HashMap;
use std::ops::Range;

use model::{SourceLabels, Timestamp};

use crate::Error;
use crate::block::Block;
use crate::chunk;

/// So many samples are stored at once, about.
pub(super) const SAMPLES_AT_ONCE: u64 = 2_000_000;
/// All times.
const ALWAYS: (Timestamp, Timestamp) = (Timestamp::MIN, Timestamp::MAX);

/// What is read of a block, and in which pieces. The same block gives the same.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) series: Vec<Place>,
    pub(super) batches: Vec<Batch>,
}

/// A series: small, since there may be many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    source: u32,
    chunks: u32,
    pub(super) at: u64,
}

/// What is stored at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// Of [`Plan::series`].
    pub(super) series: Range<usize>,
    /// From, and before.
    pub(super) times: (Timestamp, Timestamp),
}

impl Plan {
    /// Reads the index of a block once.
    pub(super) fn new(block: &Block, damaged: &mut dyn FnMut(Error)) -> Result<Self, Error> {
        let mut sources: HashMap<_, u32, foldhash::fast::RandomState> = HashMap::default();
        let mut series = Vec::new();
        block.each(&mut |listed| match listed {
            Ok(listed) => {
                let next = sources.len() as u32;
                let (source, _) = SourceLabels::Known.split(&listed.labels);
                let source = *sources.entry(source).or_insert(next);
                let chunks = u32::try_from(listed.chunks).unwrap_or(u32::MAX);
                series.push(Place { source, chunks, at: listed.at });
            }
            Err(error) => damaged(error),
        })?;
        // By source, and then in the order of the file.
        series.sort_by_key(|place| (place.source, place.at));
        let span = (block.meta.start(), block.meta.end());
        let batches = batches(&series, span);
        Ok(Self { series, batches })
    }
}

fn batches(series: &[Place], span: (Timestamp, Timestamp)) -> Vec<Batch> {
    let mut batches = Vec::new();
    // Sources that were not put into a batch yet.
    let (mut from, mut waiting, mut at) = (0, 0, 0);
    for of_source in series.chunk_by(|a, b| a.source == b.source) {
        let samples: u64 = of_source.iter().map(|place| u64::from(place.chunks) * chunk::SAMPLES as u64).sum();
        if waiting + samples > SAMPLES_AT_ONCE && from < at {
            batches.push(Batch { series: from..at, times: ALWAYS });
            (from, waiting) = (at, 0);
        }
        waiting += samples;
        at += of_source.len();
        if waiting > SAMPLES_AT_ONCE {
            let slices = waiting.div_ceil(SAMPLES_AT_ONCE);
            batches.extend(sliced(span, slices).map(|times| Batch { series: from..at, times }));
            (from, waiting) = (at, 0);
        }
    }
    if from < at {
        batches.push(Batch { series: from..at, times: ALWAYS });
    }
    batches
}

/// A span cut into slices; the first and the last have what lies outside of it, too.
fn sliced((start, end): (Timestamp, Timestamp), slices: u64) -> impl Iterator<Item = (Timestamp, Timestamp)> {
    let width = end.0.saturating_sub(start.0).max(0).cast_unsigned().div_ceil(slices).max(1);
    let cut = move |i: u64| match i {
        0 => Timestamp::MIN,
        i if i == slices => Timestamp::MAX,
        i => Timestamp(start.0.saturating_add_unsigned(width.saturating_mul(i))),
    };
    (0..slices).map(move |i| (cut(i), cut(i + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(source: u32, chunks: u32, at: u64) -> Place {
        Place { source, chunks, at }
    }

    #[test]
    fn small_sources_share_a_batch_and_large_ones_have_several() {
        let many = (SAMPLES_AT_ONCE / chunk::SAMPLES as u64) as u32;
        let series = [
            place(0, 1, 16),
            place(0, 1, 32),
            place(1, 1, 48),
            place(2, many, 64),
            place(2, many, 80),
            place(3, 1, 96),
        ];
        let span = (Timestamp(0), Timestamp(900));
        let found = batches(&series, span);
        let ranges: Vec<_> = found.iter().map(|batch| batch.series.clone()).collect();
        assert_eq!(ranges, [0..3, 3..5, 3..5, 5..6]);
        assert_eq!(found[1].times, (Timestamp::MIN, Timestamp(450)));
        assert_eq!(found[2].times, (Timestamp(450), Timestamp::MAX));
        assert_eq!((found[0].times, found[3].times), (ALWAYS, ALWAYS));
        assert_eq!(batches(&[], span), []);
    }

    #[test]
    fn a_span_is_cut_without_gaps() {
        let cuts: Vec<_> = sliced((Timestamp(10), Timestamp(20)), 3).collect();
        let (first, second) = (Timestamp(14), Timestamp(18));
        assert_eq!(cuts, [(Timestamp::MIN, first), (first, second), (second, Timestamp::MAX)]);
    }
}
