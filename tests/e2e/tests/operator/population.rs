//! Namespaces with random Services, pods, Endpoints and Ingresses for random monitors to find.

use kit::Random;
use serde_json::{Value, json};

use crate::objects::controllers;

/// Where monitors look, and the `team` of each namespace.
pub const NAMESPACES: [(&str, &str); 3] = [("gen-a", "a"), ("gen-b", "b"), ("gen-c", "a")];
/// Labels of Services and pods.
pub const LABELS: [&str; 5] = ["app", "tier", "team.example.com/own", "app.kubernetes.io/name", "release"];
pub const VALUES: [&str; 4] = ["web", "db", "cache-1", "v1.2"];
/// Names of ports.
pub const PORTS: [&str; 5] = ["metrics", "http", "web", "https-metrics", "9090"];

/// All of it, and in each namespace a Secret with this data and a ConfigMap.
pub fn population(random: &mut Random, data: &Value) -> Vec<Value> {
    let mut objects = Vec::new();
    for (i, (namespace, team)) in NAMESPACES.iter().enumerate() {
        objects.push(json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace, "labels": {"team": team, "generated": "yes"}},
        }));
        objects.extend(credentials(namespace, data));
        objects.extend((0..5).map(|n| pod(random, namespace, i, n)));
        objects.extend((0..4).map(|n| service(random, namespace, n)));
        objects.extend((0..3).map(|n| ingress(random, namespace, n)));
    }
    objects.extend(controllers(&objects));
    objects.push(by_hand());
    objects
}

fn credentials(namespace: &str, data: &Value) -> [Value; 2] {
    let metadata = json!({"name": "credentials", "namespace": namespace});
    let public = json!({"ca": data["ca"], "id": data["id"]});
    [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": public}),
    ]
}

fn container(random: &mut Random, name: &str) -> Value {
    let mut container = json!({"name": name, "image": format!("example.invalid/{name}:1")});
    let n = random.below(4);
    let port = |i: usize| {
        let mut port = json!({
            "containerPort": 8000 + 100 * random.below(3) + 10 * name.len() + i,
            "protocol": if random.one_in(6) { "UDP" } else { "TCP" },
        });
        // Names are unique within a container, and are no numbers.
        if !random.one_in(4) {
            port["name"] = json!(PORTS[i]);
        }
        port
    };
    let ports: Vec<Value> = (0..n).map(port).collect();
    if !ports.is_empty() {
        container["ports"] = json!(ports);
    }
    container
}

fn pod(random: &mut Random, namespace: &str, of: usize, n: usize) -> Value {
    let mut labels = random.labels(&LABELS, &VALUES);
    labels.insert("app".to_owned(), json!(random.pick(&VALUES)));
    let mut spec = json!({"containers": [container(random, "main")]});
    random.set(6, &mut spec, "hostNetwork", |_| json!(false));
    random.set(3, &mut spec, "initContainers", |random| json!([container(random, "init")]));
    if random.one_in(2) {
        let sidecar = container(random, "sidecar");
        spec["containers"].as_array_mut().unwrap().push(sidecar);
    }
    if !random.one_in(5) {
        spec["nodeName"] = json!(random.pick(&["rain-kubernetes-1", "rain-kubernetes-2", "gone"]));
    }
    let mut metadata = json!({"name": format!("pod-{n}"), "namespace": namespace, "labels": labels});
    random.set(2, &mut metadata, "annotations", |_| json!({"prometheus.io/scrape": "true", "a": "$1 ünïcode"}));
    random.set(2, &mut metadata, "ownerReferences", |_| {
        let uid = "5c5e1c0a-0000-4000-8000-000000000000";
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "owner-abc12", "uid": uid, "controller": true}])
    });
    let mut status =
        json!({"phase": random.pick(&["Running", "Running", "Running", "Succeeded", "Failed", "Pending"])});
    if !random.one_in(8) {
        let ip = format!("10.244.{}.{}", 10 + of, n + 1);
        status["podIP"] = json!(ip);
        status["podIPs"] = json!([{"ip": ip}]);
        status["hostIP"] = json!("10.225.28.220");
    }
    random.set(
        2,
        &mut status,
        "conditions",
        |random| json!([{"type": "Ready", "status": random.pick(&["True", "True", "False", "Unknown"])}]),
    );
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status})
}

fn service(random: &mut Random, namespace: &str, n: usize) -> Value {
    let port = |i: usize| {
        let mut port = json!({"name": PORTS[i], "port": 80 + i, "protocol": "TCP"});
        if i == 4 {
            port["name"] = json!("p9090");
        }
        match random.below(4) {
            0 => port["targetPort"] = json!(random.pick(&PORTS[..4])),
            1 => port["targetPort"] = json!(8040 + random.below(3)),
            _ => {}
        }
        random.set(5, &mut port, "appProtocol", |_| json!("http"));
        port
    };
    let ports: Vec<Value> = (0..5).map(port).collect();
    let ports: Vec<Value> = ports.into_iter().filter(|_| !random.one_in(3)).collect();
    let mut metadata = json!({"name": format!("service-{n}"), "namespace": namespace});
    metadata["labels"] = json!(random.labels(&LABELS, &VALUES));
    random.set(2, &mut metadata, "annotations", |_| json!({"prometheus.io/port": "8080"}));
    let mut spec = match random.below(6) {
        0 => json!({"type": "ExternalName", "externalName": "outside.example"}),
        1 => json!({"clusterIP": "None", "selector": {"app": random.pick(&VALUES)}}),
        _ => json!({"selector": {"app": random.pick(&VALUES)}}),
    };
    spec["ports"] =
        if ports.is_empty() { json!([{"name": "only", "port": 9999, "protocol": "TCP"}]) } else { json!(ports) };
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
}

fn ingress(random: &mut Random, namespace: &str, n: usize) -> Value {
    let path = |random: &mut Random| {
        let backend = json!({"service": {"name": "service-0", "port": {"number": 80}}});
        json!({"path": random.pick(&["/", "/a", "/b/c"]), "pathType": "Prefix", "backend": backend})
    };
    let rule = |random: &mut Random| {
        let mut rule = json!({});
        random.set(1, &mut rule, "host", |random| json!(random.pick(&["a.example", "*.b.example", "c.example"])));
        let paths: Vec<Value> = (0..=random.below(2)).map(|_| path(random)).collect();
        random.set(1, &mut rule, "http", |_| json!({"paths": paths}));
        rule
    };
    let rules: Vec<Value> = (0..=random.below(3)).map(|_| rule(random)).collect();
    let mut spec = json!({"rules": rules});
    random.set(2, &mut spec, "tls", |random| json!([{"hosts": [random.pick(&["a.example", "x.b.example"])]}]));
    random.set(2, &mut spec, "ingressClassName", |_| json!("nginx"));
    let labels = random.labels(&LABELS, &VALUES);
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": format!("ingress-{n}"), "namespace": namespace, "labels": labels}, "spec": spec,
    })
}

/// Endpoints whose addresses are a node, something else, or nothing that is known.
fn by_hand() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "service-0", "namespace": "gen-c", "labels": {"app": "web"}},
        "subsets": [
            {
                "addresses": [
                    {"ip": "10.244.20.1", "targetRef": {"kind": "Node", "name": "rain-kubernetes-1"}},
                    {"ip": "10.244.20.2", "hostname": "two", "targetRef": {"kind": "Pod", "namespace": "gen-c", "name": "gone"}},
                    {"ip": "10.244.20.3", "nodeName": "rain-kubernetes-2"},
                ],
                "ports": [{"name": "metrics", "port": 9100}, {"name": "web", "port": 8080, "protocol": "UDP"}],
            },
            {"notReadyAddresses": [{"ip": "10.244.20.4"}], "ports": [{"name": "metrics", "port": 9101}]},
        ],
    })
}
