//! `hetzner_sd_configs`: servers of Hetzner Cloud, or dedicated ones by Robot (upstream: `discovery/hetzner`).

use std::collections::BTreeMap;

use config::{HetznerRole, HetznerSdConfig};
use http::header::HeaderMap;
use model::TargetLabels;
use serde_json::Value;
use url::Url;

use crate::api::{Api, url_of, with_parameter};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::refresh::{List, Listed, refresh_interval, refreshed};

const PREFIX: &str = "__meta_hetzner_";

pub(crate) fn new(config: &HetznerSdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(Hetzner::new(config, context), config.refresh_interval_ms, context)
}

struct Hetzner {
    config: HetznerSdConfig,
    api: Api,
    endpoint: String,
}

impl Hetzner {
    fn new(config: &HetznerSdConfig, context: &Context) -> Self {
        let endpoint = match config.role {
            Some(HetznerRole::Hcloud) => "https://api.hetzner.cloud/v1",
            _ => "https://robot-ws.your-server.de",
        };
        let api = Api::new(&config.http, refresh_interval(config.refresh_interval_ms), context);
        Self { config: config.clone(), api, endpoint: endpoint.to_owned() }
    }

    /// What a path of Hetzner Cloud lists, page by page.
    async fn objects(&self, kind: &str, parameters: &[(&str, &str)]) -> Result<Vec<Value>, String> {
        let next = |here: &Url, page: &Value| {
            let number = page.at("/meta/pagination/next_page").as_u64()?;
            Some(with_parameter(here, "page", &number.to_string()))
        };
        let first = url_of(&self.endpoint, &format!("/{kind}"), parameters)?;
        let pages = self.api.pages(first, &HeaderMap::new(), next).await?;
        Ok(pages.iter().flat_map(|page| page.items(&format!("/{kind}"))).cloned().collect())
    }

    async fn hcloud(&self) -> Result<Vec<TargetLabels>, String> {
        let mut parameters = vec![("per_page", "50")];
        let selector = self.config.label_selector.as_str();
        parameters.extend((!selector.is_empty()).then_some(("label_selector", selector)));
        let servers = self.objects("servers", &parameters).await?;
        let networks = self.objects("networks", &[("per_page", "50")]).await?;
        let networks: BTreeMap<i64, &str> =
            networks.iter().map(|network| (network.int("/id"), network.str("/name"))).collect();
        Ok(servers.iter().map(|server| self.cloud_server(server, &networks)).collect())
    }

    fn cloud_server(&self, server: &Value, networks: &BTreeMap<i64, &str>) -> TargetLabels {
        let mut meta = Meta::new(PREFIX);
        meta.set("role", "hcloud");
        meta.texts(
            server,
            &[
                ("server_id", "/id"),
                ("server_name", "/name"),
                ("server_status", "/status"),
                ("hcloud_location", "/location/name"),
                ("hcloud_location_network_zone", "/location/network_zone"),
                // These two names are those of before the data centers were given up.
                ("hcloud_datacenter_location", "/location/name"),
                ("hcloud_datacenter_location_network_zone", "/location/network_zone"),
                ("hcloud_server_type", "/server_type/name"),
                ("hcloud_cpu_type", "/server_type/cpu_type"),
                ("hcloud_image_name", "/image/name"),
                ("hcloud_image_description", "/image/description"),
                ("hcloud_image_os_version", "/image/os_version"),
                ("hcloud_image_os_flavor", "/image/os_flavor"),
            ],
        );
        meta.numbers(
            server,
            &[("hcloud_cpu_cores", "/server_type/cores"), ("hcloud_disk_size_gb", "/server_type/disk")],
        );
        // The API has fractions of it.
        let memory = server.at("/server_type/memory").as_f64().unwrap_or_default().trunc();
        meta.set("hcloud_memory_size_gb", memory.to_string());
        // As Go prints an address that there is not: rules of users may ask for it.
        let or_nil = |pointer: &str| Some(server.str(pointer)).filter(|ip| !ip.is_empty()).unwrap_or("<nil>");
        let ipv4 = or_nil("/public_net/ipv4/ip");
        meta.set("public_ipv4", ipv4);
        meta.set("public_ipv6_network", or_nil("/public_net/ipv6/ip"));
        meta.address(ipv4, self.config.port);
        for private in server.items("/private_net") {
            if let Some(name) = networks.get(&private.int("/network")) {
                meta.keyed("hcloud_private_ipv4_", name, private.text("/ip"));
            }
        }
        for (key, value) in server.members("/labels") {
            meta.keyed("hcloud_labelpresent_", key, "true");
            meta.keyed("hcloud_label_", key, value.text(""));
        }
        meta.target()
    }

    async fn robot(&self) -> Result<Vec<TargetLabels>, String> {
        let servers = self.api.list(&url_of(&self.endpoint, "/server", &[])?, &HeaderMap::new()).await?;
        Ok(servers.items("").iter().map(|server| self.dedicated_server(server.at("/server"))).collect())
    }

    fn dedicated_server(&self, server: &Value) -> TargetLabels {
        let mut meta = Meta::new(PREFIX);
        meta.set("role", "robot");
        meta.numbers(server, &[("server_id", "/server_number")]);
        meta.texts(
            server,
            &[
                ("server_name", "/server_name"),
                ("public_ipv4", "/server_ip"),
                ("server_status", "/status"),
                ("robot_product", "/product"),
            ],
        );
        meta.flags(server, &[("robot_cancelled", "/cancelled")]);
        for name in ["datacenter", "robot_datacenter"] {
            meta.set(name, server.str("/dc").to_lowercase());
        }
        let is_ipv4 = |subnet: &&Value| subnet.str("/ip").parse::<std::net::Ipv4Addr>().is_ok();
        if let Some(subnet) = server.items("/subnet").iter().find(|subnet| !is_ipv4(subnet)) {
            meta.set("public_ipv6_network", format!("{}/{}", subnet.str("/ip"), subnet.text("/mask")));
        }
        meta.address(server.str("/server_ip"), self.config.port);
        meta.target()
    }
}

impl List for Hetzner {
    const MECHANISM: &'static str = "hetzner";

    async fn list(&mut self) -> Listed {
        let targets = match self.config.role {
            Some(HetznerRole::Hcloud) => self.hcloud().await?,
            _ => self.robot().await?,
        };
        Ok(vec![group("hetzner", targets)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context, sd, shown};

    const SERVERS: [&str; 2] = [
        r#"{"servers":[{"id":7,"name":"shop-1","status":"running",
            "public_net":{"ipv4":{"ip":"198.51.100.7"},"ipv6":{"ip":"2001:db8:7::/64"}},
            "private_net":[{"network":31,"ip":"10.4.0.7"},{"network":99,"ip":"10.5.0.7"}],
            "server_type":{"name":"cx22","cores":2,"memory":4.5,"disk":40,"cpu_type":"shared"},
            "location":{"name":"hel1","network_zone":"eu-central"},
            "image":{"name":"debian-12","description":"Debian 12","os_version":"12","os_flavor":"debian"},
            "labels":{"app/name":"shop","flag":""}}],
            "meta":{"pagination":{"page":1,"next_page":2}}}"#,
        r#"{"servers":[{"id":8,"name":"inner","status":"off","public_net":{"ipv4":null,"ipv6":null},"private_net":[],
            "server_type":{"name":"cax11","cores":2,"memory":4,"disk":40,"cpu_type":"shared"},
            "location":{"name":"hel1","network_zone":"eu-central"},"image":null,"labels":{}}],
            "meta":{"pagination":{"page":2,"next_page":null}}}"#,
    ];

    fn discovery(fields: &str, server: &Recorded) -> Hetzner {
        let config::SdConfig::Hetzner(config) = sd(&format!("hetzner_sd_configs: [{{{fields}}}]")) else { panic!() };
        Hetzner { endpoint: server.url.clone(), ..Hetzner::new(&config, &context()) }
    }

    #[tokio::test]
    async fn virtual_servers_become_targets() {
        let server = Recorded::start(&[
            ("GET /servers?per_page=50&label_selector=env%3Dprod", SERVERS[0]),
            ("GET /servers?per_page=50&label_selector=env%3Dprod&page=2", SERVERS[1]),
            ("GET /networks?per_page=50", r#"{"networks":[{"id":31,"name":"back-end"}]}"#),
        ]);
        let mut hetzner = discovery("role: hcloud, label_selector: env=prod, authorization: {credentials: t}", &server);
        let groups = hetzner.list().await.unwrap();
        assert_eq!(groups[0].source, "hetzner");
        let common = r#"__meta_hetzner_hcloud_datacenter_location="hel1", __meta_hetzner_hcloud_datacenter_location_network_zone="eu-central", __meta_hetzner_hcloud_disk_size_gb="40", "#;
        assert_eq!(
            shown(&groups[0]),
            [
                format!(
                    r#"{{__address__="198.51.100.7:80", __meta_hetzner_hcloud_cpu_cores="2", __meta_hetzner_hcloud_cpu_type="shared", {common}__meta_hetzner_hcloud_image_description="Debian 12", __meta_hetzner_hcloud_image_name="debian-12", __meta_hetzner_hcloud_image_os_flavor="debian", __meta_hetzner_hcloud_image_os_version="12", __meta_hetzner_hcloud_label_app_name="shop", __meta_hetzner_hcloud_labelpresent_app_name="true", __meta_hetzner_hcloud_labelpresent_flag="true", __meta_hetzner_hcloud_location="hel1", __meta_hetzner_hcloud_location_network_zone="eu-central", __meta_hetzner_hcloud_memory_size_gb="4", __meta_hetzner_hcloud_private_ipv4_back_end="10.4.0.7", __meta_hetzner_hcloud_server_type="cx22", __meta_hetzner_public_ipv4="198.51.100.7", __meta_hetzner_public_ipv6_network="2001:db8:7::/64", __meta_hetzner_role="hcloud", __meta_hetzner_server_id="7", __meta_hetzner_server_name="shop-1", __meta_hetzner_server_status="running"}}"#
                ),
                format!(
                    r#"{{__address__="<nil>:80", __meta_hetzner_hcloud_cpu_cores="2", __meta_hetzner_hcloud_cpu_type="shared", {common}__meta_hetzner_hcloud_location="hel1", __meta_hetzner_hcloud_location_network_zone="eu-central", __meta_hetzner_hcloud_memory_size_gb="4", __meta_hetzner_hcloud_server_type="cax11", __meta_hetzner_public_ipv4="<nil>", __meta_hetzner_public_ipv6_network="<nil>", __meta_hetzner_role="hcloud", __meta_hetzner_server_id="8", __meta_hetzner_server_name="inner", __meta_hetzner_server_status="off"}}"#
                ),
            ]
        );
        let heads: Vec<String> = server.asked().into_iter().map(|asked| asked.head.to_lowercase()).collect();
        assert!(heads.iter().all(|head| head.contains("authorization: bearer t\r\n")), "{heads:?}");
    }

    #[tokio::test]
    async fn dedicated_servers_become_targets() {
        let servers = r#"[
            {"server":{"server_ip":"203.0.113.9","server_number":901,"server_name":"big-1","product":"AX41","dc":"FSN1-DC3",
                       "status":"ready","cancelled":true,"subnet":[{"ip":"203.0.113.64","mask":"28"},{"ip":"2001:db8:9::","mask":"64"}]}},
            {"server":{"server_ip":"203.0.113.10","server_number":902,"server_name":"big-2","product":"AX41","dc":"HEL1-DC1",
                       "status":"in process","cancelled":false,"subnet":null}}]"#;
        let server = Recorded::start(&[("GET /server", servers)]);
        let mut hetzner = discovery("role: robot, basic_auth: {username: u, password: p}", &server);
        assert_eq!(
            shown(&hetzner.list().await.unwrap()[0]),
            [
                r#"{__address__="203.0.113.10:80", __meta_hetzner_datacenter="hel1-dc1", __meta_hetzner_public_ipv4="203.0.113.10", __meta_hetzner_robot_cancelled="false", __meta_hetzner_robot_datacenter="hel1-dc1", __meta_hetzner_robot_product="AX41", __meta_hetzner_role="robot", __meta_hetzner_server_id="902", __meta_hetzner_server_name="big-2", __meta_hetzner_server_status="in process"}"#,
                r#"{__address__="203.0.113.9:80", __meta_hetzner_datacenter="fsn1-dc3", __meta_hetzner_public_ipv4="203.0.113.9", __meta_hetzner_public_ipv6_network="2001:db8:9::/64", __meta_hetzner_robot_cancelled="true", __meta_hetzner_robot_datacenter="fsn1-dc3", __meta_hetzner_robot_product="AX41", __meta_hetzner_role="robot", __meta_hetzner_server_id="901", __meta_hetzner_server_name="big-1", __meta_hetzner_server_status="ready"}"#,
            ]
        );
    }
}
