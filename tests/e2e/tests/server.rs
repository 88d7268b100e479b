//! Flags, files and signals of the real binary.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test: a failed step is its message")]

use std::fs;
use std::process::Command;

use kit::{Weft, eventually};

const NOTHING: &str = "scrape_configs: []\n";

#[test]
fn an_unknown_flag_is_refused_with_a_suggestion() {
    let output = Command::new(Weft::binary()).arg("--storage.tsdb.pth=x").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains("--storage.tsdb.pth") && said.contains("--storage.tsdb.path"), "{said}");
}

#[test]
fn version_is_told() {
    let output = Command::new(Weft::binary()).arg("--version").output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("compatible with Prometheus 3."));
}

#[test]
fn sigterm_ends_it_cleanly() {
    let mut weft = Weft::start(NOTHING, &[]);
    weft.process.signal("TERM");
    assert!(weft.process.wait().success());
    assert!(weft.process.output().contains("See you next time!"));
}

#[test]
fn lifecycle_is_off_unless_asked_for() {
    let weft = Weft::start(NOTHING, &[]);
    assert_eq!(weft.http.post("/-/reload", &[]), Ok((403, "Lifecycle API is not enabled.".into())));
    assert_eq!(weft.http.get("/-/quit"), Ok((405, "Only POST or PUT requests allowed".into())));
}

#[test]
fn the_configuration_says_what_is_logged() {
    let weft = Weft::start(NOTHING, &["--web.enable-lifecycle"]);
    let loaded = "Completed loading of configuration file";
    for (level, logs) in [("error", false), ("info", true)] {
        let text = format!("runtime: {{log_level: {level}}}\n");
        fs::write(weft.folder().join("prometheus.yml"), text).unwrap();
        assert_eq!(weft.http.post("/-/reload", &[]).unwrap().0, 200);
        // The line stands before the answer.
        let output = weft.process.output();
        assert_eq!(output.contains(loaded), logs, "{output}");
    }
}

#[test]
fn quit_ends_it() {
    let mut weft = Weft::start(NOTHING, &["--web.enable-lifecycle"]);
    assert_eq!(weft.http.post("/-/quit", &[]), Ok((200, "Requesting termination... Goodbye!".into())));
    assert!(weft.process.wait().success());
}

#[test]
fn a_broken_file_leaves_the_old_configuration_running() {
    let weft = Weft::start("global: {scrape_interval: 7s}\n", &["--web.enable-lifecycle"]);
    let file = weft.folder().join("prometheus.yml");
    fs::write(&file, "global:\n  scrape_interval: 8s\n  scrape_intervall: 9s\n").unwrap();
    let (status, said) = weft.http.post("/-/reload", &[]).unwrap();
    assert_eq!(status, 500);
    assert!(said.contains("prometheus.yml") && said.contains("scrape_intervall") && said.contains('3'), "{said}");
    let yaml = weft.http.api("status/config").unwrap()["yaml"].as_str().unwrap().to_owned();
    assert!(yaml.contains("scrape_interval: 7s"), "{yaml}");
    assert_eq!(weft.http.api("status/runtimeinfo").unwrap()["reloadConfigSuccess"], false);
    // SIGHUP takes the mended file.
    fs::write(&file, "global: {scrape_interval: 8s}\n").unwrap();
    weft.process.signal("HUP");
    eventually("the new configuration is in force", || {
        let yaml = weft.http.api("status/config")?["yaml"].to_string();
        if yaml.contains("scrape_interval: 8s") { Ok(()) } else { Err(yaml) }
    });
    assert_eq!(weft.http.api("status/runtimeinfo").unwrap()["reloadConfigSuccess"], true);
}

#[test]
fn changed_files_are_loaded_without_being_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let job = |name: &str| format!("rule_files: [rules.yml]\nscrape_configs: [{{job_name: {name}}}]\n");
    let rule = |name: &str| format!("groups: [{{name: g, rules: [{{record: '{name}', expr: '1'}}]}}]\n");
    let (config, rules) = (path("prometheus.yml"), path("rules.yml"));
    fs::write(&config, job("first")).unwrap();
    fs::write(&rules, rule("first:rule")).unwrap();
    let weft = Weft::start_with(folder, &["--config.auto-reload", "--config.auto-reload-interval=1s"], &[]);
    let shows = |what: &str, expected: &str| {
        eventually(expected, || {
            let found = weft.http.api(what)?.to_string();
            if found.contains(expected) { Ok(()) } else { Err(found) }
        });
    };
    let succeeded = |expected: &str| {
        eventually(expected, || {
            let (_, metrics) = weft.http.get("/metrics")?;
            let line = format!("prometheus_config_last_reload_successful {expected}");
            if metrics.lines().any(|found| found == line) { Ok(()) } else { Err("another value".to_owned()) }
        });
    };
    shows("scrape_pools", "first");
    fs::write(&config, job("second")).unwrap();
    shows("scrape_pools", "second");
    fs::write(&rules, rule("second:rule")).unwrap();
    shows("rules", "second:rule");
    fs::write(&rules, "groups: [{name: g, rules: [{record: x, expr: 'sum('").unwrap();
    succeeded("0");
    shows("rules", "second:rule");
    fs::write(&rules, rule("third:rule")).unwrap();
    succeeded("1");
    shows("rules", "third:rule");
    let output = weft.process.output();
    assert!(output.contains("Configuration file change detected, reloading the configuration."), "{output}");
    let features = weft.http.api("features").unwrap();
    assert_eq!(features["prometheus"]["auto_reload_config"], true);
}

#[test]
fn all_faults_of_the_files_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        "global: {scrape_intervall: 5s}\nrule_files: [rules.yml]\nscrape_configs:\n- job_name: a\n  honor_labels: x\n";
    fs::write(folder.path().join("prometheus.yml"), config).unwrap();
    fs::write(folder.path().join("rules.yml"), "groups: [{name: g, rules: [{record: x, expr: 'sum('}]}]\n").unwrap();
    let output = Weft::command(folder.path(), &[]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    for part in
        ["did you mean scrape_interval?", "scrape_configs[0].honor_labels", "  honor_labels: x", "rules.yml: 1:"]
    {
        assert!(said.contains(part), "no {part:?}: {said}");
    }
}

#[test]
fn a_broken_file_at_the_start_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("prometheus.yml"), "scrape_configs:\n- job_name: a\n- job_name: a\n").unwrap();
    let output = Weft::command(folder.path(), &[]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("prometheus.yml:3:") && said.contains("job name"), "{said}");
}

#[test]
fn sections_that_are_not_served_are_told_once() {
    let weft = Weft::start("tracing: {endpoint: 'localhost:1'}\n", &[]);
    let log = weft.process.output();
    let lines = log.lines().filter(|line| line.contains("level=WARN") && line.contains("tracing")).count();
    assert_eq!(lines, 1, "{log}");
}

#[test]
fn a_data_directory_in_use_is_refused_by_name() {
    let weft = Weft::start(NOTHING, &[]);
    let output = Weft::command(weft.folder(), &[]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains(&weft.folder().join("data").display().to_string()) && said.contains("use"), "{said}");
}

#[test]
fn a_data_directory_that_cannot_be_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("prometheus.yml"), NOTHING).unwrap();
    fs::write(folder.path().join("data"), "a file").unwrap();
    let output = Weft::command(folder.path(), &[]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(&folder.path().join("data").display().to_string()), "{said}");
}

#[test]
fn data_of_prometheus_is_told_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("prometheus.yml"), NOTHING).unwrap();
    let segment = folder.path().join("data/wal/00000000");
    fs::create_dir_all(segment.parent().unwrap()).unwrap();
    fs::write(&segment, "Prometheus wrote this").unwrap();
    let weft = Weft::start_with(folder, &[], &[]);
    let log = weft.process.output();
    assert!(log.contains("its files stay as they are") && log.contains("write-ahead log"), "{log}");
    assert_eq!(fs::read_to_string(weft.folder().join("data/wal/00000000")).unwrap(), "Prometheus wrote this");
}

#[test]
fn bad_queries_get_upstreams_errors() {
    let weft = Weft::start(NOTHING, &[]);
    let ask = |query: &str| weft.http.post("/api/v1/query", &[("query", query)]).unwrap();
    let (status, body) = ask("sum(");
    assert_eq!(status, 400);
    assert!(
        body.contains(r#""errorType":"bad_data""#) && body.contains("1:5: parse error: unclosed left parenthesis"),
        "{body}"
    );
    let (status, body) = ask("rate(up)");
    assert_eq!(status, 400);
    assert!(body.contains(r#"expected type range vector in call to function \"rate\", got instant vector"#), "{body}");
    let (status, body) = weft.http.get("/api/v1/query_range?query=up&start=0&end=12000&step=1").unwrap();
    assert_eq!(status, 400);
    assert!(body.contains("exceeded maximum resolution of 11,000 points"), "{body}");
}

#[test]
fn logs_are_logfmt_or_json() {
    let weft = Weft::start(NOTHING, &[]);
    let line = weft.process.output().lines().next().unwrap().to_owned();
    assert!(line.starts_with("time=20") && line.contains(" level=INFO source=") && line.contains(" msg="), "{line}");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("prometheus.yml"), "no_such_field: 1\n").unwrap();
    let output = Weft::command(folder.path(), &["--log.format=json"]).output().unwrap();
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(value["time"].is_string() && value["level"].is_string() && value["msg"].is_string(), "{line}");
    }
}

#[test]
fn everything_lives_below_the_route_prefix() {
    let weft = Weft::start_at(NOTHING, &["--web.external-url=http://example.org/prom"], "/prom");
    let of = |path: &str| weft.http.get(path).unwrap().0;
    assert_eq!(
        (of("/prom/-/healthy"), of("/-/healthy"), of("/prom/api/v1/labels"), of("/api/v1/labels")),
        (200, 404, 200, 404)
    );
    assert_eq!(of("/prom/metrics"), 200);
}

#[test]
fn queries_are_logged_where_the_configuration_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("queries.log");
    let config = format!("global: {{query_log_file: '{}'}}\n", file.display());
    let weft = Weft::start(&config, &["--web.enable-lifecycle", "--enable-feature=promql-per-step-stats"]);
    let ask = |path: &str, form: &[(&str, &str)]| weft.http.post(&format!("/api/v1/{path}"), form).unwrap();
    let range = [("query", "rate(up[1m])"), ("start", "0"), ("end", "3"), ("step", "1.5"), ("stats", "all")];
    let (_, body) = ask("query_range", &range);
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    ask("query", &[("query", "label_replace(up,\"\",\"\",\"\",\"\")"), ("time", "1")]);
    ask("query", &[("query", "sum(")]);
    let lines = || -> Vec<serde_json::Value> {
        let text = fs::read_to_string(&file).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let [first, second] = <[_; 2]>::try_from(lines()).unwrap();
    let params = serde_json::json!({
        "end": "1970-01-01T00:00:03.000Z", "query": "rate(up[1m])", "start": "1970-01-01T00:00:00.000Z", "step": 1
    });
    assert_eq!((&first["params"], &first["stats"]), (&params, &answer["data"]["stats"]));
    assert_eq!(first["stats"]["samples"]["samplesReadPerStep"], serde_json::json!([[0, 0], [1.5, 0], [3, 0]]));
    let origin = serde_json::json!({"clientIP": "127.0.0.1", "method": "POST", "path": "/api/v1/query_range"});
    assert_eq!((&first["httpRequest"], first.get("error")), (&origin, None));
    assert_eq!(second["error"], "invalid destination label name in label_replace(): ");
    // A file that was moved away is made anew by a reload; one that cannot be is a fault of the configuration.
    fs::rename(&file, folder.path().join("old.log")).unwrap();
    assert_eq!(weft.http.post("/-/reload", &[]).unwrap().0, 200);
    ask("query", &[("query", "1")]);
    assert_eq!(lines().len(), 1);
    let absent = config.replace("queries.log", "none/queries.log");
    fs::write(weft.folder().join("prometheus.yml"), absent).unwrap();
    let (status, said) = weft.http.post("/-/reload", &[]).unwrap();
    assert!(status == 500 && said.contains("none/queries.log") && said.contains("query_log_file"), "{said}");
    ask("query", &[("query", "1")]);
    assert_eq!(lines().len(), 2, "the old one stays in force");
}
