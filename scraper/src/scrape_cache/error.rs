//! Why a body was refused.

use model::AppendError;

use crate::parse::ParseError;

/// Why a body was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// Not an exposition.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A series that cannot be stored, and where it stands.
    #[error("{reason}, at {place}")]
    Series {
        /// `line 3`, from 1, or `before byte 17`, and how it begins.
        place: String,
        /// Why.
        reason: String,
        /// Which limit was it, if one?
        limit: Option<SeriesLimit>,
    },
    /// A new series could not be stored.
    #[error("cannot store the scrape")]
    Append(#[from] AppendError),
    /// More samples than `sample_limit`.
    #[error(
        "sample limit exceeded ({kept} samples after relabelling, limit: {limit}); raise sample_limit, drop series with \
         metric_relabel_configs, or set limit_mode: soft to lose the new series only"
    )]
    SampleLimit {
        /// Samples that metric relabelling kept.
        kept: usize,
        /// The job's limit.
        limit: usize,
    },
    /// More entries than `entry_limit`.
    #[error(
        "entry limit exceeded (more than {limit} lines, comments among them); raise entry_limit in the job if the target is sound"
    )]
    EntryLimit {
        /// The job's limit.
        limit: usize,
    },
    /// One series with more samples of its own times than can be.
    #[error("one series has several samples, each with its own time, more than {limit} times")]
    Repeats {
        /// How many may be.
        limit: usize,
    },
}

impl ContentError {
    /// The line of the body that is to blame, from 1.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        let (Self::Parse(ParseError { place, .. }) | Self::Series { place, .. }) = self else { return None };
        let number = place.strip_prefix("line ")?;
        number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }
}

/// A limit of a job that one series can exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesLimit {
    /// Of the number of labels, or the length of their names and values.
    Labels,
    /// Of the buckets of a native histogram.
    Buckets,
}
