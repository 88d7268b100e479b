//! What a real Prometheus sends to Weft, and what it reads from it.
#![allow(clippy::unwrap_used, reason = "a test: a failed step is its message")]

mod asked;
mod otlp;
mod pairs;
mod read;
mod write;

use std::path::PathBuf;

use kit::wire::{Family, Histogram, Kind, Value as Sample};
use kit::{Answer, Exporter, Http, Prometheus, eventually, skipped};
use serde_json::Value;

const PAGE: &str = "# HELP requests Requests.\n# TYPE requests counter\n\
                    requests_total{code=\"200\",path=\"/a\\\"b\"} 5 # {trace_id=\"t1\"} 0.5\nrequests_total{code=\"500\"} 1\n\
                    # TYPE seconds histogram\nseconds_bucket{le=\"1\"} 2 # {trace_id=\"t2\"} 0.7\n\
                    seconds_bucket{le=\"+Inf\"} 3\nseconds_sum 4.5\nseconds_count 3\n\
                    # TYPE odd gauge\nodd{kind=\"nan\"} NaN\nodd{kind=\"inf\"} -Inf\nodd{kind=\"small\"} 1.5e-300\n# EOF\n";

/// Floats with exemplars, as a page that tells its format.
fn text() -> Exporter {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\nconnection: close\r\n";
    Exporter::start(move |_| {
        let mut bytes = format!("{head}content-length: {}\r\n\r\n", PAGE.len()).into_bytes();
        bytes.extend_from_slice(PAGE.as_bytes());
        Answer::Raw(bytes)
    })
}

/// Native histograms, of several schemas and with buckets below zero.
fn native() -> Exporter {
    Exporter::start(|_| {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
        let histogram = |schema, negative| {
            Sample::Histogram(Histogram {
                schema,
                sum: 12.5,
                zero_threshold: 0.001,
                zero_count: 2,
                positive: (vec![(-2, 2), (3, 1)], vec![1, 5, 2]),
                negative,
            })
        };
        let label = |value: &str| [("kind", value.to_owned())];
        let mut counts = Family::new("native", Kind::Histogram);
        counts.sample(&label("whole"), now, &histogram(1, (vec![], vec![])));
        counts.sample(&label("negative"), now, &histogram(-2, (vec![(0, 1)], vec![3])));
        let page = counts.delimited();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.google.protobuf; \
                    proto=io.prometheus.client.MetricFamily; encoding=delimited\r\nconnection: close\r\n";
        let mut bytes = format!("{head}content-length: {}\r\n\r\n", page.len()).into_bytes();
        bytes.extend(page);
        Answer::Raw(bytes)
    })
}

/// A Prometheus that scrapes both, under one job; `rest` is what else its configuration has.
fn scraping(program: &std::path::Path, job: &str, (text, native): (&Exporter, &Exporter), rest: &str) -> Prometheus {
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: {job}\n  \
         scrape_native_histograms: true\n  static_configs: [{{targets: ['{}']}}]\n- job_name: {job}_nhcb\n  \
         convert_classic_histograms_to_nhcb: true\n  scrape_native_histograms: true\n  \
         static_configs: [{{targets: ['{}']}}]\n- job_name: {job}_native\n  scrape_protocols: [PrometheusProto]\n  \
         track_timestamps_staleness: true\n  scrape_native_histograms: true\n  static_configs: [{{targets: ['{}']}}]\n{rest}",
        text.address, text.address, native.address
    );
    Prometheus::start(program, &config, &["--enable-feature=exemplar-storage"])
}

fn program() -> Option<PathBuf> {
    Prometheus::binary().map_err(|why| skipped(&why)).ok()
}

/// The answer of a server, sorted where the order says nothing.
fn asked(http: &Http, path: &str, params: &[(&str, &str)]) -> Result<Vec<Value>, String> {
    let params = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    let mut data = http.api(&format!("{path}?{params}"))?;
    let list = if data.is_array() { data.take() } else { data["result"].take() };
    let mut list: Vec<Value> = list.as_array().ok_or("no list")?.clone();
    list.sort_by_key(ToString::to_string);
    Ok(list)
}

/// Waits until two servers answer the same, and more than so much.
#[track_caller]
fn same(ours: &Http, theirs: &Http, (path, params): (&str, &[(&str, &str)]), least: usize) {
    eventually(&format!("{path} {params:?} is answered alike"), || {
        let (ours, theirs) = (asked(ours, path, params)?, asked(theirs, path, params)?);
        if ours == theirs && ours.len() >= least {
            return Ok(());
        }
        let differing: Vec<&Value> = ours.iter().filter(|one| !theirs.contains(one)).take(2).collect();
        let missing: Vec<&Value> = theirs.iter().filter(|one| !ours.contains(one)).take(2).collect();
        Err(format!("{} and {}: ours {differing:?}\ntheirs {missing:?}", ours.len(), theirs.len()))
    });
}
