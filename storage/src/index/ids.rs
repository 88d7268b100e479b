//! Ids of label sets and column lists: given out once, found again by hash. Drawn in `docs/formats/index.md`.
//!
//! Invariants: an id, its hash and its postings come in one write, so that what a write left behind is found and used by the
//! next who asks. An id that was removed is not given out again by this process, and whoever still uses it gets
//! `Error::Forgotten` (`gone`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;
use rocksdb::WriteBatch;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::postings;
use crate::error::Error;
use crate::kv;
use crate::kv::bitmap;
use crate::kv::schema::{BY_ID, Cf, METRIC_LABEL, SOURCE_LABEL, hash_key, id_key, last_id};
use crate::kv::store::{Store, after_prefix};

/// What a text has.
enum Found {
    Id(u32),
    /// None; these ids have its hash.
    Others(Vec<u8>),
}

/// Of several texts in their order.
pub(crate) fn hash_of_all(texts: &[&[u8]]) -> u64 {
    let mut hash = Xxh3::new();
    for text in texts {
        hash.update(&text.len().to_le_bytes());
        hash.update(text);
    }
    hash.digest()
}

/// The ids of one column family.
#[derive(Debug)]
pub(crate) struct Ids {
    cf: Cf,
    kind: &'static str,
    next: Mutex<u32>,
    /// Ids that this process removed.
    gone: RwLock<RoaringBitmap>,
    /// Ids from this one on were made since the last sweep: their rows may be on their way.
    young: AtomicU32,
}

impl Ids {
    pub(crate) fn open(store: &Store, cf: Cf, kind: &'static str) -> Result<Self, Error> {
        let mut iter = store.iter(cf, &[BY_ID], &after_prefix(&[BY_ID]));
        iter.seek_to_last();
        let stored = iter.key().and_then(last_id);
        iter.status().map_err(kv::Error::read)?;
        // An id that postings name is never given out again, though what it stood for may be lost.
        let posted = match cf {
            Cf::Sources => bitmap::all(store, SOURCE_LABEL).map(|all| all.max()),
            Cf::Metrics => bitmap::all(store, METRIC_LABEL).map(|all| all.max()),
            _ => postings::last_segment(store),
        };
        let next = stored.max(posted?).map_or(0, |id| id.saturating_add(1));
        Ok(Self { cf, kind, next: Mutex::new(next), gone: RwLock::default(), young: AtomicU32::new(next) })
    }

    /// The ids of texts, made where new in one write. `extra` adds to it what goes with new (id, index of its text); what it
    /// returns is dropped when all of that is visible.
    pub(crate) fn intern<G>(
        &self,
        store: &Store,
        texts: &[&[u8]],
        extra: impl FnOnce(&mut WriteBatch, &[(u32, usize)]) -> G,
    ) -> Result<Vec<u32>, Error> {
        // Read before the lookup: if it is unchanged when ids are made, nobody made one meanwhile.
        let before = *self.next.lock();
        let mut found = self.find_all(store, texts)?;
        if found.iter().any(|one| matches!(one, Found::Others(_))) {
            self.make(store, (texts, before), &mut found, extra)?;
        }
        Ok(found.into_iter().filter_map(|one| if let Found::Id(id) = one { Some(id) } else { None }).collect())
    }

    /// Does each id have its text? Ids made together are adjacent keys, while the hashes of their texts are scattered.
    pub(crate) fn have_texts(&self, store: &Store, ids: &[u32], texts: &[&[u8]]) -> Result<bool, Error> {
        if ids.len() != texts.len() {
            return Ok(false);
        }
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_unstable_by_key(|i| ids[*i]);
        let keys: Vec<[u8; 5]> = order.iter().map(|i| id_key(ids[*i])).collect();
        let mut same = 0;
        store.get_sorted(self.cf, &keys, |at, stored| same += usize::from(stored == texts[order[at]]))?;
        Ok(same == texts.len())
    }

    /// Looks for many in the order in which they are stored: those that are new by their hashes, the others by their ids too.
    fn find_all(&self, store: &Store, texts: &[&[u8]]) -> Result<Vec<Found>, Error> {
        if let [text] = texts {
            return Ok(vec![self.find(store, xxh3_64(text), text)?]);
        }
        let mut hashes: Vec<(u64, usize)> = texts.iter().enumerate().map(|(i, text)| (xxh3_64(text), i)).collect();
        hashes.sort_unstable();
        let mut found: Vec<Found> = texts.iter().map(|_| Found::Others(Vec::new())).collect();
        let mut likely: Vec<(u32, usize)> = Vec::new();
        let keys: Vec<[u8; 9]> = hashes.iter().map(|(hash, _)| hash_key(*hash)).collect();
        store.get_sorted(self.cf, &keys, |at, list| {
            let i = hashes[at].1;
            // Nearly every hash has one id; the others are looked at one by one below.
            likely.extend(list.first_chunk::<4>().map(|id| (u32::from_le_bytes(*id), i)));
            found[i] = Found::Others(list.to_vec());
        })?;
        likely.sort_unstable();
        let keys: Vec<[u8; 5]> = likely.iter().map(|(id, _)| id_key(*id)).collect();
        store.get_sorted(self.cf, &keys, |at, stored| {
            let (id, i) = likely[at];
            if stored == texts[i] {
                found[i] = Found::Id(id);
            }
        })?;
        for (slot, text) in found.iter_mut().zip(texts) {
            // Several texts have its hash.
            if matches!(slot, Found::Others(list) if list.len() > 4) {
                *slot = self.find(store, xxh3_64(text), text)?;
            }
        }
        Ok(found)
    }

    fn find(&self, store: &Store, hash: u64, text: &[u8]) -> Result<Found, Error> {
        let Some(list) = store.get(self.cf, hash_key(hash))? else { return Ok(Found::Others(Vec::new())) };
        for bytes in list.as_chunks::<4>().0 {
            let id = u32::from_le_bytes(*bytes);
            if self::text(store, self.cf, id)?.is_some_and(|stored| stored == text) {
                return Ok(Found::Id(id));
            }
        }
        Ok(Found::Others(list))
    }

    /// Makes the ids that were not found. `before` is the next id before they were looked for.
    fn make<G>(
        &self,
        store: &Store,
        (texts, before): (&[&[u8]], u32),
        found: &mut [Found],
        extra: impl FnOnce(&mut WriteBatch, &[(u32, usize)]) -> G,
    ) -> Result<(), Error> {
        // Held over the write, so that two callers cannot make two ids of one text.
        let mut next = self.next.lock();
        let mut batch = WriteBatch::default();
        let cf = store.cf(self.cf);
        let mut new = Vec::new();
        let mut made: HashMap<&[u8], u32> = HashMap::new();
        let mut by_hash: HashMap<u64, Vec<u8>> = HashMap::new();
        let mut last = *next;
        for (i, (slot, text)) in found.iter_mut().zip(texts).enumerate() {
            let Found::Others(others) = slot else { continue };
            let hash = xxh3_64(text);
            // An earlier text of this call, or another thread meanwhile, may have made it.
            if let Some(&id) = made.get(text) {
                *slot = Found::Id(id);
                continue;
            }
            if *next != before {
                match self.find(store, hash, text)? {
                    Found::Others(list) => *others = list,
                    known => {
                        *slot = known;
                        continue;
                    }
                }
            }
            let id = last;
            last = last.checked_add(1).ok_or(Error::IdsExhausted { kind: self.kind })?;
            by_hash.entry(hash).or_insert_with(|| std::mem::take(others)).extend_from_slice(&id.to_le_bytes());
            batch.put_cf(cf, id_key(id), text);
            store.copy(&mut batch, (self.cf, &id_key(id)), Some(text));
            made.insert(text, id);
            new.push((id, i));
            *slot = Found::Id(id);
        }
        for (hash, ids) in &by_hash {
            // One value per hash: texts that share it are told apart by their text.
            batch.put_cf(cf, hash_key(*hash), ids);
        }
        let changing = extra(&mut batch, &new);
        store.write(batch)?;
        // Only after the write: a failed one gives the ids out again.
        *next = last;
        drop(changing);
        Ok(())
    }

    /// Was none of these ids removed since it was given out? To be asked while the gate is held.
    pub(crate) fn are_there(&self, mut ids: impl Iterator<Item = u32>) -> bool {
        let gone = self.gone.read();
        gone.is_empty() || !ids.any(|id| gone.contains(id))
    }

    /// Remembers that these ids were taken away.
    pub(crate) fn mark_gone(&self, ids: impl Iterator<Item = u32>) {
        let mut gone = self.gone.write();
        gone.extend(ids);
        // Ids made one after another mostly go together.
        gone.optimize();
    }

    /// The next id, and those that were taken away: what the next opening of the directory has to know.
    pub(crate) fn carried(&self) -> (u32, RoaringBitmap) {
        let gone = self.gone.read();
        (*self.next.lock(), RoaringBitmap::clone(&gone))
    }

    /// Goes on from what an earlier opening of the directory gave out and took away.
    pub(crate) fn carry_on(&self, (next, gone): &(u32, RoaringBitmap)) {
        let mut now = self.next.lock();
        *now = (*next).max(*now);
        self.young.store(*now, Ordering::Release);
        *self.gone.write() |= gone;
    }

    /// Begins a sweep: the ids below the one returned may go when nothing refers to them.
    pub(crate) fn grown_up(&self) -> u32 {
        self.young.swap(*self.next.lock(), Ordering::AcqRel)
    }

    /// Adds the removal of an id to the batch.
    pub(crate) fn remove(&self, store: &Store, batch: &mut WriteBatch, id: u32, text: &[u8]) -> Result<(), Error> {
        let (cf, hash) = (store.cf(self.cf), xxh3_64(text));
        let mut ids = store.get(self.cf, hash_key(hash))?.unwrap_or_default();
        let kept: Vec<u8> =
            ids.as_chunks::<4>().0.iter().filter(|b| u32::from_le_bytes(**b) != id).flatten().copied().collect();
        ids = kept;
        if ids.is_empty() {
            batch.delete_cf(cf, hash_key(hash));
        } else {
            batch.put_cf(cf, hash_key(hash), ids);
        }
        batch.delete_cf(cf, id_key(id));
        store.copy(batch, (self.cf, &id_key(id)), None);
        Ok(())
    }
}

/// The text of an id.
pub(crate) fn text(store: &Store, cf: Cf, id: u32) -> Result<Option<Vec<u8>>, Error> {
    Ok(store.get(cf, id_key(id))?)
}
