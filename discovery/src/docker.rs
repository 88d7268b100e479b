//! `docker_sd_configs`: containers of a Docker daemon (upstream: `discovery/moby/docker.go`).

use std::collections::BTreeMap;

use config::DockerSdConfig;
use model::TargetLabels;
use serde_json::Value;

use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::moby::Moby;
use crate::refresh::{List, Listed, refresh_interval, refreshed};

const PREFIX: &str = "__meta_docker_";

pub(crate) fn new(config: &DockerSdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(Docker::new(config, context), config.refresh_interval_ms, context)
}

struct Docker {
    config: DockerSdConfig,
    moby: Moby,
}

impl Docker {
    fn new(config: &DockerSdConfig, context: &Context) -> Self {
        let daemon = (config.host.as_str(), &config.http, config.filters.as_slice());
        let moby = Moby::new(daemon, refresh_interval(config.refresh_interval_ms), context);
        Self { config: config.clone(), moby }
    }

    /// A target for each TCP port of each network, and one for a network without.
    fn targets<'c>(
        &self,
        container: &'c Value,
        all: &Containers<'c>,
        labels: &BTreeMap<String, Meta>,
    ) -> Vec<TargetLabels> {
        let Some(name) = container.items("/Names").first() else { return Vec::new() };
        let mut common = Meta::new(PREFIX);
        common.texts(
            container,
            &[
                ("container_id", "/Id"),
                ("container_network_mode", "/HostConfig/NetworkMode"),
                ("container_image", "/Image"),
                ("container_image_id", "/ImageID"),
            ],
        );
        common.set("container_name", name.text(""));
        common.members("container_label_", container.at("/Labels"));
        let mut networks = all.networks(container);
        networks.sort_unstable_by_key(|(name, _)| *name);
        if self.config.match_first_network {
            networks.truncate(1);
        }
        let mut targets = Vec::new();
        for (_, network) in networks {
            let ip = [network.str("/IPAddress"), network.str("/GlobalIPv6Address")];
            let ip = ip.into_iter().find(|ip| !ip.is_empty()).unwrap_or_default();
            let mut meta = common.clone();
            meta.set("network_ip", ip);
            meta.join_of(labels, network.str("/NetworkID"));
            let ports: Vec<&Value> =
                container.items("/Ports").iter().filter(|port| port.str("/Type") == "tcp").collect();
            for port in &ports {
                let mut meta = meta.clone();
                meta.numbers(port, &[("port_private", "/PrivatePort")]);
                if port.int("/PublicPort") > 0 {
                    meta.texts(port, &[("port_public", "/PublicPort"), ("port_public_ip", "/IP")]);
                }
                meta.address(ip, port.int("/PrivatePort"));
                targets.push(meta.target());
            }
            if ports.is_empty() {
                // Containers in the network of the host have no ports.
                if container.str("/HostConfig/NetworkMode") == "host" {
                    meta.plain(model::labels::ADDRESS, &self.config.host_networking_host);
                } else {
                    meta.address(ip, self.config.port);
                }
                targets.push(meta.target());
            }
        }
        targets
    }
}

/// All containers, by id.
struct Containers<'c>(BTreeMap<&'c str, &'c Value>);

impl<'c> Containers<'c> {
    /// The networks of a container, or of the one whose network it uses.
    fn networks(&self, container: &'c Value) -> Vec<(&'c str, &'c Value)> {
        let mut here = container;
        // Two that use each other's network would go on for ever.
        for _ in 0..=self.0.len() {
            let networks: Vec<_> =
                here.members("/NetworkSettings/Networks").filter(|(_, network)| !network.is_null()).collect();
            if !networks.is_empty() {
                return networks;
            }
            let other = here.str("/HostConfig/NetworkMode").strip_prefix("container:");
            let Some(other) = other.and_then(|id| self.0.get(id).copied()) else { break };
            here = other;
        }
        Vec::new()
    }
}

impl List for Docker {
    const MECHANISM: &'static str = "docker";

    async fn list(&mut self) -> Listed {
        let containers = self.moby.list("/containers/json", true).await;
        let containers = containers.map_err(|error| format!("error while listing containers: {error}"))?;
        let networks = self.moby.networks(PREFIX).await?;
        let all = containers.items("");
        let by_id = Containers(all.iter().map(|container| (container.str("/Id"), container)).collect());
        let targets = all.iter().flat_map(|container| self.targets(container, &by_id, &networks)).collect();
        Ok(vec![group("Docker", targets)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context, sd, shown};

    const NETWORKS: &str = r#"[
        {"Name":"shop_net","Id":"net1","Scope":"local","Internal":false,"Ingress":false,"Labels":{"com.shop/kind":"web"}},
        {"Name":"other","Id":"net2","Scope":"local","Internal":true,"Ingress":false,"Labels":{}},
        {"Name":"host","Id":"net3","Scope":"local","Internal":false,"Ingress":false,"Labels":null}]"#;

    /// Two ports, one of them published; no port in two networks; the network of the host; the network of the first; UDP alone; IPv6.
    const CONTAINERS: &str = r#"[
        {"Id":"c1","Names":["/shop"],"Image":"shop:1","ImageID":"sha256:1","Labels":{"app.name":"shop"},
         "Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},{"PrivatePort":443,"Type":"tcp"},
                  {"PrivatePort":53,"Type":"udp"}],
         "HostConfig":{"NetworkMode":"shop_net"},
         "NetworkSettings":{"Networks":{"shop_net":{"NetworkID":"net1","IPAddress":"172.20.0.2","GlobalIPv6Address":""}}}},
        {"Id":"c2","Names":["/two"],"Image":"two","Labels":{},"Ports":[],"HostConfig":{"NetworkMode":"shop_net"},
         "NetworkSettings":{"Networks":{"shop_net":{"NetworkID":"net1","IPAddress":"172.20.0.3"},
                                        "other":{"NetworkID":"net2","IPAddress":"172.21.0.3"},"gone":null}}},
        {"Id":"c3","Names":["/agent"],"Labels":{},"Ports":[],"HostConfig":{"NetworkMode":"host"},
         "NetworkSettings":{"Networks":{"host":{"NetworkID":"net3","IPAddress":""}}}},
        {"Id":"c4","Names":["/side"],"Labels":{},"Ports":[{"PrivatePort":53,"Type":"udp"}],
         "HostConfig":{"NetworkMode":"container:c1"},"NetworkSettings":{"Networks":{}}},
        {"Id":"c5","Names":["/six"],"Labels":{},"Ports":[{"PrivatePort":80,"Type":"tcp"}],"HostConfig":{"NetworkMode":"n"},
         "NetworkSettings":{"Networks":{"n":{"NetworkID":"x","IPAddress":"","GlobalIPv6Address":"fd00::2"}}}},
        {"Id":"c6","Names":["/loop"],"Labels":{},"HostConfig":{"NetworkMode":"container:c6"},"NetworkSettings":{"Networks":{}}},
        {"Id":"c7","Names":[],"HostConfig":{"NetworkMode":"n"}}]"#;

    async fn listed(fields: &str, line: &str) -> Vec<String> {
        let server = Recorded::start(&[(line, CONTAINERS), ("GET /networks", NETWORKS)]);
        let text = format!("docker_sd_configs: [{{host: '{}', {fields}}}]", server.url);
        let config::SdConfig::Docker(config) = sd(&text) else { panic!() };
        let groups = Docker::new(&config, &context()).list().await.unwrap();
        assert_eq!(groups[0].source, "Docker");
        shown(&groups[0])
    }

    #[tokio::test]
    async fn ports_in_networks_become_targets() {
        let targets = listed("", "GET /containers/json").await;
        let shop = r#"__meta_docker_container_id="c1", __meta_docker_container_image="shop:1", __meta_docker_container_image_id="sha256:1", __meta_docker_container_label_app_name="shop", __meta_docker_container_name="/shop", __meta_docker_container_network_mode="shop_net", __meta_docker_network_id="net1", __meta_docker_network_ingress="false", __meta_docker_network_internal="false", __meta_docker_network_ip="172.20.0.2", __meta_docker_network_label_com_shop_kind="web", __meta_docker_network_name="shop_net", "#;
        let expected = format!(
            r#"{{__address__="172.20.0.2:443", {shop}__meta_docker_network_scope="local", __meta_docker_port_private="443"}}"#
        );
        assert!(targets.contains(&expected), "{targets:#?}");
        let expected = format!(
            r#"{{__address__="172.20.0.2:80", {shop}__meta_docker_network_scope="local", __meta_docker_port_private="80", __meta_docker_port_public="8080", __meta_docker_port_public_ip="0.0.0.0"}}"#
        );
        assert!(targets.contains(&expected), "{targets:#?}");
        let addresses: Vec<&str> = targets.iter().filter_map(|target| target.split('"').nth(1)).collect();
        // Of the second container the first network by name, of the fourth those of the first.
        assert_eq!(
            addresses,
            ["172.20.0.2:443", "172.20.0.2:80", "172.20.0.2:80", "172.21.0.3:80", "[fd00::2]:80", "localhost"]
        );
    }

    #[tokio::test]
    async fn settings_are_heeded() {
        let filters = "GET /containers/json?filters=%7B%22label%22%3A%7B%22a%22%3Atrue%7D%7D";
        let fields = "match_first_network: false, port: 9100, host_networking_host: 'node:1', filters: [{name: label, values: [a]}]";
        let targets = listed(fields, filters).await;
        let addresses: Vec<&str> = targets.iter().filter_map(|target| target.split('"').nth(1)).collect();
        assert_eq!(
            addresses,
            [
                "172.20.0.2:443",
                "172.20.0.2:80",
                "172.20.0.2:9100",
                "172.20.0.3:9100",
                "172.21.0.3:9100",
                "[fd00::2]:80",
                "node:1"
            ]
        );
    }

    #[tokio::test]
    async fn a_daemon_is_asked_over_its_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let server = Recorded::at_socket(&path, &[("GET /containers/json", CONTAINERS), ("GET /networks", NETWORKS)]);
        let config::SdConfig::Docker(config) = sd(&format!("docker_sd_configs: [{{host: '{}'}}]", server.url)) else {
            panic!()
        };
        let mut docker = Docker::new(&config, &context());
        assert_eq!(docker.list().await.unwrap()[0].targets.len(), 6);
        drop(server);
        std::fs::remove_file(path).unwrap();
        let error = docker.list().await.unwrap_err();
        assert!(error.contains("docker.sock") && error.contains("no such file"), "{error}");
    }
}
