//! An answer of a hundred megabytes of Weft beside that of Prometheus: how long until its first and its last byte, what it costs, and
//! how much memory it takes, read as fast as it comes.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use benches::http::Http;
use benches::process::Process;
use benches::report::{Sheet, side_by_side, table};
use benches::rules::{RuleOptions, Targets};
use benches::servers::Binaries;
use clap::Parser;
use model::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// How often it is looked whether the target was scraped, and for how long.
const LOOK: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(120));
/// Seconds between scrapes: a server waits no longer for its first one, and few are measured with the answers.
const INTERVAL: u64 = 60;
/// Steps of the query.
const STEPS: i64 = 4_000;

/// Measures a large answer.
#[derive(Debug, Parser)]
#[command(name = "large_answer")]
struct Flags {
    /// Series of the answer.
    #[arg(long, default_value_t = 1_000)]
    series: usize,
    /// How often it is asked for.
    #[arg(long, default_value_t = 7)]
    runs: usize,
    /// The servers.
    #[command(flatten)]
    binaries: Binaries,
}

/// One answer.
struct Took {
    first_ms: f64,
    last_ms: f64,
    bytes: usize,
    cpu_ms: f64,
    resident: f64,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let options =
        RuleOptions { rules: 0, targets: 1, series: flags.series * 100, interval: INTERVAL, query: String::new() };
    let served = Targets::serve(&options)?;
    let sheets = side_by_side("large", &flags.binaries, |folder, sheet| {
        measure(&flags, &served.configuration(&options), folder, sheet)
    })?;
    writeln!(std::io::stdout(), "\n{} series, {STEPS} steps, median of {} runs", flags.series, flags.runs)?;
    write!(std::io::stdout(), "{}", table(&sheets))?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "numbers of bytes")]
fn measure(flags: &Flags, configuration: &str, folder: &Path, sheet: &mut Sheet) -> Result<()> {
    let (mut process, port) = sheet.server.start((folder, folder), configuration, &[])?;
    let http = Http::new(port);
    process.until(LOOK, || {
        let answer: Value = serde_json::from_slice(&http.get("/api/v1/query?query=count(metric_0_total)")?.body)?;
        Ok(answer["data"]["result"][0]["value"][1].as_str() == Some(&flags.series.to_string()))
    })?;
    let end = Timestamp::now().0 / 1000;
    let query = "sin(metric_0_total @ end() + time() / 600)";
    let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
    let path = format!("/api/v1/query_range?query={query}&start={}&end={end}&step=1", end - STEPS + 1);
    let before = process.memory()?.resident;
    let runs = (0..flags.runs).map(|_| ask(port, &path, &process)).collect::<Result<Vec<_>>>()?;
    let median = |of: fn(&Took) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    sheet.put("length", "MB", median(|took| took.bytes as f64 / 1e6));
    sheet.put("first byte", "ms", median(|took| took.first_ms));
    sheet.put("last byte", "ms", median(|took| took.last_ms));
    sheet.put("CPU", "ms", median(|took| took.cpu_ms));
    sheet.put("memory before", "MB", before / 1e6);
    sheet.put("memory at most", "MB", runs.iter().map(|took| took.resident).fold(0.0, f64::max) / 1e6);
    Ok(())
}

fn ask(port: u16, path: &str, process: &Process) -> Result<Took> {
    let (began, before) = (Instant::now(), process.cpu()?);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
    let mut piece = vec![0; 1 << 20];
    let mut took = Took { first_ms: 0.0, last_ms: 0.0, bytes: 0, cpu_ms: 0.0, resident: 0.0 };
    loop {
        let n = stream.read(&mut piece)?;
        if took.bytes == 0 {
            took.first_ms = began.elapsed().as_secs_f64() * 1e3;
            if !piece[..n].starts_with(b"HTTP/1.1 200") {
                bail!("{path}: {}", String::from_utf8_lossy(&piece[..n.min(300)]));
            }
        }
        took.bytes += n;
        took.resident = took.resident.max(process.memory()?.resident);
        if n == 0 {
            took.last_ms = began.elapsed().as_secs_f64() * 1e3;
            took.cpu_ms = (process.cpu()? - before).as_secs_f64() * 1e3;
            return Ok(took);
        }
    }
}
