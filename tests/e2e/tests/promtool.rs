//! promtool's commands in the real binary: against Weft, and against the Prometheus it stands in for.
#![allow(clippy::unwrap_used, reason = "a test: a failed step is its message")]

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use kit::{Prometheus, Weft, eventually, skipped};

/// How a command ended, and what it printed.
#[derive(Debug, PartialEq, Eq)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// Runs a command in a folder.
fn promtool(folder: &Path, args: &[&str]) -> Ran {
    let output = Command::new(Weft::binary()).arg("promtool").args(args).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

#[track_caller]
fn passed(folder: &Path, args: &[&str]) -> String {
    let ran = promtool(folder, args);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}: {}", ran.out);
    ran.out
}

/// A page that is the same whenever it is scraped.
const PAGE: &str = "# HELP work_seconds How long work took.\n# TYPE work_seconds histogram\nwork_seconds_bucket{le=\"1\"} 2\n\
                    work_seconds_bucket{le=\"+Inf\"} 3\nwork_seconds_sum 4.5\nwork_seconds_count 3\n# HELP jobs_total Jobs.\n\
                    # TYPE jobs_total counter\njobs_total{kind=\"a\"} 7\njobs_total{kind=\"b\"} 8\n";

fn scraping(address: &str) -> String {
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs: [{{job_name: work, static_configs: [{{targets: ['{address}']}}]}}]\n"
    )
}

fn exporter(page: &'static str) -> kit::Exporter {
    kit::Exporter::start(move |_| kit::Answer::Metrics(page.to_owned()))
}

/// A time at which a server has what it scrapes.
fn scraped(http: &kit::Http) -> String {
    eventually("the target is scraped", || {
        let found = http.query("timestamp(jobs_total{kind=\"a\"})")?;
        found[0]["value"][1].as_str().map(str::to_owned).ok_or_else(|| found.to_string())
    })
}

#[test]
fn a_server_is_asked() {
    let target = exporter(PAGE);
    let weft = Weft::start(&scraping(&target.address), &[]);
    let (folder, url) = (tempfile::tempdir().unwrap(), format!("http://{}", weft.address));
    let healthy = promtool(folder.path(), &["check", "healthy", "--url", &url]);
    assert_eq!(
        healthy,
        Ran { code: 0, out: String::new(), err: "  SUCCESS:  Prometheus Server is Healthy.\n\n".to_owned() }
    );
    assert_eq!(promtool(folder.path(), &["check", "ready", &format!("--url={url}")]).code, 0);
    let time = scraped(&weft.http);
    let labels = format!("instance=\"{}\", job=\"work\", kind=", target.address);
    let asked = passed(folder.path(), &["query", "instant", "--time", &time, &url, "sort(jobs_total)"]);
    let at: f64 = time.parse().unwrap();
    assert_eq!(asked, format!("jobs_total{{{labels}\"a\"}} => 7 @[{at}]\njobs_total{{{labels}\"b\"}} => 8 @[{at}]\n"));
    let asked = passed(folder.path(), &["query", "labels", "-o", "json", &url, "kind"]);
    assert_eq!(asked, "[\"a\",\"b\"]\n");
    let refused = promtool(folder.path(), &["query", "range", &url, "jobs_total["]);
    assert!(
        refused.code == 1
            && refused.err.starts_with("query error: bad_data: invalid parameter \"query\": 1:12: parse error"),
        "{refused:?}"
    );
    passed(folder.path(), &["debug", "metrics", &url]);
    assert!(fs::metadata(folder.path().join("debug.tar.gz")).unwrap().len() > 1000);
}

/// Takes the half minute for which promtool profiles the CPU.
#[test]
fn profiles_of_a_server_are_archived() {
    let weft = Weft::start("scrape_configs: []\n", &[]);
    let folder = tempfile::tempdir().unwrap();
    let told = passed(folder.path(), &["debug", "all", &format!("http://{}", weft.address)]);
    assert!(told.contains("left out: the server has no trace.pb\n"), "{told}");
    let archive = fs::File::open(folder.path().join("debug.tar.gz")).unwrap();
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(archive).read_to_end(&mut bytes).unwrap();
    for file in ["cpu.pb", "block.pb", "goroutine.pb", "heap.pb", "mutex.pb", "threadcreate.pb", "metrics.txt"] {
        // The names stand in the headers of the archive, behind which other bytes are zero.
        let name = format!("{file}\0");
        assert!(bytes.chunks(512).any(|block| block.starts_with(name.as_bytes())), "{file}");
    }
}

#[test]
fn a_data_directory_is_read_beside_its_server() {
    let target = exporter(PAGE);
    let weft = Weft::start(&scraping(&target.address), &["--web.enable-admin-api"]);
    let folder = tempfile::tempdir().unwrap();
    scraped(&weft.http);
    let data = weft.folder().join("data");
    let of_server = promtool(folder.path(), &["tsdb", "dump", data.to_str().unwrap()]);
    assert!(of_server.code == 1 && of_server.err.contains("or read a snapshot"), "{of_server:?}");
    let (status, told) = weft.http.post("/api/v1/admin/tsdb/snapshot", &[]).unwrap();
    assert_eq!(status, 200, "{told}");
    let name = told.split("\"name\":\"").nth(1).unwrap().split('"').next().unwrap();
    let snapshot = data.join("snapshots").join(name);
    let snapshot = snapshot.to_str().unwrap();
    let before: Vec<_> = fs::read_dir(snapshot).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let dumped = passed(folder.path(), &["tsdb", "dump", "--match=jobs_total", snapshot]);
    let line = format!("{{__name__=\"jobs_total\", instance=\"{}\", job=\"work\", kind=\"a\"}} 7 ", target.address);
    assert!(dumped.lines().any(|one| one.starts_with(&line)), "{dumped}");
    assert!(passed(folder.path(), &["tsdb", "list", snapshot]).lines().count() > 1);
    assert!(passed(folder.path(), &["tsdb", "analyze", snapshot]).contains("\nHighest cardinality labels:\n"));
    let after: Vec<_> = fs::read_dir(snapshot).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(before, after, "nothing is written to it");
    let text = passed(folder.path(), &["tsdb", "dump-openmetrics", "--match=jobs_total", snapshot]);
    fs::write(folder.path().join("all.om"), &text).unwrap();
    passed(folder.path(), &["tsdb", "create-blocks-from", "openmetrics", "-q", "all.om", "imported"]);
    assert_eq!(passed(folder.path(), &["tsdb", "dump-openmetrics", "imported"]), text);
}

#[test]
fn samples_are_pushed_to_prometheus() {
    let binary = match Prometheus::binary() {
        Ok(binary) => binary,
        Err(why) => return skipped(&why),
    };
    let prometheus = Prometheus::start(&binary, "scrape_configs: []\n", &["--web.enable-remote-write-receiver"]);
    let url = prometheus.http.base();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("page"), PAGE).unwrap();
    let pushed = passed(folder.path(), &["push", "metrics", "--label=job=pushed", "--label", "run=1", url, "page"]);
    assert_eq!(pushed, "Parsing metrics file page\n  SUCCESS: metrics file page pushed to remote write.\n");
    let series = passed(folder.path(), &["query", "series", "--match={run=\"1\"}", url]);
    let labels = "job=\"pushed\"";
    let mut lines: Vec<&str> = series.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            format!("{{__name__=\"jobs_total\", {labels}, kind=\"a\", run=\"1\"}}"),
            format!("{{__name__=\"jobs_total\", {labels}, kind=\"b\", run=\"1\"}}"),
            format!("{{__name__=\"work_seconds_bucket\", {labels}, le=\"+Inf\", run=\"1\"}}"),
            format!("{{__name__=\"work_seconds_bucket\", {labels}, le=\"1\", run=\"1\"}}"),
            format!("{{__name__=\"work_seconds_count\", {labels}, run=\"1\"}}"),
            format!("{{__name__=\"work_seconds_sum\", {labels}, run=\"1\"}}"),
        ]
    );
    assert_eq!(prometheus.http.query("work_seconds_sum").unwrap()[0]["value"][1], "4.5");
    let refused = promtool(folder.path(), &["push", "metrics", &format!("{url}/none"), "page"]);
    assert!(refused.code == 1 && refused.err.contains("server returned HTTP status 404 Not Found"), "{refused:?}");
}

#[test]
fn weft_is_compared_with_prometheus() {
    let binary = match Prometheus::binary() {
        Ok(binary) => binary,
        Err(why) => return skipped(&why),
    };
    let target = exporter(PAGE);
    let config = scraping(&target.address);
    let weft = Weft::start(&config, &[]);
    let prometheus = Prometheus::start(&binary, &config, &[]);
    let (folder, ours) = (tempfile::tempdir().unwrap(), format!("http://{}", weft.address));
    let theirs = prometheus.http.base();
    // Both have scraped by then.
    let time = [scraped(&weft.http), scraped(&prometheus.http)].map(|time| time.parse::<f64>().unwrap());
    let time = format!("--time={}", time[0].max(time[1]) + 0.5);
    eventually("both have the time", || {
        let has = |http: &kit::Http| -> Result<bool, String> {
            Ok(http.query("time()")?[0].as_f64() > time[7..].parse().ok())
        };
        if has(&weft.http)? && has(&prometheus.http)? { Ok(()) } else { Err("not yet".to_owned()) }
    });
    let queries = "# Counters, and what is made of them.\njobs_total\nsum by (job) (jobs_total)\nhistogram_quantile(0.5, work_seconds_bucket)\n";
    fs::write(folder.path().join("same"), queries).unwrap();
    let args = ["diff-query", &time, "--start=0", "--end=10", "--step=5s", &ours, theirs, "same"];
    let ran = promtool(folder.path(), &args);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert!(ran.out.ends_with("3 queries: 3 same, 0 differ, 0 fail on both\n"), "{}", ran.out);
    assert!(
        ran.out.starts_with("same     same:2: jobs_total (instant: 2 series, range: 0 series, 0 samples)\n"),
        "{}",
        ran.out
    );
    // What each says of itself.
    fs::write(folder.path().join("other"), "vector(1)\nvector(2)\nup[\n").unwrap();
    let ran = promtool(folder.path(), &["diff-query", &time, &ours, theirs, "other"]);
    assert!(ran.out.contains("fails    other:3: up[\n    A and B: bad_data: "), "{}", ran.out);
    assert_eq!(ran.code, 2, "{}", ran.out);
}
