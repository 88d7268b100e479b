//! Native histograms as messages.

use model::histogram::Span;
use model::{Histogram, ResetHint, Timestamp};

use crate::proto::histogram::{BucketSpan, Count, Histogram as Message, ZeroCount};

/// From here on a float does not hold every whole number.
const WHOLE_MAX: f64 = (1u64 << 53) as f64;

/// The message of a histogram whose counts are floats.
pub(crate) fn of_floats(histogram: &Histogram, ts: Timestamp) -> Message {
    let (positive, negative) = (&histogram.positive, &histogram.negative);
    Message {
        count: Some(Count::Float(histogram.count)),
        sum: histogram.sum,
        schema: histogram.schema,
        zero_threshold: histogram.zero_threshold,
        zero_count: Some(ZeroCount::Float(histogram.zero_count)),
        negative_spans: spans(&negative.spans),
        negative_deltas: Vec::new(),
        negative_counts: negative.counts.clone(),
        positive_spans: spans(&positive.spans),
        positive_deltas: Vec::new(),
        positive_counts: positive.counts.clone(),
        reset_hint: match histogram.reset_hint {
            ResetHint::Unknown => 0,
            ResetHint::Reset => 1,
            ResetHint::NotReset => 2,
            ResetHint::Gauge => 3,
        },
        timestamp: ts.0,
        custom_values: histogram.custom_values.to_vec(),
        start_timestamp: 0,
    }
}

/// The message of a histogram: with integer counts if all of its counts are integers, as those of most targets are.
pub(crate) fn message(histogram: &Histogram, ts: Timestamp, start: Timestamp) -> Message {
    let floats = Message { start_timestamp: start.0, ..of_floats(histogram, ts) };
    if !is_whole(histogram) {
        return floats;
    }
    Message {
        count: Some(Count::Int(histogram.count as u64)),
        zero_count: Some(ZeroCount::Int(histogram.zero_count as u64)),
        negative_deltas: deltas(&floats.negative_counts),
        negative_counts: Vec::new(),
        positive_deltas: deltas(&floats.positive_counts),
        positive_counts: Vec::new(),
        ..floats
    }
}

fn is_whole(histogram: &Histogram) -> bool {
    let whole = |count: &f64| (0.0..=WHOLE_MAX).contains(count) && count.fract() == 0.0;
    let buckets = histogram.positive.counts.iter().chain(&histogram.negative.counts);
    if !buckets.chain([&histogram.count, &histogram.zero_count]).all(whole) {
        return false;
    }
    // Receivers check that whole counts add up, where no observation was NaN.
    let counted =
        histogram.positive.counts.iter().chain(&histogram.negative.counts).sum::<f64>() + histogram.zero_count;
    counted == histogram.count || histogram.sum.is_nan() && counted <= histogram.count
}

fn spans(spans: &[Span]) -> Vec<BucketSpan> {
    spans.iter().map(|span| BucketSpan { offset: span.offset, length: span.length }).collect()
}

fn deltas(counts: &[f64]) -> Vec<i64> {
    let mut before = 0;
    let delta = |count: &f64| {
        let count = *count as i64;
        count - std::mem::replace(&mut before, count)
    };
    counts.iter().map(delta).collect()
}

#[cfg(test)]
mod tests {
    use model::histogram::Buckets;

    use super::*;

    fn histogram(counts: &[f64], count: f64) -> Histogram {
        Histogram { count, zero_count: 1.0, positive: Buckets::run(3, counts.to_vec()), ..Histogram::default() }
    }

    #[test]
    fn whole_counts_are_sent_as_differences() {
        let found = message(&histogram(&[3.0, 1.0, 4.0], 9.0), Timestamp(5), Timestamp(2));
        assert_eq!((found.count, found.zero_count), (Some(Count::Int(9)), Some(ZeroCount::Int(1))));
        assert_eq!((found.positive_deltas, found.positive_counts), (vec![3, -2, 3], vec![]));
        assert_eq!(found.positive_spans, [BucketSpan { offset: 3, length: 3 }]);
        assert_eq!((found.timestamp, found.start_timestamp), (5, 2));
    }

    #[test]
    fn others_are_sent_as_floats() {
        for (counts, count) in [(&[3.5, 1.0][..], 5.5), (&[3.0], -4.0), (&[3.0], 5.0), (&[f64::MAX], f64::MAX)] {
            let found = message(&histogram(counts, count), Timestamp(5), Timestamp(0));
            assert_eq!((found.count, found.positive_counts), (Some(Count::Float(count)), counts.to_vec()));
            assert!(found.positive_deltas.is_empty());
        }
    }
}
