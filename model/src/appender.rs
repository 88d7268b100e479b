//! Rows in: the contract between what scrapes and the store. Whoever has samples series by series uses
//! [`crate::SeriesAppender`].
//!
//! A producer says once who it is ([`Appender::source`]), once what it exposes ([`Appender::metrics`],
//! [`Appender::layout`]), and then commits one [`Row`] per scrape. The series of a column is the source's labels overridden
//! by the metric's. A metric cannot take a source label away: such a series belongs to another source, without that label.

use std::ops::AddAssign;
use std::sync::Arc;

#[cfg(doc)]
use crate::sample;
use crate::{Exemplar, Histogram, Labels, Timestamp};

/// What samples come from together: one target, one rule group. Not given out again for something else as long as the
/// appender lives. Once nothing stored refers to it any more the store may forget it, as it may a [`MetricId`] and a
/// [`Layout`]; it then refuses what names it with [`AppendError::Forgotten`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// A label set as sources expose it, the metric name among it; one for the whole server, whoever exposes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetricId(pub u32);

/// The columns of a source's rows, in order. Cheap to clone; made by [`Appender::layout`] and only valid with the
/// appender that made it.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The metric of each column.
    pub metrics: Arc<[MetricId]>,
    /// The store's own name for each run of [`Layout::SEGMENT_COLUMNS`] columns.
    pub segments: Arc<[u32]>,
}

impl Layout {
    /// Columns are cut into segments of this many, so that a row of a million columns is a thousand ordinary rows and a
    /// change in one column leaves the other segments alone.
    pub const SEGMENT_COLUMNS: usize = 1024;
}

/// One scrape.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Who was scraped.
    pub source: SourceId,
    /// The time of the scrape; of every column that is not in `own_times`.
    pub ts: Timestamp,
    /// What the columns are.
    pub layout: &'a Layout,
    /// One value per column, bit-exact; the value of an absent column is ignored.
    pub values: &'a [f64],
    /// Bit `i % 64` of word `i / 64` says whether column `i` was exposed; `values.len().div_ceil(64)` words.
    pub present: &'a [u64],
    /// Columns whose sample carries its own time: column and time, columns ascending, each present.
    pub own_times: &'a [(u32, Timestamp)],
    /// Columns whose sample is a native histogram, columns ascending, each present and with [`sample::histogram_mark`] as
    /// its value; each valid ([`Histogram::validate`]).
    pub histograms: &'a [(u32, Histogram)],
}

/// An extra sample: one that a row has no room for, as it holds one per column.
#[derive(Clone, Debug)]
pub struct ExtraSample {
    /// The column of the row's layout.
    pub column: u32,
    /// Its time.
    pub ts: Timestamp,
    /// The value, bit-exact; [`sample::histogram_mark`] for a native histogram.
    pub value: f64,
    /// The native histogram, if it is one; valid ([`Histogram::validate`]).
    pub histogram: Option<Box<Histogram>>,
}

/// What one source said in one scrape.
#[derive(Clone, Copy, Debug)]
pub struct Scraped<'a> {
    /// One sample per column.
    pub row: Row<'a>,
    /// Zeros at the times since which series count, before the row's. Each is stored if its series has nothing at that time
    /// or later, and is counted in neither case.
    pub starts: &'a [ExtraSample],
    /// Samples of columns that were exposed several times, in the order in which they were exposed, after the row's.
    pub repeats: &'a [ExtraSample],
}

impl<'a> From<Row<'a>> for Scraped<'a> {
    fn from(row: Row<'a>) -> Self {
        Self { row, starts: &[], repeats: &[] }
    }
}

/// What became of the samples of a commit, or of a batch of series. Nothing of it is an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Samples written.
    pub stored: u32,
    /// Samples left out because their series already has a later one and the out-of-order window does not reach back.
    pub out_of_order: u32,
    /// Samples left out because their series has another value at that time. (The same value again counts as stored.)
    pub duplicate: u32,
    /// Samples left out because they lie before the retention or the out-of-order window.
    pub too_old: u32,
    /// Exemplars left out, as [`Appender::exemplars`] says; it is not a commit of rows that counts them.
    pub late_exemplars: u32,
}

impl AddAssign for Committed {
    fn add_assign(&mut self, other: Self) {
        let Self { stored, out_of_order, duplicate, too_old, late_exemplars } = other;
        self.stored += stored;
        self.out_of_order += out_of_order;
        self.duplicate += duplicate;
        self.too_old += too_old;
        self.late_exemplars += late_exemplars;
    }
}

/// Why samples, or what precedes them, could not be taken. What was to be stored, the caller adds: it knows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The store could not write; nothing of a row is kept. The error says why, a full disk for instance.
    #[error(transparent)]
    Store(Box<dyn std::error::Error + Send + Sync>),
    /// The row names a source or a layout, or the layout a metric, that nothing stored referred to for the whole
    /// retention. Nothing of the rows is kept; ids asked for anew are good.
    #[error("its ids were removed, as nothing stored referred to them")]
    Forgotten,
    /// The store is closing.
    #[error("the database is closing")]
    Closed,
}

/// Where rows go. Calls block, on the disk at worst; callers on an async runtime move them to blocking threads.
pub trait Appender: Send + Sync {
    /// The id of the source with these labels, made and stored durably if it is new.
    ///
    /// # Errors
    /// When the store cannot write.
    fn source(&self, labels: &Labels) -> Result<SourceId, AppendError>;

    /// The ids of metrics, made and stored durably where new, in the order asked.
    ///
    /// # Errors
    /// When the store cannot write.
    fn metrics(&self, labels: &[Labels]) -> Result<Vec<MetricId>, AppendError>;

    /// A layout of these columns. Sources with the same columns share it.
    ///
    /// # Errors
    /// When the store cannot write.
    fn layout(&self, metrics: &[MetricId]) -> Result<Layout, AppendError>;

    /// Stores all samples of one scrape, each part of another source: all of them in one atomic write that survives the end
    /// of the process, or nothing. Usually it is one part; a scrape has more when metric relabelling took source labels away
    /// from some of its series, which then belong to a source without those labels.
    ///
    /// # Errors
    /// When the store cannot write; then nothing of the scrape is stored.
    fn commit_scrape(&self, parts: &[Scraped<'_>]) -> Result<Committed, AppendError>;

    /// The same of rows that have everything.
    ///
    /// # Errors
    /// As above.
    fn commit(&self, rows: &[Row<'_>]) -> Result<Committed, AppendError> {
        self.commit_scrape(&rows.iter().map(|row| Scraped::from(*row)).collect::<Vec<_>>())
    }

    /// From when on a sample is taken although its series has a later one.
    fn takes_late_from(&self) -> Timestamp {
        Timestamp::MAX
    }

    /// Does it keep exemplars? Where it does not, nobody need read them.
    fn keeps_exemplars(&self) -> bool {
        false
    }

    /// Keeps exemplars of series of one source: those that are new, as long as there is room for them. That some are not
    /// kept is no error. Returns how many were left out of series whose exemplars all come before what is kept.
    ///
    /// # Errors
    /// When the store cannot write, or the ids are forgotten; then none is kept.
    fn exemplars(&self, _source: SourceId, _exemplars: &[(MetricId, Exemplar)]) -> Result<u32, AppendError> {
        Ok(0)
    }
}
