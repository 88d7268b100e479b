//! Verifies signatures of RSA keys of 1024 to 2047 bits, which the provider refuses and appliances still use (RFC 8017). Only public
//! keys are used here, so nothing has to run in constant time.

use aws_lc_rs::digest::{self, Algorithm, SHA256, SHA384, SHA512};

use crate::der::{INTEGER, SEQUENCE, take};

/// The lengths of keys that are accepted; shorter ones are refused, as in Go.
const BITS: std::ops::Range<usize> = 1024..2048;
/// The longest exponent.
const EXPONENT_BITS_MAX: u32 = 31;

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Padding {
    Pkcs1,
    /// PSS with a salt as long as the hash.
    Pss,
}

/// With which hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
            Self::Sha512 => &SHA512,
        }
    }

    /// The bytes before the hash in a `DigestInfo`.
    fn prefix(self) -> [u8; 19] {
        let (number, length) = match self {
            Self::Sha256 => (1, 32),
            Self::Sha384 => (2, 48),
            Self::Sha512 => (3, 64),
        };
        [0x30, 17 + length, 0x30, 13, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, number, 5, 0, 4, length]
    }

    fn of(self, parts: &[&[u8]]) -> Vec<u8> {
        let mut context = digest::Context::new(self.algorithm());
        parts.iter().for_each(|part| context.update(part));
        context.finish().as_ref().to_vec()
    }
}

/// A number, the least significant limb first; as many limbs as the modulus has.
type Number = Vec<u64>;

/// A public key of one of these lengths.
#[derive(Debug)]
pub(crate) struct ShortKey {
    modulus: Number,
    bits: usize,
    exponent: u32,
}

impl ShortKey {
    /// Out of a `RSAPublicKey`; `None` for a key of another length or kind.
    pub(crate) fn parse(mut bits: &[u8]) -> Option<Self> {
        let mut key = take(&mut bits, SEQUENCE)?;
        // A positive INTEGER whose top bit is set has a zero byte in front.
        let stripped = |number: &mut &[u8]| {
            let number = take(number, INTEGER)?;
            number.get(number.iter().position(|byte| *byte != 0)?..).map(<[u8]>::to_vec)
        };
        let (modulus, exponent) = (stripped(&mut key)?, stripped(&mut key)?);
        let length = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
        // An even modulus is no product of two odd primes.
        if !BITS.contains(&length) || exponent.len() > 4 || modulus.last()? % 2 == 0 {
            return None;
        }
        let exponent = exponent.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
        let sound = exponent % 2 == 1 && exponent > 1 && exponent < 1 << EXPONENT_BITS_MAX;
        sound.then(|| Self { modulus: number(&modulus, limbs(length)), bits: length, exponent })
    }

    /// Is this the signature of the message?
    pub(crate) fn verify(&self, padding: Padding, hash: Hash, message: &[u8], signature: &[u8]) -> bool {
        let length = self.bits.div_ceil(8);
        if signature.len() != length {
            return false;
        }
        let signed = number(signature, self.modulus.len());
        // RFC 8017, section 5.2.2: the representative must be below the modulus.
        if !less(&signed, &self.modulus) {
            return false;
        }
        let encoded = bytes(&self.power(&signed), length);
        let digest = hash.of(&[message]);
        match padding {
            Padding::Pkcs1 => is_pkcs1(&encoded, hash, &digest),
            Padding::Pss => is_pss(&encoded, self.bits - 1, hash, &digest).unwrap_or(false),
        }
    }

    /// To the power of the exponent.
    fn power(&self, base: &Number) -> Number {
        let mut result = base.clone();
        // Square and multiply; the top bit of the exponent is the initial `base`.
        for bit in (0..self.exponent.ilog2()).rev() {
            result = self.product(&result, &result);
            if self.exponent >> bit & 1 == 1 {
                result = self.product(&result, base);
            }
        }
        result
    }

    fn product(&self, a: &Number, b: &Number) -> Number {
        let mut result = vec![0; self.modulus.len()];
        for limb in a.iter().rev() {
            // Double and add: slow but short. A handshake verifies a few such signatures at most.
            for bit in (0..64).rev() {
                let carry = double(&mut result);
                self.reduce(&mut result, carry);
                if limb >> bit & 1 == 1 {
                    let carry = add(&mut result, b);
                    self.reduce(&mut result, carry);
                }
            }
        }
        result
    }

    /// Of a number below twice the modulus, the remainder.
    fn reduce(&self, number: &mut Number, carry: bool) {
        // One subtraction is enough, since both callers hand in less than twice the modulus.
        if carry || !less(number, &self.modulus) {
            let mut borrow = false;
            for (limb, other) in number.iter_mut().zip(&self.modulus) {
                let (difference, first) = limb.overflowing_sub(*other);
                let (difference, second) = difference.overflowing_sub(u64::from(borrow));
                (*limb, borrow) = (difference, first || second);
            }
        }
    }
}

fn limbs(bits: usize) -> usize {
    bits.div_ceil(64)
}

fn number(bytes: &[u8], limbs: usize) -> Number {
    let mut number = vec![0; limbs];
    for (limb, chunk) in number.iter_mut().zip(bytes.rchunks(8)) {
        *limb = chunk.iter().fold(0, |limb, byte| limb << 8 | u64::from(*byte));
    }
    number
}

fn bytes(number: &Number, length: usize) -> Vec<u8> {
    let all: Vec<u8> = number.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect();
    all.get(all.len() - length..).unwrap_or_default().to_vec()
}

fn less(a: &Number, b: &Number) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

fn double(number: &mut Number) -> bool {
    let mut carry = 0;
    for limb in number {
        let top = *limb >> 63;
        *limb = *limb << 1 | carry;
        carry = top;
    }
    carry == 1
}

fn add(number: &mut Number, other: &Number) -> bool {
    let mut carry = false;
    for (limb, other) in number.iter_mut().zip(other) {
        let (sum, first) = limb.overflowing_add(*other);
        let (sum, second) = sum.overflowing_add(u64::from(carry));
        (*limb, carry) = (sum, first || second);
    }
    carry
}

/// EMSA-PKCS1-v1_5: the encoding is made and compared as a whole.
fn is_pkcs1(encoded: &[u8], hash: Hash, digest: &[u8]) -> bool {
    let prefix = hash.prefix();
    let Some(fill) = encoded.len().checked_sub(prefix.len() + digest.len() + 3).filter(|fill| *fill >= 8) else {
        return false;
    };
    let expected = [&[0, 1][..], &vec![0xff; fill], &[0], &prefix, digest].concat();
    encoded == expected
}

/// EMSA-PSS-VERIFY.
fn is_pss(encoded: &[u8], bits: usize, hash: Hash, digest: &[u8]) -> Option<bool> {
    let length = digest.len();
    // Where the modulus begins with a byte that the encoding does not need.
    let skipped = encoded.len() - bits.div_ceil(8);
    let encoded = encoded.get(skipped..).filter(|_| encoded.iter().take(skipped).all(|byte| *byte == 0))?;
    let (masked, rest) = encoded.split_at_checked(encoded.len().checked_sub(length + 1)?)?;
    let (seed, trailer) = rest.split_at_checked(length)?;
    // The encoding has one bit less than the modulus, so that its number is below it.
    let unused = encoded.len() * 8 - bits;
    let top = u8::MAX.checked_shr(u32::try_from(unused).ok()?)?;
    if trailer != [0xbc] || masked.first()? & !top != 0 {
        return Some(false);
    }
    // MGF1 with the same hash.
    let mask = (0u32..).flat_map(|counter| hash.of(&[seed, &counter.to_be_bytes()]));
    let mut block: Vec<u8> = masked.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
    *block.first_mut()? &= top;
    let (fill, salt) = block.split_at_checked(block.len().checked_sub(length)?)?;
    let (last, zeros) = fill.split_last()?;
    if *last != 1 || zeros.iter().any(|byte| *byte != 0) {
        return Some(false);
    }
    Some(hash.of(&[&[0; 8], digest, salt]) == seed)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// Made with Go: a key, and the signatures of `weft` with PKCS#1 and SHA-256, and PSS and SHA-384. The length of the second is
    /// no multiple of eight.
    const MADE: [[&str; 3]; 2] = [
        [
            "MIGJAoGBAJnTwAEw02/ZryDEZNFVqEaRsK3BbEflr1SN1CF45DV7ncnYCKd7zGgcgcxbcQsHTSap/1DvVEbs1N7eI9jvxG32gsmW5txxJTmioSpUYBC0ShHo2oEN8rrlSWLWJql/4kvlrAOC2ccX2KX4DUBiYQobMunGXzhkw2OUL5EaznY5AgMBAAE=",
            "beDUvK85wK+l1ksYlU5gK/4UtZAA2uQ0k9BgiqG8iYxel/Y7HN9bX1zhsoDMIJW2MNRgpGoziA/+F88qC6LBYZQU5OFGg3NwPBrROha1UfX7F4oWsmWyPAZrvr15r6W6QIuKdMKqICEgGBi0iDqfijw3CRhfpgZUj2xjk2gQ1WU=",
            "KELvWlpfZyjs046A0vzAWxM65k3UfNRHKFDVyqlYBQfBbWkjRdYHOa0rV1orepvNbLcyP5z7XBTwjHF+4436dZJR8px86iTkUYwaPk4JQSbf/NGOSm2EgzVai7JLuPhwIbaTCRLU1mHklEALy9MWeWQEO0hSfcXRsHdlHbu48WY=",
        ],
        [
            "MIGJAoGBefSxpDSK+4Kly2I8KCJqaTpyKOIjFdRXruEmgSuZ1yO0koZKWcxUCQqxGXXwH1s1W8J078X/obUWSVuPnp+VP6KSIX7HbNbe0w3kjXDxdZwyT6FOCydJPKieSdy4mD2AuMPq034tipbhdpflSj1B7ImdyqFaKTn8YTYe/+T43Uo7AgMBAAE=",
            "Oz/bf1phgllAE68zIEccRdc2/qPGJpUK9OUtBnephVXNeDHoM9U5zxi5F5TQjtBSpUtLifXdrf6JMFcXP2MANr/5+xVzGkQZBkUBVnklYvaVPo16rGXPTiEyKvq4WpRxIGfZpRs+jM7CjVGfvmrGhCrWzt4OleRC0SUc//bRsNX2",
            "IKit0UIqb+Qu4xDHwePHDj2p539hzyB5OWloE7EjgAuBrIL8ktr5x1i76l2Hzn7g5WKH7g0F7NZqxU7mPAvWrA5gpRk+/nl4XYiIOW3VoxCua2uNyX8SXOkaReuPBYtPBbdE6hNdDincFPiLaaHheGJtXTKius0ArQSYwbHW2pYm",
        ],
    ];

    #[test]
    fn a_signature_is_of_one_message_one_key_and_one_way_to_sign() {
        let keys = MADE.map(|made| ShortKey::parse(&STANDARD.decode(made[0]).unwrap()).unwrap());
        let ways = [(Padding::Pkcs1, Hash::Sha256), (Padding::Pss, Hash::Sha384)];
        for (of, made) in MADE.iter().enumerate() {
            for (number, text) in made[1..].iter().enumerate() {
                let signature = STANDARD.decode(text).unwrap();
                for (at, key) in keys.iter().enumerate() {
                    for (way, (padding, hash)) in ways.into_iter().enumerate() {
                        let right = key.verify(padding, hash, b"weft", &signature);
                        assert_eq!(right, (of, number) == (at, way), "{of} {number} {at} {way}");
                    }
                }
                let (padding, hash) = ways[number];
                assert!(!keys[of].verify(padding, hash, b"Weft", &signature));
                assert!(!keys[of].verify(padding, Hash::Sha512, b"weft", &signature));
                for at in (0..signature.len()).step_by(32) {
                    let mut wrong = signature.clone();
                    wrong[at] ^= 1;
                    assert!(!keys[of].verify(padding, hash, b"weft", &wrong), "{at}");
                }
                assert!(!keys[of].verify(padding, hash, b"weft", &signature[1..]));
            }
        }
    }

    #[test]
    fn keys_of_other_lengths_and_odd_ones_are_not_handled() {
        let key = |modulus: &[u8], exponent: &[u8]| {
            let integer =
                |bytes: &[u8]| [&[INTEGER, 0x82, (bytes.len() >> 8) as u8, bytes.len() as u8], bytes].concat();
            let both = [integer(modulus), integer(exponent)].concat();
            let whole = [&[SEQUENCE, 0x82, (both.len() >> 8) as u8, both.len() as u8][..], &both].concat();
            ShortKey::parse(&whole).is_some()
        };
        let odd = |bytes: usize| [vec![0xff; bytes]].concat();
        assert!(key(&odd(128), &[3]) && key(&odd(255), &[1, 0, 1]));
        assert!(!key(&odd(127), &[3]) && !key(&odd(256), &[3]), "too short, and not short");
        assert!(
            !key(&odd(128), &[1]) && !key(&odd(128), &[2]) && !key(&odd(128), &[]) && !key(&odd(128), &[1, 0, 0, 0, 1])
        );
        assert!(!key(&[odd(127), vec![0xfe]].concat(), &[3]), "an even modulus");
        assert!(ShortKey::parse(&[]).is_none());
    }
}
