//! The web page in a real browser, against the real binary: starts the servers and runs `ui/e2e/`.
#![allow(clippy::unwrap_used, reason = "a test: a failed step is its message")]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use e2e::browser;
use kit::{Answer, Exporter, Weft, eventually};

/// Series of one metric, as many as a graph has to bear.
const N_WIDE: usize = 5_000;
/// Targets of one page.
const N_TARGETS: usize = 20_000;

/// A target with a bit of everything: what rises, what is distributed, and what wants to be markup.
fn application() -> Exporter {
    let n_scrapes = AtomicU64::new(0);
    Exporter::start(move |_| {
        let n = n_scrapes.fetch_add(1, Ordering::Relaxed) + 1;
        let long = "x".repeat(2_000);
        Answer::Metrics(format!(
            "# HELP http_requests_total Requests handled, by <b>code</b>.\n# TYPE http_requests_total counter\n\
             http_requests_total{{code=\"200\"}} {}\nhttp_requests_total{{code=\"500\"}} {n}\n\
             # HELP not_a_counter_ A value.\n# TYPE not_a_counter gauge\nnot_a_counter {}\n\
             # TYPE latency_seconds histogram\nlatency_seconds_bucket{{le=\"0.1\"}} {}\n\
             latency_seconds_bucket{{le=\"0.5\"}} {}\nlatency_seconds_bucket{{le=\"+Inf\"}} {}\n\
             latency_seconds_sum {n}\nlatency_seconds_count {}\n\
             # HELP hostile <script>alert(1)</script>\n# TYPE hostile gauge\n\
             hostile{{html=\"<img src=x onerror=alert(1)>\",quotes=\"\\\"'`\",line=\"a\\nb\"}} 1\n\
             hostile{{html=\"</td><b>bold</b>\",rtl=\"\u{202e}abc \u{5e9}\u{5dc}\u{5d5}\u{5dd}\"}} 2\n\
             hostile{{long=\"{long}\"}} 3\n\
             {{\"hostile\",\"<b>name</b>\"=\"1\"}} 4\n\
             {{\"<img src=x>\",a=\"1\"}} 5\n",
            n * 20,
            n % 7,
            n * 3,
            n * 5,
            n * 6,
            n * 6,
        ))
    })
}

/// OpenMetrics with an exemplar; its value is that of the series, so that it lies on the line.
fn traced() -> Exporter {
    let page = "# TYPE traced counter\ntraced_total 5 # {trace_id=\"<b>4bf92f35</b>\"} 5\n# EOF\n";
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0\r\nConnection: close\r\n";
    let answer = format!("{head}Content-Length: {}\r\n\r\n{page}", page.len()).into_bytes();
    Exporter::start(move |_| Answer::Raw(answer.clone()))
}

fn wide() -> Exporter {
    let mut page = String::new();
    for i in 0..N_WIDE {
        writeln!(page, "wide{{i=\"{i}\"}} {}", i as f64 / 100.0).unwrap();
    }
    Exporter::start(move |_| Answer::Metrics(page.clone()))
}

/// A page with a line that is none.
const GARBLED: &str =
    "# TYPE queue_length gauge\nqueue_length{queue=\"<b>in</b>\"} 3\nqueue_length{queue=out} 4\nqueue_age 1\n";

/// Rules that fire, fail, and match nothing.
const RULES: &str = "\
groups:
- name: '<b>group</b>'
  rules:
  - {record: code:requests, expr: sum by (code) (http_requests_total)}
  - {record: fails, expr: hostile * on() group_left() hostile}
  - {record: dead, expr: sum(no_such_metric)}
  - alert: Hostile
    expr: hostile > 0
    labels: {severity: '<i>page</i>'}
    annotations: {'summary': '<b>summary</b> {{ $labels.html }}'}
  - {alert: Quiet, expr: not_a_counter > 100, for: 5m}
";

fn config([app, broken, garbled, traced, wide]: [&Exporter; 5], rules: &Path) -> String {
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: ['alertmanager.invalid:9093']}}]}}]}}\nscrape_configs:\n\
         - {{job_name: dropping, static_configs: [{{targets: ['dropped.invalid:1']}}], relabel_configs: [{{source_labels: [__address__], \
         target_label: zone}}, {{source_labels: [__address__], regex: 'dropped.*', action: drop}}]}}\n\
         - {{job_name: app, static_configs: [{{targets: ['{}'], labels: {{zone: '<i>north</i>'}}}}]}}\n\
         - {{job_name: '<b>broken</b> pool', static_configs: [{{targets: ['{}']}}]}}\n\
         - {{job_name: garbled, static_configs: [{{targets: ['{}']}}]}}\n\
         - {{job_name: traced, static_configs: [{{targets: ['{}']}}]}}\n\
         - {{job_name: wide, scrape_interval: 5s, scrape_timeout: 5s, static_configs: [{{targets: ['{}']}}]}}\n",
        rules.display(),
        app.address,
        broken.address,
        garbled.address,
        traced.address,
        wide.address
    )
}

/// Twenty thousand targets of which hardly any is scraped while the test runs.
fn large() -> Weft {
    let targets: Vec<String> = (0..N_TARGETS).map(|i| format!("shard-{i}.invalid:9100")).collect();
    let config = format!(
        "scrape_configs:\n- {{job_name: shards, scrape_interval: 1d, static_configs: [{{targets: [{}]}}]}}\n",
        targets.join(", ")
    );
    Weft::start(&config, &[])
}

/// Waits until there is something to look at.
fn settled(weft: &Weft, prefix: &str) {
    for query in ["count_over_time(http_requests_total[1m]) > 4", "wide", "up{job=~\".*broken.*\"} == 0", "ALERTS"] {
        eventually(query, || {
            let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
            let (_, body) = weft.http.get(&format!("{prefix}/api/v1/query?query={query}"))?;
            if body.contains("\"metric\"") { Ok(()) } else { Err(body) }
        });
    }
}

#[test]
fn people_find_their_way_through_the_page() {
    if let Some(why) = browser::missing() {
        return kit::skipped(why);
    }
    let (app, traced, wide) = (application(), traced(), wide());
    let refusal = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
    let broken = Exporter::start(move |_| Answer::Raw(refusal.clone()));
    let garbled = Exporter::start(|_| Answer::Metrics(GARBLED.to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.yml");
    std::fs::write(&rules, RULES).unwrap();
    let config = config([&app, &broken, &garbled, &traced, &wide], &rules);
    let plain = Weft::start(&config, &["--web.page-title=<i>Title</i>", "--enable-feature=exemplar-storage"]);
    let prefixed = Weft::start_at(&config, &["--web.external-url=http://a.example/some/prefix"], "/some/prefix");
    let large = large();
    settled(&plain, "");
    settled(&prefixed, "/some/prefix");
    // Pictures alone are made anew.
    let script = if std::env::var_os("WEFT_PICTURES").is_some() { "pictures" } else { "e2e" };
    browser::run(
        script,
        &[
            ("WEFT_URL", &format!("http://{}", plain.address)),
            ("WEFT_PREFIXED_URL", &format!("http://{}/some/prefix", prefixed.address)),
            ("WEFT_LARGE_URL", &format!("http://{}", large.address)),
        ],
    );
}
