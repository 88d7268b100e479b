//! Why a client cannot be set up.

use std::path::PathBuf;

/// A client that cannot be set up. It is tried again: files and the environment may change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A metric of the watches is registered twice.
    #[error("cannot register the metrics of Kubernetes watches")]
    Metrics(#[from] prometheus::Error),
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The server does not answer a request.
    #[error("the API server does not answer: {0}")]
    Request(String),
    /// The configuration of the client cannot be used.
    #[error("cannot set up the Kubernetes client: {0}")]
    Client(String),
}
