//! Rows back out of the store: one segment of one source in one bucket at a time.
//!
//! Invariant: what does not pass its checksum is reported and passed over; a broken frame hides its segment and bucket.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use model::SourceId;
use roaring::RoaringBitmap;
use rocksdb::DBRawIterator;

use super::codec::{Corrupt, OWN_TIMES, RowView};
use super::lane::{LANE, bits};
use super::state::Frame;
use crate::error::Error;
use crate::index::Index;
use crate::index::postings;
use crate::schema::{Bucket, Cf, RowKey, parse_seen_key, seen_key, slot_of};
use crate::store::Store;

/// Called with the frame, the time and the row.
pub(crate) type EachRow<'f> = dyn FnMut(&Frame, i64, &RowView<'_>) -> Result<(), Corrupt> + 'f;

/// The buckets from `from` to `to` in which a source wrote, each with the segments it wrote, ascending.
pub(crate) fn seen(
    store: &Store,
    source: SourceId,
    from: Bucket,
    to: Bucket,
) -> Result<Vec<(Bucket, RoaringBitmap)>, Error> {
    let mut found = Vec::new();
    let mut end = seen_key(source, to).to_vec();
    end.push(0);
    let mut iter = store.iter(Cf::Postings, &seen_key(source, from), &end);
    iter.seek_to_first();
    while let Some((key, value)) = iter.item() {
        match parse_seen_key(key) {
            Some((_, bucket)) => found.push((bucket, postings::decode_or_report(store, key, value))),
            None => store.corrupt(Cf::Postings, key, "not a mark of a bucket"),
        }
        iter.next();
    }
    iter.status().map_err(Error::read)?;
    Ok(found)
}

/// An iterator over the rows of the buckets from `from` to `to`.
pub(crate) fn rows_iter(store: &Store, from: Bucket, to: Bucket) -> DBRawIterator<'_> {
    let start = RowKey::frame(from, SourceId(0), 0).bytes();
    // Past every key of the last bucket: the next byte string after its eight bytes.
    let end = crate::store::after_prefix(&to.bytes());
    let mut options = rocksdb::ReadOptions::default();
    options.set_iterate_lower_bound(start);
    if !end.is_empty() {
        options.set_iterate_upper_bound(end);
    }
    store.db.raw_iterator_cf_opt(store.cf(Cf::Rows), options)
}

/// Calls `each` with the rows of the segment that `place` names whose times lie in `range`, ascending.
pub(crate) fn scan_segment(
    store: &Store,
    iter: &mut DBRawIterator<'_>,
    place: RowKey,
    range: &RangeInclusive<i64>,
    each: &mut EachRow<'_>,
) -> Result<(), Error> {
    let frame_key = place.bytes();
    iter.seek(frame_key);
    let frame = match iter.item() {
        Some((key, bytes)) if key == frame_key => match Frame::parse(bytes, place.seed()) {
            Ok(frame) => frame,
            Err(reason) => {
                store.corrupt(Cf::Rows, key, reason);
                return Ok(());
            }
        },
        _ => return iter.status().map_err(Error::read),
    };
    let (first, last) = (slot_of(place.bucket, *range.start()), slot_of(place.bucket, *range.end()));
    if first > 1 {
        iter.seek(RowKey { slot: first, ..place }.bytes());
    } else {
        iter.next();
    }
    while let Some((bytes, value)) = iter.item() {
        let Some(key) = RowKey::parse(bytes).filter(|key| key.slot <= last && bytes[..16] == frame_key[..16]) else {
            break;
        };
        if range.contains(&key.ts_ms()) {
            let row = RowView::parse(value, key.seed() ^ u64::from(frame.tag));
            let fits = |row: RowView<'_>| {
                if row.columns == frame.values.len() {
                    each(&frame, key.ts_ms(), &row)
                } else {
                    Err(Corrupt::Shape("row and frame differ in columns"))
                }
            };
            if let Err(reason) = row.and_then(fits) {
                store.corrupt(Cf::Rows, bytes, reason);
            }
        }
        iter.next();
    }
    iter.status().map_err(Error::read)
}

/// What a source holds of `wanted` metrics (all when `None`) in a range: the newest time and its bits, by metric.
/// `only_own` looks at rows with own times alone.
pub(crate) fn newest_in(
    (store, index): (&Store, &Index),
    source: SourceId,
    range: &RangeInclusive<i64>,
    wanted: Option<&RoaringBitmap>,
    only_own: bool,
) -> Result<HashMap<u32, (i64, u64)>, Error> {
    let (from, to) = (Bucket::of(*range.start(), store.bucket_ms), Bucket::of(*range.end(), store.bucket_ms));
    let mut iter = rows_iter(store, from, to);
    let mut newest: HashMap<u32, (i64, u64)> = HashMap::new();
    for (bucket, segments) in seen(store, source, from, to)? {
        for segment in segments {
            let Some(metrics) = index.segment_metrics(store, segment)? else { continue };
            if wanted.is_some_and(|wanted| !metrics.iter().any(|&m| wanted.contains(m))) {
                continue;
            }
            let place = RowKey::frame(bucket, source, segment);
            scan_segment(store, &mut iter, place, range, &mut |frame, ts, row| {
                if only_own && row.flags & OWN_TIMES == 0 {
                    return Ok(());
                }
                let (values, present) = row.decode_all(&frame.values)?;
                for (lane, &word) in present.iter().enumerate() {
                    for column in bits(word).map(|bit| lane * LANE + bit) {
                        let Some(&metric) = metrics.get(column) else {
                            return Err(Corrupt::Shape("more columns than its layout"));
                        };
                        if wanted.is_none_or(|wanted| wanted.contains(metric)) {
                            let slot = newest.entry(metric).or_insert((ts, values[column].to_bits()));
                            if slot.0 < ts {
                                *slot = (ts, values[column].to_bits());
                            }
                        }
                    }
                }
                Ok(())
            })?;
        }
    }
    Ok(newest)
}
