//! Hostile queries of every function, operator, aggregation and modifier, over labels of 32 KB, thousands of series, infos
//! that change with every scrape and histograms that share no bucket: whatever a query allocates stays within its memory.
//! An allocator counts what is really there.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use model::histogram::Buckets;
use model::{
    Batch, BatchSink, Column, Histogram, Labels, Listing, Matcher, PartReader, Parts, Querier, QuerierError, ReadHints,
    Selection, Timestamp,
};
use query::promqltest::{Operands, every_query};
use query::{Engine, EngineOptions, Error, MemoryPool, QueryOptions};

/// What a query may hold.
const BUDGET: usize = 1 << 20;
/// What it may take besides: the tree, threads, a batch and a label set in the making on each of them.
const SLACK: usize = 2 << 20;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(more: usize) {
    let live = LIVE.fetch_add(more, Ordering::Relaxed) + more;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

#[expect(unsafe_code, reason = "only an allocator knows what is allocated")]
// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old and the new are both there for a moment.
        count(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// Makes its series when they are read, and keeps nothing.
struct Store;

const MINUTE_MS: i64 = 60_000;
const SAMPLES: i64 = 41;
/// Name and number of series.
const METRICS: [(&str, usize); 5] =
    [("wide", 40), ("many", 800), ("target_info", 20 * 20), ("native", 16), ("classic_bucket", 200)];
const COLUMNS: usize = 16;

fn labels(name: &str, i: usize) -> Labels {
    let instance = format!("i{}", i % 20);
    let (pod, v) = match name {
        "wide" => (format!("{i}{}", "w".repeat(32 << 10)), String::new()),
        "target_info" => (String::new(), format!("version-{i}")),
        _ => (format!("pod-{i}"), String::new()),
    };
    let le = if name == "classic_bucket" { (i % 20).to_string() } else { String::new() };
    Labels::from_pairs([
        ("__name__", name),
        ("job", "j"),
        ("instance", &instance),
        ("pod", &pod),
        ("v", &v),
        ("le", &le),
    ])
}

fn column(name: &str, i: usize) -> Column {
    let n = SAMPLES as usize;
    let mut column = Column { metric: labels(name, i), values: vec![i as f64; n], ..Column::default() };
    match name {
        // Each is there at one time alone.
        "target_info" => column.present = Some(vec![1 << (20 + i / 20)]),
        "native" => {
            let histogram = |at: usize| {
                let first = (i * 1_000 + at * 20) as i32;
                let positive = Buckets::run(first, (0..80).map(f64::from).collect());
                Arc::new(Histogram { count: 3_160.0, positive, ..Histogram::default() })
            };
            column.histograms = (0..n).map(|at| (at as u32, histogram(at))).collect();
        }
        // No two values are equal.
        _ => column.values.iter_mut().enumerate().for_each(|(at, v)| *v += at as f64 / 100.0),
    }
    column
}

struct Chosen {
    series: Vec<(&'static str, usize)>,
    /// The first and the last time.
    range: (Timestamp, Timestamp),
}

impl Parts for Chosen {
    fn count(&self) -> usize {
        self.series.len().div_ceil(COLUMNS)
    }

    fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
        Ok(Box::new(Reader(self)))
    }
}

struct Reader<'a>(&'a Chosen);

impl PartReader for Reader<'_> {
    fn read(&self, part: usize, sink: &mut BatchSink<'_>) -> Result<(), QuerierError> {
        let all = &self.0.series[part * COLUMNS..];
        let (start, end) = self.0.range;
        let timestamps: Vec<Timestamp> = (0..SAMPLES).map(|i| Timestamp(i * MINUTE_MS)).collect();
        if start > timestamps[timestamps.len() - 1] || end < timestamps[0] {
            return Ok(());
        }
        let columns = all.iter().take(COLUMNS).map(|(name, i)| column(name, *i)).collect();
        sink(Batch { timestamps, columns, ..Batch::default() })
    }
}

impl Querier for Store {
    fn open<'q>(&'q self, of: &Selection<'_>, _: &ReadHints<'_>) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        let mut series = Vec::new();
        for (name, n) in METRICS {
            let of_name = |m: &&Matcher| m.name == "__name__";
            if of.matchers.iter().filter(of_name).all(|m| m.matches(name)) {
                let matches = |i: &usize| {
                    let labels = labels(name, *i);
                    of.matchers.iter().all(|m| m.matches(labels.value(&m.name)))
                };
                series.extend((0..n).filter(matches).map(|i| (name, i)));
            }
        }
        Ok(Box::new(Chosen { series, range: (of.start, of.end) }))
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

fn engine() -> Engine {
    let memory = Arc::new(MemoryPool::new(BUDGET, BUDGET));
    let options = EngineOptions { memory, threads: 2, timeout: Duration::from_secs(100), ..EngineOptions::default() };
    Engine::new(options.with_features(EngineOptions::features()))
}

/// What became of a query, and how much more than before it there was at most.
fn measured<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = run();
    (result, PEAK.load(Ordering::Relaxed).saturating_sub(before))
}

fn list(n: usize, item: impl Fn(usize) -> String) -> String {
    (0..n).map(item).collect::<Vec<_>>().join(", ")
}

#[derive(Default)]
struct Tally {
    answered: usize,
    refused: usize,
    over: Vec<String>,
}

impl Tally {
    fn ask(&mut self, engine: &Engine, query: &str) {
        let options = QueryOptions::default();
        let instant = || engine.instant(&Store, query, Timestamp(30 * MINUTE_MS), &options);
        let range =
            || engine.range(&Store, query, Timestamp(20 * MINUTE_MS), Timestamp(40 * MINUTE_MS), 30_000, &options);
        for (kind, (result, peak)) in [("instant", measured(instant)), ("range", measured(range))] {
            let shown: String = query.chars().take(200).collect();
            if peak > BUDGET + SLACK {
                self.over.push(format!("{kind} {shown} took {peak} bytes"));
            }
            match result {
                Ok(_) => self.answered += 1,
                Err(Error::QueryMemory { .. } | Error::Memory { .. } | Error::TooManySamples) => self.refused += 1,
                Err(Error::Execution(text)) => assert!(!text.contains("BUG"), "{shown}: {text}"),
                Err(Error::Parse(_)) => {}
                Err(error) => panic!("{kind} {shown}: {error}"),
            }
        }
    }
}

/// One label set over another, nested.
fn nested(times: usize, call: impl Fn(&str) -> String) -> String {
    (0..times).fold("many{pod=\"pod-1\"}".to_owned(), |inner, _| call(&inner))
}

#[test]
fn every_query_stays_within_its_memory() {
    let engine = engine();
    let mut tally = Tally::default();
    let pairs = [("wide", "many"), ("many", "target_info"), ("native", "native"), ("classic_bucket", "target_info")];
    for (vector, other) in pairs {
        let range = format!("{vector}[10m]");
        for query in every_query(Operands { vector, range: &range, other, on: "instance, job" }) {
            tally.ask(&engine, &query);
        }
    }
    let long = "x".repeat(4 << 20);
    for query in [
        nested(28, |inner| format!("label_join({inner}, \"pod\", \"\", \"pod\", \"pod\")")),
        nested(28, |inner| format!("label_replace({inner}, \"pod\", \"$1$1\", \"pod\", \"(.*)\")")),
        format!("label_replace(many, \"pod\", \"{long}\", \"\", \"\")"),
        format!("label_join(many, \"pod\", \"{}\", \"pod\", \"pod\")", &long[..1 << 20]),
        format!("count_values(\"{}\", many)", &long[..1 << 20]),
        "count_values without () (\"x\", wide)".to_owned(),
        "count(wide * on (instance, job) group_left (v) target_info)".to_owned(),
        "count(target_info * on (instance, job) group_right (v) many)".to_owned(),
        "count(info(wide)) + count(info(many))".to_owned(),
        "sort(wide) or sort_by_label(many, \"pod\", \"instance\")".to_owned(),
        "vector(time())[400d:10s]".to_owned(),
        "1 + (2 + (3 + (4 + (5 + scalar(max_over_time(vector(time())[40d:1s])))))".to_owned(),
        // What is only read: regular expressions, templates, very many parts.
        format!("many{{{}}}", list(60, |i| format!("l{i}=~\"\\\\pL{{1000}}N\""))),
        format!("many{{{}}}", list(5_000, |i| format!("l{i}=~\"a{i}.*b[0-9]+\""))),
        format!("label_join(many, {})", list(200_000, |_| "\"a\"".to_owned())),
        format!("label_join(many{})", ",".repeat(1_000_000)),
        format!("count by ({}) (many)", list(200_000, |_| "a".to_owned())),
        format!("WITH (f(x) = {}x{}) f(f(f(f(f(f(many))))))", "abs(".repeat(50), ")".repeat(50)),
        format!("WITH (f(x) = x + x) {}many{}", "f(".repeat(30), ")".repeat(30)),
        format!("WITH (z0 = many, {}) z20", list(20, |i| format!("z{} = z{i} + z{i}", i + 1))),
    ] {
        tally.ask(&engine, &query);
        let bounds = engine.bounds(&QueryOptions::default());
        let (_, peak) = measured(|| engine.format(&query, &bounds).map(drop));
        assert!(peak <= BUDGET + SLACK, "formatting {:.200} took {peak} bytes", query);
        let (_, peak) = measured(|| engine.tree_json(&query, &bounds).map(drop));
        assert!(peak <= BUDGET + SLACK, "the tree of {:.200} took {peak} bytes", query);
    }
    assert!(tally.over.is_empty(), "{} over the limit: {:#?}", tally.over.len(), tally.over);
    // Neither is everything refused, nor does everything fit.
    assert!(tally.answered > 500 && tally.refused > 200, "{} answered, {} refused", tally.answered, tally.refused);
    assert_eq!(engine.options().memory.used(), 0);
}
