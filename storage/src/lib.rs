//! Rows in, batches out, on RocksDB.
//!
//! - **What**: [`Db`] implements `model::Appender` and `model::Querier`: one scrape is one row, a series is a pair of a
//!   Source and a Metric, and a selection comes out source by source.
//! - **Path**: the last step of a scraped byte (`append/plan`), the first of a query (`index/select`, `reader/scan`).
//! - **Invariants**: the only crate that knows RocksDB; no async, no HTTP, no YAML. Nothing in memory grows with what is
//!   stored, and nothing is rebuilt at a start unless something is damaged. What `commit` has returned survives the end of
//!   the process.
//! - **Files**: `kv/` RocksDB behind our column families · `rows/` a scrape as bytes · `pages/` columns at rest ·
//!   `histograms/` the samples that are native histograms · `index/` ids, postings, matchers · `quarantine/` damaged files,
//!   logs and MANIFEST · `reader/` rows and pages into columns, selections · `append/` rows in · `compaction/` rows into pages,
//!   small partitions into large ones · `deletes/`, `retention/` what goes · `exemplars` · `listing`, `stats` · `open/` opens a
//!   directory · `db` one opening of it · `recovery/` opens it again after damage · `clock` · `cache`, `limits`, `metrics`.
//! - **Tests**: codecs at the foot of their files; `tests/model.rs` against an oracle, `tests/crash.rs` against SIGKILL,
//!   `tests/faults.rs` against writes that fail, `tests/matchers.rs`, `tests/directory.rs`, `tests/formats.rs` on
//!   directories of earlier builds, `tests/flips.rs`, `tests/repairs.rs` and `tests/torture.rs` on damaged files,
//!   `tests/disk_full.rs` on a small file system. Formats are drawn in `docs/formats/`.

mod append;
mod cache;
mod clock;
mod compaction;
mod db;
#[expect(unreachable_pub, reason = "`recovery::Db` hands these methods on to other crates")]
mod deletes;
mod error;
mod exemplars;
mod histograms;
mod index;
mod kv;
mod limits;
mod listing;
mod metrics;
mod open;
mod options;
mod pages;
mod quarantine;
mod reader;
mod recovery;
#[expect(unreachable_pub, reason = "`recovery::Db` hands these methods on to other crates")]
mod retention;
mod rows;
mod stats;

pub use clock::{Clock, Told};
pub use compaction::Sealed;
pub use deletes::RetentionRule;
pub use error::Error;
pub use options::Options;
pub use quarantine::Damage;
pub use recovery::Db;
pub use stats::{Count, Stats};
