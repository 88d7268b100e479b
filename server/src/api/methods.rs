//! Which methods a route takes, and how the others are answered: as upstream's router does.

use std::sync::Arc;

use axum::handler::Handler;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::{StatusCode, header};

use super::cors;
use crate::app::App;

/// GET only. HEAD is refused, as upstream refuses it.
pub(super) fn get<H: Handler<T, Arc<App>>, T: 'static>(handler: H) -> MethodRouter<Arc<App>> {
    taking(MethodFilter::GET, "GET, OPTIONS", handler)
}

/// GET, or POST with a form.
pub(super) fn get_post<H: Handler<T, Arc<App>>, T: 'static>(handler: H) -> MethodRouter<Arc<App>> {
    taking(MethodFilter::GET.or(MethodFilter::POST), "GET, OPTIONS, POST", handler)
}

/// POST only: what other systems send.
pub(super) fn post<H: Handler<T, Arc<App>>, T: 'static>(handler: H) -> MethodRouter<Arc<App>> {
    taking(MethodFilter::POST, "OPTIONS, POST", handler.layer(map_response(cors::without)))
}

/// A handler that changes something: POST and PUT only.
pub(super) fn changes<H: Handler<T, Arc<App>>, T: 'static>(handler: H) -> MethodRouter<Arc<App>> {
    taking(MethodFilter::POST.or(MethodFilter::PUT), "OPTIONS, POST, PUT", handler)
}

/// GET and HEAD: of health checks and of the web page.
pub(super) fn get_head<H: Handler<T, Arc<App>>, T: 'static>(handler: H) -> MethodRouter<Arc<App>> {
    taking(MethodFilter::GET.or(MethodFilter::HEAD), "GET, HEAD, OPTIONS", handler)
}

/// A handler that changes the server's life, and itself refuses GET.
pub(super) fn life<H: Handler<T, Arc<App>>, T: 'static>(handler: H) -> MethodRouter<Arc<App>> {
    let filter = MethodFilter::GET.or(MethodFilter::POST).or(MethodFilter::PUT);
    taking(filter, "GET, OPTIONS, POST, PUT", handler)
}

fn taking<H: Handler<T, Arc<App>>, T: 'static>(
    filter: MethodFilter,
    allow: &'static str,
    handler: H,
) -> MethodRouter<Arc<App>> {
    let refuse = move || async move { refused(allow) };
    // Of the API it is answered before the route is looked for (`cors`).
    let options = move || async move { [(header::ALLOW, allow)] };
    let route = on(filter, handler).on(MethodFilter::OPTIONS, options).fallback(refuse);
    // Without a handler of its own HEAD would be answered by that of GET.
    if allow.contains("HEAD") { route } else { route.on(MethodFilter::HEAD, refuse) }
}

fn refused(allow: &'static str) -> Response {
    let headers = [(header::ALLOW, allow), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (StatusCode::METHOD_NOT_ALLOWED, headers, "Method Not Allowed\n").into_response()
}
