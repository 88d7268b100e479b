//! A cluster of three nodes with the rules of kube-prometheus and a dashboard open: memory and CPU of Weft beside Prometheus, one
//! server after another.
//!
//! The pages are served by this program, so that the CPU time of a server is its own. The server first runs without rules, then with
//! them, then while dashboards ask.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use benches::clock::wait;
use benches::http::{Http, escape};
use benches::process::Process;
use benches::report::{Sheet, side_by_side, table};
use benches::servers::Binaries;
use benches::small_cluster::SmallCluster;
use clap::Parser;
use model::Timestamp;
use serde_json::{Value, json};

/// How often it is looked, and for how long.
const LOOK: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(300));
/// A dashboard shows the last hour.
const DASHBOARD_SECONDS: i64 = 3_600;
/// What the dashboards of kube-prometheus for a cluster, a namespace and a node ask.
const PANELS: &[&str] = &[
    "cluster:node_cpu:ratio_rate5m",
    "sum(namespace_cpu:kube_pod_container_resource_requests:sum) / sum(kube_node_status_allocatable{job=\"kube-state-metrics\",resource=\"cpu\"})",
    "sum(node_namespace_pod_container:container_cpu_usage_seconds_total:sum_rate5m) by (namespace)",
    "sum(container_memory_rss{job=\"kubelet\", metrics_path=\"/metrics/cadvisor\", container!=\"\"}) by (namespace)",
    "sum(kube_pod_owner{job=\"kube-state-metrics\"}) by (namespace)",
    "sum(rate(container_network_receive_bytes_total{job=\"kubelet\", metrics_path=\"/metrics/cadvisor\"}[2m])) by (namespace)",
    "sum(rate(container_network_transmit_packets_dropped_total{job=\"kubelet\"}[2m])) by (namespace)",
    "ceil(sum by(namespace) (rate(container_fs_reads_total{job=\"kubelet\", device!=\"\", container!=\"\"}[2m])))",
    "sum(node_namespace_pod_container:container_memory_working_set_bytes{namespace=\"team-3\"}) by (pod)",
    "sum(kube_pod_container_resource_requests{job=\"kube-state-metrics\", namespace=\"team-3\", resource=\"memory\"}) by (pod)",
    "histogram_quantile(0.99, sum(rate(apiserver_request_sli_duration_seconds_bucket{job=\"apiserver\"}[2m])) by (verb, le))",
    "sum(rate(apiserver_request_total{job=\"apiserver\"}[2m])) by (code)",
    "sum(rate(workqueue_adds_total{job=\"apiserver\"}[2m])) by (instance, name)",
    "sum(rate(kubelet_runtime_operations_total[2m])) by (operation_type, instance)",
    "histogram_quantile(0.99, sum(rate(rest_client_request_duration_seconds_bucket{job=\"kubelet\"}[2m])) by (instance, verb, le))",
    "100 - (avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[2m])) * 100)",
    "node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes",
    "rate(node_network_receive_bytes_total{device!=\"lo\"}[2m]) * 8",
    "max without (fstype, mountpoint) (1 - node_filesystem_avail_bytes / node_filesystem_size_bytes)",
    "up",
];

/// Measures a small cluster.
#[derive(Debug, Parser)]
#[command(name = "small_cluster")]
struct Flags {
    /// Seconds between scrapes and between evaluations.
    #[arg(long, default_value_t = 30)]
    interval: u64,
    /// Intervals in which CPU is measured, each time.
    #[arg(long, default_value_t = 4)]
    intervals: u32,
    /// Where the PrometheusRule manifests of kube-prometheus are.
    #[arg(long)]
    rules: PathBuf,
    /// The servers.
    #[command(flatten)]
    binaries: Binaries,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let rules = rule_file(&flags.rules)?;
    let cluster = SmallCluster::serve()?;
    let sheets = side_by_side("small-cluster", &flags.binaries, |folder, sheet| {
        measure(&flags, (&cluster, &rules), folder, sheet)
    })?;
    let (targets, series, interval) = (cluster.n_targets(), cluster.n_series(), flags.interval);
    writeln!(std::io::stdout(), "\n{targets} targets, {series} series, {interval} s, {} panels", PANELS.len())?;
    write!(std::io::stdout(), "{}", table(&sheets))?;
    Ok(())
}

/// All groups of the manifests of a folder, as a rule file.
fn rule_file(folder: &Path) -> Result<String> {
    let mut groups: Vec<Value> = Vec::new();
    let files = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = files.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
    paths.sort();
    for path in paths.iter().filter(|path| path.to_string_lossy().ends_with("-prometheusRule.yaml")) {
        let manifest: Value = serde_saphyr::from_str(&std::fs::read_to_string(path)?)?;
        groups.extend(manifest["spec"]["groups"].as_array().into_iter().flatten().cloned());
    }
    if groups.is_empty() {
        bail!("there is no *-prometheusRule.yaml in {}", folder.display());
    }
    Ok(json!({ "groups": groups }).to_string())
}

struct Stage {
    process: Process,
    http: Http,
    /// In which CPU is measured.
    span: Duration,
}

impl Stage {
    /// CPU time in a span, as a part of one core, while something is done every now and then.
    fn spent(&self, mut meanwhile: impl FnMut() -> Result<()>, pause: Duration) -> Result<f64> {
        let (began, before) = (Instant::now(), self.process.cpu()?);
        while began.elapsed() < self.span {
            meanwhile()?;
            wait(pause.min(self.span.saturating_sub(began.elapsed())));
        }
        Ok((self.process.cpu()? - before).as_secs_f64() / began.elapsed().as_secs_f64())
    }

    fn memory(&self, sheet: &mut Sheet, when: &str) -> Result<()> {
        let memory = self.process.memory()?;
        sheet.put(format!("memory {when}"), "MB", memory.resident / 1e6);
        sheet.put(format!("memory {when}, not of files"), "MB", memory.anonymous / 1e6);
        Ok(())
    }

    fn evaluations(&self) -> Result<f64> {
        Ok(self.http.metric("prometheus_rule_evaluations_total", "")?.unwrap_or_default())
    }
}

fn measure(flags: &Flags, (cluster, rules): (&SmallCluster, &str), folder: &Path, sheet: &mut Sheet) -> Result<()> {
    let configuration = cluster.configuration(flags.interval);
    let (process, port) = sheet.server.start((folder, folder), &configuration, &["--web.enable-lifecycle"])?;
    let interval = Duration::from_secs(flags.interval);
    let mut stage = Stage { process, http: Http::new(port), span: interval * flags.intervals };
    let scrapes = cluster.served() + 2 * cluster.n_targets() as u64;
    stage.process.until(LOOK, || Ok(cluster.served() >= scrapes))?;
    let scraping = stage.spent(|| Ok(()), interval)?;
    sheet.put("CPU of scraping", "% of a core", scraping * 100.0);
    stage.memory(sheet, "before the rules")?;

    std::fs::write(folder.join("rules.yml"), rules)?;
    let answer = stage.http.post("/-/reload")?;
    if answer.status != 200 {
        bail!("/-/reload: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    // Most groups are evaluated for the first time within an interval.
    wait(interval * 2);
    let counted = stage.evaluations()?;
    let ruled = stage.spent(|| Ok(()), interval)?;
    sheet.put("CPU of the rules", "% of a core", (ruled - scraping) * 100.0);
    sheet.put("evaluations", "", stage.evaluations()? - counted);
    sheet.put("of them failed", "", stage.http.metric("prometheus_rule_evaluation_failures_total", "")?);
    stage.memory(sheet, "with rules")?;

    let http = stage.http;
    let shown = stage.spent(|| dashboard(http), interval)?;
    sheet.put("CPU of a dashboard each interval", "% of a core", (shown - ruled) * 100.0);
    stage.memory(sheet, "with rules and a dashboard")?;
    Ok(())
}

/// Asks what the panels show.
fn dashboard(http: Http) -> Result<()> {
    let end = Timestamp::now().0 / 1_000;
    for panel in PANELS {
        let (start, query) = (end - DASHBOARD_SECONDS, escape(panel));
        let answer = http.get(&format!("/api/v1/query_range?query={query}&start={start}&end={end}&step=30"))?;
        if answer.status != 200 {
            bail!("{panel}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
    }
    Ok(())
}
