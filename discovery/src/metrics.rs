//! What discovery counts, under Prometheus' names.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::Error;

/// The counters; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) discovered_targets: IntGaugeVec,
    pub(crate) updates: IntCounterVec,
    pub(crate) file_errors: IntCounter,
}

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
        };
        registry.register(Box::new(metrics.discovered_targets.clone()))?;
        registry.register(Box::new(metrics.updates.clone()))?;
        registry.register(Box::new(metrics.file_errors.clone()))?;
        Ok(metrics)
    }
}
