//! `/api/v1/query` and `/api/v1/query_range`, and what only reads the text of a query. A query waits for one of
//! `--query.max-concurrency` slots, runs where it was asked, and ends when its client goes away or gives it up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use model::Querier;
use parking_lot::Mutex;
use query::{Bounds, CostEstimate, Error, QueryOptions, QueryResult, Stats};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::block_in_place;

use super::error::told;
use super::executor::execute;
use super::query_params::{Times, compares, instant_times, options, range_times};
use super::stats::{self, Wanted};
use super::tenancy::Visible;
use super::work::{self, Origin};
use super::{ApiError, Params, cost, explain, format};
use crate::active_queries::Running;
use crate::app::App;
use crate::query_log::Ran;
use crate::self_metrics::RunningQuery;

/// How long a query waits for its turn, and how long at a time for others to return memory.
const TURN_WAIT: Duration = Duration::from_secs(10);
const FREED_WAIT: Duration = Duration::from_secs(1);
/// Attempts without another query holding memory after which a query fails.
const ATTEMPTS_ALONE: usize = 10;

/// A query, from its parameters to its answer.
struct Work {
    app: Arc<App>,
    params: Params,
    origin: Origin,
    store: Arc<dyn Querier>,
    times: Times,
    options: QueryOptions,
    queued: Duration,
    /// Compare the cost with the estimate.
    compares: bool,
    running: Running,
    _held: (OwnedSemaphorePermit, RunningQuery),
}

/// What the response holds beside the result.
struct Shown {
    stats: bool,
    /// The estimated cost.
    expected: Option<Result<(CostEstimate, Vec<String>), Error>>,
    warning: Option<String>,
}

impl Work {
    fn run(mut self) -> Result<Response, Error> {
        let (wanted, warning) = stats::wanted(&self.params);
        let cost = Arc::new(Mutex::new(Stats::default()));
        // Statistics are collected only where somebody reads them.
        let counts = self.compares || self.app.engine().options().cost.are_enabled();
        if wanted != Wanted::Nothing || counts || self.app.query_log.is_open() {
            self.options.stats = Some(Arc::clone(&cost));
            self.options.per_step_stats = wanted == Wanted::Steps && self.app.settings.per_step_stats;
        }
        let shown = wanted != Wanted::Nothing;
        // Begins before the estimate, which is part of the query's time.
        let begun = Instant::now();
        let expected = self
            .compares
            .then(|| cost::estimate((&self.app, &*self.store), self.params.get("query"), &self.times, &self.options));
        let shown = Shown { stats: shown, expected, warning };
        let attempt = |work: &Self| work.attempt(&cost, &shown);
        let mut answer = attempt(&self);
        // Of queries that together ask for more than there is each would hold a part, and none get enough: they go on one
        // after another.
        if answer.as_ref().is_err_and(Error::is_memory_contention) {
            answer = self.in_turn(begun, &attempt).unwrap_or(answer);
        }
        let took = begun.elapsed();
        self.app.metrics.observe_query(took);
        self.remember(&answer, took);
        if counts {
            let cost = cost.lock();
            self.app.metrics.observe_cost(&cost, answer.as_ref().err());
        }
        self.log(answer.as_ref().err(), &cost);
        answer
    }

    /// Waits for its turn, and tries until it has the memory or nobody else holds any: those that came since are about to wait
    /// for their turn too. `None` when its turn does not come in time.
    fn in_turn(
        &mut self,
        begun: Instant,
        attempt: &dyn Fn(&Self) -> Result<Response, Error>,
    ) -> Option<Result<Response, Error>> {
        let timeout = self.options.timeout.unwrap_or_default();
        let turn = tokio::time::timeout(timeout.saturating_sub(begun.elapsed()).min(TURN_WAIT), async {
            Arc::clone(&self.app.query_turn).acquire_owned().await
        });
        // Others may have to go on before its turn comes.
        let _turn = block_in_place(|| Handle::current().block_on(turn)).ok()?.ok()?;
        let (came, memory) = (Instant::now(), Arc::clone(&self.app.engine().options().memory));
        let mut attempts_alone = 0;
        loop {
            // Waiting counts as time of the query.
            self.options.timeout = Some(timeout.saturating_sub(begun.elapsed()));
            // Another query may still come during the attempt, so that one that fails alone says little.
            attempts_alone += usize::from(memory.used() == 0);
            let answer = attempt(self);
            let is_over = came.elapsed() >= TURN_WAIT || begun.elapsed() >= timeout;
            if attempts_alone >= ATTEMPTS_ALONE || is_over || !answer.as_ref().is_err_and(Error::is_memory_contention) {
                return Some(answer);
            }
            if memory.used() > 0 {
                block_in_place(|| memory.wait(FREED_WAIT));
            }
        }
    }

    fn attempt(&self, cost: &Mutex<Stats>, shown: &Shown) -> Result<Response, Error> {
        let mut result = self.evaluate()?;
        result.warnings.extend(shown.warning.clone());
        let mut beside = String::new();
        if shown.stats {
            beside = format!(",\"stats\":{}", self.cost(cost));
        }
        match &shown.expected {
            Some(Ok((expected, said))) => {
                result.warnings.extend(said.iter().cloned());
                let real = cost.lock();
                beside += &format!(",\"cost\":{}", cost::comparison(*expected, &real));
            }
            // A query must not fail because it could not be estimated.
            Some(Err(error)) => result.warnings.push(format!("cost estimation failed: {error}")),
            None => {}
        }
        self.options.analysis.iter().for_each(|analysis| beside += &explain::beside(analysis));
        format::query_answer(result, (!beside.is_empty()).then_some(beside))
    }

    fn cost(&self, cost: &Mutex<Stats>) -> String {
        stats::json(&cost.lock(), self.queued)
    }

    fn evaluate(&self) -> Result<QueryResult, Error> {
        let (app, query, options) = (&self.app, self.params.get("query"), &self.options);
        let Times { start, end, step_ms } = self.times;
        match step_ms {
            0 => app.engine().instant(&*self.store, query, start, options),
            _ => app.engine().range(&*self.store, query, start, end, step_ms, options),
        }
    }

    /// For the list of those that ask for the most. What does not parse asks for nothing.
    fn remember(&self, answer: &Result<Response, Error>, took: Duration) {
        if !matches!(answer, Err(Error::Parse(_))) {
            let range_ms = self.times.end.saturating_since(self.times.start).unsigned_abs();
            let (range, peak) = (Duration::from_millis(range_ms), self.running.progress().peak_samples());
            self.app.top_queries.record(self.params.get("query"), range, took, peak);
        }
    }

    fn log(&self, error: Option<&Error>, cost: &Mutex<Stats>) {
        // What does not parse does not run.
        if !matches!(error, Some(Error::Parse(_))) && self.app.query_log.is_open() {
            let Times { start, end, step_ms } = self.times;
            let Origin { client, method, path, .. } = &self.origin;
            let client_ip = &client.as_ref().map(|client| client.address.to_string()).unwrap_or_default();
            let error = error.map(ToString::to_string);
            let (query, method, stats) = (self.params.get("query"), method.as_str(), &self.cost(cost));
            self.app.query_log.write(&Ran { query, start, end, step_ms, error, stats, client_ip, method, path });
        }
    }
}

async fn answer(app: Arc<App>, params: Params, origin: Origin, times: Times) -> Result<Response, ApiError> {
    let mode = explain::mode(&params)?;
    let store = Visible::of(&app, (&params, &origin)).await?.store(&app);
    if mode == explain::Mode::Plan {
        return explain::answer((app, store), params, origin, times).await;
    }
    // Goes with this future, when the stream of an HTTP/2 connection that asked is given up.
    let asked = Arc::new(());
    let mut options = options(&app, &params, &origin, &asked)?;
    options.analysis = (mode == explain::Mode::Analyze).then(Arc::default);
    let compares = compares(&app, &params)?;
    // Before the slot: queries that wait are counted, too.
    let running = app.metrics.running();
    let came = Instant::now();
    let slot = work::slot(&app.query_slots, &options).await?;
    let (version, queued) = (origin.version, came.elapsed());
    let client = origin.client.as_ref().map(|client| client.address.to_string()).unwrap_or_default();
    let when = (times.start, times.end, times.step_ms);
    let active = app.active_queries.begin(params.get("query"), when, (client, origin.path.clone()), &mut options);
    let held = (slot, running);
    let work = Work { app, params, origin, store, times, options, queued, compares, running: active, _held: held };
    let in_place = Arc::clone(&work.app.in_place);
    execute(&in_place, version, || work.run()).await?.map_err(told)
}

/// `/api/v1/query`
pub(crate) async fn instant(State(app): State<Arc<App>>, origin: Origin, params: Params) -> Result<Response, ApiError> {
    // What is wrong is told in upstream's order.
    params.limit()?;
    let times = instant_times(&params)?;
    answer(app, params, origin, times).await
}

/// `/api/v1/query_range`
pub(crate) async fn range(State(app): State<Arc<App>>, origin: Origin, params: Params) -> Result<Response, ApiError> {
    params.limit()?;
    let times = range_times(&params)?;
    answer(app, params, origin, times).await
}

/// `/api/v1/format_query`
pub(crate) async fn format_query(
    State(app): State<Arc<App>>,
    origin: Origin,
    params: Params,
) -> Result<Response, ApiError> {
    text_of_tree(app, origin, params, |app, text, bounds| {
        let text = app.engine().format(text, bounds)?;
        bounds.memory.take(2 * format::escaped(&text))?;
        Ok(format::success_text(|out| format::string(out, &text), &[], &[]))
    })
    .await
}

/// `/api/v1/parse_query`: the tree of a query, for the UI.
pub(crate) async fn parse_query(
    State(app): State<Arc<App>>,
    origin: Origin,
    params: Params,
) -> Result<Response, ApiError> {
    text_of_tree(app, origin, params, |app, text, bounds| {
        let tree = app.engine().tree_json(text, bounds)?;
        bounds.memory.take(2 * tree.len())?;
        Ok(format::success_text(|out| out.push_str(&tree), &[], &[]))
    })
    .await
}

async fn text_of_tree(
    app: Arc<App>,
    origin: Origin,
    params: Params,
    write: fn(&App, &str, &Bounds) -> Result<String, Error>,
) -> Result<Response, ApiError> {
    let asked = params.clone();
    let of = Arc::clone(&app);
    work::run(&app, (&params, &origin), move |bounds| {
        let text = write(&of, asked.get("query"), bounds).map_err(told)?;
        bounds.memory.shrink_to(text.capacity());
        Ok((format::JSON, format::held(text, &bounds.memory)).into_response())
    })
    .await
}
