//! Why a discovery failed.

use std::path::PathBuf;

/// A discovery that failed; it keeps what it found before and tries again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A metric of discovery is registered twice.
    #[error("cannot register the metrics of discovery")]
    Metrics(#[from] prometheus::Error),
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of target groups says something that is none.
    #[error("cannot use target groups of {}: {reason}", path.display())]
    Groups {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A configuration of the API server's client cannot be used.
    #[error("cannot set up the Kubernetes client: {0}")]
    Client(String),
}
