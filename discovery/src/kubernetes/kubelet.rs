//! The Service of all kubelets with its Endpoints and EndpointSlices, as Prometheus-Operator writes them to the API server, made of
//! the nodes without writing anything. Node → objects, pure; and the watches that these are made from.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use kube_watch::{ApiServer, Changes, Key, Meta, Scope, Watch, Watches, name};

use super::objects::{
    Address, EndpointSlice, Endpoints, Kind, Node, Object, Service, ServicePort, ServiceSpec, SliceConditions,
    SliceEndpoint, SlicePort, Subset, Tag, TargetRef,
};

/// The ports of a kubelet, in the operator's order.
const PORTS: [(&str, u32); 3] = [("https-metrics", 10250), ("cadvisor", 4194), ("http-metrics", 10255)];
/// Endpoints in one slice.
const SLICE_MAX: usize = 512;
/// What labels its objects say about who manages them.
const MANAGER: &str = "prometheus-operator";

/// Follows the nodes.
#[derive(Debug)]
pub(crate) struct Kubelets {
    service: Key,
    nodes: Watch<Node>,
    /// The Service of that name, if somebody writes it: then its endpoints are real as well.
    real: Watch<Service>,
    made: BTreeMap<(Kind, Key), Object>,
}

impl Kubelets {
    pub(crate) fn watch(service: Key, watches: &Arc<Watches>, server: &ApiServer) -> Self {
        let nodes = watches.watch(server, Scope::default());
        let real = watches.watch(server, Scope::object(service.namespace.clone(), &service.name));
        Self { service, nodes, real, made: BTreeMap::new() }
    }

    pub(crate) fn notify(&self, changes: &Arc<Changes<Tag>>) {
        self.nodes.notify(changes, Tag::Kubelets);
        self.real.notify(changes, Tag::Kubelets);
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.nodes.is_settled() && self.real.is_settled()
    }

    /// The nodes: without them there is nothing to make.
    pub(crate) fn nodes(&self) -> &Watch<Node> {
        &self.nodes
    }

    /// Makes the objects anew, and returns those that differ from before.
    pub(crate) fn refresh(&mut self) -> BTreeSet<(Kind, Key)> {
        // Whoever writes the Service decides what its endpoints are, as an operator that still runs.
        let is_real = self.real.get(&self.service).is_some();
        let made = if is_real { Vec::new() } else { objects(&self.service, &self.nodes.all()) };
        let made = made.into_iter().map(|(kind, object)| ((kind, Key::of(object.meta())), object)).collect();
        let former = std::mem::replace(&mut self.made, made);
        let keys: BTreeSet<&(Kind, Key)> = former.keys().chain(self.made.keys()).collect();
        keys.into_iter().filter(|key| former.get(*key) != self.made.get(*key)).cloned().collect()
    }

    pub(crate) fn get(&self, kind: Kind, key: &Key) -> Option<Object> {
        self.made.get(&(kind, key.clone())).cloned()
    }

    pub(crate) fn all(&self, kind: Kind) -> impl Iterator<Item = (&Key, &Object)> {
        self.made.iter().filter(move |((of, _), _)| *of == kind).map(|((_, key), object)| (key, object))
    }
}

/// One address of a node.
struct NodeAddress {
    ip: String,
    node: String,
    is_ipv4: bool,
    /// The node has said lately whether it is ready.
    is_ready_known: bool,
}

/// The objects that the operator would write for these nodes.
fn objects(service: &Key, nodes: &[Arc<Node>]) -> Vec<(Kind, Object)> {
    // They may not be seen. A Service of nothing would be a target all the same.
    if nodes.is_empty() {
        return Vec::new();
    }
    let addresses = addresses(nodes);
    // The family of the cluster is that of its nodes' first addresses.
    let first_family = addresses.first().is_none_or(|address| address.is_ipv4);
    let mut objects = vec![
        (Kind::Service, Object::Service(Arc::new(service_of(service, first_family)))),
        (Kind::Endpoints, Object::Endpoints(Arc::new(endpoints_of(service, &addresses)))),
    ];
    for is_ipv4 in [true, false] {
        for (nth, part) in slices(&addresses, is_ipv4).chunks(SLICE_MAX).enumerate() {
            let slice = slice_of(service, part, is_ipv4, nth);
            objects.push((Kind::EndpointSlice, Object::EndpointSlice(Arc::new(slice))));
        }
    }
    objects
}

/// The addresses of nodes, in the order of their names.
fn addresses(nodes: &[Arc<Node>]) -> Vec<NodeAddress> {
    let mut sorted: Vec<&Arc<Node>> = nodes.iter().collect();
    sorted.sort_by(|a, b| name(&a.metadata).cmp(name(&b.metadata)));
    let mut all = Vec::new();
    for node in sorted {
        let of = |kind: &str| node.status.addresses.iter().filter(|a| a.kind == kind).collect::<Vec<_>>();
        let internal = of("InternalIP");
        let used = if internal.is_empty() { of("ExternalIP") } else { internal };
        let mut ready = node.status.conditions.iter().filter(|condition| condition.kind == "Ready");
        let is_ready_known = ready.any(|condition| condition.status != "Unknown");
        for address in used {
            // As upstream, what is no address is left out.
            let Ok(ip) = address.address.parse::<IpAddr>() else { continue };
            let is_ipv4 = ip.to_canonical().is_ipv4();
            all.push(NodeAddress {
                ip: address.address.clone(),
                node: name(&node.metadata).to_owned(),
                is_ipv4,
                is_ready_known,
            });
        }
    }
    // A machine that was replaced may leave its node object behind, with an address that another node has now. Of several nodes
    // that are known to live the last one counts, as upstream.
    let named = |address: &NodeAddress| (address.ip.clone(), address.node.clone());
    let known: BTreeMap<String, String> = all.iter().filter(|one| one.is_ready_known).map(named).collect();
    let unknown: BTreeSet<String> = all.iter().filter(|one| !one.is_ready_known).map(|one| one.ip.clone()).collect();
    all.retain(|one| known.get(&one.ip).is_none_or(|node| !unknown.contains(&one.ip) || *node == one.node));
    all
}

/// Those of one family. Of several nodes with one address only the first is in a slice, while all are in Endpoints.
fn slices(addresses: &[NodeAddress], is_ipv4: bool) -> Vec<&NodeAddress> {
    let mut seen = BTreeSet::new();
    addresses.iter().filter(|address| address.is_ipv4 == is_ipv4 && seen.insert(&address.ip)).collect()
}

fn metadata(service: &Key, name: String, more: &[(&str, &str)]) -> Meta {
    let labels =
        [("k8s-app", "kubelet"), ("app.kubernetes.io/name", "kubelet"), ("app.kubernetes.io/managed-by", MANAGER)];
    Meta::new(service.namespace.as_str(), name).with_labels(labels.iter().chain(more).copied().collect())
}

fn ports() -> Vec<ServicePort> {
    // The API server sets the protocol where none is given.
    let port = |(name, port): (&str, u32)| ServicePort { name: name.to_owned(), port, protocol: "TCP".to_owned() };
    PORTS.map(port).into()
}

fn service_of(service: &Key, is_ipv4_first: bool) -> Service {
    let mut families = vec!["IPv4".to_owned(), "IPv6".to_owned()];
    if !is_ipv4_first {
        families.reverse();
    }
    Service {
        metadata: metadata(service, service.name.clone(), &[]),
        spec: ServiceSpec {
            kind: "ClusterIP".to_owned(),
            cluster_ip: "None".to_owned(),
            ports: ports(),
            // What the API server sets for a headless Service without a selector, also in a cluster of one family. With it the
            // slices of the other family are secondary and give no targets.
            ip_family_policy: "RequireDualStack".to_owned(),
            ip_families: families,
            ..ServiceSpec::default()
        },
        ..Service::default()
    }
}

fn node_ref(node: &str) -> TargetRef {
    TargetRef { kind: "Node".to_owned(), name: node.to_owned(), ..TargetRef::default() }
}

fn endpoints_of(service: &Key, addresses: &[NodeAddress]) -> Endpoints {
    let address = |one: &NodeAddress| Address {
        ip: one.ip.clone(),
        node_name: Some(one.node.clone()),
        target_ref: Some(node_ref(&one.node)),
        ..Address::default()
    };
    let subset = Subset { addresses: addresses.iter().map(address).collect(), ports: ports(), ..Subset::default() };
    // The operator writes slices beside them, so that nobody has to mirror these.
    let metadata = metadata(service, service.name.clone(), &[("endpointslice.kubernetes.io/skip-mirror", "true")]);
    Endpoints { metadata, subsets: vec![subset] }
}

fn slice_of(service: &Key, addresses: &[&NodeAddress], is_ipv4: bool, nth: usize) -> EndpointSlice {
    let endpoint = |one: &&NodeAddress| SliceEndpoint {
        addresses: vec![one.ip.clone()],
        conditions: SliceConditions { ready: Some(true), ..SliceConditions::default() },
        node_name: Some(one.node.clone()),
        target_ref: Some(node_ref(&one.node)),
        ..SliceEndpoint::default()
    };
    let port = |port: ServicePort| SlicePort {
        name: Some(port.name),
        port: Some(port.port),
        protocol: Some(port.protocol),
        app_protocol: None,
    };
    let family = if is_ipv4 { "IPv4" } else { "IPv6" };
    let more =
        [("kubernetes.io/service-name", service.name.as_str()), ("endpointslice.kubernetes.io/managed-by", MANAGER)];
    EndpointSlice {
        // The API server makes up the end of a name; this one stays the same over restarts.
        metadata: metadata(service, format!("{}-{}-{nth}", service.name, family.to_lowercase()), &more),
        address_type: family.to_owned(),
        endpoints: addresses.iter().map(endpoint).collect(),
        ports: ports().into_iter().map(port).collect(),
    }
}

#[cfg(test)]
#[path = "kubelet_tests.rs"]
mod tests;
