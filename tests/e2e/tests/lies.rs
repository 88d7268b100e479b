//! Targets that lie: each fails its own scrape with a reason, costs bounded memory and harms no other.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test: a failed step is its message")]

use kit::{Answer, Exporter, Weft, eventually};
use serde_json::Value;

/// Path, and what the reason must contain.
const LIES: [(&str, &str); 9] = [
    ("/broken", "line 2"),
    ("/half", "line 1"),
    ("/endless", "body size limit exceeded"),
    ("/html", "unsupported Content-Type"),
    ("/blank", "blank Content-Type"),
    ("/label", "longest allowed"),
    ("/gzip", "decompress"),
    ("/status", "500 Internal Server Error"),
    ("/cut", "before message length reached"),
];

fn lie(path: &str) -> Answer {
    let raw = |head: &str, body: &[u8]| Answer::Raw([format!("HTTP/1.1 {head}\r\n\r\n").as_bytes(), body].concat());
    let text = "200 OK\r\ncontent-type: text/plain";
    match path {
        "/broken" => Answer::Metrics("a 1\nthis is no metric\n".into()),
        "/half" => Answer::Metrics("a{b=\"c".into()),
        "/endless" => Answer::Endless(b"# a comment that never ends, line after line after line\n".repeat(1000)),
        "/html" => raw("200 OK\r\ncontent-type: text/html", b"<html>"),
        "/blank" => raw("200 OK", b"a 1\n"),
        "/label" => Answer::Metrics(format!("a{{b=\"{}\"}} 1\n", "x".repeat(10 << 20))),
        "/gzip" => raw("200 OK\r\ncontent-type: text/plain\r\ncontent-encoding: gzip", b"this is not gzip"),
        "/status" => raw("500 Internal Server Error\r\ncontent-length: 0", b""),
        "/cut" => raw(&format!("{text}\r\ncontent-length: 1000"), b"a 1\n"),
        "/twice" => Answer::Metrics("twice 1\ntwice 2\ntwice{a=\"1\",b=\"2\"} 3\ntwice{b=\"2\",a=\"1\"} 4\n".into()),
        _ => Answer::Metrics("# TYPE honest gauge\nhonest 1\n".into()),
    }
}

#[test]
fn each_fails_alone_and_says_why() {
    let exporter = Exporter::start(lie);
    let mut config = "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n".to_owned();
    let paths = LIES.iter().map(|(path, _)| *path).chain(["/honest", "/twice"]);
    for path in paths {
        let job = path.trim_start_matches('/');
        config += &format!(
            "- job_name: {job}\n  metrics_path: {path}\n  static_configs: [{{targets: ['{}']}}]\n",
            exporter.address
        );
    }
    // The default limit guards every job; here a small one shows the same in less time.
    config = config.replace("- job_name: endless\n", "- job_name: endless\n  body_size_limit: 20MB\n");
    let weft = Weft::start(&config, &[]);
    let target = |job: &str| -> Result<Value, String> {
        let found = weft.http.api(&format!("targets?scrapePool={job}"))?["activeTargets"][0].take();
        if found["health"] == "unknown" || found.is_null() { Err(found.to_string()) } else { Ok(found) }
    };
    for (path, reason) in LIES {
        let job = path.trim_start_matches('/');
        let seen = eventually(job, || target(job));
        let said = seen["lastError"].as_str().unwrap();
        assert!(seen["health"] == "down" && said.contains(reason), "{job}: {seen}");
        eventually(job, || up(&weft, job, "0"));
    }
    for job in ["honest", "twice"] {
        let seen = eventually(job, || target(job));
        assert_eq!(seen["health"], "up", "{seen}");
        eventually(job, || up(&weft, job, "1"));
    }
    // Of a series that is exposed twice the first sample counts.
    let twice = weft.http.query("twice").unwrap();
    let values: Vec<_> = twice.as_array().unwrap().iter().map(|s| s["value"][1].as_str().unwrap().to_owned()).collect();
    assert_eq!(values.len(), 2, "{twice}");
    assert!(values.contains(&"1".to_owned()) && values.contains(&"3".to_owned()), "{twice}");
    // 20 MB of one body, 10 MB of another, their buffers, and the store.
    let peak = weft.peak_memory();
    assert!(peak < 400 << 20, "{} MiB", peak >> 20);
}

fn up(weft: &Weft, job: &str, value: &str) -> Result<(), String> {
    let result = weft.http.query(&format!("up{{job=\"{job}\"}}"))?;
    if result[0]["value"][1] == value { Ok(()) } else { Err(result.to_string()) }
}
