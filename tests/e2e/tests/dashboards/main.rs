//! All expressions of the dashboards and rules that kube-prometheus, Calico and kubenurse bring, asked of Weft and of the
//! Prometheus it stands in for, over the same scrapes of a small cluster: the same series with the same values.
//!
//! The cluster is real where it can be (a node-exporter, a Prometheus) and from a table otherwise. Recorded series are what
//! Prometheus makes of the rules. Variables get their values as in Grafana: by asking the server. `promtool diff-query` asks
//! and compares.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a test: a failed step is its message"
)]

mod files;
mod recorded;
#[path = "../shown_cluster/mod.rs"]
mod shown_cluster;
mod variables;
mod verdicts;
mod world;

use std::path::PathBuf;

use kit::skipped;

use files::Dashboard;
use verdicts::Verdicts;
use world::World;

/// Expressions that find something on both, at least.
const NOT_EMPTY_MIN: usize = 700;
/// What no server evaluates: `rate()` of what is no range.
const FAULTY: [&str; 1] = ["grafana-kubenurse.json: Requests $request_type A: sum(rate("];
/// How many dashboards are compared at once.
const WORKERS: usize = 4;

#[test]
fn every_expression_has_the_answer_of_prometheus() {
    let Some(dashboards) = files::dashboards() else { return };
    let Some(rules) = files::rules() else { return };
    let world = match World::start(&rules) {
        Ok(world) => world,
        Err(why) => return skipped(&why),
    };
    let folder = tempfile::tempdir().unwrap();
    let mut jobs: Vec<(PathBuf, Vec<String>)> = Vec::new();
    for Dashboard { name, json } in &dashboards {
        let file = folder.path().join(name);
        std::fs::write(&file, json.to_string()).unwrap();
        let values = variables::values(json, &world).unwrap_or_else(|why| panic!("{name}: {why}"));
        jobs.push((file, values));
    }
    jobs.extend(rules.iter().map(|rules| (rules.file.clone(), Vec::new())));
    let verdicts = world.compare(&jobs, WORKERS);
    eprintln!("{}", verdicts.summary());
    let Verdicts { differ, fail, .. } = &verdicts;
    assert!(differ.is_empty(), "{} expressions differ:\n{}", differ.len(), differ.join("\n"));
    let is_known = |told: &String| FAULTY.iter().any(|known| told.contains(known));
    assert!(fail.iter().all(is_known) && fail.len() == FAULTY.len(), "{} fail:\n{}", fail.len(), fail.join("\n"));
    assert!(verdicts.not_empty >= NOT_EMPTY_MIN, "only {} expressions find something", verdicts.not_empty);
}
