//! Servers that answer as a test says, and the notifier that sends to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use http_client::Resolver;
use model::{Labels, TargetGroup, TargetGroups, Timestamp};
use parking_lot::Mutex;
use prometheus::Registry;
use rules::{Notification, Notifier, NotifierOptions};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Longer than anything here takes; what waits for longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a server does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// Answers with this status, and these further lines of the head.
    Status(&'static str),
    /// Reads it and never answers.
    Hang,
    /// Reads it and closes the connection.
    Close,
}

pub(crate) const OK: Reply = Reply::Status("200 OK");

/// A request: its first line and headers in lower case, and its body.
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Request {
    /// The alerts by the label `alertname`, with `!` where they are resolved.
    pub(crate) fn names(&self) -> Vec<String> {
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
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) seen: mpsc::UnboundedReceiver<Request>,
    pub(crate) reply: Arc<Mutex<Reply>>,
    tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(reply: Reply) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), reply).await
    }

    pub(crate) async fn start_at(address: SocketAddr, reply: Reply) -> Self {
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
    pub(crate) async fn away() -> SocketAddr {
        let mut server = Self::start(OK).await;
        server.tasks.shutdown().await;
        server.address
    }

    pub(crate) fn reply(&self, reply: Reply) {
        *self.reply.lock() = reply;
    }

    pub(crate) async fn request(&mut self) -> Request {
        tokio::time::timeout(PATIENCE, self.seen.recv()).await.expect("a request").unwrap()
    }

    /// The names of the alerts of the next requests, until there are so many.
    pub(crate) async fn names(&mut self, count: usize) -> Vec<String> {
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
pub(crate) struct Fixture {
    pub(crate) notifier: Notifier,
    pub(crate) registry: Registry,
}

impl Fixture {
    pub(crate) fn new(change: impl FnOnce(&mut NotifierOptions)) -> Self {
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
    pub(crate) async fn with(section: &str, servers: &[SocketAddr]) -> Self {
        let fixture = Self::new(|_| {});
        fixture.apply(&format!("alertmanagers: [{{{section}}}]")).await;
        fixture.sync(&[servers]).await;
        fixture
    }

    pub(crate) async fn apply(&self, alerting: &str) {
        let text = format!("global: {{external_labels: {{cluster: c}}}}\nalerting: {{{alerting}}}\n");
        let config = Config::parse(&text, "p.yml".as_ref(), &|_| None).unwrap();
        self.notifier.apply(&config.alerting, &config.global.external_labels).await;
    }

    /// Tells of the servers of each section.
    pub(crate) async fn sync(&self, sections: &[&[SocketAddr]]) {
        let group = |addresses: &&[SocketAddr]| {
            let target = |address: &SocketAddr| Labels::from_pairs([("__address__", address.to_string())]).into();
            let targets = addresses.iter().map(target).collect();
            vec![Arc::new(TargetGroup { source: "s".to_owned(), labels: Labels::empty(), targets })]
        };
        let groups: TargetGroups =
            sections.iter().enumerate().map(|(i, servers)| (Notifier::discovery_key(i), group(servers))).collect();
        self.notifier.sync(Arc::new(groups)).await;
    }

    /// The value of a metric of all receivers together; of a histogram, how much was observed.
    pub(crate) fn metric(&self, name: &str) -> f64 {
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
    pub(crate) async fn eventually(&self, name: &str, value: f64) {
        let is_there = async {
            while self.metric(name) != value {
                tokio::task::yield_now().await;
            }
        };
        let late = || panic!("{name} is {} and not {value}", self.metric(name));
        tokio::time::timeout(PATIENCE, is_there).await.unwrap_or_else(|_| late());
    }

    /// The same for a value that goes on to grow.
    pub(crate) async fn eventually_at_least(&self, name: &str, value: f64) {
        let is_there = async {
            while self.metric(name) < value {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, is_there).await.expect(name);
    }

    pub(crate) fn send(&self, names: &[impl AsRef<str>]) {
        self.notifier.send(&names.iter().map(|name| firing(name.as_ref())).collect::<Vec<_>>());
    }
}

pub(crate) fn firing(name: &str) -> Notification {
    let now = Timestamp::now();
    Notification {
        labels: Labels::from_pairs([("alertname", name)]),
        annotations: Labels::from_pairs([("summary", "s")]),
        starts_at: now - 60_000,
        ends_at: now + 240_000,
        generator_url: "http://weft.test/graph".into(),
    }
}

pub(crate) fn resolved(name: &str) -> Notification {
    Notification { ends_at: Timestamp::now() - 1, ..firing(name) }
}

pub(crate) fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("a{i}")).collect()
}
