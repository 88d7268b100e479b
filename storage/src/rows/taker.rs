//! The wanted columns out of the rows of one segment and bucket.

use super::codec::{Corrupt, ORDINARY, RowView};
use super::lane::{LANE, LaneBase};
use super::state::Frame;
use crate::read::run::{Cells, Run, RunColumn};

/// Where one column of a segment goes, lane by lane: bit in its lane, and index of its metric among the wanted.
pub(crate) type Wanted = Vec<(usize, Vec<(usize, usize)>)>;

/// Which columns of a segment are wanted; `metrics` ascending.
pub(crate) fn wanted(columns: &[u32], metrics: &[u32]) -> Wanted {
    let mut wanted = Wanted::new();
    let (Some(&first), Some(&last)) = (metrics.first(), metrics.last()) else { return wanted };
    // Of a source with many segments most have none.
    if !columns.iter().any(|metric| (first..=last).contains(metric)) {
        return wanted;
    }
    for (lane, columns) in columns.chunks(LANE).enumerate() {
        let found = |(bit, metric)| Some((bit, metrics.binary_search(metric).ok()?));
        let found: Vec<_> = columns.iter().enumerate().filter_map(found).collect();
        if !found.is_empty() {
            wanted.push((lane, found));
        }
    }
    wanted
}

fn mask(wanted: &[(usize, usize)]) -> u64 {
    wanted.iter().fold(0, |mask, (bit, _)| mask | 1 << bit)
}

/// Rows go in, a run comes out.
pub(crate) struct Taker<'w> {
    wanted: &'w Wanted,
    bases: Vec<LaneBase>,
    pub(crate) run: Run,
}

impl<'w> Taker<'w> {
    /// For about as many rows as told.
    pub(crate) fn new(wanted: &'w Wanted, rows: usize) -> Self {
        let columns = wanted.iter().flat_map(|(_, columns)| columns);
        let columns = columns.map(|&(_, wanted)| RunColumn {
            wanted,
            values: Vec::with_capacity(rows),
            present: Vec::with_capacity(rows.div_ceil(64)),
        });
        let columns = columns.collect();
        Self { wanted, bases: Vec::new(), run: Run { timestamps: Vec::new(), columns } }
    }

    /// Takes one row; samples with times of their own become cells.
    pub(crate) fn take(&mut self, frame: &Frame, ts: i64, row: &RowView<'_>, cells: &mut Cells) -> Result<(), Corrupt> {
        if self.bases.is_empty() {
            let base = |(lane, _): &(usize, _)| LaneBase::new(frame.values.get(lane * LANE..).unwrap_or(&[]));
            self.bases = self.wanted.iter().map(base).collect();
        }
        let ordinary = row.flags & ORDINARY != 0;
        let at = self.run.timestamps.len();
        let mut out = [0.0; LANE];
        let mut columns = self.run.columns.iter_mut();
        for ((lane, wanted), base) in self.wanted.iter().zip(&self.bases) {
            let present = row.present(*lane);
            if let Err(reason) = row.decode(*lane, base, mask(wanted), &mut out) {
                self.run.truncate(at);
                return Err(reason);
            }
            for ((bit, wanted), column) in wanted.iter().zip(&mut columns) {
                let here = present >> bit & 1;
                if ordinary {
                    column.push(at, out[*bit], here);
                } else if here == 1 {
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
