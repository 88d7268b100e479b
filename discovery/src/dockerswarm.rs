//! `dockerswarm_sd_configs`: nodes, services or tasks of a Docker swarm (upstream: `discovery/moby`).

use std::collections::BTreeMap;

use config::DockerSwarmSdConfig;
use model::TargetLabels;
use serde_json::Value;

use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::moby::Moby;
use crate::refresh::{List, Listed, refresh_interval, refreshed};

const PREFIX: &str = "__meta_dockerswarm_";

pub(crate) fn new(config: &DockerSwarmSdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(Swarm::new(config, context), config.refresh_interval_ms, context)
}

struct Swarm {
    config: DockerSwarmSdConfig,
    moby: Moby,
}

impl Swarm {
    fn new(config: &DockerSwarmSdConfig, context: &Context) -> Self {
        let daemon = (config.host.as_str(), &config.http, config.filters.as_slice());
        let moby = Moby::new(daemon, refresh_interval(config.refresh_interval_ms), context);
        Self { config: config.clone(), moby }
    }

    async fn nodes(&self) -> Result<Vec<TargetLabels>, String> {
        let nodes = self.objects("nodes", true).await?;
        let target = |node: &Value| {
            let mut meta = node_labels(node);
            meta.texts(node, &[("node_engine_version", "/Description/Engine/EngineVersion")]);
            if !node.at("/ManagerStatus").is_null() {
                meta.flags(node, &[("node_manager_leader", "/ManagerStatus/Leader")]);
                meta.texts(
                    node,
                    &[
                        ("node_manager_reachability", "/ManagerStatus/Reachability"),
                        ("node_manager_address", "/ManagerStatus/Addr"),
                    ],
                );
            }
            meta.address(node.str("/Status/Addr"), self.config.port);
            meta.target()
        };
        Ok(nodes.items("").iter().map(target).collect())
    }

    async fn services(&self) -> Result<Vec<TargetLabels>, String> {
        let services = self.objects("services", true).await?;
        let networks = self.moby.networks(PREFIX).await?;
        let mut targets = Vec::new();
        for service in services.items("") {
            let mut common = service_labels(service);
            common.texts(
                service,
                &[
                    ("service_task_container_hostname", "/Spec/TaskTemplate/ContainerSpec/Hostname"),
                    ("service_task_container_image", "/Spec/TaskTemplate/ContainerSpec/Image"),
                    ("service_updating_status", "/UpdateStatus/State"),
                ],
            );
            for at in service.items("/Endpoint/VirtualIPs") {
                let mut meta = common.clone();
                meta.join_of(&networks, at.str("/NetworkID"));
                let ports = tcp(service.items("/Endpoint/Ports"));
                targets.extend(self.addressed(
                    &meta,
                    ip(at.str("/Addr")),
                    &ports,
                    &[("service_endpoint_port_name", "/Name"), ("service_endpoint_port_publish_mode", "/PublishMode")],
                ));
            }
        }
        Ok(targets)
    }

    async fn tasks(&self) -> Result<Vec<TargetLabels>, String> {
        let tasks = self.objects("tasks", true).await?;
        let (services, nodes) = (self.objects("services", false).await?, self.objects("nodes", false).await?);
        let by_id = |all: &Value, labels: fn(&Value) -> Meta| -> BTreeMap<String, Meta> {
            all.items("").iter().map(|one| (one.text("/ID"), labels(one))).collect()
        };
        let (service_meta, node_meta) = (by_id(&services, service_labels), by_id(&nodes, node_labels));
        let ports: BTreeMap<&str, Vec<&Value>> =
            services.items("").iter().map(|one| (one.str("/ID"), tcp(one.items("/Endpoint/Ports")))).collect();
        let networks = self.moby.networks(PREFIX).await?;
        let mut targets = Vec::new();
        for task in tasks.items("") {
            let mut common = Meta::new(PREFIX);
            common.texts(
                task,
                &[
                    ("task_id", "/ID"),
                    ("task_desired_state", "/DesiredState"),
                    ("task_state", "/Status/State"),
                    ("task_container_id", "/Status/ContainerStatus/ContainerID"),
                ],
            );
            common.numbers(task, &[("task_slot", "/Slot")]);
            common.members("container_label_", task.at("/Spec/ContainerSpec/Labels"));
            common.join_of(&service_meta, task.str("/ServiceID"));
            common.join_of(&node_meta, task.str("/NodeID"));
            let mode = [("task_port_publish_mode", "/PublishMode")];
            for port in tcp(task.items("/Status/PortStatus/Ports")) {
                let node = common.get("__meta_dockerswarm_node_address").to_owned();
                targets.extend(self.addressed(&common, &node, &[port], &mode));
            }
            for attachment in task.items("/NetworksAttachments") {
                let mut meta = common.clone();
                meta.join_of(&networks, attachment.str("/Network/ID"));
                let ports = ports.get(task.str("/ServiceID")).map(Vec::as_slice).unwrap_or_default();
                for address in attachment.strs("/Addresses") {
                    targets.extend(self.addressed(&meta, ip(address), ports, &mode));
                }
            }
        }
        Ok(targets)
    }

    /// A target for each published port, with labels of it, or one with the configured port.
    fn addressed(&self, meta: &Meta, host: &str, ports: &[&Value], of_port: &[(&str, &str)]) -> Vec<TargetLabels> {
        let target = |port: Option<&Value>| {
            let mut meta = meta.clone();
            match port {
                Some(port) => {
                    meta.texts(port, of_port);
                    meta.address(host, port.int("/PublishedPort"));
                }
                None => meta.address(host, self.config.port),
            }
            meta.target()
        };
        match ports {
            // A service without a virtual address cannot be reached by one.
            _ if host.is_empty() => Vec::new(),
            [] => vec![target(None)],
            ports => ports.iter().map(|port| target(Some(port))).collect(),
        }
    }

    async fn objects(&self, kind: &str, is_filtered: bool) -> Result<Value, String> {
        let found = self.moby.list(&format!("/{kind}"), is_filtered).await;
        found.map_err(|error| format!("error while listing swarm {kind}: {error}"))
    }
}

fn node_labels(node: &Value) -> Meta {
    let mut meta = Meta::new(PREFIX);
    meta.texts(
        node,
        &[
            ("node_id", "/ID"),
            ("node_role", "/Spec/Role"),
            ("node_address", "/Status/Addr"),
            ("node_availability", "/Spec/Availability"),
            ("node_hostname", "/Description/Hostname"),
            ("node_platform_architecture", "/Description/Platform/Architecture"),
            ("node_platform_os", "/Description/Platform/OS"),
            ("node_status", "/Status/State"),
        ],
    );
    meta.members("node_label_", node.at("/Spec/Labels"));
    meta
}

fn service_labels(service: &Value) -> Meta {
    let mut meta = Meta::new(PREFIX);
    meta.texts(service, &[("service_id", "/ID"), ("service_name", "/Spec/Name")]);
    let mode = [("/Spec/Mode/Global", "global"), ("/Spec/Mode/Replicated", "replicated")];
    let mode = mode.iter().find(|(pointer, _)| !service.at(pointer).is_null()).map(|(_, mode)| *mode);
    meta.set("service_mode", mode.unwrap_or_default());
    meta.members("service_label_", service.at("/Spec/Labels"));
    meta
}

fn tcp(ports: &[Value]) -> Vec<&Value> {
    ports.iter().filter(|port| port.str("/Protocol") == "tcp").collect()
}

/// The address without the length of the network's prefix.
fn ip(cidr: &str) -> &str {
    cidr.split('/').next().unwrap_or_default()
}

impl List for Swarm {
    const MECHANISM: &'static str = "dockerswarm";

    async fn list(&mut self) -> Listed {
        let targets = match self.config.role.as_str() {
            "nodes" => self.nodes().await,
            "services" => self.services().await,
            _ => self.tasks().await,
        };
        Ok(vec![group("DockerSwarm", targets?)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context, sd, shown};

    const NODES: &str = r#"[
        {"ID":"node1","Spec":{"Labels":{"zone.name":"a"},"Role":"manager","Availability":"active"},
         "Description":{"Hostname":"swarm-1","Platform":{"Architecture":"x86_64","OS":"linux"},"Engine":{"EngineVersion":"27.1"}},
         "Status":{"State":"ready","Addr":"10.3.0.1"},
         "ManagerStatus":{"Leader":true,"Reachability":"reachable","Addr":"10.3.0.1:2377"}},
        {"ID":"node2","Spec":{"Labels":{},"Role":"worker","Availability":"drain"},
         "Description":{"Hostname":"swarm-2","Platform":{"Architecture":"aarch64","OS":"linux"},"Engine":{"EngineVersion":"26.0"}},
         "Status":{"State":"down","Addr":"10.3.0.2"}}]"#;
    const NETWORKS: &str =
        r#"[{"Name":"ingress","Id":"net1","Scope":"swarm","Internal":false,"Ingress":true,"Labels":{"tier":"edge"}}]"#;
    const SERVICES: &str = r#"[
        {"ID":"svc1","Spec":{"Name":"shop","Labels":{"com.shop":"web"},"Mode":{"Replicated":{"Replicas":2}},
                             "TaskTemplate":{"ContainerSpec":{"Image":"shop:1","Hostname":"h"}}},
         "UpdateStatus":{"State":"completed"},
         "Endpoint":{"Ports":[{"Name":"web","Protocol":"tcp","PublishedPort":8080,"PublishMode":"ingress"},
                              {"Protocol":"udp","PublishedPort":53,"PublishMode":"ingress"}],
                     "VirtualIPs":[{"NetworkID":"net1","Addr":"10.0.0.5/24"},{"NetworkID":"net9"}]}},
        {"ID":"svc2","Spec":{"Name":"agent","Mode":{"Global":{}},"TaskTemplate":{}},
         "Endpoint":{"VirtualIPs":[{"NetworkID":"net1","Addr":"10.0.0.6/24"}]}}]"#;
    const TASKS: &str = r#"[
        {"ID":"task1","ServiceID":"svc1","NodeID":"node2","Slot":2,"DesiredState":"running",
         "Spec":{"ContainerSpec":{"Labels":{"c.l":"x"}}},
         "Status":{"State":"running","ContainerStatus":{"ContainerID":"cafe"},"PortStatus":{
            "Ports":[{"Protocol":"tcp","PublishedPort":9000,"PublishMode":"host"},{"Protocol":"udp","PublishedPort":9001}]}},
         "NetworksAttachments":[{"Network":{"ID":"net1"},"Addresses":["10.0.0.9/24"]}]},
        {"ID":"task2","ServiceID":"svc2","NodeID":"node1","DesiredState":"shutdown","Spec":{},
         "Status":{"State":"shutdown","PortStatus":{}},
         "NetworksAttachments":[{"Network":{"ID":"net1"},"Addresses":["10.0.0.10/24"]}]}]"#;

    async fn listed(role: &str, more: &str, line: &str) -> Vec<String> {
        let body = if line.starts_with("GET /nodes") { NODES } else { "[]" };
        let server = Recorded::start(&[
            (line, body),
            ("GET /nodes", NODES),
            ("GET /services", SERVICES),
            ("GET /tasks", TASKS),
            ("GET /networks", NETWORKS),
        ]);
        let text = format!("dockerswarm_sd_configs: [{{host: '{}', role: {role}{more}}}]", server.url);
        let config::SdConfig::DockerSwarm(config) = sd(&text) else { panic!() };
        let groups = Swarm::new(&config, &context()).list().await.unwrap();
        assert_eq!(groups[0].source, "DockerSwarm");
        shown(&groups[0])
    }

    #[tokio::test]
    async fn nodes_become_targets() {
        let line = "GET /nodes?filters=%7B%22role%22%3A%7B%22manager%22%3Atrue%7D%7D";
        assert_eq!(
            listed("nodes", ", filters: [{name: role, values: [manager]}]", line).await,
            [
                r#"{__address__="10.3.0.1:80", __meta_dockerswarm_node_address="10.3.0.1", __meta_dockerswarm_node_availability="active", __meta_dockerswarm_node_engine_version="27.1", __meta_dockerswarm_node_hostname="swarm-1", __meta_dockerswarm_node_id="node1", __meta_dockerswarm_node_label_zone_name="a", __meta_dockerswarm_node_manager_address="10.3.0.1:2377", __meta_dockerswarm_node_manager_leader="true", __meta_dockerswarm_node_manager_reachability="reachable", __meta_dockerswarm_node_platform_architecture="x86_64", __meta_dockerswarm_node_platform_os="linux", __meta_dockerswarm_node_role="manager", __meta_dockerswarm_node_status="ready"}"#,
                r#"{__address__="10.3.0.2:80", __meta_dockerswarm_node_address="10.3.0.2", __meta_dockerswarm_node_availability="drain", __meta_dockerswarm_node_engine_version="26.0", __meta_dockerswarm_node_hostname="swarm-2", __meta_dockerswarm_node_id="node2", __meta_dockerswarm_node_platform_architecture="aarch64", __meta_dockerswarm_node_platform_os="linux", __meta_dockerswarm_node_role="worker", __meta_dockerswarm_node_status="down"}"#,
            ]
        );
    }

    const NETWORK: &str = r#"__meta_dockerswarm_network_id="net1", __meta_dockerswarm_network_ingress="true", __meta_dockerswarm_network_internal="false", __meta_dockerswarm_network_label_tier="edge", __meta_dockerswarm_network_name="ingress", __meta_dockerswarm_network_scope="swarm""#;

    #[tokio::test]
    async fn services_become_targets() {
        assert_eq!(
            listed("services", ", port: 99", "").await,
            [
                format!(
                    r#"{{__address__="10.0.0.5:8080", {NETWORK}, __meta_dockerswarm_service_endpoint_port_name="web", __meta_dockerswarm_service_endpoint_port_publish_mode="ingress", __meta_dockerswarm_service_id="svc1", __meta_dockerswarm_service_label_com_shop="web", __meta_dockerswarm_service_mode="replicated", __meta_dockerswarm_service_name="shop", __meta_dockerswarm_service_task_container_hostname="h", __meta_dockerswarm_service_task_container_image="shop:1", __meta_dockerswarm_service_updating_status="completed"}}"#
                ),
                format!(
                    r#"{{__address__="10.0.0.6:99", {NETWORK}, __meta_dockerswarm_service_id="svc2", __meta_dockerswarm_service_mode="global", __meta_dockerswarm_service_name="agent"}}"#
                ),
            ]
        );
    }

    #[tokio::test]
    async fn tasks_become_targets() {
        let node2 = r#"__meta_dockerswarm_node_address="10.3.0.2", __meta_dockerswarm_node_availability="drain", __meta_dockerswarm_node_hostname="swarm-2", __meta_dockerswarm_node_id="node2", __meta_dockerswarm_node_platform_architecture="aarch64", __meta_dockerswarm_node_platform_os="linux", __meta_dockerswarm_node_role="worker", __meta_dockerswarm_node_status="down""#;
        let shop = r#"__meta_dockerswarm_service_id="svc1", __meta_dockerswarm_service_label_com_shop="web", __meta_dockerswarm_service_mode="replicated", __meta_dockerswarm_service_name="shop""#;
        let task = |mode: &str| {
            format!(
                r#"__meta_dockerswarm_task_container_id="cafe", __meta_dockerswarm_task_desired_state="running", __meta_dockerswarm_task_id="task1", __meta_dockerswarm_task_port_publish_mode="{mode}", __meta_dockerswarm_task_slot="2", __meta_dockerswarm_task_state="running""#
            )
        };
        let label = r#"__meta_dockerswarm_container_label_c_l="x""#;
        let targets = listed("tasks", "", "").await;
        assert_eq!(targets.len(), 3, "{targets:#?}");
        assert_eq!(
            targets[1],
            format!(r#"{{__address__="10.0.0.9:8080", {label}, {NETWORK}, {node2}, {shop}, {}}}"#, task("ingress"))
        );
        assert_eq!(
            targets[2],
            format!(r#"{{__address__="10.3.0.2:9000", {label}, {node2}, {shop}, {}}}"#, task("host"))
        );
        assert!(
            targets[0].starts_with(r#"{__address__="10.0.0.10:80", __meta_dockerswarm_network_id"#),
            "{}",
            targets[0]
        );
        assert!(targets[0].contains(r#"task_slot="0""#), "{}", targets[0]);
    }
}
