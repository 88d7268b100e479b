//! What relabelling costs when discovery publishes: `cargo bench -p scraper --bench targets [-- <targets>]`.
//!
//! Groups of two targets with the labels of a pod go through ten rules. `new` has not one group of the update before; `same`
//! has the groups of the update before, as when others changed; each for rules that drop all targets and for rules that keep
//! them. The times are CPU time of the whole process; the loops of kept targets scrape nothing meanwhile.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at the first error and prints")]

use std::sync::Arc;
use std::time::Duration;

use config::ScrapeConfig;
use model::{AppendError, Appender, Committed, Labels, Layout, MetricId, Scraped, SourceId, TargetGroup, TargetGroups};
use nix::time::ClockId;
use prometheus::Registry;
use scraper::parse::Wanted;
use scraper::{Manager, Options, Resolver};

const PER_GROUP: usize = 2;
const ROUNDS: u32 = 10;

/// Nothing is scraped.
struct Nothing;

impl Appender for Nothing {
    fn source(&self, _: &Labels) -> Result<SourceId, AppendError> {
        Ok(SourceId(0))
    }

    fn metrics(&self, labels: &[Labels]) -> Result<Vec<MetricId>, AppendError> {
        Ok(vec![MetricId(0); labels.len()])
    }

    fn layout(&self, metrics: &[MetricId]) -> Result<Layout, AppendError> {
        Ok(Layout { metrics: metrics.into(), segments: [].into() })
    }

    fn commit_scrape(&self, _: &[Scraped<'_>]) -> Result<Committed, AppendError> {
        Ok(Committed::default())
    }
}

/// The rules that most clusters have; the last one keeps by `kept_by`.
fn job(kept_by: &str) -> Arc<ScrapeConfig> {
    let text = format!(
        r"
scrape_configs:
- job_name: pods
  scrape_interval: 1d
  scrape_timeout: 1s
  relabel_configs:
  - {{action: drop, source_labels: [__meta_kubernetes_pod_phase], regex: 'Pending|Succeeded|Failed|Completed'}}
  - {{action: drop, source_labels: [__meta_kubernetes_pod_container_init], regex: 'true'}}
  - {{source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scheme], regex: '(https?)', target_label: __scheme__}}
  - {{source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path], regex: '(.+)', target_label: __metrics_path__}}
  - {{action: labelmap, regex: '__meta_kubernetes_pod_label_(.+)'}}
  - {{source_labels: [__meta_kubernetes_namespace], target_label: namespace}}
  - {{source_labels: [__meta_kubernetes_pod_name], target_label: pod}}
  - {{source_labels: [pod, __meta_kubernetes_pod_container_name], separator: /, target_label: instance}}
  - {{source_labels: [__address__], regex: '.+', replacement: '127.0.0.1:1', target_label: __address__}}
  - {{action: keep, source_labels: [{kept_by}], regex: '.+'}}
"
    );
    let config = config::Config::parse(&text, "prometheus.yml".as_ref(), &|_| None).unwrap();
    Arc::clone(&config.scrape_configs[0])
}

/// A pod with fifteen labels and ten annotations.
fn group(pod: usize) -> Arc<TargetGroup> {
    let meta = |name: &str, value: String| (format!("__meta_kubernetes_{name}"), value);
    let mut labels = vec![
        meta("namespace", format!("team-{}", pod % 50)),
        meta("pod_name", format!("checkout-backend-5f7d8c9b6d-{pod:05x}")),
        meta("pod_ip", format!("100.64.{}.{}", pod / 256, pod % 256)),
        meta("pod_phase", "Running".to_owned()),
        meta("pod_ready", "true".to_owned()),
        meta("pod_node_name", format!("ip-10-0-0-{}.eu-central-1.compute.internal", pod % 500)),
        meta("pod_uid", format!("00000000-0000-4000-a000-{pod:012x}")),
        meta("pod_controller_kind", "ReplicaSet".to_owned()),
        meta("pod_controller_name", "checkout-backend-5f7d8c9b6d".to_owned()),
    ];
    for (what, n) in [("label", 15), ("annotation", 10)] {
        for i in 0..n {
            labels.push(meta(&format!("pod_{what}_app_kubernetes_io_{i}"), format!("value-{}", pod % 100)));
            labels.push(meta(&format!("pod_{what}present_app_kubernetes_io_{i}"), "true".to_owned()));
        }
    }
    let target = |container: usize| {
        Labels::from_pairs([
            ("__address__".to_owned(), format!("100.64.{}.{}:{}", pod / 256, pod % 256, 8080 + container)),
            meta("pod_container_name", format!("container-{container}")),
            meta("pod_container_port_number", (8080 + container).to_string()),
        ])
        .into()
    };
    let targets = (0..PER_GROUP).map(target).collect();
    Arc::new(TargetGroup { source: format!("pod/{pod}"), labels: Labels::from_pairs(labels), targets })
}

fn cpu() -> Duration {
    ClockId::CLOCK_PROCESS_CPUTIME_ID.now().unwrap().into()
}

async fn run(what: &str, kept_by: &str, targets: usize) {
    let options = Options {
        user_agent: "bench".to_owned(),
        resolver: Resolver::system(),
        wanted: Wanted::default(),
        body_memory: 64 << 20,
        threads: 1,
        at_once_after: None,
    };
    let manager = Manager::new(Arc::new(Nothing), &Registry::new(), options).unwrap();
    manager.apply(&[job(kept_by)], 0).await;
    let groups: Vec<Arc<TargetGroup>> = (0..targets / PER_GROUP).map(group).collect();
    let all = |groups: &[Arc<TargetGroup>]| Arc::new(TargetGroups::from([("pods".to_owned(), groups.to_vec())]));
    let report = |kind: &str, took: Duration, rounds: u32| {
        let per_second = targets as f64 * f64::from(rounds) / took.as_secs_f64();
        println!("{what:<8} {kind:<5} {:>9.3} M targets/s of one core", per_second / 1e6);
    };
    manager.sync(all(&groups)).await;
    // The same text at another address.
    let copies: Vec<Arc<TargetGroup>> = groups.iter().map(|group| Arc::new(TargetGroup::clone(group))).collect();
    let copies = all(&copies);
    let began = cpu();
    manager.sync(copies).await;
    report("new", cpu() - began, 1);
    let same = all(&groups);
    manager.sync(Arc::clone(&same)).await;
    let began = cpu();
    for _ in 0..ROUNDS {
        manager.sync(Arc::clone(&same)).await;
    }
    report("same", cpu() - began, ROUNDS);
    manager.shutdown().await;
}

#[tokio::main]
async fn main() {
    let targets = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(100_000);
    run("dropped", "__meta_none", targets).await;
    run("kept", "namespace", targets).await;
}
