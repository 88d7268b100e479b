//! What other systems send: `/api/v1/write`, `/api/v1/otlp/v1/metrics`. Bodies reserve their memory (`body`), and are stored on the
//! thread of the request.

pub(super) mod body;
mod otlp;
pub(super) mod receivers;
mod write;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::HeaderName;
use remote::snappy;

use self::body::Arrived;
pub(super) use self::otlp::otlp;
pub(super) use self::write::write;
use crate::app::App;

/// Reads a body in snappy's block format, as it comes.
pub(super) async fn arrive(app: &App, request: Request) -> Result<Arrived, Response> {
    let (parts, body) = request.into_parts();
    let arrived = app.receivers.memory.arrive(&parts.headers, body, snappy::BODY_BYTES_MAX).await;
    arrived.map_err(IntoResponse::into_response)
}

/// The value of a header, empty where there is none.
fn header(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}
