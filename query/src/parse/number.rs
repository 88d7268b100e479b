//! Values of number and duration literals: `1_000`, `0x1F`, `1e3`, `010`, `5m`. A duration has the value of its seconds.

use model::duration::parse_duration_ms;

use super::quote::quoted;

/// The value of a number as Go's `ParseInt` with base 0, or else `ParseFloat`, return it; errors come with a value.
pub(super) fn number(text: &str) -> (f64, Option<String>) {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "inf" => return (f64::INFINITY, None),
        "nan" => return (f64::NAN, None),
        _ => {}
    }
    // Go allows underscores between digits; their places were checked by the lexer.
    let digits: String = lower.chars().filter(|c| *c != '_').collect();
    let wrong = |what| Some(format!("error parsing number: strconv.ParseFloat: parsing {}: {what}", quoted(text)));
    if let Some(hex) = digits.strip_prefix("0x") {
        return match i64::from_str_radix(hex, 16) {
            Ok(value) => (value as f64, None),
            // Without an exponent it is no hexadecimal float either.
            Err(_) => (0.0, wrong("invalid syntax")),
        };
    }
    // As Go's `ParseInt` with base 0: `010` is 8. `08` and `0.5` are no octal numbers, and are parsed as floats below.
    if let Some(value) = octal(&digits) {
        return (value, None);
    }
    match digits.parse::<f64>() {
        Ok(value) if value.is_infinite() => (value, wrong("value out of range")),
        Ok(value) => (value, None),
        Err(_) => (0.0, wrong("invalid syntax")),
    }
}

fn octal(digits: &str) -> Option<f64> {
    let rest = digits.strip_prefix('0').filter(|rest| !rest.is_empty())?;
    i64::from_str_radix(rest, 8).ok().map(|v| v as f64)
}

/// The seconds of a duration; errors come with 0.
pub(super) fn duration(text: &str) -> (f64, Option<String>) {
    match parse_duration_ms(text) {
        Ok(ms) => (ms as f64 / 1000.0, None),
        Err(error) => (0.0, Some(error.to_string())),
    }
}

/// Go's `%f`.
pub(super) fn format_six(value: f64) -> String {
    if value.is_finite() { format!("{value:.6}") } else { model::float::format_f(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling() {
        let cases =
            [("1_000", 1000.0), ("0x1F", 31.0), ("1e3", 1000.0), (".5", 0.5), ("1.", 1.0), ("010", 8.0), ("08", 8.0)];
        for (text, expected) in cases {
            assert_eq!(number(text), (expected, None), "{text}");
        }
        assert_eq!(number("Inf").0, f64::INFINITY);
        assert!(number("1e999").1.is_some_and(|m| m.ends_with("value out of range")));
        assert!(number("0x").1.is_some_and(|m| m.ends_with("invalid syntax")));
        assert_eq!(duration("1m30s"), (90.0, None));
        assert_eq!(duration("5m1h"), (0.0, Some("not a valid duration string: \"5m1h\"".to_owned())));
    }
}
