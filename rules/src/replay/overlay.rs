//! A store that is written in memory alone: reads are of the stored series, but for those that the replayed rules write.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::histogram::Buckets;
use model::{
    Batch, BatchSink, Committed, Histogram, Labels, Listing, MergedQuerier, PartReader, Parts, Querier, QuerierError,
    ReadHints, SamplesNeeded, Selection, SeriesAppendError, SeriesAppender, SeriesBatch, Timestamp,
};
use query::promqltest::SharedStore;

use crate::dependencies::Written;

/// About how much memory a sample takes: an entry in a map, and the share of its series.
const SAMPLE_BYTES: usize = 96;

/// The stored series, and in place of what the rules have written since the begin what they write now.
pub(super) struct Overlay {
    stored: Arc<dyn Querier>,
    recorded: Arc<SharedStore>,
    /// Both of them; reading it sorts series.
    merged: MergedQuerier,
    written: Arc<Written>,
    from: Timestamp,
    /// Bytes since the last [`Self::take_grown`].
    grown: AtomicUsize,
}

impl Overlay {
    /// Nothing is written yet by rules that write `written` from a time on.
    pub(super) fn new(stored: Arc<dyn Querier>, written: Written, from: Timestamp) -> Self {
        let (recorded, written) = (Arc::<SharedStore>::default(), Arc::new(written));
        let without = Without { stored: Arc::clone(&stored), written: Arc::clone(&written), from };
        let merged = MergedQuerier::new(Arc::new(without), vec![Arc::<SharedStore>::clone(&recorded)]);
        Self { stored, recorded, merged, written, from, grown: AtomicUsize::new(0) }
    }

    /// What the rules have written.
    pub(super) fn recorded(&self) -> &SharedStore {
        &self.recorded
    }

    /// About how much memory was taken since it was last asked.
    pub(super) fn take_grown(&self) -> usize {
        self.grown.swap(0, Ordering::Relaxed)
    }
}

/// About how much memory a histogram takes.
fn histogram_bytes(histogram: &Histogram) -> usize {
    let buckets = |buckets: &Buckets| (buckets.spans.len() + buckets.counts.len()) * 8;
    size_of::<Histogram>() + buckets(&histogram.positive) + buckets(&histogram.negative)
}

impl SeriesAppender for Overlay {
    fn append_series(&self, batch: &SeriesBatch<'_>) -> Result<Committed, SeriesAppendError> {
        let bytes = batch.series.iter().map(|one| {
            let histograms: usize = one.histograms.iter().map(|(_, histogram)| histogram_bytes(histogram)).sum();
            one.timestamps.len() * SAMPLE_BYTES + histograms
        });
        self.grown.fetch_add(bytes.sum(), Ordering::Relaxed);
        self.recorded.append_series(batch)
    }
}

impl Querier for Overlay {
    fn open<'q>(
        &'q self,
        selection: &Selection<'_>,
        hints: &ReadHints<'_>,
    ) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        if selection.end >= self.from && self.written.may_be_read_by(selection.matchers) {
            self.merged.open(selection, hints)
        } else {
            self.stored.open(selection, hints)
        }
    }

    fn list_series(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        self.merged.list_series(selection, listing)
    }

    fn list_label_names(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        self.merged.list_label_names(selection, listing)
    }

    fn list_label_values(
        &self,
        name: &str,
        selection: &Selection<'_>,
        listing: &Listing<'_>,
    ) -> Result<Vec<String>, QuerierError> {
        self.merged.list_label_values(name, selection, listing)
    }
}

/// The stored series without what rules have written since a time.
struct Without {
    stored: Arc<dyn Querier>,
    written: Arc<Written>,
    from: Timestamp,
}

impl Querier for Without {
    fn open<'q>(
        &'q self,
        selection: &Selection<'_>,
        hints: &ReadHints<'_>,
    ) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        // The newest sample may be one that is left out, and so may the first series.
        let hints = ReadHints { samples: SamplesNeeded::All, limit: 0, ..*hints };
        let parts = self.stored.open(selection, &hints)?;
        Ok(Box::new(PartsWithout { parts, of: self }))
    }

    fn list_series(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        self.stored.list_series(selection, listing)
    }

    fn list_label_names(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        self.stored.list_label_names(selection, listing)
    }

    fn list_label_values(
        &self,
        name: &str,
        selection: &Selection<'_>,
        listing: &Listing<'_>,
    ) -> Result<Vec<String>, QuerierError> {
        self.stored.list_label_values(name, selection, listing)
    }
}

struct PartsWithout<'q> {
    parts: Box<dyn Parts + 'q>,
    of: &'q Without,
}

impl Parts for PartsWithout<'_> {
    fn count(&self) -> usize {
        self.parts.count()
    }

    fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
        Ok(Box::new(ReaderWithout { reader: self.parts.reader()?, of: self.of }))
    }

    fn reader_bytes(&self) -> usize {
        self.parts.reader_bytes()
    }

    fn warnings(&self) -> Vec<String> {
        self.parts.warnings()
    }
}

struct ReaderWithout<'p> {
    reader: Box<dyn PartReader + 'p>,
    of: &'p Without,
}

impl PartReader for ReaderWithout<'_> {
    fn read(&self, part: usize, sink: &mut BatchSink<'_>) -> Result<(), QuerierError> {
        self.reader.read(part, &mut |batch| {
            for mut series in batch.into_series() {
                if self.of.written.has(&series.columns[0].metric) {
                    cut(&mut series, self.of.from);
                }
                if !series.timestamps.is_empty() {
                    sink(series)?;
                }
            }
            Ok(())
        })
    }
}

/// Removes the samples of a single series from a time on.
fn cut(series: &mut Batch, from: Timestamp) {
    let kept = series.timestamps.partition_point(|ts| *ts < from);
    series.timestamps.truncate(kept);
    let column = &mut series.columns[0];
    column.values.truncate(kept);
    let is_kept = |slot: u32| (slot as usize) < kept;
    column.histograms.retain(|(slot, _)| is_kept(*slot));
    column.start_times.retain(|(slot, _)| is_kept(*slot));
}
