//! What recording rules make of the past of the cluster, as a page.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use kit::Http;
use serde_json::{Map, Value};

use crate::files::Rules;
use crate::world::Times;

/// The rules that depend on nothing recorded, then those that depend on these only, and so on.
pub fn rounds(files: &[Rules]) -> Vec<Vec<(String, String, Value)>> {
    let mut left: Vec<_> = files.iter().flat_map(|rules| rules.recording.iter().cloned()).collect();
    let mut rounds = Vec::new();
    while !left.is_empty() {
        let later: BTreeSet<String> = left.iter().map(|(record, ..)| record.clone()).collect();
        let depends = |(_, expr, _): &(String, String, Value)| later.iter().any(|record| mentions(expr, record));
        let (blocked, ready): (Vec<_>, Vec<_>) = left.into_iter().partition(depends);
        assert!(!ready.is_empty(), "rules depend on one another: {blocked:?}");
        rounds.push(ready);
        left = blocked;
    }
    rounds
}

/// Does an expression mention a metric, by its whole name?
fn mentions(expr: &str, metric: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    expr.match_indices(metric)
        .any(|(at, _)| !expr[..at].ends_with(is_name) && !expr[at + metric.len()..].starts_with(is_name))
}

/// What a server makes of a rule at each step, as samples with their times.
pub fn page(http: &Http, (record, expr, labels): &(String, String, Value), times: &Times) -> String {
    let times = times.range();
    let form: Vec<(&str, &str)> =
        [("query", expr.as_str())].into_iter().chain(times.iter().map(|(name, text)| (*name, text.as_str()))).collect();
    let (_, body) = http.post("/api/v1/query_range", &form).unwrap();
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["status"], "success", "{expr}: {body}");
    let mut out = String::new();
    for series in answer["data"]["result"].as_array().unwrap() {
        let mut metric: Map<String, Value> = series["metric"].as_object().unwrap().clone();
        metric.remove("__name__");
        metric.extend(labels.as_object().cloned().unwrap_or_default());
        // JSON and the text format quote alike what there is.
        let metric: Vec<String> = metric.iter().map(|(label, value)| format!("{label}={value}")).collect();
        for sample in series["values"].as_array().unwrap() {
            let (seconds, value) = (sample[0].as_f64().unwrap(), sample[1].as_str().unwrap());
            writeln!(out, "{record}{{{}}} {value} {}", metric.join(","), (seconds * 1000.0).round()).unwrap();
        }
    }
    out
}
