//! Every bound of the store that is not an option, in one place.

use std::time::Duration;

/// Quarantine records that are remembered, and names of metrics in each.
pub(crate) const QUARANTINE_RECORDS: usize = 100;
pub(crate) const RECORD_METRICS: usize = 50;
/// Records that a query is warned of one by one.
pub(crate) const RECORD_WARNINGS: usize = 10;
/// So many times the directory is opened again for one call that meets damage, and so long is waited until nobody uses it.
pub(crate) const REOPENED_FOR_ONE: u32 = 5;
pub(crate) const REOPEN_PATIENCE: Duration = Duration::from_secs(10);
/// How often what is kept twice is written to a file of its own, where there is anything new.
pub(crate) const COPIES_FLUSHED_EVERY: Duration = Duration::from_mins(1);
/// How often that is tried where it fails.
pub(crate) const REOPEN_EVERY: Duration = Duration::from_secs(5);
/// So many times a database is opened again, each time with the damaged files set aside that were found.
pub(crate) const OPEN_ROUNDS: usize = 20;
/// So many postings are read in their order in the time of reading the labels of one id.
pub(crate) const POSTINGS_PER_LABELS: u64 = 8;
/// With more candidates for each source than this, what the sources wrote is asked for instead of who wrote each metric.
pub(crate) const METRICS_PER_SOURCE: u64 = 16;
/// Metrics of which it is asked who may have written them; of more nobody is left out.
pub(crate) const METRICS_ONE_BY_ONE: u64 = 64;
/// Postings that are asked for one by one; more are read in their order.
pub(crate) const POSTINGS_ONE_BY_ONE: u64 = 64;
/// With more segments for each source than this, it is asked which the sources wrote instead of who wrote each segment.
pub(crate) const SEGMENTS_PER_SOURCE: u64 = 4;
/// So many postings are passed over in the time of seeking one.
pub(crate) const POSTINGS_PER_SEEK: u32 = 8;
/// Metrics found, and made where new, in one write and under one hold of the index's gate.
pub(crate) const IDS_AT_ONCE: usize = 8 << 10;
/// What a cache entry weighs besides its text.
pub(crate) const CACHE_ENTRY_BYTES: usize = 96;
/// So many columns of a segment are cached decoded when asked for at once, and no more.
pub(crate) const CACHED_COLUMNS: usize = 64;
/// The parts of the store's memory for the read cache, and for the caches of the index: one of so many. The rest is
/// RocksDB's, for what was just written and for blocks.
pub(crate) const READ_CACHE_PART: usize = 8;
pub(crate) const INDEX_PART: usize = 4;
/// A selection of more pairs of sources and metrics than this leaves the blocks in memory to others; one of more sources
/// those of rows, whatever it takes of each row: its columns are kept instead.
pub(crate) const CACHED_PAIRS: u64 = 4_000;
pub(crate) const CACHED_SOURCES: u64 = 32;
/// Values that one batch of a selection aims not to exceed: fewer where the store has little memory, as readers then have.
pub(crate) const fn batch_values(memory_bytes: usize) -> usize {
    let values = memory_bytes / 256;
    if values < BATCH_VALUES { values } else { BATCH_VALUES }
}
const BATCH_VALUES: usize = 512 << 10;
/// Metrics whose labels a reader of a selection keeps at hand; a power of two.
pub(crate) const KNOWN_METRICS: usize = 16 << 10;
/// How many of them it looks for at once.
pub(crate) const KNOWN_AT_ONCE: usize = 64;
/// Series of one part of a selection in label order, at most.
pub(crate) const SORTED_AT_ONCE: usize = 1 << 10;
/// Memory that a value and a column take while a batch is made, about.
pub(crate) const VALUE_READ_BYTES: usize = 20;
pub(crate) const COLUMN_READ_BYTES: usize = 192;
/// And labels of a metric that are kept at hand.
pub(crate) const KNOWN_BYTES: usize = 160;
/// Columns of one batch: at least, as long as it holds no more than so many times the values of others, and at most.
pub(crate) const BATCH_COLUMNS: (usize, usize, usize) = (16, 128, 16 << 10);
pub(crate) const LONG_BATCH: usize = 4;
/// Values that make a part of a selection worth a thread's while, and how many of them a column is worth by itself.
pub(crate) const PART_WORK: usize = 16 << 10;
pub(crate) const COLUMN_WORK: usize = 8;
/// A range of no more buckets than this is taken as it is when the rows in it are estimated; of longer ones it is looked for how
/// much of it there is anything.
pub(crate) const BUCKETS_TRUSTED: usize = 16;
/// The scrape interval assumed when the rows of a range are estimated.
pub(crate) const ASSUMED_INTERVAL_MS: i64 = 10_000;
/// Samples of one series in a batch, at most.
pub(crate) const SERIES_SAMPLES: usize = 1 << 28;
/// Columns of layouts that are remembered of sources that come series by series, of all together; and of one source, beyond
/// which a layout begins anew where a batch has few of them.
pub(crate) const SERIES_COLUMNS: usize = 1 << 20;
pub(crate) const SERIES_COLUMNS_KEPT: usize = 4 << 10;
/// With so many samples of a source in a partition they go to its pages at once, if it has no more than so many times as many
/// already.
pub(crate) const PAGED_AT_ONCE: u64 = 8;
pub(crate) const PAGED_PER_ADDED: u64 = 4;
/// A time of added samples is one of the source where one of so many series has it.
pub(crate) const COMMON_TIME_SERIES: usize = 4;
/// Ids taken away under one hold of the index's gate.
pub(crate) const FORGET_AT_ONCE: usize = 512;
/// Buckets looked through for the newest row of a source after a restart.
pub(crate) const NEWEST_BUCKETS: usize = 64;
/// Rounds of housekeeping after which the frames of a silent source are let go, and those after which all else of its
/// state is.
pub(crate) const FRAME_ROUNDS: u32 = 1;
pub(crate) const IDLE_ROUNDS: u32 = 10;
/// Postings that are put together in memory before they are written, where they are made anew.
pub(crate) const POSTS_AT_ONCE: usize = 16 << 10;
/// Ids added to postings one by one, after which they are brought together on the disk.
pub(crate) const POSTED_ONE_BY_ONE: u64 = 10_000;
/// How often the time that was told is kept for the next start.
pub(crate) const NOW_EVERY_MS: u64 = 60_000;
/// Samples further ahead of the present than this say that the clock was wrong when they were taken; what comes after them is
/// stored all the same.
pub(crate) const AHEAD_MS: i64 = 60_000;
/// Rows that a timeline may name: a day of milliseconds.
pub(crate) const TIMELINE_ROWS: usize = 86_400_000;
/// Rows beyond which the partitions of a source are not merged into a larger one: a column is decoded whole.
pub(crate) const MERGED_ROWS: usize = 6_000;
/// The lengths of partitions, in buckets: what is sealed, and what is merged.
pub(crate) const PARTITION_BUCKETS: [u32; 3] = [1, 8, 48];
/// A page is full with this many columns or bytes.
pub(crate) const PAGE_COLUMNS: u64 = 256;
pub(crate) const PAGE_BYTES: usize = 8 << 10;
/// Values that a flush or compaction holds at once, about.
pub(crate) const FLUSH_VALUES: usize = 1 << 18;
/// Bytes of background work that go into one write.
pub(crate) const WRITE_BATCH_BYTES: usize = 512 << 10;
/// With so many bytes waiting, the pages of a sealed bucket become a file of their own.
pub(crate) const PAGES_FILE_BYTES: u64 = 1 << 20;
/// Iterators over pages that one selection keeps, each on partitions of its own.
pub(crate) const PAGE_ITERATORS: usize = 32;
/// Up to so many wanted metrics are named by their labels, more by those of their segments.
pub(crate) const NAMED_BY_LABELS: usize = 32;
/// With fewer wanted metrics left than this, pages that hold none of them are leapt over.
pub(crate) const PAGE_LEAP: usize = 8;
/// Series are listed by their samples where the range is no longer than this, else by buckets and partitions.
pub(crate) const LISTED_EXACTLY_MS: i64 = 6 * 60 * 60 * 1_000;
