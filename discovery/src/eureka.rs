//! `eureka_sd_configs`: instances that register with Eureka, by XML (upstream: `discovery/eureka`).

use config::EurekaSdConfig;
use http::header::HeaderMap;
use model::TargetLabels;
use roxmltree::Node;

use crate::api::{Api, shown, url_of};
use crate::discoverer::{Context, Discoverer};
use crate::meta::{Meta, group};
use crate::refresh::{List, Listed, refresh_interval, refreshed};
use crate::xml;

pub(crate) fn new(config: &EurekaSdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(Eureka::new(config, context), config.refresh_interval_ms, context)
}

struct Eureka {
    server: String,
    api: Api,
}

impl Eureka {
    fn new(config: &EurekaSdConfig, context: &Context) -> Self {
        let api = Api::new(&config.http, refresh_interval(config.refresh_interval_ms), context);
        Self { server: config.server.clone(), api }
    }
}

impl List for Eureka {
    const MECHANISM: &'static str = "eureka";

    async fn list(&mut self) -> Listed {
        let url = url_of(&self.server, "/apps", &[])?;
        let answer = self.api.get(&url, &HeaderMap::new()).await?.success()?;
        Ok(vec![group("eureka", targets(answer.text(&url)?).map_err(|error| format!("\"{}\": {error}", shown(&url)))?)])
    }
}

fn targets(text: &str) -> Result<Vec<TargetLabels>, String> {
    let document = xml::parse(text)?;
    let mut targets = Vec::new();
    for app in children(document.root_element(), "application") {
        let name = text_of(app, "name");
        targets.extend(children(app, "instance").map(|instance| target(instance, name)));
    }
    Ok(targets)
}

fn children<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.tag_name().name() == name)
}

/// The text of a child; empty if there is none.
fn text_of<'a>(node: Node<'a, '_>, name: &'static str) -> &'a str {
    children(node, name).next().and_then(|child| child.text()).unwrap_or_default()
}

fn target(instance: Node<'_, '_>, app: &str) -> TargetLabels {
    let mut meta = Meta::new("__meta_eureka_");
    meta.set("app_name", app);
    meta.plain("instance", text_of(instance, "instanceId"));
    for (label, name) in [
        ("hostname", "hostName"),
        ("homepage_url", "homePageUrl"),
        ("statuspage_url", "statusPageUrl"),
        ("healthcheck_url", "healthCheckUrl"),
        ("ip_addr", "ipAddr"),
        ("vip_address", "vipAddress"),
        ("secure_vip_address", "secureVipAddress"),
        ("status", "status"),
        ("id", "instanceId"),
    ] {
        meta.set(&format!("app_instance_{label}"), text_of(instance, name));
    }
    let country = Some(text_of(instance, "countryId")).filter(|country| !country.is_empty()).unwrap_or("0");
    meta.set("app_instance_country_id", country);
    let mut address_port = "80";
    for (label, name) in [("port", "port"), ("secure_port", "securePort")] {
        let Some(port) = children(instance, name).next() else { continue };
        let number = port.text().unwrap_or_default().trim();
        if name == "port" {
            address_port = number;
        }
        meta.set(&format!("app_instance_{label}"), number);
        let enabled = port.attribute("enabled").is_some_and(|enabled| enabled.trim().eq_ignore_ascii_case("true"));
        meta.set(&format!("app_instance_{label}_enabled"), enabled.to_string());
    }
    meta.address(text_of(instance, "hostName"), address_port);
    if let Some(center) = children(instance, "dataCenterInfo").next() {
        meta.set("app_instance_datacenterinfo_name", text_of(center, "name"));
        put_metadata(&mut meta, "app_instance_datacenterinfo_metadata_", center);
    }
    put_metadata(&mut meta, "app_instance_metadata_", instance);
    meta.target()
}

/// A label for each element of the metadata, with what is in it as it is written.
fn put_metadata(meta: &mut Meta, label: &str, of: Node<'_, '_>) {
    let Some(metadata) = children(of, "metadata").next() else { return };
    for one in metadata.children().filter(Node::is_element) {
        let inner = match (one.first_child(), one.last_child()) {
            (Some(first), Some(last)) => first.range().start..last.range().end,
            _ => 0..0,
        };
        meta.keyed(label, one.tag_name().name(), one.document().input_text().get(inner).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{self, Recorded, context, sd};

    const APPS: &str = r#"<?xml version="1.0"?>
<applications>
  <versions__delta>1</versions__delta>
  <application>
    <name>SHOP</name>
    <instance>
      <instanceId>shop-1.test:shop:8080</instanceId>
      <hostName>shop-1.test</hostName>
      <app>SHOP</app>
      <ipAddr>10.12.0.1</ipAddr>
      <status>UP</status>
      <port enabled="true">8080</port>
      <securePort enabled="false">8443</securePort>
      <countryId>1</countryId>
      <dataCenterInfo class="com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo">
        <name>MyOwn</name>
        <metadata><rack.id>r1</rack.id></metadata>
      </dataCenterInfo>
      <metadata>
        <project>shop &amp; more</project>
        <management.port>8090</management.port>
        <empty/>
      </metadata>
      <homePageUrl>http://shop-1.test:8080/</homePageUrl>
      <statusPageUrl>http://shop-1.test:8080/info</statusPageUrl>
      <healthCheckUrl>http://shop-1.test:8080/health</healthCheckUrl>
      <vipAddress>shop</vipAddress>
      <secureVipAddress>shops</secureVipAddress>
    </instance>
  </application>
  <application>
    <name>BARE</name>
    <instance><instanceId>bare-1</instanceId><hostName>bare.test</hostName></instance>
  </application>
</applications>"#;

    fn eureka(server: &str) -> Eureka {
        let config::SdConfig::Eureka(config) = sd(&format!("eureka_sd_configs: [{{server: '{server}/eureka'}}]"))
        else {
            panic!()
        };
        Eureka::new(&config, &context())
    }

    #[tokio::test]
    async fn instances_become_targets() {
        let server = Recorded::start(&[("GET /eureka/apps", APPS)]);
        let groups = eureka(&server.url).list().await.unwrap();
        assert_eq!(groups[0].source, "eureka");
        assert_eq!(
            recorded::shown(&groups[0]),
            [
                r#"{__address__="bare.test:80", __meta_eureka_app_instance_country_id="0", __meta_eureka_app_instance_hostname="bare.test", __meta_eureka_app_instance_id="bare-1", __meta_eureka_app_name="BARE", instance="bare-1"}"#,
                r#"{__address__="shop-1.test:8080", __meta_eureka_app_instance_country_id="1", __meta_eureka_app_instance_datacenterinfo_metadata_rack_id="r1", __meta_eureka_app_instance_datacenterinfo_name="MyOwn", __meta_eureka_app_instance_healthcheck_url="http://shop-1.test:8080/health", __meta_eureka_app_instance_homepage_url="http://shop-1.test:8080/", __meta_eureka_app_instance_hostname="shop-1.test", __meta_eureka_app_instance_id="shop-1.test:shop:8080", __meta_eureka_app_instance_ip_addr="10.12.0.1", __meta_eureka_app_instance_metadata_management_port="8090", __meta_eureka_app_instance_metadata_project="shop &amp; more", __meta_eureka_app_instance_port="8080", __meta_eureka_app_instance_port_enabled="true", __meta_eureka_app_instance_secure_port="8443", __meta_eureka_app_instance_secure_port_enabled="false", __meta_eureka_app_instance_secure_vip_address="shops", __meta_eureka_app_instance_status="UP", __meta_eureka_app_instance_statuspage_url="http://shop-1.test:8080/info", __meta_eureka_app_instance_vip_address="shop", __meta_eureka_app_name="SHOP", instance="shop-1.test:shop:8080"}"#,
            ]
        );
    }

    #[tokio::test]
    async fn what_is_no_xml_is_told() {
        let server = Recorded::start(&[("GET /eureka/apps", "<applications>")]);
        let error = eureka(&server.url).list().await.unwrap_err();
        assert!(error.starts_with(&format!("\"{}/eureka/apps\": ", server.url)), "{error}");
        assert!(targets("<applications/>").unwrap().is_empty());
    }
}
