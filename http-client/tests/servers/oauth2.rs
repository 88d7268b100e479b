//! Tokens: how they are asked for, how long they are kept, and what is said when there is none.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use config::{HttpClientConfig, OAuth2, Secret, TlsConfig};
use url::{Url, form_urlencoded};

use crate::kit::{Authority, OK, Seen, Server, client, get};

fn answer(status: &str, kind: &str, body: &str) -> String {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n");
    format!("{head}content-length: {}\r\n\r\n{body}", body.len())
}

fn json(body: &str) -> String {
    answer("200 OK", "application/json", body)
}

fn oauth2(server: &Server) -> OAuth2 {
    let mut url = server.url();
    url.set_path("/token");
    OAuth2 {
        client_id: "me:1".to_owned(),
        client_secret: Some(Secret::new("s&1")),
        scopes: vec!["read".to_owned(), "metrics".to_owned()],
        token_url: url.to_string(),
        endpoint_params: [("audience".to_owned(), "a b".to_owned())].into(),
        ..OAuth2::default()
    }
}

fn with(oauth2: OAuth2) -> HttpClientConfig {
    HttpClientConfig { oauth2: Some(Box::new(oauth2)), ..HttpClientConfig::default() }
}

fn form(seen: &Seen) -> HashMap<String, String> {
    form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect()
}

/// What the target was shown.
async fn shown(client: &http_client::HttpClient, target: &Server) -> Option<String> {
    assert_eq!(get(client, &target.url()).await.as_deref(), Ok("ok"));
    target.seen.recv().unwrap().header("authorization").map(str::to_owned)
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_kept() {
    let (server, target) = (Server::plain(json(r#"{"access_token":"one","token_type":"bearer"}"#)), Server::plain(OK));
    let client = client(&with(oauth2(&server)));
    for _ in 0..3 {
        assert_eq!(shown(&client, &target).await.as_deref(), Some("Bearer one"));
    }
    let seen = server.seen.recv().unwrap();
    assert!(server.seen.try_recv().is_err(), "once");
    assert_eq!(seen.head[0], "POST /token HTTP/1.1");
    // base64 of me%3A1:s%261
    assert_eq!(seen.header("authorization"), Some("Basic bWUlM0ExOnMlMjYx"));
    let expected = [("grant_type", "client_credentials"), ("scope", "read metrics"), ("audience", "a b")];
    assert_eq!(form(&seen), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

#[tokio::test]
async fn a_token_that_ends_soon_is_not_kept() {
    for (lasts, asked) in [("5", 2), ("\"11\"", 1), ("3600.5", 1), ("0", 1)] {
        let body = format!(r#"{{"access_token":"one","expires_in":{lasts}}}"#);
        let (server, target) = (Server::plain(json(&body)), Server::plain(OK));
        let client = client(&with(oauth2(&server)));
        for _ in 0..2 {
            assert_eq!(shown(&client, &target).await.as_deref(), Some("Bearer one"));
        }
        assert_eq!(server.seen.try_iter().count(), asked, "expires_in {lasts}");
    }
}

#[tokio::test]
async fn another_secret_or_a_refusal_brings_another_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let server = Server::answering(|seen| {
        let token = seen.header("authorization").unwrap_or_default().replace([' ', '='], "_");
        json(&format!(r#"{{"access_token":"{token}"}}"#))
    });
    let target = Server::answering(|seen| {
        if seen.head[0].contains("/refuses") {
            return answer("401 Unauthorized", "text/plain", "");
        }
        OK.to_owned()
    });
    let from_file = OAuth2 { client_secret: None, client_secret_file: Some(path.clone()), ..oauth2(&server) };
    let client = client(&with(from_file));
    let missing = get(&client, &target.url()).await.unwrap_err();
    assert!(missing.starts_with("cannot read client_secret_file "), "{missing}");
    let mut tokens = Vec::new();
    for secret in ["one\n", "two\n"] {
        fs::write(&path, secret).unwrap();
        tokens.push(shown(&client, &target).await);
    }
    assert_ne!(tokens[0], tokens[1]);
    assert_eq!(server.seen.try_iter().count(), 2);
    // Targets of one job share its token: one that refuses it must not make a request of every scrape.
    let refusing = target.url().join("/refuses").unwrap();
    for (minutes, asked) in [(0, 0), (4, 0), (1, 1), (4, 0), (1, 1)] {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(60 * minutes)).await;
        tokio::time::resume();
        for _ in 0..3 {
            assert_eq!(get(&client, &refusing).await.as_deref(), Ok(""));
            target.seen.recv().unwrap();
            shown(&client, &target).await;
        }
        assert_eq!(server.seen.try_iter().count(), asked, "{minutes} minutes later");
    }
}

#[tokio::test]
async fn a_server_may_want_the_credentials_in_the_body() {
    let server = Server::answering(|seen| match form(seen).get("client_secret").map(String::as_str) {
        Some("s&1") => answer("200 OK", "application/x-www-form-urlencoded", "access_token=one&token_type=mac"),
        _ => answer("401 Unauthorized", "application/json", r#"{"error":"invalid_client"}"#),
    });
    let target = Server::plain(OK);
    let client = client(&with(oauth2(&server)));
    assert_eq!(shown(&client, &target).await.as_deref(), Some("MAC one"));
    let asked: Vec<Seen> = server.seen.try_iter().collect();
    assert_eq!((asked.len(), asked[1].header("authorization")), (2, None));
    assert_eq!(form(&asked[1])["client_id"], "me:1");
}

#[tokio::test]
async fn the_server_has_tls_settings_of_its_own() {
    let authority = Authority::new();
    let server = Server::tls_answering(&authority, json(r#"{"access_token":"one"}"#));
    let target = Server::plain(OK);
    let tls = Some(TlsConfig { ca: Some(authority.pem()), ..TlsConfig::default() });
    let trusting = client(&with(OAuth2 { tls, ..oauth2(&server) }));
    assert_eq!(shown(&trusting, &target).await.as_deref(), Some("Bearer one"));
    let error = get(&client(&with(oauth2(&server))), &target.url()).await.unwrap_err();
    assert!(error.starts_with("oauth2: cannot fetch token from https://127.0.0.1:"), "{error}");
    assert!(error.contains("certificate signed by unknown authority"), "{error}");
}

#[tokio::test]
async fn a_token_that_is_not_given_out_is_an_error_without_secrets() {
    let target = Server::plain(OK);
    let refusal = r#"{"error":"invalid_client","error_description":"who is that?"}"#;
    for (answered, expected) in [
        (answer("401 Unauthorized", "application/json", refusal), "401 Unauthorized: invalid_client: who is that?"),
        (answer("500 Internal Server Error", "text/html", "<html>"), "500 Internal Server Error"),
        (json(r#"{"token":"x"}"#), "its answer holds no access_token"),
    ] {
        let server = Server::plain(answered);
        let mut config = oauth2(&server);
        let mut url = Url::parse(&config.token_url).unwrap();
        url.set_username("u").unwrap();
        url.set_password(Some("hunter2")).unwrap();
        config.token_url = url.to_string();
        let error = get(&client(&with(config)), &target.url()).await.unwrap_err();
        assert!(error.starts_with("oauth2: cannot fetch token from http://u@127.0.0.1:"), "{error}");
        assert!(error.ends_with(expected) && !error.contains("s&1"), "{error}");
    }
    assert!(target.seen.try_recv().is_err(), "the target is not asked without a token");
}

#[tokio::test]
async fn a_key_may_ask_in_place_of_a_secret() {
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA512, RsaKeyPair, UnparsedPublicKey};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use rustls_pki_types::PrivatePkcs1KeyDer;
    use rustls_pki_types::pem::PemObject as _;

    const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let pem = include_str!("../data/rsa-pkcs1.pem");
    let (server, target) = (Server::plain(json(r#"{"access_token":"one"}"#)), Server::plain(OK));
    let text = format!(
        "scrape_configs: [{{job_name: a, oauth2: {{client_id: me, grant_type: '{GRANT}', scopes: [a, b], token_url: '{}', \
         client_certificate_key: {pem:?}, client_certificate_key_id: k1, signature_algorithm: RS512, claims: {{sub: other, \
         n: 1}}}}}}]",
        server.url()
    );
    let config = config::Config::parse(&text, std::path::Path::new("prometheus.yml"), &|_| None).unwrap();
    let oauth2 = config.scrape_configs[0].http.oauth2.clone().unwrap();
    let asking = client(&with((*oauth2).clone()));
    for _ in 0..2 {
        assert_eq!(shown(&asking, &target).await.as_deref(), Some("Bearer one"));
    }
    let seen = server.seen.recv().unwrap();
    assert!(server.seen.try_recv().is_err() && seen.header("authorization").is_none());
    let form = form(&seen);
    assert_eq!((form["grant_type"].as_str(), form["scope"].as_str()), (GRANT, "a b"));
    let (said, signature) = form["assertion"].rsplit_once('.').unwrap();
    let key = RsaKeyPair::from_der(PrivatePkcs1KeyDer::from_pem_slice(pem.as_bytes()).unwrap().secret_pkcs1_der());
    let key = key.unwrap().public_key().as_ref().to_vec();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA512, key).verify(said.as_bytes(), &signature).unwrap();
    let mut parts = said
        .split('.')
        .map(|part| serde_json::from_slice::<serde_json::Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap());
    assert_eq!(parts.next().unwrap(), serde_json::json!({"alg": "RS512", "typ": "JWT", "kid": "k1"}));
    let claims = parts.next().unwrap();
    for (name, expected) in [("iss", "me"), ("sub", "other"), ("aud", server.url().as_str()), ("scope", "a b")] {
        assert_eq!(claims[name], expected, "{name}");
    }
    assert_eq!((claims["n"].as_i64(), claims["exp"].as_i64()), (Some(1), claims["iat"].as_i64().map(|iat| iat + 600)));
    let mut broken = *oauth2;
    broken.client_certificate_key = Some(Secret::new("hunter2"));
    let error = get(&client(&with(broken)), &target.url()).await.unwrap_err();
    assert!(error.ends_with("client_certificate_key holds no PEM private key of RSA (PKCS#1 or PKCS#8)"), "{error}");
}
