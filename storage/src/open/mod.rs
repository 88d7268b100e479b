//! Opens a data directory: checks it, sets RocksDB's options, reads and writes `meta`.

pub(crate) mod prometheus_data;
pub(crate) mod rebuild;
mod report;

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, LogLevel, Options as DbOptions,
    WriteBufferManager,
};

use crate::error::Error;
use crate::index::postings;
use crate::kv::schema::{
    Bucket, Cf, FORMAT, META_BUCKET_MS, META_COPIED, META_FORMAT, META_HORIZON_MS, bucket_key, parse_bucket_key,
};
use crate::kv::store::Store;
use crate::limits;
use crate::metrics::Metrics;
use crate::open::rebuild::{copy_all, orphans, rebuild};
use crate::options::Options;
use crate::pages;
use crate::quarantine::{self, Damage, Hurt};
use crate::reader::snapshot::View;

/// A text file with the format and the length of a bucket, for when `meta` is lost.
const COPY: &str = "FORMAT";

/// The open store, its block cache and its memtables' accountant (both only to be asked how large they are), and the
/// time before which nothing is kept.
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) cache: Cache,
    pub(crate) memtables: WriteBufferManager,
    pub(crate) horizon_ms: i64,
}

/// Makes the directory if there is none, and locks it. A file system that has no such locks leaves that to RocksDB's file.
pub(crate) fn lock_directory(options: &Options) -> Result<Option<File>, Error> {
    let path = &options.path;
    if let Some(reason) = options.refused() {
        return Err(Error::Options { path: path.clone(), reason });
    }
    check_directory(path)?;
    let directory = File::open(path).map_err(|source| Error::Unwritable { path: path.clone(), source })?;
    match directory.try_lock() {
        Ok(()) => Ok(Some(directory)),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { path: path.clone() }),
        Err(TryLockError::Error(error)) => {
            tracing::debug!(%error, "the data directory cannot be locked itself");
            Ok(None)
        }
    }
}

/// Opens the directory; what had to be set aside goes to `hurt`, also where opening fails afterwards.
pub(crate) fn open(options: &Options, metrics: Metrics, hurt: &mut Vec<Hurt>) -> Result<Opened, Error> {
    let path = &options.path;
    check_directory(path)?;
    make_whole(path, hurt)?;
    check_families(path)?;
    // Memtables are charged to the cache, so that the one bound holds for both.
    let kept_bytes = options.memory_bytes / limits::KEPT_PART;
    let cache = Cache::new_lru_cache(options.memory_bytes - kept_bytes - index_bytes(options));
    let memtables =
        WriteBufferManager::new_write_buffer_manager_with_cache(options.memory_bytes / 2, false, cache.clone());
    let mut db_options = db_options(options, &memtables);
    db_options.create_if_missing(true);
    let db = open_whole(path, &mut db_options, &|| families(options, &cache), hurt)?;
    let mut store = Store::new(db, metrics, options.bucket_ms, kept_bytes);
    // Where the merged value is on the disk alone, it is read: each further merge would count those before it again.
    let merges = store.db.set_options_cf(&store.cf(Cf::Postings), &[("strict_max_successive_merges", "true")]);
    merges.map_err(|source| open_error(path, source))?;
    quarantine::told(path).into_iter().for_each(|damage| store.hurt(damage));
    // What the logs from here on hold is newer, as a rule: that tells the time of what is missing from their start.
    let newest_ms = quarantine::wal::Synced::read(path).map_or(i64::MIN, |synced| synced.newest_ms);
    store.go_on_from(newest_ms);
    let remade = remake(&store, path, hurt)?;
    let horizon_ms = read_meta(&mut store, options)?;
    quarantine::salvage::salvage(&store, path, &|| families(options, &cache), hurt)?;
    if remade || !hurt.is_empty() {
        tell_orphans(&store, hurt)?;
    }
    let mut any = store.iter(Cf::Histograms, &[], &[]);
    any.seek_to_first();
    let lost = |damage: &Damage| damage.family == Cf::Histograms.name();
    let any_lost = store.damage().iter().chain(hurt.iter().map(|one| &one.damage)).any(lost);
    let has_histograms = any.valid() || any.status().is_err() || any_lost;
    drop(any);
    store.has_histograms = AtomicBool::new(has_histograms);
    Ok(Opened { store, cache, memtables, horizon_ms })
}

/// Repairs what RocksDB could not open: CURRENT, MANIFEST and write-ahead logs.
fn make_whole(path: &Path, hurt: &mut Vec<Hurt>) -> Result<(), Error> {
    let failed = |source| Error::Quarantine { path: path.to_owned(), source };
    let repair = || {
        let mut options = DbOptions::default();
        options.set_merge_operator_associative("union", postings::merge);
        DB::repair(&options, path)
    };
    hurt.extend(quarantine::manifest_copy::restore(path, &repair).map_err(failed)?.into_iter().map(Hurt::from));
    if !path.join("CURRENT").exists() {
        return Ok(());
    }
    let gaps = quarantine::wal::check(path).map_err(failed)?;
    if !gaps.is_empty() {
        // What ids stand for, or who wrote what, may have been in it.
        let families = [Cf::Metrics, Cf::Sources, Cf::Layouts, Cf::Meta, Cf::Copies, Cf::Postings];
        quarantine::rebuild_later(path, families.map(|cf| cf.name().to_owned())).map_err(failed)?;
    }
    hurt.extend(gaps.into_iter().map(Hurt::from));
    Ok(())
}

/// Makes anew what was set aside and can be, and for a directory of an earlier build what is kept twice. Says whether
/// anything had to be made anew.
fn remake(store: &Store, path: &Path, hurt: &mut [Hurt]) -> Result<bool, Error> {
    let families = quarantine::to_rebuild(path);
    if !families.is_empty() {
        let lost = rebuild(store, &families)?;
        // Of rows, pages, histograms and exemplars there is nothing to make them from.
        let remade = [Cf::Metrics, Cf::Sources, Cf::Layouts, Cf::Postings, Cf::Meta, Cf::Copies].map(Cf::name);
        for one in hurt.iter_mut().map(|one| &mut one.damage) {
            let family = one.family.as_str();
            if remade.contains(&family) && !lost.families.contains(family) && !one.is_rebuilt() {
                one.set_rebuilt();
            }
        }
        quarantine::rebuilt(path).map_err(|source| Error::Quarantine { path: path.to_owned(), source })?;
    }
    if !store.has(Cf::Meta, META_COPIED)? {
        copy_all(store)?;
        store.put(Cf::Meta, META_COPIED, [])?;
    }
    Ok(!families.is_empty())
}

/// Tells of rows that are there and that nothing can decode.
fn tell_orphans(store: &Store, hurt: &mut Vec<Hurt>) -> Result<(), Error> {
    let buckets: Vec<Bucket> = orphans(store)?.into_iter().collect();
    let what = "rows whose first row or column list is gone cannot be read";
    for run in buckets.chunk_by(|a, b| a.end_ms(store.bucket_ms) == b.0) {
        let (from_ms, to_ms) = (run[0].0, run[run.len() - 1].end_ms(store.bucket_ms) - 1);
        let (place, family) = (format!("rows from {from_ms}"), Cf::Rows.name().to_owned());
        hurt.push(Damage { place, family, from_ms, to_ms, metrics: Vec::new(), what: what.to_owned() }.into());
    }
    Ok(())
}

fn families(options: &Options, cache: &Cache) -> Vec<ColumnFamilyDescriptor> {
    let families = Cf::ALL.map(|cf| ColumnFamilyDescriptor::new(cf.name(), cf_options(cf, options, cache)));
    // Unused, but there: with its own 64 MiB memtable RocksDB would wait for that much room after the disk was full.
    let mut unused = DbOptions::default();
    unused.set_write_buffer_size(1 << 20);
    families.into_iter().chain([ColumnFamilyDescriptor::new("default", unused)]).collect()
}

/// Opens what is whole: damaged files are set aside first, and what they had goes to `hurt`.
fn open_whole(
    path: &Path,
    db_options: &mut DbOptions,
    families: &dyn Fn() -> Vec<ColumnFamilyDescriptor>,
    hurt: &mut Vec<Hurt>,
) -> Result<DB, Error> {
    let aside = |source| Error::Quarantine { path: path.to_owned(), source };
    for _ in 0..limits::OPEN_ROUNDS {
        let failed = match DB::open_cf_descriptors(db_options, path, families()) {
            Ok(db) if quarantine::bad_files(&db, path, None).map_err(aside)?.is_empty() => match unreadable_meta(&db) {
                None => return Ok(db),
                damaged => damaged,
            },
            Ok(_) => None,
            Err(source) if quarantine::is_damage(&source) => Some(source),
            Err(source) => return Err(open_error(path, source)),
        };
        // Only while nobody writes is the list of files and what is there the same.
        db_options.set_paranoid_checks(false);
        let looked = DB::open_cf_descriptors_read_only(db_options, path, families(), false);
        db_options.set_paranoid_checks(true);
        let looked = looked.map_err(|source| open_error(path, source))?;
        let text = failed.as_ref().map(ToString::to_string);
        let mut bad = quarantine::bad_files(&looked, path, text.as_deref()).map_err(aside)?;
        if bad.is_empty() && failed.is_some() {
            // Not every complaint names the file that it is about.
            bad = quarantine::unopenable_files(&looked, path, families).map_err(aside)?;
        }
        drop(looked);
        if let (true, Some(source)) = (bad.is_empty(), failed) {
            return Err(open_error(path, source));
        }
        hurt.extend(quarantine::set_aside(path, bad).map_err(aside)?);
    }
    let source = std::io::Error::other("ever more damaged files are found");
    Err(aside(source))
}

/// Of `meta` there is little, and all of it is needed: it is set aside when any of it cannot be read.
fn unreadable_meta(db: &DB) -> Option<rocksdb::Error> {
    let mut iter = db.raw_iterator_cf(db.cf_handle(Cf::Meta.name())?);
    iter.seek_to_first();
    while iter.valid() {
        iter.next();
    }
    iter.status().err().filter(|error| error.kind() == rocksdb::ErrorKind::Corruption)
}

pub(crate) fn check_directory(path: &Path) -> Result<(), Error> {
    let unwritable = |source| Error::Unwritable { path: path.to_owned(), source };
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_dir() => return Err(Error::NotADirectory { path: path.to_owned() }),
        Ok(_) => {}
        Err(_) => fs::create_dir_all(path).map_err(unwritable)?,
    }
    let probe = path.join(format!(".writable-{}", std::process::id()));
    fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(unwritable)
}

/// A later version's column families are no reason for RocksDB's own words about them.
fn check_families(path: &Path) -> Result<(), Error> {
    if !path.join("CURRENT").exists() {
        return Ok(());
    }
    let families = DB::list_cf(&DbOptions::default(), path).map_err(|source| open_error(path, source))?;
    let foreign: Vec<&str> = families
        .iter()
        .map(String::as_str)
        .filter(|name| *name != "default" && Cf::ALL.iter().all(|cf| cf.name() != *name))
        .collect();
    if foreign.is_empty() {
        return Ok(());
    }
    let found = format!("one with the column families {}", foreign.join(", "));
    Err(Error::Format { path: path.to_owned(), found, expected: FORMAT })
}

/// The share of the index's caches.
pub(crate) fn index_bytes(options: &Options) -> usize {
    options.memory_bytes / limits::INDEX_PART
}

fn open_error(path: &Path, source: rocksdb::Error) -> Error {
    let path = path.to_owned();
    let text = source.to_string();
    if text.contains("LOCK") && (text.contains("Resource temporarily unavailable") || text.contains("lock hold by")) {
        return Error::InUse { path };
    }
    Error::Open { path, source }
}

fn db_options(options: &Options, memtables: &WriteBufferManager) -> DbOptions {
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
            family.set_merge_operator_associative("union", postings::merge);
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

/// Writes `meta` as that of a new directory, or after it was lost as the copy says.
fn make_meta(store: &Store, options: &Options, copy: Option<String>) -> Result<(), Error> {
    let kept = copy.as_deref().and_then(|text| text.strip_prefix(FORMAT)?.trim().parse::<u32>().ok());
    let mut is_new = true;
    for cf in [Cf::Sources, Cf::Postings] {
        store.each(cf, &[], |_, _| {
            is_new = false;
            Ok(false)
        })?;
    }
    if kept.is_none() && !is_new {
        let found = copy.unwrap_or_else(|| "not known, its column family meta being lost".to_owned());
        return Err(Error::Format { path: options.path.clone(), found, expected: FORMAT });
    }
    let bucket_ms = kept.unwrap_or(options.bucket_ms);
    let mut batch = rocksdb::WriteBatch::default();
    for (key, value) in [(META_FORMAT, FORMAT.as_bytes()), (META_BUCKET_MS, &bucket_ms.to_be_bytes()[..])] {
        batch.put_cf(store.cf(Cf::Meta), key, value);
        store.copy(&mut batch, (Cf::Meta, key), Some(value));
    }
    store.write(batch)
}

/// Checks the format, takes over the bucket length, returns the horizon.
fn read_meta(store: &mut Store, options: &Options) -> Result<i64, Error> {
    let copy = options.path.join(COPY);
    if !store.has(Cf::Meta, META_FORMAT)? {
        make_meta(store, options, fs::read_to_string(&copy).ok())?;
    }
    let found = store.get(Cf::Meta, META_FORMAT)?.unwrap_or_default();
    if found != FORMAT.as_bytes() {
        let found = String::from_utf8_lossy(&found).into_owned();
        return Err(Error::Format { path: options.path.clone(), found, expected: FORMAT });
    }
    let bucket_ms =
        store.get(Cf::Meta, META_BUCKET_MS)?.and_then(|bytes| Some(u32::from_be_bytes(bytes.try_into().ok()?)));
    match bucket_ms {
        Some(bucket_ms) if bucket_ms > 0 => {
            if bucket_ms != options.bucket_ms {
                tracing::warn!(bucket_ms, asked = options.bucket_ms, "the data directory keeps its own bucket length");
            }
            store.bucket_ms = bucket_ms;
        }
        _ => {
            let found = format!("{FORMAT} without a bucket length");
            return Err(Error::Format { path: options.path.clone(), found, expected: FORMAT });
        }
    }
    // What cannot be guessed stands beside the database, too.
    let text = format!("{FORMAT}\n{}\n", store.bucket_ms);
    if fs::read_to_string(&copy).ok().as_deref() != Some(&text) {
        fs::write(&copy, text).map_err(|source| Error::Unwritable { path: options.path.clone(), source })?;
    }
    let sealed = pages::partitions(&View::new(store))?;
    let sealed_until = sealed.iter().map(|(partition, _)| partition.end_ms(store.bucket_ms)).max();
    // Sealed buckets of which nothing was kept have no pages: all with rows but the newest may be such.
    let mut buckets = Vec::new();
    store.each(Cf::Postings, &bucket_key(Bucket(0))[..1], |key, _| {
        buckets.extend(parse_bucket_key(key));
        Ok(true)
    })?;
    let before_newest = buckets.iter().rev().nth(1).map(|bucket| bucket.end_ms(store.bucket_ms));
    let sealed_until = sealed_until.max(before_newest).unwrap_or(i64::MIN);
    store.sealed_until_ms.store(sealed_until, std::sync::atomic::Ordering::Release);
    let horizon =
        store.get(Cf::Meta, META_HORIZON_MS)?.and_then(|bytes| Some(i64::from_be_bytes(bytes.try_into().ok()?)));
    Ok(horizon.unwrap_or(i64::MIN))
}
