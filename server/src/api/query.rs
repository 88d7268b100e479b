//! `/api/v1/query` and `/api/v1/query_range`, and what only reads the text of a query. A query waits for one of
//! `--query.max-concurrency` slots, runs on a blocking thread, and ends when its client goes away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use query::{Error, QueryOptions, QueryResult};

use super::params::parse_duration;
use super::{ApiError, Kind, Params, format};
use crate::app::App;

/// More steps than this and a range query is refused.
const POINTS_MAX: i64 = 11_000;

/// Ends a query when its handler is dropped, which is what happens when the client goes away.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What both kinds of query may be given.
fn options(app: &App, params: &Params) -> Result<(QueryOptions, CancelOnDrop), ApiError> {
    let cancel = Arc::new(AtomicBool::new(false));
    let mut timeout = app.settings.query_timeout;
    if !params.get("timeout").is_empty() {
        let ms = parse_duration(params.get("timeout")).map_err(|e| ApiError::parameter("timeout", e))?;
        timeout = timeout.min(Duration::from_millis(ms.unsigned_abs()));
    }
    let cancelled = Some(Arc::clone(&cancel));
    let limit = params.limit()?;
    let mut options = QueryOptions { timeout: Some(timeout), cancel: cancelled, limit, ..QueryOptions::default() };
    if !params.get("lookback_delta").is_empty() {
        let ms = parse_duration(params.get("lookback_delta"))
            .map_err(|e| ApiError::bad_data(format!("error parsing lookback delta duration: {e}")))?;
        options.lookback_delta_ms = Some(ms);
    }
    Ok((options, CancelOnDrop(cancel)))
}

async fn answer(
    app: Arc<App>,
    params: Params,
    run: impl FnOnce(&App, &Params, &QueryOptions) -> Result<QueryResult, Error> + Send + 'static,
) -> Result<Response, ApiError> {
    let (options, _cancel) = options(&app, &params)?;
    let running = app.metrics.running();
    let slot = Arc::clone(&app.query_slots).acquire_owned().await;
    let (app, begun) = (Arc::clone(&app), Instant::now());
    let work = move || {
        let _held = (slot, running);
        let result = run(&app, &params, &options);
        app.metrics.observe_query(begun.elapsed());
        result.map(|result| {
            let stats = (!params.get("stats").is_empty()).then(|| stats(&result, begun.elapsed()));
            let body = |out: &mut String| format::query_result(out, &result, stats.as_deref());
            format::success(body, &result.warnings, &result.infos)
        })
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ApiError::new(Kind::Internal, "the query failed inside Weft; this is a bug"))?.map_err(told)
}

/// `/api/v1/query`
pub(crate) async fn instant(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let ts_ms = params.time_or("time", model::time::now_ms())?;
    answer(app, params, move |app, params, options| {
        app.engine.instant(app.db.as_ref(), params.get("query"), ts_ms, options)
    })
    .await
}

/// `/api/v1/query_range`
pub(crate) async fn range(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let (start, end) = (params.time("start")?, params.time("end")?);
    if end < start {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let step = parse_duration(params.get("step")).map_err(|e| ApiError::parameter("step", e))?;
    if step <= 0 {
        let why = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(ApiError::parameter("step", why));
    }
    if (end - start) / step > POINTS_MAX {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    answer(app, params, move |app, params, options| {
        app.engine.range(app.db.as_ref(), params.get("query"), start, end, step, options)
    })
    .await
}

/// `/api/v1/format_query`
pub(crate) async fn format_query(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let text = app.engine.format(params.get("query")).map_err(told)?;
    Ok(format::success(|out| format::string(out, &text), &[], &[]))
}

/// `/api/v1/parse_query`: the tree of a query, for the UI.
pub(crate) async fn parse_query(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let tree = app.engine.tree_json(params.get("query")).map_err(told)?;
    Ok(format::success(|out| out.push_str(&tree), &[], &[]))
}

fn told(error: Error) -> ApiError {
    let text = error.to_string();
    match error {
        Error::Parse(_) => ApiError::parameter("query", text),
        Error::Timeout => ApiError::new(Kind::Timeout, text),
        Error::Canceled => ApiError::new(Kind::Canceled, text),
        Error::Store(_) => ApiError::internal(&error),
        _ => ApiError::new(Kind::Execution, text),
    }
}

fn stats(result: &QueryResult, took: Duration) -> String {
    let seconds = took.as_secs_f64();
    let samples = result.stats.total_samples;
    serde_json::json!({
        "timings": {
            "evalTotalTime": seconds, "resultSortTime": 0, "queryPreparationTime": 0, "innerEvalTime": seconds,
            "execQueueTime": 0, "execTotalTime": seconds,
        },
        "samples": { "totalQueryableSamples": samples, "samplesRead": samples, "peakSamples": result.stats.peak_samples },
    })
    .to_string()
}
