//! Servers that a Prometheus object names: samples go there, queries ask there, traces and metrics of OpenTelemetry.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::auth::{Authorization, BasicAuth, KeySelector, OAuth2, ProxyConfig, Sigv4, TlsConfig};
use super::common::{Quantity, RelabelConfig};

/// A server that samples are sent to.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct RemoteWrite {
    /// Its address.
    pub url: String,
    /// Its name in metrics.
    pub name: Option<String>,
    /// `V1.0` or `V2.0`.
    pub message_version: Option<String>,
    /// Send exemplars.
    pub send_exemplars: Option<bool>,
    /// Send native histograms.
    pub send_native_histograms: Option<bool>,
    /// How long a request may take.
    pub remote_timeout: Option<String>,
    /// Headers of requests.
    pub headers: BTreeMap<String, String>,
    /// Rules for series.
    pub write_relabel_configs: Vec<RelabelConfig>,
    /// A token of an OAuth 2.0 server.
    pub oauth2: Option<OAuth2>,
    /// Basic authentication.
    pub basic_auth: Option<BasicAuth>,
    /// A bearer token; deprecated upstream.
    pub bearer_token: String,
    /// A file that holds one; deprecated upstream.
    pub bearer_token_file: String,
    /// An `Authorization` header.
    pub authorization: Option<Authorization>,
    /// AWS Signature Version 4.
    pub sigv4: Option<Sigv4>,
    /// Microsoft Entra.
    pub azure_ad: Option<AzureAd>,
    /// TLS.
    pub tls_config: Option<TlsConfig>,
    /// Through which proxy.
    #[serde(flatten)]
    pub proxy: ProxyConfig,
    /// Follow redirects.
    pub follow_redirects: Option<bool>,
    /// The queue.
    pub queue_config: Option<QueueConfig>,
    /// Metadata.
    pub metadata_config: Option<MetadataConfig>,
    /// Use HTTP/2.
    #[serde(rename = "enableHTTP2")]
    pub enable_http2: Option<bool>,
    /// Use all addresses of the host in turn.
    #[serde(rename = "roundRobinDNS")]
    pub round_robin_dns: Option<bool>,
}

/// Microsoft Entra; one of the ways is set.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct AzureAd {
    /// The cloud.
    pub cloud: Option<String>,
    /// By managed identity.
    pub managed_identity: Option<AzureClient>,
    /// By OAuth 2.0.
    pub oauth: Option<AzureClient>,
    /// By the SDK.
    pub sdk: Option<AzureClient>,
    /// By workload identity.
    pub workload_identity: Option<AzureClient>,
    /// The scope of the token.
    pub scope: Option<String>,
}

/// A client of Microsoft Entra.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct AzureClient {
    /// The client.
    pub client_id: Option<String>,
    /// Its secret.
    pub client_secret: KeySelector,
    /// The tenant.
    pub tenant_id: Option<String>,
}

/// The queue of a server that samples are sent to. Zero is not set.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueConfig {
    /// Samples that one shard holds.
    pub capacity: i64,
    /// The fewest shards.
    pub min_shards: i64,
    /// The most shards.
    pub max_shards: i64,
    /// Samples of one request.
    pub max_samples_per_send: i64,
    /// How long a sample waits for others.
    pub batch_send_deadline: Option<String>,
    /// The first pause before a retry.
    pub min_backoff: Option<String>,
    /// The longest one.
    pub max_backoff: Option<String>,
    /// Retry when the server says 429.
    pub retry_on_rate_limit: bool,
    /// Older samples are not sent.
    pub sample_age_limit: Option<String>,
}

/// Metadata that is sent along.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct MetadataConfig {
    /// Send it.
    pub send: bool,
    /// From one time to the next.
    pub send_interval: String,
    /// Entries of one request.
    pub max_samples_per_send: Option<i64>,
}

/// A server that queries ask.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct RemoteRead {
    /// Its address.
    pub url: String,
    /// Its name in metrics.
    pub name: String,
    /// Matchers that a query must have.
    pub required_matchers: BTreeMap<String, String>,
    /// How long a request may take.
    pub remote_timeout: Option<String>,
    /// Headers of requests.
    pub headers: BTreeMap<String, String>,
    /// Ask it for times that are stored here, too.
    pub read_recent: bool,
    /// A token of an OAuth 2.0 server.
    pub oauth2: Option<OAuth2>,
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
    /// Follow redirects.
    pub follow_redirects: Option<bool>,
    /// Ask for series with the external labels only.
    pub filter_external_labels: Option<bool>,
}

/// How metrics of OpenTelemetry become series.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Otlp {
    /// All attributes of the resource become labels.
    pub promote_all_resource_attributes: Option<bool>,
    /// But not these.
    pub ignore_resource_attributes: Vec<String>,
    /// These become labels.
    pub promote_resource_attributes: Vec<String>,
    /// How names are translated.
    pub translation_strategy: Option<String>,
    /// Keep the attributes that identify the resource.
    pub keep_identifying_resource_attributes: Option<bool>,
    /// Convert histograms to native ones with custom buckets.
    #[serde(rename = "convertHistogramsToNHCB")]
    pub convert_histograms_to_nhcb: Option<bool>,
    /// Metadata of the scope becomes labels.
    pub promote_scope_metadata: Option<bool>,
    /// Put `key_` before label names that begin with an underscore.
    pub label_name_underscore_sanitization: Option<bool>,
    /// Keep underscores that follow one another.
    pub label_name_preserve_multiple_underscores: Option<bool>,
}

/// Where traces are sent.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Tracing {
    /// `http` or `grpc`, in any letter case.
    pub client_type: Option<String>,
    /// The address.
    pub endpoint: String,
    /// The share of requests that is traced.
    pub sampling_fraction: Option<Quantity>,
    /// Without TLS.
    pub insecure: Option<bool>,
    /// Headers of requests.
    pub headers: BTreeMap<String, String>,
    /// `gzip`, in any letter case.
    pub compression: Option<String>,
    /// How long a request may take.
    pub timeout: Option<String>,
    /// TLS.
    pub tls_config: Option<TlsConfig>,
}
