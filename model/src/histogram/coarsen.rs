//! Fewer and wider buckets.

use super::{Buckets, Histogram, Span};

impl Histogram {
    /// Joins neighbouring buckets until the schema is this one: each step down makes one of two. A finer schema than it
    /// has, or custom bounds, leave it as it is. Of the bounds, every other one of a finer schema is one of the next
    /// coarser (upstream: `reduceResolution` in `model/histogram/generic.go`).
    pub fn coarsen(&mut self, schema: i32) {
        // Negative when a finer schema is asked for; resolution cannot be gained.
        let Ok(steps) = u32::try_from(self.schema - schema) else { return };
        if steps == 0 || self.is_custom() {
            return;
        }
        for side in [&mut self.positive, &mut self.negative] {
            *side = side.coarsened(steps.min(31));
        }
        self.schema = schema;
    }
}

/// The index of a bucket after an exponential schema was made coarser by `steps`, 31 at most.
#[must_use]
pub fn joined_index(index: i32, steps: u32) -> i32 {
    // Buckets include their upper bound: indices 1 and 2 join into 1, 3 and 4 into 2. The shift rounds down also
    // below zero.
    (index.saturating_sub(1) >> steps).saturating_add(1)
}

impl Buckets {
    fn coarsened(&self, steps: u32) -> Self {
        let mut out = Self::default();
        let mut last = None;
        for (index, count) in self.iter() {
            let index = joined_index(index, steps);
            match (last, out.spans.last_mut(), out.counts.last_mut()) {
                // Indices ascend and the mapping keeps their order, so buckets that join are neighbours.
                (Some(last), _, Some(joined)) if last == index => *joined += count,
                (Some(last), Some(span), _) if index.checked_sub(1) == Some(last) => {
                    span.length += 1;
                    out.counts.push(count);
                }
                _ => {
                    // The gap counts the buckets in between; for the first span it is the index itself.
                    let offset = last.map_or(index, |last| index.saturating_sub(last).saturating_sub(1));
                    out.spans.push(Span { offset, length: 1 });
                    out.counts.push(count);
                }
            }
            last = Some(index);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_joined_step_by_step() {
        let positive = Buckets {
            spans: vec![Span { offset: -3, length: 3 }, Span { offset: 4, length: 2 }],
            counts: vec![1.0, 2.0, 4.0, 8.0, 16.0],
        };
        // Buckets -3, -2, -1, 4 and 5 at schema 2.
        let fine = Histogram { schema: 2, count: 31.0, positive, ..Histogram::default() };
        let at = |schema: i32| {
            let mut coarse = fine.clone();
            coarse.coarsen(schema);
            assert_eq!((coarse.count, coarse.schema), (31.0, schema.min(2)));
            coarse.positive.iter().collect::<Vec<_>>()
        };
        assert_eq!(at(2), [(-3, 1.0), (-2, 2.0), (-1, 4.0), (4, 8.0), (5, 16.0)]);
        assert_eq!(at(1), [(-1, 3.0), (0, 4.0), (2, 8.0), (3, 16.0)]);
        assert_eq!(at(0), [(0, 7.0), (1, 8.0), (2, 16.0)]);
        assert_eq!(at(-4), [(0, 7.0), (1, 24.0)]);
        assert_eq!(at(5), at(2));
    }

    #[test]
    fn buckets_at_the_ends_of_what_an_index_can_be_are_no_trouble() {
        let far = Span { offset: i32::MIN, length: 2 };
        let positive = Buckets { spans: vec![far, Span { offset: i32::MAX, length: 1 }], counts: vec![1.0, 2.0, 4.0] };
        let mut histogram = Histogram { schema: 8, positive, ..Histogram::default() };
        histogram.coarsen(-4);
        assert_eq!(histogram.positive.counts.iter().sum::<f64>(), 7.0);
    }

    #[test]
    fn joining_twice_is_joining_further() {
        let counts: Vec<f64> = (0..60).map(f64::from).collect();
        let fine = Histogram {
            schema: 8,
            positive: Buckets::run(-17, counts.clone()),
            negative: Buckets::run(3, counts),
            ..Histogram::default()
        };
        for schema in -4..8 {
            let (mut once, mut twice) = (fine.clone(), fine.clone());
            once.coarsen(schema);
            twice.coarsen(schema + 1);
            twice.coarsen(schema);
            assert_eq!(once, twice);
            assert_eq!(once.positive.counts.iter().sum::<f64>(), 1770.0);
        }
    }
}
