//! The real binary by a clock that steps.
#![allow(clippy::unwrap_used, reason = "a test: a failed step is its message")]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kit::{Answer, Exporter, TestClock, Weft, eventually};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// How many samples are stored within a day around the real present, as far as serial numbers tell.
fn stored(weft: &Weft, now_ms: i64) -> Result<usize, String> {
    let query = format!("count_over_time(serial[1d] @ {})", (now_ms + DAY_MS / 2) / 1000);
    let count = weft.http.query(&query)?[0]["value"][1].as_str().unwrap_or("0").to_owned();
    count.parse().map_err(|error| format!("{count}: {error}"))
}

#[test]
fn scrapes_go_on_whatever_the_clock_says() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::new(folder.path());
    let serial = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&serial);
    let target = Exporter::start(move |_| {
        Answer::Metrics(format!("# TYPE serial gauge\nserial {}\n", counted.fetch_add(1, Ordering::Relaxed)))
    });
    let config = format!(
        "global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}\n\
         scrape_configs: [{{job_name: j, static_configs: [{{targets: ['{}']}}]}}]\n",
        target.address
    );
    fs::write(folder.path().join("prometheus.yml"), config).unwrap();
    let weft = Weft::start_with(folder, &[], &clock.environment());
    let now_ms = (weft.http.query("time()").unwrap()[1].as_str().unwrap().parse::<f64>().unwrap() * 1000.0) as i64;
    let more_than = |what: &str, around_ms: i64, before: usize| {
        eventually(what, || match stored(&weft, around_ms)? {
            found if found > before + 5 => Ok(found),
            found => Err(format!("{found} samples")),
        })
    };
    let before = more_than("scrapes are stored", now_ms, 0);
    clock.set(30 * DAY_MS);
    let ahead = more_than("scrapes are stored as of the wrong time", now_ms + 30 * DAY_MS, 0);
    eventually("the step is told", || {
        let output = weft.process.output();
        if output.contains("clock has stepped") && output.contains("step=30d") { Ok(()) } else { Err(output) }
    });
    clock.set(0);
    let after = more_than("scrapes go on where they were", now_ms, before);
    assert!(stored(&weft, now_ms + 30 * DAY_MS).unwrap() >= ahead);
    clock.set(-DAY_MS);
    more_than("scrapes go on a day before", now_ms - DAY_MS, 0);
    clock.set(0);
    more_than("and come back", now_ms, after);
    let (_, metrics) = weft.http.get("/metrics").unwrap();
    let steps = metrics.lines().find_map(|line| line.strip_prefix("weft_clock_steps_total ")).unwrap().to_owned();
    assert!(steps.parse::<f64>().unwrap() >= 3.0, "{steps}");
}
