//! Rule files change while rules run.

use std::fs;

use kit::{Weft, eventually};
use serde_json::Value;

use crate::world::{FLAGS, Target, metric};

const FIRST: &str = "groups:\n- name: same\n  rules: [{record: 'first:time', expr: time()}]\n- name: more\n  rules: [{record: 'first:bad', expr: bad}]\n";
const SECOND: &str = "groups:\n- name: same\n  rules: [{record: 'second:time', expr: time()}]\n";
/// Of 500 ms, so that a gap shows.
const INTERVAL_MS: i64 = 500;

fn started() -> (Weft, Target) {
    let target = Target::start("bad{i=\"1\"} 1\n");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("prometheus.yml"), target.config("")).unwrap();
    fs::write(folder.path().join("rules1.yml"), FIRST).unwrap();
    fs::write(folder.path().join("rules2.yml"), SECOND).unwrap();
    let weft = Weft::start_with(folder, &FLAGS, &[]);
    for series in ["first:time", "first:bad", "second:time"] {
        eventually_has(&weft, series, true);
    }
    (weft, target)
}

#[track_caller]
fn eventually_has(weft: &Weft, series: &str, has: bool) {
    eventually(series, || match weft.http.query(series)?.as_array().unwrap().is_empty() {
        is_empty if is_empty != has => Ok(()),
        is_empty => Err(format!("empty: {is_empty}")),
    });
}

/// Names of groups with their files.
fn groups(weft: &Weft) -> Vec<(String, String)> {
    let data = weft.http.api("rules").unwrap();
    let text = |value: &Value| value.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    data["groups"].as_array().unwrap().iter().map(|group| (text(&group["file"]), text(&group["name"]))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(file, name)| ((*file).to_owned(), (*name).to_owned())).collect()
}

#[test]
fn bad_files_are_refused_and_the_rules_go_on() {
    let (weft, _target) = started();
    let bad = "groups:\n- name: a\n  rules: [{record: 'a:b', expr: 'sum('}]\n- name: b\n  rules: [{alert: B, expr: up, annotations: {s: '{{ nope }}'}}]\n";
    fs::write(weft.folder().join("rules1.yml"), bad).unwrap();
    fs::write(weft.folder().join("rules2.yml"), "groups: [{name: c, unknown: 1}]").unwrap();
    fs::write(weft.folder().join("rules3.yml"), "groups: [{name: d, rules: [{record: 'd:e', expr: up}]}]").unwrap();
    let (status, said) = weft.http.post("/-/reload", &[]).unwrap();
    assert_eq!(status, 500, "{said}");
    for part in ["rules1.yml", "a:b", "unclosed left parenthesis", "\"nope\" not defined", "rules2.yml", "unknown"] {
        assert!(said.contains(part), "no {part:?}: {said}");
        assert!(weft.process.output().contains(&part.replace('"', "\\\"")), "no {part:?}:\n{}", weft.process.output());
    }
    assert_eq!(metric(&weft.http, "prometheus_config_last_reload_successful"), 0.0);
    assert_eq!(groups(&weft), pairs(&[("rules1.yml", "more"), ("rules1.yml", "same"), ("rules2.yml", "same")]));
    let evaluations = || metric(&weft.http, "prometheus_rule_evaluations_total");
    let before = evaluations();
    eventually("rules go on", || if evaluations() >= before + 6.0 { Ok(()) } else { Err("not yet".to_owned()) });
    // Right again, and one more.
    fs::write(weft.folder().join("rules1.yml"), FIRST).unwrap();
    fs::write(weft.folder().join("rules2.yml"), SECOND).unwrap();
    assert_eq!(weft.http.post("/-/reload", &[]).unwrap().0, 200);
    assert_eq!(metric(&weft.http, "prometheus_config_last_reload_successful"), 1.0);
    eventually_has(&weft, "d:e", true);
}

#[test]
fn files_vanish_and_the_other_groups_keep_their_slots() {
    let (weft, _target) = started();
    let changed = SECOND.replace("second:time", "second:changed");
    fs::write(weft.folder().join("rules2.yml"), changed).unwrap();
    assert_eq!(weft.http.post("/-/reload", &[]).unwrap().0, 200);
    eventually_has(&weft, "second:changed", true);
    eventually_has(&weft, "second:time", false);
    fs::remove_file(weft.folder().join("rules2.yml")).unwrap();
    assert_eq!(weft.http.post("/-/reload", &[]).unwrap().0, 200);
    assert_eq!(groups(&weft), pairs(&[("rules1.yml", "more"), ("rules1.yml", "same")]));
    // Long before the lookback delta.
    eventually_has(&weft, "second:changed", false);
    let (_, metrics) = weft.http.get("/metrics").unwrap();
    let of_groups: Vec<&str> =
        metrics.lines().filter(|line| line.starts_with("prometheus_rule_group_rules{")).collect();
    assert!(of_groups.len() == 2 && of_groups.iter().all(|line| line.contains("rules1.yml;")), "{of_groups:?}");
    let times: Vec<i64> = eventually("there are some slots", || {
        let found = weft.http.query("first:time[5m]")?;
        #[expect(clippy::cast_possible_truncation, reason = "times of today fit")]
        let ms = |sample: &Value| (sample[0].as_f64().unwrap() * 1000.0).round() as i64;
        let times: Vec<i64> = found[0]["values"].as_array().unwrap().iter().map(ms).collect();
        if times.len() > 8 { Ok(times) } else { Err(format!("{times:?}")) }
    });
    assert!(times.windows(2).all(|pair| (pair[1] - pair[0]) % INTERVAL_MS == 0), "{times:?}");
    // Slots are lost only where evaluations were late, which is counted.
    let missed = metric(&weft.http, "prometheus_rule_group_iterations_missed_total");
    let expected = (times[times.len() - 1] - times[0]) / INTERVAL_MS + 1;
    assert!(times.len() as f64 + missed >= expected as f64, "{missed} missed: {times:?}");
}
