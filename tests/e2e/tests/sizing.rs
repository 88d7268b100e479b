//! `weft promtool size` against a real server: 100 targets with 200 series each, scraped each second.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test: a failed step is its message")]

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Instant;

use kit::{Answer, Exporter, Weft, eventually};
use serde_json::Value;

const TARGETS: usize = 100;
const SERIES: usize = 200;
/// A server of a debug build, of which the code is not counted, over half a minute of samples, of which each column begins with a whole
/// value: as close as this is what such a test can tell. What is computed lies within a quarter of what the benches measured, which
/// the tests of `tool/src/size/formula.rs` hold.
const FACTOR: f64 = 3.0;

/// A quarter of the series rests, half count at different speeds, a quarter goes up and down: as the fleet of the benches does.
fn page(target: usize, second: u64) -> String {
    (0..SERIES).fold(String::new(), |mut page, i| {
        let mixed = (second * 7919 + (target * SERIES + i) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        let value = match i % 4 {
            0 => i as u64,
            1 | 2 => second * 64 * (1 + i as u64 % 50) + mixed / 4,
            _ => 1_000 + mixed,
        };
        writeln!(page, "metric_{}{{path=\"/api/v1/{i}\",code=\"200\"}} {value}", i / 10).unwrap();
        page
    })
}

fn config(address: &str) -> String {
    let target =
        |i| format!("{{targets: ['{address}'], labels: {{__metrics_path__: /{i}, instance: 'pod-{i}:8080'}}}}");
    let targets: Vec<String> = (0..TARGETS).map(target).collect();
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs: [{{job_name: pods, static_configs: [{}]}}]\n",
        targets.join(", ")
    )
}

fn computed() -> Value {
    let (targets, series) = (format!("--targets={TARGETS}"), format!("--series-per-target={SERIES}"));
    let args = ["promtool", "size", &targets, &series, "--interval=1s", "--retention=1d", "--format=json"];
    let output = Command::new(Weft::binary()).args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn within(what: &str, computed: &Value, measured: f64) {
    let ratio = computed.as_f64().unwrap() / measured;
    assert!((1.0 / FACTOR..=FACTOR).contains(&ratio), "{what}: {computed} is computed, {measured} was measured");
    println!("{what}: {computed} is computed, {measured} was measured");
}

/// Memory that is not of files, bytes: the code of a debug build alone is larger than what a server needs.
fn anonymous(weft: &Weft) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", weft.process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

#[test]
fn what_is_computed_is_what_a_server_takes() {
    let began = Instant::now();
    let target = Exporter::start(move |path| {
        Answer::Metrics(page(path.trim_start_matches('/').parse().unwrap_or(0), began.elapsed().as_secs()))
    });
    let flags = ["--storage.tsdb.min-block-duration=30s", "--web.enable-admin-api"];
    let weft = Weft::start(&config(&target.address), &flags);
    let in_pages = |least: f64| {
        eventually("samples are in pages", || {
            let storage = weft.http.api("status/tsdb")?["storage"].take();
            let samples = storage["pageSamples"].as_f64().ok_or_else(|| storage.to_string())?;
            if samples >= least { Ok((samples, storage)) } else { Err(storage.to_string()) }
        })
    };
    // The first stretch of time began before the server did.
    let (first, _) = in_pages(1.0);
    in_pages(first + (15 * TARGETS * SERIES) as f64);
    // Brings to the files what was only in the log and in memory.
    assert_eq!(weft.http.post("/api/v1/admin/tsdb/snapshot", &[]).unwrap().0, 200);
    let (samples, storage) = in_pages(1.0);
    let bytes = storage["pageBytes"].as_f64().unwrap() + storage["indexBytes"].as_f64().unwrap();
    let computed = computed();
    within("bytes a sample", &computed["disk"]["bytesPerSample"], bytes / samples);
    within("memory", &computed["memory"]["scrapingBytes"], anonymous(&weft));
}
