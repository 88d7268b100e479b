//! The command against servers that answer what they are told.

use std::path::PathBuf;
use std::thread::JoinHandle;

use serde_json::{Value as Json, json};

use crate::server::tests::answering;
use crate::testing::{Ran, run};

/// A file of queries in a folder of its own.
fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn vector(value: &str) -> Json {
    json!({"resultType": "vector", "result": [{"metric": {"__name__": "up"}, "value": [100, value]}]})
}

fn matrix(values: &Json) -> Json {
    json!({"resultType": "matrix", "result": [{"metric": {"__name__": "up"}, "values": values}]})
}

fn success(data: &Json) -> (&'static str, String) {
    ("200 OK", json!({"status": "success", "data": data}).to_string())
}

fn refusal(error: &str) -> (&'static str, String) {
    ("400 Bad Request", json!({"status": "error", "errorType": "bad_data", "error": error}).to_string())
}

type Answers = Vec<(&'static str, String)>;

/// Runs the command; what it printed with the name of the file replaced, and what both servers were asked.
fn diff(args: &[&str], (a, b): (Answers, Answers), path: &std::path::Path) -> (Ran, Vec<Vec<String>>) {
    let (servers, asked): (Vec<String>, Vec<JoinHandle<Vec<String>>>) = [a, b].map(answering).into_iter().unzip();
    let file = path.to_str().unwrap();
    let mut ran = run(&[&["diff-query"], args, &[&servers[0], &servers[1], file]].concat());
    ran.out = ran.out.replace(file, "FILE");
    (ran, asked.into_iter().map(|asked| asked.join().unwrap()).collect())
}

#[test]
fn equal_answers_are_the_same() {
    let (_folder, path) = file("q.promql", "# Comment.\n\nup\n  rate(x[$__rate_interval]) # of x\n");
    let values = json!([[0, "1"], [60, "2"]]);
    let answers = || {
        let one = [success(&vector("1")), success(&matrix(&values))];
        [one.clone(), one].concat()
    };
    let times = ["--start=0", "--end=100", "--step=1m"];
    let (ran, asked) = diff(&times, (answers(), answers()), &path);
    let expected = "same     FILE:3: up (instant: 1 series, range: 1 series, 2 samples)\n\
                    same     FILE:4: rate(x[$__rate_interval]) # of x (instant: 1 series, range: 1 series, 2 samples)\n\
                    2 queries: 2 same, 0 differ, 0 fail on both\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, expected, ""));
    for server in asked {
        assert!(server[0].ends_with("query=up&time=100"), "{}", server[0]);
        assert!(server[1].ends_with("query=up&start=0&end=100&step=60"), "{}", server[1]);
        assert!(server[2].contains("query=rate%28x%5B75s%5D%29"), "{}", server[2]);
    }
}

#[test]
fn the_first_difference_is_shown() {
    let (_folder, path) = file("q", "up\n");
    let a = vec![success(&vector("1")), success(&matrix(&json!([[0, "1"], [60, "2"]])))];
    let b = vec![success(&vector("1.0000001")), success(&matrix(&json!([[0, "1"], [60, "3"]])))];
    let (ran, _) = diff(&["--time=100"], (a.clone(), b.clone()), &path);
    let expected = "differs  FILE:1: up\n  instant: up at 100\n    A: 1\n    B: 1.0000001\n  range: up at 60\n    A: 2\n    B: 3\n\
                    1 queries: 0 same, 1 differ, 0 fail on both\n";
    assert_eq!((ran.code, ran.out.as_str()), (1, expected));
    let (ran, _) = diff(&["--time=100", "--tolerance=0.5"], (a, b), &path);
    assert_eq!(ran.code, 0, "{}", ran.out);
}

#[test]
fn errors_are_answers_too() {
    let (_folder, path) = file("q", "up\n(\n");
    let a = vec![refusal("no a"), refusal("no a"), refusal("parse error")];
    let b = vec![success(&vector("1")), success(&matrix(&json!([]))), refusal("parse error")];
    let (ran, _) = diff(&[], (a, b), &path);
    let expected = "differs  FILE:1: up\n  instant:\n    A: error: bad_data: no a\n    B: 1 series\n  range:\n    A: error: \
                    bad_data: no a\n    B: 1 series, 0 samples\nfails    FILE:2: (\n    A and B: bad_data: parse error\n\
                    2 queries: 0 same, 1 differ, 1 fail on both\n";
    assert_eq!((ran.code, ran.out.as_str()), (1, expected));
    let (_folder, path) = file("q", "(\n");
    let (ran, _) = diff(&[], (vec![refusal("x")], vec![refusal("y")]), &path);
    assert_eq!(
        ran.out,
        "fails    FILE:1: (\n    A: bad_data: x\n    B: bad_data: y\n1 queries: 0 same, 0 differ, 1 fail on both\n"
    );
    assert_eq!(ran.code, 2);
}

#[test]
fn rules_and_dashboards_are_asked() {
    let (_folder, path) =
        file("r.yml", "groups: [{name: g, rules: [{record: a, expr: 'sum(up)'}, {alert: B, expr: up == 0}]}]\n");
    let texts = json!({"resultType": "string", "result": [0, "x"]});
    let answers = || vec![success(&texts), success(&texts)];
    let (ran, asked) = diff(&[], (answers(), answers()), &path);
    assert_eq!(
        ran.out,
        "same     FILE: g a: sum(up) (instant: a string)\nsame     FILE: g B: up == 0 (instant: a string)\n2 queries: 2 same, 0 differ, 0 fail on both\n"
    );
    assert!(asked[0][1].contains("query=up+%3D%3D+0"), "{}", asked[0][1]);
    let rule = "kind: PrometheusRule\nspec: {groups: [{name: g, rules: [{record: a, expr: 'sum(up)'}]}]}\n";
    let (_folder, path) = file("o.yaml", rule);
    let (ran, _) = diff(&[], (vec![success(&texts)], vec![success(&texts)]), &path);
    assert!(ran.out.starts_with("same     FILE: g a: sum(up) (instant: a string)\n"), "{}", ran.out);
    let dashboard = json!({"panels": [{"title": "P", "targets": [{"refId": "A", "expr": "up{job=\"$job\"}"}]}]});
    let (_folder, path) = file("d.json", &dashboard.to_string());
    let (ran, _) = diff(&[], (vec![], vec![]), &path);
    assert!(ran.code == 2 && ran.out.contains("the variable $job has no value"), "{}", ran.out);
    let (ran, asked) = diff(&["--var", "job=x"], (vec![success(&texts)], vec![success(&texts)]), &path);
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(asked[1][0].contains("query=up%7Bjob%3D%22x%22%7D"), "{}", asked[1][0]);
}

#[test]
fn what_cannot_be_compared_ends_with_two() {
    let (_folder, path) = file("q", "up\n");
    let file = path.to_str().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = format!("http://{closed}");
    let ran = run(&["diff-query", &closed, &closed, file]);
    assert!(ran.code == 2 && ran.err.starts_with("cannot ask A: Post \"http://127.0.0.1"), "{}", ran.err);
    for (args, part) in [
        (&["a", "b"][..], "required argument 'file' not provided"),
        (&["a"], "two servers and a file are needed"),
        (&["--tolerance=-1", "a", "b", file], "--tolerance: \"-1\" is no number from 0 on"),
        (&["--start=5", "--end=5", "a", "b", file], "start time is not before end time"),
        (&["a", "b", "/no/such"], "cannot read /no/such"),
    ] {
        let ran = run(&[&["diff-query"], args].concat());
        assert!(ran.code == 2 && ran.err.contains(part), "{}", ran.err);
    }
    assert_eq!(run(&["diff-query", "--help"]).code, 0);
    let (_folder, empty) = self::file("q.json", "{}");
    let ran = run(&["diff-query", "a", "b", empty.to_str().unwrap()]);
    assert!(ran.code == 2 && ran.err.contains("has no queries"), "{}", ran.err);
}
