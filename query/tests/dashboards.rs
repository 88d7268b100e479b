//! Every expression of the dashboards our users deploy parses and evaluates.

use std::fs;
use std::path::{Path, PathBuf};

use model::{BatchSink, Labels, Listing, PartReader, Parts, Querier, QuerierError, ReadHints, Selection};
use query::{Engine, QueryOptions, Value};

/// A store with nothing in it.
#[derive(Debug)]
struct Nothing;

impl Parts for Nothing {
    fn count(&self) -> usize {
        0
    }

    fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
        Ok(Box::new(Self))
    }
}

impl PartReader for Nothing {
    fn read(&self, _: usize, _: &mut BatchSink<'_>) -> Result<(), QuerierError> {
        Ok(())
    }
}

impl Querier for Nothing {
    fn open<'q>(&'q self, _: &Selection<'_>, _: &ReadHints<'_>) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        Ok(Box::new(Self))
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

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn all_evaluate() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance");
    let folder = std::env::var_os("WEFT_CONFORMANCE").map_or(default, PathBuf::from);
    let Ok(text) = fs::read_to_string(folder.join("manifests/dashboards-queries.json")) else {
        eprintln!("skipped: no upstream data (set WEFT_CONFORMANCE)");
        return;
    };
    let queries: Vec<serde_json::Value> = match serde_json::from_str(&text).unwrap() {
        serde_json::Value::Array(list) => list,
        other => other["queries"].as_array().unwrap().clone(),
    };
    let engine = Engine::default();
    for query in &queries {
        // Without an expanded text it is a function of Grafana's own.
        let Some(text) = query["expanded"].as_str() else { continue };
        let options = QueryOptions::default();
        if let Some(error) = query["error"].as_str() {
            let got = engine.check(text).unwrap_err().to_string();
            assert_eq!(error, format!("invalid parameter \"query\": {got}"), "{text}");
            continue;
        }
        engine.instant(&Nothing, text, 1_000, &options).unwrap_or_else(|e| panic!("{text}: {e}"));
        let result =
            engine.range(&Nothing, text, 0, 60_000, 15_000, &options).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert!(matches!(result.value, Value::Matrix(_)), "{text}");
    }
    assert!(queries.len() > 60, "only {} queries", queries.len());
}
