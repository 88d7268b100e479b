//! Role `endpointslice`: every address and port of an EndpointSlice, and then the other ports of the pods behind it.
//! EndpointSlice → [`TargetGroup`], pure.

use config::AttachMetadata;
use kube_watch::{Key, ObjectMeta, name, namespace};
use model::labels::ADDRESS;
use model::{Labels, LabelsBuilder, TargetGroup};

use super::endpoints::{PodsBehind, pod_key, pod_of, set_matching_container};
use super::meta::{host_port, object_labels, sanitise, set, set_namespace, set_node, set_service};
use super::objects::{EndpointSlice, Kind, Object, ObjectStore, Pod, SliceEndpoint, SlicePort};
use super::pod::set_pod;

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
        let pod = pod_of(endpoint.target_ref.as_ref(), namespace(meta), store);
        // As in upstream's `buildEndpointSlice`, ports before addresses: the order of targets is its order.
        for port in &slice.ports {
            for address in &endpoint.addresses {
                targets.push(target(address, endpoint, port, pod.as_deref(), (attach, store)));
                behind.covered(pod.clone(), port.port);
            }
        }
    }
    targets.extend(behind.other_ports(attach, store));
    TargetGroup { source, labels: labels.labels(), targets }
}

/// The pods behind the slice.
pub(crate) fn pods(slice: &EndpointSlice) -> Vec<Key> {
    let own = namespace(&slice.metadata);
    slice.endpoints.iter().filter_map(|endpoint| pod_key(endpoint.target_ref.as_ref(), own)).collect()
}

/// The service that the slice belongs to.
pub(crate) fn service_name(meta: &ObjectMeta) -> Option<&str> {
    meta.labels.as_ref()?.get("kubernetes.io/service-name").map(String::as_str)
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
    pod: Option<&Pod>,
    (attach, store): (AttachMetadata, &dyn ObjectStore),
) -> Labels {
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
    if let Some(pod) = pod {
        set_pod(&mut labels, pod, attach, store);
        if let Some(number) = port.port {
            // Unlike that of an Endpoints object, the protocol of a slice is not the container's, in `buildEndpointSlice`.
            set_matching_container(&mut labels, pod, number, None);
        }
    }
    labels.labels()
}
