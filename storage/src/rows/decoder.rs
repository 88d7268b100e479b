//! The row decoder: the wanted columns out of the rows of one segment and bucket.

use model::Timestamp;

use super::codec::{FRAME, LANES_MAX, ORDINARY, RowView};
use super::frame::Frame;
use super::lane::{LANE, LaneBase};
use super::run::{Cells, Run, RunColumn};
use crate::kv::checksum::Corrupt;

/// Where one column of a segment goes, lane by lane: bit in its lane, and index of its metric among the wanted.
pub(crate) type Wanted = Vec<(usize, Vec<(usize, usize)>)>;

/// Which columns of a segment are wanted; `metrics` ascending.
pub(crate) fn wanted(columns: &[u32], metrics: &[u32]) -> Wanted {
    let mut wanted = Wanted::new();
    let (Some(&first), Some(&last)) = (metrics.first(), metrics.last()) else { return wanted };
    for (lane, columns) in columns.chunks(LANE).enumerate() {
        // Of a source with many segments most lanes have none. To the end, without a branch for each column: that is
        // vectorised.
        if !columns.iter().fold(false, |any, metric| any | (first..=last).contains(metric)) {
            continue;
        }
        let found = |(bit, metric)| Some((bit, metrics.binary_search(metric).ok()?));
        let found: Vec<_> = columns.iter().enumerate().filter_map(found).collect();
        if !found.is_empty() {
            wanted.push((lane, found));
        }
    }
    wanted
}

/// The columns of one lane, as a bit each.
pub(crate) fn mask(wanted: &[(usize, usize)]) -> u64 {
    wanted.iter().fold(0, |mask, (bit, _)| mask | 1 << bit)
}

/// The reference frame that rows are decoded against: the base values of those lanes that have wanted columns.
#[derive(Debug)]
pub(crate) struct ReferenceFrame {
    pub(crate) columns: usize,
    pub(crate) tag: u32,
    lanes: [Option<LaneBase>; LANES_MAX],
}

impl ReferenceFrame {
    /// Out of a frame's bytes.
    pub(crate) fn parse(bytes: &[u8], seed: u64, wanted: &Wanted) -> Result<Self, Corrupt> {
        let stored = RowView::parse(bytes, seed)?;
        if stored.flags != FRAME {
            return Err(Corrupt::Shape("a row where the frame should be"));
        }
        let mut frame = Self { columns: stored.columns, tag: Frame::tag_of(bytes), lanes: Default::default() };
        let zeros = LaneBase::new(&[]);
        for &(lane, _) in wanted {
            let mut values = [0.0; LANE];
            stored.decode(lane, &zeros, stored.present(lane), &mut values)?;
            // Columns that the frame lacks have the base 0.
            for bit in super::lane::bits(!stored.present(lane)) {
                values[bit] = 0.0;
            }
            frame.lanes[lane] = Some(LaneBase::new(&values));
        }
        Ok(frame)
    }

    /// Those of one lane, which was asked for.
    pub(crate) fn of(&self, lane: usize) -> Result<&LaneBase, Corrupt> {
        self.lanes[lane].as_ref().ok_or(Corrupt::Shape("a lane without base values"))
    }
}

/// A reference frame as it is kept: the base values by themselves, a third of what a decoder makes of them.
#[derive(Debug)]
pub(crate) struct BaseValues {
    columns: usize,
    tag: u32,
    /// By lane; of some lanes.
    lanes: Vec<(usize, Box<[f64; LANE]>)>,
}

impl From<ReferenceFrame> for BaseValues {
    fn from(frame: ReferenceFrame) -> Self {
        let lanes = frame.lanes.iter().enumerate();
        let lanes = lanes.filter_map(|(lane, base)| Some((lane, Box::new(base.as_ref()?.values())))).collect();
        Self { columns: frame.columns, tag: frame.tag, lanes }
    }
}

impl BaseValues {
    fn of(&self, lane: usize) -> Option<&[f64; LANE]> {
        let at = self.lanes.binary_search_by_key(&lane, |(lane, _)| *lane).ok()?;
        Some(&self.lanes[at].1)
    }

    /// Has it all lanes that have wanted columns?
    pub(crate) fn cover(&self, wanted: &Wanted) -> bool {
        wanted.iter().all(|(lane, _)| self.of(*lane).is_some())
    }

    /// Takes over what the other, of the same frame, has.
    pub(crate) fn add(&mut self, other: Self) {
        self.lanes.extend(other.lanes);
        self.lanes.sort_by_key(|(lane, _)| *lane);
        self.lanes.dedup_by_key(|(lane, _)| *lane);
    }

    /// The frame with those of some lanes that it has.
    pub(crate) fn reference(&self, lanes: impl Iterator<Item = usize>) -> ReferenceFrame {
        let mut frame = ReferenceFrame { columns: self.columns, tag: self.tag, lanes: Default::default() };
        for lane in lanes {
            frame.lanes[lane] = self.of(lane).map(|values| LaneBase::new(values));
        }
        frame
    }

    /// About how much memory it takes, bytes.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.lanes.capacity() * 16 + self.lanes.len() * size_of::<[f64; LANE]>()
    }
}

/// Collects the wanted columns of rows into a run.
pub(crate) struct RowDecoder<'w> {
    wanted: &'w Wanted,
    pub(crate) run: Run,
}

impl<'w> RowDecoder<'w> {
    /// For about so many rows.
    pub(crate) fn new(wanted: &'w Wanted, rows: usize) -> Self {
        let columns = wanted.iter().flat_map(|(_, columns)| columns);
        let columns = columns.map(|&(_, wanted)| RunColumn {
            wanted,
            values: Vec::with_capacity(rows),
            present: Vec::with_capacity(rows.div_ceil(64)),
        });
        let columns = columns.collect();
        Self { wanted, run: Run { timestamps: Vec::new(), columns } }
    }

    /// Adds one row; samples with times of their own become cells.
    pub(crate) fn add_row(
        &mut self,
        frame: &ReferenceFrame,
        ts: Timestamp,
        row: &RowView<'_>,
        cells: &mut Cells,
    ) -> Result<(), Corrupt> {
        let ordinary = row.flags & ORDINARY != 0;
        let at = self.run.timestamps.len();
        let mut out = [0.0; LANE];
        // In step with the wanted, of which they were made in the same order.
        let mut columns = self.run.columns.iter_mut();
        for (lane, wanted) in self.wanted {
            let present = row.present(*lane);
            if let Err(reason) = frame.of(*lane).and_then(|base| row.decode(*lane, base, mask(wanted), &mut out)) {
                // The lanes before this one have their values of the row already.
                self.run.truncate(at);
                return Err(reason);
            }
            for ((bit, wanted), column) in wanted.iter().zip(&mut columns) {
                let here = present >> bit & 1;
                if ordinary {
                    column.push(at, out[*bit], here);
                } else if here == 1 {
                    // Not a slot of the line: the other columns of the segment have no sample at this time.
                    cells.entry(*wanted).or_default().push((ts, out[*bit]));
                }
            }
        }
        if ordinary {
            self.run.timestamps.push(ts);
        }
        Ok(())
    }
}
