//! What the objects of Prometheus-Operator ask for, as jobs, rule groups and settings.
//!
//! - **What**: `ServiceMonitor`, `PodMonitor`, `Probe`, `ScrapeConfig`, `PrometheusRule` and `Prometheus` objects become the
//!   configuration that Prometheus-Operator would generate from them, each rule with the field that asks for it.
//! - **Path**: before both paths, beside `prometheus.yml`.
//! - **Invariants**: no network but the watches of `kube-watch`; an object that is not valid changes nothing but itself;
//!   what has not changed is the same by address; no value of a Secret is kept that nothing needs.
//! - **Files**: `controller` follows the objects · `sources` the watches · `watched` objects as they are watched · `inputs`
//!   what they say at one moment · `reconcile` these to jobs · `made` what was made of each · `outcome` what became of them
//!   · `not_applied` fields without effect · `objects` the kinds · `assets` Secrets and ConfigMaps · `selector` label
//!   selectors · `select` which objects are selected · `validate/` what is refused · `generate/` the configuration ·
//!   `resolve` placeholders and mounted files · `rule_cache` relabelling rules that many jobs have ·
//!   `rule_language` what checks rules · `document` how it is built · `events`, `statuses` what is
//!   written to objects · `reported` what their status says.
//! - **Tests**: at the foot of each file; `tests/` compares with what upstream generates, and follows a
//!   fake API server; `benches/` says what thousands of monitors cost.

mod assets;
mod controller;
mod document;
mod events;
mod generate;
mod inputs;
mod made;
mod not_applied;
pub mod objects;
mod options;
mod outcome;
mod rbac;
mod reconcile;
mod reported;
mod resolve;
mod rule_cache;
mod rule_language;
mod select;
mod selector;
mod sources;
mod statuses;
mod validate;
mod watched;

pub use assets::{AssetError, AssetKind, Assets, NamespacedAssets};
pub use controller::Operator;
pub use generate::{GenerateError, Generator, Job, Options, Origin, Selected};
pub use options::OperatorOptions;
pub use outcome::{KindState, ObjectState, Outcome, PrometheusState, ReadyJob, ReadyRules, State};
pub use rbac::{MissingRight, missing_rights, role_manifests};
pub use resolve::{Placeholders, ResolveError, Resolver};
pub use rule_language::RuleLanguage;
pub use select::{Namespaces, NotSelected, select};
pub use selector::{Unmet, label_selector_text, matches, parse_label_selector};
pub use validate::Validator;
