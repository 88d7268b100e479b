//! The state that handlers and components share: the engines, and the configuration in force.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use config::Config;
use model::{MergedQuerier, Querier, Timestamp};
use parking_lot::RwLock;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::active_queries::ActiveQueries;
use crate::api::{InPlace, Reads, Receivers};
use crate::catch_up::CatchUp;
use crate::config_file::has_default_config;
use crate::flags::Flags;
use crate::last_run::Mark;
use crate::metric_usage::{Counted, MetricUsage, Origin};
use crate::notifications::{Notifications, RELOAD_FAILED, SHUTTING_DOWN};
use crate::profiles::Turns;
use crate::query_log::QueryLog;
use crate::self_metrics::ServerMetrics;
use crate::settings::{Settings, global_defaults};
use crate::top_queries::TopQueries;

/// The running server.
pub(crate) struct App {
    pub(crate) flags: Flags,
    pub(crate) settings: Settings,
    pub(crate) db: Arc<storage::Db>,
    pub(crate) metric_usage: Arc<MetricUsage>,
    pub(crate) engine: RwLock<Arc<query::Engine>>,
    pub(crate) query_slots: Arc<Semaphore>,
    pub(crate) in_place: Arc<InPlace>,
    /// Of queries that others left no memory, one at a time is tried again.
    pub(crate) query_turn: Arc<Semaphore>,
    /// Of requests that read and are no queries: labels, series, texts of queries.
    pub(crate) listing_slots: Arc<Semaphore>,
    /// Of scrapes that are only shown.
    pub(crate) trial_turn: Semaphore,
    /// Of what other systems send.
    pub(crate) receivers: Receivers,
    /// Of what they read.
    pub(crate) reads: Reads,
    pub(crate) query_log: QueryLog,
    pub(crate) active_queries: Arc<ActiveQueries>,
    pub(crate) top_queries: TopQueries,
    pub(crate) profiles: Turns,
    /// Of this process in the data directory, until it ends in order.
    pub(crate) mark: Mark,
    pub(crate) discovery: Mutex<discovery::Manager>,
    pub(crate) scraper: Arc<scraper::Manager>,
    pub(crate) remote_write: remote::send::Manager,
    /// Servers that are read from beside the store.
    pub(crate) remote_read: remote::read::Remotes,
    /// Whether what was missed is still being fetched from a replica.
    pub(crate) catch_up: CatchUp,
    pub(crate) rules: rules::Manager,
    pub(crate) notifier: Arc<rules::Notifier>,
    /// Follows objects of the API server, with `--operator`.
    pub(crate) operator: Option<Arc<operator::Operator>>,
    pub(crate) registry: prometheus::Registry,
    pub(crate) metrics: ServerMetrics,
    pub(crate) notifications: Notifications,
    /// Cancelled when the server is to end.
    pub(crate) stop: CancellationToken,
    pub(crate) started: Timestamp,
    pub(crate) config: RwLock<Arc<Config>>,
    /// The configuration file as it was loaded last; what objects ask for is added to it.
    pub(crate) file: RwLock<Arc<Config>>,
    pub(crate) reload: RwLock<Reload>,
    /// Asks the one task that reloads; it answers where the asker still listens.
    pub(crate) reloads: mpsc::Sender<Ask>,
}

/// A request to put a configuration into force.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) what: What,
    /// Gets the outcome, if the asker still listens.
    pub(crate) answer: oneshot::Sender<Result<()>>,
}

/// What is to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The configuration file, and then the objects.
    File,
    /// The objects; the file stays as it was loaded last.
    Objects,
}

/// How the last attempt to load the configuration went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reload {
    pub(crate) ok: bool,
    /// When the configuration in force was loaded.
    pub(crate) at: Timestamp,
}

impl App {
    /// The store as one request of the API reads it, with what other servers have: which metrics it asks for is counted.
    pub(crate) fn querier(&self) -> Counted {
        Counted::new(self.store(), &self.metric_usage, Origin::Api)
    }

    /// What is stored here, as one request of the API reads it: whoever asks for this server's own series, or may be asked by it.
    pub(crate) fn own_querier(&self) -> Counted {
        Counted::new(Arc::<storage::Db>::clone(&self.db), &self.metric_usage, Origin::Api)
    }

    /// The store with what other servers have, as the configuration in force says.
    pub(crate) fn store(&self) -> Arc<dyn Querier> {
        let db: Arc<dyn Querier> = Arc::<storage::Db>::clone(&self.db);
        let merged = MergedQuerier::new(db, self.remote_read.queriers());
        Arc::new(merged.with_replicas(self.remote_read.replicas()))
    }

    /// The configuration in force.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read())
    }

    pub(crate) fn last_reload(&self) -> Reload {
        *self.reload.read()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Tells the server to end, and people that it does.
    pub(crate) fn begin_shutdown(&self) {
        self.notifications.raise(SHUTTING_DOWN);
        self.stop.cancel();
    }

    /// Is there no configuration file, and none was asked for?
    pub(crate) fn has_default_config(&self) -> bool {
        has_default_config(&self.flags)
    }

    /// Has the configuration loaded again, and waits for the outcome. A caller that does not wait changes nothing: the
    /// reload goes on.
    pub(crate) async fn reload(&self, what: What) -> Result<()> {
        let (answer, outcome) = oneshot::channel();
        let stopping = || anyhow::anyhow!("the server is stopping");
        self.reloads.send(Ask { what, answer }).await.map_err(|_| stopping())?;
        outcome.await.map_err(|_| stopping())?
    }

    /// A configuration file with what the objects of the API server ask for: their jobs and rules follow those of the file, and a
    /// Prometheus object stands in the place of everything else.
    pub(crate) fn with_objects(&self, file: &Config) -> Config {
        let Some(operator) = &self.operator else { return file.clone() };
        let outcome = operator.apply(file, &global_defaults(&self.flags));
        let base = outcome.base.as_deref().map_or_else(|| file.clone(), |base| base.with_jobs(&file.scrape_configs));
        let mut names: BTreeSet<&str> = base.scrape_configs.iter().map(|job| job.job_name.as_str()).collect();
        let mut jobs = Vec::new();
        for job in &outcome.jobs {
            // Only jobs of a file, or of additionalScrapeConfigs, can have the name of another one.
            if names.insert(&job.config.job_name) {
                jobs.push(Arc::clone(&job.config));
            } else {
                tracing::error!(job = job.config.job_name, "two jobs have the same name; the first one runs");
            }
        }
        let rules = file.rules.iter().chain(outcome.rules.iter().map(|one| &one.groups)).map(Arc::clone).collect();
        let mut config = base.with_jobs(&jobs);
        (config.rules, config.rule_files) = (rules, file.rule_files.clone());
        config
    }

    /// The query engine, with the intervals of the configuration in force.
    pub(crate) fn engine(&self) -> Arc<query::Engine> {
        Arc::clone(&self.engine.read())
    }

    /// Replaces the query engine; queries in progress end with the one they began with.
    pub(crate) fn set_engine(&self, engine: query::Engine) {
        *self.engine.write() = Arc::new(engine);
    }

    /// A configuration is in force.
    pub(crate) fn reloaded(&self, config: Arc<Config>) {
        *self.config.write() = config;
        let at = Timestamp::now();
        *self.reload.write() = Reload { ok: true, at };
        self.metrics.reload_ok.set(1.0);
        self.metrics.reload_ok_at.set(at.as_seconds());
        self.notifications.take_back(RELOAD_FAILED);
    }

    /// A configuration could not be loaded or applied; the one before it stays in force.
    pub(crate) fn reload_failed(&self) {
        self.metrics.reload_ok.set(0.0);
        self.notifications.raise(RELOAD_FAILED);
        self.reload.write().ok = false;
    }
}
