//! The target groups that all discoveries have published, and the consumers that get them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{TargetGroup, TargetGroups, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};

use crate::metrics::Metrics;

/// Who uses target groups. The name is the label `name` of the metrics, as in Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Consumer(&'static str);

impl Consumer {
    /// Scraping; its keys are the names of jobs.
    pub const SCRAPE: Self = Self("scrape");
    /// Sending of alerts; its keys are the Alertmanager configurations.
    pub const NOTIFY: Self = Self("notify");

    /// Another consumer.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// The target groups of one consumer by its keys, now and whenever they change.
#[derive(Debug)]
pub struct Subscription(watch::Receiver<Arc<TargetGroups>>);

impl Subscription {
    /// The groups now; [`Subscription::changed`] then waits for later ones.
    pub fn current(&mut self) -> Arc<TargetGroups> {
        Arc::clone(&self.0.borrow_and_update())
    }

    /// Waits until there are others than those that [`Subscription::current`] gave. False once the manager is gone.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

/// The state of one discovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderStatus {
    /// The field of the configuration: `kubernetes_sd_configs`.
    pub kind: &'static str,
    /// Who uses it, and under which key.
    pub used_by: Vec<(Consumer, String)>,
    /// What went wrong, until it works again.
    pub error: Option<String>,
    /// Since when its groups are not kept up to date, `None` where all that can be found is up to
    /// date, also with an error.
    pub stale_since: Option<Timestamp>,
    /// When it last published groups.
    pub last_sync: Option<Timestamp>,
    /// Its groups.
    pub n_groups: usize,
    /// Targets in them.
    pub n_targets: usize,
}

/// The target groups of every discovery, and which consumer uses which discoveries.
#[derive(Debug)]
pub(crate) struct TargetStore {
    state: Mutex<State>,
    /// Something changed since it was published.
    changed: Notify,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct State {
    providers: BTreeMap<u64, Provider>,
    consumers: BTreeMap<Consumer, Wanted>,
}

#[derive(Debug)]
struct Provider {
    kind: &'static str,
    /// By their sources.
    groups: BTreeMap<String, Arc<TargetGroup>>,
    error: Option<String>,
    stale_since: Option<Timestamp>,
    last_sync: Option<Timestamp>,
    /// Its groups changed since they were published.
    is_changed: bool,
}

#[derive(Debug)]
struct Wanted {
    /// The providers of each key.
    keys: BTreeMap<String, Vec<u64>>,
    sender: watch::Sender<Arc<TargetGroups>>,
    /// Its keys changed since it was published to.
    is_changed: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        let sender = watch::Sender::new(Arc::new(TargetGroups::new()));
        Self { keys: BTreeMap::new(), sender, is_changed: false }
    }
}

impl TargetStore {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { state: Mutex::default(), changed: Notify::new(), metrics }
    }

    pub(crate) fn subscribe(&self, consumer: Consumer) -> Subscription {
        Subscription(self.state().consumers.entry(consumer).or_default().sender.subscribe())
    }

    /// Adds a discovery without groups.
    pub(crate) fn add(&self, id: u64, kind: &'static str) {
        let provider = Provider {
            kind,
            groups: BTreeMap::new(),
            error: None,
            stale_since: None,
            last_sync: None,
            is_changed: false,
        };
        self.state().providers.insert(id, provider);
    }

    /// Sets which discoveries a consumer uses, by its keys. Those that no consumer uses any more are dropped; the others are
    /// returned.
    pub(crate) fn set_wanted(&self, consumer: Consumer, keys: BTreeMap<String, Vec<u64>>) -> BTreeSet<u64> {
        let mut state = self.state();
        let State { providers, consumers } = &mut *state;
        let wanted = consumers.entry(consumer).or_default();
        // A gauge of a job that is gone would keep its last value.
        for key in wanted.keys.keys().filter(|key| !keys.contains_key(*key)) {
            let _ = self.metrics.discovered_targets.remove_label_values(&[consumer.name(), key]);
        }
        wanted.keys = keys;
        // Also where only the keys changed: the groups of a job that another job has as well are not new, but have to
        // be sent.
        wanted.is_changed = true;
        // Of all consumers: scraping and alerting may share a discovery.
        let used: BTreeSet<u64> =
            consumers.values().flat_map(|wanted| wanted.keys.values().flatten()).copied().collect();
        providers.retain(|id, _| used.contains(id));
        used
    }

    fn update(&self, id: u64, groups: Vec<TargetGroup>, removed: &[String], clears: bool) {
        let mut state = self.state();
        // It was dropped while its task was about to end.
        let Some(provider) = state.providers.get_mut(&id) else { return };
        // What is published for the first time counts as a change even if there is nothing.
        let mut is_changed = provider.last_sync.is_none();
        let mut former = if clears { std::mem::take(&mut provider.groups) } else { BTreeMap::new() };
        for source in removed {
            is_changed |= provider.groups.remove(source).is_some();
        }
        for group in groups {
            let known = former.remove(&group.source).or_else(|| provider.groups.remove(&group.source));
            // Upstream sends an empty group to say that a source is gone.
            if group.targets.is_empty() {
                is_changed |= known.is_some();
                continue;
            }
            // The same group stays the same allocation, so that consumers see at once what did not change.
            let same = known.filter(|known| **known == group);
            is_changed |= same.is_none();
            provider.groups.insert(group.source.clone(), same.unwrap_or_else(|| Arc::new(group)));
        }
        provider.last_sync = Some(Timestamp::now());
        if !is_changed && former.is_empty() {
            return;
        }
        provider.is_changed = true;
        // Before waking the publisher, which takes the same lock.
        drop(state);
        self.changed.notify_one();
    }

    fn report(&self, id: u64, error: Option<String>, stale_since: Option<Timestamp>) -> bool {
        let mut state = self.state();
        let Some(provider) = state.providers.get_mut(&id) else { return false };
        // Callers log only a new state, so a fault that stays is logged once.
        let is_new = provider.error != error;
        provider.error = error;
        provider.stale_since = stale_since;
        is_new
    }

    pub(crate) fn health(&self) -> Vec<ProviderStatus> {
        let state = self.state();
        let used_by = |id: &u64| {
            let keys = state.consumers.iter().flat_map(|(consumer, wanted)| {
                wanted.keys.iter().filter(|(_, ids)| ids.contains(id)).map(|(key, _)| (*consumer, key.clone()))
            });
            keys.collect()
        };
        let status = |(id, provider): (&u64, &Provider)| ProviderStatus {
            kind: provider.kind,
            used_by: used_by(id),
            error: provider.error.clone(),
            stale_since: provider.stale_since,
            last_sync: provider.last_sync,
            n_groups: provider.groups.len(),
            n_targets: provider.groups.values().map(|group| group.targets.len()).sum(),
        };
        state.providers.iter().map(status).collect()
    }

    /// Waits for a change.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Sends their groups to the consumers for which something changed.
    pub(crate) fn publish(&self) {
        let mut state = self.state();
        let State { providers, consumers } = &mut *state;
        for (consumer, wanted) in consumers.iter_mut() {
            let is_changed = |id: &u64| providers.get(id).is_some_and(|provider| provider.is_changed);
            if wanted.is_changed || wanted.keys.values().flatten().any(is_changed) {
                wanted.is_changed = false;
                self.send(*consumer, wanted, providers);
            }
        }
        // After all consumers were sent to; one discovery may serve several.
        providers.values_mut().for_each(|provider| provider.is_changed = false);
    }

    fn send(&self, consumer: Consumer, wanted: &Wanted, providers: &BTreeMap<u64, Provider>) {
        let mut all = TargetGroups::new();
        for (key, ids) in &wanted.keys {
            let used = ids.iter().filter_map(|id| providers.get(id));
            // Groups are shared: a publication copies pointers, not labels.
            let groups: Vec<Arc<TargetGroup>> = used.flat_map(|used| used.groups.values().map(Arc::clone)).collect();
            let n_targets: usize = groups.iter().map(|group| group.targets.len()).sum();
            let gauge = self.metrics.discovered_targets.with_label_values(&[consumer.name(), key]);
            gauge.set(i64::try_from(n_targets).unwrap_or(i64::MAX));
            all.insert(key.clone(), groups);
        }
        self.metrics.updates.with_label_values(&[consumer.name()]).inc();
        // Only the newest state is kept for a slow consumer; it never sees a backlog.
        wanted.sender.send_replace(Arc::new(all));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// Where one discovery publishes.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    store: Arc<TargetStore>,
    id: u64,
}

impl Publisher {
    pub(crate) fn new(store: &Arc<TargetStore>, id: u64) -> Self {
        Self { store: Arc::clone(store), id }
    }

    /// Adds or replaces groups by their sources, and removes others. A group without targets is removed.
    pub(crate) fn update(&self, groups: Vec<TargetGroup>, removed: &[String]) {
        self.store.update(self.id, groups, removed, false);
    }

    /// Replaces all groups.
    pub(crate) fn replace(&self, groups: Vec<TargetGroup>) {
        self.store.update(self.id, groups, &[], true);
    }

    /// Reports an error, or that there is none any more; true if that is another state than before.
    pub(crate) fn report(&self, error: Option<String>) -> bool {
        self.report_stale(error, None)
    }

    /// The same, and since when what was found is not kept up to date.
    pub(crate) fn report_stale(&self, error: Option<String>, stale_since: Option<Timestamp>) -> bool {
        self.store.report(self.id, error, stale_since)
    }
}
