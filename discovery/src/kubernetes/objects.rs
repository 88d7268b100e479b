//! The objects of the API server, trimmed as they are decoded to the fields that labels are made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube_watch::{
    ApiServer, Changes, Failure, Key, Meta, Namespace, Scope, Watch, WatchHealth, Watches, resource, trimmed,
};
use model::Labels;
use serde::{Deserialize, Deserializer};

trimmed!(pub(crate) Pod { metadata: Meta, spec: PodSpec, status: PodStatus });
trimmed!(pub(crate) PodSpec { containers: Vec<Container>, init_containers: Vec<Container>, node_name: String });
trimmed!(pub(crate) Container { name: String, image: String, ports: Vec<ContainerPort> });
trimmed!(pub(crate) ContainerPort { container_port: u32, name: String, protocol: String });
trimmed!(pub(crate) PodStatus {
    #[serde(rename = "podIP")]
    pod_ip: String,
    #[serde(rename = "hostIP")]
    host_ip: String,
    phase: String,
    #[serde(rename = "conditions")]
    ready: Ready,
    container_statuses: Vec<ContainerStatus>,
    init_container_statuses: Vec<ContainerStatus>,
});
/// The status of the condition `Ready`, which is all that the labels of a pod say of its conditions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ready(pub(crate) Option<String>);

impl<'de> Deserialize<'de> for Ready {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let conditions = Vec::<Condition>::deserialize(from)?;
        Ok(Self(conditions.into_iter().find(|condition| condition.kind == "Ready").map(|condition| condition.status)))
    }
}

trimmed!(pub(crate) Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
});
trimmed!(pub(crate) ContainerStatus {
    name: String,
    #[serde(rename = "containerID")]
    container_id: String,
});

trimmed!(pub(crate) Node { metadata: Meta, spec: NodeSpec, status: NodeStatus });
trimmed!(pub(crate) NodeSpec {
    #[serde(rename = "providerID")]
    provider_id: String,
});
trimmed!(pub(crate) NodeStatus { addresses: Vec<NodeAddress>, daemon_endpoints: DaemonEndpoints, conditions: Vec<Condition> });
trimmed!(pub(crate) NodeAddress {
    #[serde(rename = "type")]
    kind: String,
    address: String,
});
trimmed!(pub(crate) DaemonEndpoints { kubelet_endpoint: DaemonEndpoint });
trimmed!(pub(crate) DaemonEndpoint {
    // The one field of these objects that Kubernetes writes with a capital letter.
    #[serde(rename = "Port")]
    port: u32,
});

trimmed!(pub(crate) Service { metadata: Meta, spec: ServiceSpec, status: ServiceStatus });
trimmed!(pub(crate) ServiceSpec {
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
    selector: BTreeMap<String, String>,
});
trimmed!(pub(crate) ServicePort { name: String, port: u32, protocol: String });
trimmed!(pub(crate) ServiceStatus { load_balancer: LoadBalancer });
trimmed!(pub(crate) LoadBalancer { ingress: Vec<LoadBalancerIngress> });
trimmed!(pub(crate) LoadBalancerIngress { ip: String });

trimmed!(pub(crate) Endpoints { metadata: Meta, subsets: Vec<Subset> });
trimmed!(pub(crate) Subset { addresses: Vec<Address>, not_ready_addresses: Vec<Address>, ports: Vec<ServicePort> });
trimmed!(pub(crate) Address { ip: String, hostname: String, node_name: Option<String>, target_ref: Option<TargetRef> });
trimmed!(pub(crate) TargetRef { kind: String, name: String, namespace: String });

trimmed!(pub(crate) EndpointSlice { metadata: Meta, address_type: String, endpoints: Vec<SliceEndpoint>, ports: Vec<SlicePort> });
trimmed!(pub(crate) SliceEndpoint {
    addresses: Vec<String>,
    conditions: SliceConditions,
    hostname: Option<String>,
    node_name: Option<String>,
    zone: Option<String>,
    target_ref: Option<TargetRef>,
    deprecated_topology: BTreeMap<String, String>,
});
// Options throughout, since a condition that is not known gives no label, while `false` does.
trimmed!(pub(crate) SliceConditions { ready: Option<bool>, serving: Option<bool>, terminating: Option<bool> });
trimmed!(pub(crate) SlicePort {
    name: Option<String>,
    port: Option<u32>,
    protocol: Option<String>,
    app_protocol: Option<String>,
});

trimmed!(pub(crate) Ingress { metadata: Meta, spec: IngressSpec });
trimmed!(pub(crate) IngressSpec { ingress_class_name: Option<String>, rules: Vec<IngressRule>, tls: Vec<IngressTls> });
trimmed!(pub(crate) IngressRule { host: String, http: Option<IngressHttp> });
trimmed!(pub(crate) IngressHttp { paths: Vec<IngressPath> });
trimmed!(pub(crate) IngressPath { path: String });
trimmed!(pub(crate) IngressTls { hosts: Vec<String> });

// Of these the owner alone matters, which leads on from the owner of a pod.
trimmed!(pub(crate) ReplicaSet { metadata: Meta });
trimmed!(pub(crate) Job { metadata: Meta });

resource!(Pod, "", "v1", "pods", namespaced);
resource!(Node, "", "v1", "nodes", cluster);
resource!(Service, "", "v1", "services", namespaced);
resource!(Endpoints, "", "v1", "endpoints", namespaced);
resource!(EndpointSlice, "discovery.k8s.io", "v1", "endpointslices", namespaced);
resource!(Ingress, "networking.k8s.io", "v1", "ingresses", namespaced);
resource!(ReplicaSet, "apps", "v1", "replicasets", namespaced);
resource!(Job, "batch", "v1", "jobs", namespaced);

/// Declares the kinds that discovery uses: an enum of them, one of their objects, and how each is watched.
macro_rules! kinds {
    ($($kind:ident),*) => {
        /// A kind of object.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Kind {
            $($kind),*
        }

        /// An object of any kind. Cheap to clone.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum Object {
            $($kind(Arc<$kind>)),*
        }

        impl Object {
            /// The metadata.
            pub(crate) fn meta(&self) -> &Meta {
                match self {
                    $(Self::$kind(object) => &object.metadata),*
                }
            }
        }

        $(impl From<Arc<$kind>> for Object {
            fn from(object: Arc<$kind>) -> Self {
                Self::$kind(object)
            }
        })*

        impl Kind {
            /// Watches the objects of this kind.
            pub(crate) fn watch(self, watches: &Arc<Watches>, server: &ApiServer, scope: Scope) -> Box<dyn ObjectWatch> {
                match self {
                    $(Self::$kind => Box::new(watches.watch::<$kind>(server, scope))),*
                }
            }
        }
    };
}

kinds!(Pod, Node, Service, Endpoints, EndpointSlice, Ingress, Namespace, ReplicaSet, Job);

impl Kind {
    /// Does it live outside of namespaces?
    pub(crate) fn is_cluster_wide(self) -> bool {
        matches!(self, Self::Node | Self::Namespace)
    }
}

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tag {
    /// An object of this kind.
    Kind(Kind),
    /// A node, or the Service of all kubelets: what is made of them may be different now.
    Kubelets,
}

/// A watch of objects of any kind.
pub(crate) trait ObjectWatch: std::fmt::Debug + Send + Sync {
    /// An object, if it is known.
    fn get(&self, key: &Key) -> Option<Object>;
    /// All known objects.
    fn all(&self) -> Vec<Object>;
    /// Was the first list received, or did it fail?
    fn is_settled(&self) -> bool;
    /// Why the watch does not work, or does not show everything.
    fn failure(&self) -> Option<Failure>;
    /// How it fares, for whoever looks later.
    fn health(&self) -> WatchHealth;
    /// Adds later changes, as those of a kind.
    fn notify(&self, changes: &Arc<Changes<Tag>>, kind: Kind);
}

impl<K: kube_watch::Kind> ObjectWatch for Watch<K>
where
    Object: From<Arc<K>>,
{
    fn get(&self, key: &Key) -> Option<Object> {
        Watch::get(self, key).map(Object::from)
    }

    fn all(&self) -> Vec<Object> {
        Watch::all(self).into_iter().map(Object::from).collect()
    }

    fn is_settled(&self) -> bool {
        Watch::is_settled(self)
    }

    fn failure(&self) -> Option<Failure> {
        Watch::failure(self)
    }

    fn health(&self) -> WatchHealth {
        Watch::health(self)
    }

    fn notify(&self, changes: &Arc<Changes<Tag>>, kind: Kind) {
        Watch::notify(self, changes, Tag::Kind(kind));
    }
}

/// The objects that labels are made of, beside the one that becomes a group.
pub(crate) trait ObjectStore {
    /// An object, if it is known.
    fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Object>;

    /// The labels of a pod: as they were made for it before, or else by `make`.
    fn labels_of(&self, _pod: &Arc<Pod>, make: &dyn Fn() -> Labels) -> Labels {
        make()
    }
}
