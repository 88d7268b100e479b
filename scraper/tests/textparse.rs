//! Our parser held to upstream's recorded results and to the `prometheus-parse` crate.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test: a failed step is its message")]

use std::path::PathBuf;

use scraper::parse::{Entry, TextParser, series_labels};
use serde_json::{Value, json};

fn conformance(file: &str) -> Option<Value> {
    let root = std::env::var_os("WEFT_CONFORMANCE")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance")), PathBuf::from);
    let path = root.join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {} is absent; set WEFT_CONFORMANCE", path.display());
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

/// What our parser makes of a body, in the form of the recordings.
fn entries(body: &[u8]) -> Result<Vec<Value>, String> {
    let mut parser = TextParser::new(body);
    let mut out = Vec::new();
    while let Some(entry) = parser.next_entry().map_err(|e| e.to_string())? {
        out.push(match entry {
            Entry::Help { metric, text } => json!({"kind": "help", "metric": metric, "text": text}),
            Entry::Type { metric, kind } => json!({"kind": "type", "metric": metric, "type": kind.as_str()}),
            Entry::Comment(text) => json!({"kind": "comment", "text": String::from_utf8_lossy(text)}),
            Entry::Series(sample) => {
                let mut labels = series_labels(sample.series, parser.kind())?;
                labels.sort_by(|a, b| a.0.cmp(&b.0));
                let mut entry = json!({"kind": "series", "labels": labels, "series": String::from_utf8_lossy(sample.series),
                    "value": model::float::format_g(sample.value)});
                if let Some(ts) = sample.ts_ms {
                    entry["timestamp_ms"] = json!(ts);
                }
                entry
            }
        });
    }
    Ok(out)
}

/// Recorded cases that are not ours to pass, and why.
const KNOWN: [(&str, &str); 3] = [
    ("classic-003", "type_and_unit_labels is a feature flag of a later issue"),
    (
        "classic-146",
        "upstream lets a name that is not UTF-8 through its parser and refuses it later; we refuse it here",
    ),
    ("classic-151", "type_and_unit_labels is a feature flag of a later issue"),
];

#[test]
fn upstreams_recordings() {
    let Some(cases) = conformance("textparse/classic.json") else { return };
    let mut unexpected = Vec::new();
    for case in cases.as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let body = match (case["input"].as_str(), case["input_b64"].as_str()) {
            (Some(text), _) => text.as_bytes().to_vec(),
            (None, Some(text)) => base64(text),
            (None, None) => Vec::new(),
        };
        let passes = match (entries(&body), case["error"].as_str()) {
            (Err(_), Some(_)) => true,
            (Ok(ours), None) => {
                let theirs: Vec<Value> = case["entries"].as_array().unwrap().iter().map(normalised).collect();
                ours.iter().map(normalised).collect::<Vec<_>>() == theirs
            }
            _ => false,
        };
        if passes == KNOWN.iter().any(|(known, _)| *known == id) {
            unexpected.push(format!("{id}: passes {passes}: {:?}", entries(&body)));
        }
    }
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}

/// Values are compared as numbers: the recordings write them in Go's shortest form.
fn normalised(entry: &Value) -> Value {
    let mut entry = entry.clone();
    // A NaN is recorded by its bits, ours is always the ordinary one.
    if entry["value"]["nan_bits"] == "7ff8000000000001" || entry["value"]["nan_bits"] == "0x7ff8000000000001" {
        entry["value"] = json!("NaN");
    }
    if let Some(value) = entry["value"].as_str() {
        let number: f64 = value.parse().unwrap();
        entry["value"] = json!(if number.is_nan() { "NaN".to_owned() } else { format!("{:x}", number.to_bits()) });
    }
    entry
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".bytes().position(|d| d == c);
    let mut out = Vec::new();
    let (mut bits, mut count) = (0usize, 0);
    for d in text.bytes().filter_map(digit) {
        bits = bits << 6 | d;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    out
}

/// Where prometheus-parse reads a document right, it must read it as we do.
#[test]
fn agrees_with_prometheus_parse_on_what_exporters_send() {
    let body = include_str!("data/exporter.prom");
    let theirs = prometheus_parse::Scrape::parse(body.lines().map(|l| Ok(l.to_owned()))).unwrap();
    let mut expected = Vec::new();
    for sample in theirs.samples {
        let mut labels: Vec<(String, String)> = sample.labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        labels.sort();
        let mut push =
            |name: String, labels: Vec<(String, String)>, value: f64| expected.push((name, labels, value.to_bits()));
        match sample.value {
            prometheus_parse::Value::Counter(v)
            | prometheus_parse::Value::Gauge(v)
            | prometheus_parse::Value::Untyped(v) => {
                push(sample.metric, labels, v);
            }
            prometheus_parse::Value::Histogram(buckets) => {
                for bucket in buckets {
                    let mut labels = labels.clone();
                    labels.push(("le".into(), model::float::format_g(bucket.less_than)));
                    labels.sort();
                    push(format!("{}_bucket", sample.metric), labels, bucket.count);
                }
            }
            prometheus_parse::Value::Summary(quantiles) => {
                for q in quantiles {
                    let mut labels = labels.clone();
                    labels.push(("quantile".into(), model::float::format_g(q.quantile)));
                    labels.sort();
                    push(sample.metric.clone(), labels, q.count);
                }
            }
        }
    }
    let mut ours = Vec::new();
    let mut parser = TextParser::new(body.as_bytes());
    while let Some(entry) = parser.next_entry().unwrap() {
        let Entry::Series(sample) = entry else { continue };
        let mut labels = series_labels(sample.series, parser.kind()).unwrap();
        let (_, name) = labels.remove(0);
        for (label, value) in &mut labels {
            if label == "le" || label == "quantile" {
                *value = value.strip_suffix(".0").unwrap_or(value).to_owned();
            }
        }
        labels.sort();
        ours.push((name, labels, sample.value.to_bits()));
    }
    expected.sort();
    ours.sort();
    assert_eq!(ours, expected);
}
