//! Role `endpoints`: every address and port of an Endpoints object, and then the other ports of the pods behind it.
//! Endpoints → [`TargetGroup`], pure.

use std::sync::Arc;

use config::AttachMetadata;
use kube_watch::{Key, name, namespace};
use model::labels::ADDRESS;
use model::{Labels, LabelsBuilder, TargetGroup};

use super::meta::{host_port, object_labels, set, set_namespace, set_node, set_service};
use super::objects::{Address, Endpoints, Kind, Object, ObjectStore, Pod, ServicePort, TargetRef};
use super::pod::{containers, set_container, set_pod, set_port};

/// The targets of an Endpoints object.
pub(crate) fn group(endpoints: &Endpoints, attach: AttachMetadata, store: &dyn ObjectStore) -> TargetGroup {
    let meta = &endpoints.metadata;
    let mut labels = object_labels("endpoints", meta);
    set_service(&mut labels, namespace(meta), name(meta), store);
    set_namespace(&mut labels, meta, attach, store);
    let mut behind = PodsBehind::default();
    let mut targets = Vec::new();
    for subset in &endpoints.subsets {
        for port in &subset.ports {
            let ready = subset.addresses.iter().map(|address| (address, "true"));
            for (address, ready) in ready.chain(subset.not_ready_addresses.iter().map(|address| (address, "false"))) {
                let pod = pod_of(address.target_ref.as_ref(), namespace(meta), store);
                targets.push(target(address, port, ready, pod.as_deref(), (attach, store)));
                behind.covered(pod, Some(port.port));
            }
        }
    }
    targets.extend(behind.other_ports(attach, store));
    let source = format!("endpoints/{}/{}", namespace(meta), name(meta));
    TargetGroup { source, labels: labels.labels(), targets }
}

/// The pods behind the object.
pub(crate) fn pods(endpoints: &Endpoints) -> Vec<Key> {
    let subsets = endpoints.subsets.iter();
    let addresses = subsets.flat_map(|subset| subset.addresses.iter().chain(&subset.not_ready_addresses));
    addresses.filter_map(|a| pod_key(a.target_ref.as_ref(), namespace(&endpoints.metadata))).collect()
}

/// The key of the pod that a reference names.
pub(crate) fn pod_key(reference: Option<&TargetRef>, namespace: &str) -> Option<Key> {
    let reference = reference.filter(|reference| reference.kind == "Pod")?;
    // A reference without a namespace means that of its own object.
    let own = if reference.namespace.is_empty() { namespace } else { &reference.namespace };
    Some(Key::new(own, &reference.name))
}

/// The pod that a reference names, if it is known.
pub(crate) fn pod_of(reference: Option<&TargetRef>, namespace: &str, store: &dyn ObjectStore) -> Option<Arc<Pod>> {
    let key = pod_key(reference, namespace)?;
    match store.get(Kind::Pod, &key.namespace, &key.name)? {
        Object::Pod(pod) => Some(pod),
        _ => None,
    }
}

fn target(
    address: &Address,
    port: &ServicePort,
    ready: &str,
    pod: Option<&Pod>,
    (attach, store): (AttachMetadata, &dyn ObjectStore),
) -> Labels {
    let mut labels = LabelsBuilder::default();
    labels.set(ADDRESS, host_port(&address.ip, port.port));
    set(&mut labels, "endpoint_port_name", &port.name);
    set(&mut labels, "endpoint_port_protocol", &port.protocol);
    set(&mut labels, "endpoint_ready", ready);
    set(&mut labels, "endpoint_node_name", address.node_name.as_deref().unwrap_or_default());
    set(&mut labels, "endpoint_hostname", &address.hostname);
    if let Some(reference) = &address.target_ref {
        set(&mut labels, "endpoint_address_target_kind", &reference.kind);
        set(&mut labels, "endpoint_address_target_name", &reference.name);
    }
    if attach.node {
        // Endpoints of kubelets refer to a node instead of a pod.
        let by_reference = address.target_ref.as_ref().filter(|reference| reference.kind == "Node");
        let node = address.node_name.as_deref().or(by_reference.map(|reference| reference.name.as_str()));
        if let Some(node) = node {
            set_node(&mut labels, node, store);
        }
    }
    if let Some(pod) = pod {
        set_pod(&mut labels, pod, attach, store);
        // As upstream's `buildEndpoints`: by the number of the port, since a service names ports differently than a
        // container.
        set_matching_container(&mut labels, pod, port.port, Some(&port.protocol));
    }
    labels.labels()
}

/// Sets the labels of the container that has the port; of several the last wins. The protocol is the container's own, unless
/// it is given.
pub(crate) fn set_matching_container(labels: &mut LabelsBuilder, pod: &Pod, port: u32, protocol: Option<&str>) {
    let matching = containers(pod).filter_map(|(container, is_init)| {
        let own = container.ports.iter().find(|own| own.container_port == port)?;
        Some((container, is_init, own))
    });
    // Only the last is set: what it has no value for must not be that of another container.
    if let Some((container, is_init, own)) = matching.last() {
        set_container(labels, container, is_init);
        set_port(labels, own, protocol.unwrap_or(&own.protocol));
    }
}

/// The pods behind endpoints, and which of their ports are targets already.
#[derive(Debug, Default)]
pub(crate) struct PodsBehind(Vec<(Arc<Pod>, Vec<u32>)>);

impl PodsBehind {
    /// Records that a pod, and a port of it where one is named, is a target.
    pub(crate) fn covered(&mut self, pod: Option<Arc<Pod>>, port: Option<u32>) {
        let Some(pod) = pod else { return };
        // The same pod is the same `Arc` of the cache as long as this group is made.
        match self.0.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &pod)) {
            Some((_, ports)) => ports.extend(port),
            None => self.0.push((pod, port.into_iter().collect())),
        }
    }

    /// The targets of the ports that no endpoint covers.
    pub(crate) fn other_ports(&self, attach: AttachMetadata, store: &dyn ObjectStore) -> Vec<Labels> {
        let mut targets = Vec::new();
        for (pod, covered) in &self.0 {
            // Without an address there is nothing to scrape; the pod's next change brings one.
            if pod.status.pod_ip.is_empty() {
                continue;
            }
            for (container, is_init) in containers(pod) {
                for port in container.ports.iter().filter(|port| !covered.contains(&port.container_port)) {
                    let mut labels = LabelsBuilder::default();
                    labels.set(ADDRESS, host_port(&pod.status.pod_ip, port.container_port));
                    set_container(&mut labels, container, is_init);
                    set_port(&mut labels, port, &port.protocol);
                    set_pod(&mut labels, pod, attach, store);
                    targets.push(labels.labels());
                }
            }
        }
        targets
    }
}
