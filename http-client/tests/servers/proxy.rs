//! Requests through proxies that forward, tunnel and speak SOCKS.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

use config::{HttpClientConfig, ProxyConfig, Secret, TlsConfig};

use crate::kit::{Authority, OK, Server, client, get};

/// Both ways, until one side ends.
fn pipe(one: &TcpStream, other: &TcpStream) {
    let way = |from: &TcpStream, to: &TcpStream| {
        // A side that is gone ends the tunnel.
        let _ = std::io::copy(&mut &*from, &mut &*to);
        let _ = to.shutdown(Shutdown::Both);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| way(one, other));
        way(other, one);
    });
}

/// Serves one connection, and tells the head it got.
fn tunnel(serve: impl FnOnce(TcpStream) -> Vec<String> + Send + 'static) -> (SocketAddr, mpsc::Receiver<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (sender, heads) = mpsc::channel();
    std::thread::spawn(move || {
        let head = serve(listener.accept().unwrap().0);
        // Nobody listens when the test has failed.
        let _ = sender.send(head);
    });
    (addr, heads)
}

fn connect_proxy() -> (SocketAddr, mpsc::Receiver<Vec<String>>) {
    tunnel(|stream| {
        let mut lines = BufReader::new(&stream).lines();
        let head: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        let target = head[0].split(' ').nth(1).unwrap().to_owned();
        (&stream).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        pipe(&stream, &TcpStream::connect(target).unwrap());
        head
    })
}

fn socks_proxy() -> (SocketAddr, mpsc::Receiver<Vec<String>>) {
    tunnel(|mut stream| {
        let mut greeting = [0; 2];
        stream.read_exact(&mut greeting).unwrap();
        stream.read_exact(&mut vec![0; greeting[1].into()]).unwrap();
        stream.write_all(&[5, 0]).unwrap();
        let mut request = [0; 10];
        stream.read_exact(&mut request).unwrap();
        let [5, 1, 0, 1, a, b, c, d, high, low] = request else { panic!("{request:?}") };
        let target = SocketAddr::from((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])));
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        pipe(&stream, &TcpStream::connect(target).unwrap());
        vec![target.to_string()]
    })
}

fn through(url: String) -> HttpClientConfig {
    let header = ("X-Proxy-Key".to_owned(), vec![Secret::new("k")]);
    let proxy = ProxyConfig { proxy_url: Some(url), proxy_connect_header: [header].into(), ..ProxyConfig::default() };
    HttpClientConfig { proxy, ..HttpClientConfig::default() }
}

#[tokio::test]
async fn plain_requests_are_forwarded() {
    let (proxy, target) = (Server::plain(OK), Server::plain(OK));
    let config = through(format!("http://user:pass@{}", proxy.addr));
    assert_eq!(get(&client(&config), &target.url()).await.as_deref(), Ok("ok"));
    let seen = proxy.seen.recv().unwrap();
    assert_eq!(seen.head[0], format!("GET {} HTTP/1.1", target.url()));
    assert_eq!(seen.header("proxy-authorization"), Some("Basic dXNlcjpwYXNz"));
    assert_eq!(seen.header("x-proxy-key"), None, "only CONNECT is for the proxy alone");
    assert!(target.seen.try_recv().is_err());
}

#[tokio::test]
async fn no_proxy_is_asked_directly() {
    let target = Server::plain(OK);
    let mut config = through("http://127.0.0.1:1".to_owned());
    config.proxy.no_proxy = "127.0.0.0/8".to_owned();
    assert_eq!(get(&client(&config), &target.url()).await.as_deref(), Ok("ok"));
}

#[tokio::test]
async fn secured_requests_are_tunnelled() {
    let authority = Authority::new();
    let target = Server::tls(&authority, &["127.0.0.1"], None);
    let (proxy, heads) = connect_proxy();
    let tls = Some(TlsConfig { ca: Some(authority.pem()), ..TlsConfig::default() });
    let config = HttpClientConfig { tls, ..through(format!("http://user:pass@{proxy}")) };
    let client = client(&config);
    assert_eq!(get(&client, &target.url()).await.as_deref(), Ok("ok"));
    drop(client);
    let head = heads.recv().unwrap();
    assert_eq!(head[0], format!("CONNECT {} HTTP/1.1", target.addr));
    for line in ["x-proxy-key: k", "proxy-authorization: basic dxnlcjpwyxnz"] {
        assert!(head.iter().any(|got| got.to_lowercase() == line), "{line} in {head:?}");
    }
    let seen = target.seen.recv().unwrap();
    assert_eq!((seen.header("x-proxy-key"), seen.header("proxy-authorization")), (None, None));
}

#[tokio::test]
async fn a_proxy_that_cannot_be_reached_is_named() {
    for (scheme, why) in [("http", "connection refused"), ("socks5", "failed to create underlying connection")] {
        for url in ["http://target.example/metrics", "https://target.example/metrics"] {
            // Nobody listens there.
            let client = client(&through(format!("{scheme}://user:hunter2@127.0.0.1:1")));
            let error = get(&client, &url.parse().unwrap()).await.unwrap_err();
            assert!(error.starts_with("proxyconnect tcp: 127.0.0.1:1: "), "{error}");
            assert!(error.contains(why) && error.contains("proxy_url"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_proxy_may_speak_socks() {
    let target = Server::plain(OK);
    let (proxy, targets) = socks_proxy();
    let client = client(&through(format!("socks5://{proxy}")));
    assert_eq!(get(&client, &target.url()).await.as_deref(), Ok("ok"));
    drop(client);
    assert_eq!(targets.recv().unwrap(), [target.addr.to_string()]);
}

/// The environment of this process is not to be changed: the test runs itself with another.
#[tokio::test]
async fn the_environment_names_the_proxy() {
    const URL: &str = "http://target.example/metrics";
    let proxy = ProxyConfig { proxy_from_environment: true, ..ProxyConfig::default() };
    if std::env::var_os("WEFT_TEST_CHILD").is_some() {
        let client = client(&HttpClientConfig { proxy, ..HttpClientConfig::default() });
        assert_eq!(get(&client, &URL.parse().unwrap()).await.as_deref(), Ok("ok"));
        return;
    }
    let server = Server::plain(OK);
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "proxy::the_environment_names_the_proxy"]).env("WEFT_TEST_CHILD", "1");
    child.env("http_proxy", server.addr.to_string()).env_remove("no_proxy").env_remove("NO_PROXY");
    let output = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(server.seen.recv().unwrap().head[0], format!("GET {URL} HTTP/1.1"));
}
