//! What the objects of Prometheus-Operator ask for, as jobs and settings.
//!
//! - **What**: `ServiceMonitor`, `PodMonitor`, `Probe`, `ScrapeConfig` and `Prometheus` objects become the configuration
//!   that Prometheus-Operator would generate from them, each rule with the field that asks for it.
//! - **Path**: before both paths, beside `prometheus.yml`.
//! - **Invariants**: no network; an object that is not valid changes nothing but itself.
//! - **Files**: `objects` the kinds · `assets` Secrets and ConfigMaps · `selector` label selectors · `select` which objects
//!   are selected · `validate/` what is refused · `generate/` the configuration · `resolve` placeholders and mounted files ·
//!   `document` how it is built.
//! - **Tests**: at the foot of each file; `tests/` compares with what upstream generates.

mod assets;
mod controller;
mod document;
mod generate;
pub mod objects;
mod options;
mod outcome;
mod rbac;
mod reconcile;
mod resolve;
mod select;
mod selector;
mod sources;
mod validate;
mod watched;

pub use assets::{AssetError, AssetKind, Assets, NamespacedAssets};
pub use controller::Operator;
pub use generate::{GenerateError, Generator, Job, Options, Origin, Selected};
pub use options::OperatorOptions;
pub use outcome::{KindState, ObjectState, Outcome, PrometheusState, ReadyJob, State};
pub use rbac::{MissingRight, missing_rights, role_manifests};
pub use resolve::{Placeholders, ResolveError, Resolver};
pub use select::{Namespaces, NotSelected, select};
pub use selector::{Unmet, label_selector_text, matches, parse_label_selector};
pub use validate::Validator;
