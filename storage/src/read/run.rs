//! A run: rows that share their times, column by column.

use std::collections::HashMap;
use std::ops::Range;

/// Samples with times of their own, by index of their metric among the wanted.
pub(crate) type Cells = HashMap<usize, Vec<(i64, f64)>>;

/// The wanted columns of one segment in one bucket, or of one page group's partition.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) timestamps: Vec<i64>,
    pub(crate) columns: Vec<RunColumn>,
}

/// One column, a value and a presence bit per timestamp.
#[derive(Debug, Default)]
pub(crate) struct RunColumn {
    /// Index of the metric among the wanted.
    pub(crate) wanted: usize,
    pub(crate) values: Vec<f64>,
    pub(crate) present: Vec<u64>,
}

impl Run {
    /// Back to `rows` rows, when the next one turned out broken half way.
    pub(crate) fn truncate(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.values.truncate(rows);
            column.present.truncate(rows.div_ceil(64));
            if let Some(last) = column.present.last_mut().filter(|_| !rows.is_multiple_of(64)) {
                *last &= (1 << (rows % 64)) - 1;
            }
        }
    }
}

impl RunColumn {
    /// Adds the value of row `at`.
    pub(crate) fn push(&mut self, at: usize, value: f64, present: u64) {
        self.values.push(value);
        if at.is_multiple_of(64) {
            self.present.push(0);
        }
        self.present[at / 64] |= present << (at % 64);
    }
}

/// Are all of the first `len` bits set?
pub(crate) fn all_set(present: &[u64], len: usize) -> bool {
    present.iter().map(|word| word.count_ones() as usize).sum::<usize>() == len
}

/// Is no bit set?
pub(crate) fn is_empty(present: &[u64]) -> bool {
    present.iter().all(|&word| word == 0)
}

/// Sets a run of bits, or clears it.
pub(crate) fn mark(present: &mut [u64], range: Range<usize>, set: bool) {
    let mut at = range.start;
    while at < range.end {
        let (word, bit) = (at / 64, at % 64);
        let count = (64 - bit).min(range.end - at);
        let mask = if count == 64 { u64::MAX } else { ((1 << count) - 1) << bit };
        if set {
            present[word] |= mask;
        } else {
            present[word] &= !mask;
        }
        at += count;
    }
}

/// Is none of a run of bits set?
pub(crate) fn none_set(present: &[u64], range: Range<usize>) -> bool {
    let mut at = range.start;
    while at < range.end {
        let (word, bit) = (at / 64, at % 64);
        let count = (64 - bit).min(range.end - at);
        let mask = if count == 64 { u64::MAX } else { ((1 << count) - 1) << bit };
        if present[word] & mask != 0 {
            return false;
        }
        at += count;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_marked_in_runs() {
        for (from, to) in [(0, 0), (0, 64), (3, 5), (60, 70), (0, 200), (64, 128), (199, 200)] {
            let mut present = [0; 4];
            mark(&mut present, from..to, true);
            for i in 0..256 {
                assert_eq!(present[i / 64] >> (i % 64) & 1 == 1, (from..to).contains(&i), "{from}..{to} at {i}");
            }
            assert_eq!(none_set(&present, 0..256), from == to);
            assert!(none_set(&present, 0..from) && none_set(&present, to..256));
            mark(&mut present, from..to, false);
            assert!(is_empty(&present));
        }
    }
}
