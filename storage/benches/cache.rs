//! Our cache of two generations beside `quick_cache`: time of a hit, alone and with other threads, how many of a skewed stream
//! of keys are found, and how much memory is really taken. `cargo bench -p storage --bench cache [-- ours|quick_cache]`; the
//! memory of the second is that of the first where both run in one process.
//!
//! Keys and values are those of the index: ids, and label sets of a hundred bytes.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at the first error and prints")]
#![allow(dead_code, unused_imports, reason = "not all of the cache is measured, and its tests run with the crate")]

#[path = "../src/cache.rs"]
mod cache;

#[path = "common/memory.rs"]
mod memory;

use std::sync::Arc;
use std::time::{Duration, Instant};

use memory::resident_bytes;
use quick_cache::Weighter;

const TIMED: Duration = Duration::from_millis(700);
const VALUE_BYTES: usize = 100;
const WEIGHT: usize = VALUE_BYTES + 96;

type Value = Arc<[u8]>;

#[derive(Clone)]
struct Weigh;

impl Weighter<u32, Value> for Weigh {
    fn weight(&self, _: &u32, value: &Value) -> u64 {
        value.len() as u64 + 96
    }
}

trait Cached: Send + Sync {
    fn get(&self, key: u32) -> Option<Value>;
    fn insert(&self, key: u32, value: Value);
    /// As many as are found of 64 keys.
    fn get_64(&self, keys: &[u32]) -> usize;
}

struct Ours(cache::Cache<u32, Value>);
struct Quick(quick_cache::sync::Cache<u32, Value, Weigh>);

impl Cached for Ours {
    fn get(&self, key: u32) -> Option<Value> {
        self.0.get(&key)
    }

    fn insert(&self, key: u32, value: Value) {
        self.0.insert(key, value, WEIGHT);
    }

    fn get_64(&self, keys: &[u32]) -> usize {
        let mut found = 0;
        self.0.get_each(keys.iter().copied(), |_, value| found += usize::from(!value.is_empty()));
        found
    }
}

impl Cached for Quick {
    fn get(&self, key: u32) -> Option<Value> {
        self.0.get(&key)
    }

    fn insert(&self, key: u32, value: Value) {
        self.0.insert(key, value);
    }

    fn get_64(&self, keys: &[u32]) -> usize {
        keys.iter().filter(|key| self.0.get(*key).is_some_and(|value| !value.is_empty())).count()
    }
}

fn value() -> Value {
    vec![7; VALUE_BYTES].into()
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// A key of `n`, low ones far more often.
    fn skewed(&mut self, n: u32) -> u32 {
        let unit = (self.next() as f64 + 0.5) / f64::from(1u32 << 31);
        (f64::from(n).powf(unit) - 1.0) as u32
    }
}

/// Those that were asked for.
fn caches(bytes: usize) -> impl Iterator<Item = (&'static str, Box<dyn Cached>)> {
    let asked = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let quick = quick_cache::sync::Cache::with_weighter(bytes / WEIGHT, bytes as u64, Weigh);
    let all: [(&str, Box<dyn Cached>); 2] =
        [("ours", Box::new(Ours(cache::Cache::new(bytes)))), ("quick_cache", Box::new(Quick(quick)))];
    all.into_iter().filter(move |(name, _)| asked.as_deref().is_none_or(|asked| asked == *name))
}

/// Nanoseconds of an operation, on each of some threads.
fn timed(threads: usize, run: &(dyn Fn(usize) -> u64 + Sync)) -> f64 {
    let start = Instant::now();
    let done: u64 = std::thread::scope(|scope| {
        let work = |thread| {
            let mut done = 0;
            while start.elapsed() < TIMED {
                done += run(thread);
            }
            done
        };
        let all: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    });
    start.elapsed().as_nanos() as f64 * threads as f64 / done as f64
}

fn main() {
    println!(
        "{:<12} {:>10} {:>10} {:>10} {:>12} {:>12}",
        "", "hit ns", "2 threads", "4 threads", "of 64 ns", "64, 4 threads"
    );
    for (name, cache) in caches(64 << 20) {
        (0..50_000).for_each(|key| cache.insert(key, value()));
        let hits = |thread: usize| {
            let mut random = Random(thread as u64);
            (0..1000).filter(|_| cache.get(random.next() as u32 % 50_000).is_some()).count().max(1) as u64
        };
        let many = |thread: usize| {
            let mut random = Random(thread as u64);
            let first = random.next() as u32 % 49_000;
            let keys: Vec<u32> = (first..first + 64).collect();
            (0..20).map(|_| cache.get_64(&keys) as u64).sum()
        };
        let (one, two, four) = (timed(1, &hits), timed(2, &hits), timed(4, &hits));
        println!("{name:<12} {one:>10.1} {two:>10.1} {four:>10.1} {:>12.1} {:>12.1}", timed(1, &many), timed(4, &many));
    }
    println!("\n{:<12} {:>10} {:>10} {:>14}", "", "found", "miss ns", "MB for 32 MB");
    for (name, cache) in caches(32 << 20) {
        let before = resident_bytes();
        let (mut random, mut found) = (Random(1), 0);
        let start = Instant::now();
        let asked = 3_000_000;
        for _ in 0..asked {
            let key = random.skewed(2_000_000);
            match cache.get(key) {
                Some(_) => found += 1,
                None => cache.insert(key, value()),
            }
        }
        let each = start.elapsed().as_nanos() as f64 / f64::from(asked);
        let megabytes = (resident_bytes() - before) >> 20;
        println!("{name:<12} {:>9.2}% {each:>10.1} {megabytes:>14}", f64::from(found) * 100.0 / f64::from(asked));
    }
}
