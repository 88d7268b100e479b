//! Estimates of what queries cost: `cost=true`, `/api/v1/query_cost` and `query_range_cost`.
//! Only with `--enable-feature=query-cost`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use query::{CostEstimate, Error, QueryOptions, Stats};

use super::error::told;
use super::executor::execute;
use super::query_params::{Times, compares, instant_times, options, range_times};
use super::work::{self, Origin};
use super::{ApiError, Params, format, stats};
use crate::app::App;

/// What a query will cost, and what is to be said of that.
pub(super) fn estimate(
    app: &App,
    text: &str,
    times: &Times,
    options: &QueryOptions,
) -> Result<(CostEstimate, Vec<String>), Error> {
    let interval_ms = app.config().global.scrape_interval_ms;
    let times = (times.start_ms, times.end_ms, times.step_ms);
    app.engine().estimate((app.db.as_ref(), interval_ms), text, times, options)
}

/// `{"estimated":{…},"actual":{…}}`
pub(super) fn comparison(estimated: CostEstimate, stats: &Stats) -> String {
    let mut out = String::from("{\"estimated\":");
    one(&mut out, estimated, 0);
    out.push_str(",\"actual\":");
    one(&mut out, CostEstimate { series: stats.series, samples_read: stats.samples_read }, stats.peak_samples);
    out.push('}');
    out
}

fn one(out: &mut String, cost: CostEstimate, peak_samples: usize) {
    let CostEstimate { series, samples_read } = cost;
    format::put(out, format_args!("{{\"seriesTouched\":{series},\"samplesRead\":{samples_read}"));
    if peak_samples > 0 {
        format::put(out, format_args!(",\"peakSamples\":{peak_samples}"));
    }
    out.push('}');
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
    compares(&app, &params)?;
    let version = origin.version;
    let asked = Arc::new(());
    let options = options(&app, &params, &origin, &asked)?;
    let slot = work::slot(&app.query_slots, &options).await?;
    let warning = stats::wanted(&params).1;
    let work = move || {
        let _slot = slot;
        let (cost, mut warnings) = estimate(&app, params.get("query"), &times, &options)?;
        warnings.extend(warning);
        let data = |out: &mut String| {
            out.push_str("{\"estimate\":");
            one(out, cost, 0);
            out.push('}');
        };
        Ok((format::JSON, format::success_text(data, &warnings, &[])).into_response())
    };
    let done: Result<Response, Error> = execute(version, work).await?;
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
