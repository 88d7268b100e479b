//! Requests a second of Weft beside Prometheus: the same fleet, one server after another, asked by a number of clients that keep
//! their connections. What scraping costs meanwhile is taken off.

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use benches::clock::wait;
use benches::fleet::FleetOptions;
use benches::fleet::catalogue::APPS;
use benches::http::{Http, escape, seconds};
use benches::options::BenchOptions;
use benches::phases::stage::Stage;
use benches::report::{Sheet, side_by_side, table};
use benches::servers::Binaries;
use clap::Parser;
use model::Timestamp;

/// How long the cost of scraping is measured alone.
const IDLE: Duration = Duration::from_secs(10);
/// Panels of the dashboard.
const PANELS: usize = 40;

/// Measures requests.
#[derive(Debug, Parser)]
#[command(name = "requests")]
struct Flags {
    /// Targets and their series.
    #[command(flatten)]
    fleet: FleetOptions,
    /// Seconds between scrapes.
    #[arg(long, default_value_t = 10)]
    interval: u64,
    /// Seconds of scraping before anything is asked.
    #[arg(long, default_value_t = 60)]
    warmup: u64,
    /// Clients that ask at once.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Seconds for each kind of request.
    #[arg(long, default_value_t = 5)]
    duration: u64,
    /// Clients that open the dashboard at once.
    #[arg(long, default_value_t = 20)]
    viewers: usize,
    /// The servers.
    #[command(flatten)]
    binaries: Binaries,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let fleet = std::env::current_exe()?.with_file_name("fleet");
    let sheets = side_by_side("requests", &flags.binaries, |folder, sheet| measure(&flags, (&fleet, folder), sheet))?;
    let FleetOptions { targets, series, .. } = flags.fleet;
    writeln!(std::io::stdout(), "\n{} series, {} clients", targets * series, flags.clients)?;
    write!(std::io::stdout(), "{}", table(&sheets))?;
    Ok(())
}

/// The kinds of requests, by name.
fn requests(pod: &str, from: Timestamp, to: Timestamp) -> Vec<(&'static str, String)> {
    let now = |query: &str| format!("/api/v1/query?query={}", escape(query));
    let matching = |path: &str, selector: &str| format!("/api/v1/{path}match[]={}", escape(selector));
    let one = format!("process_resident_memory_bytes{{pod=\"{pod}\"}}");
    let range = format!("start={}&end={}&", seconds(from), seconds(to));
    vec![
        ("instant query, one series", now(&one)),
        ("range query, one series", format!("/api/v1/query_range?{range}step=10&query={}", escape(&one))),
        ("label names", "/api/v1/labels".to_owned()),
        ("values of __name__", "/api/v1/label/__name__/values".to_owned()),
        ("values of __name__, in a range", format!("/api/v1/label/__name__/values?{range}")),
        ("values of pod", "/api/v1/label/pod/values".to_owned()),
        ("values of pod, in a range", format!("/api/v1/label/pod/values?{range}")),
        ("values of pod, one metric", matching("label/pod/values?", "http_requests_total")),
        ("series of one pod", matching("series?", &format!("{{pod=\"{pod}\"}}"))),
        ("series of one pod, in a range", matching(&format!("series?{range}"), &format!("{{pod=\"{pod}\"}}"))),
        ("series of one metric, limit", matching("series?limit=2000&", "http_requests_total")),
        (
            "series of one metric, limit, in a range",
            matching(&format!("series?{range}limit=2000&"), "http_requests_total"),
        ),
        ("series of one metric", matching("series?", "http_rate_limit")),
    ]
}

fn measure(flags: &Flags, places: (&Path, &Path), sheet: &mut Sheet) -> Result<()> {
    let options = BenchOptions {
        interval: flags.interval,
        block_duration: String::new(),
        ..BenchOptions::read(&["requests".to_owned()])
    };
    let from = Timestamp::now();
    let stage = Stage::start(&sheet.server.clone(), &flags.fleet, &options, places)?;
    wait(Duration::from_secs(flags.warmup));
    let to = Timestamp::now();
    let pod = stage.some_pod(to)?;
    sheet.put("memory before", "MB", stage.process.memory()?.resident / 1e6);
    let before = stage.process.cpu()?;
    wait(IDLE);
    let idle = (stage.process.cpu()? - before).as_secs_f64() / IDLE.as_secs_f64();
    sheet.put("CPU of scraping, a second", "s", idle);
    for (name, path) in requests(&pod, from, to) {
        // What the server keeps of an answer is there before it is measured, as it is when dashboards refresh.
        let first = stage.http.get(&path)?;
        if first.status != 200 {
            bail!("{path}: {}", first.status);
        }
        let until = Instant::now() + Duration::from_secs(flags.duration);
        let (before, began) = (stage.process.cpu()?, Instant::now());
        let done = ask(stage.http, flags.clients, |_| (Instant::now() < until).then_some(&*path))?;
        let took = began.elapsed().as_secs_f64();
        let cpu = (stage.process.cpu()? - before).as_secs_f64() - idle * took;
        #[expect(clippy::cast_precision_loss, reason = "a number of requests")]
        let done = done as f64;
        sheet.put(format!("{name}: requests"), "1/s", done / took);
        sheet.put(format!("{name}: CPU a request"), "us", cpu / done * 1e6);
        #[expect(clippy::cast_precision_loss, reason = "a number of bytes")]
        sheet.put(format!("{name}: length"), "kB", first.body.len() as f64 / 1e3);
    }
    dashboard(flags, &stage, (from, to, idle), sheet)?;
    sheet.put("memory afterwards", "MB", stage.process.memory()?.resident / 1e6);
    Ok(())
}

/// All viewers open a dashboard at the same time.
fn dashboard(
    flags: &Flags,
    stage: &Stage,
    (from, to, idle): (Timestamp, Timestamp, f64),
    sheet: &mut Sheet,
) -> Result<()> {
    let step = ((to - from) / 60_000).max(1);
    let window = 4 * flags.interval;
    let panels: Vec<String> = (0..PANELS)
        .map(|i| {
            let app = APPS[i / 2 % APPS.len()].0;
            let query = if i % 2 == 0 {
                format!("sum by (code) (rate(http_requests_total{{app=\"{app}\"}}[{window}s]))")
            } else {
                format!("histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{{app=\"{app}\"}}[{window}s])))")
            };
            format!("/api/v1/query_range?start={}&end={}&step={step}&query={}", seconds(from), seconds(to), escape(&query))
        })
        .collect();
    let (before, began) = (stage.process.cpu()?, Instant::now());
    let done = ask(stage.http, flags.viewers, |asked| panels.get(asked).map(String::as_str))?;
    let took = began.elapsed().as_secs_f64();
    let cpu = (stage.process.cpu()? - before).as_secs_f64() - idle * took;
    if done != flags.viewers * PANELS {
        bail!("{done} panels were answered");
    }
    sheet.put(format!("dashboard of {PANELS} panels, {} viewers: time", flags.viewers), "s", took);
    sheet.put(format!("dashboard of {PANELS} panels, {} viewers: CPU", flags.viewers), "s", cpu);
    Ok(())
}

/// Lets a number of clients ask for what `next` names, given how many requests this client has sent, until it names nothing;
/// returns the number of answers.
fn ask<'p>(http: Http, clients: usize, next: impl Fn(usize) -> Option<&'p str> + Sync) -> Result<usize> {
    let answers = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let client = || -> Result<()> {
            let mut connection = http.connect()?;
            let mut asked = 0;
            while let Some(path) = next(asked) {
                let (status, _) = connection.get(path).with_context(|| path.to_owned())?;
                if status != 200 {
                    bail!("{path}: {status}");
                }
                asked += 1;
            }
            answers.fetch_add(asked, Ordering::Relaxed);
            Ok(())
        };
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        for client in clients {
            client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        Ok(answers.load(Ordering::Relaxed))
    })
}
