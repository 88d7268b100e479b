//! Rules and alerts of the real binary: beside the Prometheus that it stands in for, with real Alertmanagers, through restarts
//! and reloads.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    reason = "a test: a failed step is its message"
)]

mod against_prometheus;
mod alertmanagers;
mod answers;
mod reloads;
mod restarts;
mod rule_files;
mod script;
mod self_metrics;
mod series;
mod stored;
mod world;
