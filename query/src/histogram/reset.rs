//! Detection of counter resets between two samples: by hints, by counts, by start timestamps.

use model::histogram::Buckets;
use model::{Histogram, ResetHint, Timestamp};

use super::cells::{Cells, at_resolution, common_bounds};

/// Was a histogram reset since the previous one? A hint decides; without one all counts are compared in the bucket layout of
/// the later histogram. A higher resolution or a narrower zero bucket imply a reset.
pub(crate) fn detect(current: &Histogram, before: &Histogram) -> bool {
    match current.reset_hint {
        ResetHint::Reset => return true,
        ResetHint::NotReset => return false,
        ResetHint::Unknown | ResetHint::Gauge => {}
    }
    // The cheapest check first: the total count decreased.
    if current.count < before.count {
        return true;
    }
    if current.is_custom() && before.is_custom() && current.custom_values != before.custom_values {
        let bounds = common_bounds(&current.custom_values, &before.custom_values);
        let cells = |h: &Histogram| {
            let mut cells = Cells::new(&h.positive);
            cells.rebound(&h.custom_values, &bounds);
            cells
        };
        // Only counts up to common bounds can be compared.
        return fell(&cells(current), &cells(before));
    }
    if current.is_custom() != before.is_custom()
        || current.schema > before.schema
        || current.zero_threshold < before.zero_threshold
    {
        return true;
    }
    let beyond_zero = |side: &Buckets| Cells::new(side).beyond_zero(current.schema, current.zero_threshold);
    // The previous histogram in the resolution of the current one.
    let (positive, negative, zero, threshold) = at_resolution(before, current.schema, current.zero_threshold);
    threshold != current.zero_threshold
        || current.zero_count < zero.value()
        || fell(&beyond_zero(&current.positive), &positive)
        || fell(&beyond_zero(&current.negative), &negative)
}

fn fell(current: &Cells, before: &Cells) -> bool {
    // Both lists are sorted by index: one pass over them.
    let mut now = current.0.iter().peekable();
    before.0.iter().any(|(index, count)| {
        while now.next_if(|(i, _)| i < index).is_some() {}
        match now.peek() {
            Some((i, current)) if i == index => current.value() < count.value(),
            // A bucket that disappeared had observations.
            _ => count.value() != 0.0,
        }
    })
}

/// Was a counter reset between two samples, by their start timestamps? Both samples are given as (start, time), with 0 for an
/// unknown start. An unchanged start is no reset. A start at the time of the previous sample is one only if that sample has a
/// start of its own before its time: that is how deltas are told from counters whose start is unknown.
pub(crate) fn started_anew(
    (start_before, before): (Timestamp, Timestamp),
    (start, time): (Timestamp, Timestamp),
) -> bool {
    if start == Timestamp::EPOCH || start == start_before || start >= time || start < before {
        return false;
    }
    start > before || start_before != Timestamp::EPOCH && start_before < before
}

/// Is the start timestamp of a sample before the previous sample, and different from that one's?
pub(crate) fn starts_overlap((start_before, before): (Timestamp, Timestamp), start: Timestamp) -> bool {
    // An unknown start overlaps nothing, and samples of one counter share their start.
    start != Timestamp::EPOCH && start < before && start != start_before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_falls() {
        let base = Histogram {
            schema: 1,
            count: 10.0,
            zero_threshold: 0.1,
            zero_count: 1.0,
            positive: Buckets::run(0, vec![2.0, 0.0, 3.0]),
            negative: Buckets::run(0, vec![4.0]),
            ..Histogram::default()
        };
        let with = |f: fn(&mut Histogram)| {
            let mut changed = base.clone();
            f(&mut changed);
            changed
        };
        assert!(!detect(&base, &base));
        assert!(detect(&with(|h| h.count = 9.0), &base));
        assert!(detect(&with(|h| h.zero_count = 0.5), &base));
        assert!(detect(&with(|h| h.negative = Buckets::default()), &base));
        assert!(detect(&with(|h| h.positive.counts[2] = 2.0), &base));
        assert!(detect(&with(|h| h.schema = 2), &base));
        assert!(detect(&with(|h| h.zero_threshold = 0.05), &base));
        assert!(!detect(&with(|h| (h.count, h.reset_hint) = (9.0, ResetHint::NotReset)), &base));
        assert!(detect(&with(|h| h.reset_hint = ResetHint::Reset), &base));
        // The empty bucket may go; buckets joined by a coarser schema did not fall.
        assert!(!detect(&with(|h| h.positive.compact()), &base));
        assert!(!detect(&with(|h| (h.schema, h.positive) = (0, Buckets::run(0, vec![2.0, 3.0]))), &base));
    }

    #[test]
    fn starts() {
        let at = |(start, time)| (Timestamp(start), Timestamp(time));
        let started_anew = |before, sample| started_anew(at(before), at(sample));
        let starts_overlap = |before, start| starts_overlap(at(before), Timestamp(start));
        assert!(started_anew((0, 100), (150, 200)));
        assert!(!started_anew((0, 100), (0, 200)) && !started_anew((0, 100), (200, 200)));
        assert!(!started_anew((50, 100), (50, 200)) && !started_anew((150, 100), (150, 200)));
        assert!(started_anew((50, 100), (100, 200)) && !started_anew((0, 100), (100, 200)));
        assert!(!started_anew((100, 100), (100, 200)) && !started_anew((130, 100), (100, 200)));
        assert!(starts_overlap((50, 100), 60) && !starts_overlap((50, 100), 50) && !starts_overlap((50, 100), 100));
    }
}
