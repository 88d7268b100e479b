//! `deploy/kustomize`: every folder is built, applied to a real API server, and its container is run with the token of its account. What
//! no test here can show: that a network policy is followed, that a volume is given, that two pods are put on two nodes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use kit::{Answer, ControlPlane, Exporter, add_addresses, eventually};
use serde_json::{Value, json};

use crate::cluster::{Cluster, NAMESPACE, PORT, build_at, kustomize};
use crate::image;

const MONITORS: (&str, &str) = ("monitoring.coreos.com", "servicemonitors");
const SECRETS: (&str, &str) = ("", "secrets");
const PODS: (&str, &str) = ("", "pods");

/// Why none of it can run.
pub fn cannot() -> Option<String> {
    kustomize().err().or_else(|| ControlPlane::programs().err()).or_else(image::cannot)
}

/// Applies a folder and creates its pods, which shows what admission only warns of for a StatefulSet.
fn applied(name: &str, n_pods: usize) -> (Cluster, Vec<Value>) {
    println!("{name} is applied");
    let cluster = Cluster::with(name);
    let set = cluster.of_kind("StatefulSet").next().unwrap();
    assert_eq!(set["spec"]["replicas"], n_pods);
    let image = &set["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(*image, format!("weft:{}", env!("CARGO_PKG_VERSION")));
    selectors_match(&cluster, &set["spec"]["template"]["metadata"]["labels"]);

    let mut open = cluster.pod(9);
    open["spec"]["containers"][0].as_object_mut().unwrap().remove("securityContext");
    let refused = eventually("Pod Security looks at the namespace", || match cluster.create(&open) {
        (403, body) => Ok(body),
        (status, body) => Err(format!("{status}: {body}")),
    });
    assert!(refused.contains("violates PodSecurity \\\"restricted"), "{refused}");
    let pods: Vec<Value> = (0..n_pods).map(|number| cluster.pod(number)).collect();
    for pod in &pods {
        let (status, body) = cluster.create(pod);
        assert_eq!(status, 201, "{body}");
    }
    (cluster, pods)
}

/// Services, the budget and the network policy select the pods.
fn selectors_match(cluster: &Cluster, labels: &Value) {
    let selectors = [
        ("Service", "/spec/selector", 2),
        ("PodDisruptionBudget", "/spec/selector/matchLabels", 1),
        ("NetworkPolicy", "/spec/podSelector/matchLabels", 1),
    ];
    for (kind, place, count) in selectors {
        let objects: Vec<&Value> = cluster.of_kind(kind).collect();
        assert_eq!(objects.len(), count, "{kind}");
        for object in objects {
            let selector = object.pointer(place).unwrap().as_object().unwrap();
            assert!(!selector.is_empty() && selector.iter().all(|(name, value)| labels[name] == *value), "{object}");
        }
    }
}

/// A pod with an IP address that is running.
fn running_pod(name: &str, ip: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": {"nodeName": "node-a", "containers": [{"name": "main", "image": "none", "ports": [{"containerPort": 9100}]}]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
    })
}

/// What the controllers would add to a Service.
fn endpoints(namespace: &str, service: &str, ips: &[String], port: u16) -> [Value; 2] {
    let addresses: Vec<Value> = ips.iter().map(|ip| json!({"ip": ip})).collect();
    let each: Vec<Value> = ips.iter().map(|ip| json!({"addresses": [ip], "conditions": {"ready": true}})).collect();
    let labels = json!({"kubernetes.io/service-name": service});
    let ports = json!([{"name": "web", "port": port, "protocol": "TCP"}]);
    [
        json!({
            "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": service, "namespace": namespace},
            "subsets": [{"addresses": addresses, "ports": ports}],
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": format!("{service}-0"), "namespace": namespace, "labels": labels},
            "endpoints": each, "ports": ports,
        }),
    ]
}

/// The account reads no Secret but those of these namespaces.
fn secrets_are_closed(cluster: &Cluster, is_own_open: bool) {
    for verb in ["get", "list", "watch"] {
        assert!(!cluster.may(verb, SECRETS, None), "{verb} of all Secrets");
        assert!(!cluster.may(verb, SECRETS, Some("kube-system")), "{verb} of Secrets of another namespace");
        assert_eq!(cluster.may(verb, SECRETS, Some(NAMESPACE)), is_own_open, "{verb} of Secrets of its own namespace");
    }
    for (verb, what) in
        [("create", PODS), ("delete", PODS), ("get", ("", "nodes/proxy")), ("create", ("", "pods/exec"))]
    {
        assert!(!cluster.may(verb, what, None) && !cluster.may(verb, what, Some(NAMESPACE)), "{verb} {what:?}");
    }
}

/// The example of `docs/deploying.md` changes what it says, and nothing is left of the namespace of the manifests.
pub fn overlay_of_the_page() {
    const PAGE: &str = include_str!("../../../../docs/deploying.md");
    let block = PAGE.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Kustomize wants relative paths.
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let up = "../".repeat(folder.path().canonicalize().unwrap().components().count() - 1);
    let beside = format!("{up}{}/", checkout.strip_prefix("/").unwrap().display());
    fs::write(folder.path().join("kustomization.yaml"), block.replace("../weft/", &beside)).unwrap();
    let objects = build_at(folder.path());
    for object in &objects {
        assert_eq!(object["metadata"]["namespace"], "team-a", "{object}");
    }
    let binding = objects.iter().find(|object| object["kind"] == "RoleBinding").unwrap();
    assert_eq!(binding["subjects"][0]["namespace"], "team-a");
    let spec = &objects.iter().find(|object| object["kind"] == "StatefulSet").unwrap()["spec"];
    let container = &spec["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "registry.example.com/weft:0.1.0-shell");
    let flags = container["args"].as_array().unwrap();
    let flag = flags.iter().filter(|flag| flag.as_str().unwrap().starts_with("--storage.tsdb.retention.size="));
    assert_eq!(flag.collect::<Vec<_>>(), ["--storage.tsdb.retention.size=40GB"]);
    assert_eq!(spec["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"], "50Gi");
}

pub fn base() {
    add_addresses(&["10.244.0.20"]);
    let (cluster, pods) = applied("base", 1);
    let _exporter = Exporter::start_at("10.244.0.20:9100", |_| Answer::Metrics("answer 42\n".to_owned()));
    let scraped = json!({"prometheus.io/scrape": "true", "prometheus.io/port": "9100"});
    cluster.plane.apply(&running_pod("scraped", "10.244.0.20", &scraped));
    cluster.plane.apply(&running_pod("not-scraped", "10.244.0.20", &json!({})));
    cluster.plane.apply(&json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-a"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.11"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        },
    }));
    let pod = cluster.run(&pods[0], PORT);
    pod.check_config();
    println!("every job finds its targets with the rights of the manifest");
    let api_server = format!("{}/metrics", cluster.plane.url());
    pod.wait_for(&[
        ["kubernetes-apiservers", &api_server, "up"],
        // There is no kubelet.
        ["kubernetes-cadvisor", "https://127.0.0.11:10250/metrics/cadvisor", "down"],
        ["kubernetes-nodes", "https://127.0.0.11:10250/metrics", "down"],
        ["kubernetes-pods", "http://10.244.0.20:9100/metrics", "up"],
        ["weft", "http://localhost:9090/metrics", "up"],
    ]);
    let result = pod.http.query("answer{namespace=\"default\",pod=\"scraped\",node=\"node-a\"}").unwrap();
    assert_eq!(result[0]["value"][1], "42", "{result}");
    let log = pod.process.output();
    assert!(!log.contains("forbidden"), "{log}");
    println!("and it has no others");
    assert!(cluster.may("get", ("", "nodes/metrics"), None), "kubelets ask for this right");
    secrets_are_closed(&cluster, false);
    assert!(!cluster.may("list", MONITORS, None));
}

pub fn ha() {
    let (cluster, pods) = applied("ha", 2);
    let affinity = "/spec/template/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/0";
    let set = cluster.of_kind("StatefulSet").next().unwrap();
    let term = set.pointer(affinity).unwrap();
    assert_eq!(term["topologyKey"], "kubernetes.io/hostname");
    assert_eq!(term["labelSelector"], set["spec"]["selector"]);
    for (number, pod) in pods.iter().enumerate() {
        let pod = cluster.run(pod, PORT + number as u16);
        pod.check_config();
        println!("replica {number} says which one it is");
        let config = pod.http.api("status/config").unwrap();
        let config = config["yaml"].as_str().unwrap();
        assert!(config.contains(&format!("replica: weft-{number}\n")), "{config}");
        assert!(config.contains("regex: replica\n") && config.contains("action: labeldrop\n"), "{config}");
        let pools = pod.http.api("scrape_pools").unwrap()["scrapePools"].take();
        assert!(pools.as_array().unwrap().contains(&"kubernetes-pods".into()), "{pools}");
    }
    secrets_are_closed(&cluster, false);
}

/// Where the Service `weft` leads in these tests.
const OWN_ADDRESS: &str = "10.244.0.30";
const OWN_POOL: &str = "serviceMonitor/monitoring/weft/0";

/// Endpoints of the Service `weft`.
fn lead_to_itself(cluster: &Cluster) -> String {
    add_addresses(&[OWN_ADDRESS]);
    endpoints(NAMESPACE, "weft", &[OWN_ADDRESS.to_owned()], PORT).iter().for_each(|object| cluster.plane.apply(object));
    format!("http://{OWN_ADDRESS}:{PORT}/metrics")
}

pub fn operator() {
    let (cluster, pods) = applied("operator", 1);
    let url = lead_to_itself(&cluster);
    let pod = cluster.run(&pods[0], PORT);
    pod.check_config();
    println!("no right is missing");
    assert_eq!(pod.missing_rights(), (Some(0), vec![]));
    println!("it is watched by its own ServiceMonitor");
    pod.wait_for(&[[OWN_POOL, &url, "up"]]);
    let log = pod.process.output();
    assert!(!log.contains("may not") && !log.contains("forbidden"), "{log}");
    secrets_are_closed(&cluster, true);
    assert!(cluster.of_kind("ClusterRole").all(|role| role["metadata"]["name"] != "weft-jobs"));
}

pub fn one_namespace() {
    let (cluster, pods) = applied("one-namespace", 1);
    for kind in ["ClusterRole", "ClusterRoleBinding", "Namespace"] {
        assert_eq!(cluster.of_kind(kind).count(), 0, "{kind} is nothing that a team may apply");
    }
    let url = lead_to_itself(&cluster);
    let pod = cluster.run(&pods[0], PORT);
    println!("what is missing is what no Role can give");
    let (status, missing) = pod.missing_rights();
    assert_eq!(status, Some(1));
    let of = |resource: &str| missing.iter().any(|line| line.contains(&format!(" {resource} in the whole cluster")));
    assert!(missing.len() == 1 && of("nodes"), "{missing:?}");
    println!("it is watched by its own ServiceMonitor");
    pod.wait_for(&[[OWN_POOL, &url, "up"]]);
    secrets_are_closed(&cluster, true);
    for what in [MONITORS, PODS, ("", "services"), ("", "nodes")] {
        assert!(!cluster.may("list", what, None), "{what:?} of the whole cluster");
    }
}

pub fn sharded() {
    let (cluster, pods) = applied("sharded", 2);
    let ips: Vec<String> = (40..52).map(|i| format!("10.244.0.{i}")).collect();
    let labels = json!({"app": "many"});
    for object in endpoints("default", "many", &ips, 9100).iter().chain(&[
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "many", "namespace": "default", "labels": labels},
            "spec": {"clusterIP": "None", "ports": [{"name": "web", "port": 9100}]},
        }),
        json!({
            "apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor",
            "metadata": {"name": "many", "namespace": "default"},
            "spec": {"selector": {"matchLabels": labels}, "endpoints": [{"port": "web"}]},
        }),
    ]) {
        cluster.plane.apply(object);
    }
    let shards = [cluster.run(&pods[0], PORT), cluster.run(&pods[1], PORT + 1)];
    println!("each target belongs to one shard");
    let of_all: BTreeSet<String> = ips.iter().map(|ip| format!("http://{ip}:9100/metrics")).collect();
    eventually("the targets are shared out", || {
        let mut seen = Vec::new();
        for shard in &shards {
            let targets = shard.targets()?;
            let urls: Vec<String> = targets.into_iter().map(|[_, url, _]| url).collect();
            if urls.is_empty() {
                return Err(format!("a shard has none:\n{}", shard.process.output()));
            }
            seen.extend(urls);
        }
        let is_each = seen.len() == of_all.len() && seen.iter().cloned().collect::<BTreeSet<_>>() == of_all;
        if is_each { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    println!("the Prometheus object says that it is in force");
    eventually("a status", || {
        let path = format!("/apis/monitoring.coreos.com/v1/namespaces/{NAMESPACE}/prometheuses/weft");
        let status = cluster.get(&path)?["status"].take();
        if status["conditions"][0]["status"] == "True" { Ok(()) } else { Err(status.to_string()) }
    });
    for shard in &shards {
        assert_eq!(shard.missing_rights(), (Some(0), vec![]));
    }
    secrets_are_closed(&cluster, true);
}
