//! The recorded scenarios of upstream: objects and events in, groups out.

use std::collections::BTreeMap;

use config::{AttachMetadata, KubernetesRole, SdConfig};
use model::{Labels, TargetLabels};
use serde_json::Value;

use super::super::fake::{Objects, object};
use super::super::objects::Object;
use super::*;

const PLURALS: [(&str, Kind); 9] = [
    ("pods", Kind::Pod),
    ("nodes", Kind::Node),
    ("services", Kind::Service),
    ("endpoints", Kind::Endpoints),
    ("endpointslices", Kind::EndpointSlice),
    ("ingresses", Kind::Ingress),
    ("namespaces", Kind::Namespace),
    ("replicasets", Kind::ReplicaSet),
    ("jobs", Kind::Job),
];

fn kind_of(plural: &str) -> Kind {
    PLURALS.into_iter().find(|(known, _)| *known == plural).map(|(_, kind)| kind).unwrap()
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
        let found = object.meta().labels.get(key);
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
    let mut store = Objects::default();
    let put = |store: &mut Objects, value: &Value| {
        let Some((kind, object)) = object(value["kind"].as_str().unwrap(), value) else { return };
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
        let targets = group["targets"].as_array().into_iter().flatten();
        let targets: Vec<TargetLabels> = targets.map(|target| labels(target).into()).collect();
        if !targets.is_empty() {
            let labels = labels(&group["labels"]);
            expected.insert(source.clone(), TargetGroup { source: source.clone(), labels, targets });
        }
    }
    // All labels of each target: those of a pod stand elsewhere than upstream. The trailing targets of pods come in any order.
    let sorted = |groups: BTreeMap<String, TargetGroup>| -> Vec<(String, Vec<Labels>)> {
        let sort = |group: TargetGroup| {
            let mut targets: Vec<Labels> = group.targets.iter().map(|target| target.joined(&group.labels)).collect();
            targets.sort();
            (group.source, targets)
        };
        groups.into_values().map(sort).collect()
    };
    let (expected, groups) = (sorted(expected), sorted(groups));
    (expected != groups).then(|| format!("expected {expected:#?}\ngot {groups:#?}"))
}

#[test]
fn sources_of_objects_that_are_gone_are_those_they_had() {
    let store = Objects::default();
    let meta = serde_json::json!({"name": "n", "namespace": "s"});
    for (role, kind) in [
        (KubernetesRole::Service, "Service"),
        (KubernetesRole::Endpoints, "Endpoints"),
        (KubernetesRole::EndpointSlice, "EndpointSlice"),
        (KubernetesRole::Ingress, "Ingress"),
        (KubernetesRole::Pod, "Pod"),
    ] {
        let (_, object) = object(kind, &serde_json::json!({"metadata": meta})).unwrap();
        let group = group(&object, AttachMetadata::default(), &store).unwrap();
        assert_eq!(group.source, source(role, &Key::new("s", "n")));
    }
}

/// The labels of containers of the targets of an object, after the address. As upstream's `buildEndpoints` and
/// `buildEndpointSlice` set them.
#[track_caller]
fn check_containers(value: &Value, expected: &[&str]) {
    let mut store = Objects::default();
    let port = |name: &str, number: u32, protocol: &str| serde_json::json!({"name": name, "containerPort": number, "protocol": protocol});
    let pod = serde_json::json!({
        "metadata": {"name": "p", "namespace": "s"},
        "spec": {"containers": [
            {"name": "a", "ports": [port("web", 80, "TCP"), port("dns", 53, "UDP")]},
            {"name": "b", "ports": [port("", 80, "TCP")]},
        ]},
        "status": {"podIP": "10.0.0.1"},
    });
    store.put("Pod", &pod);
    let (_, object) = object(value["kind"].as_str().unwrap(), value).unwrap();
    let group = group(&object, AttachMetadata::default(), &store).unwrap();
    let text = |labels: &Labels| {
        let label =
            |name: &str| labels.get(&format!("__meta_kubernetes_pod_container_{name}")).unwrap_or("-").to_owned();
        let address = labels.get("__address__").unwrap();
        format!("{address} {} {} {}", label("name"), label("port_name"), label("port_protocol"))
    };
    let targets: Vec<Labels> = group.targets.iter().map(|target| target.joined(&group.labels)).collect();
    assert_eq!(targets.iter().map(text).collect::<Vec<_>>(), expected);
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

#[test]
fn the_own_namespace_is_one_of_those_to_look_in() {
    let namespaces =
        config::KubernetesNamespaces { own_namespace: true, names: vec!["b".to_owned(), "own".to_owned()] };
    let text = "scrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: pod}]}]";
    let config = config::Config::parse(text, std::path::Path::new("p.yml"), &|_| None).unwrap();
    let SdConfig::Kubernetes(sd) = &config.scrape_configs[0].sd[0] else { panic!("{config:?}") };
    assert!(super::namespaces(sd, Some("own".to_owned())).unwrap().is_empty());
    let sd = KubernetesSdConfig { namespaces, ..sd.as_ref().clone() };
    assert_eq!(super::namespaces(&sd, Some("own".to_owned())).unwrap(), ["b", "own"]);
    let error = super::namespaces(&sd, None).unwrap_err().to_string();
    assert!(error.contains("POD_NAMESPACE"), "{error}");
}
