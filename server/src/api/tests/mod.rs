//! Answers byte for byte as upstream gave them (`conformance/httpapi/golden/default_flags.json`), over the same data in a
//! real store.
#![allow(clippy::print_stderr, reason = "a test: a failed step is its message")]

mod bounds;
mod cardinality;
mod cost;
mod explain;
pub(in crate::api) mod explain_targets;
mod federate;
mod known;
mod mcp;
mod metric_usage;
mod metrics_page;
mod paths;
mod profiles;
pub(in crate::api) mod rule_history;
mod running_queries;
mod search;
mod status;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use http::Request;
use model::{Appender, Labels, Layout, Row, Timestamp};
use query::promqltest::{Point, series};
use serde_json::Value;
use tower::ServiceExt as _;

use self::known::KNOWN;
use super::router;
use crate::app::App;
use crate::bootstrap;
use crate::flags::Flags;

/// The first sample of every series.
const START: Timestamp = Timestamp(1_700_000_000_000);

/// Paths that are served. Those of parts that come later are not in the list, nor those whose answers are about the
/// program and not about the data.
const SERVED: [&str; 19] = [
    "/api/v1/admin/tsdb/",
    "/api/v1/query",
    "/api/v1/query_range",
    "/api/v1/format_query",
    "/api/v1/parse_query",
    "/api/v1/series",
    "/api/v1/labels",
    "/api/v1/label/",
    "/api/v1/metadata",
    "/api/v1/targets/metadata",
    "/api/v1/targets/relabel_steps",
    "/api/v1/scrape_pools",
    "/api/v1/status/walreplay",
    "/api/v1/status/config",
    "/api/v1/status/tsdb",
    "/api/v1/alerts",
    "/api/v1/alertmanagers",
    "/api/v1/targets",
    "/-/",
];

fn conformance() -> Option<(String, Value)> {
    let data = kit::conformance_text("httpapi/golden/dataset.load")?;
    Some((data, kit::conformance_json("httpapi/golden/default_flags.json")?))
}

/// The server without its sockets, over a store of its own.
fn app(folder: &std::path::Path) -> Arc<App> {
    app_with(folder, &[])
}

pub(super) fn app_with(folder: &std::path::Path, more: &[&str]) -> Arc<App> {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let path = format!("--storage.tsdb.path={}", folder.display());
    let args = ["weft", &path, "--storage.tsdb.retention.time=100y", "--web.listen-address=127.0.0.1:0"];
    let flags = Flags::parse(args.iter().chain(more).map(|arg| (*arg).to_owned())).unwrap();
    let mut config = config::Config::parse("global: {scrape_interval: 15s}", "a.yml".as_ref(), &|_| None).unwrap();
    let retention = crate::settings::Retention::new(&flags);
    config.default_retention(retention.time_ms, retention.size_bytes);
    bootstrap::build(flags, &config, tokio::sync::mpsc::channel(1).0).unwrap()
}

/// One source; a row a minute.
pub(super) fn load(app: &App, data: &str) {
    load_of(app, &Labels::empty(), data);
}

/// The same with labels of the source.
fn load_of(app: &App, source: &Labels, data: &str) {
    let lines =
        data.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with(['#', 'l']) || l.starts_with("la"));
    let all: Vec<(Labels, Vec<Point>)> = lines.map(|line| series(line).unwrap()).collect();
    let source = app.db.source(source).unwrap();
    let labels: Vec<Labels> = all.iter().map(|(labels, _)| labels.clone()).collect();
    let layout: Layout = app.db.layout(&app.db.metrics(&labels).unwrap()).unwrap();
    let longest = all.iter().map(|(_, points)| points.len()).max().unwrap();
    for i in 0..longest {
        let mut present = vec![0u64; all.len().div_ceil(64)];
        let mut values = vec![0.0; all.len()];
        let mut histograms = Vec::new();
        for (column, (_, points)) in all.iter().enumerate() {
            values[column] = match points.get(i) {
                Some(Point::Float(value)) => *value,
                Some(Point::Histogram { histogram, .. }) => {
                    histograms.push((u32::try_from(column).unwrap(), (**histogram).clone()));
                    model::sample::histogram_mark()
                }
                _ => continue,
            };
            present[column / 64] |= 1 << (column % 64);
        }
        let ts = START + i64::try_from(i).unwrap() * 60_000;
        let row = Row {
            source,
            ts,
            layout: &layout,
            values: &values,
            present: &present,
            own_times: &[],
            histograms: &histograms,
        };
        let committed = app.db.commit(&[row]).unwrap();
        assert_eq!((committed.out_of_order, committed.too_old), (0, 0));
    }
}

fn encoded(pairs: &Value) -> String {
    let pairs = pairs.as_array().into_iter().flatten();
    let pairs = pairs.map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

async fn ask(app: &Arc<App>, request: &Value) -> (u16, String) {
    let query = encoded(&request["params"]);
    let path = request["path"].as_str().unwrap();
    let uri = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let mut builder = Request::builder().method(request["method"].as_str().unwrap_or("GET")).uri(uri);
    let form = encoded(&request["form"]);
    if !form.is_empty() {
        builder = builder.header("content-type", "application/x-www-form-urlencoded");
    }
    let response = router(Arc::clone(app)).oneshot(builder.body(Body::from(form)).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// An answer with the order of an instant vector made plain, which upstream leaves open.
fn comparable(body: &str, query: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    let data = &mut value["data"];
    if data["resultType"] == "vector" && !query.contains("sort") {
        data["result"].as_array_mut().unwrap().sort_by_key(Value::to_string);
        return value.to_string();
    }
    body.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_as_upstream() {
    let Some((data, golden)) = conformance() else { return };
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    load(&app, &data);
    let mut differing = Vec::new();
    let mut same = 0;
    for case in golden["cases"].as_array().unwrap() {
        let (name, request) = (case["name"].as_str().unwrap(), &case["request"]);
        let path = request["path"].as_str().unwrap();
        let served = SERVED.iter().any(|p| path == *p || p.ends_with('/') && path.starts_with(p));
        let Some(expected) = case["response"]["body"].as_str().filter(|_| served) else { continue };
        let query = encoded(&request["params"]) + &encoded(&request["form"]);
        let (status, body) = ask(&app, request).await;
        let equal = case["response"]["status"] == status && comparable(&body, &query) == comparable(expected, &query);
        same += usize::from(equal);
        let known = KNOWN.iter().any(|(known, _)| *known == name);
        if equal == known {
            differing.push(format!(
                "{name} ({path}?{query}): {}\n  ours   {status} {body:.400}\n  theirs {expected:.400}",
                if known { "is the same now" } else { "differs" }
            ));
        }
    }
    assert!(differing.is_empty(), "{} alike, unexpected:\n{}", same, differing.join("\n"));
    assert!(same > 200, "only {same} exchanges were compared");
}

#[tokio::test(flavor = "multi_thread")]
async fn series_that_ended_before_a_short_range_are_not_listed() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    load(&app, "gone{job=\"a\"} 1 2 3\nkept{job=\"a\"} 1x20");
    let at = |minute: i64| (START.0 / 1000 + minute * 60).to_string();
    for (from, to, expected) in
        [(10, 11, vec!["kept"]), (2, 11, vec!["gone", "kept"]), (3, 3, vec!["kept"]), (30, 31, vec![])]
    {
        let params = [["match[]", "{job=\"a\"}"], ["start", &at(from)], ["end", &at(to)]];
        let (status, body) = ask(&app, &serde_json::json!({"path": "/api/v1/series", "params": params})).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        let names: Vec<&str> =
            answer["data"].as_array().unwrap().iter().map(|one| one["__name__"].as_str().unwrap()).collect();
        assert_eq!((status, names), (200, expected), "{from} to {to}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_fault_is_told_as_of_upstream() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    let none = serde_json::json!([]);
    for (path, params, status, said) in [
        ("/api/v1/query", serde_json::json!([["time", "x"], ["limit", "-1"]]), 400, "limit must be non-negative"),
        (
            "/api/v1/query_range",
            serde_json::json!([["start", "x"], ["limit", "-1"]]),
            400,
            "limit must be non-negative",
        ),
        ("/api/v1/query", serde_json::json!([["query", "1"], ["timeout", "-5"]]), 400, "got -5s"),
        ("/api/v1/query", serde_json::json!([["query", "1"], ["lookback_delta", "-5"]]), 200, "scalar"),
        ("/api/v1/series", serde_json::json!([["match[]", "a"], ["timeout", "x"]]), 200, "[]"),
        ("/api/v1/labels", serde_json::json!([["end", "1e18"], ["match[]", "a"]]), 200, "[]"),
        ("/api/v1/labels", serde_json::json!([["match[]", "{}"]]), 400, "\"error\":\"match[] must contain"),
        ("/api/v1/label/U__/values", none, 400, r#"invalid label name: \"\""#),
    ] {
        let (got, body) = ask(&app, &serde_json::json!({"path": path, "params": params})).await;
        assert!(got == status && body.contains(said), "{path} {params}: {got} {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_asked_for_as_of_upstream() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    let empty = r#"{"status":"success","data":{"groups":[]}}"#;
    for (name, value, refused) in [
        ("type", "ALERT", None),
        ("type", "x", Some(r#"invalid parameter \"type\": not supported value \"x\""#)),
        ("match[]", "{}", Some("match[] must contain at least one non-empty matcher")),
        ("match[]", "{", Some("1:2: parse error: unexpected end of input inside braces")),
        ("exclude_alerts", "TRUE", None),
        ("exclude_alerts", "X", Some(r#"error converting exclude_alerts: strconv.ParseBool: parsing \"x\""#)),
        ("group_limit", "1", None),
        ("group_limit", "0", Some("group_limit needs to be greater than 0")),
        ("group_limit", "x", Some(r#"strconv.ParseInt: parsing \"x\": invalid syntax"#)),
        ("group_limit", "99999999999", Some("value out of range")),
        ("group_next_token", "x", Some("group_limit needs to be present in order to paginate over the groups")),
    ] {
        let request = serde_json::json!({"path": "/api/v1/rules", "params": [[name, value]]});
        let (status, body) = ask(&app, &request).await;
        match refused {
            None => assert_eq!((status, &*body), (200, empty), "{name}={value}"),
            Some(why) => assert!(status == 400 && body.contains(why), "{name}={value}: {status} {body}"),
        }
    }
}

/// The answer to a POST.
async fn post(app: &Arc<App>, path: &str, form: &[[&str; 2]]) -> (u16, String) {
    let request = serde_json::json!({"method": "POST", "path": path, "form": form});
    ask(app, &request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn series_are_deleted_and_snapshots_taken_where_that_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let app = app_with(&data, &["--web.enable-admin-api"]);
    load(&app, "gone{job=\"a\"} 1 2 3\nkept{job=\"a\"} 1 2 3");
    let (status, body) = post(&app, "/api/v1/admin/tsdb/snapshot", &[]).await;
    assert_eq!(status, 200, "{body}");
    let name = serde_json::from_str::<Value>(&body).unwrap()["data"]["name"].as_str().unwrap().to_owned();

    let refused = post(&app, "/api/v1/admin/tsdb/delete_series", &[]).await;
    assert_eq!((refused.0, refused.1.contains("no match[] parameter provided")), (400, true), "{}", refused.1);
    assert_eq!(post(&app, "/api/v1/admin/tsdb/delete_series", &[["match[]", "gone"]]).await.0, 204);
    assert_eq!(post(&app, "/api/v1/admin/tsdb/clean_tombstones", &[]).await.0, 204);
    let count = |db: &storage::Db| {
        let mut found = vec![];
        let selection = model::Selection { start: Timestamp::MIN, end: Timestamp::MAX, matchers: &[] };
        let mut sink = |batch: model::Batch| {
            found.extend(batch.columns.iter().map(|column| batch.labels(column).name().to_owned()));
            Ok(())
        };
        model::Querier::select(db, &selection, &model::ReadHints::default(), &mut sink).unwrap();
        found.sort();
        found
    };
    assert_eq!(count(&app.db), ["kept"]);
    let (_, tsdb) = ask(&app, &serde_json::json!({"path": "/api/v1/status/tsdb"})).await;
    let tsdb: Value = serde_json::from_str(&tsdb).unwrap();
    assert_eq!(tsdb["data"]["storage"]["damage"], serde_json::json!([]));
    // The snapshot was taken before.
    let options = storage::Options::new(data.join("snapshots").join(name));
    let snapshot = storage::Db::open(options, &prometheus::Registry::new()).unwrap();
    assert_eq!(count(&snapshot), ["gone", "kept"]);
}
