//! `explain` and `analyze` of queries.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{app_with, ask, load};
use crate::app::App;

const DATA: &str = "a{i=\"1\"} 1 2 3\na{i=\"2\"} 1 2 3\na{i=\"3\"} 1 2 3";
const RANGE: [[&str; 2]; 3] = [["start", "1700000000"], ["end", "1700000120"], ["step", "60"]];

fn app() -> (tempfile::TempDir, Arc<App>) {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), &[]);
    load(&app, DATA);
    (folder, app)
}

async fn range(app: &Arc<App>, params: &[[&str; 2]]) -> (u16, Value) {
    let all = [&RANGE[..], params].concat();
    let (status, body) = ask(app, &json!({"path": "/api/v1/query_range", "params": all})).await;
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_takes_the_place_of_the_result() {
    let (_folder, app) = app();
    let (status, body) = range(&app, &[["query", "sum(a) / sum(a)"], ["explain", "1"]]).await;
    assert_eq!((status, &body["status"], &body["data"]["result"]), (200, &json!("success"), &Value::Null));
    let scan = json!({
        "id": 2,
        "depth": 2,
        "operands": [],
        "operation": "vector selector",
        "expression": "a",
        "decisions": [
            {"pass": "partitioning", "detail": "computed in the partitions, side by side"},
            {"pass": "projection pushdown", "detail": "labels needed: none"},
        ],
        "estimated": {"series": 3, "samplesRead": 9},
    });
    let nodes = &body["data"]["explain"]["nodes"];
    assert_eq!((&nodes[2], &nodes[0]["operands"]), (&scan, &json!([1, 3])));
    let second = json!([{"pass": "common subexpressions", "detail": "merged with #1, whose result it reads"}]);
    assert_eq!((&nodes[3]["decisions"], &nodes[4]), (&second, &Value::Null));
    let text = body["data"]["explain"]["text"].as_str().unwrap();
    assert!(text.starts_with("#0 operator /: sum(a) / sum(a)\n  #1 aggregation sum: sum(a)\n"), "{text}");

    let instant =
        json!({"path": "/api/v1/query", "params": [["query", "a"], ["time", "1700000120"], ["explain", "t"]]});
    let (status, body) = ask(&app, &instant).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    let estimated = &body["data"]["explain"]["nodes"][0]["estimated"];
    assert_eq!((status, estimated), (200, &json!({"series": 3, "samplesRead": 3})));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analysis_stands_beside_the_result() {
    let (_folder, app) = app();
    for ask in [["explain", "analyze"], ["analyze", "true"]] {
        let (status, body) = range(&app, &[["query", "sum(a)"], ask, ["stats", "1"]]).await;
        assert_eq!((status, &body["data"]["resultType"]), (200, &json!("matrix")));
        assert_eq!(body["data"]["result"][0]["values"].as_array().map(Vec::len), Some(3));
        assert!(body["data"]["stats"]["timings"].is_object());
        let nodes = &body["data"]["explain"]["nodes"];
        let (sum, scan) = (&nodes[0]["measured"], &nodes[1]["measured"]);
        assert_eq!((&sum["evaluations"], &sum["series"], &sum["samples"]), (&json!(1), &json!(1), &json!(3)));
        assert_eq!((&scan["seriesRead"], &scan["samplesRead"], &scan["reused"]), (&json!(3), &json!(9), &json!(0)));
        assert!(sum["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{sum}");
        assert!(sum["peakBytes"].as_u64().is_some_and(|bytes| bytes > 0), "{sum}");
    }
    let (_, body) = range(&app, &[["query", "sum(a)"], ["explain", "0"]]).await;
    assert_eq!((&body["data"]["explain"], &body["data"]["resultType"]), (&Value::Null, &json!("matrix")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told() {
    let (_folder, app) = app();
    for (params, error) in [
        (
            vec![["query", "a("], ["explain", "1"]],
            "invalid parameter \"query\": 1:3: parse error: unclosed left parenthesis",
        ),
        (vec![["query", "a"], ["explain", "x"]], "invalid parameter \"explain\": must be a boolean or \"analyze\""),
        (vec![["query", "a"], ["analyze", "x"]], "invalid parameter \"analyze\": must be a boolean"),
    ] {
        let (status, body) = range(&app, &params).await;
        assert_eq!((status, &body["error"]), (400, &json!(error)), "{params:?}");
    }
}
