//! Cached columns of one segment of one source in one open bucket: rows that were decoded once are not decoded again.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use model::Timestamp;
use rocksdb::DBRawIterator;

use crate::error::Error;
use crate::kv;
use crate::kv::checksum::Corrupt;
use crate::kv::schema::{RowKey, slot_of};
use crate::kv::store::Store;
use crate::reader::snapshot::ReadSnapshot;
use crate::rows::codec::{ORDINARY, RowView};
use crate::rows::decoder::{ReferenceFrame, Wanted, mask};
use crate::rows::lane::{LANE, bits};
use crate::rows::run::{Run, RunColumn, bits_of};
use crate::rows::scan;

/// So many rows are kept whether they are asked for or not.
const ROWS_KEPT: usize = 16;

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
    /// By place in the segment; each of some of the first rows.
    columns: BTreeMap<usize, RunColumn>,
    frame: Option<ReferenceFrame>,
    /// How far back from the newest row ranges began since rows were last dropped, ms.
    back_ms: i64,
    /// With so many rows it is looked whether some can be dropped.
    rows_max: usize,
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
        Self { epoch, from, rows_max: ROWS_KEPT, ..Self::default() }
    }

    pub(super) fn reaches_back_to(&self, from: Timestamp) -> bool {
        self.from <= from
    }

    /// About what it takes, bytes.
    pub(super) fn weight(&self) -> usize {
        let columns: usize = self.columns.values().map(|column| column.values.capacity() * 8 + 96).sum();
        columns + self.times.capacity() * 8 + self.frame.as_ref().map_or(0, ReferenceFrame::weight)
    }

    fn rows_of(&self, place: usize) -> usize {
        self.columns.get(&place).map_or(0, |column| column.values.len())
    }

    /// Is something there of all that is wanted?
    pub(super) fn has(&self, wanted: &Wanted) -> bool {
        places(wanted).all(|place| self.rows_of(place) > 0)
    }

    /// Is all there of all that is wanted, up to the last of the times?
    pub(super) fn is_whole(&self, wanted: &Wanted) -> bool {
        places(wanted).all(|place| self.rows_of(place) == self.times.len())
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

    /// Drops the rows that nobody has asked for while as many came: rules and dashboards ask for the last minutes of a bucket of
    /// half an hour.
    fn drop_old(&mut self) {
        let rows = self.times.len();
        let Some(&newest) = self.times.last().filter(|_| rows >= self.rows_max) else { return };
        let asked_from = newest.saturating_sub(std::mem::take(&mut self.back_ms));
        let old = self.times.partition_point(|ts| *ts < asked_from);
        if old >= rows / 2 {
            // Columns that have not all rows are read anew, if they are asked for at all.
            self.columns.retain(|_, column| column.values.len() == rows);
            for column in self.columns.values_mut() {
                column.values.drain(..old);
                column.present = bits_of(&column.present, old..rows);
            }
            self.from = self.times[old - 1] + 1;
            self.times.drain(..old);
        }
        self.rows_max = ROWS_KEPT.max(2 * self.times.len());
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
        let least = places(wanted).map(|place| self.rows_of(place)).min().unwrap_or(0);
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
                Some(known) => known.add(found),
                none => *none = Some(found),
            }
            scan::seek_row(store, iter, place, &slots)?;
        }
        let Self { times, columns, frame: Some(frame), .. } = self else { return Err(Refused::Rows) };
        for place in places(wanted) {
            columns.entry(place).or_default();
        }
        let wanted_lanes: Lanes = wanted.iter().map(|(lane, these)| (*lane, mask(these))).collect();
        let (mut row, known, all_lanes) = (least, times.len(), all_lanes(columns));
        let mut whole = true;
        scan::each_row(store, iter, (place, &slots), frame, &mut |ts, view| {
            // Rows with own times, and times that differ from those known, cannot be cached as columns.
            whole &= view.flags & ORDINARY != 0 && times.get(row).is_none_or(|&known| known == ts);
            if whole {
                // Of a segment with damaged rows nothing is cached; they are read one by one, and reported.
                // Rows that are known are missing of the wanted columns alone.
                let lanes = if row < known { &wanted_lanes } else { &all_lanes };
                add(columns, row, view, frame, lanes).inspect_err(|_| whole = false)?;
                if row == times.len() {
                    times.push(ts);
                }
                row += 1;
            }
            Ok(whole)
        })?;
        if whole { Ok(true) } else { Err(Refused::Rows) }
    }

    /// The wanted columns over a range.
    pub(super) fn run(&self, range: &RangeInclusive<Timestamp>, wanted: &Wanted) -> Run {
        // A failed read may leave columns of different lengths; only rows that all have are used.
        let rows = places(wanted).map(|place| self.rows_of(place)).min().unwrap_or(0);
        let times = &self.times[..rows];
        let from = times.partition_point(|ts| ts < range.start());
        let to = times.partition_point(|ts| ts <= range.end()).max(from);
        let column = |(place, wanted): (usize, usize)| {
            let column = self.columns.get(&place)?;
            let (values, present) = (column.values[from..to].to_vec(), bits_of(&column.present, from..to));
            Some(RunColumn { wanted, values, present })
        };
        let each = wanted
            .iter()
            .flat_map(|(lane, columns)| columns.iter().map(move |&(bit, wanted)| (lane * LANE + bit, wanted)));
        Run { timestamps: times[from..to].to_vec(), columns: each.filter_map(column).collect() }
    }
}

/// The places of the wanted columns in their segment.
fn places(wanted: &Wanted) -> impl Iterator<Item = usize> + '_ {
    wanted.iter().flat_map(|(lane, columns)| columns.iter().map(move |(bit, _)| lane * LANE + bit))
}

/// Columns of a segment: a bit for each in its lane.
type Lanes = Vec<(usize, u64)>;

/// All columns that there are.
fn all_lanes(columns: &BTreeMap<usize, RunColumn>) -> Lanes {
    let mut lanes = Lanes::new();
    for place in columns.keys() {
        let (lane, bit) = (place / LANE, 1 << (place % LANE));
        match lanes.last_mut() {
            Some((last, mask)) if *last == lane => *mask |= bit,
            _ => lanes.push((lane, bit)),
        }
    }
    lanes
}

/// Adds a row to those of some columns that end before it.
fn add(
    columns: &mut BTreeMap<usize, RunColumn>,
    row: usize,
    view: &RowView<'_>,
    frame: &ReferenceFrame,
    lanes: &Lanes,
) -> Result<(), Corrupt> {
    let mut out = [0.0; LANE];
    for &(lane, mask) in lanes {
        view.decode(lane, frame.of(lane)?, mask, &mut out)?;
        let present = view.present(lane);
        for bit in bits(mask) {
            if let Some(column) = columns.get_mut(&(lane * LANE + bit))
                // Columns that were read further have the row already.
                && column.values.len() == row
            {
                column.push(row, out[bit], present >> bit & 1);
            }
        }
    }
    Ok(())
}
