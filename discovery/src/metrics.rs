//! What discovery counts, under Prometheus' names.

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::Error;

/// The counters; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) discovered_targets: IntGaugeVec,
    pub(crate) updates: IntCounterVec,
    pub(crate) file_errors: IntCounter,
    pub(crate) http_failures: IntCounter,
    pub(crate) dns_lookups: IntCounter,
    pub(crate) dns_failures: IntCounter,
    /// By mechanism, as the next one.
    pub(crate) refresh_failures: IntCounterVec,
    pub(crate) refresh_duration: HistogramVec,
    pub(crate) azure: AzureMetrics,
    pub(crate) consul: ConsulMetrics,
    pub(crate) kuma: KumaMetrics,
    pub(crate) linode_failures: IntCounter,
    pub(crate) nomad_failures: IntCounter,
}

/// What is counted of Azure.
#[derive(Clone, Debug)]
pub(crate) struct AzureMetrics {
    pub(crate) failures: IntCounter,
    pub(crate) cache_hits: IntCounter,
}

/// What is counted of Consul.
#[derive(Clone, Debug)]
pub(crate) struct ConsulMetrics {
    pub(crate) failures: IntCounter,
    pub(crate) duration: HistogramVec,
}

/// What is counted of Kuma.
#[derive(Clone, Debug)]
pub(crate) struct KumaMetrics {
    pub(crate) failures: IntCounter,
    pub(crate) skipped: IntCounter,
    pub(crate) duration: Histogram,
}

/// Upper bounds of durations in seconds, upstream's.
const DURATIONS: [f64; 11] = [0.01, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

fn register<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> Result<C, Error> {
    let metric = made?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, Error> {
    register(registry, IntCounter::new(name, help))
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn histogram(name: &str, help: &str) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(DURATIONS.to_vec())
}

impl Metrics {
    // One of each for all discoveries of a kind, as upstream has it: metrics of a restarted one would be registered twice.
    pub(crate) fn new(registry: &Registry) -> Result<Self, Error> {
        let targets = Opts::new("prometheus_sd_discovered_targets", "Current number of discovered targets.");
        let refreshes = histogram(
            "prometheus_sd_refresh_duration_histogram_seconds",
            "The duration of a refresh for the given SD mechanism.",
        );
        let count = |name: &str, help: &str| counter(registry, name, help);
        Ok(Self {
            discovered_targets: register(registry, IntGaugeVec::new(targets, &["name", "config"]))?,
            updates: counters(
                registry,
                "prometheus_sd_updates_total",
                "Total number of update events sent to the SD consumers.",
                &["name"],
            )?,
            file_errors: count("prometheus_sd_file_read_errors_total", "The number of File-SD read errors.")?,
            http_failures: count(
                "prometheus_sd_http_failures_total",
                "Number of HTTP service discovery refresh failures.",
            )?,
            dns_lookups: count("prometheus_sd_dns_lookups_total", "The number of DNS-SD lookups.")?,
            dns_failures: count("prometheus_sd_dns_lookup_failures_total", "The number of DNS-SD lookup failures.")?,
            refresh_failures: counters(
                registry,
                "prometheus_sd_refresh_failures_total",
                "Number of refresh failures for the given SD mechanism.",
                &["mechanism"],
            )?,
            refresh_duration: register(registry, HistogramVec::new(refreshes, &["mechanism"]))?,
            azure: AzureMetrics::new(registry)?,
            consul: ConsulMetrics::new(registry)?,
            kuma: KumaMetrics::new(registry)?,
            linode_failures: count(
                "prometheus_sd_linode_failures_total",
                "Number of Linode service discovery refresh failures.",
            )?,
            nomad_failures: count(
                "prometheus_sd_nomad_failures_total",
                "Number of nomad service discovery refresh failures.",
            )?,
        })
    }
}

impl AzureMetrics {
    fn new(registry: &Registry) -> Result<Self, Error> {
        Ok(Self {
            failures: counter(
                registry,
                "prometheus_sd_azure_failures_total",
                "Number of Azure service discovery refresh failures.",
            )?,
            cache_hits: counter(
                registry,
                "prometheus_sd_azure_cache_hit_total",
                "Number of cache hit during refresh.",
            )?,
        })
    }
}

impl ConsulMetrics {
    fn new(registry: &Registry) -> Result<Self, Error> {
        let duration =
            histogram("prometheus_sd_consul_rpc_duration_seconds", "The duration of a Consul RPC call in seconds.");
        Ok(Self {
            failures: counter(
                registry,
                "prometheus_sd_consul_rpc_failures_total",
                "The number of Consul RPC call failures.",
            )?,
            duration: register(registry, HistogramVec::new(duration, &["endpoint", "call"]))?,
        })
    }
}

impl KumaMetrics {
    fn new(registry: &Registry) -> Result<Self, Error> {
        let duration =
            histogram("prometheus_sd_kuma_fetch_duration_seconds", "The duration of a Kuma MADS fetch call.");
        Ok(Self {
            failures: counter(
                registry,
                "prometheus_sd_kuma_fetch_failures_total",
                "The number of Kuma MADS fetch call failures.",
            )?,
            skipped: counter(
                registry,
                "prometheus_sd_kuma_fetch_skipped_updates_total",
                "The number of Kuma MADS fetch calls that result in no updates to the targets.",
            )?,
            duration: register(registry, Histogram::with_opts(duration))?,
        })
    }
}
