//! Parse errors against what upstream says for the same text: message and place. The differences are listed one by one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use query::{Engine, EngineOptions};

/// Cases in which we differ, and why.
const KNOWN: &[(&str, &str)] = &[
    ("expr-190", UNITS),
    ("expr-263", BYTES),
    ("expr-264", BYTES),
    ("expr-452", EXTENDED),
    ("expr-453", EXTENDED),
    ("expr-454", EXTENDED),
    ("expr-455", EXTENDED),
    ("expr-456", EXTENDED),
    ("expr-457", EXTENDED),
    ("expr-458", EXTENDED),
    ("expr-459", EXTENDED),
    ("expr-460", EXTENDED),
    ("expr-461", EXTENDED),
];

const BYTES: &str = "strings are UTF-8 here, upstream's are bytes";
const EXTENDED: &str = "anchored and smoothed are not supported yet";
const UNITS: &str = "upstream's lexer takes any letters for a unit here";

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn as_upstream() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance");
    let folder = std::env::var_os("WEFT_CONFORMANCE").map_or(default, PathBuf::from);
    let Ok(text) = fs::read_to_string(folder.join("promql/parse_expr.json")) else {
        eprintln!("skipped: no upstream data (set WEFT_CONFORMANCE)");
        return;
    };
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let engine =
        Engine::new(EngineOptions { experimental_functions: true, fill_modifiers: true, ..Default::default() });
    let mut differences = BTreeMap::new();
    let mut compared = 0;
    for case in &cases {
        // Texts that are not UTF-8 cannot reach the engine.
        let Some(input) = case["input"].as_str() else { continue };
        compared += 1;
        let expected = case["error"]["text"].as_str();
        let got = engine.check(input).err().map(|error| error.to_string());
        if got.as_deref() != expected {
            let id = case["id"].as_str().unwrap().to_owned();
            differences.insert(id, format!("{input:?}\n   got {got:?}\n   expected {expected:?}"));
        }
    }
    assert!(compared > 490, "only {compared} cases");
    let known: BTreeMap<&str, &str> = KNOWN.iter().copied().collect();
    for (id, difference) in &differences {
        assert!(known.contains_key(id.as_str()), "new difference {id}: {difference}");
    }
    for (id, reason) in known {
        assert!(differences.contains_key(id), "{id} is right now, take it off the list ({reason})");
    }
}
