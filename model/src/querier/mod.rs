//! Batches out: the contract between a store and what reads it: queries, rules, federation, remote read, StoreAPI.
//!
//! `hints` says what a selection is for, `chunks` cuts series for protocols that send chunks, `merged` reads several stores
//! as one, `gaps` fills those of one replica with what another has.

pub mod chunks;
mod gaps;
mod hints;
mod merged;

use std::sync::Arc;

use crate::{Histogram, Labels, Matcher, MetricId, SourceId, Timestamp};

pub use gaps::in_gaps;
pub use hints::{Caller, GroupingHint, ReadHints, SamplesNeeded, SeriesOrder};
pub use merged::MergedQuerier;

/// What is asked for by one selector.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// The first time wanted.
    pub start: Timestamp,
    /// The last time wanted; both ends are included.
    pub end: Timestamp,
    /// All must hold; a matcher sees a missing label as the empty string.
    pub matchers: &'a [Matcher],
}

/// Called before about so many bytes are allocated, and with 0 now and then: whoever reads counts memory and looks at its
/// deadline here, and ends the reading with [`QuerierError::Stopped`].
pub type Grow<'g> = dyn Fn(usize) -> Result<(), QuerierError> + 'g;

/// Samples of one source: its timestamps once, and the chosen columns beside them.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The source, where the store can tell: within one selection batches of one id have equal `source` labels.
    pub source_id: Option<SourceId>,
    /// Labels that all its series have, unless they have one of that name themselves.
    pub source: Labels,
    /// Ascending, no two equal.
    pub timestamps: Vec<Timestamp>,
    /// The chosen series, each with one slot per timestamp.
    pub columns: Vec<Column>,
}

/// One series within a [`Batch`]. What few series have stands beside the values, sparse: an empty list costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Column {
    /// The metric, where the store can tell: within one selection columns of one id have equal `metric` labels, so that what
    /// is made of these needs to be made once.
    pub metric_id: Option<MetricId>,
    /// The labels that the series has beside those of its batch.
    pub metric: Labels,
    /// One value per timestamp of the batch, stale markers included; the value of an absent slot, or of one that holds
    /// a histogram, means nothing.
    pub values: Vec<f64>,
    /// Which slots hold a sample: bit `i % 64` of word `i / 64`. `None` when all do.
    pub present: Option<Vec<u64>>,
    /// Slots whose sample is a histogram, ascending, each present. A stale marker is a float also among histograms.
    pub histograms: Vec<(u32, Arc<Histogram>)>,
    /// Slots whose sample says since when it counts, ascending, each present: the slot, and since when (never
    /// [`Timestamp::EPOCH`]). It is a sample of that time with the value zero, as far as `rate` and related functions go.
    pub start_times: Vec<(u32, Timestamp)>,
}

impl Batch {
    /// The whole label set of one of its series.
    #[must_use]
    pub fn labels(&self, column: &Column) -> Labels {
        if self.source.is_empty() { column.metric.clone() } else { self.source.joined(&column.metric) }
    }

    /// Its series one by one, without the slots at which a series has no sample, and with their whole label sets. Series
    /// without any sample are left out.
    pub fn into_series(self) -> impl Iterator<Item = Batch> {
        let Self { source, timestamps, columns, .. } = self;
        let whole = columns.into_iter().map(move |mut column| {
            // The labels of source and metric are joined once per series, not per sample.
            if !source.is_empty() {
                column.metric = source.joined(&column.metric);
            }
            let timestamps = column.drop_absent(&timestamps);
            Batch { timestamps, columns: vec![column], ..Batch::default() }
        });
        whole.filter(|batch| !batch.timestamps.is_empty())
    }

    /// Merges batches of one series, each as [`Batch::into_series`] makes them: of several samples at one time that of the
    /// earliest batch stays, and the labels are those of the first. `None` for no batch.
    #[must_use]
    pub fn merge(mut batches: Vec<Batch>) -> Option<Batch> {
        if batches.len() < 2 {
            return batches.pop();
        }
        let slots = |(batch, i): (&Batch, u32)| -> Vec<(Timestamp, u32, u32)> {
            batch.timestamps.iter().zip(0..).map(|(ts, slot)| (*ts, i, slot)).collect()
        };
        let mut samples: Vec<(Timestamp, u32, u32)> = batches.iter().zip(0..).flat_map(slots).collect();
        // Stable, so that samples of one time stay in the order of their batches; and fast, since each batch is a sorted run.
        samples.sort_by_key(|(ts, ..)| *ts);
        samples.dedup_by_key(|(ts, ..)| *ts);
        let mut merged = Column { metric: batches[0].columns[0].metric.clone(), ..Column::default() };
        for ((_, i, slot), merged_slot) in samples.iter().zip(0..) {
            let column = &batches[*i as usize].columns[0];
            merged.values.push(column.values[*slot as usize]);
            merged.histograms.extend(at_slot(&column.histograms, *slot).map(|one| (merged_slot, Arc::clone(one))));
            merged.start_times.extend(at_slot(&column.start_times, *slot).map(|start| (merged_slot, *start)));
        }
        let timestamps = samples.iter().map(|(ts, ..)| *ts).collect();
        Some(Batch { timestamps, columns: vec![merged], ..Batch::default() })
    }
}

/// The entry of a sparse list for a slot.
fn at_slot<T>(sparse: &[(u32, T)], slot: u32) -> Option<&T> {
    sparse.binary_search_by_key(&slot, |(of, _)| *of).ok().map(|i| &sparse[i].1)
}

impl Column {
    /// Does slot `i` hold a sample?
    #[must_use]
    pub fn is_present(&self, i: usize) -> bool {
        self.present.as_ref().is_none_or(|bits| bits[i / 64] >> (i % 64) & 1 == 1)
    }

    /// Removes the slots that hold no sample, and returns the timestamps of those that do.
    fn drop_absent(&mut self, timestamps: &[Timestamp]) -> Vec<Timestamp> {
        // Without a bitmap every slot holds a sample.
        let Some(present) = self.present.take() else { return timestamps.to_vec() };
        // Slots move to the front: the new place of each is the number of present ones before it.
        let mut moved = vec![0u32; timestamps.len()];
        let mut kept = Vec::new();
        for (i, ts) in timestamps.iter().enumerate() {
            if present[i / 64] >> (i % 64) & 1 == 1 {
                moved[i] = kept.len() as u32;
                // In place: the target is never behind the slot that is read.
                self.values[kept.len()] = self.values[i];
                kept.push(*ts);
            }
        }
        self.values.truncate(kept.len());
        self.histograms.iter_mut().for_each(|(slot, _)| *slot = moved[*slot as usize]);
        self.start_times.iter_mut().for_each(|(slot, _)| *slot = moved[*slot as usize]);
        kept
    }
}

/// Why a selection ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuerierError {
    /// The receiver of the batches asked to stop (a limit, a deadline, a client that went away); it knows why.
    #[error("the selection was stopped by its receiver")]
    Stopped,
    /// The store could not be read.
    #[error("cannot read from the store")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another server could not be read; the error says which.
    #[error(transparent)]
    Remote(Box<dyn std::error::Error + Send + Sync>),
}

/// Takes batches; an `Err` ends the reading.
pub type BatchSink<'s> = dyn FnMut(Batch) -> Result<(), QuerierError> + 's;

/// An opened selection: every series that matches and has a sample in the time asked, in parts that may be read side by
/// side, each on a thread of its own. A series comes whole: all its samples of the range are in one column of one batch. No
/// two columns of a selection have equal labels. What is read is the store as it was when the selection was opened. With
/// [`ReadHints::limit`] each part is read once.
pub trait Parts: Sync {
    /// How many parts there are. A selection with little to read has one, one that finds nothing may have none.
    fn count(&self) -> usize;

    /// What reads one part after another.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError>;

    /// Hands all parts to `sink`, one after another.
    ///
    /// # Errors
    /// When the store cannot be read, or `sink` refuses a batch.
    fn read_all(&self, sink: &mut BatchSink<'_>) -> Result<(), QuerierError> {
        let reader = self.reader()?;
        (0..self.count()).try_for_each(|part| reader.read(part, sink))
    }

    /// About how much memory one reader takes while it makes a batch, in bytes. Whoever reads takes so much for each
    /// reader before it reads, and counts batches when they come.
    fn reader_bytes(&self) -> usize {
        0
    }

    /// Warnings about this selection that its user should see, such as a time range whose data is damaged. Called once
    /// all parts were read, so that what reading found can be included. Complete sentences; each is shown once.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Reads parts of a selection, on one thread.
pub trait PartReader {
    /// Hands the series of one part to `sink`, batch by batch: in any order, which is the same whoever reads.
    ///
    /// # Errors
    /// When the store cannot be read, or `sink` refuses a batch.
    fn read(&self, part: usize, sink: &mut BatchSink<'_>) -> Result<(), QuerierError>;
}

/// How far a listing of series, label names or values may go.
#[derive(Clone, Copy)]
pub struct Listing<'l> {
    /// At most so many; 0: all.
    pub limit: usize,
    /// Told about each item before it is added.
    pub grow: &'l Grow<'l>,
}

impl Listing<'_> {
    /// So many at most, and no other bound.
    #[must_use]
    pub fn of_at_most(limit: usize) -> Self {
        Self { limit, grow: &|_| Ok(()) }
    }

    /// The limit as a number that none exceeds.
    #[must_use]
    pub fn most(&self) -> usize {
        if self.limit == 0 { usize::MAX } else { self.limit }
    }
}

impl std::fmt::Debug for Listing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listing").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// Where batches come from. Calls block, on the disk at worst.
pub trait Querier: Send + Sync {
    /// Finds the series of a selection.
    ///
    /// # Errors
    /// When the store cannot be read, or the receiver of `hints.order` refuses memory.
    fn open<'q>(
        &'q self,
        selection: &Selection<'_>,
        hints: &ReadHints<'_>,
    ) -> Result<Box<dyn Parts + 'q>, QuerierError>;

    /// Hands all parts of a selection to `sink`, one after another.
    ///
    /// # Errors
    /// When the store cannot be read, or `sink` refuses a batch.
    fn select(
        &self,
        selection: &Selection<'_>,
        hints: &ReadHints<'_>,
        sink: &mut BatchSink<'_>,
    ) -> Result<(), QuerierError> {
        self.open(selection, hints)?.read_all(sink)
    }

    /// The label sets of the matching series that were alive in the time asked, sorted: those with a sample in it where it is
    /// short, say some hours; else "alive" may be coarser than a sample, and a store answers by its own buckets of time. Which
    /// of them a limit leaves is up to the store.
    ///
    /// # Errors
    /// When the store cannot be read, or the listing is stopped.
    fn list_series(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError>;

    /// The names of all labels of the matching series, sorted.
    ///
    /// # Errors
    /// When the store cannot be read, or the listing is stopped.
    fn list_label_names(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<String>, QuerierError>;

    /// The values of one label over the matching series, sorted.
    ///
    /// # Errors
    /// When the store cannot be read, or the listing is stopped.
    fn list_label_values(
        &self,
        name: &str,
        selection: &Selection<'_>,
        listing: &Listing<'_>,
    ) -> Result<Vec<String>, QuerierError>;

    /// [`Querier::list_series`] with no bound but their number.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn series(&self, selection: &Selection<'_>, limit: usize) -> Result<Vec<Labels>, QuerierError> {
        self.list_series(selection, &Listing::of_at_most(limit))
    }

    /// [`Querier::list_label_names`] with no bound but their number.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn label_names(&self, selection: &Selection<'_>, limit: usize) -> Result<Vec<String>, QuerierError> {
        self.list_label_names(selection, &Listing::of_at_most(limit))
    }

    /// [`Querier::list_label_values`] with no bound but their number.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn label_values(&self, name: &str, selection: &Selection<'_>, limit: usize) -> Result<Vec<String>, QuerierError> {
        self.list_label_values(name, selection, &Listing::of_at_most(limit))
    }

    /// May it have anything of a selection? Of several stores those that may not are not read, which keeps the others as they
    /// are: sorting, for one, is only needed where series of two stores are merged.
    fn may_have(&self, selection: &Selection<'_>) -> bool {
        let _ = selection;
        true
    }

    /// Warnings about a listing of this selection (`series`, `label_names`, `label_values`), as [`Parts::warnings`] has
    /// them for its samples. Called after the listing.
    fn listing_warnings(&self, selection: &Selection<'_>) -> Vec<String> {
        let _ = selection;
        Vec::new()
    }
}
