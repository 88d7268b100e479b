//! `/-/healthy`, `/-/ready`, `/-/reload`, `/-/quit`, `/version`, and request metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};

use crate::app::{App, What};

/// What a server says that lives.
pub(super) const HEALTHY: &str = "Prometheus Server is Healthy.\n";

/// A thread that scrapes and has not gone on for so long is stuck, in a write to a disk that hangs for instance: more than any work of
/// one takes.
const STUCK_AFTER: Duration = Duration::from_mins(5);

/// `/-/healthy`: fails when the store has stopped for good, or scraping is stuck, so that the container is restarted.
pub(crate) async fn healthy(State(app): State<Arc<App>>) -> Response {
    match unhealthy(app.db.stopped(), app.scraper.silent_for()) {
        None => HEALTHY.into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}

/// Why the server should be restarted, if it should.
fn unhealthy(stopped: Option<String>, silent_for: Duration) -> Option<String> {
    match stopped {
        Some(why) => Some(format!("Nothing is stored any more: {why}\n")),
        None if silent_for >= STUCK_AFTER => {
            Some(format!("A thread that scrapes has been stuck for {} s.\n", silent_for.as_secs()))
        }
        None => None,
    }
}

/// `/-/ready`
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.is_stopping() {
        return unavailable(true);
    }
    if let Some(why) = app.catch_up.pending() {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("Service Unavailable: {why}\n")).into_response();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_restart_helps_against() {
        let minutes = Duration::from_mins;
        assert_eq!(unhealthy(None, minutes(4)), None);
        let of_store = unhealthy(Some("the log cannot be written".to_owned()), minutes(9));
        assert_eq!(of_store.as_deref(), Some("Nothing is stored any more: the log cannot be written\n"));
        let stuck = unhealthy(None, minutes(6));
        assert_eq!(stuck.as_deref(), Some("A thread that scrapes has been stuck for 360 s.\n"));
    }
}
