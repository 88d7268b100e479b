//! The queries of a Grafana dashboard.

use serde_json::Value as Json;

use super::query::Query;
use super::variables::Variables;

/// All queries of all panels, those in rows among them; variables without a given value get the dashboard's.
pub(super) fn queries(file: &str, dashboard: &Json, variables: &Variables) -> Vec<Query> {
    // As the HTTP API of Grafana hands them out, they are wrapped.
    let dashboard = dashboard.get("dashboard").filter(|inner| inner.is_object()).unwrap_or(dashboard);
    let list = dashboard["templating"]["list"].as_array().map(Vec::as_slice).unwrap_or_default();
    let variables = variables.with(list.iter().filter_map(variable));
    let mut found = Vec::new();
    panels(dashboard, &mut |panel| {
        let title = panel["title"].as_str().filter(|title| !title.is_empty()).unwrap_or("(no title)");
        for target in panel["targets"].as_array().into_iter().flatten() {
            let Some(expr) = target["expr"].as_str().filter(|expr| !expr.trim().is_empty()) else { continue };
            if is_of_prometheus(panel) && is_of_prometheus(target) {
                let letter = target["refId"].as_str().map(|id| format!(" {id}")).unwrap_or_default();
                found.push(Query::new(format!("{file}: {title}{letter}"), expr, variables.fill_all(expr)));
            }
        }
    });
    found
}

/// Calls `each` for every panel; panels may be in rows.
fn panels(parent: &Json, each: &mut dyn FnMut(&Json)) {
    for list in ["panels", "rows"] {
        for panel in parent[list].as_array().into_iter().flatten() {
            each(panel);
            panels(panel, each);
        }
    }
}

/// Does a panel or query ask Prometheus, as far as that is said? A data source that is a variable is not known.
fn is_of_prometheus(part: &Json) -> bool {
    part["datasource"]["type"].as_str().is_none_or(|kind| kind.contains("prometheus") || kind == "datasource")
}

/// The name of a variable and the value that the dashboard was saved with.
fn variable(variable: &Json) -> Option<(String, String)> {
    const ALL: &str = "$__all";
    let name = variable["name"].as_str()?.to_owned();
    let current = &variable["current"]["value"];
    let values: Vec<&str> = match current {
        Json::String(one) => vec![one],
        Json::Array(several) => several.iter().filter_map(Json::as_str).collect(),
        // Constants and intervals of old dashboards have their value here.
        _ => variable["query"].as_str().filter(|_| variable["type"] == "constant").into_iter().collect(),
    };
    let value = match values.as_slice() {
        [] => return None,
        [ALL] => variable["allValue"].as_str().filter(|all| !all.is_empty()).unwrap_or(".*").to_owned(),
        [one] => (*one).to_owned(),
        several => format!("({})", several.join("|")),
    };
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::times::Times;
    use super::*;
    use model::Timestamp;

    #[test]
    fn queries_of_all_panels_are_found() {
        let times = Times { time: Timestamp(0), start: Timestamp(0), end: Timestamp(60_000), step_ns: 1 };
        let variables = Variables::new(&[("ns", "given")].into_iter().collect(), times);
        let dashboard = json!({"dashboard": {
            "templating": {"list": [
                {"name": "ns", "current": {"value": "saved"}},
                {"name": "pod", "current": {"value": ["a", "b"]}},
                {"name": "all", "current": {"value": ["$__all"]}},
                {"name": "one", "current": {"value": "$__all"}, "allValue": "x.*"},
                {"name": "const", "type": "constant", "query": "c"},
                {"name": "none"},
            ]},
            "panels": [
                {"title": "Up", "targets": [
                    {"refId": "A", "expr": "up{n=\"$ns\",p=~\"$pod\",a=~\"$all\",o=~\"$one\",c=\"$const\"}"},
                    {"refId": "B", "expr": " "},
                    {"refId": "C", "expr": "logs", "datasource": {"type": "loki"}},
                    {"refId": "D", "expr": "x{n=\"$none\"}"},
                ]},
                {"type": "row", "panels": [{"targets": [{"expr": "y", "datasource": {"type": "prometheus"}}]}]},
            ],
            "rows": [{"panels": [{"title": "Old", "targets": [{"expr": "z", "refId": "A"}]}]}],
        }});
        let found = queries("d.json", &dashboard, &variables);
        let texts: Vec<_> = found.iter().map(|query| query.text.clone()).collect();
        assert_eq!(
            texts,
            [
                Ok("up{n=\"given\",p=~\"(a|b)\",a=~\".*\",o=~\"x.*\",c=\"c\"}".to_owned()),
                Err("the variable $none has no value: give it one by --var none=VALUE".to_owned()),
                Ok("y".to_owned()),
                Ok("z".to_owned()),
            ]
        );
        assert!(found[0].name.starts_with("d.json: Up A: up{"), "{}", found[0].name);
        assert_eq!(found[2].name, "d.json: (no title): y");
    }
}
