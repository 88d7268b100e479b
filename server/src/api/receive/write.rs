//! `POST /api/v1/write`: remote write 1.0 and 2.0 (upstream: `storage/remote/write_handler.go`, and the handler of client_golang's
//! remote API).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use http::{StatusCode, Version};
use remote::receive::write::{WriteMessage, WriteReceiver, check_encoding};
use remote::receive::{Fault, Written};
use remote::snappy;

use super::body::{Arrived, plain};
use super::{arrive, header};
use crate::api::ApiError;
use crate::api::executor::execute;
use crate::app::App;

const OFF: &str = "remote write receiver needs to be enabled with --web.enable-remote-write-receiver";

const SAMPLES: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS: HeaderName = HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

/// `POST /api/v1/write`
pub(crate) async fn write(State(app): State<Arc<App>>, request: Request) -> Response {
    let Some(receiver) = &app.receivers.write else { return plain(StatusCode::NOT_FOUND, OFF) };
    let version = request.version();
    let (message, arrived) = match arrived(&app, request).await {
        Ok(arrived) => arrived,
        Err(refused) => return refused,
    };
    let response = stored(&app, Arc::clone(receiver), (message, arrived), version).await;
    response.unwrap_or_else(|refused| refused)
}

/// The message, once its headers are good and it is there.
async fn arrived(app: &App, request: Request) -> Result<(WriteMessage, Arrived), Response> {
    let headers = request.headers();
    let accepted = &app.flags.web_remote_write_receiver_accepted_protobuf_messages.0;
    let message = check_encoding(&header(headers, &CONTENT_ENCODING))
        .and_then(|()| WriteMessage::of_content_type(&header(headers, &CONTENT_TYPE), accepted))
        .map_err(|error| plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, error.to_string()))?;
    Ok((message, arrive(app, request).await?))
}

/// The answer to a message, once it is stored.
async fn stored(
    app: &App,
    receiver: Arc<WriteReceiver>,
    (message, arrived): (WriteMessage, Arrived),
    version: Version,
) -> Result<Response, Response> {
    let bad = |error: remote::Error| plain(StatusCode::BAD_REQUEST, error.to_string());
    let bytes = snappy::decoded_len(&arrived.bytes, snappy::S2).map_err(bad)?;
    let room = app.receivers.memory.room_for(bytes).await.map_err(IntoResponse::into_response)?;
    let work = move || {
        let _room = room;
        let content = snappy::decoded(&arrived.bytes, snappy::S2)?;
        // What is left of it takes no room while it is stored.
        drop(arrived);
        Ok(receiver.receive(message, &content))
    };
    let written = execute(&app.in_place, version, work).await.map_err(ApiError::into_plain)?;
    Ok(answer(message, written.map_err(bad)?))
}

fn answer(message: WriteMessage, written: Written) -> Response {
    let mut response = match written.fault {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(Fault::Refused(why)) => {
            if written.refused > 0 {
                tracing::warn!(samples = written.refused, why, "a part of what came by remote write was left out");
            }
            plain(StatusCode::BAD_REQUEST, why)
        }
        Some(Fault::Store(error)) => {
            tracing::error!(error = model::with_causes(&error), "cannot store what came by remote write");
            ApiError::internal(&error).into_plain()
        }
    };
    // Senders of version 1 take none for what was stored.
    if message == WriteMessage::V2 {
        let counts = [(SAMPLES, written.samples), (HISTOGRAMS, written.histograms), (EXEMPLARS, written.exemplars)];
        response.headers_mut().extend(counts.map(|(name, n)| (name, n.into())));
    }
    response
}
