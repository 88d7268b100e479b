//! Two replicas that scrape the same: gaps of one are filled by the other, in queries and after a restart.

use std::fs;

use kit::{Answer, Exporter, Http, Process, Weft, eventually};

use super::asked;

/// A counter that rises with the clock, so that replicas agree.
fn target() -> Exporter {
    Exporter::start(|_| {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
        Answer::Metrics(format!("# TYPE clock_total counter\nclock_total {now}\n"))
    })
}

fn config(target: &Exporter, replica: &str) -> String {
    format!(
        "global: {{scrape_interval: 500ms, scrape_timeout: 400ms, external_labels: {{cluster: eu, prometheus_replica: {replica}}}}}\n\
         scrape_configs: [{{job_name: j, static_configs: [{{targets: ['{}'], labels: {{instance: i}}}}]}}]\n",
        target.address
    )
}

/// The times of the counter's samples of the last two minutes, in milliseconds.
fn times(http: &Http) -> Result<Vec<i64>, String> {
    let found = asked(http, "query", &[("query", "clock_total[2m]")])?;
    let [series] = &found[..] else { return Err(format!("{} series", found.len())) };
    assert_eq!(series["metric"].as_object().unwrap().len(), 3, "{series}");
    let values = series["values"].as_array().unwrap();
    Ok(values.iter().map(|one| (one[0].as_f64().unwrap() * 1000.0) as i64).collect())
}

/// The longest time between two samples, and how many there are.
fn gap(http: &Http) -> Result<(i64, usize), String> {
    let times = times(http)?;
    Ok((times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0), times.len()))
}

/// The second of two replicas, killed and away for some seconds.
fn with_gap(flags: &[&str]) -> (Exporter, Weft, Weft) {
    let target = target();
    let first = Weft::start(&config(&target, "a"), &[]);
    let second = Weft::start(&config(&target, "b"), &[]);
    let has = |http: &Http, least: usize| {
        eventually("there are samples", || match gap(http)? {
            (_, n) if n >= least => Ok(()),
            few => Err(format!("{few:?}")),
        });
    };
    has(&second.http, 4);
    let flags: Vec<String> = flags.iter().map(|flag| flag.replace("FIRST", &first.address)).collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let before = gap(&first.http).unwrap().1;
    let second = second.restart_after("KILL", &flags, || has(&first.http, before + 10));
    has(&second.http, 6);
    (target, first, second)
}

#[test]
fn queries_fill_gaps_with_what_a_peer_has() {
    let (_target, first, second) = with_gap(&[]);
    let (longest, _) = gap(&second.http).unwrap();
    assert!(longest > 3_000, "it was away: {longest} ms");
    let second = second.restart("TERM", &["--query.peers", &format!("http://{}", first.address)]);
    eventually("the gap is filled", || match gap(&second.http)? {
        (longest, n) if longest < 2_500 && n > 11 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // Neither clock makes the counter fall.
    let resets = asked(&second.http, "query", &[("query", "resets(clock_total[2m])")]).unwrap();
    assert_eq!(resets[0]["value"][1], "0", "{resets:?}");
    let series = asked(&second.http, "series", &[("match[]", "clock_total")]).unwrap();
    assert_eq!(series.len(), 1, "{series:?}");
    drop(first);
    let (status, body) = second.http.get("/api/v1/query?query=clock_total").unwrap();
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("remote_read peer 127.0.0.1:") && body.contains("error sending request"), "{body}");
}

#[test]
fn what_was_missed_is_fetched_before_a_replica_is_ready() {
    let (_target, first, second) = with_gap(&["--peer=http://FIRST"]);
    // Without asking anybody: it is stored.
    drop(first);
    let (longest, n) = gap(&second.http).unwrap();
    assert!(longest < 2_500 && n > 11, "{longest} ms, {n} samples");
    let resets = asked(&second.http, "query", &[("query", "resets(clock_total[2m])")]).unwrap();
    assert_eq!(resets[0]["value"][1], "0", "{resets:?}");
    let metrics = second.http.get("/metrics").unwrap().1;
    assert!(metrics.contains("weft_catch_up_missing_seconds 0\n"), "{metrics}");
    assert!(metrics.contains("prometheus_ready 1\n"), "{metrics}");
    let log = second.process.output();
    assert!(log.contains("fetched from a replica what was missed"), "{log}");
}

#[test]
fn a_peer_that_does_not_answer_costs_the_time_that_is_given() {
    let silent = Exporter::start(|_| Answer::Silence);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("prometheus.yml"), "scrape_configs: []\n").unwrap();
    let peer = format!("--peer=http://{}", silent.address);
    let mut command = Weft::command(folder.path(), &[&peer, "--peer.timeout=4s"]);
    let mut process = Process::start(&mut command, &folder.path().join("log"));
    let http = Http::new(format!("http://{}", Weft::address_of(&mut process)));
    eventually("readiness says why", || match http.get("/-/ready") {
        Ok((503, body)) if body.contains("(--peer)") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // It answers and lives meanwhile.
    assert_eq!(http.get("/-/healthy").unwrap().0, 200);
    assert_eq!(http.get("/api/v1/query?query=1").unwrap().0, 200);
    eventually("it is ready all the same", || match http.get("/-/ready") {
        Ok((200, _)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let log = process.output();
    assert!(log.contains("not all that was missed could be fetched from a replica"), "{log}");
    process.signal("TERM");
    process.wait();
}
