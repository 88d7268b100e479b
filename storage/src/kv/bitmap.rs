//! Sets of ids: how they are stored, and how RocksDB merges what is added to them.

use roaring::RoaringBitmap;
use rocksdb::MergeOperands;

use super::error::Error;
use super::schema::{Cf, label_key};
use super::store::Store;

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
            // The usual operand, a few ids: no bitmap is made of it.
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

/// All ids of a side.
pub(crate) fn all(store: &Store, side: u8) -> Result<RoaringBitmap, Error> {
    get(store, &label_key(side, "", ""))
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
