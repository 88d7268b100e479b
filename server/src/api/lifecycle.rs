//! `/-/healthy`, `/-/ready`, `/-/reload`, `/-/quit`, `/version`, and request metrics.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};

use crate::app::{App, What};

/// What a server says that lives.
pub(super) const HEALTHY: &str = "Prometheus Server is Healthy.\n";

/// `/-/healthy`: fails when the store has stopped for good, so that the container is restarted.
pub(crate) async fn healthy(State(app): State<Arc<App>>) -> Response {
    match app.db.stopped() {
        None => HEALTHY.into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("Nothing is stored any more: {why}\n")).into_response(),
    }
}

/// `/-/ready`
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.is_stopping() {
        return unavailable(true);
    }
    "Prometheus Server is Ready.\n".into_response()
}

/// What a server says that is not ready.
pub(super) fn unavailable(is_stopping: bool) -> Response {
    let stopping = [("x-prometheus-stopping", if is_stopping { "true" } else { "false" })];
    (StatusCode::SERVICE_UNAVAILABLE, stopping, "Service Unavailable").into_response()
}

/// The response to a lifecycle request that is refused.
fn refused(app: &App, method: &Method) -> Option<Response> {
    // Before the flag: upstream answers 405 whether or not the lifecycle API is on.
    if method != Method::POST && method != Method::PUT {
        return Some((StatusCode::METHOD_NOT_ALLOWED, "Only POST or PUT requests allowed").into_response());
    }
    let text = "Lifecycle API is not enabled.";
    (!app.settings.lifecycle).then(|| (StatusCode::FORBIDDEN, text).into_response())
}

/// `/-/reload`
pub(crate) async fn reload(State(app): State<Arc<App>>, method: Method) -> Response {
    if let Some(response) = refused(&app, &method) {
        return response;
    }
    match app.reload(What::File).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => {
            let text = format!("failed to reload config: {error:#}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, [("x-content-type-options", "nosniff")], text).into_response()
        }
    }
}

/// `/-/quit`
pub(crate) async fn quit(State(app): State<Arc<App>>, method: Method) -> Response {
    if let Some(response) = refused(&app, &method) {
        return response;
    }
    // The answer is sent while the server shuts down in order.
    app.begin_shutdown();
    "Requesting termination... Goodbye!".into_response()
}

/// `/version`
pub(crate) async fn version() -> String {
    super::status::build()
}

/// Counts every request by its route.
pub(crate) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str);
    // The label must not take values that clients choose.
    let route = if route.contains("{*") { "unknown" } else { route }.to_owned();
    let prefix = app.settings.route_prefix.trim_end_matches('/');
    let handler = route.strip_prefix(prefix).unwrap_or(&route).to_owned();
    let begun = Instant::now();
    let response = next.run(request).await;
    app.metrics.observe_request(&handler, response.status().as_u16(), begun.elapsed());
    response
}
