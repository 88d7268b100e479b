//! How fast background work goes, and what ends it early.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::error::Error;
use crate::kv;
use crate::maintenance::Maintenance;

/// Called between two steps with the time the last one took; says whether to go on.
pub(crate) type Pace<'p> = dyn FnMut(Duration) -> ControlFlow<()> + 'p;

/// A round that ends early.
pub(crate) enum Stop {
    /// Its caller ended it.
    Paused,
    /// An append waits, which goes first; the round goes on after it.
    Wanted,
    /// The store cannot be read or written.
    Store(Error),
}

/// To be called between two sources of a round.
pub(crate) fn give_way(maintenance: &Maintenance) -> Result<(), Stop> {
    if maintenance.is_wanted() { Err(Stop::Wanted) } else { Ok(()) }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<kv::Error> for Stop {
    fn from(error: kv::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What a round of background work did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Samples that went from rows into pages.
    pub samples: u64,
    /// Sources flushed, each once per partition.
    pub sources: u64,
    /// Sources whose small partitions became one larger.
    pub merged: u64,
}

/// How long after its end a bucket is left alone: scrapes that started in it may still come in.
pub(crate) fn grace_ms(bucket_ms: u32) -> i64 {
    i64::from(bucket_ms / 15).max(1)
}
