//! The notifier against real servers on the loopback interface.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::Config;
use http_client::Resolver;
use model::{Labels, TargetGroup, TargetGroups, Timestamp};
use parking_lot::Mutex;
use prometheus::Registry;
use rules::{Notification, Notifier, NotifierOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Longer than anything here takes; what waits for longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a server does with a request.
#[derive(Clone, Copy, Debug)]
enum Reply {
    /// Answers with this status, and these further lines of the head.
    Status(&'static str),
    /// Reads it and never answers.
    Hang,
    /// Reads it and closes the connection.
    Close,
}

const OK: Reply = Reply::Status("200 OK");

/// A request: its first line and headers in lower case, and its body.
struct Request {
    head: String,
    body: Value,
}

impl Request {
    /// The alerts by the label `alertname`, with `!` where they are resolved.
    fn names(&self) -> Vec<String> {
        let now = jiff::Timestamp::from_millisecond(Timestamp::now().0).unwrap();
        let name = |alert: &Value| {
            let ends_at: jiff::Timestamp = alert["endsAt"].as_str().unwrap().parse().unwrap();
            let mark = if ends_at <= now { "!" } else { "" };
            format!("{}{mark}", alert["labels"]["alertname"].as_str().unwrap())
        };
        self.body.as_array().unwrap().iter().map(name).collect()
    }
}

/// A server; its connections end with it.
struct Server {
    address: SocketAddr,
    seen: mpsc::UnboundedReceiver<Request>,
    reply: Arc<Mutex<Reply>>,
    tasks: JoinSet<()>,
}

impl Server {
    async fn start(reply: Reply) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), reply).await
    }

    async fn start_at(address: SocketAddr, reply: Reply) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, seen) = mpsc::unbounded_channel();
        let reply = Arc::new(Mutex::new(reply));
        let mut tasks = JoinSet::new();
        let replies = Arc::clone(&reply);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, sender.clone(), Arc::clone(&replies)));
            }
        });
        Self { address, seen, reply, tasks }
    }

    /// The address of a server that is gone.
    async fn away() -> SocketAddr {
        let mut server = Self::start(OK).await;
        server.tasks.shutdown().await;
        server.address
    }

    fn reply(&self, reply: Reply) {
        *self.reply.lock() = reply;
    }

    async fn request(&mut self) -> Request {
        tokio::time::timeout(PATIENCE, self.seen.recv()).await.expect("a request").unwrap()
    }

    /// The names of the alerts of the next requests, until there are so many.
    async fn names(&mut self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        while names.len() < count {
            names.extend(self.request().await.names());
        }
        names
    }
}

/// Reads requests and tells of them.
async fn serve(mut stream: TcpStream, seen: mpsc::UnboundedSender<Request>, reply: Arc<Mutex<Reply>>) {
    let mut bytes = Vec::new();
    let mut expected = usize::MAX;
    let mut head = String::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n").filter(|_| head.is_empty()) {
            head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            bytes.drain(..end + 4);
            expected = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        }
        if head.is_empty() || bytes.len() < expected {
            match stream.read_buf(&mut bytes).await {
                Ok(1..) => continue,
                _ => return,
            }
        }
        let body: Vec<u8> = bytes.drain(..expected).collect();
        let body = serde_json::from_slice(&body).unwrap();
        // Chosen before the request is told of, so that a test which has heard of it can change the next reply.
        let reply = *reply.lock();
        seen.send(Request { head: std::mem::take(&mut head), body }).ok();
        match reply {
            Reply::Status(status) => {
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\n\r\nsaid");
                stream.write_all(answer.as_bytes()).await.ok();
            }
            Reply::Hang => std::future::pending().await,
            Reply::Close => return,
        }
    }
}

/// A notifier under test.
struct Fixture {
    notifier: Notifier,
    registry: Registry,
}

impl Fixture {
    fn new(change: impl FnOnce(&mut NotifierOptions)) -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let mut options = NotifierOptions {
            queue_capacity: 10_000,
            batch_size: 256,
            drain_on_shutdown: true,
            user_agent: "Weft/test".to_owned(),
            external_url: "http://weft.test".to_owned(),
            resolver: Resolver::system(),
        };
        change(&mut options);
        let registry = Registry::new();
        Self { notifier: Notifier::new(options, &registry).unwrap(), registry }
    }

    /// A notifier with one section.
    async fn with(section: &str, servers: &[SocketAddr]) -> Self {
        let fixture = Self::new(|_| {});
        fixture.apply(&format!("alertmanagers: [{{{section}}}]")).await;
        fixture.sync(&[servers]).await;
        fixture
    }

    async fn apply(&self, alerting: &str) {
        let text = format!("global: {{external_labels: {{cluster: c}}}}\nalerting: {{{alerting}}}\n");
        let config = Config::parse(&text, "p.yml".as_ref(), &|_| None).unwrap();
        self.notifier.apply(&config.alerting, &config.global.external_labels).await;
    }

    /// Tells of the servers of each section.
    async fn sync(&self, sections: &[&[SocketAddr]]) {
        let group = |addresses: &&[SocketAddr]| {
            let target = |address: &SocketAddr| Labels::from_pairs([("__address__", address.to_string())]);
            let targets = addresses.iter().map(target).collect();
            vec![Arc::new(TargetGroup { source: "s".to_owned(), labels: Labels::empty(), targets })]
        };
        let groups: TargetGroups =
            sections.iter().enumerate().map(|(i, servers)| (Notifier::discovery_key(i), group(servers))).collect();
        self.notifier.sync(Arc::new(groups)).await;
    }

    /// The value of a metric of all receivers together; of a histogram, how much was observed.
    fn metric(&self, name: &str) -> f64 {
        let name = format!("prometheus_notifications_{name}");
        let families = self.registry.gather();
        let family = families.iter().filter(|family| family.name() == name);
        let value = |metric: &prometheus::proto::Metric| {
            let observed = metric.get_histogram().get_sample_count() as f64;
            metric.get_counter().get_value() + metric.get_gauge().get_value() + observed
        };
        family.flat_map(|family| family.get_metric()).map(value).sum()
    }

    /// Waits until a metric has a value: the notifier counts after the server has answered.
    async fn eventually(&self, name: &str, value: f64) {
        let is_there = async {
            while self.metric(name) != value {
                tokio::task::yield_now().await;
            }
        };
        let late = || panic!("{name} is {} and not {value}", self.metric(name));
        tokio::time::timeout(PATIENCE, is_there).await.unwrap_or_else(|_| late());
    }

    fn send(&self, names: &[impl AsRef<str>]) {
        self.notifier.send(&names.iter().map(|name| firing(name.as_ref())).collect::<Vec<_>>());
    }
}

fn firing(name: &str) -> Notification {
    let now = Timestamp::now();
    Notification {
        labels: Labels::from_pairs([("alertname", name)]),
        annotations: Labels::from_pairs([("summary", "s")]),
        starts_at: now - 60_000,
        ends_at: now + 240_000,
        generator_url: "http://weft.test/graph".into(),
    }
}

fn resolved(name: &str) -> Notification {
    Notification { ends_at: Timestamp::now() - 1, ..firing(name) }
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("a{i}")).collect()
}

#[tokio::test]
async fn alerts_are_labelled_relabelled_and_posted() {
    let (mut one, mut other) = (Server::start(OK).await, Server::start(OK).await);
    let fixture = Fixture::new(|_| {});
    let drops = |name: &str| format!("{{action: drop, source_labels: [alertname], regex: {name}}}");
    let (all, others) = (drops("all"), drops("other"));
    fixture
        .apply(&format!(
            "alert_relabel_configs: [{all}, {{source_labels: [cluster], target_label: from}}],
  alertmanagers: [{{path_prefix: /am, basic_auth: {{username: u, password: p}}}},
    {{alert_relabel_configs: [{others}, {{action: labeldrop, regex: from}}]}}]"
        ))
        .await;
    fixture.sync(&[&[one.address], &[other.address]]).await;
    fixture.send(&["all", "other", "none"]);
    let request = one.request().await;
    assert!(request.head.starts_with("post /am/api/v2/alerts http/1.1\r\n"), "{}", request.head);
    for header in ["content-type: application/json", "user-agent: weft/test", "authorization: basic dtpw"] {
        assert!(request.head.lines().any(|line| line == header), "{header} in {}", request.head);
    }
    assert_eq!(request.names(), ["other", "none"]);
    let alert = &request.body[0];
    assert_eq!(alert["labels"], json!({"alertname": "other", "cluster": "c", "from": "c"}));
    assert_eq!(
        (&alert["annotations"], &alert["generatorURL"]),
        (&json!({"summary": "s"}), &json!("http://weft.test/graph"))
    );
    let request = other.request().await;
    assert!(request.head.starts_with("post /api/v2/alerts http/1.1\r\n"), "{}", request.head);
    let labels = request.body.as_array().unwrap().iter().map(|alert| &alert["labels"]).collect::<Vec<_>>();
    assert_eq!(labels, [&json!({"alertname": "none", "cluster": "c"})]);
    fixture.eventually("sent_total", 3.0).await;
    fixture.eventually("latency_seconds", 2.0).await;
    assert_eq!((fixture.metric("alertmanagers_discovered"), fixture.metric("errors_total")), (2.0, 0.0));
}

#[tokio::test]
async fn one_that_hangs_delays_no_other() {
    let (mut stuck, mut healthy) = (Server::start(Reply::Hang).await, Server::start(OK).await);
    let fixture = Fixture::with("timeout: 1h", &[stuck.address, healthy.address]).await;
    fixture.send(&["first"]);
    stuck.request().await;
    let names = numbered(1000);
    fixture.send(&names);
    let mut found = Vec::new();
    while found.len() < 1001 {
        let batch = healthy.request().await.names();
        assert!(batch.len() <= 256, "{}", batch.len());
        found.extend(batch);
    }
    assert_eq!((found[0].as_str(), &found[1..]), ("first", names.as_slice()));
    fixture.eventually("queue_length", 1000.0).await;
}

#[tokio::test]
async fn nothing_is_lost_while_an_alertmanager_is_away() {
    let address = Server::away().await;
    let fixture = Fixture::with("", &[address]).await;
    fixture.send(&["a", "b", "c"]);
    // Once it was tried, the batch is back in the queue.
    fixture.eventually("errors_total", 3.0).await;
    fixture.notifier.send(&[resolved("b"), firing("d")]);
    fixture.notifier.send(&[resolved("c")]);
    fixture.send(&["c"]);
    let mut back = Server::start_at(address, OK).await;
    assert_eq!(back.names(5).await, ["a", "b!", "c!", "c", "d"]);
    fixture.eventually("sent_total", 5.0).await;
    // All were sent once: the next request has nothing of it.
    fixture.send(&["e"]);
    assert_eq!(back.names(1).await, ["e"]);
    assert_eq!((fixture.metric("dropped_total"), fixture.metric("queue_length")), (0.0, 0.0));
}

#[tokio::test]
async fn what_fails_is_sent_again() {
    let failing = [
        (Reply::Status("500 Oops"), "10s"),
        (Reply::Status("503 Away"), "10s"),
        (Reply::Close, "10s"),
        (Reply::Hang, "100ms"),
    ];
    for (reply, timeout) in failing {
        let mut server = Server::start(reply).await;
        let fixture = Fixture::with(&format!("timeout: {timeout}"), &[server.address]).await;
        fixture.send(&["a"]);
        assert_eq!(server.request().await.names(), ["a"], "{reply:?}");
        server.reply(OK);
        assert_eq!(server.request().await.names(), ["a"], "{reply:?}");
        fixture.eventually("sent_total", 1.0).await;
        assert_eq!((fixture.metric("errors_total"), fixture.metric("dropped_total")), (1.0, 0.0), "{reply:?}");
    }
}

#[tokio::test]
async fn what_is_refused_is_not_sent_again() {
    for reply in [Reply::Status("400 Bad Request"), Reply::Status("302 Found\r\nlocation: /login")] {
        let mut server = Server::start(reply).await;
        let fixture = Fixture::with("", &[server.address]).await;
        fixture.send(&["a"]);
        assert_eq!(server.request().await.names(), ["a"]);
        server.reply(OK);
        fixture.eventually("dropped_total", 1.0).await;
        fixture.send(&["b"]);
        assert_eq!(server.request().await.names(), ["b"]);
        assert_eq!(fixture.metric("errors_total"), 1.0);
    }
}

#[tokio::test]
async fn a_server_may_say_when_to_come_back() {
    let mut server = Server::start(Reply::Status("429 Too Many Requests\r\nretry-after: 1")).await;
    let fixture = Fixture::with("", &[server.address]).await;
    fixture.send(&["a"]);
    server.request().await;
    let asked = Instant::now();
    server.reply(OK);
    fixture.send(&["b"]);
    assert_eq!(server.request().await.names(), ["a", "b"]);
    assert!(asked.elapsed() >= Duration::from_millis(900), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_queue_is_bounded() {
    let mut server = Server::start(Reply::Hang).await;
    let fixture = Fixture::new(|options| options.queue_capacity = 10);
    fixture.apply("alertmanagers: [{timeout: 100ms}]").await;
    fixture.sync(&[&[server.address]]).await;
    fixture.send(&["first"]);
    server.request().await;
    server.reply(OK);
    let names = numbered(1000);
    for some in names.chunks(20) {
        fixture.send(some);
    }
    assert_eq!((fixture.metric("queue_length"), fixture.metric("queue_capacity")), (10.0, 10.0));
    // The first one is the oldest when its request has failed.
    assert_eq!(server.names(10).await, names[990..]);
    assert_eq!(fixture.metric("dropped_total"), 991.0);
}

#[tokio::test]
async fn an_unchanged_section_keeps_its_queue() {
    let address = Server::away().await;
    let fixture = Fixture::with("path_prefix: /kept", &[address]).await;
    fixture.send(&["a"]);
    fixture.eventually("errors_total", 1.0).await;
    // It stands elsewhere now.
    let mut new = Server::start(OK).await;
    fixture.apply("alertmanagers: [{}, {path_prefix: /kept}]").await;
    assert_eq!(fixture.notifier.alertmanagers().active, [format!("http://{address}/kept/api/v2/alerts")]);
    fixture.sync(&[&[new.address], &[address]]).await;
    fixture.send(&["b"]);
    assert_eq!(new.names(1).await, ["b"]);
    let mut back = Server::start_at(address, OK).await;
    assert_eq!(back.names(2).await, ["a", "b"]);
    fixture.eventually("sent_total", 3.0).await;
    // The section is gone, and with it its loop and its metrics.
    fixture.apply("alertmanagers: [{}]").await;
    fixture.eventually("sent_total", 1.0).await;
    assert_eq!(fixture.notifier.alertmanagers().active, [format!("http://{}/api/v2/alerts", new.address)]);
}

#[tokio::test]
async fn an_alertmanager_that_is_gone_gets_nothing_more() {
    let (mut one, mut other) = (Server::start(OK).await, Server::start(OK).await);
    let rule = format!("{{action: drop, source_labels: [__address__], regex: '{}'}}", other.address);
    let fixture = Fixture::with(&format!("relabel_configs: [{rule}]"), &[one.address, other.address]).await;
    let listed = fixture.notifier.alertmanagers();
    assert_eq!(listed.active, [format!("http://{}/api/v2/alerts", one.address)]);
    assert_eq!(listed.dropped, [format!("http://{}/api/v2/alerts", other.address)]);
    fixture.send(&["a"]);
    assert_eq!(one.names(1).await, ["a"]);
    fixture.apply("alertmanagers: [{}]").await;
    fixture.sync(&[&[other.address]]).await;
    fixture.send(&["b"]);
    assert_eq!(other.names(1).await, ["b"]);
    fixture.notifier.shutdown().await;
    assert!(one.seen.try_recv().is_err() && other.seen.try_recv().is_err());
}

#[tokio::test]
async fn queues_are_drained_at_the_end() {
    let mut server = Server::start(Reply::Status("500 Oops")).await;
    let fixture = Fixture::with("", &[server.address]).await;
    let names = numbered(600);
    fixture.send(&names);
    server.request().await;
    server.reply(OK);
    fixture.notifier.shutdown().await;
    let mut found = Vec::new();
    while let Ok(request) = server.seen.try_recv() {
        found.extend(request.names());
    }
    assert_eq!(found, names);
    // What comes after the end goes nowhere.
    fixture.send(&["late"]);
    fixture.sync(&[&[server.address]]).await;
    assert!(fixture.notifier.alertmanagers().active.is_empty() && server.seen.try_recv().is_err());
}

#[tokio::test]
async fn the_end_does_not_wait_for_one_that_hangs() {
    let mut server = Server::start(Reply::Hang).await;
    let fixture = Fixture::new(|options| options.drain_on_shutdown = false);
    fixture.apply("alertmanagers: [{timeout: 1h}]").await;
    fixture.sync(&[&[server.address]]).await;
    fixture.send(&["a"]);
    server.request().await;
    fixture.send(&["b"]);
    tokio::time::timeout(PATIENCE, fixture.notifier.shutdown()).await.expect("an end");
    assert!(server.seen.try_recv().is_err());
}

/// The clock goes on where all wait for it, so ten seconds are over at once.
#[tokio::test(start_paused = true)]
async fn draining_ends_in_bounded_time() {
    let server = Server::start(Reply::Hang).await;
    let fixture = Fixture::with("timeout: 1h", &[server.address]).await;
    fixture.send(&["a"]);
    let began = tokio::time::Instant::now();
    fixture.notifier.shutdown().await;
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn requests_that_cannot_be_signed_are_not_sent() {
    let mut server = Server::start(OK).await;
    let fixture = Fixture::with("sigv4: {region: r}", &[server.address]).await;
    fixture.send(&["a"]);
    fixture.eventually("dropped_total", 1.0).await;
    assert!(server.seen.try_recv().is_err());
}

#[tokio::test]
async fn a_webhook_gets_groups() {
    let mut server = Server::start(Reply::Status("503 Away")).await;
    let fixture = Fixture::new(|_| {});
    let url = format!("http://{}/hook?token=secret", server.address);
    fixture
        .apply(&format!("webhooks: [{{url: '{url}', name: chat, group_wait: 0s, group_by: [alertname, cluster]}}]"))
        .await;
    fixture.notifier.send(&[firing("a"), resolved("unknown")]);
    let first = server.request().await;
    server.reply(OK);
    let again = server.request().await;
    assert!(again.head.starts_with("post /hook?token=secret http/1.1\r\n"), "{}", again.head);
    assert_eq!(first.body, again.body);
    let expected = [
        ("receiver", "chat"),
        ("status", "firing"),
        ("version", "4"),
        ("externalURL", "http://weft.test"),
        ("groupKey", "{}:{alertname=\"a\", cluster=\"c\"}"),
    ];
    for (name, value) in expected {
        assert_eq!(again.body[name], value);
    }
    assert_eq!(again.body["alerts"][0]["labels"]["cluster"], "c");
    fixture.eventually("sent_total", 1.0).await;
    // The end waits for no interval.
    fixture.notifier.send(&[resolved("a")]);
    fixture.notifier.shutdown().await;
    assert_eq!(server.request().await.body["status"], "resolved");
    assert!(server.seen.try_recv().is_err());
}
