//! Number and duration literals: `1_000`, `0x1F`, `1e3`, `5m`; a number may stand for a duration and the reverse.

use model::duration::parse_duration_ms;

/// The value of a number or duration literal; durations count in seconds.
pub(crate) fn value(text: &str) -> Result<f64, String> {
    if let Some(value) = plain(text)? {
        return Ok(value);
    }
    let ms = parse_duration_ms(text).map_err(|error| error.to_string())?;
    Ok(ms as f64 / 1000.0)
}

/// The milliseconds of a number or duration literal.
pub(crate) fn duration_ms(text: &str) -> Result<i64, String> {
    match plain(text)? {
        // Upstream counts in nanoseconds of an int64.
        Some(seconds) if seconds.abs() > i64::MAX as f64 / 1e9 || seconds.is_nan() => {
            Err("duration out of range".to_owned())
        }
        Some(seconds) => Ok((seconds * 1000.0).round() as i64),
        None => parse_duration_ms(text).map_err(|error| error.to_string()),
    }
}

/// The value of a number; `None` for a duration.
fn plain(text: &str) -> Result<Option<f64>, String> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "inf" => return Ok(Some(f64::INFINITY)),
        "nan" => return Ok(Some(f64::NAN)),
        _ => {}
    }
    let digits: String = lower.chars().filter(|c| *c != '_').collect();
    if let Some(hex) = digits.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).map(|v| Some(v as f64)).map_err(|_| range(text));
    }
    match digits.parse::<f64>() {
        Ok(value) if value.is_infinite() => Err(range(text)),
        // A leading zero makes an octal number, as in Go.
        Ok(value) => Ok(Some(octal(&digits).unwrap_or(value))),
        Err(_) => Ok(None),
    }
}

fn octal(digits: &str) -> Option<f64> {
    let rest = digits.strip_prefix('0').filter(|rest| !rest.is_empty())?;
    i64::from_str_radix(rest, 8).ok().map(|v| v as f64)
}

fn range(text: &str) -> String {
    format!("error parsing number: strconv.ParseFloat: parsing {text:?}: value out of range")
}

/// Go's `%f`.
pub(crate) fn format_six(value: f64) -> String {
    if value.is_finite() { format!("{value:.6}") } else { model::float::format_f(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling() {
        let cases =
            [("1_000", 1000.0), ("0x1F", 31.0), ("1e3", 1000.0), ("5m", 300.0), (".5", 0.5), ("1.", 1.0), ("010", 8.0)];
        for (text, expected) in cases {
            assert_eq!(value(text), Ok(expected), "{text}");
        }
        assert_eq!(value("Inf"), Ok(f64::INFINITY));
        assert!(value("1e999").is_err());
        assert_eq!(duration_ms("1.5"), Ok(1500));
        assert_eq!(duration_ms("1m30s"), Ok(90_000));
        assert_eq!(duration_ms("9.5e10"), Err("duration out of range".to_owned()));
        assert_eq!(duration_ms("5m1h"), Err("not a valid duration string: \"5m1h\"".to_owned()));
    }
}
