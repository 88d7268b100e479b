//! What a real Prometheus has stored is in Weft afterwards, sample for sample, and goes back to a Prometheus.
#![allow(clippy::unwrap_used, reason = "a test: a failed step is its message")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kit::wire::{Family, Histogram, Kind, Value as Sample};
use kit::{Answer, Exporter, Http, Prometheus, Weft, eventually, skipped};
use serde_json::Value;

/// More samples than a chunk has.
const SAMPLES: usize = 260;
const NOTHING: &str = "scrape_configs: []\n";

/// Floats that rise, stay, jump and are no numbers, and a classic histogram.
fn text() -> Exporter {
    let n = std::sync::atomic::AtomicU64::new(0);
    Exporter::start(move |_| {
        let n = n.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Answer::Metrics(format!(
            "# TYPE rising counter\nrising{{path=\"/a\\\"b\"}} {}\nrising{{path=\"/deleted\"}} {n}\n\
             # TYPE odd gauge\nodd{{kind=\"same\"}} 7\nodd{{kind=\"jumps\"}} {}\nodd{{kind=\"inf\"}} -Inf\n\
             # TYPE seconds histogram\nseconds_bucket{{le=\"0.5\"}} {n}\nseconds_bucket{{le=\"+Inf\"}} {}\n\
             seconds_sum {}\nseconds_count {}\n{}",
            n * 17,
            (n * 7919 % 1009) as f64 / 3.0,
            n * 2,
            n as f64 * 0.3,
            n * 2,
            // A series that is not always there.
            if n % 10 < 7 { "# TYPE comes gauge\ncomes 1\n" } else { "" }
        ))
    })
}

/// Native histograms that grow in buckets and counts.
fn native() -> Exporter {
    let n = std::sync::atomic::AtomicU64::new(0);
    Exporter::start(move |_| {
        let n = n.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
        let value = Sample::Histogram(Histogram {
            schema: 1,
            sum: n as f64 / 4.0,
            zero_threshold: 0.001,
            zero_count: 2,
            positive: if n % 90 < 60 {
                (vec![(-2, 2)], vec![1 + n, 5])
            } else {
                (vec![(-2, 2), (3, 1)], vec![1 + n, 5, 2])
            },
            negative: (vec![(0, 1)], vec![3]),
        });
        let mut family = Family::new("native", Kind::Histogram);
        family.sample(&[("kind", "whole".to_owned())], now, &value);
        let page = family.delimited();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.google.protobuf; \
                    proto=io.prometheus.client.MetricFamily; encoding=delimited\r\nconnection: close\r\n";
        let mut bytes = format!("{head}content-length: {}\r\n\r\n", page.len()).into_bytes();
        bytes.extend(page);
        Answer::Raw(bytes)
    })
}

fn config((text, native): (&Exporter, &Exporter)) -> String {
    format!(
        "global: {{scrape_interval: 50ms, scrape_timeout: 50ms}}\nscrape_configs:\n- job_name: text\n  \
         static_configs: [{{targets: ['{0}']}}]\n- job_name: nhcb\n  convert_classic_histograms_to_nhcb: true\n  \
         static_configs: [{{targets: ['{0}']}}]\n- job_name: native\n  scrape_protocols: [PrometheusProto]\n  \
         scrape_native_histograms: true\n  static_configs: [{{targets: ['{1}']}}]\n",
        text.address, native.address
    )
}

/// All samples of an hour, by series.
fn stored(http: &Http, at: f64) -> Result<BTreeMap<String, Value>, String> {
    let query: String = url::form_urlencoded::byte_serialize(br#"{__name__=~".+"}[1h]"#).collect();
    let result = http.api(&format!("query?query={query}&time={at}"))?["result"].take();
    let series = result.as_array().ok_or("no list")?.iter();
    Ok(series.map(|one| (one["metric"].to_string(), one.clone())).collect())
}

#[track_caller]
fn same(http: &Http, at: f64, expected: &BTreeMap<String, Value>) {
    eventually("all samples are there", || {
        let found = stored(http, at)?;
        for (series, samples) in expected {
            let ours = found.get(series).ok_or_else(|| format!("{series} is missing"))?;
            if ours != samples {
                return Err(format!("{series}: {samples:.300}\nours: {ours:.300}"));
            }
        }
        if found.len() == expected.len() {
            Ok(())
        } else {
            Err(format!("{} series, not {}", found.len(), expected.len()))
        }
    });
}

#[track_caller]
fn promtool(args: &[&str]) -> String {
    let output = Command::new(Weft::binary()).arg("promtool").args(args).output().unwrap();
    let told = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{args:?}\n{told}");
    told
}

/// A Prometheus that has stored something and does not scrape any more, with what it has, and when.
fn filled(program: &Path, flags: &[&str]) -> (Prometheus, f64, BTreeMap<String, Value>) {
    let (text, native) = (text(), native());
    let flags = [&["--web.enable-admin-api", "--web.enable-lifecycle"], flags].concat();
    let prometheus = Prometheus::start(program, &config((&text, &native)), &flags);
    eventually("all is stored", || {
        for (query, least) in [("count_over_time(native[5m])", 1), ("count_over_time(seconds{job=\"nhcb\"}[5m])", 1)] {
            let query = format!("{query} > {SAMPLES}");
            let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
            let found = prometheus.http.api(&format!("query?query={query}"))?["result"].as_array().map_or(0, Vec::len);
            if found < least {
                return Err(format!("{found} for {query}"));
            }
        }
        Ok(())
    });
    fs::write(prometheus.folder().join("prometheus.yml"), NOTHING).unwrap();
    prometheus.http.post("/-/reload", &[]).unwrap();
    eventually("nothing is scraped", || {
        let active = prometheus.http.api("targets")?["activeTargets"].as_array().map_or(1, Vec::len);
        if active == 0 { Ok(()) } else { Err(format!("{active} targets")) }
    });
    let deleted: String = url::form_urlencoded::byte_serialize(br#"rising{path="/deleted",job="text"}"#).collect();
    prometheus.http.post(&format!("/api/v1/admin/tsdb/delete_series?match[]={deleted}"), &[]).unwrap();
    let at = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64() + 1.0;
    let expected = stored(&prometheus.http, at).unwrap();
    let kinds =
        |name: &str| expected.keys().filter(|series| series.contains(&format!("\"__name__\":\"{name}\""))).count();
    assert_eq!(
        (kinds("rising"), kinds("native"), kinds("comes"), kinds("seconds")),
        (3, 1, 2, 1),
        "{:?}",
        expected.keys()
    );
    (prometheus, at, expected)
}

/// Blocks of all that it has.
fn snapshot(prometheus: &Prometheus) -> PathBuf {
    let (_, answer) = prometheus.http.post("/api/v1/admin/tsdb/snapshot", &[]).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    prometheus.folder().join("tsdb/snapshots").join(answer["data"]["name"].as_str().unwrap())
}

/// The directory of a Prometheus that is killed now, in the place of Weft's own.
fn taken_over(mut prometheus: Prometheus) -> tempfile::TempDir {
    prometheus.process.signal("KILL");
    prometheus.process.wait();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("prometheus.yml"), NOTHING).unwrap();
    fs::rename(prometheus.folder().join("tsdb"), folder.path().join("data")).unwrap();
    folder
}

fn program() -> Option<PathBuf> {
    Prometheus::binary().map_err(|why| skipped(&why)).ok()
}

#[test]
fn blocks_come_along_and_go_back() {
    let Some(program) = program() else { return };
    let (prometheus, at, expected) = filled(&program, &[]);
    let snapshot = snapshot(&prometheus);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("prometheus.yml"), NOTHING).unwrap();
    let data = folder.path().join("data");
    let told = promtool(&["tsdb", "import", snapshot.to_str().unwrap(), data.to_str().unwrap()]);
    assert!(told.contains("imported ") && told.contains("100 %: "), "{told}");
    let again = promtool(&["tsdb", "import", "-q", snapshot.to_str().unwrap(), data.to_str().unwrap()]);
    assert!(again.starts_with("imported 0 samples of 0 blocks, 1 blocks had been imported before"), "{again}");
    let weft = Weft::start_with(folder, &[], &[]);
    same(&weft.http, at, &expected);
    let back = tempfile::tempdir().unwrap();
    let into = back.path().join("tsdb");
    let weft = weft.restart_after("TERM", &[], || {
        promtool(&["tsdb", "export", into.to_str().unwrap(), data.to_str().unwrap()]);
    });
    same(&weft.http, at, &expected);
    let reader = Prometheus::start_with(back, &program, NOTHING, &[], &[]);
    same(&reader.http, at, &expected);
}

#[test]
fn a_server_in_the_place_of_prometheus_has_what_was_in_its_log() {
    let Some(program) = program() else { return };
    let (prometheus, at, expected) = filled(&program, &[]);
    let weft = Weft::start_with(taken_over(prometheus), &[], &[]);
    same(&weft.http, at, &expected);
    eventually("the log says so", || {
        let output = fs::read_to_string(weft.folder().join("weft.log")).unwrap();
        if output.contains("is not needed any more") { Ok(()) } else { Err(output) }
    });
    let weft = weft.restart("KILL", &["--storage.import-from=none"]);
    same(&weft.http, at, &expected);
}

#[test]
fn encodings_with_start_timestamps_are_read() {
    let Some(program) = program() else { return };
    let features = ["--enable-feature=st-storage,st-synthesis", "--storage.tsdb.wal-compression-type=zstd"];
    let (prometheus, at, expected) = filled(&program, &features);
    let snapshot = snapshot(&prometheus);
    let weft = Weft::start(NOTHING, &[&format!("--storage.import-from={}", snapshot.display())]);
    same(&weft.http, at, &expected);
    drop(weft);
    let weft = Weft::start_with(taken_over(prometheus), &[], &[]);
    same(&weft.http, at, &expected);
}
