//! Where providers put their groups, and where they are published from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{TargetGroup, TargetGroups, time};
use tokio::sync::{Notify, watch};

use crate::metrics::Metrics;

/// How a provider fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderStatus {
    /// The configuration's field: `kubernetes_sd_configs`.
    pub kind: String,
    /// The jobs that use it.
    pub jobs: Vec<String>,
    /// What went wrong, until it no longer does.
    pub error: Option<String>,
    /// When it last gave groups, milliseconds since the epoch.
    pub last_sync_ms: Option<i64>,
    /// Groups it knows.
    pub n_groups: usize,
    /// Targets in them.
    pub n_targets: usize,
}

/// All that is known now.
#[derive(Debug)]
pub(crate) struct Hub {
    state: Mutex<State>,
    /// Something changed since the last publication.
    dirty: Notify,
    sender: watch::Sender<Arc<TargetGroups>>,
    pub(crate) metrics: Metrics,
}

#[derive(Debug, Default)]
struct State {
    providers: BTreeMap<u64, Known>,
    /// The providers of each job.
    jobs: BTreeMap<String, Vec<u64>>,
}

#[derive(Debug)]
struct Known {
    kind: String,
    /// By their sources.
    groups: BTreeMap<String, Arc<TargetGroup>>,
    error: Option<String>,
    last_sync_ms: Option<i64>,
}

impl Hub {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let sender = watch::Sender::new(Arc::new(TargetGroups::new()));
        Self { state: Mutex::default(), dirty: Notify::new(), sender, metrics }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<TargetGroups>> {
        self.sender.subscribe()
    }

    /// Makes room for a provider.
    pub(crate) fn add(&self, id: u64, kind: &str) {
        let known = Known { kind: kind.to_owned(), groups: BTreeMap::new(), error: None, last_sync_ms: None };
        self.state().providers.insert(id, known);
    }

    /// Sets which job uses which providers; the others are forgotten.
    pub(crate) fn set_jobs(&self, jobs: BTreeMap<String, Vec<u64>>) {
        let mut state = self.state();
        for name in state.jobs.keys().filter(|name| !jobs.contains_key(*name)) {
            let _ = self.metrics.discovered_targets.remove_label_values(&["scrape", name]);
        }
        state.providers.retain(|id, _| jobs.values().any(|used| used.contains(id)));
        state.jobs = jobs;
    }

    /// Changes a provider's groups; what has no targets is removed.
    pub(crate) fn update(&self, id: u64, groups: Vec<TargetGroup>, removed: &[String]) {
        let mut state = self.state();
        let Some(known) = state.providers.get_mut(&id) else { return };
        for source in removed {
            known.groups.remove(source);
        }
        for group in groups {
            if group.targets.is_empty() {
                known.groups.remove(&group.source);
            } else {
                known.groups.insert(group.source.clone(), Arc::new(group));
            }
        }
        known.last_sync_ms = Some(time::now_ms());
        drop(state);
        self.dirty.notify_one();
    }

    /// Replaces a provider's groups.
    pub(crate) fn replace(&self, id: u64, groups: Vec<TargetGroup>) {
        if let Some(known) = self.state().providers.get_mut(&id) {
            known.groups.clear();
        }
        self.update(id, groups, &[]);
    }

    /// Says how a provider fares; true when that is news.
    pub(crate) fn report(&self, id: u64, error: Option<String>) -> bool {
        let mut state = self.state();
        let Some(known) = state.providers.get_mut(&id) else { return false };
        let is_news = known.error != error;
        known.error = error;
        is_news
    }

    pub(crate) fn health(&self) -> Vec<ProviderStatus> {
        let state = self.state();
        let jobs_of = |id: &u64| {
            let using = state.jobs.iter().filter(|(_, ids)| ids.contains(id));
            using.map(|(name, _)| name.clone()).collect()
        };
        let status = |(id, known): (&u64, &Known)| ProviderStatus {
            kind: known.kind.clone(),
            jobs: jobs_of(id),
            error: known.error.clone(),
            last_sync_ms: known.last_sync_ms,
            n_groups: known.groups.len(),
            n_targets: known.groups.values().map(|group| group.targets.len()).sum(),
        };
        state.providers.iter().map(status).collect()
    }

    /// Waits for a change.
    pub(crate) async fn changed(&self) {
        self.dirty.notified().await;
    }

    /// Sends all that is known now.
    pub(crate) fn publish(&self) {
        let state = self.state();
        let mut all = TargetGroups::new();
        for (job, ids) in &state.jobs {
            let known = ids.iter().filter_map(|id| state.providers.get(id));
            let groups: Vec<Arc<TargetGroup>> = known.flat_map(|known| known.groups.values().map(Arc::clone)).collect();
            let n_targets: usize = groups.iter().map(|group| group.targets.len()).sum();
            let gauge = self.metrics.discovered_targets.with_label_values(&["scrape", job]);
            gauge.set(i64::try_from(n_targets).unwrap_or(i64::MAX));
            all.insert(job.clone(), groups);
        }
        drop(state);
        self.metrics.updates.with_label_values(&["scrape"]).inc();
        self.sender.send_replace(Arc::new(all));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One provider's way into the hub.
#[derive(Clone, Debug)]
pub(crate) struct Sink {
    pub(crate) hub: Arc<Hub>,
    pub(crate) id: u64,
}

impl Sink {
    pub(crate) fn update(&self, groups: Vec<TargetGroup>, removed: &[String]) {
        self.hub.update(self.id, groups, removed);
    }

    pub(crate) fn replace(&self, groups: Vec<TargetGroup>) {
        self.hub.replace(self.id, groups);
    }

    pub(crate) fn report(&self, error: Option<String>) -> bool {
        self.hub.report(self.id, error)
    }
}
