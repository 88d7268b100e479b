//! What the tests that go through times share.

use std::ops::Range;

use model::Timestamp;

/// The times from the first of a range on, so far apart, that lie before its end.
pub(crate) fn times(range: Range<Timestamp>, step_ms: i64) -> impl Iterator<Item = Timestamp> {
    (range.start.0..range.end.0).step_by(step_ms as usize).map(Timestamp)
}
