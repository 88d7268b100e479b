//! Runs upstream's PromQL test scripts (`load`, `eval`, `expect`): for our own tests and for `promtool test promql`.

mod all_constructs;
mod classic;
mod compare;
mod notation;
#[cfg(test)]
pub(crate) mod random_queries;
#[cfg(test)]
mod recorded;
mod script;
mod shared;
mod store;
#[cfg(test)]
pub(crate) mod wrapped;

use std::time::Duration;

use model::Timestamp;

pub use self::all_constructs::{Operands, every_query};
pub use self::notation::series;
use self::script::{Command, Eval, When};
pub use self::shared::SharedStore;
pub(crate) use self::store::Store;
use crate::bounds::Bounds;
use crate::options::Times;
use crate::parse::ast::{self, At, DurationKind, Expr, ExprKind, Shift};
pub use crate::parse::series::Point;
use crate::stack::Stack;
use crate::value::{Sample, Value};
use crate::{Engine, EngineOptions, QueryOptions};

/// The result of running a script.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Evaluations in it.
    pub total: usize,
    /// Evaluations with the expected result.
    pub passed: usize,
    /// The others.
    pub failures: Vec<Failure>,
}

/// An evaluation with an unexpected result.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The line in the script, counted from one.
    pub line: usize,
    /// Its query.
    pub query: String,
    /// The difference, or the error.
    pub reason: String,
}

/// Functions whose result depends on the time of evaluation, which `@` does not fix.
const TIME_DEPENDENT: [&str; 15] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "time",
    "timestamp",
    "start",
    "end",
    "range",
    "step",
];

/// Runs a script with all features of upstream's language enabled.
///
/// # Errors
/// When the script itself cannot be read (the text names the line), or loads what makes no sense.
pub fn run(text: &str) -> Result<Report, String> {
    run_with(text, everything())
}

/// Options with all features that upstream's scripts need.
pub(crate) fn everything() -> EngineOptions {
    // Extensions are not part of upstream's language, and type labels change which counters are annotated.
    let of_upstream =
        EngineOptions::features().filter(|name| !matches!(*name, "promql-extensions" | "type-and-unit-labels"));
    EngineOptions { timeout: Duration::from_secs(100), ..EngineOptions::default() }.with_features(of_upstream)
}

/// Runs a script with an engine of these options.
///
/// # Errors
/// When the script itself cannot be read (the text names the line), or loads what makes no sense.
pub fn run_with(text: &str, options: EngineOptions) -> Result<Report, String> {
    let commands = script::parse(text)?;
    let engine = Engine::new(options);
    let mut store = Store::default();
    let mut report = Report::default();
    for command in &commands {
        match command {
            Command::Clear => store.clear(),
            Command::Load { step_ms, classic, series } => {
                series.iter().try_for_each(|line| store.load(line, (Timestamp::EPOCH, *step_ms)))?;
                if *classic {
                    // The classic series were loaded above: scripts compare both kinds.
                    classic::histograms(series)?
                        .iter()
                        .try_for_each(|line| store.load(line, (Timestamp::EPOCH, *step_ms)))?;
                }
            }
            Command::Eval(eval) => {
                report.total += 1;
                match (Runner { engine: &engine, store: &store, eval }).run() {
                    Ok(()) => report.passed += 1,
                    Err(reason) => {
                        report.failures.push(Failure { line: eval.line, query: eval.query.clone(), reason });
                    }
                }
            }
        }
    }
    Ok(report)
}

struct Runner<'a> {
    engine: &'a Engine,
    store: &'a Store,
    eval: &'a Eval,
}

impl Runner<'_> {
    fn run(&self) -> Result<(), String> {
        // Also a query that is expected to fail must be one.
        // Checked with every feature on: the engine under test may have some of them off.
        let extensions = self.engine.options().extensions;
        Engine::new(EngineOptions { extensions, ..everything() })
            .check(&self.eval.query)
            .map_err(|error| error.to_string())?;
        match self.eval.when {
            When::Range { start, end, step_ms } => {
                let result =
                    self.engine.range(self.store, &self.eval.query, start, end, step_ms, &QueryOptions::default());
                let result = match result {
                    Ok(_) if self.eval.expect.fail.is_some() => return Err("succeeded, expected to fail".to_owned()),
                    Ok(result) => result,
                    Err(error) => return compare::failure(&error, &self.eval.expect),
                };
                compare::annotations(&result, &self.eval.expect)?;
                match &result.value {
                    Value::Matrix(series) => compare::matrix(series, &self.eval.expect, (start, step_ms)),
                    _ => Err("got no matrix".to_owned()),
                }
            }
            When::Instant(ts) => {
                // The tree is kept and changed here, so the whole check needs the stack that the engine would give the
                // query.
                let run = || Ok(self.instant(ts));
                Stack::of(&self.eval.query).run(&Bounds::default(), run).map_err(|error| error.to_string())?
            }
        }
    }

    fn instant(&self, ts: Timestamp) -> Result<(), String> {
        let expect = &self.eval.expect;
        let times = Times { start: ts, end: ts, step_ms: 0 };
        let expr = match self.engine.parse(&self.eval.query) {
            Ok(expr) => expr,
            Err(error) => return compare::failure(&error, expect),
        };
        let result = match self.evaluate(&expr, times) {
            Ok(_) if expect.fail.is_some() => return Err("succeeded, expected to fail".to_owned()),
            Ok(result) => result,
            Err(error) => return compare::failure(&error, expect),
        };
        compare::annotations(&result, expect)?;
        compare::instant(&result.value, expect)?;
        // As upstream's `runInstantQuery`, which also evaluates each instant query as a range query.
        self.around(&expr, ts)?;
        if names(&expr).iter().any(|name| TIME_DEPENDENT.contains(name)) {
            return Ok(());
        }
        // With every selector fixed to the time, the evaluation time must not matter.
        let mut fixed = expr.clone();
        fix(&mut fixed, ts);
        // The times that upstream uses: before, at and far behind the evaluation time.
        let Timestamp(ms) = ts;
        let others = if ms == 0 { vec![-1000, 0, 1000] } else { vec![-10 * ms, 0, ms / 5, ms, 10 * ms] };
        for other in others.into_iter().map(Timestamp) {
            let result = self.evaluate(&fixed, Times { start: other, end: other, step_ms: 0 });
            let result = result.map_err(|error| format!("with @, at {other}: {error}"))?;
            compare::instant(&result.value, expect).map_err(|reason| format!("with @, at {other}: {reason}"))?;
            self.around(&fixed, other).map_err(|reason| format!("with @, at {other}: {reason}"))?;
        }
        Ok(())
    }

    /// As a range query around the time, the step at the time must be the same.
    fn around(&self, expr: &Expr, ts: Timestamp) -> Result<(), String> {
        let expect = &self.eval.expect;
        let bound = |shift: &Shift| matches!(shift.at, Some(At::Start | At::End)) || by_times(&shift.offset);
        let mut by_bounds = false;
        expr.walk(&mut |node| {
            by_bounds |= match &node.kind {
                ExprKind::Vector(s) => bound(&s.shift),
                ExprKind::Matrix(s, range) => bound(&s.shift) || by_times(range),
                ExprKind::Subquery(s) => bound(&s.shift) || by_times(&s.range) || s.step.as_ref().is_some_and(by_times),
                ExprKind::Call(call) => ["start", "end", "range", "step"].contains(&call.function.name),
                _ => false,
            };
        });
        // A range query has other bounds and another step, and cannot return a range vector or a string.
        if by_bounds || expect.range.is_some() || expect.string.is_some() {
            return Ok(());
        }
        let times = Times { start: ts - 60_000, end: ts + 60_000, step_ms: 60_000 };
        let result = self.evaluate(expr, times).map_err(|error| format!("as a range: {error}"))?;
        let Value::Matrix(series) = result.value else { return Err("as a range: got no matrix".to_owned()) };
        // Range queries are sorted by labels, so an expected order says nothing about them.
        if expect.ordered {
            return Ok(());
        }
        let points = series.into_iter().filter_map(|s| {
            let value = s.points.iter().find(|(at, _)| *at == ts).map(|(_, value)| *value);
            let histogram = s.histograms.into_iter().find(|(at, _)| *at == ts).map(|(_, histogram)| histogram);
            let found = value.is_some() || histogram.is_some();
            found.then_some(Sample { labels: s.labels, ts, value: value.unwrap_or(0.0), histogram })
        });
        let samples: Vec<Sample> = points.collect();
        // The API returns a scalar of a range query as a series without labels.
        let value = match (expect.scalar, samples.first()) {
            (Some(_), Some(sample)) => Value::Scalar { ts, value: sample.value },
            _ => Value::Vector(samples),
        };
        compare::instant(&value, expect).map_err(|reason| format!("as a range: {reason}"))
    }

    fn evaluate(&self, expr: &Expr, times: Times) -> Result<crate::QueryResult, crate::Error> {
        self.engine.run(self.store, (&self.eval.query, expr.clone()), times, &QueryOptions::default())
    }
}

/// Does a duration depend on the times of the query?
fn by_times(duration: &ast::Duration) -> bool {
    let mut found = false;
    if let Some(expr) = &duration.expr {
        expr.walk(&mut |node| found |= matches!(node.kind, DurationKind::Step | DurationKind::Range));
    }
    found
}

/// The functions that a query calls.
fn names(expr: &Expr) -> Vec<&'static str> {
    let mut names = Vec::new();
    expr.walk(&mut |node| {
        if let ExprKind::Call(call) = &node.kind {
            names.push(call.function.name);
        }
    });
    names
}

/// Puts `@` on every selector and subquery that has none and is not inside a subquery.
fn fix(expr: &mut Expr, ts: Timestamp) {
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Vector(s) | ExprKind::Matrix(s, _) => {
            s.shift.at.get_or_insert(At::Time(ts));
        }
        // What is inside moves with the subquery, and needs no `@` of its own.
        ExprKind::Subquery(s) => {
            s.shift.at.get_or_insert(At::Time(ts));
        }
        ExprKind::Paren(e) | ExprKind::Unary(_, e) => fix(e, ts),
        ExprKind::Call(call) => call.args.iter_mut().for_each(|arg| fix(arg, ts)),
        ExprKind::Aggregate(a) => {
            fix(&mut a.expr, ts);
            if let Some(param) = &mut a.param {
                fix(param, ts);
            }
        }
        ExprKind::Binary(b) => {
            fix(&mut b.left, ts);
            fix(&mut b.right, ts);
        }
    }
}
