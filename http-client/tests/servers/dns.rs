//! Host names: how long answers are kept, where they are looked up, and what a server that says nothing costs.

use std::collections::HashSet;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use config::{HttpClientConfig, TlsConfig};
use http_client::{DnsRecord, HttpClient, RecordKind, Resolver};
use tempfile::TempDir;
use tokio::task::JoinSet;
use url::Url;

use crate::kit::{Authority, OK, Server, config, get};

/// What a name server says of a name.
#[derive(Clone, Copy)]
enum Says {
    /// It is at 127.0.0.1, for so many seconds.
    Here(u32),
    /// It is a service on these hosts, and has no addresses.
    Service(&'static [(u16, &'static str)]),
    NoSuchName,
    /// That it cannot tell.
    Failed,
    Nothing,
}

/// A name server on the loopback interface, and the files that lead to it.
struct Dns {
    address: std::net::IpAddr,
    port: u16,
    /// Names that were asked for by their IPv4 address.
    asked: Arc<Mutex<Vec<String>>>,
    folder: TempDir,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

const A: u16 = 1;
const SRV: u16 = 33;

impl Dns {
    fn start(says: impl Fn(&str) -> Says + Send + 'static) -> Self {
        Self::start_at("127.0.0.1:0", says)
    }

    fn start_at(address: &str, says: impl Fn(&str) -> Says + Send + 'static) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        let (address, port) = (socket.local_addr().unwrap().ip(), socket.local_addr().unwrap().port());
        let (asked, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (noted, stopped) = (Arc::clone(&asked), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut query = [0; 512];
            loop {
                let (len, from) = socket.recv_from(&mut query).unwrap();
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (name, kind, question) = question(&query[..len]);
                if kind == A {
                    noted.lock().unwrap().push(name.clone());
                }
                if let Some(answer) = answer(&query[..2], question, (kind, says(&name))) {
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        Self { address, port, asked, folder: tempfile::tempdir().unwrap(), stop, thread: Some(thread) }
    }

    /// Who asks it, with further lines of `resolv.conf` and these of `hosts`.
    fn resolver(&self, lines: &str, hosts: &str) -> Resolver {
        let file = |name: &str, text: String| {
            let path = self.folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let resolv_conf = file("resolv.conf", format!("nameserver 127.0.0.1\n{lines}\n"));
        Resolver::from_files(resolv_conf, file("hosts", hosts.to_owned()), self.port)
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&[0], (self.address, self.port)).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The name and type that a query asks for, and its bytes.
fn question(query: &[u8]) -> (String, u16, &[u8]) {
    let (mut name, mut at) = (String::new(), 12);
    while query[at] > 0 {
        let end = at + 1 + usize::from(query[at]);
        name += &format!("{}.", std::str::from_utf8(&query[at + 1..end]).unwrap());
        at = end;
    }
    (name, u16::from_be_bytes([query[at + 1], query[at + 2]]), &query[12..at + 5])
}

/// RFC 1035, section 4.1.
fn answer(id: &[u8], question: &[u8], (kind, says): (u16, Says)) -> Option<Vec<u8>> {
    let (code, records) = match says {
        Says::Here(ttl) if kind == A => (0, vec![record(A, ttl, &[127, 0, 0, 1])]),
        Says::Service(hosts) if kind == SRV => {
            let data = |(port, host): &(u16, &str)| {
                let mut data = [[0; 4].as_slice(), &port.to_be_bytes()].concat();
                host.split('.').for_each(|label| {
                    data.push(u8::try_from(label.len()).unwrap());
                    data.extend(label.bytes());
                });
                data
            };
            (0, hosts.iter().map(|host| record(SRV, 3600, &data(host))).collect())
        }
        Says::Here(_) | Says::Service(_) => (0, Vec::new()),
        Says::NoSuchName => (3, Vec::new()),
        Says::Failed => (2, Vec::new()),
        Says::Nothing => return None,
    };
    let mut bytes = id.to_vec();
    bytes.extend([0x81, 0x80 | code, 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]);
    bytes.extend_from_slice(question);
    bytes.extend(records.concat());
    Some(bytes)
}

/// A record of the name that was asked for.
fn record(kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [&[0xc0, 12], &kind.to_be_bytes()[..], &[0, 1], &ttl.to_be_bytes(), &length.to_be_bytes(), data].concat()
}

fn client(resolver: &Resolver) -> HttpClient {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    HttpClient::new(&HttpClientConfig::default(), "Weft/test", resolver).unwrap()
}

fn at(name: &str, server: &Server) -> Url {
    let mut url = server.url();
    url.set_host(Some(name)).unwrap();
    url
}

#[tokio::test]
async fn answers_are_kept_as_long_as_their_ttl_says() {
    let dns = Dns::start(|name| match name {
        "kept.test." => Says::Here(3600),
        "fleeting.test." => Says::Here(0),
        "failed.test." => Says::Failed,
        _ => Says::NoSuchName,
    });
    let target = Server::plain(OK);
    let client = client(&dns.resolver("", ""));
    for (name, asked) in [("kept.test", 1), ("fleeting.test", 3)] {
        for _ in 0..3 {
            assert_eq!(get(&client, &at(name, &target)).await.as_deref(), Ok("ok"));
        }
        assert_eq!(dns.asked(), vec![format!("{name}."); asked]);
    }
    let error = get(&client, &at("absent.test", &target)).await.unwrap_err();
    assert_eq!(error, "dial tcp: lookup absent.test: no such host");
    let error = get(&client, &at("failed.test", &target)).await.unwrap_err();
    assert!(error.starts_with("dial tcp: lookup failed.test: server misbehaving"), "{error}");
}

#[tokio::test]
async fn search_domains_come_first_below_ndots_and_hosts_before_all() {
    let dns = Dns::start(|name| match name {
        "web.svc.cluster.test." | "a.b.test." | "my_exporter-1.svc.cluster.test." => Says::Here(3600),
        _ => Says::NoSuchName,
    });
    let target = Server::plain(OK);
    let lines = "search ns.svc.cluster.test svc.cluster.test\noptions ndots:2";
    let client = client(&dns.resolver(lines, "127.0.0.1 named other # comment\n"));
    for (name, asked) in [
        ("web", vec!["web.ns.svc.cluster.test.", "web.svc.cluster.test."]),
        ("a.b.test", vec!["a.b.test."]),
        ("web.svc.cluster.test.", vec![]),
        ("my_exporter-1", vec!["my_exporter-1.ns.svc.cluster.test.", "my_exporter-1.svc.cluster.test."]),
        ("named", vec![]),
        ("OTHER", vec![]),
        ("localhost", vec![]),
        ("127.0.0.1", vec![]),
    ] {
        assert_eq!(get(&client, &at(name, &target)).await.as_deref(), Ok("ok"), "{name}");
        assert_eq!(dns.asked(), asked, "{name}");
    }
}

#[tokio::test]
async fn records_are_none_where_servers_say_so_and_an_error_where_they_do_not() {
    let dns = Dns::start(|name| match name {
        "_metrics._tcp.web.cluster.test." => Says::Service(&[(9100, "a.web.test."), (9101, "b.web.test.")]),
        "here.test." => Says::Here(0),
        "failed.test." => Says::Failed,
        _ => Says::NoSuchName,
    });
    let resolver = dns.resolver("search cluster.test\noptions ndots:5", "");
    let service = |port, target: &str| DnsRecord::Srv { target: target.to_owned(), port };
    let both = vec![service(9100, "a.web.test."), service(9101, "b.web.test.")];
    assert_eq!(resolver.records("_metrics._tcp.web", RecordKind::Srv).await, Ok(both));
    let here = vec![DnsRecord::Address([127, 0, 0, 1].into())];
    assert_eq!(resolver.records("here.test.", RecordKind::A).await, Ok(here));
    assert_eq!(resolver.records("here.test.", RecordKind::Aaaa).await, Ok(vec![]));
    assert_eq!(resolver.records("absent.test.", RecordKind::Mx).await, Ok(vec![]));
    let error = resolver.records("failed.test.", RecordKind::Ns).await.unwrap_err().to_string();
    assert!(error.contains("failed.test.: server misbehaving"), "{error}");
}

#[tokio::test]
async fn hosts_are_read_whatever_the_encoding_of_their_comments() {
    let dns = Dns::start(|_| Says::Here(3600));
    let target = Server::plain(OK);
    let resolver = dns.resolver("", "");
    std::fs::write(dns.folder.path().join("hosts"), b"# caf\xe9\n127.0.0.1 named # caf\xe9\n").unwrap();
    let client = client(&resolver);
    for (name, asked) in [("named", vec![]), ("other.test", vec!["other.test."])] {
        assert_eq!(get(&client, &at(name, &target)).await.as_deref(), Ok("ok"), "{name}");
        assert_eq!(dns.asked(), asked, "{name}");
    }
}

#[tokio::test]
async fn tls_goes_by_the_same_resolver() {
    let dns = Dns::start(|_| Says::Here(3600));
    let authority = Authority::new();
    let target = Server::tls(&authority, &["secure.test"], None);
    let tls = config(TlsConfig { ca: Some(authority.pem()), ..TlsConfig::default() });
    let client = HttpClient::new(&tls, "Weft/test", &dns.resolver("", "")).unwrap();
    assert_eq!(get(&client, &at("secure.test", &target)).await.as_deref(), Ok("ok"));
    assert_eq!(dns.asked(), ["secure.test."]);
    let absent = Dns::start(|_| Says::NoSuchName);
    let client = HttpClient::new(&tls, "Weft/test", &absent.resolver("", "")).unwrap();
    let error = get(&client, &at("secure.test", &target)).await.unwrap_err();
    assert_eq!(error, "dial tcp: lookup secure.test: no such host");
}

#[tokio::test]
async fn names_that_nobody_answers_for_hold_up_no_others() {
    let dns = Dns::start(|name| if name.contains("silent") { Says::Nothing } else { Says::Here(0) });
    let target = Server::plain(OK);
    let client = Arc::new(client(&dns.resolver("", "127.0.0.1 named\n")));
    let mut silent = JoinSet::new();
    for i in 0..300 {
        let (client, url) = (Arc::clone(&client), at(&format!("silent-{i}.test"), &target));
        silent.spawn(async move { get(&client, &url).await });
    }
    // As many of them are asked for as are at once.
    let mut seen = HashSet::new();
    while seen.len() < 64 {
        seen.extend(dns.asked());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let threads = std::fs::read_dir("/proc/self/task").unwrap().count();
    assert!(threads < 200, "{threads} threads");
    for name in ["127.0.0.1", "named", "good.test", "better.test"] {
        assert_eq!(get(&client, &at(name, &target)).await.as_deref(), Ok("ok"), "{name}");
    }
    assert!(silent.try_join_next().is_none_or(|one| one.unwrap().is_err()));
    // A name that was not answered last time does not take what the others need.
    silent.shutdown().await;
    assert_eq!(get(&client, &at("good.test", &target)).await.as_deref(), Ok("ok"));
}

#[tokio::test]
async fn another_server_is_asked_when_one_is_silent_or_knows_no_such_name() {
    let dns = Dns::start(|name| if name == "internal.test." { Says::NoSuchName } else { Says::Here(0) });
    let target = Server::plain(OK);
    for says in [Says::Nothing, Says::NoSuchName] {
        let other = Dns::start_at(&format!("127.0.0.2:{}", dns.port), move |name| match name {
            "internal.test." => Says::Here(0),
            _ => says,
        });
        let client = client(&dns.resolver("nameserver 127.0.0.2", ""));
        for name in ["internal.test", "good.test", "internal.test", "good.test"] {
            assert_eq!(get(&client, &at(name, &target)).await.as_deref(), Ok("ok"), "{name}");
        }
        assert!(other.asked().len() >= 2);
    }
}
