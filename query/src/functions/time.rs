//! Parts of the UTC date of a time in seconds.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

const DAY: i64 = 86_400;
/// The Gregorian calendar repeats after so many years, with its days of the week.
const CYCLE_YEARS: i64 = 400;
const CYCLE: i64 = 146_097 * DAY;

/// The date, and the years to add to it. A date library ends at the year 9999, a sample's value does not: all times are
/// looked up in the 400 years from 1970 on.
fn date(seconds: i64) -> (Date, i64) {
    // `rem_euclid` and `div_euclid` round towards the past, so that times before 1970 are dates, too.
    let within = Timestamp::from_second(seconds.rem_euclid(CYCLE)).unwrap_or_default();
    (Offset::UTC.to_datetime(within).date(), seconds.div_euclid(CYCLE) * CYCLE_YEARS)
}

pub(crate) fn year(seconds: i64) -> f64 {
    let (date, more) = date(seconds);
    (i64::from(date.year()) + more) as f64
}

pub(crate) fn month(seconds: i64) -> f64 {
    f64::from(date(seconds).0.month())
}

pub(crate) fn day_of_month(seconds: i64) -> f64 {
    f64::from(date(seconds).0.day())
}

pub(crate) fn day_of_year(seconds: i64) -> f64 {
    f64::from(date(seconds).0.day_of_year())
}

pub(crate) fn days_in_month(seconds: i64) -> f64 {
    f64::from(date(seconds).0.days_in_month())
}

/// Sunday is 0.
pub(crate) fn day_of_week(seconds: i64) -> f64 {
    f64::from(date(seconds).0.weekday().to_sunday_zero_offset())
}

pub(crate) fn hour(seconds: i64) -> f64 {
    (seconds.rem_euclid(DAY) / 3_600) as f64
}

pub(crate) fn minute(seconds: i64) -> f64 {
    (seconds.rem_euclid(3_600) / 60) as f64
}

/// `2024-02-29T23:59:30Z`
pub(crate) fn rfc3339(seconds: i64) -> String {
    let (date, more) = date(seconds);
    let (year, month, day) = (i64::from(date.year()) + more, date.month(), date.day());
    let of_day = seconds.rem_euclid(DAY);
    // Go's sign stands before four digits, Rust's is one of them.
    let sign = if year < 0 { "-" } else { "" };
    let year = year.unsigned_abs();
    format!("{sign}{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", of_day / 3_600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        // 2024-02-29T23:59:30Z, a Thursday.
        let leap_day = 1_709_251_170;
        let parts = [year, month, day_of_month, day_of_year, days_in_month, day_of_week, hour, minute];
        assert_eq!(parts.map(|f| f(leap_day)), [2024.0, 2.0, 29.0, 60.0, 29.0, 4.0, 23.0, 59.0]);
        assert_eq!(rfc3339(leap_day), "2024-02-29T23:59:30Z");
        assert_eq!(parts.map(|f| f(0)), [1970.0, 1.0, 1.0, 1.0, 31.0, 4.0, 0.0, 0.0]);
        assert_eq!(parts.map(|f| f(-1)), [1969.0, 12.0, 31.0, 365.0, 31.0, 3.0, 23.0, 59.0]);
    }

    #[test]
    fn dates_far_away() {
        let parts = [year, month, day_of_month, day_of_week];
        for (seconds, expected) in [
            // The last second before the year 1, the first of the year 10000, and leap years of centuries.
            (-62_135_596_801, [0.0, 12.0, 31.0, 0.0]),
            (253_402_300_800, [10_000.0, 1.0, 1.0, 6.0]),
            (-2_203_977_600, [1900.0, 2.0, 28.0, 3.0]),
            (951_782_400, [2000.0, 2.0, 29.0, 2.0]),
            (4_107_456_000, [2100.0, 2.0, 28.0, 0.0]),
            (i64::MAX, [292_277_026_596.0, 12.0, 4.0, 0.0]),
            (i64::MIN, [-292_277_022_657.0, 1.0, 27.0, 0.0]),
        ] {
            assert_eq!(parts.map(|f| f(seconds)), expected, "{seconds}");
        }
    }

    /// Recorded from Go's `time.RFC3339`.
    #[test]
    fn years_are_written_with_four_digits() {
        for (seconds, expected) in [
            (-62_135_596_801, "0000-12-31T23:59:59Z"),
            (-62_167_219_201, "-0001-12-31T23:59:59Z"),
            (-99_999_999_999, "-1199-02-15T14:13:21Z"),
            (253_402_300_800, "10000-01-01T00:00:00Z"),
            (i64::MAX / 1000, "292278994-08-17T07:12:55Z"),
            (i64::MIN / 1000, "-292275055-05-16T16:47:05Z"),
        ] {
            assert_eq!(rfc3339(seconds), expected, "{seconds}");
        }
    }
}
