//! The routes of the HTTP API, below the route prefix.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{any, get, post};
use http::StatusCode;
use tower_http::compression::{CompressionLayer, CompressionLevel};

use super::{
    admin, cors, cost, exemplars, explain_targets, federate, lifecycle, metadata, page, query, redirect, rules,
    rules_backfill, rules_replay, search, series, status, targets,
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

/// All routes, below the route prefix.
pub(crate) fn router(app: Arc<App>) -> Router {
    let v1 = of_cost(&app)
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
        .route("/targets/relabel_steps", get(explain_targets::relabel_steps))
        .route("/explain", get_post(explain_targets::explain))
        .route("/targets/metadata", get(metadata::targets_metadata))
        .route("/scrape_pools", get(targets::scrape_pools))
        .route("/status/config", get(status::config))
        .route("/status/flags", get(status::flags))
        .route("/status/buildinfo", get(status::buildinfo))
        .route("/status/runtimeinfo", get(status::runtimeinfo))
        .route("/status/tsdb", get(status::tsdb))
        .route("/status/walreplay", get(status::walreplay))
        .route("/admin/tsdb/delete_series", changes(admin::delete_series))
        .route("/admin/tsdb/clean_tombstones", changes(admin::clean_tombstones))
        .route("/admin/tsdb/snapshot", changes(admin::snapshot))
        .route("/admin/rules/backfill", changes(rules_backfill::backfill))
        .route("/alerts", get(rules::alerts))
        .route("/alertmanagers", get(rules::alertmanagers))
        .route("/rules", get(rules::rules))
        .route("/rules/replay", get_post(rules_replay::replay))
        .route("/query_exemplars", get_post(exemplars::query))
        .method_not_allowed_fallback(method_not_allowed)
        // Whatever the path, OPTIONS is answered.
        .route("/{*path}", any(not_found))
        .layer(CompressionLayer::new())
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), cors::cors));
    // `/api/v1/` itself is not matched by the nested router and gets the headers by its own layer.
    let cors = axum::middleware::from_fn_with_state(Arc::clone(&app), cors::cors);
    let inner = Router::new()
        .nest("/api/v1", v1)
        .route("/api/v1/", any(not_found).layer(cors))
        .route("/", get(page::page))
        .route("/query", get(page::page))
        .route("/graph", get(page::page))
        .route("/targets", get(page::page))
        .route("/metrics", get(lifecycle::metrics).layer(CompressionLayer::new()))
        .route("/federate", federation())
        .route("/version", get(lifecycle::version))
        .route("/-/healthy", get(lifecycle::healthy))
        .route("/-/ready", get(lifecycle::ready))
        .route("/-/reload", any(lifecycle::reload))
        .route("/-/quit", any(lifecycle::quit))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), lifecycle::observe))
        // A second bound for handlers that read bodies by themselves.
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX));
    let prefix = app.settings.route_prefix.clone();
    let router = if prefix == "/" {
        inner
    } else {
        let home = prefix.clone();
        Router::new()
            .route("/", get(|| async move { Redirect::to(&home) }))
            .route(&format!("{prefix}/"), get(page::page))
            .nest(&prefix, inner)
            .fallback(not_found)
    };
    // Outermost: it changes paths before they are matched.
    router.layer(axum::middleware::from_fn_with_state(Arc::clone(&app), redirect::redirect)).with_state(app)
}

fn federation() -> axum::routing::MethodRouter<Arc<App>> {
    // Pages of many megabytes whose lines are much alike: compressing them well would cost more than reading and writing them.
    let compression = CompressionLayer::new().quality(CompressionLevel::Fastest);
    get(federate::federate).head(method_not_allowed).layer(compression)
}

fn get_post<H, T>(handler: H) -> axum::routing::MethodRouter<Arc<App>>
where
    H: axum::handler::Handler<T, Arc<App>> + Clone,
    T: 'static,
{
    // HEAD is not asked for by anyone, and upstream refuses it.
    get(handler.clone()).post(handler).head(method_not_allowed)
}

/// A handler that changes the store: POST and PUT only.
fn changes<H, T>(handler: H) -> axum::routing::MethodRouter<Arc<App>>
where
    H: axum::handler::Handler<T, Arc<App>> + Clone,
    T: 'static,
{
    post(handler.clone()).put(handler).fallback(admin::not_allowed)
}

async fn method_not_allowed() -> impl IntoResponse {
    (StatusCode::METHOD_NOT_ALLOWED, [("x-content-type-options", "nosniff")], "Method Not Allowed\n")
}

async fn not_found() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, [("x-content-type-options", "nosniff")], "404 page not found\n")
}
