//! `ionos_sd_configs`: servers of IONOS Cloud (upstream: `discovery/ionos`).

use std::collections::BTreeMap;

use config::IonosSdConfig;
use http::header::HeaderMap;
use model::TargetLabels;
use serde_json::Value;

use crate::api::{Api, url_of};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group, separated};
use crate::refresh::{List, Listed, refresh_interval, refreshed};

pub(crate) fn new(config: &IonosSdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(Ionos::new(config, context), config.refresh_interval_ms, context)
}

struct Ionos {
    config: IonosSdConfig,
    api: Api,
    endpoint: String,
}

impl Ionos {
    fn new(config: &IonosSdConfig, context: &Context) -> Self {
        let api = Api::new(&config.http, refresh_interval(config.refresh_interval_ms), context);
        Self { config: config.clone(), api, endpoint: "https://api.ionos.com".to_owned() }
    }

    /// A server without addresses is no target.
    fn target(&self, server: &Value, collection: &str) -> Option<TargetLabels> {
        let mut all: Vec<&str> = Vec::new();
        let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        // The addresses of a later interface come before those of the ones before it, as upstream has it.
        for interface in server.items("/entities/nics/items") {
            let name = interface.at("/properties/name").as_str().unwrap_or("unnamed");
            let addresses = interface.strs("/properties/ips");
            all.splice(0..0, addresses.iter().copied());
            by_name.entry(name).or_default().splice(0..0, addresses);
        }
        let mut meta = Meta::new("__meta_ionos_server_");
        meta.address(all.first()?, self.config.port);
        meta.list("ip", ",", &all);
        meta.set("servers_id", collection);
        meta.texts(
            server,
            &[
                ("availability_zone", "/properties/availabilityZone"),
                ("cpu_family", "/properties/cpuFamily"),
                ("id", "/id"),
                ("lifecycle", "/metadata/state"),
                ("name", "/properties/name"),
                ("state", "/properties/vmState"),
                ("type", "/properties/type"),
                ("boot_cdrom_id", "/properties/bootCdrom/id"),
                ("boot_volume_id", "/properties/bootVolume/id"),
                ("boot_image_id", "/entities/volumes/items/0/properties/image"),
            ],
        );
        for (name, addresses) in by_name {
            // One without addresses has the separators all the same.
            let joined = if addresses.is_empty() { ",,".to_owned() } else { separated(",", &addresses) };
            meta.keyed("nic_ip_", name, joined);
        }
        Some(meta.target())
    }
}

impl List for Ionos {
    const MECHANISM: &'static str = "ionos";

    async fn list(&mut self) -> Listed {
        let path = format!("/cloudapi/v6/datacenters/{}/servers", self.config.datacenter_id);
        let url = url_of(&self.endpoint, &path, &[("depth", "3")])?;
        let servers = self.api.object(&url, &HeaderMap::new()).await?;
        let target = |server| self.target(server, servers.str("/id"));
        Ok(vec![group("ionos", servers.items("/items").iter().filter_map(target).collect())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context, sd, shown};

    #[tokio::test]
    async fn servers_become_targets() {
        let servers = r#"{"id":"dc-1/servers","items":[
            {"id":"srv-1","metadata":{"state":"AVAILABLE"},
             "properties":{"name":"shop-1","availabilityZone":"ZONE_1","vmState":"RUNNING","cpuFamily":"INTEL_SKYLAKE","type":"ENTERPRISE",
                           "bootCdrom":{"id":"cd-1"},"bootVolume":{"id":"vol-1"}},
             "entities":{"volumes":{"items":[{"properties":{"image":"img-1"}}]},
                         "nics":{"items":[{"properties":{"name":"front end","ips":["198.51.100.90","198.51.100.91"]}},
                                          {"properties":{"ips":["10.8.0.1"]}},{"properties":{"name":"bare"}}]}}},
            {"id":"srv-2","properties":null,"entities":{"nics":{"items":[{"properties":{"ips":["10.8.0.2"]}},{"properties":null}]}}},
            {"id":"srv-3","entities":{"nics":{"items":[]}}},
            {"id":"srv-4"}]}"#;
        let server = Recorded::start(&[("GET /cloudapi/v6/datacenters/dc-1/servers?depth=3", servers)]);
        let config::SdConfig::Ionos(config) = sd("ionos_sd_configs: [{datacenter_id: dc-1}]") else { panic!() };
        let mut ionos = Ionos { endpoint: server.url.clone(), ..Ionos::new(&config, &context()) };
        let groups = ionos.list().await.unwrap();
        assert_eq!(groups[0].source, "ionos");
        assert_eq!(
            shown(&groups[0]),
            [
                r#"{__address__="10.8.0.1:80", __meta_ionos_server_availability_zone="ZONE_1", __meta_ionos_server_boot_cdrom_id="cd-1", __meta_ionos_server_boot_image_id="img-1", __meta_ionos_server_boot_volume_id="vol-1", __meta_ionos_server_cpu_family="INTEL_SKYLAKE", __meta_ionos_server_id="srv-1", __meta_ionos_server_ip=",10.8.0.1,198.51.100.90,198.51.100.91,", __meta_ionos_server_lifecycle="AVAILABLE", __meta_ionos_server_name="shop-1", __meta_ionos_server_nic_ip_bare=",,", __meta_ionos_server_nic_ip_front_end=",198.51.100.90,198.51.100.91,", __meta_ionos_server_nic_ip_unnamed=",10.8.0.1,", __meta_ionos_server_servers_id="dc-1/servers", __meta_ionos_server_state="RUNNING", __meta_ionos_server_type="ENTERPRISE"}"#,
                r#"{__address__="10.8.0.2:80", __meta_ionos_server_id="srv-2", __meta_ionos_server_ip=",10.8.0.2,", __meta_ionos_server_nic_ip_unnamed=",10.8.0.2,", __meta_ionos_server_servers_id="dc-1/servers"}"#,
            ]
        );
    }
}
