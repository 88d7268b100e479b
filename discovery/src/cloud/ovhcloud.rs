//! `ovhcloud_sd_configs`: virtual or dedicated servers of OVHcloud, by signed requests (upstream: `discovery/ovhcloud`).

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use config::{HttpClientConfig, OvhcloudSdConfig, Secret};
use http::header::HeaderMap;
use model::{TargetLabels, Timestamp};
use serde_json::Value;
use url::Url;

use crate::api::{Api, headers, url_of};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::refresh::{List, Listed, refresh_interval, refreshed};

/// The APIs by name.
const ENDPOINTS: [(&str, &str); 7] = [
    ("ovh-eu", "https://eu.api.ovh.com/1.0"),
    ("ovh-ca", "https://ca.api.ovh.com/1.0"),
    ("ovh-us", "https://api.us.ovhcloud.com/1.0"),
    ("kimsufi-eu", "https://eu.api.kimsufi.com/1.0"),
    ("kimsufi-ca", "https://ca.api.kimsufi.com/1.0"),
    ("soyoustart-eu", "https://eu.api.soyoustart.com/1.0"),
    ("soyoustart-ca", "https://ca.api.soyoustart.com/1.0"),
];

pub(crate) fn new(config: &OvhcloudSdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(Ovhcloud::new(config, context), config.refresh_interval_ms, context)
}

struct Ovhcloud {
    config: OvhcloudSdConfig,
    api: Api,
    endpoint: String,
}

/// How far the clock of the API is ahead, in seconds.
#[derive(Clone, Copy)]
struct Ahead(i64);

impl Ovhcloud {
    fn new(config: &OvhcloudSdConfig, context: &Context) -> Self {
        let named = ENDPOINTS.iter().find(|(name, _)| *name == config.endpoint).map(|(_, url)| *url);
        Self {
            config: config.clone(),
            api: Api::new(&HttpClientConfig::default(), refresh_interval(config.refresh_interval_ms), context),
            endpoint: named.unwrap_or(&config.endpoint).to_owned(),
        }
    }

    /// Signatures hold for a short time by the clock of the API.
    async fn ahead(&self) -> Result<Ahead, String> {
        let now = self.api.json(&url_of(&self.endpoint, "/auth/time", &[])?, &HeaderMap::new()).await?;
        Ok(Ahead(now.as_i64().map_or(0, |now| now - Timestamp::now().0 / 1000)))
    }

    async fn get(&self, path: &str, Ahead(ahead): Ahead) -> Result<Value, String> {
        let url = url_of(&self.endpoint, path, &[])?;
        let now = Timestamp::now().0 / 1000 + ahead;
        self.api.json(&url, &self.signed(&url, now)?).await
    }

    fn signed(&self, url: &Url, now: i64) -> Result<HeaderMap, String> {
        let of = |secret: &Option<Secret>| secret.as_ref().map(Secret::expose).unwrap_or_default().to_owned();
        let (secret, consumer) = (of(&self.config.application_secret), of(&self.config.consumer_key));
        let text = format!("{secret}+{consumer}+GET+{url}++{now}");
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        headers([
            ("x-ovh-application", self.config.application_key.as_str()),
            ("x-ovh-consumer", &consumer),
            ("x-ovh-timestamp", &now.to_string()),
            ("x-ovh-signature", &format!("$1${hash}")),
        ])
    }

    /// A server and its addresses.
    async fn server(&self, root: &str, name: &str, ahead: Ahead) -> Result<(Value, Vec<IpAddr>), String> {
        let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        let server = self.get(&format!("{root}/{name}"), ahead).await?;
        let addresses = addresses(&self.get(&format!("{root}/{name}/ips"), ahead).await?.strs(""))?;
        Ok((server, addresses))
    }

    fn target(&self, server: &Value, addresses: &[IpAddr]) -> TargetLabels {
        let mut meta = match self.config.service.as_str() {
            "vps" => vps(server),
            _ => dedicated_server(server),
        };
        let last = |is: fn(&IpAddr) -> bool| addresses.iter().rfind(|address| is(address)).map(IpAddr::to_string);
        let (ipv4, ipv6) = (last(IpAddr::is_ipv4), last(IpAddr::is_ipv6));
        meta.plain(model::labels::ADDRESS, ipv4.clone().or_else(|| ipv6.clone()).unwrap_or_default());
        meta.plain("instance", server.str("/name"));
        meta.set("ipv4", ipv4.unwrap_or_default());
        meta.set("ipv6", ipv6.unwrap_or_default());
        meta.target()
    }
}

fn vps(server: &Value) -> Meta {
    let mut meta = Meta::new("__meta_ovhcloud_vps_");
    meta.texts(
        server,
        &[
            ("offer", "/model/offer"),
            ("version", "/model/version"),
            ("model_name", "/model/name"),
            ("zone", "/zone"),
            ("display_name", "/displayName"),
            ("cluster", "/cluster"),
            ("state", "/state"),
            ("name", "/name"),
            ("netboot_mode", "/netbootMode"),
            ("offer_type", "/offerType"),
        ],
    );
    meta.numbers(
        server,
        &[
            ("model_vcore", "/model/vcore"),
            // The API spells it so.
            ("maximum_additional_ip", "/model/maximumAdditionnalIp"),
            ("disk", "/model/disk"),
            ("memory", "/model/memory"),
            ("memory_limit", "/memoryLimit"),
            ("vcore", "/vcore"),
        ],
    );
    // As Go prints a list.
    meta.set("datacenter", format!("[{}]", server.strs("/model/datacenter").join(" ")));
    meta
}

fn dedicated_server(server: &Value) -> Meta {
    let mut meta = Meta::new("__meta_ovhcloud_dedicated_server_");
    meta.texts(
        server,
        &[
            ("state", "/state"),
            ("commercial_range", "/commercialRange"),
            ("rack", "/rack"),
            ("os", "/os"),
            ("support_level", "/supportLevel"),
            ("reverse", "/reverse"),
            ("datacenter", "/datacenter"),
            ("name", "/name"),
        ],
    );
    meta.numbers(server, &[("link_speed", "/linkSpeed"), ("server_id", "/serverId")]);
    meta.flags(server, &[("no_intervention", "/noIntervention")]);
    meta
}

/// Addresses, and networks of 32 bits; longer and shorter ones are left out.
fn addresses(texts: &[&str]) -> Result<Vec<IpAddr>, String> {
    let failed = || "could not parse IP addresses from list".to_owned();
    let mut found = Vec::new();
    for text in texts {
        let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
        let address: IpAddr = address.parse().map_err(|_| failed())?;
        if bits == "32" && !address.is_unspecified() {
            found.push(address);
        }
    }
    if found.is_empty() { Err(failed()) } else { Ok(found) }
}

impl List for Ovhcloud {
    const MECHANISM: &'static str = "ovhcloud";

    async fn list(&mut self) -> Listed {
        let ahead = self.ahead().await?;
        let root = if self.config.service == "vps" { "/vps" } else { "/dedicated/server" };
        let source = format!("ovhcloud_{}", self.config.service);
        let mut targets = Vec::new();
        let names = self.get(root, ahead).await?;
        names.expect_list()?;
        for name in names.strs("") {
            match self.server(root, name, ahead).await {
                Ok((server, addresses)) => targets.push(self.target(&server, &addresses)),
                // One that is about to be set up has no addresses.
                Err(error) => {
                    tracing::warn!(mechanism = "ovhcloud", server = name, %error, "cannot get details of a server")
                }
            }
        }
        Ok(vec![group(source, targets)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context, sd, shown};

    fn discovery(service: &str, server: &str) -> Ovhcloud {
        let text = format!(
            "ovhcloud_sd_configs: [{{service: {service}, endpoint: '{server}', application_key: ak, application_secret: as, consumer_key: ck}}]"
        );
        let config::SdConfig::Ovhcloud(config) = sd(&text) else { panic!() };
        Ovhcloud::new(&config, &context())
    }

    #[tokio::test]
    async fn virtual_servers_become_targets() {
        let server = Recorded::start(&[
            ("GET /auth/time", "2000000000"),
            ("GET /vps", r#"["vps-1.test","new"]"#),
            (
                "GET /vps/vps-1.test",
                r#"{"offerType":"ssd","displayName":"shop","zone":"z","cluster":"cl","name":"vps-1.test","vcore":2,"state":"running",
                    "netbootMode":"local","memoryLimit":2048,"model":{"name":"m-1","maximumAdditionnalIp":16,"offer":"VPS 1","disk":40,
                    "version":"v1","vcore":1,"memory":1024,"datacenter":["gra","rbx"]}}"#,
            ),
            ("GET /vps/vps-1.test/ips", r#"["203.0.113.1/32","2001:db8::1/64","2001:db8::2"]"#),
            ("GET /vps/new", "{}"),
            ("GET /vps/new/ips", "[]"),
        ]);
        let groups = discovery("vps", &server.url).list().await.unwrap();
        assert_eq!(groups[0].source, "ovhcloud_vps");
        assert_eq!(
            shown(&groups[0]),
            [
                r#"{__address__="203.0.113.1", __meta_ovhcloud_vps_cluster="cl", __meta_ovhcloud_vps_datacenter="[gra rbx]", __meta_ovhcloud_vps_disk="40", __meta_ovhcloud_vps_display_name="shop", __meta_ovhcloud_vps_ipv4="203.0.113.1", __meta_ovhcloud_vps_ipv6="2001:db8::2", __meta_ovhcloud_vps_maximum_additional_ip="16", __meta_ovhcloud_vps_memory="1024", __meta_ovhcloud_vps_memory_limit="2048", __meta_ovhcloud_vps_model_name="m-1", __meta_ovhcloud_vps_model_vcore="1", __meta_ovhcloud_vps_name="vps-1.test", __meta_ovhcloud_vps_netboot_mode="local", __meta_ovhcloud_vps_offer="VPS 1", __meta_ovhcloud_vps_offer_type="ssd", __meta_ovhcloud_vps_state="running", __meta_ovhcloud_vps_vcore="2", __meta_ovhcloud_vps_version="v1", __meta_ovhcloud_vps_zone="z", instance="vps-1.test"}"#
            ]
        );
        for asked in &server.asked()[1..] {
            let head = asked.head.to_lowercase();
            // By the clock of the API.
            for header in [
                "x-ovh-application: ak\r\n",
                "x-ovh-consumer: ck\r\n",
                "x-ovh-timestamp: 20000000",
                "x-ovh-signature: $1$",
            ] {
                assert!(head.contains(header), "{header}: {head}");
            }
        }
    }

    #[tokio::test]
    async fn dedicated_servers_become_targets() {
        let server = Recorded::start(&[
            ("GET /auth/time", "2000000000"),
            ("GET /dedicated/server", r#"["ns1.test"]"#),
            (
                "GET /dedicated/server/ns1.test",
                r#"{"commercialRange":"Advance","rack":"r1","supportLevel":"pro","linkSpeed":1000,"noIntervention":true,"name":"ns1.test",
                    "state":"ok","datacenter":"gra3","os":"debian","reverse":"rev.test","serverId":77}"#,
            ),
            ("GET /dedicated/server/ns1.test/ips", r#"["2001:db8::3"]"#),
        ]);
        let groups = discovery("dedicated_server", &server.url).list().await.unwrap();
        assert_eq!(groups[0].source, "ovhcloud_dedicated_server");
        assert_eq!(
            shown(&groups[0]),
            [
                r#"{__address__="2001:db8::3", __meta_ovhcloud_dedicated_server_commercial_range="Advance", __meta_ovhcloud_dedicated_server_datacenter="gra3", __meta_ovhcloud_dedicated_server_ipv6="2001:db8::3", __meta_ovhcloud_dedicated_server_link_speed="1000", __meta_ovhcloud_dedicated_server_name="ns1.test", __meta_ovhcloud_dedicated_server_no_intervention="true", __meta_ovhcloud_dedicated_server_os="debian", __meta_ovhcloud_dedicated_server_rack="r1", __meta_ovhcloud_dedicated_server_reverse="rev.test", __meta_ovhcloud_dedicated_server_server_id="77", __meta_ovhcloud_dedicated_server_state="ok", __meta_ovhcloud_dedicated_server_support_level="pro", instance="ns1.test"}"#
            ]
        );
    }

    #[test]
    fn requests_are_signed() {
        let discovery = discovery("vps", "ovh-eu");
        let url = url_of(&discovery.endpoint, "/vps", &[]).unwrap();
        assert_eq!(url.as_str(), "https://eu.api.ovh.com/1.0/vps");
        // printf 'as+ck+GET+https://eu.api.ovh.com/1.0/vps++1457018875' | sha1sum
        let signature = "$1$b90e194fd761b8cc9b78ec985c031e3a71b29bb6";
        assert_eq!(discovery.signed(&url, 1_457_018_875).unwrap()["x-ovh-signature"], signature);
    }

    #[test]
    fn networks_are_no_addresses() {
        let found = addresses(&["198.51.100.0/24", "198.51.100.1/32", "0.0.0.0", "2001:db8::/64"]).unwrap();
        assert_eq!(found, ["198.51.100.1".parse::<IpAddr>().unwrap()]);
        assert!(addresses(&["x"]).is_err() && addresses(&["2001:db8::1/128"]).is_err());
    }
}
