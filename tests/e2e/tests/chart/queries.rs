//! The queries of alerts and dashboards, and the selectors in them.

use std::collections::BTreeSet;
use std::fs;

use kit::Http;
use serde_json::Value;

use crate::helm::{checkout, parse, text};

/// A query and where it stands.
pub struct Query {
    pub place: String,
    pub expr: String,
    /// Of a panel, which is to show something. An alert is to show nothing.
    pub is_shown: bool,
}

/// Those of the alerts.
pub fn of_alerts() -> Vec<Query> {
    let file = parse(&text("deploy/alerts/weft.yaml")).swap_remove(0);
    let rules = file["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    let query = |rule: &Value| Query {
        place: rule["alert"].as_str().unwrap().to_owned(),
        expr: rule["expr"].as_str().unwrap().to_owned(),
        is_shown: false,
    };
    rules.map(query).collect()
}

/// Those of the dashboards, with values in the place of variables.
pub fn of_dashboards() -> Vec<Query> {
    let mut queries = Vec::new();
    for entry in fs::read_dir(checkout("deploy/dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let title = dashboard["title"].as_str().unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expr = target["expr"].as_str().unwrap();
                let filled = expr.replace("$job", ".+").replace("$instance", ".+").replace("$__rate_interval", "15s");
                assert!(!filled.contains('$'), "{title}: a variable that the test does not know: {expr}");
                let place = format!("{title}: {}", panel["title"].as_str().unwrap());
                queries.push(Query { place, expr: filled, is_shown: true });
            }
        }
    }
    queries
}

/// The syntax tree of a query, by the server.
#[track_caller]
pub fn tree(http: &Http, query: &Query) -> Value {
    let (status, body) = http.post("/api/v1/parse_query", &[("query", &query.expr)]).unwrap();
    assert_eq!(status, 200, "{}: {}: {body}", query.place, query.expr);
    serde_json::from_str::<Value>(&body).unwrap()["data"].take()
}

/// A vector selector: its metric, the selector, and the same without the matchers that choose servers.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    pub metric: String,
    pub text: String,
    pub short: String,
}

/// All selectors in a tree.
pub fn selectors(tree: &Value, found: &mut BTreeSet<Selector>) {
    match tree {
        Value::Object(fields) => {
            if fields.get("type").is_some_and(|kind| kind == "vectorSelector" || kind == "matrixSelector") {
                found.insert(selector(tree));
            }
            fields.values().for_each(|value| selectors(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| selectors(value, found)),
        _ => {}
    }
}

fn selector(node: &Value) -> Selector {
    let field = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let metric = field(node, "name");
    let matchers = node["matchers"].as_array().unwrap().iter().filter(|one| one["name"] != "__name__");
    let text = |one: &Value| format!("{}{}{:?}", field(one, "name"), field(one, "type"), field(one, "value"));
    let all: Vec<(String, String)> = matchers.map(|one| (field(one, "name"), text(one))).collect();
    let join = |chosen: Vec<&str>| {
        if chosen.is_empty() { metric.clone() } else { format!("{metric}{{{}}}", chosen.join(",")) }
    };
    let chooses_server = |name: &str| name == "job" || name == "instance";
    Selector {
        text: join(all.iter().map(|(_, text)| &**text).collect()),
        short: join(all.iter().filter(|(name, _)| !chooses_server(name)).map(|(_, text)| &**text).collect()),
        metric,
    }
}

/// Does a part of a tree compare, so that it may well find nothing?
pub fn compares(tree: &Value) -> bool {
    match tree {
        Value::Object(fields) => {
            let op = fields.get("op").and_then(Value::as_str).unwrap_or_default();
            let is_filter =
                matches!(op, "==" | "!=" | "<" | "<=" | ">" | ">=") && fields.get("bool") != Some(&Value::Bool(true));
            is_filter || fields.values().any(compares)
        }
        Value::Array(values) => values.iter().any(compares),
        _ => false,
    }
}
