//! Function calls: evaluates arguments and applies the functions of `functions/` to them.

use model::Labels;
use model::labels::METRIC_TYPE;

use super::arguments::check_factors;
use super::evaluator::{Evaluator, Sink};
use super::operands::Operands;
use super::selector::Take;
use crate::Error;
use crate::functions::sweep::Sweeper;
use crate::functions::{Body, MathFn, RangeFn, label, sort};
use crate::parse::ast::Span;
use crate::parse::types::Type;
use crate::plan::{Call, NodeId, NodeKind};
use crate::value::{ABSENT, Series, is_absent};
use crate::window::{Grid, Window};

impl Evaluator<'_> {
    pub(super) fn stream_call(
        &self,
        (id, call): (NodeId, &Call),
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        match call.function.body {
            Body::Range(f) => self.range_call(call, (f, call.keep_name), grid, sink),
            Body::RangeKeepName(f) => self.range_call(call, (f, true), grid, sink),
            Body::Math(f) => self.math_call(call, f, grid, sink),
            Body::Date(f) => self.stream(call.args[0], grid, &mut |mut series| {
                self.drop_name_of(call, &mut series);
                series.histograms.clear();
                series.values.iter_mut().filter(|v| !is_absent(**v)).for_each(|v| *v = f(*v as i64));
                sink(series)
            }),
            Body::Timestamp => self.timestamp(call, grid, sink),
            Body::OfHistograms(f) => self.of_histograms(call, f, grid, sink),
            Body::AcrossSteps(f) => self.across_steps(call, f, grid, sink),
            _ => Err(Error::execution(format!(
                "BUG: {} does not stream (at {})",
                call.function.name,
                self.span(id).start
            ))),
        }
    }

    fn range_call(
        &self,
        call: &Call,
        (f, keep_name): (RangeFn, bool),
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let range = self.arg_of(&call.args, Type::Matrix)?;
        let scalars = self.scalar_args(&call.args, grid)?;
        let mut args = Vec::new();
        let is_checked = matches!(call.function.name, "quantile_over_time" | "integral");
        let is_smoothing = call.function.name == "double_exponential_smoothing";
        let is_counter = matches!(call.function.name, "rate" | "increase");
        // Functions with an incremental form compute all steps of a series at once.
        let sweeper = Sweeper::of(call.function.name, self.extension_of(range));
        // Unless the name is dropped at the end of the query, or a note is about other labels, labels are made without it.
        let nameless = !keep_name && !self.query.options.delayed_name_removal && !self.query.options.type_labels;
        self.windows(range, grid, &mut |ranges| {
            let mut series = if ranges.has_mixed_samples() {
                self.mixed_range(call, f, (ranges, &scalars), grid)?
            } else {
                let mut values = Vec::with_capacity(grid.len);
                if let Some(sweeper) = sweeper {
                    self.account_work(grid.len)?;
                    ranges.sweep(sweeper, |step| scalars.first(step), &mut values);
                } else {
                    for step in 0..grid.len {
                        let window = ranges.floats_at(step);
                        self.account_work(1 + window.len())?;
                        scalars.at(step, &mut args);
                        if is_smoothing && !window.ts.is_empty() {
                            check_factors(&args)?;
                        }
                        values.push(f(&window, &args).unwrap_or(ABSENT));
                    }
                }
                // Only steps with a result are annotated.
                if is_checked {
                    let seen = (0..grid.len).filter(|step| !is_absent(values[*step]));
                    seen.for_each(|step| self.check_scalar(call, scalars.first(step)));
                }
                if nameless && values.iter().any(|value| !is_absent(*value)) {
                    if is_counter {
                        self.note_non_counter(ranges.name(), None, self.range_span(range));
                    }
                    return sink(Series::of_floats(ranges.nameless_labels(self)?, ranges.drop_name, values));
                }
                Series::of_floats(ranges.labels(self)?, ranges.drop_name, values)
            };
            // Series without any sample are not part of the result.
            if series.is_empty() {
                return Ok(());
            }
            // The metric type is guessed from the name before it is dropped.
            if is_counter && series.has_floats() {
                let kind = series.labels.get(METRIC_TYPE);
                self.note_non_counter(series.labels.name(), kind, self.range_span(range));
            }
            if !keep_name {
                self.drop_name(&mut series);
            }
            sink(series)
        })
    }

    /// Tells of a metric whose name, or type where that is a label, is not that of a counter.
    fn note_non_counter(&self, name: &str, kind: Option<&str>, place: Span) {
        if self.query.options.type_labels {
            let kind = kind.unwrap_or_default();
            if !name.is_empty() && !matches!(kind, "counter" | "histogram") {
                let wanted = "__type__ label is not set to \"counter\" or \"histogram\"";
                self.info(place, &format!("metric might not be a counter, {wanted}, got {kind:?}: {name:?}"));
            }
            return;
        }
        // Upstream's heuristic where the type is unknown.
        let counter = ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix));
        if !name.is_empty() && !counter {
            let message =
                format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name:?}");
            self.info(place, &message);
        }
    }

    fn math_call(&self, call: &Call, f: MathFn, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), Error> {
        let scalars = self.scalar_args(&call.args, grid)?;
        let mut args = Vec::new();
        self.stream(self.arg_of(&call.args, Type::Vector)?, grid, &mut |mut series| {
            self.drop_name_of(call, &mut series);
            series.histograms.clear();
            for (step, value) in series.values.iter_mut().enumerate().filter(|(_, v)| !is_absent(**v)) {
                scalars.at(step, &mut args);
                *value = f(*value, &args).unwrap_or(ABSENT);
            }
            sink(series)
        })
    }

    /// `range_avg` and its like: one number for all floats that a series has over the steps.
    fn across_steps(&self, call: &Call, f: RangeFn, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), Error> {
        let scalars = self.scalar_args(&call.args, grid)?;
        let mut args = Vec::new();
        scalars.at(0, &mut args);
        self.stream(self.arg_of(&call.args, Type::Vector)?, grid, &mut |mut series| {
            // The steps of the query take the place of the samples of a range.
            let present: Vec<f64> = series.values.iter().copied().filter(|v| !is_absent(*v)).collect();
            let Some(value) = f(&Window { values: &present, ..Window::default() }, &args) else { return Ok(()) };
            series.values.fill(value);
            series.histograms.clear();
            self.drop_name_of(call, &mut series);
            sink(series)
        })
    }

    fn timestamp(&self, call: &Call, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), Error> {
        let arg = call.args[0];
        let mut nameless = |mut series: Series| {
            self.drop_name_of(call, &mut series);
            sink(series)
        };
        // Only a selector has samples of the store: all other values are as old as their step.
        if let NodeKind::Vector(scan) = &self.node(arg).kind {
            return self.instant_selector((arg, scan), grid, Take::Time, &mut nameless);
        }
        self.stream(arg, grid, &mut |mut series| {
            for step in 0..grid.len {
                if series.has(step) {
                    series.values[step] = grid.time(step).as_seconds();
                }
            }
            series.histograms.clear();
            nameless(series)
        })
    }

    pub(super) fn whole_call(&self, (id, call): (NodeId, &Call), grid: &Grid) -> Result<Vec<Series>, Error> {
        let lone = |values| vec![Series::of_floats(Labels::empty(), false, values)];
        match call.function.body {
            Body::Vector => Ok(lone(self.scalar(call.args[0], grid)?)),
            Body::Date(f) => Ok(lone((0..grid.len).map(|i| f(grid.time(i).0.div_euclid(1000))).collect())),
            Body::Absent | Body::AbsentOverTime => self.absent(call.args[0], grid),
            Body::Sort(order) => self.sort((id, call), order, grid),
            Body::LabelReplace => self.label_replace(call, grid),
            Body::LabelJoin => self.label_join(call, grid),
            Body::LabelMatch(op) => self.label_match(call, op, grid),
            Body::Info => self.info_call(call, grid),
            Body::HistogramQuantile => self.histogram_quantile(call, grid),
            Body::HistogramQuantiles => self.histogram_quantiles(call, grid),
            Body::HistogramFraction => self.histogram_fraction(call, grid),
            Body::StartTimestamp => self.start_timestamp(call.args[0], grid),
            _ => Err(Error::execution(format!("BUG: {} yields no vector", call.function.name))),
        }
    }

    fn absent(&self, arg: NodeId, grid: &Grid) -> Result<Vec<Series>, Error> {
        // 1 at every step, until a series has a sample there.
        let mut values = vec![1.0; grid.len];
        let node = self.node(arg);
        if node.value_type == Type::Matrix {
            self.windows(arg, grid, &mut |ranges| {
                self.account_work(grid.len)?;
                let found = values.iter_mut().enumerate().filter(|(step, _)| !ranges.at(*step).is_empty());
                found.for_each(|(_, v)| *v = ABSENT);
                Ok(())
            })?;
        } else {
            self.stream(arg, grid, &mut |series| {
                let found = values.iter_mut().zip(&series.values).filter(|(_, v)| !is_absent(**v));
                found.for_each(|(slot, _)| *slot = ABSENT);
                series.histograms.iter().for_each(|(step, _)| values[*step as usize] = ABSENT);
                Ok(())
            })?;
        }
        // Labels with an equality matcher are those that the absent series would have.
        let labels = node.kind.scan().map_or_else(Labels::empty, |scan| label::fixed_by(&scan.matchers));
        Ok(vec![Series::of_floats(labels, false, values)])
    }

    fn sort(&self, (id, call): (NodeId, &Call), order: sort::Order, grid: &Grid) -> Result<Vec<Series>, Error> {
        let mut series = self.vector(call.args[0], grid)?;
        if matches!(order, sort::Order::Ascending | sort::Order::Descending) {
            sort::floats_alone(&mut series);
        }
        // Range queries are sorted by labels.
        if grid.len > 1 {
            self.warn(
                self.span(id),
                "sort is ineffective for range queries since results are always ordered by labels",
            );
            return Ok(series);
        }
        let names =
            call.args[1..].iter().map(|arg| self.string_of(*arg).map(str::to_owned)).collect::<Result<Vec<_>, _>>()?;
        match order {
            sort::Order::Ascending => sort::by_value(&mut series, false),
            sort::Order::Descending => sort::by_value(&mut series, true),
            sort::Order::Label => sort::by_label(&mut series, &names, false),
            sort::Order::LabelDescending => sort::by_label(&mut series, &names, true),
        }
        Ok(series)
    }

    pub(super) fn scalar_call(&self, call: &Call, grid: &Grid) -> Result<Vec<f64>, Error> {
        let constant = |value: f64| Ok(vec![value; grid.len]);
        match call.function.body {
            Body::Pi => constant(std::f64::consts::PI),
            Body::Time => Ok((0..grid.len).map(|i| grid.time(i).as_seconds()).collect()),
            Body::Start => constant(self.query.times.start.as_seconds()),
            Body::End => constant(self.query.times.end.as_seconds()),
            Body::Range_ => constant(self.query.times.range_seconds()),
            Body::Step => constant(self.query.times.step_ms as f64 / 1000.0),
            Body::MaxOf | Body::MinOf => {
                let (a, b) = (self.scalar(call.args[0], grid)?, self.scalar(call.args[1], grid)?);
                let larger = matches!(call.function.body, Body::MaxOf);
                let pick = if larger { crate::functions::math::max } else { crate::functions::math::min };
                Ok(a.iter().zip(&b).map(|(a, b)| pick(*a, *b)).collect())
            }
            Body::Scalar => {
                // Counts the series at each step: only exactly one yields a number.
                let mut found = vec![(0u32, f64::NAN); grid.len];
                self.stream(call.args[0], grid, &mut |series| {
                    let present = found.iter_mut().zip(&series.values).filter(|(_, v)| !is_absent(**v));
                    present.for_each(|(slot, value)| *slot = (slot.0 + 1, *value));
                    Ok(())
                })?;
                Ok(found.iter().map(|(n, v)| if *n == 1 { *v } else { f64::NAN }).collect())
            }
            _ => Err(Error::execution(format!("BUG: {} yields no scalar", call.function.name))),
        }
    }
}
