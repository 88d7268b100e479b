//! Runs one discoverer for each distinct configuration, and hands what they find to the consumers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use config::SdConfig;
use http_client::Resolver;
use kube_watch::{Key, Watches};
use prometheus::Registry;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::Error;
use crate::consumer::Consumer;
use crate::departures::Departure;
use crate::discoverer::{Context, Surroundings};
use crate::health::SourceStatus;
use crate::kinds;
use crate::kubernetes::without_targets::Lookup;
use crate::metrics::Metrics;
use crate::place::place;
use crate::source_metrics;
use crate::store::{ProviderStatus, Publisher, Subscription, TargetStore};

/// The first pause between two publications; it doubles while changes go on, up to the debounce.
const PAUSE_FIRST: Duration = Duration::from_millis(100);

/// The pause is at least so many times as long as the publication before it took.
const PAUSE_PER_WORK: u32 = 20;

/// How the manager works.
#[derive(Clone, Debug)]
pub struct Options {
    /// While changes go on, they are published this often.
    pub debounce: Duration,
    /// The namespace of this process, if it is known: of `own_namespace` in configurations, and where Kubernetes objects are looked
    /// for while looking in all namespaces is forbidden.
    pub own_namespace: Option<String>,
    /// The Service of all kubelets: discoveries of services and endpoints find it as if Prometheus-Operator had written it
    /// (`--kubelet-service`), unless there is one.
    pub kubelet_service: Option<Key>,
    /// The user agent of requests.
    pub user_agent: String,
    /// Who resolves names.
    pub resolver: Resolver,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(500),
            own_namespace: kube_watch::own_namespace(),
            kubelet_service: None,
            user_agent: "Weft".to_owned(),
            resolver: Resolver::system(),
        }
    }
}

/// Runs the discoveries of all consumers. Dropping it ends them.
#[derive(Debug)]
pub struct Manager {
    store: Arc<TargetStore>,
    context: Context,
    /// The discoveries that some consumer uses.
    running: HashMap<SdConfig, Running>,
    next_id: u64,
    tasks: JoinSet<()>,
}

/// A discovery that runs.
#[derive(Debug)]
struct Running {
    id: u64,
    /// `None` for kinds that are not served.
    task: Option<AbortHandle>,
}

impl Manager {
    /// A manager without consumers; must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the registry already holds metrics of these names.
    pub fn new(options: Options, registry: &Registry, watches: Arc<Watches>) -> Result<Self, Error> {
        let metrics = Metrics::new(registry)?;
        let store = Arc::new(TargetStore::new(metrics.clone()));
        source_metrics::register(&store, registry)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(publish(Arc::clone(&store), options.debounce));
        let Options { own_namespace, kubelet_service, user_agent, resolver, .. } = options;
        let context = Context {
            metrics,
            kubernetes: Surroundings { watches, own_namespace, kubelet_service, pod_labels: Arc::default() },
            http: (user_agent, resolver),
        };
        Ok(Self { store, context, running: HashMap::new(), next_id: 0, tasks })
    }

    /// The same with watches of its own, for a program that follows no other objects.
    ///
    /// # Errors
    /// When the registry already holds metrics of these names.
    pub fn alone(options: Options, registry: &Registry) -> Result<Self, Error> {
        Self::new(options, registry, Watches::new(registry)?)
    }

    /// The target groups of a consumer, by its keys.
    #[must_use]
    pub fn subscribe(&self, consumer: Consumer) -> Subscription {
        self.store.subscribe(consumer)
    }

    /// Sets what a consumer wants: for each of its keys the discoveries whose groups it gets. Discoveries that were wanted
    /// before run on undisturbed, and those that are configured alike run once, for whichever consumers. Static targets are
    /// published before this returns.
    pub fn apply<'a>(&mut self, consumer: Consumer, wanted: impl IntoIterator<Item = (&'a str, &'a [SdConfig])>) {
        // Discoveries that ended are held until they are joined.
        while self.tasks.try_join_next().is_some() {}
        let mut keys = BTreeMap::new();
        for (key, configs) in wanted {
            keys.insert(key.to_owned(), configs.iter().map(|config| self.provider(config)).collect());
        }
        // New discoveries run before old ones are dropped: one that both configurations have is never restarted.
        let used = self.store.set_wanted(consumer, keys);
        self.running.retain(|_, running| {
            let is_used = used.contains(&running.id);
            if !is_used && let Some(task) = &running.task {
                task.abort();
            }
            is_used
        });
        self.store.publish();
    }

    /// How each discovery fares.
    #[must_use]
    pub fn health(&self) -> Vec<ProviderStatus> {
        self.store.health()
    }

    /// How each source of targets fares: each watch, and each service or file that is asked again and again.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceStatus> {
        self.store.sources()
    }

    /// Why targets that were found for a key of a consumer are found no more, as far as that is remembered; the oldest first.
    #[must_use]
    pub fn departures(&self, consumer: Consumer, key: &str) -> Vec<Departure> {
        self.store.departures(consumer, key)
    }

    /// Looks at the objects that discoveries follow, without holding up what they do.
    #[must_use]
    pub fn lookup(&self) -> Lookup {
        Lookup(self.context.kubernetes.clone())
    }

    /// Ends all discoveries and waits for them.
    pub async fn shutdown(&mut self) {
        self.running.clear();
        self.tasks.shutdown().await;
    }

    /// The id of a discovery: of one that runs already, or of a new one.
    fn provider(&mut self, config: &SdConfig) -> u64 {
        if let Some(running) = self.running.get(config) {
            return running.id;
        }
        // Never used again: what a task publishes while it is aborted must not reach a later discovery.
        let id = self.next_id;
        self.next_id += 1;
        self.store.add(id, (config.field(), place(config)));
        let publisher = Publisher::new(&self.store, id);
        let task = match kinds::discoverer(config, &self.context) {
            Some(discoverer) => {
                // Static targets are there at once and do not wait for the first turn of a task.
                discoverer.publish_now(&publisher);
                Some(self.tasks.spawn(discoverer.run(publisher)))
            }
            None => {
                publisher.report(Some(format!("{} is not served yet and finds no targets", config.field())));
                None
            }
        };
        self.running.insert(config.clone(), Running { id, task });
        id
    }
}

/// Publishes the first change at once, and then with growing pauses while changes go on.
async fn publish(store: Arc<TargetStore>, debounce: Duration) {
    let mut pause = PAUSE_FIRST.min(debounce);
    loop {
        // A cluster that rolls out changes every second; each publication makes every scrape pool compare its
        // targets.
        match tokio::time::timeout(debounce, store.changed()).await {
            Ok(()) => {
                let began = Instant::now();
                store.publish();
                // However many groups there are, this takes a small part of a core.
                tokio::time::sleep(pause.max(began.elapsed() * PAUSE_PER_WORK)).await;
                pause = (pause * 2).min(debounce);
            }
            // Nothing changed for a while: the next change is published at once again.
            Err(_) => {
                pause = PAUSE_FIRST.min(debounce);
                store.changed().await;
                store.publish();
            }
        }
    }
}
