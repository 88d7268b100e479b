//! What `/api/v1/targets` says, in comparable form.

use std::collections::{BTreeMap, BTreeSet};

use kit::Http;
use serde_json::{Value, json};

use crate::objects::name_of;

/// What of an active target is compared.
const FIELDS: [&str; 6] = ["scrapePool", "scrapeUrl", "labels", "discoveredLabels", "scrapeInterval", "scrapeTimeout"];
/// Of the differences of a scrape pool no more than these are shown.
const SHOWN_MAX: usize = 3;

/// The targets of a server.
#[derive(Debug, PartialEq)]
pub struct Targets {
    active: Vec<Value>,
    dropped: BTreeMap<String, u64>,
}

impl Targets {
    pub fn of(http: &Http) -> Result<Self, String> {
        let data = http.api("targets")?;
        let targets = data["activeTargets"].as_array().ok_or("no targets")?;
        let compared = |target: &Value| {
            Value::Object(FIELDS.iter().map(|field| ((*field).to_owned(), sorted(&target[*field]))).collect())
        };
        let mut active: Vec<Value> = targets.iter().map(compared).collect();
        active.sort_by_cached_key(Value::to_string);
        let dropped = data["droppedTargetCounts"].as_object().ok_or("no counts of dropped targets")?;
        let dropped = dropped.iter().map(|(pool, n)| (pool.clone(), n.as_u64().unwrap())).collect();
        Ok(Self { active, dropped })
    }

    /// How many are active and how many are dropped.
    pub fn len(&self) -> (usize, usize) {
        (self.active.len(), usize::try_from(self.dropped.values().sum::<u64>()).unwrap())
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => json!(fields.iter().collect::<BTreeMap<_, _>>()),
        other => other.clone(),
    }
}

/// What differs, target by target and label by label, each with the object that asks for the target.
pub fn differences(ours: &Targets, theirs: &Targets, objects: &[Value]) -> Vec<String> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let pool = |target: &Value| target["scrapePool"].as_str().unwrap_or_default().to_owned();
    let mut only_ours = without(&ours.active, &theirs.active);
    for target in without(&theirs.active, &ours.active) {
        let candidates = only_ours.iter().enumerate().filter(|(_, candidate)| pool(candidate) == pool(&target));
        let alike =
            candidates.map(|(i, candidate)| (unlike(candidate, &target), i)).min_by_key(|(found, _)| found.len());
        let told = match alike {
            Some((unlike, i)) => {
                only_ours.swap_remove(i);
                format!("of a target: {}", unlike.join("; "))
            }
            None => format!("only Prometheus has {target}"),
        };
        found.entry(pool(&target)).or_default().push(told);
    }
    for target in &only_ours {
        found.entry(pool(target)).or_default().push(format!("only Weft has {target}"));
    }
    let pools: BTreeSet<&String> = ours.dropped.keys().chain(theirs.dropped.keys()).collect();
    for pool in pools {
        let (ours, theirs) = (ours.dropped.get(pool), theirs.dropped.get(pool));
        if ours != theirs {
            let told = format!("dropped targets: {ours:?}, Prometheus: {theirs:?}");
            found.entry(pool.clone()).or_default().push(told);
        }
    }
    let told = found.into_iter().map(|(pool, mut told)| {
        let n = told.len();
        told.truncate(SHOWN_MAX);
        let asked_for = asked_for(&pool, objects);
        format!("{pool}, {n} differences:\n  {}\n  asked for by {asked_for}", told.join("\n  "))
    });
    told.collect()
}

/// What of the one list is not in the other.
fn without(these: &[Value], those: &[Value]) -> Vec<Value> {
    let mut left = those.to_vec();
    let is_new = |target: &&Value| match left.iter().position(|known| known == *target) {
        Some(known) => {
            left.swap_remove(known);
            false
        }
        None => true,
    };
    these.iter().filter(is_new).cloned().collect()
}

/// Where two values differ: `labels.job: "a", Prometheus: "b"`.
pub fn unlike(ours: &Value, theirs: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", ours, theirs, &mut found);
    found
}

fn compare(path: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                compare(&format!("{path}.{name}"), &ours[name], &theirs[name], found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().for_each(|(i, (a, b))| compare(&format!("{path}[{i}]"), a, b, found));
        }
        _ if ours == theirs => {}
        _ => found.push(format!("{}: {ours}, Prometheus: {theirs}", path.trim_start_matches('.'))),
    }
}

/// The object whose name is in that of a pool: `serviceMonitor/default/node-exporter/0`.
pub fn asked_for(pool: &str, objects: &[Value]) -> String {
    let is = |object: &&Value| {
        let name = name_of(object);
        let rest = pool.get(name.len()..);
        pool.len() >= name.len()
            && name.eq_ignore_ascii_case(&pool[..name.len()])
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    objects.iter().find(is).map_or_else(|| "nothing of this test".to_owned(), Value::to_string)
}
