//! Targets from the objects of a Kubernetes API server.
//!
//! `objects` what is kept of an object · `meta` label names · one file a role, pure · `client` how the server is spoken
//! to · `watch` one watch for all who need it · `failures` how it is tried again · `provider` one discovery configuration: objects in, groups out.

pub(crate) mod client;
pub(crate) mod endpoints;
pub(crate) mod endpointslice;
mod failures;
pub(crate) mod ingress;
pub(crate) mod meta;
pub(crate) mod node;
pub(crate) mod objects;
pub(crate) mod pod;
pub(crate) mod provider;
pub(crate) mod service;
pub(crate) mod watch;

use config::{AttachMetadata, KubernetesRole};
use model::TargetGroup;

use objects::{Key, Kind, Object, World, namespace};

/// The kind whose objects become groups.
pub(crate) fn primary(role: KubernetesRole) -> Kind {
    match role {
        KubernetesRole::Pod => Kind::Pod,
        KubernetesRole::Service => Kind::Service,
        KubernetesRole::Endpoints => Kind::Endpoints,
        KubernetesRole::EndpointSlice => Kind::EndpointSlice,
        KubernetesRole::Node => Kind::Node,
        KubernetesRole::Ingress => Kind::Ingress,
    }
}

/// The other kinds that a role's labels are made of.
pub(crate) fn related(role: KubernetesRole, attach: AttachMetadata) -> Vec<Kind> {
    let with_pods = matches!(role, KubernetesRole::Endpoints | KubernetesRole::EndpointSlice);
    let of_pods = with_pods || role == KubernetesRole::Pod;
    [
        (with_pods, Kind::Pod),
        (with_pods, Kind::Service),
        (of_pods && attach.node, Kind::Node),
        (role != KubernetesRole::Node && attach.namespace, Kind::Namespace),
        (of_pods && attach.deployment, Kind::ReplicaSet),
        (of_pods && (attach.job || attach.cronjob), Kind::Job),
    ]
    .into_iter()
    .filter(|(asked, _)| *asked)
    .map(|(_, kind)| kind)
    .collect()
}

/// The group of an object; `None` when the object changes nothing (a node without an address).
pub(crate) fn group(object: &Object, attach: AttachMetadata, world: &dyn World) -> Option<TargetGroup> {
    match object {
        Object::Pod(pod) => Some(pod::group(pod, attach, world)),
        Object::Node(node) => node::group(node),
        Object::Service(service) => Some(service::group(service, attach, world)),
        Object::Endpoints(endpoints) => Some(endpoints::group(endpoints, attach, world)),
        Object::EndpointSlice(slice) => Some(endpointslice::group(slice, attach, world)),
        Object::Ingress(ingress) => Some(ingress::group(ingress, attach, world)),
        Object::Namespace(_) | Object::ReplicaSet(_) | Object::Job(_) => None,
    }
}

/// Does a change of the object `(kind, key)` change the group of `object`?
pub(crate) fn is_affected(object: &Object, kind: Kind, key: &Key) -> bool {
    let in_namespace = |own: &str| own == key.namespace;
    match (object, kind) {
        (Object::Endpoints(endpoints), Kind::Pod) => endpoints::pods(endpoints).contains(key),
        (Object::EndpointSlice(slice), Kind::Pod) => endpointslice::pods(slice).contains(key),
        (Object::Endpoints(endpoints), Kind::Service) => Key::of(&endpoints.metadata) == *key,
        (Object::EndpointSlice(slice), Kind::Service) => {
            in_namespace(namespace(&slice.metadata))
                && endpointslice::service_name(&slice.metadata) == Some(key.name.as_str())
        }
        // A node changes rarely once its heartbeats are trimmed away.
        (Object::Pod(pod), Kind::Node) => pod.spec.node_name == key.name,
        (_, Kind::Node) => true,
        (object, Kind::Namespace) => namespace(object.meta()) == key.name,
        (object, Kind::ReplicaSet | Kind::Job) => in_namespace(namespace(object.meta())),
        _ => false,
    }
}
