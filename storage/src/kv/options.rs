//! RocksDB's options: memory, compression and block sizes of each column family.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, LogLevel, Options as DbOptions,
    WriteBufferManager,
};

use super::bitmap;
use super::schema::Cf;
use crate::limits;
use crate::options::Options;

/// RocksDB's share of the store's memory. Memtables are charged to the block cache, so that the one bound holds for both.
#[derive(Clone)]
pub(crate) struct Memory {
    pub(crate) block_cache: Cache,
    pub(crate) memtables: WriteBufferManager,
}

impl Memory {
    pub(crate) fn new(options: &Options) -> Self {
        let bytes = options.memory_bytes - read_cache_bytes(options) - index_bytes(options);
        let block_cache = Cache::new_lru_cache(bytes);
        let memtables = WriteBufferManager::new_write_buffer_manager_with_cache(
            options.memory_bytes / 2,
            false,
            block_cache.clone(),
        );
        Self { block_cache, memtables }
    }
}

/// The share of what readers keep between queries.
pub(crate) fn read_cache_bytes(options: &Options) -> usize {
    options.memory_bytes / limits::READ_CACHE_PART
}

/// The share of the index's caches.
pub(crate) fn index_bytes(options: &Options) -> usize {
    options.memory_bytes / limits::INDEX_PART
}

/// All column families, with their options.
pub(crate) fn families(options: &Options, cache: &Cache) -> Vec<ColumnFamilyDescriptor> {
    let families = Cf::ALL.map(|cf| ColumnFamilyDescriptor::new(cf.name(), cf_options(cf, options, cache)));
    // Unused, but there: with its own 64 MiB memtable RocksDB would wait for that much room after the disk was full.
    let mut unused = DbOptions::default();
    unused.set_write_buffer_size(1 << 20);
    families.into_iter().chain([ColumnFamilyDescriptor::new("default", unused)]).collect()
}

/// Options of the database as a whole.
pub(crate) fn db_options(options: &Options, memtables: &WriteBufferManager) -> DbOptions {
    let mut db = DbOptions::default();
    db.create_missing_column_families(true);
    db.set_write_buffer_manager(memtables);
    db.set_max_total_wal_size(options.wal_bytes);
    // Opening must not depend on how many files there are.
    db.set_max_open_files(512);
    db.set_skip_stats_update_on_db_open(true);
    db.set_max_background_jobs(2);
    db.set_bytes_per_sync(1 << 20);
    db.set_keep_log_file_num(2);
    db.set_max_log_file_size(4 << 20);
    db.set_log_level(LogLevel::Warn);
    db.set_stats_dump_period_sec(0);
    // It is kept twice, and read when it is repaired.
    db.set_max_manifest_file_size(8 << 20);
    db.set_stats_persist_period_sec(0);
    // A torn end of the log is what a killed machine leaves; whatever follows damage is not read.
    db.set_wal_recovery_mode(rocksdb::DBRecoveryMode::PointInTime);
    db
}

fn cf_options(cf: Cf, options: &Options, cache: &Cache) -> DbOptions {
    let mut family = DbOptions::default();
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(6);
    // What rests long is compressed well from the first file on: pages are small and written once or twice.
    let rests = matches!(cf, Cf::Pages | Cf::Histograms);
    let fresh = if rests { DBCompressionType::Zstd } else { DBCompressionType::Lz4 };
    family.set_compression_type(fresh);
    // Rows are gone before a stronger compression has paid for itself.
    let at_rest = if cf == Cf::Rows { DBCompressionType::Lz4 } else { DBCompressionType::Zstd };
    family.set_bottommost_compression_type(at_rest);
    // What is written often gets room, but no more than saves writing it twice.
    let most = match cf {
        Cf::Rows | Cf::Pages => 16 << 20,
        _ => 2 << 20,
    };
    family.set_write_buffer_size((options.memory_bytes / 16).clamp(1 << 20, most));
    family.set_max_write_buffer_number(4);
    family.set_level_compaction_dynamic_level_bytes(true);
    match cf {
        // Copies are read only when something is made anew.
        Cf::Pages | Cf::Histograms | Cf::Exemplars | Cf::Copies => table.set_block_size(32 << 10),
        // Who looks for the newest rows of many sources reads, and keeps, a block for each of them.
        Cf::Rows => table.set_block_size(8 << 10),
        Cf::Postings => {
            table.set_block_size(8 << 10);
            table.set_bloom_filter(10.0, false);
            family.set_merge_operator_associative("union", bitmap::merge);
            // A posting that grows quickly is merged as it is written, not again by every reader.
            family.set_max_successive_merges(32);
        }
        Cf::Metrics | Cf::Sources | Cf::Layouts | Cf::Meta => {
            table.set_block_size(8 << 10);
            table.set_bloom_filter(10.0, false);
        }
    }
    family.set_block_based_table_factory(&table);
    family
}
