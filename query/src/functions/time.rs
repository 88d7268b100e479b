//! Parts of the UTC date of a time in seconds.

const DAY: i64 = 86_400;

/// Year, month 1 to 12, day 1 to 31 (the proleptic Gregorian calendar, counted in eras of 400 years).
fn civil(seconds: i64) -> (i64, i64, i64) {
    // Days since 0000-03-01: years start in March, so the leap day is the last of its year.
    let days = seconds.div_euclid(DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

pub(crate) fn year(seconds: i64) -> f64 {
    civil(seconds).0 as f64
}

pub(crate) fn month(seconds: i64) -> f64 {
    civil(seconds).1 as f64
}

pub(crate) fn day_of_month(seconds: i64) -> f64 {
    civil(seconds).2 as f64
}

pub(crate) fn day_of_year(seconds: i64) -> f64 {
    let (year, month, day) = civil(seconds);
    (day + (1..month).map(|m| month_length(year, m)).sum::<i64>()) as f64
}

pub(crate) fn days_in_month(seconds: i64) -> f64 {
    let (year, month, _) = civil(seconds);
    month_length(year, month) as f64
}

/// Sunday is 0.
pub(crate) fn day_of_week(seconds: i64) -> f64 {
    (seconds.div_euclid(DAY) + 4).rem_euclid(7) as f64
}

pub(crate) fn hour(seconds: i64) -> f64 {
    (seconds.rem_euclid(DAY) / 3_600) as f64
}

pub(crate) fn minute(seconds: i64) -> f64 {
    (seconds.rem_euclid(3_600) / 60) as f64
}

/// `2024-02-29T23:59:30Z`
pub(crate) fn rfc3339(seconds: i64) -> String {
    let (year, month, day) = civil(seconds);
    let of_day = seconds.rem_euclid(DAY);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", of_day / 3_600, of_day / 60 % 60, of_day % 60)
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
}
