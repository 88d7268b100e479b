//! Ranges of keys that were dropped and whose files are still there: files are deleted whole, once nobody reads.

use parking_lot::Mutex;
use rocksdb::CompactOptions;

use super::error::Error;
use super::schema::Cf;
use super::store::Store;

/// A range of keys that was dropped.
#[derive(Debug)]
struct Dropped {
    cf: Cf,
    first: Vec<u8>,
    last: Vec<u8>,
    /// [`DroppedRanges::add`]'s at that time: keys that came later may lie in the range.
    late_writes: u64,
}

/// Ranges that wait for their files to be deleted.
#[derive(Debug, Default)]
pub(crate) struct DroppedRanges(Mutex<Vec<Dropped>>);

impl DroppedRanges {
    /// A range of keys was dropped, from the first to the last. `late_writes` counts what is written into ranges of rows
    /// that may have been dropped.
    pub(crate) fn add(&self, cf: Cf, (first, last): (&[u8], &[u8]), late_writes: u64) {
        self.0.lock().push(Dropped { cf, first: first.to_vec(), last: last.to_vec(), late_writes });
    }

    /// New keys come into a range that may have been dropped before: files in it are no longer to be deleted.
    pub(crate) fn revive(&self, cf: Cf, first: &[u8]) {
        self.0.lock().retain(|one| one.cf != cf || one.first != first);
    }

    /// Deletes the files that hold only dropped keys, unless someone reads now: then a later call does. Dropped rows that
    /// share files with others, or with late ones, are taken out of them in any case.
    pub(crate) fn delete_files(&self, store: &Store, late_writes: impl Fn() -> u64) -> Result<(), Error> {
        // Taken out while files are deleted: ranges that are dropped meanwhile wait for the next call.
        let mut dropped = std::mem::take(&mut *self.0.lock());
        if let Some(_nobody_reads) = store.files.try_write() {
            let late = late_writes();
            for one in dropped.iter().filter(|one| one.cf != Cf::Rows || one.late_writes == late) {
                let deleted = store.db.delete_file_in_range_cf(store.cf(one.cf), &one.first, &one.last);
                deleted.map_err(|source| store.write_error(source))?;
            }
            dropped.retain(|one| one.cf == Cf::Rows);
        }
        let mut options = CompactOptions::default();
        // Else RocksDB's own compactions would have to wait for it, and writes in the end for them.
        options.set_exclusive_manual_compaction(false);
        for rows in dropped.extract_if(.., |one| one.cf == Cf::Rows) {
            store.db.compact_range_cf_opt(store.cf(Cf::Rows), Some(rows.first), Some(rows.last), &options);
        }
        self.0.lock().extend(dropped);
        Ok(())
    }
}
