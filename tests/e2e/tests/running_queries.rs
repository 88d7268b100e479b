//! Queries that run: they are shown and canceled, and when the process dies the next one says which they were; what they ask for is
//! counted over restarts. And who listens to notifications, until the server ends.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test: a failed step is its message")]

use std::io::{Read, Write};
use std::net::TcpStream;

use kit::{Answer, Exporter, Http, Weft, eventually};

const NOTHING: &str = "scrape_configs: []\n";
/// Half a minute of work.
const LONG: &str = "max_over_time(sum_over_time(vector(time())[1000s:10ms])[9000s:1s]) + \
                    max_over_time(sum_over_time(vector(time() + 1)[1000s:10ms])[9000s:1s])";

/// Asks what takes long, beside the test.
fn ask(address: &str) -> std::thread::JoinHandle<Result<(u16, String), String>> {
    let base = format!("http://{address}");
    std::thread::spawn(move || Http::new(base).post("/api/v1/query", &[("query", LONG)]))
}

fn id_of_running(weft: &Weft) -> String {
    eventually("the query runs", || {
        let queries = weft.http.api("status/active_queries")?["queries"].take();
        let query = &queries[0];
        if query["query"] == LONG && query["samples"].as_u64() > Some(0) {
            assert!(query["elapsedSeconds"].as_f64() > Some(0.0) && query["client"] == "127.0.0.1", "{query}");
            Ok(query["id"].to_string())
        } else {
            Err(queries.to_string())
        }
    })
}

#[test]
fn a_query_that_runs_is_shown_and_canceled() {
    let weft = Weft::start(NOTHING, &["--web.enable-admin-api"]);
    let asked = ask(&weft.address);
    let id = id_of_running(&weft);
    let cancel = weft.http.post("/api/v1/status/active_queries/cancel", &[("id", &id)]);
    assert_eq!(cancel, Ok((204, String::new())));
    let (status, body) = asked.join().unwrap().unwrap();
    assert!(status == 499 && body.contains("\"errorType\":\"canceled\""), "{status} {body}");
    assert_eq!(weft.http.api("status/active_queries").unwrap()["queries"], serde_json::json!([]));
}

#[test]
fn what_ran_when_a_process_died_is_told_by_the_next_one() {
    let weft = Weft::start(NOTHING, &[]);
    let ended = |weft: &Weft, end: &str| {
        let (_, text) = weft.http.get("/metrics").unwrap();
        text.contains(&format!("weft_last_run_end{{end=\"{end}\"}} 1"))
    };
    assert!(ended(&weft, "clean"));
    let asked = ask(&weft.address);
    id_of_running(&weft);
    eventually("the query is noted", || {
        let noted = std::fs::read(weft.folder().join("data/queries.active")).map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&noted);
        if text.contains("[9000s:1s]") { Ok(()) } else { Err(text.trim_matches('\0').to_owned()) }
    });
    let weft = weft.restart("KILL", &[]);
    assert!(asked.join().unwrap().is_err());
    let log = weft.process.output();
    assert!(log.contains("This query did not finish in the last run") && log.contains("[9000s:1s]"), "{log}");
    assert!(ended(&weft, "unclean"));
    // An end in order leaves nothing to tell.
    let weft = weft.restart("TERM", &[]);
    assert!(ended(&weft, "clean") && !weft.process.output().contains("the last run"), "{}", weft.process.output());
}

#[test]
fn who_listens_hears_that_the_server_ends() {
    let mut weft = Weft::start(NOTHING, &[]);
    let mut stream = TcpStream::connect(&weft.address).unwrap();
    stream.write_all(b"GET /api/v1/notifications/live HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut heard = String::new();
    let mut chunk = [0; 1024];
    while !heard.contains("\r\n\r\n") {
        let n = stream.read(&mut chunk).unwrap();
        heard += std::str::from_utf8(&chunk[..n]).unwrap();
    }
    assert!(heard.contains("content-type: text/event-stream"), "{heard}");
    let listening = |n: &str| {
        let (_, text) = weft.http.get("/metrics").unwrap();
        text.contains(&format!("prometheus_api_notification_active_subscribers {n}\n"))
    };
    assert!(listening("1"));
    weft.process.signal("TERM");
    stream.read_to_string(&mut heard).unwrap();
    assert!(heard.contains("Weft is shutting down"), "{heard}");
    assert!(weft.process.wait().success());
    assert!(!weft.process.output().contains("are aborted"), "{}", weft.process.output());
}

#[test]
fn which_metrics_are_asked_for_outlives_a_restart() {
    let exporter =
        Exporter::start(|_| Answer::Metrics("asked_by_people 1\nasked_by_rule 1\nnever_asked 1\n".to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\n\
         scrape_configs: [{{job_name: a, static_configs: [{{targets: ['{}']}}]}}]\n",
        exporter.address
    );
    std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
    let rules = "groups: [{name: g, rules: [{record: made_by_rule, expr: asked_by_rule}]}]\n";
    std::fs::write(folder.path().join("rules.yml"), rules).unwrap();
    let weft = Weft::start_with(folder, &[], &[]);
    eventually("the rule has a value", || {
        let found = weft.http.query("made_by_rule")?;
        if found[0].is_object() { Ok(()) } else { Err(found.to_string()) }
    });
    weft.http.query("asked_by_people").unwrap();
    let weft = weft.restart("TERM", &[]);
    let usage = weft.http.api("status/metric_usage").unwrap();
    let metric = |name: &str| {
        let metrics = usage["metrics"].as_array().unwrap().iter();
        metrics.map(|one| (&one["name"], &one["apiCount"], one["ruleCount"].as_u64())).find(|(one, ..)| *one == name)
    };
    assert_eq!(
        metric("asked_by_people").map(|(_, api, rule)| (api.as_u64(), rule)),
        Some((Some(1), Some(0))),
        "{usage}"
    );
    assert!(metric("asked_by_rule").is_some_and(|(_, _, rule)| rule > Some(0)), "{usage}");
    assert_eq!(usage["neverAsked"]["names"], serde_json::json!(["never_asked"]), "{usage}");
}
