//! Runs a provider for every distinct discovery of the jobs, and publishes what they find.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use config::{ScrapeConfig, SdConfig, StaticConfig};
use model::labels::ADDRESS;
use model::{Labels, TargetGroup, TargetGroups};
use prometheus::Registry;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::hub::{Hub, ProviderStatus, Sink};
use crate::kubernetes::provider;
use crate::kubernetes::watch::Watches;
use crate::metrics::Metrics;
use crate::{Error, file};

/// The first pause between two publications; it doubles while changes go on, up to the debounce.
const PAUSE_FIRST: Duration = Duration::from_millis(100);

/// How the manager works.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Publications are at most this far apart while changes go on.
    pub debounce: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { debounce: Duration::from_secs(5) }
    }
}

/// Runs the discoveries of the scrape jobs. Dropping it ends them.
#[derive(Debug)]
pub struct Manager {
    hub: Arc<Hub>,
    watches: Arc<Watches>,
    running: Vec<Running>,
    next_id: u64,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Running {
    config: SdConfig,
    id: u64,
    /// `None` for what needs no task.
    task: Option<AbortHandle>,
}

impl Manager {
    /// A manager without jobs; must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the registry already holds metrics of these names.
    pub fn new(options: Options, registry: &Registry) -> Result<Self, Error> {
        let metrics = Metrics::new(registry)?;
        let hub = Arc::new(Hub::new(metrics.clone()));
        let mut tasks = JoinSet::new();
        tasks.spawn(publish(Arc::clone(&hub), options.debounce));
        Ok(Self { hub, watches: Arc::new(Watches::new(metrics)), running: Vec::new(), next_id: 0, tasks })
    }

    /// What was found, by job, now and whenever it changes.
    #[must_use]
    pub fn targets(&self) -> watch::Receiver<Arc<TargetGroups>> {
        self.hub.subscribe()
    }

    /// Takes these jobs instead of the former ones. Discoveries that both have run on undisturbed; static targets are
    /// published before this returns.
    pub fn apply(&mut self, jobs: &[Arc<ScrapeConfig>]) {
        while self.tasks.try_join_next().is_some() {}
        let mut former = std::mem::take(&mut self.running);
        let mut ids_of_jobs = BTreeMap::new();
        for job in jobs {
            let ids = job.sd.iter().map(|sd| self.provider(sd, &mut former)).collect();
            ids_of_jobs.insert(job.job_name.clone(), ids);
        }
        for gone in former {
            if let Some(task) = gone.task {
                task.abort();
            }
        }
        self.hub.set_jobs(ids_of_jobs);
        self.hub.publish();
    }

    /// How each provider fares.
    #[must_use]
    pub fn health(&self) -> Vec<ProviderStatus> {
        self.hub.health()
    }

    /// Ends all discoveries and waits for them.
    pub async fn shutdown(&mut self) {
        self.running.clear();
        self.tasks.shutdown().await;
    }

    /// The provider of a discovery: one that runs already, or a new one.
    fn provider(&mut self, sd: &SdConfig, former: &mut Vec<Running>) -> u64 {
        if let Some(running) = self.running.iter().find(|running| running.config == *sd) {
            return running.id;
        }
        if let Some(at) = former.iter().position(|running| running.config == *sd) {
            let running = former.swap_remove(at);
            let id = running.id;
            self.running.push(running);
            return id;
        }
        let id = self.next_id;
        self.next_id += 1;
        self.hub.add(id, sd.field());
        let sink = Sink { hub: Arc::clone(&self.hub), id };
        let task = match sd {
            SdConfig::Static(config) => {
                sink.replace(vec![static_group(config)]);
                None
            }
            SdConfig::File(config) => Some(self.tasks.spawn(file::run(config.clone(), sink))),
            SdConfig::Kubernetes(config) => {
                let run = provider::run(config.as_ref().clone(), Arc::clone(&self.watches), sink);
                Some(self.tasks.spawn(run))
            }
            SdConfig::Dns(_) | SdConfig::Http(_) | SdConfig::Unserved(_) => {
                sink.report(Some(format!("{} is not served yet and finds no targets", sd.field())));
                None
            }
        };
        self.running.push(Running { config: sd.clone(), id, task });
        id
    }
}

fn static_group(config: &StaticConfig) -> TargetGroup {
    TargetGroup {
        source: config.source.clone(),
        labels: config.labels.clone(),
        targets: config.targets.iter().map(|target| Labels::from_pairs([(ADDRESS, target)])).collect(),
    }
}

/// Publishes the first change at once, and then with growing pauses while changes go on.
async fn publish(hub: Arc<Hub>, debounce: Duration) {
    let mut pause = PAUSE_FIRST.min(debounce);
    loop {
        match tokio::time::timeout(debounce, hub.changed()).await {
            Ok(()) => {
                hub.publish();
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(debounce);
            }
            // It was quiet for a while.
            Err(_) => {
                pause = PAUSE_FIRST.min(debounce);
                hub.changed().await;
                hub.publish();
            }
        }
    }
}
