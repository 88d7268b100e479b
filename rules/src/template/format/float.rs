//! Floats as Go's `strconv.FormatFloat` writes them.

/// Decimals past which a float has only zeros.
const DECIMALS_MAX: usize = 1100;
/// The leading bit of a hexadecimal mantissa, above fifteen digits.
const TOP: u64 = 1 << 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// `%e`
    Exponent,
    /// `%f`
    Fixed,
    /// `%g`: the first of these for large exponents.
    General,
    /// `%x`
    Hex,
    /// `%b`
    Binary,
}

/// With so many digits, or as many as it takes to read back the same.
pub(super) fn format(value: f64, layout: Layout, precision: Option<usize>) -> String {
    if !value.is_finite() {
        return model::float::format_f(value);
    }
    match (layout, precision) {
        (Layout::General, None) => model::float::format_g(value),
        (Layout::General, Some(precision)) => general(value, precision),
        (Layout::Fixed, precision) => {
            let precision = precision.unwrap_or_default();
            let text = format!("{value:.*}", precision.min(DECIMALS_MAX));
            text + &"0".repeat(precision.saturating_sub(DECIMALS_MAX))
        }
        (Layout::Exponent, precision) => exponent(value, precision.unwrap_or_default()),
        (Layout::Hex, precision) => hex(value, precision),
        (Layout::Binary, _) => binary(value),
    }
}

/// `1.50e+07`
fn exponent(value: f64, precision: usize) -> String {
    let (digits, exponent) = scientific(value, precision.min(DECIMALS_MAX));
    let zeros = "0".repeat(precision.saturating_sub(DECIMALS_MAX));
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}{zeros}e{sign}{:02}", exponent.unsigned_abs())
}

/// The mantissa and the exponent.
fn scientific(value: f64, precision: usize) -> (String, i32) {
    let text = format!("{value:.precision$e}");
    let (digits, exponent) = text.split_once('e').expect("BUG: an exponent was asked for");
    (digits.to_owned(), exponent.parse().expect("BUG: an exponent is a number"))
}

/// Go's `%.4g`: so many digits, without zeros at the end.
pub(in crate::template) fn general(value: f64, precision: usize) -> String {
    if !value.is_finite() {
        return model::float::format_f(value);
    }
    let precision = precision.clamp(1, DECIMALS_MAX);
    let (digits, decimal_exponent) = scientific(value, precision - 1);
    let significant = digits.trim_start_matches('-').replace('.', "").trim_end_matches('0').len().max(1);
    let last = i32::try_from(precision).unwrap_or(i32::MAX);
    if decimal_exponent < -4 || decimal_exponent >= last {
        return exponent(value, significant - 1);
    }
    let decimals = i32::try_from(significant).unwrap_or(i32::MAX) - 1 - decimal_exponent;
    // Rounded to its digits before: `999.96` with four is `1000`.
    let text = format!("{value:.*}", usize::try_from(decimals).unwrap_or_default());
    if decimals >= 0 { text } else { rounded_whole(&digits, decimal_exponent) }
}

/// Digits before a decimal point that are not all given.
fn rounded_whole(digits: &str, decimal_exponent: i32) -> String {
    let places = usize::try_from(decimal_exponent).unwrap_or_default() + 1;
    let sign = if digits.starts_with('-') { "-" } else { "" };
    let digits = digits.trim_start_matches('-').replace('.', "");
    let kept = digits.get(..places.min(digits.len())).unwrap_or(&digits);
    format!("{sign}{kept:0<places$}")
}

/// The sharp flag: always with a decimal point, and with zeros up to so many digits.
pub(super) fn with_point(text: &str, digits: usize, layout: Layout) -> String {
    let ends = if layout == Layout::Hex { ['p', 'P'] } else { ['e', 'E'] };
    let (number, tail) = text.split_at(text.find(ends).unwrap_or(text.len()));
    // Zeros in front do not count, but a lone one does.
    let counted = number.trim_start_matches(['0', '.', 'x', 'X']);
    let mut given = counted.chars().filter(|c| *c != '.').count();
    let mut out = number.to_owned();
    if !number.contains('.') {
        given += usize::from(number == "0");
        out.push('.');
    }
    out.push_str(&"0".repeat(digits.saturating_sub(given)));
    out + tail
}

/// The mantissa with its leading bit, and the exponent of that bit's unit.
fn parts(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let mantissa = bits & ((1 << 52) - 1);
    let exponent = i32::try_from(bits >> 52 & 0x7ff).unwrap_or_default();
    if exponent == 0 { (mantissa, -1074) } else { (mantissa | 1 << 52, exponent - 1075) }
}

/// `0x1.8p+01`
fn hex(value: f64, precision: Option<usize>) -> String {
    let (mantissa, exponent) = parts(value);
    let mut mantissa = mantissa << 8;
    let mut exponent = if mantissa == 0 { 0 } else { exponent + 52 };
    while mantissa != 0 && mantissa & TOP == 0 {
        mantissa <<= 1;
        exponent -= 1;
    }
    if let Some(digits) = precision.filter(|digits| *digits < 15) {
        let shift = digits * 4;
        let extra = mantissa << shift & (TOP - 1);
        mantissa >>= 60 - shift;
        // Halves to even.
        if extra | (mantissa & 1) > TOP >> 1 {
            mantissa += 1;
        }
        mantissa <<= 60 - shift;
        if mantissa & TOP << 1 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let fraction = format!("{:015x}", mantissa & (TOP - 1));
    let fraction = match precision {
        None => fraction.trim_end_matches('0').to_owned(),
        Some(digits) => format!("{:0<digits$}", &fraction[..digits.min(15)]),
    };
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}0x{}{point}{fraction}p{exponent_sign}{:02}", mantissa / TOP, exponent.unsigned_abs())
}

/// `4503599627370496p-52`
fn binary(value: f64) -> String {
    let (mantissa, exponent) = parts(value);
    let sign = if value.is_sign_negative() { "-" } else { "" };
    format!("{sign}{mantissa}p{exponent:+}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_writes_them() {
        for (value, precision, text) in [
            (999.96, 4, "1000"),
            (99_999.0, 4, "1e+05"),
            (12_345.0, 5, "12345"),
            (123_500.0, 6, "123500"),
            (100.0, 4, "100"),
            (-0.000_012_345, 4, "-1.234e-05"),
            (0.000_123_45, 4, "0.0001234"),
            (0.0, 4, "0"),
            (1e300, 3, "1e+300"),
            (2.5, 0, "2"),
        ] {
            assert_eq!(general(value, precision), text);
        }
        let hexadecimal = [
            (1.0, None, "0x1p+00"),
            (3.0, Some(0), "0x1p+02"),
            (-0.1, Some(3), "-0x1.99ap-04"),
            (5e-324, None, "0x1p-1074"),
        ];
        for (value, precision, text) in hexadecimal {
            assert_eq!(format(value, Layout::Hex, precision), text);
        }
        assert_eq!(format(1.5, Layout::Binary, None), "6755399441055744p-52");
        assert_eq!(format(12_345.678, Layout::Exponent, Some(2)), "1.23e+04");
        assert_eq!(with_point("1", 6, Layout::General), "1.00000");
        assert_eq!(with_point("1e+06", 6, Layout::General), "1.00000e+06");
        assert_eq!(with_point("0", 6, Layout::General), "0.00000");
    }
}
