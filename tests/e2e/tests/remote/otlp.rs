//! OTLP: the same requests give the same series in Prometheus and in Weft.

use kit::wire::Message as _;
use kit::{Http, Prometheus, Weft};
use serde_json::{Value, json};

use super::{asked, program, same};

const PATH: &str = "/api/v1/otlp/v1/metrics";
const ALL: &str = "{job!=\"\"}[10m]";
const ON: &str = "--web.enable-otlp-receiver";

fn attributes(pairs: &[(&str, Value)]) -> Value {
    pairs.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}

fn text(value: &str) -> Value {
    json!({"stringValue": value})
}

/// Metrics of every kind, at two times; differences where the temporality is 1, totals where it is 2.
fn request(now_ns: u64, temporality: i32) -> Value {
    let odd = attributes(&[
        ("a.b", text("1")),
        ("a_b", text("2")),
        ("_private", text("p")),
        ("1st", json!({"boolValue": true})),
        ("list", json!({"arrayValue": {"values": [{"intValue": "1"}, {"doubleValue": 0.5}, {"stringValue": "<"}]}})),
        ("größe", json!({"doubleValue": 1e21})),
    ]);
    let points = |rest: Value| {
        let at = |ns: u64| {
            let mut point =
                json!({"timeUnixNano": ns.to_string(), "startTimeUnixNano": (now_ns - 60_000_000_000).to_string()});
            point.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            point
        };
        json!([at(now_ns - 30_000_000_000), at(now_ns)])
    };
    let exemplar = json!({"timeUnixNano": now_ns.to_string(), "asDouble": 0.7, "traceId": "0102030405060708090a0b0c0d0e0f10",
        "spanId": "0102030405060708", "filteredAttributes": attributes(&[("user", text("u"))])});
    let sum = |monotonic: bool| {
        json!({"aggregationTemporality": temporality, "isMonotonic": monotonic,
            "dataPoints": points(json!({"asInt": "7", "attributes": odd, "exemplars": [exemplar]}))})
    };
    let histogram = json!({"count": "9", "sum": 7.5, "bucketCounts": ["1", "0", "3", "5"], "explicitBounds": [0.5, 10, 1e6],
        "exemplars": [exemplar]});
    let exponential = |scale: i32| {
        json!({"count": "8", "sum": 3.5, "scale": scale, "zeroCount": "1",
            "positive": {"offset": -3, "bucketCounts": ["2", "0", "0", "0", "3"]},
            "negative": {"offset": 5, "bucketCounts": ["1", "1"]}, "exemplars": [exemplar]})
    };
    let summary = json!({"count": "4", "sum": 7.5,
        "quantileValues": [{"quantile": 0.5, "value": 1}, {"quantile": 0.99, "value": 2.5}]});
    let gauge = |rest: Value| json!({"dataPoints": points(rest)});
    let metrics = json!([
        {"name": "process.cpu.utilization", "unit": "1", "description": "Help.", "gauge": gauge(json!({"asDouble": 0.25}))},
        {"name": "temperature", "unit": "Cel", "gauge": gauge(json!({"asInt": "-3", "attributes": odd}))},
        {"name": "gone", "gauge": gauge(json!({"asDouble": 1, "flags": 1}))},
        {"name": "http.requests", "unit": "{request}", "sum": sum(true)},
        {"name": "io_total", "unit": "By/s", "sum": sum(true)},
        {"name": "queue.size", "unit": "By", "sum": sum(false)},
        {"name": "http.server.duration", "unit": "ms",
            "histogram": {"aggregationTemporality": temporality, "dataPoints": points(histogram)}},
        {"name": "exp", "unit": "s",
            "exponentialHistogram": {"aggregationTemporality": temporality, "dataPoints": points(exponential(3))}},
        {"name": "exp.fine",
            "exponentialHistogram": {"aggregationTemporality": temporality, "dataPoints": points(exponential(10))}},
        {"name": "rpc.duration", "unit": "s", "summary": {"dataPoints": points(summary)}},
        {"name": "2nd", "gauge": gauge(json!({"asDouble": 2}))},
    ]);
    let resource = |name: &str| {
        attributes(&[
            ("service.name", text(name)),
            ("service.namespace", text("shop")),
            ("service.instance.id", text("i-1")),
            ("k8s.pod.name", text("cart-7")),
            ("host.name", text("h")),
        ])
    };
    let scope = json!({"name": "lib", "version": "1.2", "attributes": attributes(&[("x.y", text("z"))])});
    json!({"resourceMetrics": [
        {"resource": {"attributes": resource("cart")},
            "scopeMetrics": [{"scope": scope, "schemaUrl": "http://schema", "metrics": metrics}]},
        {"resource": {"attributes": attributes(&[("service.name", text("bare"))])},
            "scopeMetrics": [{"metrics": [{"name": "one", "gauge": gauge(json!({"asInt": 1}))}]}]},
    ]})
}

fn post(http: &Http, kind: &str, body: Vec<u8>) -> (u16, String) {
    let (status, _, body) = http.post_bytes(PATH, &[("content-type", kind)], body).unwrap();
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn now_ns() -> u64 {
    u64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap()
}

#[test]
fn the_same_requests_give_the_same_series() {
    let Some(program) = program() else { return };
    for (config, flags, query) in [
        ("", &[][..], ALL),
        // Zeros are not stored of native histograms.
        ("", &["--enable-feature=created-timestamp-zero-ingestion"], "{job!=\"\", __name__!~\"exp.*\"}[10m]"),
        (
            "otlp: {promote_all_resource_attributes: true, ignore_resource_attributes: [host.name], \
             keep_identifying_resource_attributes: true, convert_histograms_to_nhcb: true, promote_scope_metadata: true, \
             label_name_preserve_multiple_underscores: false, label_name_underscore_sanitization: false}",
            &["--enable-feature=type-and-unit-labels"],
            ALL,
        ),
        (
            "otlp: {promote_resource_attributes: [k8s.pod.name], translation_strategy: NoTranslation, promote_scope_metadata: true}",
            &["--enable-feature=otlp-native-delta-ingestion"],
            ALL,
        ),
        ("", &["--enable-feature=otlp-deltatocumulative"], ALL),
        ("otlp: {translation_strategy: NoUTF8EscapingWithSuffixes}", &[], ALL),
        ("otlp: {translation_strategy: UnderscoreEscapingWithoutSuffixes}", &[], ALL),
    ] {
        let config = format!("scrape_configs: []\n{config}\n");
        let flags = [&[ON, "--enable-feature=exemplar-storage"], flags].concat();
        let (weft, prometheus) = (Weft::start(&config, &flags), Prometheus::start(&program, &config, &flags));
        let now = now_ns();
        let are_deltas = flags.iter().any(|flag| flag.contains("delta"));
        let body = request(now, if are_deltas { 1 } else { 2 }).to_string();
        for http in [&weft.http, &prometheus.http] {
            assert_eq!(post(http, "application/json", body.clone().into_bytes()), (200, String::new()), "{config}");
        }
        let until = (now / 1_000_000_000 + 5).to_string();
        let params = [("query", query), ("time", &*until)];
        same(&weft.http, &prometheus.http, ("query", &params), 14);
        let exemplars = [("query", "{job!=\"\"}"), ("start", "0"), ("end", &*until)];
        same(&weft.http, &prometheus.http, ("query_exemplars", &exemplars), 3);
    }
}

#[test]
fn protobuf_and_gzip_are_read() {
    let weft = Weft::start("scrape_configs: []\n", &[ON]);
    let now = now_ns();
    let mut point: Vec<u8> = Vec::new();
    point.varint(3 << 3 | 1);
    point.extend(now.to_le_bytes());
    point.double(4, 2.5);
    let mut gauge: Vec<u8> = Vec::new();
    gauge.part(1, &point);
    let mut metric: Vec<u8> = Vec::new();
    metric.part(1, b"proto.gauge");
    metric.part(5, &gauge);
    let nested = [2, 2, 1].iter().fold(metric, |inner, field| {
        let mut outer: Vec<u8> = Vec::new();
        outer.part(*field, &inner);
        outer
    });
    assert_eq!(post(&weft.http, "application/x-protobuf", nested), (200, String::new()));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, request(now, 2).to_string().as_bytes()).unwrap();
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let (status, _, _) = weft.http.post_bytes(PATH, &headers, gzip.finish().unwrap()).unwrap();
    assert_eq!(status, 200);
    let found = asked(&weft.http, "query", &[("query", "proto_gauge or http_requests_total")]).unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn what_is_left_out_is_told() {
    let weft = Weft::start("scrape_configs: []\n", &[ON]);
    let time = now_ns().to_string();
    let sum = |name: &str, temporality: i32| json!({"name": name, "sum": {"aggregationTemporality": temporality, "dataPoints": [{"timeUnixNano": time, "asInt": 1}]}});
    let send = |metrics: Value| {
        let body = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}).to_string();
        post(&weft.http, "application/json", body.into_bytes())
    };
    let why = "invalid temporality and type combination for metric \"delta\"";
    let (status, body) = send(json!([sum("good", 2), sum("delta", 1)]));
    let partial = json!({"partialSuccess": {"rejectedDataPoints": 1, "errorMessage": why}});
    assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()), (200, partial));
    assert_eq!(send(json!([sum("delta", 1)])), (400, format!("{why}\n")));
    assert_eq!(post(&weft.http, "text/plain", Vec::new()).0, 400);
    assert_eq!(post(&weft.http, "application/json", b"{".to_vec()).0, 400);
    let off = Weft::start("scrape_configs: []\n", &[]);
    let text = "otlp write receiver needs to be enabled with --web.enable-otlp-receiver\n";
    assert_eq!(post(&off.http, "application/json", Vec::new()), (404, text.to_owned()));
}
