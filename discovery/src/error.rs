//! Why a discovery failed.

use std::path::PathBuf;

/// An error of a discovery, which keeps what it found and tries again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A metric of discovery is registered twice.
    #[error("cannot register the metrics of discovery")]
    Metrics(#[from] prometheus::Error),
    /// The watches of Kubernetes objects cannot be set up.
    #[error(transparent)]
    Watches(#[from] kube_watch::Error),
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A configuration names the own namespace, and nothing says which that is.
    #[error(
        "cannot find out the own namespace: there is neither the file `namespace` of a service account nor the environment variable \
         POD_NAMESPACE; name the namespace in namespaces.names instead"
    )]
    OwnNamespace,
    /// A file does not hold target groups.
    #[error("cannot use target groups of {}: {reason}", path.display())]
    Groups {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}
