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

mod judge;
mod manifests;
mod monitors;
mod objects;
mod pair;
mod population;
mod random;
mod targets;
mod world;

use std::process::ExitCode;

use kit::{Isolated, isolated};

fn main() -> ExitCode {
    isolated(&[Isolated {
        name: "same_targets_as_prometheus_operator",
        run: judge::same_targets,
        cannot: judge::cannot,
    }])
}
