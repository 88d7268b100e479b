//! Estimates of what queries cost: `cost=true`, `/api/v1/query_cost` and `query_range_cost`.
//! Only with `--enable-feature=query-cost`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use model::Querier;
use query::{CostEstimate, Error, QueryOptions, Stats};
use serde::Serialize;

use super::error::told;
use super::executor::execute;
use super::query_params::{Times, compares, instant_times, options, range_times};
use super::work::{self, Origin};
use super::{ApiError, Params, format, stats};
use crate::app::App;

/// The estimated cost of a query, with warnings.
pub(super) fn estimate(
    (app, store): (&App, &dyn Querier),
    text: &str,
    times: &Times,
    options: &QueryOptions,
) -> Result<(CostEstimate, Vec<String>), Error> {
    let interval_ms = app.config().global.scrape_interval_ms;
    let times = (times.start, times.end, times.step_ms);
    app.engine().estimate((store, interval_ms), text, times, options)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CostJson {
    series_touched: u64,
    samples_read: u64,
    /// Only for a query that ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_samples: Option<usize>,
}

impl CostJson {
    fn new(CostEstimate { series, samples_read }: CostEstimate, peak_samples: usize) -> Self {
        // An estimate knows no peak; the field is of queries that ran.
        let peak_samples = (peak_samples > 0).then_some(peak_samples);
        Self { series_touched: series, samples_read, peak_samples }
    }
}

#[derive(Serialize)]
struct ComparisonJson {
    estimated: CostJson,
    actual: CostJson,
}

#[derive(Serialize)]
struct EstimateJson {
    estimate: CostJson,
}

/// `{"estimated":{…},"actual":{…}}`
pub(super) fn comparison(estimated: CostEstimate, stats: &Stats) -> String {
    let actual = CostEstimate { series: stats.series, samples_read: stats.samples_read };
    let (estimated, actual) = (CostJson::new(estimated, 0), CostJson::new(actual, stats.peak_samples));
    let mut out = String::new();
    format::serialize(&mut out, &ComparisonJson { estimated, actual });
    out
}

/// `/api/v1/query_cost`
pub(super) async fn instant(app: State<Arc<App>>, origin: Origin, params: Params) -> Result<Response, ApiError> {
    let times = instant_times(&params)?;
    answer(app, origin, params, times).await
}

/// `/api/v1/query_range_cost`
pub(super) async fn range(app: State<Arc<App>>, origin: Origin, params: Params) -> Result<Response, ApiError> {
    let times = range_times(&params)?;
    answer(app, origin, params, times).await
}

async fn answer(
    State(app): State<Arc<App>>,
    origin: Origin,
    params: Params,
    times: Times,
) -> Result<Response, ApiError> {
    // Only for its error: the parameter is checked here as for queries.
    compares(&app, &params)?;
    let version = origin.version;
    let asked = Arc::new(());
    let options = options(&app, &params, &origin, &asked)?;
    // An estimate reads the index, so it waits for its turn as a query does.
    let slot = work::slot(&app.query_slots, &options).await?;
    let warning = stats::wanted(&params).1;
    let in_place = Arc::clone(&app.in_place);
    let work = move || {
        let _slot = slot;
        let (cost, mut warnings) = estimate((&app, &*app.db), params.get("query"), &times, &options)?;
        warnings.extend(warning);
        let estimate = EstimateJson { estimate: CostJson::new(cost, 0) };
        let data = |out: &mut String| format::serialize(out, &estimate);
        Ok((format::JSON, format::success_text(data, &warnings, &[])).into_response())
    };
    let done: Result<Response, Error> = execute(&in_place, version, work).await?;
    done.map_err(|error| match error {
        Error::Timeout => {
            let text = format!("cost estimation exceeded the query duration limit: {error}");
            ApiError::new(super::Kind::Timeout, text)
        }
        error => told(error),
    })
}

#[cfg(test)]
mod tests {
    use crate::api::params::go_duration;

    #[test]
    fn durations_as_go_writes_them() {
        for (ms, text) in [
            (0, "0s"),
            (5, "5ms"),
            (1_500, "1.5s"),
            (120_000, "2m0s"),
            (61_020, "1m1.02s"),
            (3_600_000, "1h0m0s"),
            (1_800_000_001, "500h0m0.001s"),
        ] {
            assert_eq!(go_duration(ms * 1_000_000), text);
        }
    }
}
