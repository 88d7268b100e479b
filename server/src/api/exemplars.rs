//! `/api/v1/query_exemplars`: the exemplars of the series that the selectors of a query match.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use model::Exemplar;

use super::params::{TIME_MAX_MS, TIME_MIN_MS};
use super::{ApiError, Params, format, in_place};
use crate::app::App;

/// The endpoint. A query without selectors has no answer, as with upstream.
pub(crate) async fn query(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let range = (params.time_or("start", TIME_MIN_MS)?, params.time_or("end", TIME_MAX_MS)?);
    if range.1 < range.0 {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let selectors = app.engine.selectors(params.get("query")).map_err(|e| ApiError::bad_data(e.to_string()))?;
    if selectors.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let found = in_place(|| app.db.exemplars(&selectors, range))??;
    let body = |out: &mut String| {
        format::array(out, &found, |out, (labels, exemplars)| {
            out.push_str("{\"seriesLabels\":");
            format::labels(out, labels);
            out.push_str(",\"exemplars\":");
            format::array(out, exemplars, one);
            out.push('}');
        });
    };
    Ok(format::success(body, &[], &[]))
}

fn one(out: &mut String, exemplar: &Exemplar) {
    out.push_str("{\"labels\":");
    format::labels(out, &exemplar.labels);
    out.push_str(",\"value\":");
    format::number(out, exemplar.value);
    out.push_str(",\"timestamp\":");
    format::timestamp(out, exemplar.ts_ms);
    out.push('}');
}
