//! Evaluation of recording rules, in one process: `cargo bench -p benches --bench rule_groups [-- <rules> <rounds>]`. As the program
//! `rules` does beside Prometheus: 20 sources of 10 000 series are scraped each 30 s, and each rule sums the rates of one series
//! of every source. Prints the CPU time an evaluation, round by round.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at the first error and prints")]

use std::sync::Arc;

use benches::clock::cpu;
use model::{Appender, Labels, Row, SourceId, Timestamp};
use prometheus::Registry;
use rules::{Context, GroupSpec, RuleSpec, Simulation};
use storage::{Db, Options};

const SOURCES: usize = 20;
const METRICS: usize = 100;
const SHARDS: usize = 100;
const INTERVAL_MS: i64 = 30_000;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What is scraped.
struct Scraped {
    db: Arc<Db>,
    layout: model::Layout,
    sources: Vec<SourceId>,
}

impl Scraped {
    fn new(db: Arc<Db>) -> Self {
        let label = |i: usize| {
            let (metric, shard) = (format!("metric_{}_total", i / SHARDS), (i % SHARDS).to_string());
            Labels::from_pairs([("__name__", metric), ("shard", shard)])
        };
        let labels: Vec<Labels> = (0..METRICS * SHARDS).map(label).collect();
        let layout = db.layout(&db.metrics(&labels).unwrap()).unwrap();
        let source = |i: usize| {
            let labels = [("instance", "10.0.0.1:9100".to_owned()), ("job", format!("t{i}")), ("pod", format!("p{i}"))];
            db.source(&Labels::from_pairs(labels)).unwrap()
        };
        let sources = (0..SOURCES).map(source).collect();
        Self { db, layout, sources }
    }

    fn scrape(&self, round: i64) {
        let values: Vec<f64> = (0..METRICS * SHARDS).map(|i| (round * (i as i64 % 100 + 1) * 30) as f64).collect();
        let present = vec![u64::MAX; values.len().div_ceil(64)];
        for (at, source) in self.sources.iter().enumerate() {
            let (values, present) = (&values[..], &present[..]);
            // Targets are scraped one after another.
            let (source, ts) = (*source, Timestamp(round * INTERVAL_MS + at as i64));
            let row = Row { source, ts, layout: &self.layout, values, present, own_times: &[], histograms: &[] };
            assert_eq!(self.db.commit(&[row]).unwrap().stored as usize, values.len());
        }
    }
}

fn groups(rules: usize) -> Vec<GroupSpec> {
    let rule = |i: usize| {
        let (metric, shard) = (i % METRICS, i / METRICS % SHARDS);
        RuleSpec::recording(
            &format!("r{i}:rate"),
            &format!("sum by (pod) (rate(metric_{metric}_total{{shard=\"{shard}\"}}[2m]))"),
        )
    };
    let group = |group: usize| GroupSpec {
        file: "rules.yml".to_owned(),
        name: format!("g{group}"),
        interval_ms: INTERVAL_MS,
        query_offset_ms: None,
        backfill_ms: None,
        limit: 0,
        rules: (group * 100..rules.min(group * 100 + 100)).map(rule).collect(),
    };
    (0..rules.div_ceil(100)).map(group).collect()
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let (rules, rounds) = match numbers[..] {
        [rules, rounds] => (rules, rounds),
        _ => (10_000, 10),
    };
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(Options { memory_bytes: 128 << 20, ..Options::new(dir.path()) }, &Registry::new()).unwrap();
    let scraped = Scraped::new(Arc::new(db));
    let context = Context {
        engine: Arc::default(),
        querier: Arc::<Db>::clone(&scraped.db),
        appender: Arc::<Db>::clone(&scraped.db),
        notify: Arc::new(|_| {}),
        external_labels: Labels::empty(),
        external_url: "".into(),
        query_offset_ms: 0,
        wanted: None,
        options: rules::Options { concurrency: 1, ..rules::Options::default() },
    };
    let simulation = Simulation::new(groups(rules), context).unwrap();
    (0..4).for_each(|round| scraped.scrape(round));
    for round in 4..4 + rounds as i64 {
        let begun = cpu().unwrap();
        scraped.scrape(round);
        let scrape = cpu().unwrap() - begun;
        let failed = simulation.evaluate_at(Timestamp(round * INTERVAL_MS + 1_000));
        assert!(failed.is_empty(), "{:?}", failed[0].1);
        let an_evaluation = (cpu().unwrap() - begun - scrape) / rules as u32;
        println!("round {round}: {an_evaluation:?} CPU an evaluation, {scrape:?} all scrapes");
    }
}
