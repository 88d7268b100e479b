//! Queries that run: they are shown and canceled, and when the process dies the next one says which they were. And who listens to
//! notifications, until the server ends.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test: a failed step is its message")]

use std::io::{Read, Write};
use std::net::TcpStream;

use kit::{Http, Weft, eventually};

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
