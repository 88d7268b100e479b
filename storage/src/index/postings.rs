//! Bitmaps of ids: how they are stored and merged.

use std::collections::HashMap;

use model::Labels;
use roaring::RoaringBitmap;
use rocksdb::{MergeOperands, WriteBatch};

use crate::error::Error;
use crate::kv::schema::{Cf, label_key, last_id, metric_segments_key, segment_sources_key};
use crate::kv::store::{Store, after_prefix};

/// Tag of a value that lists its ids, four bytes each, least significant first.
const LIST: u8 = 0;
/// Tag of a value in roaring's portable form.
const ROARING: u8 = 1;
/// Longer lists are kept as roaring bitmaps.
const LIST_MAX: u64 = 16;

pub(crate) fn encode(bitmap: &RoaringBitmap) -> Vec<u8> {
    if bitmap.len() <= LIST_MAX {
        return encode_list(bitmap.iter());
    }
    let mut bytes = Vec::with_capacity(1 + bitmap.serialized_size());
    bytes.push(ROARING);
    bitmap.serialize_into(&mut bytes).expect("BUG: writing to memory does not fail");
    bytes
}

pub(crate) fn encode_list(ids: impl IntoIterator<Item = u32>) -> Vec<u8> {
    let mut bytes = vec![LIST];
    bytes.extend(ids.into_iter().flat_map(u32::to_le_bytes));
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> Option<RoaringBitmap> {
    match bytes.split_first()? {
        (&LIST, ids) => Some(ids.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect()),
        (&ROARING, bitmap) => RoaringBitmap::deserialize_from(bitmap).ok(),
        _ => None,
    }
}

/// The merge operator: the union. What does not decode is left out, RocksDB having checked its own checksums before.
pub(crate) fn merge(_key: &[u8], existing: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
    let mut union = existing.and_then(decode).unwrap_or_default();
    for operand in operands {
        match operand.split_first() {
            Some((&LIST, ids)) => union.extend(ids.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b))),
            _ => union |= decode(operand).unwrap_or_default(),
        }
    }
    Some(encode(&union))
}

/// The bitmap under a key, empty when there is none.
pub(crate) fn get(store: &Store, key: &[u8]) -> Result<RoaringBitmap, Error> {
    let Some(bytes) = store.db.get_pinned_cf(store.cf(Cf::Postings), key).map_err(Error::read)? else {
        return Ok(RoaringBitmap::new());
    };
    Ok(decode_or_report(store, key, &bytes))
}

pub(crate) fn decode_or_report(store: &Store, key: &[u8], bytes: &[u8]) -> RoaringBitmap {
    decode(bytes).unwrap_or_else(|| {
        store.corrupt(Cf::Postings, key, "not a bitmap");
        RoaringBitmap::new()
    })
}

/// Does a stored bitmap hold any of these ids?
pub(crate) fn intersects(store: &Store, (key, bytes): (&[u8], &[u8]), ids: &RoaringBitmap) -> bool {
    match bytes.split_first() {
        Some((&LIST, list)) => list.as_chunks::<4>().0.iter().any(|id| ids.contains(u32::from_le_bytes(*id))),
        _ => !decode_or_report(store, key, bytes).is_disjoint(ids),
    }
}

/// Adds the postings of new ids to a batch: one merge per label pair, per label name, and one for all.
pub(crate) fn add_labels<'a>(
    store: &Store,
    batch: &mut WriteBatch,
    side: u8,
    new: impl Iterator<Item = (u32, &'a Labels)>,
) {
    let (mut all, mut names) = (Vec::new(), HashMap::<&str, Vec<u32>>::new());
    let mut pairs: HashMap<(&str, &str), Vec<u32>> = HashMap::new();
    for (id, labels) in new {
        all.push(id);
        for (name, value) in labels {
            names.entry(name).or_default().push(id);
            pairs.entry((name, value)).or_default().push(id);
        }
    }
    let mut post = |name: &str, value: &str, ids: Vec<u32>| {
        batch.merge_cf(store.cf(Cf::Postings), label_key(side, name, value), encode(&RoaringBitmap::from_iter(ids)));
    };
    if !all.is_empty() {
        post("", "", all);
    }
    names.into_iter().for_each(|(name, ids)| post(name, "", ids));
    pairs.into_iter().for_each(|((name, value), ids)| post(name, value, ids));
}

/// Adds the postings of new segments to a batch: one merge for each of their metrics.
pub(crate) fn add_segments<'a>(store: &Store, batch: &mut WriteBatch, new: impl Iterator<Item = (u32, &'a [u8])>) {
    for (id, text) in new {
        let operand = encode_list([id]);
        for metric in metrics_of_text(text) {
            batch.merge_cf(store.cf(Cf::Postings), metric_segments_key(metric), &operand);
        }
    }
}

/// The metrics of the columns of a segment, from its text.
pub(crate) fn metrics_of_text(text: &[u8]) -> impl Iterator<Item = u32> {
    text.as_chunks::<4>().0.iter().take(model::Layout::SEGMENT_COLUMNS).map(|bytes| u32::from_le_bytes(*bytes))
}

/// All keys under which an id with these labels is posted.
pub(crate) fn label_keys<'a>(side: u8, labels: &'a Labels) -> impl Iterator<Item = Vec<u8>> + 'a {
    let pairs = labels.iter().flat_map(move |(name, value)| [label_key(side, name, value), label_key(side, name, "")]);
    std::iter::once(label_key(side, "", "")).chain(pairs)
}

/// All ids of a side.
pub(crate) fn all(store: &Store, side: u8) -> Result<RoaringBitmap, Error> {
    get(store, &label_key(side, "", ""))
}

/// The highest segment that any source wrote.
pub(crate) fn last_segment(store: &Store) -> Result<Option<u32>, Error> {
    let highest = segment_sources_key(u32::MAX);
    let mut iter = store.iter(Cf::Postings, &segment_sources_key(0), &after_prefix(&highest));
    iter.seek_to_last();
    let last = iter.key().and_then(last_id);
    iter.status().map_err(Error::read)?;
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_bitmaps_come_back() {
        for n in [0, 1, 16, 17, 5000] {
            let bitmap: RoaringBitmap = (0..n).map(|i| i * 3).collect();
            assert_eq!(decode(&encode(&bitmap)), Some(bitmap));
        }
        for damaged in [&[][..], &[9, 1, 2], &[ROARING, 1, 2, 3]] {
            assert_eq!(decode(damaged), None);
        }
    }
}
