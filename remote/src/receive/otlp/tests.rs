//! Whole requests, from bytes to the store.

use std::collections::BTreeSet;

use model::Committed;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics};
use serde_json::{Value as Json, json};

use super::*;
use crate::receive::noting::Store;

fn settings() -> OtlpSettings {
    let naming = Naming { suffixes: true, utf8: false, key_before_underscore: true, keep_underscores: true };
    OtlpSettings {
        naming,
        resource_attributes: BTreeSet::new(),
        promote_all: false,
        keep_identifying_resource_attributes: false,
        convert_histograms_to_nhcb: false,
        promote_scope_metadata: false,
        deltas: Deltas::Refused,
        type_labels: false,
        start_zeros: false,
        lookback_ms: 300_000,
    }
}

fn attributes(pairs: &[(&str, &str)]) -> Json {
    pairs.iter().map(|(key, value)| json!({"key": key, "value": {"stringValue": value}})).collect()
}

/// A request with these metrics of a shop's cart.
fn request(metrics: Json) -> Json {
    let resource = [
        ("service.name", "cart"),
        ("service.namespace", "shop"),
        ("service.instance.id", "i1"),
        ("k8s.pod.name", "cart-7"),
    ];
    json!({"resourceMetrics": [{
        "resource": {"attributes": attributes(&resource)},
        "scopeMetrics": [{
            "scope": {"name": "lib", "version": "1", "attributes": attributes(&[("x.y", "z")])},
            "schemaUrl": "http://schema",
            "metrics": metrics,
        }],
    }]})
}

/// Points at 2 s, since 1 s.
fn point(rest: Json) -> Json {
    let mut point = json!({"timeUnixNano": "2000000000", "startTimeUnixNano": "1000000000"});
    point.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    point
}

fn receive(request: &Json, settings: &OtlpSettings, answer: Committed) -> (Vec<String>, Written) {
    let store = Arc::new(Store::default());
    *store.answer.lock() = answer;
    let appender: Arc<dyn SeriesAppender> = Arc::<Store>::clone(&store);
    let receiver = OtlpReceiver::new(appender, &Registry::new()).unwrap();
    let written = receiver.receive(OtlpFormat::Json, request.to_string().as_bytes(), settings).unwrap();
    let lines = store.lines.lock().clone();
    (lines, written)
}

/// The lines that are stored of some metrics, without that of `target_info`, and why not all.
fn stored(metrics: Json, settings: &OtlpSettings) -> (Vec<String>, String) {
    let (mut lines, written) = receive(&request(metrics), settings, Committed::default());
    lines.retain(|line| !line.contains("target_info"));
    let why = match written.fault {
        Some(crate::receive::Fault::Refused(why)) => why,
        None => String::new(),
        Some(other) => panic!("{other:?}"),
    };
    (lines, why)
}

fn gauge(name: &str, rest: Json) -> Json {
    json!({"name": name, "unit": "s", "gauge": {"dataPoints": [point(rest)]}})
}

#[test]
fn numbers_become_samples() {
    let exemplar = json!({"timeUnixNano": "1500000000", "asDouble": 2.5, "traceId": "0102", "spanId": "",
        "filteredAttributes": attributes(&[("a", "b")])});
    let sum = json!({"aggregationTemporality": 2, "isMonotonic": true,
        "dataPoints": [point(json!({"asInt": "7", "attributes": attributes(&[("http.code", "200")]), "exemplars": [exemplar]}))]});
    let metrics = json!([gauge("a.b", json!({"asDouble": 1.5})), {"name": "requests", "sum": sum}]);
    let (lines, why) = stored(metrics.clone(), &settings());
    assert_eq!(
        lines,
        [
            r#"{__name__="a_b_seconds", instance="i1", job="shop/cart"} 1.5@2000"#,
            r#"{__name__="requests_total", http_code="200", instance="i1", job="shop/cart"} 7@2000 | {a="b", trace_id="0102"}=2.5@1500"#,
        ]
    );
    assert_eq!(why, "");
    let more = OtlpSettings {
        resource_attributes: ["k8s.pod.name".to_owned()].into(),
        promote_scope_metadata: true,
        type_labels: true,
        start_zeros: true,
        naming: Naming { utf8: true, ..settings().naming },
        ..settings()
    };
    assert_eq!(
        stored(metrics, &more).0[1],
        r#"{__name__="requests_total", __type__="counter", http.code="200", instance="i1", job="shop/cart", k8s.pod.name="cart-7", otel_scope_name="lib", otel_scope_schema_url="http://schema", otel_scope_version="1", otel_scope_x.y="z"} 7@2000 | 0:1000 | {a="b", trace_id="0102"}=2.5@1500"#
    );
}

#[test]
fn what_is_known_of_a_resource_is_a_series() {
    let times = |last: u64| {
        let points = json!([point(json!({"asDouble": 1})), {"timeUnixNano": last.to_string(), "asDouble": 1}]);
        json!([{"name": "a", "gauge": {"dataPoints": points}}])
    };
    let info = |metrics: Json, settings: &OtlpSettings| {
        let (mut lines, _) = receive(&request(metrics), settings, Committed::default());
        lines.retain(|line| line.contains("target_info"));
        lines
    };
    assert_eq!(
        info(times(302_000_000_001), &settings()),
        [r#"{__name__="target_info", instance="i1", job="shop/cart", k8s_pod_name="cart-7"} 1@2000 1@152000 1@302000"#]
    );
    let keeping = OtlpSettings { keep_identifying_resource_attributes: true, ..settings() };
    assert_eq!(
        info(times(2_000_000_000), &keeping),
        [
            r#"{__name__="target_info", instance="i1", job="shop/cart", k8s_pod_name="cart-7", service_instance_id="i1", service_name="cart", service_namespace="shop"} 1@2000"#
        ]
    );
    let long = info(times(1_600_000_000_000_000_000), &settings());
    assert!(long[0].matches('@').count() <= 10_001 && long[0].ends_with(" 1@1600000000000"), "{:.200}", long[0]);
}

#[test]
fn histograms_are_classic_or_native() {
    let exemplar = |value: f64| json!({"timeUnixNano": "1", "asDouble": value});
    let points =
        json!([point(json!({"count": "4", "sum": 7.5, "bucketCounts": ["1", "0", "3"], "explicitBounds": [0.5, 10],
        "exemplars": [exemplar(0.1), exemplar(50.0)]}))]);
    let metric = json!([{"name": "h", "histogram": {"aggregationTemporality": 2, "dataPoints": points}}]);
    let of = |name: &str, le: &str, rest: &str| {
        let le = if le.is_empty() { String::new() } else { format!(", le={le:?}") };
        format!("{{__name__={name:?}, instance=\"i1\", job=\"shop/cart\"{le}}} {rest}")
    };
    assert_eq!(
        stored(metric.clone(), &settings()).0,
        [
            of("h_sum", "", "7.5@2000"),
            of("h_count", "", "4@2000"),
            of("h_bucket", "0.5", "1@2000 | {}=0.1@0"),
            of("h_bucket", "10", "1@2000"),
            of("h_bucket", "+Inf", "4@2000 | {}=50@0"),
        ]
    );
    let native = OtlpSettings { convert_histograms_to_nhcb: true, ..settings() };
    let (lines, _) = stored(metric, &native);
    assert_eq!(
        lines,
        [of("h", "", "{{schema:-53 count:4 sum:7.5 custom_values:[0.5 10] buckets:[1 0 3]}}@2000 | {}=0.1@0 {}=50@0")]
    );
}

/// What upstream mended in 3.16: #20029, #20004, #19425, #20030.
#[test]
fn exemplars_and_bounds_that_are_odd() {
    let exemplar = |ns: &str, value: f64| json!({"timeUnixNano": ns, "asDouble": value, "traceId": "01", "filteredAttributes": attributes(&[("trace_id", "other")])});
    let points = json!([point(json!({"count": "2", "bucketCounts": ["2", "0"], "explicitBounds": [5, 6],
        "exemplars": [exemplar("9000000", 1.0), exemplar("3000000", 2.0)]}))]);
    let metric = json!([{"name": "h", "histogram": {"aggregationTemporality": 2, "dataPoints": points}}]);
    let (lines, _) = stored(metric, &settings());
    assert!(lines[1].ends_with(r#"| {trace_id="01"}=2@3 {trace_id="01"}=1@9"#), "in the order of time: {lines:?}");
    // JSON has no word for it.
    let data = opentelemetry_proto::tonic::metrics::v1::HistogramDataPoint {
        count: 3,
        bucket_counts: vec![1, 2],
        explicit_bounds: vec![1.0, f64::INFINITY],
        ..Default::default()
    };
    let histogram =
        opentelemetry_proto::tonic::metrics::v1::Histogram { data_points: vec![data], aggregation_temporality: 2 };
    let metric = Metric { name: "i".to_owned(), data: Some(Data::Histogram(histogram)), ..Metric::default() };
    let scope_metrics =
        vec![opentelemetry_proto::tonic::metrics::v1::ScopeMetrics { metrics: vec![metric], ..Default::default() }];
    let request =
        ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics { scope_metrics, ..Default::default() }] };
    let store = Arc::new(Store::default());
    *store.answer.lock() = Committed { too_old: 1, late_exemplars: 2, ..Committed::default() };
    let appender: Arc<dyn SeriesAppender> = Arc::<Store>::clone(&store);
    let receiver = OtlpReceiver::new(appender, &Registry::new()).unwrap();
    let written = receiver.receive(OtlpFormat::Protobuf, &request.encode_to_vec(), &settings()).unwrap();
    let names: Vec<String> = store.lines.lock().iter().map(|line| line.split(' ').take(2).collect()).collect();
    assert_eq!(
        names,
        [r#"{__name__="i_count"}0@0"#, r#"{__name__="i_bucket",le="1"}"#, r#"{__name__="i_bucket",le="+Inf"}"#]
            .map(|text| text.replace("0@0", "3@0"))
    );
    assert_eq!((written.refused, written.late_exemplars), (1, 2));
}

#[test]
fn exponential_histograms_are_native() {
    let metric = |rest: Json| {
        let mut one = json!({"count": "6", "sum": 3.5, "scale": 0, "zeroCount": "1",
            "positive": {"offset": 0, "bucketCounts": ["2", "0", "3"]}});
        one.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        json!([{"name": "e", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [point(one)]}}])
    };
    let line = |rest: &str| format!("{{__name__=\"e\", instance=\"i1\", job=\"shop/cart\"}} {rest}");
    let check = |rest: Json, expected: &str| {
        assert_eq!(stored(metric(rest), &settings()), (vec![line(expected)], String::new()));
    };
    let zero = "z_bucket:1 z_bucket_w:1e-128";
    check(json!({}), &format!("{{{{count:6 sum:3.5 {zero} offset:1 buckets:[2 0 3]}}}}@2000"));
    // Finer than is stored: pairs of buckets are joined.
    let fine = json!({"scale": 9, "positive": {"offset": 510, "bucketCounts": ["2", "1", "2"]}});
    check(fine, &format!("{{{{schema:8 count:6 sum:3.5 {zero} offset:256 buckets:[3 2]}}}}@2000"));
    check(json!({"flags": 1}), "stale@2000");
    let (lines, why) = stored(metric(json!({"scale": -5})), &settings());
    assert_eq!(
        (lines.len(), &*why),
        (0, "cannot convert exponential to native histogram. Scale must be >= -4, was -5")
    );
    let (lines, why) = stored(metric(json!({"count": "9"})), &settings());
    assert!(lines.is_empty() && why.starts_with("6 observations found in buckets, but the Count field is 9"), "{why}");
}

#[test]
fn summaries_have_quantiles() {
    let points = json!([point(json!({"count": "4", "sum": 7.5, "quantileValues": [{"quantile": 0.9, "value": 2}]}))]);
    let (lines, _) = stored(json!([{"name": "s", "unit": "ms", "summary": {"dataPoints": points}}]), &settings());
    let names: Vec<&str> = lines.iter().map(|line| line.split('"').nth(1).unwrap()).collect();
    assert_eq!(names, ["s_milliseconds_sum", "s_milliseconds_count", "s_milliseconds"]);
    assert!(lines[2].ends_with(r#"quantile="0.9"} 2@2000"#), "{}", lines[2]);
}

#[test]
fn differences_are_taken_where_that_is_asked_for() {
    let sum = json!({"aggregationTemporality": 1, "isMonotonic": true, "dataPoints": [point(json!({"asInt": 3}))]});
    let metrics = json!([{"name": "d", "sum": sum}, gauge("a", json!({"asInt": 1}))]);
    let (lines, why) = stored(metrics.clone(), &settings());
    assert_eq!((lines.len(), &*why), (1, r#"invalid temporality and type combination for metric "d""#));
    let deltas = OtlpSettings { deltas: Deltas::Stored, type_labels: true, ..settings() };
    let (lines, why) = stored(metrics, &deltas);
    assert_eq!((&*lines[0], &*why), (r#"{__name__="d_total", instance="i1", job="shop/cart"} 3@2000"#, ""));
    let store = Arc::new(Store::default());
    let appender: Arc<dyn SeriesAppender> = Arc::<Store>::clone(&store);
    let receiver = OtlpReceiver::new(appender, &Registry::new()).unwrap();
    for time in ["2000000000", "3000000000", "3000000000"] {
        let point = json!({"timeUnixNano": time, "startTimeUnixNano": "1000000000", "asInt": 3});
        let sum = json!({"aggregationTemporality": 1, "isMonotonic": true, "dataPoints": [point]});
        let body = request(json!([{"name": "d", "sum": sum}])).to_string();
        let added = OtlpSettings { deltas: Deltas::AddedUp, ..settings() };
        assert!(receiver.receive(OtlpFormat::Json, body.as_bytes(), &added).unwrap().fault.is_none());
    }
    let lines = store.lines.lock().join("\n");
    let samples: Vec<&str> =
        lines.lines().filter(|line| line.contains("d_total")).filter_map(|l| l.split("} ").nth(1)).collect();
    assert_eq!(samples, ["3@2000", "6@3000"], "the last is not newer");
}

#[test]
fn attributes_whose_names_collide_are_joined() {
    let point =
        json!({"asInt": 1, "attributes": attributes(&[("a.b", "2"), ("a_b", "3"), ("a-b", "1"), ("__name__", "x")])});
    let (lines, _) = stored(json!([gauge("g", point)]), &settings());
    assert_eq!(lines, [r#"{__name__="g_seconds", a_b="1;2;3", instance="i1", job="shop/cart"} 1@2000"#]);
}

#[test]
fn what_is_left_out_is_counted() {
    let bad = json!({"asInt": 1, "attributes": attributes(&[("", "x")])});
    let nameless = json!({"name": "", "gauge": {"dataPoints": [point(json!({"asInt": 1}))]}});
    let metrics = json!([gauge("g", bad), nameless, gauge("good", json!({"asInt": 1}))]);
    let (lines, written) = receive(&request(metrics), &settings(), Committed::default());
    assert_eq!((lines.len(), written.refused, written.is_refused_whole()), (2, 2, false));
    let late = Committed { out_of_order: 2, ..Committed::default() };
    let (_, written) = receive(&request(json!([gauge("g", json!({"asInt": 1}))])), &settings(), late);
    assert_eq!((written.refused, written.is_refused_whole()), (2, true));
    let answer = OtlpFormat::Json.partial_success(2, "why".to_owned());
    assert_eq!(
        String::from_utf8(answer).unwrap(),
        r#"{"partialSuccess":{"rejectedDataPoints":2,"errorMessage":"why"}}"#
    );
}

#[test]
fn what_is_no_request_is_an_error() {
    let receiver = OtlpReceiver::new(Arc::new(Store::default()), &Registry::new()).unwrap();
    for (format, body) in
        [(OtlpFormat::Json, &b"{"[..]), (OtlpFormat::Json, b"5"), (OtlpFormat::Protobuf, b"\x0a\x05a")]
    {
        assert!(receiver.receive(format, body, &settings()).is_err(), "{body:?}");
    }
    assert!(OtlpFormat::Protobuf.weight(b"\x0a\x05a").is_err());
    assert_eq!(
        OtlpFormat::of_content_type("text/plain").unwrap_err().to_string(),
        "unsupported content type: text/plain, supported: [application/json, application/x-protobuf]"
    );
    let empty = receiver.receive(OtlpFormat::Protobuf, b"", &settings()).unwrap();
    assert!(empty.fault.is_none());
}
