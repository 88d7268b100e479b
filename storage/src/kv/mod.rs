//! The key-value layer: RocksDB behind our column families.

pub(crate) mod checkpoint;
pub(crate) mod checksum;
pub(crate) mod schema;
pub(crate) mod store;
pub(crate) mod sync;
pub(crate) mod varint;
