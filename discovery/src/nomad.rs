//! `nomad_sd_configs`: services of Nomad (upstream: `discovery/nomad`).

use config::NomadSdConfig;
use http::header::HeaderMap;
use model::TargetLabels;
use prometheus::IntCounter;
use serde_json::Value;
use url::Url;

use crate::api::{Api, url_of};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::refresh::{List, Listed, refresh_interval, refreshed};

pub(crate) fn new(config: &NomadSdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(Nomad::new(config, context), config.refresh_interval_ms, context)
}

struct Nomad {
    config: NomadSdConfig,
    api: Api,
    failures: IntCounter,
}

impl Nomad {
    fn new(config: &NomadSdConfig, context: &Context) -> Self {
        let api = Api::new(&config.http, refresh_interval(config.refresh_interval_ms), context);
        Self { config: config.clone(), api, failures: context.metrics.nomad_failures.clone() }
    }

    fn url(&self, service: Option<&str>) -> Result<Url, String> {
        let NomadSdConfig { namespace, region, server, allow_stale, .. } = &self.config;
        let mut parameters = vec![("namespace", namespace.as_str()), ("region", region)];
        parameters.retain(|(_, value)| !value.is_empty());
        if *allow_stale {
            parameters.push(("stale", ""));
        }
        match service {
            None => url_of(server, "/v1/services", &parameters),
            Some(name) => {
                let mut url = url_of(server, "/v1/service/", &parameters)?;
                if let Ok(mut path) = url.path_segments_mut() {
                    path.pop_if_empty().push(name);
                }
                Ok(url)
            }
        }
    }

    async fn targets(&self) -> Result<Vec<TargetLabels>, String> {
        let headers = HeaderMap::new();
        let mut targets = Vec::new();
        for namespace in self.api.list(&self.url(None)?, &headers).await?.items("") {
            for service in namespace.items("/Services") {
                let url = self.url(Some(service.str("/ServiceName")))?;
                let instances = self.api.list(&url, &headers).await;
                let instances = instances.map_err(|error| format!("failed to fetch services: {error}"))?;
                targets.extend(instances.items("").iter().map(|instance| self.target(instance)));
            }
        }
        Ok(targets)
    }

    fn target(&self, instance: &Value) -> TargetLabels {
        let mut meta = Meta::new("__meta_nomad_");
        meta.texts(
            instance,
            &[
                ("address", "/Address"),
                ("dc", "/Datacenter"),
                ("node_id", "/NodeID"),
                ("namespace", "/Namespace"),
                ("service_address", "/Address"),
                ("service_id", "/ID"),
                ("service", "/ServiceName"),
            ],
        );
        meta.numbers(instance, &[("service_port", "/Port")]);
        meta.address(instance.str("/Address"), instance.int("/Port"));
        meta.list("tags", &self.config.tag_separator, &instance.strs("/Tags"));
        meta.target()
    }
}

impl List for Nomad {
    const MECHANISM: &'static str = "nomad";

    async fn list(&mut self) -> Listed {
        let targets = self.targets().await.inspect_err(|_| self.failures.inc())?;
        Ok(vec![group("Nomad", targets)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context, sd, shown};

    const SERVICES: &str = r#"[{"Namespace":"default","Services":[{"ServiceName":"shop","Tags":["a"]}]}]"#;
    const INSTANCES: &str = r#"[
        {"Address":"10.2.0.4","AllocID":"al","Datacenter":"north","ID":"_nomad-task-1","JobID":"j","Namespace":"default",
         "NodeID":"n-1","Port":30456,"ServiceName":"shop","Tags":["metrics","v1"]},
        {"Address":"10.2.0.5","Datacenter":"north","ID":"_nomad-task-2","Namespace":"default","NodeID":"n-2","Port":80,
         "ServiceName":"shop","Tags":null}]"#;

    #[tokio::test]
    async fn instances_become_targets() {
        let scope = "namespace=default&region=global&stale=";
        let server = Recorded::start(&[
            (&format!("GET /v1/services?{scope}"), SERVICES),
            (&format!("GET /v1/service/shop?{scope}"), INSTANCES),
        ]);
        let config::SdConfig::Nomad(config) = sd(&format!("nomad_sd_configs: [{{server: '{}'}}]", server.url)) else {
            panic!()
        };
        let mut nomad = Nomad::new(&config, &context());
        let groups = nomad.list().await.unwrap();
        assert_eq!(groups[0].source, "Nomad");
        assert_eq!(
            shown(&groups[0]),
            [
                r#"{__address__="10.2.0.4:30456", __meta_nomad_address="10.2.0.4", __meta_nomad_dc="north", __meta_nomad_namespace="default", __meta_nomad_node_id="n-1", __meta_nomad_service="shop", __meta_nomad_service_address="10.2.0.4", __meta_nomad_service_id="_nomad-task-1", __meta_nomad_service_port="30456", __meta_nomad_tags=",metrics,v1,"}"#,
                r#"{__address__="10.2.0.5:80", __meta_nomad_address="10.2.0.5", __meta_nomad_dc="north", __meta_nomad_namespace="default", __meta_nomad_node_id="n-2", __meta_nomad_service="shop", __meta_nomad_service_address="10.2.0.5", __meta_nomad_service_id="_nomad-task-2", __meta_nomad_service_port="80"}"#,
            ]
        );
        drop(server);
        nomad.list().await.unwrap_err();
        assert_eq!(nomad.failures.get(), 1);
    }
}
