//! Damage: what cannot be used is set aside and recorded, so that the rest of the database can be used. Stands on the
//! key-value layer and knows nothing of rows and pages but their keys.
//!
//! `files` sets sorted files aside, `wal` checks write-ahead logs before RocksDB replays them, `manifest_copy` and
//! `safeguards` keep what is needed to repair a directory. `record` is what is said of damage, `records` what an open
//! database has met, `warnings` what a query is warned of. `pending` is what the next opening has to do. `manifest` alone
//! reads and edits RocksDB's MANIFEST (`docs/decisions/0030-…`), whose framing is in `log`; `single_file` opens one file as
//! a database.

pub(crate) mod directory;
pub(crate) mod files;
mod log;
mod manifest;
pub(crate) mod manifest_copy;
pub(crate) mod pending;
pub(crate) mod record;
pub(crate) mod records;
pub(crate) mod safeguards;
pub(crate) mod single_file;
pub(crate) mod wal;
pub(crate) mod warnings;
