//! Upstream's test scripts, and ours in `data/`. The numbers are a ratchet: they may only rise.

use std::fs;
use std::path::{Path, PathBuf};

use query::{EngineOptions, promqltest};

/// File → evaluations that pass.
const PASSED: &[(&str, usize)] = &[
    ("aggregators.test", 159),
    ("at_modifier.test", 78),
    ("collision.test", 2),
    ("duration_expression.test", 59),
    ("extended_vectors.test", 169),
    ("fill-modifier.test", 46),
    ("functions.test", 430),
    ("histograms.test", 185),
    ("info.test", 53),
    ("limit.test", 37),
    ("literals.test", 25),
    ("name_label_dropping.test", 30),
    ("native_histograms.test", 522),
    ("operators.test", 214),
    ("range_queries.test", 18),
    ("selectors.test", 31),
    ("staleness.test", 17),
    ("start_timestamps.test", 26),
    ("subquery.test", 34),
    ("trig_functions.test", 19),
    ("type_and_unit.test", 58),
];

fn upstream() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance");
    let folder = std::env::var_os("WEFT_CONFORMANCE").map_or(default, PathBuf::from);
    folder.join("promql/testdata").is_dir().then_some(folder)
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn upstream_scripts() {
    let Some(folder) = upstream() else {
        eprintln!("skipped: no upstream data (set WEFT_CONFORMANCE)");
        return;
    };
    let mut got = Vec::new();
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder.join("promql/testdata")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let report = promqltest::run(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        for failure in &report.failures {
            eprintln!("{name}:{}: {} => {}", failure.line, failure.query, failure.reason);
        }
        got.push((name, report.passed));
    }
    let expected: Vec<(String, usize)> = PASSED.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
    assert_eq!(got, expected, "evaluations that pass: when more do, raise the numbers");
}

#[test]
fn our_scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut scripts = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let report = promqltest::run(&fs::read_to_string(&path).unwrap()).unwrap();
        assert!(report.total > 0 && report.passed == report.total, "{}: {:#?}", path.display(), report.failures);
        scripts += 1;
    }
    assert!(scripts >= 4);
}

/// With the options users have, all that passes with every option on must pass, but for the lines upstream names.
#[test]
fn upstream_scripts_with_default_options() {
    let Some(folder) = upstream() else { return };
    let index: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("promql/index.json")).unwrap()).unwrap();
    let mut compared = 0;
    for (name, facts) in index["files"].as_object().unwrap() {
        let text = fs::read_to_string(folder.join("promql/testdata").join(name)).unwrap();
        let features = facts["needs_feature"].as_object().unwrap().values();
        let excused: Vec<u64> = features.flat_map(|l| l.as_array().unwrap()).map(|n| n.as_u64().unwrap()).collect();
        let all_on: Vec<usize> = promqltest::run(&text).unwrap().failures.iter().map(|f| f.line).collect();
        let report = promqltest::run_with(&text, EngineOptions::default()).unwrap();
        for failure in report.failures {
            let known = excused.contains(&(failure.line as u64)) || all_on.contains(&failure.line);
            // Scripts that expect any failure at all get one here too.
            let off = failure.reason.ends_with("is not enabled");
            assert!(known || off, "{name}:{}: {} => {}", failure.line, failure.query, failure.reason);
        }
        compared += report.passed;
    }
    assert!(compared > 800, "only {compared} evaluations passed");
}
