//! Texts of queries: none breaks the parser, what is printed of a query prints as itself, and its evaluation over floats and
//! histograms ends with a value or an error. The same as `query/src/parse/random`, led by coverage.
#![no_main]
#![allow(clippy::unwrap_used, reason = "a fuzz target is a test")]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use model::Timestamp;
use query::{Engine, EngineOptions, QueryOptions, promqltest};

/// What is evaluated: counters, gauges, gaps, the end of a series, both kinds of histograms, and what `info` joins.
const DATA: &str = r#"load 30s
  foo{instance="a",job="x"} 0+3x20 1 2 3
  foo{instance="b",job="x"} 5 _ _ NaN -Inf 7 stale 2x9
  bar{instance="a",job="x",le="0.5"} 1+1x20
  bar{instance="a",job="x",le="+Inf"} 2+3x20
  native{instance="a",job="x"} {{schema:1 sum:5 count:4 buckets:[1 2 1]}}x10 {{schema:0 count:9 sum:3 z_bucket:2 n_buckets:[3 4]}}x10
  custom{instance="a",job="x"} {{schema:-53 sum:1 count:6 custom_values:[1 5] buckets:[1 2 3]}}x20
  mixed{instance="a",job="x"} 1 2 {{schema:1 sum:5 count:4 buckets:[1 2 1]}} 4 5
  target_info{instance="a",job="x",version="1"} 1x20

"#;

fn options(extended: bool) -> EngineOptions {
    // A text must not take long.
    let short = EngineOptions { max_samples: 20_000, timeout: Duration::from_secs(1), ..EngineOptions::default() };
    let wanted = |name: &&str| extended || *name != "promql-extensions";
    short.with_features(EngineOptions::features().filter(wanted))
}

static ENGINES: LazyLock<[Engine; 2]> = LazyLock::new(|| [false, true].map(|extended| Engine::new(options(extended))));

fuzz_target!(|text: &str| {
    let (mut is_query, bounds) = (false, query::Bounds::default());
    let times = (Timestamp::EPOCH, Timestamp(600_000), 60_000);
    for engine in &*ENGINES {
        let Ok(printed) = engine.format(text, &bounds) else { continue };
        is_query = true;
        assert_eq!(engine.format(&printed, &bounds).unwrap(), printed);
        engine.tree_json(text, &bounds).unwrap();
        let _ = engine.explain(None, text, times, &QueryOptions::default()).map(|plan| plan.to_string());
    }
    if is_query {
        let line = text.replace(['\n', '\r'], " ");
        for when in ["instant at 5m", "range from 0 to 10m step 1m"] {
            // Nothing is expected, so most evaluations fail; that they end is what counts.
            let _ = promqltest::run_with(&format!("{DATA}eval {when} {line}\n"), options(true));
        }
    }
    let _ = query::parse_selector(text);
    let _ = promqltest::series(text);
});
