//! `/api/v1/admin/tsdb/…`: deletions, their cleaning up, and snapshots. Refused without `--web.enable-admin-api`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use model::Timestamp;

use super::executor::in_place;
use super::params::{TIME_MAX, TIME_MIN};
use super::{ApiError, Kind, Params, format};
use crate::app::App;
use crate::clock::snapshot_name;

/// The folder of snapshots within the data directory.
const SNAPSHOTS: &str = "snapshots";

/// Refuses where the API that changes the store is not enabled.
pub(super) fn enabled(app: &App) -> Result<(), ApiError> {
    if app.flags.web_enable_admin_api {
        return Ok(());
    }
    Err(ApiError::new(Kind::Unavailable, "admin APIs disabled"))
}

/// `POST /api/v1/admin/tsdb/delete_series`
pub(crate) async fn delete_series(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    enabled(&app)?;
    let params = params.plain()?;
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let (start, end) = (params.time_or("start", TIME_MIN)?, params.time_or("end", TIME_MAX)?);
    let bounds = app.engine().bounds(&query::QueryOptions::default());
    let sets = in_place(|| params.matchers(&bounds, |error| ApiError::parameter("match[]", error)))??;
    // A selector without matchers would delete everything; upstream accepts none either.
    if sets.iter().any(Vec::is_empty) {
        let text = "{} names no series; {__name__=~\".+\"} names all of them";
        return Err(ApiError::parameter("match[]", text));
    }
    // Deleted one selector after another; each is durable by itself, and repeating all is harmless.
    in_place(|| sets.iter().try_for_each(|matchers| app.db.delete(matchers, start, end)))??;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/v1/admin/tsdb/clean_tombstones`
pub(crate) async fn clean_tombstones(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    enabled(&app)?;
    in_place(|| app.db.clean_deleted())??;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/v1/admin/tsdb/snapshot`: a data directory of its own under `<data>/snapshots`. There is no head that could
/// be left out, whatever `skip_head` says.
pub(crate) async fn snapshot(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    enabled(&app)?;
    params.switch("skip_head", false).map_err(|text| {
        let reason = format!("unable to parse boolean: strconv.ParseBool: parsing {text:?}: invalid syntax");
        ApiError::parameter("skip_head", reason)
    })?;
    let name = snapshot_name(Timestamp::now());
    let directory = std::path::Path::new(&app.flags.storage_tsdb_path).join(SNAPSHOTS).join(&name);
    in_place(|| app.db.snapshot(&directory))??;
    let body = |out: &mut String| {
        out.push_str("{\"name\":");
        format::string(out, &name);
        out.push('}');
    };
    Ok(format::success(body, &[], &[]))
}
