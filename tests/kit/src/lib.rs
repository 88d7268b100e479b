//! What tests share.
//!
//! - **What**: [`conformance`] and [`promqltest`] find upstream's data; [`Recorder`] and [`MemQuerier`] are fakes of the two
//!   contracts of `model`, [`KubeApi`] one of a Kubernetes API server; with the feature `processes`, [`Weft`], [`Prometheus`],
//!   [`Alertmanager`], [`PrometheusOperator`], [`ControlPlane`], [`GoTarget`] and [`Process`] start programs and end them by their own id, [`Http`]
//!   asks them, [`Exporter`] is a target that says what a test wants, in protobuf with [`wire`], [`Past`] one that gives several servers the same past, and [`isolated`] gives tests a network of their own.
//! - **Path**: outside the product, around all of it.
//! - **Invariants**: everything listens on loopback or in a namespace that the test made; nothing outlives its test; a
//!   test waits for a condition, never for a time. With `CI` in the environment, what cannot run fails ([`skipped`]).
//! - **Files**: `data` · `recorder`, `mem_querier`, `kube_api` · `wait`, `process`, `weft`, `prometheus`, `alertmanager`, `prometheus_operator`, `control_plane`,
//!   `go_target`, `isolated`, `http`, `exporter`, `past`, `wire`, `clock`.
//! - **Tests**: those that use it.
#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "a kit for tests: a failed step is its message")]

mod data;
mod kube_api;
mod mem_querier;
mod recorder;

pub use data::{cache, conformance, conformance_json, conformance_text, prometheus_version, promqltest, skipped};
pub use kube_api::KubeApi;
pub use mem_querier::{MemQuerier, Samples};
pub use recorder::{Recorded, Recorder};

#[cfg(feature = "processes")]
mod alertmanager;
#[cfg(feature = "processes")]
mod clock;
#[cfg(feature = "processes")]
mod control_plane;
#[cfg(feature = "processes")]
mod exporter;
#[cfg(feature = "processes")]
mod go_target;
#[cfg(feature = "processes")]
mod http;
#[cfg(feature = "processes")]
mod isolated;
#[cfg(feature = "processes")]
mod past;
#[cfg(feature = "processes")]
mod process;
#[cfg(feature = "processes")]
mod prometheus;
#[cfg(feature = "processes")]
mod prometheus_operator;
#[cfg(feature = "processes")]
mod random;
#[cfg(feature = "processes")]
mod wait;
#[cfg(feature = "processes")]
mod weft;
#[cfg(feature = "processes")]
pub mod wire;

#[cfg(feature = "processes")]
pub use {
    alertmanager::Alertmanager,
    clock::TestClock,
    control_plane::{ControlPlane, Pki},
    exporter::{Answer, Exporter, read_head},
    go_target::GoTarget,
    http::Http,
    isolated::{Isolated, add_addresses, isolated},
    past::{Past, assert_kept, stamped},
    process::Process,
    prometheus::Prometheus,
    prometheus_operator::PrometheusOperator,
    random::Random,
    wait::{PATIENCE, eventually, free_port},
    weft::Weft,
};
