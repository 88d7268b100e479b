//! The Antrea jobs, and tokens of service accounts, against a real kube-apiserver and etcd, in a network namespace of their own.
//!
//! The API server refuses loopback addresses in Endpoints, so this test has a network of its own, where 10.244.0.0/24 exists
//! on `lo` alone and nothing can leave. The configuration is the text of the ConfigMap in `deploy/antrea`, byte for byte.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test: a failed step is its message"
)]

mod cluster;
mod tenants;

use std::fs;
use std::process::ExitCode;

use cluster::Cluster;
use e2e::guides::Guide;
use kit::{ControlPlane, Isolated, Weft, add_addresses, eventually, isolated};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let cannot = || ControlPlane::programs().err();
    isolated(&[
        Isolated { name: "antrea", run: antrea, cannot },
        Isolated { name: "tenants", run: tenants::tenants, cannot },
    ])
}

/// The `prometheus.yml` in the ConfigMap of a manifest, without its indentation.
fn config_map(manifest: &str) -> String {
    let start = manifest.find("  prometheus.yml: |-\n").unwrap() + "  prometheus.yml: |-\n".len();
    let lines = manifest[start..].lines().take_while(|line| *line != "---");
    lines.map(|line| line.strip_prefix("    ").unwrap_or(line.trim_start()).to_owned() + "\n").collect()
}

/// What the article advises to watch, and how many series there are at least.
const QUERIES: [(&str, usize); 16] = [
    ("antrea_controller_network_policy_sync_duration_milliseconds", 3),
    ("antrea_controller_applied_to_group_sync_duration_milliseconds", 3),
    ("antrea_controller_address_group_sync_duration_milliseconds", 3),
    ("histogram_quantile(0.99, sum by (le) (antrea_proxy_sync_proxy_rules_duration_seconds_bucket))", 1),
    ("antrea_agent_ovs_flow_ops_latency_milliseconds_sum", 3),
    ("antrea_agent_ovs_flow_ops_error_count", 6),
    ("antrea_agent_ovs_total_flow_count", 3),
    ("process_cpu_seconds_total{job=~\"antrea.*\"}", 3),
    ("rate(process_cpu_seconds_total{job=~\"antrea.*\"}[1m])", 3),
    ("process_resident_memory_bytes{job=~\"antrea.*\"}", 3),
    ("process_virtual_memory_bytes{job=~\"antrea.*\"}", 3),
    ("process_open_fds{job=~\"antrea.*\"}", 3),
    ("process_open_fds{job=~\"antrea.*\"} / process_max_fds", 3),
    ("antrea_agent_local_pod_count{instance=~\"^node-a.*\"}", 1),
    ("sum by (job) (up)", 3),
    ("apiserver_request_total{job=\"kubernetes-apiservers\"} > 0", 1),
];

const AGENTS: [(&str, &str, &str); 2] =
    [("antrea-agent-aaaaa", "node-a", "127.0.0.11"), ("antrea-agent-bbbbb", "node-b", "127.0.0.12")];

fn antrea() {
    add_addresses(&["10.244.0.2", "10.244.0.13"]);
    let cluster = Cluster::start("10.244.0.2");
    cluster.create(
        "/api/v1/namespaces",
        &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}}),
    );
    cluster.apply_manifest_rbac();
    for (name, node, ip) in AGENTS {
        cluster.agent(name, node, ip);
    }
    cluster.controller("antrea-controller-0", "node-a", "10.244.0.13");
    let token = cluster.plane.token("monitoring", "prometheus");
    let addresses = ["127.0.0.11:10350", "127.0.0.12:10350", "127.0.0.14:10350", "10.244.0.13:10349"];
    let _pods = cluster.fake_pods(&addresses, &token);
    let weft = as_a_pod(&cluster, &token);

    println!("all three jobs come up");
    let up = |n: usize| move |targets: &[Value]| targets.len() == n && targets.iter().all(|t| t["health"] == "up");
    let targets = wait_for_targets(&weft, up(4));
    let instances: Vec<&str> = targets.iter().map(|t| t["labels"]["instance"].as_str().unwrap()).collect();
    let api_server = format!("10.244.0.2:{}", cluster.plane.port);
    assert_eq!(
        instances,
        [&api_server, "node-a;antrea-agent-aaaaa", "node-a;antrea-controller-0", "node-b;antrea-agent-bbbbb"]
    );
    let agent = targets.iter().find(|t| t["labels"]["instance"] == "node-a;antrea-agent-aaaaa").unwrap();
    assert_eq!(agent["scrapeUrl"], "https://127.0.0.11:10350/metrics");
    assert_eq!(agent["discoveredLabels"]["__meta_kubernetes_pod_container_name"], "antrea-agent");

    println!("the article's queries answer");
    QUERIES.iter().for_each(|(query, at_least)| answers(&weft, query, *at_least));
    Guide::read("antrea").queries().for_each(|query| answers(&weft, query, 1));

    println!("a pod deleted goes stale, and no longer is a target");
    cluster.delete("/api/v1/namespaces/kube-system/pods/antrea-agent-bbbbb");
    wait_for_targets(&weft, up(3));
    eventually("its series are stale", || {
        let result = weft.http.query("antrea_agent_local_pod_count{instance=\"node-b;antrea-agent-bbbbb\"}")?;
        if result[0].is_null() { Ok(()) } else { Err(result.to_string()) }
    });
    let last = "timestamp(last_over_time(up{instance=\"node-b;antrea-agent-bbbbb\"}[5m]))";
    assert!(!weft.http.query(last).unwrap()[0].is_null(), "its past is kept");

    println!("the target that is gone is told with the reason");
    let told = weft.http.api("explain?pod=kube-system/antrea-agent-bbbbb").unwrap();
    let lost = &told["lost"][0];
    assert_eq!((&lost["job"], &lost["reason"]), (&json!("antrea-agents"), &json!("not_found")), "{told}");
    let why = "pod kube-system/antrea-agent-bbbbb was deleted, or is not selected any more";
    assert_eq!(lost["sentence"], why, "{told}");

    println!("a new pod appears without a restart");
    cluster.agent("antrea-agent-ccccc", "node-b", "127.0.0.14");
    let targets = wait_for_targets(&weft, up(4));
    assert!(targets.iter().any(|t| t["labels"]["instance"] == "node-b;antrea-agent-ccccc"));

    println!("a missing permission is told and harms no other job");
    cluster.forbid("endpoints");
    misses_a_permission(&weft.restart("TERM", &["--log.level=debug"]));
}

/// The endpoints may not be listed any more.
fn misses_a_permission(weft: &Weft) {
    let agents = |targets: &[Value]| {
        targets.len() == 2 && targets.iter().all(|t| t["health"] == "up" && t["scrapePool"] == "antrea-agents")
    };
    wait_for_targets(weft, agents);
    eventually("the failure is counted and logged", || {
        let metrics = weft.http.get("/metrics")?.1;
        let line = metrics.lines().find(|line| line.starts_with("prometheus_sd_kubernetes_failures_total"));
        let counted = line.is_some_and(|line| !line.ends_with(" 0"));
        let logged = weft.process.output().lines().any(|line| line.contains("endpoints") && line.contains("forbidden"));
        if counted && logged { Ok(()) } else { Err(format!("{line:?}")) }
    });
    eventually("the refusal is told with the Role that it needs, and by a series", || {
        let sources = weft.http.api("status/discovery")?;
        let of_endpoints =
            sources["sources"].as_array().and_then(|all| all.iter().find(|one| one["kind"] == "endpoints"));
        let source = of_endpoints.ok_or("there is no such source")?;
        let role = source["role"].as_str().unwrap_or_default();
        let is_refused = source["up"] == false && source["refused"][0]["resource"] == "endpoints";
        // The refusal names who was refused.
        let is_given =
            role.contains("resources: [endpoints]") && role.contains("name: prometheus, namespace: monitoring");
        let metrics = weft.http.get("/metrics")?.1;
        let is_series = |line: &&str| line.starts_with("weft_discovery_up{") && line.contains("kind=\"endpoints\"");
        let is_down = metrics.lines().filter(is_series).any(|line| line.ends_with(" 0"));
        if is_refused && is_given && is_down { Ok(()) } else { Err(format!("{source} {is_down}")) }
    });
}

/// Starts Weft with what a pod finds: its namespace, the token, the certificate authority, and where the API server is.
fn as_a_pod(cluster: &Cluster, token: &str) -> Weft {
    let manifest =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/antrea/antrea-prometheus.yml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("prometheus.yml"), config_map(&manifest)).unwrap();
    let environment = cluster.plane.as_a_pod("monitoring", Some(token));
    Weft::start_with(folder, &["--log.level=debug"], &environment)
}

fn wait_for_targets(weft: &Weft, right: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    eventually("targets", || {
        let mut data = weft.http.api("targets?state=active")?;
        let mut targets = data["activeTargets"].take().as_array().cloned().unwrap_or_default();
        targets.sort_by_key(|t| t["labels"]["instance"].as_str().unwrap_or_default().to_owned());
        let shown: Vec<_> = targets.iter().map(|t| (&t["labels"]["instance"], &t["health"], &t["lastError"])).collect();
        let log = weft.process.output();
        let last: Vec<&str> = log.lines().rev().take(12).collect();
        if right(&targets) { Ok(targets.clone()) } else { Err(format!("{shown:?}\n{}", last.join("\n"))) }
    })
}

fn answers(weft: &Weft, query: &str, at_least: usize) {
    eventually(query, || {
        let result = weft.http.query(query)?;
        if result.as_array().is_some_and(|r| r.len() >= at_least) { Ok(()) } else { Err(result.to_string()) }
    });
}
