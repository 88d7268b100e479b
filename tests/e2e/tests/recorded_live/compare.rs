//! Two answers, compared as data.

use std::collections::BTreeSet;

use serde_json::Value;

/// Headers that the recording has wherever the server sent them.
const HEADERS: [&str; 5] = ["content-type", "vary", "allow", "location", "x-content-type-options"];

/// An answer.
pub struct Answer {
    pub status: u64,
    /// Name in small letters, and value.
    pub headers: Vec<(String, String)>,
    pub body: Body,
}

pub enum Body {
    Json(Value),
    Text(String),
}

/// Where two answers differ, and how.
pub type Difference = (String, String);

impl Answer {
    pub fn recorded(response: &Value) -> Self {
        let headers = response["headers"].as_object().unwrap();
        let headers = headers.iter().map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap().to_owned()));
        let body = match response.get("body_json") {
            Some(json) => Body::Json(json.clone()),
            None => Body::Text(response["body"].as_str().unwrap().to_owned()),
        };
        Self { status: response["status"].as_u64().unwrap(), headers: headers.collect(), body }
    }

    /// All values of a header, as a set of words: their order says nothing.
    fn header(&self, name: &str) -> BTreeSet<String> {
        let values = self.headers.iter().filter(|(known, _)| known == name);
        values.flat_map(|(_, value)| value.split(", ")).map(str::to_lowercase).collect()
    }
}

/// What of an answer is not as it was recorded.
pub fn differences(case: &str, recorded: &Answer, ours: &Answer) -> Vec<Difference> {
    let mut found = Vec::new();
    if recorded.status != ours.status {
        found.push(("status".to_owned(), format!("recorded {}, ours {}", recorded.status, ours.status)));
    }
    for name in HEADERS {
        let (recorded, ours) = (recorded.header(name), ours.header(name));
        if recorded != ours {
            found.push((name.to_owned(), format!("recorded {recorded:?}, ours {ours:?}")));
        }
    }
    match (&recorded.body, &ours.body) {
        (Body::Json(recorded), Body::Json(ours)) => {
            json(&ordered(case, recorded), &ordered(case, ours), "", &mut found);
        }
        (Body::Text(recorded), Body::Text(ours)) if text(recorded, ours) => {}
        (recorded, ours) => {
            let of = |body: &Body| match body {
                Body::Json(json) => json.to_string(),
                Body::Text(text) => format!("{text:?}"),
            };
            found
                .push(("body".to_owned(), format!("\n  recorded {:.600}\n  ours     {:.600}", of(recorded), of(ours))));
        }
    }
    found
}

/// The body without an order that upstream leaves open, and without numbers of things that grow with time.
fn ordered(case: &str, body: &Value) -> Value {
    let mut body = body.clone();
    let data = &mut body["data"];
    if data.get("resultType").is_some_and(|kind| kind == "vector") {
        data["result"].as_array_mut().unwrap().sort_by_key(|sample| sample["metric"].to_string());
    }
    // The targets of a pool come in the order of a hash.
    if let Some(targets) = data.get_mut("activeTargets").and_then(Value::as_array_mut) {
        targets.sort_by_key(|target| [target["scrapePool"].to_string(), target["labels"].to_string()]);
    }
    // The families of a target come in that of a map.
    if case == "targets metadata match_target" {
        data.as_array_mut().unwrap().sort_by_key(|family| family["metric"].to_string());
    }
    if case == "status tsdb" {
        blank(data);
    }
    if case == "query_exemplars" {
        // One a scrape, all alike but for their times.
        data.as_array_mut()
            .unwrap()
            .iter_mut()
            .for_each(|series| series["exemplars"].as_array_mut().unwrap().truncate(2));
    }
    body
}

/// Counts, and what has the highest of them, change from one second to the next: only the form stays.
fn blank(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(blank),
        Value::Array(items) => items.iter_mut().for_each(blank),
        value => *value = Value::Null,
    }
}

fn json(recorded: &Value, ours: &Value, at: &str, found: &mut Vec<Difference>) {
    match (recorded, ours) {
        (Value::Object(recorded), Value::Object(ours)) => {
            let names: BTreeSet<&String> = recorded.keys().chain(ours.keys()).collect();
            for name in names {
                let absent = Value::String("(absent)".to_owned());
                let of = |object: &serde_json::Map<String, Value>| object.get(name).unwrap_or(&absent).clone();
                json(&of(recorded), &of(ours), &format!("{at}/{name}"), found);
            }
        }
        (Value::Array(recorded), Value::Array(ours)) if recorded.len() == ours.len() => {
            for (i, (recorded, ours)) in recorded.iter().zip(ours).enumerate() {
                json(recorded, ours, &format!("{at}/{i}"), found);
            }
        }
        (Value::String(placeholder), ours) if stands_for(placeholder, ours) => {}
        // Numbers as numbers: 0 and 0.0 are the same.
        (Value::Number(recorded), Value::Number(ours)) if recorded.as_f64() == ours.as_f64() => {}
        (recorded, ours) if recorded == ours => {}
        (recorded, ours) => found.push((at.to_owned(), format!("recorded {recorded:.300}, ours {ours:.300}"))),
    }
}

/// Is this a placeholder, and our value of its kind?
fn stands_for(placeholder: &str, ours: &Value) -> bool {
    if !placeholder.starts_with('<') || !placeholder.ends_with('>') {
        return false;
    }
    match placeholder {
        "<seconds>" | "<now>" | "<time>" | "<int>" => ours.is_number(),
        "<RFC3339 time>" => ours.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
        _ => ours.is_string(),
    }
}

/// Texts are equal but for numbers where the recording has `<ms>`.
fn text(recorded: &str, ours: &str) -> bool {
    let mut parts = recorded.split("<ms>");
    let Some(mut rest) = parts.next().and_then(|first| ours.strip_prefix(first)) else { return false };
    for part in parts {
        let Some(after) = rest.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix(part) else {
            return false;
        };
        rest = after;
    }
    rest.is_empty()
}
