//! Verifies signatures of certificates and handshakes. Keys are taken from the certificate by our own parser, so that certificates
//! work that webpki does not parse: of version 1, or with unknown extensions.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved, SignatureScheme};

use crate::certificate::{Certificate, PublicKey};
use crate::der::{OBJECT_IDENTIFIER, take};
use crate::rsa::{Hash, Padding, ShortKey};

/// 1.2.840.113549.1.1, the identifiers of RSA.
const PKCS1: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1];
const RSA_ENCRYPTION: u8 = 1;
const SHA1_WITH_RSA: u8 = 5;
const RSA_PSS: u8 = 10;
const SHA256_WITH_RSA: u8 = 11;
const SHA384_WITH_RSA: u8 = 12;
const SHA512_WITH_RSA: u8 = 13;
/// 1.2.840.10045.4.1
const ECDSA_WITH_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1];

/// The object identifier of an algorithm.
fn identifier(mut algorithm: &[u8]) -> &[u8] {
    take(&mut algorithm, OBJECT_IDENTIFIER).unwrap_or_default()
}

/// The last number of an identifier of RSA.
fn of_rsa(algorithm: &[u8]) -> Option<u8> {
    match identifier(algorithm).strip_prefix(&PKCS1) {
        Some([last]) => Some(*last),
        _ => None,
    }
}

/// The hash of an identifier of PSS, if it is a usual one: with a salt as long as the hash.
fn hash_of_pss(algorithm: &[u8], algorithms: WebPkiSupportedAlgorithms) -> Option<Hash> {
    if !algorithms.all.iter().any(|known| known.signature_alg_id().as_ref() == algorithm) {
        return None;
    }
    // 2.16.840.1.101.3.4.2.x
    let at = memchr::memmem::find(algorithm, &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2])?;
    match algorithm.get(at + 8)? {
        1 => Some(Hash::Sha256),
        2 => Some(Hash::Sha384),
        3 => Some(Hash::Sha512),
        _ => None,
    }
}

fn short_key(key: &PublicKey<'_>) -> Option<ShortKey> {
    if of_rsa(key.algorithm) == Some(RSA_ENCRYPTION) { ShortKey::parse(key.bits) } else { None }
}

/// Checks that the owner of the key signed the certificate; or why not.
pub(crate) fn of_certificate(
    certificate: &Certificate<'_>,
    key: &PublicKey<'_>,
    algorithms: WebPkiSupportedAlgorithms,
) -> Result<(), &'static str> {
    let Certificate { signed, signature, algorithm, .. } = certificate;
    let rsa = of_rsa(algorithm);
    // Go refuses SHA-1 and MD5 with an error of its own.
    if rsa.is_some_and(|last| last <= SHA1_WITH_RSA) || identifier(algorithm) == ECDSA_WITH_SHA1 {
        return Err("cannot verify signature: insecure algorithm SHA1 or older");
    }
    if let Some(short) = short_key(key) {
        let (padding, hash) = match rsa {
            Some(SHA256_WITH_RSA) => (Padding::Pkcs1, Hash::Sha256),
            Some(SHA384_WITH_RSA) => (Padding::Pkcs1, Hash::Sha384),
            Some(SHA512_WITH_RSA) => (Padding::Pkcs1, Hash::Sha512),
            Some(RSA_PSS) if let Some(hash) = hash_of_pss(algorithm, algorithms) => (Padding::Pss, hash),
            _ => return Err("cannot verify signature: algorithm unimplemented for an RSA key of less than 2048 bits"),
        };
        let right = short.verify(padding, hash, signed, signature);
        return if right { Ok(()) } else { Err("crypto/rsa: verification error") };
    }
    // Only PSS has parameters that matter.
    let same = |known: &[u8]| match rsa {
        Some(RSA_PSS) => known == *algorithm,
        _ => identifier(known) == identifier(algorithm),
    };
    let fitting = algorithms
        .all
        .iter()
        .filter(|known| known.public_key_alg_id().as_ref() == key.algorithm && same(known.signature_alg_id().as_ref()));
    // webpki lists several algorithms of one identifier, such as RSA with and without the NULL parameter.
    let mut tried = false;
    for known in fitting {
        tried = true;
        if known.verify_signature(key.bits, signed, signature).is_ok() {
            return Ok(());
        }
    }
    Err(if tried { "the signature is wrong" } else { "cannot verify signature: algorithm unimplemented" })
}

/// Verifies the signature of a handshake. With `insecure_skip_verify` the key may be of a kind that cannot be verified: the
/// signature only proves possession of the key, and it does not matter whose it is.
pub(crate) fn of_handshake(
    message: &[u8],
    certificate: &[u8],
    signed: &DigitallySignedStruct,
    (algorithms, believe_all): (WebPkiSupportedAlgorithms, bool),
) -> Result<HandshakeSignatureValid, Error> {
    let wrong = || Error::from(CertificateError::BadSignature);
    let unknown = || if believe_all { Ok(HandshakeSignatureValid::assertion()) } else { Err(wrong()) };
    let Some(certificate) = Certificate::parse(certificate) else { return unknown() };
    let key = certificate.key;
    let right = if let Some(short) = short_key(&key) {
        let (padding, hash) = match signed.scheme {
            SignatureScheme::RSA_PKCS1_SHA256 => (Padding::Pkcs1, Hash::Sha256),
            SignatureScheme::RSA_PKCS1_SHA384 => (Padding::Pkcs1, Hash::Sha384),
            SignatureScheme::RSA_PKCS1_SHA512 => (Padding::Pkcs1, Hash::Sha512),
            SignatureScheme::RSA_PSS_SHA256 => (Padding::Pss, Hash::Sha256),
            SignatureScheme::RSA_PSS_SHA384 => (Padding::Pss, Hash::Sha384),
            SignatureScheme::RSA_PSS_SHA512 => (Padding::Pss, Hash::Sha512),
            _ => return Err(wrong()),
        };
        short.verify(padding, hash, message, signed.signature())
    } else {
        let of_scheme = algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
        let mut known = of_scheme.map_or(&[][..], |(_, known)| known).iter();
        match known.find(|known| known.public_key_alg_id().as_ref() == key.algorithm) {
            Some(known) => known.verify_signature(key.bits, message, signed.signature()).is_ok(),
            // Not necessarily a wrong signature: the key is of a kind that is not known here.
            None => return unknown(),
        }
    };
    if right { Ok(HandshakeSignatureValid::assertion()) } else { Err(wrong()) }
}

/// TLS 1.3 has no signatures of RSA without PSS.
pub(crate) fn is_of_tls13(scheme: SignatureScheme) -> Result<(), Error> {
    use SignatureScheme as S;
    match scheme {
        S::RSA_PKCS1_SHA1 | S::RSA_PKCS1_SHA256 | S::RSA_PKCS1_SHA384 | S::RSA_PKCS1_SHA512 | S::ECDSA_SHA1_Legacy => {
            Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
        }
        _ => Ok(()),
    }
}
