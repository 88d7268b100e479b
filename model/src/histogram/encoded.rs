//! Native histograms as protobuf messages have them: whole counts as differences, or counts that are floats.

use super::{Buckets, Histogram, ResetHint, Span, WholeCounts};
use crate::protobuf::{Broken, Fields, unzigzag};

/// A histogram as a message has it, before it is known to make sense.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    /// As of the histogram.
    pub reset_hint: ResetHint,
    /// As of the histogram.
    pub schema: i32,
    /// As of the histogram.
    pub zero_threshold: f64,
    /// As of the histogram.
    pub sum: f64,
    /// All observations, and those in the zero bucket.
    pub counts: EncodedCounts,
    /// Buckets above zero.
    pub positive: EncodedSide,
    /// Buckets below zero.
    pub negative: EncodedSide,
    /// The upper bounds of custom buckets.
    pub custom_values: Vec<f64>,
}

/// All observations, and those in the zero bucket; which of both kinds it is says what the buckets are.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum EncodedCounts {
    /// Buckets are differences of whole counts.
    Whole { count: u64, zero_count: u64 },
    /// Buckets are floats.
    Floats { count: f64, zero_count: f64 },
}

impl Default for EncodedCounts {
    fn default() -> Self {
        Self::Whole { count: 0, zero_count: 0 }
    }
}

/// Spans and buckets of one side.
#[derive(Clone, Debug, Default)]
pub struct EncodedSide {
    /// Which buckets there are.
    pub spans: Vec<Span>,
    /// Whole counts, each as the difference to the one before.
    pub deltas: Vec<i64>,
    /// Counts that are floats.
    pub counts: Vec<f64>,
}

impl Encoded {
    /// The histogram, whole counts as floats, with the empty buckets that it has; and its whole counts where it has those. Whether
    /// spans and buckets go together, or anything makes sense, is not looked at.
    #[must_use]
    pub fn histogram(self) -> (Histogram, Option<WholeCounts>) {
        let (count, zero_count, whole) = match self.counts {
            EncodedCounts::Floats { count, zero_count } => (count, zero_count, None),
            EncodedCounts::Whole { count, zero_count } => {
                // Wrapping as Go's uint64 does; the validation compares the sum with the count and refuses what overflowed.
                let in_sides = self.positive.observations().wrapping_add(self.negative.observations());
                let in_buckets = zero_count.wrapping_add(in_sides);
                (whole(count), whole(zero_count), Some(WholeCounts { count, in_buckets }))
            }
        };
        let histogram = Histogram {
            reset_hint: self.reset_hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count,
            count,
            sum: self.sum,
            positive: self.positive.buckets(whole.is_none()),
            negative: self.negative.buckets(whole.is_none()),
            custom_values: self.custom_values.into(),
        };
        (histogram, whole)
    }
}

impl EncodedSide {
    fn buckets(self, are_floats: bool) -> Buckets {
        #[expect(clippy::cast_precision_loss, reason = "counts are stored as floats, as upstream queries them")]
        let absolute = |deltas: &[i64]| absolute(deltas).map(|count| count as f64).collect();
        let counts = if are_floats { self.counts } else { absolute(&self.deltas) };
        Buckets { spans: self.spans, counts }
    }

    /// In all its buckets, of which none may be negative.
    fn observations(&self) -> u64 {
        absolute(&self.deltas).fold(0, |sum, count| sum.wrapping_add(count.cast_unsigned()))
    }
}

impl Span {
    /// Reads a `BucketSpan`, which is the same in all messages.
    ///
    /// # Errors
    /// When the message is broken.
    pub fn read(message: &[u8]) -> Result<Self, Broken> {
        let mut span = Self::default();
        let mut fields = Fields::new(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => {
                    let offset = unzigzag(value.varint()?);
                    span.offset = i32::try_from(offset).map_err(|_| "offset of a span out of range")?;
                }
                2 => span.length = u32::try_from(value.varint()?).map_err(|_| "length of a span out of range")?,
                _ => {}
            }
        }
        Ok(span)
    }
}

/// Absolute counts from differences. An overflow wraps to a negative count, which the validation refuses.
fn absolute(deltas: &[i64]) -> impl Iterator<Item = i64> {
    deltas.iter().scan(0i64, |last, delta| {
        // Each bucket holds the difference to the one before, the first the difference to 0.
        *last = last.wrapping_add(*delta);
        Some(*last)
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts are stored as floats, as upstream queries them")]
fn whole(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_counts_are_differences_and_floats_are_not() {
        let span = Span { offset: 1, length: 3 };
        let side = EncodedSide { spans: vec![span], deltas: vec![4, -3, 1], counts: vec![0.5, 0.25, 0.25] };
        let whole = EncodedCounts::Whole { count: 9, zero_count: 2 };
        let (histogram, counts) = Encoded { counts: whole, positive: side.clone(), ..Encoded::default() }.histogram();
        assert_eq!((histogram.count, histogram.zero_count), (9.0, 2.0));
        assert_eq!(
            (&histogram.positive.counts[..], &histogram.positive.spans[..]),
            (&[4.0, 1.0, 2.0][..], &[span][..])
        );
        assert_eq!(counts, Some(WholeCounts { count: 9, in_buckets: 9 }));
        let floats = EncodedCounts::Floats { count: 1.5, zero_count: 0.5 };
        let (histogram, counts) = Encoded { counts: floats, positive: side, ..Encoded::default() }.histogram();
        assert_eq!((histogram.count, &histogram.positive.counts[..], counts), (1.5, &[0.5, 0.25, 0.25][..], None));
    }

    #[test]
    fn an_overflow_is_left_to_the_validation() {
        let side =
            EncodedSide { deltas: vec![i64::MAX, 1], spans: vec![Span { offset: 0, length: 2 }], counts: vec![] };
        let counts = EncodedCounts::Whole { count: 1, zero_count: u64::MAX };
        let (histogram, counts) = Encoded { counts, positive: side, ..Encoded::default() }.histogram();
        assert!(histogram.validate_whole(counts.unwrap()).is_err());
    }

    #[test]
    fn spans_of_any_number_are_read_or_refused() {
        assert_eq!(Span::read(b"\x08\x03\x10\x05"), Ok(Span { offset: -2, length: 5 }));
        assert!(Span::read(b"\x10\xff\xff\xff\xff\xff\x01").is_err());
        assert!(Span::read(b"\x08").is_err());
    }
}
