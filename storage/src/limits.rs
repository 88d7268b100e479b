//! Every bound of the store that is not an option, in one place.

use std::time::Duration;

/// Quarantine records that are remembered, and names of metrics in each.
pub(crate) const QUARANTINE_RECORDS: usize = 100;
pub(crate) const RECORD_METRICS: usize = 50;
/// Records that a query is warned of one by one.
pub(crate) const RECORD_WARNINGS: usize = 10;
/// How many times one call that meets damage has the directory reopened, and how long that waits for others to stop using it.
pub(crate) const REOPENED_FOR_ONE: u32 = 5;
pub(crate) const REOPEN_PATIENCE: Duration = Duration::from_secs(10);
/// How often the column family `copies` is flushed to a file, where there is anything new.
pub(crate) const COPIES_FLUSHED_EVERY: Duration = Duration::from_mins(1);
/// How often reopening is tried again where it fails.
pub(crate) const REOPEN_EVERY: Duration = Duration::from_secs(5);
/// How many times opening is tried, each time with the damaged files set aside that were found.
pub(crate) const OPEN_ROUNDS: usize = 20;
/// Cost model: reading the labels of one id takes as long as reading so many postings in key order.
pub(crate) const POSTINGS_PER_LABELS: u64 = 8;
/// With more candidate metrics per source than this, a selection goes source by source instead of metric by metric.
pub(crate) const METRICS_PER_SOURCE: u64 = 16;
/// Up to so many metrics a listing filters sources by who wrote them; beyond that no source is left out.
pub(crate) const METRICS_ONE_BY_ONE: u64 = 64;
/// Up to so many postings are looked up one by one; more are read by one iterator.
pub(crate) const POSTINGS_ONE_BY_ONE: u64 = 64;
/// With more segments per source than this, a selection goes source by source instead of segment by segment.
pub(crate) const SEGMENTS_PER_SOURCE: u64 = 4;
/// Cost model: a seek takes as long as passing over so many postings.
pub(crate) const POSTINGS_PER_SEEK: u32 = 8;
/// Metrics interned in one write, while the index's gate is held once.
pub(crate) const IDS_AT_ONCE: usize = 8 << 10;
/// Overhead of a cache entry, bytes.
pub(crate) const CACHE_ENTRY_BYTES: usize = 96;
/// A selection that weighs no more is kept in its caller's memo, bytes; reading what it selects costs little beside selecting.
pub(crate) const REMEMBERED_SELECTION: usize = 4 << 10;
/// So many columns of a segment are cached decoded when asked for at once, and no more.
pub(crate) const CACHED_COLUMNS: usize = 64;
/// The parts of the store's memory for the read cache, and for the caches of the index: one of so many. The rest is
/// RocksDB's, for what was just written and for blocks.
pub(crate) const READ_CACHE_PART: usize = 5;
pub(crate) const INDEX_PART: usize = 5;
/// A selection of more (source, metric) pairs than this does not fill the block cache; one of more sources does not fill it
/// with blocks of rows, since its decoded columns are in the read cache.
pub(crate) const CACHED_PAIRS: u64 = 4_000;
pub(crate) const CACHED_SOURCES: u64 = 32;
/// The most values that a batch of a selection should hold: fewer where the store has little memory.
pub(crate) const fn batch_values(memory_bytes: usize) -> usize {
    let values = memory_bytes / 256;
    if values < BATCH_VALUES { values } else { BATCH_VALUES }
}
const BATCH_VALUES: usize = 512 << 10;
/// Metrics whose labels a scan keeps in its own direct-mapped cache; a power of two.
pub(crate) const KNOWN_METRICS: usize = 16 << 10;
/// How many of them it looks up at once.
pub(crate) const KNOWN_AT_ONCE: usize = 64;
/// Series of one part of a selection in label order, at most.
pub(crate) const SORTED_AT_ONCE: usize = 1 << 10;
/// Estimated memory of a value and of a column while a batch is built, bytes.
pub(crate) const VALUE_READ_BYTES: usize = 20;
pub(crate) const COLUMN_READ_BYTES: usize = 192;
/// The same of the labels of a metric in a scan's cache.
pub(crate) const KNOWN_BYTES: usize = 160;
/// Columns of one batch: at least, as long as it holds no more than so many times the values of others, and at most.
pub(crate) const BATCH_COLUMNS: (usize, usize, usize) = (16, 128, 16 << 10);
pub(crate) const LONG_BATCH: usize = 4;
/// Values that make a part of a selection worth a thread of its own, and how many of them a column counts for by itself.
pub(crate) const PART_WORK: usize = 16 << 10;
pub(crate) const COLUMN_WORK: usize = 8;
/// For a range of more buckets than this the number of rows is estimated from the buckets and partitions that exist, not from
/// the length of the range.
pub(crate) const BUCKETS_TRUSTED: usize = 16;
/// The scrape interval assumed when the rows of a range are estimated.
pub(crate) const ASSUMED_INTERVAL_MS: i64 = 10_000;
/// Samples of one series in a batch, at most.
pub(crate) const SERIES_SAMPLES: usize = 1 << 28;
/// Columns of layouts that are remembered of sources that come series by series, of all together; and of one source, beyond
/// which a layout begins anew where a batch has few of them.
pub(crate) const SERIES_COLUMNS: usize = 1 << 20;
pub(crate) const SERIES_COLUMNS_KEPT: usize = 4 << 10;
/// Segments of a source that are read to find its layout after a restart; with more it begins anew.
pub(crate) const SERIES_SEGMENTS_READ: usize = 256;
/// With so many samples of a source in a partition they go to its pages at once, if it has no more than so many times as many
/// already.
pub(crate) const PAGED_AT_ONCE: u64 = 8;
pub(crate) const PAGED_PER_ADDED: u64 = 4;
/// Late samples at so many times go to pages in any case: of each row that is late all its series are read.
pub(crate) const PAGED_TIMES: usize = 16;
/// A time of added samples is one of the source where one of so many series has it.
pub(crate) const COMMON_TIME_SERIES: usize = 4;
/// Ids removed while the index's gate is held once.
pub(crate) const FORGET_AT_ONCE: usize = 512;
/// Buckets looked through for the newest row of a source after a restart.
pub(crate) const NEWEST_BUCKETS: usize = 64;
/// Rounds of background work after which the frames of a silent source are freed, and after which the rest of its state is.
pub(crate) const FRAME_ROUNDS: u32 = 1;
pub(crate) const IDLE_ROUNDS: u32 = 10;
/// Postings that a rebuild collects in memory before it writes them.
pub(crate) const POSTS_AT_ONCE: usize = 16 << 10;
/// After so many single additions to postings the memtable is flushed, which merges them.
pub(crate) const POSTED_ONE_BY_ONE: u64 = 10_000;
/// How often the current time is stored for the next start.
pub(crate) const NOW_EVERY_MS: u64 = 60_000;
/// Samples further ahead of the present than this were taken while the clock was wrong: present samples are not late for them.
pub(crate) const AHEAD_MS: i64 = 60_000;
/// Rows that a timeline may have: a day of milliseconds.
pub(crate) const TIMELINE_ROWS: usize = 86_400_000;
/// Rows beyond which the partitions of a source are not merged into a larger one: a column is decoded whole.
pub(crate) const MERGED_ROWS: usize = 6_000;
/// The lengths of partitions, in buckets: as they are flushed, and as they are merged.
pub(crate) const PARTITION_BUCKETS: [u32; 3] = [1, 8, 48];
/// A page is full with this many columns or bytes.
pub(crate) const PAGE_COLUMNS: u64 = 256;
pub(crate) const PAGE_BYTES: usize = 8 << 10;
/// Values that a flush or compaction holds at once, about.
pub(crate) const FLUSH_VALUES: usize = 1 << 18;
/// Bytes of background work that go into one write.
pub(crate) const WRITE_BATCH_BYTES: usize = 512 << 10;
/// With so many bytes in the memtable, the pages of a flushed bucket become a file of their own.
pub(crate) const PAGES_FILE_BYTES: u64 = 1 << 20;
/// Iterators over pages that one selection holds, each on partitions of its own.
pub(crate) const PAGE_ITERATORS: usize = 32;
/// Up to so many wanted metrics are found in pages by their own labels, more by the names of their segments.
pub(crate) const NAMED_BY_LABELS: usize = 32;
/// With fewer wanted metrics left than this, the iterator seeks past pages that hold none of them.
pub(crate) const PAGE_LEAP: usize = 8;
/// Series are listed by their samples where the range is no longer than this, else by buckets and partitions.
pub(crate) const LISTED_EXACTLY_MS: i64 = 6 * 60 * 60 * 1_000;
