//! Takes deleted samples out of rows in place: buckets that are still written to are not flushed for it.

use model::{SourceId, Timestamp};
use rocksdb::WriteBatch;

use crate::error::Error;
use crate::kv::schema::{Bucket, Cf, FRAME_SLOT, RowKey};
use crate::kv::store::Store;
use crate::limits;
use crate::reader::context::ReadContext;
use crate::reader::mask::Mask;
use crate::rows::codec::{self, Columns, RowView};
use crate::rows::frame::Frame;

/// Writes the rows of a source in a bucket without the samples that are deleted. Nobody may write rows of the source
/// meanwhile.
///
/// # Errors
/// When the store cannot be read or written; what was done until then stays done.
pub(crate) fn purge(
    context: ReadContext<'_>,
    (source, bucket): (SourceId, Bucket),
    masks: &[Mask],
) -> Result<(), Error> {
    let store = context.store;
    let snapshot = context.passing_snapshot();
    let from = RowKey::frame(bucket, source, 0).bytes();
    let mut to = RowKey { segment: u32::MAX, slot: u32::MAX, ..RowKey::frame(bucket, source, 0) }.bytes().to_vec();
    // Behind the last key of the source in the bucket.
    to.push(0);
    let mut batch = WriteBatch::default();
    let mut segment: Option<Segment> = None;
    let mut iter = snapshot.iter(Cf::Rows, &from, &to);
    iter.seek_to_first();
    while let Some((bytes, value)) = iter.item() {
        match RowKey::parse(bytes) {
            None => store.corrupt(Cf::Rows, bytes, "not a row key"),
            // The frame has the lowest slot, and so comes before the rows that need it.
            Some(key) if key.slot == FRAME_SLOT => segment = Segment::open(context, key, value, masks)?,
            Some(key) => {
                if let Some(segment) = segment.as_ref().filter(|segment| segment.id == key.segment) {
                    segment.purge(store, key, value, &mut batch);
                }
            }
        }
        if batch.size_in_bytes() >= limits::WRITE_BATCH_BYTES {
            store.write(std::mem::take(&mut batch))?;
        }
        iter.next();
    }
    store.ended(&iter, Cf::Rows, &bucket.bytes())?;
    if batch.is_empty() { Ok(()) } else { Ok(store.write(batch)?) }
}

/// A segment of which something is deleted.
struct Segment {
    id: u32,
    frame: Frame,
    /// A column, and the first and last millisecond of which it is deleted.
    deleted: Vec<(usize, Timestamp, Timestamp)>,
}

impl Segment {
    fn open(context: ReadContext<'_>, key: RowKey, frame: &[u8], masks: &[Mask]) -> Result<Option<Self>, Error> {
        let store = context.store;
        let Some(metrics) = context.index.segment_metrics(store, key.segment)? else { return Ok(None) };
        // Columns are in the order of the page that was scraped; what is deleted is asked for in the order of ids.
        let mut columns: Vec<usize> = (0..metrics.len()).collect();
        columns.sort_unstable_by_key(|&column| metrics[column]);
        let sorted: Vec<u32> = columns.iter().map(|&column| metrics[column]).collect();
        let mut of_sorted = Vec::new();
        masks.iter().for_each(|one| one.add_to(key.source, &sorted, &mut of_sorted));
        if of_sorted.is_empty() {
            return Ok(None);
        }
        match Frame::parse(frame, key.seed()) {
            Ok(frame) => {
                let deleted = of_sorted.into_iter().map(|(i, from, to)| (columns[i], from, to)).collect();
                Ok(Some(Self { id: key.segment, frame, deleted }))
            }
            Err(reason) => {
                store.corrupt(Cf::Rows, &key.bytes(), reason);
                Ok(None)
            }
        }
    }

    fn purge(&self, store: &Store, key: RowKey, bytes: &[u8], batch: &mut WriteBatch) {
        let ts = key.ts();
        let gone = || self.deleted.iter().filter(|(_, from, to)| (*from..=*to).contains(&ts));
        if gone().next().is_none() {
            return;
        }
        let seed = key.seed() ^ u64::from(self.frame.tag);
        let row = RowView::parse(bytes, seed).and_then(|row| Ok((row.flags, row.decode_all(&self.frame.values)?)));
        let (flags, (values, mut present)) = match row {
            Ok(row) => row,
            Err(reason) => return store.corrupt(Cf::Rows, &key.bytes(), reason),
        };
        gone().for_each(|(column, ..)| present[column / 64] &= !(1 << (column % 64)));
        if present.iter().all(|word| *word == 0) {
            return batch.delete_cf(store.cf(Cf::Rows), key.bytes());
        }
        let mut purged = Vec::with_capacity(bytes.len());
        let columns = Columns { values: &values, base: &self.frame.values, present: &present };
        codec::encode(&columns, flags, seed, &mut purged);
        batch.put_cf(store.cf(Cf::Rows), key.bytes(), purged);
    }
}
