//! Series cut into chunks, as remote read and StoreAPI send them.

use std::sync::Arc;

use super::Batch;
use crate::{Histogram, Timestamp};

/// Samples of one series that follow one another, all of one kind.
#[derive(Clone, Copy, Debug)]
pub struct SampleChunk<'b> {
    /// Ascending, at least one.
    pub timestamps: &'b [Timestamp],
    /// One for each timestamp.
    pub samples: ChunkSamples<'b>,
}

/// The samples of a chunk.
#[derive(Clone, Copy, Debug)]
pub enum ChunkSamples<'b> {
    /// Floats, stale markers among them.
    Floats(&'b [f64]),
    /// Native histograms, each with its slot in the batch.
    Histograms(&'b [(u32, Arc<Histogram>)]),
}

/// The chunks of a series that was handed out in label order or by [`Batch::into_series`]: one column without absent slots.
/// A chunk ends after `samples_max` samples (120 upstream: `tsdb.DefaultSamplesPerChunk`) and where the kind changes.
///
/// # Panics
/// When `samples_max` is 0, or the batch is not of that form.
pub fn chunks(series: &Batch, samples_max: usize) -> impl Iterator<Item = SampleChunk<'_>> {
    assert!(samples_max > 0, "BUG: chunks without samples");
    let [column] = &series.columns[..] else { panic!("BUG: {} columns are no series", series.columns.len()) };
    assert!(column.present.is_none(), "BUG: a series with absent slots");
    let (mut at, mut histograms_before) = (0, 0);
    std::iter::from_fn(move || {
        let times = &series.timestamps[at..];
        if times.is_empty() {
            return None;
        }
        let histograms = &column.histograms[histograms_before..];
        // Histograms stand in slots that follow one another as long as slot and position differ by the same.
        let in_a_row = histograms.iter().zip(at..).take_while(|((slot, _), i)| *slot as usize == *i).count();
        let (len, samples) = if in_a_row > 0 {
            let len = in_a_row.min(samples_max);
            (len, ChunkSamples::Histograms(&histograms[..len]))
        } else {
            // Floats go on up to the next histogram's slot.
            let floats = histograms.first().map_or(times.len(), |(slot, _)| *slot as usize - at);
            let len = floats.min(samples_max);
            (len, ChunkSamples::Floats(&column.values[at..at + len]))
        };
        histograms_before += if in_a_row > 0 { len } else { 0 };
        at += len;
        Some(SampleChunk { timestamps: &times[..len], samples })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Column;

    /// `f` is a float, `h` a histogram.
    fn cut(kinds: &str, samples_max: usize) -> String {
        let histograms =
            kinds.bytes().zip(0..).filter(|(kind, _)| *kind == b'h').map(|(_, slot)| (slot, Arc::default()));
        let column = Column {
            values: (0..kinds.len()).map(|i| i as f64).collect(),
            histograms: histograms.collect(),
            ..Column::default()
        };
        let timestamps = (0..kinds.len() as i64).map(Timestamp).collect();
        let series = Batch { timestamps, columns: vec![column], ..Batch::default() };
        let shown = |chunk: SampleChunk<'_>| {
            let first = chunk.timestamps[0].0;
            let kind = match chunk.samples {
                ChunkSamples::Floats(values) => {
                    assert_eq!((values.len(), values[0] as i64), (chunk.timestamps.len(), first));
                    'f'
                }
                ChunkSamples::Histograms(histograms) => {
                    assert_eq!((histograms.len(), i64::from(histograms[0].0)), (chunk.timestamps.len(), first));
                    'h'
                }
            };
            format!("{first}:{}{kind}", chunk.timestamps.len())
        };
        chunks(&series, samples_max).map(shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn chunks_end_when_they_are_full_and_where_the_kind_changes() {
        assert_eq!(cut("", 3), "");
        assert_eq!(cut("fffffff", 3), "0:3f 3:3f 6:1f");
        assert_eq!(cut("hhhh", 3), "0:3h 3:1h");
        assert_eq!(cut("ffhhhhfhf", 3), "0:2f 2:3h 5:1h 6:1f 7:1h 8:1f");
    }
}
