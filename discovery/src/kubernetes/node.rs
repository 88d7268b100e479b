//! Role `node`: every node, at its kubelet's port. Node → [`TargetGroup`], pure.

use kube_watch::name;
use model::labels::{ADDRESS, INSTANCE};
use model::{LabelsBuilder, TargetGroup};

use super::meta::{set, set_maps};
use super::objects::Node;
use crate::host_port::host_port;
use crate::meta::sanitise;

/// The types of address, the preferred one first.
const PREFERRED: [&str; 6] = ["InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname"];

/// The target of a node; `None` when it has no address.
pub(crate) fn group(node: &Node) -> Option<TargetGroup> {
    let own = name(&node.metadata);
    let addresses = &node.status.addresses;
    let first = |kind: &str| addresses.iter().find(|address| address.kind == kind);
    let host = PREFERRED.into_iter().find_map(first)?;
    let mut labels = LabelsBuilder::default();
    set(&mut labels, "node_name", own);
    set(&mut labels, "node_provider_id", &node.spec.provider_id);
    set_maps(&mut labels, "node", &node.metadata);
    for condition in &node.status.conditions {
        let kind = sanitise(&condition.kind.to_lowercase());
        set(&mut labels, &format!("node_condition_{kind}"), &condition.status.to_lowercase());
    }
    let mut target = LabelsBuilder::default();
    target.set(ADDRESS, host_port(&host.address, node.status.daemon_endpoints.kubelet_endpoint.port));
    target.set(INSTANCE, own);
    // Backwards, so that of several addresses of one type the first stays, as with upstream.
    for address in addresses.iter().rev() {
        set(&mut target, &format!("node_address_{}", sanitise(&address.kind)), &address.address);
    }
    Some(TargetGroup { source: format!("node/{own}"), labels: labels.labels(), targets: vec![target.labels().into()] })
}
