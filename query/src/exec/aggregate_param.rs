//! Aggregations with a parameter: `topk`, `bottomk`, `limitk`, `limit_ratio`, `quantile`, `count_values`. `quantile` collects
//! all values of a group, `topk` and its like work on the candidates that partial top-k leaves, the others stream.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use model::Labels;
use model::float::{format_f, format_g};
use model::labels::sort_by_labels;

use super::aggregate::{Groups, group_labels};
use super::evaluator::Evaluator;
use super::operands::Operands;
use super::topk_heap::TopKHeap;
use crate::Error;
use crate::functions::over_time::quantile_of;
use crate::parse::ast::AggregateOp;
use crate::parse::types::Type;
use crate::plan::{Aggregate, NodeId};
use crate::value::{ABSENT, SAMPLE_BYTES, SERIES_BYTES, SampleRef, Series, is_absent, label_bytes};
use crate::window::Grid;

/// The series of one group, as indexes.
type Group = Vec<usize>;

/// All values of one group, per step.
struct GroupValues {
    labels: Labels,
    drop_name: bool,
    values: Vec<Vec<f64>>,
}

/// All values of all groups, which a quantile needs; labels and gaps of the series are not kept.
struct Collected<'e> {
    aggregate: &'e Aggregate,
    steps: usize,
    numbers: Groups<'e>,
    groups: Vec<GroupValues>,
}

impl<'e> Collected<'e> {
    fn new(aggregate: &'e Aggregate, steps: usize) -> Self {
        Self { aggregate, steps, numbers: Groups::new(&aggregate.grouping), groups: Vec::new() }
    }

    /// Adds the floats of a series to its group. Memory is reserved before, twice the size: a vector doubles when it grows.
    fn add(&mut self, evaluator: &Evaluator<'_>, series: &Series) -> Result<(), Error> {
        evaluator.check_memory(3 * series.labels.as_text().len())?;
        evaluator.hold(0, series.values.len() * 2 * size_of::<f64>())?;
        let i = self.numbers.of(&series.labels);
        if i == self.groups.len() {
            let text = 2 * label_bytes(&series.labels);
            evaluator.hold(0, self.steps * (size_of::<Vec<f64>>() + 4 * size_of::<f64>()) + SERIES_BYTES + text)?;
            let labels = group_labels(&series.labels, &self.aggregate.grouping, None);
            self.groups.push(GroupValues { labels, drop_name: false, values: vec![Vec::new(); self.steps] });
        }
        let group = &mut self.groups[i];
        group.drop_name |= series.drop_name;
        let present = group.values.iter_mut().zip(&series.values).filter(|(_, v)| !is_absent(**v));
        present.for_each(|(values, v)| values.push(*v));
        Ok(())
    }

    fn finish(self, evaluator: &Evaluator<'_>, quantiles: &[f64]) -> Result<Vec<Series>, Error> {
        let quantile = |(values, q): (&mut Vec<f64>, &f64)| {
            if values.is_empty() { ABSENT } else { quantile_of(*q, values) }
        };
        let mut series = Vec::with_capacity(self.groups.len());
        for mut group in self.groups {
            // Finding a quantile sorts the values of each step.
            evaluator.account_work(group.values.iter().map(|values| 1 + values.len() * 8).sum())?;
            let values = group.values.iter_mut().zip(quantiles).map(quantile).collect();
            series.push(Series::of_floats(group.labels, group.drop_name, values));
        }
        sort_by_labels(&mut series, |one| &one.labels);
        Ok(series)
    }
}

impl Evaluator<'_> {
    /// An aggregation with a parameter.
    pub(super) fn aggregate_with_param(
        &self,
        (id, aggregate): (NodeId, &Aggregate),
        grid: &Grid,
    ) -> Result<Vec<Series>, Error> {
        let Some(param) = aggregate.param else {
            return Err(Error::execution("BUG: the aggregation's parameter was checked when the query was parsed"));
        };
        let limits = aggregate.op.param() == Some(Type::Scalar);
        // The parameter may change from step to step; that of `count_values` is a string.
        let limits = if limits { self.scalar(param, grid)? } else { Vec::new() };
        match aggregate.op {
            AggregateOp::CountValues => self.count_values(aggregate, param, grid),
            AggregateOp::Quantile => self.quantile((id, aggregate), (param, &limits), grid),
            AggregateOp::LimitRatio => self.limit_ratio(aggregate.expr, (param, &limits), grid),
            op => {
                let most = extremes(&limits).1;
                let limits = if most < 1.0 { Ok(Vec::new()) } else { limits.into_iter().map(whole_number).collect() };
                match limits {
                    Ok(limits) if most >= 1.0 => {
                        let series = self.candidates((id, aggregate), &limits, grid)?;
                        self.limited(&series, &self.grouped(&series, aggregate)?, (op, &limits), grid)
                    }
                    // The result is empty, but the operand is evaluated for its errors and annotations.
                    nothing => {
                        self.stream(aggregate.expr, grid, &mut |_| Ok(()))?;
                        nothing.map(|_| Vec::new())
                    }
                }
            }
        }
    }

    fn quantile(
        &self,
        (id, aggregate): (NodeId, &Aggregate),
        (param, quantiles): (NodeId, &[f64]),
        grid: &Grid,
    ) -> Result<Vec<Series>, Error> {
        let mut collected = Collected::new(aggregate, grid.len);
        let span = self.span(aggregate.expr);
        if self.is_distinct(aggregate.expr, grid) {
            // No two series can become equal: values are collected as series arrive, with projected labels.
            self.stream_projected(id, grid, &mut |mut one| {
                self.without_histograms(&mut one, aggregate.op, span);
                self.hold(one.weight(), 0)?;
                collected.add(self, &one)
            })?;
        } else {
            // Otherwise equal series must be merged first, which needs all of them.
            for mut one in self.vector(aggregate.expr, grid)? {
                self.without_histograms(&mut one, aggregate.op, span);
                self.account_work(grid.len)?;
                collected.add(self, &one)?;
            }
        }
        // Of many parameters outside 0 and 1 the smallest and the largest are reported.
        quantiles.iter().filter(|q| q.is_nan()).take(1).for_each(|q| self.check_quantile(*q, param));
        let (least, most) = extremes(quantiles);
        [least, most].iter().filter(|q| !q.is_nan()).for_each(|q| self.check_quantile(*q, param));
        collected.finish(self, quantiles)
    }

    /// Keeps the series whose label hash is below the ratio: the same series in every query.
    fn limit_ratio(
        &self,
        operand: NodeId,
        (param, ratios): (NodeId, &[f64]),
        grid: &Grid,
    ) -> Result<Vec<Series>, Error> {
        let streams = self.is_read_once(operand, grid);
        let mut kept = Vec::new();
        self.stream(operand, grid, &mut |mut one| {
            self.account_work(grid.len + one.labels.as_text().len() / SAMPLE_BYTES)?;
            // The hash as a fraction between 0 and 1; a negative ratio selects the complement.
            let place = one.labels.hash64() as f64 / u64::MAX as f64;
            one.retain(|step| {
                let ratio = ratios[step].clamp(-1.0, 1.0);
                if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio }
            });
            if one.is_empty() {
                return Ok(());
            }
            if streams {
                self.hold(one.weight(), one.bytes())?;
            }
            kept.push(one);
            Ok(())
        })?;
        let (least, most) = extremes(ratios);
        if least == 0.0 && most == 0.0 {
            return Ok(Vec::new());
        }
        // As upstream, a ratio of zero at every step selects nothing and is not checked further.
        if ratios.iter().any(|ratio| ratio.is_nan()) {
            return Err(Error::execution("Ratio value is NaN"));
        }
        for ratio in [most, least] {
            let capped = ratio.clamp(-1.0, 1.0);
            if capped != ratio {
                let (got, cap) = (format_g(ratio), format_g(capped));
                let message = format!("ratio value should be between -1 and 1, got {got}, capping to {cap}");
                self.warn(self.span(param), &message);
            }
        }
        if streams {
            sort_by_labels(&mut kept, |one| &one.labels);
        }
        Ok(kept)
    }

    /// `count_values`: how often each value occurs. The value becomes a label before series are grouped.
    fn count_values(&self, aggregate: &Aggregate, param: NodeId, grid: &Grid) -> Result<Vec<Series>, Error> {
        let label = self.label_name(param, |name| format!("invalid label name {name}"));
        let mut counts: HashMap<Labels, (Vec<f64>, bool)> = HashMap::new();
        self.stream(aggregate.expr, grid, &mut |one| {
            // An invalid label name is reported after the operand's own errors.
            let Ok(label) = label else { return Ok(()) };
            self.check()?;
            let labels_text = one.labels.as_text().len();
            // Memory of the lookup table for this series, released after it.
            let mut reserved = self.reserve(0)?;
            // Group labels are computed once per distinct value of the series.
            let mut by_value: HashMap<String, Labels> = HashMap::new();
            for step in one.steps() {
                let text = match one.at(step) {
                    Some(SampleRef::Float(value)) => format_f(value),
                    Some(SampleRef::Histogram(histogram)) => histogram.to_string(),
                    None => continue,
                };
                self.account_work(1 + text.len())?;
                let labels = match by_value.entry(text) {
                    Entry::Occupied(found) => found.into_mut(),
                    Entry::Vacant(free) => {
                        let text = free.key();
                        let made = labels_text + label.len() + text.len();
                        reserved.add(self.query, VALUE_BYTES + text.len() + made)?;
                        self.check_memory(3 * made)?;
                        self.account_work(made / SAMPLE_BYTES)?;
                        // Grouped after the value was added: `by` keeps the new label, `without` may remove it.
                        let with_value = one.labels.with_value(label, text.len(), |out| out.push_str(text));
                        let labels = group_labels(
                            &with_value,
                            &aggregate.grouping,
                            Some(label).filter(|_| !aggregate.grouping.without),
                        );
                        free.insert(labels)
                    }
                };
                let (counts, drop_name) = match counts.entry(labels.clone()) {
                    Entry::Occupied(found) => found.into_mut(),
                    Entry::Vacant(free) => {
                        self.hold(grid.len, grid.len * SAMPLE_BYTES + SERIES_BYTES + label_bytes(labels))?;
                        free.insert((vec![ABSENT; grid.len], false))
                    }
                };
                counts[step] = if is_absent(counts[step]) { 1.0 } else { counts[step] + 1.0 };
                // A value that becomes the metric name is not dropped at the end.
                *drop_name |= one.drop_name && label != model::labels::METRIC_NAME;
            }
            Ok(())
        })?;
        label?;
        let finish = |(labels, (values, drop_name))| Series::of_floats(labels, drop_name, values);
        let mut out: Vec<Series> = counts.into_iter().map(finish).collect();
        sort_by_labels(&mut out, |one| &one.labels);
        Ok(out)
    }
}

/// Memory per distinct value of a series in `count_values`, besides texts.
const VALUE_BYTES: usize = 128;

impl Evaluator<'_> {
    /// `topk`, `bottomk`, `limitk`: the selected series, each with the steps at which it is selected.
    fn limited(
        &self,
        series: &[Series],
        groups: &[Group],
        (op, limits): (AggregateOp, &[usize]),
        grid: &Grid,
    ) -> Result<Vec<Series>, Error> {
        // The candidates are counted already; result series are counted as they are allocated.
        self.hold(0, series.len() * size_of::<Option<Series>>())?;
        let mut out: Vec<Option<Series>> = (0..series.len()).map(|_| None).collect();
        let mut order = Vec::new();
        let mut kept = Vec::new();
        for group in groups {
            for (step, limit) in limits.iter().enumerate() {
                self.account_work(group.len())?;
                let present = group.iter().copied().filter(|i| series[*i].has(step));
                kept.clear();
                if op == AggregateOp::LimitK {
                    kept.extend(present.take(*limit));
                } else {
                    // Series are offered in label order, which decides between equal values.
                    let mut best = TopKHeap::new(*limit, op == AggregateOp::TopK);
                    for i in present {
                        best.offer(series[i].values[step], i);
                    }
                    kept.extend(best.drain());
                }
                for &i in &kept {
                    if out[i].is_none() {
                        self.hold(0, grid.len * size_of::<f64>())?;
                        order.push(i);
                        let Series { labels, drop_name, .. } = &series[i];
                        out[i] = Some(Series::of_floats(labels.clone(), *drop_name, vec![ABSENT; grid.len]));
                    }
                    let cell = out[i].as_mut().zip(series[i].at(step));
                    cell.into_iter().for_each(|(kept, cell)| kept.put(step, cell));
                }
            }
        }
        // In the order of first selection: the result of an instant `topk` is sorted by value.
        Ok(order.into_iter().filter_map(|i| out[i].take()).collect())
    }

    fn grouped(&self, series: &[Series], aggregate: &Aggregate) -> Result<Vec<Group>, Error> {
        let mut numbers = Groups::new(&aggregate.grouping);
        let mut groups: Vec<Group> = Vec::new();
        for (i, one) in series.iter().enumerate() {
            self.account_work(1 + one.labels.as_text().len() / SAMPLE_BYTES)?;
            self.check_memory(2 * one.labels.as_text().len())?;
            let at = numbers.of(&one.labels);
            if at == groups.len() {
                self.hold(0, GROUP_KEY_BYTES + label_bytes(&one.labels))?;
                groups.push(Group::new());
            }
            groups[at].push(i);
        }
        Ok(groups)
    }
}

/// Memory of a group while series are grouped, besides its labels.
const GROUP_KEY_BYTES: usize = 192;

/// The minimum and maximum, ignoring NaN; NaN when all are.
fn extremes(numbers: &[f64]) -> (f64, f64) {
    numbers.iter().fold((f64::NAN, f64::NAN), |(least, most), v| (least.min(*v), most.max(*v)))
}

fn whole_number(value: f64) -> Result<usize, Error> {
    if value.is_nan() {
        return Err(Error::execution("Parameter value is NaN"));
    }
    if value >= i64::MAX as f64 {
        return Err(Error::execution(format!("Scalar value {} overflows int64", format_g(value))));
    }
    if value <= i64::MIN as f64 {
        return Err(Error::execution(format!("Scalar value {} underflows int64", format_g(value))));
    }
    Ok(if value < 1.0 { 0 } else { value as usize })
}
