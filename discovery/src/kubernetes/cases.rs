//! The recorded scenarios of upstream: objects and events in, groups out.

use config::{AttachMetadata, KubernetesRole};
use model::Labels;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;

/// The objects of a fake API server, and the part of them that a discovery sees.
#[derive(Default)]
struct FakeObjects {
    by_kind: BTreeMap<(Kind, Key), Object>,
}

impl ObjectStore for FakeObjects {
    fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Object> {
        self.by_kind.get(&(kind, Key::new(namespace, name))).cloned()
    }
}

fn decode<T: DeserializeOwned>(value: &Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value.clone()).unwrap())
}

const KINDS: [(&str, &str, Kind); 9] = [
    ("Pod", "pods", Kind::Pod),
    ("Node", "nodes", Kind::Node),
    ("Service", "services", Kind::Service),
    ("Endpoints", "endpoints", Kind::Endpoints),
    ("EndpointSlice", "endpointslices", Kind::EndpointSlice),
    ("Ingress", "ingresses", Kind::Ingress),
    ("Namespace", "namespaces", Kind::Namespace),
    ("ReplicaSet", "replicasets", Kind::ReplicaSet),
    ("Job", "jobs", Kind::Job),
];

/// `None` for kinds that give no labels.
fn object(value: &Value) -> Option<(Kind, Object)> {
    let name = value["kind"].as_str().unwrap();
    if matches!(name, "CronJob" | "Deployment") {
        return None;
    }
    let (_, _, kind) = KINDS.into_iter().find(|(known, ..)| *known == name).unwrap();
    let object = match kind {
        Kind::Pod => Object::Pod(decode(value)),
        Kind::Node => Object::Node(decode(value)),
        Kind::Service => Object::Service(decode(value)),
        Kind::Endpoints => Object::Endpoints(decode(value)),
        Kind::EndpointSlice => Object::EndpointSlice(decode(value)),
        Kind::Ingress => Object::Ingress(decode(value)),
        Kind::Namespace => Object::Namespace(decode(value)),
        Kind::ReplicaSet => Object::ReplicaSet(decode(value)),
        Kind::Job => Object::Job(decode(value)),
    };
    Some((kind, object))
}

fn kind_of(plural: &str) -> Kind {
    KINDS.into_iter().find(|(_, known, _)| *known == plural).map(|(_, _, kind)| kind).unwrap()
}

fn labels(map: &Value) -> Labels {
    Labels::from_pairs(map.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())))
}

/// What the discovery sees: its namespaces, and what its selectors (only `key=value` occurs) let through.
fn is_seen(case: &Value, kind: Kind, object: &Object) -> bool {
    let config = &case["config"];
    let mut namespaces: Vec<&str> =
        config["namespaces"]["names"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap()).collect();
    if config["namespaces"]["own_namespace"] == true {
        namespaces.push(config["own_namespace_value"].as_str().unwrap());
    }
    let own = kube_watch::namespace(object.meta());
    if !kind.is_cluster_wide() && !namespaces.is_empty() && !namespaces.contains(&own) {
        return false;
    }
    config["selectors"].as_array().unwrap().iter().all(|selector| {
        let role = role(selector["role"].as_str().unwrap());
        let Some((key, value)) = selector["label"].as_str().unwrap().split_once('=') else { return true };
        let found = object.meta().labels.as_ref().and_then(|labels| labels.get(key));
        primary(role) != kind || found.is_some_and(|found| found == value)
    })
}

fn role(text: &str) -> KubernetesRole {
    KubernetesRole::ALL.into_iter().find(|role| role.as_str() == text).unwrap()
}

/// The recordings hold the labels that a node had before its update. Ours are those it has now.
const KNOWN: &[&str] =
    &["TestEndpointsDiscoveryWithUpdatedNodeMetadata", "TestEndpointsSlicesDiscoveryWithUpdatedNodeMetadata"];

#[test]
fn recorded_scenarios() {
    let Some(data) = kit::conformance_json("discovery/kubernetes_sd_cases.json") else { return };
    let mut wrong = Vec::new();
    let cases = data["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 79);
    for case in cases {
        if let Some(why) = run_case(case) {
            wrong.push((case["name"].as_str().unwrap(), why));
        }
    }
    let new: Vec<String> =
        wrong.iter().filter(|(name, _)| !KNOWN.contains(name)).map(|(name, why)| format!("{name}: {why}")).collect();
    assert!(new.is_empty(), "{} new differences:\n{}", new.len(), new.join("\n"));
    let fixed: Vec<&&str> = KNOWN.iter().filter(|known| !wrong.iter().any(|(name, _)| name == *known)).collect();
    assert!(fixed.is_empty(), "no longer different, take off the list: {fixed:?}");
}

fn run_case(case: &Value) -> Option<String> {
    let attach = &case["config"]["attach_metadata"];
    let on = |name: &str| attach[name].as_bool().unwrap_or(false);
    let attach = AttachMetadata {
        node: on("node"),
        namespace: on("namespace"),
        deployment: on("deployment"),
        job: on("job"),
        cronjob: on("cronjob"),
    };
    let role = role(case["config"]["role"].as_str().unwrap());
    let mut store = FakeObjects::default();
    let put = |store: &mut FakeObjects, value: &Value| {
        let Some((kind, object)) = object(value) else { return };
        if is_seen(case, kind, &object) {
            store.by_kind.insert((kind, Key::of(object.meta())), object);
        }
    };
    for value in case["initial_objects"].as_array().unwrap() {
        put(&mut store, value);
    }
    for event in case["events_after_sync"].as_array().unwrap() {
        if event["verb"] == "delete" {
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            store.by_kind.remove(&(kind_of(&text("resource")), Key::new(text("namespace"), text("name"))));
        } else {
            put(&mut store, &event["object"]);
        }
    }
    let main = primary(role);
    let groups: BTreeMap<String, TargetGroup> = store
        .by_kind
        .iter()
        .filter(|((kind, _), _)| *kind == main)
        .filter_map(|(_, object)| group(object, attach, &store))
        .filter(|group| !group.targets.is_empty())
        .map(|group| (group.source.clone(), group))
        .collect();
    let mut expected = BTreeMap::new();
    for (source, group) in case["expected_target_groups"].as_object().unwrap() {
        let targets: Vec<Labels> = group["targets"].as_array().into_iter().flatten().map(labels).collect();
        if !targets.is_empty() {
            let labels = labels(&group["labels"]);
            expected.insert(source.clone(), TargetGroup { source: source.clone(), labels, targets });
        }
    }
    // The trailing targets of pods come in any order.
    let sorted = |groups: BTreeMap<String, TargetGroup>| -> Vec<TargetGroup> {
        let sort = |mut group: TargetGroup| {
            group.targets.sort();
            group
        };
        groups.into_values().map(sort).collect()
    };
    let (expected, groups) = (sorted(expected), sorted(groups));
    (expected != groups).then(|| format!("expected {expected:#?}\ngot {groups:#?}"))
}

#[test]
fn sources_of_objects_that_are_gone_are_those_they_had() {
    let store = FakeObjects::default();
    let meta = serde_json::json!({"name": "n", "namespace": "s"});
    for (role, kind) in [
        (KubernetesRole::Service, "Service"),
        (KubernetesRole::Endpoints, "Endpoints"),
        (KubernetesRole::EndpointSlice, "EndpointSlice"),
        (KubernetesRole::Ingress, "Ingress"),
        (KubernetesRole::Pod, "Pod"),
    ] {
        let (_, object) = object(&serde_json::json!({"kind": kind, "metadata": meta})).unwrap();
        let group = group(&object, AttachMetadata::default(), &store).unwrap();
        assert_eq!(group.source, source(role, &Key::new("s", "n")));
    }
}

/// The labels of containers of the targets of an object, after the address. As upstream's `buildEndpoints` and
/// `buildEndpointSlice` set them.
#[track_caller]
fn check_containers(value: &Value, expected: &[&str]) {
    let mut store = FakeObjects::default();
    let port = |name: &str, number: u32, protocol: &str| serde_json::json!({"name": name, "containerPort": number, "protocol": protocol});
    let pod = serde_json::json!({
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "s"},
        "spec": {"containers": [
            {"name": "a", "ports": [port("web", 80, "TCP"), port("dns", 53, "UDP")]},
            {"name": "b", "ports": [port("", 80, "TCP")]},
        ]},
        "status": {"podIP": "10.0.0.1"},
    });
    let (kind, pod) = object(&pod).unwrap();
    store.by_kind.insert((kind, Key::new("s", "p")), pod);
    let (_, object) = object(value).unwrap();
    let group = group(&object, AttachMetadata::default(), &store).unwrap();
    let text = |labels: &Labels| {
        let label =
            |name: &str| labels.get(&format!("__meta_kubernetes_pod_container_{name}")).unwrap_or("-").to_owned();
        let address = labels.get("__address__").unwrap();
        format!("{address} {} {} {}", label("name"), label("port_name"), label("port_protocol"))
    };
    assert_eq!(group.targets.iter().map(text).collect::<Vec<_>>(), expected);
}

#[test]
fn containers_are_those_of_the_ports() {
    let reference = serde_json::json!({"kind": "Pod", "name": "p", "namespace": "s"});
    let meta = serde_json::json!({"name": "n", "namespace": "s"});
    let slice = |ports: Value| {
        let endpoint = serde_json::json!({"addresses": ["10.0.0.1"], "targetRef": reference});
        serde_json::json!({"kind": "EndpointSlice", "metadata": meta, "endpoints": [endpoint], "ports": ports})
    };
    // The protocol of a slice is no matter, and the second container has no name for the port.
    check_containers(
        &slice(serde_json::json!([{"port": 80, "protocol": "UDP"}])),
        &["10.0.0.1:80 b - TCP", "10.0.0.1:53 a dns UDP"],
    );
    // A slice that leaves the port open has the pod behind it all the same.
    check_containers(
        &slice(serde_json::json!([{"name": "any"}])),
        &["10.0.0.1 - - -", "10.0.0.1:80 a web TCP", "10.0.0.1:53 a dns UDP", "10.0.0.1:80 b - TCP"],
    );
    let subset = serde_json::json!({
        "addresses": [{"ip": "10.0.0.1", "targetRef": reference}],
        "ports": [{"port": 80, "protocol": "UDP"}],
    });
    check_containers(
        &serde_json::json!({"kind": "Endpoints", "metadata": meta, "subsets": [subset]}),
        &["10.0.0.1:80 b - UDP", "10.0.0.1:53 a dns UDP"],
    );
}
