//! What the server says of itself.

use std::time::Duration;

use axum::response::Response;
use futures::StreamExt as _;

use super::*;

async fn data(app: &Arc<App>, path: &str) -> Value {
    let (status, body) = ask(app, &serde_json::json!({"path": path})).await;
    let mut answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200, "{body}");
    answer["data"].take()
}

async fn respond(app: &Arc<App>, path: &str) -> Response {
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    router(Arc::clone(app)).oneshot(request).await.unwrap()
}

/// Features that are otherwise than in upstream's answer, and why.
const OTHERWISE: &[(&str, &str, bool)] = &[
    // Always on since 3.16.
    ("promql", "anchored", true),
    ("promql", "smoothed", true),
    // How upstream keeps labels, and what its pages and blocks are.
    ("prometheus", "stringlabels", false),
    ("tsdb", "xor2_encoding", false),
    ("ui", "ui_v3", false),
    // Needs no flag here.
    ("rules", "concurrent_rule_eval", true),
];

/// Discoveries that find no targets here.
const NOT_SERVED: [&str; 8] = ["aws", "ecs", "elasticache", "msk", "nerve", "oci", "rds", "serverset"];

#[tokio::test(flavor = "multi_thread")]
async fn features_are_those_of_upstream_or_false() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    let ours = data(&app, "/api/v1/features").await;
    let Some(golden) = kit::conformance_json("httpapi/features.json") else { return };
    for (category, features) in golden.as_object().unwrap() {
        for (name, expected) in features.as_object().unwrap() {
            let otherwise =
                OTHERWISE.iter().find(|(c, n, _)| c == category && n == name).map(|(.., is)| Value::from(*is));
            let expected = match &**category {
                "service_discovery_providers" => Value::from(!NOT_SERVED.contains(&&**name)),
                _ => otherwise.unwrap_or_else(|| expected.clone()),
            };
            assert_eq!(ours[category][name], expected, "{category}: {name}");
        }
    }
    for (category, name, _) in OTHERWISE {
        assert_ne!(ours[category][name], golden[category][name], "{category}: {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn features_follow_the_flags() {
    let folder = tempfile::tempdir().unwrap();
    let more = [
        "--web.enable-admin-api",
        "--web.enable-lifecycle",
        "--enable-feature=promql-experimental-functions,promql-extensions,search-api,exemplar-storage,query-cost",
    ];
    let app = app_with(&folder.path().join("data"), &more);
    let ours = data(&app, "/api/v1/features").await;
    for (category, name) in [
        ("api", "admin"),
        ("api", "lifecycle"),
        ("api", "query_cost"),
        ("api", "search"),
        ("promql_functions", "sort_by_label"),
        ("promql_functions", "range_median"),
        ("promql_operators", "limitk"),
        ("promql_operators", "default"),
        ("tsdb", "exemplar_storage"),
    ] {
        assert_eq!(ours[category][name], true, "{category}: {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn own_metrics_are_told_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    respond(&app, "/api/v1/labels").await;
    let pattern = "prometheus_http_requests_total|prometheus_ready|prometheus_http_request_duration_seconds";
    let families = data(&app, &format!("/api/v1/status/self_metrics?metric_name_pattern={pattern}")).await;
    let families = families.as_array().unwrap();
    let of = |name: &str| families.iter().find(|family| family["name"] == name).unwrap();
    assert_eq!(families.len(), 3);
    let expected = serde_json::json!({
        "name": "prometheus_ready", "help": "1 when the server answers queries.", "type": "GAUGE",
        "metric": [{"gauge": {"value": 0}}]
    });
    assert_eq!(of("prometheus_ready").to_string().replace("0.0", "0"), expected.to_string());
    let labels = serde_json::json!([{"name": "code", "value": "200"}, {"name": "handler", "value": "/api/v1/labels"}]);
    let requests = &of("prometheus_http_requests_total")["metric"][0];
    assert_eq!((&requests["label"], requests["counter"]["value"].as_f64()), (&labels, Some(1.0)));
    let seconds = &of("prometheus_http_request_duration_seconds")["metric"][0]["histogram"];
    assert_eq!(seconds["sampleCount"], "1");
    let last = seconds["bucket"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["cumulativeCount"], last["upperBound"].as_f64()), (&Value::from("1"), Some(120.0)));
    // A part of a name is not enough, and all are told without a pattern.
    assert_eq!(data(&app, "/api/v1/status/self_metrics?metric_name_pattern=ready").await, serde_json::json!([]));
    assert!(data(&app, "/api/v1/status/self_metrics").await.as_array().unwrap().len() > 10);
    let (status, body) =
        ask(&app, &serde_json::json!({"path": "/api/v1/status/self_metrics?metric_name_pattern=("})).await;
    assert!(status == 400 && body.contains("invalid metric_name_pattern: "), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_told_as_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), &["--storage.tsdb.min-block-duration=1m"]);
    assert_eq!(data(&app, "/api/v1/status/tsdb/blocks").await, serde_json::json!({"blocks": []}));
    load(&app, "kept{job=\"a\"} 1x20");
    app.db.set_now(START + 24 * 60 * 60 * 1000).unwrap();
    let samples = |blocks: &Value| -> u64 {
        blocks["blocks"].as_array().unwrap().iter().map(|block| block["stats"]["numSamples"].as_u64().unwrap()).sum()
    };
    // The background worker looks whenever it is told the time.
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let blocks = loop {
        let blocks = data(&app, "/api/v1/status/tsdb/blocks").await;
        if samples(&blocks) == 21 {
            break blocks;
        }
        assert!(std::time::Instant::now() < deadline, "{blocks}");
        tokio::task::yield_now().await;
    };
    for block in blocks["blocks"].as_array().unwrap() {
        assert!(
            block["minTime"].as_i64() < block["maxTime"].as_i64() && block["compaction"]["level"].as_u64() >= Some(1)
        );
        assert_eq!(block["compaction"]["sources"], serde_json::json!([block["ulid"]]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_of_one_job_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    let job = "scrape_configs: [{job_name: a, basic_auth: {username: u, password: geheim}}, {job_name: b}]";
    *app.config.write() = Arc::new(config::Config::parse(job, "a.yml".as_ref(), &|_| None).unwrap());
    let yaml = data(&app, "/api/v1/scrape_pools/config?scrapePool=a").await["yaml"].as_str().unwrap().to_owned();
    assert!(
        yaml.starts_with("job_name: a\n") && yaml.contains("password: <secret>") && !yaml.contains("geheim"),
        "{yaml}"
    );
    for (path, why) in [
        ("/api/v1/scrape_pools/config", "no scrapePool parameter provided"),
        ("/api/v1/scrape_pools/config?scrapePool=c", r#"error retrieving scrape config: scrape pool \"c\" not found"#),
    ] {
        let (status, body) = ask(&app, &serde_json::json!({"path": path})).await;
        assert!(status == 400 && body.contains(why), "{path}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_are_told_as_they_change_until_the_server_ends() {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), &["--web.max-notifications-subscribers=1"]);
    app.reload_failed();
    let texts = |all: &Value| -> Vec<String> {
        all.as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap().to_owned()).collect()
    };
    let all = data(&app, "/api/v1/notifications").await;
    assert_eq!(texts(&all), ["Weft is starting.", "Configuration reload has failed."]);
    let live = respond(&app, "/api/v1/notifications/live").await;
    assert_eq!((live.status().as_u16(), &live.headers()["content-type"]), (200, &"text/event-stream".parse().unwrap()));
    // There is no place for another one.
    let other = respond(&app, "/api/v1/notifications/live").await;
    assert_eq!(
        (other.status().as_u16(), &other.headers()["content-type"]),
        (204, &"text/event-stream".parse().unwrap())
    );
    app.reloaded(app.config());
    app.begin_shutdown();
    // It ends by itself: nothing waits for a client that only listens.
    let events: Vec<_> = live.into_body().into_data_stream().map(|bytes| bytes.unwrap()).collect().await;
    let events: Vec<Value> = events
        .iter()
        .map(|event| {
            let text = std::str::from_utf8(event).unwrap();
            serde_json::from_str(text.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n")).unwrap())
                .unwrap()
        })
        .collect();
    let seen: Vec<(&str, bool)> =
        events.iter().map(|event| (event["text"].as_str().unwrap(), event["active"].as_bool().unwrap())).collect();
    let shutting_down = "Weft is shutting down; requests in progress are answered.";
    let failed = "Configuration reload has failed.";
    assert_eq!(seen, [("Weft is starting.", true), (failed, true), (failed, false), (shutting_down, true)]);
    assert!(events.iter().all(|event| event["date"].as_str().is_some_and(|date| date.ends_with('Z'))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_refuses_requests_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    assert_eq!(respond(&app, "/-/ready").await.status(), 200);
    app.begin_shutdown();
    for path in ["/-/ready", "/api/v1/query?query=1", "/api/v1/openapi.yaml"] {
        let response = respond(&app, path).await;
        assert!(response.status() == 503 && response.headers()["x-prometheus-stopping"] == "true", "{path}");
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert_eq!(body, "Service Unavailable");
    }
    for path in ["/-/healthy", "/api/v1/notifications", "/api/v1/status/walreplay", "/metrics"] {
        assert_eq!(respond(&app, path).await.status(), 200, "{path}");
    }
}
