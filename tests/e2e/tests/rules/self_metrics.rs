//! The names of the metrics of rules and notifications are those of Prometheus.

use std::collections::BTreeSet;

use kit::Http;

use crate::against_prometheus::Pair;

/// Weft has no summaries. Where dashboards read one, a histogram has its name: it has a sum and a count, too.
const KNOWN: [&str; 4] = [
    "prometheus_notifications_latency_seconds histogram",
    "prometheus_notifications_latency_seconds summary",
    "prometheus_rule_evaluation_duration_seconds summary",
    "prometheus_rule_group_duration_seconds summary",
];

/// Names with their types.
fn names(http: &Http) -> BTreeSet<String> {
    let (_, metrics) = http.get("/metrics").unwrap();
    let lines = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines
        .filter(|line| line.starts_with("prometheus_rule_") || line.starts_with("prometheus_notifications_"))
        .map(str::to_owned)
        .collect()
}

pub fn differences(pair: &Pair) -> Vec<String> {
    let [ours, theirs] = pair.http().map(names);
    assert!(theirs.len() > 10, "{theirs:?}");
    let mut differing: BTreeSet<&str> = theirs.symmetric_difference(&ours).map(String::as_str).collect();
    let gone = KNOWN.iter().filter(|known| !differing.remove(*known)).map(|known| format!("is the same now: {known}"));
    let gone: Vec<String> = gone.collect();
    let whose = |name: &str| if ours.contains(name) { "ours" } else { "theirs" };
    differing.into_iter().map(|name| format!("metric {name}: only {}", whose(name))).chain(gone).collect()
}
