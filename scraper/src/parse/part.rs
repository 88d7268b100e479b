//! The series that one metric or composite value stands for: `_count`, `_sum`, buckets, quantiles.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// One of the series of a composite value (OpenMetrics 2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Member {
    /// `_count`, or that of a gauge histogram: `_gcount`.
    Count(&'static str),
    /// `_sum` or `_gsum`.
    Sum(&'static str),
    /// `_bucket` with this `le`.
    Bucket(f64),
    /// The one with this `quantile`.
    Quantile(f64),
}

impl Member {
    /// The suffix of the metric name.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Count(suffix) | Self::Sum(suffix) => suffix,
            Self::Bucket(_) => "_bucket",
            Self::Quantile(_) => "",
        }
    }

    /// The key of this member, where `line` is the hash of its line.
    pub(super) fn key(self, line: u64) -> u64 {
        let (tag, bound) = match self {
            Self::Count(_) => (1, 0.0),
            Self::Sum(_) => (2, 0.0),
            Self::Bucket(bound) => (3, bound),
            Self::Quantile(quantile) => (4, quantile),
        };
        xxh3_64_with_seed(&f64::to_le_bytes(bound), line.wrapping_add(tag))
    }
}

/// One of the series of a protobuf metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// The only one.
    Whole,
    /// A native histogram, itself.
    Native,
    /// `_count`
    Count,
    /// `_sum`
    Sum,
    /// `_bucket` with this `le`.
    Bucket(f64),
    /// The one with this `quantile`.
    Quantile(f64),
}

impl Part {
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Whole | Self::Native | Self::Quantile(_) => "",
            Self::Count => "_count",
            Self::Sum => "_sum",
            Self::Bucket(_) => "_bucket",
        }
    }

    /// The key of this part, where `base` is the hash of its metric.
    pub(super) fn key(self, base: u64) -> u64 {
        let (tag, bound) = match self {
            Self::Whole => return base,
            Self::Count => (1, 0.0),
            Self::Sum => (2, 0.0),
            Self::Bucket(bound) => (3, bound),
            Self::Quantile(quantile) => (4, quantile),
            Self::Native => (5, 0.0),
        };
        // The bound is hashed by its bits: recognising a bucket needs no text of its bound.
        xxh3_64_with_seed(&f64::to_le_bytes(bound), base.wrapping_add(tag))
    }
}
