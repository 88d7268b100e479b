//! What the scrape engine counts about itself, under upstream's names.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntGaugeVec, Opts, Registry};

/// The engine's own metrics.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) exceeded_sample_limit: IntCounter,
    pub(crate) exceeded_body_size_limit: IntCounter,
    pub(crate) exceeded_target_limit: IntCounter,
    pub(crate) duplicate: IntCounter,
    pub(crate) out_of_order: IntCounter,
    pub(crate) out_of_bounds: IntCounter,
    pub(crate) native_histograms: IntCounter,
    pub(crate) store_failures: IntCounter,
    pub(crate) pool_targets: IntGaugeVec,
    pub(crate) duration: Histogram,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let pool_targets = IntGaugeVec::new(
            Opts::new("prometheus_target_scrape_pool_targets", "Targets that a scrape pool scrapes now."),
            &["scrape_job"],
        )?;
        registry.register(Box::new(pool_targets.clone()))?;
        let duration = Histogram::with_opts(
            HistogramOpts::new("weft_scrape_duration_seconds", "How long scrapes took, request to commit.")
                .buckets(vec![0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0]),
        )?;
        registry.register(Box::new(duration.clone()))?;
        let rejected = "Samples left out because";
        Ok(Self {
            exceeded_sample_limit: counter(
                "prometheus_target_scrapes_exceeded_sample_limit_total",
                "Scrapes that had more samples than sample_limit.",
            )?,
            exceeded_body_size_limit: counter(
                "prometheus_target_scrapes_exceeded_body_size_limit_total",
                "Scrapes that had a larger body than allowed.",
            )?,
            exceeded_target_limit: counter(
                "prometheus_target_scrape_pool_exceeded_target_limit_total",
                "Times a scrape pool had more targets than target_limit.",
            )?,
            duplicate: counter(
                "prometheus_target_scrapes_sample_duplicate_timestamp_total",
                &format!("{rejected} their series already had one at that time."),
            )?,
            out_of_order: counter(
                "prometheus_target_scrapes_sample_out_of_order_total",
                &format!("{rejected} their series already had a later one."),
            )?,
            out_of_bounds: counter(
                "prometheus_target_scrapes_sample_out_of_bounds_total",
                &format!("{rejected} their time is too far ahead or before the retention."),
            )?,
            native_histograms: counter(
                "weft_scrape_native_histograms_left_out_total",
                "Native histograms exposed by targets whose buckets were left out: only their classic series are stored.",
            )?,
            store_failures: counter(
                "weft_scrapes_not_stored_total",
                "Scrapes lost because the store could not write.",
            )?,
            pool_targets,
            duration,
        })
    }
}
