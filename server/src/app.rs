//! The state that handlers and components share: the engines, and the configuration in force.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use config::Config;
use model::Timestamp;
use parking_lot::RwLock;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::default_config;
use crate::flags::Flags;
use crate::query_log::QueryLog;
use crate::self_metrics::ServerMetrics;
use crate::settings::{Retention, Settings, global_defaults, retention_rules};

/// The running server.
pub(crate) struct App {
    pub(crate) flags: Flags,
    pub(crate) settings: Settings,
    pub(crate) db: Arc<storage::Db>,
    pub(crate) engine: RwLock<Arc<query::Engine>>,
    pub(crate) query_slots: Arc<Semaphore>,
    /// Of queries that others left no memory, one at a time is tried again.
    pub(crate) query_turn: Arc<Semaphore>,
    /// Of requests that read and are no queries: labels, series, texts of queries.
    pub(crate) listing_slots: Arc<Semaphore>,
    pub(crate) query_log: QueryLog,
    pub(crate) discovery: Mutex<discovery::Manager>,
    pub(crate) scraper: scraper::Manager,
    pub(crate) registry: prometheus::Registry,
    pub(crate) metrics: ServerMetrics,
    /// Cancelled when the server is to end.
    pub(crate) stop: CancellationToken,
    pub(crate) started: Timestamp,
    pub(crate) config: RwLock<Arc<Config>>,
    pub(crate) reload: RwLock<Reload>,
    /// Asks the one task that reloads; it answers where the asker still listens.
    pub(crate) reloads: mpsc::Sender<oneshot::Sender<Result<()>>>,
}

/// How the last attempt to load the configuration went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reload {
    pub(crate) ok: bool,
    /// When the configuration in force was loaded.
    pub(crate) at: Timestamp,
}

impl App {
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

    /// Is there no configuration file, and none was asked for?
    pub(crate) fn has_default_config(&self) -> bool {
        has_default_config(&self.flags)
    }

    /// Has the configuration loaded again, and waits for the outcome. A caller that does not wait changes nothing: the
    /// reload goes on.
    pub(crate) async fn reload(&self) -> Result<()> {
        let (answer, outcome) = oneshot::channel();
        let stopping = || anyhow::anyhow!("the server is stopping");
        self.reloads.send(answer).await.map_err(|_| stopping())?;
        outcome.await.map_err(|_| stopping())?
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
    }

    /// A configuration could not be loaded or applied; the one before it stays in force.
    pub(crate) fn reload_failed(&self) {
        self.metrics.reload_ok.set(0.0);
        self.reload.write().ok = false;
    }
}

/// The configuration with the flags as defaults of what it does not say.
pub(crate) fn load(flags: &Flags) -> Result<Config> {
    let retention = Retention::new(flags);
    let mut config = read(flags)?;
    config.default_retention(retention.time_ms, retention.size_bytes);
    config.default_log_level(&flags.log_level.0);
    // Only the query engine can read a selector.
    retention_rules(&config)?;
    Ok(config)
}

fn has_default_config(flags: &Flags) -> bool {
    !flags.config_file_given && !Path::new(&flags.config_file).exists()
}

/// The configuration file, or the embedded configuration where no file was asked for and none is there.
fn read(flags: &Flags) -> Result<Config> {
    let path = PathBuf::from(&flags.config_file);
    let defaults = global_defaults(flags);
    if has_default_config(flags) {
        let text = default_config::text(flags.web_listen_address.last(), &flags.web_route_prefix);
        let env = |name: &str| std::env::var(name).ok();
        return Config::parse_over(&defaults, &text, &path, &env).context("the embedded configuration");
    }
    Config::load(&path, &defaults)
        .with_context(|| format!("couldn't load configuration (--config.file={:?})", path.display()))
}
