//! `outscale_sd_configs`: virtual machines of Outscale (upstream: `discovery/outscale`).

use config::{OutscaleSdConfig, Secret};
use model::{TargetLabels, Timestamp};
use serde_json::{Value, json};

use super::signature::{Keys, Unsigned, signed};
use crate::api::{Api, url_of};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::refresh::{List, Listed, refresh_interval, refreshed};

/// The names that requests are signed for, whatever the region is.
const SIGNED_FOR: (&str, &str) = ("oapi", "eu-west-2");
/// A list of more pages is refused: the service would go on for ever.
const PAGES_MAX: usize = 10_000;

pub(crate) fn new(config: &OutscaleSdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(Outscale::new(config, context), config.refresh_interval_ms, context)
}

struct Outscale {
    config: OutscaleSdConfig,
    api: Api,
}

impl Outscale {
    fn new(config: &OutscaleSdConfig, context: &Context) -> Self {
        let api = Api::new(&config.http, refresh_interval(config.refresh_interval_ms), context);
        Self { config: config.clone(), api }
    }

    /// The keys; the secret one is read from its file for every list.
    async fn keys(&self) -> Result<Keys, String> {
        let secret = match &self.config.secret_key_file {
            Some(path) => {
                let text = tokio::fs::read_to_string(path).await;
                let failed = |error| format!("unable to read outscale secret key file {}: {error}", path.display());
                text.map_err(failed)?.trim().to_owned()
            }
            None => self.config.secret_key.as_ref().map(Secret::expose).unwrap_or_default().to_owned(),
        };
        Ok(Keys { access: self.config.access_key.clone(), secret, session: None })
    }

    async fn page(&self, keys: &Keys, token: &str) -> Result<Value, String> {
        let url = url_of(&self.config.endpoint, "/ReadVms", &[])?;
        let asked = if token.is_empty() { json!({}) } else { json!({"NextPageToken": token}) };
        let body = asked.to_string().into_bytes();
        let (service, region) = SIGNED_FOR;
        let headers = [("content-type", "application/json")];
        let request = Unsigned { method: "POST", url: &url, headers: &headers, body: &body, region, service };
        let headers = signed(&request, keys, Timestamp::now())?;
        let said = self.api.post(&url, &headers, body).await?.success()?.json(&url)?;
        said.expect_object()?;
        Ok(said)
    }

    /// A machine without addresses is no target.
    fn target(&self, machine: &Value) -> Option<TargetLabels> {
        let addresses = [machine.str("/PrivateIp"), machine.str("/PublicIp")];
        let mut meta = Meta::new("__meta_outscale_vm_");
        meta.address(addresses.into_iter().find(|address| !address.is_empty())?, self.config.port);
        meta.set("region", &self.config.region);
        meta.texts(
            machine,
            &[
                ("instance_id", "/VmId"),
                ("subregion", "/Placement/SubregionName"),
                ("state", "/State"),
                ("private_ip", "/PrivateIp"),
                ("public_ip", "/PublicIp"),
            ],
        );
        for tag in machine.items("/Tags").iter().filter(|tag| !tag.str("/Key").is_empty()) {
            meta.keyed("tag_", tag.str("/Key"), tag.str("/Value"));
        }
        Some(meta.target())
    }
}

impl List for Outscale {
    const MECHANISM: &'static str = "outscale";

    async fn list(&mut self) -> Listed {
        let keys = self.keys().await?;
        let (mut targets, mut token) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let page = self.page(&keys, &token).await.map_err(|error| format!("outscale ReadVms: {error}"))?;
            targets.extend(page.items("/Vms").iter().filter_map(|machine| self.target(machine)));
            token = page.text("/NextPageToken");
            if token.is_empty() {
                return Ok(vec![group(self.config.region.as_str(), targets)]);
            }
        }
        Err(format!("there are more than {PAGES_MAX} pages of machines"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context, sd, shown};

    #[tokio::test]
    async fn machines_become_targets() {
        let server = Recorded::start_with(|asked| {
            assert_eq!(asked.line, "POST /api/v1/ReadVms");
            assert!(
                asked.head.contains("Credential=ak/") && asked.head.contains("/eu-west-2/oapi/aws4_request"),
                "{}",
                asked.head
            );
            let body = match asked.body.as_str() {
                "{}" => {
                    r#"{"Vms":[{"VmId":"i-1","State":"running","PrivateIp":"10.21.0.1","PublicIp":"198.51.100.151",
                        "Placement":{"SubregionName":"eu-x-2a"},"Tags":[{"Key":"team.name","Value":"web"},{"Key":"","Value":"x"}]}],
                        "NextPageToken":"n"}"#
                }
                r#"{"NextPageToken":"n"}"# => {
                    r#"{"Vms":[{"VmId":"i-2","State":"stopped","PublicIp":"198.51.100.152"},{"VmId":"i-3","PrivateIp":""}]}"#
                }
                _ => return None,
            };
            Some((String::new(), body.to_owned()))
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "sk\n").unwrap();
        let text = format!(
            "outscale_sd_configs: [{{endpoint: '{}/api/v1', region: eu-x-2, access_key: ak, secret_key_file: '{}'}}]",
            server.url,
            file.display()
        );
        let config::SdConfig::Outscale(config) = sd(&text) else { panic!() };
        let mut outscale = Outscale::new(&config, &context());
        let groups = outscale.list().await.unwrap();
        assert_eq!(groups[0].source, "eu-x-2");
        assert_eq!(
            shown(&groups[0]),
            [
                r#"{__address__="10.21.0.1:80", __meta_outscale_vm_instance_id="i-1", __meta_outscale_vm_private_ip="10.21.0.1", __meta_outscale_vm_public_ip="198.51.100.151", __meta_outscale_vm_region="eu-x-2", __meta_outscale_vm_state="running", __meta_outscale_vm_subregion="eu-x-2a", __meta_outscale_vm_tag_team_name="web"}"#,
                r#"{__address__="198.51.100.152:80", __meta_outscale_vm_instance_id="i-2", __meta_outscale_vm_public_ip="198.51.100.152", __meta_outscale_vm_region="eu-x-2", __meta_outscale_vm_state="stopped"}"#,
            ]
        );
        std::fs::remove_file(file).unwrap();
        let error = outscale.list().await.unwrap_err();
        assert!(error.starts_with("unable to read outscale secret key file"), "{error}");
    }
}
