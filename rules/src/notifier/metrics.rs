//! The metrics of the notifier, under upstream's names.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

const ALERTMANAGER: &str = "alertmanager";

/// The notifier's own metrics.
#[derive(Debug)]
pub(super) struct Metrics {
    latency: HistogramVec,
    latency_histogram: HistogramVec,
    errors: IntCounterVec,
    sent: IntCounterVec,
    dropped: IntCounterVec,
    queue_length: IntGaugeVec,
    pub(super) discovered: IntGauge,
    /// How many queues each receiver has: two sections may name the same one, and a reload may change its section.
    used: Mutex<HashMap<String, usize>>,
}

/// The metrics of one receiver; they end with the last that is held.
#[derive(Debug)]
pub(super) struct ReceiverMetrics {
    pub(super) latency: Histogram,
    pub(super) latency_histogram: Histogram,
    pub(super) errors: IntCounter,
    pub(super) sent: IntCounter,
    pub(super) dropped: IntCounter,
    pub(super) queue_length: IntGauge,
    all: Arc<Metrics>,
    receiver: String,
}

impl Metrics {
    pub(super) fn new(registry: &Registry, queue_capacity: usize) -> Result<Arc<Self>, prometheus::Error> {
        let counters = |name, help: &str| added(registry, IntCounterVec::new(Opts::new(name, help), &[ALERTMANAGER])?);
        let latencies = |name, help: &str| {
            let options = HistogramOpts::new(name, help).buckets(vec![0.01, 0.1, 1.0, 10.0]);
            added(registry, HistogramVec::new(options, &[ALERTMANAGER])?)
        };
        let length = Opts::new("prometheus_notifications_queue_length", "Alerts that wait to be sent.");
        let capacity = IntGauge::new("prometheus_notifications_queue_capacity", "The most alerts that a queue holds.")?;
        added(registry, capacity)?.set(i64::try_from(queue_capacity).unwrap_or(i64::MAX));
        Ok(Arc::new(Self {
            // A summary upstream; dashboards read its sum and its count, which a histogram has, too.
            latency: latencies("prometheus_notifications_latency_seconds", "How long it took to send alerts.")?,
            latency_histogram: latencies(
                "prometheus_notifications_latency_histogram_seconds",
                "How long it took to send alerts, as a histogram.",
            )?,
            errors: counters(
                "prometheus_notifications_errors_total",
                "Alerts in requests that failed, those that are sent again among them.",
            )?,
            sent: counters("prometheus_notifications_sent_total", "Alerts that were sent.")?,
            dropped: counters(
                "prometheus_notifications_dropped_total",
                "Alerts that were not sent: refused, too old, pushed out of a full queue, or left at the end.",
            )?,
            queue_length: added(registry, IntGaugeVec::new(length, &[ALERTMANAGER])?)?,
            discovered: added(
                registry,
                IntGauge::new(
                    "prometheus_notifications_alertmanagers_discovered",
                    "Alertmanagers that are discovered and get alerts.",
                )?,
            )?,
            used: Mutex::default(),
        }))
    }

    /// The metrics of a receiver, at 0 if it is new.
    pub(super) fn of(self: &Arc<Self>, receiver: &str) -> ReceiverMetrics {
        *self.used.lock().entry(receiver.to_owned()).or_default() += 1;
        let label = [receiver];
        ReceiverMetrics {
            latency: self.latency.with_label_values(&label),
            latency_histogram: self.latency_histogram.with_label_values(&label),
            errors: self.errors.with_label_values(&label),
            sent: self.sent.with_label_values(&label),
            dropped: self.dropped.with_label_values(&label),
            queue_length: self.queue_length.with_label_values(&label),
            all: Arc::clone(self),
            receiver: receiver.to_owned(),
        }
    }

    /// Removes the metrics of a receiver that is gone, which would be exported for ever.
    fn forget(&self, receiver: &str) {
        for vec in [&self.latency, &self.latency_histogram] {
            let _ = vec.remove_label_values(&[receiver]);
        }
        for vec in [&self.errors, &self.sent, &self.dropped] {
            let _ = vec.remove_label_values(&[receiver]);
        }
        let _ = self.queue_length.remove_label_values(&[receiver]);
    }
}

impl ReceiverMetrics {
    /// The queue had `before` alerts and has `after`; queues of the same receiver are counted together.
    pub(super) fn length_changed(&self, before: usize, after: usize) {
        let (before, after) = (i64::try_from(before), i64::try_from(after));
        self.queue_length.add(after.unwrap_or(i64::MAX) - before.unwrap_or(i64::MAX));
    }
}

impl Drop for ReceiverMetrics {
    fn drop(&mut self) {
        let mut used = self.all.used.lock();
        let Some(count) = used.get_mut(&self.receiver) else { return };
        *count -= 1;
        if *count == 0 {
            used.remove(&self.receiver);
            self.all.forget(&self.receiver);
        }
    }
}

/// Registers a collector and returns it.
fn added<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_a_receiver_end_with_its_last_queue() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry, 7).unwrap();
        let names = || registry.gather().len();
        assert_eq!(names(), 2);
        let (one, other) = (metrics.of("http://a"), metrics.of("http://a"));
        one.length_changed(0, 3);
        other.length_changed(4, 3);
        assert_eq!((one.queue_length.get(), names()), (2, 8));
        drop(one);
        assert_eq!(names(), 8);
        drop(other);
        assert_eq!(names(), 2);
    }
}
