//! Builds the parts of the server and joins them; starts its components and shuts them down.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use config::Config;
use kube_watch::ApiServer;
use parking_lot::RwLock;
use prometheus::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::active_queries::{ActiveQueries, NOTED_AFTER};
use crate::api::{Begun, InPlace, Reads, Receivers, Stop, THREADS_LEFT};
use crate::app::{App, Ask, Reload, What};
use crate::auto_reload::Seen;
use crate::catch_up::CatchUp;
use crate::component::Component;
use crate::config_file::load;
use crate::container::Container;
use crate::default_config::NODE_EXPORTER;
use crate::flags::{Flags, Tenancy, ms};
use crate::last_run::{End, LastRun, Mark};
use crate::listen::bind;
use crate::logging::{self, LogLevel};
use crate::metric_usage::MetricUsage;
use crate::notifications::{Notifications, OUT_OF_MEMORY, STARTING};
use crate::profiles::Turns;
use crate::query_log::QueryLog;
use crate::reload::Reloader;
use crate::resources::{self, cores};
use crate::self_metrics::ServerMetrics;
use crate::serve::{Tokens, Web};
use crate::settings::{
    Retention, Settings, body_memory, memory_limit, query_memory, storage_options, wanted_of_targets,
};
use crate::top_queries::TopQueries;
use crate::{auto_reload, components, node_exporter, version};

/// For so long after the start all targets count as those that were there before.
const START: Duration = Duration::from_secs(30);

/// How the task that reloads is asked.
type Reloads = mpsc::Sender<Ask>;

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
    // reqwest is built without a provider and takes that of the process.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("the TLS provider was installed already");
    }
    let threads = cores() + THREADS_LEFT;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("cannot start threads")?;
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
    let seen = Seen::new(&flags);
    let config = load(&flags)?;
    let web = Arc::new(Web::open(&flags.web_config_file)?.with_tokens(tokens(&flags)?));
    let begun = begin(&flags)?;
    // Before anything is opened: an address in use should not cost a start of the store, and who asks whether the process lives
    // is answered while a large store opens.
    let http = components::serve_starting(&Settings::new(&flags)?, &begun, web, listen(&flags).await?);
    let (reloads, asked) = mpsc::channel(1);
    let app = build_on(begun, flags, &config, reloads)?;
    let mut tasks = JoinSet::new();
    // Before the first configuration: a SIGTERM during a slow start must end it.
    tasks.spawn(signals(Arc::clone(&app))?);
    let components = components::all(&app, level, http)?;
    let reloader = Reloader::new(Arc::clone(&app), components.clone()).noting(seen.clone());
    reloader.apply_file(config).await?;
    tasks.spawn(reloader.run(asked));
    tasks.spawn(resources::follow(Arc::clone(&app), Container::of_process(), resources::LOOK_EVERY));
    if app.has_default_config() {
        tasks.spawn(node_exporter::follow(Arc::clone(&app), NODE_EXPORTER, node_exporter::LOOK_EVERY));
    }
    if let Some(seen) = seen {
        tasks.spawn(auto_reload::follow(Arc::clone(&app), seen, app.flags.reload_interval()));
    }
    let mut running = Vec::new();
    for component in components {
        // A set for each, so that the work of one ends while what it stands on goes on.
        let mut task = JoinSet::new();
        task.spawn(Arc::clone(&component).run());
        running.push((component, task));
    }
    app.stop.cancelled().await;
    shut_down(running, tasks).await
}

/// Shuts the components down in the reverse order of their start. The first is the HTTP server, whose responses may wait for a
/// reload; nothing else may change the others after it.
async fn shut_down(mut running: Vec<(Arc<dyn Component>, JoinSet<()>)>, mut tasks: JoinSet<()>) -> Result<()> {
    let mut result = Ok(());
    while let Some((component, mut task)) = running.pop() {
        // The background work first, so that nothing is begun while the component ends.
        task.shutdown().await;
        if let Err(error) = component.shutdown().await {
            let error = error.context(format!("cannot shut down {}", component.name()));
            result = result.and(Err(error));
        }
        tasks.shutdown().await;
    }
    tracing::info!("See you next time!");
    result
}

/// The check of tokens by the API server, if a flag asks for it.
fn tokens(flags: &Flags) -> Result<Option<Tokens>> {
    if !flags.web_kubernetes_auth {
        if flags.web_tenancy == Tenancy::Namespace {
            bail!("--web.tenancy=namespace needs --web.kubernetes-auth, which tells whose a request is");
        }
        return Ok(None);
    }
    let kubeconfig_file = Some(PathBuf::from(&flags.operator_kubeconfig)).filter(|path| !path.as_os_str().is_empty());
    let server = ApiServer { kubeconfig_file, ..ApiServer::default() };
    Tokens::new(server, flags.web_tenancy == Tenancy::Namespace).map(Some)
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

/// What stands before the store is open.
fn begin(flags: &Flags) -> Result<Begun> {
    let registry = Registry::new();
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    let notifications = Notifications::new(flags.web_max_notifications_subscribers, &registry)?;
    notifications.raise(STARTING);
    Ok(Begun { registry, notifications, stop: Stop(CancellationToken::new()) })
}

/// The parts of a server without its sockets.
#[cfg(test)]
pub(crate) fn build(flags: Flags, config: &Config, reloads: Reloads) -> Result<Arc<App>> {
    build_on(begin(&flags)?, flags, config, reloads)
}

fn build_on(begun: Begun, flags: Flags, config: &Config, reloads: Reloads) -> Result<Arc<App>> {
    let settings = Settings::new(&flags)?;
    let Begun { registry, notifications, stop: Stop(stop) } = begun;
    let (db, commits) = open_store(&flags, config, &registry)?;
    let concurrency = flags.query_max_concurrency.max(1);
    let engine = Arc::new(query::Engine::new(engine_options(&flags, &settings, config, &db)));
    let metric_usage = Arc::new(MetricUsage::open(Path::new(&flags.storage_tsdb_path)));
    let user_agent = format!("Prometheus/{} Weft/{}", version::COMPATIBLE, version::WEFT);
    let appender: Arc<dyn model::Appender> = Arc::<storage::Db>::clone(&db);
    let resolver = scraper::Resolver::system();
    let (rules, notifier) = components::build_rules(
        (&flags, &settings),
        (&db, &metric_usage, &engine),
        (&user_agent, &resolver),
        (&registry, &stop),
    )?;
    let (scraping, discovery) = options_of_targets(&flags, (&user_agent, &resolver))?;
    let scraper = Arc::new(scraper::Manager::new(appender, &registry, scraping)?);
    let of_requests = (&*user_agent, &resolver);
    let remote_write = components::build_remote_write(&flags, (&db, commits), &scraper, of_requests, &registry)?;
    let remote_read = components::build_remote_read(&flags, &db, of_requests, &registry)?;
    // Before the clock is read: from then on the store is told the time.
    let catch_up = CatchUp::new(&flags, db.last_told()?, &registry)?;
    let watches = kube_watch::Watches::new(&registry)?;
    let operator = components::follow_objects((&flags, &settings), &watches, &engine)?;
    let discovery = discovery::Manager::new(discovery, &registry, watches)?;
    let mut metrics = ServerMetrics::new(&registry, concurrency)?;
    if engine.options().cost.are_enabled() {
        metrics.count_costs(&registry, Arc::clone(&engine.options().cost))?;
    }
    let query_log = QueryLog::new(&registry)?;
    let (active_queries, mark) = look_back(&flags, &registry, &notifications)?;
    let receivers = Receivers::new(&flags, &db, &registry)?;
    let reads = Reads::new(&flags, &registry)?;
    let now = model::Timestamp::now();
    Ok(Arc::new(App {
        flags,
        settings,
        metric_usage,
        db,
        engine: RwLock::new(engine),
        query_slots: Arc::new(Semaphore::new(concurrency)),
        in_place: Arc::new(InPlace::new().context("cannot start a thread")?),
        query_turn: Arc::new(Semaphore::new(1)),
        listing_slots: Arc::new(Semaphore::new(concurrency)),
        trial_turn: Semaphore::new(1),
        receivers,
        reads,
        query_log,
        active_queries,
        top_queries: TopQueries::default(),
        profiles: Turns::default(),
        mark,
        discovery: Mutex::new(discovery),
        scraper,
        remote_write,
        remote_read,
        catch_up,
        rules,
        notifier,
        operator,
        registry,
        metrics,
        notifications,
        stop,
        started: now,
        config: RwLock::new(Arc::new(config.clone())),
        file: RwLock::new(Arc::new(config.clone())),
        reload: RwLock::new(Reload { ok: true, at: now }),
        reloads,
    }))
}

/// The store, and who is told of what is written to it.
fn open_store(
    flags: &Flags,
    config: &Config,
    registry: &Registry,
) -> Result<(Arc<storage::Db>, Arc<remote::send::Commits>)> {
    let commits = Arc::new(remote::send::Commits::default());
    let options = storage::Options {
        retention_ms: Retention::in_force(config).time_ms,
        commits: Some(Arc::<remote::send::Commits>::clone(&commits)),
        ..storage_options(flags)
    };
    let db = Arc::new(storage::Db::open(options, registry)?);
    db.start_compaction().context("cannot start the background worker of the storage")?;
    Ok((db, commits))
}

/// How targets are scraped and discovered; requests carry this user agent.
fn options_of_targets(
    flags: &Flags,
    (user_agent, resolver): (&str, &scraper::Resolver),
) -> Result<(scraper::Options, discovery::Options)> {
    let scraping = scraper::Options {
        user_agent: user_agent.to_owned(),
        resolver: resolver.clone(),
        wanted: wanted_of_targets(flags),
        body_memory: body_memory(memory_limit().unwrap_or(u64::MAX)),
        threads: cores(),
        at_once_after: Some(START),
    };
    let discovery = discovery::Options {
        kubelet_service: components::kubelet_service(flags)?,
        user_agent: user_agent.to_owned(),
        resolver: resolver.clone(),
        ..discovery::Options::default()
    };
    Ok((scraping, discovery))
}

/// How queries are evaluated.
fn engine_options(flags: &Flags, settings: &Settings, config: &Config, db: &Arc<storage::Db>) -> query::EngineOptions {
    let options = query::EngineOptions {
        lookback_delta_ms: ms(flags.query_lookback_delta),
        max_samples: flags.query_max_samples,
        memory: Arc::new(query_memory(flags, db)),
        timeout: settings.query_timeout,
        default_step_ms: config.global.evaluation_interval_ms,
        scrape_interval_ms: config.global.scrape_interval_ms,
        threads_now: Some(Arc::new(AtomicUsize::new(cores()))),
        cost: Arc::new(cost_limits(flags, config)),
        ..query::EngineOptions::default()
    };
    options.with_features(flags.features.names())
}

/// Tells how the process before this one ended, and begins to note what the next one may tell of this.
fn look_back(flags: &Flags, registry: &Registry, notifications: &Notifications) -> Result<(Arc<ActiveQueries>, Mark)> {
    let (directory, container) = (Path::new(&flags.storage_tsdb_path), Container::of_process());
    let last = LastRun::read(directory, &container);
    last.tell(registry)?;
    if last.end == End::OutOfMemory {
        notifications.raise(OUT_OF_MEMORY);
    }
    let queries = ActiveQueries::new(directory, flags.query_max_concurrency.max(1), NOTED_AFTER);
    Ok((Arc::new(queries), Mark::set(directory, &container)))
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
                    app.reloads.try_send(Ask { what: What::File, answer: oneshot::channel().0 }).ok();
                    continue;
                }
            }
            app.begin_shutdown();
        }
    })
}
