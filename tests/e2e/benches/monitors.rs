//! Thousands of ServiceMonitors on a real API server: how long until all are in force, and what that takes. `cargo bench -p e2e
//! --bench monitors [-- <monitors> <namespaces>]`, after `cargo build --release -p server` and `cargo xtask setup`, which builds the
//! API server.
//!
//! Each monitor selects one Service with one address, and every tenth names a Secret of its own. The time is from the start of Weft,
//! with everything there, until each monitor is accepted and has its target; then from applying one monitor more until it has. Nothing
//! answers at the addresses.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at the first error and prints")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use kit::{ControlPlane, Weft, conformance_text, eventually};
use serde_json::{Value, json};

/// The kinds that are followed.
const KINDS: [&str; 6] =
    ["podmonitors", "probes", "prometheuses", "prometheusrules", "scrapeconfigs", "servicemonitors"];
/// Objects are applied by so many threads.
const THREADS: usize = 8;
/// Before memory is read.
const SETTLE: Duration = Duration::from_secs(20);
/// What the kernel counts the CPU time of processes in, a second.
const TICKS: f64 = 100.0;

#[derive(Clone, Copy)]
struct Size {
    monitors: usize,
    namespaces: usize,
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|arg| arg.parse().ok());
    let size = Size { monitors: numbers.next().unwrap_or(2_000), namespaces: numbers.next().unwrap_or(200) };
    let plane = ControlPlane::start(&ControlPlane::programs().unwrap(), "127.0.0.1", "127.0.0.1");
    for kind in KINDS {
        let yaml = conformance_text(&format!("operator/crds/monitoring.coreos.com_{kind}.yaml")).unwrap();
        plane.apply_definition(&format!("{kind}.monitoring.coreos.com"), &yaml);
    }
    let folder = tempfile::tempdir().unwrap();
    plane.apply(&named_object("Namespace", "v1", "", "monitoring", json!({})));
    plane.apply(&prometheus(&plane, folder.path()));
    apply(&plane, size);

    let began = Instant::now();
    let weft = start(&plane, folder.path());
    has_targets(&weft, size.monitors);
    let Size { monitors, namespaces } = size;
    println!("{monitors} ServiceMonitors over {namespaces} namespaces");
    println!("from the start until all have their targets {:>9.2} s", began.elapsed().as_secs_f64());
    println!("CPU until then                              {:>9.2} s", cpu(&weft));
    #[expect(clippy::disallowed_methods, reason = "what is measured is memory after some time")]
    std::thread::sleep(SETTLE);
    println!("memory at most                              {:>9.1} MB", weft.peak_memory() as f64 / 1e6);
    println!("memory, settled, not of files               {:>9.1} MB", anonymous(&weft) / 1e6);
    objects(monitors, namespaces).iter().for_each(|object| plane.apply(object));
    let began = Instant::now();
    has_targets(&weft, monitors + 1);
    println!("from one monitor more until it has a target {:>9.2} s", began.elapsed().as_secs_f64());
}

fn start(plane: &ControlPlane, folder: &Path) -> Weft {
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": plane.url(), "certificate-authority": ca(plane, folder)}}],
        "users": [{"name": "u", "user": {"token": plane.admin_token()}}],
    });
    let path = folder.join("kubeconfig");
    fs::write(&path, kubeconfig.to_string()).unwrap();
    let flags =
        ["--operator", "--operator.prometheus=monitoring/main", &format!("--operator.kubeconfig={}", path.display())];
    Weft::start("global: {scrape_interval: 30s}", &flags)
}

/// Waits until so many monitors have a target.
fn has_targets(weft: &Weft, n: usize) {
    eventually("all monitors have targets", || {
        let (_, text) = weft.http.get("/api/v1/targets?state=active")?;
        let found = text.matches("\"scrapePool\"").count();
        if found == n { Ok(()) } else { Err(format!("{found} targets")) }
    });
}

/// User and system time, seconds (`proc(5)`, `stat`).
fn cpu(weft: &Weft) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", weft.process.id())).unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
    fields.skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / TICKS
}

/// Memory that is not backed by files, bytes.
fn anonymous(weft: &Weft) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", weft.process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

/// Applies the objects of all monitors.
fn apply(plane: &ControlPlane, size: Size) {
    for i in 0..size.namespaces {
        plane.apply(&named_object("Namespace", "v1", "", &format!("team-{i}"), json!({})));
    }
    std::thread::scope(|scope| {
        for first in 0..THREADS {
            scope.spawn(move || {
                for i in (first..size.monitors).step_by(THREADS) {
                    objects(i, size.namespaces).iter().for_each(|object| plane.apply(object));
                }
            });
        }
    });
}

/// A monitor, its Service and Endpoints, and its Secret if it has one.
fn objects(i: usize, namespaces: usize) -> Vec<Value> {
    let (namespace, name) = (format!("team-{}", i % namespaces), format!("app-{i}"));
    let object = |kind: &str, version: &str, rest: Value| named_object(kind, version, &namespace, &name, rest);
    let address = format!("10.244.{}.{}", i / 250, i % 250 + 1);
    let ports = json!([{"name": "http-metrics", "port": 9100}]);
    let mut endpoint = json!({
        "port": "http-metrics",
        "relabelings": [{"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"}],
        "metricRelabelings": [{"action": "drop", "sourceLabels": ["__name__"], "regex": "go_gc_.*"}],
    });
    let mut objects = Vec::new();
    if i.is_multiple_of(10) {
        endpoint["authorization"] = json!({"credentials": {"name": name, "key": "token"}});
        objects.push(object("Secret", "v1", json!({"stringData": {"token": "t"}})));
    }
    let spec = json!({"selector": {"matchLabels": {"app": name}}, "endpoints": [endpoint]});
    objects.extend([
        object("Service", "v1", json!({"spec": {"ports": ports, "clusterIP": "None"}})),
        object("Endpoints", "v1", json!({"subsets": [{"addresses": [{"ip": address}], "ports": ports}]})),
        object("ServiceMonitor", "monitoring.coreos.com/v1", json!({"spec": spec})),
    ]);
    objects
}

/// The file of what signed the API server's certificate.
fn ca(plane: &ControlPlane, folder: &Path) -> String {
    let path = folder.join("ca.crt");
    fs::write(&path, &plane.ca_pem).unwrap();
    path.display().to_string()
}

/// It selects everything, and tells discovery where the API server is: Weft is no pod here.
fn prometheus(plane: &ControlPlane, folder: &Path) -> Value {
    let ca = folder.join("ca.crt");
    fs::write(&ca, &plane.ca_pem).unwrap();
    let server = json!({"host": plane.url(), "bearerToken": plane.admin_token(), "tlsConfig": {"caFile": ca.display().to_string()}});
    let spec = json!({"serviceMonitorSelector": {}, "serviceMonitorNamespaceSelector": {}, "apiserverConfig": server});
    named_object("Prometheus", "monitoring.coreos.com/v1", "monitoring", "main", json!({"spec": spec}))
}

fn named_object(kind: &str, version: &str, namespace: &str, name: &str, rest: Value) -> Value {
    let mut object = rest;
    object["apiVersion"] = version.into();
    object["kind"] = kind.into();
    object["metadata"] = json!({"name": name, "labels": {"app": name}});
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}
