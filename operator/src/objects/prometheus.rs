//! The Prometheus object: which monitors, and everything of `prometheus.yml` beside them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Object;
use super::auth::{Authorization, BasicAuth, KeySelector, ProxyConfig, Sigv4, TlsConfig};
use super::common::{AttachMetadata, LabelSelector, Port, Quantity, RelabelConfig};
use super::remote::{Otlp, RemoteRead, RemoteWrite, Tracing};

/// A Prometheus object.
pub type Prometheus = Object<PrometheusSpec>;

/// What a Prometheus object asks for, without what shapes pods.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct PrometheusSpec {
    /// Which ServiceMonitors; none if it is not set.
    // An `Option`, as all selectors: one that is not set selects nothing, and an empty one everything.
    pub service_monitor_selector: Option<LabelSelector>,
    /// In which namespaces; the object's own if it is not set.
    pub service_monitor_namespace_selector: Option<LabelSelector>,
    /// Which PodMonitors.
    pub pod_monitor_selector: Option<LabelSelector>,
    /// In which namespaces.
    pub pod_monitor_namespace_selector: Option<LabelSelector>,
    /// Which Probes.
    pub probe_selector: Option<LabelSelector>,
    /// In which namespaces.
    pub probe_namespace_selector: Option<LabelSelector>,
    /// Which ScrapeConfigs.
    pub scrape_config_selector: Option<LabelSelector>,
    /// In which namespaces.
    pub scrape_config_namespace_selector: Option<LabelSelector>,
    /// Which PrometheusRules.
    pub rule_selector: Option<LabelSelector>,
    /// In which namespaces.
    pub rule_namespace_selector: Option<LabelSelector>,
    /// The version of Prometheus that the object was written for.
    pub version: String,
    /// Nothing is to be changed.
    pub paused: bool,
    /// Targets are spread over so many servers.
    pub shards: Option<i64>,
    /// How they are spread.
    pub sharding_strategy: Option<ShardingStrategy>,
    /// The external label that names the replica; `prometheus_replica` if it is not set, none if it is empty.
    pub replica_external_label_name: Option<String>,
    /// The external label that names this object; `prometheus` if it is not set, none if it is empty.
    pub prometheus_external_label_name: Option<String>,
    /// From one scrape to the next.
    pub scrape_interval: String,
    /// How long one may take.
    pub scrape_timeout: String,
    /// The formats to ask for.
    pub scrape_protocols: Vec<String>,
    /// Labels of everything that leaves the server.
    pub external_labels: BTreeMap<String, String>,
    /// Features to enable.
    pub enable_features: Vec<String>,
    /// Secrets that are mounted below `/etc/prometheus/secrets`.
    pub secrets: Vec<String>,
    /// ConfigMaps that are mounted below `/etc/prometheus/configmaps`.
    pub config_maps: Vec<String>,
    /// Servers that samples are sent to.
    pub remote_write: Vec<RemoteWrite>,
    /// Servers that queries ask.
    pub remote_read: Vec<RemoteRead>,
    /// How metrics of OpenTelemetry become series.
    pub otlp: Option<Otlp>,
    /// Further `scrape_configs`, as text in a Secret.
    pub additional_scrape_configs: Option<KeySelector>,
    /// Further `alert_relabel_configs`.
    pub additional_alert_relabel_configs: Option<KeySelector>,
    /// Further `alertmanagers`.
    pub additional_alert_manager_configs: Option<KeySelector>,
    /// The API server of all discoveries.
    pub apiserver_config: Option<ApiServerConfig>,
    /// Whether ServiceMonitors may name files.
    // Go spells abbreviations in capitals, which `camelCase` does not make.
    #[serde(rename = "arbitraryFSAccessThroughSMs")]
    pub arbitrary_fs_access_through_sms: FileAccess,
    /// No monitor keeps labels of targets.
    pub override_honor_labels: bool,
    /// No monitor keeps timestamps of targets.
    pub override_honor_timestamps: bool,
    /// Monitors look in their own namespace only.
    pub ignore_namespace_selectors: bool,
    /// The label that is set to the namespace of the monitor; none if it is empty.
    pub enforced_namespace_label: String,
    /// Objects for which that does not hold.
    pub excluded_from_enforcement: Vec<ObjectReference>,
    /// The same, of PrometheusRules; deprecated upstream.
    pub prometheus_rules_excluded_from_enforce: Vec<RuleReference>,
    /// The highest `sample_limit`.
    // 0 and not set are the same for all that is enforced: nothing is.
    pub enforced_sample_limit: Option<i64>,
    /// The highest `target_limit`.
    pub enforced_target_limit: Option<i64>,
    /// The highest `label_limit`.
    pub enforced_label_limit: Option<i64>,
    /// The highest `label_name_length_limit`.
    pub enforced_label_name_length_limit: Option<i64>,
    /// The highest `label_value_length_limit`.
    pub enforced_label_value_length_limit: Option<i64>,
    /// The highest `keep_dropped_targets`.
    pub enforced_keep_dropped_targets: Option<i64>,
    /// The highest `body_size_limit`.
    pub enforced_body_size_limit: String,
    /// `sample_limit` of jobs that set none.
    pub sample_limit: Option<i64>,
    /// `target_limit` of jobs that set none.
    pub target_limit: Option<i64>,
    /// `label_limit` of jobs that set none.
    pub label_limit: Option<i64>,
    /// `label_name_length_limit` of jobs that set none.
    pub label_name_length_limit: Option<i64>,
    /// `label_value_length_limit` of jobs that set none.
    pub label_value_length_limit: Option<i64>,
    /// `keep_dropped_targets` of jobs that set none.
    pub keep_dropped_targets: Option<i64>,
    /// `body_size_limit` of jobs that set none.
    pub body_size_limit: Option<String>,
    /// Which names are valid.
    pub name_validation_scheme: Option<String>,
    /// What names become for a target that does not know UTF-8 names.
    pub name_escaping_scheme: Option<String>,
    /// Convert classic histograms.
    #[serde(rename = "convertClassicHistogramsToNHCB")]
    pub convert_classic_histograms_to_nhcb: Option<bool>,
    /// Scrape native histograms.
    pub scrape_native_histograms: Option<bool>,
    /// Keep their classic form as well.
    pub scrape_classic_histograms: Option<bool>,
    /// Labels of pods that all targets get.
    pub pod_target_labels: Vec<String>,
    /// Where traces are sent.
    pub tracing_config: Option<Tracing>,
    /// Defaults that monitors name.
    pub scrape_classes: Vec<ScrapeClass>,
    /// `Endpoints` or `EndpointSlice`.
    pub service_discovery_role: Option<String>,
    /// Settings of the store.
    pub tsdb: Option<TsdbSpec>,
    /// Where failed scrapes are logged.
    pub scrape_failure_log_file: Option<String>,
    /// Settings of the process.
    pub runtime: Option<RuntimeSpec>,
    /// How long samples are kept.
    pub retention: String,
    /// How many bytes of them.
    pub retention_size: String,
    /// Which Alertmanagers get alerts.
    pub alerting: Option<AlertingSpec>,
    /// Where queries are logged.
    pub query_log_file: String,
    /// How many exemplars are kept.
    pub exemplars: Option<Exemplars>,
    /// From one evaluation of rules to the next.
    pub evaluation_interval: String,
    /// How far before now rules look.
    pub rule_query_offset: Option<String>,
    /// How alerting rules work.
    pub rules: RulesSpec,
}

/// How rules work.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct RulesSpec {
    /// How alerting rules work.
    pub alert: RulesAlert,
}

/// How alerting rules work; the flags `--rules.alert.*`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct RulesAlert {
    /// The longest outage after which the state of alerts is restored.
    pub for_outage_tolerance: String,
    /// A restored alert is pending for at least this long.
    pub for_grace_period: String,
    /// An alert that goes on firing is sent again after this long.
    pub resend_delay: String,
}

/// A PrometheusRule.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleReference {
    /// Its namespace.
    pub rule_namespace: String,
    /// Its name.
    pub rule_name: String,
}

/// Whether monitors may name files.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct FileAccess {
    /// They may not.
    pub deny: bool,
}

/// How targets are spread over shards.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct ShardingStrategy {
    /// `Address` or `Topology`.
    pub mode: Option<String>,
    /// The zones of the second.
    pub topology: Option<TopologySharding>,
}

impl PrometheusSpec {
    /// The zones, if each has shards of its own.
    #[must_use]
    pub fn zones(&self) -> Option<&[String]> {
        let strategy = self.sharding_strategy.as_ref()?;
        // The default is `Classic`, which knows no zones, even where some are listed.
        let topology = strategy.topology.as_ref().filter(|_| strategy.mode.as_deref() == Some("Topology"))?;
        (!topology.values.is_empty()).then_some(topology.values.as_slice())
    }
}

/// Zones, each with shards of its own.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct TopologySharding {
    /// The external label that names the zone; `zone` if it is not set, none if it is empty.
    pub external_label_name: Option<String>,
    /// The zones.
    pub values: Vec<String>,
}

/// Objects of one resource.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct ObjectReference {
    /// The API group; `monitoring.coreos.com` if it is empty.
    pub group: String,
    /// The resource, `servicemonitors` for instance.
    pub resource: String,
    /// The namespace.
    pub namespace: String,
    /// The name; all of the namespace if it is empty.
    pub name: String,
}

/// Defaults that monitors name.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ScrapeClass {
    /// Its name.
    pub name: String,
    /// Of monitors that name none.
    pub default: Option<bool>,
    /// The format of a response that names none.
    pub fallback_scrape_protocol: Option<String>,
    /// TLS.
    pub tls_config: Option<TlsConfig>,
    /// An `Authorization` header.
    pub authorization: Option<Authorization>,
    /// Rules for targets, before those of the monitor.
    pub relabelings: Vec<RelabelConfig>,
    /// Rules for series, before those of the monitor.
    pub metric_relabelings: Vec<RelabelConfig>,
    /// What is attached to targets.
    pub attach_metadata: Option<AttachMetadata>,
}

/// An API server.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiServerConfig {
    /// Its address.
    pub host: String,
    /// Basic authentication.
    pub basic_auth: Option<BasicAuth>,
    /// A bearer token; deprecated upstream.
    pub bearer_token: String,
    /// A file that holds one; deprecated upstream.
    pub bearer_token_file: String,
    /// An `Authorization` header.
    pub authorization: Option<Authorization>,
    /// TLS.
    pub tls_config: Option<TlsConfig>,
    /// Through which proxy.
    #[serde(flatten)]
    pub proxy: ProxyConfig,
}

/// Which Alertmanagers get alerts.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct AlertingSpec {
    /// Those behind these Services.
    pub alertmanagers: Vec<AlertmanagerEndpoints>,
}

/// The Alertmanagers behind one Service.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct AlertmanagerEndpoints {
    /// The namespace of the Service; that of the Prometheus object if it is not set.
    pub namespace: Option<String>,
    /// The Service.
    pub name: String,
    /// Its port.
    pub port: Port,
    /// `http` or `https`, in any letter case.
    pub scheme: Option<String>,
    /// Stands before the paths of the API.
    pub path_prefix: Option<String>,
    /// TLS.
    pub tls_config: Option<TlsConfig>,
    /// Basic authentication.
    pub basic_auth: Option<BasicAuth>,
    /// A file that holds a bearer token; deprecated upstream.
    pub bearer_token_file: String,
    /// An `Authorization` header.
    pub authorization: Option<Authorization>,
    /// AWS Signature Version 4.
    pub sigv4: Option<Sigv4>,
    /// Through which proxy.
    #[serde(flatten)]
    pub proxy: ProxyConfig,
    /// `v1` or `v2`, in any letter case.
    pub api_version: Option<String>,
    /// How long a request may take.
    pub timeout: Option<String>,
    /// Use HTTP/2.
    pub enable_http2: Option<bool>,
    /// Rules for Alertmanagers.
    pub relabelings: Vec<RelabelConfig>,
    /// Rules for the alerts that these get.
    pub alert_relabelings: Vec<RelabelConfig>,
}

/// Settings of the store.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct TsdbSpec {
    /// How late samples may be.
    pub out_of_order_time_window: Option<String>,
    /// The share of stale series from which on they are compacted.
    pub stale_series_compaction_threshold: Option<Quantity>,
    /// How samples are encoded.
    pub chunk_encoding: Option<ChunkEncoding>,
}

/// How samples are encoded.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct ChunkEncoding {
    /// Floats: `Xor` or `Xor2`.
    pub floats: Option<String>,
}

/// How many exemplars are kept.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Exemplars {
    /// So many.
    pub max_size: Option<i64>,
}

/// Settings of the process.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct RuntimeSpec {
    /// The target of Go's garbage collector.
    #[serde(rename = "goGC")]
    pub go_gc: Option<i64>,
}
