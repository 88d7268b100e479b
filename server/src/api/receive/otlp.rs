//! `POST /api/v1/otlp/v1/metrics`: OTLP over HTTP, protobuf and JSON (upstream: `storage/remote/write_otlp_handler.go`).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{StatusCode, Version};
use remote::receive::otlp::{BODY_BYTES_MAX, Deltas, Naming, OtlpFormat, OtlpReceiver, OtlpSettings};
use remote::receive::{Fault, Written};

use super::body::{Arrived, plain};
use super::header;
use crate::api::ApiError;
use crate::api::executor::{execute, in_place};
use crate::app::App;
use crate::flags::{Features, ms};

const OFF: &str = "otlp write receiver needs to be enabled with --web.enable-otlp-receiver";

/// `POST /api/v1/otlp/v1/metrics`
pub(crate) async fn otlp(State(app): State<Arc<App>>, request: Request) -> Response {
    let Some(receiver) = &app.receivers.otlp else { return plain(StatusCode::NOT_FOUND, OFF) };
    let version = request.version();
    let received = match arrived(&app, request).await {
        Ok(arrived) => stored(&app, Arc::clone(receiver), arrived, version).await,
        Err(refused) => Err(refused),
    };
    received.unwrap_or_else(|refused| refused)
}

/// The request, once it is there and decompressed.
async fn arrived(app: &App, request: Request) -> Result<(OtlpFormat, Arrived), Response> {
    let (parts, body) = request.into_parts();
    let format = OtlpFormat::of_content_type(&header(&parts.headers, &CONTENT_TYPE)).map_err(bad)?;
    let is_gzip = match &*header(&parts.headers, &CONTENT_ENCODING) {
        "" => false,
        "gzip" => true,
        other => {
            let why = format!("unsupported compression: {other}. Only \"gzip\" or no compression supported");
            return Err(plain(StatusCode::BAD_REQUEST, why));
        }
    };
    let memory = &app.receivers.memory;
    let mut arrived = memory.arrive(&parts.headers, body, BODY_BYTES_MAX).await.map_err(IntoResponse::into_response)?;
    if is_gzip {
        let inflated = in_place(|| memory.inflated(&arrived, BODY_BYTES_MAX)).map_err(ApiError::into_plain)?;
        arrived = inflated.map_err(IntoResponse::into_response)?;
    }
    Ok((format, arrived))
}

/// The answer to a request, once it is stored.
async fn stored(
    app: &App,
    receiver: Arc<OtlpReceiver>,
    (format, arrived): (OtlpFormat, Arrived),
    version: Version,
) -> Result<Response, Response> {
    let bytes = format.weight(&arrived.bytes).map_err(bad)?;
    let room = app.receivers.memory.room(bytes).await.map_err(IntoResponse::into_response)?;
    let settings = settings(app);
    let work = move || {
        let _room = room;
        receiver.receive(format, &arrived.bytes, &settings)
    };
    let written = execute(&app.in_place, version, work).await.map_err(ApiError::into_plain)?;
    Ok(answer(format, written.map_err(bad)?))
}

fn bad(error: remote::Error) -> Response {
    plain(StatusCode::BAD_REQUEST, model::with_causes(&error))
}

/// Where a part was left out, the sender is told in the way of the protocol; where nothing could be taken, as upstream tells it.
fn answer(format: OtlpFormat, written: Written) -> Response {
    let is_refused_whole = written.is_refused_whole();
    match written.fault {
        None => StatusCode::OK.into_response(),
        Some(Fault::Refused(why)) if is_refused_whole => plain(StatusCode::BAD_REQUEST, why),
        Some(Fault::Refused(why)) => {
            tracing::warn!(points = written.refused, why, "a part of what came by OTLP was left out");
            let body = format.partial_success(written.refused, why);
            (StatusCode::OK, [(CONTENT_TYPE, format.content_type())], body).into_response()
        }
        Some(Fault::Store(error)) => {
            tracing::error!(error = model::with_causes(&error), "cannot store what came by OTLP");
            ApiError::internal(&error).into_plain()
        }
    }
}

/// What becomes of differences. That the features exclude each other is checked at the start.
fn deltas(features: &Features) -> Deltas {
    match (features.otlp_deltatocumulative, features.otlp_native_delta_ingestion) {
        (true, _) => Deltas::AddedUp,
        (false, true) => Deltas::Stored,
        (false, false) => Deltas::Refused,
    }
}

/// How metrics become series: as the configuration and the flags say.
fn settings(app: &App) -> OtlpSettings {
    let config = app.config();
    let otlp = config.otlp.clone().unwrap_or_default();
    let (strategy, features) = (&*otlp.translation_strategy, &app.flags.features);
    let promote_all = otlp.promote_all_resource_attributes;
    let attributes = if promote_all { otlp.ignore_resource_attributes } else { otlp.promote_resource_attributes };
    OtlpSettings {
        naming: Naming {
            suffixes: strategy.ends_with("WithSuffixes"),
            utf8: !strategy.starts_with("UnderscoreEscaping"),
            key_before_underscore: otlp.label_name_underscore_sanitization,
            keep_underscores: otlp.label_name_preserve_multiple_underscores,
        },
        resource_attributes: attributes.into_iter().collect(),
        promote_all,
        keep_identifying_resource_attributes: otlp.keep_identifying_resource_attributes,
        convert_histograms_to_nhcb: otlp.convert_histograms_to_nhcb,
        promote_scope_metadata: otlp.promote_scope_metadata,
        deltas: deltas(features),
        type_labels: features.type_and_unit_labels,
        start_zeros: features.created_timestamp_zero_ingestion,
        lookback_ms: ms(app.flags.query_lookback_delta),
    }
}
