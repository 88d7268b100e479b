//! What is answered while the server starts, and what is refused while it ends.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use http::HeaderMap;
use prometheus::Registry;

use super::notifications::{self, Stop};
use super::{exposition, lifecycle, status};
use crate::app::App;
use crate::notifications::Notifications;

/// What there is before the store is open.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    pub(crate) registry: Registry,
    pub(crate) notifications: Notifications,
    pub(crate) stop: Stop,
}

impl FromRef<Begun> for Notifications {
    fn from_ref(begun: &Begun) -> Self {
        begun.notifications.clone()
    }
}

impl FromRef<Begun> for Stop {
    fn from_ref(begun: &Begun) -> Self {
        begun.stop.clone()
    }
}

impl FromRef<Arc<App>> for Notifications {
    fn from_ref(app: &Arc<App>) -> Self {
        app.notifications.clone()
    }
}

impl FromRef<Arc<App>> for Stop {
    fn from_ref(app: &Arc<App>) -> Self {
        Self(app.stop.clone())
    }
}

/// The routes of a server that starts: a large or damaged store takes a while to open, and whoever looks after the process must
/// see that it lives.
pub(crate) fn starting(begun: Begun, prefix: &str) -> Router {
    let inner = Router::new()
        .route("/-/healthy", get(|| async { lifecycle::HEALTHY }))
        .route("/metrics", get(metrics))
        .route("/version", get(lifecycle::version))
        .route("/api/v1/status/walreplay", get(status::walreplay))
        .route("/api/v1/notifications", get(notifications::notifications))
        .route("/api/v1/notifications/live", get(notifications::live))
        .fallback(|| async { lifecycle::unavailable(false) });
    let prefix = prefix.trim_end_matches('/');
    let router = if prefix.is_empty() { inner } else { Router::new().nest(prefix, inner) };
    router.fallback(|| async { lifecycle::unavailable(false) }).with_state(begun)
}

async fn metrics(State(Begun { registry, .. }): State<Begun>, headers: HeaderMap) -> Response {
    exposition::exposition(&registry.gather(), &headers)
}

/// Refuses requests that come after the server was told to end.
pub(super) async fn unless_stopping(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if app.is_stopping() { lifecycle::unavailable(true) } else { next.run(request).await }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt as _;

    use super::*;
    use crate::notifications::STARTING;

    #[tokio::test]
    async fn a_server_that_starts_lives_and_is_not_ready() {
        let registry = Registry::new();
        let notifications = Notifications::new(1, &registry).unwrap();
        notifications.raise(STARTING);
        let begun = Begun { registry, notifications, stop: Stop(tokio_util::sync::CancellationToken::new()) };
        for (path, status, text) in [
            ("/p/-/healthy", 200, "Prometheus Server is Healthy.\n"),
            ("/p/-/ready", 503, "Service Unavailable"),
            ("/p/api/v1/query?query=1", 503, "Service Unavailable"),
            ("/p/api/v1/status/walreplay", 200, r#"{"status":"success","data":{"min":0,"max":0,"current":0}}"#),
            ("/p/api/v1/notifications", 200, "Weft is starting."),
            ("/p/metrics", 200, "prometheus_api_notification_active_subscribers 0"),
            ("/-/healthy", 503, "Service Unavailable"),
            ("/", 503, "Service Unavailable"),
        ] {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            let response = starting(begun.clone(), "/p/").oneshot(request).await.unwrap();
            let stopping = response.headers().get("x-prometheus-stopping").cloned();
            assert_eq!((response.status().as_u16(), stopping.is_some_and(|is| is == "false")), (status, status == 503));
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            assert!(String::from_utf8_lossy(&body).contains(text), "{path}: {body:?}");
        }
    }
}
