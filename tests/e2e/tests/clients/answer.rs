//! An answer: is what a client needs in it, and is it as the other server's?

use std::collections::BTreeSet;

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::row::{Need, Row, Same};

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// `null` where it is none.
    pub json: Value,
}

impl Answer {
    /// What of the needs is not met.
    pub fn lacks(&self, row: &Row) -> Vec<String> {
        let mut lacks = Vec::new();
        if self.status != row.status {
            lacks.push(format!("{} instead of {}: {:.300}", self.status, row.status, self.text));
        }
        let unmet = row.needs.iter().filter(|need| !self.meets(need));
        lacks.extend(unmet.map(|need| format!("{need:?} is not met: {:.600}", self.text)));
        lacks
    }

    fn meets(&self, need: &Need) -> bool {
        let at = |pointer: &str| self.json.pointer(pointer);
        let text = |pointer: &str| at(pointer).and_then(Value::as_str);
        let list = |pointer: &str| at(pointer).and_then(Value::as_array);
        match *need {
            Need::Text(place) => text(place).is_some(),
            Need::Is(place, wanted) => text(place) == Some(wanted),
            Need::Number(place) => at(place).is_some_and(Value::is_number),
            Need::List(place) => list(place).is_some(),
            Need::Some(place) => list(place).is_some_and(|list| !list.is_empty()),
            Need::Map(place) => at(place).is_some_and(Value::is_object),
            Need::Absent(place) => at(place).is_none(),
            Need::Version(place) => text(place).is_some_and(is_version),
            Need::Duration(place) => text(place).is_some_and(is_duration),
            Need::Time(place) => text(place).is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
            Need::Equal(one, other) => text(one).is_some() && text(one) == text(other),
            Need::SwitchAsText(place) => text(place).is_some_and(|text| ["true", "false"].contains(&text)),
            Need::Sample(place) => at(place).is_some_and(is_sample),
            Need::Samples(place) => list(place).is_some_and(|list| !list.is_empty() && list.iter().all(is_sample)),
            Need::Yaml(place, inner, wanted) => text(place).is_some_and(|text| {
                let yaml: Option<Value> = serde_saphyr::from_str(text).ok();
                yaml.is_some_and(|yaml| yaml.pointer(inner).and_then(Value::as_str) == Some(wanted))
            }),
            Need::Metric(name) => self.text.lines().any(|line| {
                let value = line.strip_prefix(name).and_then(|rest| rest.rsplit(' ').next());
                value.is_some_and(|value| value.parse::<f64>().is_ok())
            }),
            Need::Header(name, part) => {
                self.headers.get_all(name).iter().any(|value| value.to_str().is_ok_and(|value| value.contains(part)))
            }
        }
    }

    /// Where our answer is not as theirs.
    pub fn differences(ours: &Self, theirs: &Self, same: Same) -> Vec<String> {
        let kind = |answer: &Self| answer.headers.get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let mut found = Vec::new();
        if ours.status != theirs.status || same != Same::Status && kind(ours) != kind(theirs) {
            let of = |answer: &Self| format!("{} {:?}", answer.status, kind(answer));
            found.push(format!("Weft {}, Prometheus {}", of(ours), of(theirs)));
        }
        match same {
            Same::Answer => {
                let (ours, theirs) = (ordered(ours), ordered(theirs));
                if !are_alike(&ours, &theirs) {
                    let [ours, theirs] = [ours, theirs].map(|answer| answer.to_string());
                    found.push(format!("Weft       {ours:.1500}\n    Prometheus {theirs:.1500}"));
                }
            }
            Same::Shape => shape("", &ours.json, &theirs.json, &mut found),
            Same::Status => {}
        }
        found
    }
}

/// The order of series is left open where no function sorts them.
fn ordered(answer: &Answer) -> Value {
    let mut json = answer.json.clone();
    // Nothing is added to what is no object.
    if !json.is_object() {
        return Value::String(answer.text.clone());
    }
    if let Some(result) = json.pointer_mut("/data/result").and_then(Value::as_array_mut)
        && result.iter().all(|series| series["metric"].is_object())
    {
        result.sort_by_key(|series| series["metric"].to_string());
    }
    // So is that of `/series` with one selector.
    if let Some(series) = json.get_mut("data").and_then(Value::as_array_mut)
        && series.iter().all(Value::is_object)
    {
        series.sort_by_key(ToString::to_string);
    }
    json
}

/// Are two answers the same, but for the last digits of sums, which depend on the order of what is summed up?
pub fn are_alike(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().all(|(name, ours)| theirs.get(name).is_some_and(|theirs| are_alike(ours, theirs)))
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| are_alike(ours, theirs))
        }
        (Value::String(ours), Value::String(theirs)) if ours != theirs => {
            let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
            let close = |ours: f64, theirs: f64| (ours - theirs).abs() <= 1e-9 * ours.abs().max(theirs.abs());
            number(ours).zip(number(theirs)).is_some_and(|(ours, theirs)| close(ours, theirs))
        }
        (ours, theirs) => ours == theirs,
    }
}

fn shape(at: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for name in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
                match (ours.get(name), theirs.get(name)) {
                    (Some(ours), Some(theirs)) => shape(&format!("{at}/{name}"), ours, theirs, found),
                    (ours, _) => found.push(format!(
                        "{at}/{name}: {} has it",
                        if ours.is_some() { "only Weft" } else { "only Prometheus" }
                    )),
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => match (ours.first(), theirs.first()) {
            (Some(ours), Some(theirs)) => shape(&format!("{at}/0"), ours, theirs, found),
            (None, None) => {}
            _ => found.push(format!("{at}: {} and {} elements", ours.len(), theirs.len())),
        },
        (ours, theirs) if std::mem::discriminant(ours) == std::mem::discriminant(theirs) => {}
        (ours, theirs) => found.push(format!("{at}: Weft {ours}, Prometheus {theirs}")),
    }
}

/// Three numbers, as a semantic version.
fn is_version(text: &str) -> bool {
    let numbers: Vec<Result<u32, _>> = text.split('.').map(str::parse).collect();
    numbers.len() == 3 && numbers.iter().all(Result::is_ok)
}

/// What is before a space, as Kiali does it: numbers with units of Prometheus.
fn is_duration(text: &str) -> bool {
    let mut rest = text.split(' ').next().unwrap_or_default();
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let units = ["ms", "y", "w", "d", "h", "m", "s"];
        let Some(after) = units.iter().find_map(|unit| digits.strip_prefix(unit)) else { return false };
        if digits.len() == rest.len() {
            return false;
        }
        rest = after;
        parts += 1;
    }
    parts > 0
}

fn is_sample(value: &Value) -> bool {
    value[0].is_number() && value[1].as_str().is_some_and(|text| text.parse::<f64>().is_ok())
}
