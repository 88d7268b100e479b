//! Times as texts.

use std::hash::{BuildHasher as _, Hasher as _};
use std::ops::RangeInclusive;

use jiff::civil::Date;
use model::Timestamp;

/// Go's zero time, of what has not happened yet.
pub(crate) const NEVER: &str = "0001-01-01T00:00:00Z";

/// `2023-11-14T22:13:20.123Z`.
pub(crate) fn rfc3339(ts: Timestamp) -> String {
    // jiff's years end at 9999; beyond them the number has to do.
    jiff::Timestamp::from_millisecond(ts.0).map_or_else(|_| ts.to_string(), |time| format!("{time:.3}"))
}

/// An RFC 3339 time as Go reads it, of the years 0 to 9999; finer digits are cut.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    // Not by jiff, which takes what Go refuses: a small `t`, a second of 60.
    let (date, time) = text.split_once('T')?;
    let (year, month, day) = match *date.split('-').collect::<Vec<_>>() {
        [year, month, day] => (digits(year, 4..=4)?, digits(month, 2..=2)?, digits(day, 2..=2)?),
        _ => return None,
    };
    let zone = time.find(['Z', '+', '-'])?;
    let (time, zone) = time.split_at(zone);
    let (hour, minute, second) = match *time.split(':').collect::<Vec<_>>() {
        // Go takes an hour of one digit, and a comma for the point.
        [hour, minute, second] => (digits(hour, 1..=2)?, digits(minute, 2..=2)?, second.replace(',', ".")),
        _ => return None,
    };
    let (second, fraction) = second.split_once('.').map_or((&*second, None), |(second, rest)| (second, Some(rest)));
    let (second, ms) = (digits(second, 2..=2)?, fraction.map_or(Some(0), milliseconds)?);
    let date = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = date.duration_since(Date::constant(1970, 1, 1)).as_hours() / 24;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - offset(zone)?;
    Some(Timestamp(seconds * 1000 + ms))
}

/// `Z`, or how far ahead of UTC, in seconds.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2..=2)?, digits(minutes, 2..=2)?);
    let seconds = (hours * 60 + minutes) * 60;
    // With both ends, as Go has it for those who write `+24:00`.
    let fits = hours <= 24 && minutes <= 60;
    fits.then_some(if zone.starts_with('-') { -seconds } else { seconds })
}

/// A number of so many digits, and nothing else.
fn digits(text: &str, count: RangeInclusive<usize>) -> Option<i64> {
    let fits = count.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| fits)
}

/// Of what stands behind the point.
fn milliseconds(fraction: &str) -> Option<i64> {
    let is_number = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
    format!("{fraction:0<3}").get(..3)?.parse().ok().filter(|_| is_number)
}

/// The name of a snapshot taken now: the time, and something that no other has.
pub(crate) fn snapshot_name(now: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(now.0).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ");
    let unique = std::hash::RandomState::new().build_hasher().finish();
    format!("{time}-{unique:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_named_by_its_time() {
        let name = snapshot_name(Timestamp(1_700_000_000_123));
        assert!(name.starts_with("20231114T221320Z-") && name.len() == 33, "{name}");
        assert_ne!(name, snapshot_name(Timestamp(1_700_000_000_123)));
    }

    #[test]
    fn both_ways() {
        for (ms, text) in [(0, "1970-01-01T00:00:00.000Z"), (1_700_000_000_123, "2023-11-14T22:13:20.123Z")] {
            assert_eq!(rfc3339(Timestamp(ms)), text);
            assert_eq!(parse_rfc3339(text), Some(Timestamp(ms)));
        }
        assert_eq!(parse_rfc3339("2023-11-14T23:13:20.5+01:00"), Some(Timestamp(1_700_000_000_500)));
        assert_eq!(parse_rfc3339("2023-11-14"), None);
    }

    #[test]
    fn times_as_go_reads_them() {
        for (text, ms) in [
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000),
            ("1969-12-31T23:59:59.999Z", -1),
            ("2026-11-28T0:00:00Z", 1_795_824_000_000),
            ("2026-11-28T00:00:00,5Z", 1_795_824_000_500),
            ("2026-11-28T00:00:00.123456789123456789123456789Z", 1_795_824_000_123),
            ("2026-11-28T00:00:00+24:00", 1_795_737_600_000),
            ("2026-11-28T00:00:00-02:30", 1_795_833_000_000),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ] {
            assert_eq!(parse_rfc3339(text), Some(Timestamp(ms)), "{text}");
        }
        for text in [
            "2026-11-28t00:00:00z",
            "2026-12-31T23:59:60Z",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-28T24:00:00Z",
            "2026-11-28T00:00:00+25:00",
            "2026-11-28T00:00:00+0200",
            "2026-11-28T00:00:00+02",
            "2026-11-28T00:00:00",
            "2026-11-28T00:00Z",
            "2026-11-28 00:00:00Z",
            "2026-11-28T00:00:0Z",
            "2026-11-28T00:00:00.Z",
            "2026-11-28T00:00:00ZZ",
            "+2026-11-28T00:00:00Z",
            "10000-01-01T00:00:00Z",
            "2026-11-28T-1:00:00Z",
            "",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }
}
