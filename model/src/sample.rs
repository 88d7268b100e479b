//! What a value can say besides a number.

/// The bits of the marker that says "this series ended here". A NaN that no arithmetic yields
/// (upstream: `model/value/value.go`).
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;
/// The bits of the NaN that a target or a query means (upstream: `NormalNaN`).
pub const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// The stale marker as a value.
#[must_use]
#[inline]
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Is this the stale marker, bit for bit?
#[must_use]
#[inline]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// The bits of the marker that stands among the values of a row where a sample is a native histogram. Of this program alone:
/// another NaN than upstream's stale marker, and as little one that arithmetic yields.
pub const HISTOGRAM_MARK_BITS: u64 = 0x7ff0_0000_0000_0003;

/// What stands among values for a native histogram.
#[must_use]
#[inline]
pub fn histogram_mark() -> f64 {
    f64::from_bits(HISTOGRAM_MARK_BITS)
}

/// Is this value the mark of a native histogram? Compared bit for bit.
#[must_use]
#[inline]
pub fn is_histogram_mark(value: f64) -> bool {
    value.to_bits() == HISTOGRAM_MARK_BITS
}
