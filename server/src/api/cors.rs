//! Whether browsers may query from another origin (`--web.cors.origin`).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, header};

use crate::app::App;

/// Says of every answer that it may be compressed or not, also where this one is too short for it: caches go by what all say.
pub(crate) async fn vary(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    // The compression has added it to what it looked at.
    if !response.headers().contains_key(header::VARY) {
        response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    response
}

/// Marks responses of endpoints that no browser calls.
#[derive(Clone, Copy)]
struct WithoutCors;

/// For handlers whose responses have no CORS headers, as upstream's receivers and remote read.
pub(super) async fn without(mut response: Response) -> Response {
    response.extensions_mut().insert(WithoutCors);
    response
}

/// Adds upstream's headers to every answer of the API, and answers OPTIONS.
pub(crate) async fn cors(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get("origin").cloned();
    let mut response = match *request.method() {
        // A preflight request carries no credentials, so it is answered before any handler.
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    if response.extensions_mut().remove::<WithoutCors>().is_some() {
        return response;
    }
    let headers = response.headers_mut();
    // Also without an Origin: caches must not give this answer to another origin.
    headers.append("vary", HeaderValue::from_static("Origin"));
    if let Some(origin) = origin.filter(|origin| !origin.is_empty()) {
        if origin.to_str().is_ok_and(|text| app.settings.cors_origin.is_match(text)) {
            headers.insert("access-control-allow-origin", origin);
        }
        headers.insert(
            "access-control-allow-headers",
            HeaderValue::from_static("Accept, Authorization, Content-Type, Origin"),
        );
        headers.insert("access-control-allow-methods", HeaderValue::from_static("GET, POST, OPTIONS"));
        headers.insert("access-control-expose-headers", HeaderValue::from_static("Date"));
    }
    response
}
