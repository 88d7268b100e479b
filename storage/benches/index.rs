//! What finding series costs: new ids, selections by matchers, listings. `cargo bench -p storage --bench index [-- <n>]`,
//! where n (1000) is the number of sources, the number of metrics of each, and the root of the columns of one large source.
//!
//! Each line gives the first time, nothing being cached but what lines before it left, and the least of some more.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at the first error and prints")]

#[path = "common/memory.rs"]
mod memory;

use std::time::{Duration, Instant};

use memory::resident_bytes;
use model::{Appender, Labels, MatchOp, Matcher, Querier, ReadHints, Row, Selection, Timestamp};
use prometheus::Registry;
use storage::{Db, Options};

/// How long something is repeated.
const TIMED: Duration = Duration::from_millis(300);
const TS: Timestamp = Timestamp(1_000_000);
const END: Timestamp = Timestamp(2_000_000);

fn timed(what: &str, mut run: impl FnMut() -> usize) {
    let all = Instant::now();
    let count = run();
    let first = all.elapsed();
    let mut least = first;
    while all.elapsed() < TIMED {
        let start = Instant::now();
        assert_eq!(run(), count);
        least = least.min(start.elapsed());
    }
    println!(
        "{what:<60} {count:>9} found   first {first:>11.3?}   again {least:>11.3?}   {:>5} MB",
        resident_bytes() >> 20
    );
}

fn select(db: &Db, matchers: &[Matcher]) -> usize {
    let mut series = 0;
    let mut sink = |batch: model::Batch| {
        series += batch.columns.len();
        Ok(())
    };
    db.select(&Selection { start: Timestamp::EPOCH, end: END, matchers }, &ReadHints::default(), &mut sink).unwrap();
    series
}

fn is(op: MatchOp, name: &str, value: &str) -> Matcher {
    Matcher::new(op, name, value).unwrap()
}

fn commit(db: &Db, source: &Labels, layout: &model::Layout) {
    let columns = layout.metrics.len();
    let values: Vec<f64> = (0..columns).map(|i| i as f64).collect();
    let present = vec![u64::MAX; columns.div_ceil(64)];
    let source = db.source(source).unwrap();
    db.commit(&[Row { source, ts: TS, layout, values: &values, present: &present, own_times: &[], histograms: &[] }])
        .unwrap();
}

fn matchers(name: &str) -> Vec<(&'static str, Vec<Matcher>)> {
    let name = || Matcher::equal("__name__", name);
    vec![
        ("one name, one instance", vec![name(), Matcher::equal("instance", "pod-7:80")]),
        ("one name", vec![name()]),
        ("one name, instance=~\"pod-1.*\"", vec![name(), is(MatchOp::Regex, "instance", "pod-1.*")]),
        ("one name, instance=~\".*7:80\"", vec![name(), is(MatchOp::Regex, "instance", ".*7:80")]),
        ("__name__=~\"metric_12.*\", one instance", {
            vec![is(MatchOp::Regex, "__name__", "metric_12.*"), Matcher::equal("instance", "pod-7:80")]
        }),
        ("name=~\".+12_total\", one instance", {
            vec![is(MatchOp::Regex, "__name__", ".+12_total"), Matcher::equal("instance", "pod-7:80")]
        }),
        ("i!=\"3\", one name", vec![name(), is(MatchOp::NotEqual, "i", "3")]),
    ]
}

fn listings(db: &Db, name: &str) {
    let of = |matchers| Selection { start: Timestamp::EPOCH, end: END, matchers };
    let one = [Matcher::equal("__name__", name)];
    timed("label_values(__name__)", || db.label_values("__name__", &of(&[]), 0).unwrap().len());
    timed("label_values(__name__), limit 100", || db.label_values("__name__", &of(&[]), 100).unwrap().len());
    timed("label_values(instance)", || db.label_values("instance", &of(&[]), 0).unwrap().len());
    timed("label_values(instance) of one name", || db.label_values("instance", &of(&one), 0).unwrap().len());
    timed("label_values(i) of one name", || db.label_values("i", &of(&one), 0).unwrap().len());
    timed("label_names()", || db.label_names(&of(&[]), 0).unwrap().len());
    timed("series of one name", || db.series(&of(&one), 0).unwrap().len());
}

fn metrics(n: usize) -> Vec<Labels> {
    let of = |i: usize| {
        let pairs =
            [("__name__", format!("metric_{}_total", i / 10)), ("i", (i % 10).to_string()), ("uid", i.to_string())];
        Labels::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str())))
    };
    (0..n).map(of).collect()
}

fn wide(n: usize) {
    println!("{n} sources of {n} metrics");
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(Options::new(dir.path()), &Registry::new()).unwrap();
    let ids = db.metrics(&metrics(n)).unwrap();
    let layout = db.layout(&ids).unwrap();
    for i in 0..n {
        let (instance, pod) = (format!("pod-{i}:80"), format!("pod-{i}"));
        let pairs =
            [("instance", instance.as_str()), ("job", "bench"), ("namespace", "default"), ("pod", pod.as_str())];
        commit(&db, &Labels::from_pairs(pairs), &layout);
    }
    listings(&db, "metric_5_total");
    for (what, matchers) in matchers("metric_5_total") {
        timed(what, || select(&db, &matchers));
    }
}

fn deep(n: usize) {
    println!("one source of {n} metrics");
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(Options::new(dir.path()), &Registry::new()).unwrap();
    let labels = metrics(n);
    let start = Instant::now();
    let ids = db.metrics(&labels).unwrap();
    println!("new metrics {:?}, {} MB", start.elapsed(), resident_bytes() >> 20);
    let start = Instant::now();
    assert_eq!(db.metrics(&labels).unwrap(), ids);
    println!("known metrics {:?}", start.elapsed());
    let layout = db.layout(&ids).unwrap();
    let pairs = [("instance", "pod-7:80"), ("job", "bench")];
    let start = Instant::now();
    commit(&db, &Labels::from_pairs(pairs), &layout);
    println!("first commit {:?}", start.elapsed());
    listings(&db, "metric_5_total");
    for (what, matchers) in matchers("metric_5_total") {
        timed(what, || select(&db, &matchers));
    }
    timed("everything", || select(&db, &[]));
}

fn main() {
    let n = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(1000);
    wide(n);
    deep(n * n);
}
