//! Aggregations that fold: series are added to their group as they arrive and kept no longer.

use std::collections::HashMap;

use model::Labels;
use model::labels::METRIC_NAME;

use super::Evaluator;
use crate::Error;
use crate::functions::kahan::{Kahan, Mean, Variance};
use crate::parse::ast::{Aggregate, AggregateOp, Grouping};
use crate::value::{ABSENT, Series, is_absent};
use crate::window::Grid;

/// The labels of the group a series belongs to.
pub(super) fn group_labels(labels: &Labels, grouping: &Grouping) -> Labels {
    if !grouping.without && grouping.labels.is_empty() {
        return Labels::empty();
    }
    let listed = |name: &str| grouping.labels.binary_search_by(|l| l.as_str().cmp(name)).is_ok();
    let keep = |name: &str| if grouping.without { name != METRIC_NAME && !listed(name) } else { listed(name) };
    Labels::from_sorted(labels.iter().filter(|(name, _)| keep(name)))
}

/// What a group has seen, a slot per step.
enum Fold {
    Sum(Vec<Option<Kahan>>),
    Avg(Vec<Option<Mean>>),
    /// Minimum, maximum, count and group: the value so far.
    Plain(Vec<f64>),
    Variance(Vec<Option<Variance>>),
}

impl Fold {
    fn new(op: AggregateOp, steps: usize) -> Self {
        match op {
            AggregateOp::Sum => Self::Sum(vec![None; steps]),
            AggregateOp::Avg => Self::Avg(vec![None; steps]),
            AggregateOp::Stddev | AggregateOp::Stdvar => Self::Variance(vec![None; steps]),
            _ => Self::Plain(vec![ABSENT; steps]),
        }
    }

    fn add(&mut self, op: AggregateOp, values: &[f64]) {
        match self {
            Self::Sum(slots) => each(slots, values, |slot, v| slot.get_or_insert_default().add(v)),
            Self::Avg(slots) => each(slots, values, |slot, v| match slot {
                Some(mean) => mean.add(v),
                None => *slot = Some(Mean::new(v)),
            }),
            Self::Variance(slots) => each(slots, values, |slot, v| slot.get_or_insert_default().add(v)),
            Self::Plain(slots) => each(slots, values, |slot, v| {
                *slot = match op {
                    _ if is_absent(*slot) => first(op, v),
                    AggregateOp::Min if v < *slot || slot.is_nan() => v,
                    AggregateOp::Max if v > *slot || slot.is_nan() => v,
                    AggregateOp::Count => *slot + 1.0,
                    _ => *slot,
                };
            }),
        }
    }

    fn finish(self, op: AggregateOp) -> Vec<f64> {
        match self {
            Self::Sum(slots) => values(slots, Kahan::value),
            Self::Avg(slots) => values(slots, Mean::value),
            Self::Variance(slots) if op == AggregateOp::Stddev => values(slots, |v| v.value().sqrt()),
            Self::Variance(slots) => values(slots, Variance::value),
            Self::Plain(slots) => slots,
        }
    }
}

fn first(op: AggregateOp, value: f64) -> f64 {
    if matches!(op, AggregateOp::Count | AggregateOp::Group) { 1.0 } else { value }
}

#[inline]
fn each<T>(slots: &mut [T], values: &[f64], mut add: impl FnMut(&mut T, f64)) {
    for (slot, value) in slots.iter_mut().zip(values) {
        if !is_absent(*value) {
            add(slot, *value);
        }
    }
}

fn values<T>(slots: Vec<Option<T>>, value: impl Fn(T) -> f64) -> Vec<f64> {
    slots.into_iter().map(|slot| slot.map_or(ABSENT, &value)).collect()
}

struct Group {
    labels: Labels,
    drop_name: bool,
    fold: Fold,
}

impl Evaluator<'_> {
    pub(super) fn aggregate(&self, aggregate: &Aggregate, grid: &Grid) -> Result<Vec<Series>, Error> {
        if aggregate.op.param().is_some() {
            return self.select(aggregate, grid);
        }
        let op = aggregate.op;
        let mut found: HashMap<Labels, usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        self.stream(&aggregate.expr, grid, &mut |series| {
            let labels = group_labels(&series.labels, &aggregate.grouping);
            let i = match found.get(&labels) {
                Some(i) => *i,
                None => {
                    self.hold(grid.len)?;
                    found.insert(labels.clone(), groups.len());
                    groups.push(Group { labels, drop_name: false, fold: Fold::new(op, grid.len) });
                    groups.len() - 1
                }
            };
            groups[i].drop_name |= series.drop_name;
            groups[i].fold.add(op, &series.values);
            Ok(())
        })?;
        let finish = |g: Group| Series { labels: g.labels, drop_name: g.drop_name, values: g.fold.finish(op) };
        let mut out: Vec<Series> = groups.into_iter().map(finish).collect();
        out.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(out)
    }
}
