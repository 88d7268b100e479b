//! Upstream's recorded answers to queries, over the data they were recorded with.

use serde_json::{Value as Json, json};

use super::store::Store;
use crate::{Engine, Error, QueryOptions, QueryResult, Value};
use model::float::{format_f, format_json};
use model::{Histogram, Timestamp};

/// When the first sample of the data was taken.
const START: Timestamp = Timestamp(1_700_000_000_000);

fn load(text: &str) -> Store {
    let mut store = Store::default();
    let mut step_ms = 0;
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some(step) = line.strip_prefix("load ") {
            step_ms = model::duration::parse_duration_ms(step.trim()).unwrap();
        } else {
            store.load_line(line, (START, step_ms)).unwrap();
        }
    }
    store
}

/// The answer in the form of the HTTP API, with times in milliseconds.
fn shown(result: &QueryResult) -> Json {
    let metric = |labels: &model::Labels| -> Json { labels.iter().map(|(n, v)| (n.to_owned(), json!(v))).collect() };
    let (kind, mut list) = match &result.value {
        Value::Scalar { ts, value } => ("scalar", vec![json!([ts.0, format_f(*value)])]),
        Value::String { ts, value } => ("string", vec![json!([ts.0, value])]),
        Value::Vector(samples) => {
            let value =
                |s: &crate::Sample| s.histogram.as_ref().map_or_else(|| json!(format_json(s.value)), |h| object(h));
            let one = |s: &crate::Sample| json!([metric(&s.labels), [s.ts.0, value(s)]]);
            ("vector", samples.iter().map(one).collect())
        }
        Value::Matrix(series) => {
            let floats = |s: &crate::RangeSeries| -> Vec<Json> {
                s.points.iter().map(|(ts, v)| json!([ts.0, format_json(*v)])).collect()
            };
            let histograms = |s: &crate::RangeSeries| -> Vec<Json> {
                s.histograms.iter().map(|(ts, h)| json!([ts.0, object(h)])).collect()
            };
            let one = |s: &crate::RangeSeries| json!([metric(&s.labels), floats(s), histograms(s)]);
            ("matrix", series.iter().map(one).collect())
        }
    };
    list.sort_by_key(Json::to_string);
    json!([kind, list, result.warnings, result.infos])
}

fn object(histogram: &Histogram) -> Json {
    let buckets = histogram.buckets().filter(|b| b.count != 0.0).map(|b| {
        let kind = match (b.lower_inclusive, b.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        };
        json!([kind, format_json(b.lower), format_json(b.upper), format_json(b.count)])
    });
    let mut out = json!({"count": format_json(histogram.count), "sum": format_json(histogram.sum)});
    let buckets: Vec<Json> = buckets.collect();
    if !buckets.is_empty() {
        out["buckets"] = json!(buckets);
    }
    out
}

/// The recorded answer in the same form.
fn recorded(body: &Json) -> Json {
    let ms = |pair: &Json| json!([(pair[0].as_f64().unwrap() * 1000.0).round() as i64, pair[1]]);
    let (kind, result) = (body["data"]["resultType"].as_str().unwrap(), &body["data"]["result"]);
    let metric = |one: &Json| -> Json {
        let mut pairs: Vec<_> = one["metric"].as_object().unwrap().clone().into_iter().collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.into_iter().collect()
    };
    let mut list: Vec<Json> = match kind {
        "scalar" | "string" => vec![ms(result)],
        "vector" => {
            let sample = |o: &Json| o.get("value").or(o.get("histogram")).unwrap().clone();
            result.as_array().unwrap().iter().map(|o| json!([metric(o), ms(&sample(o))])).collect()
        }
        _ => {
            let points =
                |o: &Json, key: &str| -> Vec<Json> { o[key].as_array().into_iter().flatten().map(ms).collect() };
            let one = |o: &Json| json!([metric(o), points(o, "values"), points(o, "histograms")]);
            result.as_array().unwrap().iter().map(one).collect()
        }
    };
    list.sort_by_key(Json::to_string);
    let texts = |key: &str| if body[key].is_null() { json!([]) } else { body[key].clone() };
    json!([kind, list, texts("warnings"), texts("infos")])
}

fn param<'a>(case: &'a Json, name: &str) -> Option<&'a str> {
    let params = case["request"]["params"].as_array()?;
    params.iter().find(|p| p[0] == name).and_then(|p| p[1].as_str())
}

/// A time or step, written in seconds; other forms are not for the engine.
fn millis(case: &Json, name: &str) -> Option<i64> {
    let text = param(case, name)?;
    text.parse::<f64>().ok().map(|s| (s * 1000.0).round() as i64).or(model::duration::parse_duration_ms(text).ok())
}

fn answer(store: &Store, case: &Json) -> Option<Result<QueryResult, Error>> {
    let (engine, options) = (Engine::default(), QueryOptions::default());
    let known = ["query", "time", "start", "end", "step"];
    let plain = |p: &Json| p[0].as_str().is_some_and(|name| known.contains(&name));
    if !case["request"]["params"].as_array()?.iter().all(plain) {
        return None;
    }
    let query = param(case, "query")?;
    match case["request"]["path"].as_str()? {
        "/api/v1/query" => Some(engine.instant(store, query, Timestamp(millis(case, "time")?), &options)),
        "/api/v1/query_range" => {
            let [start, end] = [millis(case, "start")?, millis(case, "end")?].map(Timestamp);
            let step = millis(case, "step")?;
            let plain = step > 0 && end >= start && (end - start) / step <= 11_000;
            plain.then(|| engine.range(store, query, start, end, step, &options))
        }
        _ => None,
    }
}

#[test]
fn as_recorded() {
    let Some(all) = kit::conformance_json("httpapi/golden/default_flags.json") else { return };
    let Some(data) = kit::conformance_text("httpapi/golden/dataset.load") else { return };
    let store = load(&data);
    let cases = all.as_object().unwrap().values().find_map(Json::as_array).unwrap();
    let mut compared = 0;
    for case in cases {
        let Some(answer) = answer(&store, case) else { continue };
        let query = param(case, "query").unwrap();
        let Ok(body) = serde_json::from_str::<Json>(case["response"]["body"].as_str().unwrap()) else { continue };
        match (answer, body["error"].as_str()) {
            (Ok(result), None) => assert_eq!(shown(&result), recorded(&body), "{query}"),
            (Err(error), Some(expected)) => {
                let expected = expected.strip_prefix("invalid parameter \"query\": ").unwrap_or(expected);
                assert_eq!(error.to_string(), expected, "{query}");
            }
            // What 3.14 had behind a flag is always on since 3.16 (#19697).
            (Ok(_), Some(expected)) if expected.ends_with(" modifier is experimental and not enabled") => continue,
            (answer, expected) => panic!("{query}: got {answer:?}, expected {expected:?}"),
        }
        compared += 1;
    }
    assert!(compared > 30, "only {compared} answers");
}
