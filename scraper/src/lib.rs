//! Target to HTTP to parser to [`model::Appender`]: the scrape engine.
//!
//! - **What**: keeps one loop per target, each scraping at its own offset of the interval.
//! - **Path**: steps 2 to 5 of the scrape path (`docs/ARCHITECTURE.md`).
//! - **Invariants**: knows nothing of RocksDB, YAML or Kubernetes; a target's bytes never panic and never cost more
//!   memory than `limits` says; what one target does never touches another.
//! - **Files**: `manager` groups in, one pool per job · `pool` sync targets, start and stop loops · `target` labels, URL,
//!   health · `schedule` hash offsets · `scrape_loop` one target's clockwork ·
//!   `heirs` who goes on with the series of one that is gone · `work` the synchronous part of a scrape · `fetch` request to bytes · `budget` the memory of bodies · `negotiate` what
//!   is asked for and how the answer is read · `media_type` a Content-Type · `parse` bytes to entries, a file per format ·
//!   `layout` entry to column, what vanished, limits · `starts` since when samples count · `report` `up` and its like · `failure_log` what failed · `metadata` HELP, TYPE and UNIT.
//! - **Tests**: at the foot of each file; `tests/` reads upstream's data.

mod budget;
mod columns;
mod failure_log;
#[cfg(test)]
mod fake;
mod fetch;
mod heirs;
mod labelling;
mod layout;
mod manager;
mod media_type;
mod metadata;
mod metrics;
mod negotiate;
pub mod parse;
mod pool;
mod report;
mod schedule;
mod scrape_loop;
#[cfg(test)]
mod simulation;
mod starts;
mod target;
mod threads;
mod work;

pub use fetch::{BODY_BYTES_MAX, FetchError};
pub use http_client::Resolver;
pub use labelling::{SeriesLimit, SeriesRules};
pub use layout::{Body, ContentError, Counts, HistogramRules, SampleRules, TargetLayout};
pub use manager::{Manager, Options};
pub use metadata::{Metadata, MetadataCache};
pub use pool::{ActiveTarget, PoolStatus};
pub use schedule::server_seed;
pub use scrape_loop::TargetStatus;
pub use target::{Populated, Target, populate};
