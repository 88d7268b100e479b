//! What a sample costs: committed, stored, read back. `cargo bench -p storage [-- <sources> <columns> <rows>]`.
//!
//! Values are like a node exporter's: a third constant, counters of all speeds, decimals, a few full floats. CPU times
//! are those of the whole process, RocksDB's own threads included.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at the first error and prints")]

#[path = "common/cpu.rs"]
mod cpu;
#[path = "common/memory.rs"]
mod memory;
#[path = "common/node_exporter.rs"]
mod node_exporter;

use std::time::{Duration, Instant};

use cpu::cpu;
use memory::resident_bytes;
use model::{Appender, Labels, Matcher, Querier, ReadHints, Row, Selection, SourceId, Timestamp};
use node_exporter::value;
use prometheus::Registry;
use storage::{Db, Options};

const INTERVAL_MS: i64 = 15_000;

fn at(row: usize) -> Timestamp {
    Timestamp(row as i64 * INTERVAL_MS)
}

struct Shape {
    sources: usize,
    columns: usize,
    rows: usize,
}

fn report(what: &str, samples: usize, (started, cpu_before): (Instant, Duration)) {
    let per = |time: Duration| time.as_nanos() as f64 / samples as f64;
    println!(
        "{what:<34} {:>8.2} ns/sample wall {:>8.2} ns/sample CPU",
        per(started.elapsed()),
        per(cpu() - cpu_before)
    );
}

fn now() -> (Instant, Duration) {
    (Instant::now(), cpu())
}

fn select(db: &Db, matchers: &[Matcher], end: Timestamp) -> usize {
    let mut samples = 0;
    let mut sink = |batch: model::Batch| {
        samples += batch.columns.len() * batch.timestamps.len();
        Ok(())
    };
    db.select(&Selection { start: Timestamp::EPOCH, end, matchers }, &ReadHints::default(), &mut sink).unwrap();
    samples
}

/// Selections, wide and narrow.
fn read(db: &Db, end: Timestamp) {
    let start = now();
    report("select everything", select(db, &[], end), start);
    let one = [Matcher::equal("__name__", "metric_5_total")];
    let start = now();
    let samples_read: usize = (0..5).map(|_| select(db, &one, end)).sum();
    report("select one name (10 columns), x5", samples_read, start);
    let one = [Matcher::equal("__name__", "metric_5_total"), Matcher::equal("instance", "7")];
    let start = now();
    report("select ten series", select(db, &one, end), start);
    println!("resident {} MB", resident_bytes() >> 20);
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let get = |i: usize, default| numbers.get(i).copied().unwrap_or(default);
    let shape = Shape { sources: get(0, 200), columns: get(1, 1000), rows: get(2, 240) };
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(Options::new(dir.path()), &Registry::new()).unwrap();

    let labels: Vec<Labels> = (0..shape.columns)
        .map(|i| Labels::from_pairs([("__name__", format!("metric_{}_total", i / 10)), ("i", i.to_string())]))
        .collect();
    let start = now();
    let ids = db.metrics(&labels).unwrap();
    report("new metrics (per metric)", labels.len(), start);
    let layout = db.layout(&ids).unwrap();
    let sources: Vec<SourceId> = (0..shape.sources)
        .map(|i| db.source(&Labels::from_pairs([("instance", i.to_string()), ("job", "bench".to_owned())])).unwrap())
        .collect();
    let present = vec![u64::MAX; shape.columns.div_ceil(64)];

    let mut spent = (Duration::ZERO, Duration::ZERO);
    let mut slowest = Duration::ZERO;
    for row in 0..shape.rows {
        let all: Vec<Vec<f64>> = (0..shape.sources)
            .map(|source| (0..shape.columns).map(|column| value(source, column, row)).collect())
            .collect();
        let (started, cpu_before) = now();
        for (source, values) in sources.iter().zip(&all) {
            let ts = at(row);
            let one = Instant::now();
            let row = Row {
                source: *source,
                ts,
                layout: &layout,
                values,
                present: &present,
                own_times: &[],
                histograms: &[],
            };
            assert_eq!(db.commit(&[row]).unwrap().stored as usize, shape.columns);
            slowest = slowest.max(one.elapsed());
        }
        spent = (spent.0 + started.elapsed(), spent.1 + (cpu() - cpu_before));
    }
    let samples = shape.sources * shape.columns * shape.rows;
    let per = |time: Duration| time.as_nanos() as f64 / samples as f64;
    println!("{:<34} {:>8.2} ns/sample wall {:>8.2} ns/sample CPU", "commit", per(spent.0), per(spent.1));
    println!("slowest commit {slowest:?}, resident {} MB", resident_bytes() >> 20);

    let end = at(shape.rows);
    read(&db, end);
    let start = now();
    let sealed = db.compact(end + 3_600_000).unwrap();
    report("seal", usize::try_from(sealed.samples).unwrap(), start);
    assert_eq!(usize::try_from(sealed.samples).unwrap(), samples);
    let start = now();
    db.compact(end + 200_000_000).unwrap();
    report("merge", samples, start);
    read(&db, end);

    let start = Instant::now();
    drop(db);
    println!("close {:?}", start.elapsed());
    let start = Instant::now();
    let registry = Registry::new();
    let db = Db::open(Options::new(dir.path()), &registry).unwrap();
    println!("open {:?}", start.elapsed());
    let stats = db.stats(10).unwrap();
    println!("{} series, {:.2} bytes a sample on disk", stats.series, stats.disk_bytes as f64 / samples as f64);
    db.enforce_retention(end).unwrap();
    for family in registry.gather().iter().filter(|family| family.name() == "weft_storage_sst_bytes") {
        for metric in family.get_metric() {
            let bytes = metric.get_gauge().get_value() / samples as f64;
            println!("  {:<10} {bytes:>8.3} bytes a sample", metric.get_label()[0].value());
        }
    }
}
