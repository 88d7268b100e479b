//! `/api/v1/status/active_queries` and `/api/v1/status/top_queries`: which queries run, and which ask for the most.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use super::params::parse_duration;
use super::{ApiError, Kind, Params, admin, format};
use crate::active_queries::ActiveQuery;
use crate::app::App;
use crate::clock::rfc3339;
use crate::top_queries::Cost;

/// How many queries a list has, and how old they may be, unless the request says otherwise.
const TOP: usize = 20;
const TOP_MAX: usize = 1_000;
const AGE: Duration = Duration::from_mins(10);

/// `/api/v1/status/active_queries`
pub(crate) async fn active(State(app): State<Arc<App>>) -> Response {
    let queries = app.active_queries.all();
    format::success_of(&ActiveJson { queries: queries.iter().map(|query| ActiveQueryJson::new(query)).collect() })
}

/// `POST /api/v1/status/active_queries/cancel?id=…`
pub(crate) async fn cancel(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    admin::enabled(&app)?;
    let text = params.get("id");
    let id = text.parse().map_err(|_| ApiError::parameter("id", format!("{text:?} is not the id of a query")))?;
    if !app.active_queries.cancel(id) {
        return Err(ApiError::new(Kind::NotFound, format!("no query with the id {id} runs")));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Serialize)]
struct ActiveJson<'a> {
    queries: Vec<ActiveQueryJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ActiveQueryJson<'a> {
    id: u64,
    query: &'a str,
    /// When it began.
    began: String,
    elapsed_seconds: f64,
    client: &'a str,
    path: &'a str,
    /// The times that it is evaluated at.
    start: String,
    end: String,
    step_seconds: f64,
    samples: u64,
    memory_bytes: usize,
}

impl<'a> ActiveQueryJson<'a> {
    fn new(query: &'a ActiveQuery) -> Self {
        let (start, end, step_ms) = query.times;
        Self {
            id: query.id,
            query: &query.query,
            began: rfc3339(query.came),
            elapsed_seconds: query.began.elapsed().as_secs_f64(),
            client: &query.client,
            path: &query.path,
            start: rfc3339(start),
            end: rfc3339(end),
            step_seconds: Duration::from_millis(step_ms.unsigned_abs()).as_secs_f64(),
            samples: query.progress.samples(),
            memory_bytes: query.progress.memory_bytes(),
        }
    }
}

/// `/api/v1/status/top_queries`
pub(crate) async fn top(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let top = match params.get("topN") {
        "" => TOP,
        text => text
            .parse()
            .ok()
            .filter(|n| (1..=TOP_MAX).contains(n))
            .ok_or_else(|| ApiError::parameter("topN", format!("must be a number from 1 to {TOP_MAX}")))?,
    };
    let age = match params.get("maxLifetime") {
        "" => AGE,
        text => {
            let ms = parse_duration(text).map_err(|error| ApiError::parameter("maxLifetime", error))?;
            u64::try_from(ms)
                .map(Duration::from_millis)
                .map_err(|_| ApiError::parameter("maxLifetime", "must not be negative"))?
        }
    };
    let mut costs = app.top_queries.within(age);
    let mut by = |order: fn(&Cost) -> u128| -> Vec<CostJson> {
        // Equal ones in an order that does not change from one request to the next.
        costs.sort_by(|a, b| order(b).cmp(&order(a)).then_with(|| (&a.query, a.range).cmp(&(&b.query, b.range))));
        costs.iter().take(top).map(CostJson::new).collect()
    };
    Ok(format::success_of(&TopJson {
        top_n: top,
        max_lifetime_seconds: age.as_secs_f64(),
        top_by_count: by(|cost| u128::from(cost.count)),
        top_by_avg_duration: by(|cost| cost.mean().as_nanos()),
        top_by_sum_duration: by(|cost| cost.sum.as_nanos()),
        top_by_peak_samples: by(|cost| cost.peak_samples as u128),
    }))
}

/// The lists have VictoriaMetrics' names, but for the last.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TopJson {
    #[serde(rename = "topN")]
    top_n: usize,
    max_lifetime_seconds: f64,
    top_by_count: Vec<CostJson>,
    top_by_avg_duration: Vec<CostJson>,
    top_by_sum_duration: Vec<CostJson>,
    top_by_peak_samples: Vec<CostJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CostJson {
    query: String,
    time_range_seconds: f64,
    count: u32,
    avg_duration_seconds: f64,
    sum_duration_seconds: f64,
    peak_samples: usize,
}

impl CostJson {
    fn new(cost: &Cost) -> Self {
        Self {
            query: cost.query.to_string(),
            time_range_seconds: cost.range.as_secs_f64(),
            count: cost.count,
            avg_duration_seconds: cost.mean().as_secs_f64(),
            sum_duration_seconds: cost.sum.as_secs_f64(),
            peak_samples: cost.peak_samples,
        }
    }
}
