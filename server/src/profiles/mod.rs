//! CPU and heap profiles of this process, in pprof's format. Nothing is set up, and nothing is counted, while nobody profiles.
//!
//! `sampler` interrupts the process by CPU time and notes stacks, `heap` has the allocator note them; `profile` writes what was
//! noted as `profile.proto`, by the names that `symbols` finds. `threads` counts the threads by their names.

mod heap;
mod profile;
mod sampler;
mod symbols;
mod threads;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use heap::{CONF, Heap};
pub(crate) use profile::Profile;
pub(crate) use sampler::Sampler;
pub(crate) use symbols::{Mapping, name_of};
pub(crate) use threads::threads;

/// Lets one profile be taken at a time: signal, timer and the records of the allocator are those of the whole process.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Semaphore>);

/// The right to take a profile, until all its clones are dropped.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Turns {
    /// Nothing while another profile is taken.
    pub(crate) fn take(&self) -> Option<Turn> {
        let permit = Arc::clone(&self.0).try_acquire_owned().ok()?;
        Some(Turn { _permit: Arc::new(permit) })
    }
}
