//! Pods and Services with annotations, through discovery and the generated rules, to targets.

use std::path::Path;
use std::sync::Arc;

use config::{AttachMetadata, Config, ScrapeConfig, SdConfig};
use model::relabel::relabel;
use model::{Labels, LabelsBuilder, TargetGroup};
use serde_json::{Value, json};

use super::super::fake::Objects;
use super::super::objects::{Object, Pod};
use super::super::role::group;
use super::*;

fn jobs() -> Vec<Arc<ScrapeConfig>> {
    let yaml = format!("scrape_configs:\n{}", annotation_jobs());
    Config::parse(&yaml, Path::new("/annotations.yml"), &|_| None).unwrap().scrape_configs
}

/// The targets that a job scrapes: URL and labels, each once.
fn targets(job: &ScrapeConfig, groups: &[TargetGroup]) -> Vec<String> {
    let mut all = Vec::new();
    for group in groups {
        for target in &group.targets {
            let mut labels = LabelsBuilder::default();
            labels.set("job", job.job_name.as_str());
            for (name, value) in &target.joined(&group.labels) {
                labels.set(name, value);
            }
            if relabel(&mut labels, &job.relabel_configs).is_kept() {
                all.push(shown(&labels.labels()));
            }
        }
    }
    all.sort();
    // As the scraper does with targets that are equal.
    all.dedup();
    all
}

fn shown(labels: &Labels) -> String {
    let or = |name: &str, default: &str| labels.get(name).unwrap_or(default).to_owned();
    let params: Vec<String> =
        labels.iter().filter_map(|(name, value)| Some(format!("{}={value}", name.strip_prefix("__param_")?))).collect();
    let query = if params.is_empty() { String::new() } else { format!("?{}", params.join("&")) };
    let public = labels.iter().filter(|(name, _)| !name.starts_with("__"));
    let public: Vec<String> = public.map(|(name, value)| format!("{name}={value}")).collect();
    let (scheme, path) = (or("__scheme__", "http"), or("__metrics_path__", "/metrics"));
    format!("{scheme}://{}{path}{query} {}", labels.value("__address__"), public.join(" "))
}

/// A pod `web-HASH-x` of a deployment with the annotations, and these containers: name and ports.
fn pod(annotations: &Value, containers: &[(&str, &[Value])]) -> Value {
    let containers: Vec<Value> = containers.iter().map(|(name, ports)| json!({"name": name, "ports": ports})).collect();
    json!({
        "metadata": {
            "name": "web-5d9c-x", "namespace": "d", "annotations": annotations,
            "labels": {"app": "label", "pod-template-hash": "5d9c"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5d9c", "controller": true}],
        },
        "spec": {"nodeName": "n1", "containers": containers},
        "status": {"podIP": "10.0.0.1", "phase": "Running"},
    })
}

fn tcp(port: u32) -> Value {
    json!({"containerPort": port, "protocol": "TCP"})
}

fn of_pod(pod: &Value) -> Vec<String> {
    let pod: Pod = serde_json::from_value(pod.clone()).unwrap();
    let group = group(&Object::Pod(Arc::new(pod)), AttachMetadata::default(), &Objects::default()).unwrap();
    targets(&jobs()[0], &[group])
}

fn yes() -> Value {
    json!({"prometheus.io/scrape": "true"})
}

#[test]
fn the_jobs_are_valid_and_named() {
    let jobs = jobs();
    let named: Vec<&str> = jobs.iter().map(|job| job.job_name.as_str()).collect();
    assert_eq!(named, ["kubernetes-annotations/pods", "kubernetes-annotations/services"]);
    let roles = jobs.iter().map(|job| match &job.sd[..] {
        [SdConfig::Kubernetes(sd)] => sd.role.as_str(),
        other => panic!("{other:?}"),
    });
    assert_eq!(roles.collect::<Vec<_>>(), ["pod", "endpoints"]);
}

#[test]
fn a_pod_is_scraped_at_its_declared_ports() {
    let udp = json!({"containerPort": 53, "protocol": "UDP"});
    let web = pod(&yes(), &[("app", &[tcp(8080), udp, tcp(9090)]), ("side", &[tcp(15020)]), ("idle", &[])]);
    assert_eq!(
        of_pod(&web),
        [
            "http://10.0.0.1:15020/metrics container=side job=web namespace=d node=n1 pod=web-5d9c-x",
            "http://10.0.0.1:8080/metrics container=app job=web namespace=d node=n1 pod=web-5d9c-x",
            "http://10.0.0.1:9090/metrics container=app job=web namespace=d node=n1 pod=web-5d9c-x",
        ]
    );
    assert!(of_pod(&pod(&json!({}), &[("app", &[tcp(1)])])).is_empty(), "nobody asked");
    assert!(of_pod(&pod(&json!({"prometheus.io/scrape": "false"}), &[("app", &[tcp(1)])])).is_empty());
    assert!(of_pod(&pod(&yes(), &[("app", &[])])).is_empty(), "there is no port");
}

#[test]
fn annotations_say_where() {
    let annotations = json!({
        "prometheus.io/scrape": "true", "prometheus.io/port": "9113", "prometheus.io/path": "/m", "prometheus.io/scheme": "https",
        "prometheus.io/param_module": "x", "prometheus.io/param_format": "y",
    });
    let labels = "job=web namespace=d node=n1 pod=web-5d9c-x";
    // One target, whether the port is declared or not, and by whom.
    for containers in [
        &[("app", &[tcp(80), tcp(9113)][..]), ("side", &[tcp(81)])][..],
        &[("app", &[tcp(80)]), ("side", &[])],
        &[("app", &[])],
    ] {
        assert_eq!(
            of_pod(&pod(&annotations, containers)),
            [format!("https://10.0.0.1:9113/m?format=y&module=x {labels}")]
        );
    }
    let mut v6 = pod(&annotations, &[("app", &[])]);
    v6["status"]["podIP"] = json!("fd00::1");
    assert!(of_pod(&v6)[0].starts_with("https://[fd00::1]:9113/m?"), "{:?}", of_pod(&v6));
    // What is no port or scheme is as good as none.
    let odd = json!({"prometheus.io/scrape": "true", "prometheus.io/port": "web", "prometheus.io/scheme": "gopher"});
    assert_eq!(
        of_pod(&pod(&odd, &[("app", &[tcp(80)])])),
        [format!("http://10.0.0.1:80/metrics container=app {labels}")]
    );
}

#[test]
fn pods_that_do_not_run_are_left_out() {
    for (phase, n) in [("Running", 1), ("Pending", 0), ("Succeeded", 0), ("Failed", 0), ("Unknown", 1)] {
        let mut one = pod(&yes(), &[("app", &[tcp(80)])]);
        one["status"]["phase"] = json!(phase);
        assert_eq!(of_pod(&one).len(), n, "{phase}");
    }
}

#[test]
fn the_job_is_what_controls_the_pod_or_its_app() {
    for (owner, labels, expected) in [
        (json!(["ReplicaSet", "web-7c"]), json!({"pod-template-hash": "7c", "app": "a"}), "web"),
        (json!(["ReplicaSet", "my-web-7c"]), json!({"rollouts-pod-template-hash": "7c"}), "my-web"),
        (json!(["ReplicaSet", "my-web"]), json!({}), "my-web"),
        (json!(["DaemonSet", "agent-x"]), json!({"app": "a"}), "agent-x"),
        (json!(["StatefulSet", "db"]), json!({}), "db"),
        (json!(["Job", "backup-29012345"]), json!({}), "backup"),
        (json!(["Job", "once-1"]), json!({}), "once-1"),
        (json!(["NodeSet", "ns"]), json!({"app": "a"}), "ns"),
        (json!(["Node", "n1"]), json!({"app": "a"}), "a"),
        (json!(["Node", "n1"]), json!({}), "kubernetes-annotations/pods"),
        (Value::Null, json!({"app": "a", "k8s-app": "k"}), "k"),
        (Value::Null, json!({"app": "a", "k8s-app": "k", "app.kubernetes.io/name": "n"}), "n"),
        (Value::Null, json!({}), "kubernetes-annotations/pods"),
    ] {
        let mut one = pod(&yes(), &[("app", &[tcp(80)])]);
        let owners = json!([{"kind": owner[0], "name": owner[1], "controller": true}]);
        one["metadata"]["ownerReferences"] = if owner.is_null() { Value::Null } else { owners };
        one["metadata"]["labels"] = labels;
        let expected = format!("job={expected} ");
        assert!(of_pod(&one)[0].contains(&expected), "{owner}: {expected} in {:?}", of_pod(&one));
    }
}

/// Service `s` with the annotations and one endpoint for each port, ready, of the pod; and one not ready of no pod.
fn of_service(annotations: &Value, ports: &[Value], pod: &Value) -> Vec<String> {
    let reference = json!({"kind": "Pod", "name": "web-5d9c-x", "namespace": "d"});
    let endpoints = json!({
        "metadata": {"name": "s", "namespace": "d"},
        "subsets": [{
            "addresses": [{"ip": "10.0.0.1", "nodeName": "n1", "targetRef": reference}],
            "notReadyAddresses": [{"ip": "fd00::9", "nodeName": "n2"}],
            "ports": ports,
        }],
    });
    let service = json!({"metadata": {"name": "s", "namespace": "d", "annotations": annotations}});
    let mut store = Objects::default();
    store.put("Service", &service);
    store.put("Pod", pod);
    let endpoints = store.put("Endpoints", &endpoints);
    targets(&jobs()[1], &[group(&endpoints, AttachMetadata::default(), &store).unwrap()])
}

#[test]
fn a_service_is_scraped_at_its_ports_and_each_pod_once() {
    let quiet = pod(&json!({}), &[("app", &[tcp(8080), tcp(9000)])]);
    let ports = [
        json!({"name": "web", "port": 8080, "protocol": "TCP"}),
        json!({"name": "dns", "port": 53, "protocol": "UDP"}),
        json!({"name": "more", "port": 8081, "protocol": "TCP"}),
    ];
    let of_pod = "namespace=d node=n1 pod=web-5d9c-x service=s";
    let without = "job=s namespace=d node=n2 service=s";
    let expected = [
        // Declared by a container or not; the pod's port 9000 is none of the Service's.
        format!("http://10.0.0.1:8080/metrics container=app job=web {of_pod}"),
        format!("http://10.0.0.1:8081/metrics job=web {of_pod}"),
        format!("http://[fd00::9]:8080/metrics {without}"),
        format!("http://[fd00::9]:8081/metrics {without}"),
    ];
    assert_eq!(of_service(&yes(), &ports, &quiet), expected);
    let annotations = json!({
        "prometheus.io/scrape": "true", "prometheus.io/port": "9100", "prometheus.io/path": "/m", "prometheus.io/scheme": "https",
        "prometheus.io/param_module": "x",
    });
    let expected = [
        format!("https://10.0.0.1:9100/m?module=x job=web {of_pod}"),
        format!("https://[fd00::9]:9100/m?module=x {without}"),
    ];
    assert_eq!(of_service(&annotations, &ports, &quiet), expected);
    assert!(of_service(&json!({}), &ports, &quiet).is_empty());
    // The pod asks for itself: it is a target of the other job, and the Service's other endpoints stay.
    let asking = pod(&yes(), &[("app", &[tcp(8080)])]);
    let expected =
        [format!("http://[fd00::9]:8080/metrics {without}"), format!("http://[fd00::9]:8081/metrics {without}")];
    assert_eq!(of_service(&yes(), &ports, &asking), expected);
    let mut ended = quiet;
    ended["status"]["phase"] = json!("Succeeded");
    assert_eq!(of_service(&yes(), &ports, &ended), expected);
}
