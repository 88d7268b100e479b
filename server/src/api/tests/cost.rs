//! What queries may cost and what they will, and what a request says of start timestamps.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use http::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{app_with, ask, load};
use crate::api::router;
use crate::app::App;

const DATA: &str = "a{i=\"1\"} 1 2 3\na{i=\"2\"} 1 2 3\na{i=\"3\"} 1 2 3";
const FEATURE: &str = "--enable-feature=query-cost";

fn app(flags: &[&str]) -> (tempfile::TempDir, Arc<App>) {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), flags);
    load(&app, DATA);
    (folder, app)
}

/// The answer to a query at the time of the last sample.
async fn instant(app: &Arc<App>, path: &str, params: &[[&str; 2]]) -> (u16, Value) {
    let mut all = vec![["time", "1700000120"]];
    all.extend(params);
    let (status, body) = ask(app, &json!({"path": path, "params": all})).await;
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

/// The error of such a query.
async fn refused(app: &Arc<App>, params: &[[&str; 2]]) -> (u16, String, String) {
    let (status, body) = instant(app, "/api/v1/query", params).await;
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    (status, text("errorType"), text("error"))
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_all_queries_and_of_one() {
    let (_folder, app) = app(&[FEATURE]);
    let told = |status: u16, kind: &str, text: &str| (status, kind.to_owned(), text.to_owned());
    let series = told(422, "cost_limit", "query would load too many series into memory in query execution");
    let samples = told(422, "cost_limit", "query would read too many samples in query execution");
    assert_eq!(refused(&app, &[["query", "a"], ["max_series", "2"]]).await, series);
    assert_eq!(refused(&app, &[["query", "a[5m]"], ["max_samples_read", "8"]]).await, samples);
    assert_eq!(refused(&app, &[["query", "a"], ["max_series", "3"], ["max_samples_read", "3"]]).await.0, 200);
    app.engine().options().cost.set(2, 100, 300_000);
    assert_eq!(refused(&app, &[["query", "a"]]).await, series);
    let bad = |text: &str| told(400, "bad_data", text);
    for (name, value, text) in [
        ("max_series", "3", "requested max_series of 3 exceeds the server limit of 2"),
        ("max_samples_read", "101", "requested max_samples_read of 101 exceeds the server limit of 100"),
        ("max_query_duration", "6m", "requested max_query_duration of 6m0s exceeds the server limit of 5m0s"),
        ("max_series", "x", "error parsing max_series: strconv.ParseUint: parsing \"x\": invalid syntax"),
        ("max_samples_read", "-1", "error parsing max_samples_read: strconv.ParseUint: parsing \"-1\": invalid syntax"),
        (
            "max_series",
            "18446744073709551616",
            "error parsing max_series: strconv.ParseUint: parsing \"18446744073709551616\": value out of range",
        ),
        ("max_query_duration", "-1", "error parsing max_query_duration: must not be negative, got -1s"),
        ("cost", "x", "invalid parameter \"cost\": must be a boolean"),
    ] {
        assert_eq!(refused(&app, &[["query", "a"], [name, value]]).await, bad(text), "{name}={value}");
    }
    // Without the feature nothing of this is looked at.
    let (_other, plain) = self::app(&[]);
    assert_eq!(refused(&plain, &[["query", "a"], ["max_series", "1"], ["cost", "x"]]).await.0, 200);
    assert_eq!(instant(&plain, "/api/v1/query_cost", &[["query", "a"]]).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_expected_stands_beside_what_it_was() {
    let (_folder, app) = app(&[FEATURE]);
    let (_, body) = instant(&app, "/api/v1/query", &[["query", "sum(a)"], ["cost", "true"]]).await;
    let expected = json!({
        "estimated": {"seriesTouched": 3, "samplesRead": 3},
        "actual": {"seriesTouched": 3, "samplesRead": 3, "peakSamples": body["data"]["cost"]["actual"]["peakSamples"]},
    });
    assert_eq!((&body["data"]["cost"], &body["data"]["stats"]), (&expected, &Value::Null));
    assert!(body["data"]["cost"]["actual"]["peakSamples"].as_u64().is_some_and(|peak| peak > 0));
    let (_, body) = instant(&app, "/api/v1/query", &[["query", "a"], ["cost", "0"], ["stats", "true"]]).await;
    assert_eq!((&body["data"]["cost"], &body["data"]["stats"]["samples"]["seriesTouched"]), (&Value::Null, &json!(3)));

    let (status, body) = instant(&app, "/api/v1/query_cost", &[["query", "a[2m]"]]).await;
    let estimate = |series: u64, samples: u64| json!({"estimate": {"seriesTouched": series, "samplesRead": samples}});
    assert_eq!((status, &body["data"]), (200, &estimate(3, 6)));
    let range = json!([["query", "a + a"], ["start", "1700000000"], ["end", "1700000120"], ["step", "60"]]);
    let (status, body) = ask(&app, &json!({"path": "/api/v1/query_range_cost", "params": range})).await;
    assert_eq!((status, &serde_json::from_str::<Value>(&body).unwrap()["data"]), (200, &estimate(6, 18)));
    let (status, body) = instant(&app, "/api/v1/query_cost", &[["query", "a("]]).await;
    let error = "invalid parameter \"query\": 1:3: parse error: unclosed left parenthesis";
    assert_eq!((status, &body["error"]), (400, &json!(error)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_say_whether_start_timestamps_count() {
    let (_folder, app) = app(&[]);
    let ask = async |value: &str| {
        let request =
            Request::builder().uri("/api/v1/query?query=1").header("x-prometheus-use-start-timestamps", value);
        let response = router(Arc::clone(&app)).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice::<Value>(&body).unwrap()["error"].as_str().map(str::to_owned))
    };
    for value in ["true", "0", "F"] {
        assert_eq!(ask(value).await.0, 200, "{value}");
    }
    let error =
        "error parsing X-Prometheus-Use-Start-Timestamps header: strconv.ParseBool: parsing \"x\": invalid syntax";
    assert_eq!(ask("x").await, (400, Some(error.to_owned())));
}
