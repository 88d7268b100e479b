//! What is counted of requests of remote write, under upstream's names.

use prometheus::{IntCounter, Registry};

use crate::registered::registered;

#[derive(Clone, Debug)]
pub(super) struct Metrics {
    pub(super) invalid_labels: IntCounter,
    pub(super) without_metadata: IntCounter,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| registered(registry, IntCounter::new(name, help)?);
        Ok(Self {
            invalid_labels: counter(
                "prometheus_api_remote_write_invalid_labels_samples_total",
                "Samples that came by remote write and were left out, as their labels are not valid.",
            )?,
            without_metadata: counter(
                "prometheus_api_remote_write_without_metadata_appended_samples_total",
                "Samples that came by remote write 2.0 and say neither type nor unit nor help.",
            )?,
        })
    }
}
