//! The manifests of kube-prometheus, and the pods and Services that a cluster would have for them.

use std::fs;

use kit::conformance;
use serde_json::{Value, json};

use crate::objects::{controllers, parse};

/// What kubeadm's cluster has of its own: namespace, name, labels, port.
const OF_THE_CLUSTER: [(&str, &str, &str); 3] = [
    ("kube-dns", "k8s-app: kube-dns", "metrics"),
    ("kube-scheduler", "app.kubernetes.io/name: kube-scheduler", "https-metrics"),
    ("kube-controller-manager", "app.kubernetes.io/name: kube-controller-manager", "https-metrics"),
];

/// All objects of the manifests and what belongs to them.
pub fn kube_prometheus() -> Vec<Value> {
    let mut files: Vec<_> = fs::read_dir(conformance("kube-prometheus").unwrap()).unwrap().flatten().collect();
    files.sort_by_key(fs::DirEntry::path);
    let texts = files.iter().map(|file| fs::read_to_string(file.path()).unwrap());
    let mut objects: Vec<Value> = texts.flat_map(|text| parse(&text)).flat_map(items).collect();
    for (name, labels, port) in OF_THE_CLUSTER {
        objects.extend(parse(&format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: kube-system, labels: {{{labels}}}}}, \
             spec: {{clusterIP: None, selector: {{{labels}}}, ports: [{{name: {port}, port: 9153, targetPort: {port}}}]}}}}"
        )));
    }
    let services: Vec<&Value> = objects.iter().filter(|object| object["kind"] == "Service").collect();
    let pods: Vec<Value> = services.iter().enumerate().flat_map(|(i, service)| pods(service, i)).collect();
    objects.extend(pods);
    objects.extend(controllers(&objects));
    objects
}

/// A list of objects, one by one.
fn items(object: Value) -> Vec<Value> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let Some(kind) = kind.strip_suffix("List") else { return vec![object] };
    let item = |item: &Value| {
        let mut item = item.clone();
        item["apiVersion"] = object["apiVersion"].clone();
        item["kind"] = kind.into();
        item
    };
    object["items"].as_array().unwrap().iter().map(item).collect()
}

/// Two pods for a Service, one on each node; the second is not ready.
fn pods(service: &Value, of: usize) -> Vec<Value> {
    let Some(selector) = service["spec"]["selector"].as_object() else { return Vec::new() };
    let name = service["metadata"]["name"].as_str().unwrap();
    let port = |(i, port): (usize, &Value)| {
        let number = port["targetPort"].as_u64().unwrap_or(8000 + i as u64);
        json!({"name": port["targetPort"].as_str().unwrap_or("numbered"), "containerPort": number, "protocol": "TCP"})
    };
    let ports: Vec<Value> = service["spec"]["ports"].as_array().unwrap().iter().enumerate().map(port).collect();
    let pod = |i: usize| {
        let ip = format!("10.244.{i}.{}", of + 1);
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("{name}-{i}"), "namespace": service["metadata"]["namespace"], "labels": selector},
            "spec": {
                "nodeName": format!("rain-kubernetes-{i}"),
                "containers": [{"name": name, "image": "example.invalid/image", "ports": ports}],
            },
            "status": {
                "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
                "conditions": [{"type": "Ready", "status": if i == 1 { "True" } else { "False" }}],
            },
        })
    };
    [1, 2].map(pod).to_vec()
}
