//! Queries over much: `cargo bench -p benches --bench wide [-- <sources> <columns> <rows>]`. Without numbers a day of a
//! thousand series at 15 s, then ten minutes of a million. Prints the median of five runs, CPU time, and by how much the
//! process grew at most.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at the first error and prints")]

use std::fs;
use std::time::{Duration, Instant};

use benches::clock::cpu;
use model::{Appender, Labels, Row, SourceId, Timestamp};
use prometheus::Registry;
use query::{Engine, EngineOptions, QueryOptions, Value};
use storage::{Db, Options};

const INTERVAL_MS: i64 = 15_000;
const RUNS: usize = 5;

#[derive(Clone, Copy)]
struct Shape {
    sources: usize,
    columns: usize,
    rows: usize,
}

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Resident memory, now or (`VmHWM`) at most since it was last forgotten.
fn memory_mb(line: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|one| one.starts_with(line)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

/// Counters of all speeds with jitter, a gauge among every four.
fn value(source: usize, column: usize, row: usize) -> f64 {
    let seed = (source * 7919 + column * 104_729) as u64;
    let jitter = (seed ^ row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    match column % 4 {
        0 => (jitter % 1000) as f64 / 8.0,
        _ => (seed % 1_000_000 + row as u64 * (seed % 500) + jitter % 20) as f64,
    }
}

fn fill(db: &Db, shape: Shape) {
    let label = |i: usize| {
        let kind = if i.is_multiple_of(4) { "gauge" } else { "requests_total" };
        Labels::from_pairs([
            ("__name__", kind.to_owned()),
            ("route", format!("/v1/{}", i / 4)),
            ("code", (i % 4).to_string()),
        ])
    };
    let layout = db.layout(&db.metrics(&(0..shape.columns).map(label).collect::<Vec<_>>()).unwrap()).unwrap();
    let source = |i: usize| {
        let (instance, app) = (format!("10.0.{}.{}:9100", i / 250, i % 250), format!("app-{}", i % 20));
        db.source(&Labels::from_pairs([("instance", instance), ("app", app), ("job", "bench".to_owned())])).unwrap()
    };
    let sources: Vec<SourceId> = (0..shape.sources).map(source).collect();
    let present = vec![u64::MAX; shape.columns.div_ceil(64)];
    for row in 0..shape.rows {
        for (at, source) in sources.iter().enumerate() {
            let values: Vec<f64> = (0..shape.columns).map(|column| value(at, column, row)).collect();
            let (values, present, ts) = (&values[..], &present[..], Timestamp(row as i64 * INTERVAL_MS));
            let row = Row { source: *source, ts, layout: &layout, values, present, own_times: &[], histograms: &[] };
            assert_eq!(db.commit(&[row]).unwrap().stored as usize, shape.columns);
        }
    }
}

fn measure(db: &Db, query: &str, (start, end, step_ms): (Timestamp, Timestamp, i64)) {
    let engine = Engine::new(EngineOptions::default());
    // What was freed is given back, and the mark begins anew.
    #[expect(clippy::disallowed_methods, reason = "the allocator gives back after a second, and tells nobody")]
    std::thread::sleep(Duration::from_secs(2));
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, cpu_before) = (memory_mb("VmRSS"), cpu().unwrap());
    let mut times = Vec::new();
    let mut series = 0;
    for _ in 0..RUNS {
        let begun = Instant::now();
        let result = engine.range(db, query, start, end, step_ms, &QueryOptions::default()).unwrap();
        times.push(begun.elapsed());
        let Value::Matrix(matrix) = result.value else { panic!("{query} yields no matrix") };
        series = matrix.len();
    }
    times.sort();
    let (median, spent) = (times[RUNS / 2], (cpu().unwrap() - cpu_before) / RUNS as u32);
    let grown = memory_mb("VmHWM").saturating_sub(before);
    println!("{query:<60} {series:>6} series {median:>9.1?} {spent:>7.0?} CPU {grown:>5} MB more at most");
}

fn run(shape: Shape) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(Options { memory_bytes: 128 << 20, ..Options::new(dir.path()) }, &Registry::new()).unwrap();
    fill(&db, shape);
    let length_ms = shape.rows as i64 * INTERVAL_MS;
    let step_ms = (length_ms / 240 / INTERVAL_MS).max(1) * INTERVAL_MS;
    let (start, end) = (Timestamp(300_000.min(length_ms / 2)), Timestamp(length_ms));
    let times = (start, end, step_ms);
    println!("{} sources x {} columns x {} rows, step {} s", shape.sources, shape.columns, shape.rows, step_ms / 1000);
    for sealed in [false, true] {
        if sealed {
            db.compact(end + 3 * 3_600_000).unwrap();
        }
        println!("{}", if sealed { "pages" } else { "rows" });
        measure(&db, "sum by (app) (rate(requests_total[5m]))", times);
        measure(&db, "sum by (app, route) (rate(requests_total[5m]))", times);
        measure(&db, "max by (app) (avg_over_time(gauge[5m]))", times);
        measure(&db, "topk(5, sum by (instance) (increase(requests_total{code=\"1\"}[5m])))", times);
    }
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    if let [sources, columns, rows] = numbers[..] {
        return run(Shape { sources, columns, rows });
    }
    run(Shape { sources: 10, columns: 100, rows: 5_760 });
    run(Shape { sources: 1_000, columns: 1_000, rows: 40 });
}
