//! Which objects upstream selects, and which it refuses, with its reasons.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kit::conformance;
use operator::objects::{Kind, Meta};
use operator::{Validator, select};
use serde_json::Value;

use crate::cases::{Case, documents};

/// Messages of Go's libraries that say the same in other words here: a part of upstream's, and of ours.
const OTHER_WORDS: [(&str, &str); 1] = [
    // Go looks for the port behind the last colon, whatever stands before it.
    ("invalid port: \"//", "invalid port: \"//"),
];

impl Case {
    /// What becomes of an object: `None` if it is not selected.
    pub(crate) fn verdict(&self, kind: &str, resource: &str, with_selectors: bool) -> Option<Result<(), String>> {
        let validator = Validator::new(&self.prometheus, &self.assets);
        let is = |meta: &&Meta| format!("{}/{}", meta.namespace, meta.name) == resource;
        let selected = |kind: Kind, meta: &Meta| {
            let namespaces: BTreeMap<_, _> =
                self.namespaces.iter().map(|one| (one.metadata.name.clone(), one.metadata.labels.clone())).collect();
            let own = &self.prometheus.metadata.namespace;
            !with_selectors || select((&self.prometheus.spec, own), kind, meta, &namespaces).is_ok()
        };
        match kind {
            "ServiceMonitor" => {
                let one = self.service_monitors.iter().find(|one| is(&&one.metadata)).unwrap();
                selected(Kind::ServiceMonitor, &one.metadata).then(|| validator.service_monitor(one))
            }
            "PodMonitor" => {
                let one = self.pod_monitors.iter().find(|one| is(&&one.metadata)).unwrap();
                selected(Kind::PodMonitor, &one.metadata).then(|| validator.pod_monitor(one))
            }
            "Probe" => {
                let one = self.probes.iter().find(|one| is(&&one.metadata)).unwrap();
                selected(Kind::Probe, &one.metadata).then(|| validator.probe(one))
            }
            "ScrapeConfig" => {
                let one = self.scrape_configs.iter().find(|one| is(&&one.metadata)).unwrap();
                selected(Kind::ScrapeConfig, &one.metadata).then(|| validator.scrape_config(one))
            }
            other => panic!("no verdicts about {other}"),
        }
    }
}

/// A label that is not UTF-8, which no YAML can say: the recording has another one.
const NOT_IN_YAML: &str = "TestSelectScrapeConfigs_staticConfig_with_invalid_utf-8_label";

/// What upstream refuses only because of the version that the object names. Ours is always the newest.
fn is_of_an_old_version(message: &str, version: &str) -> bool {
    let needs_newer = message.contains("only supported for Prometheus version")
        || message.contains("only supported from Prometheus version");
    // Prometheus 2 takes no UTF-8 names.
    let is_name = message.contains("is invalid 'target_label'") || message.contains("invalid label \"cluster-id\"");
    needs_newer || (is_name && version.starts_with("2."))
}

/// What differs from upstream's verdicts in one folder, and how many there were.
fn check(folder: &Path, expected: &Value, with_selectors: bool) -> (usize, Vec<String>) {
    let case = Case::read(folder);
    let version = expected["prometheus_version"].as_str().unwrap_or("3.13.2").to_owned();
    let (mut n, mut out) = (0, Vec::new());
    for resource in expected["resources"].as_array().into_iter().flatten() {
        let text = |field: &str| resource[field].as_str().unwrap_or_default();
        if text("kind") == "PrometheusRule" {
            continue;
        }
        n += 1;
        let (name, message) = (text("resource"), text("message"));
        let ours = case.verdict(text("kind"), name, with_selectors);
        let upstream = match (resource["selected"] == false, resource["accepted"] == true) {
            (true, _) => None,
            (false, true) => Some(Ok(())),
            (false, false) if is_of_an_old_version(message, &version) => Some(Ok(())),
            (false, false) => Some(Err(message.to_owned())),
        };
        let says_the_same = match (&ours, &upstream) {
            (Some(Err(ours)), Some(Err(upstream))) => {
                ours == upstream
                    || OTHER_WORDS.iter().any(|(theirs, own)| upstream.contains(theirs) && ours.contains(own))
            }
            (ours, upstream) => ours == upstream,
        };
        if !says_the_same {
            out.push(format!("{}: {name}\n    here     {ours:?}\n    upstream {upstream:?}", folder.display()));
        }
    }
    (n, out)
}

fn folders(root: &Path) -> Vec<std::path::PathBuf> {
    let mut folders: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

#[test]
fn the_same_objects_are_valid() {
    let Some(root) = conformance("operator/selection") else { return };
    let (mut n, mut failures) = (0, Vec::new());
    for folder in folders(&root) {
        let expected = documents(&folder.join("expected.yaml")).remove(0);
        if folder.ends_with(NOT_IN_YAML) {
            continue;
        }
        let (checked, differences) = check(&folder, &expected, false);
        n += checked;
        failures.extend(differences);
    }
    assert!(failures.is_empty(), "{} of {n} differ:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(n, 234, "cases went missing");
}

#[test]
fn the_same_objects_are_selected() {
    let Some(root) = conformance("operator/cases") else { return };
    let (mut n, mut failures) = (0, Vec::new());
    for folder in folders(&root) {
        let status = folder.join("expected_status.yaml");
        if !status.exists() {
            continue;
        }
        let (checked, differences) = check(&folder, &documents(&status).remove(0), true);
        n += checked;
        failures.extend(differences);
    }
    assert!(failures.is_empty(), "{} of {n} differ:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(n, 125, "cases went missing");
}
