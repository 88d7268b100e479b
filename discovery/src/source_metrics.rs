//! A series for each source of targets, to alert on: made of the state of all sources whenever somebody asks for it, so that those
//! of a job that is gone end with it.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts, Registry};

use crate::Error;
use crate::health::worst;
use crate::store::TargetStore;

/// Consumer, key of the consumer (the job), and resource or kind of discovery.
const LABELS: [&str; 3] = ["name", "config", "kind"];

struct SourceMetrics {
    /// Weak: the registry must not keep the discoveries.
    store: Weak<TargetStore>,
    up: GaugeVec,
    last_success: GaugeVec,
    /// Two who ask at once would see what the other has just reset.
    turn: Mutex<()>,
}

/// Registers the series of a store.
pub(crate) fn register(store: &Arc<TargetStore>, registry: &Registry) -> Result<(), Error> {
    let up = Opts::new(
        "weft_discovery_up",
        "1 if what targets are discovered from answered when it was last asked, and refused nothing.",
    );
    let last_success = Opts::new(
        "weft_discovery_last_success_timestamp_seconds",
        "When what targets are discovered from last answered all that it was asked; 0 if it never did.",
    );
    let metrics = SourceMetrics {
        store: Arc::downgrade(store),
        up: GaugeVec::new(up, &LABELS)?,
        last_success: GaugeVec::new(last_success, &LABELS)?,
        turn: Mutex::default(),
    };
    Ok(registry.register(Box::new(metrics))?)
}

impl Collector for SourceMetrics {
    fn desc(&self) -> Vec<&Desc> {
        [self.up.desc(), self.last_success.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(store) = self.store.upgrade() else { return Vec::new() };
        let sources = store.sources();
        let _turn = self.turn.lock();
        self.up.reset();
        self.last_success.reset();
        for ((consumer, key, kind), worst) in worst(&sources) {
            let labels = [consumer.name(), key, kind];
            self.up.with_label_values(&labels).set(f64::from(u8::from(worst.is_up)));
            let at = worst.answered_at.map_or(0.0, |at| at.as_seconds());
            self.last_success.with_label_values(&labels).set(at);
        }
        [self.up.collect(), self.last_success.collect()].concat()
    }
}
