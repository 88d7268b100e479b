//! Errors of queries. The texts are upstream's, which users and dashboards know.

/// An error of a query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parse error with its position: `1:5: parse error: unexpected end of input`.
    #[error("{0}")]
    Parse(String),
    /// The query cannot be evaluated on this data, for instance because of a many-to-many match.
    #[error("{0}")]
    Execution(String),
    /// It took longer than [`EngineOptions::timeout`](field@crate::EngineOptions::timeout).
    #[error("query timed out in expression evaluation")]
    Timeout,
    /// The client canceled it.
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
        /// The limit per query.
        most: usize,
    },
    /// Together with other queries it needs more memory than all queries may have, bytes.
    #[error(
        "queries need more than {most} bytes of memory together, which is what they may hold (--query.max-memory): \
         try again, or select fewer series, a shorter range or a longer step"
    )]
    Memory {
        /// The limit.
        most: usize,
    },
    /// Together with other queries it needs more memory than is free in the container, bytes.
    #[error(
        "queries need more than {most} bytes of memory together, which is what the container has left for them: try \
         again, select fewer series, a shorter range or a longer step, or give the container more memory"
    )]
    Container {
        /// The limit at the moment.
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

    /// Was a limit of samples or memory exceeded?
    pub(crate) fn is_memory_limit(&self) -> bool {
        self.is_memory_contention() || matches!(self, Self::TooManySamples | Self::QueryMemory { .. })
    }

    /// Is the memory held by other queries, so that it may succeed later or alone?
    #[must_use]
    pub fn is_memory_contention(&self) -> bool {
        matches!(self, Self::Memory { .. } | Self::Container { .. })
    }
}
