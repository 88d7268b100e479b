//! A query that asks for far more than there is: it fails with the figure, and nothing else notices.
#![allow(clippy::unwrap_used, reason = "a test: a failed step is its message")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::{Answer, Exporter, Weft, eventually};

const SERIES: usize = 2_000;
const LIMIT: u64 = 100_000_000;

/// Leaves as those of a tree: so many that the text is long and not deep.
fn tree(leaves: usize) -> String {
    match leaves {
        1 => "label_replace(wide, \"leaf\", \"x\", \"\", \"\")".to_owned(),
        n => format!("({} or {})", tree(n / 2), tree(n - n / 2)),
    }
}

#[test]
fn a_query_for_more_memory_than_there_is_fails_alone() {
    let scrapes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&scrapes);
    let exporter = Exporter::start(move |_| {
        let n = counted.fetch_add(1, Ordering::Relaxed);
        let mut page = String::from("# TYPE wide gauge\n");
        (0..SERIES).for_each(|i| writeln!(page, "wide{{i=\"{i}\"}} {n}").unwrap());
        Answer::Metrics(page)
    });
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs: [{{job_name: wide, static_configs: [{{targets: ['{}']}}]}}]\n",
        exporter.address
    );
    let flags = [format!("--query.max-memory-per-query={LIMIT}B"), "--query.max-samples=1000000000".to_owned()];
    let weft = Weft::start(&config, &flags.each_ref().map(String::as_str));
    eventually("the target is scraped", || match weft.http.query("count(wide)")? {
        found if found[0]["value"][1] == *SERIES.to_string() => Ok(()),
        other => Err(other.to_string()),
    });
    let end = weft.http.query("time()").unwrap()[0].as_f64().unwrap() as i64;
    // 300 leaves of 2 000 series with 11 000 steps of 16 bytes: 105 GB.
    let (start, end, query) = ((end - 10_990).to_string(), (end + 9).to_string(), tree(300));
    let before = scrapes.load(Ordering::Relaxed);
    let form = [("query", &*query), ("start", &*start), ("end", &*end), ("step", "1")];
    let (status, said) = weft.http.post("/api/v1/query_range", &form).unwrap();
    assert_eq!(status, 422, "{said}");
    for part in ["\"execution\"", "100000000 bytes", "--query.max-memory-per-query"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(weft.peak_memory() < LIMIT + 150_000_000, "{} bytes", weft.peak_memory());
    eventually("scraping goes on", || match scrapes.load(Ordering::Relaxed) {
        now if now > before + 1 => Ok(()),
        now => Err(format!("{now} scrapes")),
    });
    let ends = weft.http.query("min(min_over_time(up[1h]))").unwrap();
    assert_eq!(ends[0]["value"][1], "1", "no scrape failed meanwhile");
    // What it held is given back.
    assert_eq!(weft.http.query("count(wide)").unwrap()[0]["value"][1], *SERIES.to_string());
}
