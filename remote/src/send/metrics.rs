//! The metrics of sending, under upstream's names.

use std::collections::HashMap;
use std::sync::Arc;

use model::Timestamp;
use parking_lot::Mutex;
use prometheus::core::{AtomicU64, Collector, Desc, GenericCounter};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::commits::Commits;
use super::encode::Protocol;
use super::window::Counts;
use crate::registered::registered;

type Counter = GenericCounter<AtomicU64>;

const LABELS: [&str; 2] = ["remote_name", "url"];
const DROPPED: [&str; 3] = ["remote_name", "url", "reason"];
/// Why a sample was not sent: a rule dropped its series, or it was older than `sample_age_limit`.
pub(super) const BY_RULE: &str = "dropped_series";
pub(super) const TOO_OLD: &str = "too_old";
/// Version 1.0 has no form for histograms with custom buckets.
pub(super) const CUSTOM_BUCKETS: &str = "nhcb_in_rw1_not_supported";

/// One counter for each kind of what is sent.
#[derive(Debug)]
struct Kinds(IntCounterVec, IntCounterVec, IntCounterVec);

/// All of them.
#[derive(Debug)]
pub(super) struct Metrics {
    sent: Kinds,
    failed: Kinds,
    retried: Kinds,
    dropped: Kinds,
    /// Of metadata.
    metadata: [IntCounterVec; 4],
    bytes: IntCounterVec,
    enqueue_retries: IntCounterVec,
    durations: HistogramVec,
    gauges: [GaugeVec; 10],
    live: Live,
}

/// Metrics read from the commits on each scrape, since they advance while a remote is idle.
#[derive(Clone, Debug)]
struct Live {
    commits: Arc<Commits>,
    highest: Gauge,
    of_queues: GaugeVec,
    samples_in: Counter,
    /// The labels of remotes, and how many have them: one that changes is there twice for a moment.
    used: Arc<Mutex<HashMap<[String; 2], usize>>>,
}

/// The counters of one remote.
#[derive(Debug)]
pub(super) struct KindCounters(Counter, Counter, Counter);

/// The counters of metadata that one remote is sent.
#[derive(Debug)]
pub(super) struct MetadataCounters {
    pub(super) sent: Counter,
    pub(super) failed: Counter,
    pub(super) retried: Counter,
    pub(super) bytes: Counter,
}

/// The metrics of one remote; they end with the last that is held.
#[derive(Debug)]
pub(super) struct RemoteMetrics {
    pub(super) sent: KindCounters,
    pub(super) failed: KindCounters,
    pub(super) retried: KindCounters,
    pub(super) by_rule: KindCounters,
    pub(super) too_old: KindCounters,
    pub(super) custom_buckets: KindCounters,
    /// Of version 1.0 alone.
    pub(super) metadata: Option<MetadataCounters>,
    pub(super) bytes: Counter,
    pub(super) durations: Histogram,
    pub(super) highest_sent: Gauge,
    pub(super) pending: [Gauge; 3],
    pub(super) shards: Gauge,
    pub(super) shards_desired: Gauge,
    all: Arc<Metrics>,
    labels: [String; 2],
}

impl Kinds {
    fn registered(registry: &Registry, kinds: NamesAndHelps, labels: &[&str]) -> Result<Self, prometheus::Error> {
        let counters = |(name, help)| registered(registry, IntCounterVec::new(Opts::new(name, help), labels)?);
        let [samples, histograms, exemplars] = kinds;
        Ok(Self(counters(samples)?, counters(histograms)?, counters(exemplars)?))
    }

    fn of(&self, labels: &[&str]) -> KindCounters {
        KindCounters(
            self.0.with_label_values(labels),
            self.1.with_label_values(labels),
            self.2.with_label_values(labels),
        )
    }

    fn forget(&self, labels: &[&str]) {
        for one in [&self.0, &self.1, &self.2] {
            let _ = one.remove_label_values(labels);
        }
    }
}

impl KindCounters {
    pub(super) fn add(&self, counts: Counts) {
        self.0.inc_by(counts.samples);
        self.1.inc_by(counts.histograms);
        self.2.inc_by(counts.exemplars);
    }
}

impl Metrics {
    pub(super) fn new(registry: &Registry, commits: &Arc<Commits>) -> Result<Arc<Self>, prometheus::Error> {
        let counters =
            |name: &str, help: &str| registered(registry, IntCounterVec::new(Opts::new(name, help), &LABELS)?);
        let durations = |name: &str, help: &str| {
            let mut buckets = prometheus::DEFAULT_BUCKETS.to_vec();
            buckets.extend([25.0, 60.0, 120.0, 300.0]);
            registered(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), &LABELS)?)
        };
        let live = Live::new(commits)?;
        registry.register(Box::new(live.clone()))?;
        Ok(Arc::new(Self {
            sent: Kinds::registered(registry, SENT, &LABELS)?,
            failed: Kinds::registered(registry, FAILED, &LABELS)?,
            retried: Kinds::registered(registry, RETRIED, &LABELS)?,
            dropped: Kinds::registered(registry, NOT_SENT, &DROPPED)?,
            metadata: [
                counters("prometheus_remote_storage_metadata_total", "Metric families whose metadata was sent.")?,
                counters(
                    "prometheus_remote_storage_metadata_failed_total",
                    "Metric families whose metadata the receiver refused.",
                )?,
                counters(
                    "prometheus_remote_storage_metadata_retried_total",
                    "Metric families whose metadata is sent again after a failure.",
                )?,
                counters(
                    "prometheus_remote_storage_metadata_bytes_total",
                    "Bytes of metadata that were sent, compressed.",
                )?,
            ],
            bytes: counters("prometheus_remote_storage_bytes_total", "Bytes of samples that were sent, compressed.")?,
            enqueue_retries: counters(
                "prometheus_remote_storage_enqueue_retries_total",
                "Always 0: samples wait in the store, which is never full.",
            )?,
            durations: durations(
                "prometheus_remote_storage_sent_batch_duration_seconds",
                "How long requests took, as a histogram.",
            )?,
            gauges: gauges(registry)?,
            live,
        }))
    }

    /// The metrics of a remote, at 0 if it is new.
    pub(super) fn of(
        self: &Arc<Self>,
        (name, url): (&str, &str),
        protocol: Protocol,
        queue: &config::QueueConfig,
    ) -> RemoteMetrics {
        let labels = [name.to_owned(), url.to_owned()];
        *self.live.used.lock().entry(labels.clone()).or_default() += 1;
        let label = [name, url];
        let counter = |vec: &IntCounterVec| vec.with_label_values(&label);
        let gauge = |i: usize| self.gauges[i].with_label_values(&label);
        for (i, value) in
            [(5, queue.max_shards), (6, queue.min_shards), (8, queue.capacity), (9, queue.max_samples_per_send)]
        {
            gauge(i).set(value as f64);
        }
        counter(&self.enqueue_retries);
        self.live.of_queues.with_label_values(&label);
        let metadata = (protocol == Protocol::V1).then(|| {
            let [sent, failed, retried, bytes] = self.metadata.each_ref().map(counter);
            MetadataCounters { sent, failed, retried, bytes }
        });
        RemoteMetrics {
            sent: self.sent.of(&label),
            failed: self.failed.of(&label),
            retried: self.retried.of(&label),
            by_rule: self.dropped.of(&[name, url, BY_RULE]),
            too_old: self.dropped.of(&[name, url, TOO_OLD]),
            custom_buckets: self.dropped.of(&[name, url, CUSTOM_BUCKETS]),
            metadata,
            bytes: counter(&self.bytes),
            durations: self.durations.with_label_values(&label),
            highest_sent: gauge(0),
            pending: [gauge(1), gauge(2), gauge(3)],
            shards: gauge(4),
            shards_desired: gauge(7),
            all: Arc::clone(self),
            labels,
        }
    }

    /// Removes the metrics of a remote that is gone: alerts would look at them for ever.
    fn forget(&self, labels: &[&str]) {
        for kinds in [&self.sent, &self.failed, &self.retried] {
            kinds.forget(labels);
        }
        for reason in [BY_RULE, TOO_OLD, CUSTOM_BUCKETS] {
            self.dropped.forget(&[labels[0], labels[1], reason]);
        }
        for vec in self.metadata.iter().chain([&self.bytes, &self.enqueue_retries]) {
            let _ = vec.remove_label_values(labels);
        }
        let _ = self.durations.remove_label_values(labels);
        for vec in self.gauges.iter().chain([&self.live.of_queues]) {
            let _ = vec.remove_label_values(labels);
        }
    }
}

/// Names and helps of the counters of samples, native histograms and exemplars.
type NamesAndHelps = [(&'static str, &'static str); 3];

const SENT: NamesAndHelps = [
    ("prometheus_remote_storage_samples_total", "Samples that were sent, those of requests that failed among them."),
    ("prometheus_remote_storage_histograms_total", "Native histograms that were sent."),
    ("prometheus_remote_storage_exemplars_total", "Exemplars that were sent."),
];
const FAILED: NamesAndHelps = [
    ("prometheus_remote_storage_samples_failed_total", "Samples that the receiver refused; they are not sent again."),
    ("prometheus_remote_storage_histograms_failed_total", "Native histograms that the receiver refused."),
    ("prometheus_remote_storage_exemplars_failed_total", "Exemplars that the receiver refused."),
];
const RETRIED: NamesAndHelps = [
    ("prometheus_remote_storage_samples_retried_total", "Samples that are sent again after a failure."),
    ("prometheus_remote_storage_histograms_retried_total", "Native histograms that are sent again after a failure."),
    ("prometheus_remote_storage_exemplars_retried_total", "Exemplars that are sent again after a failure."),
];
const NOT_SENT: NamesAndHelps = [
    (
        "prometheus_remote_storage_samples_dropped_total",
        "Samples that are not sent, by reason: a rule drops their series, or they are too old.",
    ),
    ("prometheus_remote_storage_histograms_dropped_total", "Native histograms that are not sent, by reason."),
    ("prometheus_remote_storage_exemplars_dropped_total", "Exemplars that are not sent, by reason."),
];

fn gauges(registry: &Registry) -> Result<[GaugeVec; 10], prometheus::Error> {
    let gauges = |name: &str, help: &str| registered(registry, GaugeVec::new(Opts::new(name, help), &LABELS)?);
    Ok([
        gauges(
            "prometheus_remote_storage_queue_highest_sent_timestamp_seconds",
            "The newest time of a sample that the receiver has taken.",
        )?,
        gauges(
            "prometheus_remote_storage_samples_pending",
            "Samples that were read from the store and are not yet acknowledged.",
        )?,
        gauges(
            "prometheus_remote_storage_histograms_pending",
            "Native histograms that were read and are not yet acknowledged.",
        )?,
        gauges(
            "prometheus_remote_storage_exemplars_pending",
            "Exemplars that were read and are not yet acknowledged.",
        )?,
        gauges("prometheus_remote_storage_shards", "How many requests are made at once.")?,
        gauges("prometheus_remote_storage_shards_max", "How many requests may be made at once.")?,
        gauges("prometheus_remote_storage_shards_min", "How many requests may be made at once at least.")?,
        gauges(
            "prometheus_remote_storage_shards_desired",
            "How many requests at once would keep up with what is stored.",
        )?,
        gauges("prometheus_remote_storage_shard_capacity", "The configured capacity of a shard.")?,
        gauges("prometheus_remote_storage_max_samples_per_send", "The most samples of one request.")?,
    ])
}

impl Live {
    fn new(commits: &Arc<Commits>) -> Result<Self, prometheus::Error> {
        let of_queues = Opts::new(
            "prometheus_remote_storage_queue_highest_timestamp_seconds",
            "The newest time of a sample that is to be sent.",
        );
        Ok(Self {
            commits: Arc::clone(commits),
            highest: Gauge::new(
                "prometheus_remote_storage_highest_timestamp_in_seconds",
                "The newest time of a sample that was stored while anything is sent.",
            )?,
            of_queues: GaugeVec::new(of_queues, &LABELS)?,
            samples_in: Counter::new(
                "prometheus_remote_storage_samples_in_total",
                "Samples that were stored while anything is sent.",
            )?,
            used: Arc::default(),
        })
    }
}

impl Collector for Live {
    fn desc(&self) -> Vec<&Desc> {
        [self.highest.desc(), self.of_queues.desc(), self.samples_in.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // What is ahead of the clock is not due, and must not look as if it were pending.
        let highest = self.commits.highest().map_or(0.0, |ts| ts.min(Timestamp::now()).as_seconds());
        self.highest.set(highest);
        for labels in self.used.lock().keys() {
            self.of_queues.with_label_values(labels).set(highest);
        }
        self.samples_in.inc_by(self.commits.samples().saturating_sub(self.samples_in.get()));
        [self.highest.collect(), self.of_queues.collect(), self.samples_in.collect()].concat()
    }
}

impl RemoteMetrics {
    /// What of a window is not acknowledged yet.
    pub(super) fn set_pending(&self, counts: Counts) {
        let [samples, histograms, exemplars] = &self.pending;
        samples.set(counts.samples as f64);
        histograms.set(counts.histograms as f64);
        exemplars.set(counts.exemplars as f64);
    }
}

impl Drop for RemoteMetrics {
    fn drop(&mut self) {
        let mut used = self.all.live.used.lock();
        let Some(count) = used.get_mut(&self.labels) else { return };
        *count -= 1;
        if *count == 0 {
            used.remove(&self.labels);
            self.all.forget(&self.labels.each_ref().map(String::as_str));
        }
    }
}
