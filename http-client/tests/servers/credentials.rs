//! What requests carry, and what stays behind when a redirect leads elsewhere.

use std::fs;

use config::{Authorization, BasicAuth, HttpClientConfig, HttpHeader, Secret};

use crate::kit::{OK, Server, client, get};

#[tokio::test]
async fn tokens_are_read_at_every_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let server = Server::plain(OK);
    let authorization = Authorization { credentials_file: Some(path.clone()), ..Authorization::default() };
    let client = client(&HttpClientConfig { authorization: Some(authorization), ..HttpClientConfig::default() });
    let missing = get(&client, &server.url()).await.unwrap_err();
    assert!(missing.contains("credentials_file") && missing.contains("token"), "{missing}");
    for token in ["one", "two"] {
        fs::write(&path, format!("{token}\n")).unwrap();
        get(&client, &server.url()).await.unwrap();
        let seen = server.seen.recv().unwrap();
        assert_eq!(seen.header("authorization"), Some(format!("Bearer {token}").as_str()));
        assert_eq!(seen.header("user-agent"), Some("Weft/test"));
        assert_eq!(seen.header("accept-encoding"), None);
    }
}

#[tokio::test]
async fn basic_auth_and_headers_from_text_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let server = Server::plain(OK);
    let header =
        HttpHeader { values: vec!["a".into()], secrets: vec![Secret::new("b")], files: vec![file("header", " c \n")] };
    let text = BasicAuth { username: "u".into(), password: Some(Secret::new("p")), ..BasicAuth::default() };
    let files = BasicAuth {
        username_file: Some(file("user", "u\n")),
        password_file: Some(file("password", "p\n")),
        ..BasicAuth::default()
    };
    for basic in [text, files] {
        let config = HttpClientConfig {
            basic_auth: Some(basic),
            http_headers: [("X-Tenant".to_owned(), header.clone())].into(),
            ..HttpClientConfig::default()
        };
        get(&client(&config), &server.url()).await.unwrap();
        let seen = server.seen.recv().unwrap();
        assert_eq!(seen.header("authorization"), Some("Basic dTpw"));
        let tenants = seen.head.iter().filter_map(|line| line.strip_prefix("x-tenant: "));
        assert_eq!(tenants.collect::<Vec<_>>(), ["a", "b", "c"], "{seen:?}");
    }
}

fn moved(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

/// With everything that is secret, and a header that is not.
fn with_secrets() -> HttpClientConfig {
    let headers = [
        ("X-Key", HttpHeader { secrets: vec![Secret::new("s")], ..HttpHeader::default() }),
        ("Cookie", HttpHeader { values: vec!["c".into()], ..HttpHeader::default() }),
        ("X-Tenant", HttpHeader { values: vec!["t".into()], ..HttpHeader::default() }),
    ];
    HttpClientConfig {
        authorization: Some(Authorization { credentials: Some(Secret::new("t")), ..Authorization::default() }),
        http_headers: headers.map(|(name, header)| (name.to_owned(), header)).into(),
        ..HttpClientConfig::default()
    }
}

#[tokio::test]
async fn credentials_stay_with_their_host() {
    let end = Server::plain_at("127.0.0.2", OK);
    let start = Server::plain(moved(end.url().as_str()));
    let mut config = with_secrets();
    assert_eq!(get(&client(&config), &start.url()).await.unwrap(), "ok");
    let seen = start.seen.recv().unwrap();
    let secret =
        |seen: &crate::kit::Seen| ["authorization", "x-key", "cookie"].map(|name| seen.header(name).map(str::to_owned));
    assert_eq!(secret(&seen), ["Bearer t", "s", "c"].map(|value| Some(value.to_owned())));
    let seen = end.seen.recv().unwrap();
    assert_eq!((secret(&seen), seen.header("x-tenant")), ([None, None, None], Some("t")));
    config.follow_redirects = false;
    assert_eq!(get(&client(&config), &start.url()).await.unwrap(), "");
}

#[tokio::test]
async fn credentials_go_along_to_another_port_and_not_home_again_from_elsewhere() {
    let end = Server::plain(OK);
    let start = Server::plain(moved(end.url().as_str()));
    get(&client(&with_secrets()), &start.url()).await.unwrap();
    assert_eq!(end.seen.recv().unwrap().header("authorization"), Some("Bearer t"));
    let elsewhere = Server::plain_at("127.0.0.3", moved(end.url().as_str()));
    let start = Server::plain(moved(elsewhere.url().as_str()));
    get(&client(&with_secrets()), &start.url()).await.unwrap();
    assert_eq!(elsewhere.seen.recv().unwrap().header("authorization"), None);
    assert_eq!(end.seen.recv().unwrap().header("authorization"), None, "once away, they stay away");
}

#[tokio::test]
async fn redirects_end_somewhere_and_lead_to_something_that_can_be_asked() {
    let circle = Server::plain(moved("/metrics"));
    let client = client(&HttpClientConfig::default());
    assert_eq!(get(&client, &circle.url()).await.unwrap_err(), "stopped after 10 redirects");
    assert_eq!(circle.seen.try_iter().count(), 10, "as many as Go asks");
    let nowhere = Server::plain("HTTP/1.1 302 Found\r\nLocation: \r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    assert_eq!(get(&client, &nowhere.url()).await.unwrap(), "ok", "the answer itself is what is left");
    for (to, expected) in [
        ("ftp://example.org/", "unsupported protocol scheme \"ftp\" of a redirect to \"ftp://example.org/\""),
        ("http://[", "failed to parse Location header \"http://[\": invalid IPv6 address"),
    ] {
        assert_eq!(get(&client, &Server::plain(moved(to)).url()).await.unwrap_err(), expected);
    }
}
