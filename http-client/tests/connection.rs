//! A target's own connection against real servers on the loopback interface.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use config::{BasicAuth, HttpClientConfig, Secret};
use http::HeaderMap;
use http::header::{ACCEPT, HeaderValue};
use http_client::{Connection, GetError, HttpClient, Resolver};
use url::Url;

/// Answers every request as the script says, and tells which connection it came over. Ends at the first connection after
/// `ended` was set.
struct Server {
    addr: SocketAddr,
    ended: Arc<AtomicBool>,
    heads: mpsc::Receiver<(usize, Vec<String>)>,
    thread: Option<JoinHandle<()>>,
}

const SCRIPT: &[(&str, &str)] = &[
    ("/long", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello"),
    ("/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
    ("/moved", "HTTP/1.1 302 Found\r\nLocation: /long\r\nContent-Length: 0\r\n\r\n"),
    ("/cut", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"),
    ("/last", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
];

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let (sender, heads) = mpsc::channel();
        let is_end = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            for (n, stream) in listener.incoming().enumerate() {
                if is_end.load(Ordering::Acquire) {
                    return;
                }
                let (stream, sender) = (stream.unwrap(), sender.clone());
                std::thread::spawn(move || serve(&stream, n, &sender));
            }
        });
        Self { addr, ended, heads, thread: Some(thread) }
    }

    fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.addr)).unwrap()
    }

    /// Of the latest request: the connection it came over, and its head.
    fn head(&self) -> (usize, Vec<String>) {
        self.heads.recv().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        TcpStream::connect(self.addr).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(stream: &TcpStream, n: usize, heads: &mpsc::Sender<(usize, Vec<String>)>) {
    let mut lines = BufReader::new(stream).lines();
    loop {
        let head: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        let Some(path) = head.first().and_then(|line| line.split(' ').nth(1)) else { return };
        let answer = SCRIPT.iter().find(|(name, _)| *name == path).unwrap().1;
        let closes = ["/cut", "/last"].contains(&path);
        // Nobody listens to what comes after the test.
        let _ = heads.send((n, head));
        let mut out = stream;
        out.write_all(answer.as_bytes()).unwrap();
        if closes {
            return;
        }
    }
}

fn client(config: &HttpClientConfig) -> HttpClient {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    HttpClient::new(config, "Weft/test", &Resolver::system()).unwrap()
}

async fn get(client: &HttpClient, connection: &mut Connection, url: &Url) -> Result<(u16, String), GetError> {
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("text/plain"))]);
    let mut response = client.get(connection, url, &headers).await?;
    let mut body = Vec::new();
    while response.read(&mut body).await? {}
    assert!(!response.read(&mut body).await?, "the end stays the end");
    Ok((response.status().as_u16(), String::from_utf8(body).unwrap()))
}

#[tokio::test]
async fn requests_go_over_one_connection_and_carry_everything() {
    let server = Server::start();
    let basic_auth = BasicAuth { username: "u".into(), password: Some(Secret::new("p")), ..BasicAuth::default() };
    let client = client(&HttpClientConfig { basic_auth: Some(basic_auth), ..HttpClientConfig::default() });
    let mut connection = Connection::default();
    for path in ["/long", "/chunked", "/long"] {
        let expected = if path == "/long" { "hello" } else { "abcde" };
        assert_eq!(get(&client, &mut connection, &server.url(path)).await.unwrap(), (200, expected.to_owned()));
        let (n, head) = server.head();
        assert_eq!(n, 0);
        let host = format!("host: {}", server.addr);
        for line in [host.as_str(), "user-agent: Weft/test", "accept: text/plain", "authorization: Basic dTpw"] {
            assert!(head.iter().any(|got| got == line), "{line} in {head:?}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_is_made_again() {
    let server = Server::start();
    let (client, mut connection) = (client(&HttpClientConfig::default()), Connection::default());
    for n in 0..3 {
        assert_eq!(get(&client, &mut connection, &server.url("/last")).await.unwrap().1, "ok");
        assert_eq!(server.head().0, n);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_and_the_next_one_is_not() {
    let server = Server::start();
    let (client, mut connection) = (client(&HttpClientConfig::default()), Connection::default());
    let cut = get(&client, &mut connection, &server.url("/cut")).await.unwrap_err().to_string();
    assert!(cut.contains("end of file before message length reached"), "{cut}");
    assert_eq!(get(&client, &mut connection, &server.url("/long")).await.unwrap().1, "hello");
    assert_eq!((server.head().0, server.head().0), (0, 1));
}

#[tokio::test]
async fn an_answer_that_is_not_read_to_its_end_closes_the_connection() {
    let server = Server::start();
    let (client, mut connection) = (client(&HttpClientConfig::default()), Connection::default());
    let response = client.get(&mut connection, &server.url("/long"), &HeaderMap::new()).await.unwrap();
    assert_eq!(response.status(), 200);
    drop(response);
    assert_eq!(get(&client, &mut connection, &server.url("/long")).await.unwrap().1, "hello");
    assert_eq!((server.head().0, server.head().0), (0, 1));
}

/// scrape-067
#[tokio::test]
async fn redirects_are_followed_unless_told_otherwise() {
    let server = Server::start();
    let mut connection = Connection::default();
    let stays = client(&HttpClientConfig { follow_redirects: false, ..HttpClientConfig::default() });
    assert_eq!(get(&stays, &mut connection, &server.url("/moved")).await.unwrap().0, 302);
    let follows = client(&HttpClientConfig::default());
    assert_eq!(get(&follows, &mut connection, &server.url("/moved")).await.unwrap(), (200, "hello".to_owned()));
}

#[tokio::test]
async fn nobody_there_is_said_without_the_url() {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = client(&HttpClientConfig::default());
    let url = Url::parse(&format!("http://{addr}/metrics")).unwrap();
    let error = get(&client, &mut Connection::default(), &url).await.unwrap_err().to_string();
    assert_eq!(error, format!("dial tcp {addr}: connect: connection refused"));
    let secured = Url::parse(&format!("https://{addr}/metrics")).unwrap();
    let error = get(&client, &mut Connection::default(), &secured).await.unwrap_err().to_string();
    assert_eq!(error, format!("dial tcp {addr}: connect: connection refused"));
    let nowhere = Url::parse("http://nowhere.invalid/metrics").unwrap();
    let error = get(&client, &mut Connection::default(), &nowhere).await.unwrap_err().to_string();
    assert!(error.starts_with("dial tcp: lookup nowhere.invalid: no such host"), "{error}");
}

#[cfg(unix)]
mod sockets {
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use config::TlsConfig;
    use rcgen::generate_simple_self_signed;
    use rustls::{ServerConfig, ServerConnection, StreamOwned};
    use rustls_pki_types::PrivateKeyDer;

    use super::*;

    /// Answers with its own name, request by request, until it is asked for `/last`.
    fn listen(path: &Path, tls: Option<Arc<ServerConfig>>) -> JoinHandle<Vec<String>> {
        let listener = UnixListener::bind(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        std::thread::spawn(move || {
            let mut heads = Vec::new();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut stream: Box<dyn ReadWrite> = match &tls {
                    None => Box::new(stream),
                    Some(tls) => Box::new(StreamOwned::new(ServerConnection::new(Arc::clone(tls)).unwrap(), stream)),
                };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let answer =
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{name}", name.len());
                stream.write_all(answer.as_bytes()).unwrap();
                stream.flush().unwrap();
                let last = head.starts_with("GET /last");
                heads.push(head);
                if last {
                    break;
                }
            }
            heads
        })
    }

    trait ReadWrite: std::io::Read + std::io::Write {}
    impl<T: std::io::Read + std::io::Write> ReadWrite for T {}

    #[tokio::test]
    async fn a_socket_is_asked_whatever_the_url_says() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let key = generate_simple_self_signed(["shared".to_owned()]).unwrap();
        let chain = vec![key.cert.der().clone()];
        let secret = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
        let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, secret).unwrap();
        let tls = Arc::new(tls);
        let config = TlsConfig { ca: Some(key.cert.pem()), ..TlsConfig::default() };
        let client = client(&HttpClientConfig { tls: Some(config), ..HttpClientConfig::default() });
        for (scheme, tls) in [("http", None), ("https", Some(tls))] {
            let names = ["one", "two"].map(|name| format!("{scheme}-{name}"));
            let threads = names.clone().map(|name| listen(&folder.path().join(name), tls.clone()));
            let mut connections = names.clone().map(|name| Connection::over_socket(folder.path().join(name)));
            for path in ["/metrics", "/last"] {
                let url = Url::parse(&format!("{scheme}://shared:9100{path}")).unwrap();
                for (name, connection) in names.iter().zip(&mut connections) {
                    assert_eq!(get(&client, connection, &url).await.unwrap(), (200, name.clone()));
                }
            }
            for thread in threads {
                let heads = thread.join().unwrap();
                assert!(heads.iter().all(|head| head.to_lowercase().contains("host: shared:9100\r\n")), "{heads:?}");
            }
        }
        let mut nobody = Connection::over_socket(folder.path().join("nobody"));
        let url = Url::parse("http://shared/metrics").unwrap();
        let error = get(&client, &mut nobody, &url).await.unwrap_err().to_string();
        assert!(
            error.starts_with("dial unix ") && error.ends_with("nobody: connect: no such file or directory"),
            "{error}"
        );
    }
}
