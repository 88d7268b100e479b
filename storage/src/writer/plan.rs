//! Takes the rows of a scrape: decides sample by sample what is new, codes it against the frames, writes one batch.
//! The step *keep* of the scrape path.
//!
//! Invariant: the state of a source changes only after the write that it describes succeeded.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::sample::is_histogram_mark;
use model::{Committed, ExtraSample, Histogram, Layout, Row, Scraped, Timestamp};
use rocksdb::WriteBatch;

use super::done::Done;
use super::flushed::FlushMarks;
use super::state::{OpenSegment, SourceState};
use super::window::Window;
use crate::error::Error;
use crate::histograms::{self, AnyHistograms};
use crate::kv::bitmap;
use crate::kv::schema::{Bucket, Cf, RowKey, bucket_key, seen_key, segment_sources_key, source_segment_key};
use crate::kv::store::Store;
use crate::reader;
use crate::reader::context::ReadContext;
use crate::rows::codec::{self, Columns, FRAME, ORDINARY, OWN_TIMES, RowView};
use crate::rows::frame::Frame;
use crate::rows::lane::{LANE, bits};

/// What writers need to know of the database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteContext<'a> {
    pub(crate) read: ReadContext<'a>,
    pub(crate) flushed: &'a FlushMarks,
    pub(crate) histograms: &'a AnyHistograms,
}

/// What one source said, on its way into a batch.
pub(crate) struct Pending<'a> {
    pub(super) context: WriteContext<'a>,
    store: &'a Store,
    pub(super) row: &'a Row<'a>,
    pub(super) state: &'a SourceState,
    pub(super) window: Window,
    /// Segments that the state does not know.
    frames: BTreeMap<(Bucket, u32), OpenSegment>,
    /// The last row of each segment that is written.
    rows: BTreeMap<(Bucket, u32), Timestamp>,
    pub(super) own: HashMap<u32, (Timestamp, u64)>,
    stored_ordinary: bool,
    /// Does it write anything but newer rows of segments that its buckets have?
    disturbs: bool,
    pub(super) late: u64,
    touched: BTreeSet<Bucket>,
    /// Buckets whose rows were flushed: what is left of them makes room first.
    reopened: BTreeSet<Bucket>,
    pub(crate) committed: Committed,
}

/// Columns of one segment that go into one row: presence words and where their times come from.
#[derive(Debug, Default)]
pub(super) struct Target<'a> {
    pub(super) present: [u64; codec::LANES_MAX],
    pub(super) flags: u8,
    /// Of these columns an extra sample: the column in its segment first.
    pub(super) extra: Vec<(usize, &'a ExtraSample)>,
}

impl Target<'_> {
    /// These columns' values, where those are the row's; in `room` if some are not.
    fn values<'v>(&self, row: &'v [f64], room: &'v mut Vec<f64>) -> &'v [f64] {
        if self.extra.is_empty() {
            return row;
        }
        room.extend_from_slice(row);
        self.extra.iter().for_each(|(column, one)| room[*column] = one.value);
        room
    }
}

pub(super) type Targets<'a> = BTreeMap<(usize, Timestamp), Target<'a>>;

pub(super) const SEGMENT: usize = Layout::SEGMENT_COLUMNS;
const SEGMENT_LANES: usize = codec::LANES_MAX;

/// Does it all fit its layout?
pub(crate) fn check(part: &Scraped<'_>) -> Result<(), Error> {
    let row = &part.row;
    let columns = row.layout.metrics.len();
    let fits = [
        (row.values.len() == columns, "it has not one value per column of its layout"),
        (row.present.len() >= columns.div_ceil(64), "its presence words do not cover its columns"),
        (row.layout.segments.len() == columns.div_ceil(SEGMENT), "its layout lacks segments"),
        (row.own_times.is_sorted_by(|a, b| a.0 < b.0), "its own times are not in the order of columns"),
        (
            row.own_times.iter().all(|&(c, _)| (c as usize) < columns && has(row.present, c as usize)),
            "a column with its own time is absent",
        ),
        (row.histograms.is_sorted_by(|a, b| a.0 < b.0), "its histograms are not in the order of columns"),
    ];
    let refused = |reason| Err(Error::BadRow { reason });
    fits.into_iter().try_for_each(|(fits, reason)| if fits { Ok(()) } else { refused(reason) })?;
    for (column, histogram) in row.histograms {
        let marked = row.values.get(*column as usize).is_some_and(|value| is_histogram_mark(*value));
        if !marked || !has(row.present, *column as usize) {
            return refused("a column with a histogram does not say so by its value, or is absent");
        }
        if histogram.validate().is_err() {
            return refused("a histogram is not valid");
        }
    }
    for one in part.starts.iter().chain(part.repeats) {
        let valid = one.histogram.as_ref().is_none_or(|histogram| histogram.validate().is_ok());
        if one.column as usize >= columns || one.histogram.is_some() != is_histogram_mark(one.value) || !valid {
            return refused("an extra sample has no column, or is no valid histogram although it says so");
        }
    }
    Ok(())
}

pub(super) fn has(present: &[u64], column: usize) -> bool {
    present[column / 64] >> (column % 64) & 1 == 1
}

fn columns_of(present: &[u64]) -> impl Iterator<Item = usize> + '_ {
    present.iter().enumerate().flat_map(|(i, &word)| bits(word).map(move |bit| i * LANE + bit))
}

fn count(present: &[u64]) -> u32 {
    present.iter().map(|word| word.count_ones()).sum()
}

impl<'a> Pending<'a> {
    /// Decides about every sample and adds what is stored to the batch.
    pub(crate) fn plan(
        context: WriteContext<'a>,
        part: &'a Scraped<'a>,
        state: &'a SourceState,
        window: Window,
        batch: &mut WriteBatch,
    ) -> Result<(Done, Committed), Error> {
        let (frames, rows, own, committed) = <_>::default();
        let (touched, reopened) = (BTreeSet::new(), BTreeSet::new());
        let row = &part.row;
        let mut pending = Self {
            context,
            store: context.read.store,
            row,
            state,
            window,
            frames,
            rows,
            own,
            stored_ordinary: false,
            disturbs: false,
            late: 0,
            touched,
            reopened,
            committed,
        };
        let mut targets = Targets::new();
        // The order decides who wins: zeros come before the row that they start, and what has times of its own comes
        // after both.
        let newer = pending.starts(part.starts, &mut targets)?;
        pending.ordinary(&mut targets)?;
        pending.newer_starts(newer, &mut targets);
        if !row.own_times.is_empty() || !part.repeats.is_empty() {
            pending.own_times(part.repeats, &mut targets)?;
        }
        for (&(segment, ts), target) in &targets {
            pending.put((segment, ts), target, batch)?;
        }
        // A new frame means a segment or bucket that cached lists of buckets do not have yet.
        pending.disturbs |= !pending.frames.is_empty();
        pending.mark_frames(batch)?;
        let newest = if pending.stored_ordinary { state.newest.max(Some(row.ts)) } else { state.newest };
        let series = i64::from(count(row.present));
        let stored_until = pending.stored_until();
        let Self { frames, rows, own, touched, late, committed, disturbs, .. } = pending;
        let reopened = pending.reopened.len() as u64;
        Ok((Done { frames, rows, stored_until, own, newest, series, late, touched, reopened, disturbs }, committed))
    }

    /// The newest time of anything stored of the source.
    pub(super) fn stored_until(&self) -> Option<Timestamp> {
        self.state.stored_until(self.row.ts)
    }

    pub(super) fn metric(&self, column: usize) -> u32 {
        self.row.layout.metrics[column].0
    }

    pub(super) fn bits_of(&self, column: usize) -> u64 {
        self.row.values[column].to_bits()
    }

    /// The columns at the row's own time, less those that are refused.
    fn ordinary(&mut self, targets: &mut Targets<'a>) -> Result<(), Error> {
        let row = self.row;
        let columns = row.values.len();
        let mut present = row.present[..columns.div_ceil(64)].to_vec();
        if let Some(last) = present.last_mut() {
            *last &= codec::all_present((columns - 1) % 64 + 1);
        }
        for &(column, _) in row.own_times {
            // Samples with times of their own are decided by `own_times`.
            present[column as usize / 64] &= !(1 << (column % 64));
        }
        let n = count(&present);
        if n == 0 {
            return Ok(());
        }
        // What the retention already dropped must not come back: its bucket may be gone with its marks.
        if row.ts < self.window.horizon {
            self.committed.too_old += n;
            return Ok(());
        }
        let late = self.state.newest.is_some_and(|newest| row.ts < newest);
        if late && self.window.by_series {
            if row.ts < self.floor() {
                self.committed.too_old += n;
                return Ok(());
            }
        } else if late && !self.window.takes_late(row.ts) {
            // As upstream: without a window late is out of order, with one it is too old for it.
            let bounded = self.window.out_of_order_from < Timestamp::MAX;
            *(if bounded { &mut self.committed.too_old } else { &mut self.committed.out_of_order }) += n;
            return Ok(());
        }
        let state = self.state;
        // Series that come with times of their own may be ahead of the source's rows.
        if !state.own.is_empty() {
            self.refuse_known(&mut present, &state.own);
        }
        // Only here anything is read: a row that is newer than all of its source cannot meet a sample.
        if self.stored_until().is_some_and(|until| row.ts <= until) {
            let mut metrics: Vec<u32> = columns_of(&present).map(|column| self.metric(column)).collect();
            metrics.sort_unstable();
            // What comes later counts only where it makes this late.
            let until = if late && !self.window.takes_late(row.ts) { Timestamp::MAX } else { row.ts };
            let stored = reader::newest(self.context.read, row.source, row.ts..=until, Some(&metrics))?;
            self.refuse_known(&mut present, &stored);
        }
        if !state.own.is_empty() || !self.own.is_empty() {
            for column in columns_of(&present) {
                let metric = self.metric(column);
                let known = self.own.get(&metric).or_else(|| state.own.get(&metric));
                // The newest sample of such a series is now this one, whatever time it came with.
                if known.is_some_and(|(newest, _)| *newest < row.ts) {
                    self.own.insert(metric, (row.ts, self.bits_of(column)));
                }
            }
        }
        self.committed.stored += count(&present);
        if late {
            self.late += u64::from(count(&present));
        }
        for (segment, words) in present.chunks(SEGMENT_LANES).enumerate() {
            if words.iter().any(|&word| word != 0) {
                let mut target = Target { flags: ORDINARY, ..Target::default() };
                target.present[..words.len()].copy_from_slice(words);
                targets.insert((segment, row.ts), target);
                self.stored_ordinary = true;
            }
        }
        Ok(())
    }

    /// Takes away the columns whose series has a sample at this time or later.
    fn refuse_known(&mut self, present: &mut [u64], known: &HashMap<u32, (Timestamp, u64)>) {
        for (i, word) in present.iter_mut().enumerate() {
            for bit in bits(*word) {
                let column = i * LANE + bit;
                let Some(&(ts, stored)) = known.get(&self.metric(column)) else { continue };
                if self.refuse(self.row.ts, self.bits_of(column), (ts, stored)) {
                    *word &= !(1 << bit);
                }
            }
        }
    }

    /// Is a sample at `ts` refused, or already there, when its series' newest is `known`? Counts it when so.
    pub(super) fn refuse(&mut self, ts: Timestamp, value: u64, known: (Timestamp, u64)) -> bool {
        if known.0 < ts || (known.0 > ts && self.window.takes_late(ts)) {
            return false;
        }
        if known.0 > ts {
            self.committed.out_of_order += 1;
        } else if known.1 == value {
            self.committed.stored += 1;
        } else {
            self.committed.duplicate += 1;
        }
        true
    }

    /// Adds one row to the batch, together with what its key already holds.
    fn put(
        &mut self,
        (segment, ts): (usize, Timestamp),
        target: &Target<'_>,
        batch: &mut WriteBatch,
    ) -> Result<(), Error> {
        let place =
            RowKey::frame(Bucket::of(ts, self.store.bucket_ms), self.row.source, self.row.layout.segments[segment]);
        let OpenSegment { frame, newest } = self.frame(segment, place, batch)?;
        self.touched.insert(place.bucket);
        // The rows of rules are of one source, and not in the order of time; those of one group are.
        let may_exist = match newest {
            Some(newest) => ts <= newest,
            // Rows at or before something that is stored of the source may share a key with it.
            None => target.flags & OWN_TIMES != 0 || self.stored_until().is_some_and(|until| ts <= until),
        };
        self.disturbs |= may_exist;
        let last = self.rows.entry((place.bucket, place.segment)).or_insert(ts);
        *last = ts.max(*last);
        let key = place.at(ts);
        let seed = key.seed() ^ u64::from(frame.tag);
        let start = segment * SEGMENT;
        let mut room = Vec::new();
        let values = target.values(&self.row.values[start..(start + SEGMENT).min(self.row.values.len())], &mut room);
        let mut bytes = Vec::with_capacity(values.len() * 2 + 32);
        // A key that may hold a row already is read: rows are merged, not replaced.
        let existing = if may_exist { self.store.get(Cf::Rows, key.bytes())? } else { None };
        let existing = existing.and_then(|bytes| {
            let decoded = RowView::parse(&bytes, seed).and_then(|row| Ok((row.flags, row.decode_all(&frame.values)?)));
            decoded.map_err(|reason| self.store.corrupt(Cf::Rows, &key.bytes(), reason)).ok()
        });
        let mut new = target.present;
        match existing {
            None => {
                let columns = Columns { values, base: &frame.values, present: &target.present };
                codec::encode(&columns, target.flags, seed, &mut bytes);
            }
            Some((flags, (mut merged, mut present))) => {
                for (i, word) in present.iter_mut().enumerate() {
                    // What is stored stays; only columns that the row lacked are taken over.
                    new[i] &= !*word;
                    for bit in bits(new[i]) {
                        merged[i * LANE + bit] = values[i * LANE + bit];
                    }
                    *word |= target.present[i];
                }
                let columns = Columns { values: &merged, base: &frame.values, present: &present };
                codec::encode(&columns, flags | target.flags, seed, &mut bytes);
            }
        }
        batch.put_cf(self.store.cf(Cf::Rows), key.bytes(), bytes);
        self.put_histograms((start, ts), (target, &new), batch);
        Ok(())
    }

    /// Adds the histograms of a segment's columns that are new at a time to the batch.
    fn put_histograms(&self, at: (usize, Timestamp), (target, new): (&Target<'_>, &[u64]), batch: &mut WriteBatch) {
        let (start, ts) = at;
        let mut put = |column: usize, histogram: &Histogram| {
            self.context.histograms.set();
            histograms::put(self.store, batch, (self.row.source, self.metric(start + column)), ts, histogram);
        };
        let is_further = |column: usize| target.extra.iter().any(|(extra, _)| *extra == column);
        for (column, one) in target.extra.iter().filter(|(column, _)| has(new, *column)) {
            one.histogram.iter().for_each(|histogram| put(*column, histogram));
        }
        let from = self.row.histograms.partition_point(|(column, _)| (*column as usize) < start);
        let of_segment =
            self.row.histograms[from..].iter().take_while(|(column, _)| (*column as usize) < start + SEGMENT);
        for (column, histogram) in of_segment.map(|(column, histogram)| (*column as usize - start, histogram)) {
            if has(new, column) && !is_further(column) {
                put(column, histogram);
            }
        }
    }

    /// The frame of a segment in a bucket: known, stored, or made of this row's values.
    fn frame(&mut self, segment: usize, place: RowKey, batch: &mut WriteBatch) -> Result<OpenSegment, Error> {
        let id = (place.bucket, place.segment);
        if let Some(open) = self.state.frames.get(&id).or_else(|| self.frames.get(&id)) {
            return Ok(open.clone());
        }
        let start = segment * SEGMENT;
        let end = (start + SEGMENT).min(self.row.values.len());
        let held =
            if self.is_flushed(place.bucket, batch)? { None } else { self.store.get(Cf::Rows, place.bytes())? };
        // Of a segment that begins now there is no row.
        let newest = held.is_none().then_some(Timestamp::MIN);
        let stored = match held {
            None => None,
            Some(bytes) => match Frame::parse(&bytes, place.seed()) {
                Ok(frame) if frame.values.len() == end - start => Some(frame),
                Ok(_) => {
                    self.store.corrupt(Cf::Rows, &place.bytes(), "frame and layout differ in columns");
                    None
                }
                Err(reason) => {
                    self.store.corrupt(Cf::Rows, &place.bytes(), reason);
                    None
                }
            },
        };
        let frame = stored.unwrap_or_else(|| {
            // The first row of a segment in a bucket is its own frame: the next ones mostly differ little from it.
            let present = &self.row.present[start / 64..end.div_ceil(64)];
            let value = |i: usize| if has(present, i) { self.row.values[start + i] } else { 0.0 };
            let values: Box<[f64]> = (0..end - start).map(value).collect();
            let zeros = vec![0.0; values.len()];
            let mut bytes = Vec::with_capacity(values.len() * 4);
            let columns = Columns { values: &values, base: &zeros, present };
            codec::encode(&columns, FRAME, place.seed(), &mut bytes);
            batch.put_cf(self.store.cf(Cf::Rows), place.bytes(), &bytes);
            Frame { values, tag: Frame::tag_of(&bytes) }
        });
        let open = OpenSegment { frame: Arc::new(frame), newest };
        self.frames.insert(id, open.clone());
        Ok(open)
    }

    /// Are the rows that the source may have in a bucket flushed, and only waiting to be dropped? Then they go now: rows
    /// coded against other frames would lie among them.
    fn is_flushed(&mut self, bucket: Bucket, batch: &mut WriteBatch) -> Result<bool, Error> {
        let (store, source) = (self.store, self.row.source);
        if self.reopened.contains(&bucket) {
            return Ok(true);
        }
        if !self.context.flushed.covers(bucket.end(store.bucket_ms))
            || store.has(Cf::Postings, seen_key(source, bucket))?
        {
            return Ok(false);
        }
        let from = RowKey::frame(bucket, source, 0);
        let last = RowKey { segment: u32::MAX, slot: u32::MAX, ..from };
        let mut end = last.bytes().to_vec();
        end.push(0);
        // Left over from the flush, which dropped only the mark of the source; the whole bucket goes later.
        batch.delete_range_cf(store.cf(Cf::Rows), &from.bytes()[..], &end[..]);
        self.reopened.insert(bucket);
        Ok(true)
    }

    /// Marks the segments that are new in their bucket as seen, and posts those that are new for the source.
    fn mark_frames(&self, batch: &mut WriteBatch) -> Result<(), Error> {
        let (store, source) = (self.store, self.row.source);
        let cf = store.cf(Cf::Postings);
        let mut posted = HashSet::new();
        let mut by_bucket: BTreeMap<Bucket, Vec<u32>> = BTreeMap::new();
        for &(bucket, segment) in self.frames.keys() {
            by_bucket.entry(bucket).or_default().push(segment);
            let key = source_segment_key(source, segment);
            if posted.insert(segment) && !store.has(Cf::Postings, key)? {
                batch.put_cf(cf, key, []);
                batch.merge_cf(cf, segment_sources_key(segment), bitmap::encode_list([source.0]));
                self.context.read.index.posted.fetch_add(1, Ordering::Relaxed);
            }
        }
        for (bucket, segments) in by_bucket {
            batch.merge_cf(cf, seen_key(source, bucket), bitmap::encode_list(segments));
            batch.merge_cf(cf, bucket_key(bucket), bitmap::encode_list([source.0]));
        }
        Ok(())
    }
}
