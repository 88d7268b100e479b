//! Points in time, and the wall clock.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::UNIX_EPOCH;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, before it where negative. Distances between two points are
/// plain milliseconds, with the unit in their name (`step_ms`).
///
/// Arithmetic with operators is for times that are known to be far from both ends; what comes from outside (a page, a query, a
/// clock) may be any number and uses the saturating or checked methods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Before or at all others.
    pub const MIN: Self = Self(i64::MIN);
    /// After or at all others.
    pub const MAX: Self = Self(i64::MAX);
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// What the wall clock says; the epoch where it stands before it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that asks for the wall clock")]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Seconds since the epoch, as PromQL's `time()` and `timestamp()` count them.
    #[must_use]
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// So many milliseconds later; the last time there is where that is past it.
    #[must_use]
    pub const fn saturating_add(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// So many milliseconds earlier; the first time there is where that is before it.
    #[must_use]
    pub const fn saturating_sub(self, ms: i64) -> Self {
        Self(self.0.saturating_sub(ms))
    }

    /// So many milliseconds later, if there is such a time.
    #[must_use]
    pub const fn checked_add(self, ms: i64) -> Option<Self> {
        match self.0.checked_add(ms) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// So many milliseconds earlier, if there is such a time.
    #[must_use]
    pub const fn checked_sub(self, ms: i64) -> Option<Self> {
        match self.0.checked_sub(ms) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    /// Milliseconds from `earlier` to here, negative where that is later; as many as there can be where they are more.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<i64> for Timestamp {
    type Output = Self;

    fn add(self, ms: i64) -> Self {
        Self(self.0 + ms)
    }
}

impl Sub<i64> for Timestamp {
    type Output = Self;

    fn sub(self, ms: i64) -> Self {
        Self(self.0 - ms)
    }
}

impl Sub for Timestamp {
    type Output = i64;

    fn sub(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

impl AddAssign<i64> for Timestamp {
    fn add_assign(&mut self, ms: i64) {
        self.0 += ms;
    }
}

impl SubAssign<i64> for Timestamp {
    fn sub_assign(&mut self, ms: i64) {
        self.0 -= ms;
    }
}

/// The number of milliseconds, as it stands in messages and test output.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_time_are_not_passed() {
        assert_eq!(Timestamp::MAX.saturating_add(1), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.saturating_sub(1), Timestamp::MIN);
        assert_eq!(Timestamp::MAX.checked_add(1), None);
        assert_eq!(Timestamp::MIN.checked_sub(1), None);
        assert_eq!(Timestamp::MAX.saturating_since(Timestamp::MIN), i64::MAX);
        assert_eq!(Timestamp::MIN.saturating_since(Timestamp::MAX), i64::MIN);
        assert_eq!(Timestamp(5).saturating_since(Timestamp(7)), -2);
    }

    #[test]
    fn points_and_distances() {
        let mut at = Timestamp(1_500);
        assert_eq!((at + 500, at - 500, at - Timestamp(1_000)), (Timestamp(2_000), Timestamp(1_000), 500));
        at += 10;
        at -= 5;
        assert_eq!((at, at.as_seconds(), at.to_string()), (Timestamp(1_505), 1.505, "1505".to_owned()));
        assert_eq!(Timestamp(-1).checked_add(2).and_then(|at| at.checked_sub(1)), Some(Timestamp::EPOCH));
    }
}
