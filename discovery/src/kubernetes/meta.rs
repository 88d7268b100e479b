//! The names of the `__meta_kubernetes_*` labels, and the labels that several roles share.

use config::AttachMetadata;
use kube_watch::{ObjectMeta, name, namespace};
use model::LabelsBuilder;

use super::objects::{Kind, Object, ObjectStore};

const PREFIX: &str = "__meta_kubernetes_";

/// `__meta_kubernetes_<name>`
pub(crate) fn label(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// Sets `__meta_kubernetes_<name>`; an empty value is none.
pub(crate) fn set(labels: &mut LabelsBuilder, name: &str, value: &str) {
    if !value.is_empty() {
        labels.set(&label(name), value);
    }
}

/// A key of Kubernetes as a part of a label's name: every other character becomes an underscore.
pub(crate) fn sanitise(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// `host:port`, the host in brackets when it is an IPv6 address.
pub(crate) fn host_port(host: &str, port: u32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The object's labels and annotations, as `__meta_kubernetes_<prefix>_label_…` and so on.
pub(crate) fn set_maps(labels: &mut LabelsBuilder, prefix: &str, meta: &ObjectMeta) {
    for (map, what) in [(&meta.labels, "label"), (&meta.annotations, "annotation")] {
        for (key, value) in map.iter().flatten() {
            let key = sanitise(key);
            set(labels, &format!("{prefix}_{what}_{key}"), value);
            set(labels, &format!("{prefix}_{what}present_{key}"), "true");
        }
    }
}

/// What every object of a role says of itself: `<prefix>_name`, its labels and annotations, its namespace.
pub(crate) fn object_labels(prefix: &str, meta: &ObjectMeta) -> LabelsBuilder {
    let mut labels = LabelsBuilder::default();
    set(&mut labels, "namespace", namespace(meta));
    set(&mut labels, &format!("{prefix}_name"), name(meta));
    set_maps(&mut labels, prefix, meta);
    labels
}

/// The labels of the namespace, where they are asked for.
pub(crate) fn set_namespace(
    labels: &mut LabelsBuilder,
    meta: &ObjectMeta,
    attach: AttachMetadata,
    store: &dyn ObjectStore,
) {
    if !attach.namespace {
        return;
    }
    if let Some(Object::Namespace(found)) = store.get(Kind::Namespace, "", namespace(meta)) {
        set_maps(labels, "namespace", &found.metadata);
    }
}

/// The labels of a node; false when it is not known.
pub(crate) fn set_node(labels: &mut LabelsBuilder, node: &str, store: &dyn ObjectStore) -> bool {
    match store.get(Kind::Node, "", node) {
        Some(Object::Node(found)) => {
            set(labels, "node_name", name(&found.metadata));
            set_maps(labels, "node", &found.metadata);
            true
        }
        _ => false,
    }
}

/// The labels of a service, if it is known.
pub(crate) fn set_service(labels: &mut LabelsBuilder, namespace: &str, service: &str, store: &dyn ObjectStore) {
    if let Some(Object::Service(found)) = store.get(Kind::Service, namespace, service) {
        set(labels, "service_name", name(&found.metadata));
        set_maps(labels, "service", &found.metadata);
    }
}
