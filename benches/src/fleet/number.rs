//! Numbers as Go's client writes them into an exposition: `7`, `0.25`, `1.4155776e+07`.

use std::io::Write;

/// Appends a value.
pub fn write(value: f64, out: &mut Vec<u8>) {
    if value.fract() == 0.0 && value.abs() < 1e6 {
        #[expect(clippy::cast_possible_truncation, reason = "checked above")]
        return integer(value as i64, out);
    }
    if value.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    }
    if (1e-4..1e6).contains(&value.abs()) {
        write!(out, "{value}").ok();
        return;
    }
    // Rust writes `1.5e7` and `2e-5`, Go `1.5e+07` and `2e-05`.
    let from = out.len();
    write!(out, "{value:e}").ok();
    let Some(at) = out[from..].iter().position(|byte| *byte == b'e') else { return };
    let exponent = std::str::from_utf8(&out[from + at + 1..]).ok().and_then(|text| text.parse::<i32>().ok());
    out.truncate(from + at + 1);
    let exponent = exponent.unwrap_or_default();
    out.push(if exponent < 0 { b'-' } else { b'+' });
    write!(out, "{:02}", exponent.abs()).ok();
}

fn integer(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_look_as_in_go() {
        let cases = [
            (0.0, "0"),
            (-7.0, "-7"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (14_155_776.0, "1.4155776e+07"),
            (0.25, "0.25"),
            (0.00002, "2e-05"),
            (123_456.75, "123456.75"),
            (1_234_567.5, "1.2345675e+06"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ];
        for (value, text) in cases {
            let mut out = Vec::new();
            super::write(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
