//! Which kinds of objects a role needs, and which target groups they become.

use std::collections::HashSet;

use config::{AttachMetadata, KubernetesRole};
use kube_watch::{Key, namespace};
use model::TargetGroup;

use super::objects::{Kind, Object, ObjectStore, TargetRef};
use super::{endpoints, endpointslice, ingress, node, pod, service};

/// The kind whose objects become target groups.
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

/// The other kinds whose objects give labels to the targets of a role.
pub(crate) fn related(role: KubernetesRole, attach: AttachMetadata) -> Vec<Kind> {
    let with_pods = matches!(role, KubernetesRole::Endpoints | KubernetesRole::EndpointSlice);
    let of_pods = with_pods || role == KubernetesRole::Pod;
    [
        (with_pods, Kind::Pod),
        (with_pods, Kind::Service),
        (of_pods && attach.node, Kind::Node),
        (role != KubernetesRole::Node && attach.namespace, Kind::Namespace),
        (of_pods && attach.deployment, Kind::ReplicaSet),
        // The name of the job is known from the pod; the cron job is the owner of the job.
        (of_pods && (attach.job || attach.cronjob), Kind::Job),
    ]
    .into_iter()
    .filter(|(asked, _)| *asked)
    .map(|(_, kind)| kind)
    .collect()
}

/// The group of an object; `None` when the object changes nothing (a node without an address).
pub(crate) fn group(object: &Object, attach: AttachMetadata, store: &dyn ObjectStore) -> Option<TargetGroup> {
    match object {
        Object::Pod(pod) => Some(pod::group(pod, attach, store)),
        Object::Node(node) => node::group(node),
        Object::Service(service) => Some(service::group(service, attach, store)),
        Object::Endpoints(endpoints) => Some(endpoints::group(endpoints, attach, store)),
        Object::EndpointSlice(slice) => Some(endpointslice::group(slice, attach, store)),
        Object::Ingress(ingress) => Some(ingress::group(ingress, attach, store)),
        Object::Namespace(_) | Object::ReplicaSet(_) | Object::Job(_) => None,
    }
}

/// The source of the target group of an object, for one that is gone.
pub(crate) fn source(role: KubernetesRole, key: &Key) -> String {
    match role {
        KubernetesRole::Node => format!("node/{}", key.name),
        KubernetesRole::Service => format!("svc/{}/{}", key.namespace, key.name),
        role => format!("{}/{}/{}", role.as_str(), key.namespace, key.name),
    }
}

/// The key of the object of a source.
pub(crate) fn key_of(source: &str) -> Key {
    let (_, rest) = source.split_once('/').unwrap_or_default();
    let (namespace, name) = rest.split_once('/').unwrap_or(("", rest));
    Key::new(namespace, name)
}

/// Does `object` lead to one of these pods, given by namespace and name?
pub(crate) fn leads_to(object: &Object, pods: &HashSet<(&str, &str)>) -> bool {
    let is_one = |to: &TargetRef| endpoints::pod_name(to).is_some_and(|pod| pods.contains(&pod));
    match object {
        Object::Endpoints(endpoints) => endpoints::references(endpoints).any(is_one),
        Object::EndpointSlice(slice) => endpointslice::references(slice).any(is_one),
        _ => false,
    }
}

/// Does a change of the object `(kind, key)`, which is no pod, change the group of `object`?
pub(crate) fn is_affected(object: &Object, kind: Kind, key: &Key) -> bool {
    let in_namespace = |own: &str| own == key.namespace;
    match (object, kind) {
        (Object::Endpoints(endpoints), Kind::Service) => Key::of(&endpoints.metadata) == *key,
        (Object::EndpointSlice(slice), Kind::Service) => {
            in_namespace(namespace(&slice.metadata))
                && endpointslice::service_name(&slice.metadata) == Some(key.name.as_str())
        }
        // All endpoints may be on the node. Trimmed of its heartbeats a node changes rarely.
        (Object::Pod(pod), Kind::Node) => pod.spec.node_name == key.name,
        (_, Kind::Node) => true,
        (object, Kind::Namespace) => namespace(object.meta()) == key.name,
        // Any pod of the namespace may belong to it. Endpoints would have to be followed through their pods to tell.
        (object, Kind::ReplicaSet | Kind::Job) => in_namespace(namespace(object.meta())),
        _ => false,
    }
}
