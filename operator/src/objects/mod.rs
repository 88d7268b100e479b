//! The objects of `monitoring.coreos.com`, as the API server serves them; only the fields that something here reads.
//!
//! Field names are those of the API. What the schema of a kind does not allow, the API server has removed already.

mod auth;
mod common;
mod monitors;
mod prometheus;
mod remote;
mod rules;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use auth::{
    Authorization, BasicAuth, HttpConfig, KeySelector, OAuth2, ProxyConfig, SecretOrConfigMap, Sigv4, TlsConfig,
};
pub use common::{
    AttachMetadata, JobLimits, LabelSelector, NamespaceSelector, NativeHistograms, Port, Quantity, RelabelConfig,
    Requirement,
};
pub use monitors::{
    Endpoint, EndpointScrape, PodMetricsEndpoint, PodMonitor, PodMonitorSpec, Probe, ProbeIngress, ProbeParam,
    ProbeSpec, ProbeStaticConfig, ProbeTargets, Prober, ScrapeConfig, ScrapeConfigSpec, ServiceMonitor,
    ServiceMonitorSpec,
};
pub use prometheus::{
    AlertingSpec, AlertmanagerEndpoints, ApiServerConfig, Exemplars, ObjectReference, Prometheus, PrometheusSpec,
    RuleReference, RulesAlert, RulesSpec, RuntimeSpec, ScrapeClass, ShardingStrategy, TopologySharding, TsdbSpec,
};
pub use remote::{AzureAd, AzureClient, MetadataConfig, Otlp, QueueConfig, RemoteRead, RemoteWrite, Tracing};
pub use rules::{PrometheusRule, PrometheusRuleSpec};

/// The API group of all of them.
pub(crate) const GROUP: &str = "monitoring.coreos.com";

/// An object: its metadata and what it asks for.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Object<S> {
    /// Who it is.
    pub metadata: Meta,
    /// What it asks for.
    pub spec: S,
}

impl<S: DeserializeOwned + Default> Object<S> {
    /// Reads an object. As in Go, `null` is the same as a field that is missing.
    ///
    /// # Errors
    /// When a field has another type than the schema of the kind says.
    pub fn from_json(mut value: Value) -> Result<Self, serde_json::Error> {
        remove_nulls(&mut value);
        serde_json::from_value(value)
    }
}

/// Removes fields that are `null`, at every depth.
pub(crate) fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(pairs) => {
            pairs.retain(|_, value| !value.is_null());
            pairs.values_mut().for_each(remove_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

/// The metadata of an object.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Labels, by which a Prometheus object selects it.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Counts the changes of the spec.
    pub generation: i64,
    /// Differs between two objects of one name, one after the other.
    pub uid: String,
}

/// The kinds of objects that jobs and rule groups are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Pods behind Services.
    ServiceMonitor,
    /// Pods.
    PodMonitor,
    /// Addresses that an exporter probes.
    Probe,
    /// Anything that `scrape_configs` can say.
    ScrapeConfig,
    /// Recording and alerting rules.
    PrometheusRule,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::ServiceMonitor, Self::PodMonitor, Self::Probe, Self::ScrapeConfig, Self::PrometheusRule];

    /// The kind, as objects spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServiceMonitor => "ServiceMonitor",
            Self::PodMonitor => "PodMonitor",
            Self::Probe => "Probe",
            Self::ScrapeConfig => "ScrapeConfig",
            Self::PrometheusRule => "PrometheusRule",
        }
    }

    /// The version of its API.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::ServiceMonitor | Self::PodMonitor | Self::Probe | Self::PrometheusRule => "v1",
            Self::ScrapeConfig => "v1alpha1",
        }
    }

    /// The group and version of its API, as objects spell it.
    #[must_use]
    pub fn api_version(self) -> String {
        format!("{GROUP}/{}", self.version())
    }

    /// The resource, as paths of the API server and `excludedFromEnforcement` spell it.
    #[must_use]
    pub const fn resource(self) -> &'static str {
        match self {
            Self::ServiceMonitor => "servicemonitors",
            Self::PodMonitor => "podmonitors",
            Self::Probe => "probes",
            Self::ScrapeConfig => "scrapeconfigs",
            Self::PrometheusRule => "prometheusrules",
        }
    }
}

/// The name of an object: `ServiceMonitor monitoring/web`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectRef {
    /// The name of an object of this kind.
    #[must_use]
    pub fn new(kind: Kind, meta: &Meta) -> Self {
        Self { kind, namespace: meta.namespace.clone(), name: meta.name.clone() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}
