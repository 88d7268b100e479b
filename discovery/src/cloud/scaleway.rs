//! `scaleway_sd_configs`: instances or dedicated servers of Scaleway (upstream: `discovery/scaleway`).

use std::collections::{BTreeMap, BTreeSet};

use config::{ScalewayRole, ScalewaySdConfig, Secret};
use http::header::HeaderMap;
use model::TargetLabels;
use serde_json::Value;
use url::Url;

use crate::api::{Api, headers, url_of, with_parameter};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::refresh::{List, Listed, refresh_interval, refreshed};

/// The most objects of a page, by both names of the parameter.
const PAGE: usize = 50;

pub(crate) fn new(config: &ScalewaySdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(Scaleway::new(config, context), config.refresh_interval_ms, context)
}

struct Scaleway {
    config: ScalewaySdConfig,
    api: Api,
}

impl Scaleway {
    fn new(config: &ScalewaySdConfig, context: &Context) -> Self {
        let api = Api::new(&config.http, refresh_interval(config.refresh_interval_ms), context);
        Self { config: config.clone(), api }
    }

    /// The key, read from its file for every list.
    async fn key(&self) -> Result<HeaderMap, String> {
        let key = match &self.config.secret_key_file {
            Some(path) => {
                let text = tokio::fs::read_to_string(path).await;
                text.map_err(|error| format!("unable to read auth token file {}: {error}", path.display()))?
            }
            None => self.config.secret_key.as_ref().map(Secret::expose).unwrap_or_default().to_owned(),
        };
        headers([("x-auth-token", key.trim())])
    }

    /// What a path lists, page by page; `size` is the name of the parameter for the size of a page.
    async fn objects(
        &self,
        path: &str,
        field: &'static str,
        size: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Vec<Value>, String> {
        let per_page = PAGE.to_string();
        let mut all = parameters.to_vec();
        all.extend([(size, per_page.as_str()), ("page", "1")]);
        let next = |here: &Url, page: &Value| {
            let number: u64 = here.query_pairs().find(|(name, _)| name == "page")?.1.parse().ok()?;
            (page.items(field).len() >= PAGE).then(|| with_parameter(here, "page", &(number + 1).to_string()))
        };
        let pages = self.api.pages(url_of(&self.config.api_url, path, &all)?, &self.key().await?, next).await?;
        Ok(pages.iter().flat_map(|page| page.items(field)).cloned().collect())
    }

    /// The name that is asked for, if there is one.
    fn name_filter(&self) -> Vec<(&str, &str)> {
        let name = self.config.name_filter.as_str();
        (!name.is_empty()).then_some(("name", name)).into_iter().collect()
    }

    async fn instances(&self) -> Result<Vec<TargetLabels>, String> {
        let tags = self.config.tags_filter.join(",");
        let mut parameters = self.name_filter();
        parameters.extend((!tags.is_empty()).then_some(("tags", tags.as_str())));
        let path = format!("/instance/v1/zones/{}/servers", self.config.zone);
        let servers = self.objects(&path, "/servers", "per_page", &parameters).await?;
        let private = self.private_addresses(&servers).await?;
        Ok(servers.iter().filter_map(|server| self.instance(server, &private)).collect())
    }

    /// The addresses of private network interfaces, by interface, of the servers that say none of their own.
    async fn private_addresses(&self, servers: &[Value]) -> Result<BTreeMap<String, String>, String> {
        let mut by_region: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        for server in servers {
            let has_one = ["/private_ip", "/public_ip", "/ipv6"].iter().any(|at| !server.at(at).is_null());
            for interface in server.items("/private_nics").iter().filter(|_| !has_one) {
                let id = interface.str("/id");
                by_region.entry(region_of(server.str("/zone"))).or_default().push(("resource_ids", id));
            }
        }
        let mut addresses = BTreeMap::new();
        for (region, interfaces) in by_region {
            // A URL has room for so many.
            for some in interfaces.chunks(PAGE) {
                let parameters = [some, &[("resource_types", "instance_private_nic")]].concat();
                let path = format!("/ipam/v1/regions/{region}/ips");
                for ip in self.objects(&path, "/ips", "page_size", &parameters).await? {
                    if !ip.is("/is_ipv6") {
                        let address = ip.str("/address").split('/').next().unwrap_or_default();
                        addresses.insert(ip.text("/resource/id"), address.to_owned());
                    }
                }
            }
        }
        Ok(addresses)
    }

    fn instance(&self, server: &Value, private: &BTreeMap<String, String>) -> Option<TargetLabels> {
        let mut meta = Meta::new("__meta_scaleway_instance_");
        meta.texts(
            server,
            &[
                ("boot_type", "/boot_type"),
                ("hostname", "/hostname"),
                ("id", "/id"),
                ("name", "/name"),
                ("organization_id", "/organization"),
                ("project_id", "/project"),
                ("status", "/state"),
                ("type", "/commercial_type"),
                ("zone", "/zone"),
                ("image_arch", "/image/arch"),
                ("image_id", "/image/id"),
                ("image_name", "/image/name"),
                ("location_cluster_id", "/location/cluster_id"),
                ("location_hypervisor_id", "/location/hypervisor_id"),
                ("location_node_id", "/location/node_id"),
                ("security_group_id", "/security_group/id"),
                ("security_group_name", "/security_group/name"),
                ("public_ipv6", "/ipv6/address"),
                ("private_ipv4", "/private_ip"),
            ],
        );
        meta.set("region", region_of(server.str("/zone")));
        meta.list("tags", ",", &server.strs("/tags"));
        for (family, name) in [("inet", "public_ipv4_addresses"), ("inet6", "public_ipv6_addresses")] {
            let all = server.items("/public_ips").iter().filter(|ip| ip.str("/family") == family);
            meta.list(name, ",", &all.map(|ip| ip.str("/address")).collect::<Vec<_>>());
        }
        let public = server.str("/public_ip/address");
        if server.str("/public_ip/family") != "inet6" {
            meta.set("public_ipv4", public);
        }
        let known = [server.str("/private_ip"), public, server.str("/ipv6/address")];
        let address = known.into_iter().find(|address| !address.is_empty()).map(str::to_owned).or_else(|| {
            let mut interfaces = server.items("/private_nics").iter();
            let address = interfaces.find_map(|interface| private.get(interface.str("/id")))?;
            meta.set("private_ipv4", address);
            Some(address.clone())
        })?;
        meta.address(&address, self.config.port);
        Some(meta.target())
    }

    async fn dedicated(&self) -> Result<Vec<TargetLabels>, String> {
        let zone = format!("/baremetal/v1/zones/{}", self.config.zone);
        let mut parameters = self.name_filter();
        parameters.extend(self.config.tags_filter.iter().map(|tag| ("tags", tag.as_str())));
        let servers = self.objects(&format!("{zone}/servers"), "/servers", "page_size", &parameters).await?;
        let offers = self.objects(&format!("{zone}/offers"), "/offers", "page_size", &[]).await?;
        let systems = self.objects(&format!("{zone}/os"), "/os", "page_size", &[]).await?;
        let target = |server: &Value| {
            let mut meta = Meta::new("__meta_scaleway_baremetal_");
            meta.texts(
                server,
                &[
                    ("id", "/id"),
                    ("name", "/name"),
                    ("zone", "/zone"),
                    ("status", "/status"),
                    ("project_id", "/project_id"),
                ],
            );
            if let Some(offer) = offers.iter().find(|offer| offer.str("/id") == server.str("/offer_id")) {
                meta.texts(offer, &[("type", "/name")]);
            }
            if let Some(system) = systems.iter().find(|system| system.str("/id") == server.str("/install/os_id")) {
                meta.texts(system, &[("os_name", "/name"), ("os_version", "/version")]);
            }
            meta.list("tags", ",", &server.strs("/tags"));
            let mut seen = BTreeSet::new();
            for (version, name) in [("IPv4", "public_ipv4"), ("IPv6", "public_ipv6")] {
                let first = server.items("/ips").iter().find(|ip| ip.str("/version") == version);
                let Some(ip) = first else { continue };
                meta.set(name, ip.str("/address"));
                // The first family there is, so that of IPv4 if there is one.
                if seen.is_empty() {
                    meta.address(ip.str("/address"), self.config.port);
                }
                seen.insert(version);
            }
            meta.target()
        };
        Ok(servers.iter().map(target).collect())
    }
}

/// `fr-par` of `fr-par-1`.
fn region_of(zone: &str) -> &str {
    zone.rsplit_once('-').map(|(region, _)| region).unwrap_or_default()
}

impl List for Scaleway {
    const MECHANISM: &'static str = "scaleway";

    async fn list(&mut self) -> Listed {
        let targets = match self.config.role {
            Some(ScalewayRole::Baremetal) => self.dedicated().await?,
            _ => self.instances().await?,
        };
        Ok(vec![group("scaleway", targets)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context, sd, shown};

    const IDS: &str = "project_id: 5e9c1f7a-0000-4000-8000-00000000000a, access_key: SCW00000000000000001";
    const KEY: &str = "5e9c1f7a-0000-4000-8000-00000000000b";

    const INSTANCES: &str = r#"{"servers":[
        {"id":"i-1","name":"shop","commercial_type":"DEV1-S","boot_type":"local","organization":"org","project":"pro","hostname":"shop",
         "image":{"id":"im","name":"Debian","arch":"x86_64"},"tags":["a","b"],"state":"running","public_ip":null,"public_ips":[],
         "ipv6":{"address":"2001:db8::1"},"private_ip":"10.7.0.1","security_group":{"id":"sg","name":"Default"},
         "location":{"cluster_id":"4","hypervisor_id":"2","node_id":"5"},"private_nics":[],"zone":"fr-par-1"},
        {"id":"i-2","name":"dual","tags":[],"state":"running","private_ip":null,"ipv6":null,"image":null,"location":null,
         "public_ip":{"address":"198.51.100.71","family":"inet"},"zone":"nl-ams-1",
         "public_ips":[{"address":"198.51.100.71","family":"inet"},{"address":"2001:db8::71","family":"inet6"},
                       {"address":"198.51.100.72","family":"inet"}]},
        {"id":"i-3","name":"inner","private_ip":null,"public_ip":null,"public_ips":[],"private_nics":[{"id":"nic-0"},{"id":"nic-1"}],
         "zone":"fr-par-2"},
        {"id":"i-4","name":"six","private_ip":null,"public_ip":{"address":"2001:db8::74","family":"inet6"},"zone":"fr-par-1"},
        {"id":"i-5","name":"off","private_ip":null,"public_ip":null,"zone":"fr-par-1"}]}"#;

    fn discovery(fields: &str, server: &Recorded) -> Scaleway {
        let text = format!("scaleway_sd_configs: [{{{IDS}, api_url: '{}', {fields}}}]", server.url);
        let config::SdConfig::Scaleway(config) = sd(&text) else { panic!() };
        Scaleway::new(&config, &context())
    }

    #[tokio::test]
    async fn instances_become_targets() {
        let ips = r#"{"ips":[{"address":"fd00::7/64","is_ipv6":true,"resource":{"id":"nic-1"}},
            {"address":"10.0.0.7/32","is_ipv6":false,"resource":{"id":"nic-1"}}],"total_count":2}"#;
        let server = Recorded::start(&[
            ("GET /instance/v1/zones/fr-par-1/servers?name=s&tags=a%2Cb&per_page=50&page=1", INSTANCES),
            (
                "GET /ipam/v1/regions/fr-par/ips?resource_ids=nic-0&resource_ids=nic-1&resource_types=instance_private_nic&page_size=50&page=1",
                ips,
            ),
        ]);
        let mut scaleway =
            discovery(&format!("role: instance, secret_key: {KEY}, name_filter: s, tags_filter: [a, b]"), &server);
        let groups = scaleway.list().await.unwrap();
        assert_eq!(groups[0].source, "scaleway");
        assert_eq!(
            shown(&groups[0]),
            [
                r#"{__address__="10.0.0.7:80", __meta_scaleway_instance_id="i-3", __meta_scaleway_instance_name="inner", __meta_scaleway_instance_private_ipv4="10.0.0.7", __meta_scaleway_instance_region="fr-par", __meta_scaleway_instance_zone="fr-par-2"}"#,
                r#"{__address__="10.7.0.1:80", __meta_scaleway_instance_boot_type="local", __meta_scaleway_instance_hostname="shop", __meta_scaleway_instance_id="i-1", __meta_scaleway_instance_image_arch="x86_64", __meta_scaleway_instance_image_id="im", __meta_scaleway_instance_image_name="Debian", __meta_scaleway_instance_location_cluster_id="4", __meta_scaleway_instance_location_hypervisor_id="2", __meta_scaleway_instance_location_node_id="5", __meta_scaleway_instance_name="shop", __meta_scaleway_instance_organization_id="org", __meta_scaleway_instance_private_ipv4="10.7.0.1", __meta_scaleway_instance_project_id="pro", __meta_scaleway_instance_public_ipv6="2001:db8::1", __meta_scaleway_instance_region="fr-par", __meta_scaleway_instance_security_group_id="sg", __meta_scaleway_instance_security_group_name="Default", __meta_scaleway_instance_status="running", __meta_scaleway_instance_tags=",a,b,", __meta_scaleway_instance_type="DEV1-S", __meta_scaleway_instance_zone="fr-par-1"}"#,
                r#"{__address__="198.51.100.71:80", __meta_scaleway_instance_id="i-2", __meta_scaleway_instance_name="dual", __meta_scaleway_instance_public_ipv4="198.51.100.71", __meta_scaleway_instance_public_ipv4_addresses=",198.51.100.71,198.51.100.72,", __meta_scaleway_instance_public_ipv6_addresses=",2001:db8::71,", __meta_scaleway_instance_region="nl-ams", __meta_scaleway_instance_status="running", __meta_scaleway_instance_zone="nl-ams-1"}"#,
                r#"{__address__="[2001:db8::74]:80", __meta_scaleway_instance_id="i-4", __meta_scaleway_instance_name="six", __meta_scaleway_instance_region="fr-par", __meta_scaleway_instance_zone="fr-par-1"}"#,
            ]
        );
        assert!(
            server.asked().iter().all(|asked| asked.head.to_lowercase().contains(&format!("x-auth-token: {KEY}\r\n")))
        );
    }

    #[tokio::test]
    async fn dedicated_servers_become_targets() {
        let servers = r#"{"servers":[
            {"id":"b-1","name":"big","zone":"fr-par-2","status":"ready","project_id":"pro","offer_id":"of-1","install":{"os_id":"os-1"},
             "tags":["db"],"ips":[{"address":"2001:db8::b1","version":"IPv6"},{"address":"203.0.113.81","version":"IPv4"},
                                  {"address":"203.0.113.82","version":"IPv4"}]},
            {"id":"b-2","name":"six","zone":"fr-par-2","status":"stopped","project_id":"pro","offer_id":"of-9","install":null,"tags":[],
             "ips":[{"address":"2001:db8::b2","version":"IPv6"}]}]}"#;
        let zone = "GET /baremetal/v1/zones/fr-par-2";
        let server = Recorded::start(&[
            (&format!("{zone}/servers?tags=a&tags=b&page_size=50&page=1"), servers),
            (&format!("{zone}/offers?page_size=50&page=1"), r#"{"offers":[{"id":"of-1","name":"EM-A1"}]}"#),
            (&format!("{zone}/os?page_size=50&page=1"), r#"{"os":[{"id":"os-1","name":"Debian","version":"12"}]}"#),
        ]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, format!("{KEY}\n")).unwrap();
        let mut scaleway = discovery(
            &format!("role: baremetal, zone: fr-par-2, tags_filter: [a, b], secret_key_file: '{}'", file.display()),
            &server,
        );
        assert_eq!(
            shown(&scaleway.list().await.unwrap()[0]),
            [
                r#"{__address__="203.0.113.81:80", __meta_scaleway_baremetal_id="b-1", __meta_scaleway_baremetal_name="big", __meta_scaleway_baremetal_os_name="Debian", __meta_scaleway_baremetal_os_version="12", __meta_scaleway_baremetal_project_id="pro", __meta_scaleway_baremetal_public_ipv4="203.0.113.81", __meta_scaleway_baremetal_public_ipv6="2001:db8::b1", __meta_scaleway_baremetal_status="ready", __meta_scaleway_baremetal_tags=",db,", __meta_scaleway_baremetal_type="EM-A1", __meta_scaleway_baremetal_zone="fr-par-2"}"#,
                r#"{__address__="[2001:db8::b2]:80", __meta_scaleway_baremetal_id="b-2", __meta_scaleway_baremetal_name="six", __meta_scaleway_baremetal_project_id="pro", __meta_scaleway_baremetal_public_ipv6="2001:db8::b2", __meta_scaleway_baremetal_status="stopped", __meta_scaleway_baremetal_zone="fr-par-2"}"#,
            ]
        );
        std::fs::remove_file(file).unwrap();
        let error = scaleway.list().await.unwrap_err();
        assert!(error.starts_with("unable to read auth token file"), "{error}");
    }
}
