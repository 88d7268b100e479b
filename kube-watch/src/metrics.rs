//! What is counted, under Prometheus' names.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use crate::Error;

/// The counters; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) events: IntCounterVec,
    pub(crate) failures: IntCounter,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, Error> {
        let events = Opts::new("prometheus_sd_kubernetes_events_total", "The number of Kubernetes events handled.");
        let metrics = Self {
            events: IntCounterVec::new(events, &["role", "event"])?,
            failures: IntCounter::new(
                "prometheus_sd_kubernetes_failures_total",
                "The number of failed WATCH/LIST requests.",
            )?,
        };
        registry.register(Box::new(metrics.events.clone()))?;
        registry.register(Box::new(metrics.failures.clone()))?;
        Ok(metrics)
    }
}
