//! Which texts go-yaml v2 would read as something else than a string, and therefore prints in double quotes (`resolve.go` and
//! `isBase60Float` in `encode.go`).

/// The words that are not strings, as they must be written.
const WORDS: &[&str] = &[
    "y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "true", "True",
    "TRUE", "false", "False", "FALSE", "~", "null", "Null", "NULL", "", ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF",
    "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF",
];

/// Would the text be read as a boolean, number, time or null if it had no quotes?
pub(super) fn reads_as_other(text: &str) -> bool {
    if WORDS.contains(&text) {
        return true;
    }
    match text.as_bytes().first() {
        Some(b'.') => is_short_float(text),
        Some(b'0'..=b'9' | b'+' | b'-') => {
            // YAML 1.1 allows underscores anywhere in numbers.
            let plain = text.replace('_', "");
            is_time(text) || is_integer(&plain) || is_float(&plain) || is_binary(&plain) || is_base_60(text)
        }
        _ => false,
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// A number that begins with its point, by `strconv.ParseFloat`: there underscores stand between digits only.
fn is_short_float(text: &str) -> bool {
    let bytes = text.as_bytes();
    let between = |i: usize| {
        let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
        digit(i.checked_sub(1)) && digit(Some(i + 1))
    };
    (0..bytes.len()).all(|i| bytes[i] != b'_' || between(i)) && is_float(&text.replace('_', ""))
}

/// A number in decimal notation that a float can hold; one that is too large stays a string.
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = digits(unsigned);
    let mut rest = &unsigned[whole..];
    let mut fraction = 0;
    if let Some(tail) = rest.strip_prefix('.') {
        fraction = digits(tail);
        rest = &tail[fraction..];
    }
    if let Some(tail) = rest.strip_prefix(['e', 'E']) {
        let exponent = tail.strip_prefix(['+', '-']).unwrap_or(tail);
        rest = if exponent.is_empty() { "?" } else { &exponent[digits(exponent)..] };
    }
    whole + fraction > 0 && rest.is_empty() && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// An integer of 64 bits: decimal, or with the prefixes of Go. A leading zero means octal.
fn is_integer(text: &str) -> bool {
    let (limit, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (1 << 63, &text[1..]),
        Some(b'+') => ((1 << 63) - 1, &text[1..]),
        _ => (u64::MAX, text),
    };
    let prefix = unsigned.get(..2).filter(|_| unsigned.len() > 2).map(str::to_ascii_lowercase);
    let (radix, digits) = match prefix.as_deref() {
        Some("0x") => (16, &unsigned[2..]),
        Some("0o") => (8, &unsigned[2..]),
        Some("0b") => (2, &unsigned[2..]),
        _ if unsigned == "0" => return true,
        _ if unsigned.starts_with('0') => (8, &unsigned[1..]),
        _ => (10, unsigned),
    };
    // Rust's parser takes a sign here; Go's has taken it before.
    let is_bare = digits.starts_with(|c: char| c.is_ascii_alphanumeric());
    is_bare && u64::from_str_radix(digits, radix).is_ok_and(|number| number <= limit)
}

/// go-yaml parses what follows `0b` once more, which takes a second sign.
fn is_binary(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("0b") else { return false };
    let digits = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    digits.starts_with(['0', '1']) && i64::from_str_radix(rest, 2).is_ok()
}

/// YAML 1.1 reads `1:30` as a number in base 60. go-yaml does not, and quotes it for parsers that do.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = |part: &str| part.starts_with(|c: char| c.is_ascii_digit()) && part.bytes().all(is_digit_or_underscore);
    let sixtieth = |part: &str| match part.as_bytes() {
        [b'0'..=b'5', b'0'..=b'9'] => true,
        [digit] => digit.is_ascii_digit(),
        _ => false,
    };
    let Some((first, rest)) = unsigned.split_once(':') else { return false };
    // The last part may have a fraction.
    let (rest, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    whole(first) && rest.split(':').all(sixtieth) && fraction.bytes().all(is_digit_or_underscore)
}

fn is_digit_or_underscore(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'_'
}

/// A time: `2001-1-2`, with `15:4:5` behind a space, or behind `T` and then with a zone. By Go's `time.Parse`, which allows one
/// digit where two are usual.
fn is_time(text: &str) -> bool {
    let mut rest = text;
    let Some(date) = date(&mut rest) else { return false };
    if !date || rest.is_empty() {
        return date;
    }
    match rest.strip_prefix(['T', 't']) {
        Some(after) => clock(after).is_some_and(is_zone),
        None => rest.starts_with(' ') && clock(rest.trim_start_matches(' ')).is_some_and(str::is_empty),
    }
}

/// Takes a date; tells whether there is such a day.
fn date(text: &mut &str) -> Option<bool> {
    if digits(text) != 4 {
        return None;
    }
    let year: u32 = text[..4].parse().ok()?;
    let rest = text[4..].strip_prefix('-')?;
    let (month, rest) = number(rest)?;
    let (day, rest) = number(rest.strip_prefix('-')?)?;
    *text = rest;
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    Some((1..=days).contains(&day))
}

/// What follows `15:4:5` and its fraction, if that is a time of day.
fn clock(text: &str) -> Option<&str> {
    let (hour, rest) = number(text)?;
    let (minute, rest) = number(rest.strip_prefix(':')?)?;
    let (second, rest) = number(rest.strip_prefix(':')?)?;
    let fraction = rest.strip_prefix(['.', ',']).filter(|fraction| digits(fraction) > 0);
    let rest = fraction.map_or(rest, |fraction| &fraction[digits(fraction)..]);
    (hour < 24 && minute < 60 && second < 60).then_some(rest)
}

/// `Z`, or `+01:00`.
fn is_zone(text: &str) -> bool {
    match text.as_bytes() {
        b"Z" => true,
        [b'+' | b'-', h, hh, b':', m, mm] if [h, hh, m, mm].into_iter().all(u8::is_ascii_digit) => {
            // Some write an offset of 24 hours, or of 60 minutes.
            let pair = |tens: &u8, ones: &u8| (tens - b'0') * 10 + ones - b'0';
            pair(h, hh) <= 24 && pair(m, mm) <= 60
        }
        _ => false,
    }
}

/// One digit or two.
fn number(text: &str) -> Option<(u32, &str)> {
    let len = digits(text).min(2);
    text[..len].parse().ok().map(|number| (number, &text[len..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from go-yaml 2.4.4.
    #[test]
    fn texts_that_are_no_strings() {
        for text in [
            "", "~", "No", "ON", "y", "NULL", ".NaN", "-.INF", ".5", ".5_0", ".5e-400", "1e3", "1.e5", "0_", "08",
            "017",
        ] {
            assert!(reads_as_other(text), "{text}");
        }
        for text in ["0X1F", "0o17", "0O7", "-0b1", "0b-1", "1__2", "-9223372036854775808", "99999999999999999999"] {
            assert!(reads_as_other(text), "{text}");
        }
        for text in ["1:30", "-1:30", "1_:30.", "5:3:00.1_2", "2001-1-1", "2001-2-28 1:2:3,5", "2001-1-1  10:10:10"] {
            assert!(reads_as_other(text), "{text}");
        }
        for text in ["2001-1-1T1:2:3Z", "2001-12-31t1:2:3.25+24:60", "2000-2-29", "0001-01-01"] {
            assert!(reads_as_other(text), "{text}");
        }
        for text in
            ["tRue", "<<", "=", "nan", "inf", "+", "-", ".", "._5", ".5_", ".5p1", "1e", "1e400", ".5e400", "0x", "_1"]
        {
            assert!(!reads_as_other(text), "{text}");
        }
        for text in
            ["-0b+1", "0b2", "0xffffffffffffffffff", "1:60", "1:3_0", "1:", "2001-2-29", "2001-13-1", "2001-1-1T1:2:3"]
        {
            assert!(!reads_as_other(text), "{text}");
        }
        for text in
            ["2001-1-1T1:2:3+25:00", "20010-1-1", "2001-1-1 24:0:0", "2001-1-1 1:2:3Z", "1m", "1.2.3", "10.0.0.1"]
        {
            assert!(!reads_as_other(text), "{text}");
        }
    }
}
