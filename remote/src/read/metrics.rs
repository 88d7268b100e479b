//! The metrics of asking, under upstream's names.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::{Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use crate::registered::registered;

const LABELS: [&str; 2] = ["remote_name", "url"];
/// The forms of an answer.
pub(super) const KINDS: [&str; 3] = ["sampled", "chunked", "unsupported"];
/// In the place of a status: of an answer that began and did not end.
pub(super) const ABORTED: &str = "aborted_stream";

/// All of them.
#[derive(Debug)]
pub(super) struct Metrics {
    total: IntCounterVec,
    running: GaugeVec,
    durations: HistogramVec,
    /// A remote whose settings change is there twice for a moment.
    used: Mutex<HashMap<[String; 2], Weak<RemoteMetrics>>>,
}

/// Those of one remote; they end with the last that holds them.
#[derive(Debug)]
pub(super) struct RemoteMetrics {
    pub(super) running: Gauge,
    all: Arc<Metrics>,
    labels: [String; 2],
    /// The forms and codes that were counted.
    counted: Mutex<BTreeSet<[String; 2]>>,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Arc<Self>, prometheus::Error> {
        let of_total = ["remote_name", "url", "response_type", "code"];
        let of_durations = ["remote_name", "url", "response_type"];
        let buckets = [&prometheus::DEFAULT_BUCKETS[..], &[25.0, 60.0]].concat();
        Ok(Arc::new(Self {
            total: registered(
                registry,
                IntCounterVec::new(
                    Opts::new(
                        "prometheus_remote_read_client_queries_total",
                        "Answers of servers that were asked by remote read.",
                    ),
                    &of_total,
                )?,
            )?,
            running: registered(
                registry,
                GaugeVec::new(
                    Opts::new(
                        "prometheus_remote_read_client_queries",
                        "Requests of remote read that are on their way.",
                    ),
                    &LABELS,
                )?,
            )?,
            durations: registered(
                registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        "prometheus_remote_read_client_request_duration_seconds",
                        "How long servers that were asked by remote read took until their answer began.",
                    )
                    .buckets(buckets),
                    &of_durations,
                )?,
            )?,
            used: Mutex::default(),
        }))
    }

    pub(super) fn of(self: &Arc<Self>, name: &str, url: &str) -> Arc<RemoteMetrics> {
        let labels = [name.to_owned(), url.to_owned()];
        let mut used = self.used.lock();
        if let Some(same) = used.get(&labels).and_then(Weak::upgrade) {
            return same;
        }
        used.retain(|_, one| one.strong_count() > 0);
        let running = self.running.with_label_values(&[name, url]);
        let one = Arc::new(RemoteMetrics {
            running,
            all: Arc::clone(self),
            labels: labels.clone(),
            counted: Mutex::default(),
        });
        used.insert(labels, Arc::downgrade(&one));
        one
    }
}

impl RemoteMetrics {
    /// An answer has begun.
    pub(super) fn began(&self, kind: &'static str, after: Duration) {
        let [name, url] = &self.labels;
        self.all.durations.with_label_values(&[name, url, kind]).observe(after.as_secs_f64());
    }

    /// An answer has ended.
    pub(super) fn ended(&self, kind: &'static str, code: &str) {
        let [name, url] = &self.labels;
        self.all.total.with_label_values(&[name, url, kind, code]).inc();
        self.counted.lock().insert([kind.to_owned(), code.to_owned()]);
    }
}

impl Drop for RemoteMetrics {
    fn drop(&mut self) {
        let [name, url] = &self.labels;
        // What is not there need not be removed.
        drop(self.all.running.remove_label_values(&[name, url]));
        for kind in KINDS {
            drop(self.all.durations.remove_label_values(&[name, url, kind]));
        }
        for [kind, code] in self.counted.lock().iter() {
            drop(self.all.total.remove_label_values(&[name, url, kind, code]));
        }
    }
}
