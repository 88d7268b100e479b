//! Parses a certificate without copying it. Unlike webpki it accepts whatever Go accepts: version 1, unknown critical extensions,
//! and authorities as server certificates. `chain` and `names` decide what is valid.

use crate::der::{BOOLEAN, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, element, take, take_bits, take_if};

const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// Names in a subject alternative name.
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
/// The attributes of names, 2.5.4.x, by the last byte of their identifiers.
const COMMON_NAME: u8 = 3;
const ATTRIBUTES: [(u8, &str); 6] = [(COMMON_NAME, "CN"), (6, "C"), (7, "L"), (8, "ST"), (10, "O"), (11, "OU")];
/// Extended key usages: `serverAuth` and any.
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const ANY_USAGE: &[u8] = &[0x55, 0x1d, 0x25, 0];
/// The longest issuer that is shown.
const SHOWN_MAX: usize = 200;

/// A certificate.
#[derive(Clone, Debug)]
pub(crate) struct Certificate<'a> {
    pub(crate) der: &'a [u8],
    /// The signed part, with its tag.
    pub(crate) signed: &'a [u8],
    /// The signature, and the content of the identifier of its algorithm.
    pub(crate) signature: &'a [u8],
    pub(crate) algorithm: &'a [u8],
    pub(crate) version: u8,
    pub(crate) issuer: &'a [u8],
    pub(crate) subject: &'a [u8],
    /// Seconds since the epoch, both included.
    pub(crate) validity: (i64, i64),
    pub(crate) key: PublicKey<'a>,
    pub(crate) extensions: Extensions<'a>,
}

/// A public key: the content of its algorithm's identifier, and its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey<'a> {
    pub(crate) algorithm: &'a [u8],
    pub(crate) bits: &'a [u8],
}

/// The extensions that are checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extensions<'a> {
    /// There is an unknown critical extension.
    pub(crate) unhandled: bool,
    /// Names of the subject, if there is such an extension.
    pub(crate) names: Option<Vec<Name<'a>>>,
    /// Is it an authority, and how many others may be between it and a server?
    pub(crate) basic: Option<(bool, Option<u64>)>,
    /// Is there a key usage that does not allow signing certificates?
    pub(crate) may_not_sign: bool,
    /// Is there an extended key usage that does not allow server authentication?
    pub(crate) may_not_serve: bool,
    /// Does it constrain the names below it?
    pub(crate) constraints: bool,
}

/// A name of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name<'a> {
    Dns(&'a [u8]),
    Ip(&'a [u8]),
    Other,
}

impl<'a> Certificate<'a> {
    /// `None` for bytes that are not a certificate.
    pub(crate) fn parse(der: &'a [u8]) -> Option<Self> {
        let mut input = der;
        let mut outer = take(&mut input, SEQUENCE)?;
        // The signature covers the element with its tag and length, so both are kept.
        let (tag, mut tbs, signed) = element(&mut outer)?;
        if tag != SEQUENCE || !input.is_empty() {
            return None;
        }
        let algorithm = take(&mut outer, SEQUENCE)?;
        let signature = take_bits(&mut outer)?;
        let version = match take_if(&mut tbs, VERSION) {
            Some(mut version) => take(&mut version, INTEGER)?.last()?.checked_add(1)?,
            None => 1,
        };
        // The serial number, and after it the algorithm that is repeated outside.
        take(&mut tbs, INTEGER)?;
        take(&mut tbs, SEQUENCE)?;
        let issuer = take(&mut tbs, SEQUENCE)?;
        let mut validity = take(&mut tbs, SEQUENCE)?;
        let validity = (time(&mut validity)?, time(&mut validity)?);
        let subject = take(&mut tbs, SEQUENCE)?;
        let key = PublicKey::parse(take(&mut tbs, SEQUENCE)?)?;
        // Unique identifiers of issuer and subject.
        take_if(&mut tbs, 0x81);
        take_if(&mut tbs, 0x82);
        let extensions = match take_if(&mut tbs, EXTENSIONS) {
            Some(extensions) => Extensions::parse(extensions)?,
            None => Extensions::default(),
        };
        Some(Self { der, signed, signature, algorithm, version, issuer, subject, validity, key, extensions })
    }

    /// Who issued it: `CN=kubernetes,O=acme`. Empty when that cannot be read.
    pub(crate) fn issuer_text(&self) -> String {
        let shown = attributes(self.issuer).unwrap_or_default();
        let parts = shown.iter().filter_map(|(last, value)| {
            let (_, name) = ATTRIBUTES.iter().find(|(known, _)| known == last)?;
            Some(format!("{name}={}", value.escape_debug()))
        });
        parts.collect::<Vec<_>>().join(",").chars().take(SHOWN_MAX).collect()
    }

    /// The common name of its subject.
    pub(crate) fn common_name(&self) -> Option<String> {
        attributes(self.subject)?.into_iter().rev().find(|(last, _)| *last == COMMON_NAME).map(|(_, value)| value)
    }
}

/// The attributes 2.5.4.x of a name, by x.
fn attributes(mut name: &[u8]) -> Option<Vec<(u8, String)>> {
    let mut all = Vec::new();
    while !name.is_empty() {
        let mut set = take(&mut name, SET)?;
        let mut pair = take(&mut set, SEQUENCE)?;
        let identifier = take(&mut pair, OBJECT_IDENTIFIER)?;
        let (_, value, _) = element(&mut pair)?;
        if let [0x55, 4, last] = identifier {
            all.push((*last, String::from_utf8_lossy(value).into_owned()));
        }
    }
    Some(all)
}

impl<'a> PublicKey<'a> {
    /// Out of the content of a `SubjectPublicKeyInfo`.
    pub(crate) fn parse(mut info: &'a [u8]) -> Option<Self> {
        Some(Self { algorithm: take(&mut info, SEQUENCE)?, bits: take_bits(&mut info)? })
    }
}

impl<'a> Extensions<'a> {
    fn parse(mut all: &'a [u8]) -> Option<Self> {
        let mut read = Self::default();
        let mut all = take(&mut all, SEQUENCE)?;
        while !all.is_empty() {
            let mut one = take(&mut all, SEQUENCE)?;
            let identifier = take(&mut one, OBJECT_IDENTIFIER)?;
            let critical = take_if(&mut one, BOOLEAN).is_some_and(|value| value != [0]);
            let value = take(&mut one, OCTET_STRING)?;
            let known = read.learn(identifier, value)?;
            read.unhandled |= critical && !known;
        }
        Some(read)
    }

    /// Parses an extension; false for an unknown one.
    fn learn(&mut self, identifier: &[u8], mut value: &'a [u8]) -> Option<bool> {
        // 2.5.29.x
        let [0x55, 0x1d, last] = identifier else { return Some(false) };
        match last {
            15 => {
                let bits = take(&mut value, crate::der::BIT_STRING)?.split_first()?.1;
                let any = bits.iter().any(|byte| *byte != 0);
                // keyCertSign is bit 5, counted from the most significant one. An empty key usage allows everything,
                // as in Go.
                self.may_not_sign = any && bits.first().is_none_or(|byte| byte & 0x04 == 0);
            }
            17 => {
                let (mut list, mut names) = (take(&mut value, SEQUENCE)?, Vec::new());
                while !list.is_empty() {
                    let (tag, name, _) = element(&mut list)?;
                    names.push(match tag {
                        DNS_NAME => Name::Dns(name),
                        IP_ADDRESS => Name::Ip(name),
                        _ => Name::Other,
                    });
                }
                let known = !names.is_empty();
                self.names = Some(names);
                return Some(known);
            }
            19 => {
                let mut basic = take(&mut value, SEQUENCE)?;
                // DER leaves out a BOOLEAN that has its default, false.
                let is_ca = take_if(&mut basic, BOOLEAN).is_some_and(|value| value != [0]);
                let length = take_if(&mut basic, INTEGER);
                let length = length.map(|n| n.iter().fold(0u64, |n, byte| n.saturating_mul(256) | u64::from(*byte)));
                self.basic = Some((is_ca, length));
            }
            30 => self.constraints = true,
            37 => {
                let (mut list, mut serves, mut any) = (take(&mut value, SEQUENCE)?, false, false);
                while !list.is_empty() {
                    let usage = take(&mut list, OBJECT_IDENTIFIER)?;
                    serves |= usage == SERVER_AUTH || usage == ANY_USAGE;
                    any = true;
                }
                // Without extended key usages every use is allowed.
                self.may_not_serve = any && !serves;
            }
            // Key identifiers, CRL distribution points, certificate policies and what constrains them.
            14 | 31..=33 | 35 | 36 | 54 => {}
            _ => return Some(false),
        }
        Some(true)
    }
}

/// `YYMMDDHHMMSSZ`, or with four digits of year.
fn time(input: &mut &[u8]) -> Option<i64> {
    let tag = *input.first()?;
    let digits = std::str::from_utf8(take(input, tag)?).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            // RFC 5280, section 4.1.2.5.1.
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
    fn what_is_no_certificate_is_none() {
        for bytes in [&[][..], &[0x30], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 2, 0x30, 0]] {
            assert!(Certificate::parse(bytes).is_none());
        }
    }
}
