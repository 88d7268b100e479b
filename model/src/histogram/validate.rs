//! Which histograms make sense. The rules and texts are upstream's (`model/histogram/validate.go`).

use super::{Buckets, Histogram, Span};
use crate::float::format_g;

/// Why a histogram makes no sense.
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

impl Histogram {
    /// Checks what upstream checks before it stores a histogram. Whether the buckets add up to the count is not among
    /// it: with float counts they need not.
    ///
    /// # Errors
    /// What makes no sense.
    pub fn validate(&self) -> Result<(), HistogramError> {
        let on = |side| move |source| HistogramError::Side { side, source: Box::new(source) };
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
            spans(&self.positive, 1).map_err(on("positive side"))?;
            spans(&self.negative, 1).map_err(on("negative side"))?;
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
        if let Some(pair) = bounds.windows(2).find(|pair| pair[1] <= pair[0]) {
            return Err(HistogramError::BoundsOrder { previous: pair[0], current: pair[1] });
        }
        if bounds.last() == Some(&f64::INFINITY) {
            return Err(HistogramError::InfiniteBound);
        }
        spans(&self.positive, 0)?;
        let reach = |span: &Span| u64::from(span.length) + u64::from(span.offset.unsigned_abs());
        let covered = self.positive.spans.iter().map(reach).sum();
        if bounds.len() as u64 + 1 < covered {
            return Err(HistogramError::TooFewBounds { bounds: bounds.len(), covered });
        }
        Ok(())
    }
}

/// Do spans and counts agree, and do the spans after the first `free` ones not go back?
fn spans(buckets: &Buckets, free: usize) -> Result<(), HistogramError> {
    if let Some((i, span)) = buckets.spans.iter().enumerate().skip(free).find(|(_, span)| span.offset < 0) {
        return Err(HistogramError::NegativeOffset { number: i + 1, offset: span.offset });
    }
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
        check(&with(|h| h.count = -1.0), "observation count is  -1: histogram's observation count is negative");
        check(
            &with(|h| h.custom_values = [1.0].into()),
            "histogram with exponential schema must not have custom bounds",
        );
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
