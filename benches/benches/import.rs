//! History of a Prometheus, imported: `cargo bench -p benches --bench import [-- <series> <hours>]`. Series of 20 targets, a sample each
//! 15 s, are written as blocks of Prometheus and read into an empty store, first into one that keeps nothing. Prints the CPU time of the
//! process a sample, samples a second and core, and bytes a sample before and after.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at the first error and prints")]

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use benches::clock::cpu;
use blocks::{DataDirectory, Import, export};
use model::{
    Committed, Labels, Lateness, SeriesAppendError, SeriesAppender, SeriesBatch, SeriesSamples, SourceLabels, Timestamp,
};
use prometheus::Registry;
use storage::{Db, Options};

const TARGETS: usize = 20;
const STEP_MS: i64 = 15_000;
/// 2026-11-01.
const START_MS: i64 = 1_793_491_200_000;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Takes everything and keeps nothing.
struct Nowhere;

impl SeriesAppender for Nowhere {
    fn append_series(&self, batch: &SeriesBatch<'_>) -> Result<Committed, SeriesAppendError> {
        Ok(Committed { stored: batch.samples() as u32, ..Committed::default() })
    }
}

/// A third are counters that rise unevenly, a third gauges of few values, a third gauges of full mantissas.
fn value(series: usize, n: i64) -> f64 {
    let random = (series as u64 + 1).wrapping_mul(n as u64 + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    match series % 3 {
        0 => (n * 15 + (random % 16) as i64) as f64,
        1 => (random % 5) as f64,
        _ => random as f64 / 16_777_216.0,
    }
}

fn open(path: &Path) -> Db {
    let options = Options { retention_ms: 0, memory_bytes: 128 << 20, ..Options::new(path) };
    let db = Db::open(options, &Registry::new()).unwrap();
    // As a server does: what is imported is long past.
    db.set_now(Timestamp(START_MS + 90 * 86_400_000)).unwrap();
    db
}

fn filled(path: &Path, series: usize, samples: i64) -> Db {
    let db = open(path);
    let times: Vec<Timestamp> = (0..samples).map(|n| Timestamp(START_MS + n * STEP_MS)).collect();
    let of_target: Vec<usize> = (0..series.div_ceil(TARGETS)).collect();
    for target in 0..TARGETS {
        for some in of_target.chunks(200) {
            let made: Vec<(Labels, Vec<f64>)> = some
                .iter()
                .map(|i| {
                    let (instance, metric) = (format!("10.0.0.{target}:9100"), format!("metric_{}", i / 10));
                    let (job, path) = (format!("j{}", target % 4), format!("/{}", i % 10));
                    let labels = [("__name__", metric), ("instance", instance), ("job", job), ("path", path)];
                    let values = (0..samples).map(|n| value(target * 7919 + i, n)).collect();
                    (Labels::from_pairs(labels), values)
                })
                .collect();
            let series: Vec<SeriesSamples<'_>> =
                made.iter().map(|(labels, values)| SeriesSamples::floats(labels, &times, values)).collect();
            let sources = SourceLabels::Known;
            db.append_series(&SeriesBatch { series: &series, sources: &sources, lateness: Lateness::Any, memo: None })
                .unwrap();
        }
    }
    db
}

fn bytes(path: &Path) -> u64 {
    let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
    let of = |entry: fs::DirEntry| {
        if entry.path().is_dir() { bytes(&entry.path()) } else { entry.metadata().unwrap().len() }
    };
    entries.map(of).sum()
}

fn measured(what: &str, from: &Path, store: &dyn SeriesAppender) {
    let notes = tempfile::tempdir().unwrap();
    let directory = DataDirectory::open(from).unwrap();
    let begun = cpu().unwrap();
    let report =
        Import::run(&directory, store, &notes.path().join("notes"), &mut |_| ControlFlow::Continue(())).unwrap();
    let spent = cpu().unwrap() - begun;
    let (n, seconds) = (report.stored as f64, spent.as_secs_f64());
    println!(
        "{what}: {report}; {:.0} ns CPU a sample, {:.1} million a second and core",
        seconds / n * 1e9,
        n / seconds / 1e6
    );
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let (series, hours) = match numbers[..] {
        [series, hours] => (series, hours as i64),
        _ => (10_000, 36),
    };
    let samples = hours * 3_600_000 / STEP_MS;
    let folder = tempfile::tempdir().unwrap();
    let db = filled(&folder.path().join("first"), series, samples);
    let exported = folder.path().join("blocks");
    let end = Timestamp(START_MS + samples * STEP_MS);
    let begun = cpu().unwrap();
    let mut written = 0;
    export(&db, (Timestamp(START_MS), end), &[], &exported, &mut |block| written += block.samples).unwrap();
    let spent = (cpu().unwrap() - begun).as_secs_f64();
    println!(
        "export: {written} samples; {:.0} ns CPU a sample, {:.2} bytes a sample",
        spent / written as f64 * 1e9,
        bytes(&exported) as f64 / written as f64
    );
    drop(db);
    measured("read alone", &exported, &Nowhere);
    let path = folder.path().join("second");
    let db = open(&path);
    measured("into a store", &exported, &db);
    db.close().unwrap();
    drop(db);
    println!("stored: {:.2} bytes a sample", bytes(&path) as f64 / written as f64);
}
