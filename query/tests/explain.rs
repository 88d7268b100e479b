//! Plans as text: query → tree. The cases stand in `plans/explain.txt`: a query behind `> `, and its plan below it.
//! `UPDATE_EXPECT=1` writes the plans anew, to be read before they are committed.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use model::Timestamp;
use query::{Engine, EngineOptions, QueryOptions};

/// An hour with a step of a minute.
const TIMES: (Timestamp, Timestamp, i64) = (Timestamp(0), Timestamp(3_600_000), 60_000);

fn plan(query: &str) -> String {
    let engine = Engine::new(EngineOptions::default().with_features(["promql-experimental-functions"]));
    match engine.explain(None, query, TIMES, &QueryOptions::default()) {
        Ok(explanation) => explanation.to_string(),
        Err(error) => format!("{error}\n"),
    }
}

#[test]
fn plans_of_queries() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans/explain.txt");
    let expected = fs::read_to_string(&path).unwrap();
    let (head, cases) = expected.split_once("\n> ").unwrap();
    let mut found = format!("{}\n", head.trim_end());
    for case in cases.split("\n> ") {
        let query = case.lines().next().unwrap();
        write!(found, "\n> {query}\n{}", plan(query)).unwrap();
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &found).unwrap();
        return;
    }
    for (found, expected) in found.split("\n> ").zip(expected.split("\n> ")) {
        assert_eq!(found.trim_end(), expected.trim_end());
    }
    assert_eq!(found.trim_end(), expected.trim_end());
}
