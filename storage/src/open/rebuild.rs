//! Rebuilds what the whole store needs to be read, after files of it were set aside: the definitions of ids and `meta` from
//! their copies, postings from the definitions of ids, rows and timelines.
//!
//! Invariant: only adds. What was taken away meanwhile may come back in the index and leads to nothing stored; the next
//! sweep takes it away again.

use std::collections::{BTreeMap, BTreeSet};

use model::{Labels, SourceId};
use roaring::RoaringBitmap;
use rocksdb::WriteBatch;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::Error;
use crate::index::postings;
use crate::kv;
use crate::kv::bitmap;
use crate::kv::schema::{
    BY_ID, Bucket, Cf, FRAME_SLOT, METRIC_LABEL, Partition, RowKey, SOURCE_LABEL, bucket_key, hash_key, id_key,
    label_key, last_id, parse_timeline_key, partition_key, seen_key, segment_sources_key, source_segment_key,
};
use crate::kv::store::{Store, after_prefix};
use crate::limits;
use crate::pages::timeline::Timeline;

/// The families of which every entry but those by hash is kept twice.
const KEPT_TWICE: [Cf; 4] = [Cf::Metrics, Cf::Sources, Cf::Layouts, Cf::Meta];

/// What could not be rebuilt.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    /// Families of which something that others refer to is gone.
    pub(crate) families: BTreeSet<&'static str>,
}

/// Writes into batches that are written whenever they are large.
struct Writing<'s> {
    store: &'s Store,
    batch: WriteBatch,
    /// What comes to postings: most ids go to few of them, and each merge of a large one costs all of it.
    posts: BTreeMap<Vec<u8>, RoaringBitmap>,
}

impl<'s> Writing<'s> {
    fn new(store: &'s Store) -> Self {
        Self { store, batch: WriteBatch::default(), posts: BTreeMap::new() }
    }

    fn room(&mut self) -> Result<(), Error> {
        if self.posts.len() >= limits::POSTS_AT_ONCE || self.batch.size_in_bytes() >= limits::WRITE_BATCH_BYTES {
            return self.finish();
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Error> {
        for (key, ids) in std::mem::take(&mut self.posts) {
            self.batch.merge_cf(self.store.cf(Cf::Postings), key, bitmap::encode(&ids));
        }
        Ok(self.store.write(std::mem::take(&mut self.batch))?)
    }

    fn post(&mut self, key: &[u8], id: u32) {
        // Looked up first: the key is there already, as a rule, and is not copied then.
        if let Some(ids) = self.posts.get_mut(key) {
            ids.insert(id);
        } else {
            self.posts.insert(key.to_vec(), RoaringBitmap::from([id]));
        }
    }
}

/// Rebuilds what files of these families may have held.
pub(crate) fn rebuild(store: &Store, families: &BTreeSet<String>) -> Result<Lost, Error> {
    let has = |cf: Cf| families.contains(cf.name());
    let mut lost = Lost::default();
    // First the copies, since the others are taken from them.
    if has(Cf::Copies) {
        copy_all(store)?;
    }
    for cf in KEPT_TWICE.into_iter().filter(|cf| has(*cf)) {
        restore(store, cf)?;
    }
    if [Cf::Metrics, Cf::Sources, Cf::Layouts, Cf::Postings].into_iter().any(has) {
        let ids = post_texts(store)?;
        post_stored(store, &ids, &mut lost)?;
        for (cf, side, known) in [(Cf::Metrics, METRIC_LABEL, &ids.metrics), (Cf::Sources, SOURCE_LABEL, &ids.sources)]
        {
            // Rows or pages refer to ids whose text is nowhere.
            if !bitmap::all(store, side)?.is_subset(known) {
                lost.families.insert(cf.name());
            }
        }
    }
    Ok(lost)
}

/// Copies everything that is kept twice.
pub(crate) fn copy_all(store: &Store) -> Result<(), Error> {
    let mut writing = Writing::new(store);
    for cf in KEPT_TWICE {
        let prefix: &[u8] = if cf == Cf::Meta { &[] } else { &[BY_ID] };
        store.each(cf, prefix, |key, value| {
            store.copy(&mut writing.batch, (cf, key), Some(value));
            writing.room().map(|()| true)
        })?;
    }
    writing.finish()
}

/// Takes from the copies what a family lacks.
fn restore(store: &Store, cf: Cf) -> Result<(), Error> {
    let mut writing = Writing::new(store);
    let prefix = cf.copy_prefix();
    store.each(Cf::Copies, &prefix, |key, value| {
        let key = &key[prefix.len()..];
        // What is there needs no copy.
        if !store.has(cf, key)? {
            writing.batch.put_cf(store.cf(cf), key, value);
        }
        if cf != Cf::Meta
            && let Some(id) = last_id(key)
        {
            let hash = hash_key(xxh3_64(value));
            // Texts of one hash share its entry.
            let mut ids = store.get(cf, hash)?.unwrap_or_default();
            if !ids.as_chunks::<4>().0.contains(&id.to_le_bytes()) {
                ids.extend_from_slice(&id.to_le_bytes());
                writing.batch.put_cf(store.cf(cf), hash, ids);
                // The next text may have the same hash.
                writing.finish()?;
            }
        }
        writing.room().map(|()| true)
    })?;
    writing.finish()
}

/// The ids that are defined.
#[derive(Debug, Default)]
struct Known {
    metrics: RoaringBitmap,
    sources: RoaringBitmap,
    segments: RoaringBitmap,
}

/// Writes the postings that follow from the definitions of ids.
fn post_texts(store: &Store) -> Result<Known, Error> {
    let mut known = Known::default();
    let mut writing = Writing::new(store);
    for (cf, side, ids) in
        [(Cf::Metrics, METRIC_LABEL, &mut known.metrics), (Cf::Sources, SOURCE_LABEL, &mut known.sources)]
    {
        let mut some: Vec<(u32, Labels)> = Vec::new();
        store.each(cf, &[BY_ID], |key, text| {
            let labels = std::str::from_utf8(text).ok().and_then(Labels::from_text);
            if let (Some(id), Some(labels)) = (last_id(key), labels) {
                ids.insert(id);
                some.push((id, labels));
            }
            if some.len() >= limits::IDS_AT_ONCE {
                let new = std::mem::take(&mut some);
                postings::add_labels(store, &mut writing.batch, side, new.iter().map(|(id, labels)| (*id, labels)));
                writing.finish()?;
            }
            Ok::<_, Error>(true)
        })?;
        postings::add_labels(store, &mut writing.batch, side, some.iter().map(|(id, labels)| (*id, labels)));
        writing.finish()?;
    }
    let mut named = RoaringBitmap::new();
    store.each(Cf::Layouts, &[BY_ID], |key, text| {
        if let Some(id) = last_id(key) {
            known.segments.insert(id);
            named.extend(postings::metrics_of_text(text));
            postings::add_segments(store, &mut writing.batch, std::iter::once((id, text)));
        }
        writing.room().map(|()| true)
    })?;
    // An id that something refers to is never given to another, though what it stood for may be lost.
    let all = label_key(METRIC_LABEL, "", "");
    writing.batch.merge_cf(store.cf(Cf::Postings), all, bitmap::encode(&named));
    writing.finish()?;
    Ok(known)
}

/// Posts what follows from rows and timelines.
fn post_stored(store: &Store, known: &Known, lost: &mut Lost) -> Result<(), Error> {
    let mut writing = Writing::new(store);
    let wrote = |writing: &mut Writing<'_>, source: SourceId, segment: u32| {
        writing.post(&label_key(SOURCE_LABEL, "", ""), source.0);
        writing.batch.put_cf(store.cf(Cf::Postings), source_segment_key(source, segment), []);
        writing.post(&segment_sources_key(segment), source.0);
    };
    each_segment(store, |first| {
        writing.post(&seen_key(first.source, first.bucket), first.segment);
        writing.post(&bucket_key(first.bucket), first.source.0);
        wrote(&mut writing, first.source, first.segment);
        writing.room()
    })?;
    each_timeline(store, |partition, source, bytes| {
        let Ok(timeline) = Timeline::head(bytes, partition, source) else { return Ok(()) };
        writing.post(&partition_key(partition), source.0);
        for segment in &timeline.segments {
            wrote(&mut writing, source, segment);
            if !known.segments.contains(segment) {
                lost.families.insert(Cf::Layouts.name());
            }
        }
        writing.room()
    })?;
    writing.finish()
}

/// Buckets with rows that nothing can decode any more: their frame or their column list is gone.
pub(crate) fn orphans(store: &Store) -> Result<BTreeSet<Bucket>, Error> {
    let mut buckets = BTreeSet::new();
    each_segment(store, |first| {
        if first.slot != FRAME_SLOT || !store.has(Cf::Layouts, id_key(first.segment))? {
            buckets.insert(first.bucket);
        }
        Ok(())
    })?;
    Ok(buckets)
}

/// Calls `each` with the first key of each segment of each source in each bucket.
fn each_segment(store: &Store, mut each: impl FnMut(RowKey) -> Result<(), Error>) -> Result<(), Error> {
    let mut iter = store.iter(Cf::Rows, &[], &[]);
    iter.seek_to_first();
    while let Some(key) = iter.key() {
        let Some(first) = RowKey::parse(key) else {
            iter.next();
            continue;
        };
        each(first)?;
        // One seek instead of all rows of the segment.
        iter.seek(after_prefix(&first.bytes()[..RowKey::BYTES - 4]));
    }
    Ok(iter.status().map_err(kv::Error::read)?)
}

/// Calls `each` with the bytes of every timeline.
fn each_timeline(
    store: &Store,
    mut each: impl FnMut(Partition, SourceId, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut iter = store.iter(Cf::Pages, &[], &[]);
    iter.seek_to_first();
    while let Some((key, bytes)) = iter.item() {
        let Some(partition) = key.first_chunk().and_then(|bytes| Partition::parse(*bytes)) else {
            iter.next();
            continue;
        };
        match parse_timeline_key(key) {
            Some(source) => {
                each(partition, source, bytes)?;
                iter.next();
            }
            // Timelines lie before all pages of their partition.
            None => iter.seek(after_prefix(&partition.bytes())),
        }
    }
    Ok(iter.status().map_err(kv::Error::read)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_of_an_id_has_its_key_after_its_family() {
        assert_eq!(Cf::Sources.copy_key(&id_key(7)), Some(vec![1, 0, 0, 0, 0, 7]));
        assert_eq!(Cf::Sources.copy_key(&hash_key(7)), None);
        assert_eq!(Cf::Rows.copy_key(&[]), None);
    }
}
