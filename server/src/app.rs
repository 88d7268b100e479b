//! What everything in the server can reach: the parts, and the configuration that is in force.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use anyhow::{Context, Result};
use config::{Config, GlobalConfig};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::default_config;
use crate::flags::Flags;
use crate::logging::LogLevel;
use crate::query_log::QueryLog;
use crate::self_metrics::ServerMetrics;
use crate::settings::{Retention, Settings, global_defaults, retention_rules};

/// The running server.
pub(crate) struct App {
    pub(crate) flags: Flags,
    pub(crate) settings: Settings,
    pub(crate) db: Arc<storage::Db>,
    pub(crate) engine: query::Engine,
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
    pub(crate) started_ms: i64,
    pub(crate) config: RwLock<Arc<Config>>,
    pub(crate) reload: RwLock<Reload>,
    /// How to change what is logged, where anything is.
    pub(crate) log_level: OnceLock<LogLevel>,
    /// Asks the one task that reloads; it answers where the asker still listens.
    pub(crate) reloads: mpsc::Sender<oneshot::Sender<Result<()>>>,
}

/// How the last attempt to load the configuration went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reload {
    pub(crate) ok: bool,
    /// When the configuration in force was loaded.
    pub(crate) at_ms: i64,
}

impl App {
    /// The configuration in force.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn last_reload(&self) -> Reload {
        *self.reload.read().unwrap_or_else(PoisonError::into_inner)
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

    /// Loads the configuration again. A fault leaves the old one in force.
    pub(crate) async fn reload_now(&self) -> Result<()> {
        let loaded = match load(&self.flags) {
            Ok(config) => self.put_in_force(config).await,
            Err(error) => Err(error),
        };
        match loaded {
            Ok(()) => {
                tracing::info!(filename = &self.flags.config_file, "Completed loading of configuration file");
                Ok(())
            }
            Err(error) => {
                self.metrics.reload_ok.set(0.0);
                self.reload.write().unwrap_or_else(PoisonError::into_inner).ok = false;
                tracing::error!(err = %format!("{error:#}"), "Error reloading config; the old one stays in force");
                Err(error)
            }
        }
    }

    /// Hands a configuration to the parts; when it cannot be had as a whole, to none of them.
    pub(crate) async fn put_in_force(&self, config: Config) -> Result<()> {
        self.query_log.reopen(config.global.query_log_file.as_deref())?;
        for warning in config.warnings.iter().cloned().chain(config.not_served()) {
            tracing::warn!("{warning}");
        }
        if let Some(level) = self.log_level.get() {
            level.set(config.log_level().unwrap_or_else(|| &self.flags.log_level.0));
        }
        let config = Arc::new(config);
        match retention_rules(&config) {
            Ok(rules) => self.db.set_retention_rules(rules),
            Err(error) => tracing::error!(err = %format!("{error:#}"), "the retention rules stay as they were"),
        }
        self.db.set_out_of_order_window(config.storage.out_of_order_time_window_ms);
        let exemplars = crate::settings::exemplars_max(&self.flags, &config);
        if let Err(error) = self.db.set_exemplars_max(exemplars) {
            tracing::error!(err = %error, "exemplars are kept as before");
        }
        let GlobalConfig { query_max_series, query_max_samples_read, query_max_duration_ms, .. } = config.global;
        self.engine.options().cost.set(query_max_series, query_max_samples_read, query_max_duration_ms);
        self.scraper.apply(&config.scrape_configs).await;
        self.discovery.lock().await.apply(&config.scrape_configs);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        let at_ms = model::time::now_ms();
        *self.reload.write().unwrap_or_else(PoisonError::into_inner) = Reload { ok: true, at_ms };
        self.metrics.reload_ok.set(1.0);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch are far below 2^53")]
        self.metrics.reload_ok_at.set(at_ms as f64 / 1000.0);
        Ok(())
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
