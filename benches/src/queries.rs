//! The list of queries, and how each is timed.

use std::time::Duration;

use anyhow::Result;
use model::Timestamp;
use serde_json::{Value, json};

use crate::http::{Http, escape, instant, seconds};
use crate::process::Process;

/// A query whose first run takes longer gets a third of the runs.
const SLOW: Duration = Duration::from_secs(1);

/// A request under a name.
#[derive(Clone, Debug)]
pub struct Query {
    /// In the table.
    pub name: &'static str,
    /// What is asked, for people.
    pub text: String,
    /// What is asked, for servers.
    pub path: String,
}

/// When the data is from.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The first time asked for.
    pub from: Timestamp,
    /// The last one.
    pub to: Timestamp,
    /// Seconds between two scrapes.
    pub interval: u64,
}

/// How it went.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Median from connecting to the last byte.
    pub median: Duration,
    /// CPU time of the server for one run.
    pub cpu: Duration,
    /// Series, label sets or names in the answer; the error where there is one.
    pub answer: Result<usize, String>,
    /// Bytes of the answer.
    pub bytes: usize,
    /// How often it was asked.
    pub runs: usize,
}

impl Timing {
    /// For the JSON.
    #[must_use]
    pub fn json(&self, query: &Query) -> Value {
        json!({
            "query": query.text,
            "median_ms": self.median.as_secs_f64() * 1e3,
            "cpu_ms": self.cpu.as_secs_f64() * 1e3,
            "series": self.answer.as_ref().ok(),
            "error": self.answer.as_ref().err(),
            "bytes": self.bytes,
            "runs": self.runs,
        })
    }
}

/// The list. Names are the fleet's; `pod` is one that was there all the time.
#[must_use]
pub fn list(span: Span, pod: &str) -> Vec<Query> {
    // As Grafana's $__rate_interval: four scrapes at least, and no less than half a minute here.
    let window = format!("{}s", (4 * span.interval).max(30));
    let step = ((span.to - span.from) / 60_000).max(1);
    let now = |name, text: String| Query { name, path: instant(&text, span.to), text };
    let (from, to) = (seconds(span.from), seconds(span.to));
    let range = |name, text: String| {
        let path = format!("/api/v1/query_range?nocache=1&start={from}&end={to}&step={step}&query={}", escape(&text));
        Query { name, path, text: format!("{text} @ {} steps of {step} s", (span.to - span.from) / 1_000 / step + 1) }
    };
    let look = |name, path: &str, selector: &str| {
        let matching = if selector.is_empty() { String::new() } else { format!("&match[]={}", escape(selector)) };
        let path = format!("/api/v1/{path}?start={from}&end={to}{matching}");
        Query { name, text: path.clone(), path }
    };
    // Every tenth target is a node-exporter: addresses that end in 5.
    let instances = "127[.]10[.]0[.].*5:.+";
    // As a dashboard's variable with many values writes it.
    let prefixes = (0..1000).map(|i| format!("app{i}-.+|{}{i}.+", &pod[..pod.len() / 2])).collect::<Vec<_>>().join("|");
    vec![
        now("instant, one series", format!("process_resident_memory_bytes{{pod=\"{pod}\"}}")),
        now("instant, one name", "http_requests_total".to_owned()),
        now("instant, one pod, all names", format!("{{pod=\"{pod}\"}}")),
        now("rate, one app", format!("rate(http_requests_total{{app=\"checkout\"}}[{window}])")),
        now("topk of rates", format!("topk(10, sum by (pod) (rate(http_requests_total[{window}])))")),
        now("regex, 2 000 prefixes", format!("count(process_resident_memory_bytes{{pod=~\"{prefixes}\"}})")),
        now("count by name", "count by (__name__) ({job=\"fleet\"})".to_owned()),
        now("max_over_time", format!("max_over_time(go_goroutines[{window}])")),
        now("changes, kube-state", format!("sum by (namespace) (changes(kube_pod_status_ready[{window}]))")),
        now(
            "quantile by route",
            format!(
                "histogram_quantile(0.99, sum by (le, route) (rate(http_request_duration_seconds_bucket{{app=\"cart\"}}[{window}])))"
            ),
        ),
        range("range, one series", format!("process_resident_memory_bytes{{pod=\"{pod}\"}}")),
        range(
            "range, rate of one pod",
            format!("sum by (route) (rate(http_requests_total{{pod=\"{pod}\"}}[{window}]))"),
        ),
        range("range, sum of rates", format!("sum by (app, code) (rate(http_requests_total[{window}]))")),
        range(
            "range, quantile by app",
            format!(
                "histogram_quantile(0.99, sum by (le, app) (rate(http_request_duration_seconds_bucket[{window}])))"
            ),
        ),
        range(
            "range, regex of instances",
            format!(
                "sum by (instance) (rate(node_cpu_seconds_total{{instance=~\"{instances}\",mode!=\"idle\"}}[{window}]))"
            ),
        ),
        range("range, avg_over_time", format!("avg by (app) (avg_over_time(go_memstats_alloc_bytes[{window}]))")),
        range(
            "range, quantile_over_time",
            format!("max by (app) (quantile_over_time(0.9, http_requests_in_flight[{window}]))"),
        ),
        range("range, join", "sum by (app) (go_memstats_heap_inuse_bytes / process_resident_memory_bytes)".to_owned()),
        range("range, nothing", "http_requests_total{app=\"no-such-app\"}".to_owned()),
        look("series of one app", "series", "http_requests_total{app=\"checkout\"}"),
        look("label names", "labels", ""),
        look("values of pod", "label/pod/values", ""),
        look("values of route, one app", "label/route/values", "http_requests_total{app=\"search\"}"),
    ]
}

/// Asks so many times.
///
/// # Errors
/// When the server does not answer.
pub fn time(query: &Query, runs: usize, http: Http, server: &Process) -> Result<Timing> {
    let first = http.get(&query.path)?;
    let runs = if first.took > SLOW { runs.div_ceil(3) } else { runs }.max(1);
    let (answer, bytes) = (count(first.status, &first.body), first.body.len());
    let before = server.cpu()?;
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        times.push(http.get(&query.path)?.took);
    }
    let cpu = server.cpu()?.saturating_sub(before);
    times.sort();
    let runs_u32 = u32::try_from(runs).unwrap_or(u32::MAX);
    Ok(Timing { median: times[times.len() / 2], cpu: cpu / runs_u32, answer, bytes, runs })
}

fn count(status: u16, body: &[u8]) -> Result<usize, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("status {status}: {error}"))?;
    if status != 200 || value["status"] != "success" {
        let message = value["error"].as_str().unwrap_or_default();
        return Err(format!("status {status}: {}", message.chars().take(200).collect::<String>()));
    }
    let data = &value["data"];
    data.as_array()
        .or_else(|| data["result"].as_array())
        .map(Vec::len)
        .ok_or_else(|| "no list in the answer".to_owned())
}
