//! The key-value layer: RocksDB with our column families, below everything else of the crate.
//!
//! It opens the database (`options`), lays out keys (`schema`), reads, writes and iterates (`store`, `snapshot`), syncs the
//! log (`sync`), and knows when writing fails (`write_health`). `bitmap` is how sets of ids are stored and merged; `checksum`
//! and `varint` are what stored values are made of; `dropped` deletes the files of dropped ranges, `checkpoint` copies the
//! database.
//!
//! Invariant: it knows of no cache of readers, no source or row, and keeps no record of damage: who does listens to it
//! (`listener`).

pub(crate) mod bitmap;
pub(crate) mod checkpoint;
pub(crate) mod checksum;
pub(crate) mod dropped;
pub(crate) mod error;
pub(crate) mod listener;
pub(crate) mod options;
pub(crate) mod schema;
pub(crate) mod snapshot;
pub(crate) mod store;
pub(crate) mod sync;
pub(crate) mod varint;
pub(crate) mod write_health;

pub use error::Error;
