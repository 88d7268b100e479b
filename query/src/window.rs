//! Which samples each step sees. Bounds are found once per batch, for all its columns.

use model::Column;
use model::sample::is_stale;

/// The steps of an evaluation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub(crate) start_ms: i64,
    pub(crate) step_ms: i64,
    pub(crate) len: usize,
}

impl Grid {
    pub(crate) fn time(&self, i: usize) -> i64 {
        self.start_ms + self.step_ms * i as i64
    }

    /// The first step alone.
    pub(crate) fn first(&self) -> Self {
        Self { len: self.len.min(1), ..*self }
    }
}

/// The samples of one series that one step sees: those in `(start_ms, end_ms]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'a> {
    pub(crate) ts: &'a [i64],
    pub(crate) values: &'a [f64],
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    /// The time of the step itself, which `offset` and `@` do not move.
    pub(crate) eval_ms: i64,
    /// The series is known never to fall, so no counter reset need be looked for.
    pub(crate) rises: bool,
}

/// For each step, the stretch of timestamps in `(end - length, end]`. `ends` ascend.
pub(crate) fn bounds(timestamps: &[i64], ends: &[i64], length_ms: i64) -> Vec<(usize, usize)> {
    let (mut low, mut high) = (0, 0);
    let skip = |mut i: usize, limit: i64| {
        while timestamps.get(i).is_some_and(|ts| *ts <= limit) {
            i += 1;
        }
        i
    };
    let find = |end: &i64| {
        low = skip(low, end - length_ms);
        high = skip(high, *end);
        (low, high.max(low))
    };
    ends.iter().map(find).collect()
}

/// A column without its holes, and how many samples precede each of its slots. Reused from column to column.
#[derive(Debug, Default)]
pub(crate) struct Dense {
    ts: Vec<i64>,
    values: Vec<f64>,
    /// Empty when the column has no holes.
    rank: Vec<usize>,
}

impl Dense {
    /// Drops absent slots and, unless they matter, stale markers.
    pub(crate) fn load(&mut self, timestamps: &[i64], column: &Column, keep_stale: bool) {
        self.rank.clear();
        self.ts.clear();
        self.values.clear();
        let holes = column.present.is_some() || (!keep_stale && column.values.iter().any(|v| is_stale(*v)));
        if !holes {
            return;
        }
        for (i, (ts, value)) in timestamps.iter().zip(&column.values).enumerate() {
            self.rank.push(self.ts.len());
            if column.is_present(i) && (keep_stale || !is_stale(*value)) {
                self.ts.push(*ts);
                self.values.push(*value);
            }
        }
        self.rank.push(self.ts.len());
    }

    /// Does no sample lie below the one before it?
    pub(crate) fn rises(&self, column: &Column) -> bool {
        let values = if self.rank.is_empty() { &column.values } else { &self.values };
        values.is_sorted()
    }

    /// The samples between two bounds of the batch.
    pub(crate) fn slice<'a>(
        &'a self,
        timestamps: &'a [i64],
        column: &'a Column,
        (low, high): (usize, usize),
    ) -> (&'a [i64], &'a [f64]) {
        if self.rank.is_empty() {
            return (&timestamps[low..high], &column.values[low..high]);
        }
        let (low, high) = (self.rank[low], self.rank[high]);
        (&self.ts[low..high], &self.values[low..high])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Labels;

    #[test]
    fn left_open_right_closed() {
        assert_eq!(bounds(&[10, 20, 30], &[20, 30, 40, 60], 10), [(1, 2), (2, 3), (3, 3), (3, 3)]);
        assert_eq!(bounds(&[10, 20, 30], &[5, 25], 100), [(0, 0), (0, 2)]);
    }

    #[test]
    fn holes_are_skipped() {
        let column = Column {
            labels: Labels::empty(),
            values: vec![1.0, 2.0, model::sample::stale_nan(), 4.0],
            present: Some(vec![0b1101]),
        };
        let ts = [1, 2, 3, 4];
        let mut dense = Dense::default();
        dense.load(&ts, &column, false);
        assert_eq!(dense.slice(&ts, &column, (0, 4)), (&[1, 4][..], &[1.0, 4.0][..]));
        assert_eq!(dense.slice(&ts, &column, (1, 3)), (&[][..], &[][..]));
        dense.load(&ts, &column, true);
        assert_eq!(dense.slice(&ts, &column, (0, 4)).0, [1, 3, 4]);
    }
}
