//! Role `endpointslice`: every address and port of an EndpointSlice, and then the other ports of the pods behind it.
//! EndpointSlice → [`TargetGroup`], pure.

use config::AttachMetadata;
use kube_watch::{Meta, name, namespace};
use model::labels::ADDRESS;
use model::{LabelsBuilder, TargetGroup, TargetLabels};

use super::endpoints::{Behind, PodsBehind, set_matching_container};
use super::meta::{object_labels, set, set_namespace, set_node, set_service};
use super::objects::{EndpointSlice, Kind, Object, ObjectStore, SliceEndpoint, SlicePort, TargetRef};
use crate::host_port::host_port;
use crate::meta::sanitise;

/// The targets of an EndpointSlice.
pub(crate) fn group(slice: &EndpointSlice, attach: AttachMetadata, store: &dyn ObjectStore) -> TargetGroup {
    let meta = &slice.metadata;
    let source = format!("endpointslice/{}/{}", namespace(meta), name(meta));
    if is_secondary(slice, store) {
        // An empty group rather than none: it removes what an earlier state of the service has published.
        return TargetGroup { source, ..TargetGroup::default() };
    }
    let mut labels = object_labels("endpointslice", meta);
    set(&mut labels, "endpointslice_address_type", &slice.address_type);
    if let Some(service) = service_name(meta) {
        set_service(&mut labels, namespace(meta), service, store);
    }
    set_namespace(&mut labels, meta, attach, store);
    let mut behind = PodsBehind::default();
    let mut targets = Vec::new();
    for endpoint in &slice.endpoints {
        let pod = behind.of(endpoint.target_ref.as_ref(), (attach, store));
        // As in upstream's `buildEndpointSlice`, ports before addresses: the order of targets is its order.
        for port in &slice.ports {
            for address in &endpoint.addresses {
                targets.push(target(address, endpoint, port, behind.at(pod), (attach, store)));
                behind.covered(pod, port.port);
            }
        }
    }
    targets.extend(behind.other_ports());
    TargetGroup { source, labels: labels.labels(), targets }
}

/// The references to what is behind the slice.
pub(crate) fn references(slice: &EndpointSlice) -> impl Iterator<Item = &TargetRef> {
    slice.endpoints.iter().filter_map(|endpoint| endpoint.target_ref.as_ref())
}

/// The service that the slice belongs to.
pub(crate) fn service_name(meta: &Meta) -> Option<&str> {
    meta.labels.get("kubernetes.io/service-name")
}

/// Of a dual-stack service only the slices of its first address family are used; the others lead to the same pods.
fn is_secondary(slice: &EndpointSlice, store: &dyn ObjectStore) -> bool {
    let meta = &slice.metadata;
    let service = service_name(meta).and_then(|service| store.get(Kind::Service, namespace(meta), service));
    let Some(Object::Service(service)) = service else { return false };
    let dual = matches!(service.spec.ip_family_policy.as_str(), "PreferDualStack" | "RequireDualStack");
    dual && service.spec.ip_families.first().is_some_and(|first| *first != slice.address_type)
}

fn target(
    address: &str,
    endpoint: &SliceEndpoint,
    port: &SlicePort,
    pod: Option<&Behind>,
    (attach, store): (AttachMetadata, &dyn ObjectStore),
) -> TargetLabels {
    let mut labels = LabelsBuilder::default();
    // A slice may leave the port open, which Kubernetes reads as any; the address then stands alone.
    labels.set(ADDRESS, port.port.map_or_else(|| address.to_owned(), |port| host_port(address, port)));
    let conditions = &endpoint.conditions;
    let number = port.port.map(|port| port.to_string());
    let shown = |on: Option<bool>| on.map(|on| on.to_string());
    for (name, value) in [
        ("port_name", port.name.clone()),
        ("port_protocol", port.protocol.clone()),
        ("port", number),
        ("port_app_protocol", port.app_protocol.clone()),
        ("endpoint_conditions_ready", shown(conditions.ready)),
        ("endpoint_conditions_serving", shown(conditions.serving)),
        ("endpoint_conditions_terminating", shown(conditions.terminating)),
        ("endpoint_hostname", endpoint.hostname.clone()),
        ("endpoint_node_name", endpoint.node_name.clone()),
        ("endpoint_zone", endpoint.zone.clone()),
        ("address_target_kind", endpoint.target_ref.as_ref().map(|reference| reference.kind.clone())),
        ("address_target_name", endpoint.target_ref.as_ref().map(|reference| reference.name.clone())),
    ] {
        set(&mut labels, &format!("endpointslice_{name}"), &value.unwrap_or_default());
    }
    for (key, value) in &endpoint.deprecated_topology {
        let key = sanitise(key);
        set(&mut labels, &format!("endpointslice_endpoint_topology_{key}"), value);
        set(&mut labels, &format!("endpointslice_endpoint_topology_present_{key}"), "true");
    }
    if attach.node {
        // A reference to the node itself wins over the node on which the endpoint runs.
        let by_reference = endpoint.target_ref.as_ref().filter(|reference| reference.kind == "Node");
        let node = by_reference.map(|reference| reference.name.as_str()).or(endpoint.node_name.as_deref());
        if let Some(node) = node {
            set_node(&mut labels, node, store);
        }
    }
    if let (Some(Behind { pod, .. }), Some(number)) = (pod, port.port) {
        // Unlike that of an Endpoints object, the protocol of a slice is not the container's, in `buildEndpointSlice`.
        set_matching_container(&mut labels, pod, number, None);
    }
    TargetLabels { own: labels.labels(), shared: pod.map(|behind| behind.labels.clone()) }
}

#[cfg(test)]
mod tests {
    use super::super::fake::Objects;
    use super::*;
    use model::Labels;
    use serde_json::{Value, json};

    /// The targets of a slice of Service `s`, with a pod that has two ports. Sorted.
    fn targets(endpoint: &Value, ports: &[Value], more: &[(&str, Value)]) -> Vec<Labels> {
        let port = |port: u32, protocol: &str| json!({"containerPort": port, "protocol": protocol});
        let containers = json!([{"name": "c", "ports": [port(80, "TCP"), port(81, "UDP")]}]);
        // A sidecar is an init container that goes on.
        let sidecar = json!({"name": "side", "restartPolicy": "Always", "ports": [port(90, "TCP")]});
        let pod = json!({
            "metadata": {"name": "p", "namespace": "d"},
            "spec": {"containers": containers, "initContainers": [sidecar]},
            "status": {"podIP": "10.0.0.1"},
        });
        let mut store = Objects::default();
        store.put("Pod", &pod);
        for (kind, value) in more {
            store.put(kind, value);
        }
        let labels = json!({"kubernetes.io/service-name": "s"});
        let mut slice = json!({"metadata": {"name": "s-1", "namespace": "d", "labels": labels}, "addressType": "IPv4"});
        slice["endpoints"] = json!([endpoint]);
        slice["ports"] = json!(ports);
        let Object::EndpointSlice(slice) = store.put("EndpointSlice", &slice) else { panic!("{slice}") };
        let attach = AttachMetadata { node: true, ..AttachMetadata::default() };
        let mut targets: Vec<Labels> =
            group(&slice, attach, &store).targets.iter().map(|target| target.joined(&Labels::empty())).collect();
        targets.sort();
        targets
    }

    fn shown(targets: &[Labels], names: &[&str]) -> Vec<String> {
        let value = |target: &Labels, name: &str| target.value(&super::super::meta::label(name)).to_owned();
        let line = |target: &Labels| {
            let values: Vec<String> = names.iter().map(|name| value(target, name)).collect();
            format!("{} {}", target.value(ADDRESS), values.join(" "))
        };
        targets.iter().map(line).collect()
    }

    fn behind_pod() -> Value {
        json!({"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "p", "namespace": "d"}})
    }

    /// Upstream's roles differ: endpoints take the protocol of the endpoint.
    #[test]
    fn the_protocol_is_that_of_the_containers_own_port() {
        let found = targets(&behind_pod(), &[json!({"port": 81, "protocol": "TCP"})], &[]);
        let names =
            ["pod_container_port_protocol", "endpointslice_port_protocol", "pod_container_name", "pod_container_init"];
        assert_eq!(
            shown(&found, &names),
            ["10.0.0.1:80 TCP  c false", "10.0.0.1:81 UDP TCP c false", "10.0.0.1:90 TCP  side true"]
        );
    }

    #[test]
    fn a_port_without_a_number_leads_to_the_pods_others() {
        let found = targets(&behind_pod(), &[json!({"name": "any"})], &[]);
        assert_eq!(
            shown(&found, &["endpointslice_port_name", "pod_container_port_number"]),
            ["10.0.0.1 any ", "10.0.0.1:80  80", "10.0.0.1:81  81", "10.0.0.1:90  90"]
        );
    }

    #[test]
    fn a_reference_without_a_namespace_leads_nowhere() {
        let endpoint = json!({"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "p"}});
        let found = targets(&endpoint, &[json!({"port": 80})], &[]);
        assert_eq!(shown(&found, &["endpointslice_address_target_name", "pod_name"]), ["10.0.0.1:80 p "]);
    }

    #[test]
    fn endpoints_that_are_not_ready_or_end_are_targets_that_say_so() {
        let conditions = json!({"ready": false, "serving": true, "terminating": true});
        let mut endpoint = behind_pod();
        endpoint["conditions"] = conditions;
        let found = targets(&endpoint, &[json!({"port": 80})], &[]);
        let of = |name: &str| format!("endpointslice_endpoint_conditions_{name}");
        let names = ["ready", "serving", "terminating"].map(of);
        assert_eq!(shown(&found, &names.each_ref().map(String::as_str))[0], "10.0.0.1:80 false true true");
    }

    #[test]
    fn a_reference_to_a_node_gives_its_labels() {
        let node = |name: &str| ("Node", json!({"metadata": {"name": name, "labels": {"z": name}}}));
        let mut endpoint =
            json!({"addresses": ["10.9.0.1"], "nodeName": "n1", "targetRef": {"kind": "Node", "name": "n2"}});
        let of = |endpoint: &Value| {
            shown(&targets(endpoint, &[json!({"port": 1})], &[node("n1"), node("n2")]), &["node_name", "node_label_z"])
        };
        assert_eq!(of(&endpoint), ["10.9.0.1:1 n2 n2"]);
        endpoint["targetRef"] = Value::Null;
        assert_eq!(of(&endpoint), ["10.9.0.1:1 n1 n1"]);
    }

    #[test]
    fn of_two_families_the_first_of_the_service_counts() {
        let service = |policy: &str, families: [&str; 2]| {
            [(
                "Service",
                json!({"metadata": {"name": "s", "namespace": "d"}, "spec": {"ipFamilyPolicy": policy, "ipFamilies": families}}),
            )]
        };
        for (policy, families, n) in [
            ("RequireDualStack", ["IPv6", "IPv4"], 0),
            ("PreferDualStack", ["IPv6", "IPv4"], 0),
            ("PreferDualStack", ["IPv4", "IPv6"], 1),
            ("SingleStack", ["IPv6", "IPv4"], 1),
        ] {
            let endpoint = json!({"addresses": ["10.0.0.1"]});
            assert_eq!(
                targets(&endpoint, &[json!({"port": 1})], &service(policy, families)).len(),
                n,
                "{policy} {families:?}"
            );
        }
    }
}
