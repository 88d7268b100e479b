//! `gce_sd_configs`: instances of Google Compute Engine (upstream: `discovery/gce`).

use config::GceSdConfig;
use http::header::HeaderMap;
use model::TargetLabels;
use serde_json::Value;
use url::Url;

use super::google::Credentials;
use crate::api::{Api, url_of, with_parameter};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::refresh::{List, Listed, refresh_interval, refreshed};

/// The right that a token must have.
const SCOPE: &str = "https://www.googleapis.com/auth/compute.readonly";

pub(crate) fn new(config: &GceSdConfig, context: &Context) -> Box<dyn Discoverer> {
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    refreshed(Gce::new(config, &env, context), config.refresh_interval_ms, context)
}

struct Gce {
    config: GceSdConfig,
    /// Or why there are no credentials.
    client: Result<(Credentials, Api), String>,
    endpoint: String,
}

impl Gce {
    fn new(config: &GceSdConfig, env: &dyn Fn(&str) -> Option<String>, context: &Context) -> Self {
        let timeout = refresh_interval(config.refresh_interval_ms);
        let client = Credentials::find(env, SCOPE, (timeout, context));
        let client = client.map(|(credentials, http)| (credentials, Api::new(&http, timeout, context)));
        Self { config: config.clone(), client, endpoint: "https://compute.googleapis.com".to_owned() }
    }

    async fn pages(&mut self) -> Result<Vec<Value>, String> {
        let GceSdConfig { project, zone, filter, .. } = &self.config;
        let filter = (!filter.is_empty()).then_some(("filter", filter.as_str()));
        let path = format!("/compute/v1/projects/{project}/zones/{zone}/instances");
        let first = url_of(&self.endpoint, &path, filter.as_slice())?;
        let (credentials, api) = self.client.as_mut().map_err(|error| error.clone())?;
        let next = |here: &Url, page: &Value| {
            let token = page.str("/nextPageToken");
            (!token.is_empty()).then(|| with_parameter(here, "pageToken", token))
        };
        let headers: HeaderMap = credentials.headers().await?;
        api.pages(first, &headers, next).await
    }

    /// An instance without network is no target.
    fn target(&self, instance: &Value) -> Option<TargetLabels> {
        let interfaces = instance.items("/networkInterfaces");
        let primary = interfaces.first()?;
        let mut meta = Meta::new("__meta_gce_");
        meta.set("project", &self.config.project);
        meta.texts(
            instance,
            &[
                ("zone", "/zone"),
                ("instance_id", "/id"),
                ("instance_name", "/name"),
                ("instance_status", "/status"),
                ("machine_type", "/machineType"),
            ],
        );
        meta.texts(primary, &[("network", "/network"), ("subnetwork", "/subnetwork"), ("private_ip", "/networkIP")]);
        if primary.str("/accessConfigs/0/type") == "ONE_TO_ONE_NAT" {
            meta.texts(primary, &[("public_ip", "/accessConfigs/0/natIP")]);
        }
        // Without brackets around an IPv6 address, as upstream has it.
        meta.plain(model::labels::ADDRESS, format!("{}:{}", primary.str("/networkIP"), self.config.port));
        for interface in interfaces {
            meta.keyed("interface_ipv4_", interface.str("/name"), interface.str("/networkIP"));
        }
        meta.list("tags", &self.config.tag_separator, &instance.strs("/tags/items"));
        for item in instance.items("/metadata/items") {
            meta.keyed("metadata_", item.str("/key"), item.str("/value"));
        }
        meta.members("label_", instance.at("/labels"));
        Some(meta.target())
    }
}

impl List for Gce {
    const MECHANISM: &'static str = "gce";

    async fn list(&mut self) -> Listed {
        let pages =
            self.pages().await.map_err(|error| format!("error retrieving refresh targets from gce: {error}"))?;
        let instances = pages.iter().flat_map(|page| page.items("/items"));
        let targets = instances.filter_map(|instance| self.target(instance)).collect();
        Ok(vec![group(format!("GCE_{}_{}", self.config.project, self.config.zone), targets)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context, sd, shown};

    const INSTANCES: [&str; 2] = [
        r#"{"items":[{"id":"4711","name":"shop-1","zone":"https://g.test/zones/eu-x","status":"RUNNING","machineType":"https://g.test/e2",
            "networkInterfaces":[{"name":"nic0","network":"https://g.test/net","subnetwork":"https://g.test/sub","networkIP":"10.16.0.1",
                                  "accessConfigs":[{"type":"ONE_TO_ONE_NAT","natIP":"198.51.100.121"}]},
                                 {"name":"nic-1","networkIP":"10.17.0.1"}],
            "tags":{"items":["http","web"]},"metadata":{"items":[{"key":"enable-oslogin","value":"true"},{"key":"bare"}]},
            "labels":{"team-name":"web"}}],"nextPageToken":"n=1"}"#,
        r#"{"items":[{"id":"4712","name":"bare","networkInterfaces":[]}]}"#,
    ];

    #[tokio::test]
    async fn instances_become_targets() {
        let server = Recorded::start_with(|asked| {
            let body = match asked.line.as_str() {
                "GET /computeMetadata/v1/instance/service-accounts/default/token" => {
                    r#"{"access_token":"t","expires_in":3599}"#
                }
                _ if !asked.head.to_lowercase().contains("authorization: bearer t\r\n") => return None,
                "GET /compute/v1/projects/p/zones/eu-x/instances?filter=a%3Db" => INSTANCES[0],
                "GET /compute/v1/projects/p/zones/eu-x/instances?filter=a%3Db&pageToken=n%3D1" => INSTANCES[1],
                _ => return None,
            };
            Some((String::new(), body.to_owned()))
        });
        let config::SdConfig::Gce(config) = sd("gce_sd_configs: [{project: p, zone: eu-x, filter: a=b}]") else {
            panic!()
        };
        let host = server.url.trim_start_matches("http://").to_owned();
        let env = |name: &str| (name == "GCE_METADATA_HOST").then(|| host.clone());
        let mut gce = Gce { endpoint: server.url.clone(), ..Gce::new(&config, &env, &context()) };
        let groups = gce.list().await.unwrap();
        assert_eq!(groups[0].source, "GCE_p_eu-x");
        assert_eq!(
            shown(&groups[0]),
            [
                r#"{__address__="10.16.0.1:80", __meta_gce_instance_id="4711", __meta_gce_instance_name="shop-1", __meta_gce_instance_status="RUNNING", __meta_gce_interface_ipv4_nic0="10.16.0.1", __meta_gce_interface_ipv4_nic_1="10.17.0.1", __meta_gce_label_team_name="web", __meta_gce_machine_type="https://g.test/e2", __meta_gce_metadata_enable_oslogin="true", __meta_gce_network="https://g.test/net", __meta_gce_private_ip="10.16.0.1", __meta_gce_project="p", __meta_gce_public_ip="198.51.100.121", __meta_gce_subnetwork="https://g.test/sub", __meta_gce_tags=",http,web,", __meta_gce_zone="https://g.test/zones/eu-x"}"#
            ]
        );
    }
}
