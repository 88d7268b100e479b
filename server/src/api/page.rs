//! `/`: the state of the targets and a query box, until the real UI comes. Everything shown is text; nothing a target
//! says can become markup.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;

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
