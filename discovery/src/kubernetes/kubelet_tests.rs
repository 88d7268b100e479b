//! The objects that are made up against those that Prometheus-Operator has written.

use config::{AttachMetadata, KubernetesRole};
use model::TargetGroup;
use serde_json::{Value, json};

use super::super::fake;
use super::super::role::{group, primary};
use super::*;

fn service() -> Key {
    Key::new("kube-system", "kubelet")
}

fn nodes(values: &[Value]) -> Vec<Arc<Node>> {
    values.iter().map(|value| Arc::new(serde_json::from_value(value.clone()).unwrap())).collect()
}

fn node(name: &str, addresses: &[(&str, &str)], ready: &str) -> Value {
    let addresses: Vec<Value> =
        addresses.iter().map(|(kind, address)| json!({"type": kind, "address": address})).collect();
    let status = json!({"addresses": addresses, "conditions": [{"type": "Ready", "status": ready}]});
    json!({"metadata": {"name": name}, "status": status})
}

/// The target groups of a role, in any order of targets.
fn groups(role: KubernetesRole, store: &fake::Objects) -> Vec<TargetGroup> {
    let attach = AttachMetadata { node: true, ..AttachMetadata::default() };
    let of_role = store.by_kind.iter().filter(|((kind, _), _)| *kind == primary(role));
    let mut groups: Vec<TargetGroup> = of_role.filter_map(|(_, object)| group(object, attach, store)).collect();
    groups.iter_mut().for_each(|group| group.targets.sort_by(|a, b| a.own.cmp(&b.own)));
    groups
}

#[test]
fn they_give_the_targets_that_the_operators_objects_give() {
    let text = include_str!("../../tests/data/kubelets.json");
    let data: Value = serde_json::from_str(text).unwrap();
    let listed = data["nodes"].as_array().unwrap();
    let (mut real, mut made) = (fake::Objects::default(), fake::Objects::default());
    for node in listed {
        real.put("Node", node);
        made.put("Node", node);
    }
    real.put("Service", &data["service"]);
    real.put("Endpoints", &data["endpoints"]);
    for slice in data["endpointslices"].as_array().unwrap() {
        let mut slice = slice.clone();
        // The end of the name is random.
        let family = slice["addressType"].as_str().unwrap().to_lowercase();
        slice["metadata"]["name"] = json!(format!("kubelet-{family}-0"));
        real.put("EndpointSlice", &slice);
    }
    for (kind, object) in objects(&service(), &nodes(listed)) {
        made.by_kind.insert((kind, Key::of(object.meta())), object);
    }
    assert_eq!(real.by_kind.keys().collect::<Vec<_>>(), made.by_kind.keys().collect::<Vec<_>>());
    for (role, n) in
        [(KubernetesRole::Service, 3), (KubernetesRole::Endpoints, 21), (KubernetesRole::EndpointSlice, 15)]
    {
        let found = groups(role, &made);
        assert_eq!(found, groups(role, &real));
        assert_eq!(found.iter().map(|group| group.targets.len()).sum::<usize>(), n, "{role:?}");
    }
}

fn slices_of(nodes: &[Arc<Node>]) -> Vec<Arc<EndpointSlice>> {
    let slices = objects(&service(), nodes).into_iter().filter_map(|(_, object)| match object {
        Object::EndpointSlice(slice) => Some(slice),
        _ => None,
    });
    slices.collect()
}

#[test]
fn a_slice_holds_so_many_endpoints_and_one_family() {
    let named = |nth: usize| {
        node(&format!("n{nth:04}"), &[("InternalIP", &format!("10.0.{}.{}", nth / 256, nth % 256))], "True")
    };
    let mut values: Vec<Value> = (0..600).map(named).collect();
    values.push(node("v6", &[("InternalIP", "fd00::1")], "True"));
    let slices = slices_of(&nodes(&values));
    let sizes: Vec<(&str, usize)> = slices.iter().map(|slice| (name(&slice.metadata), slice.endpoints.len())).collect();
    assert_eq!(sizes, [("kubelet-ipv4-0", 512), ("kubelet-ipv4-1", 88), ("kubelet-ipv6-0", 1)]);
    assert_eq!(slices_of(&nodes(&values[600..])).len(), 1);
    assert!(objects(&service(), &[]).is_empty(), "nodes that are not seen are no reason for targets");
}

#[test]
fn the_first_family_is_that_of_the_nodes() {
    let of = |addresses: &[(&str, &str)]| {
        let nodes = nodes(&[node("a", addresses, "True")]);
        let mut store = fake::Objects::default();
        for (kind, object) in objects(&service(), &nodes) {
            store.by_kind.insert((kind, Key::of(object.meta())), object);
        }
        let groups = groups(KubernetesRole::EndpointSlice, &store);
        groups
            .iter()
            .flat_map(|group| &group.targets)
            .map(|target| target.own.value("__address__").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&[("InternalIP", "fd00::1")]), ["[fd00::1]:10250", "[fd00::1]:10255", "[fd00::1]:4194"]);
    assert_eq!(of(&[("InternalIP", "fd00::1"), ("InternalIP", "10.0.0.1")])[0], "[fd00::1]:10250");
    assert_eq!(of(&[("InternalIP", "10.0.0.1"), ("InternalIP", "fd00::1")]).len(), 3);
    assert!(of(&[("Hostname", "a"), ("InternalDNS", "a.b")]).is_empty());
}
