//! What the store counts about itself. Upstream's names where upstream counts the same thing.

use prometheus::core::Collector;
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The metrics of one database.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    samples_appended: IntCounterVec,
    out_of_order: IntCounterVec,
    out_of_bound: IntCounterVec,
    pub(crate) duplicates: IntCounter,
    pub(crate) late_samples: IntCounter,
    pub(crate) head_series: IntGauge,
    pub(crate) corrupt_values: IntCounter,
    pub(crate) quarantined_files: IntCounter,
    pub(crate) reopened: IntCounter,
    pub(crate) sealed_samples: IntCounter,
    pub(crate) seal_failures: IntCounter,
    pub(crate) sync_failures: IntCounter,
    /// `weft_storage_sst_bytes{family}`.
    pub(crate) sst_bytes: IntGaugeVec,
    pub(crate) buckets_dropped: IntCounterVec,
    pub(crate) storage_bytes: IntGauge,
    pub(crate) lowest_seconds: Gauge,
    pub(crate) highest_seconds: Gauge,
    pub(crate) retention_seconds: Gauge,
    /// `weft_rocksdb_bytes{part}`.
    pub(crate) rocksdb_bytes: IntGaugeVec,
    pub(crate) exemplars: ExemplarMetrics,
}

/// What became of exemplars.
#[derive(Clone, Debug)]
pub(crate) struct ExemplarMetrics {
    pub(crate) kept: IntCounter,
    pub(crate) out_of_order: IntCounter,
    pub(crate) too_long: IntCounter,
}

/// `type` of the sample counters: the only kind stored so far.
const FLOAT: &[&str] = &["float"];

fn corrupt_values() -> Result<IntCounter, prometheus::Error> {
    IntCounter::new(
        "weft_storage_corrupt_values_total",
        "Total number of stored values that were skipped because they are corrupt.",
    )
}

fn quarantined_files() -> Result<IntCounter, prometheus::Error> {
    IntCounter::new("weft_storage_quarantined_files_total", "Total number of damaged files that were set aside.")
}

fn reopened() -> Result<IntCounter, prometheus::Error> {
    IntCounter::new(
        "weft_storage_reopened_total",
        "Total number of times that the data directory was opened again because something in it was damaged.",
    )
}

impl ExemplarMetrics {
    fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            kept: IntCounter::new(
                "prometheus_tsdb_exemplar_exemplars_appended_total",
                "Total number of exemplars stored.",
            )?,
            out_of_order: IntCounter::new(
                "prometheus_tsdb_exemplar_out_of_order_exemplars_total",
                "Total number of exemplars refused because their series has a later one, where all of the series were.",
            )?,
            too_long: IntCounter::new(
                "weft_storage_too_long_exemplars_total",
                "Total number of exemplars refused because their labels are longer than 128 characters.",
            )?,
        })
    }
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let by_type = |name: &str, help: &str| IntCounterVec::new(Opts::new(name, help), &["type"]);
        let metrics = Self {
            samples_appended: by_type("prometheus_tsdb_head_samples_appended_total", "Number of appended samples.")?,
            out_of_order: by_type(
                "prometheus_tsdb_out_of_order_samples_total",
                "Total number of samples refused because their series has a later one.",
            )?,
            out_of_bound: by_type(
                "prometheus_tsdb_out_of_bound_samples_total",
                "Total number of samples refused because they are older than what may still be written.",
            )?,
            late_samples: IntCounter::new(
                "prometheus_tsdb_head_out_of_order_samples_appended_total",
                "Total number of samples stored although their series had a later one.",
            )?,
            duplicates: IntCounter::new(
                "weft_storage_duplicate_samples_total",
                "Total number of samples refused because their series has another value at that time.",
            )?,
            head_series: IntGauge::new("prometheus_tsdb_head_series", "Series in the latest rows of active sources.")?,
            corrupt_values: corrupt_values()?,
            quarantined_files: quarantined_files()?,
            reopened: reopened()?,
            sealed_samples: IntCounter::new(
                "weft_storage_sealed_samples_total",
                "Total number of samples that went from rows into pages.",
            )?,
            seal_failures: IntCounter::new(
                "weft_storage_seal_failures_total",
                "Total number of rounds of flushing and compaction that failed.",
            )?,
            sst_bytes: IntGaugeVec::new(
                Opts::new("weft_storage_sst_bytes", "Bytes of the sorted files, by column family."),
                &["family"],
            )?,
            sync_failures: IntCounter::new(
                "weft_storage_wal_sync_failures_total",
                "Total number of times that the write-ahead log could not be synced to the disk.",
            )?,
            buckets_dropped: IntCounterVec::new(
                Opts::new("weft_storage_buckets_dropped_total", "Total number of buckets of time dropped."),
                &["reason"],
            )?,
            storage_bytes: IntGauge::new("prometheus_tsdb_storage_blocks_bytes", "Bytes of the data directory.")?,
            lowest_seconds: Gauge::new(
                "prometheus_tsdb_lowest_timestamp_seconds",
                "Start of the oldest stored bucket.",
            )?,
            highest_seconds: Gauge::new(
                "prometheus_tsdb_head_max_time_seconds",
                "Newest timestamp seen since the start.",
            )?,
            retention_seconds: Gauge::new(
                "prometheus_tsdb_retention_limit_seconds",
                "How long samples are kept, 0 meaning for ever.",
            )?,
            rocksdb_bytes: IntGaugeVec::new(Opts::new("weft_rocksdb_bytes", "Memory of RocksDB."), &["part"])?,
            exemplars: ExemplarMetrics::new()?,
        };
        // Exposed as 0 before the first sample, as upstream's are: a vector without labels is not exposed at all.
        for vec in [&metrics.samples_appended, &metrics.out_of_order, &metrics.out_of_bound] {
            vec.with_label_values(FLOAT);
        }
        Ok(metrics)
    }

    pub(crate) fn count(&self, committed: &model::Committed) {
        let add = |vec: &IntCounterVec, n: u32| {
            if n > 0 {
                vec.with_label_values(FLOAT).inc_by(u64::from(n));
            }
        };
        add(&self.samples_appended, committed.stored);
        add(&self.out_of_order, committed.out_of_order);
        add(&self.out_of_bound, committed.too_old);
        self.duplicates.inc_by(u64::from(committed.duplicate));
    }

    pub(crate) fn samples_appended(&self) -> u64 {
        self.samples_appended.with_label_values(FLOAT).get()
    }

    fn all(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.samples_appended.clone()),
            Box::new(self.out_of_order.clone()),
            Box::new(self.out_of_bound.clone()),
            Box::new(self.duplicates.clone()),
            Box::new(self.late_samples.clone()),
            Box::new(self.head_series.clone()),
            Box::new(self.corrupt_values.clone()),
            Box::new(self.quarantined_files.clone()),
            Box::new(self.reopened.clone()),
            Box::new(self.sealed_samples.clone()),
            Box::new(self.sync_failures.clone()),
            Box::new(self.seal_failures.clone()),
            Box::new(self.sst_bytes.clone()),
            Box::new(self.buckets_dropped.clone()),
            Box::new(self.storage_bytes.clone()),
            Box::new(self.lowest_seconds.clone()),
            Box::new(self.highest_seconds.clone()),
            Box::new(self.retention_seconds.clone()),
            Box::new(self.rocksdb_bytes.clone()),
            Box::new(self.exemplars.kept.clone()),
            Box::new(self.exemplars.out_of_order.clone()),
            Box::new(self.exemplars.too_long.clone()),
        ]
    }

    pub(crate) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        self.all().into_iter().try_for_each(|collector| registry.register(collector))
    }

    /// So that a database opened later can register the same names.
    pub(crate) fn unregister(&self, registry: &Registry) {
        for collector in self.all() {
            // One that was never registered is no loss.
            let _ = registry.unregister(collector);
        }
    }
}
