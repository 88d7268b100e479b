//! The JWT bearer assertion of OAuth 2.0 (RFC 7523): a JSON Web Token, signed with an RSA key, that names the client.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use config::OAuth2;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Map, Value};

/// How long an assertion is valid, in seconds.
const VALID: i64 = 600;

/// The assertion, signed with a key in PEM; or why there is none, without a word of the key.
pub(crate) fn assertion(oauth2: &OAuth2, key: &str, now_s: i64) -> Result<String, &'static str> {
    let algorithm = match oauth2.signature_algorithm.as_str() {
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        _ => Algorithm::RS256,
    };
    let key = EncodingKey::from_rsa_pem(section(key).as_bytes())
        .map_err(|_| "client_certificate_key holds no PEM private key of RSA (PKCS#1 or PKCS#8)")?;
    let key_id = Some(&oauth2.client_certificate_key_id).filter(|id| !id.is_empty());
    let header = Header { kid: key_id.cloned(), ..Header::new(algorithm) };
    encode(&header, &claims(oauth2, now_s)?, &key)
        .map_err(|_| "client_certificate_key cannot sign the assertion: it must be an RSA key of 2048 to 8192 bits")
}

/// The text from the first private key on: files often hold certificates before it, and the parser reads the first section.
fn section(pem: &str) -> &str {
    let starts = ["-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----"].map(|begin| pem.find(begin));
    starts.into_iter().flatten().min().map_or(pem, |start| &pem[start..])
}

fn claims(oauth2: &OAuth2, now_s: i64) -> Result<Map<String, Value>, &'static str> {
    // The token server may refuse an assertion that it has seen, so each has an id.
    let mut id = [0; 16];
    SystemRandom::new().fill(&mut id).map_err(|_| "the system gives no random number for the assertion")?;
    let or = |text: &str, other: &str| Value::from(if text.is_empty() { other } else { text });
    let mut claims = Map::from_iter([
        ("iss".to_owned(), or(&oauth2.iss, &oauth2.client_id)),
        ("sub".to_owned(), Value::from(oauth2.client_id.as_str())),
        ("jti".to_owned(), Value::from(URL_SAFE_NO_PAD.encode(id))),
        ("aud".to_owned(), or(&oauth2.audience, &oauth2.token_url)),
        ("iat".to_owned(), Value::from(now_s)),
        ("exp".to_owned(), Value::from(now_s + VALID)),
    ]);
    if !oauth2.scopes.is_empty() {
        claims.insert("scope".to_owned(), Value::from(oauth2.scopes.join(" ")));
    }
    // Last: configured claims override those above.
    claims.extend(oauth2.claims.values.clone());
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::RsaKeyPair;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn pem(kind: &str, der: &[u8]) -> String {
        format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
    }

    #[test]
    fn a_key_may_be_of_either_form_and_among_other_sections() {
        let pkcs1 = include_str!("../tests/data/rsa-pkcs1.pem");
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let pkcs8 = pem("PRIVATE KEY", der.as_ref());
        let certificate = pem("CERTIFICATE", b"any");
        let oauth2 = OAuth2 { client_id: "me".to_owned(), ..OAuth2::default() };
        for key in [pkcs1, &pkcs8, &format!("Bag Attributes\n{certificate}{pkcs8}"), &format!("{pkcs8}{certificate}")] {
            assert_eq!(assertion(&oauth2, key, 0).unwrap().split('.').count(), 3, "{key}");
        }
        for (key, expected) in [
            (certificate.as_str(), "holds no PEM private key of RSA"),
            ("", "holds no PEM private key of RSA"),
            (&pem("RSA PRIVATE KEY", &[0x30, 0x03, 0x02, 0x01, 0x00]), "cannot sign the assertion"),
        ] {
            let error = assertion(&oauth2, key, 0).unwrap_err();
            assert!(error.contains(expected), "{key}: {error}");
        }
    }
}
