//! One target's clockwork: wait, fetch, read, commit, again. Steps 3 to 6 of the scrape path, in order.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use config::ScrapeProtocol;
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use http_client::{Connection, HttpClient};
use model::duration::format_duration_ms;
use model::{AppendError, Appender};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use url::Url;

use crate::failure_log::{FailureLog, FailureLogs};
use crate::fetch::{BodyBudget, BodyShare, FetchError, fetch};
use crate::layout::{ContentError, Counts, SampleRules, TargetLayout};
use crate::metadata::MetadataCache;
use crate::metrics::Metrics;
use crate::negotiate;
use crate::parse::Format;
use crate::report::{Extra, Report, number};
use crate::schedule::{aligned_ms, until_next_ns};
use crate::target::Target;

/// Body buffers larger than this are not kept for the next scrape.
const BUFFER_KEPT_BYTES: usize = 8 << 20;
/// Body buffers kept, at most.
const BUFFERS_KEPT: usize = 16;

const TIMEOUT_SECONDS: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");

/// What a loop is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Scrape.
    Run,
    /// The target is gone: mark its series stale at the next tick, then end. `Run` before that takes it back.
    End,
    /// End after a scrape that is under way, without markers: another loop takes over.
    Stop,
    /// End at once: the server shuts down.
    Abort,
}

/// What all loops of a server share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) appender: Arc<dyn Appender>,
    pub(crate) metrics: Metrics,
    /// As many at once as there are cores: reading and committing is work, not waiting.
    pub(crate) workers: Arc<Semaphore>,
    pub(crate) buffers: Arc<Mutex<Vec<Vec<u8>>>>,
    pub(crate) budget: BodyBudget,
    pub(crate) failure_logs: FailureLogs,
    pub(crate) seed: u64,
}

/// What all loops of a job share.
#[derive(Debug)]
pub(crate) struct JobSettings {
    pub(crate) name: String,
    pub(crate) rules: SampleRules,
    pub(crate) body_size_limit: Option<usize>,
    /// The `Accept` header.
    pub(crate) accept: String,
    pub(crate) fallback: Option<ScrapeProtocol>,
    pub(crate) compression: bool,
    pub(crate) extra_metrics: bool,
    pub(crate) failure_log: Option<Arc<FailureLog>>,
    /// Why the job has no client.
    pub(crate) client: Result<HttpClient, String>,
    /// Why no target of the job may be scraped now: too many of them.
    pub(crate) refused: RwLock<Option<String>>,
}

/// How a target is doing.
#[derive(Clone, Debug, Default)]
pub struct TargetStatus {
    /// Did the last scrape succeed? `None` before the first.
    pub up: Option<bool>,
    /// Why not; empty when it did.
    pub last_error: String,
    /// When it began, milliseconds since the epoch.
    pub last_scrape_ms: Option<i64>,
    /// How long it took, seconds.
    pub last_duration_s: f64,
    /// HELP and TYPE of the target's families.
    pub metadata: Arc<MetadataCache>,
}

/// One target's loop.
pub(crate) struct ScrapeLoop {
    pub(crate) target: Arc<Target>,
    pub(crate) job: Arc<JobSettings>,
    pub(crate) shared: Shared,
    pub(crate) status: Arc<Mutex<TargetStatus>>,
    pub(crate) layout: TargetLayout,
    pub(crate) connection: Connection,
    pub(crate) mode: watch::Receiver<Mode>,
}

impl ScrapeLoop {
    /// Scrapes until told otherwise; returns what a loop that takes over goes on with.
    pub(crate) async fn run(mut self) -> TargetLayout {
        let interval = Duration::from_millis(self.target.interval_ms.unsigned_abs());
        let wait = self.first_wait();
        let start = Instant::now() + wait;
        tokio::select! {
            () = sleep(wait) => {}
            () = stopped(&mut self.mode) => return self.layout,
        }
        let mut ticks = interval_at(start, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let started_ms = model::time::now_ms();
        loop {
            let tick = tokio::select! {
                tick = ticks.tick() => tick,
                () = stopped(&mut self.mode) => return self.layout,
            };
            let since = i64::try_from(tick.duration_since(start).as_millis()).unwrap_or(i64::MAX);
            let tick_ms = started_ms + since;
            let mode = *self.mode.borrow_and_update();
            match mode {
                Mode::Run => self.scrape(tick_ms).await,
                Mode::End => {
                    self.mark_ended(tick_ms).await;
                    // It may have been taken back meanwhile.
                    if *self.mode.borrow() != Mode::Run {
                        return self.layout;
                    }
                }
                Mode::Stop | Mode::Abort => return self.layout,
            }
        }
    }

    fn first_wait(&self) -> Duration {
        let now_ns = model::time::now_ms().unsigned_abs() * 1_000_000;
        let interval_ns = self.target.interval_ms.unsigned_abs() * 1_000_000;
        Duration::from_nanos(until_next_ns(now_ns, interval_ns, self.target.hash, self.shared.seed))
    }

    async fn scrape(&mut self, tick_ms: i64) {
        let began_ms = model::time::now_ms();
        let ts_ms = aligned_ms(began_ms, tick_ms, self.target.interval_ms);
        let began = Instant::now();
        let mut buffer = self.shared.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let mut mode = self.mode.clone();
        let fetched = tokio::select! {
            fetched = self.fetch(&mut buffer) => fetched,
            () = aborted(&mut mode) => return,
        };
        let Ok(_worker) = Arc::clone(&self.shared.workers).acquire_owned().await else { return };
        let mut work = Work {
            layout: std::mem::replace(&mut self.layout, TargetLayout::new(self.target.public.clone())),
            target: Arc::clone(&self.target),
            job: Arc::clone(&self.job),
            appender: Arc::clone(&self.shared.appender),
            fetched,
            buffer,
            ts_ms,
            began,
        };
        // A panic in there would be a bug of ours; the target goes on with a fresh layout.
        let Ok((work, outcome)) = tokio::task::spawn_blocking(move || {
            let outcome = work.run();
            (work, outcome)
        })
        .await
        else {
            tracing::error!(target = %self.target.url, "the scrape of a target failed inside Weft; this is a bug");
            return;
        };
        self.layout = work.layout;
        self.keep_buffer(work.buffer);
        self.settle(began_ms, began.elapsed(), outcome);
    }

    async fn fetch(&mut self, buffer: &mut Vec<u8>) -> Result<Fetched, FetchError> {
        let refused = self.job.refused.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(reason) = refused {
            return Err(FetchError::Refused(reason));
        }
        let client = self.job.client.as_ref().map_err(|reason| FetchError::Refused(reason.clone()))?;
        let url = &self.target.url;
        let parsed = Url::parse(url).map_err(|error| FetchError::Refused(format!("{url:?} is not a URL: {error}")))?;
        let wait = Duration::from_millis(self.target.timeout_ms.unsigned_abs());
        let encoding = if self.job.compression { "gzip" } else { "identity" };
        let timeout_seconds = seconds(self.target.timeout_ms).to_string();
        let texts =
            [(ACCEPT, self.job.accept.as_str()), (ACCEPT_ENCODING, encoding), (TIMEOUT_SECONDS, &timeout_seconds)];
        let headers: HeaderMap =
            texts.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::from_str(text).ok()?))).collect();
        let (limit, room) = (self.job.body_size_limit, (&mut *buffer, &self.shared.budget));
        let body = timeout(wait, fetch((client, &mut self.connection), (&parsed, &headers), limit, room)).await;
        let (content_type, share) = body.map_err(|_| FetchError::Timeout {
            url: url.clone(),
            timeout: format_duration_ms(self.target.timeout_ms),
        })??;
        // What is empty is empty in every format.
        let format =
            if buffer.is_empty() { Ok(Format::Text) } else { negotiate::format(&content_type, self.job.fallback) };
        Ok(Fetched { format: format?, _share: share })
    }

    async fn mark_ended(&mut self, tick_ms: i64) {
        let ts_ms = aligned_ms(model::time::now_ms(), tick_ms, self.target.interval_ms);
        let mut layout = std::mem::replace(&mut self.layout, TargetLayout::new(self.target.public.clone()));
        let appender = Arc::clone(&self.shared.appender);
        let track = self.job.rules.track_timestamps_staleness;
        let ended = tokio::task::spawn_blocking(move || {
            let result = layout.end(appender.as_ref(), ts_ms, track);
            (layout, result)
        });
        if let Ok((layout, result)) = ended.await {
            self.layout = layout;
            if let Err(error) = result {
                tracing::warn!(target = %self.target.url, error = %chain(&error), "cannot mark the series of a removed target stale");
            }
        }
    }

    fn keep_buffer(&self, mut buffer: Vec<u8>) {
        let mut kept = self.shared.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.capacity() <= BUFFER_KEPT_BYTES && kept.len() < BUFFERS_KEPT {
            buffer.clear();
            kept.push(buffer);
        }
    }

    fn settle(&self, began_ms: i64, took: Duration, outcome: Outcome) {
        let metrics = &self.shared.metrics;
        metrics.duration.observe(took.as_secs_f64());
        metrics.duplicate.inc_by(outcome.counts.duplicate as u64 + u64::from(outcome.committed.duplicate));
        metrics.out_of_bounds.inc_by(outcome.counts.out_of_bounds as u64 + u64::from(outcome.committed.too_old));
        metrics.out_of_order.inc_by(u64::from(outcome.committed.out_of_order));
        metrics.native_histograms.inc_by(outcome.counts.native_histograms as u64);
        metrics.store_failures.inc_by(u64::from(outcome.not_stored));
        match outcome.limit {
            Some(Limit::Samples) => metrics.exceeded_sample_limit.inc(),
            Some(Limit::Body) => metrics.exceeded_body_size_limit.inc(),
            None => {}
        }
        if outcome.committed.out_of_order + outcome.committed.duplicate + outcome.committed.too_old > 0 {
            tracing::warn!(
                target = %self.target.url,
                out_of_order = outcome.committed.out_of_order,
                duplicate = outcome.committed.duplicate,
                too_old = outcome.committed.too_old,
                "samples of a scrape were left out"
            );
        }
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if outcome.error != status.last_error && !outcome.error.is_empty() {
            tracing::debug!(target = %self.target.url, error = %outcome.error, "scrape failed");
        }
        status.up = Some(outcome.error.is_empty());
        status.last_error = outcome.error;
        status.last_scrape_ms = Some(began_ms);
        status.last_duration_s = took.as_secs_f64();
        if status.metadata.generation() != self.layout.metadata.generation() {
            status.metadata = Arc::new(self.layout.metadata.clone());
        }
    }
}

/// What there is to know of a body that is in the buffer.
struct Fetched {
    format: Format,
    /// Of the budget, held until the body is read.
    _share: BodyShare,
}

/// The synchronous part of one scrape.
struct Work {
    layout: TargetLayout,
    target: Arc<Target>,
    job: Arc<JobSettings>,
    appender: Arc<dyn Appender>,
    fetched: Result<Fetched, FetchError>,
    buffer: Vec<u8>,
    ts_ms: i64,
    began: Instant,
}

enum Limit {
    Samples,
    Body,
}

struct Outcome {
    /// Empty when all went well.
    error: String,
    counts: Counts,
    committed: model::Committed,
    limit: Option<Limit>,
    not_stored: bool,
}

impl Work {
    fn run(&mut self) -> Outcome {
        let mut outcome = Outcome {
            error: String::new(),
            counts: Counts::default(),
            committed: model::Committed::default(),
            limit: None,
            not_stored: false,
        };
        let mut body_bytes = 0.0;
        match &self.fetched {
            Err(error) => {
                self.layout.read_nothing();
                outcome.error = chain(error);
                if matches!(error, FetchError::TooLarge { .. }) {
                    outcome.limit = Some(Limit::Body);
                    body_bytes = -1.0;
                }
            }
            Ok(fetched) => {
                body_bytes = number(self.buffer.len());
                let format = fetched.format;
                self.read(format, &mut outcome);
            }
        }
        if !outcome.error.is_empty()
            && let Some(log) = &self.job.failure_log
        {
            log.write(model::time::now_ms(), (&self.job.name, &self.target.url), &outcome.error);
        }
        let mut stored = self.store(&outcome, body_bytes);
        if matches!(stored, Err(AppendError::Forgotten)) {
            self.layout.forget_ids();
            if let (Ok(fetched), true) = (&self.fetched, outcome.error.is_empty()) {
                let format = fetched.format;
                self.read(format, &mut outcome);
            }
            stored = self.store(&outcome, body_bytes);
        }
        match stored {
            Ok(committed) => outcome.committed = committed,
            Err(error) => {
                outcome.error = chain(&error);
                outcome.not_stored = true;
            }
        }
        outcome
    }

    fn read(&mut self, format: Format, outcome: &mut Outcome) {
        let body = (format, &self.buffer[..]);
        let (counts, result) = self.layout.read(body, &self.job.rules, self.ts_ms, self.appender.as_ref());
        outcome.counts = counts;
        if let Err(error) = result {
            outcome.error = chain(&error);
            outcome.limit = matches!(error, ContentError::SampleLimit { .. }).then_some(Limit::Samples);
        }
    }

    fn store(&mut self, outcome: &Outcome, body_bytes: f64) -> Result<model::Committed, AppendError> {
        let report = Report {
            up: outcome.error.is_empty(),
            duration_s: self.began.elapsed().as_secs_f64(),
            counts: outcome.counts,
        };
        let sample_limit = self.job.rules.sample_limit;
        let timeout_s = seconds(self.target.timeout_ms);
        let extra = self.job.extra_metrics.then_some(Extra { timeout_s, sample_limit, body_bytes });
        let track = self.job.rules.track_timestamps_staleness;
        self.layout.commit(self.appender.as_ref(), self.ts_ms, &report.series(extra), track)
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "a timeout is far below 2^53 milliseconds")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

async fn stopped(mode: &mut watch::Receiver<Mode>) {
    drop(mode.wait_for(|mode| matches!(mode, Mode::Stop | Mode::Abort)).await);
}

async fn aborted(mode: &mut watch::Receiver<Mode>) {
    drop(mode.wait_for(|mode| *mode == Mode::Abort).await);
}

#[cfg(test)]
mod tests {
    use std::sync::RwLock;

    use super::*;
    use crate::fake::Recorder;
    use crate::labelling::SeriesRules;

    fn job(client: Result<HttpClient, String>) -> JobSettings {
        JobSettings {
            name: "j".to_owned(),
            rules: SampleRules {
                series: SeriesRules::default(),
                honor_timestamps: true,
                track_timestamps_staleness: false,
                sample_limit: 0,
            },
            body_size_limit: None,
            accept: "text/plain;q=0.6,*/*;q=0.5".to_owned(),
            fallback: None,
            compression: true,
            extra_metrics: false,
            failure_log: None,
            client,
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
        let client = HttpClient::new(&config::HttpClientConfig::default(), "Prometheus/3.15.0").unwrap();
        let target = target(&url);
        let mut scrape_loop = ScrapeLoop {
            layout: TargetLayout::new(target.public.clone()),
            target,
            connection: Connection::default(),
            job: Arc::new(job(Ok(client))),
            shared: Shared {
                appender: Arc::new(Recorder::default()),
                metrics: Metrics::new(&prometheus::Registry::new()).unwrap(),
                workers: Arc::new(Semaphore::new(1)),
                buffers: Arc::default(),
                budget: BodyBudget::default(),
                failure_logs: FailureLogs::default(),
                seed: 0,
            },
            status: Arc::default(),
            mode: watch::channel(Mode::Run).1,
        };
        let mut buffer = Vec::new();
        let (request, fetched) = tokio::join!(serve, scrape_loop.fetch(&mut buffer));
        assert_eq!((fetched.unwrap().format, buffer.as_slice()), (Format::OpenMetrics, &b"# EOF\n"[..]));
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
        let mut work = Work {
            layout: TargetLayout::new(target.public.clone()),
            target,
            job: Arc::new(job),
            appender: Arc::clone(&store) as Arc<dyn Appender>,
            fetched: Ok(Fetched { format: Format::OpenMetrics, _share: BodyShare::default() }),
            buffer: b"a 1 2.5\n# EOF\n".to_vec(),
            ts_ms: 1000,
            began: Instant::now(),
        };
        assert_eq!(work.run().error, "");
        assert_eq!(store.take(), ["2500 a 1"]);
        work.buffer = b"a 1\n".to_vec();
        let error = work.run().error;
        assert_eq!(error, "line 2: data does not end with # EOF: \"\"");
        work.fetched = Err(FetchError::Status("404 Not Found".to_owned()));
        work.run();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let said: Vec<_> = lines.iter().map(|line| line["msg"].as_str().unwrap()).collect();
        assert_eq!(said, [error.as_str(), "server returned HTTP status 404 Not Found"]);
        assert_eq!((&lines[0]["job_name"], &lines[1]["target"]), (&"j".into(), &"http://t/metrics".into()));
    }

    #[test]
    fn ids_that_the_store_forgot_are_asked_for_again() {
        let recorder = Arc::new(Recorder::default());
        let mut work = Work {
            layout: TargetLayout::new(model::Labels::empty()),
            target: target("http://127.0.0.1:1/metrics"),
            job: Arc::new(job(Err("unused".to_owned()))),
            appender: Arc::clone(&recorder) as Arc<dyn Appender>,
            fetched: Ok(Fetched { format: Format::Text, _share: BodyShare::default() }),
            buffer: b"a 1\nb 2\n".to_vec(),
            ts_ms: 1000,
            began: Instant::now(),
        };
        work.run();
        recorder.take_all();
        recorder.forgetful.store(true, std::sync::atomic::Ordering::Relaxed);
        work.buffer = b"a 3\nc 4\n".to_vec();
        work.ts_ms = 2000;
        let outcome = work.run();
        assert_eq!((outcome.error.as_str(), outcome.not_stored, outcome.committed.stored), ("", false, 7));
        let stored = recorder.take_all();
        for line in ["2000 a 3", "2000 c 4", "2000 up 1", "2000 scrape_samples_scraped 2"] {
            assert!(stored.iter().any(|stored| stored == line), "{line} in {stored:?}");
        }
    }
}
