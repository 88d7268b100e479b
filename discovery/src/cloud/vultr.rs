//! `vultr_sd_configs`: instances of Vultr (upstream: `discovery/vultr`).

use config::VultrSdConfig;
use http::header::HeaderMap;
use model::TargetLabels;
use serde_json::Value;
use url::Url;

use crate::api::{Api, url_of, with_parameter};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::refresh::{List, Listed, refresh_interval, refreshed};

pub(crate) fn new(config: &VultrSdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(Vultr::new(config, context), config.refresh_interval_ms, context)
}

struct Vultr {
    api: Api,
    endpoint: String,
    port: i64,
}

impl Vultr {
    fn new(config: &VultrSdConfig, context: &Context) -> Self {
        let api = Api::new(&config.http, refresh_interval(config.refresh_interval_ms), context);
        Self { api, endpoint: "https://api.vultr.com".to_owned(), port: config.port }
    }

    fn target(&self, instance: &Value) -> TargetLabels {
        let mut meta = Meta::new("__meta_vultr_instance_");
        meta.texts(
            instance,
            &[
                ("id", "/id"),
                ("label", "/label"),
                ("os", "/os"),
                ("region", "/region"),
                ("plan", "/plan"),
                ("main_ip", "/main_ip"),
                ("main_ipv6", "/v6_main_ip"),
                ("internal_ip", "/internal_ip"),
                ("hostname", "/hostname"),
                ("server_status", "/server_status"),
            ],
        );
        meta.numbers(
            instance,
            &[
                ("os_id", "/os_id"),
                ("vcpu_count", "/vcpu_count"),
                ("ram_mb", "/ram"),
                ("allowed_bandwidth_gb", "/allowed_bandwidth"),
                ("disk_gb", "/disk"),
            ],
        );
        meta.list("features", ",", &instance.strs("/features"));
        meta.list("tags", ",", &instance.strs("/tags"));
        meta.address(instance.str("/main_ip"), self.port);
        meta.target()
    }
}

impl List for Vultr {
    const MECHANISM: &'static str = "vultr";

    async fn list(&mut self) -> Listed {
        let next = |here: &Url, page: &Value| {
            let cursor = page.str("/meta/links/next");
            (!cursor.is_empty()).then(|| with_parameter(here, "cursor", cursor))
        };
        let first = url_of(&self.endpoint, "/v2/instances", &[("per_page", "100")])?;
        let pages = self.api.pages(first, &HeaderMap::new(), next).await?;
        let instances = pages.iter().flat_map(|page| page.items("/instances"));
        Ok(vec![group("Vultr", instances.map(|instance| self.target(instance)).collect())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context, sd, shown};

    #[tokio::test]
    async fn instances_become_targets() {
        let pages = [
            r#"{"instances":[{"id":"i-1","os":"Debian","ram":2048,"disk":55,"main_ip":"198.51.100.20","vcpu_count":1,"region":"fra",
                "plan":"vc2-1c-2gb","allowed_bandwidth":2000,"server_status":"ok","v6_main_ip":"2001:db8::20","label":"shop",
                "internal_ip":"10.6.0.2","hostname":"shop-1","os_id":2136,"features":["backups","ipv6"],"tags":["a","b"]}],
                "meta":{"links":{"next":"bmV4dA==","prev":""}}}"#,
            r#"{"instances":[{"id":"i-2","main_ip":"198.51.100.21","features":[],"tags":[]}],"meta":{"links":{"next":""}}}"#,
        ];
        let server = Recorded::start(&[
            ("GET /v2/instances?per_page=100", pages[0]),
            ("GET /v2/instances?per_page=100&cursor=bmV4dA%3D%3D", pages[1]),
        ]);
        let config::SdConfig::Vultr(config) = sd("vultr_sd_configs: [{}]") else { panic!() };
        let mut vultr = Vultr { endpoint: server.url.clone(), ..Vultr::new(&config, &context()) };
        let groups = vultr.list().await.unwrap();
        assert_eq!(groups[0].source, "Vultr");
        assert_eq!(
            shown(&groups[0]),
            [
                r#"{__address__="198.51.100.20:80", __meta_vultr_instance_allowed_bandwidth_gb="2000", __meta_vultr_instance_disk_gb="55", __meta_vultr_instance_features=",backups,ipv6,", __meta_vultr_instance_hostname="shop-1", __meta_vultr_instance_id="i-1", __meta_vultr_instance_internal_ip="10.6.0.2", __meta_vultr_instance_label="shop", __meta_vultr_instance_main_ip="198.51.100.20", __meta_vultr_instance_main_ipv6="2001:db8::20", __meta_vultr_instance_os="Debian", __meta_vultr_instance_os_id="2136", __meta_vultr_instance_plan="vc2-1c-2gb", __meta_vultr_instance_ram_mb="2048", __meta_vultr_instance_region="fra", __meta_vultr_instance_server_status="ok", __meta_vultr_instance_tags=",a,b,", __meta_vultr_instance_vcpu_count="1"}"#,
                r#"{__address__="198.51.100.21:80", __meta_vultr_instance_allowed_bandwidth_gb="0", __meta_vultr_instance_disk_gb="0", __meta_vultr_instance_id="i-2", __meta_vultr_instance_main_ip="198.51.100.21", __meta_vultr_instance_os_id="0", __meta_vultr_instance_ram_mb="0", __meta_vultr_instance_vcpu_count="0"}"#,
            ]
        );
    }
}
