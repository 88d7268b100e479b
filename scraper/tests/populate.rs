//! What discovery found becomes a target as upstream makes it (`conformance/scrape/populate_labels.json`).
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test: a failed step is its message")]

use std::path::Path;

use config::Config;
use model::{Labels, TargetGroup};
use scraper::{Populated, RuleMatches, populate};
use serde_json::Value;

fn labels(value: &Value) -> Labels {
    let pairs = value.as_object().into_iter().flatten();
    Labels::from_pairs(pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap())))
}

fn passes(case: &Value) -> Result<(), String> {
    let text = case["config"].as_str().unwrap();
    let config = Config::parse(text, Path::new("prometheus.yml"), &|_| None).map_err(|e| e.to_string())?;
    let target = labels(&case["target_labels"]);
    let group = TargetGroup { source: "g".into(), labels: labels(&case["group_labels"]), targets: vec![target.into()] };
    let same = |what: &str, ours: &Labels| {
        let theirs = labels(&case[what]);
        if *ours == theirs { Ok(()) } else { Err(format!("{what}: {ours:?}, not {theirs:?}")) }
    };
    match populate(&group, &config.scrape_configs[0], &mut RuleMatches::default()).next().unwrap() {
        Populated::Target(target) => {
            same("discovered_labels", &target.discovered)?;
            same("labels_after_relabeling", &target.labels)?;
            same("public_labels", &target.public)?;
            if case["scrape_url"] == target.url.as_str() { Ok(()) } else { Err(target.url.clone()) }
        }
        Populated::Dropped { discovered, .. } => {
            same("discovered_labels", &discovered)?;
            if case["dropped"] == true { Ok(()) } else { Err("dropped".into()) }
        }
        Populated::Invalid { reason } => match case["error"].as_str() {
            Some(error) if reason == format!("instance 0 in group g: {error}") => Ok(()),
            error => Err(format!("{reason}, not {error:?}")),
        },
    }
}

#[test]
fn targets_as_upstream_makes_them() {
    let Some(table) = kit::conformance_json("scrape/populate_labels.json") else { return };
    let cases = table["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 46);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        if let Err(why) = passes(case) {
            panic!("{name}: {why}");
        }
    }
}
