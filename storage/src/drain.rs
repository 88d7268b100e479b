//! Tells long work that the directory is about to be opened again: whoever uses it is to end soon.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;

/// Is the database being drained?
#[derive(Debug, Default)]
pub(crate) struct Drain(AtomicBool);

impl Drain {
    /// Has whoever uses the database end soon, or go on.
    pub(crate) fn set(&self, draining: bool) {
        self.0.store(draining, Ordering::Release);
    }

    /// To be asked between the steps of long work.
    ///
    /// # Errors
    /// When whoever uses the database is to end.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.0.load(Ordering::Acquire) { Err(Error::Reopening) } else { Ok(()) }
    }
}
