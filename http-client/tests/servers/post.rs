//! What becomes of a whole request where the server redirects.

use bytes::Bytes;
use config::{Authorization, HttpClientConfig, Secret};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};

use crate::kit::{OK, Server, client};

fn moved(status: &str, to: &str) -> String {
    format!("HTTP/1.1 {status}\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

/// The status of the answer to a POST with a token.
async fn post(server: &Server, follow_redirects: bool) -> u16 {
    let authorization = Authorization { credentials: Some(Secret::new("t")), ..Authorization::default() };
    let config =
        HttpClientConfig { authorization: Some(authorization), follow_redirects, ..HttpClientConfig::default() };
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let answer = client(&config).post(&server.url(), &headers, Bytes::from_static(b"[1]")).await.unwrap();
    answer.status().as_u16()
}

#[tokio::test]
async fn a_body_follows_the_redirects_that_keep_it() {
    let server = Server::answering(|seen| {
        if seen.head[0].contains("/moved") { OK.to_owned() } else { moved("307 Temporary Redirect", "/moved") }
    });
    assert_eq!(post(&server, true).await, 200);
    for _ in 0..2 {
        let seen = server.seen.recv().unwrap();
        assert!(seen.head[0].to_lowercase().starts_with("post /"), "{seen:?}");
        assert_eq!((seen.body.as_str(), seen.header("authorization")), ("[1]", Some("Bearer t")));
        assert_eq!(seen.header("content-type"), Some("application/json"));
    }
    assert_eq!(post(&server, false).await, 307);
}

#[tokio::test]
async fn a_get_follows_every_redirect() {
    let elsewhere = Server::plain_at("127.0.0.2", OK);
    let to = elsewhere.url();
    let server = Server::answering(move |seen| {
        if seen.head[0].contains("/moved") {
            moved("301 Moved Permanently", to.as_str())
        } else {
            moved("302 Found", "/moved")
        }
    });
    let fetch = async |follow_redirects| {
        let authorization = Authorization { credentials: Some(Secret::new("t")), ..Authorization::default() };
        let config =
            HttpClientConfig { authorization: Some(authorization), follow_redirects, ..HttpClientConfig::default() };
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/plain"))]);
        client(&config).fetch(&server.url(), &headers).await.unwrap().status().as_u16()
    };
    assert_eq!(fetch(true).await, 200);
    for _ in 0..2 {
        assert_eq!(server.seen.recv().unwrap().header("authorization"), Some("Bearer t"));
    }
    let seen = elsewhere.seen.recv().unwrap();
    assert!(seen.head[0].to_lowercase().starts_with("get /"), "{seen:?}");
    assert_eq!((seen.header("authorization"), seen.header("content-type")), (None, Some("text/plain")));
    assert_eq!(fetch(false).await, 302);
}

#[tokio::test]
async fn a_redirect_without_the_body_is_the_answer() {
    let server = Server::plain(moved("302 Found", "/login"));
    assert_eq!(post(&server, true).await, 302);
}

#[tokio::test]
async fn another_host_gets_the_body_without_credentials() {
    let elsewhere = Server::plain_at("127.0.0.2", OK);
    let server = Server::plain(moved("308 Permanent Redirect", elsewhere.url().as_str()));
    assert_eq!(post(&server, true).await, 200);
    let seen = elsewhere.seen.recv().unwrap();
    assert_eq!((seen.body.as_str(), seen.header("authorization")), ("[1]", None));
}
