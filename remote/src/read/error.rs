//! Why another server could not be read.

use model::QuerierError;

/// Which one it is, and why.
#[derive(Debug, thiserror::Error)]
#[error("remote_read {name}: {why}")]
pub(super) struct ReadError {
    pub(super) name: String,
    pub(super) why: String,
}

impl ReadError {
    pub(super) fn told(self) -> QuerierError {
        QuerierError::Remote(Box::new(self))
    }
}
