//! Nodes that share a result: evaluated at the first place, read at the others. Which they are was decided by
//! `optimize/common_subexpressions.rs`.
//!
//! Each place counts the samples that it would have looked at by itself. A result with annotations is not kept, since each
//! place has annotations at its own position.

use std::sync::Arc;

use super::aggregate::Folding;
use super::common_cache::Kept;
use super::evaluator::{Evaluator, Query, Sink};
use super::operands::Operands;
use crate::Error;
use crate::plan::{Aggregate, NodeId, NodeKind};
use crate::value::Series;
use crate::window::Grid;

impl Evaluator<'_> {
    /// The result of a node that shares it with others; the caller counts its memory. `None` for other nodes, and where the
    /// result need not be whole and does not fit into memory as a whole.
    pub(super) fn shared(&self, id: NodeId, grid: &Grid, whole: bool) -> Result<Option<Arc<Vec<Series>>>, Error> {
        let Some(common) = self.node(id).decisions.common else { return Ok(None) };
        let Query { common: cache, bounds, .. } = self.query;
        let (kept, more) = cache.arrive(common.slot, grid, &bounds.memory);
        let before = self.held();
        if let Some(kept) = kept {
            self.query.profile.iter().for_each(|profile| profile.reused(id));
            // Statistics and limits are those of an evaluation at this place.
            self.samples.absorb(&kept.cost);
            if whole {
                self.hold(kept.peak, 0)?;
                self.back_to(before);
            }
            return Ok(Some(kept.series));
        }
        // Peak, annotations and samples are measured for this node alone, to be repeated at the other places.
        let (peak, annotations, level) =
            (self.peak.replace(before.samples), self.annotations().count(), self.samples.enter_beside());
        let series = self.evaluated(id, grid);
        let own_peak = self.peak.replace(if whole { peak.max(self.peak.get()) } else { peak }) - before.samples;
        let series = match series {
            // Unshared, the node would stream: the caller evaluates it again, series by series.
            Err(error) if !whole && error.is_memory_limit() => {
                self.samples.forget(level);
                self.back_to(before);
                return Ok(None);
            }
            series => Arc::new(series?),
        };
        let cost = self.samples.leave();
        self.samples.absorb(&cost);
        self.back_to(before);
        // An annotated result is evaluated at each place, as annotations have positions.
        if more && self.annotations().count() == annotations {
            let bytes = series.iter().map(Series::bytes).sum();
            let kept = Kept { series: Arc::clone(&series), grid: *grid, bytes, cost, peak: own_peak };
            cache.keep(common.slot, kept, &bounds.memory);
        }
        Ok(Some(series))
    }

    /// An aggregation whose operand is folded into other aggregations in the same pass. `None` where there are no others, or
    /// no memory for them.
    pub(super) fn fold_together(
        &self,
        (id, aggregate): (NodeId, &Aggregate),
        grid: &Grid,
    ) -> Result<Option<Vec<Series>>, Error> {
        let others = self.aggregations(&self.node(id).decisions.together);
        if others.is_empty() {
            return Ok(None);
        }
        let Query { common: cache, bounds, plan, .. } = self.query;
        let mut folding = Folding::new(aggregate, plan);
        let mut beside: Vec<Folding<'_>> = others.iter().map(|(other, _)| Folding::new(other, plan)).collect();
        let before = self.held();
        let (peak, annotations, level) =
            (self.peak.replace(before.samples), self.annotations().count(), self.samples.enter_beside());
        let streamed = self.stream_projected(id, grid, &mut |series| {
            self.account_work(grid.len)?;
            // One pass over the operand feeds all accumulators.
            folding.add(self, &series, (grid.len, true))?;
            beside.iter_mut().try_for_each(|other| other.add(self, &series, (grid.len, false)))
        });
        let own_peak = self.peak.replace(peak.max(self.peak.get())) - before.samples;
        if matches!(&streamed, Err(error) if error.is_memory_limit()) {
            self.samples.forget(level);
            self.back_to(before);
            return Ok(None);
        }
        streamed?;
        let cost = self.samples.leave();
        self.samples.absorb(&cost);
        // Evaluated alone, each would hold its own accumulators instead of those of the first.
        let operand_peak = own_peak.saturating_sub(folding.samples());
        let series = folding.finish(self);
        let beside: Vec<(usize, Vec<Series>)> =
            beside.into_iter().map(|other| (operand_peak + other.samples(), other.finish(self))).collect();
        if self.annotations().count() == annotations {
            for ((peak, series), (_, slot)) in beside.into_iter().zip(others) {
                let bytes = series.iter().map(Series::bytes).sum();
                let kept = Kept { series: Arc::new(series), grid: *grid, bytes, cost: cost.clone(), peak };
                cache.keep(slot, kept, &bounds.memory);
            }
        }
        Ok(Some(series))
    }

    /// Aggregations and the slots of their results.
    fn aggregations(&self, ids: &[NodeId]) -> Vec<(&Aggregate, usize)> {
        let of = |id: &NodeId| match (&self.node(*id).kind, self.node(*id).decisions.common) {
            (NodeKind::Aggregate(aggregate), Some(common)) => Some((aggregate, common.slot)),
            _ => None,
        };
        ids.iter().filter_map(of).collect()
    }

    /// Hands over shared series one by one.
    pub(super) fn hand_over(&self, series: Arc<Vec<Series>>, sink: &mut Sink<'_>) -> Result<(), Error> {
        match Arc::try_unwrap(series) {
            Ok(series) => {
                self.hold(0, series.iter().map(Series::bytes).sum())?;
                series.into_iter().try_for_each(|one| {
                    // The consumer counts the series once more if it keeps it.
                    self.release(0, one.bytes());
                    sink(one)
                })
            }
            Err(series) => series.iter().cloned().try_for_each(sink),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use parking_lot::Mutex;

    use model::{Matcher, Parts, Querier, Timestamp};
    use proptest::prelude::*;

    use crate::options::Times;
    use crate::parse::ast::{Expr, ExprKind};
    use crate::parse::random::{Part, query};
    use crate::promqltest::random_queries::store;
    use crate::promqltest::wrapped::{Wrap, Wrapped};
    use crate::promqltest::{Store, everything};
    use crate::{Engine, EngineOptions, Error, MemoryPool, QueryOptions, QueryResult, Stats};

    /// Counts how often the store is read.
    impl Wrap for AtomicUsize {
        fn wrap<'q>(&self, parts: Box<dyn Parts + 'q>) -> Box<dyn Parts + 'q> {
            self.fetch_add(1, Ordering::Relaxed);
            parts
        }
    }

    /// The same query, of which no two selectors are equal.
    fn apart(expr: &Expr) -> Expr {
        let (mut expr, mut n) = (expr.clone(), 0);
        expr.walk_mut(&mut |node| {
            if let ExprKind::Vector(selector) | ExprKind::Matrix(selector, _) = &mut node.kind {
                n += 1;
                selector.matchers.insert(0, Matcher::equal(format!("none_{n}"), ""));
            }
        });
        expr
    }

    fn run(engine: &Engine, store: &dyn Querier, (text, expr): (&str, &Expr)) -> (Result<QueryResult, Error>, Stats) {
        let stats = Arc::new(Mutex::new(Stats::default()));
        let options = QueryOptions { stats: Some(Arc::clone(&stats)), per_step_stats: true, ..QueryOptions::default() };
        let times = Times { start: Timestamp(420_000), end: Timestamp(840_000), step_ms: 60_000 };
        let result = engine.run(store, (text, expr.clone()), times, &options);
        let stats = stats.lock().clone();
        (result, stats)
    }

    const SIMPLE: [&str; 8] = [
        "up",
        "x_total",
        "rate(x_total[5m])",
        "a:b",
        "up > 1",
        "sum by (job) (up)",
        "-a:b",
        r#"{job!="",__name__!="up"}"#,
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn as_from_each_place_alone(
            a in prop_oneof![query(Part::All).prop_map(|(text, _)| text), prop::sample::select(&SIMPLE[..]).prop_map(str::to_owned)],
            (b, _) in query(Part::All),
            form in prop::sample::select(vec!["A or A", "A and B or A", "-A or sum(A)", "A > 1 or A < 5", "max_over_time(A[2m:]) or min_over_time(A[2m:])", "A / (A + B)", "sort(A) or abs(A)", "sum(A) / (count(A) + max(B))", "topk(2, A) or bottomk(2, A)", "max(abs(A)) - min(ceil(A)) + count(-A)", "A / on (job) group_left () sum by (job) (A) > min(A)"]),
        ) {
            let engine = Engine::new(everything());
            let text = form.replace('A', &format!("({a})")).replace('B', &format!("({b})"));
            let Ok(expr) = engine.parse(&text) else { return Ok(()) };
            let store = store();
            let (shared, cost) = run(&engine, &store, (&text, &expr));
            let (alone, cost_alone) = run(&engine, &store, (&text, &apart(&expr)));
            match (shared, alone) {
                (Ok(shared), Ok(alone)) => {
                    prop_assert_eq!(format!("{:?}", shared.value), format!("{:?}", alone.value), "{}", &text);
                    prop_assert_eq!((shared.warnings, shared.infos), (alone.warnings, alone.infos), "{}", &text);
                    let counts = |stats: Stats| (stats.total_samples, stats.samples_read, stats.per_step);
                    prop_assert!(cost.peak_samples <= cost_alone.peak_samples, "{}: {:?} {:?}", &text, cost, cost_alone);
                    prop_assert_eq!(counts(cost), counts(cost_alone), "{}", &text);
                }
                (shared, alone) => {
                    let told = |result: Result<QueryResult, Error>| result.err().map(|error| error.to_string());
                    prop_assert_eq!(told(shared), told(alone), "{}", &text);
                }
            }
        }
    }

    #[test]
    fn equal_expressions_are_read_once() {
        let mut inner = Store::default();
        for i in 0..40 {
            inner.load_line(&format!("x_total{{i=\"{i}\"}} {i}+{i}x40"), (Timestamp(0), 30_000)).unwrap();
            inner.load_line(&format!("x{{i=\"{i}\"}} {i}+{i}x40"), (Timestamp(0), 30_000)).unwrap();
        }
        let store = Wrapped(inner, AtomicUsize::new(0));
        for (query, reads) in [
            ("rate(x_total[2m]) / (rate(x_total[2m]) + rate(x_total[3m]))", 2),
            ("x_total > 5 and x_total < 30", 1),
            ("(x_total) - x_total offset 1m + x_total", 2),
            ("sum(x_total) / (1 + sum(x_total))", 1),
            ("x_total / on () group_left () sum(x_total)", 1),
            ("max(x_total / x_total) - min(x_total / x_total)", 1),
            ("sum(x_total) / count(x_total) + max(x_total) - count(x_total)", 1),
            ("x_total / on () group_left () max(rate(x_total[2m])) - on () group_left () min(rate(x_total[2m]))", 2),
            // Each has steps of its own, or what is kept would be large.
            ("sum_over_time(sum(x_total)[2m:]) / sum_over_time(count(x_total)[3m:])", 2),
            ("topk(2, x_total) or bottomk(2, x_total)", 1),
            // An annotation is to be made at each place.
            ("rate(x[2m]) / rate(x[2m])", 2),
        ] {
            let engine = Engine::default();
            let expr = engine.parse(query).unwrap();
            let (result, ..) = run(&engine, &store, (query, &expr));
            assert!(result.is_ok(), "{query}");
            assert_eq!(store.1.swap(0, Ordering::Relaxed), reads, "{query}");
        }
    }

    #[test]
    fn what_is_kept_gives_way() {
        let mut store = Store::default();
        for i in 0..40 {
            store.load_line(&format!("x_total{{i=\"{i}\"}} {i}+{i}x40"), (Timestamp(0), 30_000)).unwrap();
        }
        let store = Wrapped(store, AtomicUsize::new(0));
        let run = |query: &str, most: usize, is_apart: bool| {
            let memory = Arc::new(MemoryPool::new(usize::MAX, most));
            // With one thread, what is held when does not depend on chance.
            let options = EngineOptions { memory: Arc::clone(&memory), threads: 1, ..EngineOptions::default() };
            let engine = Engine::new(options);
            let expr = engine.parse(query).unwrap();
            let expr = if is_apart { apart(&expr) } else { expr };
            let (result, ..) = run(&engine, &store, (query, &expr));
            let reads = store.1.swap(0, Ordering::Relaxed);
            let used = result.as_ref().map_or(0, |result| result.value.bytes());
            assert_eq!(memory.used(), used);
            result.map(|_| reads)
        };
        for query in [
            "max(x_total - x_total offset 1m) + max(x_total - x_total offset 2m)",
            "sum by (i) (x_total) / count by (i) (x_total)",
            "max(max_over_time(x_total[2m])) - min(min_over_time(x_total[2m]))",
        ] {
            let (mut kept, mut gave_way) = (false, false);
            for most in (10_000..400_000).step_by(1_000) {
                match (run(query, most, false), run(query, most, true)) {
                    (Ok(reads), Ok(alone)) => {
                        kept |= reads < alone;
                        gave_way |= reads >= alone;
                    }
                    (_, alone) => assert!(alone.is_err(), "{query} fits {most} bytes alone, but not when shared"),
                }
            }
            assert!(kept && gave_way, "{query} {kept} {gave_way}");
        }
    }
}
