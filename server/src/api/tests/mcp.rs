//! `/mcp`.

use axum::body::{Body, to_bytes};
use http::Request;
use model::Labels;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{app_with, load_of, router};
use crate::app::App;
use std::sync::Arc;

async fn post(app: &Arc<App>, message: &Value, origin: Option<&str>) -> (u16, String) {
    let mut request = Request::post("/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("host", "weft.monitoring:9090");
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    let request = request.body(Body::from(message.to_string())).unwrap();
    let response = router(Arc::clone(app)).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    (status, String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap())
}

async fn ask(app: &Arc<App>, method: &str, params: Value) -> Value {
    let message = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    let (status, body) = post(app, &message, None).await;
    assert_eq!(status, 200, "{body}");
    let mut answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["id"], 7, "{body}");
    if answer["error"].is_null() { answer["result"].take() } else { answer["error"].take() }
}

async fn call(app: &Arc<App>, tool: &str, arguments: Value) -> (bool, String) {
    let result = ask(app, "tools/call", json!({"name": tool, "arguments": arguments})).await;
    let is_error = result["isError"] == true;
    (is_error, result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}")).to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assistant_asks_what_people_can_ask() {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(folder.path(), &["--web.enable-mcp"]);
    load_of(&app, &Labels::from_pairs([("job", "node")]), "busy{cpu=\"0\"} 1 2 3\nbusy{cpu=\"1\"} 4 5 6");
    let client = json!({"name": "test", "version": "1"});
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
    let server = ask(&app, "initialize", hello).await;
    assert_eq!((&server["serverInfo"]["name"], &server["protocolVersion"]), (&json!("weft"), &json!("2025-06-18")));
    assert!(server["capabilities"]["tools"].is_object() && server["instructions"].is_string(), "{server}");
    let said = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(post(&app, &said, None).await.0, 202);

    let tools = ask(&app, "tools/list", json!({})).await;
    let tools = tools["tools"].as_array().unwrap();
    assert!(tools.iter().all(|tool| tool["annotations"]["readOnlyHint"] == true), "{tools:?}");
    let query = tools.iter().find(|tool| tool["name"] == "query").unwrap();
    assert_eq!(query["inputSchema"]["required"], json!(["query"]));

    let (is_error, text) = call(&app, "query", json!({"query": "sum by (job) (busy)", "time": 1_700_000_120})).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((is_error, &answer["data"]["result"][0]["value"][1]), (false, &json!("9")), "{text}");
    let (_, text) = call(&app, "label_values", json!({"label": "cpu"})).await;
    assert_eq!(text, r#"{"status":"success","data":["0","1"]}"#);
    for (tool, arguments, part) in [
        ("query", json!({"query": "busy{"}), "parse error"),
        ("query", json!({}), "needs the argument"),
        ("explain", json!({}), "bad_data"),
        (
            "query_range",
            json!({"query": "label_replace(busy, \"a\", \"x\", \"\", \"\")", "start": 0, "end": 1, "step": "0"}),
            "step",
        ),
    ] {
        let (is_error, text) = call(&app, tool, arguments).await;
        assert!(is_error && text.contains(part), "{tool}: {text}");
    }
    let unknown = ask(&app, "tools/call", json!({"name": "delete_series", "arguments": {}})).await;
    assert!(unknown["message"].as_str().unwrap().contains("no tool \"delete_series\""), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_short_and_browsers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(folder.path(), &["--web.enable-mcp"]);
    let arguments = json!({"query": "vector(1) or on () vector(2)", "start": 0, "end": 10_999, "step": "1"});
    let (is_error, text) = call(&app, "query_range", arguments).await;
    assert!(!is_error && text.len() > 100_000, "{} bytes", text.len());
    let wide = (0..9).map(|i| format!("label_replace(vector(1), \"i\", \"{i}\", \"\", \"\")")).collect::<Vec<_>>();
    let arguments = json!({"query": wide.join(" or "), "start": 0, "end": 10_999, "step": "1"});
    let (is_error, text) = call(&app, "query_range", arguments).await;
    assert!(is_error && text.contains("longer than 262144 bytes"), "{text:.200}");
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    assert_eq!(post(&app, &list, Some("http://evil.example")).await.0, 403);
    assert_eq!(post(&app, &json!("no message"), None).await.0 / 100, 4);
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(post(&app_with(folder.path(), &[]), &list, None).await.0, 404, "off by default");
}
