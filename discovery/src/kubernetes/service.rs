//! Role `service`: every port of every service, by its name in the cluster. Service → [`TargetGroup`], pure.

use config::AttachMetadata;
use kube_watch::{name, namespace};
use model::labels::ADDRESS;
use model::{Labels, LabelsBuilder, TargetGroup};

use super::meta::{object_labels, set, set_namespace};
use super::objects::{ObjectStore, Service, ServicePort};
use crate::host_port::host_port;

/// The targets of a service.
pub(crate) fn group(service: &Service, attach: AttachMetadata, store: &dyn ObjectStore) -> TargetGroup {
    let meta = &service.metadata;
    let mut labels = object_labels("service", meta);
    set_namespace(&mut labels, meta, attach, store);
    TargetGroup {
        source: format!("svc/{}/{}", namespace(meta), name(meta)),
        labels: labels.labels(),
        targets: service.spec.ports.iter().map(|port| target(service, port).into()).collect(),
    }
}

fn target(service: &Service, port: &ServicePort) -> Labels {
    let (meta, spec) = (&service.metadata, &service.spec);
    let mut labels = LabelsBuilder::default();
    labels.set(ADDRESS, host_port(&format!("{}.{}.svc", name(meta), namespace(meta)), port.port));
    set(&mut labels, "service_port_name", &port.name);
    set(&mut labels, "service_port_number", &port.port.to_string());
    set(&mut labels, "service_port_protocol", &port.protocol);
    set(&mut labels, "service_type", &spec.kind);
    // Such a service has no address in the cluster.
    if spec.kind == "ExternalName" {
        set(&mut labels, "service_external_name", &spec.external_name);
    } else {
        set(&mut labels, "service_cluster_ip", &spec.cluster_ip);
    }
    if spec.kind == "LoadBalancer" {
        let ingress = service.status.load_balancer.ingress.iter();
        let ips: Vec<&str> = ingress.map(|one| one.ip.as_str()).filter(|ip| !ip.is_empty()).collect();
        // The address that was asked for, until the cloud has assigned one.
        let ips = if ips.is_empty() { spec.load_balancer_ip.clone() } else { ips.join(",") };
        set(&mut labels, "service_loadbalancer_ip", &ips);
    }
    labels.labels()
}
