//! `triton_sd_configs`: containers or compute nodes of Triton (upstream: `discovery/triton`).

use config::{HttpClientConfig, TritonSdConfig};
use http::header::HeaderMap;
use model::TargetLabels;
use serde_json::Value;

use crate::api::{Api, url_of};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::refresh::{List, Listed, refresh_interval, refreshed};

pub(crate) fn new(config: &TritonSdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(Triton::new(config, context), config.refresh_interval_ms, context)
}

struct Triton {
    config: TritonSdConfig,
    api: Api,
    /// `https://host:port`
    server: String,
}

impl Triton {
    fn new(config: &TritonSdConfig, context: &Context) -> Self {
        let http = HttpClientConfig { tls: config.tls.clone(), ..HttpClientConfig::default() };
        Self {
            api: Api::new(&http, refresh_interval(config.refresh_interval_ms), context),
            server: format!("https://{}:{}", config.endpoint, config.port),
            config: config.clone(),
        }
    }

    fn target(&self, machine: &Value) -> TargetLabels {
        let mut meta = Meta::new("__meta_triton_");
        let id = if self.config.role == "cn" {
            meta.texts(machine, &[("machine_id", "/server_uuid"), ("machine_alias", "/server_hostname")]);
            machine.str("/server_uuid")
        } else {
            meta.texts(
                machine,
                &[
                    ("machine_id", "/vm_uuid"),
                    ("machine_alias", "/vm_alias"),
                    ("machine_brand", "/vm_brand"),
                    ("machine_image", "/vm_image_uuid"),
                    ("server_id", "/server_uuid"),
                ],
            );
            meta.list("groups", ",", &machine.strs("/groups"));
            machine.str("/vm_uuid")
        };
        meta.address(&format!("{id}.{}", self.config.dns_suffix), self.config.port);
        meta.target()
    }
}

impl List for Triton {
    const MECHANISM: &'static str = "triton";

    async fn list(&mut self) -> Listed {
        let (path, field) = if self.config.role == "cn" { ("/gz", "/cns") } else { ("", "/containers") };
        let groups = self.config.groups.join(",");
        let parameters = (!groups.is_empty()).then_some(("groups", groups.as_str()));
        let path = format!("/v{}{path}/discover", self.config.version);
        let url = url_of(&self.server, &path, parameters.as_slice())?;
        let found = self.api.object(&url, &HeaderMap::new()).await;
        let found = found.map_err(|error| {
            format!("an error occurred when requesting targets from the discovery endpoint: {error}")
        })?;
        let targets = found.items(field).iter().map(|machine| self.target(machine)).collect();
        Ok(vec![group(url.as_str(), targets)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context, sd, shown};

    async fn listed(fields: &str, line: &str, body: &str) -> Vec<String> {
        let server = Recorded::start(&[(line, body)]);
        let text = format!(
            "triton_sd_configs: [{{account: a, dns_suffix: cmon.test, endpoint: 127.0.0.1, port: 80{fields}}}]"
        );
        let config::SdConfig::Triton(config) = sd(&text) else { panic!() };
        let mut triton = Triton::new(&config, &context());
        assert_eq!(triton.server, "https://127.0.0.1:80");
        triton.server.clone_from(&server.url);
        shown(&triton.list().await.unwrap()[0])
    }

    #[tokio::test]
    async fn machines_become_targets() {
        let containers = r#"{"containers":[
            {"groups":["web","eu"],"server_uuid":"s-1","vm_alias":"shop-1","vm_brand":"lx","vm_image_uuid":"im-1","vm_uuid":"vm-1"},
            {"server_uuid":"s-1","vm_alias":"shop-2","vm_brand":"joyent","vm_image_uuid":"im-2","vm_uuid":"vm-2"}]}"#;
        assert_eq!(
            listed(", groups: [web, eu]", "GET /v1/discover?groups=web%2Ceu", containers).await,
            [
                r#"{__address__="vm-1.cmon.test:80", __meta_triton_groups=",web,eu,", __meta_triton_machine_alias="shop-1", __meta_triton_machine_brand="lx", __meta_triton_machine_id="vm-1", __meta_triton_machine_image="im-1", __meta_triton_server_id="s-1"}"#,
                r#"{__address__="vm-2.cmon.test:80", __meta_triton_machine_alias="shop-2", __meta_triton_machine_brand="joyent", __meta_triton_machine_id="vm-2", __meta_triton_machine_image="im-2", __meta_triton_server_id="s-1"}"#,
            ]
        );
        let nodes = r#"{"cns":[{"server_hostname":"node-1","server_uuid":"s-1"}]}"#;
        assert_eq!(
            listed(", role: cn, version: 2", "GET /v2/gz/discover", nodes).await,
            [
                r#"{__address__="s-1.cmon.test:80", __meta_triton_machine_alias="node-1", __meta_triton_machine_id="s-1"}"#
            ]
        );
    }
}
