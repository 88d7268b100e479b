//! The client against real servers on the loopback interface, with certificates made for the occasion.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use config::{Authorization, BasicAuth, HttpClientConfig, HttpHeader, Secret, TlsConfig};
use http::Method;
use http_client::{Error, HttpClient};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use url::Url;

/// An authority and what it issues.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names, and its key.
    fn issue(&self, names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        (CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap(), key)
    }
}

/// What a server saw of a request: the name of the handshake, and the head's lines in lower case.
#[derive(Debug)]
struct Seen {
    sni: Option<String>,
    head: Vec<String>,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.iter().find(|line| line.to_lowercase().starts_with(&prefix)).map(|line| &line[prefix.len()..])
    }
}

/// Answers one request on each connection and closes it; ends when its listener's address gets an empty connection.
struct Server {
    addr: SocketAddr,
    seen: mpsc::Receiver<Seen>,
    thread: Option<JoinHandle<()>>,
    scheme: &'static str,
}

impl Server {
    fn plain(answer: impl Into<String>) -> Self {
        Self::start(None, answer.into())
    }

    fn tls(authority: &Authority, names: &[&str], clients: Option<&Authority>) -> Self {
        let (certificate, key) = authority.issue(names);
        Self::with(&certificate, &key, clients)
    }

    fn with(certificate: &rcgen::Certificate, key: &KeyPair, clients: Option<&Authority>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.0.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = builder.with_single_cert(chain, key).unwrap();
        Self::start(
            Some(Arc::new(config)),
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".into(),
        )
    }

    fn start(tls: Option<Arc<ServerConfig>>, answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, seen) = mpsc::channel();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut first = [0];
                if stream.peek(&mut first).unwrap_or(0) == 0 {
                    return;
                }
                match &tls {
                    None => drop(serve(stream, &answer).map(|head| sender.send(Seen { sni: None, head }))),
                    Some(tls) => {
                        let connection = ServerConnection::new(Arc::clone(tls)).unwrap();
                        let mut stream = StreamOwned::new(connection, stream);
                        let head = serve(&mut stream, &answer);
                        let sni = stream.conn.server_name().map(str::to_owned);
                        stream.conn.send_close_notify();
                        let _ = stream.flush();
                        drop(head.map(|head| sender.send(Seen { sni, head })));
                    }
                }
            }
        });
        Self { addr, seen, thread: Some(thread), scheme }
    }

    fn url(&self) -> Url {
        Url::parse(&format!("{}://{}/metrics", self.scheme, self.addr)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(TcpStream::connect(self.addr));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: impl Read + Write, answer: &str) -> std::io::Result<Vec<String>> {
    let mut head = Vec::new();
    let mut reader = BufReader::new(&mut stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    stream.write_all(answer.as_bytes())?;
    stream.flush()?;
    Ok(head)
}

fn config(tls: TlsConfig) -> HttpClientConfig {
    HttpClientConfig { tls: Some(tls), ..HttpClientConfig::default() }
}

fn client(config: &HttpClientConfig) -> HttpClient {
    let _ = rustls::crypto::ring::default_provider().install_default();
    HttpClient::new(config, "Weft/test").unwrap()
}

/// The body, or the error with its causes.
async fn get(client: &HttpClient, url: &Url) -> Result<String, String> {
    let chain = |error: &dyn std::error::Error| {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text.push_str(&format!(": {error}"));
            source = error.source();
        }
        text
    };
    let request = client.request(Method::GET, url).map_err(|error| chain(&error))?;
    let response = request.send().await.map_err(|error| chain(&error))?;
    response.text().await.map_err(|error| chain(&error))
}

#[tokio::test]
async fn the_authority_decides() {
    let (ours, other) = (Authority::new(), Authority::new());
    let server = Server::tls(&ours, &["127.0.0.1"], None);
    let tls = |ca: String| config(TlsConfig { ca: Some(ca), ..TlsConfig::default() });
    assert_eq!(get(&client(&tls(ours.pem())), &server.url()).await.unwrap(), "ok");
    let refused = get(&client(&tls(other.pem())), &server.url()).await.unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");
    let believe = TlsConfig { insecure_skip_verify: true, ..TlsConfig::default() };
    assert_eq!(get(&client(&config(believe)), &server.url()).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_self_signed_certificate_is_believed_when_it_is_configured_and_in_date() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for (names, last_year, expected) in [
        ("127.0.0.1", 2999, None),
        ("other.example", 2999, Some("not valid for name")),
        ("127.0.0.1", 2001, Some("Expired")),
    ] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![names.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        let server = Server::with(&certificate, &key, None);
        let tls = TlsConfig { ca: Some(certificate.pem()), ..TlsConfig::default() };
        let result = get(&client(&config(tls)), &server.url()).await;
        match expected {
            None => assert_eq!(result.unwrap(), "ok"),
            Some(part) => assert!(result.as_ref().unwrap_err().contains(part), "{result:?}"),
        }
    }
}

#[tokio::test]
async fn the_server_name_is_sent_and_checked_and_host_stays() {
    let authority = Authority::new();
    let server = Server::tls(&authority, &["metrics.example"], None);
    let tls = |name: Option<&str>| {
        config(TlsConfig { ca: Some(authority.pem()), server_name: name.map(str::to_owned), ..TlsConfig::default() })
    };
    assert_eq!(get(&client(&tls(Some("metrics.example"))), &server.url()).await.unwrap(), "ok");
    let seen = server.seen.recv().unwrap();
    assert_eq!(seen.sni.as_deref(), Some("metrics.example"));
    assert_eq!(seen.header("host"), Some(server.addr.to_string().as_str()), "{seen:?}");
    for wrong in [None, Some("other.example")] {
        let refused = get(&client(&tls(wrong)), &server.url()).await.unwrap_err();
        assert!(refused.contains("not valid for name"), "{refused}");
    }
}

#[tokio::test]
async fn two_targets_under_one_server_name_stay_apart() {
    let authority = Authority::new();
    let servers = [Server::tls(&authority, &["same.example"], None), Server::tls(&authority, &["same.example"], None)];
    let tls =
        TlsConfig { ca: Some(authority.pem()), server_name: Some("same.example".to_owned()), ..TlsConfig::default() };
    let client = client(&config(tls));
    for server in &servers {
        assert_eq!(get(&client, &server.url()).await.unwrap(), "ok");
        assert_eq!(server.seen.recv().unwrap().header("host"), Some(server.addr.to_string().as_str()));
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (servers, clients) = (Authority::new(), Authority::new());
    let server = Server::tls(&servers, &["127.0.0.1"], Some(&clients));
    let file = |name: &str| folder.path().join(name);
    let tls = TlsConfig {
        ca: Some(servers.pem()),
        cert_file: Some(file("cert.pem")),
        key_file: Some(file("key.pem")),
        ..TlsConfig::default()
    };
    let client = client(&config(tls));
    let write = |authority: &Authority| {
        let (certificate, key) = authority.issue(&["client"]);
        // A new file in the old one's place, as secrets are rotated: the inode changes whatever the clock says.
        for (name, text) in [("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem())] {
            fs::write(file("new"), text).unwrap();
            fs::rename(file("new"), file(name)).unwrap();
        }
    };
    let missing = get(&client, &server.url()).await.unwrap_err();
    assert!(missing.contains("cert.pem") && missing.contains("cert_file"), "{missing}");
    write(&servers);
    assert!(get(&client, &server.url()).await.is_err(), "a certificate of the wrong authority");
    write(&clients);
    assert_eq!(get(&client, &server.url()).await.unwrap(), "ok");
}

#[tokio::test]
async fn tokens_are_read_at_every_request() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("token");
    let server = Server::plain("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
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
async fn basic_auth_and_headers() {
    let server = Server::plain("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    let basic = BasicAuth { username: "u".into(), password: Some(Secret::new("p")), ..BasicAuth::default() };
    let header = HttpHeader { values: vec!["a".into()], secrets: vec![Secret::new("b")], files: Vec::new() };
    let config = HttpClientConfig {
        basic_auth: Some(basic),
        http_headers: [("X-Tenant".to_owned(), header)].into(),
        ..HttpClientConfig::default()
    };
    get(&client(&config), &server.url()).await.unwrap();
    let seen = server.seen.recv().unwrap();
    assert_eq!(seen.header("authorization"), Some("Basic dTpw"));
    let tenants: Vec<&String> = seen.head.iter().filter(|line| line.to_lowercase().starts_with("x-tenant")).collect();
    assert_eq!(tenants.len(), 2, "{seen:?}");
}

#[tokio::test]
async fn credentials_stay_with_their_host() {
    let end = Server::plain("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nend");
    let start = Server::plain(format!(
        "HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        end.url()
    ));
    let authorization = Authorization { credentials: Some(Secret::new("t")), ..Authorization::default() };
    let mut config = HttpClientConfig { authorization: Some(authorization), ..HttpClientConfig::default() };
    assert_eq!(get(&client(&config), &start.url()).await.unwrap(), "end");
    assert_eq!(start.seen.recv().unwrap().header("authorization"), Some("Bearer t"));
    assert_eq!(end.seen.recv().unwrap().header("authorization"), None);
    let secret = HttpHeader { secrets: vec![Secret::new("s")], ..HttpHeader::default() };
    config.http_headers.insert("X-Key".to_owned(), secret);
    let refused = get(&client(&config), &start.url()).await.unwrap_err();
    assert!(refused.contains("secret http_headers"), "{refused}");
    config.follow_redirects = false;
    assert_eq!(get(&client(&config), &start.url()).await.unwrap(), "");
}

#[test]
fn what_cannot_be_served_is_refused_at_once() {
    let oauth2 = HttpClientConfig { oauth2: Some(Box::default()), ..HttpClientConfig::default() };
    assert!(matches!(HttpClient::new(&oauth2, "x"), Err(Error::NotServed { what: "oauth2", .. })));
    let old = TlsConfig { max_version: Some(config::TlsVersion::Tls11), ..TlsConfig::default() };
    assert!(matches!(HttpClient::new(&config(old), "x"), Err(Error::Tls(_))));
}
