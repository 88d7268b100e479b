//! The watches that run: one for all consumers that need the same objects of the same server.

use std::any::Any;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use prometheus::Registry;
use tokio::task::{AbortHandle, JoinSet};

use crate::Error;
use crate::cache::{Cache, Changes, Failure};
use crate::client::{ApiServer, ClientSlot};
use crate::health::WatchHealth;
use crate::metrics::Metrics;
use crate::object::{Key, Kind};
use crate::requests::Limits;
use crate::scope::Scope;
use crate::turns::Turns;
use crate::watch::Follower;

/// All watches of the process. Dropping it, and every [`Watch`], ends them.
#[derive(Debug)]
pub struct Watches {
    running: Mutex<Running>,
    metrics: Metrics,
    limits: Limits,
    turns: Arc<Turns>,
}

#[derive(Debug, Default)]
struct Running {
    entries: Vec<Entry>,
    /// The clients in use, one per server and credentials.
    slots: Vec<Weak<ClientSlot>>,
    tasks: JoinSet<()>,
    next_id: u64,
}

/// One watch that runs.
struct Entry {
    id: u64,
    server: ApiServer,
    scope: Scope,
    /// A `Cache<K>`: its type is the kind of the objects.
    cache: Arc<dyn Any + Send + Sync>,
    n_consumers: usize,
    task: AbortHandle,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("server", &self.server).field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl Watches {
    /// No watch yet.
    ///
    /// # Errors
    /// When the registry already holds metrics of these names.
    pub fn new(registry: &Registry) -> Result<Arc<Self>, Error> {
        Self::with_limits(registry, Limits::default())
    }

    /// The same with other limits of time.
    ///
    /// # Errors
    /// When the registry already holds metrics of these names.
    pub fn with_limits(registry: &Registry, limits: Limits) -> Result<Arc<Self>, Error> {
        let turns = Arc::new(Turns::new(limits.named_watches));
        Ok(Arc::new(Self { running: Mutex::default(), metrics: Metrics::new(registry)?, limits, turns }))
    }

    /// The watch of the objects of kind `K` in a scope. It starts now, within a tokio runtime, unless it runs already.
    #[must_use]
    pub fn watch<K: Kind>(self: &Arc<Self>, server: &ApiServer, scope: Scope) -> Watch<K> {
        let mut running = self.running.lock();
        // Tasks of watches that ended are still held until they are joined.
        while running.tasks.try_join_next().is_some() {}
        // The type of the cache identifies the kind of object.
        let same = |entry: &&mut Entry| entry.cache.is::<Cache<K>>() && entry.server == *server && entry.scope == scope;
        if let Some(entry) = running.entries.iter_mut().find(same)
            && let Ok(cache) = Arc::clone(&entry.cache).downcast::<Cache<K>>()
        {
            entry.n_consumers += 1;
            return Watch { id: entry.id, cache, watches: Arc::clone(self) };
        }
        let cache = Arc::new(Cache::<K>::new());
        let slot = running.slot(server);
        let (metrics, limits, turns) = (self.metrics.clone(), self.limits, Arc::clone(&self.turns));
        let follower = Follower { cache: Arc::clone(&cache), scope: scope.clone(), slot, metrics, limits, turns };
        let task = running.tasks.spawn(follower.run());
        let id = running.next_id;
        running.next_id += 1;
        let untyped: Arc<dyn Any + Send + Sync> = Arc::<Cache<K>>::clone(&cache);
        running.entries.push(Entry { id, server: server.clone(), scope, cache: untyped, n_consumers: 1, task });
        Watch { id, cache, watches: Arc::clone(self) }
    }
}

impl Running {
    /// The client of a server, shared by its watches.
    fn slot(&mut self, server: &ApiServer) -> Arc<ClientSlot> {
        // Held weakly: the client ends with the last watch that uses it.
        self.slots.retain(|slot| slot.strong_count() > 0);
        let shared = self.slots.iter().filter_map(Weak::upgrade).find(|slot| slot.server == *server);
        shared.unwrap_or_else(|| {
            let slot = Arc::new(ClientSlot::new(server.clone()));
            self.slots.push(Arc::downgrade(&slot));
            slot
        })
    }
}

/// One consumer's hold on a watch: the objects as they are known now. Dropping the last hold ends the watch.
#[derive(Debug)]
pub struct Watch<K: Kind> {
    id: u64,
    cache: Arc<Cache<K>>,
    watches: Arc<Watches>,
}

impl<K: Kind> Watch<K> {
    /// An object, if it is known.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.cache.get(key)
    }

    /// All known objects, by namespace and name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<K>> {
        self.cache.all()
    }

    /// Was the first list received, or did it fail? Before that nothing is known.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.cache.is_settled()
    }

    /// Why the watch does not work, or does not show everything, until it does again.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        self.failure().map(|failure| failure.message)
    }

    /// The same with the status of the server's response, and since when what is known is stale.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.cache.failure()
    }

    /// How the watch fares, for whoever looks later.
    #[must_use]
    pub fn health(&self) -> WatchHealth {
        let running = self.watches.running.lock();
        let entry = running.entries.iter().find(|entry| entry.id == self.id);
        let asked = entry.map(|entry| (entry.server.to_string(), entry.scope.clone())).unwrap_or_default();
        WatchHealth::new(self.id, asked, &self.cache)
    }

    /// Adds every later change, with a tag that names this watch, for as long as `changes` is held.
    pub fn notify<T: Ord + Clone + Send + Sync + 'static>(&self, changes: &Arc<Changes<T>>, tag: T) {
        self.cache.subscribe(changes, tag);
    }
}

impl<K: Kind> Drop for Watch<K> {
    fn drop(&mut self) {
        let mut running = self.watches.running.lock();
        let Some(at) = running.entries.iter().position(|entry| entry.id == self.id) else { return };
        running.entries[at].n_consumers -= 1;
        if running.entries[at].n_consumers == 0 {
            // Under the lock, so that no new consumer can join a watch that is ending.
            running.entries.swap_remove(at).task.abort();
        }
    }
}
