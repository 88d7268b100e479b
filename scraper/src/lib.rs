//! Target to HTTP to parser to [`model::Appender`]: the scrape engine.
//!
//! - **What**: keeps one loop per target, each scraping at its own offset of the interval.
//! - **Path**: steps 2 to 5 of the scrape path (`docs/ARCHITECTURE.md`).
//! - **Invariants**: knows nothing of RocksDB, YAML or Kubernetes; a target's bytes never panic and never cost more
//!   memory than `limits` says; what one target does never touches another.
//! - **Files**: `manager` target groups in, one pool per job · `pool` syncs targets, starts and stops loops · `target` labels,
//!   URL, health · `group_targets` what the rules made of each group · `funnel` what each rule of a job dropped · `lost` targets that
//!   are gone, and why
//!   · `job_settings` what the loops of a job share · `schedule` offsets · `scrape_loop` one target's loop ·
//!   `staleness_handover` who goes on with the series of a removed target · `fetch` request to bytes · `budget` the memory
//!   of bodies · `negotiate` which formats are asked for and how the answer is read · `media_type` a Content-Type ·
//!   `scrape_append` the synchronous part of a scrape · `parse/` bytes to entries, a file per format · `scrape_cache/` entry
//!   to column · `sample_mutation` exposed labels to stored labels · `series_tracker/` columns and stale markers ·
//!   `start_timestamps` zeros where counting began · `report` `up` and its like · `failure_log` what failed · `metadata`
//!   HELP, TYPE and UNIT · `request` the HTTP request of a scrape and the format of its response · `trial` a scrape outside the
//!   schedule that stores nothing.
//! - **Tests**: at the foot of each file; `tests/` reads upstream's data.

mod budget;
mod failure_log;
mod fetch;
mod funnel;
mod group_targets;
mod job_settings;
mod lost;
mod manager;
mod media_type;
mod metadata;
mod metrics;
mod negotiate;
mod options;
pub mod parse;
mod pool;
mod report;
mod request;
mod sample_mutation;
mod schedule;
mod scrape_append;
mod scrape_cache;
mod scrape_loop;
mod series_tracker;
#[cfg(test)]
mod simulation;
mod staleness_handover;
mod start_timestamps;
mod target;
mod threads;
mod trial;

pub use fetch::{BODY_BYTES_MAX, FetchError};
pub use funnel::{Funnel, RelabelStep, RuleDrops, relabel_steps};
pub use group_targets::DroppedTargets;
pub use http_client::Resolver;
pub use lost::{LostCause, LostTarget, LostTargets};
pub use manager::Manager;
pub use metadata::{Metadata, MetadataCache};
pub use options::Options;
pub use pool::{ActiveTarget, PoolStatus};
pub use sample_mutation::SeriesRules;
pub use schedule::server_seed;
pub use scrape_cache::{Body, ContentError, Counts, HistogramRules, SampleRules, ScrapeCache, SeriesLimit};
pub use scrape_loop::TargetStatus;
pub use target::{Populated, RuleMatches, Target, discovered_labels, populate};
pub use trial::{Trial, TrialSample, TrialScrape};
