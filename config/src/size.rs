//! Sizes in bytes: `10MB`, `1.5GiB`. Every unit is a power of 1024, whatever its name, as in Prometheus.

const UNITS: [(&str, u32); 6] = [("EiB", 60), ("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];

/// The bytes of a size, which may be negative.
///
/// # Errors
/// When the text is not a size; in Prometheus' words.
pub fn parse_size(text: &str) -> Result<i64, String> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    // `units.ParseBase2Bytes` needs a unit everywhere else.
    if rest == "0" {
        return Ok(0);
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        // `1GiB512MiB` is a sum, as upstream prints sizes.
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let value: f64 = number.parse().map_err(|_| format!("units: invalid {text}"))?;
        let shift = shift(unit).ok_or_else(|| format!("units: unknown unit {unit} in {text}"))?;
        total += value * f64::from(shift).exp2();
        rest = after;
    }
    // Just below 2^63, where the cast would saturate.
    if text.is_empty() || total >= 9.2e18 {
        return Err(format!("units: invalid {text}"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a byte is none; the bound was just checked")]
    Ok((sign * total) as i64)
}

/// Formats a size: `15MiB`, `1GiB512MiB`; 0 is `0B`.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    let mut out = String::new();
    let mut rest = bytes;
    for (unit, shift) in UNITS {
        if rest >> shift > 0 {
            out.push_str(&format!("{}{unit}", rest >> shift));
            rest &= (1 << shift) - 1;
        }
    }
    if rest > 0 || out.is_empty() {
        out.push_str(&format!("{rest}B"));
    }
    out
}

fn shift(unit: &str) -> Option<u32> {
    if unit == "B" {
        return Some(0);
    }
    // `KB` and `KiB` are both 1024 bytes (`units.Base2Bytes`).
    UNITS.iter().find(|(name, _)| *name == unit || unit.strip_suffix('B') == name.strip_suffix("iB")).map(|(_, s)| *s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for (text, bytes, shown) in [
            ("15MB", 15 << 20, "15MiB"),
            ("1KiB", 1024, "1KiB"),
            ("1.5GB", 3 << 29, "1GiB512MiB"),
            ("1PB", 1 << 50, "1PiB"),
            ("0", 0, "0B"),
            ("100B", 100, "100B"),
        ] {
            let parsed = parse_size(text).unwrap();
            assert_eq!(parsed, bytes, "{text}");
            assert_eq!(format_size(parsed.unsigned_abs()), shown);
        }
        assert_eq!(parse_size("100").unwrap_err(), "units: unknown unit  in 100");
        assert!(parse_size("x").is_err() && parse_size("").is_err() && parse_size("1..2MB").is_err());
    }
}
