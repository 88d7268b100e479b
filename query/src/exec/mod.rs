//! Tree → values. This file only dispatches: who evaluates which node, as a stream of series where it can.
//!
//! A node *streams* when each of its series depends on one series of its operand alone; then an aggregation above it
//! folds series as they arrive and no more than a batch of them is in memory.

mod aggregate;
mod aggregate_param;
mod analysis;
mod binary;
mod call;
mod common_subexpressions;
mod extended_range;
mod fill;
mod histogram_fold;
mod histogram_quantile;
mod info;
mod limits;
mod matcher_propagation;
mod matching;
mod messages;
mod mixed_samples;
mod partial_topk;
mod partitions;
mod projection;
mod relabel;
mod sample_times;
mod scan_sharing;
mod selector;
mod subquery;
mod topk_heap;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::labels::sort_by_labels;
use model::{Labels, Querier};

pub(crate) use self::analysis::is_invariant;
use self::analysis::{may_collide, streams};
pub(crate) use self::common_subexpressions::Shared;
pub(crate) use self::matcher_propagation::narrow;
use self::partitions::Part;
use self::projection::Needed;
pub(crate) use self::scan_sharing::Readings;
use self::selector::Take;

use crate::Error;
use crate::annotations::{Annotation, AnnotationList, Annotations};
use crate::bounds::Bounds;
use crate::cost::Budget;
use crate::histogram as native;
use crate::memory::Reservation;
use crate::options::{EngineOptions, Times};
use crate::parse::Text;
use crate::parse::ast::{Expr, ExprKind, Extension, Sign, Span, Type};
use crate::stack::Stack;
use crate::stats::{Counter, Level};
use crate::value::{ABSENT, RangeSeries, SAMPLE_BYTES, Sample, SampleRef, Series, Value, is_absent, without_name};
use crate::window::Grid;

/// What a query asks, of whom, and within which bounds.
pub(crate) struct Query<'a> {
    pub(crate) querier: &'a dyn Querier,
    /// What its threads need.
    pub(crate) stack: Stack,
    pub(crate) options: &'a EngineOptions,
    pub(crate) text: &'a str,
    pub(crate) times: Times,
    pub(crate) lookback_ms: i64,
    /// Since when a sample counts matters.
    pub(crate) uses_starts: bool,
    pub(crate) bounds: &'a Bounds,
    /// What it may cost, where that is counted.
    pub(crate) budget: Option<Budget>,
    pub(crate) annotations: Mutex<Annotations>,
    pub(crate) shared: Shared<'a>,
    pub(crate) readings: Readings,
}

/// A query being evaluated on one thread.
pub(crate) struct Evaluator<'a> {
    query: &'a Query<'a>,
    /// The part of the one selection of the expression that is all this thread reads.
    part: Option<Part<'a>>,
    /// Samples in memory now, and at most so far; and the memory itself.
    held: Cell<usize>,
    peak: Cell<usize>,
    taken: Reservation<'a>,
    /// Samples worked on since it was last looked whether the query is still wanted.
    worked: Cell<usize>,
    /// Samples looked at and read.
    samples: Counter,
}

/// Which form the result takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Vector,
    Matrix,
}

/// Takes series one by one.
pub(crate) type Sink<'s> = dyn FnMut(Series) -> Result<(), Error> + 's;

/// What a series takes while series with equal labels are looked for.
const MERGED_BYTES: usize = 192;

const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";

impl<'a> Evaluator<'a> {
    pub(crate) fn new(query: &'a Query<'a>, samples: Counter) -> Self {
        let taken = Reservation::new(&query.bounds.share);
        Self { query, part: None, held: Cell::new(0), peak: Cell::new(0), taken, worked: Cell::new(0), samples }
    }

    /// The most samples held at once, and what was looked at and read.
    pub(crate) fn into_cost(self) -> (usize, Level) {
        (self.peak.get(), self.samples.finish())
    }

    /// What an invariant expression yields at the first step, counted for all of them.
    fn once<T>(&self, grid: &Grid, evaluate: impl FnOnce(&Grid) -> Result<T, Error>) -> Result<T, Error> {
        self.samples.enter(1);
        let value = evaluate(&grid.first())?;
        self.samples.leave_invariant(grid.len);
        Ok(value)
    }

    /// The finished result of a whole query.
    pub(crate) fn value(&self, expr: &Expr, grid: &Grid, finish: Finish) -> Result<Value, Error> {
        let ts_ms = grid.start_ms;
        match (expr.value_type(), finish) {
            (Type::String, _) => match &expr.unwrapped().kind {
                ExprKind::String(value) => Ok(Value::String { ts_ms, value: value.lossy().into_owned() }),
                _ => Ok(Value::String { ts_ms, value: String::new() }),
            },
            (Type::Scalar, Finish::Vector) => Ok(Value::Scalar { ts_ms, value: self.scalar(expr, grid)?[0] }),
            (Type::Scalar, Finish::Matrix) => {
                let values = self.scalar(expr, grid)?;
                let points = values.iter().enumerate().map(|(i, v)| (grid.time(i), *v)).collect();
                Ok(Value::Matrix(vec![RangeSeries { labels: Labels::empty(), points, histograms: Vec::new() }]))
            }
            (Type::Matrix, _) => self.range_vector(expr, grid).map(Value::Matrix),
            (Type::Vector, Finish::Vector) if self.is_apart(expr, grid) => self.unordered(expr, grid),
            (Type::Vector, _) => {
                let series = self.cleaned(self.vector(expr, grid)?)?;
                Ok(if finish == Finish::Vector { as_vector(series, ts_ms) } else { as_matrix(series, grid) })
            }
        }
    }

    /// Is each series of what streams one of its own, whatever becomes of its name?
    pub(super) fn is_apart(&self, expr: &Expr, grid: &Grid) -> bool {
        let expr = expr.unwrapped();
        self.is_read_once(expr, grid) && !may_collide(expr) && !self.query.shared.is_known(expr)
    }

    /// An instant vector as it comes: nothing is asked of the order of its samples, and to find one is half the work.
    fn unordered(&self, expr: &Expr, grid: &Grid) -> Result<Value, Error> {
        let mut samples = Vec::new();
        self.stream_parts((expr.unwrapped(), None), grid, &mut |mut series| {
            self.hold(series.weight(), series.bytes())?;
            if std::mem::take(&mut series.drop_name) {
                series.labels = without_name(&series.labels);
            }
            samples.extend(as_sample(series, grid.start_ms));
            Ok(())
        })?;
        Ok(Value::Vector(samples))
    }

    /// With names removed whose removal was delayed.
    fn cleaned(&self, mut series: Vec<Series>) -> Result<Vec<Series>, Error> {
        if !series.iter().any(|s| s.drop_name) {
            return Ok(series);
        }
        for one in &mut series {
            self.pace(1 + one.labels.as_text().len() / SAMPLE_BYTES)?;
            if one.drop_name {
                one.labels = without_name(&one.labels);
                one.drop_name = false;
            }
        }
        self.merged(series)
    }

    /// An instant vector at every step. Selectors and what streams come sorted by labels.
    pub(crate) fn vector(&self, expr: &Expr, grid: &Grid) -> Result<Vec<Series>, Error> {
        let expr = expr.unwrapped();
        let Some(shared) = self.shared(expr, grid, true)? else { return self.evaluated(expr, grid) };
        self.hold(shared.iter().map(Series::weight).sum(), shared.iter().map(Series::bytes).sum())?;
        Ok(Arc::try_unwrap(shared).unwrap_or_else(|shared| shared.to_vec()))
    }

    fn evaluated(&self, expr: &Expr, grid: &Grid) -> Result<Vec<Series>, Error> {
        let before = self.held();
        let series = if grid.len > 1 && is_invariant(expr) {
            let once = self.once(grid, |first| self.evaluated(expr, first))?;
            let bytes = once
                .iter()
                .map(|one| (1 + one.histograms.len()) * SAMPLE_BYTES)
                .sum::<usize>()
                .saturating_mul(grid.len);
            self.hold(0, bytes)?;
            once.into_iter()
                .map(|one| self.pace(grid.len).map(|()| repeated(one, grid.len)))
                .collect::<Result<_, _>>()?
        } else if streams(expr) {
            let mut all = Vec::new();
            self.stream_parts((expr, None), grid, &mut |series| {
                self.hold(series.weight(), series.bytes())?;
                all.push(series);
                Ok(())
            })?;
            sort_by_labels(&mut all, |one| &one.labels);
            let unique = all.is_sorted_by(|a, b| a.labels != b.labels);
            if unique { all } else { self.merged(all)? }
        } else {
            self.whole(expr, grid)?
        };
        self.settle(before, series.iter().map(Series::weight).sum(), series.iter().map(Series::bytes).sum())?;
        Ok(series)
    }

    /// The series of an instant vector one by one, in any order.
    pub(crate) fn stream(&self, expr: &Expr, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), Error> {
        self.stream_needed((expr, None), grid, sink)
    }

    /// The same, when of their labels only some are needed: others may be missing.
    fn stream_needed(
        &self,
        (expr, needed): (&Expr, Option<&Needed>),
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let expr = expr.unwrapped();
        if let Some(shared) = self.shared(expr, grid, false)? {
            return self.hand_over(shared, sink);
        }
        if self.is_read_once(expr, grid) {
            return self.stream_parts((expr, needed), grid, sink);
        }
        self.evaluated(expr, grid)?.into_iter().try_for_each(sink)
    }

    /// Can whoever streams it let go of each series, since nothing else asks for it?
    fn is_read_once(&self, expr: &Expr, grid: &Grid) -> bool {
        let varies = grid.len == 1 || !is_invariant(expr);
        streams(expr) && varies && (self.query.options.delayed_name_removal || !may_collide(expr))
    }

    fn stream_node(&self, expr: &Expr, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), Error> {
        match &expr.kind {
            ExprKind::Vector(selector) if selector.extension == Some(Extension::Smoothed) => {
                self.smoothed_selector(selector, grid, sink)
            }
            ExprKind::Vector(selector) => self.instant_selector(selector, grid, Take::Value, sink),
            ExprKind::Unary(Sign::Plus, inner) => self.stream(inner, grid, sink),
            ExprKind::Unary(Sign::Minus, inner) => self.stream(inner, grid, &mut |mut series| {
                self.drop_name(&mut series);
                series.values.iter_mut().filter(|v| !is_absent(**v)).for_each(|v| *v = -*v);
                series.histograms.iter_mut().for_each(|(_, h)| *h = Arc::new(native::scaled(h, -1.0)));
                sink(series)
            }),
            ExprKind::Binary(binary) => self.vector_scalar(binary, grid, sink),
            ExprKind::Call(call) => self.stream_call(expr, call, grid, sink),
            _ => Err(Error::execution("BUG: this kind of expression does not stream")),
        }
    }

    /// What needs its operands whole.
    fn whole(&self, expr: &Expr, grid: &Grid) -> Result<Vec<Series>, Error> {
        match &expr.kind {
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate, expr.span, grid),
            ExprKind::Binary(binary) => self.vector_vector(binary, grid),
            ExprKind::Call(call) => self.whole_call(expr, call, grid),
            _ => Err(Error::execution("BUG: not an instant vector")),
        }
    }

    /// A number at every step.
    pub(crate) fn scalar(&self, expr: &Expr, grid: &Grid) -> Result<Vec<f64>, Error> {
        let before = self.held();
        self.query.take(&self.taken, grid.len * size_of::<f64>())?;
        self.pace(grid.len)?;
        let numbers = self.scalar_of(expr, grid)?;
        self.settle(before, 0, grid.len * size_of::<f64>())?;
        Ok(numbers)
    }

    fn scalar_of(&self, expr: &Expr, grid: &Grid) -> Result<Vec<f64>, Error> {
        if grid.len > 1 && is_invariant(expr) {
            let once = self.once(grid, |first| self.scalar(expr, first))?[0];
            return Ok(vec![once; grid.len]);
        }
        match &expr.kind {
            ExprKind::Number(number) => Ok(vec![number.value; grid.len]),
            ExprKind::Paren(inner) => self.scalar(inner, grid),
            ExprKind::Unary(Sign::Plus, inner) => self.scalar(inner, grid),
            ExprKind::Unary(Sign::Minus, inner) => Ok(self.scalar(inner, grid)?.iter().map(|v| -v).collect()),
            ExprKind::Binary(binary) => {
                let mut left = self.scalar(&binary.left, grid)?;
                let right = self.scalar(&binary.right, grid)?;
                for (l, r) in left.iter_mut().zip(&right) {
                    *l = binary::scalars(binary.op, *l, *r);
                }
                Ok(left)
            }
            ExprKind::Call(call) => self.scalar_call(call, grid),
            _ => Err(Error::execution("BUG: not a scalar")),
        }
    }

    /// Removes the name, now or at the end of the query.
    pub(crate) fn drop_name(&self, series: &mut Series) {
        if self.query.options.delayed_name_removal {
            series.drop_name = true;
        } else {
            series.labels = match self.outlines() {
                Some(outlines) => outlines.borrow_mut().without_name(&series.labels),
                None => without_name(&series.labels),
            };
        }
    }

    /// Says what is to be said of a metric, at a place of the query.
    pub(crate) fn annotate(&self, span: Span, metric: &str, annotation: Annotation) {
        self.annotations().annotate(self.query.text, span, metric, annotation);
    }

    pub(crate) fn annotate_all(&self, span: Span, metric: &str, annotations: &mut AnnotationList) {
        annotations.0.drain(..).for_each(|annotation| self.annotate(span, metric, annotation));
    }

    pub(crate) fn warn(&self, span: Span, message: &str) {
        self.annotations().warn(self.query.text, span, message);
    }

    pub(crate) fn info(&self, span: Span, message: &str) {
        self.annotations().info(self.query.text, span, message);
    }

    fn annotations(&self) -> MutexGuard<'_, Annotations> {
        self.query.annotations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Evaluator<'_> {
    /// Joins series with equal labels; two samples at one step are an error.
    pub(super) fn merged(&self, series: Vec<Series>) -> Result<Vec<Series>, Error> {
        // The map, and the list that takes the place of this one.
        let _reserved = self.reserve(series.len().saturating_mul(MERGED_BYTES))?;
        let mut seen: HashMap<Labels, usize> = HashMap::with_capacity(series.len());
        let mut out: Vec<Series> = Vec::with_capacity(series.len());
        for one in series {
            self.pace(1 + one.labels.as_text().len() / SAMPLE_BYTES)?;
            let Some(&i) = seen.get(&one.labels) else {
                seen.insert(one.labels.clone(), out.len());
                out.push(one);
                continue;
            };
            self.pace(one.values.len())?;
            join(&mut out[i], one)?;
        }
        Ok(out)
    }
}

/// Adds the samples of a series to those of another; two at one step are an error.
fn join(out: &mut Series, one: Series) -> Result<(), Error> {
    if !one.histograms.is_empty() || !out.histograms.is_empty() {
        for step in one.steps() {
            if out.has(step) {
                return Err(Error::execution(SAME_LABELS));
            }
            one.at(step).into_iter().for_each(|cell| out.put(step, cell));
        }
        return Ok(());
    }
    for (slot, value) in out.values.iter_mut().zip(one.values) {
        match (is_absent(*slot), is_absent(value)) {
            (true, _) => *slot = value,
            (false, true) => {}
            (false, false) => return Err(Error::execution(SAME_LABELS)),
        }
    }
    Ok(())
}

fn repeated(series: Series, len: usize) -> Series {
    let value = series.values.first().copied().unwrap_or(ABSENT);
    let histograms = match series.histograms.first() {
        Some((_, histogram)) => (0..len as u32).map(|step| (step, Arc::clone(histogram))).collect(),
        None => Vec::new(),
    };
    Series { values: vec![value; len], histograms, ..series }
}

fn as_sample(series: Series, ts_ms: i64) -> Option<Sample> {
    let (value, histogram) = match series.at(0)? {
        SampleRef::Float(value) => (value, None),
        SampleRef::Histogram(histogram) => (0.0, Some(Arc::clone(histogram))),
    };
    Some(Sample { labels: series.labels, ts_ms, value, histogram })
}

fn as_vector(series: Vec<Series>, ts_ms: i64) -> Value {
    Value::Vector(series.into_iter().filter_map(|one| as_sample(one, ts_ms)).collect())
}

fn as_matrix(series: Vec<Series>, grid: &Grid) -> Value {
    let present = series.into_iter().filter(|s| !s.is_empty());
    let matrix = present
        .map(|s| {
            let n_points = s.values.iter().filter(|v| !is_absent(**v)).count();
            let mut points = Vec::with_capacity(n_points);
            let present = s.values.iter().enumerate().filter(|(_, v)| !is_absent(**v));
            points.extend(present.map(|(i, v)| (grid.time(i), *v)));
            let histograms = s.histograms.into_iter().map(|(step, h)| (grid.time(step as usize), h));
            RangeSeries { points, histograms: histograms.collect(), labels: s.labels }
        })
        .collect();
    Value::Matrix(matrix)
}

/// A string argument.
fn text_of(expr: &Expr) -> Result<&Text, Error> {
    match &expr.unwrapped().kind {
        ExprKind::String(text) => Ok(text),
        _ => Err(Error::execution("BUG: the argument's type was checked when the query was parsed")),
    }
}

/// The text of a string argument; labels hold no other than UTF-8.
fn string_of(expr: &Expr) -> Result<&str, Error> {
    let text = text_of(expr)?;
    text.as_str().ok_or_else(|| Error::execution(format!("invalid UTF-8 in string {text}")))
}

/// A string argument that names a label.
fn label_name(expr: &Expr, refusal: impl Fn(&Text) -> String) -> Result<&str, Error> {
    let text = text_of(expr)?;
    text.as_str().filter(|name| !name.is_empty()).ok_or_else(|| Error::execution(refusal(text)))
}

/// The scalar arguments of a function, for each of its steps.
struct ScalarArgs {
    columns: Vec<Vec<f64>>,
}

impl ScalarArgs {
    /// The first, where a function has one.
    fn first(&self, step: usize) -> f64 {
        self.columns.first().map_or(f64::NAN, |column| column[step])
    }

    fn at(&self, step: usize, out: &mut Vec<f64>) {
        out.clear();
        out.extend(self.columns.iter().map(|c| c[step]));
    }
}

impl Evaluator<'_> {
    fn scalar_args(&self, args: &[Expr], grid: &Grid) -> Result<ScalarArgs, Error> {
        let scalars = args.iter().filter(|arg| arg.value_type() == Type::Scalar);
        Ok(ScalarArgs { columns: scalars.map(|arg| self.scalar(arg, grid)).collect::<Result<_, _>>()? })
    }
}

/// The one argument of this type.
fn arg_of(args: &[Expr], ty: Type) -> Result<&Expr, Error> {
    let found = args.iter().find(|arg| arg.value_type() == ty);
    found.ok_or_else(|| Error::execution("BUG: the argument's type was checked when the query was parsed"))
}

/// How the selector of a range reaches beyond it.
fn extension_of(range: &Expr) -> Option<Extension> {
    match &range.unwrapped().kind {
        ExprKind::Matrix(selector, _) => selector.extension,
        _ => None,
    }
}

/// Smoothing factors must lie inside 0 and 1, where there is something to smooth.
fn check_factors(factors: &[f64]) -> Result<(), Error> {
    for (factor, (word, short)) in factors.iter().zip([("smoothing", "sf"), ("trend", "tf")]) {
        if !(*factor > 0.0 && *factor < 1.0) {
            return Err(Error::execution(format!(
                "invalid {word} factor. Expected: 0 < {short} < 1, got: {factor:.6}"
            )));
        }
    }
    Ok(())
}
