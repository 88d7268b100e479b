//! The values of some columns of a segment over some of its rows, column by column in one allocation.

use std::ops::Range;

use crate::kv::checksum::Corrupt;
use crate::rows::codec::RowView;
use crate::rows::decoder::ReferenceFrame;
use crate::rows::lane::LANE;
use crate::rows::run::{all_set, bits_of, mark};

/// Columns of a segment: a bit for each in its lane.
pub(super) type Lanes = Vec<(usize, u64)>;

/// Where a column of the segment lies in the block. All of it is in eight bytes: most queries ask for one column of many blocks,
/// and wait for memory more than for anything else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Its place in the segment.
    place: u16,
    /// The number of the column, and [`HAS_GAPS`].
    column: u16,
    /// How many rows it has.
    rows: u32,
}

/// A value is absent in some row; a segment has far fewer columns than this.
const HAS_GAPS: u16 = 1 << 15;

impl Entry {
    fn column(self) -> usize {
        usize::from(self.column & !HAS_GAPS)
    }

    fn has_gaps(self) -> bool {
        self.column & HAS_GAPS != 0
    }

    fn rows(self) -> usize {
        self.rows as usize
    }
}

/// Columns are added as they are asked for, and each has some of the first rows: most have all.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// By place.
    entries: Vec<Entry>,
    /// Rows for which there is room.
    room: usize,
    /// `room` for each column.
    values: Vec<f64>,
    /// A bit for each value, each column from a word of its own; empty while no value is absent.
    present: Vec<u64>,
}

impl Block {
    /// About what it takes, bytes.
    pub(super) fn weight(&self) -> usize {
        (self.values.capacity() + self.present.capacity()) * 8 + self.entries.capacity() * size_of::<Entry>()
    }

    pub(super) fn room(&self) -> usize {
        self.room
    }

    fn entry(&self, place: usize) -> Result<usize, usize> {
        // Where all columns up to it are there, as after a while of rules, it is found at once.
        match self.entries.get(place) {
            Some(entry) if usize::from(entry.place) == place => Ok(place),
            _ => self.entries.binary_search_by_key(&place, |entry| usize::from(entry.place)),
        }
    }

    /// How many rows there are of the column at a place.
    pub(super) fn rows_of(&self, place: usize) -> usize {
        self.entry(place).map_or(0, |at| self.entries[at].rows())
    }

    /// Makes the column at a place one of the block.
    pub(super) fn add_column(&mut self, place: usize) {
        let Err(at) = self.entry(place) else { return };
        let columns = self.entries.len() + 1;
        self.entries.insert(at, Entry { place: place as u16, column: (columns - 1) as u16, rows: 0 });
        self.values.resize(columns * self.room, 0.0);
        if !self.present.is_empty() {
            self.present.resize(columns * words(self.room), 0);
        }
    }

    /// Makes the bits of all values.
    fn note_present(&mut self) {
        let words = words(self.room);
        self.present = vec![0; self.entries.len() * words];
        for entry in &self.entries {
            mark(&mut self.present[entry.column() * words..][..words], 0..entry.rows(), true);
        }
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
            if self.present.is_empty() && mask & !present != 0 {
                self.note_present();
            }
            let first = self.entries.partition_point(|entry| usize::from(entry.place) < lane * LANE);
            for entry in &mut self.entries[first..] {
                let (bit, column) = (usize::from(entry.place).wrapping_sub(lane * LANE), entry.column());
                if bit >= LANE {
                    break;
                }
                // Columns that were read further have the row already.
                if mask >> bit & 1 == 1 && entry.rows() == row {
                    let is_present = present >> bit & 1;
                    self.values[column * self.room + row] = out[bit];
                    if let Some(word) = self.present.get_mut(column * words + row / 64) {
                        *word |= is_present << (row % 64);
                    }
                    entry.column |= if is_present == 0 { HAS_GAPS } else { 0 };
                    entry.rows += 1;
                }
            }
        }
        Ok(())
    }

    /// The column at a place, and how many rows it has.
    pub(super) fn find(&self, place: usize) -> Option<(Entry, usize)> {
        let entry = self.entries[self.entry(place).ok()?];
        Some((entry, entry.rows()))
    }

    /// The values of some rows of a column, and which of them are present.
    pub(super) fn slice(&self, of: Entry, rows: Range<usize>) -> (Vec<f64>, Vec<u64>) {
        let values = self.values[of.column() * self.room..][rows.clone()].to_vec();
        if !of.has_gaps() {
            let mut present = vec![0; words(rows.len())];
            mark(&mut present, 0..rows.len(), true);
            return (values, present);
        }
        let words = words(self.room);
        (values, bits_of(&self.present[of.column() * words..][..words], rows))
    }

    /// Keeps the rows from `first` on, makes room for so many, and leaves out columns that have fewer than `all` rows if any row
    /// goes: they would end before others begin.
    pub(super) fn rebuild(&mut self, first: usize, all: usize, room: usize) {
        let before = std::mem::take(self);
        self.room = room.max(all - first);
        let kept = |entry: &&Entry| first == 0 || entry.rows() == all;
        self.entries = Vec::with_capacity(before.entries.len());
        self.values = vec![0.0; before.entries.len() * self.room];
        let has_gaps = before.entries.iter().any(|entry| entry.has_gaps());
        self.present = vec![0; if has_gaps { before.entries.len() * words(self.room) } else { 0 }];
        for (column, entry) in before.entries.iter().filter(kept).enumerate() {
            let rows = first..entry.rows();
            let values = &before.values[entry.column() * before.room..][rows.clone()];
            self.values[column * self.room..][..values.len()].copy_from_slice(values);
            let mut gaps = 0;
            if has_gaps {
                let words_before = words(before.room);
                let present = bits_of(&before.present[entry.column() * words_before..][..words_before], rows);
                self.present[column * words(self.room)..][..present.len()].copy_from_slice(&present);
                gaps = if all_set(&present, values.len()) { 0 } else { HAS_GAPS };
            }
            self.entries.push(Entry { place: entry.place, column: column as u16 | gaps, rows: values.len() as u32 });
        }
        self.values.truncate(self.entries.len() * self.room);
        self.present.truncate(if has_gaps { self.entries.len() * words(self.room) } else { 0 });
    }
}

/// Words for the presence bits of a column.
fn words(rows: usize) -> usize {
    rows.div_ceil(64)
}
