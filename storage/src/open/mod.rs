//! Opens a data directory: checks it, sets RocksDB's options, reads and writes `meta`.

pub(crate) mod prometheus_data;
pub(crate) mod rebuild;
pub(crate) mod report;
mod salvage;

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use model::Timestamp;
use rocksdb::{ColumnFamilyDescriptor, DB, Options as DbOptions};

use crate::error::Error;
use crate::kv::bitmap;
use crate::kv::error::is_damage;
use crate::kv::options::{Memory, db_options, families};
use crate::kv::schema::{
    Bucket, Cf, FORMAT, META_BUCKET_MS, META_COPIED, META_FORMAT, META_HORIZON_MS, bucket_key, parse_bucket_key,
};
use crate::kv::snapshot::Snapshot;
use crate::kv::store::Store;
use crate::options::Options;
use crate::quarantine::record::{QuarantineRecord, Quarantined, read_records};
use crate::quarantine::records::Records;
use crate::quarantine::{files, manifest_copy, pending, wal};
use crate::{limits, pages};
use rebuild::{copy_all, orphans, rebuild};

/// A text file with the format and the length of a bucket, for when `meta` is lost.
const COPY: &str = "FORMAT";

/// The open store, and what was read of its `meta`.
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) memory: Memory,
    /// The time before which nothing is kept.
    pub(crate) horizon: Timestamp,
    /// Buckets that end by this time may have been flushed.
    pub(crate) flushed_until: Timestamp,
    /// Are there, or were there, native histograms?
    pub(crate) any_histograms: bool,
    /// The newest row of an earlier opening, as far as it was synced.
    pub(crate) newest: Timestamp,
}

/// Makes the directory if there is none, and locks it. On a file system without such locks only RocksDB's LOCK file guards it.
pub(crate) fn lock_directory(options: &Options) -> Result<Option<File>, Error> {
    let path = &options.path;
    // Before the directory is made.
    if let Some(reason) = options.refused() {
        return Err(Error::Options { path: path.clone(), reason });
    }
    check_directory(path)?;
    let directory = File::open(path).map_err(|source| Error::Unwritable { path: path.clone(), source })?;
    match directory.try_lock() {
        Ok(()) => Ok(Some(directory)),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { path: path.clone() }),
        Err(TryLockError::Error(error)) => {
            tracing::debug!(%error, "cannot lock the data directory; only RocksDB's LOCK file guards it");
            Ok(None)
        }
    }
}

/// Opens the directory; what had to be set aside goes to `quarantined`, also where opening fails afterwards.
pub(crate) fn open(
    options: &Options,
    records: &Arc<Records>,
    quarantined: &mut Vec<Quarantined>,
) -> Result<Opened, Error> {
    let path = &options.path;
    check_directory(path)?;
    // RocksDB refuses to open what these repair.
    make_whole(path, quarantined)?;
    check_families(path)?;
    let memory = Memory::new(options);
    let families = || families(options, &memory.block_cache);
    let mut db_options = db_options(options, &memory.memtables);
    db_options.create_if_missing(true);
    let db = open_whole(path, &mut db_options, &families, quarantined)?;
    let mut store = Store::new(db, options.bucket_ms, Arc::<Records>::clone(records));
    // Where the merged value is on the disk alone, it is read: each further merge would count those before it again.
    let merges = store.db.set_options_cf(&store.cf(Cf::Postings), &[("strict_max_successive_merges", "true")]);
    merges.map_err(|source| open_error(path, source))?;
    read_records(path).into_iter().for_each(|record| records.add(record));
    // What the logs from here on hold is newer, as a rule: that tells the time of what is missing from their start.
    let newest = wal::Synced::read(path).map_or(Timestamp::MIN, |synced| synced.newest);
    // Before `meta` is read, which may have to be rebuilt itself.
    let rebuilt = rebuild_lost(&store, path, quarantined)?;
    let (horizon, flushed_until) = read_meta(&mut store, options)?;
    salvage::salvage(&store, path, &families, quarantined)?;
    if rebuilt || !quarantined.is_empty() {
        record_orphans(&store, quarantined)?;
    }
    let mut any = store.iter(Cf::Histograms, &[], &[]);
    // Whether there is one, not how many: without any, no query looks for them.
    any.seek_to_first();
    let lost = |record: &QuarantineRecord| record.family == Cf::Histograms.name();
    let any_lost = records.all().iter().chain(quarantined.iter().map(|one| &one.record)).any(lost);
    let any_histograms = any.valid() || any.status().is_err() || any_lost;
    drop(any);
    Ok(Opened { store, memory, horizon, flushed_until, any_histograms, newest })
}

/// Repairs what RocksDB could not open: CURRENT, MANIFEST and write-ahead logs.
fn make_whole(path: &Path, quarantined: &mut Vec<Quarantined>) -> Result<(), Error> {
    let failed = |source| Error::Quarantine { path: path.to_owned(), source };
    let repair = || {
        let mut options = DbOptions::default();
        // Repair reads postings, too, and merges them.
        options.set_merge_operator_associative("union", bitmap::merge);
        DB::repair(&options, path)
    };
    quarantined.extend(manifest_copy::restore(path, &repair).map_err(failed)?.into_iter().map(Quarantined::from));
    if !path.join("CURRENT").exists() {
        return Ok(());
    }
    let gaps = wal::check(path).map_err(failed)?;
    if !gaps.is_empty() {
        // The gap may have held definitions of ids, or who wrote what.
        let families = [Cf::Metrics, Cf::Sources, Cf::Layouts, Cf::Meta, Cf::Copies, Cf::Postings];
        pending::rebuild_later(path, families.map(|cf| cf.name().to_owned())).map_err(failed)?;
    }
    quarantined.extend(gaps.into_iter().map(Quarantined::from));
    Ok(())
}

/// Rebuilds what was set aside and can be, and for a directory of an earlier build the copies. Says whether anything had to be
/// rebuilt.
fn rebuild_lost(store: &Store, path: &Path, quarantined: &mut [Quarantined]) -> Result<bool, Error> {
    let families = pending::to_rebuild(path);
    if !families.is_empty() {
        let lost = rebuild(store, &families)?;
        // Of rows, pages, histograms and exemplars there is nothing to make them from.
        let rebuildable = [Cf::Metrics, Cf::Sources, Cf::Layouts, Cf::Postings, Cf::Meta, Cf::Copies].map(Cf::name);
        for one in quarantined.iter_mut().map(|one| &mut one.record) {
            let family = one.family.as_str();
            if rebuildable.contains(&family) && !lost.families.contains(family) && !one.is_rebuilt() {
                one.set_rebuilt();
            }
        }
        // Only now: a process that ends before this rebuilds once more, which only adds.
        pending::all_rebuilt(path).map_err(|source| Error::Quarantine { path: path.to_owned(), source })?;
    }
    if !store.has(Cf::Meta, META_COPIED)? {
        copy_all(store)?;
        store.put(Cf::Meta, META_COPIED, [])?;
    }
    Ok(!families.is_empty())
}

/// Records rows that are there and that nothing can decode.
fn record_orphans(store: &Store, quarantined: &mut Vec<Quarantined>) -> Result<(), Error> {
    let buckets: Vec<Bucket> = orphans(store)?.into_iter().collect();
    let what = "rows whose first row or column list is gone cannot be read";
    // One record for buckets that follow one another.
    for run in buckets.chunk_by(|a, b| a.end(store.bucket_ms) == b.0) {
        let (from, to) = (run[0].0, run[run.len() - 1].end(store.bucket_ms) - 1);
        let (place, family) = (format!("rows from {from}"), Cf::Rows.name().to_owned());
        quarantined
            .push(QuarantineRecord { place, family, from, to, metrics: Vec::new(), what: what.to_owned() }.into());
    }
    Ok(())
}

/// Opens the database; damaged files are set aside first, and described in `quarantined`.
fn open_whole(
    path: &Path,
    db_options: &mut DbOptions,
    families: &dyn Fn() -> Vec<ColumnFamilyDescriptor>,
    quarantined: &mut Vec<Quarantined>,
) -> Result<DB, Error> {
    let aside = |source| Error::Quarantine { path: path.to_owned(), source };
    for _ in 0..limits::OPEN_ROUNDS {
        let failed = match DB::open_cf_descriptors(db_options, path, families()) {
            Ok(db) if files::bad_files(&db, path, None).map_err(aside)?.is_empty() => match unreadable_meta(&db) {
                None => return Ok(db),
                damaged => damaged,
            },
            Ok(_) => None,
            Err(source) if is_damage(&source) => Some(source),
            Err(source) => return Err(open_error(path, source)),
        };
        // Only while nobody writes is the list of files and what is there the same.
        db_options.set_paranoid_checks(false);
        let looked = DB::open_cf_descriptors_read_only(db_options, path, families(), false);
        db_options.set_paranoid_checks(true);
        let looked = looked.map_err(|source| open_error(path, source))?;
        let text = failed.as_ref().map(ToString::to_string);
        let mut bad = files::bad_files(&looked, path, text.as_deref()).map_err(aside)?;
        if bad.is_empty() && failed.is_some() {
            // Not every error names the file that it is about.
            bad = files::unopenable_files(&looked, path, families).map_err(aside)?;
        }
        drop(looked);
        if let (true, Some(source)) = (bad.is_empty(), failed) {
            return Err(open_error(path, source));
        }
        quarantined.extend(files::set_aside(path, bad).map_err(aside)?);
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
    // Permissions do not tell everything: a file system may be mounted read-only.
    let probe = path.join(format!(".writable-{}", std::process::id()));
    fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(unwritable)
}

/// Gives column families of a later version an error of ours instead of RocksDB's.
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

fn open_error(path: &Path, source: rocksdb::Error) -> Error {
    let path = path.to_owned();
    let text = source.to_string();
    // RocksDB has no code of its own for that, only these texts.
    if text.contains("LOCK") && (text.contains("Resource temporarily unavailable") || text.contains("lock hold by")) {
        return Error::InUse { path };
    }
    Error::Open { path, source }
}

/// Writes `meta` as that of a new directory, or after it was lost as the copy says.
fn make_meta(store: &Store, options: &Options, copy: Option<String>) -> Result<(), Error> {
    let kept = copy.as_deref().and_then(|text| text.strip_prefix(FORMAT)?.trim().parse::<u32>().ok());
    let mut is_new = true;
    for cf in [Cf::Sources, Cf::Postings] {
        store.each(cf, &[], |_, _| {
            is_new = false;
            Ok::<_, Error>(false)
        })?;
    }
    // With another bucket length all that is stored would be misread.
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
    Ok(store.write(batch)?)
}

/// Checks the format, takes over the bucket length; returns the horizon and until when buckets may have been flushed.
fn read_meta(store: &mut Store, options: &Options) -> Result<(Timestamp, Timestamp), Error> {
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
                tracing::warn!(
                    bucket_ms,
                    asked = options.bucket_ms,
                    "ignoring the configured bucket length: the data directory was created with another"
                );
            }
            store.bucket_ms = bucket_ms;
        }
        _ => {
            let found = format!("{FORMAT} without a bucket length");
            return Err(Error::Format { path: options.path.clone(), found, expected: FORMAT });
        }
    }
    // What cannot be reconstructed is kept beside the database, too.
    let text = format!("{FORMAT}\n{}\n", store.bucket_ms);
    if fs::read_to_string(&copy).ok().as_deref() != Some(&text) {
        fs::write(&copy, text).map_err(|source| Error::Unwritable { path: options.path.clone(), source })?;
    }
    let flushed = pages::partitions(&Snapshot::new(store))?;
    let flushed_until = flushed.iter().map(|(partition, _)| partition.end(store.bucket_ms)).max();
    // Flushed buckets of which nothing was kept have no pages: all with rows but the newest may be such.
    let mut buckets = Vec::new();
    store.each(Cf::Postings, &bucket_key(Bucket(Timestamp::EPOCH))[..1], |key, _| {
        buckets.extend(parse_bucket_key(key));
        Ok::<_, Error>(true)
    })?;
    let before_newest = buckets.iter().rev().nth(1).map(|bucket| bucket.end(store.bucket_ms));
    let flushed_until = flushed_until.max(before_newest).unwrap_or(Timestamp::MIN);
    let horizon = store
        .get(Cf::Meta, META_HORIZON_MS)?
        .and_then(|bytes| Some(Timestamp(i64::from_be_bytes(bytes.try_into().ok()?))));
    Ok((horizon.unwrap_or(Timestamp::MIN), flushed_until))
}
