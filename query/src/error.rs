//! Why a query has no answer. The texts are upstream's: users and dashboards know them.

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a query; the text carries the place: `1:5: parse error: unexpected end of input`.
    #[error("{0}")]
    Parse(String),
    /// The query makes no sense on this data, say two series where one is needed.
    #[error("{0}")]
    Execution(String),
    /// It took longer than [`crate::EngineOptions::timeout`].
    #[error("query timed out in expression evaluation")]
    Timeout,
    /// The caller lost interest.
    #[error("query was canceled in expression evaluation")]
    Canceled,
    /// It needs more than [`crate::EngineOptions::max_samples`] at once.
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// The store failed.
    #[error("{0}")]
    Store(#[source] model::QuerierError),
}

impl Error {
    pub(crate) fn execution(text: impl Into<String>) -> Self {
        Self::Execution(text.into())
    }
}
