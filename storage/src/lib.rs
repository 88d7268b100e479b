//! Rows in, batches out, on RocksDB.
//!
//! - **What**: [`Db`] implements `model::Appender` and `model::Querier`: one scrape is one row, a series is a pair of a
//!   Source and a Metric, and a selection comes out source by source.
//! - **Path**: the last step of a scraped byte (`append/scrape`), the first of a query (`index/select`, `reader/scan`).
//! - **Invariants**: the only crate that knows RocksDB; no async, no HTTP, no YAML. Nothing in memory grows with what is
//!   stored, and nothing is rebuilt at a start unless something is damaged. What `commit` has returned survives the end of
//!   the process. A module imports only what stands below it.
//! - **Files**, from the bottom up: `kv/` RocksDB behind our column families and keys · `quarantine/` damaged files, logs and
//!   MANIFEST · `rows/` a scrape as bytes · `pages/` columns at rest · `histograms/` the samples that are native histograms ·
//!   `index/` ids, postings, matchers · `reader/` rows and pages into columns, the read cache, scans · `tombstones` ·
//!   `writer/` what a source may write next · `components` all of these side by side. Above them, each knowing the parts but
//!   not the whole: `append/` rows in · `compaction/` rows into pages, small partitions into large ones · `deletes/`,
//!   `retention/` what goes · `exemplars`, `listing`, `stats`, `cardinality`, `partition_stats`, `stored` · `open/` opens a directory and repairs it. `db` joins
//!   them, `recovery/` opens a directory again after damage, `read_copy` one beside its server. Beside them: `atomic_timestamp`, `bounds`, `clock`, `drain`,
//!   `limits`, `metrics`.
//! - **Tests**: codecs at the foot of their files; `tests/model.rs` against an oracle, `tests/crash.rs` against SIGKILL,
//!   `tests/faults.rs` against writes that fail, `tests/matchers.rs`, `tests/directory.rs`, `tests/formats.rs` on
//!   directories of earlier builds, `tests/flips.rs`, `tests/repairs.rs` and `tests/torture.rs` on damaged files,
//!   `tests/disk_full.rs` on a small file system. Formats are drawn in `docs/formats/`.

mod append;
mod atomic_timestamp;
mod bounds;
mod cache;
mod cardinality;
mod clock;
mod compaction;
mod components;
mod db;
mod deletes;
mod drain;
mod error;
mod exemplars;
mod histograms;
mod index;
mod kv;
mod limits;
mod listing;
mod maintenance;
mod metrics;
mod open;
mod options;
mod pages;
mod partition_stats;
mod quarantine;
mod read_copy;
mod reader;
mod recovery;
mod retention;
mod rows;
mod stats;
mod stored;
mod tombstones;
mod writer;

pub use cardinality::{Cardinality, SeriesCount};
pub use clock::{Clock, Told};
pub use compaction::pace::Compacted;
pub use error::Error;
pub use kv::Error as KvError;
pub use options::Options;
pub use partition_stats::PartitionStats;
pub use quarantine::record::QuarantineRecord;
pub use read_copy::ReadCopy;
pub use recovery::Db;
pub use stats::{Count, Stats};
pub use tombstones::RetentionRule;
