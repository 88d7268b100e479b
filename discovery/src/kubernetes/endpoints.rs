//! Role `endpoints`: every address and port of an Endpoints object, and then the other ports of the pods behind it.
//! Endpoints → [`TargetGroup`], pure.

use std::collections::HashMap;
use std::sync::Arc;

use config::AttachMetadata;
use kube_watch::{Key, name, namespace};
use model::labels::ADDRESS;
use model::{Labels, LabelsBuilder, TargetGroup, TargetLabels};

use super::meta::{object_labels, set, set_namespace, set_node, set_service};
use super::objects::{Address, Endpoints, Kind, Object, ObjectStore, Pod, ServicePort, TargetRef};
use super::pod::{containers, pod_labels, set_container, set_port};
use crate::host_port::host_port;

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
                let pod = behind.of(address.target_ref.as_ref(), (attach, store));
                targets.push(target(address, port, ready, behind.at(pod), (attach, store)));
                behind.covered(pod, Some(port.port));
            }
        }
    }
    targets.extend(behind.other_ports());
    let source = format!("endpoints/{}/{}", namespace(meta), name(meta));
    TargetGroup { source, labels: labels.labels(), targets }
}

/// The references to what is behind the object.
pub(crate) fn references(endpoints: &Endpoints) -> impl Iterator<Item = &TargetRef> {
    let subsets = endpoints.subsets.iter();
    let addresses = subsets.flat_map(|subset| subset.addresses.iter().chain(&subset.not_ready_addresses));
    addresses.filter_map(|address| address.target_ref.as_ref())
}

/// Has the API server left addresses out, because an object holds a thousand at most?
pub(crate) fn is_truncated(endpoints: &Endpoints) -> bool {
    endpoints.metadata.annotations.get("endpoints.kubernetes.io/over-capacity") == Some("truncated")
}

/// Namespace and name of the pod that a reference names.
pub(crate) fn pod_name(reference: &TargetRef) -> Option<(&str, &str)> {
    // As upstream's `resolvePodRef`, which does not take a reference without a namespace to mean that of its own object.
    (reference.kind == "Pod").then_some((reference.namespace.as_str(), reference.name.as_str()))
}

fn target(
    address: &Address,
    port: &ServicePort,
    ready: &str,
    pod: Option<&Behind>,
    (attach, store): (AttachMetadata, &dyn ObjectStore),
) -> TargetLabels {
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
    if let Some(Behind { pod, .. }) = pod {
        // As upstream's `buildEndpoints`: by the number of the port, since a service names ports differently than a
        // container.
        set_matching_container(&mut labels, pod, port.port, Some(&port.protocol));
    }
    TargetLabels { own: labels.labels(), shared: pod.map(|behind| behind.labels.clone()) }
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

/// A pod behind an endpoint, and its labels.
#[derive(Clone, Debug)]
pub(crate) struct Behind {
    pub(crate) pod: Arc<Pod>,
    pub(crate) labels: Labels,
}

/// The pods behind endpoints, and which of their ports are targets already.
#[derive(Debug, Default)]
pub(crate) struct PodsBehind {
    pods: Vec<(Behind, Vec<u32>)>,
    /// Their indexes. By their keys: the cache may get a new version of one while its addresses are looked at.
    indexes: HashMap<Key, usize>,
}

impl PodsBehind {
    /// The pod that a reference names, if it is known.
    pub(crate) fn of(
        &mut self,
        reference: Option<&TargetRef>,
        (attach, store): (AttachMetadata, &dyn ObjectStore),
    ) -> Option<usize> {
        let (namespace, name) = pod_name(reference?)?;
        let key = Key::new(namespace, name);
        if let Some(index) = self.indexes.get(&key) {
            return Some(*index);
        }
        let Object::Pod(pod) = store.get(Kind::Pod, namespace, name)? else { return None };
        let labels = pod_labels(&pod, attach, store);
        let index = self.pods.len();
        self.pods.push((Behind { pod, labels }, Vec::new()));
        self.indexes.insert(key, index);
        Some(index)
    }

    /// The pod at an index.
    pub(crate) fn at(&self, index: Option<usize>) -> Option<&Behind> {
        index.map(|index| &self.pods[index].0)
    }

    /// Records that a port of a pod is a target already.
    pub(crate) fn covered(&mut self, index: Option<usize>, port: Option<u32>) {
        if let Some(index) = index {
            self.pods[index].1.extend(port);
        }
    }

    /// The targets of the ports that no endpoint covers.
    pub(crate) fn other_ports(&self) -> Vec<TargetLabels> {
        let mut targets = Vec::new();
        for (Behind { pod, labels: shared }, covered) in &self.pods {
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
                    targets.push(TargetLabels { own: labels.labels(), shared: Some(shared.clone()) });
                }
            }
        }
        targets
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::Objects;
    use super::*;
    use serde_json::{Value, json};

    fn targets(address: &Value, port: &Value) -> Vec<String> {
        let own = json!({"containerPort": 81, "protocol": "UDP"});
        let mut store = Objects::default();
        store.put(
            "Pod",
            &json!({
                "metadata": {"name": "p", "namespace": "d"}, "spec": {"containers": [{"name": "c", "ports": [own]}]},
                "status": {"podIP": "10.0.0.1"},
            }),
        );
        store.put("Node", &json!({"metadata": {"name": "n1"}}));
        store.put("Node", &json!({"metadata": {"name": "n2"}}));
        let subset = json!({"addresses": [address], "notReadyAddresses": [{"ip": "10.0.0.8"}], "ports": [port]});
        let Object::Endpoints(endpoints) =
            store.put("Endpoints", &json!({"metadata": {"name": "s", "namespace": "d"}, "subsets": [subset]}))
        else {
            panic!("{subset}")
        };
        let attach = AttachMetadata { node: true, ..AttachMetadata::default() };
        let value = |target: &Labels, name: &str| target.value(&super::super::meta::label(name)).to_owned();
        let names = ["endpoint_ready", "pod_name", "pod_container_port_protocol", "node_name"];
        let line = |target: &Labels| {
            let values: Vec<String> = names.iter().map(|name| value(target, name)).collect();
            format!("{} {}", target.value(ADDRESS), values.join("/"))
        };
        let targets = group(&endpoints, attach, &store).targets;
        targets.iter().map(|target| line(&target.joined(&Labels::empty()))).collect()
    }

    #[test]
    fn what_stands_behind_an_address() {
        let port = json!({"port": 81, "protocol": "TCP"});
        let pod = |namespace: &str| json!({"kind": "Pod", "name": "p", "namespace": namespace});
        let of = |more: Value| {
            let mut address = json!({"ip": "10.0.0.1"});
            address.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            targets(&address, &port)
        };
        let not_ready = "10.0.0.8:81 false///";
        // The protocol is the endpoint's.
        assert_eq!(of(json!({"targetRef": pod("d")})), ["10.0.0.1:81 true/p/TCP/", not_ready]);
        assert_eq!(of(json!({"targetRef": pod("")})), ["10.0.0.1:81 true///", not_ready], "as upstream");
        // The node on which it runs wins over a reference.
        let node = json!({"kind": "Node", "name": "n2"});
        assert_eq!(of(json!({"targetRef": node})), ["10.0.0.1:81 true///n2", not_ready]);
        assert_eq!(of(json!({"targetRef": node, "nodeName": "n1"})), ["10.0.0.1:81 true///n1", not_ready]);
    }

    /// The cache may get a new version of a pod while its addresses are looked at.
    #[test]
    fn two_versions_of_a_pod_are_one() {
        let mut store = Objects::default();
        let pod = |ip: &str, ports: Value| {
            let (metadata, spec) = (json!({"name": "p", "namespace": "d"}), json!({"containers": [{"ports": ports}]}));
            json!({"metadata": metadata, "spec": spec, "status": {"podIP": ip}})
        };
        store.put("Pod", &pod("10.0.0.1", json!([{"containerPort": 1}, {"containerPort": 2}, {"containerPort": 3}])));
        let reference = TargetRef { kind: "Pod".to_owned(), name: "p".to_owned(), namespace: "d".to_owned() };
        let mut behind = PodsBehind::default();
        let first = behind.of(Some(&reference), (AttachMetadata::default(), &store));
        behind.covered(first, Some(1));
        store.put("Pod", &pod("10.0.0.2", json!([{"containerPort": 1}])));
        let second = behind.of(Some(&reference), (AttachMetadata::default(), &store));
        behind.covered(second, Some(2));
        behind.covered(None, Some(3));
        let others = behind.other_ports();
        let addresses: Vec<&str> = others.iter().map(|target| target.own.value(ADDRESS)).collect();
        assert_eq!(addresses, ["10.0.0.1:3"]);
    }
}
