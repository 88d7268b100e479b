//! Unit tests of rules: upstream's recorded runs, and tests of our own that pass and fail.

use super::*;
use crate::testing::run;

/// Runs the command on files in a folder; the output without the names of the files.
fn run_in(folder: &Path, args: &[&str]) -> (Outcome, String) {
    let paths: Vec<String> = args
        .iter()
        .map(|arg| if arg.ends_with(".yml") { folder.join(arg).display().to_string() } else { (*arg).to_owned() })
        .collect();
    let words = ["test", "rules"].into_iter().chain(paths.iter().map(String::as_str));
    let ran = run(&words.collect::<Vec<_>>());
    (ran.outcome, ran.both.replace(&format!("{}/", folder.display()), ""))
}

/// What recorded runs say in other words: the file, ours, upstream's.
const DIFFERENT: [(&str, &str, &str); 2] = [
    // The place in the file, where upstream has one in a script that it makes of it.
    ("bad-input-series.yml", "bad-input-series.yml:3:17: tests[0].input_series[0].series: 1:48: parse", "2:48: parse"),
    // The place of each field, and what is near its name.
    (
        "rules_run_extrafields.yml",
        "rules_extrafields.yml:7:5: groups[0].namespace: field namespace not found in groups[0]\nrules_extrafields.yml:21:5: \
         groups[1].ownership: field ownership not found in groups[1]",
        "rules_extrafields.yml: yaml: unmarshal errors:\n  line 7: field namespace not found in type rulefmt.RuleGroup\n  line 21: \
         field ownership not found in type rulefmt.RuleGroup",
    ),
];

/// The lines of an output. Those that are blank depend, in the recordings, on the order of two streams.
fn lines(output: &str) -> Vec<&str> {
    output.lines().filter(|line| !line.is_empty()).collect()
}

#[test]
fn recorded_runs_have_upstreams_output() {
    let Some(index) = kit::conformance_json("rules/index.json") else { return };
    let Some(folder) = kit::conformance("rules/promtool") else { return };
    let runs = index["unit_tests"].as_array().unwrap();
    assert!(runs.len() > 20);
    for run in runs {
        let file = run["file"].as_str().unwrap().strip_prefix("promtool/").unwrap();
        let args = run["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap());
        let args: Vec<&str> = args.chain([file]).collect();
        let (outcome, out) = run_in(&folder, &args);
        let code = i32::from(outcome == Outcome::Failed);
        let mut expected = run["output"].as_str().unwrap().to_owned();
        for (_, ours, upstreams) in DIFFERENT.iter().filter(|(of, ..)| *of == file) {
            expected = expected.replace(upstreams, ours);
        }
        let got = lines(&out);
        assert_eq!(got[0], format!("Processing test file: {file}"));
        assert_eq!((&got[1..], code), (&lines(&expected)[..], run["exit_code"].as_i64().unwrap() as i32), "{args:?}");
    }
}

/// A rule file, tests of it, and flags.
#[track_caller]
fn check((rules, tests): (&str, &str), flags: &[&str], expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("r.yml"), rules).unwrap();
    std::fs::write(folder.path().join("t.yml"), format!("rule_files: [r.yml]\n{tests}")).unwrap();
    let (outcome, out) = run_in(folder.path(), &[flags, &["t.yml"]].concat());
    let out = out.strip_prefix("Processing test file: t.yml\n").unwrap();
    assert_eq!(
        out,
        if expected.is_empty() { "  SUCCESS\n\n".to_owned() } else { format!("  FAILED:\n{expected}\n\n") }
    );
    assert_eq!(outcome, if expected.is_empty() { Outcome::Passed } else { Outcome::Failed });
}

/// Alerts as monitoring of Kubernetes has them.
const NODE_RULES: &str = r#"
groups:
- name: node.rules
  rules:
  - record: instance:node_cpu:ratio
    expr: 1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m]))
- name: node.alerts
  labels: {team: platform}
  rules:
  - alert: NodeCpuHigh
    expr: instance:node_cpu:ratio > 0.8
    for: 5m
    keep_firing_for: 3m
    labels: {severity: warning}
    annotations:
      summary: '{{ $labels.instance }} is at {{ $value | humanizePercentage }}'
      runbook: '{{ $externalURL }}/{{ $externalLabels.cluster }}'
      busiest: '{{ with query "topk(1, instance:node_cpu:ratio)" }}{{ (. | first).Labels.instance }}{{ end }}'
  - alert: NodeDown
    expr: up{job="node"} == 0 or absent(up{job="node"})
"#;

/// Two nodes: `a` is idle for a tenth of the time during 10 minutes and always later, `b` half of the time.
fn node_test(expectations: &str) -> String {
    format!(
        r#"
tests:
- name: cpu
  interval: 1m
  external_labels: {{cluster: c1}}
  external_url: http://weft
  input_series:
  - {{series: 'node_cpu_seconds_total{{instance="a", mode="idle"}}', values: '0+6x10 120+60x20'}}
  - {{series: 'node_cpu_seconds_total{{instance="b", mode="idle"}}', values: '0+30x31'}}
  - {{series: 'up{{job="node"}}', values: '1x3 stale _x20 0'}}
{expectations}
"#
    )
}

const HIGH: &str = r#"
    exp_alerts:
    - exp_labels: {severity: warning, team: platform, instance: a}
      exp_annotations: {summary: a is at 90%, runbook: http://weft/c1, busiest: a}
"#;

#[test]
fn alerts_fire_for_as_long_as_they_should() {
    let mut expectations = "  alert_rule_test:\n".to_owned();
    // Rates need two samples; the last high one is that of minute 11, after which it is kept for three.
    for minute in [0, 5, 15, 20] {
        expectations += &format!("  - {{eval_time: {minute}m, alertname: NodeCpuHigh}}\n");
    }
    for time in ["6m", "6m59s", "10m"] {
        expectations += &format!("  - eval_time: {time}\n    alertname: NodeCpuHigh{HIGH}");
    }
    expectations += "  promql_expr_test:\n  - expr: ALERTS{alertname=\"NodeCpuHigh\"}\n    eval_time: 5m\n    exp_samples:\n    \
                     - labels: 'ALERTS{alertname=\"NodeCpuHigh\", alertstate=\"pending\", instance=\"a\", severity=\"warning\", \
                     team=\"platform\"}'\n      value: 1\n";
    check((NODE_RULES, &node_test(&expectations)), &[], "");
}

#[test]
fn what_differs_is_shown_side_by_side() {
    let expectations =
        format!("  alert_rule_test:\n  - eval_time: 8m\n    alertname: NodeCpuHigh{HIGH}").replace("90%", "80%");
    let difference = r#"    name: cpu,
    alertname: NodeCpuHigh, time: 8m, 
        exp:[
            0:
              Labels:{alertname="NodeCpuHigh", instance="a", severity="warning", team="platform"}
              Annotations:{busiest="a", runbook="http://weft/c1", summary="a is at 80%"}
            ], 
        got:[
            0:
              Labels:{alertname="NodeCpuHigh", instance="a", severity="warning", team="platform"}
              Annotations:{busiest="a", runbook="http://weft/c1", summary="a is at 90%"}
            ]
"#;
    check((NODE_RULES, &node_test(&expectations)), &[], difference);
    let coloured = "    name: cpu,\n    alertname: NodeCpuHigh, time: 8m, \n        diff: [
                {
                    \"Annotations\": {
                        \"busiest\": \"a\",
                        \"runbook\": \"http://weft/c1\",
                        \"summary\": \x1b[0;33m\"a is at 80%\" => \"a is at 90%\"\x1b[0m
                    },
                    \"Labels\": {
                        \"alertname\": \"NodeCpuHigh\",
                        \"instance\": \"a\",
                        \"severity\": \"warning\",
                        \"team\": \"platform\"
                    }
                }
            ]
";
    check((NODE_RULES, &node_test(&expectations)), &["--diff"], coloured);
}

#[test]
fn a_series_that_is_stale_is_absent() {
    let alert = |time: &str, labels: &str| {
        format!("  - {{eval_time: {time}, alertname: NodeDown, exp_alerts: [{{exp_labels: {{{labels}}}}}]}}\n")
    };
    let expectations = format!(
        "  alert_rule_test:\n  - {{eval_time: 3m59s, alertname: NodeDown}}\n{}{}{}",
        alert("4m", "job: node, team: platform"),
        alert("24m", "job: node, team: platform"),
        alert("25m", "job: node, team: platform")
    );
    check((NODE_RULES, &node_test(&expectations)), &[], "");
    let missing = node_test("  alert_rule_test:\n  - {eval_time: 2m, alertname: NodeDown, exp_alerts: [{}]}");
    let expected = "    name: cpu,\n    alertname: NodeDown, time: 2m, \n        exp:[\n            0:\n              \
                    Labels:{alertname=\"NodeDown\"}\n              Annotations:{}\n            ], \n        got:[]\n";
    check((NODE_RULES, &missing), &[], expected);
}

#[test]
fn histograms_are_compared_with_their_hints() {
    let rules = "groups: [{name: g, rules: [{record: job:h, expr: sum(h)}]}]\n";
    let test = |expected: &str| {
        format!(
            "tests:\n- interval: 30s\n  input_series:\n  - {{series: h, values: '{{{{schema:1 count:4 sum:10 buckets:[1 3]}}}}+{{{{schema:1 \
             count:2 sum:3 buckets:[1 1]}}}}x10'}}\n  promql_expr_test:\n  - expr: job:h\n    eval_time: 4m\n    exp_samples: [{{labels: \
             'job:h', histogram: '{expected}'}}]\n"
        )
    };
    let sum = "{{schema:1 count:20 sum:34 counter_reset_hint:not_reset buckets:[9 11]}}";
    check((rules, &test(sum)), &[], "");
    let wrong = "{{schema:1 count:20 sum:34 buckets:[9 11]}}";
    let head = "    expr: \"job:h\", time: 4m,";
    let name = "{__name__=\"job:h\"}";
    check((rules, &test(wrong)), &[], &format!("{head}\n        exp: {name} {wrong}\n        got: {name} {sum}\n"));
    check((rules, &test("1")), &[], &format!("{head} err: labels \"job:h\": expected histogram, got 1.000000\n"));
}

#[test]
fn groups_are_evaluated_in_the_order_that_is_named() {
    let rules = "groups:\n- {name: last, interval: 1h, rules: [{record: c, expr: b + 1}]}\n- {name: first, rules: [{record: a, expr: \
                 time()}]}\n- {name: then, rules: [{record: b, expr: a}]}\n";
    let test = "evaluation_interval: 30s\ntests:\n- promql_expr_test:\n  - {expr: c, eval_time: 30s, exp_samples: [{labels: c, value: \
                31}]}\n";
    // In the order of the file, the first group reads what the others wrote half a minute before.
    let late =
        "    expr: \"c\", time: 30s,\n        exp: {__name__=\"c\"} 3.1E+01\n        got: {__name__=\"c\"} 1E+00\n";
    check((rules, test), &[], late);
    check((rules, &format!("group_eval_order: [first, then, last]\n{test}")), &[], "");
    check((rules, &format!("group_eval_order: [nonesuch, then, last]\n{test}")), &[], "");
}

#[test]
fn times_begin_where_the_test_says() {
    let rules = "groups: [{name: g, rules: [{record: at, expr: timestamp(s)}, {alert: A, expr: 'at > 1704067320', annotations: {at: '{{ \
                 $value }}'}}]}]\n";
    let test = "tests:\n- start_timestamp: 2024-01-01T00:00:00Z\n  input_series: [{series: s, values: 1x9}]\n  promql_expr_test:\n  - {expr: \
                'time() - at', eval_time: 90s, exp_samples: [{value: 30}]}\n  - {expr: 'count_over_time(s[10m:]) + on() vector(0)', \
                eval_time: 2m, exp_samples: [{value: 3}]}\n  alert_rule_test:\n  - {eval_time: 2m, alertname: A}\n  - {eval_time: 3m, alertname: A, \
                exp_alerts: [{exp_annotations: {at: '1.70406738e+09'}}]}\n";
    check((rules, test), &[], "");
}

#[test]
fn a_rule_that_fails_ends_its_test() {
    let rules = "groups: [{name: g, rules: [{record: n, expr: 'a / on(j) b'}, {record: m, expr: 'label_replace(a, \"j\", \"x\", \"\", \
                 \"\")'}]}]\n";
    let test = "tests:\n- input_series: [{series: 'a{j=\"1\"}', values: 1x9}, {series: 'a{j=\"2\"}', values: '_ _ 1'}]\n  promql_expr_test: \
                [{expr: m, eval_time: 1m, exp_samples: [{labels: 'm{j=\"x\"}', value: 1}]}]\n";
    check((rules, test), &[], "");
    let later = test.replace("eval_time: 1m", "eval_time: 1h");
    let expected = "    rule: m, time: 2m0s, err: vector cannot contain metrics with the same labelset\n";
    check((rules, &later), &[], expected);
}

#[test]
fn tests_are_chosen_by_name() {
    let rules = "groups: []\n";
    let tests = "tests:\n- {name: good one, promql_expr_test: [{expr: 1, exp_samples: [{value: 1}]}]}\n- {name: bad one, \
                 promql_expr_test: [{expr: 1, exp_samples: [{value: 2}]}]}\n- promql_expr_test: [{expr: \"'x'\"}]\n";
    let bad = "    expr: \"1\", time: 0s,\n        exp: {} 2E+00\n        got: {} 1E+00\n";
    let twice = "tests: [{promql_expr_test: [{expr: 1, exp_samples: [{value: 1}, {value: .nan}]}]}]\n";
    check((rules, twice), &[], "    expr: \"1\", time: 0s,\n        exp: {} NaN, {} 1E+00\n        got: {} 1E+00\n");
    let text = "    expr: \"'x'\", time: 0s, err: rule result is not a vector or scalar\n";
    check((rules, tests), &[], &format!("{bad}\n{text}"));
    check((rules, tests), &["--run=^(good|bad) one$"], bad);
    check((rules, tests), &["--run", "good", "--run", "nonesuch"], "");
    check((rules, tests), &["--run", "nonesuch"], "");
}

#[test]
fn features_are_chosen() {
    let rules = "groups: [{name: g, rules: [{record: m, expr: 'max_of(1, 2)'}]}]\n";
    let test = "tests: [{promql_expr_test: [{expr: m, exp_samples: [{labels: m, value: 2}]}]}]\n";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("r.yml"), rules).unwrap();
    std::fs::write(folder.path().join("t.yml"), format!("rule_files: [r.yml, none.yml]\n{test}")).unwrap();
    let (outcome, out) = run_in(folder.path(), &["t.yml"]);
    assert!(
        outcome == Outcome::Failed && out.contains("r.yml: 1:46: group \"g\", rule 1, \"m\": could not parse"),
        "{out}"
    );
    let (outcome, out) = run_in(folder.path(), &["--enable-feature=promql-experimental-functions", "t.yml"]);
    let expected = "Processing test file: t.yml\n  WARNING: no file match pattern none.yml\n  SUCCESS\n\n";
    assert_eq!((outcome, out.as_str()), (Outcome::Passed, expected));
}

#[test]
fn all_samples_are_dumped() {
    let rules = "groups: [{name: g, rules: [{record: m, expr: 's * 1e9'}]}]\n";
    let test = "tests:\n- name: t\n  input_series: [{series: 's{a=\"b\"}', values: '0 1 -Inf'}, {series: h, values: '_ {{count:1 sum:2 \
                buckets:[1]}}'}]\n  promql_expr_test: [{expr: 'vector(1)', eval_time: 2m, exp_samples: [{value: 1}]}]\n";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("r.yml"), rules).unwrap();
    std::fs::write(folder.path().join("t.yml"), format!("rule_files: [r.yml]\n{test}")).unwrap();
    let (outcome, out) = run_in(folder.path(), &["--debug", "t.yml"]);
    // The range does not include the time at which it begins, here the start.
    let expected = r#"Processing test file: t.yml
DEBUG: Starting test t
DEBUG: Dump of all data (input_series and rules) at 2m1s:
{__name__="h"} =>
{count:1, sum:2, (0.5,1]:1} @[60000]
{__name__="m", a="b"} =>
1000000000 @[60000]
-Inf @[120000]
{__name__="s", a="b"} =>
1 @[60000]
-Inf @[120000]
DEBUG: Test t finished, took "#;
    let took = out.strip_prefix(expected).unwrap_or_else(|| panic!("{out}"));
    assert!(outcome == Outcome::Passed && took.ends_with("s\n  SUCCESS\n\n"), "{took}");
}

#[test]
fn results_are_written_for_ci() {
    let folder = tempfile::tempdir().unwrap();
    let tests = "tests: [{name: a, promql_expr_test: [{expr: 1}]}, {promql_expr_test: [{expr: 1, exp_samples: [{value: 1}]}]}]\n";
    std::fs::write(folder.path().join("t.yml"), tests).unwrap();
    std::fs::write(folder.path().join("u.yml"), "test: []\n").unwrap();
    let junit = folder.path().join("junit.xml").display().to_string();
    let [t, u] = ["t.yml", "u.yml"].map(|name| folder.path().join(name).display().to_string());
    for args in [
        vec!["test", "rules", "--junit", &junit, &t, &u],
        vec!["test", "--junit", &junit, "rules", &t, &u],
        vec!["test", &format!("--junit={junit}"), "rules", &t, &u],
    ] {
        run(&args);
        let xml = std::fs::read_to_string(&junit).unwrap_or_else(|error| panic!("{args:?}: {error}"));
        std::fs::remove_file(&junit).unwrap();
        let suite =
            |name: &str, counts: &str| assert!(xml.contains(&format!("<testsuite name=\"{name}\" {counts}")), "{xml}");
        suite(&t, r#"tests="2" failures="1" errors="0" skipped="0" timestamp="2"#);
        suite(&u, r#"tests="1" failures="0" errors="1" "#);
        assert!(xml.contains(r#"<testcase name="unnamed#1"></testcase>"#), "{xml}");
        assert!(xml.contains(r#"<testcase name="a"><failure>    expr: &#34;1&#34;, time: 0s,&#xA;"#), "{xml}");
    }
}

#[test]
fn misuse_is_told() {
    for args in [&[][..], &["--quick", "a.yml"], &["--run=(", "a.yml"], &["--junit=/", "a.yml"]] {
        let (outcome, out) = run_in(Path::new("/nonesuch"), args);
        assert!(outcome == Outcome::Misused && out.ends_with(", try --help\n"), "{out}");
    }
    assert_eq!(run_in(Path::new(""), &["--help"]), (Outcome::Passed, format!("{USAGE}\n")));
    let (outcome, out) = run_in(Path::new("/nonesuch"), &["a.yml"]);
    assert!(outcome == Outcome::Failed && out.contains("FAILED:") && out.contains("No such file"), "{out}");
}
