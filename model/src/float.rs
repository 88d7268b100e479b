//! Go's spelling of floats, which responses, label values and recordings of upstream carry.

/// Go's `strconv.FormatFloat(v, 'f', -1, 64)`: the shortest digits that read back the same, never an exponent;
/// `NaN`, `+Inf`, `-Inf`.
#[must_use]
pub fn format_f(value: f64) -> String {
    special(value).map_or_else(|| value.to_string(), str::to_owned)
}

/// Go's `strconv.FormatFloat(v, 'g', -1, 64)`: an exponent below 1e-4 and from 1e6 on. [`format_v`] waits until 1e21.
#[must_use]
pub fn format_g(value: f64) -> String {
    format_between(value, 1e-4, 1e6)
}

/// Go's `%v`: an exponent below 1e-4 and from 1e21 on.
#[must_use]
pub fn format_v(value: f64) -> String {
    format_between(value, 1e-4, 1e21)
}

/// As the HTTP API writes samples: an exponent below 1e-6 and from 1e21 on (upstream: `jsonutil.MarshalFloat`).
#[must_use]
pub fn format_json(value: f64) -> String {
    format_between(value, 1e-6, 1e21)
}

fn format_between(value: f64, smallest: f64, largest: f64) -> String {
    if let Some(text) = special(value) {
        return text.to_owned();
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (smallest..largest).contains(&magnitude) {
        return value.to_string();
    }
    // Rust writes `1e-7`, Go at least two digits of exponent: `1e-07`.
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').expect("BUG: an exponent was asked for");
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
    format!("{digits}e{sign}{exponent:0>2}")
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
            (1e20, "100000000000000000000", "1e+20", "100000000000000000000"),
            (1e21, "1000000000000000000000", "1e+21", "1e+21"),
            (-2.5e100, &format!("-25{}", "0".repeat(99)), "-2.5e+100", "-2.5e+100"),
            (f64::INFINITY, "+Inf", "+Inf", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf", "-Inf"),
            (f64::NAN, "NaN", "NaN", "NaN"),
        ] {
            assert_eq!((&*format_f(value), &*format_g(value), &*format_json(value)), (f, g, json), "{value}");
        }
        assert_eq!((&*format_v(1e-5), &*format_v(1e20), &*format_v(1e21)), ("1e-05", "100000000000000000000", "1e+21"));
    }
}
