//! Backfill beside scraping: what a sample costs that comes series by series, for time that is over, and what the same sample
//! costs as part of a scrape, flushed and merged afterwards. `cargo bench -p storage --bench backfill [-- <series> <samples of
//! each> <days>]`, 10 000 series of 5 000 samples over 30 days unless told otherwise.
//!
//! CPU times are those of the whole process, RocksDB's own threads included, less what making up the values costs. Values are
//! like a node exporter's.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at the first error and prints")]

#[path = "common/cpu.rs"]
mod cpu;
#[path = "common/node_exporter.rs"]
mod node_exporter;

use std::hint::black_box;
use std::time::{Duration, Instant};

use cpu::cpu;
use model::{
    Appender, Labels, Lateness, Querier, ReadHints, Row, Selection, SeriesAppender, SeriesBatch, SeriesSamples,
    SourceLabels, Timestamp,
};
use node_exporter::value;
use prometheus::Registry;
use storage::{Db, Options};

/// Series of one source.
const COLUMNS: usize = 100;
const START: Timestamp = Timestamp(1_700_000_000_000);

#[derive(Clone, Copy)]
struct Shape {
    sources: usize,
    samples: usize,
    interval_ms: i64,
}

impl Shape {
    fn all(&self) -> usize {
        self.sources * COLUMNS * self.samples
    }

    fn ts(&self, row: usize) -> Timestamp {
        START + row as i64 * self.interval_ms
    }

    fn end(&self) -> Timestamp {
        self.ts(self.samples)
    }
}

fn metric(column: usize) -> Labels {
    Labels::from_pairs([("__name__", format!("metric_{}_total", column / 10)), ("i", column.to_string())])
}

fn source(source: usize) -> Labels {
    Labels::from_pairs([("instance", format!("10.0.0.{source}:9100")), ("job", "node".to_owned())])
}

fn open(path: &std::path::Path) -> Db {
    Db::open(Options { retention_ms: 0, ..Options::new(path) }, &Registry::new()).unwrap()
}

/// What came of one way.
struct Cost {
    cpu_ns: f64,
    wall_ns: f64,
    /// Of pages, rows, and everything else.
    bytes: [f64; 3],
}

impl Cost {
    fn all_bytes(&self) -> f64 {
        self.bytes.iter().sum()
    }
}

/// Runs one way, then closes; what is stored is counted.
fn measured(shape: Shape, making: Duration, run: impl FnOnce(&Db)) -> Cost {
    let dir = tempfile::tempdir().unwrap();
    let (started, before) = (Instant::now(), cpu());
    let db = open(dir.path());
    run(&db);
    db.compact(shape.end() + 3 * 24 * 3_600_000).unwrap();
    drop(db);
    let (wall, spent) = (started.elapsed(), cpu() - before);
    let db = open(dir.path());
    let mut found = 0;
    let mut sink = |batch: model::Batch| {
        found += batch.columns.iter().map(|column| column.values.len()).sum::<usize>();
        Ok(())
    };
    let selection = Selection { start: Timestamp::MIN, end: Timestamp::MAX, matchers: &[] };
    db.select(&selection, &ReadHints::default(), &mut sink).unwrap();
    assert_eq!(found, shape.all());
    let per = |time: Duration| time.saturating_sub(making).as_nanos() as f64 / shape.all() as f64;
    let stats = db.stats(0).unwrap();
    let bytes = [stats.page_bytes, stats.row_bytes, stats.index_bytes].map(|bytes| bytes as f64 / shape.all() as f64);
    Cost { cpu_ns: per(spent), wall_ns: per(wall), bytes }
}

/// As scrapes, all sources at each time, flushed and merged as time goes on.
fn scrape(db: &Db, shape: Shape) {
    let ids = db.metrics(&(0..COLUMNS).map(metric).collect::<Vec<_>>()).unwrap();
    let layout = db.layout(&ids).unwrap();
    let sources: Vec<_> = (0..shape.sources).map(|i| db.source(&source(i)).unwrap()).collect();
    let present = [u64::MAX; COLUMNS.div_ceil(64)];
    let mut compacted = START;
    for row in 0..shape.samples {
        let ts = shape.ts(row);
        for (i, source) in sources.iter().enumerate() {
            let values: Vec<f64> = (0..COLUMNS).map(|column| value(i, column, row)).collect();
            let row = Row {
                source: *source,
                ts,
                layout: &layout,
                values: &values,
                present: &present,
                own_times: &[],
                histograms: &[],
            };
            assert_eq!(db.commit(&[row]).unwrap().stored as usize, COLUMNS);
        }
        if ts - compacted > 3_600_000 {
            db.compact(ts).unwrap();
            compacted = ts;
        }
    }
}

/// Source by source, all time at once.
fn backfill(db: &Db, shape: Shape) {
    let times: Vec<Timestamp> = (0..shape.samples).map(|row| shape.ts(row)).collect();
    for i in 0..shape.sources {
        let labels: Vec<Labels> = (0..COLUMNS).map(|column| source(i).joined(&metric(column))).collect();
        let values: Vec<Vec<f64>> =
            (0..COLUMNS).map(|column| (0..shape.samples).map(|row| value(i, column, row)).collect()).collect();
        let series: Vec<SeriesSamples<'_>> =
            labels.iter().zip(&values).map(|(labels, values)| SeriesSamples::floats(labels, &times, values)).collect();
        let batch = SeriesBatch { series: &series, sources: &SourceLabels::Known, lateness: Lateness::Any, memo: None };
        assert_eq!(db.append_series(&batch).unwrap().stored as usize, COLUMNS * shape.samples);
    }
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let get = |i: usize, default| numbers.get(i).copied().unwrap_or(default);
    let (sources, samples, days) = (get(0, 10_000).div_ceil(COLUMNS), get(1, 5_000), get(2, 30) as i64);
    let shape = Shape { sources, samples, interval_ms: days * 24 * 3_600_000 / samples as i64 };
    let before = cpu();
    for (i, column, row) in
        (0..sources).flat_map(|i| (0..COLUMNS).flat_map(move |c| (0..samples).map(move |r| (i, c, r))))
    {
        black_box(value(i, column, row));
    }
    let making = cpu() - before;
    println!("{} samples of {} series over {days} days", shape.all(), sources * COLUMNS);
    let scraped = measured(shape, making, |db| scrape(db, shape));
    let backfilled = measured(shape, making, |db| backfill(db, shape));
    for (what, cost) in [("scraped", &scraped), ("backfilled", &backfilled)] {
        let Cost { cpu_ns, wall_ns, bytes: [pages, rows, others] } = cost;
        let all = cost.all_bytes();
        println!(
            "{what:<12} {cpu_ns:>8.1} ns CPU {wall_ns:>8.1} ns wall {all:>7.3} bytes a sample ({pages:.3} pages, {rows:.3} \
             rows, {others:.3} others)"
        );
    }
    println!(
        "backfilled / scraped: {:.2} of the CPU, {:.2} of the bytes",
        backfilled.cpu_ns / scraped.cpu_ns,
        backfilled.all_bytes() / scraped.all_bytes()
    );
}
