//! What rules have stored, in comparable form.

use std::collections::{BTreeMap, BTreeSet};

use kit::Http;
use serde_json::Value;

use crate::rule_files::Group;

/// The names of what rules write; those of records have a colon.
const WRITTEN: &str = r#"{__name__=~"[^:]+:.+|ALERTS|ALERTS_FOR_STATE"}"#;
/// How far two servers may be apart that add in another order, relatively.
const TOLERANCE: f64 = 1e-12;
/// Prometheus must have at least so much, or the comparison says little.
const RULES_MIN: usize = 120;
const SAMPLES_MIN: usize = 2_500;
/// Of one series no more differences are shown.
const SHOWN_MAX: usize = 3;

/// Times, milliseconds.
#[derive(Clone, Copy)]
pub struct Window {
    /// Of what is earlier, each server has its own past.
    pub from: i64,
    pub to: i64,
}

/// By labels, the samples by time.
pub struct Stored(BTreeMap<BTreeMap<String, String>, BTreeMap<i64, Value>>);

#[expect(clippy::cast_possible_truncation, reason = "times of today fit")]
fn ms(time: &Value) -> i64 {
    (time.as_f64().unwrap() * 1000.0).round() as i64
}

impl Stored {
    pub fn of(http: &Http, Window { from, to }: Window) -> Self {
        let query = format!("{WRITTEN}[{}ms]", to - from);
        let (_, body) = http
            .post("/api/v1/query", &[("query", &query), ("time", &format!("{}.{:03}", to / 1000, to % 1000))])
            .unwrap();
        let answer: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
        assert_eq!(answer["status"], "success", "{body}");
        let one = |series: &Value| {
            let labels: BTreeMap<String, String> = serde_json::from_value(series["metric"].clone()).unwrap();
            let is_since = labels["__name__"] == "ALERTS_FOR_STATE";
            let sample = |sample: &Value| {
                let is_old = is_since && sample[1].as_str().unwrap().parse::<i64>().unwrap() * 1000 < from;
                (ms(&sample[0]), if is_old { "before".into() } else { sample[1].clone() })
            };
            let samples = ["values", "histograms"].into_iter().filter_map(|field| series[field].as_array()).flatten();
            (labels, samples.map(sample).collect())
        };
        Self(answer["data"]["result"].as_array().unwrap().iter().map(one).collect())
    }
}

/// Strings of numbers within the tolerance, and all else equal.
pub fn is_same(ours: &Value, theirs: &Value) -> bool {
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<f64>().ok());
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(field, value)| b.get(field).is_some_and(|other| is_same(value, other)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        _ if ours == theirs => true,
        _ => number(ours).zip(number(theirs)).is_some_and(|(a, b)| (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())),
    }
}

/// Is a series written by one of these groups?
fn is_of(labels: &BTreeMap<String, String>, groups: &[Group], names: &BTreeSet<String>) -> bool {
    let mut rules = groups.iter().filter(|group| names.contains(group.name())).flat_map(Group::rules);
    rules.any(|rule| {
        rule["record"] == *labels["__name__"] || labels.get("alertname").is_some_and(|name| rule["alert"] == *name)
    })
}

/// What differs; without the series of some groups.
pub fn differences(ours: &Stored, theirs: &Stored, groups: &[Group], without: &BTreeSet<String>) -> Vec<String> {
    let none = BTreeMap::new();
    let mut found = Vec::new();
    let (mut compared, mut samples) = (BTreeSet::new(), 0);
    for labels in ours.0.keys().chain(theirs.0.keys()).collect::<BTreeSet<_>>() {
        if is_of(labels, groups, without) {
            continue;
        }
        let [ours, theirs] = [ours, theirs].map(|all| all.0.get(labels).unwrap_or(&none));
        compared.insert(labels.get("alertname").unwrap_or(&labels["__name__"]));
        samples += theirs.len();
        let times: BTreeSet<i64> = ours.keys().chain(theirs.keys()).copied().collect();
        let differs = |time: &i64| match (ours.get(time), theirs.get(time)) {
            (Some(ours), Some(theirs)) => !is_same(ours, theirs),
            _ => true,
        };
        let differing: Vec<_> = times.into_iter().filter(differs).collect();
        for time in differing.iter().take(SHOWN_MAX) {
            let (ours, theirs) = (ours.get(time), theirs.get(time));
            found.push(format!("{labels:?} at {time}, of {}: ours {ours:?}, theirs {theirs:?}", differing.len()));
        }
    }
    eprintln!("compared: {samples} samples of {} rules", compared.len());
    if without.is_empty() && (compared.len() < RULES_MIN || samples < SAMPLES_MIN) {
        found.push(format!("only {samples} samples of {compared:?}: that says little"));
    }
    found
}
