//! Values and timestamps as Go's parsers read them.

use model::Timestamp;
use model::sample::NORMAL_NAN_BITS;

/// A value token: decimal numbers, `Inf`, `infinity`, `NaN` in any case; no hexadecimal, no underscores, no overflow.
pub(super) fn parse_value(token: &[u8]) -> Result<f64, &'static str> {
    if let Some(value) = small_integer(token) {
        return Ok(value);
    }
    let unsigned = match token {
        [b'+' | b'-', rest @ ..] => rest,
        _ => token,
    };
    match unsigned {
        [b'0'..=b'9' | b'.', ..] => {}
        [b'i' | b'I', ..] => {}
        // Go's `strconv.ParseFloat` knows no signed NaN.
        [b'n' | b'N', ..] if unsigned.len() == token.len() => {}
        _ => return Err("invalid value"),
    }
    // Upstream's `parseFloat` refuses these although Go's parser would take them.
    if unsigned.iter().any(|b| matches!(b, b'_' | b'x' | b'X' | b'p' | b'P')) {
        return Err("unsupported character in value");
    }
    // Parsed without the sign, which is applied below. What follows the sign was checked above.
    let value: f64 = fast_float2::parse(unsigned).map_err(|_| "invalid value")?;
    // Go reports ErrRange where this parser rounds to infinity.
    if value.is_infinite() && unsigned.first().is_some_and(|b| !matches!(b, b'i' | b'I')) {
        return Err("value out of range");
    }
    Ok(match token {
        // One bit pattern: a NaN with another payload could pass for a stale marker or a histogram mark.
        _ if value.is_nan() => f64::from_bits(NORMAL_NAN_BITS),
        [b'-', ..] => -value,
        _ => value,
    })
}

/// Up to fifteen digits, the commonest value by far.
fn small_integer(token: &[u8]) -> Option<f64> {
    if token.is_empty() || token.len() > 15 {
        return None;
    }
    let mut n: u64 = 0;
    for &byte in token {
        // Anything below '0' wraps to a large number, so one comparison checks both ends.
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n = n * 10 + u64::from(digit);
    }
    #[expect(clippy::cast_precision_loss, reason = "fifteen digits fit the 53 bits exactly")]
    Some(n as f64)
}

/// A timestamp token: digits only, milliseconds, at most `i64::MAX`.
pub(super) fn parse_timestamp(token: &[u8]) -> Result<Timestamp, &'static str> {
    if token.is_empty() || !token.iter().all(u8::is_ascii_digit) {
        return Err("expected a timestamp in milliseconds or the end of the line");
    }
    std::str::from_utf8(token).ok().and_then(|t| t.parse().ok()).map(Timestamp).ok_or("timestamp out of range")
}

/// A timestamp token of OpenMetrics: seconds, any number but NaN and infinity; what is beyond milliseconds is cut off.
pub(super) fn parse_seconds(token: &[u8]) -> Result<Timestamp, &'static str> {
    timestamp_of_seconds(parse_value(token)?)
}

/// The time so many seconds after the epoch.
pub(super) fn timestamp_of_seconds(seconds: f64) -> Result<Timestamp, &'static str> {
    if !seconds.is_finite() {
        return Err("invalid timestamp");
    }
    #[expect(clippy::cast_possible_truncation, reason = "what does not fit is at the end of time, and refused later")]
    Ok(Timestamp((seconds * 1000.0) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_go_reads_them() {
        for (token, value) in [
            ("0", 0.0),
            ("12", 12.0),
            ("999999999999999", 999_999_999_999_999.0),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("-1.5e+3", -1500.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("+3", 3.0),
            ("1e-400", 0.0),
            ("Inf", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_value(token.as_bytes()), Ok(value), "{token}");
        }
        assert_eq!(parse_value(b"-0").map(f64::to_bits), Ok((-0.0f64).to_bits()));
        assert_eq!(parse_value(b"nAn").map(f64::to_bits), Ok(NORMAL_NAN_BITS));
        for token in
            ["", "-", "+", "true", "-NaN", "+NaN", "--1", "+-1", "1_000", "0x1", "1e400", "1 ", "1\r", "e5", "."]
        {
            assert!(parse_value(token.as_bytes()).is_err(), "{token:?}");
        }
    }

    #[test]
    fn seconds_become_milliseconds() {
        for (token, ms) in [("0", 0), ("123.123", 123_123), ("1520879607.789", 1_520_879_607_789), ("-1.0009", -1000)] {
            assert_eq!(parse_seconds(token.as_bytes()), Ok(Timestamp(ms)), "{token}");
        }
        assert_eq!(parse_seconds(b"1e300"), Ok(Timestamp::MAX));
        for token in ["NaN", "Inf", "-Inf", "", "1s"] {
            assert!(parse_seconds(token.as_bytes()).is_err(), "{token:?}");
        }
    }
}
