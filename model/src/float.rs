//! Go's spelling of floats, which responses, label values and recordings of upstream carry.

use std::fmt::Write as _;
use std::ops::Range;

/// Go's `strconv.FormatFloat(v, 'f', -1, 64)`: the shortest digits that read back the same, never an exponent;
/// `NaN`, `+Inf`, `-Inf`.
#[must_use]
pub fn format_f(value: f64) -> String {
    let mut out = String::new();
    match special(value) {
        Some(text) => out.push_str(text),
        None => push_shortest(&mut out, value),
    }
    out
}

/// Go's `strconv.FormatFloat(v, 'g', -1, 64)`: an exponent below 1e-4 and from 1e6 on. [`format_v`] waits until 1e21.
#[must_use]
pub fn format_g(value: f64) -> String {
    format_between(value, 1e-4, 1e6)
}

/// Adds what [`format_g`] returns: how the text format writes values.
pub fn push_g(out: &mut String, value: f64) {
    push_between(out, value, 1e-4..1e6);
}

/// Go's `%v`: an exponent below 1e-4 and from 1e21 on.
#[must_use]
pub fn format_v(value: f64) -> String {
    format_between(value, 1e-4, 1e21)
}

/// Go's `strconv.FormatFloat(v, 'e', -1, 64)`: always an exponent, `1e+00`.
#[must_use]
pub fn format_e(value: f64) -> String {
    let mut out = String::new();
    match special(value) {
        Some(text) => out.push_str(text),
        None => push_exponent(&mut out, value),
    }
    out
}

/// Adds a float as the HTTP API writes samples: an exponent below 1e-6 and from 1e21 on (upstream:
/// `jsonutil.MarshalFloat`).
pub fn push_json(out: &mut String, value: f64) {
    push_between(out, value, 1e-6..1e21);
}

/// What [`push_json`] adds.
#[must_use]
pub fn format_json(value: f64) -> String {
    format_between(value, 1e-6, 1e21)
}

fn format_between(value: f64, smallest: f64, largest: f64) -> String {
    let mut out = String::new();
    push_between(&mut out, value, smallest..largest);
    out
}

fn push_between(out: &mut String, value: f64, plain: Range<f64>) {
    if let Some(text) = special(value) {
        return out.push_str(text);
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || plain.contains(&magnitude) {
        return push_shortest(out, value);
    }
    push_exponent(out, value);
}

fn push_exponent(out: &mut String, value: f64) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number that fits")]
    // Counters of bytes and of seconds are whole: formatting an integer is several times faster.
    if value.fract() == 0.0 && (1.0..WHOLE_MAX).contains(&value.abs()) {
        out.push_str(if value < 0.0 { "-" } else { "" });
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(value.abs() as u64);
        let (first, rest) = digits.split_at(1);
        out.push_str(first);
        let rest = rest.trim_end_matches('0');
        out.push_str(if rest.is_empty() { "" } else { "." });
        out.push_str(rest);
        return push_power(out, '+', itoa::Buffer::new().format(digits.len() - 1));
    }
    let start = out.len();
    write!(out, "{value:e}").expect("BUG: writing to a string does not fail");
    let at = start + out[start..].find('e').expect("BUG: an exponent was asked for");
    let power: i32 = out[at + 1..].parse().expect("BUG: an exponent is a number");
    out.truncate(at);
    let places = out[start..].bytes().filter(u8::is_ascii_digit).count() as i32 - 1;
    if places >= DIGITS_CERTAIN && is_tie(value, places - power) {
        let mut lower = format!("{value:.*e}", usize::try_from(places + 1).unwrap_or_default());
        // The digit before the exponent is the final 5.
        let end = lower.find('e').map_or(0, |at| at - 1);
        let is_even = lower[..end].ends_with(['0', '2', '4', '6', '8']);
        lower.replace_range(end..=end, "");
        // It must still read back as the same float.
        if is_even && lower.parse() == Ok(value) {
            out.truncate(start);
            out.push_str(&lower[..end]);
        }
    }
    let sign = if power < 0 { '-' } else { '+' };
    push_power(out, sign, itoa::Buffer::new().format(power.unsigned_abs()));
}

/// Rust writes `1e-7`, Go at least two digits of exponent: `1e-07`.
fn push_power(out: &mut String, sign: char, power: &str) {
    out.push('e');
    out.push(sign);
    out.push_str(if power.len() < 2 { "0" } else { "" });
    out.push_str(power);
}

/// True if a number lies in the middle between two with so many decimals. A number with n binary places has n decimal ones, the
/// last of them a 5: in the middle when all but that are shown.
fn is_tie(value: f64, decimals: i32) -> bool {
    let scaled = value * 2f64.powi(decimals.saturating_add(1));
    // A tie needs exactly one more binary place: more would not be a tie, fewer would print fewer digits.
    scaled.fract() == 0.0 && (scaled / 2.0).fract() != 0.0
}

/// Whole numbers below this are what they are cast to.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Of two numbers with so many digits or fewer, no more than one reads back as the same float.
const DIGITS_CERTAIN: i32 = f64::DIGITS as i32;

/// The shortest digits that read back the same. Where two are equally near, Rust takes the upper and Go the even one.
fn push_shortest(out: &mut String, value: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "it is a whole number that fits")]
    // Most samples are whole numbers, for which formatting an integer is several times faster. Negative zero keeps
    // its sign and takes the slow path.
    if value.abs() < WHOLE_MAX && value.fract() == 0.0 && (value != 0.0 || value.is_sign_positive()) {
        return out.push_str(itoa::Buffer::new().format(value as i64));
    }
    let start = out.len();
    write!(out, "{value}").expect("BUG: writing to a string does not fail");
    let text = &out[start..];
    let Some(point) = text.find('.') else { return };
    let decimals = text.len() - point - 1;
    // With 15 digits there is only one candidate.
    if text.len() <= DIGITS_CERTAIN as usize || !is_tie(value, i32::try_from(decimals).unwrap_or(i32::MAX)) {
        return;
    }
    // Rust printed the upper candidate; without its final 5 this is the lower one.
    let mut lower = format!("{value:.*}", decimals + 1);
    lower.pop();
    let is_even = lower.ends_with(['0', '2', '4', '6', '8']);
    // It must still read back as the same float.
    if is_even && lower.parse() == Ok(value) {
        out.truncate(start);
        out.push_str(&lower);
    }
}

fn special(value: f64) -> Option<&'static str> {
    match value {
        v if v.is_nan() => Some("NaN"),
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_that_are_equally_near_the_even_one() {
        for (value, text) in [
            (1_945_546_524_766_013.0 / 8.0, "243193315595751.62"),
            (-1_945_546_524_766_013.0 / 8.0, "-243193315595751.62"),
            (3_997_106_295_662_845.0 / 4.0, "999276573915711.2"),
            (3_997_106_295_662_847.0 / 4.0, "999276573915711.8"),
            (811_123_582_811_715.0 / 8.0, "101390447851464.38"),
            (0.625, "0.625"),
            (2f64.powi(-24), "0.00000005960464477539063"),
        ] {
            assert_eq!((format_f(value), text.parse()), (text.to_owned(), Ok(value)));
        }
        for (value, text) in [
            (2f64.powi(-24), "5.960464477539063e-08"),
            (2f64.powi(-25), "2.9802322387695312e-08"),
            (-2f64.powi(-25), "-2.9802322387695312e-08"),
            (3.0 * 2f64.powi(-25), "8.940696716308594e-08"),
            (2f64.powi(-44), "5.684341886080802e-14"),
            (1_945_546_524_766_013.0 / 8.0, "2.4319331559575162e+14"),
            (3_997_106_295_662_845.0 / 4.0, "9.992765739157112e+14"),
        ] {
            assert_eq!((format_g(value), text.parse()), (text.to_owned(), Ok(value)));
        }
    }

    #[test]
    fn as_go_writes_them() {
        for (value, f, g, json) in [
            (0.0, "0", "0", "0"),
            (-0.0, "-0", "-0", "-0"),
            (1.0, "1", "1", "1"),
            (0.1, "0.1", "0.1", "0.1"),
            (1e-5, "0.00001", "1e-05", "0.00001"),
            (1.5e-7, "0.00000015", "1.5e-07", "1.5e-07"),
            (999_999.5, "999999.5", "999999.5", "999999.5"),
            (1_234_567.0, "1234567", "1.234567e+06", "1234567"),
            (1_000_000.0, "1000000", "1e+06", "1000000"),
            (-1_203_000.0, "-1203000", "-1.203e+06", "-1203000"),
            (1_234_567.5, "1234567.5", "1.2345675e+06", "1234567.5"),
            (-42.0, "-42", "-42", "-42"),
            (9_007_199_254_740_991.0, "9007199254740991", "9.007199254740991e+15", "9007199254740991"),
            (9_007_199_254_740_994.0, "9007199254740994", "9.007199254740994e+15", "9007199254740994"),
            (1e20, "100000000000000000000", "1e+20", "100000000000000000000"),
            (1e21, "1000000000000000000000", "1e+21", "1e+21"),
            (-2.5e100, &format!("-25{}", "0".repeat(99)), "-2.5e+100", "-2.5e+100"),
            (f64::INFINITY, "+Inf", "+Inf", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf", "-Inf"),
            (f64::NAN, "NaN", "NaN", "NaN"),
        ] {
            let mut written = String::from("[");
            push_json(&mut written, value);
            assert_eq!((&*format_f(value), &*format_g(value), &written[1..]), (f, g, json), "{value}");
        }
        assert_eq!((&*format_v(1e-5), &*format_v(1e20), &*format_v(1e21)), ("1e-05", "100000000000000000000", "1e+21"));
    }
}
