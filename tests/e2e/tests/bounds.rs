//! A query that asks for far more than there is fails with the figure, and nothing else notices; one that nobody waits for
//! ends.
#![allow(clippy::unwrap_used, reason = "a test: a failed step is its message")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kit::{Answer, Exporter, Http, Weft, eventually};

const SERIES: usize = 2_000;
const LIMIT: u64 = 100_000_000;

/// Leaves as those of a tree: so many that the text is long and not deep.
fn tree(leaves: usize) -> String {
    match leaves {
        1 => "label_replace(wide, \"leaf\", \"x\", \"\", \"\")".to_owned(),
        n => format!("({} or {})", tree(n / 2), tree(n - n / 2)),
    }
}

/// A server that scrapes as many series of one metric each second.
fn scraping() -> (Exporter, Arc<AtomicUsize>, String) {
    let scrapes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&scrapes);
    let exporter = Exporter::start(move |_| {
        let n = counted.fetch_add(1, Ordering::Relaxed);
        let mut page = String::from("# TYPE wide gauge\n");
        (0..SERIES).for_each(|i| writeln!(page, "wide{{i=\"{i}\"}} {n}").unwrap());
        Answer::Metrics(page)
    });
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs: [{{job_name: wide, static_configs: [{{targets: ['{}']}}]}}]\n",
        exporter.address
    );
    (exporter, scrapes, config)
}

fn until_scraped(weft: &Weft) {
    eventually("the target is scraped", || match weft.http.query("count(wide)")? {
        found if found[0]["value"][1] == *SERIES.to_string() => Ok(()),
        other => Err(other.to_string()),
    });
}

#[test]
fn a_query_for_more_memory_than_there_is_fails_alone() {
    let (_exporter, scrapes, config) = scraping();
    let flags = [format!("--query.max-memory-per-query={LIMIT}B"), "--query.max-samples=1000000000".to_owned()];
    let weft = Weft::start(&config, &flags.each_ref().map(String::as_str));
    until_scraped(&weft);
    let end = weft.http.query("time()").unwrap()[0].as_f64().unwrap() as i64;
    // 300 leaves of 2 000 series with 11 000 steps of 16 bytes: 105 GB.
    let (start, end, query) = ((end - 10_990).to_string(), (end + 9).to_string(), tree(300));
    let before = scrapes.load(Ordering::Relaxed);
    let form = [("query", &*query), ("start", &*start), ("end", &*end), ("step", "1")];
    let (status, said) = weft.http.post("/api/v1/query_range", &form).unwrap();
    assert_eq!(status, 422, "{said}");
    for part in ["\"execution\"", "100000000 bytes", "--query.max-memory-per-query"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(weft.peak_memory() < LIMIT + 150_000_000, "{} bytes", weft.peak_memory());
    eventually("scraping goes on", || match scrapes.load(Ordering::Relaxed) {
        now if now > before + 1 => Ok(()),
        now => Err(format!("{now} scrapes")),
    });
    let ends = weft.http.query("min(min_over_time(up[1h]))").unwrap();
    assert_eq!(ends[0]["value"][1], "1", "no scrape failed meanwhile");
    // What it held is given back.
    assert_eq!(weft.http.query("count(wide)").unwrap()[0]["value"][1], *SERIES.to_string());
}

#[test]
fn queries_that_together_want_too_much_go_one_after_another() {
    let (_exporter, _, config) = scraping();
    let weft = Weft::start(&config, &["--query.max-memory=24MB", "--query.max-memory-per-query=20MB"]);
    until_scraped(&weft);
    let end = weft.http.query("time()").unwrap()[0].as_f64().unwrap() as i64;
    let (start, end) = (end.to_string(), (end + 99).to_string());
    let ask = || {
        let http = Http::new(format!("http://{}", weft.address));
        let form = [("query", "sort(wide + 0)"), ("start", &*start), ("end", &*end), ("step", "1")];
        let (status, said) = http.post("/api/v1/query_range", &form).unwrap();
        (status, said.chars().take(200).collect::<String>())
    };
    let answers = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| [ask(), ask()])).collect();
        all.into_iter().flat_map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    for (status, said) in answers {
        assert_eq!(status, 200, "{said}");
    }
}

/// Each would take minutes: ten thousand windows of 86 400 samples, of a hundred series.
const LONG: [&str; 3] = [
    "sum(sum_over_time((wide{i=~\"1..\"} @ end())[1d:1s]))",
    "wide + on (i) group_left () topk(5, stddev_over_time((wide{i=~\"1..\"} @ end())[1d:1s]))",
    "max_over_time(sum(predict_linear((wide{i=~\"1..\"} @ end())[1d:1s], 60))[1d:1s])",
];

/// Asks and gives up, as often as there are long queries.
enum Client {
    /// That closes its connection.
    Closing,
    /// That cancels its stream and keeps the connection.
    Cancelling(tokio::runtime::Runtime, reqwest::Client),
}

impl Client {
    fn cancelling() -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self::Cancelling(runtime, reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap())
    }

    /// Asks, and gives up when `running` returns.
    fn ask(&self, url: &str, running: impl FnOnce()) {
        let url = url::Url::parse(url).unwrap();
        match self {
            Self::Closing => {
                let mut client = TcpStream::connect(&url[url::Position::BeforeHost..url::Position::AfterPort]).unwrap();
                let path = &url[url::Position::BeforePath..];
                write!(client, "GET {path} HTTP/1.1\r\nHost: weft\r\n\r\n").unwrap();
                running();
            }
            Self::Cancelling(runtime, client) => {
                let asked = runtime.spawn(client.get(url).send());
                running();
                asked.abort();
            }
        }
    }
}

fn ends_without(client: &Client) {
    let (_exporter, _, config) = scraping();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("queries.log");
    let config = config.replacen("global: {", &format!("global: {{query_log_file: '{}', ", log.display()), 1);
    let weft = Weft::start(&config, &["--query.max-concurrency=1"]);
    until_scraped(&weft);
    let running = || {
        let (_, text) = weft.http.get("/metrics")?;
        let line = text.lines().find(|line| line.starts_with("prometheus_engine_queries "));
        line.map(|line| line.ends_with(" 1")).ok_or(text)
    };
    // Not before the first scrape.
    let end = weft.http.query("time()").unwrap()[0].as_f64().unwrap() as i64 + 1;
    for query in LONG {
        let form = [("query", query), ("start", &(end - 10_000).to_string()), ("end", &end.to_string()), ("step", "1")];
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        client.ask(&format!("http://{}/api/v1/query_range?{form}", weft.address), || {
            eventually("the query runs", || running()?.then_some(()).ok_or_else(|| "not yet".to_owned()));
        });
        eventually("the query has ended", || (!running()?).then_some(()).ok_or_else(|| query.to_owned()));
    }
    // There is a free slot again.
    assert_eq!(weft.http.query("count(wide)").unwrap()[0]["value"][1], *SERIES.to_string());
    let log = std::fs::read_to_string(&log).unwrap();
    let canceled = log.lines().filter(|line| line.contains("query was canceled in expression evaluation")).count();
    assert_eq!(canceled, LONG.len(), "{log}");
}

#[test]
fn a_query_ends_when_its_client_hangs_up() {
    ends_without(&Client::Closing);
}

#[test]
fn a_query_ends_when_its_stream_is_cancelled() {
    ends_without(&Client::cancelling());
}

/// Calls inside one another.
fn nested(times: usize, call: impl Fn(&str) -> String) -> String {
    (0..times).fold("wide{i=\"1\"}".to_owned(), |inner, _| call(&inner))
}

#[test]
fn hostile_requests_are_refused_and_the_server_lives() {
    let (_exporter, scrapes, config) = scraping();
    let flags = [format!("--query.max-memory-per-query={LIMIT}B"), "--enable-feature=promql-extensions".to_owned()];
    let weft = Weft::start(&config, &flags.each_ref().map(String::as_str));
    until_scraped(&weft);
    let before = scrapes.load(Ordering::Relaxed);
    let memory = "--query.max-memory-per-query";
    for (query, status, said) in [
        (
            nested(28, |inner| format!("label_join({inner}, \"i\", \"\", \"i\", \"i\")")),
            422,
            "String too long to encode as label.",
        ),
        (
            nested(28, |inner| format!("label_replace({inner}, \"i\", \"$1$1\", \"i\", \"(.*)\")")),
            422,
            "String too long to encode as label.",
        ),
        (format!("label_replace(wide, \"i\", \"{}\", \"\", \"\")", "x".repeat(4 << 20)), 422, memory),
        (
            format!("WITH (f(x) = {}x{}) f(f(f(f(f(wide)))))", "abs(".repeat(50), ")".repeat(50)),
            400,
            "nested too deeply",
        ),
        (format!("WITH (f(x) = x + x) {}wide{}", "f(".repeat(30), ")".repeat(30)), 400, "query is too large"),
    ] {
        for path in ["/api/v1/query", "/api/v1/format_query"] {
            let (got, body) = weft.http.post(path, &[("query", &query)]).unwrap();
            let shown: String = body.chars().take(300).collect();
            // A text may be formatted that cannot be evaluated.
            let formatted = path.ends_with("format_query") && got == 200 && status == 422;
            assert!(formatted || got == status && body.contains(said), "{path} {query:.60}: {got} {shown}");
        }
    }
    let many: Vec<(&str, &str)> = vec![("match[]", "up"); 600_000];
    let (status, body) = weft.http.post("/api/v1/series", &many).unwrap();
    assert!(status == 400 && body.contains("too many parameters"), "{status} {body}");
    assert!(weft.peak_memory() < LIMIT + 150_000_000, "{} bytes", weft.peak_memory());
    eventually("scraping goes on", || match scrapes.load(Ordering::Relaxed) {
        now if now > before + 1 => Ok(()),
        now => Err(format!("{now} scrapes")),
    });
    assert_eq!(weft.http.query("count(wide)").unwrap()[0]["value"][1], *SERIES.to_string());
}

#[test]
fn answers_that_nobody_takes_are_bounded() {
    let (_exporter, _, config) = scraping();
    let flags = [format!("--query.max-memory={LIMIT}B"), "--query.max-samples=1000000000".to_owned()];
    let weft = Weft::start(&config, &flags.each_ref().map(String::as_str));
    until_scraped(&weft);
    let end = weft.http.query("time()").unwrap()[0].as_f64().unwrap() as i64;
    // 2 000 series with 300 steps: 10 MB of values, and more as text.
    let form = [("query", "wide"), ("start", &(end - 1).to_string()), ("end", &(end + 298).to_string()), ("step", "1")];
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let clients: Vec<TcpStream> = (0..30)
        .map(|_| {
            let mut client = TcpStream::connect(&weft.address).unwrap();
            write!(client, "GET /api/v1/query_range?{form} HTTP/1.1\r\nHost: weft\r\n\r\n").unwrap();
            client
        })
        .collect();
    let running = || {
        let (_, text) = weft.http.get("/metrics")?;
        let line = text.lines().find(|line| line.starts_with("prometheus_engine_queries "));
        line.map(|line| !line.ends_with(" 0")).ok_or(text)
    };
    eventually("all are answered, or refused", || (!running()?).then_some(()).ok_or_else(|| "not yet".to_owned()));
    assert!(weft.peak_memory() < LIMIT + 150_000_000, "{} bytes", weft.peak_memory());
    drop(clients);
    // What they held is given back.
    eventually("a query finds room", || weft.http.query("count(wide)").map(drop));
}
