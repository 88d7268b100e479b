//! The metrics of the scrape engine, under upstream's names.

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

const JOB: &str = "scrape_job";

/// The engine's own metrics.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) exceeded_sample_limit: IntCounter,
    pub(crate) exceeded_body_size_limit: IntCounter,
    pub(crate) exceeded_target_limit: IntCounter,
    pub(crate) duplicate: IntCounter,
    pub(crate) out_of_order: IntCounter,
    pub(crate) out_of_bounds: IntCounter,
    pub(crate) late_exemplars: IntCounter,
    pub(crate) native_histograms: IntCounter,
    pub(crate) store_failures: IntCounter,
    pub(crate) exceeded_label_limits: IntCounter,
    pub(crate) exceeded_bucket_limit: IntCounter,
    pub(crate) over_limit: IntCounter,
    pub(crate) evicted: IntCounter,
    /// By reason.
    pub(crate) lost: IntCounterVec,
    pub(crate) pools: PoolMetrics,
    /// By interval, written as a duration.
    pub(crate) interval_length: HistogramVec,
    pub(crate) duration: Histogram,
}

/// The metrics of the scrape pools, by job.
#[derive(Clone, Debug)]
pub(crate) struct PoolMetrics {
    pub(crate) targets: IntGaugeVec,
    pub(crate) target_limit: IntGaugeVec,
    pub(crate) syncs: IntCounterVec,
    pub(crate) sync_failures: IntCounterVec,
    pub(crate) sync_length: HistogramVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| added(registry, IntCounter::new(name, help)?);
        let duration = HistogramOpts::new("weft_scrape_duration_seconds", "How long scrapes took, request to commit.")
            // Scrape timeouts are 10 s by default, so the last bound is where most scrapes are cut off.
            .buckets(vec![0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0]);
        // The `prometheus_` names below are upstream's, so dashboards and alerts for Prometheus work unchanged.
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
            late_exemplars: counter(
                "prometheus_target_scrapes_exemplar_out_of_order_total",
                "Exemplars left out because all that came with their sample are earlier than what their series has.",
            )?,
            native_histograms: counter(
                "weft_scrape_native_histograms_left_out_total",
                "Native histograms exposed by targets whose buckets were left out: only their classic series are stored.",
            )?,
            store_failures: counter(
                "weft_scrapes_not_stored_total",
                "Scrapes lost because the store could not write.",
            )?,
            exceeded_label_limits: counter(
                "prometheus_target_scrape_pool_exceeded_label_limits_total",
                "Scrapes that had a series with more or longer labels than the label limits allow.",
            )?,
            exceeded_bucket_limit: counter(
                "prometheus_target_scrapes_exceeded_native_histogram_bucket_limit_total",
                "Scrapes that had a native histogram with more buckets than the limit at any resolution.",
            )?,
            over_limit: counter(
                "weft_scrape_samples_over_limit_total",
                "Samples of new series that sample_limit with limit_mode soft, or series_limit, left out.",
            )?,
            evicted: counter(
                "weft_scrapes_ended_for_memory_total",
                "Scrapes ended because the bodies of all targets needed more memory than they may have together.",
            )?,
            lost: lost(registry)?,
            pools: PoolMetrics::new(registry)?,
            interval_length: lengths(
                registry,
                ("prometheus_target_interval_length_seconds", "interval"),
                "From one scrape of a target to the next.",
                &[1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0],
            )?,
            duration: added(registry, Histogram::with_opts(duration)?)?,
        })
    }
}

fn lost(registry: &Registry) -> Result<IntCounterVec, prometheus::Error> {
    let lost = Opts::new(
        "weft_targets_lost_total",
        "Targets that were scraped and are not any more, by reason; /api/v1/explain names them.",
    );
    added(registry, IntCounterVec::new(lost, &["reason"])?)
}

impl PoolMetrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges = |name, help: &str| added(registry, IntGaugeVec::new(Opts::new(name, help), &[JOB])?);
        let counters = |name, help: &str| added(registry, IntCounterVec::new(Opts::new(name, help), &[JOB])?);
        Ok(Self {
            targets: gauges("prometheus_target_scrape_pool_targets", "Targets that a scrape pool scrapes now.")?,
            target_limit: gauges(
                "prometheus_target_scrape_pool_target_limit",
                "Most targets that a scrape pool may have; 0: any number.",
            )?,
            syncs: counters(
                "prometheus_target_scrape_pool_sync_total",
                "Times a scrape pool took what discovery knows.",
            )?,
            sync_failures: counters(
                "prometheus_target_sync_failed_total",
                "Targets that could not be made of what discovery knows.",
            )?,
            sync_length: lengths(
                registry,
                ("prometheus_target_sync_length_seconds", JOB),
                "How long a scrape pool took to take what discovery knows.",
                &[0.001, 0.01, 0.1, 1.0],
            )?,
        })
    }

    /// Removes the metrics of a job that is gone.
    pub(crate) fn forget(&self, job: &str) {
        // What was never counted is not there.
        for gauges in [&self.targets, &self.target_limit] {
            let _ = gauges.remove_label_values(&[job]);
        }
        for counters in [&self.syncs, &self.sync_failures] {
            let _ = counters.remove_label_values(&[job]);
        }
        let _ = self.sync_length.remove_label_values(&[job]);
    }
}

/// A histogram by one label. Upstream has summaries here; dashboards read their sums and counts, which a histogram has, too.
fn lengths(
    registry: &Registry,
    (name, label): (&str, &str),
    help: &str,
    buckets: &[f64],
) -> Result<HistogramVec, prometheus::Error> {
    added(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), &[label])?)
}

/// Registers a collector and returns it.
fn added<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
