//! What Prometheus-Operator generates, selects and refuses, recorded from its own tests: `operator/` of the recordings.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod cases;
mod generated;
mod verdicts;
