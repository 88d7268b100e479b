//! Everything at once: clients that say nothing, half of it or too much, queries that ask for everything, targets that stall
//! and inflate, a clock that steps, and kill -9 through all of it. Health checks are answered, memory stays bounded, and of what
//! healthy targets said every sample is stored once: each carries a serial number.
//!
//! Some lives in a run of the tests; as many as fit into `WEFT_TORTURE_SECONDS` where that is set.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test: a failed step is its message")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use kit::{Answer, Exporter, TestClock, Weft, eventually, free_port};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const HEALTHY: usize = 8;
const LIVES: usize = 3;
/// Health checks of one life, ten a second.
const CHECKS: usize = 30;
const MEMORY_MAX: u64 = 600 << 20;

/// A thread that repeats something at a pace, until dropped.
struct Loop(Option<(Sender<()>, JoinHandle<()>)>);

impl Loop {
    fn start(every: Duration, mut work: impl FnMut(usize) + Send + 'static) -> Self {
        let (stop, stopped) = channel::<()>();
        let run = move || {
            for i in 0.. {
                work(i);
                if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        Self(Some((stop, spawn(run))))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            thread.join().ok();
        }
    }
}

fn connect(port: u16, patience: Duration) -> Option<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream.set_write_timeout(Some(patience)).ok()?;
    Some(stream)
}

/// What health checks saw.
#[derive(Default)]
struct Health {
    /// Is the server up, and how often was it started?
    up: AtomicBool,
    lives: AtomicUsize,
    answered: Mutex<Vec<Duration>>,
    failed: Mutex<Vec<String>>,
}

impl Health {
    fn check(&self, port: u16) {
        let life = self.lives.load(Ordering::SeqCst);
        if !self.up.load(Ordering::SeqCst) {
            return;
        }
        let began = Instant::now();
        let mut answer = String::new();
        let asked = connect(port, Duration::from_secs(20)).ok_or("no connection".to_owned()).and_then(|mut stream| {
            let said = stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n");
            said.and_then(|()| stream.read_to_string(&mut answer)).map_err(|error| error.to_string())
        });
        let took = began.elapsed();
        let same_life = self.up.load(Ordering::SeqCst) && self.lives.load(Ordering::SeqCst) == life;
        match asked {
            Ok(_) if answer.starts_with("HTTP/1.1 200") => self.answered.lock().unwrap().push(took),
            other if same_life => self.failed.lock().unwrap().push(format!("{other:?} {answer:?} after {took:?}")),
            _ => {}
        }
    }

    fn answers(&self) -> usize {
        self.answered.lock().unwrap().len()
    }
}

/// Queries that ask for more than there is.
fn hostile_query(i: usize) -> String {
    let mut doubling = "{__name__=~\".+\"}".to_owned();
    for _ in 0..25 {
        doubling = format!("label_join({doubling},\"l\",\"\",\"l\",\"job\",\"l\")");
    }
    let all = [
        doubling,
        "count({__name__=~\".+\"} * on() group_left(job) count by (job) ({__name__=~\".+\"}))".to_owned(),
        "sum_over_time(({__name__=~\".+\"} @ end())[30d:1s])".to_owned(),
        "quantile_over_time(0.5, {__name__=~\".+\"}[400d])".to_owned(),
        "sort_desc({__name__=~\".+\"} or {__name__=~\".+\"} or label_replace({__name__=~\".+\"},\"a\",\"$1$1\",\"job\",\"(.*)\"))".to_owned(),
        format!("{{a=~\"{}\"}}", "(x+x+)+".repeat(200)),
        "(".repeat(5000),
    ];
    all[i % all.len()].clone()
}

/// One hostile client; some stay, and are let go when there are too many.
fn annoy(port: u16, i: usize, held: &mut Vec<TcpStream>) {
    let Some(mut stream) = connect(port, Duration::from_millis(200)) else { return };
    let form = |path: &str, body: &str| {
        let kind = "Content-Type: application/x-www-form-urlencoded";
        format!("POST {path} HTTP/1.1\r\nHost: w\r\n{kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let encoded = |query: &str| {
        query.bytes().fold(String::new(), |mut text, byte| {
            write!(text, "%{byte:02x}").unwrap();
            text
        })
    };
    let said = match i % 6 {
        0 => String::new(),
        1 => "GET /-/healthy HTTP/1.1\r\nHost:".to_owned(),
        2 => form("/api/v1/query", &"x".repeat(1000)).split_at(400).0.to_owned(),
        3 => form("/api/v1/query", &format!("query={}", encoded(&hostile_query(i / 6)))),
        4 => {
            let query = encoded(&hostile_query(i / 6));
            form("/api/v1/query_range", &format!("query={query}&start=0&end=1000000&step=100"))
        }
        _ => form("/api/v1/series", &"match[]=%7B__name__%3D~%22.%2B%22%7D&".repeat(5000)),
    };
    stream.write_all(said.as_bytes()).ok();
    held.push(stream);
    if held.len() > 300 {
        held.drain(..100);
    }
}

/// Targets that do not want to be scraped.
fn hostile_targets() -> Vec<Exporter> {
    let endless = |chunk: &'static [u8]| Exporter::start(move |_| Answer::Endless(chunk.to_vec()));
    let lie = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 99999999\r\n\r\nup 1\n".to_vec();
    vec![
        endless(b"endless 1\n"),
        endless(b"# a comment without an end"),
        Exporter::start(move |_| Answer::Raw(lie.clone())),
        Exporter::start(|_| Answer::Raw(Vec::new())),
        Exporter::start(|_| Answer::Raw(vec![0xff; 1 << 20])),
    ]
}

struct Campaign {
    served: Vec<Arc<AtomicUsize>>,
    _targets: Vec<Exporter>,
    port: u16,
    clock: TestClock,
    health: Arc<Health>,
    peak: u64,
}

impl Campaign {
    fn start() -> (Self, Weft) {
        let folder = tempfile::tempdir().unwrap();
        let clock = TestClock::new(folder.path());
        let served: Vec<Arc<AtomicUsize>> = (0..HEALTHY).map(|_| Arc::default()).collect();
        let mut targets = Vec::new();
        for served in &served {
            let served = Arc::clone(served);
            targets.push(Exporter::start(move |_| {
                let mut page = format!("# TYPE serial gauge\nserial {}\n", served.fetch_add(1, Ordering::SeqCst));
                (0..200).for_each(|i| writeln!(page, "filler{{i=\"{i}\"}} {i}").unwrap());
                Answer::Metrics(page)
            }));
        }
        let hostile = hostile_targets();
        let list = |all: &[Exporter]| all.iter().map(|one| format!("'{}'", one.address)).collect::<Vec<_>>().join(", ");
        let config = format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}\nscrape_configs:\n\
             - {{job_name: healthy, static_configs: [{{targets: [{}]}}]}}\n\
             - {{job_name: hostile, body_size_limit: 20MB, static_configs: [{{targets: [{}]}}]}}\n",
            list(&targets),
            list(&hostile)
        );
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        targets.extend(hostile);
        let port = free_port();
        let weft = Weft::start_with(folder, &Self::flags(port).each_ref().map(String::as_str), &clock.environment());
        let health = Arc::<Health>::default();
        (Self { served, _targets: targets, port, clock, health, peak: 0 }, weft)
    }

    fn flags(port: u16) -> [String; 4] {
        [
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--web.max-connections=40".to_owned(),
            "--query.max-memory=64MB".to_owned(),
            "--query.timeout=5s".to_owned(),
        ]
    }

    /// One life, until it has answered so many health checks, and its end.
    fn live(&mut self, mut weft: Weft, life: usize) -> Weft {
        // Never twice the same day: what is stored as of a wrong time stays alone there.
        let off_ms = if life % 2 == 1 { (20 + 10 * i64::try_from(life).unwrap()) * DAY_MS } else { 0 };
        self.clock.set(off_ms);
        self.health.lives.fetch_add(1, Ordering::SeqCst);
        self.health.up.store(true, Ordering::SeqCst);
        let before = self.health.answers();
        eventually("health checks are answered", || match self.health.answers() - before {
            answered if answered >= CHECKS => Ok(()),
            answered => {
                let ended = weft.process.ended();
                assert!(ended.is_none(), "it ended: {ended:?}\n{}", weft.process.output());
                Err(format!("{answered}; failed: {:?}", self.health.failed.lock().unwrap().last()))
            }
        });
        self.peak = self.peak.max(weft.peak_memory());
        self.health.up.store(false, Ordering::SeqCst);
        weft.restart("KILL", &Self::flags(self.port).each_ref().map(String::as_str))
    }

    /// What is stored of the serial numbers, target by target, and how many scrapes failed.
    fn stored(weft: &Weft) -> (BTreeMap<String, Vec<usize>>, usize) {
        let mut serials = BTreeMap::new();
        let result = |query: &str| weft.http.query(query).unwrap().as_array().unwrap().clone();
        for series in result("serial{job=\"healthy\"}[30000d] @ 4000000000") {
            let values = series["values"].as_array().unwrap().iter();
            let values = values.map(|value| value[1].as_str().unwrap().parse::<f64>()).filter_map(Result::ok);
            let values = values.filter(|value| !value.is_nan()).map(|value| value as usize);
            serials.insert(series["metric"]["instance"].as_str().unwrap().to_owned(), values.collect());
        }
        let ups = result("up{job=\"healthy\"}[30000d] @ 4000000000");
        let down = |series: &serde_json::Value| {
            series["values"].as_array().unwrap().iter().filter(|value| value[1] == "0").count()
        };
        (serials, ups.iter().map(down).sum())
    }
}

#[test]
fn nothing_takes_it_down() {
    let seconds = std::env::var("WEFT_TORTURE_SECONDS").ok().map(|text| text.parse::<u64>().unwrap());
    let began = Instant::now();
    let (mut campaign, mut weft) = Campaign::start();
    let (port, health) = (campaign.port, Arc::clone(&campaign.health));
    let checks = Loop::start(Duration::from_millis(100), move |_| health.check(port));
    let mut held = Vec::new();
    let clients = Loop::start(Duration::from_millis(5), move |i| annoy(port, i, &mut held));
    let mut lives = 0;
    while seconds.map_or(lives < LIVES, |seconds| began.elapsed() < Duration::from_secs(seconds)) {
        weft = campaign.live(weft, lives);
        lives += 1;
    }
    drop((checks, clients));
    // What is asked for from here on is not counted.
    let served: Vec<usize> = campaign.served.iter().map(|served| served.load(Ordering::SeqCst)).collect();
    campaign.clock.set(0);
    weft = weft.restart("TERM", &["--query.max-memory=1GB"]);
    let (stored, failed) = Campaign::stored(&weft);
    let mut missing = 0;
    assert_eq!(stored.len(), HEALTHY);
    for (instance, mut values) in stored {
        values.sort_unstable();
        let doubled = values.windows(2).find(|pair| pair[0] == pair[1]);
        assert!(doubled.is_none(), "{instance}: {doubled:?} is stored twice");
        let i = campaign._targets.iter().position(|target| target.address == instance).unwrap();
        missing += served[i] - values.iter().filter(|value| **value < served[i]).count();
    }
    let mut took = std::mem::take(&mut *campaign.health.answered.lock().unwrap());
    took.sort_unstable();
    eprintln!(
        "{lives} lives, {} served, {missing} not stored, {failed} scrapes failed; {} health checks, median {:?}, 99th \
         percentile {:?}, longest {:?}; {} MB at most",
        served.iter().sum::<usize>(),
        took.len(),
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        took[took.len() - 1],
        campaign.peak >> 20
    );
    // A scrape that is under way when the process is killed is answered and not stored.
    let ends = HEALTHY * (lives + 1);
    assert!(missing <= failed + ends, "{missing} samples are missing, {failed} scrapes failed, {ends} were cut off");
    let failed = campaign.health.failed.lock().unwrap();
    assert!(failed.is_empty(), "{} health checks failed: {:?}", failed.len(), failed.first());
    assert!(campaign.peak < MEMORY_MAX, "{} MB", campaign.peak >> 20);
}
