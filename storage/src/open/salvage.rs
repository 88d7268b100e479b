//! Salvage: what can still be read of a file that was set aside goes back into the database, so that a flipped bit costs a block
//! and not the file.
//!
//! The file is read as the only one of a database made for that: links to it and a MANIFEST that names nothing else, in a
//! directory of its own beside it. That directory is removed when its file is done, so that a process that ends before
//! leaves it to the next.
//!
//! Invariant: only what is not there is written, and only where it is known not to have been taken away.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use rocksdb::{DB, DBRawIterator, Options as DbOptions, WriteBatch};

use crate::error::Error;
use crate::kv::bitmap;
use crate::kv::error::file_number;
use crate::kv::schema::{Cf, PageGroup, Partition, RowKey, parse_timeline_key, partition_key, seen_key, timeline_key};
use crate::kv::store::Store;
use crate::limits;
use crate::pages::timeline::Timeline;
use crate::quarantine::directory::{DIRECTORY, names};
use crate::quarantine::record::{Quarantined, time_of};
use crate::quarantine::single_file::{Families, READING};

/// Of these families a file may be salvaged; the others are rebuilt.
const SALVAGED: [Cf; 4] = [Cf::Rows, Cf::Pages, Cf::Histograms, Cf::Exemplars];
/// Longer than any key of theirs.
const KEY_BYTES: usize = 40;

/// Puts back what can be read of the files that were set aside; their records shrink to the rest.
pub(crate) fn salvage(
    store: &Store,
    directory: &Path,
    families: &Families<'_>,
    quarantined: &mut [Quarantined],
) -> Result<(), Error> {
    let failed = |source| Error::Quarantine { path: directory.to_owned(), source };
    let aside = directory.join(DIRECTORY);
    let mut readings = names(&aside).map_err(failed)?;
    readings.retain(|name| name.starts_with(READING));
    // In one order, so that a second attempt does the same.
    readings.sort_unstable();
    for name in readings {
        let reading = aside.join(&name);
        let number = name.strip_prefix(READING).and_then(|number| number.parse().ok());
        // Without a record what can be read is put back all the same.
        let its = quarantined.iter_mut().find(|one| number.is_some() && file_number(&one.record.place) == number);
        match one_file(store, &reading, families)? {
            Some((family, lost)) => {
                if let Some(its) = its.filter(|its| its.record.family == family.name()) {
                    shrink(its, lost);
                }
            }
            None => tracing::warn!(file = name, "nothing can be salvaged from a damaged file"),
        }
        fs::remove_dir_all(&reading).map_err(failed)?;
    }
    Ok(())
}

/// Narrows a record to the keys of the file that are lost.
fn shrink(quarantined: &mut Quarantined, lost: Lost) {
    let (Some(first), Some(last)) = (lost.first(), lost.last()) else {
        quarantined.keys = None;
        quarantined.record.set_rebuilt();
        return;
    };
    let keys = first.start().clone()..=last.end().clone();
    let family = quarantined.record.family.clone();
    (quarantined.record.from, quarantined.record.to) = time_of(&family, keys.start(), keys.end());
    quarantined.keys = Some(keys);
}

/// Stretches of keys that cannot be read.
type Lost = Vec<RangeInclusive<Vec<u8>>>;
/// Called with a key and its value.
type Each<'e> = dyn FnMut(&[u8], &[u8]) -> Result<(), Error> + 'e;

/// Puts back what can be read of one file; its family and the stretches of keys that cannot be read.
fn one_file(store: &Store, reading: &Path, families: &Families<'_>) -> Result<Option<(Cf, Lost)>, Error> {
    let mut options = DbOptions::default();
    // Else a file with a damaged block is not opened at all.
    options.set_paranoid_checks(false);
    options.set_max_open_files(8);
    let Ok(db) = DB::open_cf_descriptors_read_only(&options, reading, families(), false) else { return Ok(None) };
    let Some(file) = db.live_files().ok().and_then(|mut files| files.pop()) else { return Ok(None) };
    let family = SALVAGED.into_iter().find(|cf| cf.name() == file.column_family_name);
    let (Some(cf), Some(first), Some(last)) = (family, file.start_key, file.end_key) else { return Ok(None) };
    let file = Reading { db: &db, cf, last };
    let mut writing = Writing { store, batch: WriteBatch::default() };
    let lost = if cf == Cf::Pages {
        // Pages are there only with their timeline.
        file.each(&first, &mut |key, value| writing.timeline(key, value))?;
        writing.finish()?;
        file.each(&first, &mut |key, value| writing.page(key, value))?
    } else {
        file.each(&first, &mut |key, value| writing.other(cf, key, value))?
    };
    writing.finish()?;
    Ok(Some((cf, lost)))
}

/// A database of one file.
struct Reading<'d> {
    db: &'d DB,
    cf: Cf,
    last: Vec<u8>,
}

impl Reading<'_> {
    fn iter(&self) -> DBRawIterator<'_> {
        self.db.raw_iterator_cf(self.db.cf_handle(self.cf.name()).expect("BUG: all column families were opened"))
    }

    /// Calls `each` with all keys that can be read; the stretches of those that cannot are returned.
    fn each(&self, first: &[u8], each: &mut Each<'_>) -> Result<Lost, Error> {
        let (mut from, mut lost) = (first.to_vec(), Vec::new());
        loop {
            let mut iter = self.iter();
            iter.seek(&from);
            while let Some((key, value)) = iter.item() {
                each(key, value)?;
                // The last key that was read: damage begins after it.
                from.clear();
                from.extend_from_slice(key);
                iter.next();
            }
            if iter.status().is_ok() {
                return Ok(lost);
            }
            // Nothing behind it can be read.
            let Some(next) = self.readable_after(&from) else {
                lost.push(from..=self.last.clone());
                return Ok(lost);
            };
            lost.push(from..=next.clone());
            from = next;
        }
    }

    /// A key after this one from which on there is something that can be read, and before which there is not.
    fn readable_after(&self, key: &[u8]) -> Option<Vec<u8>> {
        // An iterator that met damage may give its error again where there is none.
        let at = |key: &[u8]| {
            let mut iter = self.iter();
            iter.seek(key);
            iter
        };
        let reads = |key: &[u8]| at(key).status().is_ok();
        let (mut low, mut high) = (wide(key), wide(&self.last));
        // Without a readable end there is nothing to halve towards.
        if !reads(&self.last) || low >= high {
            return None;
        }
        // Halved until they are neighbours.
        loop {
            let middle = middle(&low, &high);
            if middle == low {
                break;
            }
            if reads(&middle) { high = middle } else { low = middle }
        }
        at(&high).key().map(<[u8]>::to_vec)
    }
}

fn wide(key: &[u8]) -> [u8; KEY_BYTES] {
    let mut wide = [0; KEY_BYTES];
    let length = key.len().min(KEY_BYTES);
    wide[..length].copy_from_slice(&key[..length]);
    wide
}

/// Half way between two numbers.
fn middle(low: &[u8; KEY_BYTES], high: &[u8; KEY_BYTES]) -> [u8; KEY_BYTES] {
    let mut sum = [0u16; KEY_BYTES];
    let mut carry = 0;
    for i in (0..KEY_BYTES).rev() {
        let all = u16::from(low[i]) + u16::from(high[i]) + carry;
        (sum[i], carry) = (all & 0xff, all >> 8);
    }
    let mut half = [0; KEY_BYTES];
    for i in 0..KEY_BYTES {
        let all = carry << 8 | sum[i];
        half[i] = (all >> 1) as u8;
        carry = all & 1;
    }
    half
}

/// What goes back.
struct Writing<'s> {
    store: &'s Store,
    batch: WriteBatch,
}

impl Writing<'_> {
    fn finish(&mut self) -> Result<(), Error> {
        Ok(self.store.write(std::mem::take(&mut self.batch))?)
    }

    fn put(&mut self, cf: Cf, key: &[u8], value: &[u8]) -> Result<(), Error> {
        if !self.store.has(cf, key)? {
            self.batch.put_cf(self.store.cf(cf), key, value);
        }
        if self.batch.size_in_bytes() < limits::WRITE_BATCH_BYTES { Ok(()) } else { self.finish() }
    }

    /// Rows that were not flushed, native histograms and exemplars.
    fn other(&mut self, cf: Cf, key: &[u8], value: &[u8]) -> Result<(), Error> {
        if cf == Cf::Rows {
            let Some(row) = RowKey::parse(key) else { return Ok(()) };
            // Its bucket was flushed since, or dropped: the row is in pages, or gone on purpose.
            if !bitmap::get(self.store, &seen_key(row.source, row.bucket))?.contains(row.segment) {
                return Ok(());
            }
        }
        self.put(cf, key, value)
    }

    /// A timeline that no other took the place of.
    fn timeline(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let partition = key.first_chunk().and_then(|bytes| Partition::parse(*bytes));
        let (Some(partition), Some(source)) = (partition, parse_timeline_key(key)) else { return Ok(()) };
        // Retention dropped it since.
        if !bitmap::get(self.store, &partition_key(partition))?.contains(source.0) {
            return Ok(());
        }
        // A merge may have taken it into a longer partition.
        for buckets in limits::PARTITION_BUCKETS.into_iter().filter(|buckets| *buckets > partition.buckets) {
            let larger = Partition::of(partition.start.0, buckets, self.store.bucket_ms);
            if self.store.has(Cf::Pages, timeline_key(larger, source))? {
                return Ok(());
            }
        }
        self.put(Cf::Pages, key, value)
    }

    /// A page that its timeline names.
    fn page(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let Some((group, _)) = PageGroup::parse(key) else { return Ok(()) };
        let timeline = self.store.get(Cf::Pages, timeline_key(group.partition, group.source))?;
        let timeline = timeline.and_then(|bytes| Timeline::head(&bytes, group.partition, group.source).ok());
        // A later write replaced it.
        if timeline.is_none_or(|timeline| timeline.generation != group.generation) {
            return Ok(());
        }
        self.put(Cf::Pages, key, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_ends_at_neighbours() {
        let (low, high) = (wide(&[1, 255]), wide(&[2]));
        assert_eq!(middle(&low, &high), wide(&[1, 255, 128]));
        let mut next = low;
        next[KEY_BYTES - 1] += 1;
        assert_eq!(middle(&low, &next), low);
        assert_eq!(middle(&wide(&[255, 255]), &[255; KEY_BYTES])[..2], [255, 255]);
    }
}
