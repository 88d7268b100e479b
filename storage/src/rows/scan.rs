//! Rows back out of the store: one segment of one source in one bucket at a time.
//!
//! Invariant: what does not pass its checksum is reported and skipped; a broken frame hides its segment and bucket.

use std::ops::RangeInclusive;

use model::{SourceId, Timestamp};
use roaring::RoaringBitmap;
use rocksdb::DBRawIterator;

use super::codec::{ORDINARY, RowView};
use super::decoder::{ReferenceFrame, Wanted};
use crate::kv::Error;
use crate::kv::bitmap;
use crate::kv::checksum::Corrupt;
use crate::kv::schema::{Bucket, Cf, RowKey, parse_seen_key, seen_key, slot_of};
use crate::kv::snapshot::Snapshot;
use crate::kv::store::Store;

/// Called with the base values, the time and the row.
pub(crate) type EachRow<'f> = dyn FnMut(&ReferenceFrame, Timestamp, &RowView<'_>) -> Result<(), Corrupt> + 'f;

/// The same; says whether to go on.
pub(crate) type EachRowBack<'f> = dyn FnMut(&ReferenceFrame, Timestamp, &RowView<'_>) -> Result<bool, Corrupt> + 'f;

/// The buckets from `from` to `to` in which a source wrote, each with the segments it wrote, ascending.
pub(crate) fn seen(
    view: &Snapshot<'_>,
    source: SourceId,
    from: Bucket,
    to: Bucket,
) -> Result<Vec<(Bucket, RoaringBitmap)>, Error> {
    let mut found = Vec::new();
    let mut end = seen_key(source, to).to_vec();
    // The bucket `to` included: the next key after its own.
    end.push(0);
    let store = view.store;
    let mut iter = view.iter(Cf::Postings, &seen_key(source, from), &end);
    iter.seek_to_first();
    while let Some((key, value)) = iter.item() {
        match parse_seen_key(key) {
            Some((_, bucket)) => found.push((bucket, bitmap::decode_or_report(store, key, value))),
            None => store.corrupt(Cf::Postings, key, "not a mark of a bucket"),
        }
        iter.next();
    }
    iter.status().map_err(Error::read)?;
    Ok(found)
}

/// An iterator over the rows of the buckets from `from` to `to`; blocks that it reads stay in the block cache if `fill`.
pub(crate) fn rows_iter<'v>(view: &'v Snapshot<'_>, (from, to): (Bucket, Bucket), fill: bool) -> DBRawIterator<'v> {
    let start = RowKey::frame(from, SourceId(0), 0).bytes();
    // Past every key of the last bucket: the next byte string after its eight bytes.
    let end = crate::kv::store::after_prefix(&to.bytes());
    view.iter_filling(Cf::Rows, (&start, &end), fill)
}

/// The base values of the frame that `place` names; the iterator is left on it. `None` when there is none, or none that
/// can be read.
pub(crate) fn frame_at(
    store: &Store,
    iter: &mut DBRawIterator<'_>,
    place: RowKey,
    wanted: &Wanted,
) -> Result<Option<ReferenceFrame>, Error> {
    let frame_key = place.bytes();
    iter.seek(frame_key);
    match iter.item() {
        // The seek may end on a row, or on another segment, where the frame is gone.
        Some((key, bytes)) if key == frame_key => match ReferenceFrame::parse(bytes, place.seed(), wanted) {
            Ok(frame) => Ok(Some(frame)),
            Err(reason) => {
                store.corrupt(Cf::Rows, key, reason);
                Ok(None)
            }
        },
        _ => store.ended(iter, Cf::Rows, &frame_key).map(|()| None),
    }
}

/// A row of the segment that a frame is of, checked.
fn row_at<'b>(key: RowKey, bytes: &'b [u8], frame: &ReferenceFrame) -> Result<RowView<'b>, Corrupt> {
    // The frame's tag is in the seed, so that no row is decoded against another frame than its own.
    let row = RowView::parse(bytes, key.seed() ^ u64::from(frame.tag))?;
    if row.columns == frame.columns { Ok(row) } else { Err(Corrupt::Shape("row and frame differ in columns")) }
}

/// Is there a row of the segment that `place` names in these slots? Leaves the iterator on the first.
pub(crate) fn seek_row(
    store: &Store,
    iter: &mut DBRawIterator<'_>,
    place: RowKey,
    slots: &RangeInclusive<u32>,
) -> Result<bool, Error> {
    iter.seek(RowKey { slot: *slots.start(), ..place }.bytes());
    let here = iter.key().is_some_and(|key| in_slots(key, place, slots).is_some());
    store.ended(iter, Cf::Rows, &place.bytes())?;
    Ok(here)
}

/// Is the iterator on a row of the segment?
pub(crate) fn is_in(iter: &DBRawIterator<'_>, place: RowKey) -> bool {
    iter.key().is_some_and(|key| is_of(key, place))
}

/// Is the key of the same bucket, source and segment as the place?
fn is_of(key: &[u8], place: RowKey) -> bool {
    key.starts_with(&place.bytes()[..RowKey::BYTES - 4])
}

fn in_slots(key: &[u8], place: RowKey, slots: &RangeInclusive<u32>) -> Option<RowKey> {
    let same = is_of(key, place);
    RowKey::parse(key).filter(|key| same && slots.contains(&key.slot))
}

/// Calls `each` with the rows of the segment from where the iterator is, as long as their slots are among these and it
/// says true.
pub(crate) fn each_row(
    store: &Store,
    iter: &mut DBRawIterator<'_>,
    (place, slots): (RowKey, &RangeInclusive<u32>),
    frame: &ReferenceFrame,
    each: &mut dyn FnMut(Timestamp, &RowView<'_>) -> Result<bool, Corrupt>,
) -> Result<(), Error> {
    while let Some((bytes, value)) = iter.item() {
        let Some(key) = in_slots(bytes, place, slots) else { break };
        match row_at(key, value, frame).and_then(|row| each(key.ts(), &row)) {
            Ok(true) => {}
            Ok(false) => break,
            Err(reason) => store.corrupt(Cf::Rows, bytes, reason),
        }
        iter.next();
    }
    store.ended(iter, Cf::Rows, &place.bytes())
}

/// Calls `each` with the rows of the segment that `place` names whose times lie in `range`, ascending.
pub(crate) fn scan_segment(
    store: &Store,
    iter: &mut DBRawIterator<'_>,
    (place, wanted): (RowKey, &Wanted),
    range: &RangeInclusive<Timestamp>,
    each: &mut EachRow<'_>,
) -> Result<(), Error> {
    let Some(frame) = frame_at(store, iter, place, wanted)? else { return Ok(()) };
    let slots = slot_of(place.bucket, *range.start())..=slot_of(place.bucket, *range.end());
    // Where the range begins within the bucket a seek skips the rows before it; else the next key is the first row.
    if *slots.start() > 1 {
        iter.seek(RowKey { slot: *slots.start(), ..place }.bytes());
    } else {
        iter.next();
    }
    each_row(store, iter, (place, &slots), &frame, &mut |ts, row| {
        if range.contains(&ts) { each(&frame, ts, row).map(|()| true) } else { Ok(true) }
    })
}

/// Calls `each` with the rows of the segment that `place` names whose times lie in `range`, descending, until it says
/// false.
pub(crate) fn scan_segment_back(
    store: &Store,
    iter: &mut DBRawIterator<'_>,
    (place, wanted): (RowKey, &Wanted),
    range: &RangeInclusive<Timestamp>,
    each: &mut EachRowBack<'_>,
) -> Result<(), Error> {
    let frame_key = place.bytes();
    let Some(frame) = frame_at(store, iter, place, wanted)? else { return Ok(()) };
    // The newest first; the frame, which has the lowest slot, ends the loop.
    iter.seek_for_prev(place.at(*range.end()).bytes());
    while let Some((bytes, value)) = iter.item() {
        let same = |key: &RowKey| key.slot != 0 && bytes[..16] == frame_key[..16] && key.ts() >= *range.start();
        let Some(key) = RowKey::parse(bytes).filter(same) else { break };
        match row_at(key, value, &frame).and_then(|row| each(&frame, key.ts(), &row)) {
            Ok(true) => {}
            Ok(false) => break,
            Err(reason) => store.corrupt(Cf::Rows, bytes, reason),
        }
        iter.prev();
    }
    store.ended(iter, Cf::Rows, &frame_key)
}

/// Adds to `times` the times of the rows with times of their scrape of a segment.
pub(crate) fn times_of(
    store: &Store,
    iter: &mut DBRawIterator<'_>,
    place: RowKey,
    range: &RangeInclusive<Timestamp>,
    times: &mut Vec<Timestamp>,
) -> Result<(), Error> {
    iter.seek(place.at(*range.start()).bytes());
    while let Some((bytes, value)) = iter.item() {
        let Some(key) =
            RowKey::parse(bytes).filter(|key| bytes[..16] == place.bytes()[..16] && key.ts() <= *range.end())
        else {
            break;
        };
        // Only the first byte is looked at: no row is decoded for its time.
        if key.slot != 0 && range.contains(&key.ts()) && value.first().is_some_and(|flags| flags & ORDINARY != 0) {
            times.push(key.ts());
        }
        iter.next();
    }
    store.ended(iter, Cf::Rows, &place.bytes())
}
