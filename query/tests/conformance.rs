//! Upstream's test scripts, of the recorded release and of the one we are compatible with, and ours in `data/`. All of them
//! pass, but for what upstream changed since the recording.

use std::fs;
use std::path::Path;

use query::{EngineOptions, promqltest};

/// Upstream's scripts: name, text, and what the index says of it. `None` when one cannot be read.
fn scripts(folder: &Path) -> Option<Vec<(String, String, serde_json::Value)>> {
    let index: serde_json::Value = serde_json::from_str(&fs::read_to_string(folder.join("index.json")).ok()?).ok()?;
    let read = |name: &str| fs::read_to_string(folder.join("testdata").join(name)).ok();
    let script = |(name, facts): (&String, &serde_json::Value)| Some((name.clone(), read(name)?, facts.clone()));
    index["files"].as_object()?.iter().map(script).collect()
}

#[test]
fn upstream_scripts() {
    let Some(folder) = kit::conformance("promql") else { return };
    let scripts = scripts(&folder).unwrap();
    assert_eq!(scripts.len(), 21);
    for (name, text, facts) in scripts {
        let report = promqltest::run(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let count = |kind: &str| facts["counts"][kind].as_u64().unwrap_or(0);
        assert_eq!(report.total as u64, count("eval_instant") + count("eval_range"), "{name}");
        let failed: Vec<usize> = report.failures.iter().map(|failure| failure.line).collect();
        assert_eq!(failed, changed(&name), "{name}: {:#?}", report.failures);
    }
}

/// How many evaluations are in each script of the release.
const EVALUATIONS: [(&str, usize); 22] = [
    ("aggregators.test", 167),
    ("at_modifier.test", 78),
    ("collision.test", 2),
    ("duration_expression.test", 59),
    ("extended_vectors.test", 174),
    ("fill-modifier.test", 50),
    ("functions.test", 516),
    ("histograms.test", 195),
    ("info.test", 70),
    ("limit.test", 37),
    ("literals.test", 25),
    ("name_label_dropping.test", 30),
    ("native_histograms.test", 557),
    ("operators.test", 214),
    ("range_queries.test", 18),
    ("selectors.test", 31),
    ("staleness.test", 17),
    ("start_timestamps.test", 40),
    ("subquery.test", 41),
    ("trig_functions.test", 21),
    ("type_and_unit.test", 65),
    ("unquoted_utf8_names.test", 27),
];

#[test]
fn scripts_of_the_release() {
    let Some(folder) = kit::promqltest() else { return };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let report = promqltest::run(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(report.failures.is_empty(), "{name}: {:#?}", report.failures);
        assert_eq!(report.passed, report.total, "{name}");
        found.push((name, report.total));
    }
    found.sort();
    let expected = EVALUATIONS.map(|(name, total)| (name.to_owned(), total));
    assert_eq!(found, expected);
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

/// Evaluations of 3.14's scripts that come out otherwise since 3.16, by line, and what its changelog says of it.
const CHANGED: [(&str, usize, &str); 4] = [
    ("fill-modifier.test", 185, "operand sides of fill modifiers with group_right, #19939"),
    ("fill-modifier.test", 191, "operand sides of fill modifiers with group_right, #19939"),
    ("start_timestamps.test", 144, "no reset where the start timestamp has not changed, #19454 (3.15.0)"),
    ("type_and_unit.test", 265, "type and unit are ignored as the name is, #19986"),
];

/// What 3.16 has on without a flag (its changelog, #19697).
const STABLE: &str = "promql-extended-range-selectors";

/// Those that needed promql-delayed-name-removal to find groups and partners in spite of a type or a unit, and no longer do
/// (#19986).
const BY_DEFAULT: (&str, [u64; 4]) = ("type_and_unit.test", [77, 92, 222, 237]);

/// The lines that come out otherwise.
fn changed(file: &str) -> Vec<usize> {
    CHANGED.iter().filter(|(of, ..)| *of == file).map(|(_, line, _)| *line).collect()
}

/// With the options users have, as many pass as with upstream's, and those that fail are the ones upstream names.
#[test]
fn upstream_scripts_with_default_options() {
    let Some(folder) = kit::conformance("promql") else { return };
    for (name, text, facts) in scripts(&folder).unwrap() {
        let needing = |wanted: &dyn Fn(&str) -> bool| -> Vec<u64> {
            let features = facts["needs_feature"].as_object().unwrap().iter().filter(|(feature, _)| wanted(feature));
            features.flat_map(|(_, lines)| lines.as_array().unwrap()).map(|n| n.as_u64().unwrap()).collect()
        };
        let (excused, stable) = (needing(&|feature| feature != STABLE), needing(&|feature| feature == STABLE));
        let changed = changed(&name);
        let report = promqltest::run_with(&text, EngineOptions::default()).unwrap();
        for failure in report.failures {
            let known = excused.contains(&(failure.line as u64)) || changed.contains(&failure.line);
            assert!(known, "{name}:{}: {} => {}", failure.line, failure.query, failure.reason);
        }
        let (file, lines) = BY_DEFAULT;
        let more = stable.iter().filter(|line| !excused.contains(line)).count() as u64
            + if name == file { lines.len() as u64 } else { 0 };
        let before = facts["evals_passing_with_default_flags"].as_u64().unwrap();
        let fewer = changed.iter().filter(|line| !excused.contains(&(**line as u64))).count() as u64;
        assert_eq!(report.passed as u64, before + more - fewer, "{name}");
    }
}
