//! `/federate` of Weft beside that of Prometheus: the same targets, one server after another, each asked for all series in the
//! formats that a Prometheus asks for. What scraping costs meanwhile is taken off.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use benches::clock::wait;
use benches::http::Http;
use benches::process::Process;
use benches::report::{Sheet, side_by_side, table};
use benches::rules::{RuleOptions, Targets};
use benches::servers::Start;
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
    /// Weft's binary.
    #[arg(long, default_value = "target/release/weft")]
    weft: PathBuf,
    /// Prometheus' binary; without it Weft is measured alone.
    #[arg(long)]
    prometheus: Option<PathBuf>,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let Flags { targets, series, interval, .. } = flags;
    let options = RuleOptions { rules: 0, targets, series, interval, query: String::new() };
    let served = Targets::serve(&options)?;
    let sheets = side_by_side("federate", (&flags.weft, flags.prometheus.as_ref()), |folder, sheet| {
        measure(&flags, (&served, &options), folder, sheet)
    })?;
    writeln!(std::io::stdout(), "\n{} series, {} requests in each format", targets * series, flags.requests)?;
    write!(std::io::stdout(), "{}", table(&sheets))?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "numbers of series and bytes")]
fn measure(flags: &Flags, (served, options): (&Targets, &RuleOptions), folder: &Path, sheet: &mut Sheet) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let config = folder.join("prometheus.yml");
    std::fs::write(&config, served.configuration(options))?;
    std::fs::write(folder.join("rules.yml"), "groups: []\n")?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let start = Start { config: &config, data: &folder.join("data"), port, block_duration: "" };
    let args = sheet.server.kind.args(start);
    let mut process = Process::start(&sheet.server.binary, &args, &folder.join("server.log"), false)?;
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
