//! Why a rule could not be evaluated. What is said of rules and results is upstream's, word for word: people search for it.

use model::SeriesAppendError;
use model::histogram::HistogramError;

use crate::template::TemplateError;

/// Why a rule could not be evaluated, or its result not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// The query failed.
    #[error(transparent)]
    Query(#[from] query::Error),
    /// A template is not valid.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The query yields a string or a range vector.
    #[error("rule result is not a vector or scalar")]
    NotAVector,
    /// Two series of a recording rule have the same labels, after those of the rule were added.
    #[error("vector contains metrics with the same labelset after applying rule labels")]
    SameSeries,
    /// The same of two alerts.
    #[error("vector contains metrics with the same labelset after applying alert labels")]
    SameAlert,
    /// More than the `limit` of the group.
    #[error("exceeded limit of {limit} with {found} {what}")]
    Limit {
        /// The limit.
        limit: usize,
        /// How many there were.
        found: usize,
        /// `series` or `alerts`.
        what: &'static str,
    },
    /// A histogram of the result is not valid, such as a difference below zero.
    #[error(transparent)]
    Histogram(#[from] HistogramError),
    /// The store could not take the result.
    #[error(transparent)]
    Store(#[from] SeriesAppendError),
    /// The store refused some samples of the result.
    #[error("{0}")]
    Refused(&'static str),
}

impl EvaluationError {
    /// Does it depend on the time of the evaluation, so that another time may do?
    pub(crate) fn is_of_data(&self) -> bool {
        let of_query = matches!(self, Self::Query(query::Error::Execution(_)));
        of_query || matches!(self, Self::SameSeries | Self::SameAlert | Self::Limit { .. } | Self::Histogram(_))
    }

    /// Did the server end meanwhile?
    pub(crate) fn is_canceled(&self) -> bool {
        matches!(self, Self::Query(query::Error::Canceled))
    }
}

/// Upstream's words for samples that were refused.
pub(crate) const OUT_OF_ORDER: EvaluationError = EvaluationError::Refused("out of order sample");
pub(crate) const TOO_OLD: EvaluationError = EvaluationError::Refused("too old sample");
pub(crate) const DUPLICATE: EvaluationError = EvaluationError::Refused("duplicate sample for timestamp");
