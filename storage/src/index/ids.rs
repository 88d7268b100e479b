//! Ids of label sets and column lists: given out once, found again by hash. Drawn in `docs/formats/index.md`.
//!
//! Invariant: an id handed to a producer stays valid until the process ends (`held`), whatever retention takes away.

use std::collections::HashMap;
use std::sync::Mutex;

use roaring::RoaringBitmap;
use rocksdb::WriteBatch;
use xxhash_rust::xxh3::xxh3_64;

use crate::cache::lock;
use crate::error::Error;
use crate::schema::{BY_ID, Cf, hash_key, id_key, last_id};
use crate::store::{Store, after_prefix};

/// The ids of one column family.
#[derive(Debug)]
pub(crate) struct Ids {
    cf: Cf,
    kind: &'static str,
    next: Mutex<u32>,
    held: Mutex<RoaringBitmap>,
}

impl Ids {
    pub(crate) fn open(store: &Store, cf: Cf, kind: &'static str) -> Result<Self, Error> {
        let mut iter = store.iter(cf, &[BY_ID], &after_prefix(&[BY_ID]));
        iter.seek_to_last();
        iter.status().map_err(Error::read)?;
        let next = iter.key().and_then(last_id).map_or(0, |id| id.saturating_add(1));
        Ok(Self { cf, kind, next: Mutex::new(next), held: Mutex::default() })
    }

    /// The ids of texts, made where new; `extra` adds to the write what goes with new (id, index of its text).
    pub(crate) fn intern(
        &self,
        store: &Store,
        texts: &[&[u8]],
        extra: impl FnOnce(&mut WriteBatch, &[(u32, usize)]),
    ) -> Result<Vec<u32>, Error> {
        let mut found = Vec::with_capacity(texts.len());
        for text in texts {
            found.push(self.find(store, xxh3_64(text), text)?);
        }
        if found.iter().any(Option::is_none) {
            self.make(store, texts, &mut found, extra)?;
        }
        let ids: Vec<u32> = found.into_iter().flatten().collect();
        lock(&self.held).extend(ids.iter().copied());
        Ok(ids)
    }

    fn find(&self, store: &Store, hash: u64, text: &[u8]) -> Result<Option<u32>, Error> {
        let Some(list) = store.get(self.cf, hash_key(hash))? else { return Ok(None) };
        for bytes in list.as_chunks::<4>().0 {
            let id = u32::from_le_bytes(*bytes);
            if self::text(store, self.cf, id)?.is_some_and(|stored| stored == text) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    fn make(
        &self,
        store: &Store,
        texts: &[&[u8]],
        found: &mut [Option<u32>],
        extra: impl FnOnce(&mut WriteBatch, &[(u32, usize)]),
    ) -> Result<(), Error> {
        let mut next = lock(&self.next);
        let mut batch = WriteBatch::default();
        let cf = store.cf(self.cf);
        let mut new = Vec::new();
        let mut made: HashMap<&[u8], u32> = HashMap::new();
        let mut by_hash: HashMap<u64, Vec<u8>> = HashMap::new();
        let mut last = *next;
        for (i, slot) in found.iter_mut().enumerate().filter(|(_, slot)| slot.is_none()) {
            let (text, hash) = (texts[i], xxh3_64(texts[i]));
            // Another thread, or an earlier text of this call, may have made it meanwhile.
            *slot = match made.get(text) {
                Some(&id) => Some(id),
                None => self.find(store, hash, text)?,
            };
            if slot.is_some() {
                continue;
            }
            let id = last;
            last = last.checked_add(1).ok_or(Error::IdsExhausted { kind: self.kind })?;
            let ids = match by_hash.entry(hash) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(entry) => {
                    entry.insert(store.get(self.cf, hash_key(hash))?.unwrap_or_default())
                }
            };
            ids.extend_from_slice(&id.to_le_bytes());
            batch.put_cf(cf, id_key(id), text);
            made.insert(text, id);
            new.push((id, i));
            *slot = Some(id);
        }
        for (hash, ids) in &by_hash {
            batch.put_cf(cf, hash_key(*hash), ids);
        }
        extra(&mut batch, &new);
        store.write(batch)?;
        *next = last;
        Ok(())
    }

    /// Was the id handed out by this process?
    pub(crate) fn is_held(&self, id: u32) -> bool {
        lock(&self.held).contains(id)
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
        Ok(())
    }
}

/// What an id stands for.
pub(crate) fn text(store: &Store, cf: Cf, id: u32) -> Result<Option<Vec<u8>>, Error> {
    store.get(cf, id_key(id))
}
