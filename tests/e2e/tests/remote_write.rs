//! What Weft scrapes arrives at real Prometheus servers by both versions of remote write: each sample once, although the receivers
//! and Weft are killed meanwhile.
#![allow(clippy::unwrap_used, reason = "a test: a failed step is its message")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kit::wire::{Family, Histogram, Kind, Value as WireValue};
use kit::{Answer, Exporter, Http, Process, Prometheus, Weft, eventually, free_port, skipped};
use serde_json::Value;

const FLAGS: &[&str] =
    &["--web.enable-lifecycle", "--enable-feature=exemplar-storage", "--storage.remote.flush-deadline=10s"];
const V2: &str = "io.prometheus.write.v2.Request";

/// A Prometheus that takes remote write, always at the same address.
struct Receiver {
    binary: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    process: Option<Process>,
    http: Http,
}

impl Receiver {
    fn start(binary: &Path) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        fs::write(folder.path().join("prometheus.yml"), "storage: {exemplars: {max_exemplars: 1000}}\n").unwrap();
        let http = Http::new(format!("http://127.0.0.1:{port}"));
        let mut receiver = Self { binary: binary.to_owned(), folder, port, process: None, http };
        receiver.run();
        receiver
    }

    fn run(&mut self) {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        self.process = Some(Process::start(
            Command::new(&self.binary)
                .arg(format!("--config.file={}", path("prometheus.yml")))
                .arg(format!("--storage.tsdb.path={}", path("tsdb")))
                .arg(format!("--web.listen-address=127.0.0.1:{}", self.port))
                .args(["--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage"]),
            &self.folder.path().join("prometheus.log"),
        ));
        eventually("the receiver is ready", || match self.http.get("/-/ready") {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.signal("KILL");
        process.wait();
    }
}

/// A target whose every scrape has values of its own.
fn text_target(scrapes: &Arc<AtomicU64>) -> Exporter {
    let scrapes = Arc::clone(scrapes);
    Exporter::start(move |_| {
        let n = scrapes.fetch_add(1, Ordering::SeqCst) + 1;
        let series: String = (0..40).map(|i| format!("many{{i=\"{i}\"}} {n}.{i:02}\nnoise_{i} {n}\n")).collect();
        let body = format!(
            "# HELP scrapes How often.\n# TYPE scrapes counter\nscrapes_total {n} # {{trace_id=\"t{n}\"}} 1.5\n{series}# EOF\n"
        );
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
        Answer::Raw(format!("{head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).into_bytes())
    })
}

/// A target with a native histogram that grows.
fn histogram_target() -> Exporter {
    let scrapes = AtomicU64::new(0);
    Exporter::start(move |_| {
        let n = scrapes.fetch_add(1, Ordering::SeqCst) + 1;
        let mut family = Family::new("latency", Kind::Histogram);
        let histogram = Histogram {
            schema: 1,
            sum: n as f64 * 1.25,
            zero_threshold: 1e-9,
            zero_count: n,
            positive: (vec![(0, 2), (3, 1)], vec![n, 2 * n, 7]),
            negative: (vec![(1, 1)], vec![n]),
        };
        family.sample(&[], 0, &WireValue::Histogram(histogram));
        let body = family.delimited();
        let kind = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        Answer::Raw([head.into_bytes(), body].concat())
    })
}

/// The configuration, with these jobs.
fn config(receivers: &[Receiver; 2], jobs: &str) -> String {
    let remote = |receiver: &Receiver, name: &str, message: &str| {
        format!(
            "- url: 'http://127.0.0.1:{}/api/v1/write'\n  name: {name}\n  protobuf_message: {message}\n  \
             send_exemplars: true\n  send_native_histograms: true\n  metadata_config: {{send_interval: 1s}}\n  \
             queue_config: {{batch_send_deadline: 300ms, max_samples_per_send: 100, min_shards: 2, max_backoff: 200ms}}\n  \
             write_relabel_configs: [{{source_labels: [__name__], regex: noise_.*, action: drop}}]\n",
            receiver.port
        )
    };
    let remotes = remote(&receivers[0], "one", "prometheus.WriteRequest") + &remote(&receivers[1], "two", V2);
    format!(
        "global: {{scrape_interval: 200ms, scrape_timeout: 200ms, external_labels: {{cluster: c1}}}}\n\
         storage: {{exemplars: {{max_exemplars: 1000}}}}\nscrape_configs:\n{jobs}remote_write:\n{remotes}"
    )
}

/// All samples of the jobs: by series, without the external label, what the server shows of them.
fn samples(http: &Http) -> Result<BTreeMap<String, Value>, String> {
    let result = http.query("{job=~\"text|native\", __name__!~\"noise_.*\"}[10m]")?;
    let series = result.as_array().ok_or("no matrix")?.iter().map(|one| {
        let labels = one["metric"].as_object().unwrap().iter().filter(|(name, _)| *name != "cluster");
        // Sorted: the order of an object is that of the answer.
        let labels: BTreeMap<&String, &Value> = labels.collect();
        (format!("{labels:?}"), Value::from(vec![one["values"].clone(), one["histograms"].clone()]))
    });
    Ok(series.collect())
}

fn traces(http: &Http) -> Vec<String> {
    let answer = http.api("query_exemplars?query=scrapes_total&start=0&end=4000000000").unwrap();
    let all = answer.as_array().unwrap().iter().flat_map(|one| one["exemplars"].as_array().unwrap());
    let mut traces: Vec<String> = all.map(|one| one["labels"]["trace_id"].as_str().unwrap().to_owned()).collect();
    traces.sort_unstable();
    traces
}

fn scraped(scrapes: &AtomicU64, more: u64) {
    let wanted = scrapes.load(Ordering::SeqCst) + more;
    eventually("more scrapes", || match scrapes.load(Ordering::SeqCst) {
        now if now >= wanted => Ok(()),
        now => Err(format!("{now} of {wanted}")),
    });
}

#[test]
fn every_sample_arrives_once_although_both_sides_are_killed() {
    let binary = match Prometheus::binary() {
        Ok(binary) => binary,
        Err(why) => return skipped(&why),
    };
    let scrapes = Arc::new(AtomicU64::new(0));
    let (text, native) = (text_target(&scrapes), histogram_target());
    let mut receivers = [Receiver::start(&binary), Receiver::start(&binary)];
    let jobs = format!(
        "- job_name: text\n  static_configs: [{{targets: ['{}']}}]\n\
         - job_name: native\n  scrape_native_histograms: true\n  scrape_protocols: [PrometheusProto]\n  \
         static_configs: [{{targets: ['{}']}}]\n",
        text.address, native.address
    );
    let mut weft = Weft::start(&config(&receivers, &jobs), FLAGS);
    scraped(&scrapes, 10);
    // Receivers are away while scrapes go on; one is back sooner.
    receivers.iter_mut().for_each(Receiver::kill);
    scraped(&scrapes, 8);
    receivers[0].run();
    scraped(&scrapes, 5);
    weft = weft.restart("KILL", FLAGS);
    scraped(&scrapes, 5);
    receivers[1].run();
    for _ in 0..3 {
        scraped(&scrapes, 4);
        weft = weft.restart("KILL", FLAGS);
    }
    scraped(&scrapes, 5);
    assert_shown(&weft);
    // No more scrapes: what is stored is all there will be, with markers of the end.
    fs::write(weft.folder().join("prometheus.yml"), config(&receivers, "")).unwrap();
    assert_eq!(weft.http.post("/-/reload", &[]).unwrap().0, 200);
    let is_stale = |http: &Http| {
        let now = http.query("count({job=~\"text|native\"})")?;
        if now[0].is_null() { Ok(()) } else { Err(now.to_string()) }
    };
    eventually("the series ended", || is_stale(&weft.http));
    for receiver in &receivers {
        let (mut wanted, mut found) = (BTreeMap::new(), BTreeMap::new());
        eventually("all samples arrived", || {
            (wanted, found) = (samples(&weft.http)?, samples(&receiver.http)?);
            let lacks: Vec<&String> = wanted
                .iter()
                .filter(|(series, samples)| found.get(*series) != Some(*samples))
                .map(|(s, _)| s)
                .collect();
            if lacks.is_empty() {
                Ok(())
            } else {
                Err(format!("{} of {}: {lacks:?}\n{}", lacks.len(), wanted.len(), told(&weft)))
            }
        });
        assert!(wanted.len() >= 40 && wanted.len() == found.len(), "{} {}", wanted.len(), found.len());
        assert!(
            wanted
                .iter()
                .any(|(series, samples)| series.contains("latency") && samples[1].as_array().unwrap().len() > 10)
        );
        let noise = receiver.http.query("{__name__=~\"noise_.*\"}[10m]").unwrap();
        assert_eq!(noise, Value::Array(Vec::new()), "dropped by write_relabel_configs");
        let cluster = receiver.http.query("count(last_over_time({cluster=\"c1\"}[10m]))").unwrap();
        assert_eq!(cluster[0]["value"][1], found.len().to_string(), "external labels");
        eventually("markers arrived", || is_stale(&receiver.http));
        let (kept, arrived) = (traces(&weft.http), traces(&receiver.http));
        // Exemplars of a process that was killed while it held them may be lost, as with Prometheus.
        assert!(arrived.len() > 10 && arrived.iter().all(|one| kept.contains(one)), "{arrived:?}");
    }
}

/// The log, and the metrics of sending.
fn told(weft: &Weft) -> String {
    let (_, metrics) = weft.http.get("/metrics").unwrap_or_default();
    let lines =
        metrics.lines().filter(|line| line.starts_with("prometheus_remote_storage") && !line.contains("_bucket"));
    format!("{}\n{}", lines.collect::<Vec<_>>().join("\n"), weft.process.output())
}

/// What says how it goes.
fn assert_shown(weft: &Weft) {
    let (_, metrics) = weft.http.get("/metrics").unwrap();
    for name in [
        "prometheus_remote_storage_highest_timestamp_in_seconds ",
        "prometheus_remote_storage_queue_highest_sent_timestamp_seconds{remote_name=\"one\"",
        "prometheus_remote_storage_samples_total{remote_name=\"one\"",
        "prometheus_remote_storage_samples_failed_total{remote_name=\"two\"",
        "prometheus_remote_storage_shards_desired{remote_name=\"two\"",
        "prometheus_remote_storage_shards_max{remote_name=\"two\"",
        "prometheus_remote_storage_samples_dropped_total{reason=\"dropped_series\",remote_name=\"one\"",
    ] {
        assert!(metrics.contains(name), "{name}\n{metrics}");
    }
    eventually("both remotes keep up", || {
        let status = weft.http.api("status/remote_write")?;
        let remotes = status["remotes"].as_array().ok_or("no remotes")?;
        let behind = |one: &Value| one["behindSeconds"].as_f64().is_none_or(|behind| behind > 10.0);
        if remotes.len() == 2 && !remotes.iter().any(behind) { Ok(()) } else { Err(status.to_string()) }
    });
}
