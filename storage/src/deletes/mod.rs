//! Deletions: a tombstone masks at once, and what it masks is taken out of rows and pages when somebody asks for it, or when a
//! sample comes that it would mask (`settle`).

mod purge;
pub(crate) mod settle;

use model::{Matcher, SourceId, Timestamp};
use roaring::RoaringBitmap;

use crate::components::Components;
use crate::error::Error;
use crate::kv::schema::{Cf, deleted_key, settled_key};
use crate::stored::newest_stored;
use crate::tombstones::Tombstone;

/// Deletes the samples from `start` to `end`, both included, of the series that all matchers select. They are gone for
/// every reader at once, and from the disk after [`clean`] or the next merge. Samples that come in later are not touched: the
/// end is cut to the newest sample there is.
///
/// # Errors
/// When the store cannot be read or written; then nothing is deleted.
pub(crate) fn delete(db: &Components, matchers: &[Matcher], (start, end): (Timestamp, Timestamp)) -> Result<(), Error> {
    let _one = db.maintenance.lock();
    let newest = newest_stored(db)?;
    let range = (start, end.min(newest));
    // Nothing that is stored lies in it.
    if range.0 > range.1 {
        return Ok(());
    }
    let bytes = Tombstone::encode(range, matchers);
    let mut all = Vec::clone(&db.tombstones.list());
    let number = all.last().and_then(|last| last.key.last_chunk::<8>()).map_or(0, |n| u64::from_be_bytes(*n) + 1);
    let key = deleted_key(number);
    // On the disk before it masks: what a reader no longer saw must not be back after a restart.
    db.store.put(Cf::Meta, &key, bytes)?;
    all.push(Tombstone { key, range, matchers: matchers.to_vec(), settled: RoaringBitmap::new() });
    // An append that holds the gate came before this deletion, and is masked; later ones are not.
    let _gate = db.index.gate.write();
    db.tombstones.replace(all);
    Ok(())
}

/// Takes deleted samples out of rows and pages, so that they are gone from the disk too.
///
/// # Errors
/// When the store cannot be read or written.
pub(crate) fn clean(db: &Components) -> Result<(), Error> {
    let _one = db.maintenance.lock();
    let mut left = Vec::new();
    for tombstone in db.tombstones.list().iter() {
        let mask = tombstone.resolve(db.read())?;
        let mut clean = true;
        for source in mask.sources() {
            clean &= settle::carry_out(db, &mask, SourceId(source))?;
        }
        if clean {
            db.store.delete(Cf::Meta, &tombstone.key)?;
            db.store.delete(Cf::Meta, settled_key(&tombstone.key))?;
        } else {
            // Rows came in all the time: it goes on masking, and the next call tries again.
            left.push(tombstone.clone());
        }
    }
    db.tombstones.replace(left);
    Ok(db.dropped.delete_files(&db.store, || db.flushed.reopened())?)
}
