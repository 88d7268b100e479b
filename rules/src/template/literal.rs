//! Numbers in templates and in strings (Go: `strconv`, and `newNumber` of `text/template/parse`).

use super::quote;

/// A number of a template. Its text decides what it is where nothing else does.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Number {
    pub(super) text: String,
    /// As an integer, if it is one: `2.0` is, too.
    pub(super) int: Option<i64>,
    value: Ideal,
}

/// What a number is where no type is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ideal {
    Int(i64),
    Float(f64),
    /// Greater than any `int`.
    Overflow,
}

impl Number {
    /// # Errors
    /// In Go's words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let number = |int, value| Ok(Self { text: text.to_owned(), int, value });
        if text.starts_with('\'') {
            return match quote::unquoted_char(text) {
                Some(Ok(n)) => number(Some(n), Ideal::Int(n)),
                Some(Err(())) => Err(format!("malformed character constant: {text}")),
                None => Err("invalid syntax".to_owned()),
            };
        }
        if let Some(n) = integer(text) {
            // `1e0` and `.5` are no integers, and hexadecimal ones have no exponent.
            return match i64::try_from(n) {
                Ok(n) => number(Some(n), Ideal::Int(n)),
                Err(_) if n > 0 && u64::try_from(n).is_ok() => number(None, Ideal::Overflow),
                Err(_) => Err(format!("integer overflow: {}", quote::quoted(text))),
            };
        }
        match parse_float(text) {
            Ok(value) if text.contains(['.', 'e', 'E', 'p', 'P']) => {
                #[expect(clippy::cast_possible_truncation, reason = "compared with what it was")]
                let int = Some(value as i64).filter(|n| *n as f64 == value);
                number(int, Ideal::Float(value))
            }
            Ok(_) => Err(format!("integer overflow: {}", quote::quoted(text))),
            Err(_) => Err(format!("illegal number syntax: {}", quote::quoted(text))),
        }
    }

    pub(super) fn ideal(&self) -> Ideal {
        self.value
    }
}

/// An integer with the prefixes and underscores of Go's syntax.
fn integer(text: &str) -> Option<i128> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = unsigned.to_ascii_lowercase();
    let prefix = |p: &str| lower.strip_prefix(p);
    let (digits, radix) = match (prefix("0x"), prefix("0o"), prefix("0b"), prefix("0")) {
        (Some(digits), ..) => (digits, 16),
        (_, Some(digits), ..) => (digits, 8),
        (_, _, Some(digits), _) => (digits, 2),
        (.., Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (&*lower, 10),
    };
    // Behind a prefix an underscore may come first.
    let has_prefix = digits.len() < lower.len();
    let checked = if has_prefix { digits.strip_prefix('_').unwrap_or(digits) } else { digits };
    if !underscores_separate(checked) {
        return None;
    }
    let digits: String = digits.chars().filter(|c| *c != '_').collect();
    if digits.starts_with(['+', '-']) {
        return None;
    }
    // Saturated, it is still an overflow.
    let number = match i128::from_str_radix(&digits, radix) {
        Ok(number) => number,
        Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => i128::MAX,
        Err(_) => return None,
    };
    Some(if text.starts_with('-') { -number } else { number })
}

/// Stands every underscore between digits?
fn underscores_separate(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digit = |i: Option<usize>| i.and_then(|i| bytes.get(i)).is_some_and(u8::is_ascii_hexdigit);
    (0..bytes.len()).all(|i| bytes[i] != b'_' || digit(i.checked_sub(1)) && digit(i.checked_add(1)))
}

/// Go's `strconv.ParseFloat`.
///
/// # Errors
/// In Go's words.
pub(super) fn parse_float(text: &str) -> Result<f64, String> {
    let wrong = |what: &str| format!("strconv.ParseFloat: parsing {}: {what}", quote::quoted(text));
    let invalid = || wrong("invalid syntax");
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = unsigned.to_ascii_lowercase();
    let signed = |value: f64| if negative { -value } else { value };
    match &*lower {
        "inf" | "infinity" => return Ok(signed(f64::INFINITY)),
        "nan" if unsigned.len() == text.len() => return Ok(f64::NAN),
        // Rust reads a second sign, and names, as numbers.
        _ if !lower.starts_with(|c: char| c.is_ascii_digit() || c == '.') => return Err(invalid()),
        _ => {}
    }
    let (prefix, number) = lower.strip_prefix("0x").map_or(("", &*lower), |rest| ("0x", rest));
    let checked = if prefix.is_empty() { number } else { number.strip_prefix('_').unwrap_or(number) };
    // `e` and `p` are no digits around which one may stand.
    let parts = checked.split(if prefix.is_empty() { ['e', '.', '.'] } else { ['p', '.', '.'] });
    if !parts.into_iter().all(|part| underscores_separate(part.trim_start_matches(['+', '-']))) {
        return Err(invalid());
    }
    let digits: String = number.chars().filter(|c| *c != '_').collect();
    let value = if prefix.is_empty() { digits.parse().ok() } else { hex_float(&digits) };
    match value.ok_or_else(invalid)? {
        f64::INFINITY => Err(wrong("value out of range")),
        value => Ok(signed(value)),
    }
}

/// `1.8p1`, behind `0x`. The exponent is required.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let exponent: i32 = exponent.parse::<i64>().ok()?.clamp(-5000, 5000).try_into().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0f64;
    let mut scale = exponent;
    for c in whole.chars() {
        value = value.mul_add(16.0, f64::from(c.to_digit(16)?));
    }
    for c in fraction.chars() {
        value = value.mul_add(16.0, f64::from(c.to_digit(16)?));
        scale = scale.checked_sub(4)?;
    }
    // In two steps, so that neither factor is out of range before the product is.
    let half = scale / 2;
    Some(value * 2f64.powi(half) * 2f64.powi(scale - half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_number_is() {
        for (text, ideal) in [
            ("1", Ideal::Int(1)),
            ("-1", Ideal::Int(-1)),
            ("+7", Ideal::Int(7)),
            ("017", Ideal::Int(15)),
            ("0x_1f", Ideal::Int(31)),
            ("0b101", Ideal::Int(5)),
            ("1_000", Ideal::Int(1000)),
            ("'a'", Ideal::Int(97)),
            ("0xe", Ideal::Int(14)),
            ("2.0", Ideal::Float(2.0)),
            (".5", Ideal::Float(0.5)),
            ("1e3", Ideal::Float(1000.0)),
            ("0x1.8p1", Ideal::Float(3.0)),
            ("18446744073709551615", Ideal::Overflow),
        ] {
            assert_eq!(Number::parse(text).unwrap().ideal(), ideal, "{text}");
        }
        for (text, error) in [
            ("18446744073709551616", "integer overflow: \"18446744073709551616\""),
            ("089", "integer overflow: \"089\""),
            ("1__0", "illegal number syntax: \"1__0\""),
            ("0x1.8", "illegal number syntax: \"0x1.8\""),
            ("'ab'", "malformed character constant: 'ab'"),
        ] {
            assert_eq!(Number::parse(text).unwrap_err(), error);
        }
        assert_eq!(Number::parse("3.0").unwrap().int, Some(3));
    }

    #[test]
    fn floats_of_strings() {
        for (text, value) in [
            (".12", 0.12),
            ("+Inf", f64::INFINITY),
            ("-infinity", f64::NEG_INFINITY),
            ("1_0.2_5", 10.25),
            ("0x1p-2", 0.25),
        ] {
            assert_eq!(parse_float(text), Ok(value), "{text}");
        }
        assert!(parse_float("nan").unwrap().is_nan());
        for text in ["", "one", "+nan", "--1", "1 ", "1_", "_1", "1._5", "0x1", "1e"] {
            assert_eq!(parse_float(text).unwrap_err(), format!("strconv.ParseFloat: parsing {text:?}: invalid syntax"));
        }
        assert_eq!(parse_float("1e400").unwrap_err(), "strconv.ParseFloat: parsing \"1e400\": value out of range");
    }
}
