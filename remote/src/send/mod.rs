//! Remote write to other servers. The backlog is the store itself: each remote reads it by time, from a cursor that is on disk, and
//! the cursor moves on once the receiver has acknowledged (decision 0050).
//!
//! - **What**: [`Manager`] keeps one [`remote`] per section of the configuration; [`Commits`] tells it of samples that were stored
//!   for a time that was read already.
//! - **Invariants**: what was stored is sent, however long the receiver, or Weft, was away, as long as it is within the
//!   retention. Memory does not grow with the backlog. Samples of a series are sent in the order of their times, but for those
//!   that came late.
//! - **Files**: `manager` remotes by configuration · `run`, `remote` the loop of one · `sending` the requests of a window · `late`
//!   samples that came late · `commits` what is being stored, `notes` what came late, on disk · `cursor` how far a remote
//!   got · `window` what the store has of a stretch of time, by request · `series` labels as they are sent · `encode`
//!   messages as bytes · `transport` one request and its answer · `backoff`, `shards` how soon and how many ·
//!   `metadata` HELP and TYPE · `metrics`, `status` how it goes.
//! - **Tests**: `tests/` on a paused clock with a receiver of the test; `tests/e2e/tests/remote_write.rs` against Prometheus.

mod backoff;
mod commits;
mod cursor;
mod encode;
mod late;
mod manager;
mod metadata;
mod metrics;
mod notes;
mod remote;
mod run;
mod sending;
mod series;
mod shards;
mod status;
#[cfg(test)]
mod tests;
mod transport;
mod window;

use std::error::Error as StdError;
use std::fmt::Debug;

use futures::future::BoxFuture;
use model::{Exemplar, Labels};

pub use commits::Commits;
pub use manager::{Error, Manager, Options};
pub use metadata::{FamilyKind, FamilyMetadata};
pub use status::RemoteStatus;

/// Exemplars in the order in which they were stored, each with a number.
pub trait ExemplarSource: Send + Sync + Debug {
    /// The number of the next exemplar, and at most so many from a number on.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn exemplars_since(&self, number: u64, most: usize) -> Result<NumberedExemplars, Box<dyn StdError + Send + Sync>>;
}

/// The number after the last of some exemplars, and these with their series.
pub type NumberedExemplars = (u64, Vec<(Labels, Exemplar)>);

/// What is known of the metrics that are scraped.
pub trait MetadataSource: Send + Sync + Debug {
    /// One entry for each metric family.
    fn families(&self) -> BoxFuture<'_, Vec<FamilyMetadata>>;
}

/// Bounds of sending.
mod limits {
    /// Samples of one remote that are held in memory at once.
    pub(super) const WINDOW_SAMPLES: usize = if cfg!(test) { 2_000 } else { 200_000 };
    /// Labels of series that one remote keeps ready, bytes.
    pub(super) const SERIES_BYTES: usize = 64 << 20;
    /// The shortest window that is read, and the longest, milliseconds. What is sent side by side differs in time by no more than
    /// this: Prometheus refuses samples that are an hour older than its newest.
    pub(super) const WINDOW_MS: (i64, i64) = (1_000, 10 * 60 * 1_000);
    /// Into how many passes the series of a window are divided at most.
    pub(super) const PASSES: u64 = 1_024;
    /// How long samples are waited for that are stored some time after theirs, milliseconds: at first, and at most. What comes
    /// later still is sent, too, but costs more.
    pub(super) const LAG_MS: (i64, i64) = (1_000, 20_000);
    /// Exemplars that are read at once.
    pub(super) const EXEMPLARS: usize = 10_000;
    /// How long an exemplar waits for a sample of its series, milliseconds.
    pub(super) const EXEMPLAR_MS: i64 = 120_000;
    /// Further requests that one request of late samples may be split into when it is refused.
    pub(super) const SPLITS: usize = 64;
}
