//! Kubernetes discovery of Weft beside that of Prometheus: the same cluster, the same jobs, one server after another.
//!
//! The API server is a process of its own, this program with `--serve`. Pods are discovered twice, as pods and as addresses of
//! endpoints; nearly all are dropped by the last of ten rules, so that scraping is not what is measured.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::ChildStdin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use benches::clock::wait;
use benches::http::Http;
use benches::kube_api::{Api, ClusterOptions, KEPT_ONE_IN, serve};
use benches::process::Process;
use benches::report::{Sheet, side_by_side, table};
use benches::servers::{Binaries, Server, Start};
use clap::Parser;
use tokio::sync::oneshot;

/// A server that takes longer to know all targets is given up.
const PATIENCE: Duration = Duration::from_secs(900);
/// How often it is looked whether a change has arrived.
const POLL: Duration = Duration::from_millis(20);
/// The containers of a pod: each is a target, of the pod and of the endpoints that lead to it.
const CONTAINERS: usize = 2;

/// Measures Kubernetes discovery.
#[derive(Debug, Parser)]
#[command(name = "discovery")]
struct Flags {
    #[command(flatten)]
    cluster: ClusterOptions,
    /// Pods that change each second.
    #[arg(long, default_value_t = 500)]
    changes: usize,
    /// Seconds of changes in which CPU is measured.
    #[arg(long, default_value_t = 30)]
    duration: u64,
    /// Seconds without changes before memory is read.
    #[arg(long, default_value_t = 20)]
    settle: u64,
    /// Pods whose delay is measured, while others change.
    #[arg(long, default_value_t = 10)]
    delays: usize,
    /// The servers.
    #[command(flatten)]
    binaries: Binaries,
    /// Only the API server, until standard input ends.
    #[arg(long, hide = true)]
    serve: bool,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    if flags.serve {
        return serve_api(&flags);
    }
    let sheets = side_by_side("discovery", &flags.binaries, |folder, sheet| {
        let measured = measure(&flags, folder, sheet);
        if measured.is_err() {
            writeln!(std::io::stdout(), "{}", last_words(&folder.join("server.log")))?;
        }
        measured
    })?;
    let ClusterOptions { nodes, pods, services, .. } = flags.cluster;
    writeln!(std::io::stdout(), "\n{nodes} nodes, {pods} pods, {services} services")?;
    write!(std::io::stdout(), "{}", table(&sheets))?;
    Ok(())
}

/// The API server; says its port first.
fn serve_api(flags: &Flags) -> Result<()> {
    let (sender, end) = oneshot::channel();
    // A thread of its own may wait for that longer than the program lasts.
    std::thread::spawn(move || {
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).ok();
        sender.send(()).ok();
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?.port())?;
        serve::run(Arc::new(Api::new(&flags.cluster)), listener, end).await
    })
}

/// A server that discovers, and the API server that it asks.
struct Stage {
    process: Process,
    http: Http,
    api: Http,
    // Ends when its standard input does.
    _api_process: (Process, Option<ChildStdin>),
}

impl Stage {
    fn start(flags: &Flags, server: &Server, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let (api_process, input, api_port) = start_api(flags, folder)?;
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, configuration(api_port))?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let start = Start { config: &config, data: &folder.join("data"), port, block_duration: "" };
        let process = Process::start(&server.binary, &server.kind.args(start), &folder.join("server.log"), false)?;
        let (http, api) = (Http::new(port), Http::new(api_port));
        Ok(Self { process, http, api, _api_process: (api_process, input) })
    }

    /// Waits until something is so.
    fn until(&mut self, every: Duration, mut so: impl FnMut(Http) -> Result<bool>) -> Result<Duration> {
        let http = self.http;
        self.process.until((every, PATIENCE), || so(http))
    }

    fn tell(&self, path: &str) -> Result<()> {
        self.api.text(path).map(drop)
    }
}

fn start_api(flags: &Flags, folder: &Path) -> Result<(Process, Option<ChildStdin>, u16)> {
    let ClusterOptions { nodes, pods, services, namespaces, replaced_per_mille } = &flags.cluster;
    let args = [
        "--serve".to_owned(),
        format!("--nodes={nodes}"),
        format!("--pods={pods}"),
        format!("--services={services}"),
        format!("--namespaces={namespaces}"),
        format!("--replaced-per-mille={replaced_per_mille}"),
    ];
    let mut process = Process::start(&std::env::current_exe()?, &args, &folder.join("api.log"), true)?;
    let (input, output) = process.pipes();
    let mut line = String::new();
    BufReader::new(output.context("BUG: the API server has no output")?).read_line(&mut line)?;
    Ok((process, input, line.trim().parse().context("the API server does not say its port")?))
}

/// The same for both: pods and endpoints, each with the rules that most clusters have. The last one keeps few.
fn configuration(api_port: u16) -> String {
    let job = |name: &str, role: &str, kept_by: &str| {
        format!(
            r"
  - job_name: {name}
    kubernetes_sd_configs: [{{role: {role}, api_server: 'http://127.0.0.1:{api_port}'}}]
    relabel_configs:
      - {{action: drop, source_labels: [__meta_kubernetes_pod_phase], regex: 'Pending|Succeeded|Failed|Completed'}}
      - {{action: drop, source_labels: [__meta_kubernetes_pod_container_init], regex: 'true'}}
      - {{source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scheme], regex: '(https?)', target_label: __scheme__}}
      - {{source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path], regex: '(.+)', target_label: __metrics_path__}}
      - {{action: labelmap, regex: '__meta_kubernetes_pod_label_(.+)'}}
      - {{source_labels: [__meta_kubernetes_namespace], target_label: namespace}}
      - {{source_labels: [__meta_kubernetes_pod_name], target_label: pod}}
      - {{source_labels: [pod, __meta_kubernetes_pod_container_name], separator: /, target_label: instance}}
      - {{source_labels: [__address__], regex: '.+', replacement: '127.0.0.1:{api_port}', target_label: __address__}}
      - {{action: keep, source_labels: [{kept_by}], regex: 'true'}}"
        )
    };
    let pods = job("pods", "pod", "__meta_kubernetes_pod_label_bench_kept");
    let endpoints = job("endpoints", "endpoints", "__meta_kubernetes_service_annotation_prometheus_io_scrape");
    format!("global: {{scrape_interval: 1m}}\nscrape_configs:{pods}{endpoints}\n")
}

#[expect(clippy::cast_precision_loss, reason = "a number of targets")]
fn measure(flags: &Flags, folder: &Path, sheet: &mut Sheet) -> Result<()> {
    let mut stage = Stage::start(flags, &sheet.server.clone(), folder)?;
    let expected = (flags.cluster.pods * CONTAINERS) as f64;
    let kept = (flags.cluster.pods.div_ceil(KEPT_ONE_IN) * CONTAINERS) as f64;
    let took = stage.until(Duration::from_millis(200), |http| {
        let known = |job: &str| http.metric("prometheus_sd_discovered_targets", &format!("\"{job}\""));
        let scraped = http.metric("prometheus_target_scrape_pool_targets", "\"pods\"")?;
        Ok(known("pods")? == Some(expected) && known("endpoints")? == Some(expected) && scraped == Some(kept))
    })?;
    sheet.put("until all targets are known", "s", took.as_secs_f64());
    sheet.put("CPU until then", "s", stage.process.cpu()?.as_secs_f64());
    let mut peak = stage.process.memory()?.resident;
    for _ in 0..flags.settle {
        wait(Duration::from_secs(1));
        peak = peak.max(stage.process.memory()?.resident);
    }
    sheet.put("memory at most seen", "MB", peak / 1e6);
    let memory = stage.process.memory()?;
    sheet.put("memory, settled", "MB", memory.resident / 1e6);
    sheet.put("memory, settled, not of files", "MB", memory.anonymous / 1e6);
    sheet.put("memory per pod", "kB", memory.anonymous / 1e3 / flags.cluster.pods as f64);
    stage.tell(&format!("/bench/rate?pods={}", flags.changes))?;
    // The first changes fall into a quiet time, and are published sooner than those that follow.
    wait(Duration::from_secs(5));
    let (began, before) = (Instant::now(), stage.process.cpu()?);
    wait(Duration::from_secs(flags.duration));
    let spent = (stage.process.cpu()? - before).as_secs_f64() / began.elapsed().as_secs_f64();
    sheet.put(format!("CPU at {} changed pods a second", flags.changes), "% of a core", spent * 100.0);
    let mut delays = Vec::new();
    for at in 0..flags.delays {
        // Not one that is kept already.
        let pod = (at * 7_919 + 1) % flags.cluster.pods;
        delays.push(delay(&mut stage, pod)?);
    }
    delays.sort_by(f64::total_cmp);
    sheet.put("from a change to the target, median", "s", delays.get(delays.len() / 2).copied());
    sheet.put("from a change to the target, at most", "s", delays.last().copied());
    stage.tell("/bench/rate?pods=0")?;
    sheet.put("memory after the changes", "MB", stage.process.memory()?.resident / 1e6);
    Ok(())
}

/// Seconds from the change of a pod until its targets are active.
fn delay(stage: &mut Stage, pod: usize) -> Result<f64> {
    // Names of pods end in their index in hexadecimal digits, and how often they were replaced.
    let name = format!("-{pod:05x}");
    stage.tell(&format!("/bench/mark?pod={pod}"))?;
    let is_active = |http: Http| Ok(http.text("/api/v1/targets?state=active&scrapePool=pods")?.contains(&name));
    Ok(stage.until(POLL, is_active)?.as_secs_f64())
}

fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
