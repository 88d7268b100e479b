//! Recording rules of Weft beside those of Prometheus: the same targets and rule file, one server after another.
//!
//! Each rule sums the rates of one series of every target. The targets are served by this program, so that the CPU time of a server
//! is its own; half of the time it runs without rules, and what that costs is taken off.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use benches::clock::wait;
use benches::http::Http;
use benches::process::Process;
use benches::report::{Sheet, side_by_side, table};
use benches::rules::{RuleOptions, Targets};
use benches::servers::Binaries;
use clap::Parser;

/// A server that takes longer to evaluate all groups is given up.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often it is looked, and for how long.
const LOOK: (Duration, Duration) = (Duration::from_millis(200), PATIENCE);

/// Measures the evaluation of recording rules.
#[derive(Debug, Parser)]
#[command(name = "rules")]
struct Flags {
    #[command(flatten)]
    rules: RuleOptions,
    /// Intervals in which CPU is measured, with rules and without.
    #[arg(long, default_value_t = 4)]
    intervals: u32,
    /// The servers.
    #[command(flatten)]
    binaries: Binaries,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let targets = Targets::serve(&flags.rules)?;
    let sheets = side_by_side("rules", &flags.binaries, |folder, sheet| measure(&flags, &targets, folder, sheet))?;
    let RuleOptions { rules, targets, series, interval, .. } = flags.rules;
    writeln!(std::io::stdout(), "\n{rules} rules, {} series, {interval} s", targets * series)?;
    write!(std::io::stdout(), "{}", table(&sheets))?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a number of rules")]
fn measure(flags: &Flags, targets: &Targets, folder: &Path, sheet: &mut Sheet) -> Result<()> {
    let configuration = targets.configuration(&flags.rules);
    let (mut process, port) = sheet.server.start((folder, folder), &configuration, &["--web.enable-lifecycle"])?;
    let http = Http::new(port);
    let interval = Duration::from_secs(flags.rules.interval);
    // Two scrapes of every target: a rate has a value.
    let scrapes = 2 * flags.rules.targets as u64 + targets.served();
    process.until(LOOK, || Ok(targets.served() >= scrapes))?;
    let without = spent(&process, interval * flags.intervals)?;
    sheet.put("CPU of scraping, an interval", "s", without / f64::from(flags.intervals));
    sheet.put("memory before the rules", "MB", process.memory()?.resident / 1e6);

    std::fs::write(folder.join("rules.yml"), flags.rules.file())?;
    let (began, before) = (Instant::now(), process.cpu()?);
    let answer = http.post("/-/reload")?;
    if answer.status != 200 {
        bail!("/-/reload: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    sheet.put("loading the rules", "s", began.elapsed().as_secs_f64());
    sheet.put("CPU of it", "s", (process.cpu()? - before).as_secs_f64());
    let expected = flags.rules.rules as f64;
    let evaluations = || http.metric("prometheus_rule_evaluations_total", "");
    process.until(LOOK, || Ok(evaluations()? >= Some(2.0 * expected)))?;
    let counted = evaluations()?.unwrap_or_default();
    let with = spent(&process, interval * flags.intervals)?;
    let done = evaluations()?.unwrap_or_default() - counted;
    sheet.put("CPU with rules, an interval", "s", with / f64::from(flags.intervals));
    sheet.put("CPU an evaluation, scraping taken off", "us", (with - without) / done * 1e6);
    sheet.put("memory with rules", "MB", process.memory()?.resident / 1e6);
    sheet.put("evaluations", "", done);
    sheet.put("of them failed", "", http.metric("prometheus_rule_evaluation_failures_total", "")?);
    sheet.put("missed iterations", "", http.metric("prometheus_rule_group_iterations_missed_total", "")?);
    Ok(())
}

/// CPU time of a process in a span of time, seconds.
fn spent(process: &Process, time: Duration) -> Result<f64> {
    let before = process.cpu()?;
    wait(time);
    Ok((process.cpu()? - before).as_secs_f64())
}
