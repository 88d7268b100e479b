//! `/federate` of Weft beside that of Prometheus: the same targets, one server after another, each asked for all series in the
//! formats that a Prometheus asks for. What scraping costs meanwhile is taken off.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use benches::clock::wait;
use benches::http::Http;
use benches::report::{Sheet, side_by_side, table};
use benches::rules::{RuleOptions, Targets};
use benches::servers::Binaries;
use clap::Parser;

/// How often it is looked whether all targets were scraped, and for how long.
const LOOK: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(600));
/// How long the cost of scraping is measured alone.
const IDLE: Duration = Duration::from_secs(10);

const PROTOBUF: &str =
    "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited\r\n";
const GZIP: &str = "Accept-Encoding: gzip\r\n";

/// Measures federation.
#[derive(Debug, Parser)]
#[command(name = "federate")]
struct Flags {
    /// Targets.
    #[arg(long, default_value_t = 20)]
    targets: usize,
    /// Series of a target.
    #[arg(long, default_value_t = 5_000)]
    series: usize,
    /// Seconds between scrapes.
    #[arg(long, default_value_t = 60)]
    interval: u64,
    /// Requests in each format.
    #[arg(long, default_value_t = 20)]
    requests: u32,
    /// The servers.
    #[command(flatten)]
    binaries: Binaries,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let Flags { targets, series, interval, .. } = flags;
    let options = RuleOptions { rules: 0, targets, series, interval, query: String::new() };
    let served = Targets::serve(&options)?;
    let sheets =
        side_by_side("federate", &flags.binaries, |folder, sheet| measure(&flags, (&served, &options), folder, sheet))?;
    writeln!(std::io::stdout(), "\n{} series, {} requests in each format", targets * series, flags.requests)?;
    write!(std::io::stdout(), "{}", table(&sheets))?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "numbers of series and bytes")]
fn measure(flags: &Flags, (served, options): (&Targets, &RuleOptions), folder: &Path, sheet: &mut Sheet) -> Result<()> {
    let (mut process, port) = sheet.server.start((folder, folder), &served.configuration(options), &[])?;
    let http = Http::new(port);
    let wanted = flags.targets * flags.series;
    let path = "/federate?match[]=%7B__name__%3D~%22metric_.*%22%7D";
    process.until(LOOK, || Ok(lines(&http.get(path)?.body) == wanted))?;
    sheet.put("memory before", "MB", process.memory()?.resident / 1e6);
    let before = process.cpu()?;
    wait(IDLE);
    let idle = (process.cpu()? - before).as_secs_f64() / IDLE.as_secs_f64();
    sheet.put("CPU of scraping, a second", "s", idle);
    for (name, head) in [
        ("text", String::new()),
        ("protobuf", PROTOBUF.to_owned()),
        ("text, gzip", GZIP.to_owned()),
        ("protobuf, gzip", format!("{PROTOBUF}{GZIP}")),
    ] {
        let (mut took, mut bytes) = (Vec::new(), 0);
        let (began, before) = (Instant::now(), process.cpu()?);
        for _ in 0..flags.requests {
            let answer = http.get_with(path, &head)?;
            if answer.status != 200 {
                bail!("{path}: {}", answer.status);
            }
            took.push(answer.took);
            bytes = answer.body.len();
        }
        let spent = (process.cpu()? - before).as_secs_f64() - idle * began.elapsed().as_secs_f64();
        took.sort_unstable();
        sheet.put(format!("{name}: CPU a request"), "ms", spent / f64::from(flags.requests) * 1e3);
        sheet.put(format!("{name}: median"), "ms", took[took.len() / 2].as_secs_f64() * 1e3);
        sheet.put(format!("{name}: length"), "MB", bytes as f64 / 1e6);
    }
    sheet.put("memory afterwards", "MB", process.memory()?.resident / 1e6);
    Ok(())
}

/// Lines of samples.
fn lines(page: &[u8]) -> usize {
    page.split(|b| *b == b'\n').filter(|line| line.first().is_some_and(|b| *b != b'#')).count()
}
