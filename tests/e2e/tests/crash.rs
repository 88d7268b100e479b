//! kill -9 while scraping, and while rows become pages: what was committed is there after the restart, and nothing twice.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test: a failed step is its message")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kit::{Answer, Exporter, Weft, eventually};

/// So that there is always something to seal.
const FLAGS: &[&str] = &["--storage.tsdb.min-block-duration=1s"];

/// Has this process turned so many samples into pages?
fn sealed(weft: &Weft, wanted: u64) -> Result<(), String> {
    let (_, text) = weft.http.get("/metrics")?;
    let line = text.lines().find_map(|line| line.strip_prefix("weft_storage_sealed_samples_total "));
    let sealed: u64 = line.and_then(|number| number.parse().ok()).ok_or("no such metric")?;
    if sealed >= wanted { Ok(()) } else { Err(format!("{sealed} sealed")) }
}

/// All samples of one series by time, seconds; fails on a time that comes twice.
fn samples(weft: &Weft) -> Result<BTreeMap<String, String>, String> {
    let result = weft.http.query("scrapes_total[1h]")?;
    let mut samples = BTreeMap::new();
    for point in result[0]["values"].as_array().ok_or("no samples")? {
        let before = samples.insert(point[0].to_string(), point[1].as_str().unwrap().to_owned());
        assert_eq!(before, None, "a time that comes twice: {point}");
    }
    Ok(samples)
}

#[test]
fn committed_samples_survive_kill_9_and_none_is_there_twice() {
    let scrapes = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&scrapes);
    // Every scrape has a value of its own, and enough series for a commit to take a while.
    let exporter = Exporter::start(move |_| {
        let n = count.fetch_add(1, Ordering::SeqCst) + 1;
        let rest: String = (0..2000).map(|i| format!("other{{i=\"{i}\"}} {n}\n")).collect();
        Answer::Metrics(format!("# TYPE scrapes_total counter\nscrapes_total {n}\n{rest}"))
    });
    let config = format!(
        "global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}\nscrape_configs:\n- job_name: counted\n  \
         static_configs: [{{targets: ['{}']}}]\n",
        exporter.address
    );
    let mut weft = Weft::start(&config, FLAGS);
    let mut known = BTreeMap::new();
    for round in 1..=3 {
        let before = scrapes.load(Ordering::SeqCst);
        eventually("twenty more scrapes", || {
            let now = scrapes.load(Ordering::SeqCst);
            if now >= before + 20 { Ok(()) } else { Err(now.to_string()) }
        });
        // Whatever a query has shown was committed.
        let seen = eventually("samples", || samples(&weft));
        assert!(seen.len() >= 10, "{}", seen.len());
        weft = weft.restart("KILL", FLAGS);
        let after = eventually("samples after the restart", || samples(&weft));
        for (time, value) in known.iter().chain(&seen) {
            assert_eq!(after.get(time), Some(value), "round {round}: lost or changed at {time}");
        }
        let mut values: Vec<&String> = after.values().collect();
        values.sort();
        values.dedup();
        assert_eq!(values.len(), after.len(), "round {round}: a scrape is there twice");
        known = after;
    }
    // Once all of it was sealed it is still the same.
    eventually("sealing", || sealed(&weft, 20 * 2000));
    let after = eventually("samples after sealing", || samples(&weft));
    assert!(known.iter().all(|(time, value)| after.get(time) == Some(value)), "lost or changed by sealing");
    let result = weft.http.query("count(other offset 0s)").unwrap();
    assert_eq!(result[0]["value"][1], "2000");
}
