//! Queries of every kind at the first and the last times that there are: nothing panics, and nothing wraps around.

use std::sync::Arc;

use model::Timestamp;
use parking_lot::Mutex;

use crate::promqltest::{Operands, Store, every_query};
use crate::{Engine, EngineOptions, QueryOptions, Stats, Value};

const TIMES: [Timestamp; 6] =
    [Timestamp::MIN, Timestamp(i64::MIN + 1), Timestamp(-1), Timestamp(0), Timestamp(i64::MAX - 1), Timestamp::MAX];

/// Start, end and step.
const RANGES: [(Timestamp, Timestamp, i64); 7] = [
    (Timestamp::MIN, Timestamp::MAX, i64::MAX),
    (Timestamp::MIN, Timestamp::MAX, i64::MAX / 4),
    (Timestamp::MIN, Timestamp(i64::MIN + 300_000), 50_000),
    (Timestamp(i64::MAX - 60_000), Timestamp::MAX, 20_000),
    (Timestamp(-60_000), Timestamp(60_000), 20_000),
    (Timestamp(-1), Timestamp::MAX, i64::MAX),
    (Timestamp::MAX, Timestamp::MAX, 1),
];

const MINUTE_MS: i64 = 60_000;

/// Floats and histograms from the first time on, around the epoch, up to the last time, and at both ends.
fn store() -> Store {
    let mut store = Store::default();
    let last = i64::MAX - 30 * MINUTE_MS;
    let starts = [("first", i64::MIN), ("middle", -15 * MINUTE_MS), ("last", last), ("far", i64::MIN), ("far", last)];
    for (pod, start) in starts {
        let labels = format!("{{job=\"j\", instance=\"{pod}\", pod=\"{pod}\", le=\"1\"}}");
        for line in [
            format!("a{labels} 1+1x20 0+2x9"),
            format!("b{labels} 1x30"),
            format!("target_info{{job=\"j\", instance=\"{pod}\", v=\"1\"}} 1x30"),
            format!(
                "h{labels} {{{{schema:0 count:4 sum:10 buckets:[1 3]}}}}+{{{{schema:0 count:2 sum:1 buckets:[1 1]}}}}x30"
            ),
        ] {
            store.load_line(&line, (Timestamp(start), MINUTE_MS)).unwrap();
        }
    }
    store
}

fn engine() -> Engine {
    // Few samples, so that a query of too many steps is refused at once.
    let options = EngineOptions { threads: 2, max_samples: 20_000, ..EngineOptions::default() };
    Engine::new(options.with_features(EngineOptions::features()))
}

/// Evaluates, estimates and explains a query at every time; false if it does not parse. Errors of an evaluation are no fault,
/// such as one about too many samples.
fn ask(engine: &Engine, store: &Store, query: &str) -> bool {
    let stats: Arc<Mutex<Stats>> = Arc::default();
    for lookback_ms in [None, Some(i64::MAX)] {
        let options = QueryOptions {
            lookback_delta_ms: lookback_ms,
            stats: Some(Arc::clone(&stats)),
            per_step_stats: true,
            analysis: Some(Arc::default()),
            use_start_timestamps: lookback_ms.map(|_| true),
            ..QueryOptions::default()
        };
        let Ok(prepared) = engine.prepare(query, &options) else { return false };
        for at in TIMES {
            prepared.instant(store, at, &options).ok();
            prepared.explain(Some(store), (at, at, 0), &options).ok();
        }
        for times in RANGES {
            prepared.range(store, times, &options).ok();
            prepared.explain(Some(store), times, &options).ok();
            engine.estimate((store, i64::MAX), query, times, &options).ok();
        }
    }
    true
}

#[test]
fn every_query_is_answered_at_every_time() {
    let (engine, store) = (engine(), store());
    for vector in ["a", "h"] {
        let range = format!("{vector}[10m]");
        for query in every_query(Operands { vector, range: &range, other: "b", on: "instance, job" }) {
            ask(&engine, &store, &query);
        }
    }
}

#[test]
fn no_distance_is_too_large() {
    let (engine, store) = (engine(), store());
    let shifts =
        ["", " offset 290y", " offset -290y", " @ -9223372036", " @ 9223372036", " @ start()", " @ end() offset -290y"];
    for shift in shifts {
        for query in [
            "timestamp(a{shift})",
            "h{shift} smoothed",
            "rate(a[290y]{shift})",
            "increase(h[290y] smoothed{shift})",
            "rate(a[290y] anchored{shift})",
            "quantile_over_time(0.5, a[290y]{shift})",
            "predict_linear(a[10m]{shift}, 1e300)",
            "deriv(a[290y]{shift})",
            "integral(a[290y]{shift})",
            "ts_of_last_over_time(a[range()]{shift})",
            "sum_over_time(a[step()]{shift})",
            "count_over_time(a[max_of(range(), 1ms)]{shift})",
            "sum_over_time(a[290y:145y]{shift})",
            "sum_over_time(vector(time())[290y:100y]{shift})",
            "sum_over_time(a[10m:1s]{shift})",
            "max_over_time(rate(a[290y]{shift})[290y:290y]{shift})",
            "info(a{shift})",
            "a{shift} + on (pod) h{shift}",
            "a offset (range() / 2)",
            "a offset -step()",
            "year(timestamp(a{shift})) + days_in_month() + start() + end() + range() + step()",
            "histogram_quantile(0.5, a{shift})",
        ] {
            let query = query.replace("{shift}", shift);
            assert!(ask(&engine, &store, &query), "{query}");
        }
    }
}

/// The steps are those that there are, and each has the samples of its own time.
#[test]
fn steps_are_exact() {
    let (engine, store, options) = (engine(), store(), QueryOptions::default());
    let times = |query: &str, (start, end, step_ms)| {
        let result = engine.range(&store, query, start, end, step_ms, &options).unwrap();
        let Value::Matrix(series) = result.value else { panic!("{query}") };
        series.into_iter().flat_map(|one| one.points).map(|(ts, _)| ts.0).collect::<Vec<_>>()
    };
    assert_eq!(times("vector(1)", RANGES[0]), [i64::MIN, -1, i64::MAX - 1]);
    assert_eq!(times("vector(1)", RANGES[5]), [-1, i64::MAX - 1]);
    assert_eq!(times("vector(1)", RANGES[1]).len(), 9);
    assert_eq!(times("count(a{pod!=\"far\"})", RANGES[0]), [-1, i64::MAX - 1]);
    let value = |query: &str, at: Timestamp| {
        let result = engine.instant(&store, query, at, &options).unwrap();
        let Value::Vector(samples) = result.value else { panic!("{query}") };
        let mut values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
        // `far` has the samples of `first`, and those of `last`.
        values.dedup();
        values
    };
    for (query, at, expected) in [
        ("a", Timestamp(i64::MIN + MINUTE_MS), vec![2.0]),
        ("a offset -1m", Timestamp::MIN, vec![2.0]),
        // The first sample stands at the bound of the range, which is open.
        ("sum_over_time(a[10m])", Timestamp(i64::MIN + 2 * MINUTE_MS), vec![2.0 + 3.0]),
        ("sum_over_time(a[2m:1m])", Timestamp(0), vec![15.0 + 16.0]),
        ("sum_over_time(b[3m])", Timestamp::MAX, vec![3.0]),
        ("a offset 1m", Timestamp::MAX, vec![16.0]),
        // The next inner step would be after the last time.
        ("count_over_time(b[1m:290y])", Timestamp::MAX, vec![]),
        ("predict_linear(b[5m] offset 1m, 60)", Timestamp::MAX, vec![1.0]),
    ] {
        assert_eq!(value(query, at), expected, "{query} at {at}");
    }
}
