//! The cluster of the demo: what `deploy/demo` applies, and the exporters of its pods.

use kit::{Answer, ControlPlane, Exporter, add_addresses};
use serde_json::{Value, json};

use crate::page::Page;

/// Where the API server says that it is.
const API_SERVER: &str = "10.0.0.10";
/// Where Weft listens, as its pod says.
pub(crate) const WEFT: &str = "10.244.1.9:9090";

const KINDS: &str = include_str!("../../../../../deploy/kustomize/crds/crds.yaml");
const CLUSTER: &str = include_str!("../../../../../deploy/demo/cluster.yaml");
const MONITORS: &str = include_str!("../../../../../deploy/demo/monitors.yaml");
const RULES: &str = include_str!("../../../../../deploy/demo/rules.yaml");

const NODE_EXPORTER: &str = include_str!("../../../../../deploy/demo/pages/node-exporter.txt");
const FELIX: &str = include_str!("../../../../../deploy/demo/pages/felix.txt");
const KUBENURSE: &str = include_str!("../../../../../deploy/demo/pages/kubenurse.txt");
const ETCD: &str = include_str!("../../../../../deploy/demo/pages/etcd.txt");
const SHOP: &str = include_str!("../../../../../deploy/demo/pages/shop.txt");

/// Address, node and page of each exporter. Of the shop's `payments` there is none where its pod says.
const EXPORTERS: [(&str, &str, &str); 14] = [
    ("10.0.0.11:9100", "control-1", NODE_EXPORTER),
    ("10.0.0.12:9100", "worker-1", NODE_EXPORTER),
    ("10.0.0.13:9100", "worker-2", NODE_EXPORTER),
    ("10.0.0.11:9091", "control-1", FELIX),
    ("10.0.0.12:9091", "worker-1", FELIX),
    ("10.0.0.13:9091", "worker-2", FELIX),
    ("10.244.0.5:8080", "control-1", KUBENURSE),
    ("10.244.1.5:8080", "worker-1", KUBENURSE),
    ("10.244.2.5:8080", "worker-2", KUBENURSE),
    ("10.0.1.21:2381", "", ETCD),
    ("10.0.1.22:2381", "", ETCD),
    ("10.0.1.23:2381", "", ETCD),
    ("10.244.1.21:8080", "worker-1", SHOP),
    ("10.244.2.22:8080", "worker-2", SHOP),
];

fn host(address: &str) -> &str {
    address.split(':').next().unwrap_or(address)
}

/// Gives this machine the addresses of nodes and pods.
pub(crate) fn raise_network() {
    let mut addresses: Vec<&str> = EXPORTERS.iter().map(|(address, ..)| host(address)).collect();
    addresses.extend([API_SERVER, host(WEFT), "10.244.2.23"]);
    addresses.sort_unstable();
    addresses.dedup();
    add_addresses(&addresses);
}

fn now() -> f64 {
    jiff::Timestamp::now().as_millisecond() as f64 / 1e3
}

/// Starts all exporters.
pub(crate) fn exporters() -> Vec<Exporter> {
    let start = |(n, (address, node, text)): (usize, &(&str, &str, &str))| {
        let page = Page::new(text, node, n, now());
        Exporter::start_at(address, move |head| match head.split(' ').nth(1) {
            Some("/metrics") => Answer::Metrics(page.at(now())),
            _ => Answer::Raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()),
        })
    };
    EXPORTERS.iter().enumerate().map(start).collect()
}

/// Starts an API server, which knows of nothing yet.
pub(crate) fn control_plane() -> Result<ControlPlane, String> {
    Ok(ControlPlane::start(&ControlPlane::programs()?, "0.0.0.0", API_SERVER))
}

/// Applies everything.
pub(crate) fn apply(plane: &ControlPlane) {
    for kind in parse(KINDS) {
        plane.apply_definition(kind["metadata"]["name"].as_str().unwrap(), &kind.to_string());
    }
    let objects = parse(CLUSTER);
    objects.iter().for_each(|object| plane.apply(object));
    endpoints(&objects).iter().for_each(|object| plane.apply(object));
    [MONITORS, RULES].iter().flat_map(|text| parse(text)).for_each(|object| plane.apply(&object));
}

fn parse(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

/// The Endpoints of all Services with a selector, as the endpoints controller would write them.
fn endpoints(objects: &[Value]) -> Vec<Value> {
    let of_kind = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
    let mut all = Vec::new();
    for service in of_kind("Service") {
        let Some(selector) = service["spec"]["selector"].as_object() else { continue };
        let is_selected = |pod: &&Value| {
            let metadata = &pod["metadata"];
            metadata["namespace"] == service["metadata"]["namespace"]
                && selector.iter().all(|(name, value)| metadata["labels"][name] == *value)
        };
        let pods: Vec<&Value> = of_kind("Pod").filter(is_selected).collect();
        let Some(first) = pods.first() else { continue };
        let address = |pod: &&Value| {
            let metadata = &pod["metadata"];
            let of = json!({"kind": "Pod", "name": metadata["name"], "namespace": metadata["namespace"]});
            json!({"ip": pod["status"]["podIP"], "nodeName": pod["spec"]["nodeName"], "targetRef": of})
        };
        let port = |port: &Value| {
            let declared = first["spec"]["containers"][0]["ports"].as_array().into_iter().flatten();
            let by_name = declared.clone().find(|one| one["name"] == port["targetPort"]);
            let number = by_name.map_or(&port["targetPort"], |one| &one["containerPort"]);
            json!({"name": port["name"], "port": number, "protocol": "TCP"})
        };
        let subset = json!({
            "addresses": pods.iter().map(address).collect::<Vec<_>>(),
            "ports": service["spec"]["ports"].as_array().unwrap().iter().map(port).collect::<Vec<_>>(),
        });
        all.push(json!({
            "apiVersion": "v1", "kind": "Endpoints", "metadata": service["metadata"], "subsets": [subset],
        }));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_leads_to_its_pods() {
        let objects = parse(CLUSTER);
        let found = endpoints(&objects);
        let mut lines: Vec<String> = found
            .iter()
            .map(|one| {
                let (metadata, subset) = (&one["metadata"], &one["subsets"][0]);
                let ips: Vec<&str> =
                    subset["addresses"].as_array().unwrap().iter().map(|one| one["ip"].as_str().unwrap()).collect();
                format!("{} {} {}", metadata["name"].as_str().unwrap(), subset["ports"][0]["port"], ips.join(" "))
            })
            .collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                "cart 8080 10.244.1.21",
                "checkout 8080 10.244.2.22",
                "kubenurse 8080 10.244.0.5 10.244.1.5 10.244.2.5",
                "node-exporter 9100 10.0.0.11 10.0.0.12 10.0.0.13",
                "weft 9090 10.244.1.9",
            ]
        );
    }

    #[test]
    fn every_page_can_be_read() {
        for (address, node, text) in EXPORTERS {
            let page = Page::new(text, node, 0, now()).at(now());
            assert!(page.lines().count() > 5 && !page.contains('$'), "{address}: {page}");
        }
    }
}
