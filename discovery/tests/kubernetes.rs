//! Discovery in Kubernetes with an API server of a few lines: what is forbidden, what is stale, and what is made up.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::{Config, ScrapeConfig};
use discovery::{Consumer, Manager, Options, ProviderStatus, Subscription};
use kit::KubeApi;
use kube_watch::{Key, Limits, Watches};
use prometheus::Registry;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/pods";
const PODS_OF_OWN: &str = "/api/v1/namespaces/own/pods";
const NODES: &str = "/api/v1/nodes";
const SERVICES: &str = "/api/v1/services";
const ENDPOINTS: &str = "/api/v1/endpoints";
const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";

struct Discovered {
    manager: Manager,
    targets: Subscription,
}

/// Runs jobs: name, role and more of `kubernetes_sd_configs`.
fn discovered(server: &KubeApi, options: Options, jobs: &[(&str, &str)]) -> Discovered {
    // kube needs the process' default provider of TLS, even for plain HTTP.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let registry = Registry::new();
    let (pause, settle) = (Duration::from_millis(1), Duration::from_millis(50));
    let limits = Limits { pause, settle, ..Limits::default() };
    let watches = Watches::with_limits(&registry, limits).unwrap();
    let mut manager = Manager::new(options, &registry, watches).unwrap();
    let targets = manager.subscribe(Consumer::SCRAPE);
    let job = |(name, sd): &(&str, &str)| {
        format!("- job_name: {name}\n  kubernetes_sd_configs: [{{api_server: 'http://{}', {sd}}}]\n", server.addr)
    };
    let yaml = format!("scrape_configs:\n{}", jobs.iter().map(job).collect::<String>());
    let jobs: Vec<Arc<ScrapeConfig>> = Config::parse(&yaml, Path::new("/p.yml"), &|_| None).unwrap().scrape_configs;
    manager.apply(Consumer::SCRAPE, jobs.iter().map(|job| (job.job_name.as_str(), &*job.sd)));
    Discovered { manager, targets }
}

fn options() -> Options {
    Options { debounce: Duration::from_millis(1), own_namespace: Some("own".to_owned()), ..Options::default() }
}

impl Discovered {
    fn addresses(&mut self, job: &str) -> Vec<String> {
        let groups = self.targets.current();
        let targets = groups.get(job).into_iter().flatten().flat_map(|group| &group.targets);
        let mut all: Vec<String> = targets.map(|target| target.own.value("__address__").to_owned()).collect();
        all.sort();
        all
    }

    async fn until(&mut self, job: &str, expected: &[&str]) {
        let found = async {
            while self.addresses(job) != expected {
                assert!(self.targets.changed().await);
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), found).await;
        assert!(ended.is_ok(), "{job}: {expected:?} never came: {:?} {:?}", self.addresses(job), self.manager.health());
    }

    async fn until_health(&self, what: &str, is_so: impl Fn(&ProviderStatus) -> bool) {
        let found = async {
            while !is_so(&self.manager.health()[0]) {
                tokio::task::yield_now().await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), found).await;
        assert!(ended.is_ok(), "never: {what}: {:?}", self.manager.health());
    }
}

fn pod(namespace: &str, name: &str, ip: &str) -> Value {
    let port = json!({"containerPort": 80, "protocol": "TCP"});
    json!({
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"nodeName": "n", "containers": [{"name": "c", "ports": [port]}]},
        "status": {"podIP": ip, "phase": "Running"},
    })
}

#[tokio::test]
async fn a_job_that_may_not_look_everywhere_looks_in_its_own_namespace() {
    let server = KubeApi::start();
    server.put(PODS, &pod("own", "a", "10.0.0.1"));
    server.put(PODS, &pod("other", "b", "10.0.0.2"));
    server.refuse(PODS, 403);
    let mut found = discovered(&server, options(), &[("j", "role: pod")]);
    found.until("j", &["10.0.0.1:80"]).await;
    server.put(PODS, &pod("own", "c", "10.0.0.3"));
    found.until("j", &["10.0.0.1:80", "10.0.0.3:80"]).await;
    let status = found.manager.health().remove(0);
    let error = status.error.unwrap();
    assert!(error.starts_with("cannot watch pods: cannot list: no such right (HTTP 403)"), "{error}");
    assert!(error.ends_with("; until it is given, only namespace own is looked in"), "{error}");
    assert_eq!(status.stale_since, None, "what can be seen is up to date");
    server.allow(PODS);
    found.until("j", &["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]).await;
    found.until_health("no error", |status| status.error.is_none()).await;
    server.remove(PODS, "other", "b");
    found.until("j", &["10.0.0.1:80", "10.0.0.3:80"]).await;
    assert_eq!(server.n_lists(PODS_OF_OWN), 1);
}

#[tokio::test]
async fn without_an_own_namespace_and_where_namespaces_are_named_it_stays_as_it_is() {
    let server = KubeApi::start();
    server.put(PODS, &pod("own", "a", "10.0.0.1"));
    server.refuse(PODS, 403);
    let nowhere = Options { own_namespace: None, ..options() };
    let found = discovered(&server, nowhere, &[("j", "role: pod")]);
    found
        .until_health("refused", |status| status.error.as_ref().is_some_and(|error| error.ends_with("ClusterRole")))
        .await;
    let found = discovered(&server, options(), &[("j", "role: pod, namespaces: {names: [other]}")]);
    server.refuse("/api/v1/namespaces/other/pods", 403);
    found
        .until_health("refused", |status| status.error.as_ref().is_some_and(|error| error.ends_with("ClusterRole")))
        .await;
    assert_eq!(server.n_lists(PODS_OF_OWN), 0);
}

#[tokio::test]
async fn what_was_found_stays_and_is_called_stale() {
    let server = KubeApi::start();
    server.put(PODS, &pod("d", "a", "10.0.0.1"));
    let mut found = discovered(&server, options(), &[("j", "role: pod")]);
    found.until("j", &["10.0.0.1:80"]).await;
    assert_eq!(found.manager.health()[0].stale_since, None);
    let before = model::Timestamp::now();
    server.refuse(PODS, 500);
    found.until_health("stale", |status| status.stale_since.is_some_and(|since| since >= before)).await;
    let status = found.manager.health().remove(0);
    assert!(status.error.unwrap().contains("(HTTP 500)") && status.n_targets == 1);
    assert_eq!(found.addresses("j"), ["10.0.0.1:80"]);
    server.remove(PODS, "d", "a");
    server.put(PODS, &pod("d", "b", "10.0.0.2"));
    server.allow(PODS);
    found.until("j", &["10.0.0.2:80"]).await;
    found.until_health("well", |status| status.error.is_none() && status.stale_since.is_none()).await;
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_named_and_costs_no_other_target() {
    let server = KubeApi::start();
    let mut bad = pod("d", "bad", "10.0.0.9");
    bad["spec"]["containers"] = json!("none");
    server.put(PODS, &bad);
    server.put(PODS, &pod("d", "a", "10.0.0.1"));
    let mut found = discovered(&server, options(), &[("j", "role: pod")]);
    found.until("j", &["10.0.0.1:80"]).await;
    let error = found.manager.health()[0].error.clone().unwrap();
    assert!(error.starts_with("cannot read some pods") && error.contains("d/bad: invalid type"), "{error}");
    server.put(PODS, &pod("d", "bad", "10.0.0.9"));
    found.until("j", &["10.0.0.1:80", "10.0.0.9:80"]).await;
    assert_eq!(found.manager.health()[0].error, None);
}

fn node(name: &str, ip: &str) -> Value {
    let status = json!({
        "addresses": [{"type": "InternalIP", "address": ip}],
        "conditions": [{"type": "Ready", "status": "True"}],
    });
    json!({"metadata": {"name": name}, "status": status})
}

/// Nodes, and no objects of an operator.
fn cluster() -> KubeApi {
    let server = KubeApi::start();
    for path in [PODS, SERVICES, ENDPOINTS, SLICES] {
        server.serve(path);
    }
    server.put(NODES, &node("n1", "10.0.0.1"));
    server
}

fn with_kubelets() -> Options {
    Options { kubelet_service: Some(Key::new("kube-system", "kubelet")), ..options() }
}

const ONE: [&str; 3] = ["10.0.0.1:10250", "10.0.0.1:10255", "10.0.0.1:4194"];
const BOTH: [&str; 6] =
    ["10.0.0.1:10250", "10.0.0.1:10255", "10.0.0.1:4194", "10.0.0.2:10250", "10.0.0.2:10255", "10.0.0.2:4194"];

#[tokio::test]
async fn kubelets_are_found_without_an_operator_and_follow_their_nodes() {
    let server = cluster();
    let jobs = [
        ("endpoints", "role: endpoints, namespaces: {names: [kube-system]}"),
        ("slices", "role: endpointslice"),
        ("services", "role: service"),
    ];
    let mut found = discovered(&server, with_kubelets(), &jobs);
    let service = "kubelet.kube-system.svc";
    found.until("endpoints", &ONE).await;
    found.until("slices", &ONE).await;
    found
        .until("services", &[10250, 10255, 4194].map(|port| format!("{service}:{port}")).each_ref().map(|s| s.as_str()))
        .await;
    let groups = found.targets.current();
    let (group, target) = (&groups["endpoints"][0], &groups["endpoints"][0].targets[0]);
    assert_eq!(group.labels.value("__meta_kubernetes_service_label_k8s_app"), "kubelet");
    assert_eq!(target.own.value("__meta_kubernetes_endpoint_address_target_kind"), "Node");
    server.put(NODES, &node("n2", "10.0.0.2"));
    found.until("endpoints", &BOTH).await;
    found.until("slices", &BOTH).await;
    server.remove(NODES, "", "n2");
    found.until("endpoints", &ONE).await;
    assert!(found.manager.health().iter().all(|status| status.error.is_none()));
    assert_eq!(server.n_lists(NODES), 1, "all jobs share the nodes");
}

#[tokio::test]
async fn real_objects_go_before_those_that_are_made_up() {
    let server = cluster();
    let jobs = [("endpoints", "role: endpoints"), ("slices", "role: endpointslice")];
    let mut found = discovered(&server, with_kubelets(), &jobs);
    found.until("slices", &ONE).await;
    found.until("endpoints", &ONE).await;
    // An operator that begins to run writes one after the other.
    let meta = json!({"name": "kubelet", "namespace": "kube-system"});
    server.put(SERVICES, &json!({"metadata": meta}));
    found.until("slices", &[]).await;
    found.until("endpoints", &[]).await;
    let ports = json!([{"name": "https-metrics", "port": 10250, "protocol": "TCP"}]);
    server.put(ENDPOINTS, &json!({"metadata": meta, "subsets": [{"addresses": [{"ip": "10.0.0.7"}], "ports": ports}]}));
    found.until("endpoints", &["10.0.0.7:10250"]).await;
    server.remove(ENDPOINTS, "kube-system", "kubelet");
    server.remove(SERVICES, "kube-system", "kubelet");
    found.until("endpoints", &ONE).await;
    found.until("slices", &ONE).await;
}

#[tokio::test]
async fn only_who_would_see_the_real_kubelets_sees_those_that_are_made_up() {
    let server = cluster();
    let in_system = "namespaces: {names: [kube-system]}";
    let selected = |role: &str, label: &str| format!("role: endpoints, selectors: [{{role: {role}, label: {label}}}]");
    let (by_label, by_other) = (selected("endpoints", "k8s-app=kubelet"), selected("endpoints", "k8s-app=other"));
    let by_service = selected("service", "k8s-app=other");
    let jobs = [
        ("elsewhere", "role: endpoints, namespaces: {names: [d]}"),
        ("label", by_label.as_str()),
        ("other", by_other.as_str()),
        ("service", by_service.as_str()),
        ("pods", &format!("role: pod, {in_system}")),
    ];
    let mut found = discovered(&server, with_kubelets(), &jobs);
    found.until("label", &ONE).await;
    found.until("service", &ONE).await;
    let groups = found.targets.current();
    assert_eq!(groups["service"][0].labels.get("__meta_kubernetes_service_name"), None, "the Service is filtered out");
    assert_eq!(groups["label"][0].labels.value("__meta_kubernetes_service_name"), "kubelet");
    for job in ["elsewhere", "other", "pods"] {
        assert_eq!(found.addresses(job), [""; 0], "{job}");
    }
    // Without the option there are none, and nobody asks for nodes.
    let lists = server.n_lists(NODES);
    let found = discovered(&server, options(), &[("label", &by_label)]);
    found.until_health("synced", |status| status.last_sync.is_some()).await;
    assert_eq!((found.manager.health()[0].n_targets, server.n_lists(NODES)), (0, lists));
}

#[tokio::test]
async fn who_asks_for_kubelets_is_told_that_nodes_are_forbidden() {
    let server = cluster();
    server.refuse(NODES, 403);
    for (sd, is_told) in [("role: endpoints, namespaces: {names: [kube-system]}", true), ("role: endpoints", false)] {
        let found = discovered(&server, with_kubelets(), &[("j", sd)]);
        found.until_health("synced", |status| status.last_sync.is_some()).await;
        let error = found.manager.health()[0].error.clone();
        assert_eq!(error.is_some_and(|error| error.starts_with("cannot watch nodes")), is_told, "{sd}");
    }
}

#[tokio::test]
async fn endpoints_that_lack_addresses_are_named() {
    let server = cluster();
    let full = |value: &str| {
        let annotations = json!({"endpoints.kubernetes.io/over-capacity": value});
        json!({"metadata": {"name": "big", "namespace": "d", "annotations": annotations}, "subsets": []})
    };
    server.put(ENDPOINTS, &full("truncated"));
    let found = discovered(&server, options(), &[("j", "role: endpoints")]);
    found
        .until_health("named", |status| {
            status.error.as_ref().is_some_and(|error| error.starts_with("endpoints d/big have"))
        })
        .await;
    // More than a thousand, but all of them.
    server.put(ENDPOINTS, &full("warning"));
    found.until_health("mended", |status| status.error.is_none()).await;
}
