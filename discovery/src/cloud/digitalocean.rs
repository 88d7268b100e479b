//! `digitalocean_sd_configs`: droplets or database clusters of DigitalOcean (upstream: `discovery/digitalocean`).

use config::{DigitalOceanRole, DigitalOceanSdConfig};
use http::header::HeaderMap;
use model::TargetLabels;
use serde_json::Value;
use url::Url;

use crate::api::{Api, url_of, with_parameter};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::refresh::{List, Listed, refresh_interval, refreshed};

const PREFIX: &str = "__meta_digitalocean_";

pub(crate) fn new(config: &DigitalOceanSdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(DigitalOcean::new(config, context), config.refresh_interval_ms, context)
}

struct DigitalOcean {
    api: Api,
    endpoint: String,
    role: DigitalOceanRole,
    port: i64,
}

impl DigitalOcean {
    fn new(config: &DigitalOceanSdConfig, context: &Context) -> Self {
        let api = Api::new(&config.http, refresh_interval(config.refresh_interval_ms), context);
        Self { api, endpoint: "https://api.digitalocean.com".to_owned(), role: config.role, port: config.port }
    }

    /// What a path lists, page by page.
    async fn objects(&self, path: &str, field: &str, has_next: fn(&Value) -> bool) -> Result<Vec<Value>, String> {
        let first = url_of(&self.endpoint, path, &[("per_page", "200"), ("page", "1")])?;
        let next = |here: &Url, page: &Value| {
            let number: u64 = here.query_pairs().find(|(name, _)| name == "page")?.1.parse().ok()?;
            has_next(page).then(|| with_parameter(here, "page", &(number + 1).to_string()))
        };
        let pages = self.api.pages(first, &HeaderMap::new(), next).await?;
        Ok(pages.iter().flat_map(|page| page.items(field)).cloned().collect())
    }

    fn droplet(&self, droplet: &Value) -> Option<TargetLabels> {
        if droplet.items("/networks/v4").is_empty() {
            return None;
        }
        let mut meta = Meta::new(PREFIX);
        meta.texts(
            droplet,
            &[
                ("droplet_id", "/id"),
                ("droplet_name", "/name"),
                ("image", "/image/slug"),
                ("image_name", "/image/name"),
                ("region", "/region/slug"),
                ("size", "/size_slug"),
                ("status", "/status"),
                ("vpc", "/vpc_uuid"),
            ],
        );
        let address = |family: &str, kind: &str| {
            let found = droplet.items(family).iter().find(|one| one.str("/type") == kind);
            found.map(|one| one.str("/ip_address")).unwrap_or_default()
        };
        let public = address("/networks/v4", "public");
        meta.set("public_ipv4", public);
        meta.set("private_ipv4", address("/networks/v4", "private"));
        meta.set("public_ipv6", address("/networks/v6", "public"));
        meta.address(public, self.port);
        meta.list("features", ",", &droplet.strs("/features"));
        meta.list("tags", ",", &droplet.strs("/tags"));
        Some(meta.target())
    }

    fn database(&self, cluster: &Value) -> TargetLabels {
        let mut meta = Meta::new(PREFIX);
        meta.texts(
            cluster,
            &[
                ("db_id", "/id"),
                ("db_name", "/name"),
                ("db_engine", "/engine"),
                ("db_version", "/version"),
                ("db_status", "/status"),
                ("db_region", "/region"),
                ("db_size", "/size"),
                ("db_host", "/connection/host"),
                ("db_private_host", "/private_connection/host"),
            ],
        );
        meta.numbers(cluster, &[("db_num_nodes", "/num_nodes")]);
        let hosts = [cluster.str("/private_connection/host"), cluster.str("/connection/host")];
        if let Some(host) = hosts.into_iter().find(|host| !host.is_empty()) {
            meta.address(host, self.port);
        }
        for tag in cluster.strs("/tags") {
            // As upstream has it, with whatever characters the tag has.
            meta.set(&format!("db_tag_{tag}"), "true");
        }
        meta.target()
    }
}

impl List for DigitalOcean {
    const MECHANISM: &'static str = "digitalocean";

    async fn list(&mut self) -> Listed {
        match self.role {
            DigitalOceanRole::Droplets => {
                let has_next = |page: &Value| !page.str("/links/pages/next").is_empty();
                let droplets = self.objects("/v2/droplets", "/droplets", has_next).await?;
                Ok(vec![group("DigitalOcean", droplets.iter().filter_map(|one| self.droplet(one)).collect())])
            }
            DigitalOceanRole::Databases => {
                // Its last page does not say that it is the last.
                let has_next = |page: &Value| !page.items("/databases").is_empty();
                let clusters = self.objects("/v2/databases", "/databases", has_next).await?;
                Ok(vec![group("DigitalOcean Databases", clusters.iter().map(|one| self.database(one)).collect())])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context, sd, shown};

    const DROPLETS: [&str; 2] = [
        r#"{"droplets":[
            {"id":71,"name":"web-1","status":"active","features":["ipv6","virtio"],"image":{"name":"12 x64","slug":"debian-12"},
             "size_slug":"s-1vcpu-1gb","region":{"slug":"fra1"},"tags":["web","eu"],"vpc_uuid":"v-1",
             "networks":{"v4":[{"ip_address":"10.9.0.2","type":"private"},{"ip_address":"198.51.100.2","type":"public"}],
                         "v6":[{"ip_address":"2001:db8::2","type":"public"}]}},
            {"id":72,"name":"unplugged","networks":{"v4":[],"v6":[]}}],
            "links":{"pages":{"next":"https://api.test/v2/droplets?page=2"}}}"#,
        r#"{"droplets":[{"id":73,"name":"web-2","status":"off","features":[],"image":{},"region":{},"tags":[],
            "networks":{"v4":[{"ip_address":"198.51.100.3","type":"public"}]}}],"links":{}}"#,
    ];

    async fn listed(role: &str, answers: &[(&str, &str)]) -> Vec<model::TargetGroup> {
        let server = Recorded::start(answers);
        let text = format!("digitalocean_sd_configs: [{{role: {role}, port: 9100}}]");
        let config::SdConfig::DigitalOcean(config) = sd(&text) else { panic!() };
        let mut discovery = DigitalOcean::new(&config, &context());
        discovery.endpoint.clone_from(&server.url);
        discovery.list().await.unwrap()
    }

    #[tokio::test]
    async fn droplets_become_targets() {
        let groups = listed(
            "droplets",
            &[
                ("GET /v2/droplets?per_page=200&page=1", DROPLETS[0]),
                ("GET /v2/droplets?per_page=200&page=2", DROPLETS[1]),
            ],
        )
        .await;
        assert_eq!(groups[0].source, "DigitalOcean");
        assert_eq!(
            shown(&groups[0]),
            [
                r#"{__address__="198.51.100.2:9100", __meta_digitalocean_droplet_id="71", __meta_digitalocean_droplet_name="web-1", __meta_digitalocean_features=",ipv6,virtio,", __meta_digitalocean_image="debian-12", __meta_digitalocean_image_name="12 x64", __meta_digitalocean_private_ipv4="10.9.0.2", __meta_digitalocean_public_ipv4="198.51.100.2", __meta_digitalocean_public_ipv6="2001:db8::2", __meta_digitalocean_region="fra1", __meta_digitalocean_size="s-1vcpu-1gb", __meta_digitalocean_status="active", __meta_digitalocean_tags=",web,eu,", __meta_digitalocean_vpc="v-1"}"#,
                r#"{__address__="198.51.100.3:9100", __meta_digitalocean_droplet_id="73", __meta_digitalocean_droplet_name="web-2", __meta_digitalocean_public_ipv4="198.51.100.3", __meta_digitalocean_status="off"}"#,
            ]
        );
    }

    #[tokio::test]
    async fn databases_become_targets() {
        let databases = r#"{"databases":[
            {"id":"d-1","name":"orders","engine":"pg","version":"16","status":"online","region":"fra1","size":"db-s-1","num_nodes":2,
             "connection":{"host":"orders.test"},"private_connection":{"host":"private-orders.test"},"tags":["prod"]},
            {"id":"d-2","name":"cache","engine":"valkey","connection":{"host":"cache.test"},"tags":null},
            {"id":"d-3","name":"new"}]}"#;
        let groups = listed(
            "databases",
            &[
                ("GET /v2/databases?per_page=200&page=1", databases),
                ("GET /v2/databases?per_page=200&page=2", r#"{"databases":[]}"#),
            ],
        )
        .await;
        assert_eq!(groups[0].source, "DigitalOcean Databases");
        assert_eq!(
            shown(&groups[0]),
            [
                r#"{__address__="cache.test:9100", __meta_digitalocean_db_engine="valkey", __meta_digitalocean_db_host="cache.test", __meta_digitalocean_db_id="d-2", __meta_digitalocean_db_name="cache", __meta_digitalocean_db_num_nodes="0"}"#,
                r#"{__address__="private-orders.test:9100", __meta_digitalocean_db_engine="pg", __meta_digitalocean_db_host="orders.test", __meta_digitalocean_db_id="d-1", __meta_digitalocean_db_name="orders", __meta_digitalocean_db_num_nodes="2", __meta_digitalocean_db_private_host="private-orders.test", __meta_digitalocean_db_region="fra1", __meta_digitalocean_db_size="db-s-1", __meta_digitalocean_db_status="online", __meta_digitalocean_db_tag_prod="true", __meta_digitalocean_db_version="16"}"#,
                r#"{__meta_digitalocean_db_id="d-3", __meta_digitalocean_db_name="new", __meta_digitalocean_db_num_nodes="0"}"#,
            ]
        );
    }
}
