//! `prometheus.yml`: text to validated values.
//!
//! - **What**: reads a configuration as strictly as upstream does, and refuses with file, line, column, field and a way out.
//! - **Path**: before both paths; every other crate is built from these values.
//! - **Invariants**: no network, no async; a value that exists is valid; secrets are never printed; a reader of a job
//!   never needs `global`.
//! - **Files**: `global`, `scrape`, `sd`, `http`, `secret` the values · `yaml` YAML out.
//! - **Tests**: at the foot of each file; `tests/` reads upstream's data.

mod global;
mod http;
mod scrape;
mod sd;
mod secret;
mod yaml;

pub use global::{Config, GlobalConfig, StorageConfig};
pub use http::{Authorization, BasicAuth, HttpClientConfig, HttpHeader, OAuth2, ProxyConfig, TlsConfig, TlsVersion};
pub use scrape::{ScrapeConfig, ScrapeLimits, ScrapeProtocol};
pub use sd::{
    AttachMetadata, FileSdConfig, KubernetesRole, KubernetesSdConfig, KubernetesSelector, SdConfig, StaticConfig,
    UnservedSd,
};
pub use secret::{SECRET_SHOWN, Secret};
