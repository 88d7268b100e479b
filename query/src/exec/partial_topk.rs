//! Partial top-k: `topk`, `bottomk` and `limitk` of a streaming operand hold only series that can still be selected.
//!
//! Series arrive in the order of the store, and are selected in the order of their labels, which decides between equal values.
//! A series that is not selected among those that arrived so far never will be: later arrivals only add competitors before it,
//! and a series that was not selected did not change the heap. So it can be dropped once this holds at every step.

use model::labels::sort_by_labels;

use super::aggregate::Groups;
use super::evaluator::Evaluator;
use super::operands::Operands;
use super::topk_heap::TopKHeap;
use crate::Error;
use crate::parse::ast::AggregateOp;
use crate::plan::{Aggregate, NodeId};
use crate::value::{Series, label_bytes};
use crate::window::Grid;

/// The series of a group that can still be selected, and those that arrived since the last pruning.
#[derive(Default)]
struct Candidates {
    series: Vec<Series>,
    /// The number of series at which they are pruned again.
    most: usize,
}

impl Candidates {
    /// Drops series that cannot be selected; returns their samples and bytes.
    fn prune(&mut self, evaluator: &Evaluator<'_>, op: AggregateOp, limits: &[usize]) -> Result<(usize, usize), Error> {
        sort_by_labels(&mut self.series, |one| &one.labels);
        let mut stays = vec![false; self.series.len()];
        // The result lists groups in the order of their first series, which therefore stays.
        stays[0] = true;
        for (step, limit) in limits.iter().enumerate() {
            evaluator.account_work(self.series.len())?;
            let present = self.series.iter().enumerate().filter(|(_, one)| one.has(step));
            // `limitk` selects by label order alone.
            if op == AggregateOp::LimitK {
                present.take(*limit).for_each(|(i, _)| stays[i] = true);
                continue;
            }
            let mut best = TopKHeap::new(*limit, op == AggregateOp::TopK);
            // A series stays if it was added to the heap, even if it is pushed out later: it may have changed the
            // heap's layout.
            present.for_each(|(i, one)| stays[i] |= best.offer(one.values[step], i));
        }
        let (before, mut gone) = (self.series.len(), (0, 0));
        let mut stays = stays.into_iter();
        self.series.retain(|one| {
            let stays = stays.next().unwrap_or_default();
            if !stays {
                gone = (gone.0 + one.weight(), gone.1 + one.bytes());
            }
            stays
        });
        let largest = limits.iter().copied().max().unwrap_or_default();
        // Pruning is amortised: it happens when the number has doubled, or quadrupled where it dropped little.
        let times = if self.series.len() > before / 2 { 4 } else { 2 };
        self.most = self.series.len().max(largest).saturating_mul(times);
        Ok(gone)
    }
}

impl Evaluator<'_> {
    /// The candidates, among which are all series that are selected, sorted by labels.
    pub(super) fn candidates(
        &self,
        (id, aggregate): (NodeId, &Aggregate),
        limits: &[usize],
        grid: &Grid,
    ) -> Result<Vec<Series>, Error> {
        let (op, operand) = (aggregate.op, aggregate.expr);
        let usable = |series: &mut Series| {
            if op != AggregateOp::LimitK {
                self.without_histograms(series, op, self.span(id));
            }
        };
        // An invariant operand is evaluated whole, whatever was decided.
        if !self.node(id).decisions.partial_topk || !self.is_read_once(operand, grid) {
            let mut series = self.vector(operand, grid)?;
            series.iter_mut().for_each(usable);
            return Ok(series);
        }
        let mut numbers = Groups::new(&aggregate.grouping);
        let mut groups: Vec<Candidates> = Vec::new();
        self.stream(operand, grid, &mut |mut series| {
            usable(&mut series);
            self.hold(series.weight(), series.bytes())?;
            self.check_memory(2 * series.labels.as_text().len())?;
            let i = numbers.of(&series.labels);
            if i == groups.len() {
                self.hold(0, size_of::<Candidates>() + label_bytes(&series.labels))?;
                groups.push(Candidates::default());
            }
            let group = &mut groups[i];
            group.series.push(series);
            // Pruning sorts the group: it is done when the group has grown by a factor.
            if group.series.len() > group.most {
                let (samples, bytes) = group.prune(self, op, limits)?;
                self.release(samples, bytes);
            }
            Ok(())
        })?;
        let mut series: Vec<Series> = groups.into_iter().flat_map(|group| group.series).collect();
        sort_by_labels(&mut series, |one| &one.labels);
        Ok(series)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use model::{BatchSink, PartReader, Parts, QuerierError, Timestamp};
    use proptest::prelude::*;

    use crate::promqltest::Store;
    use crate::promqltest::wrapped::{Wrap, Wrapped};
    use crate::{Engine, EngineOptions, MemoryPool, QueryOptions, Stats};

    /// Parts come in another order.
    #[derive(Debug)]
    struct Shuffled(usize);

    struct Chosen<'a>(Box<dyn Parts + 'a>, usize);

    struct Reader<'a>(Box<dyn PartReader + 'a>, Vec<usize>);

    impl Parts for Chosen<'_> {
        fn count(&self) -> usize {
            self.0.count()
        }

        fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
            let mut order: Vec<usize> = (0..self.0.count()).collect();
            order.sort_by_key(|i| i * self.1 % 97);
            Ok(Box::new(Reader(self.0.reader()?, order)))
        }
    }

    impl PartReader for Reader<'_> {
        fn read(&self, part: usize, sink: &mut BatchSink<'_>) -> Result<(), QuerierError> {
            self.0.read(self.1[part], sink)
        }
    }

    impl Wrap for Shuffled {
        fn wrap<'q>(&self, parts: Box<dyn Parts + 'q>) -> Box<dyn Parts + 'q> {
            Box::new(Chosen(parts, self.0))
        }
    }

    const CELLS: [&str; 12] = [
        "0",
        "-0",
        "1",
        "1",
        "2",
        "3",
        "NaN",
        "Inf",
        "-Inf",
        "_",
        "{{schema:0 sum:3 count:2 buckets:[1 1]}}",
        "{{schema:1 sum:9 count:4 buckets:[1 3]}}",
    ];

    fn store(series: &[(usize, [usize; 5])]) -> Store {
        let mut store = Store::default();
        let mut load = |line: &str| store.load_line(line, (Timestamp(0), 60_000)).unwrap();
        load("k 1 0 2 9 3");
        for (i, (group, cells)) in series.iter().enumerate() {
            let cells: Vec<&str> = cells.iter().map(|cell| CELLS[*cell]).collect();
            load(&format!("x{{g=\"{group}\", i=\"{i}\"}} {}", cells.join(" ")));
        }
        store
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        /// `or` needs its sides whole.
        #[test]
        fn as_from_whole_operands(
            series in prop::collection::vec((0usize..3, [0..CELLS.len(), 0..CELLS.len(), 0..CELLS.len(), 0..CELLS.len(), 0..CELLS.len()]), 1..40),
            order in 1usize..97,
            op in prop::sample::select(vec!["topk", "bottomk", "limitk", "limit_ratio", "count_values"]),
            grouping in prop::sample::select(vec!["", " by (g)", " without (i)", " by (i)"]),
            limit in prop::sample::select(vec!["0", "1", "2", "4", "40", "-0.5", "scalar(k)", "scalar(k) / 0"]),
            operand in prop::sample::select(vec!["x", "-x", "x > 0", "abs(x)"]),
            threads in 1usize..3,
        ) {
            let limit = if op == "count_values" { "\"v\"" } else { limit };
            let store = Wrapped(store(&series), Shuffled(order));
            let engine = Engine::new(EngineOptions { experimental_functions: true, threads, ..EngineOptions::default() });
            let told = |query: &str| {
                let options = QueryOptions::default();
                let instants = (0..5).map(|i| engine.instant(&store, query, Timestamp(i * 60_000), &options));
                let range = engine.range(&store, query, Timestamp(0), Timestamp(240_000), 60_000, &options);
                let results = instants.chain([range]).map(|result| match result {
                    Ok(result) => format!("{:?} {:?} {:?}", result.value, result.warnings, result.infos),
                    Err(error) => error.to_string(),
                });
                results.collect::<Vec<_>>()
            };
            let (streamed, whole) = (format!("({operand})"), format!("({operand} or none)"));
            let [streamed, whole] = [streamed, whole].map(|operand| told(&format!("{op}{grouping}({limit}, {operand})")));
            prop_assert_eq!(streamed, whole);
        }
    }

    #[test]
    fn what_cannot_stay_is_let_go() {
        let mut store = Store::default();
        for i in 0..400 {
            let v = (i * i * 31 + 7) % 401;
            let line = format!("x_total{{i=\"{i}\", g=\"{}\"}} {v}+{v}x20", i % 2);
            store.load_line(&line, (Timestamp(0), 30_000)).unwrap();
        }
        let run = |query: &str| {
            // Of all series only the samples would be twice that.
            let memory = Arc::new(MemoryPool::new(usize::MAX, 2_000_000));
            let engine = EngineOptions {
                memory: Arc::clone(&memory),
                experimental_functions: true,
                threads: 2,
                ..EngineOptions::default()
            };
            let stats = Arc::new(Mutex::new(Stats::default()));
            let options = QueryOptions { stats: Some(Arc::clone(&stats)), ..QueryOptions::default() };
            let result = Engine::new(engine).range(&store, query, Timestamp(0), Timestamp(600_000), 1_000, &options);
            result.map(|result| {
                assert_eq!(memory.used(), result.value.bytes(), "{query}");
                let stats = stats.lock();
                // Every step sees a sample of each series.
                assert_eq!(stats.total_samples, 400 * 601, "{query}");
                stats.peak_samples / 601
            })
        };
        assert!(run("x_total or x_total").is_err() && run("topk(2, x_total or x_total)").is_err());
        for query in [
            "topk(2, x_total)",
            "topk by (g) (2, x_total)",
            "bottomk(2, x_total)",
            "limitk(2, x_total)",
            "limit_ratio(0.05, x_total)",
        ] {
            let held = run(query).unwrap();
            assert!(held < 100, "{query} holds {held} series");
        }
    }
}
