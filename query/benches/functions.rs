//! What each group of functions, aggregations and operators costs. `cargo bench -p query [-- <series> <rounds> <word>]`;
//! a word leaves only the groups with it.
//!
//! A range query of 60 steps a minute apart over two hours of samples every 15 seconds, held in memory as batches of one
//! source each, which selecting copies, on one thread. Of several rounds the fastest counts; it is told per series and step,
//! and so are the samples held at most.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at the first error and prints")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{
    Batch, BatchSink, Column, Histogram, Labels, Listing, Matcher, MetricId, PartReader, Parts, Querier, QuerierError,
    ReadHints, Selection, Timestamp,
};
use parking_lot::Mutex;
use query::{Engine, EngineOptions, QueryOptions, Stats};

const EVERY_MS: i64 = 15_000;
const SAMPLES: i64 = 480;
const STEPS: i64 = 60;
const END: Timestamp = Timestamp((SAMPLES - 1) * EVERY_MS);
const OF_SOURCE: usize = 50;

/// Batches of one source each, of one metric.
#[derive(Debug)]
struct Memory {
    batches: Vec<(&'static str, Batch)>,
}

impl Memory {
    fn new(series: usize) -> Self {
        let mut batches = Vec::new();
        for name in ["counter_total", "gauge", "latency_bucket", "native"] {
            for source in 0..series.div_ceil(OF_SOURCE) {
                let columns = (0..OF_SOURCE.min(series - source * OF_SOURCE)).map(|i| column(name, source, i));
                let timestamps = (0..SAMPLES).map(|i| Timestamp(i * EVERY_MS)).collect();
                batches.push((name, Batch { timestamps, columns: columns.collect(), ..Batch::default() }));
            }
        }
        Self { batches }
    }
}

fn column(name: &str, source: usize, i: usize) -> Column {
    let bounds = ["0.1", "0.5", "1", "5", "+Inf"];
    let (instance, route) = (format!("i{source}"), format!("r{}", i / bounds.len()));
    let mut labels = vec![("__name__", name), ("instance", &instance), ("route", &route)];
    let which = format!("{}", i % bounds.len());
    labels.push(if name == "latency_bucket" { ("le", bounds[i % bounds.len()]) } else { ("which", &which) });
    let mut state = (source * 1_000 + i) as u64 + 1;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / 16_777_216.0
    };
    // As a store has it: one id for each label set. A selection is of one name here.
    let metric_id = Some(MetricId((source * OF_SOURCE + i) as u32));
    let mut column = Column { metric_id, metric: Labels::from_pairs(labels), ..Column::default() };
    let mut total = 0.0;
    for slot in 0..SAMPLES as u32 {
        total += (random() * 10.0).floor();
        if name == "native" {
            let histogram = Histogram {
                schema: 2,
                count: total * 3.0,
                sum: total,
                positive: [(0, total), (1, total), (5, total)].into_iter().collect(),
                ..Histogram::default()
            };
            column.histograms.push((slot, Arc::new(histogram)));
            column.values.push(0.0);
        } else {
            column.values.push(if name == "gauge" { random() - 0.5 } else { total });
        }
    }
    column
}

/// The batches of a selection, each a part, and what their columns must match.
struct Chosen<'a>(Vec<&'a Batch>, Vec<Matcher>);

impl Parts for Chosen<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
        Ok(Box::new(Chosen(self.0.clone(), self.1.clone())))
    }
}

impl PartReader for Chosen<'_> {
    fn read(&self, part: usize, sink: &mut BatchSink<'_>) -> Result<(), QuerierError> {
        let batch = self.0[part];
        let matches = |column: &&Column| self.1.iter().all(|m| m.matches(column.metric.value(&m.name)));
        let columns = batch.columns.iter().filter(matches).cloned().collect();
        sink(Batch { timestamps: batch.timestamps.clone(), columns, ..Batch::default() })
    }
}

impl Querier for Memory {
    fn open<'q>(&'q self, selection: &Selection<'_>, _: &ReadHints<'_>) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        let (names, others): (Vec<Matcher>, Vec<Matcher>) =
            selection.matchers.iter().cloned().partition(|m| m.name == "__name__");
        let found = self.batches.iter().filter(|(name, _)| names.iter().all(|m| m.matches(name)));
        Ok(Box::new(Chosen(found.map(|(_, batch)| batch).collect(), others)))
    }

    fn list_series(&self, _: &Selection<'_>, _: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        Ok(Vec::new())
    }

    fn list_label_names(&self, _: &Selection<'_>, _: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        Ok(Vec::new())
    }

    fn list_label_values(&self, _: &str, _: &Selection<'_>, _: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        Ok(Vec::new())
    }
}

/// The groups, each with queries of it.
const GROUPS: [(&str, &[&str]); 16] = [
    ("selector", &["counter_total", "native", "counter_total offset 5m", "gauge @ end()"]),
    (
        "rate",
        &["rate(counter_total[5m])", "increase(counter_total[5m])", "delta(gauge[5m])", "irate(counter_total[5m])"],
    ),
    (
        "regression",
        &["deriv(gauge[5m])", "predict_linear(gauge[5m], 60)", "double_exponential_smoothing(gauge[5m], 0.5, 0.5)"],
    ),
    (
        "over time",
        &[
            "sum_over_time(gauge[5m])",
            "avg_over_time(gauge[5m])",
            "max_over_time(gauge[5m])",
            "last_over_time(gauge[5m])",
            "stddev_over_time(gauge[5m])",
            "changes(gauge[5m])",
            "resets(gauge[5m])",
            "count_over_time(gauge[5m])",
        ],
    ),
    (
        "ranked over time",
        &["quantile_over_time(0.9, gauge[5m])", "mad_over_time(gauge[5m])", "ts_of_max_over_time(gauge[5m])"],
    ),
    ("extended", &["rate(counter_total[5m] anchored)", "rate(counter_total[5m] smoothed)"]),
    ("math", &["abs(gauge)", "ln(gauge)", "clamp(gauge, -0.1, 0.1)", "round(gauge, 0.1)", "sin(gauge)"]),
    ("dates", &["hour(counter_total)", "days_in_month(counter_total)", "timestamp(gauge)"]),
    (
        "labels",
        &[
            "label_replace(gauge, \"to\", \"$1\", \"route\", \"r(.*)\")",
            "label_join(gauge, \"to\", \"-\", \"route\", \"which\")",
        ],
    ),
    (
        "aggregations",
        &["sum(gauge)", "avg by (route) (gauge)", "max without (which) (gauge)", "stddev(gauge)", "count(gauge)"],
    ),
    (
        "ranked aggregations",
        &[
            "topk(5, gauge)",
            "topk(5, counter_total)",
            "topk(5, rate(counter_total[5m]))",
            "bottomk by (route) (2, gauge)",
            "quantile(0.9, gauge)",
            "count_values(\"v\", round(gauge))",
            "limitk(5, gauge)",
            "limit_ratio(0.5, gauge)",
        ],
    ),
    (
        "operators",
        &[
            "gauge * 2",
            "gauge > 0",
            "gauge + gauge",
            "gauge and counter_total",
            "gauge or counter_total",
            "counter_total{route=\"r1\"} / gauge",
            "gauge{route=\"r1\"} and on (instance, route) counter_total",
            "gauge / on (instance, route) group_left max by (instance, route) (gauge)",
        ],
    ),
    (
        "repeated",
        &[
            "rate(counter_total[5m]) / (rate(counter_total[5m]) + rate(gauge[5m]))",
            "gauge > -0.2 and gauge < 0.2",
            "sum(rate(counter_total[5m])) / (1 + sum(rate(counter_total[5m])))",
            "rate(counter_total[5m]) / on () group_left () sum(rate(counter_total[5m]))",
            "max(rate(counter_total[5m])) - min(rate(counter_total[5m]))",
        ],
    ),
    ("classic histograms", &["histogram_quantile(0.9, latency_bucket)", "histogram_fraction(0, 1, latency_bucket)"]),
    (
        "native histograms",
        &[
            "rate(native[5m])",
            "histogram_quantile(0.9, native)",
            "histogram_count(rate(native[5m]))",
            "sum(native)",
            "native * 2",
            "native </ 3",
        ],
    ),
    ("subqueries", &["max_over_time(rate(counter_total[5m])[10m:1m])", "sum_over_time(gauge[10m:])"]),
];

fn main() {
    // Cargo adds a flag of its own.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let number = |i: usize, default: usize| args.get(i).map_or(default, |text| text.parse().unwrap());
    let (series, rounds) = (number(0, 1_000), number(1, 5));
    let word = args.get(2).map_or("", String::as_str);
    let memory = Memory::new(series);
    let engine = Engine::new(EngineOptions {
        experimental_functions: true,
        max_samples: usize::MAX,
        threads: 1,
        ..EngineOptions::default()
    });
    let start = END - (STEPS - 1) * 60_000;
    let fastest = |query: &str| {
        let run = || {
            let begun = Instant::now();
            engine.range(&memory, query, start, END, 60_000, &QueryOptions::default()).unwrap();
            begun.elapsed()
        };
        (0..rounds).map(|_| run()).min().unwrap_or_default()
    };
    let held = |query: &str| {
        let stats = Arc::new(Mutex::new(Stats::default()));
        let options = QueryOptions { stats: Some(Arc::clone(&stats)), ..QueryOptions::default() };
        engine.range(&memory, query, start, END, 60_000, &options).unwrap();
        stats.lock().peak_samples as f64 / (series as f64 * STEPS as f64)
    };
    let per = |took: Duration| took.as_nanos() as f64 / (series as f64 * STEPS as f64);
    println!("{series} series, {STEPS} steps: nanoseconds, and samples held, per series and step");
    for (group, queries) in GROUPS.iter().filter(|(group, _)| group.contains(word)) {
        println!("{group}");
        for query in *queries {
            println!("{:>10.1} {:>6.2}  {query}", per(fastest(query)), held(query));
        }
    }
    if "planning".contains(word) {
        planning(&engine);
    }
}

/// What a query costs without data, as rules have it every interval: parsed and planned each time, and prepared.
fn planning(engine: &Engine) {
    const TIMES: u32 = 2_000;
    let (nothing, options) = (Memory::new(0), QueryOptions::default());
    let per = |run: &dyn Fn()| {
        let begun = Instant::now();
        (0..TIMES).for_each(|_| run());
        begun.elapsed().as_nanos() as f64 / f64::from(TIMES)
    };
    println!("planning: nanoseconds per evaluation without data, planned each time and prepared");
    for query in [
        "up",
        "sum by (job) (rate(http_requests_total{code=~\"5..\"}[5m])) / sum by (job) (rate(http_requests_total[5m])) > 0.05",
        "histogram_quantile(0.99, sum by (le, route) (rate(latency_bucket{job=\"api\"}[5m])))",
    ] {
        let prepared = engine.prepare(query, &options).unwrap();
        let anew = per(&|| drop(engine.instant(&nothing, query, Timestamp(0), &options).unwrap()));
        let kept = per(&|| drop(prepared.instant(&nothing, Timestamp(0), &options).unwrap()));
        println!("{anew:>10.0} {kept:>6.0}  {query}");
    }
}
