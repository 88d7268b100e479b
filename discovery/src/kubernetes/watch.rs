//! One watch of the API server for all discoveries that need the same objects.
//!
//! Invariant: what a watch knows stays until the server says otherwise. A refused permission, an unreachable server or an
//! expired watch is reported, counted, and tried again; it takes nothing away.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::client::{Server, Slot};
use super::failures::{Backoff, is_unauthorized, told};
use super::objects::{Key, Kind, Namespace, Node, Object, trim};
use crate::metrics::Metrics;

/// A watch that says nothing for so long after a list works, though its last attempt failed.
const QUIET: Duration = Duration::from_secs(60);

/// What a watch is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WatchKey {
    pub(crate) server: Server,
    pub(crate) kind: Kind,
    /// `None` for all of them.
    pub(crate) namespace: Option<String>,
    pub(crate) label_selector: String,
    pub(crate) field_selector: String,
}

/// The objects that changed since they were last asked for; bounded by the number of objects.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    set: Mutex<BTreeSet<(Kind, Key)>>,
    woken: Notify,
}

impl Changes {
    pub(crate) fn take(&self) -> BTreeSet<(Kind, Key)> {
        std::mem::take(&mut *lock(&self.set))
    }

    pub(crate) async fn wait(&self) {
        self.woken.notified().await;
    }
}

/// One watch and the objects it knows.
#[derive(Debug)]
pub(crate) struct Watch {
    key: WatchKey,
    known: Mutex<Known>,
    subscribers: Mutex<Vec<Weak<Changes>>>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Known {
    objects: BTreeMap<Key, Arc<Object>>,
    /// The first list came, or failed.
    is_settled: bool,
    error: Option<String>,
    /// The error is one of watching: that a list comes does not mend it.
    lists: bool,
}

impl Watch {
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Object>> {
        lock(&self.known).objects.get(key).map(Arc::clone)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Object>> {
        lock(&self.known).objects.values().map(Arc::clone).collect()
    }

    pub(crate) fn is_settled(&self) -> bool {
        lock(&self.known).is_settled
    }

    pub(crate) fn error(&self) -> Option<String> {
        lock(&self.known).error.clone()
    }

    pub(crate) fn subscribe(&self, changes: &Arc<Changes>) {
        lock(&self.subscribers).push(Arc::downgrade(changes));
    }

    /// Follows the server until it is aborted.
    async fn run(self: Arc<Self>, slot: Arc<Slot>) {
        let mut backoff = Backoff::new();
        loop {
            match slot.client().await {
                Ok(client) => {
                    self.follow_kind(client, &mut backoff).await;
                    slot.reset().await;
                }
                Err(error) => self.failed(&model::with_causes(&error), false),
            }
            tokio::time::sleep(backoff.pause(Instant::now())).await;
        }
    }

    /// Returns when the client's credentials are no longer taken.
    async fn follow_kind(&self, client: Client, pause: &mut Backoff) {
        match self.key.kind {
            Kind::Pod => self.follow(self.api(client), Object::Pod, pause).await,
            Kind::Service => self.follow(self.api(client), Object::Service, pause).await,
            Kind::Endpoints => self.follow(self.api(client), Object::Endpoints, pause).await,
            Kind::EndpointSlice => self.follow(self.api(client), Object::EndpointSlice, pause).await,
            Kind::Ingress => self.follow(self.api(client), Object::Ingress, pause).await,
            Kind::ReplicaSet => self.follow(self.api(client), Object::ReplicaSet, pause).await,
            Kind::Job => self.follow(self.api(client), Object::Job, pause).await,
            Kind::Node => self.follow(Api::<Node>::all(client), Object::Node, pause).await,
            Kind::Namespace => self.follow(Api::<Namespace>::all(client), Object::Namespace, pause).await,
        }
    }

    fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self, client: Client) -> Api<K> {
        match &self.key.namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        }
    }

    async fn follow<K>(&self, api: Api<K>, wrap: fn(K) -> Object, backoff: &mut Backoff)
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let selector = |text: &String| (!text.is_empty()).then(|| text.clone());
        let config = watcher::Config {
            label_selector: selector(&self.key.label_selector),
            field_selector: selector(&self.key.field_selector),
            ..watcher::Config::default()
        };
        let mut events = pin!(watcher(api, config));
        let mut listed = BTreeMap::new();
        let mut watches = false;
        loop {
            match tokio::time::timeout(QUIET, events.next()).await {
                Err(_) if watches => self.recovered(),
                Err(_) => {}
                Ok(None) => return,
                Ok(Some(Ok(event))) => {
                    watches = !matches!(event, Event::Init | Event::InitApply(_));
                    self.take(event, wrap, &mut listed);
                }
                Ok(Some(Err(error))) => {
                    self.failed(&told(&error), watches);
                    if is_unauthorized(&error) {
                        return;
                    }
                    watches = false;
                    tokio::time::sleep(backoff.pause(Instant::now())).await;
                }
            }
        }
    }

    fn take<K: Resource<DynamicType = ()>>(
        &self,
        event: Event<K>,
        wrap: fn(K) -> Object,
        listed: &mut BTreeMap<Key, Arc<Object>>,
    ) {
        let trimmed = |mut object: K| {
            trim(object.meta_mut());
            (Key::of(object.meta()), Arc::new(wrap(object)))
        };
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                let (key, object) = trimmed(object);
                listed.insert(key, object);
            }
            Event::InitDone => self.replace(std::mem::take(listed)),
            Event::Apply(object) => {
                let (key, object) = trimmed(object);
                let former = lock(&self.known).objects.insert(key.clone(), Arc::clone(&object));
                self.count(if former.is_some() { "update" } else { "add" });
                self.recovered();
                // A change of what no label is made of is none.
                if former.is_none_or(|former| former != object) {
                    self.changed([key]);
                }
            }
            Event::Delete(object) => {
                let key = Key::of(object.meta());
                self.count("delete");
                self.recovered();
                if lock(&self.known).objects.remove(&key).is_some() {
                    self.changed([key]);
                }
            }
        }
    }

    /// Takes a whole list instead of what was known.
    fn replace(&self, listed: BTreeMap<Key, Arc<Object>>) {
        let mut known = lock(&self.known);
        let former = std::mem::replace(&mut known.objects, listed);
        let gone = former.keys().filter(|key| !known.objects.contains_key(*key)).cloned();
        let differs = |(key, object): &(&Key, &Arc<Object>)| former.get(*key) != Some(object);
        let new = known.objects.iter().filter(differs).map(|(key, _)| key.clone());
        let changed: Vec<Key> = gone.chain(new).collect();
        known.is_settled = true;
        let works = !known.lists;
        drop(known);
        if works {
            self.recovered();
        }
        self.changed(changed);
    }

    fn changed(&self, keys: impl IntoIterator<Item = Key>) {
        let keys: Vec<Key> = keys.into_iter().collect();
        let mut subscribers = lock(&self.subscribers);
        subscribers.retain(|subscriber| match subscriber.upgrade() {
            Some(changes) => {
                lock(&changes.set).extend(keys.iter().map(|key| (self.key.kind, key.clone())));
                changes.woken.notify_one();
                true
            }
            None => false,
        });
    }

    fn count(&self, event: &str) {
        self.metrics.kubernetes_events.with_label_values(&[self.key.kind.event_role(), event]).inc();
    }

    /// Tells an error, once: it came after a list that `lists`, or with it.
    fn failed(&self, error: &str, lists: bool) {
        self.metrics.kubernetes_failures.inc();
        let scope = self.key.namespace.as_deref().map_or_else(String::new, |name| format!(" in namespace {name}"));
        let text = format!("cannot watch {}{scope}: ", self.key.kind.plural());
        let text = text + error;
        let mut known = lock(&self.known);
        known.is_settled = true;
        known.lists = lists;
        if known.error.as_ref() != Some(&text) {
            tracing::warn!(error = %text, "kubernetes discovery keeps what it knows and tries again");
            known.error = Some(text);
        }
        drop(known);
        self.changed([]);
    }

    fn recovered(&self) {
        if lock(&self.known).error.take().is_some() {
            tracing::info!(resource = self.key.kind.plural(), "kubernetes discovery can watch again");
            self.changed([]);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The watches that run, each while somebody holds a lease on it.
#[derive(Debug)]
pub(crate) struct Watches {
    running: Mutex<Running>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Running {
    entries: Vec<Entry>,
    slots: Vec<Weak<Slot>>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Entry {
    watch: Arc<Watch>,
    n_leases: usize,
    task: AbortHandle,
}

impl Watches {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { running: Mutex::default(), metrics }
    }

    /// The watch of these objects, which starts now unless it runs already.
    pub(crate) fn lease(self: &Arc<Self>, key: WatchKey) -> Lease {
        let mut running = lock(&self.running);
        while running.tasks.try_join_next().is_some() {}
        if let Some(entry) = running.entries.iter_mut().find(|entry| entry.watch.key == key) {
            entry.n_leases += 1;
            return Lease { watch: Arc::clone(&entry.watch), watches: Arc::clone(self) };
        }
        running.slots.retain(|slot| slot.strong_count() > 0);
        let shared = running.slots.iter().filter_map(Weak::upgrade).find(|slot| slot.server == key.server);
        let slot = shared.unwrap_or_else(|| {
            let slot = Arc::new(Slot::new(key.server.clone()));
            running.slots.push(Arc::downgrade(&slot));
            slot
        });
        let watch = Arc::new(Watch {
            key,
            known: Mutex::default(),
            subscribers: Mutex::default(),
            metrics: self.metrics.clone(),
        });
        let task = running.tasks.spawn(Arc::clone(&watch).run(slot));
        running.entries.push(Entry { watch: Arc::clone(&watch), n_leases: 1, task });
        Lease { watch, watches: Arc::clone(self) }
    }
}

/// A share in a watch; the last one to go ends it.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) watch: Arc<Watch>,
    watches: Arc<Watches>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut running = lock(&self.watches.running);
        let Some(at) = running.entries.iter().position(|entry| Arc::ptr_eq(&entry.watch, &self.watch)) else { return };
        running.entries[at].n_leases -= 1;
        if running.entries[at].n_leases == 0 {
            running.entries.swap_remove(at).task.abort();
        }
    }
}
