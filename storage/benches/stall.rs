//! Does sealing hold scrapes up? How long commits take while the database's thread seals, and without it.
//! `cargo bench -p storage --bench stall [-- <seconds>]`.
//!
//! 100 sources of 1000 columns are committed every 100 ms, buckets are 5 s long: a year's worth of seals a day.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at the first error and prints")]
#![expect(clippy::disallowed_methods, reason = "it keeps a pace")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Appender, Labels, Row, Timestamp};
use prometheus::Registry;
use storage::{Db, Options};

const SOURCES: usize = 100;
const COLUMNS: usize = 1000;
const EVERY: Duration = Duration::from_millis(100);

fn run(seconds: u64, sealing: bool) -> Vec<Duration> {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::new();
    let options = Options { bucket_ms: 5000, ..Options::new(dir.path()) };
    let db = Arc::new(Db::open(options, &registry).unwrap());
    if sealing {
        db.start_compaction().unwrap();
    }
    let labels: Vec<Labels> = (0..COLUMNS)
        .map(|i| Labels::from_pairs([("__name__", format!("metric_{}_total", i / 5)), ("i", i.to_string())]))
        .collect();
    let layout = db.layout(&db.metrics(&labels).unwrap()).unwrap();
    let sources: Vec<_> =
        (0..SOURCES).map(|i| db.source(&Labels::from_pairs([("instance", i.to_string())])).unwrap()).collect();
    let mut values: Vec<f64> = (0..COLUMNS).map(|i| i as f64).collect();
    let present = vec![u64::MAX; COLUMNS.div_ceil(64)];
    let mut took = Vec::new();
    let start = Instant::now();
    let mut round = 0;
    while start.elapsed() < Duration::from_secs(seconds) {
        for (i, value) in values.iter_mut().enumerate() {
            *value += (i % 17) as f64;
        }
        for source in &sources {
            let ts = Timestamp::now();
            let row = Row {
                source: *source,
                ts,
                layout: &layout,
                values: &values,
                present: &present,
                own_times: &[],
                histograms: &[],
            };
            let one = Instant::now();
            db.commit(&[row]).unwrap();
            took.push(one.elapsed());
        }
        round += 1;
        std::thread::sleep((EVERY * round).saturating_sub(start.elapsed()));
    }
    let sealed = registry.gather().into_iter().find(|family| family.name() == "weft_storage_sealed_samples_total");
    let sealed = sealed.map_or(0.0, |family| family.get_metric()[0].get_counter().get_value());
    println!("{} commits of {COLUMNS} samples, {:.0} million samples sealed meanwhile", took.len(), sealed / 1e6);
    took.sort_unstable();
    took
}

fn main() {
    let seconds = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(30);
    for (name, sealing) in [("without sealing", false), ("with sealing", true)] {
        let took = run(seconds, sealing);
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        println!("{name:<18} median {:?}, 99 % {:?}, 99.9 % {:?}, longest {:?}", at(0.5), at(0.99), at(0.999), at(1.0));
    }
}
