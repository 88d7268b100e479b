//! Planned queries and their evaluation. Steps 3 to 6 of the query path.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use model::labels::sort_by_labels;
use model::{Memo, Querier, Timestamp};
use parking_lot::Mutex;

use crate::Error;
use crate::bounds::Bounds;
use crate::estimate::{self, EstimateContext};
use crate::exec::{CommonCache, Evaluator, Form, Profile, Query, ScanCache};
use crate::memory::QueryMemory;
use crate::optimize::optimize;
use crate::options::{EngineOptions, QueryOptions, Times};
use crate::parse::ast::Expr;
use crate::parse::types::Type;
use crate::plan::{self, Explanation, NodeId, Plan};
use crate::stack::Stack;
use crate::stats::{Counter, Stats};
use crate::value::Value;
use crate::window::Grid;

/// A result with its annotations.
#[derive(Clone, Debug)]
pub struct QueryResult {
    /// The result.
    pub value: Value,
    /// `PromQL warning: … (1:5)`
    pub warnings: Vec<String>,
    /// `PromQL info: … (1:5)`
    pub infos: Vec<String>,
    /// The memory of the result; reserved until this is dropped.
    pub memory: Arc<QueryMemory>,
}

/// A range query yields at most this many steps, as in upstream's API.
const STEPS_MAX: u64 = 1 << 24;
/// Memory to explain a node, approximately.
const EXPLAINED_BYTES: usize = 1 << 10;

/// A prepared statement: a checked and planned query that can be evaluated repeatedly, at any times and over any store. Rules
/// use it to avoid parsing and planning at every interval.
pub struct Prepared {
    engine: EngineOptions,
    text: String,
    stack: Stack,
    planned: Planned,
    /// By node: what stores remember of the selections of scans.
    memos: Box<[Memo]>,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("text", &self.text).finish_non_exhaustive()
    }
}

impl Prepared {
    pub(crate) fn new(engine: EngineOptions, text: &str, stack: Stack, planned: Planned) -> Self {
        let memos = planned.plan().nodes.iter().map(|_| Memo::default()).collect();
        Self { engine, text: text.to_owned(), stack, planned, memos }
    }

    /// The query as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Does its value at a time depend on where the range of times begins and ends, or on the step?
    #[must_use]
    pub fn depends_on_range(&self) -> bool {
        matches!(self.planned, Planned::Unresolved(_))
    }

    /// Its value at a time.
    ///
    /// # Errors
    /// When the query fails on this data, or goes past a limit.
    pub fn instant(&self, querier: &dyn Querier, ts: Timestamp, options: &QueryOptions) -> Result<QueryResult, Error> {
        self.evaluate(querier, (Form::Vector, Times::instant(ts)), options)
    }

    /// Its values at start, start and step (milliseconds), and so on up to end.
    ///
    /// # Errors
    /// When the query fails on this data, or goes past a limit.
    pub fn range(
        &self,
        querier: &dyn Querier,
        (start, end, step_ms): (Timestamp, Timestamp, i64),
        options: &QueryOptions,
    ) -> Result<QueryResult, Error> {
        self.evaluate(querier, (Form::Matrix, Times { start, end, step_ms }), options)
    }

    /// Its plan for these times (start, end, and step in milliseconds; an instant query has a step of 0). With a store, also
    /// what its selectors will read about.
    ///
    /// # Errors
    /// When it cannot be evaluated at these times, or looking at the store goes past a limit.
    pub fn explain(
        &self,
        querier: Option<&dyn Querier>,
        (start, end, step_ms): (Timestamp, Timestamp, i64),
        options: &QueryOptions,
    ) -> Result<Explanation, Error> {
        let (bounds, times) = (self.engine.bounds(options), Times { start, end, step_ms });
        self.stack.run(&bounds, || {
            // What cannot be evaluated has no plan.
            if step_ms > 0 {
                check_range_type(self.planned.plan())?;
            }
            let plan = self.planned.resolved(times, &self.engine)?;
            if let Some(refused) = &plan.refused {
                return Err(Error::Execution(refused.clone()));
            }
            bounds.take(plan.nodes.len() * EXPLAINED_BYTES)?;
            let mut explanation = plan::explain(&plan, &self.text);
            if let Some(querier) = querier {
                estimate_nodes(
                    &mut explanation,
                    &plan,
                    times,
                    estimate_context(&self.engine, options, (querier, &bounds)),
                )?;
            }
            Ok(explanation)
        })
    }

    fn evaluate(
        &self,
        querier: &dyn Querier,
        (form, times): (Form, Times),
        options: &QueryOptions,
    ) -> Result<QueryResult, Error> {
        let bounds = self.engine.bounds(options);
        self.stack.run(&bounds, || {
            let memos = &self.memos[..];
            let asked = Asked { querier, bounds: &bounds, engine: &self.engine, options, form, times, memos };
            evaluate(&self.planned, (&self.text, self.stack), asked)
        })
    }
}

/// The plan of a query.
#[derive(Clone, Debug)]
pub(crate) enum Planned {
    /// Optimised: nothing in it depends on the times of the query.
    Ready(Plan),
    /// Not optimised: a duration is computed from `step()` or `range()`, or there is `@ start()` or `@ end()`, on which the
    /// optimiser's decisions depend. It is resolved and optimised at each evaluation.
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

/// An evaluation of a plan: store, limits, options and times.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) querier: &'a dyn Querier,
    pub(crate) bounds: &'a Bounds,
    pub(crate) engine: &'a EngineOptions,
    pub(crate) options: &'a QueryOptions,
    /// A vector at one time, whose step is 0, or a matrix over a range of steps.
    pub(crate) form: Form,
    pub(crate) times: Times,
    /// By node of a plan that is evaluated again and again; else none.
    pub(crate) memos: &'a [Memo],
}

/// Evaluates a planned query, on a stack that is large enough for it.
pub(crate) fn evaluate(
    planned: &Planned,
    (text, stack): (&str, Stack),
    asked: Asked<'_>,
) -> Result<QueryResult, Error> {
    let Asked { querier, bounds, engine, options, form, times, memos } = asked;
    let begun = Instant::now();
    if form == Form::Matrix {
        check_range(planned.plan(), times)?;
    }
    // Borrowed where nothing depends on the times, as in most queries.
    let plan = planned.resolved(times, engine)?;
    if let Some(refused) = &plan.refused {
        return Err(Error::Execution(refused.clone()));
    }
    let grid = grid(times);
    let profile = options.analysis.is_some().then(|| Profile::of(&plan));
    let query = Query {
        plan: &plan,
        querier,
        stack,
        options: engine,
        text,
        times,
        uses_starts: options.use_start_timestamps.unwrap_or(engine.use_start_timestamps),
        lookback_ms: engine.lookback_ms(options),
        bounds,
        budget: engine.cost.budget(options.max_series, options.max_samples_read),
        annotations: Mutex::default(),
        common: CommonCache::of(&plan),
        scans: ScanCache::of(&plan),
        profile: profile.as_ref(),
        memos,
    };
    // Counting takes a lock: only where somebody asks for the counts.
    let counts = options.stats.is_some() || query.budget.is_some() || profile.is_some();
    let evaluator = Evaluator::new(&query, Counter::new(counts, if options.per_step_stats { grid.len } else { 0 }));
    let prepared = Instant::now();
    let value = evaluator.value(&grid, form);
    let evaluated = Instant::now();
    let (peak_samples, level) = evaluator.into_cost();
    bounds.progress.iter().for_each(|progress| progress.end(peak_samples));
    // Measured apart from the evaluation: see `Stats::sorting`.
    let value = value.map(sorted);
    if let Some(place) = &options.stats {
        *place.lock() = Stats {
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
    if let (Some(place), Some(profile)) = (&options.analysis, &profile)
        && bounds.take(plan.nodes.len() * EXPLAINED_BYTES).is_ok()
    {
        let mut explanation = plan::explain(&plan, text);
        // A failed estimate is left out: the measured cost is what was asked for.
        estimate_nodes(&mut explanation, &plan, times, estimate_context(engine, options, (querier, bounds))).ok();
        explanation.nodes.iter_mut().for_each(|node| node.cost = profile.cost(NodeId(node.id)));
        *place.lock() = explanation;
    }
    // Statistics and analysis were written also for a failed query.
    let mut value = value?;
    // Memory of caches is released before that of the result is reserved.
    query.drop_caches();
    bounds.take(value.bytes())?;
    let annotations = query.annotations.into_inner();
    let (mut warnings, infos) = annotations.into_texts();
    if options.limit > 0 && truncate(&mut value, options.limit) {
        warnings.push("results truncated due to limit".to_owned());
    }
    Ok(QueryResult { value, warnings, infos, memory: Arc::clone(&bounds.memory) })
}

fn estimate_context<'a>(
    engine: &EngineOptions,
    options: &QueryOptions,
    (querier, bounds): (&'a dyn Querier, &'a Bounds),
) -> EstimateContext<'a> {
    let lookback_ms = engine.lookback_ms(options);
    let EngineOptions { default_step_ms, scrape_interval_ms, .. } = *engine;
    EstimateContext { querier, bounds, lookback_ms, default_step_ms, scrape_interval_ms }
}

/// Adds estimates to the scans of a plan; not to those that read a kept result.
fn estimate_nodes(
    explanation: &mut Explanation,
    plan: &Plan,
    times: Times,
    context: EstimateContext<'_>,
) -> Result<(), Error> {
    let mut estimates = HashMap::new();
    for reading in estimate::readings(plan, times, context).0 {
        if !plan.reads_result(reading.id) {
            estimates.insert(reading.id, context.cost_of(&reading)?);
        }
    }
    explanation.nodes.iter_mut().for_each(|node| node.estimate = estimates.get(&NodeId(node.id)).copied());
    Ok(())
}

/// The steps of a query.
fn grid(times: Times) -> Grid {
    let Times { start, step_ms, .. } = times;
    // The end belongs to the range only if a step falls on it.
    Grid { start, step_ms, len: times.whole_steps() as usize + 1 }
}

/// Sorts the series of a range query by labels.
fn sorted(mut value: Value) -> Value {
    if let Value::Matrix(series) = &mut value {
        sort_by_labels(series, |one| &one.labels);
    }
    value
}

/// Checks the type and the steps of a range query.
fn check_range(plan: &Plan, times: Times) -> Result<(), Error> {
    let Times { start, end, step_ms } = times;
    check_range_type(plan)?;
    if step_ms <= 0 || end < start || times.whole_steps() >= STEPS_MAX {
        return Err(Error::execution("the range of a query needs a positive step and an end not before its start"));
    }
    Ok(())
}

/// Range queries need a scalar or an instant vector.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Engine;
    use crate::plan::NodeCost;
    use crate::promqltest::Store;

    const RANGE: (Timestamp, Timestamp, i64) = (Timestamp(600_000), Timestamp(840_000), 60_000);

    fn store() -> Store {
        let mut store = Store::default();
        for i in 0..10 {
            store.load_line(&format!("a_total{{i=\"{i}\"}} {i}+1x20"), (Timestamp(0), 60_000)).unwrap();
        }
        store
    }

    fn told(result: Result<QueryResult, Error>) -> String {
        match result {
            Ok(result) => format!("{:?} {:?} {:?}", result.value, result.warnings, result.infos),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_prepared_query_is_evaluated_at_any_times() {
        let (store, options) = (store(), QueryOptions::default());
        let engine = Engine::new(EngineOptions::default().with_features(EngineOptions::features()));
        for query in [
            "sum(rate(a_total[5m])) / sum(rate(a_total[5m]))",
            "a_total and on (i) a_total{i=\"3\"}",
            "rate(a[5m])",
            // What depends on the times is resolved anew.
            "a_total @ end() - a_total @ start()",
            "sum_over_time(a_total[step()])",
            "info(a_total @ end())",
            "1 / (2 - 2)",
            "a_total[5m]",
            "\"text\"",
            // Refused when it is evaluated, and after what is wrong with times.
            "changes(a_total[5m] smoothed)",
            "changes(a_total[5m] smoothed) + sum_over_time(a_total[step()])",
        ] {
            let prepared = engine.prepare(query, &options).unwrap();
            for at in [0, 600_000, 840_000].map(Timestamp) {
                let expected = told(engine.instant(&store, query, at, &options));
                assert_eq!(told(prepared.instant(&store, at, &options)), expected, "{query}");
            }
            let others = [(0, 600_000, 30_000), (0, 0, 0), (60_000, 0, 60_000), (0, 0, 60_000)];
            let others = others.map(|(start, end, step)| (Timestamp(start), Timestamp(end), step));
            for (start, end, step) in [RANGE].into_iter().chain(others) {
                let expected = told(engine.range(&store, query, start, end, step, &options));
                assert_eq!(told(prepared.range(&store, (start, end, step), &options)), expected, "{query}");
            }
        }
        assert_eq!(engine.prepare("a_total", &options).unwrap().text(), "a_total");
        let (prepared, checked) = (engine.prepare("a_total +", &options), engine.check("a_total +"));
        assert_eq!(prepared.unwrap_err().to_string(), checked.unwrap_err().to_string());
    }

    #[test]
    fn what_nodes_cost_is_measured() {
        let store = store();
        for threads in [1, 2] {
            let engine = Engine::new(EngineOptions { threads, ..EngineOptions::default() });
            let (analysis, stats) = (Arc::default(), Arc::new(Mutex::new(Stats::default())));
            let options = QueryOptions {
                analysis: Some(Arc::clone(&analysis)),
                stats: Some(Arc::clone(&stats)),
                ..QueryOptions::default()
            };
            let query = "sum(rate(a_total[5m])) / sum(rate(a_total[5m])) + count(a_total > 13 - 1)";
            engine.range(&store, query, RANGE.0, RANGE.1, RANGE.2, &options).unwrap();
            let explanation = analysis.lock().clone();
            let stats = stats.lock();
            let node = |operation: &str, i: usize| {
                let found = explanation.nodes.iter().filter(|node| node.operation.starts_with(operation));
                found.skip(i).map(|node| (node.estimate, node.cost.unwrap_or_default())).next().unwrap()
            };
            let sizes = |cost: NodeCost| (cost.series, cost.samples);
            assert_eq!(sizes(node("operator +", 0).1), (1, 5));
            assert_eq!(sizes(node("aggregation sum", 0).1), (1, 5));
            assert_eq!(sizes(node("function rate", 0).1), (10, 50));
            // The second place has the result of the first.
            let second = node("aggregation sum", 1).1;
            assert_eq!((sizes(second), second.reused), ((1, 5), 1));
            assert!(node("aggregation sum", 0).1.peak_bytes > 0 && node("function rate", 0).1.time > Duration::ZERO);
            let (estimate, range) = node("range selector", 0);
            assert_eq!((range.series_read, estimate.unwrap().series), (10, 10));
            let (_, instant) = node("vector selector", 0);
            assert_eq!((instant.series_read, sizes(instant)), (10, (10, 50)));
            // Both places of the sum count what they would have read.
            assert_eq!(2 * range.samples_read + instant.samples_read, stats.samples_read);
            // Every one of them is above 12 at some step.
            assert_eq!(node("operator >", 0).1.series, 10);
            let text = explanation.to_string();
            assert!(text.contains("measured: ") && text.contains("estimated: 10 series, "), "{text}");
        }
    }

    #[test]
    fn an_analysis_is_written_also_when_the_query_fails() {
        let analysis = Arc::default();
        let options = QueryOptions { analysis: Some(Arc::clone(&analysis)), ..QueryOptions::default() };
        let engine = Engine::new(EngineOptions { max_samples: 20, ..EngineOptions::default() });
        assert!(engine.range(&store(), "a_total + a_total", RANGE.0, RANGE.1, RANGE.2, &options).is_err());
        let explanation: Explanation = analysis.lock().clone();
        assert!(explanation.nodes.iter().any(|node| node.cost.is_some_and(|cost| cost.series_read > 0)));
    }

    /// Rules keep them, and evaluate them on any thread.
    #[test]
    fn prepared_queries_are_shared_between_threads() {
        fn shared<T: Send + Sync + 'static>(_: &T) {}
        shared(&Engine::default().prepare("sum(a_total)", &QueryOptions::default()).unwrap());
    }

    /// Neither printing nor dropping a plan calls itself at each level.
    #[test]
    fn long_chains_are_explained() {
        let query = vec!["a_total"; 5_000].join(" + ");
        let explanation = Engine::default().explain(None, &query, RANGE, &QueryOptions::default()).unwrap();
        assert_eq!(explanation.nodes.len(), 9_999);
        assert!(explanation.to_string().len() < 4 << 20);
    }
}
