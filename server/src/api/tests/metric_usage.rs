//! Which metrics are asked for, over restarts.

use model::{Matcher, Querier as _, ReadHints, Selection};

use super::*;
use crate::metric_usage::{Counted, Origin};

async fn usage(app: &Arc<App>, params: &str) -> Value {
    let (status, body) = ask(app, &serde_json::json!({"path": format!("/api/v1/status/metric_usage{params}")})).await;
    let mut answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200, "{body}");
    answer["data"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_told_with_who_asks_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("data");
    let app = app(&directory);
    let series = ["a{i=\"1\"}", "a{i=\"2\"}", "b", "c.d", "up", "e{i=\"1\"}", "e{i=\"2\"}"];
    load(&app, &series.map(|one| format!("{{{}}} 1x2", quoted(one))).join("\n"));
    for query in ["a + on (i) a", "rate({__name__=~\"b|nonesuch\"}[5m])", "{job=\"x\"}"] {
        let params = [["query", query], ["time", "1700000060"]];
        let (status, body) = ask(&app, &serde_json::json!({"path": "/api/v1/query", "params": params})).await;
        assert_eq!(status, 200, "{body}");
    }
    let matchers = [Matcher::equal("__name__", "a")];
    let selection = Selection { start: START, end: START, matchers: &matchers };
    let of_rules = Counted::new(Arc::<storage::Db>::clone(&app.db), &app.metric_usage, Origin::Rule);
    of_rules.select(&selection, &ReadHints::NEWEST, &mut |_| Ok(())).unwrap();
    let told = usage(&app, "").await;
    let seen = |told: &Value| -> Vec<(String, u64, bool, u64)> {
        let metrics = told["metrics"].as_array().unwrap().iter();
        metrics
            .map(|one| {
                let number = |field: &str| one[field].as_u64().unwrap();
                (
                    one["name"].as_str().unwrap().to_owned(),
                    number("series"),
                    number("apiCount") > 0,
                    number("ruleCount"),
                )
            })
            .collect()
    };
    assert_eq!(seen(&told), [("a".to_owned(), 2, true, 1), ("b".to_owned(), 1, true, 0)]);
    assert!(told["metrics"][0]["lastRule"].is_string() && told["metrics"][1]["lastRule"].is_null(), "{told}");
    // What this server makes itself is not in it: no target exposes it.
    let never = &told["neverAsked"];
    assert_eq!(
        (&never["metrics"], &never["series"], &never["names"]),
        (&2.into(), &3.into(), &serde_json::json!(["e", "c.d"]))
    );
    let yaml = "metric_relabel_configs:\n- source_labels: [__name__]\n  regex: e|c\\.d\n  action: drop\n";
    assert_eq!(never["metricRelabelConfigs"], yaml);
    assert_eq!(usage(&app, "?limit=1").await["neverAsked"]["names"], serde_json::json!(["e"]));
    // The next process goes on.
    app.metric_usage.write();
    app.db.close().unwrap();
    drop((of_rules, app));
    let next = super::app(&directory);
    let again = usage(&next, "").await;
    assert_eq!((seen(&again), &again["since"]), (seen(&told), &told["since"]));
}

/// A series as a script writes it, with its name among its labels.
fn quoted(series: &str) -> String {
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.trim_end_matches('}');
    if labels.is_empty() { format!("\"{name}\"") } else { format!("\"{name}\",{labels}") }
}
