//! The objects of the API server, trimmed as they are decoded: only the fields that labels are made of.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use serde::{Deserialize, Deserializer};

/// What `null` means for a field: the same as its absence.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// A struct whose fields may all be absent or null.
macro_rules! trimmed {
    ($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident : $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        pub(crate) struct $name {
            $($(#[$attr])* #[serde(deserialize_with = "or_default")] pub(crate) $field: $type),*
        }
    };
}

/// Tells kube how a kind is called and where it lives.
macro_rules! resource {
    ($name:ident, $group:literal, $version:literal, $plural:literal, $scope:ty) => {
        impl kube::Resource for $name {
            type DynamicType = ();
            type Scope = $scope;

            fn kind((): &()) -> Cow<'_, str> {
                stringify!($name).into()
            }

            fn group((): &()) -> Cow<'_, str> {
                $group.into()
            }

            fn version((): &()) -> Cow<'_, str> {
                $version.into()
            }

            fn plural((): &()) -> Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

trimmed!(Pod { metadata: ObjectMeta, spec: PodSpec, status: PodStatus });
trimmed!(PodSpec { containers: Vec<Container>, init_containers: Vec<Container>, node_name: String });
trimmed!(Container { name: String, image: String, ports: Vec<ContainerPort> });
trimmed!(ContainerPort { container_port: u32, name: String, protocol: String });
trimmed!(PodStatus {
    #[serde(rename = "podIP")]
    pod_ip: String,
    #[serde(rename = "hostIP")]
    host_ip: String,
    phase: String,
    conditions: Vec<Condition>,
    container_statuses: Vec<ContainerStatus>,
    init_container_statuses: Vec<ContainerStatus>,
});
trimmed!(Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
});
trimmed!(ContainerStatus {
    name: String,
    #[serde(rename = "containerID")]
    container_id: String,
});

trimmed!(Node { metadata: ObjectMeta, spec: NodeSpec, status: NodeStatus });
trimmed!(NodeSpec {
    #[serde(rename = "providerID")]
    provider_id: String,
});
trimmed!(NodeStatus { addresses: Vec<NodeAddress>, daemon_endpoints: DaemonEndpoints, conditions: Vec<Condition> });
trimmed!(NodeAddress {
    #[serde(rename = "type")]
    kind: String,
    address: String,
});
trimmed!(DaemonEndpoints { kubelet_endpoint: DaemonEndpoint });
trimmed!(DaemonEndpoint {
    #[serde(rename = "Port")]
    port: u32,
});

trimmed!(Service { metadata: ObjectMeta, spec: ServiceSpec, status: ServiceStatus });
trimmed!(ServiceSpec {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    external_name: String,
    #[serde(rename = "loadBalancerIP")]
    load_balancer_ip: String,
    ip_families: Vec<String>,
    ip_family_policy: String,
    ports: Vec<ServicePort>,
});
trimmed!(ServicePort { name: String, port: u32, protocol: String });
trimmed!(ServiceStatus { load_balancer: LoadBalancer });
trimmed!(LoadBalancer { ingress: Vec<LoadBalancerIngress> });
trimmed!(LoadBalancerIngress { ip: String });

trimmed!(Endpoints { metadata: ObjectMeta, subsets: Vec<Subset> });
trimmed!(Subset { addresses: Vec<Address>, not_ready_addresses: Vec<Address>, ports: Vec<ServicePort> });
trimmed!(Address { ip: String, hostname: String, node_name: Option<String>, target_ref: Option<TargetRef> });
trimmed!(TargetRef { kind: String, name: String, namespace: String });

trimmed!(EndpointSlice { metadata: ObjectMeta, address_type: String, endpoints: Vec<SliceEndpoint>, ports: Vec<SlicePort> });
trimmed!(SliceEndpoint {
    addresses: Vec<String>,
    conditions: SliceConditions,
    hostname: Option<String>,
    node_name: Option<String>,
    zone: Option<String>,
    target_ref: Option<TargetRef>,
    deprecated_topology: BTreeMap<String, String>,
});
trimmed!(SliceConditions { ready: Option<bool>, serving: Option<bool>, terminating: Option<bool> });
trimmed!(SlicePort {
    name: Option<String>,
    port: Option<u32>,
    protocol: Option<String>,
    app_protocol: Option<String>,
});

trimmed!(Ingress { metadata: ObjectMeta, spec: IngressSpec });
trimmed!(IngressSpec { ingress_class_name: Option<String>, rules: Vec<IngressRule>, tls: Vec<IngressTls> });
trimmed!(IngressRule { host: String, http: Option<IngressHttp> });
trimmed!(IngressHttp { paths: Vec<IngressPath> });
trimmed!(IngressPath { path: String });
trimmed!(IngressTls { hosts: Vec<String> });

trimmed!(Namespace { metadata: ObjectMeta });
trimmed!(ReplicaSet { metadata: ObjectMeta });
trimmed!(Job { metadata: ObjectMeta });

resource!(Pod, "", "v1", "pods", NamespaceResourceScope);
resource!(Node, "", "v1", "nodes", ClusterResourceScope);
resource!(Service, "", "v1", "services", NamespaceResourceScope);
resource!(Endpoints, "", "v1", "endpoints", NamespaceResourceScope);
resource!(EndpointSlice, "discovery.k8s.io", "v1", "endpointslices", NamespaceResourceScope);
resource!(Ingress, "networking.k8s.io", "v1", "ingresses", NamespaceResourceScope);
resource!(Namespace, "", "v1", "namespaces", ClusterResourceScope);
resource!(ReplicaSet, "apps", "v1", "replicasets", NamespaceResourceScope);
resource!(Job, "batch", "v1", "jobs", NamespaceResourceScope);

/// Any of the kinds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Object {
    Pod(Pod),
    Node(Node),
    Service(Service),
    Endpoints(Endpoints),
    EndpointSlice(EndpointSlice),
    Ingress(Ingress),
    Namespace(Namespace),
    ReplicaSet(ReplicaSet),
    Job(Job),
}

/// The kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Pod,
    Node,
    Service,
    Endpoints,
    EndpointSlice,
    Ingress,
    Namespace,
    ReplicaSet,
    Job,
}

impl Kind {
    /// Does it live outside of namespaces?
    pub(crate) fn is_cluster_wide(self) -> bool {
        matches!(self, Self::Node | Self::Namespace)
    }

    /// The resource's name, for messages.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Pod => "pods",
            Self::Node => "nodes",
            Self::Service => "services",
            Self::Endpoints => "endpoints",
            Self::EndpointSlice => "endpointslices",
            Self::Ingress => "ingresses",
            Self::Namespace => "namespaces",
            Self::ReplicaSet => "replicasets",
            Self::Job => "jobs",
        }
    }

    /// What upstream's event counter calls the kind.
    pub(crate) fn event_role(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Node => "node",
            Self::Service => "service",
            Self::Endpoints => "endpoints",
            Self::EndpointSlice => "endpointslice",
            Self::Ingress => "ingress",
            Self::Namespace => "namespace",
            Self::ReplicaSet => "replicaset",
            Self::Job => "job",
        }
    }
}

/// Where an object is: its namespace, empty outside of them, and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    pub(crate) fn of(meta: &ObjectMeta) -> Self {
        Self::new(namespace(meta), name(meta))
    }
}

/// The object's namespace; empty outside of them.
pub(crate) fn namespace(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or_default()
}

/// The object's name.
pub(crate) fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

/// The kind and name of the owner that controls the object.
pub(crate) fn controller(meta: &ObjectMeta) -> Option<(&str, &str)> {
    let owner = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
    Some((&owner.kind, &owner.name))
}

/// Forgets what no label is made of, so that a change of it is none.
pub(crate) fn trim(meta: &mut ObjectMeta) {
    *meta = ObjectMeta {
        namespace: meta.namespace.take(),
        name: meta.name.take(),
        uid: meta.uid.take(),
        labels: meta.labels.take(),
        annotations: meta.annotations.take(),
        owner_references: meta.owner_references.take(),
        ..ObjectMeta::default()
    };
}

/// What the label rules may ask about other objects.
pub(crate) trait World {
    /// The object, if it is known.
    fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<std::sync::Arc<Object>>;
}

impl Object {
    /// Its metadata.
    pub(crate) fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Pod(o) => &o.metadata,
            Self::Node(o) => &o.metadata,
            Self::Service(o) => &o.metadata,
            Self::Endpoints(o) => &o.metadata,
            Self::EndpointSlice(o) => &o.metadata,
            Self::Ingress(o) => &o.metadata,
            Self::Namespace(o) => &o.metadata,
            Self::ReplicaSet(o) => &o.metadata,
            Self::Job(o) => &o.metadata,
        }
    }
}
