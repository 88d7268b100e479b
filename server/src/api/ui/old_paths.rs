//! Paths that lead to a page, and those of Prometheus that do no more.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use crate::api::redirect::to;
use crate::app::App;

/// `/`: the page lies elsewhere.
pub(crate) async fn home(State(app): State<Arc<App>>) -> Response {
    to(StatusCode::FOUND, outside(&app, "/query"))
}

/// `/graph`, the page of Prometheus 2, to which links in alerts and bookmarks lead: the same query on the page of today.
pub(crate) async fn graph(State(app): State<Arc<App>>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    to(StatusCode::FOUND, outside(&app, &format!("/query?{query}")))
}

/// `/` where all paths have a prefix.
pub(crate) async fn prefix(State(app): State<Arc<App>>) -> Response {
    to(StatusCode::FOUND, app.settings.route_prefix.clone())
}

/// `/consoles/…`
pub(crate) async fn consoles() -> Response {
    let text = "Console templates are not served. Dashboards of Grafana show the same: add this server as a data source of the \
                type Prometheus. --web.console.templates has no effect.\n";
    (StatusCode::NOT_FOUND, [(header::X_CONTENT_TYPE_OPTIONS, "nosniff")], text).into_response()
}

/// A path as browsers see it: a proxy may have cut its beginning off.
fn outside(app: &App, path: &str) -> String {
    format!("{}{path}", app.settings.external_url.path().trim_end_matches('/'))
}
