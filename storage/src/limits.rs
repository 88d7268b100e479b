//! Every bound of the store that is not an option, in one place.

/// Text of label sets kept in memory, of sources and of metrics each.
pub(crate) const LABEL_CACHE_BYTES: usize = 16 << 20;
/// Column lists kept in memory.
pub(crate) const LAYOUT_CACHE_BYTES: usize = 16 << 20;
/// What a cache entry weighs besides its text.
pub(crate) const CACHE_ENTRY_BYTES: usize = 96;
/// Values that one batch of a selection aims not to exceed.
pub(crate) const BATCH_VALUES: usize = 4 << 20;
/// Columns of one batch, at least and at most, whatever the range.
pub(crate) const BATCH_COLUMNS: (usize, usize) = (256, 16 << 10);
/// The scrape interval assumed when the rows of a range are estimated.
pub(crate) const ASSUMED_INTERVAL_MS: i64 = 10_000;
/// Sources whose matching metrics are gathered at once.
pub(crate) const SOURCES_AT_ONCE: u64 = 256;
/// Ids taken away under one hold of the index's gate.
pub(crate) const FORGET_AT_ONCE: usize = 512;
/// Buckets looked through for the newest row of a source after a restart.
pub(crate) const NEWEST_BUCKETS: usize = 64;
/// Sets of segments whose metrics are remembered while one selection is listed.
pub(crate) const SEGMENT_SETS: usize = 64;
/// Rounds of housekeeping after which the state of a silent source is forgotten.
pub(crate) const IDLE_ROUNDS: u32 = 10;
