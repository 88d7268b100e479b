//! Planned queries and their evaluation. Steps 3 and 4 of the query path.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use model::Querier;
use model::labels::sort_by_labels;

use crate::Error;
use crate::bounds::Bounds;
use crate::exec::{CommonCache, Evaluator, Form, Query, ScanCache};
use crate::memory::Share;
use crate::optimize::optimize;
use crate::options::{EngineOptions, QueryOptions, Times};
use crate::parse::ast::Expr;
use crate::parse::types::Type;
use crate::plan::{self, Plan};
use crate::stack::Stack;
use crate::stats::{Counter, Stats};
use crate::value::Value;
use crate::window::Grid;

/// A result and what is to be said about it.
#[derive(Clone, Debug)]
pub struct QueryResult {
    /// The result.
    pub value: Value,
    /// `PromQL warning: … (1:5)`
    pub warnings: Vec<String>,
    /// `PromQL info: … (1:5)`
    pub infos: Vec<String>,
    /// The memory it takes, for as long as it is there.
    pub share: Arc<Share>,
}

/// A range query yields at most this many steps, as in upstream's API.
const STEPS_MAX: i64 = 1 << 24;

/// A checked and planned query, to be evaluated any number of times, at any times and over any store. Rules evaluate theirs
/// every interval without parsing or planning them again.
pub struct Prepared {
    engine: EngineOptions,
    text: String,
    stack: Stack,
    planned: Planned,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("text", &self.text).finish_non_exhaustive()
    }
}

impl Prepared {
    pub(crate) fn new(engine: EngineOptions, text: &str, stack: Stack, planned: Planned) -> Self {
        Self { engine, text: text.to_owned(), stack, planned }
    }

    /// The query as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its value at a time.
    ///
    /// # Errors
    /// When the query fails on this data, or goes past a limit.
    pub fn instant(&self, querier: &dyn Querier, ts_ms: i64, options: &QueryOptions) -> Result<QueryResult, Error> {
        self.evaluate(querier, (Form::Vector, Times::instant(ts_ms)), options)
    }

    /// Its values at start, start and step, and so on up to end (milliseconds).
    ///
    /// # Errors
    /// When the query fails on this data, or goes past a limit.
    pub fn range(
        &self,
        querier: &dyn Querier,
        (start_ms, end_ms, step_ms): (i64, i64, i64),
        options: &QueryOptions,
    ) -> Result<QueryResult, Error> {
        self.evaluate(querier, (Form::Matrix, Times { start_ms, end_ms, step_ms }), options)
    }

    fn evaluate(
        &self,
        querier: &dyn Querier,
        (form, times): (Form, Times),
        options: &QueryOptions,
    ) -> Result<QueryResult, Error> {
        let bounds = self.engine.bounds(options);
        self.stack.run(&bounds, || {
            let asked = Asked { querier, bounds: &bounds, engine: &self.engine, options, form, times };
            evaluate(&self.planned, (&self.text, self.stack), asked)
        })
    }
}

/// The plan of a query.
#[derive(Clone, Debug)]
pub(crate) enum Planned {
    /// Nothing in it depends on the times of the query: it is optimised.
    Ready(Plan),
    /// A duration is computed from the step or the range, or `@ start()` or `@ end()` stands somewhere: what the optimiser
    /// decides depends on these, too, and is decided at each evaluation.
    Unresolved(Plan),
}

impl Planned {
    pub(crate) fn new(expr: Expr, options: &EngineOptions) -> Self {
        let mut plan = plan::build(expr);
        if plan::needs_times(&plan) {
            return Self::Unresolved(plan);
        }
        optimize(&mut plan, options);
        Self::Ready(plan)
    }

    fn plan(&self) -> &Plan {
        match self {
            Self::Ready(plan) | Self::Unresolved(plan) => plan,
        }
    }

    /// The optimised plan for these times.
    fn resolved(&self, times: Times, options: &EngineOptions) -> Result<Cow<'_, Plan>, Error> {
        match self {
            Self::Ready(plan) => Ok(Cow::Borrowed(plan)),
            Self::Unresolved(plan) => {
                let mut plan = plan.clone();
                plan::resolve(&mut plan, times)?;
                optimize(&mut plan, options);
                Ok(Cow::Owned(plan))
            }
        }
    }
}

/// What is asked of a plan: over which store, within which bounds, how and when.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) querier: &'a dyn Querier,
    pub(crate) bounds: &'a Bounds,
    pub(crate) engine: &'a EngineOptions,
    pub(crate) options: &'a QueryOptions,
    /// A vector at one time, whose step is 0, or a matrix of a range of them.
    pub(crate) form: Form,
    pub(crate) times: Times,
}

/// Evaluates a planned query, on a stack that is large enough for it.
pub(crate) fn evaluate(
    planned: &Planned,
    (text, stack): (&str, Stack),
    asked: Asked<'_>,
) -> Result<QueryResult, Error> {
    let Asked { querier, bounds, engine, options, form, times } = asked;
    let begun = Instant::now();
    if form == Form::Matrix {
        check_range(planned.plan(), times)?;
    }
    let plan = planned.resolved(times, engine)?;
    if let Some(refused) = &plan.refused {
        return Err(Error::Execution(refused.clone()));
    }
    let grid = grid(times);
    let query = Query {
        plan: &plan,
        querier,
        stack,
        options: engine,
        text,
        times,
        uses_starts: options.use_start_timestamps.unwrap_or(engine.use_start_timestamps),
        lookback_ms: options.lookback_delta_ms.unwrap_or(engine.lookback_delta_ms).max(1),
        bounds,
        budget: engine.cost.budget(options.max_series, options.max_samples_read),
        annotations: Mutex::default(),
        common: CommonCache::of(&plan),
        scans: ScanCache::of(&plan),
    };
    let counts = options.stats.is_some() || query.budget.is_some();
    let evaluator = Evaluator::new(&query, Counter::new(counts, if options.per_step_stats { grid.len } else { 0 }));
    let prepared = Instant::now();
    let value = evaluator.value(&grid, form);
    let evaluated = Instant::now();
    let (peak_samples, level) = evaluator.into_cost();
    let value = value.map(sorted);
    if let Some(place) = &options.stats {
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Stats {
            total_samples: level.all[0],
            samples_read: level.all[1],
            series: level.series,
            peak_samples,
            per_step: level.steps.into_iter().enumerate().map(|(i, counts)| (grid.time(i), counts)).collect(),
            preparation: prepared - begun,
            evaluation: evaluated - prepared,
            sorting: evaluated.elapsed(),
        };
    }
    let mut value = value?;
    query.drop_caches();
    bounds.take(value.bytes())?;
    let annotations = query.annotations.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (mut warnings, infos) = annotations.into_texts();
    if options.limit > 0 && truncate(&mut value, options.limit) {
        warnings.push("results truncated due to limit".to_owned());
    }
    Ok(QueryResult { value, warnings, infos, share: Arc::clone(&bounds.share) })
}

/// The steps of a query.
fn grid(times: Times) -> Grid {
    let Times { start_ms, end_ms, step_ms } = times;
    let steps = if step_ms > 0 { (end_ms - start_ms) / step_ms } else { 0 };
    Grid { start_ms, step_ms, len: steps as usize + 1 }
}

/// A range query's series come by their labels.
fn sorted(mut value: Value) -> Value {
    if let Value::Matrix(series) = &mut value {
        sort_by_labels(series, |one| &one.labels);
    }
    value
}

/// Can the query be evaluated at a range of steps, and is there one?
fn check_range(plan: &Plan, times: Times) -> Result<(), Error> {
    let Times { start_ms, end_ms, step_ms } = times;
    check_range_type(plan)?;
    if step_ms <= 0 || end_ms < start_ms || (end_ms - start_ms) / step_ms >= STEPS_MAX {
        return Err(Error::execution("the range of a query needs a positive step and an end not before its start"));
    }
    Ok(())
}

/// A range query yields numbers at each step.
pub(crate) fn check_range_type(plan: &Plan) -> Result<(), Error> {
    let got = plan.node(Plan::ROOT).value_type;
    if matches!(got, Type::Scalar | Type::Vector) {
        return Ok(());
    }
    let got = got.documented();
    Err(Error::Parse(format!("invalid expression type {got:?} for range query, must be Scalar or instant Vector")))
}

fn truncate(value: &mut Value, limit: usize) -> bool {
    let before = match value {
        Value::Vector(samples) => samples.len(),
        Value::Matrix(series) => series.len(),
        _ => 0,
    };
    match value {
        Value::Vector(samples) => samples.truncate(limit),
        Value::Matrix(series) => series.truncate(limit),
        _ => {}
    }
    before > limit
}
