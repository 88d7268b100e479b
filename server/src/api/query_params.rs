//! The parameters of queries: times, step, limits and maximum cost.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use query::QueryOptions;

use super::params::{go_duration, parse_duration};
use super::work::{self, Origin};
use super::{ApiError, Params};
use crate::app::App;

/// More steps than this and a range query is refused.
const POINTS_MAX: i64 = 11_000;

/// The options that instant and range queries share.
pub(super) fn options(app: &App, params: &Params, origin: &Origin, asked: &Arc<()>) -> Result<QueryOptions, ApiError> {
    let mut options = work::options(app, params.timeout()?, origin.client.as_ref(), asked);
    options.limit = params.limit()?;
    if !params.get("lookback_delta").is_empty() {
        let ms = parse_duration(params.get("lookback_delta"))
            .map_err(|e| ApiError::bad_data(format!("error parsing lookback delta duration: {e}")))?;
        // As upstream: without one that is positive, that of the server.
        options.lookback_delta_ms = Some(ms).filter(|ms| *ms > 0);
    }
    options.use_start_timestamps = origin.uses_starts()?;
    limit_cost(app, params, &mut options)?;
    Ok(options)
}

/// When a query is evaluated; a step of 0 is that of an instant query.
pub(super) struct Times {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) step_ms: i64,
}

pub(super) fn instant_times(params: &Params) -> Result<Times, ApiError> {
    let ts = params.time_or("time", Timestamp::now())?;
    Ok(Times { start: ts, end: ts, step_ms: 0 })
}

pub(super) fn range_times(params: &Params) -> Result<Times, ApiError> {
    let (start, end) = (params.time("start")?, params.time("end")?);
    if end < start {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let step_ms = parse_duration(params.get("step")).map_err(|e| ApiError::parameter("step", e))?;
    if step_ms <= 0 {
        let why = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(ApiError::parameter("step", why));
    }
    // Neither subtraction nor division overflows: times are clamped to a quarter of an i64.
    if (end - start) / step_ms > POINTS_MAX {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    Ok(Times { start, end, step_ms })
}

/// The cost limits of a request. They may be lower than the server's, not higher.
fn limit_cost(app: &App, params: &Params, options: &mut QueryOptions) -> Result<(), ApiError> {
    let engine = app.engine();
    let allowed = &engine.options().cost;
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
    // Everything is parsed before anything is compared, so malformed parameters are reported first.
    let (series, samples) = (count("max_series")?, count("max_samples_read")?);
    let duration = duration(params)?;
    below("max_series", series, allowed.max_series())?;
    below("max_samples_read", samples, allowed.max_samples_read())?;
    let most = app.engine().timeout();
    if let Some(duration) = duration {
        if duration > most {
            let shown = |duration: Duration| go_duration(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX));
            return Err(above("max_query_duration", shown(duration), shown(most)));
        }
        // The parameter `timeout` may be shorter still.
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

/// True if the response should compare the cost of the query with its estimate.
pub(super) fn compares(app: &App, params: &Params) -> Result<bool, ApiError> {
    if !app.engine().options().cost.are_enabled() {
        return Ok(false);
    }
    params.switch("cost", false).map_err(|_| ApiError::parameter("cost", "must be a boolean"))
}
