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
    /// Its selectors find more series than [`crate::CostLimits`] has.
    #[error("query would load too many series into memory in query execution")]
    TooManySeries,
    /// It reads more samples than [`crate::CostLimits`] has.
    #[error("query would read too many samples in query execution")]
    TooManySamplesRead,
    /// It needs more memory than one query may have, bytes.
    #[error(
        "query needs more than {most} bytes of memory, which is what one query may hold \
         (--query.max-memory-per-query): select fewer series, a shorter range or a longer step"
    )]
    QueryMemory {
        /// What one may have.
        most: usize,
    },
    /// Together with those that run beside it, it needs more memory than queries may have, bytes.
    #[error(
        "queries need more than {most} bytes of memory together, which is what they may hold (--query.max-memory): \
         try again, or select fewer series, a shorter range or a longer step"
    )]
    Memory {
        /// What they may have.
        most: usize,
    },
    /// Together with those that run beside it, it needs more memory than the container has left, bytes.
    #[error(
        "queries need more than {most} bytes of memory together, which is what the container has left for them: try \
         again, select fewer series, a shorter range or a longer step, or give the container more memory"
    )]
    Container {
        /// What they may have at the moment.
        most: usize,
    },
    /// The store failed.
    #[error("{0}")]
    Store(#[source] model::QuerierError),
}

impl Error {
    pub(crate) fn execution(text: impl Into<String>) -> Self {
        Self::Execution(text.into())
    }

    /// Was too much to be held?
    pub(crate) fn is_of_memory(&self) -> bool {
        self.is_of_all() || matches!(self, Self::TooManySamples | Self::QueryMemory { .. })
    }

    /// Do others hold what it needs? Later, or alone, it may succeed.
    #[must_use]
    pub fn is_of_all(&self) -> bool {
        matches!(self, Self::Memory { .. } | Self::Container { .. })
    }
}
