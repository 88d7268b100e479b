//! Every expression of the dashboards our users deploy parses and evaluates.

use kit::MemQuerier;
use model::Timestamp;
use query::{Engine, QueryOptions, Value};

#[test]
fn all_evaluate() {
    let Some(data) = kit::conformance_json("manifests/dashboards-queries.json") else { return };
    let queries: Vec<serde_json::Value> = match data {
        serde_json::Value::Array(list) => list,
        other => other["queries"].as_array().unwrap().clone(),
    };
    let engine = Engine::default();
    for query in &queries {
        // Without an expanded text it is a function of Grafana's own.
        let Some(text) = query["expanded"].as_str() else { continue };
        let options = QueryOptions::default();
        if let Some(error) = query["error"].as_str() {
            let got = engine.check(text).unwrap_err().to_string();
            assert_eq!(error, format!("invalid parameter \"query\": {got}"), "{text}");
            continue;
        }
        engine
            .instant(&MemQuerier::default(), text, Timestamp(1_000), &options)
            .unwrap_or_else(|e| panic!("{text}: {e}"));
        let result = engine
            .range(&MemQuerier::default(), text, Timestamp(0), Timestamp(60_000), 15_000, &options)
            .unwrap_or_else(|e| panic!("{text}: {e}"));
        assert!(matches!(result.value, Value::Matrix(_)), "{text}");
    }
    assert!(queries.len() > 60, "only {} queries", queries.len());
}
