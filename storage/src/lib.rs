//! Rows in, batches out, on RocksDB.
//!
//! - **What**: [`Db`] implements `model::Appender` and `model::Querier`: one scrape is one row, a series is a pair of a
//!   Source and a Metric, and a selection comes out source by source.
//! - **Path**: the last step of a scraped byte (`rows/writer`), the first of a query (`index/select`, `querier`).
//! - **Invariants**: the only crate that knows RocksDB; no async, no HTTP, no YAML. Nothing in memory grows with what is
//!   stored, and nothing is rebuilt at a start unless something is damaged. What `commit` has returned survives the end of
//!   the process.
//! - **Files**: `live` the database as others hold it · `open`, `db`, `sync`, `store`, `view` one opening of its directory ·
//!   `schema` column families and keys · `rows/` a scrape as bytes, in and out · `pages/` columns at rest · `histograms/`
//!   the samples that are native histograms · `seal/` rows into pages, small partitions into large ones · `read/` both into
//!   columns · `index/` ids, postings, matchers · `exemplars` · `querier` · `deletes`, `settle`, `retention`, `snapshot` · `stats`,
//!   `metrics` · `quarantine/` damaged files, logs and MANIFEST · `rebuild` the index made anew · `beside` what helps to
//!   repair · `clock` · `foreign` · `cache`, `checksum`, `limits`, `varint`.
//! - **Tests**: codecs at the foot of their files; `tests/model.rs` against an oracle, `tests/crash.rs` against SIGKILL,
//!   `tests/faults.rs` against writes that fail, `tests/matchers.rs`, `tests/directory.rs`, `tests/formats.rs` on
//!   directories of earlier builds, `tests/flips.rs`, `tests/repairs.rs` and `tests/torture.rs` on damaged files,
//!   `tests/disk_full.rs` on a small file system. Formats are drawn in `docs/formats/`.

mod beside;
mod cache;
mod checksum;
mod clock;
mod db;
#[expect(unreachable_pub, reason = "`live::Db` hands these methods on to other crates")]
mod deletes;
mod error;
mod exemplars;
mod foreign;
mod histograms;
mod index;
mod limits;
mod live;
mod metric_labels;
mod metrics;
mod open;
mod options;
mod pages;
mod quarantine;
mod querier;
mod read;
mod rebuild;
#[expect(unreachable_pub, reason = "`live::Db` hands these methods on to other crates")]
mod retention;
mod rows;
mod scan;
mod schema;
mod seal;
mod settle;
mod snapshot;
mod sorted;
mod stats;
mod store;
mod sync;
mod varint;
mod view;

pub use clock::{Clock, Told};
pub use deletes::RetentionRule;
pub use error::Error;
pub use live::Db;
pub use options::Options;
pub use quarantine::Damage;
pub use seal::Sealed;
pub use stats::{Count, Stats};
