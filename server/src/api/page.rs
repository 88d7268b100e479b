//! `/query`: the state of the targets and a query box, until the real UI comes, and what leads there. Everything shown is text;
//! nothing a target says can become markup.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use super::redirect::to;
use crate::app::App;

/// Where the page finds its data: the API below the prefix it was loaded from.
const PAGE: &str = include_str!("page.html");

/// The page.
pub(crate) async fn page(State(app): State<Arc<App>>) -> Response {
    let prefix = app.settings.route_prefix.trim_end_matches('/');
    // An operator's text, which must not become markup.
    let title = app.settings.page_title.replace('&', "&amp;").replace('<', "&lt;");
    let page = PAGE.replace("{{prefix}}", prefix).replace("{{title}}", &title);
    let policy = "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                  form-action 'none'; base-uri 'none'; frame-ancestors 'none'";
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)];
    (headers, page).into_response()
}

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
