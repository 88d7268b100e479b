//! A real node-exporter, scraped by Weft and by Debian's Prometheus at once: both must answer alike.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test: a failed step is its message")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use kit::{Http, Process, Weft, eventually, free_port, skipped};
use serde_json::Value;

struct Peers {
    weft: Weft,
    prometheus: Http,
    _processes: Vec<Process>,
    _folder: tempfile::TempDir,
}

fn present(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Both servers on one exporter, after some scrapes.
fn start() -> Option<Peers> {
    for program in ["prometheus", "prometheus-node-exporter"] {
        if !present(program) {
            skipped(&format!("{program} is not installed; `cargo xtask test` installs it"));
            return None;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (node, prom) = (free_port(), free_port());
    let exporter = Process::start(
        Command::new("prometheus-node-exporter").arg(format!("--web.listen-address=127.0.0.1:{node}")),
        &folder.path().join("node.log"),
    );
    let http = Http::new(format!("http://127.0.0.1:{node}"));
    eventually("the exporter answers", || http.get("/metrics").map(drop));
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: node\n  \
         static_configs: [{{targets: ['127.0.0.1:{node}'], labels: {{cluster: c1}}}}]\n"
    );
    let file = folder.path().join("prometheus.yml");
    fs::write(&file, &config).unwrap();
    let prometheus = Process::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{prom}")),
        &folder.path().join("prometheus.log"),
    );
    let own = config + "- job_name: weft\n  static_configs: [{targets: ['SELF']}]\n";
    let port = free_port();
    let own = own.replace("SELF", &format!("127.0.0.1:{port}"));
    // The last of several addresses is one that its own configuration can name.
    let weft = Weft::start(&own, &[&format!("--web.listen-address=127.0.0.1:{port}")]);
    let prometheus_http = Http::new(format!("http://127.0.0.1:{prom}"));
    for http in [&weft.http, &prometheus_http] {
        eventually("eight scrapes", || {
            let result = http.query("count_over_time(up{job=\"node\"}[1m]) >= 8")?;
            if result[0].is_null() { Err(result.to_string()) } else { Ok(()) }
        });
    }
    Some(Peers { weft, prometheus: prometheus_http, _processes: vec![exporter, prometheus], _folder: folder })
}

/// Series without the ones about the scrape itself, with bounds as Prometheus 3 spells them (Debian's is 2.42).
fn spelled(metric: &Value) -> BTreeMap<String, String> {
    let labels = metric.as_object().unwrap().iter();
    let mut labels: BTreeMap<_, _> = labels.map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect();
    for bound in ["le", "quantile"] {
        if let Some(value) = labels.get_mut(bound)
            && value.bytes().all(|b| b.is_ascii_digit())
        {
            value.push_str(".0");
        }
    }
    labels
}

fn series_of(http: &Http, query: &str) -> BTreeMap<BTreeMap<String, String>, f64> {
    let result = eventually(query, || http.query(query));
    let samples = result.as_array().unwrap().iter();
    samples.map(|s| (spelled(&s["metric"]), s["value"][1].as_str().unwrap().parse().unwrap())).collect()
}

/// Queries whose series must be the same; their values move with time.
const SAME_SERIES: [&str; 14] = [
    "{job=\"node\"}",
    "rate(node_cpu_seconds_total[5s])",
    "sum by (mode) (irate(node_cpu_seconds_total[5s]))",
    "increase(node_network_receive_bytes_total[5s])",
    "count by (__name__) ({__name__=~\"node_.*\"})",
    "node_memory_MemTotal_bytes - on (instance) node_memory_MemFree_bytes",
    "sort(node_filesystem_size_bytes)",
    "label_replace(up{job=\"node\"}, \"port\", \"$1\", \"instance\", \".*:(.*)\")",
    "node_cpu_seconds_total{mode!~\"idle|iowait\", cpu=~\"0|1\"}",
    "absent(node_no_such_metric)",
    "up{job=\"node\"} and on (instance) node_uname_info",
    "avg without (cpu) (node_cpu_seconds_total)",
    "max_over_time(node_load1[5s])",
    "go_gc_duration_seconds",
];

/// Queries whose values do not move between the moments of two scrapes.
const SAME_VALUES: [&str; 9] = [
    "node_uname_info",
    "node_boot_time_seconds",
    "node_memory_MemTotal_bytes",
    "count({__name__=~\"node_.*\", job=\"node\"})",
    "count by (job) (node_cpu_seconds_total)",
    "up{job=\"node\"}",
    "scrape_samples_scraped{job=\"node\"} >= bool 100",
    "sum(node_filesystem_size_bytes) > bool 0",
    "process_start_time_seconds{job=\"node\"}",
];

#[test]
fn answers_what_prometheus_answers() {
    let Some(peers) = start() else { return };
    let (weft, prometheus) = (&peers.weft.http, &peers.prometheus);
    for query in SAME_SERIES {
        let names = |http| series_of(http, query).into_keys().collect::<BTreeSet<_>>();
        assert_eq!(names(weft), names(prometheus), "{query}");
    }
    for query in SAME_VALUES {
        assert_eq!(series_of(weft, query), series_of(prometheus, query), "{query}");
    }
    // What moves: over the same seconds the ranges of values of every series must touch.
    let (ours, theirs) = (ranges(weft), ranges(prometheus));
    assert!(ours.len() > 200, "{}", ours.len());
    for (series, (their_low, their_high)) in &theirs {
        let (low, high) = ours[series];
        let slack = 0.05 * (their_high.abs() + high.abs()) + 1.0;
        let touch = low <= their_high + slack && *their_low <= high + slack;
        assert!(touch, "{series:?}: {low}..{high} and {their_low}..{their_high}");
    }
    same_lists(weft, prometheus);
    range_queries(weft, prometheus);
    scrapes_itself(weft);
}

/// The lowest and highest value of every series in the last seconds.
fn ranges(http: &Http) -> BTreeMap<BTreeMap<String, String>, (f64, f64)> {
    let result = http.query("{job=\"node\", __name__=~\"node_.*\"}[8s]").unwrap();
    let range = |series: &Value| {
        let values =
            series["values"].as_array().unwrap().iter().map(|v| v[1].as_str().unwrap().parse::<f64>().unwrap());
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    result.as_array().unwrap().iter().map(|series| (spelled(&series["metric"]), range(series))).collect()
}

fn same_lists(weft: &Http, prometheus: &Http) {
    let list = |http: &Http, path: &str| -> BTreeSet<String> {
        let data = http.api(path).unwrap();
        data.as_array().unwrap().iter().map(|v| v.as_str().unwrap().trim_end_matches(".0").to_owned()).collect()
    };
    let node = "match[]=%7Bjob%3D%22node%22%7D";
    for path in
        ["labels", "label/__name__/values", "label/mode/values", "label/cluster/values", "label/quantile/values"]
    {
        let path = format!("{path}?{node}");
        assert_eq!(list(weft, &path), list(prometheus, &path), "{path}");
    }
    let metadata = |http: &Http| http.api("metadata?metric=node_cpu_seconds_total").unwrap();
    assert_eq!(metadata(weft), metadata(prometheus));
    let of_target =
        |http: &Http| http.api("targets/metadata?metric=node_load1&match_target=%7Bjob%3D%22node%22%7D").unwrap();
    assert_eq!(of_target(weft), of_target(prometheus));
    let targets = |http: &Http| {
        let target = http.api("targets?state=active&scrapePool=node").unwrap()["activeTargets"][0].take();
        ["labels", "scrapePool", "scrapeUrl", "health", "scrapeInterval", "lastError"]
            .map(|field| target[field].clone())
    };
    assert_eq!(targets(weft), targets(prometheus));
}

fn range_queries(weft: &Http, prometheus: &Http) {
    let now = weft.query("time()").unwrap()[0].as_f64().unwrap().floor();
    for query in
        ["node_boot_time_seconds", "count(node_cpu_seconds_total)", "vector(1)", "sum by (cluster) (up{job=\"node\"})"]
    {
        let query = url::form_urlencoded::byte_serialize(query.as_bytes()).collect::<String>();
        let path = format!("query_range?query={query}&start={}&end={}&step=1", now - 4.0, now - 1.0);
        let result = |http: &Http| http.api(&path).unwrap()["result"].take();
        assert_eq!(result(weft), result(prometheus), "{path}");
    }
}

fn scrapes_itself(weft: &Http) {
    for query in [
        "up{job=\"weft\"} == 1",
        "prometheus_build_info{version=~\"3.*\"}",
        "rate(prometheus_tsdb_head_samples_appended_total[5s]) > 0",
        "prometheus_target_scrape_pool_targets{scrape_job=\"node\"} == 1",
        "process_resident_memory_bytes{job=\"weft\"} > 0",
        "prometheus_config_last_reload_successful == 1",
        "prometheus_http_requests_total{handler=\"/api/v1/query\", code=\"200\"} > 0",
    ] {
        eventually(query, || {
            let result = weft.query(query)?;
            if result[0].is_null() { Err(result.to_string()) } else { Ok(()) }
        });
    }
}
