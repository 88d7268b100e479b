//! The names of the `__meta_kubernetes_*` labels, and the labels that several roles share.

use config::AttachMetadata;
use kube_watch::{Meta, name, namespace};
use model::LabelsBuilder;

use super::objects::{Kind, Object, ObjectStore};
pub(crate) use crate::meta::sanitise;

const PREFIX: &str = "__meta_kubernetes_";

/// `__meta_kubernetes_<name>`
pub(crate) fn label(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// Sets `__meta_kubernetes_<name>`, unless the value is empty.
pub(crate) fn set(labels: &mut LabelsBuilder, name: &str, value: &str) {
    // A label set holds no empty values: to relabelling an empty label is a missing one.
    if !value.is_empty() {
        labels.set(&label(name), value);
    }
}

/// The object's labels and annotations, as `__meta_kubernetes_<prefix>_label_…` and so on.
pub(crate) fn set_maps(labels: &mut LabelsBuilder, prefix: &str, meta: &Meta) {
    for (pairs, what) in [(&meta.labels, "label"), (&meta.annotations, "annotation")] {
        for (key, value) in pairs.iter() {
            let key = sanitise(key);
            set(labels, &format!("{prefix}_{what}_{key}"), value);
            // An empty value leaves no label of its own; only this one tells that the object has the key.
            set(labels, &format!("{prefix}_{what}present_{key}"), "true");
        }
    }
}

/// The labels that every object of a role gives: `<prefix>_name`, its labels and annotations, its namespace.
pub(crate) fn object_labels(prefix: &str, meta: &Meta) -> LabelsBuilder {
    let mut labels = LabelsBuilder::default();
    set(&mut labels, "namespace", namespace(meta));
    set(&mut labels, &format!("{prefix}_name"), name(meta));
    set_maps(&mut labels, prefix, meta);
    labels
}

/// Sets the labels of the namespace, if `attach_metadata.namespace` is set.
pub(crate) fn set_namespace(labels: &mut LabelsBuilder, meta: &Meta, attach: AttachMetadata, store: &dyn ObjectStore) {
    if !attach.namespace {
        return;
    }
    if let Some(Object::Namespace(found)) = store.get(Kind::Namespace, "", namespace(meta)) {
        set_maps(labels, "namespace", &found.metadata);
    }
}

/// Sets the labels of a node; false if it is not known.
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

/// Sets the labels of a service, if it is known.
pub(crate) fn set_service(labels: &mut LabelsBuilder, namespace: &str, service: &str, store: &dyn ObjectStore) {
    if let Some(Object::Service(found)) = store.get(Kind::Service, namespace, service) {
        set(labels, "service_name", name(&found.metadata));
        set_maps(labels, "service", &found.metadata);
    }
}
