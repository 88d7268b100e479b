//! `/api/v1/rules` and `/api/v1/alerts` of both servers: the same bytes, but for what tells of the machine.

use std::collections::{BTreeMap, BTreeSet};

use kit::{Alertmanager, Http, PATIENCE};
use serde_json::Value;

use crate::against_prometheus::Pair;
use crate::stored::is_same;

/// What a request may ask for; the alerts are compared apart.
const FILTERED: &[&str] = &[
    "",
    "type=alert",
    "type=record",
    "type=ALERT",
    "type=recording",
    "type=",
    "type=alert&type=record",
    "rule_name[]=High",
    "rule_name[]=High&rule_name[]=own:five&rule_name[]=none",
    "rule_name[]=",
    "rule_name=High",
    "rule_group[]=own.alerts&rule_group[]=own.failing",
    "rule_group[]=own.empty",
    "rule_group[]=none",
    "file[]=FOLDER/own.yml",
    "file[]=own.yml",
    "file[]=FOLDER/own.yml&rule_group[]=own.alerts&rule_name[]=Kept&type=alert",
    "match[]={severity=\"critical\"}",
    "match[]={origin=\"group\"}&match[]={severity=~\"warn.*\"}",
    "match[]={origin!=\"group\",severity=\"warning\"}&type=alert",
    "match[]={}",
    "match[]=",
    "match[]={a=\"\"}",
    "match[]={severity=}",
    "match[]=severity",
    "match[]=sum(up)",
    "match[]={level=\"rule\"}",
    "exclude_alerts=false",
    "exclude_alerts=1",
    "exclude_alerts=T",
    "exclude_alerts=",
    "exclude_alerts=yes",
    "exclude_alerts=TRUEST",
    "group_limit=1",
    "group_limit=3",
    "group_limit=1000",
    "group_limit=0",
    "group_limit=-1",
    "group_limit=a",
    "group_limit=1.5",
    "group_limit=99999999999",
    "group_limit=",
    "group_limit=2&type=record",
    "group_limit=1&rule_group[]=own.failing",
    "group_limit=1&group_next_token=none",
    "group_next_token=none",
    "group_limit=a&group_next_token=none",
    "type=a&exclude_alerts=b&group_limit=c",
    "match[]={&type=a",
    "unknown=x",
    "type=%zz",
];
const MASKED: [&str; 2] = ["evaluationTime", "lastEvaluation"];
const CHANGING: [&str; 4] = ["state", "alerts", MASKED[0], MASKED[1]];

/// Without the alerts of groups that are behind.
pub fn differences(pair: &Pair, from: i64, behind: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for filter in FILTERED {
        let filter = filter.replace("FOLDER", &pair.folder);
        let excluded = if filter.contains("exclude_alerts") { "" } else { "&exclude_alerts=true" };
        let path = format!("/api/v1/rules?{}{excluded}", escaped(&filter));
        found.extend(differs(pair, &path));
    }
    found.extend(pages(pair));
    found.extend(contents(pair, from, behind));
    found
}

/// Quotes and brackets as clients send them.
fn escaped(query: &str) -> String {
    query.replace('"', "%22").replace('{', "%7B").replace('}', "%7D").replace('[', "%5B").replace(']', "%5D")
}

/// An answer, in the form in which it can be compared: states change every now and then, and so do alerts.
fn masked(http: &Http, path: &str) -> (u16, String) {
    let (status, body) = http.get(path).unwrap();
    if path.ends_with("exclude_alerts=true") {
        return (status, masked_text(&body));
    }
    let Ok(mut body) = serde_json::from_str::<Value>(&body) else { return (status, body) };
    mask(&mut body, &CHANGING);
    (status, body.to_string())
}

/// Without the values of fields that change; none of them holds a comma or a bracket.
fn masked_text(body: &str) -> String {
    let (mut masked, mut rest) = (String::new(), body);
    let names = CHANGING.map(|name| format!("\"{name}\":"));
    while let Some(at) = names.iter().filter_map(|name| Some(rest.find(name)? + name.len())).min() {
        let (before, after) = rest.split_at(at);
        masked.push_str(before);
        rest = &after[after.find([',', '}']).unwrap_or(0)..];
    }
    without_backfill(masked + rest)
}

/// Without what Weft says of evaluations that it makes up for, of which there are some when an interval was missed.
fn without_backfill(mut body: String) -> String {
    const FIELD: &str = ",\"backfill\":";
    while let Some(at) = body.find(FIELD) {
        let mut depth = 0;
        let end = body[at + FIELD.len()..].find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0
        });
        let end = end.map_or(body.len(), |end| at + FIELD.len() + end + 1);
        body.replace_range(at..end, "");
    }
    body
}

/// Of these fields only the type counts.
fn mask(value: &mut Value, fields: &[&str]) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, fields)),
        Value::Object(object) => {
            // As in `without_backfill`.
            object.remove("backfill");
            for (name, value) in object.iter_mut() {
                match value {
                    Value::String(text) if fields.contains(&name.as_str()) => "text".clone_into(text),
                    Value::Number(_) if fields.contains(&name.as_str()) => *value = 0.into(),
                    Value::Array(items) if fields.contains(&name.as_str()) => items.clear(),
                    other => mask(other, fields),
                }
            }
        }
        _ => {}
    }
}

fn differs(pair: &Pair, path: &str) -> Option<String> {
    let [ours, theirs] = pair.http().map(|http| masked(http, path));
    (ours != theirs).then(|| {
        let at = ours.1.bytes().zip(theirs.1.bytes()).position(|(a, b)| a != b);
        let part = |text: &str| text.chars().skip(at.unwrap_or(0).saturating_sub(150)).take(400).collect::<String>();
        format!("{path}:\n    ours   {} …{}\n    theirs {} …{}", ours.0, part(&ours.1), theirs.0, part(&theirs.1))
    })
}

/// All pages, each by the token of the one before.
fn pages(pair: &Pair) -> Vec<String> {
    let walk = |http: &Http| {
        let (mut token, mut tokens, mut names) = (String::new(), Vec::new(), Vec::new());
        loop {
            let data = http.api(&format!("rules?group_limit=3{token}")).unwrap();
            names.extend(data["groups"].as_array().unwrap().iter().map(|group| group["name"].clone()));
            let Some(next) = data["groupNextToken"].as_str() else { return (tokens, names) };
            token = format!("&group_next_token={next}");
            tokens.push(next.to_owned());
        }
    };
    let [ours, theirs] = pair.http().map(walk);
    let n_groups = pair.groups.iter().filter(|group| group.rules().next().is_some()).count();
    assert_eq!(theirs.1.len(), n_groups, "Prometheus lists all groups");
    if ours == theirs { Vec::new() } else { vec![format!("pages: ours {ours:?}, theirs {theirs:?}")] }
}

/// What is compared when alerts are.
const KINDS: [&str; 3] = ["rules", "alerts", "held"];

/// Rules with their alerts by group, and alerts by name; what began before `from` was not seen alike.
fn parts(kind: &str, http: &Http, alertmanager: &Alertmanager, from: i64) -> BTreeMap<String, Value> {
    let mut parts = BTreeMap::new();
    if kind == "rules" {
        let mut rules = http.api("rules").unwrap();
        mask(&mut rules, &MASKED);
        for group in rules["groups"].as_array_mut().unwrap() {
            for rule in group["rules"].as_array_mut().unwrap() {
                rule["alerts"].as_array_mut().into_iter().for_each(|alerts| normalize(alerts, from));
            }
            parts.insert(format!("rules of {}", group["name"]), group.take());
        }
        return parts;
    }
    let mut alerts = if kind == "held" {
        alertmanager.alerts().unwrap()
    } else {
        http.api("alerts").unwrap()["alerts"].as_array().unwrap().clone()
    };
    normalize(&mut alerts, from);
    for alert in alerts {
        let part =
            parts.entry(format!("{kind} {}", alert["labels"]["alertname"])).or_insert_with(|| Value::Array(Vec::new()));
        part.as_array_mut().unwrap().push(alert);
    }
    parts
}

/// In order of their labels, as Prometheus has them in none.
fn normalize(alerts: &mut [Value], from: i64) {
    alerts.sort_by_key(|alert| alert["labels"].to_string());
    for alert in alerts {
        for field in ["activeAt", "keepFiringSince", "startsAt", "endsAt"] {
            let Some(time) = alert.get(field).and_then(Value::as_str) else { continue };
            // Prometheus adds digits that no sample has.
            let ms = time.parse::<jiff::Timestamp>().unwrap().as_millisecond();
            alert[field] = if ms < from { "before".into() } else { ms.into() };
        }
        // When it was last sent depends on when it began.
        alert.as_object_mut().unwrap().remove("updatedAt");
        if alert.get("startsAt").is_some_and(|time| time == "before") {
            alert["endsAt"] = "of an old one".into();
        }
    }
}

/// Asks both until everything was the same once: between two requests something is evaluated always.
fn contents(pair: &Pair, from: i64, behind: &BTreeSet<String>) -> Vec<String> {
    let mut same = BTreeSet::new();
    for group in pair.groups.iter().filter(|group| behind.contains(group.name())) {
        same.insert(format!("rules of {}", group.spec["name"]));
        same.extend(group.rules().flat_map(|rule| ["alerts", "held"].map(|what| format!("{what} {}", rule["alert"]))));
    }
    let asked = std::time::Instant::now();
    loop {
        let mut differing = Vec::new();
        for kind in KINDS {
            let [ours, theirs] = [0, 1].map(|i| parts(kind, pair.http()[i], &pair.alertmanagers[i], from));
            for name in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
                let (ours, theirs) = (ours.get(name), theirs.get(name));
                if ours.zip(theirs).is_some_and(|(ours, theirs)| is_same(ours, theirs)) {
                    same.insert(name.clone());
                } else if !same.contains(name) {
                    let text = |part: Option<&Value>| part.map(Value::to_string);
                    differing.push(format!("{name}:\n    ours   {:?}\n    theirs {:?}", text(ours), text(theirs)));
                }
            }
        }
        if differing.is_empty() || asked.elapsed() > PATIENCE {
            return differing;
        }
    }
}
