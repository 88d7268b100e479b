//! Validates histograms. The rules and texts are upstream's (`model/histogram/validate.go`).

use super::{Buckets, Histogram, Span};
use crate::float::format_g;

/// Why a histogram is invalid.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HistogramError {
    /// The schema is neither exponential nor that of custom bounds.
    #[error(
        "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets, or -53 for custom \
         buckets, got schema {0}"
    )]
    Schema(i32),
    /// What is wrong with one side, or with custom buckets.
    #[error("{side}: {source}")]
    Side {
        /// `positive side`, `negative side` or `custom buckets`.
        side: &'static str,
        /// What is wrong there.
        source: Box<HistogramError>,
    },
    /// Spans that go back.
    #[error("span number {number} with offset {offset}: histogram has a span whose offset is negative")]
    NegativeOffset {
        /// Counted from one.
        number: usize,
        /// Its offset.
        offset: i32,
    },
    /// Spans and counts do not agree.
    #[error(
        "spans need {needed} buckets, have {got} buckets: histogram spans specify different number of buckets than \
         provided"
    )]
    BucketsMismatch {
        /// Buckets the spans cover.
        needed: u64,
        /// Counts there are.
        got: usize,
    },
    /// A span that starts before the first bucket index there can be.
    #[error("span number 1 starts at bucket index {0}: histogram has a span whose bucket index is out of range")]
    StartOutOfRange(i32),
    /// Spans that lead past the last bucket index there can be.
    #[error(
        "span number {number} ends at bucket index {index}: histogram has a span whose bucket index is out of range"
    )]
    EndOutOfRange {
        /// Counted from one.
        number: usize,
        /// The index of its last bucket.
        index: i64,
    },
    /// A count below zero.
    #[error(
        "bucket number {number} has observation count of {count}: histogram has a bucket whose observation count is \
         negative", count = format_g(*.count)
    )]
    NegativeBucket {
        /// Counted from one.
        number: usize,
        /// Its count.
        count: f64,
    },
    /// Whole counts of buckets that do not add up to the count of all observations.
    #[error(
        "{} observations found in buckets, but the Count field is {}: histogram's observation count should equal the \
         number of observations found in the buckets (in absence of NaN)", .0.in_buckets, .0.count
    )]
    CountMismatch(WholeCounts),
    /// The sum is NaN, so that some observations are in no bucket; but there are more in buckets than there are.
    #[error(
        "{} observations found in buckets, but the Count field is {}: histogram's observation count should be at least \
         the number of observations found in the buckets", .0.in_buckets, .0.count
    )]
    CountTooSmall(WholeCounts),
    /// The zero bucket's count is below zero.
    #[error(
        "zero bucket has observation count of {}: histogram has a bucket whose observation count is negative",
        format_g(*.0)
    )]
    NegativeZeroBucket(f64),
    /// The count of all observations is below zero.
    #[error("observation count is  {}: histogram's observation count is negative", format_g(*.0))]
    NegativeCount(f64),
    /// Bounds that do not ascend.
    #[error(
        "previous bound is {previous:.6} and current is {current:.6}: histogram custom bounds must be in strictly \
         increasing order"
    )]
    BoundsOrder {
        /// A bound.
        previous: f64,
        /// The next one, which is not larger.
        current: f64,
    },
    /// The last bound is the one that goes without saying.
    #[error("last +Inf bound must not be explicitly defined: histogram custom bounds must be finite")]
    InfiniteBound,
    /// A bound is no number.
    #[error("histogram custom bounds must not be NaN")]
    NanBound,
    /// Buckets beyond the last bound.
    #[error(
        "only {bounds} custom bounds defined which is insufficient to cover total span length of {covered}: histogram \
         custom bounds are too few"
    )]
    TooFewBounds {
        /// Bounds there are.
        bounds: usize,
        /// Up to where spans reach.
        covered: u64,
    },
    /// What custom buckets have no use for.
    #[error("custom buckets: {0}")]
    NotForCustom(&'static str),
    /// Custom bounds beside an exponential schema.
    #[error("histogram with exponential schema must not have custom bounds")]
    BoundsNotForExponential,
}

/// Counts of a histogram that was exposed with whole numbers: a float holds these exactly only up to 2^53.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WholeCounts {
    /// All observations.
    pub count: u64,
    /// Those in buckets, the zero bucket among them.
    pub in_buckets: u64,
}

impl Histogram {
    /// Checks a histogram that was exposed with whole counts: [`Histogram::validate`], and that the buckets add up.
    /// Observations of NaN are in no bucket, and make the sum NaN.
    ///
    /// # Errors
    /// What makes no sense.
    pub fn validate_whole(&self, counts: WholeCounts) -> Result<(), HistogramError> {
        self.validate()?;
        // An observation of NaN is counted but falls in no bucket; the sum is then NaN and only the upper bound can
        // be checked.
        if !self.sum.is_nan() && counts.in_buckets != counts.count {
            return Err(HistogramError::CountMismatch(counts));
        }
        if counts.in_buckets > counts.count {
            return Err(HistogramError::CountTooSmall(counts));
        }
        Ok(())
    }

    /// Checks what upstream checks before it stores a histogram with float counts; their buckets need not add up to the
    /// count.
    ///
    /// # Errors
    /// What makes no sense.
    pub fn validate(&self) -> Result<(), HistogramError> {
        let on = |side| move |source| HistogramError::Side { side, source: Box::new(source) };
        // The order of the checks is upstream's, so that the same histogram gives the same error.
        if self.is_custom() {
            self.validate_custom().map_err(on("custom buckets"))?;
            for (wrong, message) in [
                (self.zero_count != 0.0, "must have zero count of 0"),
                (self.zero_threshold != 0.0, "must have zero threshold of 0"),
                (!self.negative.spans.is_empty(), "must not have negative spans"),
                (!self.negative.counts.is_empty(), "must not have negative buckets"),
            ] {
                if wrong {
                    return Err(HistogramError::NotForCustom(message));
                }
            }
        } else if (Self::EXPONENTIAL_MIN..=Self::EXPONENTIAL_MAX).contains(&self.schema) {
            spans(&self.positive).map_err(on("positive side"))?;
            spans(&self.negative).map_err(on("negative side"))?;
            counts(&self.negative).map_err(on("negative side"))?;
            if self.zero_count < 0.0 {
                return Err(HistogramError::NegativeZeroBucket(self.zero_count));
            }
            if !self.custom_values.is_empty() {
                return Err(HistogramError::BoundsNotForExponential);
            }
        } else {
            return Err(HistogramError::Schema(self.schema));
        }
        if self.count < 0.0 {
            return Err(HistogramError::NegativeCount(self.count));
        }
        counts(&self.positive).map_err(on("positive side"))
    }

    fn validate_custom(&self) -> Result<(), HistogramError> {
        let bounds = &self.custom_values;
        if bounds.iter().any(|b| b.is_nan()) {
            return Err(HistogramError::NanBound);
        }
        // NaN was excluded above, since every comparison with it is false.
        if let Some(pair) = bounds.windows(2).find(|pair| pair[1] <= pair[0]) {
            return Err(HistogramError::BoundsOrder { previous: pair[0], current: pair[1] });
        }
        if bounds.last() == Some(&f64::INFINITY) {
            return Err(HistogramError::InfiniteBound);
        }
        if let Some((i, span)) = self.positive.spans.iter().enumerate().find(|(_, span)| span.offset < 0) {
            return Err(HistogramError::NegativeOffset { number: i + 1, offset: span.offset });
        }
        lengths(&self.positive)?;
        // The index of the last bucket plus one: offsets are not negative here.
        let reach = |span: &Span| u64::from(span.length) + u64::from(span.offset.unsigned_abs());
        let covered = self.positive.spans.iter().map(reach).sum();
        // One bucket more than bounds: the last one ends at +Inf, which is not listed.
        if bounds.len() as u64 + 1 < covered {
            return Err(HistogramError::TooFewBounds { bounds: bounds.len(), covered });
        }
        Ok(())
    }
}

/// Checks that spans ascend within the range of indices and agree with the counts.
fn spans(buckets: &Buckets) -> Result<(), HistogramError> {
    let mut end = 0i64;
    for (i, span) in buckets.spans.iter().enumerate() {
        // The offset of the first span is an index and may be negative; the others are gaps.
        if i > 0 && span.offset < 0 {
            return Err(HistogramError::NegativeOffset { number: i + 1, offset: span.offset });
        }
        if i == 0 && span.offset == i32::MIN {
            return Err(HistogramError::StartOutOfRange(span.offset));
        }
        // In i64, where no sum of the spans of one histogram overflows.
        end += i64::from(span.offset) + i64::from(span.length);
        if end - 1 > i64::from(i32::MAX) {
            return Err(HistogramError::EndOutOfRange { number: i + 1, index: end - 1 });
        }
    }
    lengths(buckets)
}

/// Checks that spans cover as many buckets as there are counts.
fn lengths(buckets: &Buckets) -> Result<(), HistogramError> {
    let (needed, got) = (buckets.spans.iter().map(|s| u64::from(s.length)).sum(), buckets.counts.len());
    if needed == got as u64 { Ok(()) } else { Err(HistogramError::BucketsMismatch { needed, got }) }
}

fn counts(buckets: &Buckets) -> Result<(), HistogramError> {
    match buckets.counts.iter().enumerate().find(|(_, count)| **count < 0.0) {
        Some((i, count)) => Err(HistogramError::NegativeBucket { number: i + 1, count: *count }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(histogram: &Histogram, expected: &str) {
        let got = histogram.validate().map_or_else(|e| e.to_string(), |()| "valid".to_owned());
        assert_eq!(got, expected, "{histogram:?}");
    }

    fn broken(offset: i32, length: u32) -> Buckets {
        Buckets { spans: vec![Span { offset: -3, length: 1 }, Span { offset, length }], counts: vec![1.0, 2.0] }
    }

    #[test]
    fn exponential() {
        let good = Histogram { schema: 3, count: 1.0, positive: Buckets::run(-9, vec![5.0]), ..Histogram::default() };
        check(&good, "valid");
        let with = |f: fn(&mut Histogram)| {
            let mut changed = good.clone();
            f(&mut changed);
            changed
        };
        check(&with(|h| h.schema = 9), &HistogramError::Schema(9).to_string());
        check(&with(|h| h.schema = -5), &HistogramError::Schema(-5).to_string());
        check(
            &with(|h| h.positive = broken(-1, 1)),
            "positive side: span number 2 with offset -1: histogram has a span whose offset is negative",
        );
        check(
            &with(|h| h.negative = broken(1, 2)),
            "negative side: spans need 3 buckets, have 2 buckets: histogram spans specify different number of buckets \
             than provided",
        );
        check(
            &with(|h| h.positive.counts[0] = -1.5),
            "positive side: bucket number 1 has observation count of -1.5: histogram has a bucket whose observation \
             count is negative",
        );
        check(
            &with(|h| h.zero_count = -1.0),
            "zero bucket has observation count of -1: histogram has a bucket whose observation count is negative",
        );
        check(
            &with(|h| h.positive.spans[0].offset = i32::MIN),
            "positive side: span number 1 starts at bucket index -2147483648: histogram has a span whose bucket index is \
             out of range",
        );
        check(
            &with(|h| h.negative = broken(i32::MAX, 5)),
            "negative side: span number 2 ends at bucket index 2147483649: histogram has a span whose bucket index is out \
             of range",
        );
        check(&with(|h| h.positive.spans[0].offset = i32::MAX), "valid");
        check(&with(|h| h.count = -1.0), "observation count is  -1: histogram's observation count is negative");
        check(
            &with(|h| h.custom_values = [1.0].into()),
            "histogram with exponential schema must not have custom bounds",
        );
    }

    #[test]
    fn whole_counts_add_up_unless_some_are_nan() {
        let check = |sum: f64, count: u64, in_buckets: u64, expected: &str| {
            let histogram = Histogram { sum, ..Histogram::default() };
            let got = histogram.validate_whole(WholeCounts { count, in_buckets });
            assert_eq!(got.map_or_else(|error| error.to_string(), |()| "valid".to_owned()), expected);
        };
        let equal = "histogram's observation count should equal the number of observations found in the buckets (in \
                     absence of NaN)";
        let more = "histogram's observation count should be at least the number of observations found in the buckets";
        check(1.0, 5, 5, "valid");
        check(1.0, 60, 5, &format!("5 observations found in buckets, but the Count field is 60: {equal}"));
        check(f64::INFINITY, 4, 5, &format!("5 observations found in buckets, but the Count field is 4: {equal}"));
        check(
            1.0,
            1 << 53,
            1 << 53 | 1,
            &format!(
                "{} observations found in buckets, but the Count field is {}: {equal}",
                1u64 << 53 | 1,
                1u64 << 53
            ),
        );
        check(f64::NAN, 60, 5, "valid");
        check(f64::NAN, 4, 5, &format!("5 observations found in buckets, but the Count field is 4: {more}"));
    }

    #[test]
    fn custom() {
        let with = |bounds: &[f64], f: fn(&mut Histogram)| {
            let mut histogram = Histogram {
                schema: Histogram::CUSTOM,
                custom_values: bounds.into(),
                positive: Buckets::run(0, vec![1.0, 2.0, 0.5]),
                ..Histogram::default()
            };
            f(&mut histogram);
            histogram
        };
        check(&with(&[-1.0, 5.0], |_| {}), "valid");
        check(
            &with(&[5.0, 5.0], |_| {}),
            "custom buckets: previous bound is 5.000000 and current is 5.000000: histogram custom bounds must be in \
             strictly increasing order",
        );
        check(
            &with(&[1.0, f64::INFINITY], |_| {}),
            "custom buckets: last +Inf bound must not be explicitly defined: histogram custom bounds must be finite",
        );
        check(&with(&[1.0, f64::NAN], |_| {}), "custom buckets: histogram custom bounds must not be NaN");
        check(
            &with(&[1.0], |_| {}),
            "custom buckets: only 1 custom bounds defined which is insufficient to cover total span length of 3: \
             histogram custom bounds are too few",
        );
        check(
            &with(&[1.0, 2.0], |h| h.positive.spans[0].offset = -1),
            "custom buckets: span number 1 with offset -1: histogram has a span whose offset is negative",
        );
        check(&with(&[1.0, 2.0], |h| h.zero_count = 1.0), "custom buckets: must have zero count of 0");
        check(
            &with(&[1.0, 2.0], |h| h.negative = Buckets::run(0, vec![1.0])),
            "custom buckets: must not have negative spans",
        );
    }
}
