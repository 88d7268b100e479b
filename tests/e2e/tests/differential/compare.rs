//! Two answers to one query: what of them must be the same, and what differs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The one tolerance that every number has: sums depend on the order of their terms in the last bits, and what is computed of
/// them a little more. All other tolerances are in `known`, each with its reason.
const RELATIVE: f64 = 1e-11;

/// An answer in comparable form.
#[derive(Debug)]
pub struct Answer {
    /// Type and text, where it is one.
    pub error: Option<(String, String)>,
    kind: String,
    /// By labels: the samples by time.
    series: BTreeMap<String, Vec<(String, Value)>>,
    pub warnings: BTreeSet<String>,
    pub infos: BTreeSet<String>,
    stats: Value,
    series_touched: u64,
}

fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// An error without what depends on the order of series, which upstream leaves to chance.
fn general(error: String) -> String {
    let starts = [
        "found duplicate series for the match group",
        "found duplicate series for info metric",
        "conflicting label",
        "multiple matches for labels",
        "this should be an info metric",
    ];
    starts.iter().find(|start| error.starts_with(**start)).map_or(error.clone(), |start| (*start).to_owned())
}

impl Answer {
    /// Reads the body of an answer.
    pub fn read(body: &str) -> Self {
        let answer: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let error =
            (answer["status"] == "error").then(|| (text(&answer["errorType"]), general(text(&answer["error"]))));
        let data = &answer["data"];
        let kind = text(&data["resultType"]);
        let mut series = BTreeMap::new();
        match kind.as_str() {
            "scalar" | "string" => {
                drop(series.insert(String::new(), points(&Value::Array(vec![data["result"].clone()]))))
            }
            _ => {
                for one in data["result"].as_array().into_iter().flatten() {
                    let labels: BTreeMap<_, _> = one["metric"].as_object().unwrap().iter().collect();
                    let mut samples = Vec::new();
                    for field in ["value", "histogram"] {
                        if one[field].is_array() {
                            samples.extend(points(&Value::Array(vec![one[field].clone()])));
                        }
                    }
                    for field in ["values", "histograms"] {
                        samples.extend(points(&one[field]));
                    }
                    let labels = serde_json::to_string(&labels).unwrap();
                    assert!(series.insert(labels, samples).is_none(), "a series twice: {body}");
                }
            }
        }
        let (warnings, infos) = (texts(&answer["warnings"]), texts(&answer["infos"]));
        let mut stats = data["stats"]["samples"].clone();
        if let Some(stats) = stats.as_object_mut() {
            // How much is held at once is the engine's own affair.
            stats.remove("peakSamples");
        }
        // Upstream counts series of which a chunk touches the range, be there a sample in it or not.
        let series_touched = stats.as_object_mut().and_then(|stats| stats.remove("seriesTouched"));
        let series_touched = series_touched.and_then(|n| n.as_u64()).unwrap_or_default();
        Self { error, kind, series, warnings, infos, stats, series_touched }
    }

    /// All samples, whoever has them.
    pub fn values(&self) -> Vec<String> {
        let mut all: Vec<String> =
            self.series.values().flatten().map(|(time, value)| format!("{time} {value}")).collect();
        all.sort_unstable();
        all
    }

    /// The values of all samples that are floats.
    pub fn numbers(&self) -> Vec<f64> {
        let values = self.series.values().flatten().filter_map(|(_, value)| value.as_str());
        values.filter_map(|value| value.parse().ok()).collect()
    }

    /// What differs, in one line; nothing when both say the same.
    pub fn difference(&self, theirs: &Self) -> Option<String> {
        if self.error != theirs.error {
            return Some(format!("error: ours {:?}, theirs {:?}", self.error, theirs.error));
        }
        if self.kind != theirs.kind {
            return Some(format!("type: ours {}, theirs {}", self.kind, theirs.kind));
        }
        for labels in self.series.keys().chain(theirs.series.keys()) {
            match (self.series.get(labels), theirs.series.get(labels)) {
                (Some(ours), Some(theirs)) => {
                    if let Some(difference) = points_differ(ours, theirs) {
                        return Some(format!("{labels} {difference}"));
                    }
                }
                (Some(ours), None) => return Some(format!("only ours: {labels} {:?}", ours.first())),
                (None, theirs) => {
                    return Some(format!("only theirs: {labels} {:?}", theirs.and_then(|theirs| theirs.first())));
                }
            }
        }
        for (what, ours, theirs) in
            [("warnings", &self.warnings, &theirs.warnings), ("infos", &self.infos, &theirs.infos)]
        {
            // Of more than ten, which are shown is left to chance.
            let all_shown = ours.len() <= 10 && theirs.len() <= 10;
            if all_shown && ours != theirs {
                return Some(format!("{what}: ours {ours:?}, theirs {theirs:?}"));
            }
        }
        let (ours, most) = (self.series_touched, theirs.series_touched);
        if ours > most {
            return Some(format!("stats: ours {ours} series, theirs {most}"));
        }
        (self.stats != theirs.stats).then(|| format!("stats: ours {}, theirs {}", self.stats, theirs.stats))
    }
}

fn points(list: &Value) -> Vec<(String, Value)> {
    list.as_array().into_iter().flatten().map(|point| (point[0].to_string(), point[1].clone())).collect()
}

fn points_differ(ours: &[(String, Value)], theirs: &[(String, Value)]) -> Option<String> {
    for (i, (time, value)) in ours.iter().enumerate() {
        match theirs.get(i) {
            Some((other_time, other)) if time == other_time => {
                if !same(value, other) {
                    return Some(format!("at {time}: ours {value}, theirs {other}"));
                }
            }
            other => return Some(format!("ours at {time} {value}, theirs {other:?}")),
        }
    }
    theirs.get(ours.len()).map(|(time, value)| format!("only theirs at {time}: {value}"))
}

/// Numbers that are nearly equal, and whatever is built of them.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::String(a), Value::String(b)) => match (a.parse::<f64>(), b.parse::<f64>()) {
            _ if a == b => true,
            (Ok(a), Ok(b)) => (a - b).abs() <= RELATIVE * a.abs().max(b.abs()),
            _ => false,
        },
        _ => ours == theirs,
    }
}
