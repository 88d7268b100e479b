//! `/api/v1/query` and `/api/v1/query_range`, and what only reads the text of a query. A query waits for one of
//! `--query.max-concurrency` slots, runs where it was asked, and ends when its client goes away or gives it up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, FromRequestParts, OriginalUri, State};
use axum::response::Response;
use http::request::Parts;
use http::{Method, Version};
use query::{Error, QueryOptions, QueryResult, Stats, StillWanted};
use tokio::sync::{AcquireError, OwnedSemaphorePermit};

use super::params::parse_duration;
use super::stats::{self, Wanted};
use super::{ApiError, Kind, Params, elsewhere, format, in_place};
use crate::app::App;
use crate::listen::Client;
use crate::query_log::Ran;
use crate::self_metrics::RunningQuery;

/// More steps than this and a range query is refused.
const POINTS_MAX: i64 = 11_000;

/// An answer as text takes so many times the memory of its values.
const TEXT_FACTOR: usize = 2;

/// What both kinds of query may be given. The query goes on as long as `asked` is kept and its client is there.
fn options(app: &App, params: &Params, origin: &Origin, asked: &Arc<()>) -> Result<QueryOptions, ApiError> {
    let mut timeout = app.settings.query_timeout;
    if !params.get("timeout").is_empty() {
        let ms = parse_duration(params.get("timeout")).map_err(|e| ApiError::parameter("timeout", e))?;
        timeout = timeout.min(Duration::from_millis(ms.unsigned_abs()));
    }
    let (asked, client) = (Arc::downgrade(asked), origin.client.clone());
    let wanted = move || asked.strong_count() > 0 && !client.as_ref().is_some_and(Client::has_gone);
    let wanted = Some(StillWanted(Arc::new(wanted)));
    let limit = params.limit()?;
    let mut options = QueryOptions { timeout: Some(timeout), wanted, limit, ..QueryOptions::default() };
    if !params.get("lookback_delta").is_empty() {
        let ms = parse_duration(params.get("lookback_delta"))
            .map_err(|e| ApiError::bad_data(format!("error parsing lookback delta duration: {e}")))?;
        options.lookback_delta_ms = Some(ms);
    }
    Ok(options)
}

/// When a query is evaluated; a step of 0 is that of an instant query.
struct Times {
    start_ms: i64,
    end_ms: i64,
    step_ms: i64,
}

/// Who asked.
pub(crate) struct Origin {
    client: Option<Client>,
    method: Method,
    version: Version,
    path: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let client = parts.extensions.get::<ConnectInfo<Client>>();
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        Ok(Self {
            client: client.map(|client| client.0.clone()),
            method: parts.method.clone(),
            version: parts.version,
            path: uri.path().to_owned(),
        })
    }
}

/// A query, from its parameters to its answer.
struct Work {
    app: Arc<App>,
    params: Params,
    origin: Origin,
    times: Times,
    options: QueryOptions,
    queued: Duration,
    _held: (Result<OwnedSemaphorePermit, AcquireError>, RunningQuery),
}

impl Work {
    fn run(mut self) -> Result<Response, Error> {
        let (wanted, warning) = stats::wanted(&self.params);
        let cost = Arc::new(Mutex::new(Stats::default()));
        if wanted != Wanted::Nothing || self.app.query_log.is_open() {
            self.options.stats = Some(Arc::clone(&cost));
            self.options.per_step_stats = wanted == Wanted::Steps && self.app.settings.per_step_stats;
        }
        let begun = Instant::now();
        let result = self.evaluate();
        self.app.metrics.observe_query(begun.elapsed());
        let cost = stats::json(&cost.lock().unwrap_or_else(PoisonError::into_inner), self.queued);
        self.log(&result, &cost);
        let mut result = result?;
        result.warnings.extend(warning);
        let shown = (wanted != Wanted::Nothing).then_some(&*cost);
        result.share.take(result.value.bytes().saturating_mul(TEXT_FACTOR))?;
        Ok(format::success(|out| format::query_result(out, &result, shown), &result.warnings, &result.infos))
    }

    fn evaluate(&self) -> Result<QueryResult, Error> {
        let (app, query, options) = (&self.app, self.params.get("query"), &self.options);
        let Times { start_ms, end_ms, step_ms } = self.times;
        match step_ms {
            0 => app.engine.instant(app.db.as_ref(), query, start_ms, options),
            _ => app.engine.range(app.db.as_ref(), query, start_ms, end_ms, step_ms, options),
        }
    }

    fn log(&self, result: &Result<QueryResult, Error>, stats: &str) {
        // What does not parse does not run.
        if !matches!(result, Err(Error::Parse(_))) && self.app.query_log.is_open() {
            let Times { start_ms, end_ms, step_ms } = self.times;
            let Origin { client, method, path, .. } = &self.origin;
            let client_ip = &client.as_ref().map(|client| client.address.to_string()).unwrap_or_default();
            let error = result.as_ref().err().map(ToString::to_string);
            let (query, method) = (self.params.get("query"), method.as_str());
            self.app.query_log.write(&Ran { query, start_ms, end_ms, step_ms, error, stats, client_ip, method, path });
        }
    }
}

async fn answer(app: Arc<App>, params: Params, origin: Origin, times: Times) -> Result<Response, ApiError> {
    // Goes with this future, when the stream of an HTTP/2 connection that asked is given up.
    let asked = Arc::new(());
    let options = options(&app, &params, &origin, &asked)?;
    let running = app.metrics.running();
    let came = Instant::now();
    let slot = Arc::clone(&app.query_slots).acquire_owned().await;
    let version = origin.version;
    let work = Work { app, params, origin, times, options, queued: came.elapsed(), _held: (slot, running) };
    let done = match version {
        Version::HTTP_2 => elsewhere(|| work.run()).await,
        _ => in_place(|| work.run()),
    };
    done?.map_err(told)
}

/// `/api/v1/query`
pub(crate) async fn instant(State(app): State<Arc<App>>, origin: Origin, params: Params) -> Result<Response, ApiError> {
    let ts_ms = params.time_or("time", model::time::now_ms())?;
    answer(app, params, origin, Times { start_ms: ts_ms, end_ms: ts_ms, step_ms: 0 }).await
}

/// `/api/v1/query_range`
pub(crate) async fn range(State(app): State<Arc<App>>, origin: Origin, params: Params) -> Result<Response, ApiError> {
    let (start_ms, end_ms) = (params.time("start")?, params.time("end")?);
    if end_ms < start_ms {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let step_ms = parse_duration(params.get("step")).map_err(|e| ApiError::parameter("step", e))?;
    if step_ms <= 0 {
        let why = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(ApiError::parameter("step", why));
    }
    if (end_ms - start_ms) / step_ms > POINTS_MAX {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    answer(app, params, origin, Times { start_ms, end_ms, step_ms }).await
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
