//! What many objects cost: the first time, when nothing changed, and when one did. `cargo bench -p operator [--
//! <monitors>]`.
//!
//! ServiceMonitors of 200 namespaces, each with one endpoint, two rules of its own and a Secret for every tenth, are served
//! by a fake API server. The reconciliation is timed as `Operator::apply` does it, on one thread, in CPU time of that
//! thread: watches and the server have others. Memory is what the process grows by, before and after the jobs are made.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at the first error and prints")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::{Config, Defaults, RuleChecks};
use kit::{KubeApi, eventually};
use kube_watch::{ApiServer, Watches};
use nix::time::ClockId;
use operator::{Operator, OperatorOptions, Outcome, RuleLanguage};
use serde_json::{Value, json};

const MONITORS: &str = "/apis/monitoring.coreos.com/v1/servicemonitors";
const SECRETS: &str = "/api/v1/secrets";
const NAMESPACES: &str = "/api/v1/namespaces";
const N_NAMESPACES: usize = 200;
const ROUNDS: usize = 20;

fn cpu() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap().into()
}

/// Resident memory of this process, in bytes (`proc(5)`, `statm`).
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn monitor(i: usize, generation: usize) -> Value {
    let mut endpoint = json!({
        "port": "http-metrics",
        "interval": "30s",
        "relabelings": [{"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"}],
        "metricRelabelings": [{"action": "drop", "sourceLabels": ["__name__"], "regex": format!("go_gc_{generation}_.*")}],
    });
    if i.is_multiple_of(10) {
        endpoint["authorization"] = json!({"credentials": {"name": "token", "key": "token"}});
    }
    json!({
        "metadata": {
            "namespace": format!("team-{}", i % N_NAMESPACES),
            "name": format!("monitor-{i}"),
            "uid": format!("00000000-0000-0000-0000-{i:012}"),
            "generation": generation,
            "labels": {"release": "kube-prometheus-stack", "app.kubernetes.io/name": format!("app-{i}")},
            "annotations": {"meta.helm.sh/release-name": "stack"},
        },
        "spec": {
            "jobLabel": "app.kubernetes.io/name",
            "selector": {"matchLabels": {"app.kubernetes.io/name": format!("app-{i}"), "release": "stack"}},
            "namespaceSelector": {"matchNames": [format!("team-{}", i % N_NAMESPACES)]},
            "endpoints": [endpoint],
        },
    })
}

/// There are no rules.
#[derive(Debug)]
struct NoRules;

impl RuleChecks for NoRules {
    fn check_expr(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn check_template(&self, _: &str, _: &str) -> Result<(), String> {
        Ok(())
    }
}

impl RuleLanguage for NoRules {
    fn enforce(&self, expr: &str, _: &str, _: &str) -> Result<String, String> {
        Ok(expr.to_owned())
    }
}

fn api(n_monitors: usize) -> KubeApi {
    let api = KubeApi::start();
    for kind in ["v1/podmonitors", "v1/probes", "v1alpha1/scrapeconfigs", "v1/prometheusrules"] {
        api.serve(&format!("/apis/monitoring.coreos.com/{kind}"));
    }
    for i in 0..N_NAMESPACES {
        let name = format!("team-{i}");
        api.put(NAMESPACES, &json!({"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}));
        let secret = json!({"metadata": {"namespace": name, "name": "token"}, "data": {"token": "c2VjcmV0"}});
        api.put(SECRETS, &secret);
    }
    for i in 0..n_monitors {
        api.put(MONITORS, &monitor(i, 1));
    }
    api
}

struct Bench {
    runtime: tokio::runtime::Runtime,
    operator: Operator,
    file: Config,
}

impl Bench {
    /// One reconciliation, and the CPU time that it took.
    fn apply(&self) -> (Arc<Outcome>, Duration) {
        // Watches of Secrets are opened as tasks of the runtime.
        let _guard = self.runtime.enter();
        let before = cpu();
        let outcome = self.operator.apply(&self.file, &Defaults::default());
        (outcome, cpu() - before)
    }

    fn until(&self, what: &str, is_there: impl Fn(&Outcome) -> bool) -> (Arc<Outcome>, Duration) {
        eventually(what, || {
            let (outcome, spent) = self.apply();
            if is_there(&outcome) { Ok((outcome, spent)) } else { Err(format!("{} jobs", outcome.jobs.len())) }
        })
    }
}

fn main() {
    let given = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let n_monitors: usize = given.unwrap_or(2_000);
    // kube needs the process' default provider of TLS, even for plain HTTP.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let api = api(n_monitors);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = ApiServer { api_server: Some(format!("http://{}", api.addr)), ..ApiServer::default() };
    let operator = {
        let _guard = runtime.enter();
        let watches = Watches::new(&prometheus::Registry::new()).unwrap();
        Operator::new(watches, OperatorOptions { server, ..OperatorOptions::default() }, Arc::new(NoRules))
    };
    let file = Config::parse("global: {scrape_interval: 30s}", Path::new("prometheus.yml"), &|_| None).unwrap();
    let bench = Bench { runtime, operator, file };
    let start = resident();
    // The objects are listed while nothing asks, so that the first reconciliation finds all of them.
    eventually("all kinds are listed", || {
        let n_lists: usize = ["v1/servicemonitors", "v1/podmonitors", "v1/probes", "v1alpha1/scrapeconfigs"]
            .iter()
            .map(|kind| api.n_lists(&format!("/apis/monitoring.coreos.com/{kind}")))
            .sum();
        if n_lists == 4 { Ok(()) } else { Err(format!("{n_lists} lists")) }
    });
    let mut first = Duration::ZERO;
    let listed = resident();
    let (outcome, _) = bench.until("all monitors have jobs", |outcome| outcome.jobs.len() == n_monitors);
    drop(outcome);
    let made = resident();

    // Every job again, by a file that changes what all of them inherit.
    let mut other = bench.file.clone();
    other.global.scrape_timeout_ms /= 2;
    for file in [&other, &bench.file] {
        let before = cpu();
        let outcome = {
            let _guard = bench.runtime.enter();
            bench.operator.apply(file, &Defaults::default())
        };
        first = first.max(cpu() - before);
        assert_eq!(outcome.jobs.len(), n_monitors);
    }

    let unchanged = (0..ROUNDS).map(|_| bench.apply().1).min().unwrap();
    let mut one = Duration::MAX;
    for generation in 2..=5 {
        api.put(MONITORS, &monitor(0, generation));
        let is_there =
            |outcome: &Outcome| outcome.objects.iter().any(|one| one.generation == i64::try_from(generation).unwrap());
        one = one.min(bench.until("the monitor has changed", is_there).1);
    }
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let of_each = |bytes: usize| bytes as f64 / n_monitors as f64 / 1024.0;
    println!("{n_monitors} ServiceMonitors of {N_NAMESPACES} namespaces");
    println!("  all jobs made         {:>9.2} ms CPU, {:.3} ms each", ms(first), ms(first) / n_monitors as f64);
    println!("  nothing changed       {:>9.2} ms CPU", ms(unchanged));
    println!("  one monitor changed   {:>9.2} ms CPU", ms(one));
    println!(
        "  memory                {:>9.1} KiB a monitor, {:.1} KiB of them for the object itself",
        of_each(made.saturating_sub(start)),
        of_each(listed.saturating_sub(start)),
    );
}
