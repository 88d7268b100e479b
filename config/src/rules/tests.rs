//! Rule files that are read, and all that is wrong with the others.

use std::path::{Path, PathBuf};

use model::NameValidation;

use super::*;
use crate::{Error, Yaml};

/// Refuses what holds `bad`.
#[derive(Debug)]
struct Fake;

impl RuleChecks for Fake {
    fn check_expr(&self, expr: &str) -> Result<(), String> {
        if expr.contains("bad") { Err("1:1: no expression".to_owned()) } else { Ok(()) }
    }

    fn check_template(&self, name: &str, text: &str) -> Result<(), String> {
        if text.contains("bad") { Err(format!("template: {name}:1: no template")) } else { Ok(()) }
    }
}

fn options() -> RuleOptions<'static> {
    RuleOptions { names: NameValidation::Utf8, ignore_unknown_fields: false, checks: &Fake }
}

fn parse(text: &str) -> Result<RuleFile, Vec<Error>> {
    RuleFile::parse(text, Path::new("r.yml"), &options())
}

fn texts(errors: &[Error]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn faults(text: &str) -> Vec<String> {
    texts(&parse(text).unwrap_err())
}

#[test]
fn fields_have_their_values() {
    let text = "groups:\n- name: a\n  interval: 0s\n  query_offset: 0s\n  backfill: 30d\n  limit: 5\n  labels: {team: x}\n  rules:\n  \
                - {record: b, expr: 1}\n  - {alert: c, expr: up, for: 1m, keep_firing_for: 2m, labels: {d: '1'}, annotations: {e: f}}\n\
                - name: b\n  query_offset:\n  interval: 1m\n";
    let file = parse(text).unwrap();
    assert_eq!((file.file.as_path(), file.warnings.len()), (Path::new("r.yml"), 0));
    let [a, b] = &file.groups[..] else { panic!("{file:?}") };
    assert_eq!((a.interval_ms, a.query_offset_ms, a.backfill_ms), (None, Some(0), Some(2_592_000_000)));
    assert_eq!((a.limit, a.labels["team"].as_str()), (5, "x"));
    assert_eq!((b.interval_ms, b.query_offset_ms, b.rules.len()), (Some(60_000), None, 0));
    let [recording, alerting] = &a.rules[..] else { panic!("{a:?}") };
    assert_eq!((recording.name(), recording.expr.as_str(), &recording.alert), ("b", "1", &None));
    assert_eq!((alerting.name(), alerting.for_ms, alerting.keep_firing_for_ms), ("c", 60_000, 120_000));
    assert_eq!((alerting.labels["d"].as_str(), alerting.annotations["e"].as_str()), ("1", "f"));
}

#[test]
fn all_faults_are_told_in_the_order_of_the_file() {
    let text = "groups:
- name: a
  intervall: 1m
  rules:
  - record: b
    expr: bad
    for: [1]
    labels: {__name__: x, '': y}
  - alert: c
    expr: up
    fro: 1m
    annotation: {}
    labels: {d: '{{ bad }}'}
    annotations: {e: '{{ bad }}'}
- name: a
  interval: 5
  rules: {}
x: 1
";
    let expected = [
        "r.yml:3:3: groups[0].intervall: field intervall not found in groups[0]; did you mean interval?",
        "r.yml: 6:11: group \"a\", rule 1, \"b\": could not parse expression: 1:1: no expression",
        "r.yml:7:10: groups[0].rules[0].for: cannot unmarshal a list into a text",
        "r.yml: 8:14: group \"a\", rule 1, \"b\": invalid label name: __name__",
        "r.yml: 8:27: group \"a\", rule 1, \"b\": invalid label name: ",
        "r.yml:11:5: groups[0].rules[1].fro: field fro not found in groups[0].rules[1]; did you mean for?",
        "r.yml:12:5: groups[0].rules[1].annotation: field annotation not found in groups[0].rules[1]; did you mean annotations?",
        "r.yml: 13:17: group \"a\", rule 2, \"c\": label \"d\": template: __alert_c:1: no template",
        "r.yml: 14:22: group \"a\", rule 2, \"c\": annotation \"e\": template: __alert_c:1: no template",
        "r.yml: 15:3: groupname: \"a\" is repeated in the same file",
        "r.yml:16:13: groups[1].interval: not a valid duration string: \"5\"; write it as 30s, 5m or 1h30m",
        "r.yml:17:10: groups[1].rules: cannot unmarshal a mapping into a list",
        "r.yml:18:1: x: field x not found in the configuration",
    ];
    assert_eq!(faults(text), expected);
}

/// Upstream's words; where it says `0:0` or nothing, the position is that of the rule or group.
#[test]
fn each_rule_is_checked() {
    for (group, expected) in [
        ("rules: []", &["r.yml:1:10: groups[0].name: Groupname must not be empty"][..]),
        ("name: g, labels: {__name__: x}", &["r.yml: 1:29: invalid label name: __name__"]),
        (
            "name: g, rules: [{expr: 1}]",
            &["r.yml: 1:28: group \"g\", rule 1, \"\": one of 'record' or 'alert' must be set"],
        ),
        (
            "name: g, rules: [{alert: a}]",
            &["r.yml: 1:28: group \"g\", rule 1, \"a\": field 'expr' must be set in rule"],
        ),
        (
            "name: g, rules: [{alert: a, record: b, expr: 1}]",
            &["r.yml: 1:47: 1:36: group \"g\", rule 1, \"a\": only one of 'record' and 'alert' must be set"],
        ),
        (
            "name: g, rules: [{record: b, expr: 1, for: 1s, keep_firing_for: 1s, annotations: {a: b}}]",
            &[
                "r.yml: 1:37: group \"g\", rule 1, \"b\": invalid field 'annotations' in recording rule",
                "r.yml: 1:37: group \"g\", rule 1, \"b\": invalid field 'for' in recording rule",
                "r.yml: 1:37: group \"g\", rule 1, \"b\": invalid field 'keep_firing_for' in recording rule",
            ],
        ),
        (
            "name: g, rules: [{record: 'b{}', expr: 1}]",
            &[
                "r.yml: 1:37: group \"g\", rule 1, \"b{}\": braces present in the recording rule name; should it be in expr?: b{}",
            ],
        ),
        (
            "name: g, rules: [~, {alert: a}]",
            &["r.yml: 1:31: group \"g\", rule 1, \"a\": field 'expr' must be set in rule"],
        ),
        // What follows from a misspelt or unreadable field is not told.
        (
            "name: g, rules: [{recrd: a, exp: 1}]",
            &[
                "r.yml:1:29: groups[0].rules[0].recrd: field recrd not found in groups[0].rules[0]; did you mean record?",
                "r.yml:1:39: groups[0].rules[0].exp: field exp not found in groups[0].rules[0]; did you mean expr?",
            ],
        ),
        (
            "name: g, rules: [{record: [a], expr: 1}]",
            &["r.yml:1:37: groups[0].rules[0].record: cannot unmarshal a list into a text"],
        ),
        ("nam: g", &["r.yml:1:11: groups[0].nam: field nam not found in groups[0]; did you mean name?"]),
        // Templates of recording rules are texts.
        ("name: g, rules: [{record: a, expr: 1, labels: {a: bad}}]", &[]),
    ] {
        let found = parse(&format!("groups: [{{{group}}}]\n")).err().unwrap_or_default();
        assert_eq!(texts(&found), expected, "{group}");
    }
}

#[test]
fn legacy_names_are_checked() {
    let text = "groups: [{name: a, rules: [{record: 'a:b', expr: 1}, {record: a.b, expr: 1}, \
                {alert: a.b, expr: 1, labels: {c.d: x}, annotations: {e.f: x}}]}]\n";
    assert!(parse(text).is_ok());
    let legacy = RuleOptions { names: NameValidation::Legacy, ..options() };
    let errors = texts(&RuleFile::parse(text, Path::new("r.yml"), &legacy).unwrap_err());
    let said: Vec<&str> = errors.iter().map(|error| error.rsplit_once("\": ").unwrap().1).collect();
    assert_eq!(said, ["invalid recording rule name: a.b", "invalid label name: c.d", "invalid annotation name: e.f"]);
}

#[test]
fn only_the_first_document_is_used() {
    for (text, n_groups, warns) in [
        ("", 0, false),
        ("# nothing\n", 0, false),
        ("groups: []\n", 0, false),
        ("---\ngroups: [{name: a}]\n...\n", 1, false),
        ("groups: [{name: a}]\n---\n", 1, true),
        ("groups: [{name: a}]\n---\ngroups: [{name: b}, {name: c}]\n", 1, true),
        ("groups: [{name: a}]\n---\n]\n", 1, true),
    ] {
        let file = parse(text).unwrap();
        assert_eq!((file.groups.len(), !file.warnings.is_empty()), (n_groups, warns), "{text}");
    }
    // A document that is broken after its value is not valid.
    assert_eq!(faults("groups: []\n]\n").len(), 1);
    assert!(faults("groups: [\n")[0].starts_with("r.yml:"));
    assert_eq!(faults("- name: a\n"), ["r.yml:1:1: cannot unmarshal a list into a mapping"]);
}

#[test]
fn anchors_and_merge_keys_are_resolved() {
    let text = "groups:\n- name: a\n  rules:\n  - &b {alert: &n b, expr: &e up, for: 1m}\n  - <<: *b\n    alert: c\n  - {record: *n, expr: *e}\n";
    let file = parse(text).unwrap();
    let rules: Vec<_> =
        file.groups[0].rules.iter().map(|rule| (rule.name(), rule.expr.as_str(), rule.for_ms)).collect();
    assert_eq!(rules, [("b", "up", 60_000), ("c", "up", 60_000), ("b", "up", 0)]);
}

#[test]
fn unknown_fields_may_be_ignored() {
    let text = "x: 1\ngroups: [{name: a, namespace: b, rules: [{record: c, expr: 1, owner: d}]}]\n";
    assert_eq!(faults(text).len(), 3);
    let lenient = RuleOptions { ignore_unknown_fields: true, ..options() };
    let file = RuleFile::parse(text, Path::new("r.yml"), &lenient).unwrap();
    assert_eq!(file.groups[0].rules[0].name(), "c");
    let text = "groups: [{name: a, rules: [{exp: 1}]}]\n";
    let errors = RuleFile::parse(text, Path::new("r.yml"), &lenient).unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:?}");
}

#[test]
fn objects_are_read_like_files() {
    let spec = |text: &str| Yaml::parse(text, "").unwrap();
    let good = spec("groups: [{name: a, partial_response_strategy: warn, rules: [{record: b, expr: 1}]}]\n");
    let file = RuleFile::from_yaml(&good, "ns/rules", &options()).unwrap();
    assert_eq!((file.file.as_path(), file.groups[0].rules[0].expr.as_str()), (Path::new("ns/rules"), "1"));
    let bad = spec("groups: [{name: a, limits: 1, rules: [{record: b, expr: bad}]}]\n");
    let expected = [
        "ns/rules: group \"a\", rule 1, \"b\": could not parse expression: 1:1: no expression",
        "ns/rules: groups[0].limits: field limits not found in groups[0]; did you mean limit?",
    ];
    assert_eq!(texts(&RuleFile::from_yaml(&bad, "ns/rules", &options()).unwrap_err()), expected);
}

#[test]
fn all_files_are_loaded_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("b.yml"), "groups: [{name: b}]\n").unwrap();
    std::fs::write(at("a.yml"), "groups: [{name: a}]\n").unwrap();
    let patterns: Vec<PathBuf> = ["b.yml", "*.yml", "none.yml", "none-*"].map(at).to_vec();
    assert_eq!(matching_rule_files(&patterns), [at("b.yml"), at("a.yml")]);
    let files = RuleFile::load_all(&patterns, &options()).unwrap();
    assert_eq!(files.iter().map(|file| file.groups[0].name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    std::fs::write(at("a.yml"), "groups: [{nam: a}]\n").unwrap();
    std::fs::write(at("c.yml"), "group: []\n").unwrap();
    std::fs::create_dir(at("d.yml")).unwrap();
    let errors = texts(&RuleFile::load_all(&patterns, &options()).unwrap_err());
    for (name, said) in [("a.yml", "did you mean name?"), ("c.yml", "did you mean groups?"), ("d.yml", "cannot read")] {
        assert!(errors.iter().any(|error| error.contains(name) && error.contains(said)), "{name}: {errors:?}");
    }
}
