//! The engine: entry points that parse, plan, evaluate, explain and format queries.

use std::collections::HashSet;
use std::time::Duration;

use model::{Matcher, Querier, Timestamp};

use crate::Error;
use crate::bounds::Bounds;
use crate::cost::CostEstimate;
use crate::estimate::{self, EstimateContext};
use crate::exec::Form;
use crate::memory::Reservation;
use crate::options::{EngineOptions, QueryOptions, Times};
use crate::parse::ast::{Expr, ExprKind};
use crate::parse::{self, Dialect, Limits};
use crate::plan::{self, Explanation};
use crate::prepared::{Asked, Planned, Prepared, QueryResult, check_range_type, evaluate};
use crate::stack::Stack;

/// Formats a tree.
type Write = fn(&Expr) -> String;

/// Evaluates PromQL over any [`Querier`]. Cheap to create; keeps no state between queries.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    options: EngineOptions,
}

impl Engine {
    /// An engine with these options.
    #[must_use]
    pub fn new(options: EngineOptions) -> Self {
        Self { options }
    }

    /// The options of the engine.
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
        self.options.timeout()
    }

    /// The bounds of a request that begins now.
    #[must_use]
    pub fn bounds(&self, options: &QueryOptions) -> Bounds {
        self.options.bounds(options)
    }

    /// The matchers of every selector of a query; their memory stays reserved.
    ///
    /// # Errors
    /// When it does not parse, or goes past a limit.
    pub fn selectors(&self, text: &str, bounds: &Bounds) -> Result<Vec<Vec<Matcher>>, Error> {
        self.selectors_of(text, bounds, |_| true)
    }

    /// The same without the selectors of `absent` and `absent_over_time`, which are usually to match nothing.
    ///
    /// # Errors
    /// As above.
    pub fn expected_selectors(&self, text: &str, bounds: &Bounds) -> Result<Vec<Vec<Matcher>>, Error> {
        self.selectors_of(text, bounds, |call| !matches!(call, "absent" | "absent_over_time"))
    }

    /// The matchers of the selectors outside calls of functions that `enter` refuses.
    fn selectors_of(&self, text: &str, bounds: &Bounds, enter: fn(&str) -> bool) -> Result<Vec<Vec<Matcher>>, Error> {
        Stack::of(text).run(bounds, || {
            let (mut selectors, mut refused) = (Vec::new(), HashSet::new());
            let taken = Reservation::new(&bounds.memory);
            // Parents come first: a call is known before what is in it.
            self.parse_within(text, Limits { bounds, taken: &taken })?.walk(&mut |node| match &node.kind {
                ExprKind::Call(call)
                    if !enter(call.function.name) && !refused.contains(&std::ptr::from_ref(node).addr()) =>
                {
                    let mut refuse = |node| {
                        refused.insert(std::ptr::from_ref::<Expr>(node).addr());
                    };
                    call.args.iter().for_each(|arg| arg.walk(&mut refuse));
                }
                ExprKind::Vector(selector) | ExprKind::Matrix(selector, _)
                    if !refused.contains(&std::ptr::from_ref(node).addr()) =>
                {
                    selectors.push(selector.matchers.clone());
                }
                _ => {}
            });
            // The selectors outlive the reservation: their memory stays with the request.
            taken.keep();
            Ok(selectors)
        })
    }

    /// The query formatted as upstream's formatter does: long lines are broken.
    ///
    /// # Errors
    /// When it does not parse, or goes past a limit.
    pub fn format(&self, text: &str, bounds: &Bounds) -> Result<String, Error> {
        self.written(text, bounds, (parse::pretty, parse::indentation))
    }

    /// The query in canonical form, on one line, as upstream's `Expr.String()`.
    ///
    /// # Errors
    /// When it does not parse, or goes past a limit.
    pub fn canonical(&self, text: &str, bounds: &Bounds) -> Result<String, Error> {
        self.written(text, bounds, (Expr::to_string, |_| 0))
    }

    /// The query in canonical form, each selector with this matcher in the place of all others of its label: it sees no other
    /// series, whoever wrote it.
    ///
    /// # Errors
    /// When it does not parse, or goes past a limit.
    pub fn enforced(&self, text: &str, matcher: &Matcher, bounds: &Bounds) -> Result<String, Error> {
        Stack::of(text).run(bounds, || {
            let taken = Reservation::new(&bounds.memory);
            let mut expr = self.parse_within(text, Limits { bounds, taken: &taken })?;
            expr.walk_mut(&mut |node| {
                if let ExprKind::Vector(selector) | ExprKind::Matrix(selector, _) = &mut node.kind {
                    selector.enforce(matcher);
                }
            });
            Ok(expr.to_string())
        })
    }

    /// The query formatted as [`Self::format`] does, after `edit` has changed the matchers of each selector.
    ///
    /// # Errors
    /// When it does not parse, or goes past a limit.
    pub fn edited(
        &self,
        text: &str,
        edit: &(dyn Fn(&mut Vec<Matcher>) + Sync),
        bounds: &Bounds,
    ) -> Result<String, Error> {
        Stack::of(text).run(bounds, || {
            let taken = Reservation::new(&bounds.memory);
            let mut expr = self.parse_within(text, Limits { bounds, taken: &taken })?;
            expr.walk_mut(&mut |node| {
                if let ExprKind::Vector(selector) | ExprKind::Matrix(selector, _) = &mut node.kind {
                    edit(&mut selector.matchers);
                }
            });
            Ok(parse::pretty(&expr))
        })
    }

    /// The syntax tree of a query as JSON, in the form of upstream's `/api/v1/parse_query`.
    ///
    /// # Errors
    /// When it does not parse, or goes past a limit.
    pub fn tree_json(&self, text: &str, bounds: &Bounds) -> Result<String, Error> {
        self.written(text, bounds, (parse::json, |_| 0))
    }

    /// Formats a tree; the memory of the text stays reserved. `more` says what the text takes beyond the size of the tree.
    fn written(
        &self,
        text: &str,
        bounds: &Bounds,
        (write, more): (Write, fn(&Expr) -> usize),
    ) -> Result<String, Error> {
        Stack::of(text).run(bounds, || {
            let taken = Reservation::new(&bounds.memory);
            let expr = self.parse_within(text, Limits { bounds, taken: &taken })?;
            // The text is at most as large as the tree, and doubles while it grows.
            taken.take(taken.bytes().saturating_mul(2).saturating_add(more(&expr)))?;
            let text = write(&expr);
            // The tree is dropped with this closure; what remains is the text.
            taken.back_to(text.capacity());
            taken.keep();
            Ok(text)
        })
    }

    /// Checks and plans a query, to be evaluated any number of times.
    ///
    /// # Errors
    /// When the query does not parse, or goes past a limit.
    pub fn prepare(&self, text: &str, options: &QueryOptions) -> Result<Prepared, Error> {
        let bounds = self.bounds(options);
        let stack = Stack::of(text);
        let planned = stack.run(&bounds, || {
            let taken = Reservation::new(&bounds.memory);
            self.planned(text, Limits { bounds: &bounds, taken: &taken })
        })?;
        Ok(Prepared::new(self.options.clone(), text, stack, planned))
    }

    /// The value of a query at a time.
    ///
    /// # Errors
    /// When the query does not parse, fails on this data, or goes past a limit.
    pub fn instant(
        &self,
        querier: &dyn Querier,
        text: &str,
        ts: Timestamp,
        options: &QueryOptions,
    ) -> Result<QueryResult, Error> {
        self.evaluate(querier, text, (Form::Vector, Times::instant(ts)), options)
    }

    /// The values of a query at `start`, `start + step_ms` and so on up to `end`.
    ///
    /// # Errors
    /// When the query does not parse, fails on this data, or goes past a limit.
    #[expect(clippy::too_many_arguments, reason = "the three times belong together and are plain at every caller")]
    pub fn range(
        &self,
        querier: &dyn Querier,
        text: &str,
        start: Timestamp,
        end: Timestamp,
        step_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryResult, Error> {
        self.evaluate(querier, text, (Form::Matrix, Times { start, end, step_ms }), options)
    }

    /// Plans and evaluates, on one stack and within one set of limits.
    fn evaluate(
        &self,
        querier: &dyn Querier,
        text: &str,
        (form, times): (Form, Times),
        options: &QueryOptions,
    ) -> Result<QueryResult, Error> {
        let (bounds, stack) = (self.bounds(options), Stack::of(text));
        stack.run(&bounds, || {
            let taken = Reservation::new(&bounds.memory);
            let planned = self.planned(text, Limits { bounds: &bounds, taken: &taken })?;
            let asked = Asked { querier, bounds: &bounds, engine: &self.options, options, form, times, memos: &[] };
            evaluate(&planned, (text, stack), asked)
        })
    }

    /// The plan of a query for these times; see [`Prepared::explain`].
    ///
    /// # Errors
    /// When the query does not parse, or goes past a limit.
    pub fn explain(
        &self,
        querier: Option<&dyn Querier>,
        text: &str,
        times: (Timestamp, Timestamp, i64),
        options: &QueryOptions,
    ) -> Result<Explanation, Error> {
        self.prepare(text, options)?.explain(querier, times, options)
    }

    /// Estimates the cost of a query at these times (start, end and step; an instant query has a step of 0), with warnings.
    /// `querier` comes with the scrape interval, which is assumed where no samples are found.
    ///
    /// # Errors
    /// When the query does not parse, or counting its series goes past a limit.
    pub fn estimate(
        &self,
        (querier, scrape_interval_ms): (&dyn Querier, i64),
        text: &str,
        (start, end, step_ms): (Timestamp, Timestamp, i64),
        options: &QueryOptions,
    ) -> Result<(CostEstimate, Vec<String>), Error> {
        let times = Times { start, end, step_ms };
        let bounds = self.bounds(options);
        Stack::of(text).run(&bounds, || {
            let taken = Reservation::new(&bounds.memory);
            let expr = self.parse_within(text, Limits { bounds: &bounds, taken: &taken })?;
            let mut plan = plan::build(expr);
            // As evaluation would: the type is checked before durations are resolved.
            if step_ms > 0 {
                check_range_type(&plan)?;
            }
            // Not optimised: what nodes share is not part of the estimate.
            plan::resolve(&mut plan, times)?;
            plan::analysis::analyse(&mut plan);
            let lookback_ms = self.options.lookback_ms(options);
            let default_step_ms = self.options.default_step_ms;
            let context =
                EstimateContext { querier, bounds: &bounds, lookback_ms, default_step_ms, scrape_interval_ms };
            estimate::estimate(&plan, times, context)
        })
    }

    pub(crate) fn parse(&self, text: &str) -> Result<Expr, Error> {
        let bounds = Bounds::default();
        let taken = Reservation::new(&bounds.memory);
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

    fn planned(&self, text: &str, limits: Limits<'_>) -> Result<Planned, Error> {
        Ok(Planned::new(self.parse_within(text, limits)?, &self.options))
    }

    /// Evaluates a parsed query.
    pub(crate) fn run(
        &self,
        querier: &dyn Querier,
        (text, expr): (&str, Expr),
        times: Times,
        options: &QueryOptions,
    ) -> Result<QueryResult, Error> {
        let bounds = self.bounds(options);
        let form = if times.step_ms > 0 { Form::Matrix } else { Form::Vector };
        let asked = Asked { querier, bounds: &bounds, engine: &self.options, options, form, times, memos: &[] };
        evaluate(&Planned::new(expr, &self.options), (text, Stack::of(text)), asked)
    }
}
