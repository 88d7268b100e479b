//! Weft's web page beside Prometheus': the same targets and series, one server after another, each shown by the same browser. How
//! long until a graph of many series is drawn, and until the targets are listed.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use benches::http::Http;
use benches::report::{Sheet, side_by_side, table};
use benches::rules::{RuleOptions, Targets};
use benches::servers::{Binaries, Kind};
use clap::Parser;
use serde_json::Value;

/// How often it is looked whether the targets were scraped, and for how long.
const LOOK: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(300));
/// Seconds between scrapes: a server waits no longer for its first one, and few are measured with the page.
const INTERVAL: u64 = 60;
/// Nobody is there to answer at these, and nearly none is asked while it is measured.
const LISTED: &str = "shard-0.invalid:9100";

/// Measures the page.
#[derive(Debug, Parser)]
#[command(name = "page")]
struct Flags {
    /// Series of the graph.
    #[arg(long, default_value_t = 1_000)]
    series: usize,
    /// Targets of the list.
    #[arg(long, default_value_t = 20_000)]
    targets: usize,
    /// How often each is opened, each time with nothing cached.
    #[arg(long, default_value_t = 9)]
    runs: usize,
    /// The folder `web/ui` of Prometheus' sources with its page built in `static/`; the program itself is built without.
    #[arg(long, requires = "prometheus")]
    prometheus_page: Option<PathBuf>,
    /// Where Weft's `ui/` is, for the browser's driver.
    #[arg(long, default_value = "ui")]
    ui: PathBuf,
    /// The servers.
    #[command(flatten)]
    binaries: Binaries,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let options =
        RuleOptions { rules: 0, targets: 1, series: flags.series * 100, interval: INTERVAL, query: String::new() };
    let served = Targets::serve(&options)?;
    let sheets =
        side_by_side("page", &flags.binaries, |folder, sheet| measure(&flags, (&served, &options), folder, sheet))?;
    writeln!(std::io::stdout(), "\n{} series, {} targets, {} runs", flags.series, flags.targets, flags.runs)?;
    write!(std::io::stdout(), "{}", table(&sheets))?;
    Ok(())
}

fn measure(flags: &Flags, (served, options): (&Targets, &RuleOptions), folder: &Path, sheet: &mut Sheet) -> Result<()> {
    let listed: Vec<String> = (0..flags.targets).map(|i| format!("shard-{i}.invalid:9100")).collect();
    let job = format!(
        "- job_name: shards\n  scrape_interval: 1d\n  static_configs: [{{targets: [{}]}}]\n",
        listed.join(", ")
    );
    let home = home(flags, folder, sheet.server.kind)?;
    let configuration = served.configuration(options) + &job;
    let (mut process, port) = sheet.server.start((folder, &home), &configuration, &[])?;
    let http = Http::new(port);
    let query = "metric_0_total";
    process.until(LOOK, || {
        let answer: Value = serde_json::from_slice(&http.get(&format!("/api/v1/query?query=count({query})"))?.body)?;
        Ok(answer["data"]["result"][0]["value"][1].as_str() == Some(&flags.series.to_string()))
    })?;
    let before = process.cpu()?;
    let found = drive(flags, port, &format!("sin({query} @ end() + time() / 600)"))?;
    let spent = process.cpu()? - before;
    for step in ["graph", "targets"] {
        for (field, unit, scale) in [
            ("ready_ms", "ms", 1.0),
            ("paint_ms", "ms", 1.0),
            ("busy_s", "ms", 1e3),
            ("bytes", "kB", 1e-3),
            ("heap", "MB", 1e-6),
        ] {
            let name = field.split('_').next().unwrap_or(field);
            sheet.put(format!("{step}: {name}"), unit, median(&found[step], field).map(|value| value * scale));
        }
    }
    sheet.put("CPU of the server, all runs", "s", spent.as_secs_f64());
    Ok(())
}

/// Where the server is started. Prometheus built without its page looks for it in `web/ui` of a folder that is called as it is.
fn home(flags: &Flags, folder: &Path, kind: Kind) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let (Kind::Prometheus, Some(page)) = (kind, &flags.prometheus_page) else { return Ok(folder.to_owned()) };
    let home = folder.join("prometheus");
    std::fs::create_dir_all(home.join("web"))?;
    std::os::unix::fs::symlink(std::path::absolute(page)?, home.join("web/ui"))?;
    Ok(home)
}

/// Lets the browser open everything.
fn drive(flags: &Flags, port: u16, query: &str) -> Result<Value> {
    let output = Command::new("node")
        .arg("bench/page.mjs")
        .current_dir(&flags.ui)
        .env("WEFT_BENCH_URL", format!("http://127.0.0.1:{port}"))
        .env("WEFT_BENCH_RUNS", flags.runs.to_string())
        .env("WEFT_BENCH_QUERY", query)
        .env("WEFT_BENCH_TARGET", LISTED)
        .output()
        .context("cannot start node")?;
    if !output.status.success() {
        bail!("ui/bench/page.mjs failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn median(runs: &Value, field: &str) -> Option<f64> {
    let mut values: Vec<f64> = runs.as_array()?.iter().filter_map(|run| run[field].as_f64()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
