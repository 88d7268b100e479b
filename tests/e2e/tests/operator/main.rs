//! Monitors: Weft takes the place of Prometheus-Operator, on a real API server and, where it is the judge, beside the real
//! operator and the Prometheus that runs what it generates.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    reason = "a test: a failed step is its message"
)]

mod articles;
mod changes;
mod etcd;
mod judge;
mod manifests;
mod monitors;
mod objects;
mod pair;
mod population;
mod rules;
mod stateful_set;
mod statuses;
mod targets;
mod world;

use std::fs;
use std::process::ExitCode;

use kit::{Isolated, Weft, isolated};
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};

use world::World;

fn main() -> ExitCode {
    isolated(&[
        Isolated { name: "articles_as_they_stand", run: articles::as_they_stand, cannot: world::cannot },
        Isolated { name: "changes_while_it_runs", run: changes::while_it_runs, cannot: world::cannot },
        Isolated { name: "rules_of_objects", run: rules::of_objects, cannot: world::cannot },
        Isolated { name: "statuses_of_objects", run: statuses::of_objects, cannot: world::cannot },
        Isolated { name: "same_targets_as_prometheus_operator", run: judge::same_targets, cannot: judge::cannot },
        Isolated { name: "the_image_of_a_prometheus_object", run: stateful_set::command_lines, cannot: judge::cannot },
    ])
}

/// Weft as a pod of a namespace that may do everything.
fn start_weft(world: &World, namespace: &str, flags: &[&str]) -> Weft {
    start_weft_as(world, namespace, None, flags)
}

/// The same with the rights of the account that a token is of.
fn start_weft_as(world: &World, namespace: &str, token: Option<&str>, flags: &[&str]) -> Weft {
    let folder = tempfile::tempdir().unwrap();
    // Monitors without an interval of their own are scraped often.
    fs::write(folder.path().join("prometheus.yml"), "global: {scrape_interval: 2s, scrape_timeout: 2s}").unwrap();
    let flags: Vec<&str> = [&["--operator"], flags].concat();
    Weft::start_with(folder, &flags, &world.plane.as_a_pod(namespace, token))
}

/// What `/api/v1/explain` says of a monitor, as text.
fn explain(weft: &Weft, monitor: &str) -> String {
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("text/plain"))]);
    let (status, _, body) = weft.http.page(&format!("/api/v1/explain?monitor={monitor}"), &headers).unwrap();
    let text = String::from_utf8(body).unwrap();
    assert_eq!(status, 200, "{text}");
    text
}
