//! `/metrics` of Weft in both formats, scraped by Weft and by a real Prometheus.
#![allow(clippy::unwrap_used, reason = "a test: a failed step is its message")]

use std::collections::BTreeMap;

use kit::{Http, Prometheus, Weft, eventually, skipped};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use serde_json::Value;

const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

/// Two jobs that scrape one server, by protobuf and by text.
fn both_ways(address: &str) -> String {
    let job = |name: &str, protocol: &str| {
        format!(
            "- job_name: {name}\n  scrape_protocols: [{protocol}]\n  static_configs: [{{targets: ['{address}']}}]\n"
        )
    };
    let jobs = job("protobuf", "PrometheusProto") + &job("text", "PrometheusText0.0.4");
    format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{jobs}")
}

/// The series of a job without its name, and the type and help of their metrics.
fn stored(http: &Http, job: &str) -> (Vec<String>, BTreeMap<String, Value>) {
    // What this server's requests and scrapes bring up only later is left out.
    let selector = format!("{{job=\"{job}\", __name__!~\"scrape_.*|up|prometheus_http_.*|.*_exemplar.*\"}}");
    let series = http.query(&selector).unwrap();
    let name = |one: &Value| {
        let mut labels = one["metric"].as_object().unwrap().clone();
        labels.remove("job");
        Value::Object(labels).to_string()
    };
    let mut series: Vec<_> = series.as_array().unwrap().iter().map(name).collect();
    series.sort_unstable();
    let target = url::form_urlencoded::byte_serialize(format!("{{job=\"{job}\"}}").as_bytes()).collect::<String>();
    let metadata = http.api(&format!("targets/metadata?match_target={target}")).unwrap();
    let metadata = metadata.as_array().unwrap().iter().map(|one| {
        (one["metric"].as_str().unwrap().to_owned(), Value::from(vec![one["type"].clone(), one["help"].clone()]))
    });
    (series, metadata.collect())
}

#[track_caller]
fn same_both_ways(http: &Http) {
    eventually("both jobs have the same series", || {
        let up = http.query("count(count_over_time(up[1m]) >= 2 and up == 1)")?;
        if up[0]["value"][1] != "2" {
            return Err(http.api("targets")?["activeTargets"].to_string());
        }
        let (protobuf, text) = (stored(http, "protobuf"), stored(http, "text"));
        let differ = protobuf.0.iter().filter(|one| !text.0.contains(one));
        let differ: Vec<_> = differ.chain(text.0.iter().filter(|one| !protobuf.0.contains(one))).collect();
        let is_same = differ.is_empty() && protobuf.1 == text.1 && protobuf.0.len() > 100 && protobuf.1.len() > 50;
        if is_same { Ok(()) } else { Err(format!("{} {differ:#?}", protobuf.0.len())) }
    });
}

#[test]
fn protobuf_says_what_text_says() {
    let weft = Weft::start("scrape_configs: []\n", &[]);
    let headers = HeaderMap::from_iter([(ACCEPT, PROTOBUF.parse().unwrap())]);
    let (status, head, _) = weft.http.page("/metrics", &headers).unwrap();
    let kind = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; \
                escaping=underscores";
    assert_eq!((status, head[CONTENT_TYPE].to_str().unwrap()), (200, kind));
    let other = Weft::start(&both_ways(&weft.address), &[]);
    same_both_ways(&other.http);
}

#[test]
fn a_prometheus_scrapes_it_both_ways() {
    let program = match Prometheus::binary() {
        Ok(program) => program,
        Err(why) => return skipped(&why),
    };
    let weft = Weft::start("scrape_configs: []\n", &[]);
    let prometheus = Prometheus::start(&program, &both_ways(&weft.address), &[]);
    same_both_ways(&prometheus.http);
}
