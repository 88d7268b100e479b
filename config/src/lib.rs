//! `prometheus.yml`: text to validated values.
//!
//! - **What**: reads a configuration as strictly as upstream does, and refuses with file, line, column, field and a way out.
//! - **Path**: before both paths; every other crate is built from these values.
//! - **Invariants**: no network, no async; a value that exists is valid; secrets are never printed; a reader of a job
//!   never needs `global`.
//! - **Files**: `global`, `scrape`, `sd`, `http`, `secret` the values · `load` the file as a whole · `sections`, `unserved` what is
//!   checked and not served · `*_read` one section each, read and shown · `node` YAML in · `decode` fields of a mapping ·
//!   `yaml` YAML out · `size`, `selector` small languages · `target_groups` the files of file discovery · `web` the file of `--web.config.file`.
//! - **Tests**: at the foot of each file; `tests/` reads upstream's data.

mod decode;
mod error;
mod global;
mod http;
mod http_read;
mod load;
mod node;
mod relabel_read;
mod scrape;
mod scrape_read;
mod sd;
mod sd_read;
mod secret;
mod sections;
mod selector;
mod size;
mod target_groups;
mod unserved;
mod web;
mod yaml;

pub use error::Error;
pub use global::{Config, GlobalConfig, RetentionRuleConfig, StorageConfig};
pub use http::{
    Authorization, BasicAuth, HttpClientConfig, HttpHeader, JwtBearer, OAuth2, ProxyConfig, TlsConfig, TlsVersion,
};
pub use scrape::{LimitMode, ScrapeConfig, ScrapeLimits, ScrapeProtocol};
pub use sd::{
    AttachMetadata, FileSdConfig, KubernetesRole, KubernetesSdConfig, KubernetesSelector, SdConfig, StaticConfig,
    UnservedSd,
};
pub use secret::{SECRET_SHOWN, Secret};
pub use size::{format_size, parse_size};
pub use target_groups::{FileGroup, target_groups};
pub use web::{ClientAuth, Pem, WebConfig, WebTls};
