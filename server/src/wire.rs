//! The one place where parts are built and joined, started and ended.

use std::sync::{Arc, OnceLock, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use config::Config;
use model::duration::format_duration_ms;
use prometheus::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Reload, load};
use crate::default_config::NODE_EXPORTER;
use crate::flags::{Flags, ms};
use crate::listen::bind;
use crate::logging::{self, LogLevel};
use crate::query_log::QueryLog;
use crate::self_metrics::ServerMetrics;
use crate::serve::{HttpServer, Limits, Web};
use crate::settings::{
    Retention, Settings, body_memory, long_query_memory, query_memory, storage_options, wanted_of_targets,
};
use crate::{api, node_exporter, version};

/// How often old data is looked for.
const RETENTION_EVERY: Duration = Duration::from_secs(60);
/// How often the system's clock is read for steps.
const CLOCK_EVERY: Duration = Duration::from_secs(1);
/// How often targets are looked over when discovery has nothing new.
const TARGETS_EVERY: Duration = Duration::from_secs(60);
/// How long answers that are under way may take once the server is to end.
const DRAIN: Duration = Duration::from_secs(10);

/// How the task that reloads is asked.
type Reloads = mpsc::Sender<oneshot::Sender<Result<()>>>;

/// Starts logging. What goes wrong before is for the standard error stream.
pub(crate) fn start_logging(flags: &Flags) -> Result<LogLevel> {
    logging::start(&flags.log_level.0, flags.log_format)
}

/// Runs the server until it is told to end.
pub(crate) fn run(flags: Flags, level: LogLevel) -> Result<()> {
    // As Go does: the soft limit, 1024 where systemd started the process, is for programs that use select.
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => tracing::debug!(files, "file descriptors that may be open"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
    }
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("the TLS provider was installed already");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(serve(flags, level))
}

async fn serve(flags: Flags, level: LogLevel) -> Result<()> {
    tracing::info!(version = version::WEFT, compatible_with = version::COMPATIBLE, "Starting Weft");
    if !flags.ignored.is_empty() {
        tracing::warn!(flags = flags.ignored.join(","), "these flags are accepted and have no effect");
    }
    let (idle, unknown) = flags.features.without_effect();
    if !idle.is_empty() {
        tracing::warn!(features = idle.join(","), "these features are accepted and have no effect");
    }
    if !unknown.is_empty() {
        tracing::warn!(features = unknown.join(","), "unknown features in --enable-feature");
    }
    let config = load(&flags)?;
    let web = Arc::new(Web::open(&flags.web_config_file)?);
    let listeners = listen(&flags).await?;
    let (reloads, asked) = mpsc::channel(1);
    let app = build(flags, &config, reloads)?;
    app.log_level.set(level).ok();
    let mut tasks = JoinSet::new();
    tasks.spawn(follow_discovery(Arc::clone(&app)));
    let clock = Clock::start(&app)?;
    tasks.spawn(clock.run(Arc::clone(&app)));
    tasks.spawn(retention(Arc::clone(&app)));
    tasks.spawn(reload(Arc::clone(&app), asked));
    tasks.spawn(signals(Arc::clone(&app))?);
    if app.has_default_config() {
        tasks.spawn(node_exporter::follow(Arc::clone(&app), NODE_EXPORTER, node_exporter::LOOK_EVERY));
    }
    app.put_in_force(config).await?;
    let (router, prefix) = (api::router(Arc::clone(&app)), app.settings.route_prefix.clone());
    let limits = Limits {
        requests: app.settings.max_connections,
        read_timeout: app.settings.read_timeout,
        long_queries: long_query_memory(),
    };
    let scheme = if web.current().tls.is_some() { "https" } else { "http" };
    let mut server = HttpServer::new(router, &prefix, limits, web, app.stop.clone());
    for listener in listeners {
        let address = listener.local_addr()?;
        tracing::info!(%address, "Start listening for connections");
        tracing::info!("Open {scheme}://localhost:{}{prefix}", address.port());
        server.listen(listener);
    }
    app.metrics.ready.set(1.0);
    tracing::info!("Server is ready to receive web requests.");
    app.stop.cancelled().await;
    end(&app, tasks, server).await
}

/// Ends in the order in which least is lost: answers are delivered while scraping goes on, then the last scrapes are stored.
async fn end(app: &Arc<App>, mut tasks: JoinSet<()>, server: HttpServer) -> Result<()> {
    tracing::info!("Stopping: no more connections");
    app.metrics.ready.set(0.0);
    if !server.end(DRAIN).await {
        tracing::warn!(after = ?DRAIN, "some answers were still under way and are given up");
    }
    // First what could start something: reloads, and targets that come.
    tasks.shutdown().await;
    app.discovery.lock().await.shutdown().await;
    app.scraper.shutdown().await;
    let db = Arc::clone(&app.db);
    tokio::task::spawn_blocking(move || db.close()).await.context("cannot close the database")??;
    tracing::info!("See you next time!");
    Ok(())
}

async fn listen(flags: &Flags) -> Result<Vec<tokio::net::TcpListener>> {
    let mut listeners = Vec::new();
    for address in &flags.web_listen_address.0 {
        let listener =
            bind(address).await.with_context(|| format!("--web.listen-address: cannot listen on {address}"))?;
        listeners.push(listener);
    }
    Ok(listeners)
}

pub(crate) fn build(flags: Flags, config: &Config, reloads: Reloads) -> Result<Arc<App>> {
    let settings = Settings::new(&flags)?;
    let registry = Registry::new();
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    let mut options = storage_options(&flags);
    options.retention_ms = Retention::in_force(config).time_ms;
    let db = Arc::new(storage::Db::open(options, &registry)?);
    db.start_sealing().context("cannot start the thread that seals")?;
    let concurrency = flags.query_max_concurrency.max(1);
    let options = query::EngineOptions {
        lookback_delta_ms: ms(flags.query_lookback_delta),
        max_samples: flags.query_max_samples,
        memory: Arc::new(query_memory(&flags, &db)),
        timeout: settings.query_timeout,
        default_step_ms: config.global.evaluation_interval_ms,
        scrape_interval_ms: config.global.scrape_interval_ms,
        cost: Arc::new(cost_limits(&flags, config)),
        ..query::EngineOptions::default()
    };
    let engine = query::Engine::new(options.with_features(flags.features.names()));
    let user_agent = format!("Prometheus/{} Weft/{}", version::COMPATIBLE, version::WEFT);
    let seed = scraper::server_seed(&settings.hostname, &config.global.external_labels);
    let appender: Arc<dyn model::Appender> = Arc::<storage::Db>::clone(&db);
    let wanted = wanted_of_targets(&flags);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let resolver = scraper::Resolver::system();
    let options = scraper::Options { user_agent, resolver, seed, wanted, body_memory: body_memory(), threads };
    let scraper = scraper::Manager::new(appender, &registry, options)?;
    let discovery = discovery::Manager::new(discovery::Options::default(), &registry)?;
    let mut metrics = ServerMetrics::new(&registry, concurrency)?;
    if engine.options().cost.are_enabled() {
        metrics.count_costs(&registry, Arc::clone(&engine.options().cost))?;
    }
    let query_log = QueryLog::new(&registry)?;
    let now_ms = model::time::now_ms();
    Ok(Arc::new(App {
        flags,
        settings,
        db,
        engine,
        query_slots: Arc::new(Semaphore::new(concurrency)),
        query_turn: Arc::new(Semaphore::new(1)),
        listing_slots: Arc::new(Semaphore::new(concurrency)),
        query_log,
        discovery: Mutex::new(discovery),
        scraper,
        registry,
        metrics,
        stop: CancellationToken::new(),
        started_ms: now_ms,
        config: RwLock::new(Arc::new(config.clone())),
        reload: RwLock::new(Reload { ok: true, at_ms: now_ms }),
        log_level: OnceLock::new(),
        reloads,
    }))
}

/// What queries may cost, where that is looked at.
fn cost_limits(flags: &Flags, config: &Config) -> query::CostLimits {
    if !flags.features.query_cost {
        return query::CostLimits::default();
    }
    let limits = query::CostLimits::enabled();
    let global = &config.global;
    limits.set(global.query_max_series, global.query_max_samples_read, global.query_max_duration_ms);
    limits
}

/// What discovery publishes becomes the scraper's targets; now and then they are looked over all the same.
async fn follow_discovery(app: Arc<App>) {
    let mut groups = app.discovery.lock().await.targets();
    loop {
        let now = Arc::clone(&groups.borrow_and_update());
        app.scraper.sync(now).await;
        if let Ok(Err(_)) = tokio::time::timeout(TARGETS_EVERY, groups.changed()).await {
            return;
        }
    }
}

/// Reloads one after another, whoever asks and whether they wait or not.
async fn reload(app: Arc<App>, mut asked: mpsc::Receiver<oneshot::Sender<Result<()>>>) {
    while let Some(answer) = asked.recv().await {
        // The error is logged and counted where it happens; nobody may be listening.
        answer.send(app.reload_now().await).ok();
    }
}

/// Tells the store what time it is, and people when the system's clock steps.
struct Clock {
    clock: storage::Clock,
    began: Instant,
}

impl Clock {
    /// With a first reading, before anything is scraped or dropped.
    fn start(app: &App) -> Result<Self> {
        let last_ms = app.db.last_told_ms()?.map(|last| last.min(model::time::now_ms()));
        let mut clock = Self { clock: storage::Clock::new(last_ms, 0), began: Instant::now() };
        let told = clock.read();
        if told.step_ms.is_some() {
            let last = crate::clock::rfc3339(last_ms.unwrap_or_default());
            tracing::info!(
                last,
                "Weft was not running for a while; if the clock is right, retention follows within a day"
            );
        }
        app.db.set_now(told.now_ms)?;
        Ok(clock)
    }

    fn read(&mut self) -> storage::Told {
        let monotonic_ms = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.clock.read(model::time::now_ms(), monotonic_ms)
    }

    async fn run(mut self, app: Arc<App>) {
        let mut ticks = tokio::time::interval(CLOCK_EVERY);
        loop {
            ticks.tick().await;
            let told = self.read();
            if let Some(step_ms) = told.step_ms {
                app.metrics.clock_steps.inc();
                // Two readings are never exactly a second apart.
                let (step, ahead) = (format_duration_ms((step_ms.abs() + 500) / 1000 * 1000), step_ms > 0);
                let then = if ahead {
                    "nothing is dropped for it until it has lasted as long, or a day"
                } else {
                    "samples go on to be stored, before those of the time in between"
                };
                tracing::warn!(step, ahead, "The system's clock has stepped; {then}");
            }
            let db = Arc::clone(&app.db);
            let work = move || {
                db.look_after();
                db.set_now(told.now_ms)
            };
            if let Ok(Err(error)) = tokio::task::spawn_blocking(work).await {
                tracing::debug!(err = %format!("{:#}", anyhow::Error::from(error)), "cannot tell the store the time");
            }
        }
    }
}

async fn retention(app: Arc<App>) {
    let mut ticks = tokio::time::interval(RETENTION_EVERY);
    loop {
        ticks.tick().await;
        let (db, retention) = (Arc::clone(&app.db), Retention::in_force(&app.config()));
        let work = move || -> Result<(), storage::Error> {
            db.set_retention(retention.time_ms);
            if let Some(now_ms) = db.now_ms() {
                db.enforce_retention(now_ms)?;
            }
            if retention.size_bytes > 0 {
                db.enforce_size(retention.size_bytes)?;
            }
            Ok(())
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(work).await {
            tracing::error!(err = %format!("{:#}", anyhow::Error::from(error)), "cannot drop old data");
        }
    }
}

/// SIGTERM and SIGINT end the server, SIGHUP reloads the configuration.
fn signals(app: Arc<App>) -> Result<impl Future<Output = ()> + use<>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = term.recv() => tracing::info!("Received an OS signal, exiting gracefully... signal=terminated"),
                _ = int.recv() => tracing::info!("Received an OS signal, exiting gracefully... signal=interrupt"),
                _ = hup.recv() => {
                    // Not waited for: a SIGTERM must be heard meanwhile. A full queue reloads soon anyway.
                    app.reloads.try_send(oneshot::channel().0).ok();
                    continue;
                }
            }
            app.stop.cancel();
        }
    })
}
