//! What discovery counts, under Prometheus' names.

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

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
}

/// Upper bounds of durations in seconds, upstream's.
const DURATIONS: [f64; 11] = [0.01, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, Error> {
        let gauges = |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
        let counters = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let metrics = Self {
            discovered_targets: gauges(
                "prometheus_sd_discovered_targets",
                "Current number of discovered targets.",
                &["name", "config"],
            )?,
            updates: counters(
                "prometheus_sd_updates_total",
                "Total number of update events sent to the SD consumers.",
                &["name"],
            )?,
            // One for all file discoveries, as upstream has it: metrics of a restarted one would be registered twice.
            file_errors: IntCounter::new("prometheus_sd_file_read_errors_total", "The number of File-SD read errors.")?,
            http_failures: IntCounter::new(
                "prometheus_sd_http_failures_total",
                "Number of HTTP service discovery refresh failures.",
            )?,
            dns_lookups: IntCounter::new("prometheus_sd_dns_lookups_total", "The number of DNS-SD lookups.")?,
            dns_failures: IntCounter::new(
                "prometheus_sd_dns_lookup_failures_total",
                "The number of DNS-SD lookup failures.",
            )?,
            refresh_failures: counters(
                "prometheus_sd_refresh_failures_total",
                "Number of refresh failures for the given SD mechanism.",
                &["mechanism"],
            )?,
            refresh_duration: HistogramVec::new(
                HistogramOpts::new(
                    "prometheus_sd_refresh_duration_histogram_seconds",
                    "The duration of a refresh for the given SD mechanism.",
                )
                .buckets(DURATIONS.to_vec()),
                &["mechanism"],
            )?,
        };
        registry.register(Box::new(metrics.discovered_targets.clone()))?;
        registry.register(Box::new(metrics.updates.clone()))?;
        registry.register(Box::new(metrics.file_errors.clone()))?;
        registry.register(Box::new(metrics.http_failures.clone()))?;
        registry.register(Box::new(metrics.dns_lookups.clone()))?;
        registry.register(Box::new(metrics.dns_failures.clone()))?;
        registry.register(Box::new(metrics.refresh_failures.clone()))?;
        registry.register(Box::new(metrics.refresh_duration.clone()))?;
        Ok(metrics)
    }
}
