//! Trees, texts and errors against what upstream's parser made of the same texts. Differences are listed one by one.

use std::collections::BTreeMap;

use model::float::format_f;
use serde_json::{Value as Json, json};

use super::ast::Expr;
use super::random::ALL_ON;
use super::series::Point;
use super::{Dialect, Fault};

/// Cases in which we differ, and why.
const KNOWN: &[(&str, &str)] = &[
    ("expr-154", DECODED),
    ("expr-252", DECODED),
    ("expr-484", "a plus in front of a duration function leaves no trace in the tree, as elsewhere"),
];

const DECODED: &str = "what is no UTF-8 is decoded first, and the end of the text is further off then";
const GOES_ON: &str = "after an error upstream goes on and finds more; nobody is shown that";

fn cases(file: &str) -> Option<Vec<Json>> {
    let text = kit::conformance_text(&format!("promql/{file}"))?;
    Some(serde_json::from_str(&text).unwrap())
}

/// The text of a case. What is no UTF-8 is decoded as the HTTP API does.
fn input(case: &Json) -> String {
    match case["input"].as_str() {
        Some(text) => text.to_owned(),
        None => {
            let bytes = base64(case["input_b64"].as_str().unwrap());
            String::from_utf8_lossy(&bytes).into_owned()
        }
    }
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = text.bytes().filter_map(|b| DIGITS.bytes().position(|d| d == b));
    let mut out = Vec::new();
    let (mut held, mut width) = (0usize, 0);
    for six in bits {
        held = held << 6 | six;
        width += 6;
        if width >= 8 {
            width -= 8;
            out.push((held >> width & 0xff) as u8);
        }
    }
    out
}

fn error(text: &str, faults: &[Fault]) -> Json {
    let list: Vec<Json> =
        faults.iter().map(|f| json!({"start": f.span.start, "end": f.span.end, "msg": f.message})).collect();
    json!({"list": list, "text": super::parse_error(text, faults).to_string()})
}

fn tree(expr: &Expr) -> Json {
    let string = expr.to_string();
    let pretty = super::pretty(expr);
    let ast: Json = serde_json::from_str(&super::json(expr)).unwrap();
    let mut out = json!({"ast": ast, "string": string, "type": expr.value_type().short()});
    if pretty != string {
        out["pretty"] = json!(pretty);
    }
    out
}

/// Keys in order, however they were written.
fn sorted(value: &Json) -> Json {
    match value {
        Json::Object(map) => {
            map.iter().collect::<BTreeMap<_, _>>().into_iter().map(|(k, v)| (k.clone(), sorted(v))).collect()
        }
        Json::Array(list) => list.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[track_caller]
fn compare(differences: &BTreeMap<String, String>, known: &[(&str, &str)]) {
    let unknown: Vec<_> = differences.iter().filter(|(id, _)| !known.iter().any(|(k, _)| k == id)).collect();
    let text: Vec<String> = unknown.iter().map(|(id, d)| format!("{id}: {d}")).collect();
    assert!(unknown.is_empty(), "{} new differences:\n{}", unknown.len(), text.join("\n"));
    for (id, reason) in known {
        assert!(differences.contains_key(*id), "{id} is right now, take it off the list ({reason})");
    }
}

#[test]
fn expressions() {
    let Some(cases) = cases("parse_expr.json") else { return };
    let mut differences = BTreeMap::new();
    for case in &cases {
        let text = input(case);
        let id = case["id"].as_str().unwrap();
        let mut expected = case.clone();
        let got = match super::tree(&text, ALL_ON) {
            Ok(expr) => tree(&expr),
            Err(faults) => json!({"error": error(&text, &faults)}),
        };
        for key in ["id", "input", "input_b64", "error_with_default_flags"] {
            expected.as_object_mut().unwrap().remove(key);
        }
        if sorted(&got) != sorted(&expected) {
            differences.insert(id.to_owned(), format!("{text:?}\n   got      {got}\n   expected {expected}"));
        }
        if !case["error"].is_null() {
            continue;
        }
        let with_default = super::tree(&text, Dialect::default()).err().map(|faults| error(&text, &faults));
        let wanted = case.get("error_with_default_flags").filter(|error| !is_of_what_is_stable(error));
        if with_default.as_ref().map(sorted) != wanted.map(sorted) {
            differences.insert(
                format!("{id} by default"),
                format!("{text:?}\n   got {with_default:?}\n   expected {wanted:?}"),
            );
        }
    }
    assert!(cases.len() > 490, "only {} cases", cases.len());
    compare(&differences, KNOWN);
}

/// Does 3.14 complain of nothing but what 3.16 has on without a flag? (Its changelog: "Smoothed and Anchored vector
/// selectors are now stable and always-on", #19697.)
fn is_of_what_is_stable(error: &Json) -> bool {
    let stable = |fault: &Json| {
        fault["msg"].as_str().is_some_and(|msg| msg.ends_with(" modifier is experimental and not enabled"))
    };
    error["list"].as_array().is_some_and(|faults| faults.iter().all(stable))
}

fn point(point: &Point) -> Json {
    match point {
        Point::Absent => Json::Null,
        Point::Float(value) => json!(format_f(*value)),
        Point::Histogram { histogram, .. } => json!(histogram.notation()),
    }
}

#[test]
fn series_descriptions() {
    const KNOWN: &[(&str, &str)] = &[("series-024", GOES_ON), ("series-025", GOES_ON)];
    let Some(cases) = cases("parse_series_desc.json") else { return };
    let mut differences = BTreeMap::new();
    for case in &cases {
        let text = input(case);
        let got = match super::series::series(&text) {
            Ok((labels, points)) => {
                let labels: Vec<Json> = labels.iter().map(|(n, v)| json!([n, v])).collect();
                json!({"labels": labels, "values": points.iter().map(point).collect::<Vec<_>>()})
            }
            Err(faults) => json!({"error": error(&text, &faults)}),
        };
        let mut expected = case.clone();
        expected.as_object_mut().unwrap().retain(|key, _| key != "id" && key != "input");
        if sorted(&got) != sorted(&expected) {
            let id = case["id"].as_str().unwrap().to_owned();
            differences.insert(id, format!("{text:?}\n   got      {got}\n   expected {expected}"));
        }
    }
    assert!(cases.len() > 50, "only {} cases", cases.len());
    compare(&differences, KNOWN);
}
