//! `/api/v1/rules/replay` and `/api/v1/admin/rules/backfill`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{START, app_with, ask, load, post};
use crate::app::App;
use crate::rule_groups::{parse_rules, rules_context};

const RULES: &str = r#"
groups:
- name: api
  interval: 1m
  rules:
  - {record: job:errors, expr: max by (job) (errors)}
  - {alert: Held, expr: 'job:errors > 0', for: 5m, labels: {severity: page}}
  - {alert: Never, expr: errors > 100}
  - {alert: Fails, expr: errors * on() errors > 0}
"#;
const ADMIN: [&str; 1] = ["--web.enable-admin-api"];

/// Errors of job `a` from minute 10 to 12, and from minute 20 to 49; of job `b` never.
fn server(flags: &[&str]) -> (tempfile::TempDir, Arc<App>) {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), flags);
    load(&app, "errors{job=\"a\"} 0x9 1x2 0x6 2x29 0x100\nerrors{job=\"b\"} 0x150");
    (folder, app)
}

pub(in crate::api) async fn with_rules(app: &Arc<App>) {
    let config = app.config();
    let groups = parse_rules(&app.engine(), &config, (RULES, "api.yml")).unwrap();
    app.rules.apply(groups, rules_context(app, &config)).await.unwrap();
}

fn minute(minute: i64) -> String {
    (START.0 / 1000 + minute * 60).to_string()
}

async fn replay(app: &Arc<App>, more: &[[&str; 2]]) -> (u16, Value) {
    let (start, end) = (minute(0), minute(120));
    let form = [&[["start", start.as_str()], ["end", end.as_str()]], more].concat();
    let (status, body) = post(app, "/api/v1/rules/replay", &form).await;
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_a_file_are_replayed() {
    let (_folder, app) = server(&[]);
    let (status, body) = replay(&app, &[["rules", RULES], ["rules_name", "api.yml"]]).await;
    assert_eq!(status, 200, "{body}");
    let group = &body["data"]["groups"][0];
    let evaluations = group["evaluations"].as_u64().unwrap();
    assert_eq!((&group["name"], &group["file"], evaluations), (&json!("api"), &json!("api.yml"), 120));
    let rules = group["rules"].as_array().unwrap();
    let sentences: Vec<&str> = rules.iter().map(|rule| rule["sentence"].as_str().unwrap()).collect();
    assert_eq!(
        sentences[..3],
        ["It would have recorded 240 samples of 2 series.", "It would have fired 1 time.", "It would not have fired."]
    );
    assert!(sentences[3].contains("120 of 120 evaluations fail: "), "{}", sentences[3]);
    let held = &rules[1];
    assert_eq!((&held["type"], &held["fired"], &held["onlyPending"]), (&json!("alerting"), &json!(1), &json!(1)));
    let firing = &held["firings"][0];
    assert_eq!(firing["labels"], json!({"alertname": "Held", "job": "a", "severity": "page"}));
    assert_eq!(firing["maxValue"], "2e+00");
    let at =
        |field: &str| firing[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond() - START.0;
    let (active, fired, resolved) = (at("activeAt"), at("firedAt"), at("resolvedAt"));
    let minute = 60_000;
    assert!((19 * minute..21 * minute).contains(&active), "{active}");
    assert_eq!((fired - active, resolved - active), (5 * minute, 30 * minute));
    // Nothing is left of it.
    let (_, names) = ask(&app, &json!({"path": "/api/v1/label/__name__/values"})).await;
    assert_eq!(serde_json::from_str::<Value>(&names).unwrap()["data"], json!(["errors"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_are_loaded_are_replayed() {
    let (_folder, app) = server(&[]);
    with_rules(&app).await;
    let params = json!([["start", minute(0)], ["end", minute(120)], ["rule_name[]", "Held"]]);
    let (status, body) = ask(&app, &json!({"path": "/api/v1/rules/replay", "params": params})).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    let rules = body["data"]["groups"][0]["rules"].as_array().unwrap();
    assert_eq!((status, rules.len(), &rules[0]["fired"]), (200, 1, &json!(1)));
    for (name, value, why) in [
        ("rule_name[]", "Other", "there is no rule that was asked for"),
        ("rule_group[]", "other", "there is no rule that was asked for"),
        ("rules", "groups: [{name: a, rules: [{record: b, expr: '('}]}]", "parse error"),
        ("rules", "groups: [{nam: a}]", "field nam not found"),
        ("limit", "x", "strconv.Atoi"),
        ("type", "x", "not supported value"),
    ] {
        let (status, body) = replay(&app, &[[name, value]]).await;
        assert!(status == 400 && body["error"].as_str().unwrap().contains(why), "{name}={value}: {status} {body}");
    }
    let (status, body) = replay(&app, &[["timeout", "1e-9"]]).await;
    assert!(status == 503 && body["errorType"] == "timeout", "{status} {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_told_in_words() {
    let (_folder, app) = server(&[]);
    with_rules(&app).await;
    let uri = format!("/api/v1/rules/replay?start={}&end={}&type=alert", minute(0), minute(120));
    let request = http::Request::get(uri).header("accept", "text/plain").body(axum::body::Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(super::router(Arc::clone(&app)), request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1], "Held of group api in api.yml: It would have fired 1 time.", "{text}");
    let labels = r#"{alertname="Held", job="a", severity="page"}"#;
    assert!(lines[2].contains(" for 25m, pending since 2023-11-14T22:3") && lines[2].ends_with(labels), "{text}");
    assert!(lines[2].contains(", value up to 2: "), "{text}");
    assert_eq!(lines[3], "Never of group api in api.yml: It would not have fired.");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_backfilled_where_that_is_allowed() {
    let path = "/api/v1/admin/rules/backfill";
    let (start, end) = (minute(0), minute(120));
    let range = [["start", start.as_str()], ["end", end.as_str()]];
    let asked = [&range[..], &[["rule_group[]", "api"]]].concat();
    let (_folder, app) = server(&[]);
    let (status, body) = post(&app, path, &asked).await;
    assert!(status == 500 && body.contains("admin APIs disabled"), "{status} {body}");

    let (_folder, app) = server(&ADMIN);
    with_rules(&app).await;
    for (form, why) in [
        (vec![["rule_group[]", "api"]], "invalid parameter \\\"start\\\""),
        (range.to_vec(), "backfill takes rule_group[]=name"),
        (vec![["start", &*end], ["end", &*start], ["rule_group[]", "api"]], "must be after start time"),
        (vec![["start", "9999999999"], ["rule_group[]", "api"]], "must be in the past"),
        (vec![["start", "-9999999999"], ["rule_group[]", "api"]], "ask for a shorter time"),
        ([&range[..], &[["rule_group[]", "other"]]].concat(), "no group with recording rules"),
    ] {
        let (status, body) = post(&app, path, &form).await;
        assert!(status == 400 && body.contains(why), "{form:?}: {status} {body}");
    }
    let (_, body) = ask(&app, &json!({"path": "/api/v1/rules"})).await;
    assert!(!body.contains("backfill"), "{body}");

    let (status, body) = post(&app, path, &asked).await;
    assert_eq!((status, &*body), (200, r#"{"status":"success","data":{"groups":[{"name":"api","file":"api.yml"}]}}"#));
    let backfill = loop {
        let (_, body) = ask(&app, &json!({"path": "/api/v1/rules"})).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        let backfill = body["data"]["groups"][0]["backfill"].clone();
        match backfill["state"].as_str().unwrap() {
            "running" => tokio::task::yield_now().await,
            state => {
                assert_eq!(state, "complete");
                break backfill;
            }
        }
    };
    let (done, total) = (backfill["evaluations"].as_u64(), backfill["evaluationsTotal"].as_u64());
    assert!(done == total && done == Some(120) && backfill["failures"] == json!([]), "{backfill}");
    let params = json!([["query", "sum(count_over_time(job:errors[3h]))"], ["time", minute(121)]]);
    let (_, body) = ask(&app, &json!({"path": "/api/v1/query", "params": params})).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["data"]["result"][0]["value"][1], "240", "{body}");
}
