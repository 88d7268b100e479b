//! Runs queries: parses, sets the limits, evaluates, shapes the result. Step 2 of the query path.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::labels::sort_by_labels;
use model::{Matcher, Querier};

use crate::Error;
use crate::bounds::Bounds;
use crate::estimate::{self, CostEstimate, Surroundings};
use crate::exec::{Evaluator, Finish, Query, Readings, Shared, narrow};
use crate::memory::{Reservation, Share};
use crate::options::{EngineOptions, QueryOptions, Times};
use crate::parse::ast::{Expr, ExprKind, Type};
use crate::parse::{self, Dialect, Limits};
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

/// Makes a text of a tree.
type Write = fn(&Expr) -> String;

/// Evaluates PromQL over any [`Querier`]. Cheap to make; holds nothing between queries.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    options: EngineOptions,
}

/// A range query yields at most this many steps, as in upstream's API.
const STEPS_MAX: i64 = 1 << 24;

impl Engine {
    /// An engine with these options.
    #[must_use]
    pub fn new(options: EngineOptions) -> Self {
        Self { options }
    }

    /// The options it was made with.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Checks a query without running it.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn check(&self, text: &str) -> Result<(), Error> {
        Stack::of(text).run(&Bounds::default(), || self.parse(text).map(drop))
    }

    /// How long a query may take at most.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.options.cost.max_duration().unwrap_or(self.options.timeout)
    }

    /// The bounds of a request that begins now.
    #[must_use]
    pub fn bounds(&self, options: &QueryOptions) -> Bounds {
        let timeout = options.timeout.map_or(self.timeout(), |t| t.min(self.timeout()));
        Bounds {
            share: Arc::new(Share::new(Arc::clone(&self.options.memory))),
            deadline: Instant::now().checked_add(timeout),
            wanted: options.wanted.clone(),
            utf8_names: self.options.unquoted_utf8_names,
        }
    }

    /// The matchers of every selector of a query; their memory stays taken.
    ///
    /// # Errors
    /// When it does not parse, or goes past a limit.
    pub fn selectors(&self, text: &str, bounds: &Bounds) -> Result<Vec<Vec<Matcher>>, Error> {
        Stack::of(text).run(bounds, || {
            let mut selectors = Vec::new();
            let taken = Reservation::new(&bounds.share);
            self.parse_within(text, Limits { bounds, taken: &taken })?.walk(&mut |node| {
                if let ExprKind::Vector(selector) | ExprKind::Matrix(selector, _) = &node.kind {
                    selectors.push(selector.matchers.clone());
                }
            });
            taken.keep();
            Ok(selectors)
        })
    }

    /// The query again, broken into lines where it is long, as upstream's formatter does.
    ///
    /// # Errors
    /// When it does not parse, or goes past a limit.
    pub fn format(&self, text: &str, bounds: &Bounds) -> Result<String, Error> {
        self.written(text, bounds, (parse::pretty, parse::indentation))
    }

    /// The syntax tree of a query as JSON, in the form of upstream's `/api/v1/parse_query`.
    ///
    /// # Errors
    /// When it does not parse, or goes past a limit.
    pub fn tree_json(&self, text: &str, bounds: &Bounds) -> Result<String, Error> {
        self.written(text, bounds, (parse::json, |_| 0))
    }

    /// A text made of a tree; its memory stays taken. What the text takes besides what the tree does is said beside it.
    fn written(
        &self,
        text: &str,
        bounds: &Bounds,
        (write, more): (Write, fn(&Expr) -> usize),
    ) -> Result<String, Error> {
        Stack::of(text).run(bounds, || {
            let taken = Reservation::new(&bounds.share);
            let expr = self.parse_within(text, Limits { bounds, taken: &taken })?;
            // The text is at most as large as the tree, and is there twice while it grows.
            taken.take(taken.bytes().saturating_mul(2).saturating_add(more(&expr)))?;
            let text = write(&expr);
            taken.back_to(text.capacity());
            taken.keep();
            Ok(text)
        })
    }

    /// The value of a query at a time.
    ///
    /// # Errors
    /// When the query does not parse, fails on this data, or goes past a limit.
    pub fn instant(
        &self,
        querier: &dyn Querier,
        text: &str,
        ts_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryResult, Error> {
        let times = Times { start_ms: ts_ms, end_ms: ts_ms, step_ms: 0 };
        let bounds = self.bounds(options);
        Stack::of(text).run(&bounds, || {
            let taken = Reservation::new(&bounds.share);
            let expr = self.parse_within(text, Limits { bounds: &bounds, taken: &taken })?;
            self.run_within((querier, &bounds), (text, expr), times, options)
        })
    }

    /// The values of a query at `start_ms`, `start_ms + step_ms` and so on up to `end_ms`.
    ///
    /// # Errors
    /// When the query does not parse, fails on this data, or goes past a limit.
    #[expect(clippy::too_many_arguments, reason = "the three times belong together and are plain at every caller")]
    pub fn range(
        &self,
        querier: &dyn Querier,
        text: &str,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryResult, Error> {
        let times = Times { start_ms, end_ms, step_ms };
        let bounds = self.bounds(options);
        Stack::of(text).run(&bounds, || {
            let taken = Reservation::new(&bounds.share);
            let expr = self.parse_within(text, Limits { bounds: &bounds, taken: &taken })?;
            check_range_type(&expr)?;
            if step_ms <= 0 || end_ms < start_ms || (end_ms - start_ms) / step_ms >= STEPS_MAX {
                let refused = "the range of a query needs a positive step and an end not before its start";
                return Err(Error::execution(refused));
            }
            self.run_within((querier, &bounds), (text, expr), times, options)
        })
    }

    /// What a query will cost about at these times (start, end and step; an instant query has a step of 0), and what is to be
    /// said of that. `querier` comes with how far apart samples are where none are found.
    ///
    /// # Errors
    /// When the query does not parse, or counting its series goes past a limit.
    pub fn estimate(
        &self,
        (querier, scrape_interval_ms): (&dyn Querier, i64),
        text: &str,
        (start_ms, end_ms, step_ms): (i64, i64, i64),
        options: &QueryOptions,
    ) -> Result<(CostEstimate, Vec<String>), Error> {
        let times = Times { start_ms, end_ms, step_ms };
        let bounds = self.bounds(options);
        Stack::of(text).run(&bounds, || {
            let taken = Reservation::new(&bounds.share);
            let mut expr = self.parse_within(text, Limits { bounds: &bounds, taken: &taken })?;
            if step_ms > 0 {
                check_range_type(&expr)?;
            }
            parse::resolve(&mut expr, times)?;
            let lookback_ms = options.lookback_delta_ms.unwrap_or(self.options.lookback_delta_ms).max(1);
            let default_step_ms = self.options.default_step_ms;
            let around = Surroundings { querier, bounds: &bounds, lookback_ms, default_step_ms, scrape_interval_ms };
            estimate::estimate(&expr, times, around)
        })
    }

    pub(crate) fn parse(&self, text: &str) -> Result<Expr, Error> {
        let bounds = Bounds::default();
        let taken = Reservation::new(&bounds.share);
        self.parse_within(text, Limits { bounds: &bounds, taken: &taken })
    }

    fn parse_within(&self, text: &str, limits: Limits<'_>) -> Result<Expr, Error> {
        let dialect = Dialect {
            experimental_functions: self.options.experimental_functions,
            fill_modifiers: self.options.fill_modifiers,
            utf8_names: self.options.unquoted_utf8_names,
            extensions: self.options.extensions,
            scrape_interval_ms: self.options.scrape_interval_ms,
        };
        parse::parse_within(text, dialect, limits)
    }

    pub(crate) fn run(
        &self,
        querier: &dyn Querier,
        query: (&str, Expr),
        times: Times,
        options: &QueryOptions,
    ) -> Result<QueryResult, Error> {
        self.run_within((querier, &self.bounds(options)), query, times, options)
    }

    fn run_within(
        &self,
        (querier, bounds): (&dyn Querier, &Bounds),
        (text, mut expr): (&str, Expr),
        times: Times,
        options: &QueryOptions,
    ) -> Result<QueryResult, Error> {
        let begun = Instant::now();
        parse::resolve(&mut expr, times)?;
        check(&expr)?;
        parse::unwrap_args(&mut expr);
        parse::mark_totals(&mut expr);
        narrow(&mut expr);
        let steps = if times.step_ms > 0 { (times.end_ms - times.start_ms) / times.step_ms } else { 0 };
        let grid = Grid { start_ms: times.start_ms, step_ms: times.step_ms, len: steps as usize + 1 };
        let told_steps = if options.per_step_stats { grid.len } else { 0 };
        let shared = Shared::of(&expr);
        let query = Query {
            querier,
            stack: Stack::of(text),
            options: &self.options,
            text,
            times,
            uses_starts: options.use_start_timestamps.unwrap_or(self.options.use_start_timestamps),
            lookback_ms: options.lookback_delta_ms.unwrap_or(self.options.lookback_delta_ms).max(1),
            bounds,
            budget: self.options.cost.budget(options.max_series, options.max_samples_read),
            annotations: Mutex::default(),
            readings: Readings::of(&expr, &shared),
            shared,
        };
        let evaluator =
            Evaluator::new(&query, Counter::new(options.stats.is_some() || query.budget.is_some(), told_steps));
        let finish = if times.step_ms > 0 { Finish::Matrix } else { Finish::Vector };
        let prepared = Instant::now();
        let value = evaluator.value(&expr, &grid, finish);
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
        query.let_go();
        bounds.take(value.bytes())?;
        let (mut warnings, infos) = query.annotations.into_inner().unwrap_or_else(PoisonError::into_inner).into_texts();
        if options.limit > 0 && truncate(&mut value, options.limit) {
            warnings.push("results truncated due to limit".to_owned());
        }
        Ok(QueryResult { value, warnings, infos, share: Arc::clone(&bounds.share) })
    }
}

/// A range query's series come by their labels.
fn sorted(mut value: Value) -> Value {
    if let Value::Matrix(series) = &mut value {
        sort_by_labels(series, |one| &one.labels);
    }
    value
}

/// A range query yields numbers at each step.
fn check_range_type(expr: &Expr) -> Result<(), Error> {
    let got = expr.value_type();
    if matches!(got, Type::Scalar | Type::Vector) {
        return Ok(());
    }
    let got = got.documented();
    Err(Error::Parse(format!("invalid expression type {got:?} for range query, must be Scalar or instant Vector")))
}

/// What a query may not ask for although it parses.
fn check(expr: &Expr) -> Result<(), Error> {
    let mut refused = None;
    expr.walk(&mut |node| {
        refused = refused.take().or_else(|| match &node.kind {
            ExprKind::Call(call) => call.refused_extension(),
            ExprKind::Binary(b) if b.op.is_trim() && node.value_type() == Type::Scalar => {
                Some(format!("operator {:?} not allowed for Scalar operations", b.op.symbol()))
            }
            _ => None,
        });
    });
    refused.map_or(Ok(()), |message| Err(Error::Execution(message)))
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
