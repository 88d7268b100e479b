//! Objects of the API server: read from YAML, and what controllers make of Services and pods.

use std::collections::BTreeMap;

use e2e::guides::Guide;
use kit::Pki;
use serde_json::{Map, Value, json};

/// The guides that follow articles about Prometheus-Operator.
pub const GUIDES: [&str; 4] = ["felix", "kubenurse", "node-exporter", "etcd"];
/// What is in the cluster before they are followed.
const BEFORE: &str = include_str!("articles.yaml");

/// The objects of a file.
pub fn parse(yaml: &str) -> Vec<Value> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap();
    objects.into_iter().filter(|object| object.is_object()).collect()
}

/// The objects of the articles, with Endpoints and EndpointSlices; etcd's client certificate is of this authority.
pub fn articles(pki: &Pki) -> Vec<Value> {
    let (certificate, key) = pki.client("healthcheck-client");
    let mut objects = parse(BEFORE);
    objects.extend(GUIDES.iter().flat_map(|name| parse(&Guide::read(name).manifests())));
    for object in &mut objects {
        if object["kind"] == "Secret" {
            object["stringData"] = json!({"ca.crt": pki.ca(), "client.crt": certificate, "client.key": key});
        }
    }
    objects.extend(controllers(&objects));
    objects
}

/// `kind/namespace/name`.
pub fn name_of(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    format!("{}/{}/{}", text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]))
}

/// What the controllers for Endpoints and EndpointSlices would add.
pub fn controllers(objects: &[Value]) -> Vec<Value> {
    let of_kind = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
    let mut made = Vec::new();
    for service in of_kind("Service") {
        let name = name_of(service);
        let by_hand = of_kind("Endpoints").find(|endpoints| name_of(endpoints)[9..] == name[7..]);
        let (endpoints, manager) = match by_hand {
            Some(endpoints) => (endpoints.clone(), "endpointslicemirroring-controller.k8s.io"),
            None if service["spec"]["selector"].is_object() => {
                let pods: Vec<&Value> = of_kind("Pod").filter(|pod| selects(service, pod)).collect();
                let endpoints = endpoints(service, &pods);
                made.push(endpoints.clone());
                (endpoints, "endpointslice-controller.k8s.io")
            }
            None => continue,
        };
        let subsets = endpoints["subsets"].as_array().cloned().unwrap_or_default();
        made.extend(subsets.iter().enumerate().map(|(i, subset)| slice(service, subset, i, manager)));
    }
    made
}

fn selects(service: &Value, pod: &Value) -> bool {
    let labels = &pod["metadata"]["labels"];
    let mut wanted = service["spec"]["selector"].as_object().unwrap().iter();
    let same_namespace = service["metadata"]["namespace"] == pod["metadata"]["namespace"];
    let living = matches!(pod["status"]["phase"].as_str(), Some("Running" | "Pending" | "Unknown"));
    same_namespace && living && pod["status"]["podIP"].is_string() && wanted.all(|(name, value)| labels[name] == *value)
}

/// The port of a pod that a Service's port leads to.
fn resolved(port: &Value, pod: &Value) -> Option<Value> {
    let number = match &port["targetPort"] {
        Value::String(name) => {
            let containers = pod["spec"]["containers"].as_array()?.iter();
            let mut ports = containers.filter_map(|container| container["ports"].as_array()).flatten();
            ports.find(|port| port["name"] == *name)?["containerPort"].clone()
        }
        Value::Null => port["port"].clone(),
        number => number.clone(),
    };
    let mut resolved = json!({"port": number, "protocol": port["protocol"].as_str().unwrap_or("TCP")});
    for field in ["name", "appProtocol"] {
        if let Some(value) = port.get(field) {
            resolved[field] = value.clone();
        }
    }
    Some(resolved)
}

fn ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
}

fn endpoints(service: &Value, pods: &[&Value]) -> Value {
    // Addresses whose ports are the same share a subset.
    let mut subsets: BTreeMap<String, (Vec<Value>, [Vec<Value>; 2])> = BTreeMap::new();
    for pod in pods {
        let ports = service["spec"]["ports"].as_array().unwrap().iter();
        let ports: Vec<Value> = ports.filter_map(|port| resolved(port, pod)).collect();
        let metadata = &pod["metadata"];
        let address = json!({
            "ip": pod["status"]["podIP"], "nodeName": pod["spec"]["nodeName"],
            "targetRef": {"kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"]},
        });
        let of_ports = subsets.entry(json!(ports).to_string()).or_insert((ports, [Vec::new(), Vec::new()]));
        of_ports.1[usize::from(!ready(pod))].push(address);
    }
    let subsets = subsets.into_values().filter(|(ports, _)| !ports.is_empty()).map(|(ports, [ready, not_ready])| {
        let mut subset = json!({"ports": ports});
        for (field, addresses) in [("addresses", ready), ("notReadyAddresses", not_ready)] {
            if !addresses.is_empty() {
                subset[field] = addresses.into();
            }
        }
        subset
    });
    let metadata = &service["metadata"];
    let labels = with(&metadata["labels"], &[("endpoints.kubernetes.io/managed-by", "endpoint-controller")]);
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "labels": labels},
        "subsets": subsets.collect::<Vec<_>>(),
    })
}

fn with(labels: &Value, further: &[(&str, &str)]) -> Map<String, Value> {
    let mut labels = labels.as_object().cloned().unwrap_or_default();
    labels.extend(further.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    labels
}

fn slice(service: &Value, subset: &Value, i: usize, manager: &str) -> Value {
    let metadata = &service["metadata"];
    let name = metadata["name"].as_str().unwrap();
    let endpoint = |address: &Value, is_ready: bool| {
        let mut endpoint = json!({
            "addresses": [address["ip"]],
            "conditions": {"ready": is_ready, "serving": is_ready, "terminating": false},
        });
        for field in ["nodeName", "targetRef"] {
            if let Some(value) = address.get(field) {
                endpoint[field] = value.clone();
            }
        }
        endpoint
    };
    let of = |field: &str| subset[field].as_array().cloned().unwrap_or_default();
    let ready = of("addresses").iter().map(|address| endpoint(address, true)).collect::<Vec<_>>();
    let not_ready = of("notReadyAddresses").iter().map(|address| endpoint(address, false)).collect::<Vec<_>>();
    let labels = [("kubernetes.io/service-name", name), ("endpointslice.kubernetes.io/managed-by", manager)];
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": format!("{name}-{i}"), "namespace": metadata["namespace"], "labels": with(&metadata["labels"], &labels),
        },
        "endpoints": ([ready, not_ready].concat()), "ports": subset["ports"],
    })
}
