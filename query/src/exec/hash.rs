//! Hash maps of a query: with a hash that is several times as fast as that of the standard library, and seeded for each process.

use foldhash::fast::RandomState;

/// Ordered by nothing that holds from one process to the next.
pub(super) type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;
