//! `lightsail_sd_configs`: instances of Lightsail (upstream: `discovery/aws/lightsail.go`).

use config::LightsailSdConfig;
use model::TargetLabels;
use serde_json::{Value, json};

use super::account::{Account, Section, json_headers};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::refresh::{List, Listed, refresh_interval, refreshed};

/// A list of more pages is refused: the service would go on for ever.
const PAGES_MAX: usize = 10_000;

pub(crate) fn new(config: &LightsailSdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(Lightsail::new(config, context), config.refresh_interval_ms, context)
}

struct Lightsail {
    account: Account,
    port: i64,
}

impl Lightsail {
    fn new(config: &LightsailSdConfig, context: &Context) -> Self {
        let section = Section {
            endpoint: config.endpoint.clone(),
            region: config.region.clone(),
            access_key: config.access_key.clone(),
            secret_key: config.secret_key.clone(),
            profile: config.profile.clone(),
            role_arn: config.role_arn.clone(),
            external_id: config.external_id.clone(),
        };
        let timeout = refresh_interval(config.refresh_interval_ms);
        Self { account: Account::new(section, &config.http, timeout, context), port: config.port }
    }

    fn target(&self, instance: &Value, region: &str) -> Option<TargetLabels> {
        let private = Some(instance.str("/privateIpAddress")).filter(|address| !address.is_empty())?;
        let mut meta = Meta::new("__meta_lightsail_");
        meta.address(private, self.port);
        meta.set("region", region);
        meta.texts(
            instance,
            &[
                ("private_ip", "/privateIpAddress"),
                ("public_ip", "/publicIpAddress"),
                ("availability_zone", "/location/availabilityZone"),
                ("blueprint_id", "/blueprintId"),
                ("bundle_id", "/bundleId"),
                ("instance_name", "/name"),
                ("instance_state", "/state/name"),
                ("instance_support_code", "/supportCode"),
            ],
        );
        meta.list("ipv6_addresses", ",", &instance.strs("/ipv6Addresses"));
        for tag in instance.items("/tags") {
            meta.keyed("tag_", tag.str("/key"), tag.str("/value"));
        }
        Some(meta.target())
    }
}

impl List for Lightsail {
    const MECHANISM: &'static str = "lightsail";

    async fn list(&mut self) -> Listed {
        let region = self.account.region().await?;
        let (mut targets, mut next) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let asked = if next.is_empty() { json!({}) } else { json!({"pageToken": next}) };
            let headers = json_headers("Lightsail_20161128.GetInstances");
            let answer = self.account.post("lightsail", &headers, asked.to_string().into_bytes()).await;
            let answer = answer.map_err(|error| format!("could not get instances: {error}"))?;
            let said: Value = serde_json::from_slice(&answer.body)
                .map_err(|error| format!("could not get instances: not valid JSON: {error}"))?;
            said.expect_object()?;
            targets.extend(said.items("/instances").iter().filter_map(|instance| self.target(instance, &region)));
            next = said.text("/nextPageToken");
            if next.is_empty() {
                return Ok(vec![group(region, targets)]);
            }
        }
        Err(format!("there are more than {PAGES_MAX} pages of instances"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context, sd, shown};

    #[tokio::test]
    async fn instances_become_targets() {
        let server = Recorded::start_with(|asked| {
            assert!(
                asked.head.to_lowercase().contains("x-amz-target: lightsail_20161128.getinstances\r\n"),
                "{}",
                asked.head
            );
            assert!(asked.head.contains("/eu-x/lightsail/aws4_request"), "{}", asked.head);
            let body = match asked.body.as_str() {
                "{}" => {
                    r#"{"instances":[{"name":"shop","supportCode":"1/i-1","blueprintId":"debian","bundleId":"nano","privateIpAddress":"10.15.0.1",
                        "publicIpAddress":"198.51.100.111","ipv6Addresses":["2001:db8::1","2001:db8::2"],"state":{"code":16,"name":"running"},
                        "location":{"availabilityZone":"eu-x-1a"},"tags":[{"key":"a.b","value":"c"},{"key":"bare"}]}],"nextPageToken":"n"}"#
                }
                _ => r#"{"instances":[{"name":"none"},{"privateIpAddress":"10.15.0.2"}]}"#,
            };
            Some((String::new(), body.to_owned()))
        });
        let text = format!(
            "lightsail_sd_configs: [{{endpoint: '{}', region: eu-x, access_key: ak, secret_key: sk}}]",
            server.url
        );
        let config::SdConfig::Lightsail(config) = sd(&text) else { panic!() };
        let groups = Lightsail::new(&config, &context()).list().await.unwrap();
        assert_eq!((groups[0].source.as_str(), server.asked()[1].body.as_str()), ("eu-x", r#"{"pageToken":"n"}"#));
        assert_eq!(
            shown(&groups[0]),
            [
                r#"{__address__="10.15.0.1:80", __meta_lightsail_availability_zone="eu-x-1a", __meta_lightsail_blueprint_id="debian", __meta_lightsail_bundle_id="nano", __meta_lightsail_instance_name="shop", __meta_lightsail_instance_state="running", __meta_lightsail_instance_support_code="1/i-1", __meta_lightsail_ipv6_addresses=",2001:db8::1,2001:db8::2,", __meta_lightsail_private_ip="10.15.0.1", __meta_lightsail_public_ip="198.51.100.111", __meta_lightsail_region="eu-x", __meta_lightsail_tag_a_b="c"}"#,
                r#"{__address__="10.15.0.2:80", __meta_lightsail_private_ip="10.15.0.2", __meta_lightsail_region="eu-x"}"#,
            ]
        );
    }
}
