//! Random queries over floats and histograms: nothing panics, and a range query has the results of instant queries at each
//! step.

use model::Timestamp;
use proptest::prelude::*;

use super::Store;
use crate::options::Times;
use crate::parse::random::{Part, query};
use crate::promqltest::everything;
use crate::{Engine, Error, QueryOptions, QueryResult, Value};

/// Series with the names and labels of random queries, and all kinds of samples.
const DATA: &str = r#"
up{job="a", instance="x"} 1+1x20
up{job="b", le="1"} {{schema:0 sum:5 count:4 z_bucket_w:0.5 buckets:[1 2 1]}}+{{schema:1 sum:2 count:3 buckets:[0 1 2]}}x20
up{job="c"} 1 2 {{schema:0 sum:5 count:4 buckets:[1 2 1]}}x6 _x3 7 6 {{schema:-53 sum:5 count:4 custom_values:[1 5] buckets:[1 2 1]}}x6
x_total{job="a", instance="x"} 0+5x9 1+2x9
x_total{job="b"} {{schema:2 sum:-3 count:9 z_bucket:1 z_bucket_w:0.01 buckets:[1 2] n_buckets:[2 3]}}+{{schema:2 sum:1 count:2 buckets:[1 1]}}x9 stale {{schema:1 sum:2 count:2 buckets:[1 1]}}x6
a:b{job="a"} {{schema:-53 sum:5 count:4 custom_values:[1 5] buckets:[1 2 1]}}x8 {{schema:-53 sum:5 count:4 custom_values:[1 2 5] buckets:[1 1 1 1] counter_reset_hint:gauge}}x8
a:b{job="b", le="+Inf"} 4 _x5 NaN 3x9
offset{by="é"} {{}}x9 {{schema:0 sum:NaN count:10 buckets:[3 4]}}x9
"#;

/// Words that make a result depend on the start and end of the query.
const BY_TIMES: [&str; 5] = ["start", "end", "range", "step", "sort"];

pub(crate) fn store() -> Store {
    let mut store = Store::default();
    for line in DATA.lines().filter(|line| !line.is_empty()) {
        store.load_line(line, (Timestamp(0), 60_000)).unwrap();
    }
    store
}

/// The samples of a result at a time, for comparison.
fn at(value: &Value, time: Timestamp) -> Vec<String> {
    let mut found: Vec<String> = match value {
        Value::Vector(samples) => samples
            .iter()
            .map(|s| {
                format!("{} {}", s.labels, s.histogram.as_ref().map_or_else(|| s.value.to_string(), |h| h.notation()))
            })
            .collect(),
        Value::Matrix(series) => series
            .iter()
            .flat_map(|s| {
                let floats = s.points.iter().map(|(ts, v)| (*ts, v.to_string()));
                let histograms = s.histograms.iter().map(|(ts, h)| (*ts, h.notation()));
                let here = floats.chain(histograms).filter(|(ts, _)| *ts == time);
                here.map(|(_, text)| format!("{} {text}", s.labels)).collect::<Vec<_>>()
            })
            .collect(),
        Value::Scalar { value, .. } => vec![format!("{{}} {value}")],
        Value::String { .. } => Vec::new(),
    };
    found.sort();
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn instants_and_ranges((text, _) in query(Part::All)) {
        let (engine, store, options) = (Engine::new(everything()), store(), QueryOptions::default());
        let Ok(expr) = engine.parse(&text) else { return Ok(()) };
        let by_times = BY_TIMES.iter().any(|word| text.to_lowercase().contains(word));
        let ts = Timestamp(11 * 60_000);
        let run = |times| engine.run(&store, (&text, expr.clone()), times, &options);
        let instant = run(Times { start: ts, end: ts, step_ms: 0 });
        let range = run(Times { start: ts - 240_000, end: ts + 180_000, step_ms: 60_000 });
        if let (Ok(instant), Ok(range)) = (instant, range) && !by_times && !matches!(instant.value, Value::Matrix(_)) {
            prop_assert_eq!(at(&instant.value, ts), at(&range.value, ts), "{}", text);
        }
    }

    /// A plan is not changed by its evaluation: it yields the same at each, and what a query yields that is planned anew.
    #[test]
    fn prepared_queries((text, _) in query(Part::All)) {
        let (engine, store, options) = (Engine::new(everything()), store(), QueryOptions::default());
        let Ok(prepared) = engine.prepare(&text, &options) else { return Ok(()) };
        let outcome = |result: Result<QueryResult, Error>| match result {
            Ok(result) => format!("{:?} {:?} {:?}", result.value, result.warnings, result.infos),
            Err(error) => error.to_string(),
        };
        for at in [660_000, 900_000, 660_000].map(Timestamp) {
            let planned_anew = outcome(engine.instant(&store, &text, at, &options));
            prop_assert_eq!(outcome(prepared.instant(&store, at, &options)), planned_anew, "{}", &text);
            let (start, end, step) = (at - 240_000, at, 60_000);
            let planned_anew = outcome(engine.range(&store, &text, start, end, step, &options));
            prop_assert_eq!(outcome(prepared.range(&store, (start, end, step), &options)), planned_anew, "{}", &text);
        }
    }
}
