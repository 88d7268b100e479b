//! Aggregations without a parameter: each series is added to the accumulator of its group as it arrives, and dropped.

use model::Labels;
use model::labels::sort_by_labels;

use super::evaluator::Evaluator;
use super::hash::HashMap;
use super::histogram_fold::HistogramFold;
use super::operands::Operands;
use super::projection::{RecentCache, groups_by};
use crate::Error;
use crate::annotations::{Annotation, AnnotationList};
use crate::functions::kahan::{Kahan, Mean, Variance};
use crate::parse::ast::{AggregateOp, Grouping, Span};
use crate::plan::{Aggregate, NodeId, Plan};
use crate::value::{ABSENT, Series, is_absent, label_bytes};
use crate::window::Grid;

/// Memory of a group besides its accumulators.
const GROUP_BYTES: usize = 512;

/// The labels of the group a series belongs to; the label `stays` is kept whatever the grouping is.
pub(super) fn group_labels(labels: &Labels, grouping: &Grouping, stays: Option<&str>) -> Labels {
    labels.filtered(|name| stays == Some(name) || groups_by(grouping, name))
}

/// Assigns numbers to groups, in the order of their first series.
pub(super) struct Groups<'a> {
    grouping: &'a Grouping,
    found: HashMap<String, usize>,
    recent: RecentCache<usize>,
    text: String,
}

impl<'a> Groups<'a> {
    pub(super) fn new(grouping: &'a Grouping) -> Self {
        Self { grouping, found: HashMap::default(), recent: RecentCache::default(), text: String::new() }
    }

    /// The number of the group a series belongs to; a new group gets the next number.
    pub(super) fn of(&mut self, labels: &Labels) -> usize {
        let Self { grouping, found, recent, text } = self;
        recent.of(labels, || {
            // The key is the text of the group's labels: it is built in a reused buffer, and copied for new groups
            // only.
            text.clear();
            labels.filtered_text(|name| groups_by(grouping, name), text);
            if let Some(i) = found.get(text) {
                return *i;
            }
            found.insert(text.clone(), found.len());
            found.len() - 1
        })
    }
}

/// Accumulators of a group, one per step.
enum Fold {
    Sum(Vec<Option<Kahan>>),
    Avg(Vec<Option<Mean>>),
    /// Minimum, maximum, count and group: the result so far.
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
                // As upstream, NaN is replaced by the first number, so it is the result only if there is none.
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
    histograms: HistogramFold,
}

/// An aggregation in progress.
pub(super) struct Folding<'e> {
    aggregate: &'e Aggregate,
    /// The position of the operand, for annotations.
    span: Span,
    numbers: Groups<'e>,
    groups: Vec<Group>,
    /// Samples held by the accumulators.
    samples: usize,
}

impl<'e> Folding<'e> {
    pub(super) fn new(aggregate: &'e Aggregate, plan: &Plan) -> Self {
        let (span, numbers) = (plan.node(aggregate.expr).span, Groups::new(&aggregate.grouping));
        Self { aggregate, span, numbers, groups: Vec::new(), samples: 0 }
    }

    pub(super) fn samples(&self) -> usize {
        self.samples
    }

    /// Adds a series to its group. Memory of a new group is reserved before it is allocated. Its samples count against the
    /// limit unless it is computed together with another aggregation, whose samples count.
    pub(super) fn add(
        &mut self,
        evaluator: &Evaluator<'_>,
        series: &Series,
        (steps, counts): (usize, bool),
    ) -> Result<(), Error> {
        let op = self.aggregate.op;
        evaluator.check_memory(3 * series.labels.as_text().len())?;
        let i = self.numbers.of(&series.labels);
        if i == self.groups.len() {
            // The labels are kept twice: in the group and as the key of the map.
            let bytes = steps * size_of::<Option<Variance>>() + GROUP_BYTES + 2 * label_bytes(&series.labels);
            self.samples += steps;
            evaluator.hold(if counts { steps } else { 0 }, bytes)?;
            let labels = group_labels(&series.labels, &self.aggregate.grouping, None);
            let (fold, histograms) = (Fold::new(op, steps), HistogramFold::default());
            self.groups.push(Group { labels, drop_name: false, fold, histograms });
        }
        let group = &mut self.groups[i];
        // Delayed name removal: one member whose name is to be dropped is enough.
        group.drop_name |= series.drop_name;
        group.fold.add(op, &series.values);
        // Most series have no histograms: the rest is skipped for them.
        if series.histograms.is_empty() {
            return Ok(());
        }
        let mut annotations = AnnotationList::default();
        match (op, &mut group.fold) {
            (AggregateOp::Sum | AggregateOp::Avg, _) => {
                let all = &mut self.samples;
                let hold = &mut |samples, bytes| {
                    *all += samples;
                    evaluator.hold(if counts { samples } else { 0 }, bytes)
                };
                group.histograms.add(op, &series.histograms, (&mut annotations, hold))?;
            }
            // Count and group treat a histogram as any sample.
            (AggregateOp::Count | AggregateOp::Group, fold) => {
                let ones: Vec<f64> = (0..steps).map(|step| series.histogram_as_one(step)).collect();
                fold.add(op, &ones);
            }
            _ => annotations.add(Annotation::IgnoredInGroup(op.name())),
        }
        evaluator.annotate_all(self.span, series.labels.name(), &mut annotations);
        Ok(())
    }

    pub(super) fn finish(self, evaluator: &Evaluator<'_>) -> Vec<Series> {
        let mut out: Vec<Series> = Vec::with_capacity(self.groups.len());
        for group in self.groups {
            let mut annotations = AnnotationList::default();
            let values = group.fold.finish(self.aggregate.op);
            let mut series = Series::of_floats(group.labels, group.drop_name, values);
            group.histograms.finish(&mut series, &mut annotations);
            evaluator.annotate_all(self.span, "", &mut annotations);
            out.push(series);
        }
        // Groups were found in the order in which series arrived, which depends on the store.
        sort_by_labels(&mut out, |one| &one.labels);
        out
    }
}

impl Evaluator<'_> {
    /// An aggregation without a parameter.
    pub(super) fn fold(&self, (id, aggregate): (NodeId, &Aggregate), grid: &Grid) -> Result<Vec<Series>, Error> {
        let mut folding = Folding::new(aggregate, self.query.plan);
        self.stream_projected(id, grid, &mut |series| {
            self.account_work(grid.len)?;
            folding.add(self, &series, (grid.len, true))
        })?;
        Ok(folding.finish(self))
    }

    /// Removes histograms, which have no order, for aggregations that compare values; annotates the result.
    pub(super) fn without_histograms(&self, series: &mut Series, op: AggregateOp, span: Span) {
        if !series.histograms.is_empty() {
            series.histograms.clear();
            self.annotate(span, "", Annotation::IgnoredInGroup(op.name()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use model::Timestamp;

    use crate::promqltest::Store;
    use crate::{Engine, EngineOptions, Error, MemoryPool, QueryOptions, StillWanted, Value};

    fn store() -> Store {
        let mut store = Store::default();
        for i in 0..40 {
            let line = format!("hits_total{{pod=\"p{i}\", zone=\"z{}\"}} {i}+{}x20", i % 3, 1 + i % 7);
            store.load_line(&line, (Timestamp(0), 30_000)).unwrap();
        }
        store
    }

    fn range(engine: &Engine, query: &str) -> BTreeMap<String, Vec<(Timestamp, f64)>> {
        let result = engine
            .range(&store(), query, Timestamp(60_000), Timestamp(600_000), 45_000, &QueryOptions::default())
            .unwrap();
        let Value::Matrix(series) = result.value else { panic!("{query} yields no matrix") };
        series.into_iter().map(|s| (s.labels.to_string(), s.points)).collect()
    }

    /// The same as the fold, from the series themselves.
    #[test]
    fn folding_agrees_with_collecting() {
        let engine = Engine::default();
        let rates = range(&engine, "rate(hits_total[2m])");
        assert_eq!(rates.len(), 40);
        let zone = |labels: &str| labels.split("zone=").nth(1).unwrap().trim_end_matches('}').to_owned();
        for (query, f) in [
            ("sum by (zone) (rate(hits_total[2m]))", (|v: &[f64]| v.iter().sum()) as fn(&[f64]) -> f64),
            ("max by (zone) (rate(hits_total[2m]))", |v| v.iter().copied().fold(f64::MIN, f64::max)),
            ("avg by (zone) (rate(hits_total[2m]))", |v| v.iter().sum::<f64>() / v.len() as f64),
            ("count by (zone) (rate(hits_total[2m]))", |v| v.len() as f64),
        ] {
            let mut expected: BTreeMap<String, BTreeMap<Timestamp, Vec<f64>>> = BTreeMap::new();
            for (labels, points) in &rates {
                let group = expected.entry(format!("{{zone={}}}", zone(labels))).or_default();
                points.iter().for_each(|(ts, v)| group.entry(*ts).or_default().push(*v));
            }
            let got = range(&engine, query);
            assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{query}");
            for (labels, points) in got {
                for (ts, value) in points {
                    let wanted = f(&expected[&labels][&ts]);
                    assert!((value - wanted).abs() < 1e-12, "{query} {labels} at {ts}: {value}, expected {wanted}");
                }
            }
        }
    }

    #[test]
    fn series_of_one_name_may_be_given_several() {
        let run = |query: &str| Engine::default().instant(&store(), query, Timestamp(60_000), &QueryOptions::default());
        let error = run("sum(-count_values(\"__name__\", hits_total))").unwrap_err();
        assert_eq!(error.to_string(), "vector cannot contain metrics with the same labelset");
        assert!(run("sum(-count_values(\"value\", hits_total))").is_ok());
    }

    #[test]
    fn deep_queries_do_not_exhaust_the_stack() {
        let engine = Engine::default();
        let run = |query: &str| engine.instant(&store(), query, Timestamp(60_000), &QueryOptions::default());
        let chain = |n: usize| vec!["hits_total"; n].join(" or ");
        let nested = |n: usize| format!("{}hits_total{}", "abs(".repeat(n), ")".repeat(n));
        assert!(run(&nested(190)).is_ok());
        assert!(run(&chain(1_000)).is_ok());
        for query in [nested(10_000), format!("{}1", "-".repeat(10_000)), "(".repeat(10_000)] {
            let error = run(&query).unwrap_err().to_string();
            assert!(error.contains("parse error: expression is nested too deeply"), "{error}");
        }
    }

    #[test]
    fn memory_has_bounds_and_is_given_back() {
        let run = |memory: &Arc<MemoryPool>, query: &str| {
            let memory = Arc::clone(memory);
            let engine = Engine::new(EngineOptions { memory, threads: 2, ..EngineOptions::default() });
            engine.range(&store(), query, Timestamp(0), Timestamp(600_000), 1_000, &QueryOptions::default())
        };
        // Of 40 series with 601 steps the sum holds some at a time, the bare selector all.
        let memory = Arc::new(MemoryPool::new(usize::MAX, 300_000));
        let sum = run(&memory, "sum(rate(hits_total[2m]))").unwrap();
        assert_eq!(memory.used(), sum.value.bytes());
        let error = run(&memory, "rate(hits_total[2m])").unwrap_err();
        assert!(matches!(error, Error::QueryMemory { most: 300_000 }) && error.to_string().contains("300000 bytes"));
        assert_eq!(memory.used(), sum.value.bytes());
        drop(sum);
        assert_eq!(memory.used(), 0);

        let memory = Arc::new(MemoryPool::new(700_000, usize::MAX));
        let one = run(&memory, "rate(hits_total[2m])").unwrap();
        assert!(matches!(run(&memory, "rate(hits_total[2m])"), Err(Error::Memory { most: 700_000 })));
        drop(one);
        assert!(run(&memory, "rate(hits_total[2m])").is_ok());
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn a_quantile_holds_values_and_no_series() {
        let run = |query: &str| {
            // The values of 40 series at 601 steps are 192 kB, in lists that grow twice that; as series, that and more.
            let memory = Arc::new(MemoryPool::new(usize::MAX, 520_000));
            let engine = Engine::new(EngineOptions { memory, threads: 1, ..EngineOptions::default() });
            engine.range(&store(), query, Timestamp(0), Timestamp(600_000), 1_000, &QueryOptions::default())
        };
        assert!(run("quantile(0.9, hits_total)").is_ok());
        assert!(matches!(run("quantile(0.9, hits_total or none)"), Err(Error::QueryMemory { .. })));
    }

    #[test]
    fn limits_stop_a_query() {
        let options = |max_samples| EngineOptions { max_samples, ..EngineOptions::default() };
        let run = |max_samples, query: &str, options_of_query: &QueryOptions| {
            Engine::new(options(max_samples)).range(
                &store(),
                query,
                Timestamp(0),
                Timestamp(600_000),
                30_000,
                options_of_query,
            )
        };
        let plain = QueryOptions::default();
        // A batch of 3 columns and 1 group fit where 40 series do not.
        assert!(run(200, "sum(rate(hits_total[2m]))", &plain).is_ok());
        let error = run(200, "rate(hits_total[2m])", &plain).unwrap_err();
        assert!(matches!(error, Error::TooManySamples));
        assert_eq!(error.to_string(), "query processing would load too many samples into memory in query execution");
        let canceled = QueryOptions { wanted: Some(StillWanted(Arc::new(|| false))), ..QueryOptions::default() };
        assert!(matches!(run(1000, "sum(hits_total)", &canceled), Err(Error::Canceled)));
        let late = QueryOptions { timeout: Some(std::time::Duration::ZERO), ..QueryOptions::default() };
        assert!(matches!(run(1000, "sum(hits_total)", &late), Err(Error::Timeout)));
        let few = QueryOptions { limit: 2, ..QueryOptions::default() };
        let result = run(10_000, "hits_total", &few).unwrap();
        assert_eq!(result.warnings, ["results truncated due to limit"]);
        assert!(matches!(result.value, Value::Matrix(series) if series.len() == 2));
    }
}
