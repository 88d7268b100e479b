//! Points in time and durations of the command line, in upstream's forms.

use model::Timestamp;

use crate::flags::Flags;
use crate::outcome::Stop;

/// Seconds since 1970, also with a fraction, or RFC 3339.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    // `NaN` and `Inf` are floats to the parser, and no times.
    if let Some(seconds) = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite()) {
        return Ok(Timestamp((seconds * 1000.0).round() as i64));
    }
    let time = text.parse::<jiff::Timestamp>();
    let time = time.map_err(|_| format!("cannot parse {text:?} to a valid timestamp"))?;
    Ok(Timestamp(time.as_millisecond()))
}

/// The start and the end of a listing; so far back and ahead unless they are given.
pub(crate) fn listing_times(flags: &Flags<'_>) -> Result<(Timestamp, Timestamp), Stop> {
    const FAR_MS: i64 = 9999 * 3_600_000;
    let now = Timestamp::now();
    let time = |name: &str, default| match flags.value(name).filter(|text| !text.is_empty()) {
        Some(text) => parse_time(text).map_err(|why| format!("error parsing {name} time: {why}")),
        None => Ok(default),
    };
    Ok((time("start", now.saturating_sub(FAR_MS))?, time("end", now.saturating_add(FAR_MS))?))
}

/// A flag that takes a duration in Go's form, in nanoseconds.
pub(crate) fn duration_flag(flags: &Flags<'_>, name: &str) -> Result<Option<i64>, Stop> {
    flags.value(name).map(|text| parse_go_duration(text).map_err(Stop::Misuse)).transpose()
}

/// Units of Go's durations with their nanoseconds; longer names before those that they begin with.
const UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// The nanoseconds of a duration in Go's form: `1h30m`, `1.5s`, `-2m`.
pub(crate) fn parse_go_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, after) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let (_, ns) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(|| format!("time: unknown unit {unit:?} in duration {text:?}"))?;
        total += number * ns;
        rest = after;
    }
    // Go counts in 64 bits.
    if total > i64::MAX as f64 {
        return Err(invalid());
    }
    Ok(if negative { -total } else { total }.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_rfc3339() {
        for (text, ms) in [
            ("0", 0),
            ("1.5", 1500),
            ("-1", -1000),
            ("1435781451.781", 1_435_781_451_781),
            ("2015-07-01T20:10:51.781Z", 1_435_781_451_781),
            ("2015-07-01T22:10:51.781+02:00", 1_435_781_451_781),
        ] {
            assert_eq!(parse_time(text), Ok(Timestamp(ms)), "{text}");
        }
        for text in ["", "now", "NaN", "Inf", "2015-07-01"] {
            assert_eq!(parse_time(text), Err(format!("cannot parse {text:?} to a valid timestamp")));
        }
    }

    #[test]
    fn durations_are_gos() {
        for (text, ns) in [
            ("0", 0),
            ("15s", 15_000_000_000),
            ("1h2m3.5s", 3_723_500_000_000),
            ("-.5s", -500_000_000),
            ("+1us1µs", 2000),
            ("100ms", 100_000_000),
        ] {
            assert_eq!(parse_go_duration(text), Ok(ns), "{text}");
        }
        for (text, why) in [
            ("", "time: invalid duration \"\""),
            ("5", "time: missing unit in duration \"5\""),
            ("1d", "time: unknown unit \"d\" in duration \"1d\""),
            ("1.2.3s", "time: invalid duration \"1.2.3s\""),
            ("s", "time: invalid duration \"s\""),
            ("9999999999999h", "time: invalid duration \"9999999999999h\""),
        ] {
            assert_eq!(parse_go_duration(text), Err(why.to_owned()), "{text}");
        }
    }
}
