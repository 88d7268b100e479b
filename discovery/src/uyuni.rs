//! `uyuni_sd_configs`: exporters of the systems that Uyuni manages, by XML-RPC (upstream: `discovery/uyuni`).

use std::collections::BTreeMap;
use std::time::Duration;

use config::{Secret, UyuniSdConfig};
use model::TargetLabels;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::api::{Api, headers, shown, url_of};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::refresh::{List, Listed, refresh_interval, refreshed};
use crate::xml_rpc::{Argument, answer, call};

/// How long a token is asked for, and for half of that it is used.
const TOKEN: Duration = Duration::from_secs(600);

pub(crate) fn new(config: &UyuniSdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(Uyuni::new(config, context), config.refresh_interval_ms, context)
}

struct Uyuni {
    config: UyuniSdConfig,
    api: Api,
    /// The token, and until when it is used.
    token: Option<(String, Instant)>,
}

impl Uyuni {
    fn new(config: &UyuniSdConfig, context: &Context) -> Self {
        let api = Api::new(&config.http, refresh_interval(config.refresh_interval_ms), context);
        Self { config: config.clone(), api, token: None }
    }

    async fn call(&self, url: &Url, method: &str, arguments: &[Argument<'_>]) -> Result<Value, String> {
        let headers = headers([("content-type", "text/xml")])?;
        let answered = self.api.post(url, &headers, call(method, arguments).into_bytes()).await?.success()?;
        answer(answered.text(url)?).map_err(|error| format!("{method}: {error}"))
    }

    async fn token(&mut self, url: &Url) -> Result<String, String> {
        if let Some((token, until)) = &self.token
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let password = self.config.password.as_ref().map(Secret::expose).unwrap_or_default();
        let seconds = i64::try_from(TOKEN.as_secs()).unwrap_or_default();
        let arguments = [Argument::Text(&self.config.username), Argument::Text(password), Argument::Int(seconds)];
        let token = self.call(url, "auth.login", &arguments).await;
        let token = token.map_err(|error| format!("unable to login to Uyuni API: {error}"))?.text("");
        self.token = Some((token.clone(), Instant::now() + TOKEN / 2));
        Ok(token)
    }

    async fn targets(&self, url: &Url, token: &str) -> Result<Vec<TargetLabels>, String> {
        let token = Argument::Text(token);
        let wanted = [token, Argument::Text(&self.config.entitlement)];
        let systems = self.call(url, "system.listSystemGroupsForSystemsWithEntitlement", &wanted).await;
        let systems = systems.map_err(|error| {
            format!("unable to get the managed system groups information of monitored clients: {error}")
        })?;
        let groups: BTreeMap<i64, Vec<&str>> = systems
            .items("")
            .iter()
            .map(|system| {
                let groups = system.items("/system_groups").iter().map(|group| group.str("/name"));
                (system.int("/id"), groups.collect())
            })
            .collect();
        let ids: Vec<i64> = groups.keys().copied().collect();
        let [token, _] = wanted;
        let of_systems = [token, Argument::Ints(&ids)];
        let endpoints = self.call(url, "system.monitoring.listEndpoints", &of_systems).await;
        let endpoints = endpoints.map_err(|error| format!("unable to get endpoints information: {error}"))?;
        let networks = self.call(url, "system.getNetworkForSystems", &of_systems).await;
        let networks = networks.map_err(|error| format!("unable to get the systems network information: {error}"))?;
        let networks: BTreeMap<i64, &Value> =
            networks.items("").iter().map(|network| (network.int("/system_id"), network)).collect();
        let target = |endpoint: &Value| {
            let id = endpoint.int("/system_id");
            let groups = groups.get(&id).map(Vec::as_slice).unwrap_or_default();
            self.target(endpoint, groups, networks.get(&id).copied().unwrap_or(&Value::Null))
        };
        Ok(endpoints.items("").iter().map(target).collect())
    }

    fn target(&self, endpoint: &Value, groups: &[&str], network: &Value) -> TargetLabels {
        let mut meta = Meta::new("__meta_uyuni_");
        meta.texts(network, &[("minion_hostname", "/hostname"), ("primary_fqdn", "/primary_fqdn")]);
        meta.numbers(endpoint, &[("system_id", "/system_id")]);
        meta.texts(
            endpoint,
            &[
                ("endpoint_name", "/endpoint_name"),
                ("exporter", "/exporter_name"),
                ("proxy_module", "/module"),
                ("metrics_path", "/path"),
            ],
        );
        meta.set("groups", groups.join(&self.config.separator));
        meta.set("scheme", if endpoint.is("/tls_enabled") { "https" } else { "http" });
        let address = format!("{}:{}", network.str("/hostname"), endpoint.int("/port"));
        meta.plain(model::labels::ADDRESS, address);
        meta.target()
    }
}

impl List for Uyuni {
    const MECHANISM: &'static str = "uyuni";

    async fn list(&mut self) -> Listed {
        let url = url_of(&self.config.server, "/rpc/api", &[])?;
        let token = self.token(&url).await?;
        let targets = self.targets(&url, &token).await;
        if targets.is_err() {
            // The server may have been started anew.
            self.token = None;
        }
        Ok(vec![group(shown(&url), targets?)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{self, Asked, Recorded, Said, context, sd};

    fn member(name: &str, value: &str) -> String {
        format!("<member><name>{name}</name><value>{value}</value></member>")
    }

    fn list(items: &str) -> String {
        format!("<array><data>{items}</data></array>")
    }

    fn structure(members: &[(&str, &str)]) -> String {
        let members: String = members.iter().map(|(name, value)| member(name, value)).collect();
        format!("<value><struct>{members}</struct></value>")
    }

    fn said(asked: &Asked) -> Said {
        assert_eq!(asked.line, "POST /rpc/api");
        let has = |method: &str| asked.body.contains(&format!("<methodName>{method}</methodName>"));
        let value = if has("auth.login") {
            assert!(asked.body.contains("<string>hunter2</string>") && asked.body.contains("<int>600</int>"));
            "<value>t-1</value>".to_owned()
        } else {
            assert!(asked.body.contains("<string>t-1</string>"), "{}", asked.body);
            let of_systems = asked.body.contains("<value><int>1001</int></value><value><int>1002</int></value>");
            let value = if has("system.listSystemGroupsForSystemsWithEntitlement") {
                let groups: String =
                    ["web", "eu"].iter().map(|name| structure(&[("id", "<int>1</int>"), ("name", name)])).collect();
                let first = structure(&[("id", "<int>1001</int>"), ("system_groups", &list(&groups))]);
                let second = structure(&[("id", "<int>1002</int>"), ("system_groups", &list(""))]);
                list(&format!("{first}{second}"))
            } else if of_systems && has("system.monitoring.listEndpoints") {
                let first = structure(&[
                    ("system_id", "<int>1001</int>"),
                    ("endpoint_name", "node"),
                    ("port", "<int>9100</int>"),
                    ("path", "/metrics"),
                    ("module", "mod"),
                    ("exporter_name", "node_exporter"),
                    ("tls_enabled", "<boolean>1</boolean>"),
                ]);
                let second = structure(&[("system_id", "<int>1002</int>"), ("port", "<int>80</int>")]);
                list(&format!("{first}{second}"))
            } else if of_systems && has("system.getNetworkForSystems") {
                list(&structure(&[
                    ("system_id", "<int>1001</int>"),
                    ("hostname", "minion-1"),
                    ("primary_fqdn", "minion-1.test"),
                    ("ip", "10.13.0.1"),
                ]))
            } else {
                return None;
            };
            format!("<value>{value}</value>")
        };
        let body =
            format!("<?xml version=\"1.0\"?><methodResponse><params><param>{value}</param></params></methodResponse>");
        Some(("Content-Type: text/xml\r\n".to_owned(), body))
    }

    fn uyuni(server: &str) -> Uyuni {
        let text =
            format!("uyuni_sd_configs: [{{server: '{server}', username: u, password: hunter2, separator: ';'}}]");
        let config::SdConfig::Uyuni(config) = sd(&text) else { panic!() };
        Uyuni::new(&config, &context())
    }

    #[tokio::test]
    async fn endpoints_become_targets() {
        let server = Recorded::start_with(said);
        let mut uyuni = uyuni(&server.url);
        let groups = uyuni.list().await.unwrap();
        assert_eq!(groups[0].source, format!("{}/rpc/api", server.url));
        assert_eq!(
            recorded::shown(&groups[0]),
            [
                r#"{__address__=":80", __meta_uyuni_scheme="http", __meta_uyuni_system_id="1002"}"#,
                r#"{__address__="minion-1:9100", __meta_uyuni_endpoint_name="node", __meta_uyuni_exporter="node_exporter", __meta_uyuni_groups="web;eu", __meta_uyuni_metrics_path="/metrics", __meta_uyuni_minion_hostname="minion-1", __meta_uyuni_primary_fqdn="minion-1.test", __meta_uyuni_proxy_module="mod", __meta_uyuni_scheme="https", __meta_uyuni_system_id="1001"}"#,
            ]
        );
        uyuni.list().await.unwrap();
        let n_logins = server.asked().iter().filter(|asked| asked.body.contains("auth.login")).count();
        assert_eq!((n_logins, server.asked().len()), (1, 7), "the token is used again");
    }

    #[tokio::test]
    async fn a_token_that_is_refused_is_asked_for_again() {
        let server = Recorded::start_with(|asked| if asked.body.contains("auth.login") { said(asked) } else { None });
        let mut uyuni = uyuni(&server.url);
        let error = uyuni.list().await.unwrap_err();
        assert!(error.starts_with("unable to get the managed system groups information"), "{error}");
        assert!(uyuni.token.is_none());
        drop(server);
        let error = uyuni.list().await.unwrap_err();
        assert!(error.starts_with("unable to login to Uyuni API: "), "{error}");
    }
}
