//! The values of some columns of a segment over some of its rows, column by column in one allocation.

use std::ops::Range;

use crate::kv::checksum::Corrupt;
use crate::rows::codec::RowView;
use crate::rows::decoder::ReferenceFrame;
use crate::rows::lane::LANE;
use crate::rows::run::bits_of;

/// Columns of a segment: a bit for each in its lane.
pub(super) type Lanes = Vec<(usize, u64)>;

/// Where a column of the segment lies in the block.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Its place in the segment.
    place: u16,
    column: u16,
}

/// Columns are added as they are asked for, and each has some of the first rows: most have all.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// By place.
    entries: Vec<Entry>,
    /// By column: how many rows it has.
    rows: Vec<u32>,
    /// Rows for which there is room.
    room: usize,
    /// `room` for each column.
    values: Vec<f64>,
    /// A bit for each value, each column from a word of its own.
    present: Vec<u64>,
}

impl Block {
    /// About what it takes, bytes.
    pub(super) fn weight(&self) -> usize {
        (self.values.capacity() + self.present.capacity()) * 8 + (self.entries.capacity() + self.rows.capacity()) * 4
    }

    pub(super) fn room(&self) -> usize {
        self.room
    }

    fn column(&self, place: usize) -> Option<usize> {
        let at = self.entries.binary_search_by_key(&place, |entry| usize::from(entry.place)).ok()?;
        Some(usize::from(self.entries[at].column))
    }

    /// How many rows there are of the column at a place.
    pub(super) fn rows_of(&self, place: usize) -> usize {
        self.column(place).map_or(0, |column| self.rows[column] as usize)
    }

    /// Makes the column at a place one of the block.
    pub(super) fn add_column(&mut self, place: usize) {
        let Err(at) = self.entries.binary_search_by_key(&place, |entry| usize::from(entry.place)) else { return };
        let entry = Entry { place: place as u16, column: self.rows.len() as u16 };
        self.entries.insert(at, entry);
        self.rows.push(0);
        self.values.resize(self.rows.len() * self.room, 0.0);
        self.present.resize(self.rows.len() * words(self.room), 0);
    }

    /// All columns that there are.
    pub(super) fn lanes(&self) -> Lanes {
        let mut lanes = Lanes::new();
        for entry in &self.entries {
            let (lane, bit) = (usize::from(entry.place) / LANE, 1 << (usize::from(entry.place) % LANE));
            match lanes.last_mut() {
                Some((last, mask)) if *last == lane => *mask |= bit,
                _ => lanes.push((lane, bit)),
            }
        }
        lanes
    }

    /// Adds a row to those of some columns that end before it. There must be room for it.
    pub(super) fn add_row(
        &mut self,
        row: usize,
        view: &RowView<'_>,
        frame: &ReferenceFrame,
        lanes: &Lanes,
    ) -> Result<(), Corrupt> {
        let words = words(self.room);
        let mut out = [0.0; LANE];
        for &(lane, mask) in lanes {
            view.decode(lane, frame.of(lane)?, mask, &mut out)?;
            let present = view.present(lane);
            let first = self.entries.partition_point(|entry| usize::from(entry.place) < lane * LANE);
            for Entry { place, column } in &self.entries[first..] {
                let (bit, column) = (usize::from(*place).wrapping_sub(lane * LANE), usize::from(*column));
                if bit >= LANE {
                    break;
                }
                // Columns that were read further have the row already.
                if mask >> bit & 1 == 1 && self.rows[column] as usize == row {
                    self.values[column * self.room + row] = out[bit];
                    self.present[column * words + row / 64] |= (present >> bit & 1) << (row % 64);
                    self.rows[column] += 1;
                }
            }
        }
        Ok(())
    }

    /// The column at a place and how many rows it has.
    pub(super) fn find(&self, place: usize) -> Option<(usize, usize)> {
        let column = self.column(place)?;
        Some((column, self.rows[column] as usize))
    }

    /// The values of some rows of a column, and which of them are present.
    pub(super) fn slice(&self, column: usize, rows: Range<usize>) -> (Vec<f64>, Vec<u64>) {
        let values = &self.values[column * self.room..][rows.clone()];
        let words = words(self.room);
        (values.to_vec(), bits_of(&self.present[column * words..(column + 1) * words], rows))
    }

    /// Keeps the rows from `first` on, makes room for so many, and leaves out columns that have fewer than `all` rows if any row
    /// goes: they would end before others begin.
    pub(super) fn rebuild(&mut self, first: usize, all: usize, room: usize) {
        let before = std::mem::take(self);
        self.room = room.max(all - first);
        let kept = |entry: &&Entry| first == 0 || before.rows[usize::from(entry.column)] as usize == all;
        self.entries = Vec::with_capacity(before.entries.len());
        self.values = vec![0.0; before.entries.len() * self.room];
        self.present = vec![0; before.entries.len() * words(self.room)];
        for (column, entry) in before.entries.iter().filter(kept).enumerate() {
            let from = usize::from(entry.column);
            let rows = first..before.rows[from] as usize;
            let values = &before.values[from * before.room..][rows.clone()];
            self.values[column * self.room..][..values.len()].copy_from_slice(values);
            let present = &before.present[from * words(before.room)..(from + 1) * words(before.room)];
            let present = bits_of(present, rows);
            self.present[column * words(self.room)..][..present.len()].copy_from_slice(&present);
            self.entries.push(Entry { place: entry.place, column: column as u16 });
            self.rows.push(values.len() as u32);
        }
        self.values.truncate(self.rows.len() * self.room);
        self.present.truncate(self.rows.len() * words(self.room));
    }
}

/// Words for the presence bits of a column.
fn words(rows: usize) -> usize {
    rows.div_ceil(64)
}
