//! ServiceMonitor, PodMonitor, Probe and ScrapeConfig.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Object;
use super::auth::{HttpConfig, ProxyConfig};
use super::common::{AttachMetadata, JobLimits, LabelSelector, NamespaceSelector, Port, RelabelConfig};

/// Pods behind Services.
pub type ServiceMonitor = Object<ServiceMonitorSpec>;
/// Pods.
pub type PodMonitor = Object<PodMonitorSpec>;
/// Addresses that an exporter probes.
pub type Probe = Object<ProbeSpec>;
/// Anything that `scrape_configs` can say.
pub type ScrapeConfig = Object<ScrapeConfigSpec>;

/// What a ServiceMonitor asks for.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceMonitorSpec {
    /// The label of the Service that `job` is taken from.
    pub job_label: String,
    /// Labels of the Service that targets get.
    pub target_labels: Vec<String>,
    /// Labels of the pod that targets get.
    pub pod_target_labels: Vec<String>,
    /// What is scraped of each Service.
    pub endpoints: Vec<Endpoint>,
    /// Which Services.
    pub selector: LabelSelector,
    /// `RelabelConfig` or `RoleSelector`: who applies the selector.
    pub selector_mechanism: Option<String>,
    /// In which namespaces.
    pub namespace_selector: NamespaceSelector,
    /// Limits and formats.
    #[serde(flatten)]
    pub limits: JobLimits,
    /// What is attached to targets.
    pub attach_metadata: Option<AttachMetadata>,
    /// The scrape class.
    pub scrape_class: Option<String>,
    /// `Endpoints` or `EndpointSlice`.
    pub service_discovery_role: Option<String>,
}

/// One endpoint of a ServiceMonitor.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    /// The name of the Service's port.
    pub port: String,
    /// The port of the pod's container, if `port` is not set.
    pub target_port: Option<Port>,
    /// How it is scraped.
    #[serde(flatten)]
    pub scrape: EndpointScrape,
}

/// What endpoints of ServiceMonitors and PodMonitors have in common.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointScrape {
    /// The path.
    pub path: String,
    /// `http` or `https`, in any letter case.
    pub scheme: Option<String>,
    /// Query parameters.
    // An empty mapping is written, and one that is missing is not.
    pub params: Option<BTreeMap<String, Vec<String>>>,
    /// From one scrape to the next.
    pub interval: String,
    /// How long one may take.
    pub scrape_timeout: String,
    /// Keep labels of the target.
    pub honor_labels: bool,
    /// Keep its timestamps.
    pub honor_timestamps: Option<bool>,
    /// Mark series as stale that have them.
    pub track_timestamps_staleness: Option<bool>,
    /// Rules for series.
    pub metric_relabelings: Vec<RelabelConfig>,
    /// Rules for targets.
    pub relabelings: Vec<RelabelConfig>,
    /// Drop pods that have ended; `true` if it is not set.
    pub filter_running: Option<bool>,
    /// How it is connected to.
    #[serde(flatten)]
    pub http: HttpConfig,
    /// Through which proxy.
    #[serde(flatten)]
    pub proxy: ProxyConfig,
}

/// What a PodMonitor asks for.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct PodMonitorSpec {
    /// The label of the pod that `job` is taken from.
    pub job_label: String,
    /// Labels of the pod that targets get.
    pub pod_target_labels: Vec<String>,
    /// What is scraped of each pod.
    pub pod_metrics_endpoints: Vec<PodMetricsEndpoint>,
    /// Which pods.
    pub selector: LabelSelector,
    /// `RelabelConfig` or `RoleSelector`: who applies the selector.
    pub selector_mechanism: Option<String>,
    /// In which namespaces.
    pub namespace_selector: NamespaceSelector,
    /// Limits and formats.
    #[serde(flatten)]
    pub limits: JobLimits,
    /// What is attached to targets.
    pub attach_metadata: Option<AttachMetadata>,
    /// The scrape class.
    pub scrape_class: Option<String>,
}

/// One endpoint of a PodMonitor.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct PodMetricsEndpoint {
    /// The name of a container's port.
    pub port: Option<String>,
    /// Its number, if the name is not set.
    pub port_number: Option<i64>,
    /// The port by either; deprecated upstream.
    pub target_port: Option<Port>,
    /// How it is scraped.
    #[serde(flatten)]
    pub scrape: EndpointScrape,
}

/// What a Probe asks for.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ProbeSpec {
    /// The value of `job`.
    pub job_name: String,
    /// The exporter.
    pub prober: Prober,
    /// The module of the exporter.
    pub module: String,
    /// What is probed.
    pub targets: ProbeTargets,
    /// From one probe to the next.
    pub interval: String,
    /// How long one may take.
    pub scrape_timeout: String,
    /// How the exporter is connected to.
    #[serde(flatten)]
    pub http: HttpConfig,
    /// Rules for series.
    pub metric_relabelings: Vec<RelabelConfig>,
    /// Limits and formats.
    #[serde(flatten)]
    pub limits: JobLimits,
    /// The scrape class.
    pub scrape_class: Option<String>,
    /// Query parameters.
    pub params: Vec<ProbeParam>,
}

/// The exporter that probes.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Prober {
    /// Host, and port if it is not the scheme's.
    pub url: String,
    /// `http` or `https`, in any letter case.
    pub scheme: Option<String>,
    /// The path.
    pub path: String,
    /// Through which proxy.
    #[serde(flatten)]
    pub proxy: ProxyConfig,
}

/// A query parameter of a Probe.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct ProbeParam {
    /// Its name.
    pub name: String,
    /// Its values.
    pub values: Vec<String>,
}

/// What is probed. With both the static targets count.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ProbeTargets {
    /// Addresses.
    pub static_config: Option<ProbeStaticConfig>,
    /// Ingresses.
    pub ingress: Option<ProbeIngress>,
}

/// Addresses to probe.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ProbeStaticConfig {
    /// The addresses.
    #[serde(rename = "static")]
    pub targets: Vec<String>,
    /// Labels that all of them get.
    pub labels: BTreeMap<String, String>,
    /// Rules for targets.
    pub relabeling_configs: Vec<RelabelConfig>,
}

/// Ingresses to probe.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ProbeIngress {
    /// Which.
    pub selector: LabelSelector,
    /// In which namespaces.
    pub namespace_selector: NamespaceSelector,
    /// Rules for targets.
    pub relabeling_configs: Vec<RelabelConfig>,
}

/// What a ScrapeConfig asks for.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ScrapeConfigSpec {
    /// The value of `job`.
    pub job_name: Option<String>,
    /// The path.
    pub metrics_path: Option<String>,
    /// `http` or `https`, in any letter case.
    pub scheme: Option<String>,
    /// Query parameters.
    pub params: BTreeMap<String, Vec<String>>,
    /// From one scrape to the next.
    pub scrape_interval: Option<String>,
    /// How long one may take.
    pub scrape_timeout: Option<String>,
    /// Keep labels of the target.
    pub honor_labels: Option<bool>,
    /// Keep its timestamps.
    pub honor_timestamps: Option<bool>,
    /// Mark series as stale that have them.
    pub track_timestamps_staleness: Option<bool>,
    /// Ask for compressed responses.
    pub enable_compression: Option<bool>,
    /// Rules for targets.
    pub relabelings: Vec<RelabelConfig>,
    /// Rules for series.
    pub metric_relabelings: Vec<RelabelConfig>,
    /// How targets are connected to.
    #[serde(flatten)]
    pub http: HttpConfig,
    /// Through which proxy.
    #[serde(flatten)]
    pub proxy: ProxyConfig,
    /// Limits and formats.
    #[serde(flatten)]
    pub limits: JobLimits,
    /// The scrape class.
    pub scrape_class: Option<String>,
    /// Which names are valid.
    pub name_validation_scheme: Option<String>,
    /// What names become for a target that does not know UTF-8 names.
    pub name_escaping_scheme: Option<String>,
    /// The `…SDConfigs` and whatever else there is, as it stands.
    #[serde(flatten)]
    // Kept as JSON: two dozen kinds of discovery are read by tables (`generate/sd_fields.rs`).
    pub discovery: serde_json::Map<String, serde_json::Value>,
}
