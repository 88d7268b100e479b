//! Garbage collection of the index: first sources leave the postings of segments that they have not written in any remaining
//! bucket, then sources without segments, segments without sources, and metrics without segments are removed.
//!
//! Invariant: an id is removed while the gate is held, so that a row is either stored, and its ids are in use, or finds them gone
//! and is refused. Postings that were removed come back with the next row.

use std::collections::BTreeMap;

use model::{Labels, SourceId, Timestamp};
use roaring::RoaringBitmap;
use rocksdb::WriteBatch;

use crate::components::Components;
use crate::error::Error;
use crate::index::ids::{self, Ids};
use crate::index::postings;
use crate::kv::bitmap;
use crate::kv::schema::{
    BY_ID, Cf, METRIC_LABEL, SOURCE_LABEL, last_id, metric_segments_key, segment_sources_key, source_segment_key,
    source_segments_prefix,
};
use crate::kv::store::Store;
use crate::limits;
use crate::reader::Reader;

/// Takes away the postings of segments that these sources no longer have rows of.
pub(crate) fn unpost(db: &Components, sources: &RoaringBitmap) -> Result<(), Error> {
    let store: &Store = &db.store;
    for source in sources {
        let source = SourceId(source);
        // For one source at a time, as every commit waits for it.
        let _gate = db.index.gate.write();
        let posted = segments_of(store, source)?;
        let snapshot = db.read().snapshot();
        let live = Reader::new(db.read(), &snapshot, Timestamp::MIN..=Timestamp::MAX, &[])?.segments(source)?;
        let dead = &posted - &live;
        if dead.is_empty() {
            continue;
        }
        let mut batch = WriteBatch::default();
        let cf = store.cf(Cf::Postings);
        for segment in dead {
            batch.delete_cf(cf, source_segment_key(source, segment));
            take(store, &mut batch, &segment_sources_key(segment), &RoaringBitmap::from([source.0]))?;
        }
        store.write(batch)?;
    }
    Ok(())
}

fn segments_of(store: &Store, source: SourceId) -> Result<RoaringBitmap, Error> {
    let mut segments = RoaringBitmap::new();
    store.each(Cf::Postings, &source_segments_prefix(source), |key, _| {
        segments.extend(last_id(key));
        Ok::<_, Error>(true)
    })?;
    Ok(segments)
}

/// Adds to the batch the removal of ids from a posting.
fn take(store: &Store, batch: &mut WriteBatch, key: &[u8], gone: &RoaringBitmap) -> Result<(), Error> {
    let left = bitmap::get(store, key)? - gone;
    let cf = store.cf(Cf::Postings);
    if left.is_empty() {
        batch.delete_cf(cf, key);
    } else {
        batch.put_cf(cf, key, bitmap::encode(&left));
    }
    Ok(())
}

/// Takes away sources, layouts and metrics that have no postings, but for those made since the last sweep.
pub(crate) fn sweep(db: &Components) -> Result<(), Error> {
    let store: &Store = &db.store;
    let wrote_any = |id| {
        let mut any = false;
        store.each(Cf::Postings, &source_segments_prefix(SourceId(id)), |_, _| {
            any = true;
            Ok::<_, Error>(false)
        })?;
        Ok::<_, Error>(any)
    };
    let posted = |key: [u8; 5]| Ok(store.has(Cf::Postings, key)?);
    let (sources, segments, metrics) = (&db.index.sources, &db.index.segments, &db.index.metrics);
    // In this order: a segment is in use as long as a source has it, and a metric as long as a segment does.
    sweep_one(db, sources, (Cf::Sources, Some(SOURCE_LABEL)), &wrote_any)?;
    sweep_one(db, segments, (Cf::Layouts, None), &|id| posted(segment_sources_key(id)))?;
    sweep_one(db, metrics, (Cf::Metrics, Some(METRIC_LABEL)), &|id| posted(metric_segments_key(id)))
}

fn sweep_one(
    db: &Components,
    ids: &Ids,
    (cf, side): (Cf, Option<u8>),
    is_used: &dyn Fn(u32) -> Result<bool, Error>,
) -> Result<(), Error> {
    let store: &Store = &db.store;
    let mut candidates = Vec::new();
    // Of what was made since the last sweep the first row may still be on its way.
    let young = ids.grown_up();
    store.each(cf, &[BY_ID], |key, _| {
        if let Some(id) = last_id(key)
            && id < young
            && !is_used(id)?
        {
            candidates.push(id);
        }
        Ok::<_, Error>(true)
    })?;
    // A segment has up to a thousand postings, one for each of its metrics.
    let at_once = if cf == Cf::Layouts { 1 } else { limits::FORGET_AT_ONCE };
    for some in candidates.chunks(at_once) {
        let _gate = db.index.gate.write();
        let mut batch = WriteBatch::default();
        let mut by_key: BTreeMap<Vec<u8>, RoaringBitmap> = BTreeMap::new();
        let (mut gone, mut taken) = (Vec::new(), Vec::new());
        for &id in some {
            // Before the gate was ours, someone may have used it.
            let Some(text) = ids::text(store, cf, id)? else { continue };
            if is_used(id)? {
                continue;
            }
            taken.push(id);
            ids.remove(store, &mut batch, id, &text)?;
            if let (Some(side), Some(labels)) = (side, std::str::from_utf8(&text).ok().and_then(Labels::from_text)) {
                for key in postings::label_keys(side, &labels) {
                    by_key.entry(key).or_default().insert(id);
                }
                gone.push(labels);
            }
            if cf == Cf::Layouts {
                for metric in postings::metrics_of_text(&text) {
                    by_key.entry(metric_segments_key(metric).to_vec()).or_default().insert(id);
                }
            }
            db.index.forget_cached(cf, id);
        }
        for (key, ids) in by_key {
            take(store, &mut batch, &key, &ids)?;
        }
        // Before the write, so that no reader caches a bitmap that still has these ids.
        let _changing = side.map(|side| db.index.side(side).change(gone.iter()));
        store.write(batch)?;
        // Not before: if the write fails they are still there, and in order.
        ids.mark_gone(taken.into_iter());
    }
    Ok(())
}
