//! `puppetdb_sd_configs`: resources of PuppetDB (upstream: `discovery/puppetdb`).

use config::PuppetDbSdConfig;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use model::{LabelsBuilder, TargetLabels, float};
use serde_json::{Value, json};
use url::Url;

use crate::api::{Api, headers, shown, url_of};
use crate::discoverer::{Context, Discoverer};
use crate::http::is_json;
use crate::json::Json as _;
use crate::meta::{Meta, group, sanitise};
use crate::refresh::{List, Listed, refresh_interval, refreshed};

pub(crate) fn new(config: &PuppetDbSdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(PuppetDb::new(config, context), config.refresh_interval_ms, context)
}

struct PuppetDb {
    config: PuppetDbSdConfig,
    api: Api,
}

impl PuppetDb {
    fn new(config: &PuppetDbSdConfig, context: &Context) -> Self {
        let api = Api::new(&config.http, refresh_interval(config.refresh_interval_ms), context);
        Self { config: config.clone(), api }
    }

    async fn resources(&self, url: &Url) -> Result<Value, String> {
        let headers = headers([("accept", "application/json"), ("content-type", "application/json")])?;
        let query = json!({"query": self.config.query}).to_string();
        let answer = self.api.post(url, &headers, query.into_bytes()).await?.success()?;
        if answer.status != StatusCode::OK {
            return Err(format!("server returned HTTP status {}", answer.status));
        }
        let kind = answer.header(&CONTENT_TYPE);
        if is_json(kind) { answer.json(url) } else { Err(format!("unsupported content type {kind}")) }
    }

    fn target(&self, resource: &Value) -> TargetLabels {
        let mut meta = Meta::new("__meta_puppetdb_");
        meta.set("query", &self.config.query);
        meta.texts(
            resource,
            &[
                ("certname", "/certname"),
                ("resource", "/resource"),
                ("type", "/type"),
                ("title", "/title"),
                ("file", "/file"),
                ("environment", "/environment"),
            ],
        );
        meta.flags(resource, &[("exported", "/exported")]);
        meta.list("tags", ",", &resource.strs("/tags"));
        meta.address(resource.str("/certname"), self.config.port);
        if self.config.include_parameters {
            let mut parameters = LabelsBuilder::default();
            put(&mut parameters, "", resource.at("/parameters"));
            for (name, value) in parameters.iter() {
                meta.set(&format!("parameter_{name}"), value);
            }
        }
        meta.target()
    }
}

/// Adds the parameters of an object and of those in it, with the names of the outer ones before theirs.
fn put(labels: &mut LabelsBuilder, prefix: &str, parameters: &Value) {
    for (name, value) in parameters.members("") {
        let name = format!("{prefix}{}", sanitise(name));
        match value {
            Value::Object(_) => put(labels, &format!("{name}_"), value),
            // Without separators around it, unlike other lists.
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(scalar).collect();
                labels.set(&name, items.join(","));
            }
            value => {
                labels.set(&name, scalar(value));
            }
        }
    }
}

/// A value as Go prints it; empty if it is none by itself.
fn scalar(value: &Value) -> String {
    match value {
        // Go reads every number as a float.
        Value::Number(number) => number.as_f64().map(float::format_g).unwrap_or_default(),
        value => value.text(""),
    }
}

impl List for PuppetDb {
    const MECHANISM: &'static str = "puppetdb";

    async fn list(&mut self) -> Listed {
        let url = url_of(&self.config.url, "/pdb/query/v4", &[])?;
        let resources = self.resources(&url).await?;
        resources.expect_list().map_err(|error| format!("{}: {error}", shown(&url)))?;
        let targets = resources.items("").iter().map(|resource| self.target(resource)).collect();
        Ok(vec![group(format!("{}?query={}", shown(&url), self.config.query), targets)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{self, Recorded, context, sd};

    const RESOURCES: &str = r#"[{"certname":"web-1.test","resource":"49af","type":"Apache::Vhost","title":"shop","exported":true,
        "tags":["apache","role::web"],"file":"/etc/puppet/init.pp","environment":"prod",
        "parameters":{"port":443,"ratio":0.5,"big":1e21,"ssl":true,"servername":"shop.test","aliases":["a.test","b.test"],"none":null,
                      "empty":[],"labels":{"alias.name":"x","deep":{"n":1}}}}]"#;

    async fn listed(fields: &str, kind: &'static str) -> Listed {
        let server = Recorded::start_with(move |asked| {
            assert_eq!((asked.line.as_str(), asked.body.as_str()), ("POST /pdb/query/v4", r#"{"query":"vhosts"}"#));
            Some((format!("Content-Type: {kind}\r\n"), RESOURCES.to_owned()))
        });
        let text = format!("puppetdb_sd_configs: [{{url: '{}/', query: vhosts{fields}}}]", server.url);
        let config::SdConfig::PuppetDb(config) = sd(&text) else { panic!() };
        let listed = PuppetDb::new(&config, &context()).list().await;
        if let Ok(groups) = &listed {
            assert_eq!(groups[0].source, format!("{}/pdb/query/v4?query=vhosts", server.url));
        }
        listed
    }

    const TARGET: &str = r#"{__address__="web-1.test:80", __meta_puppetdb_certname="web-1.test", __meta_puppetdb_environment="prod", __meta_puppetdb_exported="true", __meta_puppetdb_file="/etc/puppet/init.pp", "#;
    const REST: &str = r#"__meta_puppetdb_query="vhosts", __meta_puppetdb_resource="49af", __meta_puppetdb_tags=",apache,role::web,", __meta_puppetdb_title="shop", __meta_puppetdb_type="Apache::Vhost"}"#;

    #[tokio::test]
    async fn resources_become_targets() {
        let groups = listed("", "application/json; charset=utf-8").await.unwrap();
        assert_eq!(recorded::shown(&groups[0]), [format!("{TARGET}{REST}")]);
        let groups = listed(", include_parameters: true", "application/json").await.unwrap();
        let parameters = r#"__meta_puppetdb_parameter_aliases="a.test,b.test", __meta_puppetdb_parameter_big="1e+21", __meta_puppetdb_parameter_labels_alias_name="x", __meta_puppetdb_parameter_labels_deep_n="1", __meta_puppetdb_parameter_port="443", __meta_puppetdb_parameter_ratio="0.5", __meta_puppetdb_parameter_servername="shop.test", __meta_puppetdb_parameter_ssl="true", "#;
        assert_eq!(recorded::shown(&groups[0]), [format!("{TARGET}{parameters}{REST}")]);
    }

    #[tokio::test]
    async fn another_type_is_refused() {
        assert_eq!(listed("", "text/html").await.unwrap_err(), "unsupported content type text/html");
    }
}
