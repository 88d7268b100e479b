//! How far one request may go: its time, its client's patience and its memory. Reading a text, evaluating a query and
//! listing series look at the same.

use std::sync::Arc;
use std::time::Instant;

use crate::Error;
use crate::engine::StillWanted;
use crate::memory::Share;

/// The bounds of one request.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// What it holds; given back when the last that refers to it is dropped.
    pub share: Arc<Share>,
    /// When it ends at the latest.
    pub deadline: Option<Instant>,
    /// Whether it is still wanted.
    pub wanted: Option<StillWanted>,
}

impl Bounds {
    /// Is the request still wanted and within its time?
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self) -> Result<(), Error> {
        if self.wanted.as_ref().is_some_and(|wanted| !(wanted.0)()) {
            return Err(Error::Canceled);
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Error::Timeout);
        }
        Ok(())
    }
}
