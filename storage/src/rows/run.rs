//! A run: rows that share their times, column by column.

use std::collections::HashMap;
use std::ops::Range;

use model::Timestamp;

/// Samples with times of their own, by index of their metric among the wanted.
pub(crate) type Cells = HashMap<usize, Vec<(Timestamp, f64)>>;

/// The wanted columns of one segment in one bucket, or of one page group's partition.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) timestamps: Vec<Timestamp>,
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
            // A bit that stays behind a row that is gone would make the next row's absent value a sample.
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
        // Word by word: most columns of a page are present from end to end.
        let count = (64 - bit).min(range.end - at);
        // A shift by the width of the word would overflow.
        let mask = if count == 64 { u64::MAX } else { ((1 << count) - 1) << bit };
        if set {
            present[word] |= mask;
        } else {
            present[word] &= !mask;
        }
        at += count;
    }
}

/// A run of bits by itself.
pub(crate) fn bits_of(present: &[u64], range: Range<usize>) -> Vec<u64> {
    let (word, shift) = (range.start / 64, range.start % 64);
    let mut bits: Vec<u64> = (0..range.len().div_ceil(64))
        .map(|i| {
            // Where the range does not begin at a word, each word is made of parts of two.
            let low = present[word + i] >> shift;
            let high = present.get(word + i + 1).filter(|_| shift > 0);
            low | high.map_or(0, |high| high << (64 - shift))
        })
        .collect();
    // Bits behind the range are of later rows.
    if let Some(last) = bits.last_mut().filter(|_| !range.len().is_multiple_of(64)) {
        *last &= (1 << (range.len() % 64)) - 1;
    }
    bits
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
            for (first, last) in [(0, 256), (from, to), (1, 130), (70, 71)] {
                let bits = bits_of(&present, first..last);
                let set = |i: usize| bits[i / 64] >> (i % 64) & 1 == 1;
                assert!((0..last - first).all(|i| set(i) == (from..to).contains(&(first + i))), "{first}..{last}");
                assert_eq!(bits.len(), (last - first).div_ceil(64));
                assert!(bits.len() * 64 == last - first || none_set(&bits, last - first..bits.len() * 64));
            }
            mark(&mut present, from..to, false);
            assert!(is_empty(&present));
        }
    }
}
