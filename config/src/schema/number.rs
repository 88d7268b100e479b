//! Numbers of YAML 1.1, as Go's decoder reads them.

use crate::yaml::{Kind, Tree};

/// A number, `.inf` and `.nan` among them.
pub(super) fn number(text: &str) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "as Go converts it")]
    if let Some(whole) = whole(text) {
        return Some(whole as f64);
    }
    let digits = text.strip_prefix('_').map_or_else(|| text.replace('_', ""), |_| String::new());
    match digits.to_ascii_lowercase().as_str() {
        ".inf" | "+.inf" => Some(f64::INFINITY),
        "-.inf" => Some(f64::NEG_INFINITY),
        ".nan" => Some(f64::NAN),
        // Keeps `inf`, `nan` and `infinity` from Rust's parser, which to YAML are words.
        lower if lower.ends_with(|c: char| c.is_ascii_digit() || c == '.') => {
            digits.parse().ok().filter(|number: &f64| number.is_finite())
        }
        _ => None,
    }
}

/// A whole number: `1_000`, `0x1F`, `1e3`. A fraction is cut off, as Go does it.
pub(super) fn integer(tree: &Tree) -> Option<i128> {
    if tree.is_null() {
        return Some(0);
    }
    let Kind::Scalar { text, plain: true } = &*tree.kind else { return None };
    #[expect(clippy::cast_possible_truncation, reason = "below 2^63, as is checked")]
    whole(text).or_else(|| number(text).filter(|float| float.abs() < 9e18).map(|float| float as i128))
}

/// A whole number as YAML 1.1 writes it: with a sign, underscores, and a prefix for another base.
fn whole(text: &str) -> Option<i128> {
    // A text that begins with an underscore is no number; elsewhere they are ignored.
    let digits = text.strip_prefix('_').map_or_else(|| text.replace('_', ""), |_| String::new());
    let (negative, digits) = digits.strip_prefix('-').map_or((false, digits.as_str()), |rest| (true, rest));
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    let of = |prefix: &str, radix| lower.strip_prefix(prefix).map(|rest| i128::from_str_radix(rest, radix).ok());
    // YAML 1.1: a leading zero means octal, so `010` is 8.
    let octal = digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    let value = match of("0x", 16).or_else(|| of("0o", 8)).or_else(|| of("0b", 2)) {
        Some(value) => value?,
        None if octal => i128::from_str_radix(digits, 8).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Prometheus 3.16 makes of the same texts.
    #[test]
    fn numbers_as_go_reads_them() {
        for (text, int, float) in [
            ("10", Some(10), Some(10.0)),
            ("+1", Some(1), Some(1.0)),
            ("-1", Some(-1), Some(-1.0)),
            ("0x10", Some(16), Some(16.0)),
            ("0X1f", Some(31), Some(31.0)),
            ("010", Some(8), Some(8.0)),
            ("0o10", Some(8), Some(8.0)),
            ("0b11", Some(3), Some(3.0)),
            ("1_000", Some(1_000), Some(1_000.0)),
            ("1e3", Some(1_000), Some(1_000.0)),
            ("1.5", Some(1), Some(1.5)),
            (".5", Some(0), Some(0.5)),
            (".inf", None, Some(f64::INFINITY)),
            ("_1", None, None),
            ("1e400", None, None),
            ("1:30", None, None),
            ("+-1", None, None),
            ("x", None, None),
        ] {
            let tree = crate::yaml::parse(text).unwrap().unwrap();
            assert_eq!((integer(&tree), number(text)), (int, float), "{text}");
        }
    }
}
