//! A fleet and a server on it.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use model::Timestamp;
use serde_json::Value;

use crate::clock::wait;
use crate::fleet::FleetOptions;
use crate::http::{Http, instant};
use crate::machine;
use crate::options::BenchOptions;
use crate::process::{Memory, Process};
use crate::report::Sheet;
use crate::servers::{Server, Start};

/// A series that every target has once: whole seconds since the target was born.
pub(super) const UPTIME: &str = "fleet_uptime_seconds_total";
/// The port of all targets.
const TARGETS_PORT: u16 = 9_700;
/// A server that takes longer to begin, or to end its work on a phase, is given up.
const PATIENCE: Duration = Duration::from_secs(300);

/// A fleet and a server on it; both end when it is dropped.
#[derive(Debug)]
pub struct Stage {
    pub(super) server: Server,
    /// The server's.
    pub process: Process,
    /// Where it answers.
    pub http: Http,
    pub(super) interval: u64,
    pub(super) data: PathBuf,
    pub(super) targets: usize,
    pub(super) series: usize,
    args: Vec<String>,
    log: PathBuf,
    fleet: Http,
    // The fleet ends when its standard input does.
    fleet_process: (Process, Option<ChildStdin>),
}

/// Counters at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) cpu: Duration,
    pub(super) stored: f64,
    pub(super) served: f64,
    pub(super) fleet_cpu: Duration,
    /// Of all programs on the machine.
    pub(super) machine_cpu: Duration,
    pub(super) at: Instant,
}

impl Stage {
    /// Starts both in a new folder, and waits until every target has been scraped.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(
        server: &Server,
        fleet: &FleetOptions,
        options: &BenchOptions,
        (fleet_binary, folder): (&Path, &Path),
    ) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        let targets_file = folder.join("targets.json");
        let (fleet_process, input, control) = start_fleet(fleet, fleet_binary, &targets_file, &folder)?;
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, scrape_config(options.interval, &targets_file))?;
        let (port, data) = (free_port()?, folder.join("data"));
        std::fs::create_dir_all(&data)?;
        let start = Start { config: &config, data: &data, port, block_duration: &options.block_duration };
        let (args, log) = (server.kind.args(start), folder.join("server.log"));
        let process = Process::start(&server.binary, &args, &log, false)?;
        let mut stage = Self {
            server: server.clone(),
            process,
            http: Http::new(port),
            interval: options.interval,
            data,
            targets: fleet.targets,
            series: fleet.targets * fleet.series,
            args,
            log,
            fleet: control,
            fleet_process: (fleet_process, input),
        };
        stage.until_all_scraped()?;
        Ok(stage)
    }

    /// What was started.
    pub(super) fn command(&self) -> String {
        format!("{} {}", self.server.binary.display(), self.args.join(" "))
    }

    /// Starts the server again on the same data.
    pub(super) fn restart(&mut self) -> Result<()> {
        self.process = Process::start(&self.server.binary, &self.args, &self.log, false)?;
        Ok(())
    }

    /// Waits until the server answers for every target.
    pub(super) fn until_all_scraped(&mut self) -> Result<()> {
        #[expect(clippy::cast_precision_loss, reason = "a number of targets")]
        let all = self.targets as f64;
        self.until(|stage| {
            let count = stage.http.number(&format!("count({UPTIME})"), Timestamp::now());
            Ok(matches!(count, Ok(Some(count)) if count >= all))
        })
        .context("not every target is scraped")
    }

    /// Waits until something is so, for some minutes at most.
    pub(super) fn until(&mut self, mut so: impl FnMut(&mut Self) -> Result<bool>) -> Result<()> {
        let begin = Instant::now();
        while !so(self)? {
            self.alive()?;
            if begin.elapsed() > PATIENCE {
                bail!("{} did not get there in {PATIENCE:?}; {}", self.server.kind.name(), last_words(&self.log));
            }
            wait(Duration::from_millis(200));
        }
        Ok(())
    }

    fn alive(&mut self) -> Result<()> {
        self.process.check().with_context(|| last_words(&self.log))
    }

    /// Counters now.
    pub(super) fn counts(&self) -> Result<Counts> {
        Ok(Counts {
            stored: self.server.kind.stored(self.http)?,
            served: self.ask_fleet("/counts")?["samples"].as_f64().unwrap_or_default(),
            cpu: self.process.cpu()?,
            fleet_cpu: self.fleet_process.0.cpu()?,
            machine_cpu: machine::busy(),
            at: Instant::now(),
        })
    }

    /// Lets so many seconds pass; the memory at each of them.
    pub(super) fn watch(&mut self, seconds: u64) -> Result<Vec<Memory>> {
        let begin = Instant::now();
        let mut readings = Vec::new();
        for second in 1..=seconds {
            wait((begin + Duration::from_secs(second)).saturating_duration_since(Instant::now()));
            self.alive()?;
            readings.push(self.process.memory()?);
        }
        Ok(readings)
    }

    /// The name of a pod that was scraped at a time.
    ///
    /// # Errors
    /// When there is none.
    pub fn some_pod(&self, at: Timestamp) -> Result<String> {
        let found = self.http.json(&instant(&format!("{UPTIME}{{app=\"checkout\"}}"), at))?;
        let pod = found["data"]["result"][0]["metric"]["pod"].as_str();
        Ok(pod.context("no pod of the app checkout is scraped")?.to_owned())
    }

    /// A word to the fleet.
    pub(super) fn ask_fleet(&self, path: &str) -> Result<Value> {
        self.fleet.json(path)
    }

    /// Takes all targets away and waits until the server has noticed.
    pub(super) fn pause(&mut self) -> Result<()> {
        self.ask_fleet("/pause")?;
        let mut last = -1.0;
        self.until(|stage| {
            // Longer than an interval without a scrape.
            wait(Duration::from_secs(stage.interval + 1));
            let scrapes = stage.ask_fleet("/counts")?["scrapes"].as_f64().unwrap_or_default();
            let done = scrapes <= last;
            last = scrapes;
            Ok(done)
        })
        .context("the server goes on scraping targets that are gone")
    }

    /// Brings the targets back and waits until all have been scraped again.
    pub(super) fn resume(&mut self) -> Result<()> {
        let before = self.ask_fleet("/counts")?["scrapes"].as_f64().unwrap_or_default();
        self.ask_fleet("/resume")?;
        self.until(|stage| Ok(stage.ask_fleet("/counts")?["scrapes"].as_f64().unwrap_or_default() > before))?;
        self.until_all_scraped()
    }
}

/// Median of the last part of the readings: one in `of`.
pub(super) fn settled(readings: &[Memory], of: usize) -> Memory {
    let last = &readings[readings.len() - readings.len().div_ceil(of)..];
    let median = |pick: fn(&Memory) -> f64| {
        let mut values: Vec<f64> = last.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    Memory { resident: median(|memory| memory.resident), anonymous: median(|memory| memory.anonymous) }
}

/// Remarks when a server stored more or fewer samples than the fleet handed over. It stores up to eight of its own for
/// a scrape (`up`, `scrape_duration_seconds`, …).
pub(super) fn compare(stage: &Stage, (from, to): (Counts, Counts), phase: &str, sheet: &mut Sheet) {
    #[expect(clippy::cast_precision_loss, reason = "a number of series")]
    let own = 8.0 / (stage.series as f64 / stage.targets as f64);
    let ratio = (to.stored - from.stored) / (to.served - from.served);
    if !(0.95..1.03 + own).contains(&ratio) {
        sheet.note(format!("{phase}: stored {:.1} % of the samples that the fleet handed over", ratio * 100.0));
    }
}

fn start_fleet(
    fleet: &FleetOptions,
    binary: &Path,
    targets_file: &Path,
    folder: &Path,
) -> Result<(Process, Option<ChildStdin>, Http)> {
    let mut args = vec![
        format!("--targets={}", fleet.targets),
        format!("--series={}", fleet.series),
        format!("--series-churn-per-mille={}", fleet.series_churn_per_mille),
        format!("--series-churn-every={}", fleet.series_churn_every),
        format!("--seed={}", fleet.seed),
        format!("--port={TARGETS_PORT}"),
        format!("--targets-file={}", targets_file.display()),
    ];
    if fleet.gzip {
        args.push("--gzip".to_owned());
    }
    let mut process = Process::start(binary, &args, &folder.join("fleet.log"), true)?;
    let (input, output) = process.pipes();
    let mut line = String::new();
    BufReader::new(output.context("BUG: the fleet has no output")?).read_line(&mut line)?;
    let port = line.trim().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let port = port.with_context(|| format!("the fleet did not start; {}", last_words(&folder.join("fleet.log"))))?;
    Ok((process, input, Http::new(port)))
}

/// The same text for every server.
fn scrape_config(interval: u64, targets_file: &Path) -> String {
    format!(
        "global:\n  scrape_interval: {interval}s\n  scrape_timeout: {}s\nscrape_configs:\n  - job_name: fleet\n    \
         file_sd_configs:\n      - files: ['{}']\n",
        interval.min(10),
        targets_file.display()
    )
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The end of a log, for those who will not find the file any more.
fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    format!("its last messages:\n{}", lines[lines.len().saturating_sub(8)..].join("\n"))
}
