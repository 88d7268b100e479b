//! Role `pod`: every port of every container becomes a target. Pod → [`TargetGroup`], pure.

use std::sync::Arc;

use config::AttachMetadata;
use kube_watch::{controller, name, namespace};
use model::labels::ADDRESS;
use model::{Labels, LabelsBuilder, TargetGroup, TargetLabels};

use super::meta::{set, set_maps, set_namespace, set_node};
use super::objects::{Container, ContainerPort, Kind, ObjectStore, Pod};
use crate::host_port::host_port;

/// The targets of a pod; none while it has no address, or while its node is not known and `attach_metadata.node` is set.
pub(crate) fn group(pod: &Arc<Pod>, attach: AttachMetadata, store: &dyn ObjectStore) -> TargetGroup {
    let mut group = TargetGroup { source: source(pod), ..TargetGroup::default() };
    if pod.status.pod_ip.is_empty() {
        return group;
    }
    let mut labels = LabelsBuilder::default();
    set(&mut labels, "namespace", namespace(&pod.metadata));
    set_namespace(&mut labels, &pod.metadata, attach, store);
    // As upstream: a node that is not known was filtered out by a node selector, or is still to come; its arrival is
    // a change that makes this group anew.
    if attach.node && !set_node(&mut labels, &pod.spec.node_name, store) {
        return group;
    }
    group.labels = labels.labels();
    let shared = pod_labels(pod, attach, store);
    let mut add = |container, is_init, port| {
        let own = target(pod, container, is_init, port);
        group.targets.push(TargetLabels { own, shared: Some(shared.clone()) });
    };
    for (container, is_init) in containers(pod) {
        // A container without declared ports is one target without a port, which relabelling can set.
        if container.ports.is_empty() {
            add(container, is_init, None);
        }
        container.ports.iter().for_each(|port| add(container, is_init, Some(port)));
    }
    group
}

/// The labels that a pod gives to its own targets and to those of endpoints that lead to it.
pub(crate) fn pod_labels(pod: &Arc<Pod>, attach: AttachMetadata, store: &dyn ObjectStore) -> Labels {
    let make = || {
        let mut labels = LabelsBuilder::default();
        set_pod(&mut labels, pod, attach, store);
        labels.labels()
    };
    // Those of owners come from other objects, which change on their own.
    if attach.deployment || attach.job || attach.cronjob { make() } else { store.labels_of(pod, &make) }
}

fn source(pod: &Pod) -> String {
    format!("pod/{}/{}", namespace(&pod.metadata), name(&pod.metadata))
}

/// The containers, then the init containers, and which they are.
pub(crate) fn containers(pod: &Pod) -> impl Iterator<Item = (&Container, bool)> {
    let init = pod.spec.init_containers.iter().map(|container| (container, true));
    pod.spec.containers.iter().map(|container| (container, false)).chain(init)
}

fn target(pod: &Pod, container: &Container, is_init: bool, port: Option<&ContainerPort>) -> Labels {
    let mut labels = LabelsBuilder::default();
    let ip = &pod.status.pod_ip;
    labels.set(ADDRESS, port.map_or_else(|| ip.clone(), |port| host_port(ip, port.container_port)));
    set_container(&mut labels, container, is_init);
    if let Some(port) = port {
        set_port(&mut labels, port, &port.protocol);
    }
    let statuses = if is_init { &pod.status.init_container_statuses } else { &pod.status.container_statuses };
    if let Some(status) = statuses.iter().find(|status| status.name == container.name) {
        set(&mut labels, "pod_container_id", &status.container_id);
    }
    labels.labels()
}

/// The labels of a container.
pub(crate) fn set_container(labels: &mut LabelsBuilder, container: &Container, is_init: bool) {
    set(labels, "pod_container_name", &container.name);
    set(labels, "pod_container_image", &container.image);
    set(labels, "pod_container_init", if is_init { "true" } else { "false" });
}

/// The labels of a container's port.
pub(crate) fn set_port(labels: &mut LabelsBuilder, port: &ContainerPort, protocol: &str) {
    set(labels, "pod_container_port_name", &port.name);
    set(labels, "pod_container_port_number", &port.container_port.to_string());
    set(labels, "pod_container_port_protocol", protocol);
}

fn set_pod(labels: &mut LabelsBuilder, pod: &Pod, attach: AttachMetadata, store: &dyn ObjectStore) {
    // `unknown` as in upstream's `podReady`; the condition itself may say `Unknown`, too.
    let ready = pod.status.ready.0.as_ref().map_or_else(|| "unknown".to_owned(), |status| status.to_lowercase());
    set(labels, "pod_name", name(&pod.metadata));
    set(labels, "pod_ip", &pod.status.pod_ip);
    set(labels, "pod_ready", &ready);
    set(labels, "pod_phase", &pod.status.phase);
    set(labels, "pod_node_name", &pod.spec.node_name);
    set(labels, "pod_host_ip", &pod.status.host_ip);
    set(labels, "pod_uid", &pod.metadata.uid);
    set_maps(labels, "pod", &pod.metadata);
    let Some((kind, owner)) = controller(&pod.metadata) else { return };
    set(labels, "pod_controller_kind", kind);
    set(labels, "pod_controller_name", owner);
    // The controller of the controller: a deployment owns the replica set that owns the pod.
    let grand_owner = |by: Kind, expected: &str| -> Option<String> {
        let found = store.get(by, namespace(&pod.metadata), owner)?;
        controller(found.meta()).filter(|(kind, _)| *kind == expected).map(|(_, name)| name.to_owned())
    };
    if attach.deployment
        && kind == "ReplicaSet"
        && let Some(deployment) = grand_owner(Kind::ReplicaSet, "Deployment")
    {
        set(labels, "pod_deployment_name", &deployment);
    }
    if kind == "Job" {
        if attach.job {
            set(labels, "pod_job_name", owner);
        }
        if attach.cronjob
            && let Some(cronjob) = grand_owner(Kind::Job, "CronJob")
        {
            set(labels, "pod_cronjob_name", &cronjob);
        }
    }
}
