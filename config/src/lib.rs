//! `prometheus.yml` and rule files: text to validated values.
//!
//! - **What**: reads a configuration as strictly as Prometheus does; an error names file, line, column, field and remedy.
//! - **Path**: before both paths; every other crate is built from these values.
//! - **Invariants**: no network, no async; a value that exists is valid; secrets are never printed; a job is complete without
//!   `global`.
//! - **Files**: `schema` the macro `section!`, which declares a section once for reading, printing and documentation · `yaml`
//!   YAML in and out · `file` the whole file, `load` with what it includes, `read` files · `global`, `runtime`, `alerting`, `scrape`, `limits`,
//!   `protocol`, `names`, `storage`, `tracing`, `remote`, `otlp` its sections · `http`, `sd`, `relabel` what several sections have in
//!   common · `rules` rule files and their unit tests · `reference` the page `docs/configuration.md`, `json_schema` schemas for editors · `included` which
//!   files a file names · `excerpt` the lines that errors show · `size`, `selector`, `secret` kinds of values · `target_groups` the
//!   files of file discovery · `target_labels` labels of objects for targets · `web` the file of `--web.config.file`.
//! - **Tests**: at the foot of each file; `tests/` reads upstream's data.

mod alerting;
mod error;
mod excerpt;
mod file;
mod global;
mod http;
mod included;
mod json_schema;
mod limits;
mod load;
mod names;
mod otlp;
mod protocol;
mod read;
mod reference;
mod relabel;
mod remote;
mod rules;
mod runtime;
mod schema;
mod scrape;
mod sd;
mod secret;
mod selector;
mod size;
mod storage;
mod target_groups;
mod target_labels;
mod tracing;
mod web;
mod yaml;

pub use alerting::{AlertOptions, AlertWebhookConfig, AlertingConfig, AlertmanagerConfig};
pub use error::Error;
pub use file::Config;
pub use global::{Defaults, ExternalLabels, GlobalConfig};
pub use http::{
    Authorization, BasicAuth, Claims, HttpClientConfig, HttpHeader, OAuth2, ProxyConfig, TlsConfig, TlsVersion,
};
pub use included::IncludedFiles;
pub use json_schema::{SchemaOf, json_schema};
pub use limits::{LimitMode, ScrapeLimits};
pub use otlp::OtlpConfig;
pub use protocol::ScrapeProtocol;
pub use reference::reference;
pub use remote::{MetadataConfig, QueueConfig, RemoteReadConfig, RemoteWriteConfig};
pub use rules::{
    AlertTest, ExpectedAlert, ExpectedSample, ExprTest, InputSeries, Rule, RuleChecks, RuleFile, RuleGroup,
    RuleOptions, UnitTest, UnitTestFile, matching_rule_files,
};
pub use runtime::RuntimeConfig;
pub use schema::Opaque;
pub use scrape::ScrapeConfig;
pub use sd::{
    AttachMetadata, AzureSdConfig, ConsulSdConfig, DigitalOceanRole, DigitalOceanSdConfig, DnsSdConfig, DockerFilter,
    DockerSdConfig, DockerSwarmSdConfig, Ec2Filter, Ec2SdConfig, EurekaSdConfig, FileSdConfig, GceSdConfig,
    HetznerRole, HetznerSdConfig, HttpSdConfig, IonosSdConfig, KubernetesNamespaces, KubernetesRole,
    KubernetesSdConfig, KubernetesSelector, KumaSdConfig, LightsailSdConfig, LinodeSdConfig, MarathonSdConfig,
    NomadSdConfig, OpenstackRole, OpenstackSdConfig, OutscaleSdConfig, OvhcloudSdConfig, PuppetDbSdConfig,
    ScalewayRole, ScalewaySdConfig, SdConfig, StackitSdConfig, StaticConfig, TritonSdConfig, UnservedSd, UyuniSdConfig,
    VultrSdConfig,
};
pub use secret::{SECRET_SHOWN, Secret};
pub use size::{format_size, parse_size};
pub use storage::{
    ChunkEncodingConfig, ExemplarsConfig, RetentionConfig, RetentionRuleConfig, StorageConfig, TsdbConfig,
};
pub use target_groups::{FileGroup, target_groups};
pub use target_labels::TargetLabelsFrom;
pub use tracing::TracingConfig;
pub use web::{ClientAuth, HttpServerConfig, Pem, RateLimitConfig, WebConfig, WebTls};
pub use yaml::Yaml;
