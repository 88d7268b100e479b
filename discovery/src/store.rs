//! The target groups that all discoveries have published, and the consumers that get them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube_watch::{Asked, WatchHealth};
use model::{TargetGroup, TargetGroups, TargetLabels, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};

use crate::consumer::Consumer;
use crate::departures::{Departure, Departures, Replaced};
use crate::health::SourceStatus;
use crate::metrics::Metrics;

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

/// The kind that asks nobody.
const STATIC: &str = "static_configs";

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
    departures: Departures,
}

#[derive(Debug)]
struct Provider {
    kind: &'static str,
    /// Who is asked.
    place: String,
    /// Those that it follows; without any it is a source itself.
    watches: Vec<WatchHealth>,
    asked: Asked,
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
    pub(crate) fn add(&self, id: u64, (kind, place): (&'static str, String)) {
        let provider = Provider {
            kind,
            place,
            watches: Vec::new(),
            asked: Asked::default(),
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
        let State { providers, consumers, departures } = &mut *state;
        let wanted = consumers.entry(consumer).or_default();
        for (key, ids) in &wanted.keys {
            let Some(new) = keys.get(key) else {
                // A gauge of a job that is gone would keep its last value.
                let _ = self.metrics.discovered_targets.remove_label_values(&[consumer.name(), key]);
                continue;
            };
            let taken = ids.iter().filter(|id| !new.contains(id)).filter_map(|id| providers.get(id));
            taken.for_each(|provider| departures.withdraw(consumer, key, provider.kind));
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

    fn update(&self, id: u64, Update { groups, removed, clears, why }: Update<'_>) {
        let mut state = self.state();
        let State { providers, departures, .. } = &mut *state;
        // It was dropped while its task was about to end.
        let Some(provider) = providers.get_mut(&id) else { return };
        // What is published for the first time counts as a change even if there is nothing.
        let mut is_changed = provider.last_sync.is_none();
        let mut former = if clears { std::mem::take(&mut provider.groups) } else { BTreeMap::new() };
        let mut replaced: Vec<Replaced<Arc<TargetGroup>>> = Vec::new();
        for source in removed {
            replaced.extend(provider.groups.remove(source).map(|known| (known, None)));
        }
        for group in groups {
            let known = former.remove(&group.source).or_else(|| provider.groups.remove(&group.source));
            // Upstream sends an empty group to say that a source is gone.
            if group.targets.is_empty() {
                replaced.extend(known.map(|known| (known, None)));
                continue;
            }
            // The same group stays the same allocation, so that consumers see at once what did not change.
            let group = match known {
                Some(known) if *known == group => known,
                known => {
                    let new = Arc::new(group);
                    replaced.extend(known.map(|known| (known, Some(Arc::clone(&new)))));
                    is_changed = true;
                    new
                }
            };
            provider.groups.insert(group.source.clone(), group);
        }
        replaced.extend(former.into_values().map(|known| (known, None)));
        provider.last_sync = Some(Timestamp::now());
        if !is_changed && replaced.is_empty() {
            return;
        }
        let unlisted = unlisted(provider);
        departures.add(id, &replaced, &|group, target| why.map_or_else(|| unlisted.clone(), |why| why(group, target)));
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
        if error.is_none() {
            provider.asked.answered_at = Some(Timestamp::now());
            provider.asked.n_failures = 0;
        } else {
            provider.asked.n_failures += 1;
        }
        provider.error = error;
        provider.stale_since = stale_since;
        is_new
    }

    pub(crate) fn health(&self) -> Vec<ProviderStatus> {
        let state = self.state();
        let mut used_by = state.used_by();
        let status = |(id, provider): (&u64, &Provider)| ProviderStatus {
            kind: provider.kind,
            used_by: used_by.remove(id).unwrap_or_default(),
            error: provider.error.clone(),
            stale_since: provider.stale_since,
            last_sync: provider.last_sync,
            n_groups: provider.groups.len(),
            n_targets: provider.n_targets(),
        };
        state.providers.iter().map(status).collect()
    }

    /// How each source fares; static targets have none.
    pub(crate) fn sources(&self) -> Vec<SourceStatus> {
        let (mut all, mut watches) = (Vec::new(), Vec::new());
        {
            let state = self.state();
            let mut used_by = state.used_by();
            for (id, provider) in state.providers.iter().filter(|(_, provider)| provider.kind != STATIC) {
                let used_by = used_by.remove(id).unwrap_or_default();
                if provider.watches.is_empty() {
                    all.push(SourceStatus { used_by, ..provider.source() });
                } else {
                    watches.push((provider.kind, used_by, provider.watches.clone()));
                }
            }
        }
        // The store is free again while the watches are looked at.
        let mut by_id: BTreeMap<u64, SourceStatus> = BTreeMap::new();
        for (kind, used_by, watches) in watches {
            for status in watches.iter().map(WatchHealth::status) {
                let id = status.id;
                let source = by_id.entry(id).or_insert_with(|| SourceStatus::of_watch(kind, status));
                source.used_by.extend(used_by.iter().cloned());
            }
        }
        for mut source in by_id.into_values() {
            // Several discoveries of a job may need one watch.
            source.used_by.sort();
            source.used_by.dedup();
            all.push(source);
        }
        all
    }

    /// What was found for a key of a consumer and is found no more, the oldest first.
    pub(crate) fn departures(&self, consumer: Consumer, key: &str) -> Vec<Departure> {
        let state = self.state();
        let ids = state.consumers.get(&consumer).and_then(|wanted| wanted.keys.get(key));
        state.departures.of(consumer, key, ids.map(Vec::as_slice).unwrap_or_default())
    }

    fn asks(&self, id: u64) {
        if let Some(provider) = self.state().providers.get_mut(&id) {
            provider.asked.at = Some(Timestamp::now());
        }
    }

    fn follow(&self, id: u64, watches: Vec<WatchHealth>) {
        if let Some(provider) = self.state().providers.get_mut(&id) {
            provider.watches = watches;
        }
    }

    /// Waits for a change.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Sends their groups to the consumers for which something changed.
    pub(crate) fn publish(&self) {
        let mut state = self.state();
        let State { providers, consumers, .. } = &mut *state;
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

impl State {
    /// Who uses each provider, by its id.
    fn used_by(&self) -> BTreeMap<u64, Vec<(Consumer, String)>> {
        let mut all: BTreeMap<u64, Vec<(Consumer, String)>> = BTreeMap::new();
        for (consumer, wanted) in &self.consumers {
            for (key, ids) in &wanted.keys {
                // A job may have the same discovery twice.
                for id in ids.iter().collect::<BTreeSet<_>>() {
                    all.entry(*id).or_default().push((*consumer, key.clone()));
                }
            }
        }
        all
    }
}

impl Provider {
    fn n_targets(&self) -> usize {
        self.groups.values().map(|group| group.targets.len()).sum()
    }

    /// Itself as a source, used by nobody.
    fn source(&self) -> SourceStatus {
        SourceStatus {
            field: self.kind,
            kind: self.kind.strip_suffix("_sd_configs").unwrap_or(self.kind),
            place: self.place.clone(),
            asked: self.asked,
            n_objects: self.n_targets(),
            error: self.error.clone(),
            stale_since: self.stale_since,
            ..SourceStatus::default()
        }
    }
}

/// Why a target of a service or file is gone, as far as an answer without it says.
fn unlisted(provider: &Provider) -> String {
    let who = match provider.place.as_str() {
        "" => provider.kind.to_owned(),
        place => format!("{} ({place})", provider.kind),
    };
    match provider.groups.is_empty() {
        true => format!("{who} answered, and listed no target at all"),
        false => format!("{who} does not list it any more"),
    }
}

/// What is published at once.
struct Update<'u> {
    groups: Vec<TargetGroup>,
    removed: &'u [String],
    /// All groups that are not among these are gone.
    clears: bool,
    why: Option<&'u Why<'u>>,
}

/// Why a target of a group, as it was, is gone.
pub(crate) type Why<'w> = dyn Fn(&TargetGroup, &TargetLabels) -> String + 'w;

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
        self.store.update(self.id, Update { groups, removed, clears: false, why: None });
    }

    /// The same by a discovery that knows more than that a target is not listed any more.
    pub(crate) fn update_because(&self, groups: Vec<TargetGroup>, removed: &[String], why: &Why<'_>) {
        self.store.update(self.id, Update { groups, removed, clears: false, why: Some(why) });
    }

    /// Replaces all groups.
    pub(crate) fn replace(&self, groups: Vec<TargetGroup>) {
        self.store.update(self.id, Update { groups, removed: &[], clears: true, why: None });
    }

    /// Somebody is about to be asked.
    pub(crate) fn asks(&self) {
        self.store.asks(self.id);
    }

    /// Targets come from these watches, whose health is then that of the discovery.
    pub(crate) fn follow(&self, watches: Vec<WatchHealth>) {
        self.store.follow(self.id, watches);
    }

    /// Reports how an attempt went: an error, or that there is none any more; true if that is another state than before.
    pub(crate) fn report(&self, error: Option<String>) -> bool {
        self.report_stale(error, None)
    }

    /// The same, and since when what was found is not kept up to date.
    pub(crate) fn report_stale(&self, error: Option<String>, stale_since: Option<Timestamp>) -> bool {
        self.store.report(self.id, error, stale_since)
    }
}
