//! Whole jobs on a paused clock: real requests over Unix sockets, what they leave in a store that remembers, and when. The
//! cases follow upstream's behaviours by number (`conformance/scrape/behaviours.json`).
//!
//! The phase of a target comes from its labels, its socket among them, and is another in every run: tests go by scrapes.
//! The clock moves on when every task waits for it. Unix sockets hand bytes over at once, so that it never runs ahead of them.

mod clock;
mod hostile;
mod limits;
mod reload;
mod requests;
mod staleness;
mod targets;
mod trials;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use config::Config;
use model::{Labels, TargetGroup, TargetGroups, Timestamp};
use prometheus::Registry;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::budget::BodyBudget;
use crate::failure_log::FailureLogs;
use crate::fetch::Room;
use crate::metrics::Metrics;
use crate::parse::Wanted;
use crate::scrape_loop::{Shared, Workers};
use crate::staleness_handover::Handovers;
use crate::threads::Threads;
use crate::{ActiveTarget, Manager, Options, Resolver};
use kit::Recorder;

/// When the simulation begins: a multiple of all intervals.
const START: Timestamp = Timestamp(1_700_000_040_000);

/// What a target answers to its n-th request, from 0; `None` is never.
type Answers = Box<dyn Fn(usize) -> Option<Vec<u8>> + Send>;

/// A server of scrapes, its targets and its store.
struct World {
    manager: Manager,
    store: Arc<Recorder>,
    registry: Registry,
    budget: BodyBudget,
    /// How far the clock of the wall was set ahead since the start, milliseconds.
    clock_set_ms: Arc<AtomicI64>,
    /// Heads of requests, by target.
    asked: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
    folder: TempDir,
    targets: JoinSet<()>,
}

/// A page in the text format.
fn page(body: &str) -> Option<Vec<u8>> {
    answer("200 OK", "content-type: text/plain\r\n", body.as_bytes())
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Option<Vec<u8>> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len());
    Some([head.as_bytes(), body].concat())
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

impl World {
    fn new() -> Self {
        Self::with_body_memory(512 << 20)
    }

    fn with_body_memory(body_memory: usize) -> Self {
        Self::with(body_memory, Resolver::system(), None)
    }

    fn resolving_by(resolver: Resolver) -> Self {
        Self::with(512 << 20, resolver, None)
    }

    /// New targets are scraped at once, from ten seconds after the start on.
    fn at_once() -> Self {
        Self::with(512 << 20, Resolver::system(), Some(Duration::from_secs(10)))
    }

    fn with(body_memory: usize, resolver: Resolver, at_once_after: Option<Duration>) -> Self {
        let store = Arc::new(Recorder::default());
        let registry = Registry::new();
        let began = Instant::now();
        let budget = BodyBudget::new(body_memory);
        let clock_set_ms = Arc::new(AtomicI64::new(0));
        let (set_ms, readings) = (Arc::clone(&clock_set_ms), AtomicI64::new(0));
        let shared = Shared {
            appender: Arc::clone(&store) as Arc<dyn model::Appender>,
            metrics: Metrics::new(&registry).unwrap(),
            threads: Arc::new(Threads::start(0).unwrap()),
            workers: Workers::new(2),
            room: Room::new(budget.clone(), 2),
            failure_logs: FailureLogs::default(),
            handovers: Handovers::default(),
            lost: Arc::default(),
            now: Arc::new(move || {
                // No two readings are equally exact.
                let late_ms = readings.fetch_add(1, Ordering::Relaxed) % 2;
                START + i64::try_from(began.elapsed().as_millis()).unwrap() + set_ms.load(Ordering::Relaxed) + late_ms
            }),
            known: (began, START),
            seed: Arc::default(),
            at_once_after,
        };
        let options = Options {
            user_agent: "Weft/test".to_owned(),
            resolver,
            wanted: Wanted::default(),
            body_memory,
            threads: 0,
            at_once_after,
        };
        Self {
            manager: Manager::over(shared, options),
            store,
            registry,
            budget,
            clock_set_ms,
            asked: Arc::default(),
            folder: tempfile::tempdir().unwrap(),
            targets: JoinSet::new(),
        }
    }

    /// A target of that name, which answers from now on.
    fn serve(&mut self, name: &str, answers: impl Fn(usize) -> Option<Vec<u8>> + Send + 'static) {
        let listener = UnixListener::bind(self.folder.path().join(name)).unwrap();
        let (asked, name) = (Arc::clone(&self.asked), name.to_owned());
        self.targets.spawn(serve(listener, asked, name, Box::new(answers)));
    }

    /// The configuration with these jobs, in short notation.
    async fn apply(&self, jobs: &str) {
        self.apply_with_seed(jobs, 0).await;
    }

    async fn apply_with_seed(&self, jobs: &str, seed: u64) {
        let text = format!("scrape_configs: [{jobs}]");
        let config = Config::parse(&text, Path::new("prometheus.yml"), &|_| None).unwrap();
        self.manager.apply(&config.scrape_configs, seed).await;
    }

    /// The labels of a target that listens under this name.
    fn labels(&self, name: &str, more: &[(&str, &str)]) -> Labels {
        let socket = self.folder.path().join(name).display().to_string();
        let own = [("__address__", name), ("__unix_socket__", socket.as_str())];
        Labels::from_pairs(own.into_iter().chain(more.iter().copied()))
    }

    /// Discovery now knows these targets of these jobs.
    async fn discover(&self, jobs: &[(&str, &[Labels])]) {
        let group = |targets: &[Labels]| {
            let source = "test".to_owned();
            vec![Arc::new(TargetGroup {
                source,
                labels: Labels::empty(),
                targets: targets.iter().cloned().map(Into::into).collect(),
            })]
        };
        let groups: TargetGroups = jobs.iter().map(|(job, targets)| ((*job).to_owned(), group(targets))).collect();
        self.manager.sync(Arc::new(groups)).await;
    }

    async fn seconds(&self, seconds: f64) {
        sleep(Duration::from_secs_f64(seconds)).await;
    }

    /// Until the target was asked that often, and was given a moment to be done with.
    async fn scraped(&self, name: &str, times: usize) {
        while self.asked().get(name).map_or(0, Vec::len) < times {
            self.seconds(0.01).await;
        }
        self.seconds(0.5).await;
    }

    /// What was stored since the last look but report series, times in seconds since the start: `15.123 m{…} 1`.
    fn stored(&self) -> Vec<String> {
        self.store.take().iter().map(|line| since_start(line)).collect()
    }

    /// The same of one series that a report has.
    fn reported(lines: &[String], series: &str) -> Vec<String> {
        let of = |line: &&String| line.contains(&format!(" {series}{{")) || line.contains(&format!(" {series} "));
        lines.iter().filter(of).map(|line| line.rsplit_once(' ').unwrap().1.to_owned()).collect()
    }

    async fn targets(&self, job: &str) -> Vec<ActiveTarget> {
        self.manager.status().await.remove(job).unwrap_or_default().active
    }

    async fn error(&self, job: &str) -> String {
        self.targets(job).await.remove(0).status.last_error
    }

    fn asked(&self) -> MutexGuard<'_, BTreeMap<String, Vec<String>>> {
        self.asked.lock().unwrap()
    }

    /// The value, or the sum, of one of the engine's own metrics.
    fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map(prometheus::proto::MetricFamily::get_metric).unwrap_or_default();
        metrics
            .iter()
            .map(|m| m.get_counter().get_value() + m.get_gauge().get_value() + m.get_histogram().get_sample_sum())
            .sum()
    }
}

fn since_start(line: &str) -> String {
    let (ms, rest) = line.split_once(' ').unwrap();
    let since = Timestamp(ms.parse().unwrap()) - START;
    format!("{}.{:03} {rest}", since.div_euclid(1000), since.rem_euclid(1000))
}

/// A line without its time.
fn timeless(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split_once(' ').unwrap().1).collect()
}

async fn serve(
    listener: UnixListener,
    asked: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
    name: String,
    answers: Answers,
) {
    let answers = Arc::new(Mutex::new((0, answers)));
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(connection(stream, Arc::clone(&asked), name.clone(), Arc::clone(&answers)));
    }
}

async fn connection(
    mut stream: UnixStream,
    asked: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
    name: String,
    answers: Arc<Mutex<(usize, Answers)>>,
) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap();
        asked.lock().unwrap().entry(name.clone()).or_default().push(head);
        let answer = {
            let mut answers = answers.lock().unwrap();
            answers.0 += 1;
            (answers.1)(answers.0 - 1)
        };
        match answer {
            // The other side may be gone.
            Some(bytes) => drop(stream.write_all(&bytes).await),
            None => std::future::pending().await,
        }
    }
}
