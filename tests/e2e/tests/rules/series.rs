//! What the script says: series for the selectors of rules, whose values depend on nothing but their labels and the step.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

/// A metric name and matchers: label, operator, value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    pub name: String,
    pub matchers: Vec<(String, String, String)>,
}

/// What most series have in a cluster, so that joins find partners.
const COMMON: [&str; 14] = [
    "container",
    "cpu",
    "daemonset",
    "deployment",
    "device",
    "horizontalpodautoscaler",
    "job_name",
    "mountpoint",
    "persistentvolumeclaim",
    "phase",
    "reason",
    "resource",
    "service",
    "statefulset",
];
const INSTANCES: usize = 2;
const BUCKETS: [&str; 3] = ["0.1", "1", "+Inf"];

/// The selectors of an expression that `/api/v1/parse_query` has parsed.
pub fn selectors(tree: &Value, into: &mut BTreeSet<Selector>) {
    match tree {
        Value::Array(items) => items.iter().for_each(|item| selectors(item, into)),
        Value::Object(fields) => {
            if tree["type"] == "vectorSelector" || tree["type"] == "matrixSelector" {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let matcher = |one: &Value| (text(&one["name"]), text(&one["type"]), text(&one["value"]));
                let matchers = tree["matchers"].as_array().into_iter().flatten().map(matcher);
                let matchers = matchers.filter(|(label, _, _)| label != "__name__").collect();
                into.insert(Selector { name: text(&tree["name"]), matchers });
            }
            fields.values().for_each(|field| selectors(field, into));
        }
        _ => {}
    }
}

/// Labels by which the matchers of a selector find a series, where that can be guessed.
fn labels(selector: &Selector, n: usize) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> =
        COMMON.iter().map(|label| ((*label).to_owned(), "x".to_owned())).collect();
    for label in ["instance", "namespace", "pod", "node", "job"] {
        labels.insert(label.to_owned(), format!("{label}-{n}"));
    }
    for (label, operator, value) in &selector.matchers {
        let value = match operator.as_str() {
            "=" => value.clone(),
            "=~" => {
                let choices: Vec<&str> = value.trim_matches(['(', ')']).split('|').collect();
                choices[n % choices.len()].replace(".*", "").replace(".+", "x").replace('\\', "")
            }
            _ => continue,
        };
        labels.insert(label.clone(), value);
    }
    labels.retain(|_, value| !value.is_empty());
    labels
}

/// Series as they are written, for all selectors of metrics that no rule records.
pub fn of_selectors(selected: &[Selector]) -> Vec<String> {
    let mut series = BTreeSet::new();
    let is_scraped = |selector: &&Selector| !selector.name.is_empty() && !selector.name.contains(':');
    for selector in selected.iter().filter(is_scraped).filter(|one| !one.name.starts_with("ALERTS")) {
        for n in 0..INSTANCES {
            let labels = labels(selector, n);
            let is_bucket = selector.name.ends_with("_bucket") && !labels.contains_key("le");
            for le in if is_bucket { &BUCKETS[..] } else { &[""] } {
                let mut labels = labels.clone();
                if is_bucket {
                    labels.insert("le".to_owned(), (*le).to_owned());
                }
                let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
                series.insert(format!("{}{{{}}}", selector.name, labels.join(",")));
            }
        }
    }
    // The samples of a metric stand together.
    series.into_iter().collect()
}

/// The value of a series at a step; `None` where it is absent.
fn value(series: &str, step: i64) -> Option<i64> {
    let hash = series.bytes().fold(7u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    let hash = i64::from(hash);
    let name = series.split('{').next().unwrap_or_default();
    if let Some((_, le)) = series.split_once("le=\"").filter(|_| name.ends_with("_bucket")) {
        let rate = BUCKETS.iter().position(|bucket| le.starts_with(&format!("{bucket}\""))).unwrap_or(1) + 1;
        return Some(step * 3 * i64::try_from(rate).unwrap());
    }
    if ["_total", "_count", "_sum"].iter().any(|end| name.ends_with(end)) {
        return Some(step * (hash % 7));
    }
    match hash % 5 {
        0 => Some(0),
        1 => Some(1),
        2 => Some((step / 4 + hash) % 2),
        3 => Some(step * (hash % 13) % 17),
        _ => ((step / 5 + hash) % 3 != 0).then_some(1),
    }
}

/// The page of a step.
pub fn page(series: &[String], step: i64, ts: i64) -> String {
    let lines = series.iter().filter_map(|series| Some(format!("{series} {} {ts}\n", value(series, step)?)));
    lines.collect()
}

/// The page that our own rules read.
pub fn own(step: i64, ts: i64) -> String {
    let mut page = String::new();
    // Above 5 for a while, then not, in each zone at another time; and above 8 meanwhile.
    for (zone, shift) in [("a", 0), ("b", 3), ("c", 6)] {
        let level = [1, 6, 7, 9, 9, 7, 6, 2, 2, 2][usize::try_from((step + shift) % 10).unwrap()];
        let _ = writeln!(page, "level{{zone=\"{zone}\"}} {level} {ts}");
    }
    if step % 8 < 4 {
        let _ = writeln!(page, "vanishing 1 {ts}");
    }
    let _ = writeln!(page, "# TYPE own_seconds histogram");
    for (le, rate) in [("0.1", 2), ("1", 5), ("+Inf", 6)] {
        let _ = writeln!(page, "own_seconds_bucket{{le=\"{le}\"}} {} {ts}", step * rate);
    }
    let _ = writeln!(page, "own_seconds_sum {} {ts}\nown_seconds_count {} {ts}", step * 4, step * 6);
    page
}
