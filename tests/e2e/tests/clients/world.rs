//! Weft and Prometheus with the same past of a small cluster, a target that lives on, and rules.

use std::fs;
use std::io::Read as _;

use kit::{Answer as Page, Exporter, Http, Past, Prometheus, Weft, assert_kept, eventually};
use reqwest::Client;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::answer::Answer;
use crate::row::{Request, Row};
use crate::shown_cluster::ShownCluster;

const STEP: i64 = 15;
/// Ten minutes.
const PAGES: i64 = 41;
/// Timestamps of each series in one page.
const TIMESTAMPS_PER_PAGE: usize = 14;
/// Of the sidecar's checks: no compaction, and what it changes is allowed.
const FLAGS: [&str; 4] = [
    "--storage.tsdb.min-block-duration=2h",
    "--storage.tsdb.max-block-duration=2h",
    "--web.enable-admin-api",
    "--web.enable-lifecycle",
];
const RULES: &str = "\
groups:
- name: g
  interval: 1s
  rules:
  - {alert: Always, expr: vector(1), labels: {severity: info}, annotations: {summary: It fires.}}
  - {record: one, expr: vector(1), labels: {team: a}}
";
const LIVE: &str = "# HELP node_load1 1m load average.\n# TYPE node_load1 gauge\nnode_load1 0.5\n";

pub struct World {
    pub weft: Weft,
    pub prometheus: Prometheus,
    client: Client,
    runtime: Runtime,
    start: i64,
    end: i64,
    _past: Past,
    _live: Exporter,
}

impl World {
    /// Both servers, once they have all.
    ///
    /// # Errors
    /// When there is no Prometheus.
    pub fn start() -> Result<Self, String> {
        let program = Prometheus::binary()?;
        let past = Past::start();
        let live = Exporter::start(|_| Page::Metrics(LIVE.to_owned()));
        let end = (jiff::Timestamp::now().as_second() - 60) / STEP * STEP;
        let start = end - (PAGES - 1) * STEP;
        let config = |server: &str| {
            format!(
                "global: {{scrape_interval: 1s, evaluation_interval: 1s, external_labels: {{replica: a}}}}\n\
                 rule_files: [rules.yml]\nscrape_configs:\n{}- {{job_name: live, static_configs: [{{targets: ['{}']}}]}}\n",
                past.job(server),
                live.address
            )
        };
        let folder = || {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("rules.yml"), RULES).unwrap();
            folder
        };
        let prometheus = Prometheus::start_with(folder(), &program, &config("prometheus"), &FLAGS, &[]);
        let own = folder();
        fs::write(own.path().join("prometheus.yml"), config("weft")).unwrap();
        let weft = Weft::start_with(own, &FLAGS, &[]);
        let cluster = ShownCluster::new();
        let sample_at = |n: &i64| cluster.page((n * STEP) as f64, (start + n * STEP) * 1000);
        let times: Vec<i64> = (0..PAGES).collect();
        past.tell(times.chunks(TIMESTAMPS_PER_PAGE).map(|times| times.iter().map(sample_at).collect()).collect());
        for (server, http) in [("weft", &weft.http), ("prometheus", &prometheus.http)] {
            eventually(&format!("{server} has all pages"), || past.is_kept_by(server));
            settle(http);
            assert_kept(http);
        }
        let client = Client::builder().no_proxy().no_gzip().build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Ok(Self { weft, prometheus, client, runtime, start, end, _past: past, _live: live })
    }

    pub fn ask_weft(&self, row: &Row) -> Answer {
        self.ask(self.weft.http.base(), row)
    }

    pub fn ask_prometheus(&self, row: &Row) -> Answer {
        self.ask(self.prometheus.http.base(), row)
    }

    /// The beginning and the end of the past, seconds.
    pub fn bounds(&self) -> [i64; 2] {
        [self.start, self.end]
    }

    /// A parameter with the times that it names.
    fn filled(&self, text: &str) -> String {
        let from = self.end - 5 * 60;
        let rfc = |seconds: i64| jiff::Timestamp::from_second(seconds).unwrap().to_string();
        // What begins with another one stands before it.
        let times = [
            ("$end_rfc", rfc(self.end)),
            ("$from_rfc", rfc(from)),
            ("$start", self.start.to_string()),
            ("$end", self.end.to_string()),
            ("$from", from.to_string()),
            ("$day_before", (self.end - 86_400).to_string()),
        ];
        times.into_iter().fold(text.to_owned(), |text, (name, time)| text.replace(name, &time))
    }

    fn ask(&self, base: &str, row: &Row) -> Answer {
        let pairs = row.params.iter().map(|(name, value)| (*name, self.filled(value)));
        let pairs = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let url = format!("{base}{}", row.path);
        let request = match row.request {
            Request::Get => self.client.get(format!("{url}?{pairs}")),
            Request::PostUrl => self.client.post(format!("{url}?{pairs}")),
            Request::Post => {
                let own = row.headers.iter().any(|(name, _)| *name == "content-type");
                let form = self.client.post(url).body(pairs);
                if own { form } else { form.header("content-type", "application/x-www-form-urlencoded") }
            }
        };
        let request = row.headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (status, headers, body) = self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            (status, headers, response.bytes().await.unwrap())
        });
        let text = text(&headers, &body);
        Answer { status, headers, json: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }
}

/// The body, decompressed.
fn text(headers: &HeaderMap, body: &[u8]) -> String {
    if headers.get("content-encoding").is_some_and(|coding| coding == "gzip") {
        let mut text = String::new();
        flate2::read::GzDecoder::new(body).read_to_string(&mut text).unwrap();
        return text;
    }
    String::from_utf8(body.to_vec()).unwrap()
}

/// Waits until the rules were evaluated and the live target was scraped.
fn settle(http: &Http) {
    eventually("the alert fires", || {
        let groups = http.api("rules")?["groups"].take();
        let rules = &groups[0]["rules"];
        let done = rules[0]["state"] == "firing" && rules[1]["health"] == "ok";
        if done { Ok(()) } else { Err(groups.to_string()) }
    });
    eventually("there is metadata", || {
        let found = http.api("metadata?metric=node_load1")?;
        if found["node_load1"].is_array() { Ok(()) } else { Err(found.to_string()) }
    });
}
