//! `/federate`: upstream's cases, and answers in each format, read back by the parser of scrapes.

use std::sync::Arc;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{FromRequest as _, FromRequestParts as _};
use axum::response::Response;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, StatusCode};
use model::{Histogram, Labels, Timestamp};
use scraper::parse::{Entry, Format, Parser, Wanted};
use serde_json::Value;
use tower::ServiceExt as _;

use super::{START, app, app_with, load, load_of};
use crate::api::work::Origin;
use crate::api::{ApiError, Params, federate, router};
use crate::app::App;

const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
const MINUTE_MS: i64 = 60_000;

async fn answer(app: &Arc<App>, now: Timestamp, query: &str, accept: &str) -> Response {
    // As a form: a URL of this type cannot be as long as one that the server takes.
    let request = Request::builder().method("POST").uri("/federate").header(ACCEPT, accept);
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let (mut parts, body) = request.body(Body::from(query.to_owned())).unwrap().into_parts();
    let headers = parts.headers.clone();
    let origin = Origin::from_request_parts(&mut parts, &()).await.unwrap();
    let params = Params::from_request(Request::from_parts(parts, body), app).await.unwrap();
    federate::at(Arc::clone(app), now, (origin, headers, params)).await.unwrap_or_else(ApiError::into_plain)
}

async fn bytes(response: Response) -> Vec<u8> {
    to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()
}

/// The answer as text, so many minutes after the first sample.
async fn text(app: &Arc<App>, minutes: i64, query: &str, accept: &str) -> (u16, String) {
    let response = answer(app, START + minutes * MINUTE_MS, query, accept).await;
    let status = response.status().as_u16();
    (status, String::from_utf8(bytes(response).await).unwrap())
}

fn match_all(selectors: &[&str]) -> String {
    let pairs = selectors.iter().map(|selector| ("match[]", *selector));
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The lines of each family in order, which upstream leaves open.
fn by_family(body: &str) -> String {
    let mut families: Vec<Vec<&str>> = Vec::new();
    for line in body.lines() {
        if line.starts_with('#') {
            families.push(Vec::new());
        }
        families.last_mut().expect("a type comes first").push(line);
    }
    families.iter_mut().for_each(|family| family[1..].sort_unstable());
    families.concat().iter().flat_map(|line| [line, "\n"]).collect()
}

fn put_external_labels(app: &App, labels: &Value) {
    let text = format!("global: {{scrape_interval: 15s, external_labels: {labels}}}");
    app.reloaded(Arc::new(config::Config::parse(&text, "a.yml".as_ref(), &|_| None).unwrap()));
}

/// Entry by entry what a scrape makes of a body.
fn parsed(format: Format, body: &[u8]) -> Vec<String> {
    let mut parser = Parser::of(format, body, Wanted { native: true, ..Wanted::default() });
    let mut out = Vec::new();
    while let Some(entry) = parser.next_entry().unwrap() {
        match entry {
            Entry::Type { metric, kind } => out.push(format!("{metric} {}", kind.as_str())),
            Entry::Series(sample) => {
                let labels =
                    Labels::from_pairs(parser.labels(&sample.series).unwrap().iter().map(|(n, v)| (&**n, &**v)));
                let ts = sample.point.ts.map_or(-1, |ts| ts.0 - START.0);
                out.push(if model::sample::is_histogram_mark(sample.point.value) {
                    format!("{labels} {} {ts}", shown(&parser.histogram().unwrap().histogram))
                } else {
                    format!("{labels} {} {ts}", sample.point.value)
                });
            }
            // There is none in the page: the parser tells so.
            Entry::Help { text, .. } => assert_eq!(text, ""),
            other => panic!("{other:?}"),
        }
    }
    out
}

fn shown(histogram: &Histogram) -> String {
    let Histogram { schema, zero_threshold, zero_count, count, sum, .. } = histogram;
    let [negative, positive] =
        [&histogram.negative, &histogram.positive].map(|side| side.iter().collect::<Vec<(i32, f64)>>());
    format!("{schema}/{zero_threshold}/{zero_count}/{count}/{sum}/{negative:?}/{positive:?}")
}

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_cases() {
    let Some(data) = kit::conformance_json("httpapi/federate_cases.json") else { return };
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    load(&app, data["dataset"].as_str().unwrap());
    let cases = data["cases"].as_array().unwrap();
    for case in cases {
        put_external_labels(&app, &case["external_labels"]);
        let now = START + data["now_ms"].as_i64().unwrap();
        let response = answer(&app, now, case["query_string"].as_str().unwrap(), "").await;
        let status = u64::from(response.status().as_u16());
        let body = String::from_utf8(bytes(response).await).unwrap();
        let body = if status == 200 { by_family(&body) } else { body };
        // Upstream's data begins with the epoch.
        let mut expected = case["body"].as_str().unwrap().to_owned();
        for ms in [6_000_000, 5_880_000] {
            expected = expected.replace(&format!(" {ms}\n"), &format!(" {}\n", START.0 + ms));
        }
        assert_eq!((status, body), (case["status"].as_u64().unwrap(), expected), "{}", case["name"]);
    }
    assert!(cases.len() > 15, "{}", cases.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_sample_within_the_lookback_delta_with_its_own_time() {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), &["--query.lookback-delta=3m"]);
    load(&app, "a 0 1 2 3 4 5 6\nb 0 1\nc 0 1 2 3 stale\nd _ _ _ _ _ _ 6");
    let all = match_all(&["{__name__=~\".+\"}"]);
    for (minutes, expected) in [
        (-1, &[][..]),
        (0, &["a 0 0", "b 0 0", "c 0 0"]),
        (3, &["a 3 3", "b 1 1", "c 3 3"]),
        // The first millisecond of the delta counts, which it does not in a query.
        (4, &["a 4 4", "b 1 1"]),
        (5, &["a 5 5"]),
        (6, &["a 6 6", "d 6 6"]),
        (9, &["a 6 6", "d 6 6"]),
        (10, &[]),
    ] {
        let (status, body) = text(&app, minutes, &all, "text/plain").await;
        let lines: Vec<String> = body
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let [name, value, ts] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
                let minutes = (ts.parse::<i64>().unwrap() - START.0) / MINUTE_MS;
                format!("{} {value} {minutes}", name.replace("{instance=\"\"}", ""))
            })
            .collect();
        assert_eq!((status, lines), (200, expected.iter().map(|line| (*line).to_owned()).collect()), "{minutes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_under_each_escaping_scheme() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    load(&app, r#"{"http.dürations_s","pod.name"="a\"b\\c\nd","x:y"="é",instance="i"} 1"#);
    put_external_labels(&app, &serde_json::json!({"region.name": "eu"}));
    let all = match_all(&["{\"http.dürations_s\"}"]);
    let value = r#"a\"b\\c\nd"#;
    for (scheme, name, start, pod, region) in [
        ("underscores", "http_d_rations_s", "http_d_rations_s{", "pod_name", "region_name"),
        ("dots", "http_dot_d__rations__s", "http_dot_d__rations__s{", "pod_dot_name", "region_dot_name"),
        ("values", "U__http_2e_d_fc_rations__s", "U__http_2e_d_fc_rations__s{", "U__pod_2e_name", "U__region_2e_name"),
        ("allow-utf-8", "\"http.dürations_s\"", "{\"http.dürations_s\",", "\"pod.name\"", "\"region.name\""),
    ] {
        let accept = format!("text/plain;version=0.0.4;escaping={scheme}");
        let response = answer(&app, START, &all, &accept).await;
        let kind = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        assert_eq!(kind, format!("text/plain; version=0.0.4; charset=utf-8; escaping={scheme}"));
        let body = bytes(response).await;
        let expected = format!(
            "# TYPE {name} untyped\n{start}instance=\"i\",{pod}=\"{value}\",\"x:y\"=\"é\",{region}=\"eu\"}} 1 {}\n",
            START.0
        );
        assert_eq!(String::from_utf8_lossy(&body), expected);
        // The same in protobuf, where nothing is quoted.
        let response = answer(&app, START, &all, &format!("{PROTOBUF};escaping={scheme}")).await;
        let from_text = parsed(Format::Text, &body);
        assert_eq!(parsed(Format::Protobuf, &bytes(response).await), from_text);
        assert_eq!(from_text.len(), 2, "{from_text:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_of_sources_and_external_ones() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    let source = |job: &str| Labels::from_pairs([("instance", "h:1"), ("job", job), ("zone", "z")]);
    load_of(&app, &source("a"), "up 1\nreq{code=\"200\",zone=\"own\"} 5\nreq{code=\"500\"} 6");
    load_of(&app, &source("b"), "up 0\nreq{Code=\"c\",le=\"1\"} 7");
    load(&app, "job:up:sum 1\nup{cluster=\"kept\"} 3");
    put_external_labels(&app, &serde_json::json!({"cluster": "c1", "zone": "ext", "empty": ""}));
    let (status, body) = text(&app, 0, &match_all(&["{__name__!=\"\"}"]), "*/*").await;
    let expected = r#"# TYPE job:up:sum untyped
job:up:sum{cluster="c1",empty="",instance="",zone="ext"} 1 T
# TYPE req untyped
req{Code="c",instance="h:1",job="b",le="1",zone="z",cluster="c1",empty=""} 7 T
req{code="200",instance="h:1",job="a",zone="own",cluster="c1",empty=""} 5 T
req{code="500",instance="h:1",job="a",zone="z",cluster="c1",empty=""} 6 T
# TYPE up untyped
up{cluster="kept",empty="",instance="",zone="ext"} 3 T
up{instance="h:1",job="a",zone="z",cluster="c1",empty=""} 1 T
up{instance="h:1",job="b",zone="z",cluster="c1",empty=""} 0 T
"#;
    assert_eq!(
        (status, by_family(&body)),
        (200, expected.replace('T', &START.0.to_string()).replace("# 1700000000000YPE", "# TYPE"))
    );
    // Selectors that have series in common, and some that differ in the name alone.
    for selectors in [
        &["up", "req", "job:up:sum"][..],
        &["{job=~\".*\"}", "{job=\"a\"}", "up{job!=\"a\"}", "up", "up"],
        &["{__name__=~\"up|job.*\"}", "{code!=\"x\"}"],
    ] {
        let (status, again) = text(&app, 0, &match_all(selectors), "*/*").await;
        assert_eq!((status, by_family(&again)), (200, by_family(&body)), "{selectors:?}");
    }
}

const HISTOGRAMS: &str = r#"mixed{kind="float"} 1
mixed{kind="native"} {{schema:1 count:12 sum:39.4 z_bucket:2 z_bucket_w:0.001 buckets:[1 2 0 1 1] n_buckets:[1 2 0 1 1]}}
mixed{kind="fractions"} {{schema:-2 count:3.5 sum:-1.25 offset:-3 buckets:[0.5 3]}}
mixed{kind="gauge"} {{schema:0 count:2 sum:1 buckets:[2] counter_reset_hint:gauge}}
mixed{kind="custom"} {{schema:-53 count:6 sum:1.234 custom_values:[0.1 0.2 0.5 1 2] buckets:[3 2 0 0 1]}}
only_native{} {{schema:0 count:1 sum:1 buckets:[1]}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn native_histograms_in_protobuf_alone_and_custom_ones_as_classic() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    load(&app, HISTOGRAMS);
    let all = match_all(&["mixed", "only_native"]);
    let (status, body) = text(&app, 0, &all, "text/plain").await;
    let expected = r#"# TYPE mixed untyped
mixed{kind="float",instance=""} 1 T
# TYPE mixed histogram
mixed_bucket{kind="custom",instance="",le="0.1"} 3 T
mixed_bucket{kind="custom",instance="",le="0.2"} 5 T
mixed_bucket{kind="custom",instance="",le="0.5"} 5 T
mixed_bucket{kind="custom",instance="",le="1"} 5 T
mixed_bucket{kind="custom",instance="",le="2"} 6 T
mixed_bucket{kind="custom",instance="",le="+Inf"} 6 T
mixed_sum{kind="custom",instance=""} 1.234 T
mixed_count{kind="custom",instance=""} 6 T
"#;
    assert_eq!((status, body), (200, expected.replace(" T\n", &format!(" {}\n", START.0))));

    let mut families = parsed(Format::Protobuf, &bytes(answer(&app, START, &all, PROTOBUF).await).await);
    let kinds: Vec<String> = families.extract_if(.., |entry| !entry.ends_with(" 0")).collect();
    assert_eq!(kinds, ["mixed unknown", "mixed histogram", "mixed gaugehistogram", "only_native histogram"]);
    families.sort_unstable();
    let expected = [
        "mixed_bucket{kind=\"custom\", le=\"+Inf\"} 6 0",
        "mixed_bucket{kind=\"custom\", le=\"0.1\"} 3 0",
        "mixed_bucket{kind=\"custom\", le=\"0.2\"} 5 0",
        "mixed_bucket{kind=\"custom\", le=\"0.5\"} 5 0",
        "mixed_bucket{kind=\"custom\", le=\"1.0\"} 5 0",
        "mixed_bucket{kind=\"custom\", le=\"2.0\"} 6 0",
        "mixed_count{kind=\"custom\"} 6 0",
        "mixed_sum{kind=\"custom\"} 1.234 0",
        "mixed{kind=\"float\"} 1 0",
        "mixed{kind=\"fractions\"} -2/0/0/3.5/-1.25/[]/[(-3, 0.5), (-2, 3.0)] 0",
        "mixed{kind=\"gauge\"} 0/0/0/2/1/[]/[(0, 2.0)] 0",
        "mixed{kind=\"native\"} 1/0.001/2/12/39.4/[(0, 1.0), (1, 2.0), (3, 1.0), (4, 1.0)]/[(0, 1.0), (1, 2.0), (3, 1.0), (4, 1.0)] 0",
        "only_native 0/0/0/1/1/[]/[(0, 1.0)] 0",
    ];
    assert_eq!(families, expected);

    let (_, body) = text(&app, 0, &match_all(&["only_native"]), &PROTOBUF.replace("delimited", "compact-text")).await;
    let expected = "name:\"only_native\" type:HISTOGRAM metric:{label:{name:\"instance\" value:\"\"} histogram:{sample_count_float:1 \
                    sample_sum:1 schema:0 zero_threshold:0 zero_count_float:0 positive_span:{offset:0 length:1} \
                    positive_count:1} timestamp_ms:1700000000000}\n";
    assert_eq!(body, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_answers_come_in_pieces_and_are_the_same_in_each_format() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    let long = "v".repeat(60);
    let wide: String = (0..6_000).map(|i| format!("wide{{i=\"{i:05}\",long=\"{long}\"}} {i}\n")).collect();
    let narrow: String = (0..3_000).map(|i| format!("narrow_{i:04} {i}.5\n")).collect();
    let job = |job: &str| Labels::from_pairs([("job", job)]);
    for name in ["a", "b", "c"] {
        load_of(&app, &job(name), &format!("{wide}{narrow}"));
    }
    let all = match_all(&["{job!=\"\"}"]);
    let mut response = answer(&app, START, &all, "").await;
    assert_eq!(response.body().size_hint().exact(), None);
    let mut pieces = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| std::pin::Pin::new(response.body_mut()).poll_frame(cx)).await {
        pieces.push(frame.unwrap().into_data().unwrap());
        assert!(app.engine().options().memory.used() > 0);
    }
    let lengths: Vec<usize> = pieces.iter().map(axum::body::Bytes::len).collect();
    assert!(pieces.len() > 40 && lengths.iter().all(|len| *len < 70_000), "{lengths:?}");
    drop(response);
    assert_eq!(app.engine().options().memory.used(), 0);
    let of_text = parsed(Format::Text, &pieces.concat());
    assert_eq!(of_text.len(), 3 * 9_000 + 3_001);
    let names: Vec<&str> = of_text.iter().filter_map(|entry| entry.strip_suffix(" unknown")).collect();
    assert!(names.is_sorted(), "{names:?}");
    // The family of `wide` is one message that is too long to be made at once.
    let of_protobuf = parsed(Format::Protobuf, &bytes(answer(&app, START, &all, PROTOBUF).await).await);
    assert!(of_protobuf == of_text);
    let as_text = answer(&app, START, &all, &PROTOBUF.replace("delimited", "text")).await;
    let as_text = String::from_utf8(bytes(as_text).await).unwrap();
    assert_eq!(as_text.lines().filter(|line| line.starts_with("metric:")).count(), 27_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_given_up_holds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    load(&app, &(0..9_000).map(|i| format!("wide{{i=\"{i}\"}} 1\n")).collect::<String>());
    for accept in ["", PROTOBUF] {
        let mut response = answer(&app, START, &match_all(&["wide"]), accept).await;
        let frame = std::future::poll_fn(|cx| std::pin::Pin::new(response.body_mut()).poll_frame(cx)).await;
        assert!(frame.unwrap().is_ok() && app.engine().options().memory.used() > 0);
        drop(response);
        assert_eq!(app.engine().options().memory.used(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_in_plain_text() {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), &["--query.max-memory-per-query=1MB"]);
    let long = "w".repeat(1_000);
    load(&app, &(0..3_000).map(|i| format!("wide{{i=\"{i}\",l=\"{long}\"}} 1\n")).collect::<String>());
    for (query, status, said) in [
        ("match[]=up%7B", 400, "1:4: parse error: unexpected end of input inside braces\n"),
        ("match[]=up&match[]=a-b", 400, "1:2: parse error: unexpected <op:->\n"),
        ("match[]=a&match[]", 400, "parse error"),
        ("match[]=%zz", 400, "error parsing form values: invalid URL escape \"%zz\"\n"),
        ("match[]=a;b", 400, "error parsing form values: invalid semicolon separator in query\n"),
        ("match[]=wide", 422, "query needs more than 1048576 bytes of memory"),
        ("match[]={i='1'}", 200, "# TYPE wide untyped\nwide{"),
        ("timeout=1e-9", 503, "timed out"),
        ("query=x", 200, ""),
        ("", 200, ""),
    ] {
        let (got, body) = text(&app, 0, query, "").await;
        let is_it = if said.is_empty() { body.is_empty() } else { body.contains(said) };
        assert!(got == status && is_it && !body.contains("{\"status\""), "{query}: {got} {body:.200}");
        assert_eq!(app.engine().options().memory.used(), 0, "{query}");
    }
    assert_eq!((app.metrics.federation_errors.get(), app.metrics.federation_warnings.get()), (1, 0));
    let asked = |method: &str, query: &str| {
        let request = Request::builder().method(method).uri(format!("/federate?{query}")).body(Body::empty()).unwrap();
        router(Arc::clone(&app)).oneshot(request)
    };
    for method in ["POST", "HEAD", "PUT"] {
        assert_eq!(asked(method, "").await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
    let refused = asked("GET", "match[]=-").await.unwrap();
    let header = |name: &str| refused.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(header("x-content-type-options"), "nosniff");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_selectors_and_those_that_match_everything() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    load_of(&app, &Labels::from_pairs([("job", "a")]), "m17 1\nm9999 2\nother{n=\"x\"} 3");
    let names: Vec<String> = (0..10_000).map(|i| format!("m{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (status, body) = text(&app, 0, &match_all(&names), "").await;
    let series = |body: &str| body.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!((status, series(&body)), (200, 2), "{body}");
    // These cannot be read at once.
    let jobs: Vec<String> = (0..1_000).map(|i| format!("{{job=~\"[ab]|{i}\"}}")).collect();
    let jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
    let (status, body) = text(&app, 0, &match_all(&jobs), "").await;
    assert_eq!((status, series(&body)), (200, 3), "{body}");
    // Upstream refuses such selectors only below `/api/v1`.
    for all in ["{}", "{job=~\".*\"}", "{absent=\"\"}", "{absent!=\"x\"}"] {
        let (status, again) = text(&app, 0, &match_all(&[all]), "").await;
        assert_eq!((status, again), (200, body.clone()), "{all}");
    }
}
