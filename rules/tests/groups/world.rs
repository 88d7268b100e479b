//! A server's rules on a store in memory, and a paused clock.

use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Timestamp};
use parking_lot::Mutex;
use prometheus::Registry;
use query::promqltest::SharedStore;
use query::{Engine, QueryOptions, Value};
use rules::{AlertSpec, AlertState, Clock, Context, Group, GroupSpec, Manager, Notification, Options, RuleSpec};
use tokio::time::Instant;

pub(crate) const SECOND: i64 = 1000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
/// When tests begin.
pub(crate) const BEGIN: Timestamp = Timestamp(1_700_000_000_000);

/// A server's rules on a store that outlives it.
pub(crate) struct Server {
    pub(crate) manager: Manager,
    pub(crate) store: Arc<SharedStore>,
    pub(crate) sent: Arc<Mutex<Vec<Notification>>>,
    pub(crate) now: Clock,
    registry: Registry,
}

/// The wall clock follows tokio's, which tests advance.
pub(crate) fn clock() -> Clock {
    let begin = Instant::now();
    Arc::new(move || BEGIN + i64::try_from(begin.elapsed().as_millis()).unwrap())
}

impl Server {
    pub(crate) fn new(store: &Arc<SharedStore>, now: &Clock) -> Self {
        let (sent, registry) = (Arc::default(), Registry::new());
        let manager = Manager::new(context(store, &sent), &registry, Arc::clone(now)).unwrap();
        Self { manager, store: Arc::clone(store), sent, now: Arc::clone(now), registry }
    }

    pub(crate) async fn apply(&self, groups: &[GroupSpec]) {
        self.manager.apply(groups.to_vec(), context(&self.store, &self.sent)).await.unwrap();
    }

    pub(crate) async fn pass(&self, ms: i64) {
        tokio::time::sleep(Duration::from_millis(u64::try_from(ms).unwrap())).await;
    }

    /// `value` by `label` of an instant query now.
    pub(crate) fn values(&self, query: &str, label: &str) -> Vec<(String, f64)> {
        let result = Engine::default().instant(self.store.as_ref(), query, (self.now)(), &QueryOptions::default());
        let Value::Vector(samples) = result.unwrap().value else { panic!("{query} is no vector") };
        let mut values: Vec<_> =
            samples.iter().map(|sample| (sample.labels.value(label).to_owned(), sample.value)).collect();
        values.sort_by(|a, b| a.0.cmp(&b.0));
        values
    }

    pub(crate) fn group(&self, name: &str) -> Arc<Group> {
        self.manager.groups().into_iter().find(|group| group.spec().name == name).unwrap()
    }

    /// State and labels of the alerts of a group's first rule.
    pub(crate) fn alerts(&self, group: &str) -> (AlertState, Vec<(AlertState, Labels)>) {
        let group = self.group(group);
        let (state, alerts) = group.rules().next().unwrap().alerts.unwrap();
        (state, alerts.into_iter().map(|alert| (alert.state, alert.labels)).collect())
    }

    pub(crate) fn take_sent(&self) -> Vec<Notification> {
        std::mem::take(&mut *self.sent.lock())
    }

    pub(crate) fn counter(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        family.map_or(0.0, |family| family.get_metric().iter().map(|metric| metric.get_counter().get_value()).sum())
    }
}

pub(crate) fn context(store: &Arc<SharedStore>, sent: &Arc<Mutex<Vec<Notification>>>) -> Context {
    let sent = Arc::clone(sent);
    Context {
        engine: Arc::default(),
        querier: Arc::<SharedStore>::clone(store),
        appender: Arc::<SharedStore>::clone(store),
        notify: Arc::new(move |notifications| sent.lock().extend_from_slice(notifications)),
        external_labels: Labels::empty(),
        external_url: "http://weft:9090".into(),
        query_offset_ms: 0,
        wanted: None,
        options: Options::default(),
    }
}

pub(crate) fn group(name: &str, rules: &[RuleSpec]) -> GroupSpec {
    let (file, name) = ("rules.yml".to_owned(), name.to_owned());
    GroupSpec {
        file,
        name,
        interval_ms: 30 * SECOND,
        query_offset_ms: None,
        backfill_ms: None,
        limit: 0,
        rules: rules.to_vec(),
    }
}

pub(crate) fn alert(name: &str, expr: &str, for_ms: i64) -> RuleSpec {
    RuleSpec { alert: Some(AlertSpec { for_ms, ..AlertSpec::default() }), ..RuleSpec::alerting(name, expr) }
}

/// `up` of two jobs every 15 seconds for a day, from the begin; `b` goes down after 10 minutes, comes back after 20, and ends
/// after 30.
pub(crate) fn store() -> Arc<SharedStore> {
    let store = SharedStore::default();
    let (begin, step_ms) = (BEGIN - MINUTE, 15 * SECOND);
    store.load(r#"up{job="a"} 1x5760"#, (begin, step_ms)).unwrap();
    store.load(r#"up{job="b"} 1x43 0x39 1x40 stale"#, (begin, step_ms)).unwrap();
    Arc::new(store)
}
