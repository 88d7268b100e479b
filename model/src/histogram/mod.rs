//! Native histograms: the observations of some time, counted in buckets whose bounds follow from a schema.
//!
//! There is one form, with float counts; the whole counts of an exposition fit into it exactly up to 2^53. A stale
//! marker of a series of histograms is the ordinary float stale marker (`sample::stale_nan`): what reads a histogram
//! whose sum is that NaN, as upstream writes it, stores the float instead. No [`Histogram`] ever is a stale marker.

mod bounds;
mod classic;
mod coarsen;
mod encoded;
mod text;
mod validate;

use std::sync::Arc;

pub use bounds::{Bucket, upper_bound};
pub use classic::ClassicError;
pub use coarsen::joined_index;
pub use encoded::{Encoded, EncodedCounts, EncodedSide};
pub use validate::{HistogramError, WholeCounts};

/// What a histogram says about a reset of its counters since the sample before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ResetHint {
    /// Nothing: who needs to know has to compare.
    #[default]
    Unknown,
    /// They were reset.
    Reset,
    /// They were not.
    NotReset,
    /// They are no counters: they may fall at any time.
    Gauge,
}

/// A run of consecutive buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The index of the first bucket, for the first span; for the others, how many buckets lie unmentioned between the
    /// span before and this one.
    pub offset: i32,
    /// How many buckets.
    pub length: u32,
}

/// The buckets on one side of zero. Those that no span covers are empty.
#[derive(Clone, Debug, Default)]
pub struct Buckets {
    /// Which buckets are mentioned, in ascending order of their index.
    pub spans: Vec<Span>,
    /// The observations in each of them, by itself: neither cumulative nor a difference to its neighbour.
    pub counts: Vec<f64>,
}

/// Observations counted in buckets (upstream: `model/histogram/float_histogram.go`).
///
/// With an exponential schema `s` (-4 to 8), bucket `i` covers the values above `2^((i-1) / 2^s)` up to `2^(i / 2^s)`, on
/// the negative side mirrored, and a zero bucket the values within `zero_threshold` of zero. With custom bounds (-53),
/// bucket `i` covers the values above bound `i - 1` up to bound `i` of `custom_values`, the last one all above; there are
/// no negative buckets and no zero bucket.
///
/// Two histograms are equal when they hold the same data: numbers bit by bit, spans by the buckets they cover. The hint
/// does not count.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// A reset since the sample before.
    pub reset_hint: ResetHint,
    /// -4 to 8, or -53 for custom bounds.
    pub schema: i32,
    /// How far from zero an observation may lie to count as zero; 0 with custom bounds.
    pub zero_threshold: f64,
    /// Observations in the zero bucket; 0 with custom bounds.
    pub zero_count: f64,
    /// All observations, NaN among them, which is in no bucket.
    pub count: f64,
    /// The sum of all observations.
    pub sum: f64,
    /// Buckets above zero, or those of custom bounds.
    pub positive: Buckets,
    /// Buckets below zero; the larger the index, the farther from zero.
    pub negative: Buckets,
    /// The upper bounds of custom buckets, ascending, without `+Inf`; empty with an exponential schema.
    pub custom_values: Arc<[f64]>,
}

impl Histogram {
    /// The schema of custom bounds.
    pub const CUSTOM: i32 = -53;
    /// The coarsest exponential schema: bounds are powers of 2^16.
    pub const EXPONENTIAL_MIN: i32 = -4;
    /// The finest exponential schema: 256 buckets for each power of two.
    pub const EXPONENTIAL_MAX: i32 = 8;

    /// Has it custom bounds?
    #[must_use]
    pub fn is_custom(&self) -> bool {
        self.schema == Self::CUSTOM
    }

    /// Removes empty buckets, and spans with nothing between them.
    pub fn compact(&mut self) {
        self.positive.compact();
        self.negative.compact();
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        let bits = |h: &Self| [h.count, h.sum, h.zero_count].map(f64::to_bits);
        self.schema == other.schema
            && bits(self) == bits(other)
            // Compared as a number: 0 and -0 are the same threshold.
            && self.zero_threshold == other.zero_threshold
            && self.custom_values == other.custom_values
            && self.positive == other.positive
            && self.negative == other.negative
    }
}

impl PartialEq for Buckets {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &f64, b: &f64| a.to_bits() == b.to_bits();
        self.counts.len() == other.counts.len()
            && self.counts.iter().zip(&other.counts).all(|(a, b)| same(a, b))
            // The same buckets may be written as one span or as several.
            && self.covered().eq(other.covered())
    }
}

impl Buckets {
    /// Consecutive buckets from an index on.
    #[must_use]
    pub fn run(first: i32, counts: Vec<f64>) -> Self {
        let length = u32::try_from(counts.len()).unwrap_or(u32::MAX);
        let span = Span { offset: first, length };
        Self { spans: if counts.is_empty() { Vec::new() } else { vec![span] }, counts }
    }

    /// The index of every bucket, ascending, with its count. Of a histogram that is not valid, as far as spans and counts
    /// go together.
    pub fn iter(&self) -> impl Iterator<Item = (i32, f64)> {
        let mut next = 0i32;
        let runs = self.spans.iter().map(move |span| {
            let first = next.saturating_add(span.offset);
            next = first.saturating_add_unsigned(span.length);
            (first, span.length)
        });
        let indices = runs.flat_map(|(first, n)| (0..n).map(move |i| first.saturating_add_unsigned(i)));
        indices.zip(self.counts.iter().copied())
    }

    /// Is there no bucket?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Removes empty buckets, and spans with nothing between them.
    pub fn compact(&mut self) {
        // The common case, a histogram that is compact already, is not copied.
        let joined = self.spans.iter().skip(1).all(|span| span.offset > 0);
        if joined && self.spans.iter().all(|s| s.length > 0) && !self.counts.contains(&0.0) {
            return;
        }
        // The first span may begin at any index; the collected form has no empty span and no span that continues
        // another.
        *self = self.iter().filter(|(_, count)| *count != 0.0).collect();
    }

    /// The spans without those that cover nothing or go on where the one before ended.
    fn covered(&self) -> impl Iterator<Item = Span> {
        let mut gap = 0i32;
        let mut spans: Vec<Span> = Vec::with_capacity(self.spans.len());
        for span in &self.spans {
            // An empty span adds its offset to the gap before the next one.
            gap = gap.saturating_add(span.offset);
            match spans.last_mut() {
                _ if span.length == 0 => {}
                Some(last) if gap == 0 => last.length = last.length.saturating_add(span.length),
                _ => {
                    spans.push(Span { offset: gap, length: span.length });
                    gap = 0;
                }
            }
        }
        spans.into_iter()
    }
}

/// From indices in ascending order, each once.
impl FromIterator<(i32, f64)> for Buckets {
    fn from_iter<I: IntoIterator<Item = (i32, f64)>>(buckets: I) -> Self {
        let buckets = buckets.into_iter();
        // Room for what surely comes, and not for twice that.
        let mut out = Self { counts: Vec::with_capacity(buckets.size_hint().0), ..Self::default() };
        let mut next = 0i32;
        for (index, count) in buckets {
            match out.spans.last_mut() {
                Some(span) if index == next => span.length += 1,
                _ => out.spans.push(Span { offset: index.saturating_sub(next), length: 1 }),
            }
            out.counts.push(count);
            next = index.saturating_add(1);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(spans: &[(i32, u32)], counts: &[f64]) -> Buckets {
        let spans = spans.iter().map(|&(offset, length)| Span { offset, length }).collect();
        Buckets { spans, counts: counts.to_vec() }
    }

    #[test]
    fn spans_cover_buckets() {
        let all = buckets(&[(-2, 2), (1, 0), (2, 1)], &[1.0, 0.0, 3.0]);
        assert_eq!(all.iter().collect::<Vec<_>>(), [(-2, 1.0), (-1, 0.0), (3, 3.0)]);
        assert_eq!(all, all.iter().collect::<Buckets>());
        assert_ne!(all, buckets(&[(-2, 2), (2, 1)], &[1.0, 0.0, 3.0]));
        let mut compact = all.clone();
        compact.compact();
        assert_eq!(compact.spans, buckets(&[(-2, 1), (4, 1)], &[]).spans);
        assert_eq!(compact.counts, [1.0, 3.0]);
        assert_eq!(Buckets::run(3, vec![]), Buckets::default());
    }

    #[test]
    fn equality_is_of_data() {
        let one = Histogram { count: 1.0, sum: f64::NAN, positive: Buckets::run(0, vec![1.0]), ..Histogram::default() };
        assert_eq!(one, Histogram { reset_hint: ResetHint::Gauge, ..one.clone() });
        assert_ne!(one, Histogram { zero_count: -0.0, ..one.clone() });
        let split = Histogram { positive: buckets(&[(-1, 0), (1, 1)], &[1.0]), ..one.clone() };
        assert_eq!(one, split);
    }

    #[test]
    fn broken_buckets_do_not_panic() {
        for broken in [
            buckets(&[(i32::MAX, 3), (5, 1)], &[1.0, 2.0]),
            buckets(&[(0, 1)], &[1.0, 2.0, 3.0]),
            buckets(&[(i32::MIN, 1), (-5, u32::MAX)], &[0.0]),
        ] {
            let _ = (broken.iter().count(), broken.clone() == broken);
            broken.clone().compact();
        }
    }
}
