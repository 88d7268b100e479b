//! `/federate`: the newest sample of each series that selectors match, as another Prometheus scrapes it (upstream:
//! `web/federate.go`).
//!
//! `accept` chooses the format and `escaping` how odd names are written in it; `selections` turns selectors into few selections,
//! whose samples `newest` reads into `series`, sorted by name. `page` hands them out piece by piece: `pairs` has the labels, `text`, `protobuf` and
//! `message_text` write lines and messages.

mod accept;
mod escaping;
mod message_text;
mod newest;
mod page;
mod pairs;
mod protobuf;
mod selections;
mod series;
mod text;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use model::{Histogram, Querier, Timestamp};
use query::Bounds;

pub(super) use self::accept::{Encoding, Format};
pub(super) use self::message_text::MessageText;
use self::page::Page;
use self::pairs::Externals;
pub(super) use self::protobuf::pair;
use super::error::told;
use super::params::PARAMS_MAX;
use super::tenancy::Visible;
use super::work::{self, Origin};
use super::{ApiError, Params};
use crate::app::App;

/// `/federate`
pub(crate) async fn federate(
    State(app): State<Arc<App>>,
    origin: Origin,
    headers: HeaderMap,
    params: Result<Params, ApiError>,
) -> Response {
    let answer = match params {
        Ok(params) => at(app, Timestamp::now(), (origin, headers, params)).await,
        Err(error) => Err(error),
    };
    // Errors are plain text here, as everywhere outside `/api/v1`.
    answer.unwrap_or_else(ApiError::into_plain)
}

/// The answer at a time.
pub(super) async fn at(
    app: Arc<App>,
    now: Timestamp,
    (origin, headers, params): (Origin, HeaderMap, Params),
) -> Result<Response, ApiError> {
    let format = Format::negotiated(headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default());
    let params = params.plain()?;
    let store = Visible::of(&app, (&params, &origin)).await?.own_store(&app);
    let (of, given) = (Arc::clone(&app), params.clone());
    let work = move |bounds: &Bounds| {
        // Upstream sets no bound but the length of the URL.
        let selectors = given.selectors(PARAMS_MAX, bounds, ApiError::bad_data)?;
        let page = page((&of, &*store), (now, format), selections::merged(selectors), bounds);
        let page = page.inspect_err(|_| of.metrics.federation_errors.inc())?;
        Ok(([(CONTENT_TYPE, format.content_type())], page.into_body()).into_response())
    };
    work::run(&app, (&params, &origin), work).await
}

fn page(
    (app, store): (&App, &dyn Querier),
    (now, format): (Timestamp, Format),
    selections: Vec<Vec<model::Matcher>>,
    bounds: &Bounds,
) -> Result<Page, ApiError> {
    let start = Timestamp(now.0.saturating_sub(app.engine().options().lookback_delta_ms));
    // Lines of text can hold a histogram only as a classic one.
    let keep: fn(&Histogram) -> bool = match format.encoding {
        Encoding::Text => Histogram::is_custom,
        Encoding::Delimited | Encoding::MessageText { .. } => |_| true,
    };
    let series = newest::read(store, (start, now), &selections, keep, bounds)?;
    drop(selections);
    if !series.warnings.is_empty() {
        app.metrics.federation_warnings.inc_by(series.warnings.len() as u64);
        tracing::debug!(warnings = ?series.warnings, "federation read with warnings");
    }
    if series.nameless > 0 {
        tracing::warn!(series = series.nameless, "federation left out series without a metric name");
    }
    let config = app.config();
    let externals = Externals::new(config.global.external_labels.pairs(), format);
    let needed = Page::bytes(&series, &externals, format);
    bounds.take(needed).map_err(told)?;
    bounds.memory.shrink_to(series.bytes() + needed);
    Ok(Page::new(series, externals, format, &bounds.memory))
}
