//! Two hundred targets that stall, inflate, lie, reset, drip and redirect, beside healthy ones: those go on to be scraped, all
//! that they were asked for is stored, and the server's memory stays bounded. `WEFT_TORTURE_SECONDS` makes it
//! longer.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test: a failed step is its message")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kit::{Weft, eventually, read_head};
use serde_json::Value;

/// Seconds between the scrapes of the small healthy targets, and what each of them may take.
const INTERVAL: usize = 5;
/// The same of the big one: a debug build on a busy machine takes long for its page.
const BIG_INTERVAL: usize = 15;
/// Pages of each small healthy target that are stored before the outcome is looked at.
const SCRAPES: usize = 4;
const SMALL: usize = 10;
/// How many of each kind of hostile targets there are.
const EACH: usize = 14;

/// What a hostile target does with a request, and what must stand in its error (one of them).
type Kind = (&'static str, fn(&mut TcpStream, &Hostile) -> std::io::Result<()>, &'static [&'static str]);

const TIMEOUT: &str = "context deadline exceeded";
const EVICTED: &str = "the scrape was ended to free";

const KINDS: [Kind; 15] = [
    ("silent", |stream, _| stall(stream), &[]),
    ("drip-head", |stream, _| drip(stream, b"HTTP/1.1 200 OK\r\nx: y"), &[]),
    (
        "drip-body",
        |stream, _| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100000\r\n\r\n")?;
            drip(stream, b"# one byte at a time")
        },
        &[],
    ),
    (
        "bomb",
        |stream, hostile| {
            stream.write_all(&hostile.bomb_head)?;
            stream.write_all(&hostile.bomb)?;
            stall(stream)
        },
        &[EVICTED, "body size limit exceeded"],
    ),
    (
        "bombs",
        |stream, hostile| {
            stream.write_all(&hostile.bomb_head)?;
            loop {
                stream.write_all(&hostile.bomb)?;
            }
        },
        &[EVICTED, "body size limit exceeded"],
    ),
    (
        "large",
        |stream, hostile| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1000000000\r\n\r\n")?;
            (0..100).try_for_each(|_| stream.write_all(&hostile.comments))?;
            stall(stream)
        },
        &[EVICTED],
    ),
    (
        "endless",
        |stream, hostile| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")?;
            loop {
                stream.write_all(&hostile.comments)?;
            }
        },
        &[EVICTED, "body size limit exceeded"],
    ),
    (
        "cut",
        |stream, _| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1000\r\n\r\nm 1\n")
        },
        &["before message length reached"],
    ),
    // What is longer than it said ends the connection, and is no error: the page was whole.
    (
        "longer",
        |stream, _| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nm 1\nm 2\nm 3\n")
        },
        &[""],
    ),
    (
        "reset",
        |stream, _| {
            // What is in the way unread makes a reset of the close.
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-ty")
        },
        &["EOF", "connection reset", "closed"],
    ),
    (
        "headers",
        |stream, _| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            loop {
                stream.write_all(b"x-header: never the last one of them\r\n")?;
            }
        },
        &["its head has more than"],
    ),
    (
        "redirects",
        |stream, _| stream.write_all(b"HTTP/1.1 302 Found\r\nlocation: /redirects\r\ncontent-length: 0\r\n\r\n"),
        &["stopped after 10 redirects"],
    ),
    (
        "garbage",
        |stream, _| stream.write_all(&[0x16, 3, 1, 0xff, 0xff, 0, 1, 2, 3, 4, 5, 6, 7]),
        &["malformed HTTP response"],
    ),
    (
        "binary",
        |stream, _| {
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 255\r\n\r\n";
            let body: Vec<u8> = (1..=255).collect();
            stream.write_all(&[&head[..], &body].concat())
        },
        &["line 1"],
    ),
    // Asked over TLS.
    ("no-tls", |stream, _| stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n"), &["not TLS", "TLS handshake"]),
];

/// What the hostile targets share.
struct Hostile {
    bomb_head: Vec<u8>,
    /// Two MiB of a gzip that holds a thousand times as much.
    bomb: Vec<u8>,
    comments: Vec<u8>,
    stop: AtomicBool,
}

impl Hostile {
    fn new() -> Self {
        let comments: Vec<u8> = [b'#'].into_iter().chain([b'x'; 65_534]).chain([b'\n']).collect();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-encoding: gzip\r\n";
        Self {
            bomb_head: format!("{head}content-length: 1000000000\r\n\r\n").into_bytes(),
            bomb: bomb(250),
            comments,
            stop: AtomicBool::new(false),
        }
    }
}

/// Says nothing more until the other side is gone.
fn stall(stream: &mut TcpStream) -> std::io::Result<()> {
    while stream.read(&mut [0; 64])? > 0 {}
    Ok(())
}

fn drip(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte])?;
        stream.set_read_timeout(Some(Duration::from_millis(50)))?;
        // An error says that nothing came meanwhile.
        if let Ok(0) = stream.read(&mut [0; 64]) {
            return Ok(());
        }
    }
    stream.set_read_timeout(None)?;
    stall(stream)
}

/// A gzip member of so many MiB of line feeds, made of stored blocks and back references without a compressor: a thousandth.
fn bomb(mib: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.bytes.extend([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    // One block of fixed codes, not the last: a line feed, then copies of 258 bytes from one byte back.
    bits.push(0b010, 3);
    bits.code(0x30 + u32::from(b'\n'), 8);
    for _ in 0..(mib << 20) / 258 {
        // Length 258: symbol 285, eight bits; distance 1: symbol 0, five bits.
        bits.code(0b1100_0101, 8);
        bits.code(0, 5);
    }
    bits.bytes
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    /// The lowest bit first.
    fn push(&mut self, value: u32, count: u32) {
        self.held |= value << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push((self.held & 0xff) as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// Huffman codes have the highest bit first.
    fn code(&mut self, code: u32, count: u32) {
        self.push(code.reverse_bits() >> (32 - count), count);
    }
}

/// Answers each connection on a thread of its own, as what the path says.
fn serve(listener: TcpListener, hostile: &Arc<Hostile>, served: &Arc<Mutex<BTreeMap<String, usize>>>) {
    let large: Arc<[u8]> = hostile.comments.repeat(160).into();
    for stream in listener.incoming() {
        let (Ok(mut stream), hostile, served) = (stream, Arc::clone(hostile), Arc::clone(served)) else { continue };
        if hostile.stop.load(Ordering::Relaxed) {
            return;
        }
        let large = Arc::clone(&large);
        std::thread::spawn(move || {
            loop {
                let Some(head) = read_head(&mut stream) else { return };
                let path = head.split_whitespace().nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
                let kind = path.split('/').next().unwrap_or_default();
                if let Some((_, act, _)) = KINDS.iter().find(|(name, ..)| *name == kind) {
                    // The other side gives up.
                    act(&mut stream, &hostile).ok();
                    if kind != "redirects" {
                        return;
                    }
                    continue;
                }
                let serial = {
                    let mut served = served.lock().unwrap();
                    let serial = served.entry(path.clone()).or_default();
                    *serial += 1;
                    *serial
                };
                let page = format!("# TYPE serial counter\nserial {serial}\n");
                let filler = if kind == "big" { &large[..] } else { &[] };
                let length = page.len() + filler.len();
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{page}");
                if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(filler)).is_err() {
                    return;
                }
            }
        });
    }
}

fn config(address: &str, failures: &Path) -> String {
    let mut config = "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n".to_owned();
    let mut job = |name: &str, more: &str, paths: &[String]| {
        write!(config, "- job_name: {name}\n{more}  static_configs:\n").unwrap();
        for path in paths {
            let labels = format!("{{__metrics_path__: /{path}, instance: {path}}}");
            writeln!(config, "  - {{targets: ['{address}'], labels: {labels}}}").unwrap();
        }
    };
    for (kind, ..) in KINDS {
        let paths: Vec<String> = (0..EACH).map(|i| format!("{kind}/{i}")).collect();
        let scheme = if kind == "no-tls" { "  scheme: https\n" } else { "" };
        job(kind, scheme, &paths);
    }
    let small: Vec<String> = (0..SMALL).map(|i| format!("small/{i}")).collect();
    for (name, interval, paths) in [("small", INTERVAL, &small[..]), ("big", BIG_INTERVAL, &["big/0".to_owned()])] {
        let times = format!("  scrape_interval: {interval}s\n  scrape_timeout: {interval}s\n");
        job(name, &format!("{times}  scrape_failure_log_file: '{}'\n", failures.display()), paths);
    }
    config
}

#[test]
fn healthy_targets_notice_nothing_of_two_hundred_hostile_ones() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (hostile, served) = (Arc::new(Hostile::new()), Arc::new(Mutex::new(BTreeMap::new())));
    let server = {
        let (hostile, served) = (Arc::clone(&hostile), Arc::clone(&served));
        std::thread::spawn(move || serve(listener, &hostile, &served))
    };
    let folder = tempfile::tempdir().unwrap();
    let failures = folder.path().join("failures.json");
    let weft = Weft::start(&config(&address, &failures), &[]);
    let scrapes = std::env::var("WEFT_TORTURE_SECONDS").ok().and_then(|text| text.parse::<usize>().ok());
    let scrapes = scrapes.map_or(SCRAPES, |seconds| seconds / INTERVAL);
    // In steps, each within the patience of one wait.
    for goal in (SCRAPES..=scrapes.max(SCRAPES)).step_by(SCRAPES) {
        eventually("the pages of the healthy targets are stored", || {
            let few = |path: &str, goal: usize| {
                let pages = samples(&weft, "serial", path).len();
                (pages < goal).then(|| format!("{pages} pages of {path}"))
            };
            let small = (0..SMALL).find_map(|i| few(&format!("small/{i}"), goal));
            small.or_else(|| few("big/0", goal * INTERVAL / BIG_INTERVAL)).map_or(Ok(()), Err)
        });
    }
    let asked = served.lock().unwrap().clone();
    for (path, served) in &asked {
        check_healthy(&weft, path, *served);
    }
    assert_eq!(asked.len(), SMALL + 1);
    // On a busy machine one of them may be too slow; nothing else fails for what the others do.
    for line in std::fs::read_to_string(&failures).unwrap().lines() {
        assert!(line.contains(TIMEOUT), "a healthy target failed: {line}");
    }
    for (kind, _, reasons) in KINDS {
        let found = weft.http.api(&format!("targets?scrapePool={kind}")).unwrap();
        let found = found["activeTargets"].as_array().unwrap();
        assert_eq!(found.len(), EACH);
        for target in found {
            let said = target["lastError"].as_str().unwrap();
            // On a busy machine any of them may be too slow.
            let expected = reasons.iter().any(|reason| said.contains(reason)) || said.contains(TIMEOUT);
            assert!(expected, "{kind}: {target}");
        }
    }
    // The bodies have 512 MiB at most.
    let peak = weft.peak_memory();
    eprintln!("{} MiB at most", peak >> 20);
    assert!(peak < 900 << 20, "{} MiB", peak >> 20);
    hostile.stop.store(true, Ordering::Relaxed);
    TcpStream::connect(&address).unwrap();
    server.join().unwrap();
}

/// The samples of a target's metric, with their times in seconds.
fn samples(weft: &Weft, metric: &str, path: &str) -> Vec<(f64, f64)> {
    let found = weft.http.query(&format!("{metric}{{instance=\"{path}\"}}[1d]")).unwrap();
    let values = found[0]["values"].as_array().cloned().unwrap_or_default();
    values.iter().map(|pair| (pair[0].as_f64().unwrap(), number(&pair[1]))).collect()
}

/// Every page that the target served is stored once, but the last, which may be under way, and those of scrapes that failed.
fn check_healthy(weft: &Weft, path: &str, served: usize) {
    let (serials, up) = (samples(weft, "serial", path), samples(weft, "up", path));
    let failed = up.iter().filter(|(_, up)| *up < 0.5).count();
    assert!(serials.windows(2).all(|pair| pair[0].1 < pair[1].1), "{path}: a page is stored twice: {serials:?}");
    assert!(
        serials.len() + failed + 1 >= served,
        "{path}: {} of {served} pages are stored, {failed} failed",
        serials.len()
    );
    let durations = samples(weft, "scrape_duration_seconds", path);
    let mut durations: Vec<f64> = durations.iter().map(|(_, seconds)| *seconds).collect();
    durations.sort_by(f64::total_cmp);
    // It is for whoever runs the campaign to look at, and decides nothing.
    let (median, taken) = (durations[durations.len() / 2], up.last().unwrap().0 - up[0].0);
    eprintln!("{path}: {} scrapes in {taken:.0} s, {failed} failed, half of them within {median:.4} s", up.len());
}

fn number(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}
