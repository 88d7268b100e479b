//! What is rendered is taken by a real API server, its pods by Pod Security's strictest standard.

use std::fs;

use kit::skipped;
use serde_json::json;

use crate::cluster::Cluster;
use crate::helm::{NAMESPACE, checkout, of_kind, printed};
use crate::pod;
use crate::rendered::{CASES, case};

pub fn restricted() {
    let cluster = Cluster::start();
    cluster.namespace("shop");
    priority_class(&cluster);
    pods_that_are_not_restricted_are_refused(&cluster);
    for values in CASES {
        println!("{values:?}");
        let objects = case(values);
        cluster.apply(&objects);
        let pod = pod::of(&objects);
        let (status, body) = cluster.create_pod(&pod);
        assert_eq!(status, 201, "{values:?}: {body}");
        cluster.plane.delete(&pod);
        cluster.delete(&objects);
    }
    drop(cluster);
    let Some(strict) = Cluster::with_strict_definitions() else {
        return skipped("the definitions of Prometheus-Operator are not at hand");
    };
    strict.namespace("shop");
    for values in CASES {
        let objects = case(values);
        let kinds = ["Prometheus", "PrometheusRule", "ServiceMonitor"];
        kinds.iter().flat_map(|kind| of_kind(&objects, kind)).for_each(|object| strict.plane.apply(object));
    }
}

/// Helm itself installs the chart in an empty cluster, changes it, and leaves the kinds when it takes it away.
pub fn installed() {
    let cluster = Cluster::empty();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(&kubeconfig, cluster.kubeconfig()).unwrap();
    let (chart, kubeconfig) = (checkout("deploy/helm/weft"), kubeconfig.display().to_string());
    let helm = |args: &[&str]| printed(&[args, &["--namespace", NAMESPACE, "--kubeconfig", &kubeconfig]].concat());
    let notes = helm(&["install", "weft", chart.to_str().unwrap()]);
    let address = "http://weft.watch.svc:9090";
    assert!(notes.contains(address) && notes.contains("lost with the pod"), "{notes}");
    let of = |plural: &str| format!("/apis/monitoring.coreos.com/v1/namespaces/{NAMESPACE}/{plural}/weft");
    let interval = || cluster.get(&of("prometheuses")).map(|object| object["spec"]["scrapeInterval"].clone());
    assert_eq!(interval().unwrap(), "30s");
    helm(&["upgrade", "weft", chart.to_str().unwrap(), "--set", "prometheus.prometheusSpec.scrapeInterval=20s"]);
    assert_eq!(interval().unwrap(), "20s");
    helm(&["uninstall", "weft"]);
    let left = cluster.get(&format!("/apis/monitoring.coreos.com/v1/namespaces/{NAMESPACE}/prometheuses")).unwrap();
    assert_eq!(left["items"], json!([]));
}

/// That of everything.yaml; a pod that names another one is refused.
fn priority_class(cluster: &Cluster) {
    let class = json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "given-priority"}, "value": 7,
    });
    let path = "/apis/scheduling.k8s.io/v1/priorityclasses";
    let (status, body) = cluster.plane.admin.json("POST", path, "application/json", &class).unwrap();
    assert_eq!(status, 201, "{body}");
}

/// Else the test would say nothing.
fn pods_that_are_not_restricted_are_refused(cluster: &Cluster) {
    let mut pod = pod::of(&case(&[]));
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
    let (status, body) = cluster.create_pod(&pod);
    assert!(status == 403 && body.contains("violates PodSecurity \\\"restricted"), "{status}: {body}");
}
