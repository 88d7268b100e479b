//! Prometheus' durations: `1h30m`, units in falling order, whole numbers, milliseconds at the finest
//! (upstream: `common/model/time.go`).

/// Units from large to small, with their milliseconds. A year is 365 days, a week seven.
const UNITS: [(&str, i64); 7] = [
    ("y", 31_536_000_000),
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    /// Nothing was given.
    #[error("empty duration string")]
    Empty,
    /// Not of the form `1h30m`.
    #[error("not a valid duration string: {0:?}")]
    Invalid(String),
    /// A unit that is none.
    #[error("unknown unit {unit:?} in duration {text:?}")]
    Unit {
        /// What stands where the unit should.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// More than 292 years.
    #[error("duration out of range")]
    Range,
}

/// The milliseconds of a duration such as `1h30m`, `15d` or `0`.
///
/// # Errors
/// When the text is not one, or longer than 292 years.
pub fn parse_duration_ms(text: &str) -> Result<i64, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    // The only number without a unit.
    if text == "0" {
        return Ok(0);
    }
    let invalid = || DurationError::Invalid(text.to_owned());
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        // A unit ends at the next digit, so `m` and `ms` are told apart.
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let number: i64 = number.parse().map_err(|_| invalid())?;
        if unit.is_empty() {
            return Err(invalid());
        }
        if UNITS.iter().all(|(name, _)| *name != unit) {
            return Err(DurationError::Unit { unit: unit.to_owned(), text: text.to_owned() });
        }
        // Units stand in falling order, each once.
        let (_, unit_ms) = units.by_ref().find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        total = number.checked_mul(*unit_ms).and_then(|ms| total.checked_add(ms)).ok_or(DurationError::Range)?;
        rest = after;
    }
    // Upstream counts in nanoseconds of an int64.
    if total > i64::MAX / 1_000_000 {
        return Err(DurationError::Range);
    }
    Ok(total)
}

/// The shortest text that upstream prints for a duration: years and weeks only where nothing is left over.
#[must_use]
pub fn format_duration_ms(ms: i64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::from(if ms < 0 { "-" } else { "" });
    let mut rest = ms.unsigned_abs();
    for (unit, unit_ms) in UNITS {
        let unit_ms = unit_ms.unsigned_abs();
        // Upstream's `Duration.String`: `90d` is not printed as `12w6d`.
        let exact_only = unit == "y" || unit == "w";
        if rest >= unit_ms && (!exact_only || rest.is_multiple_of(unit_ms)) {
            out.push_str(&(rest / unit_ms).to_string());
            out.push_str(unit);
            rest %= unit_ms;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for (text, ms) in [
            ("0", 0),
            ("324ms", 324),
            ("3s", 3_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("4d", 345_600_000),
            ("4d1h", 349_200_000),
            ("14d", 1_209_600_000),
            ("3w", 1_814_400_000),
            ("10y", 315_360_000_000),
            ("1w2d3h4m5s6ms", 788_645_006),
        ] {
            assert_eq!(parse_duration_ms(text), Ok(ms), "{text}");
        }
        for (ms, text) in [
            (0, "0s"),
            (324, "324ms"),
            (349_200_000, "4d1h"),
            (1_209_600_000, "2w"),
            (788_645_006, "9d3h4m5s6ms"),
            (90_000, "1m30s"),
            (31_536_000_000, "1y"),
        ] {
            assert_eq!(format_duration_ms(ms), text);
        }
    }

    #[test]
    fn what_is_no_duration() {
        for text in ["1", "1y1m1d", "-1w", "1.5d", "d", "294y", "200y10400w", "99999999999999999999s", "1m1m", " 1m"] {
            assert!(parse_duration_ms(text).is_err(), "{text}");
        }
        assert_eq!(parse_duration_ms(""), Err(DurationError::Empty));
        let unit = |text: &str| parse_duration_ms(text).unwrap_err().to_string();
        assert_eq!(unit("5y1hs"), "unknown unit \"hs\" in duration \"5y1hs\"");
        assert_eq!(unit("1.5h"), "unknown unit \".\" in duration \"1.5h\"");
    }
}
