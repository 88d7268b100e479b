//! Data directories of Prometheus: chunks, blocks and write-ahead logs, as other systems have them.
//!
//! - **What**: decodes and encodes chunks, and imports a data directory into any store, series by series; writes blocks.
//! - **Path**: none of a scrape or a query of our own; remote read sends chunks, and who moves in brings blocks.
//! - **Invariants**: a directory that is read is never written to. Damage costs what is damaged: a chunk, a series, the rest of a
//!   segment; it is counted and named, and all else is read. Memory is bounded by the symbols and the number of series of one block.
//! - **Files**: `bits/` and `chunk/` samples of a series · `bytes` integers of files · `meta`, `index`, `segments`, `tombstones` one
//!   block, `block` joins them · `wal/` the head · `directory` what there is · `import/` all of it into a store · `export/`
//!   blocks of what a store has.
//! - **Tests**: at the foot of each file; `tests/e2e/tests/import.rs` reads what a real Prometheus has written.
//!
//! Upstream's description of the formats is `tsdb/docs/format/`.

mod bits;
mod block;
mod bytes;
pub mod chunk;
mod directory;
mod error;
mod export;
pub mod import;
mod index;
mod meta;
mod segments;
mod tombstones;
mod wal;

pub use directory::DataDirectory;
pub use error::{Broken, Error};
pub use export::{Exported, export};
pub use import::{Import, NOTES, Progress, Report};
pub use meta::Meta;
