//! The routes of the HTTP API, below the route prefix.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, any};
use http::StatusCode;
use tower_http::compression::{CompressionLayer, CompressionLevel};

use super::methods::{changes, get, get_head, get_post, life, post};
use super::{
    admin, cardinality, cors, cost, discovery_status, exemplars, explain_targets, exposition, features, federate,
    lifecycle, mcp, metadata, metric_usage, monitors, notifications, openapi, profiles, query, read, readiness,
    receive, redirect, remote_write, rules, rules_backfill, rules_replay, running_queries, search, self_metrics,
    series, status, targets, trial_scrape, tsdb_status, ui,
};
use crate::app::App;

/// The largest form that is read.
const FORM_BYTES_MAX: usize = 10 << 20;

/// The routes that need the feature `query-cost`.
fn of_cost(app: &App) -> Router<Arc<App>> {
    if !app.engine().options().cost.are_enabled() {
        return Router::new();
    }
    let range = get_post(cost::range);
    Router::new().route("/query_cost", get_post(cost::instant)).route("/query_range_cost", range)
}

/// The routes below `/api/v1`. Each is described in `openapi/endpoints.rs`.
fn v1(app: &Arc<App>) -> Router<Arc<App>> {
    let compressed = of_cost(app)
        .route("/query", get_post(query::instant))
        .route("/query_range", get_post(query::range))
        .route("/format_query", get_post(query::format_query))
        .route("/parse_query", get_post(query::parse_query))
        .route("/series", get_post(series::series))
        .route("/labels", get_post(series::label_names))
        .route("/label/{name}/values", get(series::label_values))
        .route("/search/metric_names", get_post(search::metric_names))
        .route("/search/label_names", get_post(search::label_names))
        .route("/search/label_values", get_post(search::label_values))
        .route("/metadata", get(metadata::metadata))
        .route("/targets", get(targets::targets))
        .route("/targets/scrape", get_post(trial_scrape::scrape))
        .route("/targets/relabel_steps", get(explain_targets::relabel_steps))
        .route("/monitors", get(monitors::monitors))
        .route("/explain", get_post(explain_targets::explain))
        .route("/targets/metadata", get(metadata::targets_metadata))
        .route("/scrape_pools", get(targets::scrape_pools))
        .route("/scrape_pools/config", get(targets::scrape_pool_config))
        .route("/status/config", get(status::config))
        .route("/status/flags", get(status::flags))
        .route("/status/buildinfo", get(status::buildinfo))
        .route("/status/runtimeinfo", get(status::runtimeinfo))
        .route("/status/tsdb", get(tsdb_status::tsdb))
        .route("/status/tsdb/blocks", get(tsdb_status::blocks))
        .route("/status/forecast", get(tsdb_status::forecast))
        .route("/status/self_metrics", get(self_metrics::self_metrics))
        .route("/status/active_queries", get(running_queries::active))
        .route("/status/active_queries/cancel", changes(running_queries::cancel))
        .route("/status/top_queries", get(running_queries::top))
        .route("/status/cardinality", get(cardinality::cardinality))
        .route("/status/metric_usage", get(metric_usage::metric_usage))
        .route("/status/discovery", get(discovery_status::discovery))
        .route("/status/remote_write", get(remote_write::status))
        .route("/features", get(features::features))
        .route("/openapi.yaml", get(openapi::document))
        .route("/admin/tsdb/delete_series", changes(admin::delete_series))
        .route("/admin/tsdb/clean_tombstones", changes(admin::clean_tombstones))
        .route("/admin/tsdb/snapshot", changes(admin::snapshot))
        .route("/admin/rules/backfill", changes(rules_backfill::backfill))
        .route("/alerts", get(rules::alerts))
        .route("/alertmanagers", get(rules::alertmanagers))
        .route("/rules", get(rules::rules))
        .route("/rules/replay", get_post(rules_replay::replay))
        .route("/query_exemplars", get_post(exemplars::query))
        .layer(CompressionLayer::new())
        .layer(axum::middleware::from_fn(cors::vary))
        .layer(from_fn_with_state(Arc::clone(app), readiness::unless_stopping));
    let of_others = Router::new()
        .route("/write", post(receive::write))
        .route("/otlp/v1/metrics", post(receive::otlp))
        // Compressed by itself, or chunks that are.
        .route("/read", post(read::read))
        .layer(from_fn_with_state(Arc::clone(app), readiness::unless_stopping));
    Router::new()
        // Answered whatever state the server is in.
        .route("/status/walreplay", get(status::walreplay))
        .route("/notifications", get(notifications::notifications))
        .route("/notifications/live", get(notifications::live))
        .merge(compressed)
        .merge(of_others)
        // Whatever the path, OPTIONS is answered.
        .route("/{*path}", any(not_found))
        .layer(from_fn_with_state(Arc::clone(app), cors::cors))
}

/// All routes, below the route prefix.
pub(crate) fn router(app: Arc<App>) -> Router {
    // `/api/v1/` itself is not matched by the nested router and gets the headers by its own layer.
    let cors = from_fn_with_state(Arc::clone(&app), cors::cors);
    let inner = Router::new()
        .nest("/api/v1", v1(&app))
        .route("/api/v1/", any(not_found).layer(cors))
        .route("/", get(ui::home))
        .route("/graph", get(ui::graph))
        .route("/consoles/{*path}", get(ui::consoles))
        .merge(of_ui())
        .route("/metrics", get(exposition::metrics).layer(CompressionLayer::new()))
        .route("/federate", federation())
        .route("/version", get(lifecycle::version))
        .route("/-/healthy", get_head(lifecycle::healthy))
        .route("/-/ready", get_head(lifecycle::ready))
        .route("/-/reload", life(lifecycle::reload))
        .route("/-/quit", life(lifecycle::quit))
        .merge(of_profilers())
        .merge(of_assistants(&app))
        .fallback(not_found)
        .layer(from_fn_with_state(Arc::clone(&app), lifecycle::observe))
        // A second bound for handlers that read bodies by themselves.
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX));
    let prefix = app.settings.route_prefix.clone();
    let router = if prefix == "/" {
        inner
    } else {
        Router::new()
            .route("/", get(ui::prefix))
            .route(&format!("{prefix}/"), get(ui::home))
            .nest(&prefix, inner)
            .fallback(not_found)
    };
    // Outermost: it changes paths before they are matched.
    router.layer(from_fn_with_state(Arc::clone(&app), redirect::redirect)).with_state(app)
}

/// The web page and what it is made of.
fn of_ui() -> Router<Arc<App>> {
    let pages = ui::PAGES.iter().fold(Router::new(), |router, path| router.route(path, get_head(ui::document)));
    pages.route("/assets/{*path}", get_head(ui::asset))
}

/// The routes that need `--web.enable-mcp`.
fn of_assistants(app: &Arc<App>) -> Router<Arc<App>> {
    if !app.flags.web_enable_mcp {
        return Router::new();
    }
    let api = Router::new().nest("/api/v1", v1(app)).with_state(Arc::clone(app));
    Router::new().route_service("/mcp", mcp::service(app, api))
}

/// The routes below `/debug/pprof`.
fn of_profilers() -> Router<Arc<App>> {
    Router::new()
        .route("/debug/pprof", get(profiles::folder))
        .route("/debug/pprof/", get(profiles::index))
        .route("/debug/pprof/profile", get(profiles::cpu))
        .route("/debug/pprof/heap", get(profiles::heap))
        .route("/debug/pprof/allocs", get(profiles::allocs))
        .route("/debug/pprof/goroutine", get(profiles::threads))
        .route("/debug/pprof/threadcreate", get(profiles::threads))
        .route("/debug/pprof/block", get(profiles::waits))
        .route("/debug/pprof/mutex", get(profiles::waits))
        .route("/debug/pprof/cmdline", get(profiles::cmdline))
        .route("/debug/pprof/symbol", get_post(profiles::symbol))
        .route("/debug/pprof/{*name}", get(profiles::unknown))
}

fn federation() -> MethodRouter<Arc<App>> {
    // Pages of many megabytes whose lines are much alike: compressing them well would cost more than reading and writing them.
    let compression = CompressionLayer::new().quality(CompressionLevel::Fastest);
    get(federate::federate).layer(compression)
}

async fn not_found() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, [("x-content-type-options", "nosniff")], "404 page not found\n")
}
