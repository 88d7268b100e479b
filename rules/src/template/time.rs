//! Go's times, all of them UTC, and durations: as text, and what can be computed with them (Go: `time`).

use std::cmp::Ordering;
use std::fmt::{self, Write as _};

pub(super) const SECOND: i64 = 1_000_000_000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;
const DAY_SECONDS: i64 = 86_400;
/// Years that dates are computed in.
const YEARS_MAX: i64 = 1_000_000;
/// 0001-01-01, Go's zero time, from which it is rounded.
const ZERO_SECONDS: i64 = -62_135_596_800;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A point in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time {
    /// Since 1970.
    seconds: i64,
    /// Below 10^9.
    nanos: i64,
}

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i64,
    /// From 1.
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) year_day: i64,
}

impl Time {
    pub(super) fn from_millis(ms: i64) -> Self {
        Self { seconds: ms.div_euclid(1000), nanos: ms.rem_euclid(1000) * 1_000_000 }
    }

    fn from_total(nanos: i128) -> Option<Self> {
        let second = i128::from(SECOND);
        let seconds = i64::try_from(nanos.div_euclid(second)).ok()?;
        let in_range = seconds.unsigned_abs() < (YEARS_MAX * 366 * DAY_SECONDS).unsigned_abs();
        in_range.then_some(Self { seconds, nanos: i64::try_from(nanos.rem_euclid(second)).ok()? })
    }

    fn total(self) -> i128 {
        i128::from(self.seconds) * i128::from(SECOND) + i128::from(self.nanos)
    }

    pub(super) fn add(self, ns: i64) -> Option<Self> {
        Self::from_total(self.total() + i128::from(ns))
    }

    /// As much as a duration can hold.
    pub(super) fn since(self, earlier: Self) -> i64 {
        let ns = self.total() - earlier.total();
        i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
    }

    /// Days and months may be any number: the 32nd is in the next month.
    pub(super) fn add_date(self, years: i64, months: i64, days: i64) -> Option<Self> {
        let Date { year, month, day, .. } = self.date();
        let month = (month - 1).checked_add(months)?;
        let year = year.checked_add(years)?.checked_add(month.div_euclid(12))?;
        if year.abs() > YEARS_MAX || days.abs() > YEARS_MAX * 366 {
            return None;
        }
        let day = days_to(year, month.rem_euclid(12) + 1) + day - 1 + days;
        let seconds = day * DAY_SECONDS + self.seconds.rem_euclid(DAY_SECONDS);
        Some(Self { seconds, ..self })
    }

    pub(super) fn is_zero(self) -> bool {
        self == Self { seconds: ZERO_SECONDS, nanos: 0 }
    }

    pub(super) fn truncated(self, ns: i64) -> Option<Self> {
        if ns <= 0 {
            return Some(self);
        }
        Self::from_total(self.total() - self.past(ns))
    }

    pub(super) fn rounded(self, ns: i64) -> Option<Self> {
        if ns <= 0 {
            return Some(self);
        }
        let past = self.past(ns);
        let up = if past * 2 < i128::from(ns) { 0 } else { i128::from(ns) };
        Self::from_total(self.total() - past + up)
    }

    /// Since the last multiple of a duration since the zero time.
    fn past(self, ns: i64) -> i128 {
        (self.total() - i128::from(ZERO_SECONDS) * i128::from(SECOND)).rem_euclid(i128::from(ns))
    }

    /// Since 1970, in so many units a second. Past the ends of an `int64` it wraps around, as in Go.
    pub(super) fn unix_in(self, per_second: i64) -> i64 {
        self.seconds.wrapping_mul(per_second).wrapping_add(self.nanos / (SECOND / per_second))
    }

    pub(super) fn nanosecond(self) -> i64 {
        self.nanos
    }

    /// From Sunday, which is 0.
    pub(super) fn weekday(self) -> i64 {
        // 1970 began on a Thursday.
        (self.seconds.div_euclid(DAY_SECONDS) + 4).rem_euclid(7)
    }

    /// Hour, minute and second.
    pub(super) fn clock(self) -> (i64, i64, i64) {
        let of_day = self.seconds.rem_euclid(DAY_SECONDS);
        (of_day / 3600, of_day / 60 % 60, of_day % 60)
    }

    pub(super) fn date(self) -> Date {
        let days = self.seconds.div_euclid(DAY_SECONDS);
        // Counted from March 1 of the year 0, a leap day is the last of its year.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Date { year, month, day, year_day: days - days_to(year, 1) + 1 }
    }

    /// Go's `Format`: the layout is how it shows 2006-01-02 15:04:05.
    pub(super) fn formatted(self, layout: &str) -> String {
        let mut out = String::new();
        let mut rest = layout;
        while let Some(c) = rest.chars().next() {
            match self.piece(rest, &mut out) {
                Some(len) => rest = &rest[len..],
                None => {
                    out.push(c);
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        out
    }

    /// Writes what the layout begins with, if it is a part of a time, and says how long it is.
    fn piece(self, layout: &str, out: &mut String) -> Option<usize> {
        let Date { year, month, day, year_day } = self.date();
        let (hour, minute, second) = self.clock();
        let hour_12 = if hour % 12 == 0 { 12 } else { hour % 12 };
        let month_name = month_name(month).expect("BUG: a date has one of twelve months");
        let weekday = weekday_name(self.weekday()).expect("BUG: a date is on one of seven days");
        let lower_follows = |len: usize| layout[len..].starts_with(|c: char| c.is_ascii_lowercase());
        let mut put = |len: usize, args: fmt::Arguments<'_>| {
            out.write_fmt(args).expect("BUG: writing to a string does not fail");
            Some(len)
        };
        // The longer ones first.
        match layout.as_bytes() {
            [b'J', b'a', b'n', b'u', b'a', b'r', b'y', ..] => put(7, format_args!("{month_name}")),
            [b'J', b'a', b'n', ..] if !lower_follows(3) => put(3, format_args!("{}", &month_name[..3])),
            [b'M', b'o', b'n', b'd', b'a', b'y', ..] => put(6, format_args!("{weekday}")),
            [b'M', b'o', b'n', ..] if !lower_follows(3) => put(3, format_args!("{}", &weekday[..3])),
            [b'M', b'S', b'T', ..] => put(3, format_args!("UTC")),
            [b'0', b'0', b'2', ..] => put(3, format_args!("{year_day:03}")),
            [b'0', b'1', ..] => put(2, format_args!("{month:02}")),
            [b'0', b'2', ..] => put(2, format_args!("{day:02}")),
            [b'0', b'3', ..] => put(2, format_args!("{hour_12:02}")),
            [b'0', b'4', ..] => put(2, format_args!("{minute:02}")),
            [b'0', b'5', ..] => put(2, format_args!("{second:02}")),
            [b'0', b'6', ..] => put(2, format_args!("{:02}", year.rem_euclid(100))),
            [b'1', b'5', ..] => put(2, format_args!("{hour:02}")),
            [b'1', ..] => put(1, format_args!("{month}")),
            [b'2', b'0', b'0', b'6', ..] => put(4, format_args!("{}", year_text(year))),
            [b'2', ..] => put(1, format_args!("{day}")),
            [b'_', b'2', b'0', b'0', b'6', ..] => put(5, format_args!("_{}", year_text(year))),
            [b'_', b'_', b'2', ..] => put(3, format_args!("{year_day:3}")),
            [b'_', b'2', ..] => put(2, format_args!("{day:2}")),
            [b'3', ..] => put(1, format_args!("{hour_12}")),
            [b'4', ..] => put(1, format_args!("{minute}")),
            [b'5', ..] => put(1, format_args!("{second}")),
            [b'P', b'M', ..] => put(2, format_args!("{}", if hour < 12 { "AM" } else { "PM" })),
            [b'p', b'm', ..] => put(2, format_args!("{}", if hour < 12 { "am" } else { "pm" })),
            [b'-' | b'Z', b'0', b'7', ..] => {
                let len = zone_len(layout);
                put(len, format_args!("{}", if layout.starts_with('Z') { "Z" } else { &ZONE[len] }))
            }
            [b'.' | b',', b'0' | b'9', ..] => self.fraction(layout, out),
            _ => None,
        }
    }

    /// `.000` and `.999`, unless more digits follow.
    fn fraction(self, layout: &str, out: &mut String) -> Option<usize> {
        let digit = layout[1..].chars().next()?;
        let digits = layout[1..].chars().take_while(|c| *c == digit).count();
        if layout[1 + digits..].starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let text = format!("{:09}", self.nanos);
        let mut shown: String = text.chars().chain(std::iter::repeat('0')).take(digits.min(9)).collect();
        if digit == '9' {
            shown.truncate(shown.trim_end_matches('0').len());
        }
        if !shown.is_empty() {
            out.push_str(&layout[..1]);
            out.push_str(&shown);
        }
        Some(1 + digits)
    }
}

/// UTC as `-07`, `-0700`, `-07:00`, `-070000` and `-07:00:00` show it, by the length of the layout.
const ZONE: [&str; 10] = ["", "", "", "+00", "", "+0000", "+00:00", "+000000", "", "+00:00:00"];

fn zone_len(layout: &str) -> usize {
    let rest = &layout[3..];
    let tails = [":00:00", "0000", ":00", "00"];
    3 + tails.into_iter().find(|tail| rest.starts_with(tail)).map_or(0, str::len)
}

fn year_text(year: i64) -> String {
    let sign = if year < 0 { "-" } else { "" };
    format!("{sign}{:04}", year.unsigned_abs())
}

pub(super) fn month_name(month: i64) -> Option<&'static str> {
    name(&MONTHS, month - 1)
}

pub(super) fn weekday_name(weekday: i64) -> Option<&'static str> {
    name(&WEEKDAYS, weekday)
}

fn name(names: &[&'static str], i: i64) -> Option<&'static str> {
    usize::try_from(i).ok().and_then(|i| names.get(i)).copied()
}

/// Days from 1970 to the first of a month.
fn days_to(year: i64, month: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let from_march = (month + 9) % 12;
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + (153 * from_march + 2) / 5;
    era * 146_097 + day_of_era - 719_468
}

/// As Go prints it: `2015-06-23 13:19:44.128 +0000 UTC`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.formatted("2006-01-02 15:04:05.999999999 -0700 MST"))
    }
}

/// Go's `Duration.String`, of nanoseconds: `1h2m3.5s`, `1.5µs`.
#[must_use]
pub fn duration_text(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let total = ns.unsigned_abs();
    let (hour, minute, second) = (HOUR.unsigned_abs(), MINUTE.unsigned_abs(), SECOND.unsigned_abs());
    let fraction = |value: u64, unit: u64, name: &str| {
        let digits = unit.ilog10() as usize;
        let decimals = if digits == 0 { String::new() } else { format!(".{:0digits$}", value % unit) };
        let decimals = decimals.trim_end_matches('0').trim_end_matches('.');
        format!("{}{decimals}{name}", value / unit)
    };
    match total {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{total}ns"),
        1_000..1_000_000 => sign.to_owned() + &fraction(total, 1_000, "µs"),
        1_000_000..1_000_000_000 => sign.to_owned() + &fraction(total, 1_000_000, "ms"),
        _ => {
            let seconds = fraction(total % minute, second, "s");
            match (total / hour, total / minute % 60) {
                (0, 0) => format!("{sign}{seconds}"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

pub(super) fn seconds(ns: i64) -> f64 {
    in_units(ns, SECOND)
}

/// Whole units and the rest are converted apart, as Go does.
pub(super) fn in_units(ns: i64, unit: i64) -> f64 {
    (ns / unit) as f64 + (ns % unit) as f64 / unit as f64
}

pub(super) fn truncated(ns: i64, unit: i64) -> i64 {
    if unit <= 0 { ns } else { ns - ns % unit }
}

/// Halves away from zero.
pub(super) fn rounded(ns: i64, unit: i64) -> i64 {
    if unit <= 0 {
        return ns;
    }
    let rest = ns % unit;
    let toward_zero = ns - rest;
    let is_nearer = rest.unsigned_abs().saturating_mul(2) < unit.unsigned_abs();
    match (is_nearer, ns.cmp(&0)) {
        (true, _) => toward_zero,
        (false, Ordering::Less) => toward_zero.saturating_sub(unit),
        (false, _) => toward_zero.saturating_add(unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_text() {
        let time = Time::from_millis(1_435_065_584_128);
        for (layout, text) in [
            ("2006-01-02T15:04:05Z07:00", "2015-06-23T13:19:44Z"),
            ("Mon Jan _2 03:04:05.000 PM 2006", "Tue Jun 23 01:19:44.128 PM 2015"),
            ("Monday, 2 January 06 3pm -0700 MST", "Tuesday, 23 June 15 1pm +0000 UTC"),
            ("002 __2 1/2 15h .99 .9999999 ,000000 -07:00 Month", "174 174 6/23 13h .12 .128 ,128000 +00:00 Month"),
            ("é.0005", "é.0044"),
        ] {
            assert_eq!(time.formatted(layout), text, "{layout}");
        }
        assert_eq!(time.to_string(), "2015-06-23 13:19:44.128 +0000 UTC");
        assert_eq!(Time::from_millis(-62_135_596_800_001).to_string(), "0000-12-31 23:59:59.999 +0000 UTC");
    }

    #[test]
    fn calendar() {
        let date = |days: i64| Time { seconds: days * DAY_SECONDS, nanos: 0 }.date();
        for days in (-1_000_000..1_000_000).step_by(997) {
            let Date { year, month, day, year_day } = date(days);
            assert_eq!(days_to(year, month) + day - 1, days);
            assert_eq!(days_to(year, 1) + year_day - 1, days);
        }
        assert_eq!(date(19_782), Date { year: 2024, month: 2, day: 29, year_day: 60 });
        let leap_day = Time { seconds: 19_782 * DAY_SECONDS, nanos: 0 };
        assert_eq!(leap_day.add_date(1, 0, 0).unwrap().date().day, 1);
        assert_eq!(leap_day.add_date(i64::MAX, 0, 0), None);
        assert_eq!(leap_day.rounded(HOUR * 24 * 7).unwrap().weekday(), 1);
    }

    #[test]
    fn durations_as_text() {
        for (ns, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (-2_000_001, "-2.000001ms"),
            (1_800 * SECOND, "30m0s"),
            (3 * HOUR + 5 * SECOND + 10_000_000, "3h0m5.01s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(duration_text(ns), text);
        }
        assert_eq!((rounded(-1_500, 1_000), truncated(-1_999, 1_000), rounded(1_499, 1_000)), (-2_000, -1_000, 1_000));
    }
}
