//! What a target is asked, what is made of its answer, and when.

use http_client::HttpClient;
use parking_lot::RwLock;

use super::*;
use crate::budget::BodyBudget;
use crate::fetch::FetchedBody;
use crate::parse::{Format, Wanted};
use crate::scrape_cache::SampleRules;
use crate::scrape_cache::ScrapeCache;
use crate::staleness_handover::SameRules;
use kit::Recorder;

fn job(client: Result<HttpClient, String>) -> JobSettings {
    JobSettings {
        name: "j".into(),
        rules: SampleRules { honor_timestamps: true, ..SampleRules::default() },
        limits_from_annotations: false,
        body_size_limit: None,
        accept: "text/plain;q=0.6,*/*;q=0.5".to_owned(),
        fallback: None,
        compression: true,
        extra_metrics: false,
        wanted: Wanted::default(),
        failure_log: None,
        client,
        same_rules: SameRules::default(),
        refused: RwLock::new(None),
    }
}

fn target(url: &str) -> Arc<Target> {
    Arc::new(Target {
        discovered: model::Labels::empty(),
        labels: model::Labels::empty(),
        public: model::Labels::empty(),
        url: url.to_owned(),
        interval_ms: 1000,
        timeout_ms: 1500,
        hash: 0,
    })
}

fn fetched(format: Format, body: &str) -> Result<Fetched, FetchError> {
    let reservation = BodyBudget::default().body(&"j".into());
    Ok(Fetched { format, wanted: Wanted::default(), body: FetchedBody { bytes: body.into(), reservation } })
}

fn scrape_loop(url: &str, client: Result<HttpClient, String>) -> ScrapeLoop {
    let target = target(url);
    let threads = Arc::new(Threads::start(0).unwrap());
    ScrapeLoop {
        turn: threads.turn((0, 0), 1000).0,
        cache: ScrapeCache::new(target.public.clone()),
        target,
        connection: Connection::default(),
        request: None,
        last_body: 0,
        last_work: Duration::ZERO,
        leaves_out: false,
        job: Arc::new(job(client)),
        shared: Shared {
            appender: Arc::new(Recorder::default()),
            metrics: Metrics::new(&prometheus::Registry::new()).unwrap(),
            threads,
            workers: Workers::new(1),
            room: Room::new(BodyBudget::default(), 1),
            failure_logs: FailureLogs::default(),
            handovers: Handovers::default(),
            lost: Arc::default(),
            now: Arc::new(Timestamp::now),
            known: (Instant::now(), Timestamp::EPOCH),
            seed: Arc::default(),
            at_once_after: None,
        },
        status: Arc::default(),
        length: (None, Histogram::with_opts(prometheus::HistogramOpts::new("l", "l")).unwrap()),
        first_scrape: None,
        handover: None,
        mode: watch::channel(Mode::Run).1,
    }
}

/// What a target is asked, and what its answer is read as.
#[tokio::test]
async fn a_target_is_asked_and_its_answer_names_its_format() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    let serve = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(socket.read_u8().await.unwrap());
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/openmetrics-text; version=1.0.0\r\n";
        let answer = format!("{head}content-length: 6\r\nconnection: close\r\n\r\n# EOF\n");
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap().to_lowercase()
    };
    let resolver = http_client::Resolver::system();
    let client = HttpClient::new(&config::HttpClientConfig::default(), "Prometheus/3.15.0", &resolver).unwrap();
    let mut scrape_loop = scrape_loop(&url, Ok(client));
    let (request, fetched) = tokio::join!(serve, scrape_loop.fetch());
    let fetched = fetched.unwrap();
    assert_eq!((fetched.format, fetched.body.bytes.as_slice()), (Format::OpenMetrics, &b"# EOF\n"[..]));
    for line in [
        "get /metrics http/1.1",
        "accept: text/plain;q=0.6,*/*;q=0.5",
        "accept-encoding: gzip",
        "user-agent: prometheus/3.15.0",
        "x-prometheus-scrape-timeout-seconds: 1.5",
    ] {
        assert!(request.lines().any(|sent| sent == line), "{line}: {request}");
    }
}

#[test]
fn what_failed_is_logged_and_a_body_is_read_as_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("failures.json");
    let store = Arc::new(Recorder::default());
    let target = target("http://t/metrics");
    let job = JobSettings { failure_log: Some(FailureLogs::default().get(&path)), ..job(Err(String::new())) };
    let mut work = ScrapeAppend {
        cache: ScrapeCache::new(target.public.clone()),
        target,
        job: Arc::new(job),
        appender: Arc::clone(&store) as Arc<dyn Appender>,
        fetched: fetched(Format::OpenMetrics, "a 1 2.5\n# EOF\n"),
        ts: Timestamp(1000),
        wall_began: Timestamp(1000),
        began: Instant::now(),
    };
    assert_eq!(work.run().error, "");
    assert_eq!(store.take(), ["2500 a 1"]);
    work.fetched = fetched(Format::OpenMetrics, "a 1\n");
    let error = work.run().error;
    assert_eq!(error, "line 2: data does not end with # EOF: \"\"");
    work.fetched = Err(FetchError::Status("404 Not Found".to_owned(), String::new()));
    work.run();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<_> = lines.iter().map(|line| line["msg"].as_str().unwrap()).collect();
    assert_eq!(said, [error.as_str(), "server returned HTTP status 404 Not Found"]);
    assert_eq!((&lines[0]["job_name"], &lines[1]["target"]), (&"j".into(), &"http://t/metrics".into()));
}

/// scrape-015
#[test]
fn ids_that_the_store_forgot_are_asked_for_again() {
    let recorder = Arc::new(Recorder::default());
    let mut work = ScrapeAppend {
        cache: ScrapeCache::new(model::Labels::empty()),
        target: target("http://t/metrics"),
        job: Arc::new(job(Err(String::new()))),
        appender: Arc::clone(&recorder) as Arc<dyn Appender>,
        fetched: fetched(Format::Text, "a 1\nb 2\n"),
        ts: Timestamp(1000),
        wall_began: Timestamp(1000),
        began: Instant::now(),
    };
    work.run();
    recorder.take_all();
    recorder.forgetful.store(true, std::sync::atomic::Ordering::Relaxed);
    work.fetched = fetched(Format::Text, "a 3\nc 4\n");
    work.ts = Timestamp(2000);
    let outcome = work.run();
    assert_eq!((outcome.error.as_str(), outcome.not_stored), ("", false));
    let stored = recorder.take_all();
    for line in ["2000 a 3", "2000 c 4", "2000 up 1", "2000 scrape_samples_scraped 2"] {
        assert!(stored.iter().any(|stored| stored == line), "{line} in {stored:?}");
    }
    assert!(stored.iter().all(|line| !line.ends_with("stale")), "{stored:?}");
}

#[tokio::test]
async fn what_takes_very_long_holds_up_only_its_like() {
    let workers = Workers::new(2);
    let (short, long) = (Duration::from_millis(10), Duration::from_secs(3));
    // Of 200 such targets one is read at a time.
    let _slow = workers.for_body(1_000_000, long).await.unwrap();
    for (bytes, last_work) in [(1_000_000, long), (100 << 20, short)] {
        let waits = std::pin::pin!(workers.for_body(bytes, last_work));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waits.poll(&mut context).is_pending());
    }
    let _quick = [workers.for_body(10 << 20, short).await.unwrap(), workers.for_body(0, short).await.unwrap()];
}

#[tokio::test]
async fn a_scrape_that_fails_says_nothing_of_the_bodies_of_its_target() {
    let mut scrape_loop = scrape_loop("http://t/metrics", Err("no client".to_owned()));
    let (_mode, receiver) = watch::channel(Mode::Run);
    scrape_loop.mode = receiver;
    let long = Duration::from_secs(3);
    (scrape_loop.last_body, scrape_loop.last_work) = (1_000_000, long);
    scrape_loop.scrape(Timestamp(1000)).await;
    assert_eq!(scrape_loop.status.lock().last_error, "no client");
    assert_eq!((scrape_loop.last_body, scrape_loop.last_work), (1_000_000, long));
}
