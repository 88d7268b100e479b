//! What a certificate says of itself and rustls keeps to itself: from when to when it is valid, for those that are trusted as
//! they stand (`verify`), and who issued it, for errors.

use rustls_pki_types::UnixTime;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// The attributes of names, 2.5.4.x, by the last byte of their identifiers.
const ATTRIBUTES: [(u8, &str); 6] = [(3, "CN"), (6, "C"), (7, "L"), (8, "ST"), (10, "O"), (11, "OU")];
/// The longest issuer that is shown.
const SHOWN_MAX: usize = 200;

/// Is the certificate valid now? One that cannot be read is not.
pub(crate) fn is_valid_at(certificate: &[u8], now: UnixTime) -> bool {
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    validity(certificate).is_some_and(|(from, to)| (from..=to).contains(&seconds))
}

/// Who issued the certificate: `CN=kubernetes,O=acme`. Empty when that cannot be read.
pub(crate) fn issuer(certificate: &[u8]) -> String {
    let read = || {
        let mut tbs = after_algorithm(certificate)?;
        let mut name = take(&mut tbs, SEQUENCE)?;
        let mut parts = Vec::new();
        while !name.is_empty() {
            let mut set = take(&mut name, SET)?;
            let mut pair = take(&mut set, SEQUENCE)?;
            let identifier = take(&mut pair, OBJECT_IDENTIFIER)?;
            let tag = *pair.first()?;
            let value = String::from_utf8_lossy(take(&mut pair, tag)?);
            let known = ATTRIBUTES.iter().find(|(last, _)| identifier == [0x55, 4, *last]);
            parts.extend(known.map(|(_, name)| format!("{name}={}", value.escape_debug())));
        }
        Some(parts.join(",").chars().take(SHOWN_MAX).collect())
    };
    read().unwrap_or_default()
}

/// What is to be signed, from the issuer on.
fn after_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let mut input = certificate;
    let mut outer = take(&mut input, SEQUENCE)?;
    let mut tbs = take(&mut outer, SEQUENCE)?;
    if tbs.first() == Some(&VERSION) {
        take(&mut tbs, VERSION)?;
    }
    take(&mut tbs, INTEGER)?;
    take(&mut tbs, SEQUENCE)?;
    Some(tbs)
}

/// Seconds since the epoch.
fn validity(certificate: &[u8]) -> Option<(i64, i64)> {
    let mut tbs = after_algorithm(certificate)?;
    // The issuer.
    take(&mut tbs, SEQUENCE)?;
    let mut validity = take(&mut tbs, SEQUENCE)?;
    Some((time(&mut validity)?, time(&mut validity)?))
}

/// The content of the element at the start, which must have this tag.
fn take<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, rest) = input.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    *input = rest;
    (*found == tag).then_some(content)
}

/// `YYMMDDHHMMSSZ`, or with four digits of year.
fn time(input: &mut &[u8]) -> Option<i64> {
    let tag = *input.first()?;
    let digits = std::str::from_utf8(take(input, tag)?).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day) = (part(0)?, part(2)?);
    // Days since the epoch, years beginning in March so that the leap day is the last of its year.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + part(4)?) * 60 + part(6)?) * 60 + part(8)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_time() {
        let read = |tag: u8, text: &str| {
            let mut bytes = vec![tag, u8::try_from(text.len()).unwrap()];
            bytes.extend(text.bytes());
            time(&mut bytes.as_slice())
        };
        assert_eq!(read(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(read(UTC_TIME, "240229120000Z"), Some(1_709_208_000));
        assert_eq!(read(GENERALIZED_TIME, "20500101000001Z"), Some(2_524_608_001));
        assert_eq!(read(UTC_TIME, "x"), None);
    }

    #[test]
    fn what_is_no_certificate_is_not_valid() {
        for bytes in [&[][..], &[0x30], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 2, 0x30, 0]] {
            assert_eq!(validity(bytes), None);
            assert_eq!(issuer(bytes), "");
        }
    }
}
