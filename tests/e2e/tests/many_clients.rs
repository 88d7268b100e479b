//! Two thousand clients at once, some of which read a byte at a time and some of which never finish what they ask: each that
//! behaves gets its answer, health checks are answered all the while, memory and threads stay bounded, and no scrape is missed.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test: a failed step is its message")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use kit::{Answer, Exporter, Http, PATIENCE, Weft, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::timeout;

const CLIENTS: usize = 2_000;
const SLOW: usize = 6;
const HALF: usize = 200;
/// Of what slow readers ask for.
const STEPS: u64 = 150;
/// Series of the metric that is asked for.
const SERIES: usize = 2_000;
/// Each counts its scrapes.
const TARGETS: usize = 20;
const QUERY_MEMORY: u64 = 192_000_000;
/// What a process needs without queries, connections among it.
const OTHER_MEMORY: u64 = 200_000_000;
/// Of the process, whatever the number of its clients.
const THREADS_MAX: usize = 200;
/// Sockets on both sides.
const FILES: u64 = 8_192;

const HALF_A_FORM: &str = "POST /api/v1/query HTTP/1.1\r\nHost: w\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                           Content-Length: 99\r\n\r\nquery=";

/// What a client asks, and a part of the right answer.
struct Question {
    path: String,
    expected: String,
}

/// No two clients ask the same.
fn question(i: usize) -> Question {
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let series = i % SERIES;
    match i % 5 {
        0 => Question {
            path: format!("/api/v1/query?query={}", encoded(&format!("wide{{i=\"{series}\"}} + {i}"))),
            expected: format!("\"{}\"]}}]}}}}", series + i),
        },
        1 => Question {
            path: format!("/api/v1/query?query={}", encoded(&format!("count(wide) + {i}"))),
            expected: format!("\"{}\"]}}]}}}}", SERIES + i),
        },
        2 => Question {
            path: format!("/api/v1/series?match[]={}", encoded(&format!("wide{{i=\"{series}\"}}"))),
            expected: format!("\"i\":\"{series}\""),
        },
        3 => Question {
            path: format!("/api/v1/label/i/values?match[]={}", encoded(&format!("wide{{i=~\"{series}|none{i}\"}}"))),
            expected: format!("[\"{series}\"]"),
        },
        _ => Question {
            path: format!(
                "/api/v1/query_range?query={}&start=0&end=100&step=1",
                encoded(&format!("vector(time() + {i})"))
            ),
            expected: format!("[100,\"{}\"]", 100 + i),
        },
    }
}

/// Status, head and body of an answer to a request on a connection of its own; it is sent once all clients have connected.
async fn exchange(address: &str, path: &str, all: Option<&Barrier>) -> Result<(u16, String, String), String> {
    let shown = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(address).await.map_err(shown)?;
    if let Some(all) = all {
        all.wait().await;
    }
    stream.write_all(request(path).as_bytes()).await.map_err(shown)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map_err(shown)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("no answer: {answer:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    Ok((status, head.to_ascii_lowercase(), body.to_owned()))
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n")
}

/// Asks until there is an answer; says how often the server asked to come back.
async fn ask(address: Arc<str>, i: usize, all: Arc<Barrier>) -> Result<usize, String> {
    let Question { path, expected } = question(i);
    for refused in 0.. {
        let answer = exchange(&address, &path, (refused == 0).then_some(&*all)).await;
        let (status, head, body) = answer.map_err(|error| format!("{path}: {error}"))?;
        match status {
            200 if body.contains(&expected) => return Ok(refused),
            503 => {
                let wait = head.lines().find_map(|line| line.strip_prefix("retry-after: "));
                let wait = wait.and_then(|wait| wait.parse().ok()).ok_or_else(|| format!("{path}: {head}"))?;
                tokio::time::sleep(Duration::from_secs(wait)).await;
            }
            _ => return Err(format!("{path}: {status}, expected {expected}: {body:.300}")),
        }
    }
    unreachable!("BUG: attempts have no end")
}

/// Reads an answer of many megabytes a byte at a time, until it is told to read the rest; says how long it was.
async fn read_slowly(address: Arc<str>, path: String, hurry: Arc<AtomicBool>) -> Result<usize, String> {
    let shown = |error: std::io::Error| format!("a slow reader: {error}");
    let mut stream = TcpStream::connect(&*address).await.map_err(shown)?;
    stream.write_all(request(&path).as_bytes()).await.map_err(shown)?;
    let mut length = 0;
    while !hurry.load(Ordering::Relaxed) {
        stream.read_u8().await.map_err(shown)?;
        length += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut rest = Vec::new();
    BufReader::new(stream).read_to_end(&mut rest).await.map_err(shown)?;
    let end = rest.get(rest.len().saturating_sub(16)..).unwrap_or_default();
    // The body may be in chunks.
    if String::from_utf8_lossy(end).contains("]}]}}") {
        Ok(length + rest.len())
    } else {
        Err("a slow reader: the end is missing".to_owned())
    }
}

/// What was asked of the process while the clients were there.
#[derive(Default)]
struct Watched {
    health_checks: usize,
    threads: usize,
}

/// Asks for the health of the server again and again, each time as a new client.
fn watch(weft: &Weft, stop: &AtomicBool) -> Watched {
    let mut watched = Watched::default();
    while !stop.load(Ordering::Relaxed) {
        let http = Http::new(format!("http://{}", weft.address));
        let (status, said) = http.get("/-/healthy").unwrap();
        assert_eq!(status, 200, "{said}");
        watched.health_checks += 1;
        let status = fs::read_to_string(format!("/proc/{}/status", weft.process.id())).unwrap();
        let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap().trim().parse().unwrap();
        watched.threads = watched.threads.max(threads);
    }
    watched
}

/// Targets that count their scrapes, and one with many series.
fn targets() -> (Vec<Exporter>, Vec<Arc<AtomicUsize>>, String) {
    let counts: Vec<Arc<AtomicUsize>> = (0..TARGETS).map(|_| Arc::default()).collect();
    let serial = |count: &Arc<AtomicUsize>| {
        let count = Arc::clone(count);
        Exporter::start(move |_| Answer::Metrics(format!("serial {}\n", count.fetch_add(1, Ordering::SeqCst))))
    };
    let mut targets: Vec<Exporter> = counts.iter().map(serial).collect();
    let list =
        |targets: &[Exporter]| targets.iter().map(|one| format!("'{}'", one.address)).collect::<Vec<_>>().join(", ");
    let mut page = String::new();
    (0..SERIES).for_each(|i| writeln!(page, "wide{{i=\"{i}\"}} {i}").unwrap());
    let wide = Exporter::start(move |_| Answer::Metrics(page.clone()));
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n\
         - {{job_name: serial, static_configs: [{{targets: [{}]}}]}}\n\
         - {{job_name: wide, static_configs: [{{targets: ['{}']}}]}}\n",
        list(&targets),
        wide.address
    );
    targets.push(wide);
    (targets, counts, config)
}

/// The clients, all at once; how often one of them was asked to come back.
///
/// # Errors
/// When one had no right answer.
async fn crowd(address: &str, now: u64) -> Result<usize, String> {
    let address: Arc<str> = address.into();
    let hurry = Arc::new(AtomicBool::new(false));
    let mut slow = JoinSet::new();
    for i in 0..SLOW {
        // Some megabytes of text: each sample is found for five minutes.
        let path = format!("/api/v1/query_range?query=wide%2B{i}&start={now}&end={}&step=1", now + STEPS);
        slow.spawn(read_slowly(Arc::clone(&address), path, Arc::clone(&hurry)));
    }
    let mut half = Vec::new();
    for i in 0..HALF {
        let mut stream = TcpStream::connect(&*address).await.unwrap();
        let said = if i % 2 == 0 { "GET /api/v1/query?query=" } else { HALF_A_FORM };
        stream.write_all(said.as_bytes()).await.unwrap();
        half.push(stream);
    }
    let mut clients = JoinSet::new();
    let all = Arc::new(Barrier::new(CLIENTS));
    (0..CLIENTS).for_each(|i| drop(clients.spawn(ask(Arc::clone(&address), i, Arc::clone(&all)))));
    let answers = timeout(PATIENCE, clients.join_all()).await.map_err(|_| "not every client is answered")?;
    hurry.store(true, Ordering::Relaxed);
    let slow = timeout(PATIENCE, slow.join_all()).await.map_err(|_| "what is read slowly does not end")?;
    let failed: Vec<&String> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    if let Some(first) = failed.first() {
        return Err(format!("{} clients had no right answer, such as {first}", failed.len()));
    }
    let lengths = slow.into_iter().collect::<Result<Vec<_>, String>>()?;
    eprintln!("answers that were read slowly: {lengths:?} bytes");
    answers.into_iter().sum()
}

#[test]
fn each_client_is_answered_and_scraping_goes_on() {
    let files = rlimit::increase_nofile_limit(FILES).unwrap();
    assert!(files >= FILES, "at most {files} files may be open here, {FILES} are needed");
    let (targets, counts, config) = targets();
    let weft = Weft::start(&config, &[&format!("--query.max-memory={QUERY_MEMORY}B")]);
    eventually("all targets are scraped", || {
        let found = weft.http.query("count(wide) + on () count(serial)")?;
        if found[0]["value"][1].as_str().and_then(|text| text.parse().ok()) == Some(SERIES + TARGETS) {
            Ok(())
        } else {
            Err(found.to_string())
        }
    });
    let now = weft.http.query("time()").unwrap()[0].as_f64().unwrap() as u64;
    let before: Vec<usize> = counts.iter().map(|count| count.load(Ordering::SeqCst)).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let stop = AtomicBool::new(false);
    let (refused, watched) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&weft, &stop));
        let refused = runtime.block_on(crowd(&weft.address, now));
        stop.store(true, Ordering::Relaxed);
        (refused.unwrap_or_else(|why| panic!("{why}")), watching.join().unwrap())
    });
    eventually("each target is scraped on", || {
        let now = counts.iter().zip(&before).map(|(count, before)| count.load(Ordering::SeqCst) - before);
        now.min().filter(|least| *least > 3).map(drop).ok_or_else(|| "not yet".to_owned())
    });
    let stored = stored(&weft);
    assert_eq!(stored.len(), TARGETS);
    for (instance, values) in &stored {
        let target = targets.iter().position(|target| target.address == *instance).unwrap();
        // The last one may be on its way.
        let served = counts[target].load(Ordering::SeqCst);
        let wanted: Vec<usize> = (0..values.len()).collect();
        assert!(*values == wanted && values.len() + 2 >= served, "{instance}: {served} served, stored {values:?}");
    }
    let up = weft.http.query("min(min_over_time(up[1h]))").unwrap();
    assert_eq!(up[0]["value"][1], "1", "no scrape failed");
    let peak = weft.peak_memory();
    eprintln!(
        "{refused} times a client was asked to come back; {} health checks; at most {} threads and {} MB",
        watched.health_checks,
        watched.threads,
        peak >> 20
    );
    assert!(watched.health_checks > 0 && watched.threads <= THREADS_MAX, "{} threads", watched.threads);
    assert!(peak < QUERY_MEMORY + OTHER_MEMORY, "{} MB", peak >> 20);
}

/// The serial numbers that are stored, by target.
fn stored(weft: &Weft) -> BTreeMap<String, Vec<usize>> {
    let result = weft.http.query("serial[1h]").unwrap();
    let number = |sample: &serde_json::Value| sample[1].as_str().unwrap().parse().unwrap();
    let of = |series: &serde_json::Value| {
        let values = series["values"].as_array().unwrap().iter().map(number).collect();
        (series["metric"]["instance"].as_str().unwrap().to_owned(), values)
    };
    result.as_array().unwrap().iter().map(of).collect()
}
