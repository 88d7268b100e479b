//! Rule files of upstream and of kube-prometheus: which are valid, and what is wrong with the others.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::path::{Path, PathBuf};

use config::{RuleFile, RuleOptions, Yaml};
use model::NameValidation;
use query::{Engine, EngineOptions};
use rules::LoadChecks;

fn with_options<T>(names: NameValidation, read: impl FnOnce(&RuleOptions<'_>) -> T) -> T {
    let engine = Engine::new(EngineOptions::default());
    let checks = LoadChecks::new(&engine);
    read(&RuleOptions { names, ignore_unknown_fields: false, checks: &checks })
}

/// Reads a file; its faults, one a line.
fn load(path: &Path, names: NameValidation) -> Result<RuleFile, String> {
    let lines = |errors: Vec<config::Error>| {
        errors.iter().map(|error| model::with_causes(error)).collect::<Vec<_>>().join("\n")
    };
    with_options(names, |options| RuleFile::load(path, options)).map_err(lines)
}

fn files(folder: &str) -> Vec<PathBuf> {
    let Some(folder) = kit::conformance(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn upstreams_files_are_valid_or_refused_as_upstream_refuses_them() {
    let Some(index) = kit::conformance_json("rules/index.json") else { return };
    for path in files("rules/rulefmt") {
        let expected = index["rulefmt_error_contains"][name(&path)].as_str();
        let is_legacy = name(&path).starts_with("legacy");
        let names = if is_legacy { NameValidation::Legacy } else { NameValidation::Utf8 };
        // The recording says in brackets how the file was read.
        let expected = expected.map(|part| part.split(" (with ").next().unwrap());
        match (load(&path, names), expected) {
            (Ok(_), None) => {}
            (Err(error), Some(part)) => assert!(error.contains(part), "{}: {error}", path.display()),
            (found, expected) => panic!("{}: {found:?}, expected {expected:?}", path.display()),
        }
    }
}

#[test]
fn upstreams_fixtures_are_valid() {
    for path in files("rules/fixtures").into_iter().chain(files("rules/compliance")) {
        let found = load(&path, NameValidation::Utf8);
        if name(&path) == "invalid_rules.yaml" {
            let error = found.unwrap_err();
            assert!(error.contains(":6:9: groups[0].rules[0].unexpected_field: field unexpected_field"), "{error}");
        } else {
            let file = found.unwrap();
            assert!(file.groups.iter().any(|group| !group.rules.is_empty()), "{}", path.display());
            assert_eq!(file.warnings.len(), usize::from(name(&path) == "rules_multi_doc.yaml"), "{}", path.display());
        }
    }
}

/// YAML anchors and aliases resolve to the same values in all groups of the file.
#[test]
fn aliases_have_the_values_of_their_anchors() {
    let Some(path) = kit::conformance("rules/rulefmt/test_aliases.yaml") else { return };
    let file = load(&path, NameValidation::Utf8).unwrap();
    assert_eq!(file.groups.len(), 2);
    for group in &file.groups {
        let names: Vec<&str> = group.rules.iter().map(config::Rule::name).collect();
        assert_eq!(names, ["HighAlert", "new_metric", "HighAlert", "HighAlert2"]);
        let first = &file.groups[0].rules[0].expr;
        assert!(group.rules.iter().all(|rule| rule.expr == *first) && first.ends_with("requests_total[5m]))\n"));
        for rule in group.rules.iter().filter(|rule| rule.alert.is_some()) {
            assert_eq!(rule.labels["severity"], "critical");
        }
    }
}

/// Each rule with its own fault, at the position of its expression.
#[test]
fn expressions_are_checked_where_they_are() {
    let text = "groups:\n- name: g\n  rules:\n  - alert: a\n    expr: up ===== 0\n  - record: b\n    expr: |\n      rate(up)\n";
    let errors = with_options(NameValidation::Utf8, |options| RuleFile::parse(text, Path::new("r.yml"), options));
    let errors: Vec<String> = errors.unwrap_err().iter().map(ToString::to_string).collect();
    let expected = [
        "r.yml: 5:11: group \"g\", rule 1, \"a\": could not parse expression: 1:6: parse error: unexpected <op:==>",
        "r.yml: 7:11: group \"g\", rule 2, \"b\": could not parse expression: 1:6: parse error: expected type range vector in \
         call to function \"rate\", got instant vector",
    ];
    assert_eq!(errors, expected);
}

#[test]
fn objects_of_kube_prometheus_are_valid() {
    let mut n_rules = 0;
    for path in files("kube-prometheus").into_iter().filter(|path| name(path).ends_with("prometheusRule.yaml")) {
        let object = Yaml::parse(&std::fs::read_to_string(&path).unwrap(), name(&path)).unwrap();
        let Yaml::Map(fields) = object else { panic!("{}", path.display()) };
        let (_, spec) = fields.into_iter().find(|(field, _)| field == "spec").unwrap();
        let file = with_options(NameValidation::Utf8, |options| RuleFile::from_yaml(&spec, name(&path), options));
        n_rules += file.unwrap().groups.iter().map(|group| group.rules.len()).sum::<usize>();
    }
    assert!(n_rules > 100 || kit::conformance("kube-prometheus").is_none(), "{n_rules}");
}
