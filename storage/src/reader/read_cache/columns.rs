//! Cached columns of one segment of one source in one open bucket: rows that were decoded once are not decoded again.

use std::ops::{Range, RangeInclusive};

use model::Timestamp;
use rocksdb::DBRawIterator;

use super::block::{Block, Lanes};
use crate::error::Error;
use crate::kv;
use crate::kv::schema::{RowKey, slot_of};
use crate::kv::store::Store;
use crate::reader::snapshot::ReadSnapshot;
use crate::rows::codec::ORDINARY;
use crate::rows::decoder::{BaseValues, Wanted, mask};
use crate::rows::lane::LANE;
use crate::rows::run::{Run, RunColumn};
use crate::rows::scan;

/// Rows that nobody asked for while so much newer ones came can be dropped, ms: rules and refreshed dashboards ask for the same
/// time back again within it.
const ASKED_WITHIN_MS: i64 = 120_000;
/// There is room for so many more rows, at least, when there is none left.
const ROWS_AHEAD: usize = 2;

/// What was read so far. Rows are only ever added; of anything else [`crate::reader::epochs::WriteTracker`] tells.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// When the first of it was read.
    pub(super) epoch: u64,
    /// When, by the clock of newer rows, there was no row behind the last of the times.
    pub(super) read_at: Option<u64>,
    /// All rows from here on are among the times, up to the last of these.
    from: Timestamp,
    times: Vec<Timestamp>,
    /// Columns by place in the segment; each of some of the first rows.
    block: Block,
    frame: Option<BaseValues>,
    /// How far back from the newest row ranges began since this time of a row, ms.
    back_ms: i64,
    asked_since: Option<Timestamp>,
}

/// Why nothing is cached of a segment.
#[derive(Debug)]
pub(super) enum Refused {
    /// It has rows with times of their own, or damaged ones.
    Rows,
    Store(Error),
}

impl From<kv::Error> for Refused {
    fn from(error: kv::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Columns {
    pub(super) fn new(epoch: u64, from: Timestamp) -> Self {
        Self { epoch, from, ..Self::default() }
    }

    pub(super) fn reaches_back_to(&self, from: Timestamp) -> bool {
        self.from <= from
    }

    /// About what it takes, bytes.
    pub(super) fn weight(&self) -> usize {
        self.block.weight() + self.times.capacity() * 8 + self.frame.as_ref().map_or(0, BaseValues::weight)
    }

    /// Is something there of all that is wanted?
    pub(super) fn has(&self, wanted: &Wanted) -> bool {
        places(wanted).all(|place| self.block.rows_of(place) > 0)
    }

    /// Is all there of all that is wanted, up to the last of the times?
    pub(super) fn is_whole(&self, wanted: &Wanted) -> bool {
        places(wanted).all(|place| self.block.rows_of(place) == self.times.len())
    }

    /// Remembers from where on rows are asked for.
    pub(super) fn ask(&mut self, from: Timestamp) {
        let newest = self.times.last().copied().unwrap_or(from);
        self.back_ms = self.back_ms.max(newest.saturating_since(from));
    }

    /// Reads what is not there yet of the wanted columns, up to `last`. A row that no query has seen yet is decoded for all
    /// columns that have the rows before it: rules of a group ask for one after another.
    pub(super) fn extend(
        &mut self,
        snapshot: &ReadSnapshot<'_>,
        iter: &mut DBRawIterator<'_>,
        (place, wanted): (RowKey, &Wanted),
        last: Timestamp,
    ) -> Result<(), Refused> {
        self.read_at = None;
        self.drop_old();
        let looked = self.read_on(snapshot.store, iter, (place, wanted), last)?;
        // The iterator went past the segment's last row: until a newer one is written nothing need be looked for.
        if looked && self.is_whole(wanted) && !scan::is_in(iter, place) {
            self.read_at = Some(snapshot.epochs.newer);
        }
        Ok(())
    }

    /// Drops the rows that nobody has asked for lately: rules and dashboards ask for the last minutes of a bucket of half an
    /// hour.
    fn drop_old(&mut self) {
        let rows = self.times.len();
        let Some(&newest) = self.times.last().filter(|_| rows >= self.block.room()) else { return };
        let since = *self.asked_since.get_or_insert(newest);
        if newest.saturating_since(since) < ASKED_WITHIN_MS {
            return;
        }
        let asked_from = newest.saturating_sub(std::mem::take(&mut self.back_ms));
        self.asked_since = Some(newest);
        let old = self.times.partition_point(|ts| *ts < asked_from);
        if old > 0 {
            let left = rows - old;
            // As many will come until the next time.
            self.block.rebuild(old, rows, left + old.min(left.max(ROWS_AHEAD)));
            self.from = self.times[old - 1] + 1;
            self.times.drain(..old);
        }
    }

    /// Leaves the iterator on what comes behind. Was there anything to look for?
    fn read_on(
        &mut self,
        store: &Store,
        iter: &mut DBRawIterator<'_>,
        (place, wanted): (RowKey, &Wanted),
        last: Timestamp,
    ) -> Result<bool, Refused> {
        // Columns were asked for at different times: the shortest says from where rows are missing.
        let least = places(wanted).map(|place| self.block.rows_of(place)).min().unwrap_or(0);
        let from = match (self.times.get(least), self.times.last()) {
            (Some(&ts), _) => slot_of(place.bucket, ts),
            (None, Some(&ts)) => slot_of(place.bucket, ts) + 1,
            (None, None) => slot_of(place.bucket, self.from),
        };
        let slots = from..=slot_of(place.bucket, last);
        if slots.is_empty() {
            return Ok(false);
        }
        if !scan::seek_row(store, iter, place, &slots)? {
            return Ok(true);
        }
        if !self.frame.as_ref().is_some_and(|frame| frame.cover(wanted)) {
            let Some(found) = scan::frame_at(store, iter, place, wanted)? else { return Err(Refused::Rows) };
            match &mut self.frame {
                Some(known) => known.add(found.into()),
                none => *none = Some(found.into()),
            }
            scan::seek_row(store, iter, place, &slots)?;
        }
        let Self { times, block, frame: Some(frame), .. } = self else { return Err(Refused::Rows) };
        for place in places(wanted) {
            block.add_column(place);
        }
        let wanted_lanes: Lanes = wanted.iter().map(|(lane, these)| (*lane, mask(these))).collect();
        let (mut row, known, all_lanes) = (least, times.len(), block.lanes());
        // Rows that are known are missing of the wanted columns alone.
        let lanes_of = |row: usize| if row < known { &wanted_lanes } else { &all_lanes };
        let frame = frame.reference(all_lanes.iter().map(|(lane, _)| *lane));
        let mut whole = true;
        scan::each_row(store, iter, (place, &slots), &frame, &mut |ts, view| {
            // Rows with own times, and times that differ from those known, cannot be cached as columns.
            whole &= view.flags & ORDINARY != 0 && times.get(row).is_none_or(|&known| known == ts);
            if whole {
                if row >= block.room() {
                    block.rebuild(0, row, row + (row / 4).max(ROWS_AHEAD));
                }
                // Of a segment with damaged rows nothing is cached; they are read one by one, and reported.
                block.add_row(row, view, &frame, lanes_of(row)).inspect_err(|_| whole = false)?;
                if row == times.len() {
                    times.push(ts);
                }
                row += 1;
            }
            Ok(whole)
        })?;
        if whole { Ok(true) } else { Err(Refused::Rows) }
    }

    /// The wanted columns over a range, if all of them have all rows: most of what is asked for. Each is looked up but once.
    pub(super) fn whole_run(&self, range: &RangeInclusive<Timestamp>, wanted: &Wanted) -> Option<Run> {
        let rows = self.rows_in(range, self.times.len());
        let mut columns = Vec::with_capacity(wanted.iter().map(|(_, columns)| columns.len()).sum());
        for (place, wanted) in placed(wanted) {
            let (column, has) = self.block.find(place)?;
            if has != self.times.len() {
                return None;
            }
            let (values, present) = self.block.slice(column, rows.clone());
            columns.push(RunColumn { wanted, values, present });
        }
        Some(Run { timestamps: self.times[rows].to_vec(), columns })
    }

    /// The wanted columns over a range.
    pub(super) fn run(&self, range: &RangeInclusive<Timestamp>, wanted: &Wanted) -> Run {
        // A failed read may leave columns of different lengths; only rows that all have are used.
        let rows = self.rows_in(range, places(wanted).map(|place| self.block.rows_of(place)).min().unwrap_or(0));
        let column = |(place, wanted): (usize, usize)| {
            let (values, present) = self.block.slice(self.block.find(place)?.0, rows.clone());
            Some(RunColumn { wanted, values, present })
        };
        Run { timestamps: self.times[rows.clone()].to_vec(), columns: placed(wanted).filter_map(column).collect() }
    }

    /// Those of the first rows that lie in a range.
    fn rows_in(&self, range: &RangeInclusive<Timestamp>, rows: usize) -> Range<usize> {
        let times = &self.times[..rows];
        let from = times.partition_point(|ts| ts < range.start());
        from..times.partition_point(|ts| ts <= range.end()).max(from)
    }
}

/// The wanted columns: the place of each in its segment, and the index of its metric among the wanted.
fn placed(wanted: &Wanted) -> impl Iterator<Item = (usize, usize)> + '_ {
    wanted.iter().flat_map(|(lane, columns)| columns.iter().map(move |&(bit, wanted)| (lane * LANE + bit, wanted)))
}

/// The places of the wanted columns in their segment.
fn places(wanted: &Wanted) -> impl Iterator<Item = usize> + '_ {
    placed(wanted).map(|(place, _)| place)
}
