//! The assertion of OAuth 2.0's grant jwt-bearer (RFC 7523): a JSON Web Token, signed with an RSA key, that says who asks.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use config::OAuth2;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};

/// How long an assertion holds, seconds.
const HOLDS: i64 = 600;

/// The assertion, or why there is none; never with a word of the key.
pub(crate) fn assertion(oauth2: &OAuth2, key: &str, now_s: i64) -> Result<String, &'static str> {
    let (algorithm, encoding): (&str, &'static dyn RsaEncoding) = match oauth2.signature_algorithm.as_str() {
        "RS384" => ("RS384", &RSA_PKCS1_SHA384),
        "RS512" => ("RS512", &RSA_PKCS1_SHA512),
        _ => ("RS256", &RSA_PKCS1_SHA256),
    };
    let key = rsa(key)?;
    let random = SystemRandom::new();
    let mut number = [0; 16];
    random.fill(&mut number).map_err(|_| "no random number for the assertion")?;
    let mut header = json!({"alg": algorithm, "typ": "JWT"});
    if !oauth2.client_certificate_key_id.is_empty() {
        header["kid"] = Value::from(oauth2.client_certificate_key_id.as_str());
    }
    let or = |text: &str, other: &str| Value::from(if text.is_empty() { other } else { text });
    let mut claims = Map::from_iter([
        ("iss".to_owned(), or(&oauth2.iss, &oauth2.client_id)),
        ("sub".to_owned(), Value::from(oauth2.client_id.as_str())),
        ("jti".to_owned(), Value::from(URL_SAFE_NO_PAD.encode(number))),
        ("aud".to_owned(), or(&oauth2.audience, &oauth2.token_url)),
        ("iat".to_owned(), Value::from(now_s)),
        ("exp".to_owned(), Value::from(now_s + HOLDS)),
    ]);
    if !oauth2.scopes.is_empty() {
        claims.insert("scope".to_owned(), Value::from(oauth2.scopes.join(" ")));
    }
    claims.extend(oauth2.claims.values.clone());
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let said = format!("{}.{}", encoded(&header), encoded(&Value::Object(claims)));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(encoding, &random, said.as_bytes(), &mut signature).map_err(|_| "the assertion cannot be signed")?;
    Ok(format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn rsa(pem: &str) -> Result<RsaKeyPair, &'static str> {
    const NONE: &str = "client_certificate_key holds no PEM private key of RSA (PKCS#1 or PKCS#8)";
    let pair = match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
        Ok(PrivateKeyDer::Pkcs1(key)) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        Ok(PrivateKeyDer::Pkcs8(key)) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        _ => return Err(NONE),
    };
    pair.map_err(|_| NONE)
}
