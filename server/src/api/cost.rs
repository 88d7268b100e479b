//! What queries may cost and what they will: limits of one query, `cost=true`, `/api/v1/query_cost` and `query_range_cost`.
//! Only with `--enable-feature=query-cost`.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use query::{CostEstimate, Error, QueryOptions, Stats};

use super::error::told;
use super::params::{go_duration, parse_duration};
use super::query::{Times, instant_times, options, range_times};
use super::work::{self, Origin};
use super::{ApiError, Params, elsewhere, format, stats};
use crate::app::App;

/// What a query asks for to cost at most. It may ask for less than the server allows, and not for more.
pub(super) fn limit(app: &App, params: &Params, options: &mut QueryOptions) -> Result<(), ApiError> {
    let allowed = &app.engine.options().cost;
    if !allowed.are_enabled() {
        return Ok(());
    }
    let count = |name: &str| -> Result<u64, ApiError> {
        let text = params.get(name);
        if text.is_empty() {
            return Ok(0);
        }
        text.parse().map_err(|error: std::num::ParseIntError| {
            let overflows = *error.kind() == std::num::IntErrorKind::PosOverflow;
            let why = if overflows { "value out of range" } else { "invalid syntax" };
            ApiError::bad_data(format!("error parsing {name}: strconv.ParseUint: parsing {text:?}: {why}"))
        })
    };
    let (series, samples) = (count("max_series")?, count("max_samples_read")?);
    let duration = duration(params)?;
    below("max_series", series, allowed.max_series())?;
    below("max_samples_read", samples, allowed.max_samples_read())?;
    let most = app.engine.timeout();
    if let Some(duration) = duration {
        if duration > most {
            let shown = |duration: Duration| go_duration(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX));
            return Err(above("max_query_duration", shown(duration), shown(most)));
        }
        options.timeout = Some(options.timeout.map_or(duration, |timeout| timeout.min(duration)));
    }
    (options.max_series, options.max_samples_read) = (series, samples);
    Ok(())
}

fn duration(params: &Params) -> Result<Option<Duration>, ApiError> {
    let text = params.get("max_query_duration");
    if text.is_empty() {
        return Ok(None);
    }
    let fault = |why: &dyn Display| ApiError::bad_data(format!("error parsing max_query_duration: {why}"));
    let ms = parse_duration(text).map_err(|error| fault(&error))?;
    let negative = || fault(&format_args!("must not be negative, got {}", go_duration(ms.saturating_mul(1_000_000))));
    let ms = u64::try_from(ms).map_err(|_| negative())?;
    Ok((ms > 0).then(|| Duration::from_millis(ms)))
}

fn below(name: &str, asked: u64, most: u64) -> Result<(), ApiError> {
    if asked > 0 && most > 0 && asked > most { Err(above(name, asked, most)) } else { Ok(()) }
}

fn above(name: &str, asked: impl Display, most: impl Display) -> ApiError {
    ApiError::bad_data(format!("requested {name} of {asked} exceeds the server limit of {most}"))
}

/// Is the real cost of a query to be compared with what was expected?
pub(super) fn compares(app: &App, params: &Params) -> Result<bool, ApiError> {
    if !app.engine.options().cost.are_enabled() {
        return Ok(false);
    }
    params.switch("cost", false).map_err(|_| ApiError::parameter("cost", "must be a boolean"))
}

/// What a query will cost, and what is to be said of that.
pub(super) fn estimate(
    app: &App,
    text: &str,
    times: &Times,
    options: &QueryOptions,
) -> Result<(CostEstimate, Vec<String>), Error> {
    let interval_ms = app.config().global.scrape_interval_ms;
    let times = (times.start_ms, times.end_ms, times.step_ms);
    app.engine.estimate((app.db.as_ref(), interval_ms), text, times, options)
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
    let done: Result<Response, Error> = elsewhere(work).await?;
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
    use super::*;

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
