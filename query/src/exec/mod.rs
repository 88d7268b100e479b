//! Evaluation: plan → values. This file only dispatches: which file evaluates which kind of node, as a stream of series where
//! it can. Step 6 of the query path.
//!
//! A node *streams* when each of its series depends on one series of one operand alone; then an aggregation above it folds
//! series as they arrive and no more than a batch of them is in memory.
//!
//! No file of `exec/` imports this one: a node gets the values of its operands through [`Operands`], which is implemented
//! here, and the state of the query through [`Evaluator`].

mod aggregate;
mod aggregate_param;
mod arguments;
mod binary;
mod call;
mod common_cache;
mod common_subexpressions;
mod evaluator;
mod extended_range;
mod fill;
mod hash;
mod histogram_fold;
mod histogram_quantile;
mod info;
mod limits;
mod matching;
mod measure;
mod merge;
mod messages;
mod mixed_samples;
mod operands;
mod partial_topk;
mod partitions;
mod profile;
mod projection;
mod ranges;
mod relabel;
mod results;
mod scan;
mod scan_cache;
mod selector;
mod subquery;
mod topk_heap;

use std::sync::Arc;

use model::Labels;
use model::labels::sort_by_labels;

pub(crate) use self::common_cache::CommonCache;
use self::evaluator::Sink;
pub(crate) use self::evaluator::{Evaluator, Query};
use self::operands::Operands;
pub(crate) use self::profile::Profile;
use self::projection::Needed;
pub(crate) use self::results::Form;
use self::results::{as_matrix, as_sample, as_vector};
pub(crate) use self::scan_cache::ScanCache;
use self::selector::Take;
use crate::Error;
use crate::functions::operators::scalars;
use crate::histogram as native;
use crate::parse::ast::{BinaryOp, Sign};
use crate::parse::types::{Extension, Type};
use crate::plan::{NodeId, NodeKind, Plan};
use crate::value::{ABSENT, RangeSeries, SAMPLE_BYTES, Series, Value, is_absent, without_name};
use crate::window::Grid;

impl Evaluator<'_> {
    /// The result of the query.
    pub(crate) fn value(&self, grid: &Grid, form: Form) -> Result<Value, Error> {
        let (id, ts) = (Plan::ROOT, grid.start);
        let node = self.node(id);
        match (node.value_type, form) {
            (Type::String, _) => match &node.kind {
                NodeKind::String(value) => Ok(Value::String { ts, value: value.lossy().into_owned() }),
                _ => Ok(Value::String { ts, value: String::new() }),
            },
            (Type::Scalar, Form::Vector) => Ok(Value::Scalar { ts, value: self.scalar(id, grid)?[0] }),
            (Type::Scalar, Form::Matrix) => {
                let values = self.scalar(id, grid)?;
                let points = values.iter().enumerate().map(|(i, v)| (grid.time(i), *v)).collect();
                Ok(Value::Matrix(vec![RangeSeries { labels: Labels::empty(), points, histograms: Vec::new() }]))
            }
            (Type::Matrix, _) => self.range_vector(id, grid).map(Value::Matrix),
            // No series can collide, and an instant vector has no order: nothing need be merged or sorted.
            (Type::Vector, Form::Vector) if self.is_distinct(id, grid) => self.unordered(id, grid),
            (Type::Vector, _) => {
                let series = self.cleaned(self.vector(id, grid)?)?;
                Ok(if form == Form::Vector { as_vector(series, ts) } else { as_matrix(series, grid) })
            }
        }
    }

    /// The result of an instant query in the order of the store: it need not be sorted, and sorting would be half the work.
    fn unordered(&self, id: NodeId, grid: &Grid) -> Result<Value, Error> {
        let mut samples = Vec::new();
        let mut sink = |mut series: Series| {
            self.hold(series.weight(), series.bytes())?;
            // No merge is needed after the removal: the caller knows that the labels stay distinct.
            if std::mem::take(&mut series.drop_name) {
                series.labels = without_name(&series.labels);
            }
            samples.extend(as_sample(series, grid.start));
            Ok(())
        };
        self.measured_stream(id, &mut sink, |sink| self.stream_partitioned((id, None), grid, sink))?;
        Ok(Value::Vector(samples))
    }

    /// Can a consumer stream this node at these steps, without a result that must be kept whole?
    pub(super) fn is_read_once(&self, id: NodeId, grid: &Grid) -> bool {
        let facts = self.node(id).facts;
        // Invariant nodes are evaluated at the first step and repeated.
        let varies = grid.len == 1 || !facts.invariant;
        facts.streams && varies && (self.query.options.delayed_name_removal || !facts.may_collide)
    }

    /// The same, and no two series can have equal labels even without their names.
    pub(super) fn is_distinct(&self, id: NodeId, grid: &Grid) -> bool {
        let node = self.node(id);
        self.is_read_once(id, grid) && !node.facts.may_collide && node.decisions.common.is_none()
    }

    /// Evaluates an invariant node at the first step; samples count for all steps.
    fn once<T>(&self, grid: &Grid, evaluate: impl FnOnce(&Grid) -> Result<T, Error>) -> Result<T, Error> {
        self.samples.enter(1);
        let value = evaluate(&grid.first())?;
        // Upstream evaluates invariant expressions once as well, but counts their samples at every step.
        self.samples.leave_invariant(grid.len);
        Ok(value)
    }

    /// An invariant node: its value at the first step, repeated.
    fn repeated(&self, id: NodeId, grid: &Grid) -> Result<Vec<Series>, Error> {
        let once = self.once(grid, |first| self.evaluated(id, first))?;
        // Reserved before the copies are made; the histograms themselves are shared.
        let slots = once.iter().map(|one| (1 + one.histograms.len()) * SAMPLE_BYTES).sum::<usize>();
        self.hold(0, slots.saturating_mul(grid.len))?;
        once.into_iter().map(|one| self.account_work(grid.len).map(|()| repeated(one, grid.len))).collect()
    }

    /// Collects a streaming node, sorted by labels.
    fn collected(&self, id: NodeId, grid: &Grid) -> Result<Vec<Series>, Error> {
        let mut all = Vec::new();
        self.stream_partitioned((id, None), grid, &mut |series| {
            self.hold(series.weight(), series.bytes())?;
            all.push(series);
            Ok(())
        })?;
        // Partitions arrive in the order of the store.
        sort_by_labels(&mut all, |one| &one.labels);
        // After names were dropped, series of several metrics can have equal labels.
        let unique = all.is_sorted_by(|a, b| a.labels != b.labels);
        if unique { Ok(all) } else { self.merged(all) }
    }

    /// Streams a node of whose labels only some are needed; others may be missing.
    fn stream_needed(
        &self,
        (id, needed): (NodeId, Option<&Needed>),
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        self.measured_stream(id, sink, |sink| self.stream_from((id, needed), grid, sink))
    }

    /// Streams a kept result, the node itself, or its collected result.
    fn stream_from(
        &self,
        (id, needed): (NodeId, Option<&Needed>),
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        // A kept result first: reading it is cheaper than any evaluation.
        if let Some(shared) = self.shared(id, grid, false)? {
            return self.hand_over(shared, sink);
        }
        if self.is_read_once(id, grid) {
            return self.stream_partitioned((id, needed), grid, sink);
        }
        self.evaluated(id, grid)?.into_iter().try_for_each(sink)
    }

    /// A kept result, or the node evaluated.
    fn vector_from(&self, id: NodeId, grid: &Grid) -> Result<Vec<Series>, Error> {
        let Some(shared) = self.shared(id, grid, true)? else { return self.evaluated(id, grid) };
        self.hold(shared.iter().map(Series::weight).sum(), shared.iter().map(Series::bytes).sum())?;
        // At the last place the result has no other owner, and is not copied.
        Ok(Arc::try_unwrap(shared).unwrap_or_else(|shared| shared.to_vec()))
    }

    /// Nodes that need their operands whole.
    fn whole(&self, id: NodeId, grid: &Grid) -> Result<Vec<Series>, Error> {
        match &self.node(id).kind {
            NodeKind::Aggregate(aggregate) if aggregate.param.is_some() => {
                self.aggregate_with_param((id, aggregate), grid)
            }
            // One pass for several aggregations, or `None` where there is nothing to compute together.
            NodeKind::Aggregate(aggregate) => match self.fold_together((id, aggregate), grid)? {
                Some(series) => Ok(series),
                None => self.fold((id, aggregate), grid),
            },
            NodeKind::Binary(binary) if binary.op == BinaryOp::Default => self.filled(binary, grid),
            NodeKind::Binary(binary) => self.vector_vector(binary, grid),
            NodeKind::Call(call) => self.whole_call((id, call), grid),
            _ => Err(Error::execution("BUG: not an instant vector")),
        }
    }

    /// A scalar at every step; its memory is reserved before it is allocated.
    fn numbers(&self, id: NodeId, grid: &Grid) -> Result<Vec<f64>, Error> {
        let before = self.held();
        self.query.take(&self.taken, grid.len * size_of::<f64>())?;
        self.account_work(grid.len)?;
        let numbers = self.scalar_of(id, grid)?;
        self.settle(before, 0, grid.len * size_of::<f64>())?;
        Ok(numbers)
    }

    fn scalar_of(&self, id: NodeId, grid: &Grid) -> Result<Vec<f64>, Error> {
        let node = self.node(id);
        if grid.len > 1 && node.facts.invariant {
            let once = self.once(grid, |first| self.numbers(id, first))?[0];
            return Ok(vec![once; grid.len]);
        }
        match &node.kind {
            NodeKind::Number(number) => Ok(vec![*number; grid.len]),
            NodeKind::Unary(Sign::Plus, inner) => self.scalar(*inner, grid),
            NodeKind::Unary(Sign::Minus, inner) => Ok(self.scalar(*inner, grid)?.iter().map(|v| -v).collect()),
            NodeKind::Binary(binary) => {
                // The left column becomes the result.
                let mut left = self.scalar(binary.left, grid)?;
                let right = self.scalar(binary.right, grid)?;
                for (l, r) in left.iter_mut().zip(&right) {
                    *l = scalars(binary.op, *l, *r);
                }
                Ok(left)
            }
            NodeKind::Call(call) => self.scalar_call(call, grid),
            _ => Err(Error::execution("BUG: not a scalar")),
        }
    }
}

impl Operands for Evaluator<'_> {
    fn vector(&self, id: NodeId, grid: &Grid) -> Result<Vec<Series>, Error> {
        let size = |series: &Vec<Series>| (series.len(), series.iter().map(Series::present).sum());
        self.measured(id, || self.vector_from(id, grid), size)
    }

    fn evaluated(&self, id: NodeId, grid: &Grid) -> Result<Vec<Series>, Error> {
        let (before, facts) = (self.held(), self.node(id).facts);
        // An instant query has one step anyway.
        let series = if grid.len > 1 && facts.invariant {
            self.repeated(id, grid)?
        } else if facts.streams {
            self.collected(id, grid)?
        } else {
            self.whole(id, grid)?
        };
        // Whatever was held during the evaluation is released; the result is counted instead.
        self.settle(before, series.iter().map(Series::weight).sum(), series.iter().map(Series::bytes).sum())?;
        Ok(series)
    }

    fn stream(&self, id: NodeId, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), Error> {
        self.stream_needed((id, None), grid, sink)
    }

    fn stream_projected(&self, aggregate: NodeId, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), Error> {
        let NodeKind::Aggregate(of) = &self.node(aggregate).kind else {
            return Err(Error::execution("BUG: not an aggregation"));
        };
        let needed = Needed::of(self.query.plan, aggregate);
        self.stream_needed((of.expr, needed.as_ref()), grid, sink)
    }

    fn stream_node(&self, id: NodeId, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), Error> {
        match &self.node(id).kind {
            NodeKind::Vector(scan) if scan.extension == Some(Extension::Smoothed) => {
                self.smoothed_selector((id, scan), grid, sink)
            }
            NodeKind::Vector(scan) => self.instant_selector((id, scan), grid, Take::Value, sink),
            NodeKind::Unary(Sign::Plus, inner) => self.stream(*inner, grid, sink),
            NodeKind::Unary(Sign::Minus, inner) => self.stream(*inner, grid, &mut |mut series| {
                self.drop_name(&mut series);
                series.values.iter_mut().filter(|v| !is_absent(**v)).for_each(|v| *v = -*v);
                series.histograms.iter_mut().for_each(|(_, h)| *h = Arc::new(native::scaled(h, -1.0)));
                sink(series)
            }),
            NodeKind::Binary(binary) => self.vector_scalar(binary, grid, sink),
            NodeKind::Call(call) => self.stream_call((id, call), grid, sink),
            _ => Err(Error::execution("BUG: this kind of expression does not stream")),
        }
    }

    fn scalar(&self, id: NodeId, grid: &Grid) -> Result<Vec<f64>, Error> {
        self.measured(id, || self.numbers(id, grid), |numbers| (1, numbers.len()))
    }
}

fn repeated(series: Series, len: usize) -> Series {
    // The series was evaluated at one step: it has one value or one histogram.
    let value = series.values.first().copied().unwrap_or(ABSENT);
    let histograms = match series.histograms.first() {
        Some((_, histogram)) => (0..len as u32).map(|step| (step, Arc::clone(histogram))).collect(),
        None => Vec::new(),
    };
    Series { values: vec![value; len], histograms, ..series }
}
