//! The chart (`deploy/helm/weft`) and what watches Weft itself: rendered by the real Helm, applied to a real API server with Pod
//! Security on, run with the arguments of its pods; and every query of the alerts and dashboards asked.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    reason = "a test: a failed step is its message"
)]

mod applied;
mod cluster;
mod helm;
mod pod;
mod queries;
mod rendered;
mod rights;
mod runs;
mod watching;

use std::process::ExitCode;

use kit::{ControlPlane, Isolated, isolated};

fn main() -> ExitCode {
    let without_a_cluster = || helm::binary().err();
    let cannot = || helm::binary().err().or_else(|| ControlPlane::programs().err());
    isolated(&[
        Isolated { name: "rules_of_weft_itself", run: watching::rules, cannot: || None },
        Isolated { name: "lints_and_renders", run: rendered::lints_and_renders, cannot: without_a_cluster },
        Isolated { name: "refuses_mistakes", run: rendered::refuses_mistakes, cannot: without_a_cluster },
        Isolated { name: "applies_where_pods_are_restricted", run: applied::restricted, cannot },
        Isolated { name: "helm_installs_it", run: applied::installed, cannot },
        Isolated { name: "rights_are_those_that_are_needed", run: rights::exact, cannot },
        Isolated { name: "runs_with_its_arguments", run: runs::all_modes, cannot },
        Isolated { name: "shards_divide_targets", run: runs::shards, cannot },
        Isolated { name: "queries_of_weft_itself", run: watching::queries, cannot },
    ])
}
