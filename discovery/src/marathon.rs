//! `marathon_sd_configs`: apps of Marathon, a group for each (upstream: `discovery/marathon`).

use config::{MarathonSdConfig, Secret};
use http::header::HeaderMap;
use model::{TargetGroup, TargetLabels, Timestamp};
use serde_json::Value;

use crate::api::{Api, headers, url_of};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::Meta;
use crate::refresh::{List, Listed, refresh_interval, refreshed};

const PREFIX: &str = "__meta_marathon_";

pub(crate) fn new(config: &MarathonSdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(Marathon::new(config, context), config.refresh_interval_ms, context)
}

struct Marathon {
    config: MarathonSdConfig,
    api: Api,
}

/// A port of an app: its number, which is 0 if the tasks say it, and the labels of its definition.
struct Port<'a> {
    number: i64,
    labels: Option<(&'static str, &'a Value)>,
}

impl Marathon {
    fn new(config: &MarathonSdConfig, context: &Context) -> Self {
        let api = Api::new(&config.http, refresh_interval(config.refresh_interval_ms), context);
        Self { config: config.clone(), api }
    }

    /// The token of DC/OS, read from its file for every request.
    async fn token(&self) -> Result<HeaderMap, String> {
        let token = match (&self.config.auth_token, &self.config.auth_token_file) {
            (None, None) => return Ok(HeaderMap::new()),
            (Some(token), _) => Secret::expose(token).to_owned(),
            (None, Some(path)) => {
                let text = tokio::fs::read_to_string(path).await;
                let text =
                    text.map_err(|error| format!("unable to read auth token file {}: {error}", path.display()))?;
                text.trim().to_owned()
            }
        };
        headers([("authorization", format!("token={token}").as_str())])
    }

    /// Any of the servers, and not always the same.
    fn server(&self) -> &str {
        let servers = &self.config.servers;
        let n = u64::try_from(Timestamp::now().0).unwrap_or_default() % servers.len().max(1) as u64;
        usize::try_from(n).ok().and_then(|n| servers.get(n)).map(String::as_str).unwrap_or_default()
    }
}

impl List for Marathon {
    const MECHANISM: &'static str = "marathon";

    async fn list(&mut self) -> Listed {
        let url = url_of(self.server(), "/v2/apps/", &[("embed", "apps.tasks")])?;
        let apps = self.api.object(&url, &self.token().await?).await?;
        Ok(apps.items("/apps").iter().map(group).collect())
    }
}

fn group(app: &Value) -> TargetGroup {
    let mut common = Meta::new(PREFIX);
    common.texts(app, &[("app", "/id"), ("image", "/container/docker/image")]);
    common.members("app_label_", app.at("/labels"));
    TargetGroup { source: app.text("/id"), labels: common.labels(), targets: targets(app) }
}

/// A target for each port of each task.
fn targets(app: &Value) -> Vec<TargetLabels> {
    let in_container_network = app.str("/networks/0/mode") == "container";
    let defined = defined_ports(app, in_container_network);
    let mut targets = Vec::new();
    // Ports that only the tasks say are the same for all of them.
    let mut of_tasks: &[Value] = &[];
    for task in app.items("/tasks") {
        let own = task.items("/ports");
        if of_tasks.is_empty() {
            of_tasks = own;
        }
        let number = |port: &Value| port.as_i64().unwrap_or_default();
        let ports: Vec<Port<'_>> = if defined.is_empty() {
            of_tasks.iter().map(|port| Port { number: number(port), labels: None }).collect()
        } else {
            defined.iter().map(|port| Port { number: port.number, labels: port.labels }).collect()
        };
        for (index, port) in ports.iter().enumerate() {
            let chosen = own.get(index).filter(|_| port.number == 0 && own.len() == ports.len());
            let mut meta = Meta::new(PREFIX);
            meta.set("task", task.text("/id"));
            meta.set("port_index", index.to_string());
            if let Some((name, labels)) = port.labels {
                meta.members(name, labels);
            }
            let inner = task.str("/ipAddresses/0/ipAddress");
            let has_inner = in_container_network && !task.items("/ipAddresses").is_empty();
            let host = if has_inner { inner } else { task.str("/host") };
            meta.address(host, chosen.map_or(port.number, number));
            targets.push(meta.target());
        }
    }
    targets
}

/// The ports that the app defines, in the place where its version of Marathon has them.
fn defined_ports(app: &Value, in_container_network: bool) -> Vec<Port<'_>> {
    let mappings = [app.items("/container/portMappings"), app.items("/container/docker/portMappings")];
    let at = if in_container_network { "/containerPort" } else { "/hostPort" };
    if let Some(mappings) = mappings.into_iter().find(|mappings| !mappings.is_empty()) {
        let label = |mapping| Some(("port_mapping_label_", Value::at(mapping, "/labels")));
        return mappings.iter().map(|mapping| Port { number: mapping.int(at), labels: label(mapping) }).collect();
    }
    // Without `requirePorts` the number is not the one that is listened at.
    let is_required = app.is("/requirePorts");
    let definitions = app.items("/portDefinitions").iter();
    definitions
        .map(|definition| Port {
            number: if is_required { definition.int("/port") } else { 0 },
            labels: Some(("port_definition_label_", definition.at("/labels"))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::recorded::{Recorded, context, sd, shown};

    #[tokio::test]
    async fn apps_become_groups() {
        let apps = r#"{"apps":[
            {"id":"/shop","labels":{"team.name":"web"},"container":{"docker":{"image":"shop:1"}},"networks":[{"mode":"host"}],
             "portDefinitions":[{"port":0,"labels":{"metrics":"yes"}},{"port":0}],
             "tasks":[{"id":"shop.1","host":"agent-1","ports":[31000,31001]}]},
            {"id":"/idle","tasks":[]}]}"#;
        let server = Recorded::start(&[("GET /v2/apps/?embed=apps.tasks", apps)]);
        let text = format!("marathon_sd_configs: [{{servers: ['{0}', '{0}'], auth_token: hunter2}}]", server.url);
        let config::SdConfig::Marathon(config) = sd(&text) else { panic!() };
        let groups = Marathon::new(&config, &context()).list().await.unwrap();
        assert_eq!(groups.iter().map(|group| group.source.as_str()).collect::<Vec<_>>(), ["/shop", "/idle"]);
        let app =
            r#"__meta_marathon_app="/shop", __meta_marathon_app_label_team_name="web", __meta_marathon_image="shop:1""#;
        assert_eq!(
            shown(&groups[0]),
            [
                format!(
                    r#"{{__address__="agent-1:31000", {app}, __meta_marathon_port_definition_label_metrics="yes", __meta_marathon_port_index="0", __meta_marathon_task="shop.1"}}"#
                ),
                format!(
                    r#"{{__address__="agent-1:31001", {app}, __meta_marathon_port_index="1", __meta_marathon_task="shop.1"}}"#
                ),
            ]
        );
        assert!(server.asked()[0].head.to_lowercase().contains("authorization: token=hunter2\r\n"));
    }

    /// Addresses of an app with one task, whose ports are 31000 and up.
    fn addresses(mut app: Value, n_ports: i64) -> Vec<String> {
        let ports: Vec<i64> = (0..n_ports).map(|n| 31_000 + n).collect();
        app["tasks"] =
            json!([{"id": "t", "host": "agent", "ports": ports, "ipAddresses": [{"ipAddress": "10.0.0.1"}]}]);
        let group = group(&app);
        group.targets.iter().map(|target| target.own.value("__address__").to_owned()).collect()
    }

    #[test]
    fn ports_are_where_each_version_of_marathon_has_them() {
        let mapping = json!([{"containerPort": 80, "hostPort": 0, "labels": {"a": "b"}}, {"containerPort": 81, "hostPort": 32000}]);
        let new = |mode: &str| json!({"container": {"portMappings": mapping}, "networks": [{"mode": mode}]});
        for (app, n_ports, expected) in [
            (json!({}), 2, vec!["agent:31000", "agent:31001"]),
            (json!({}), 0, vec![]),
            (new("container/bridge"), 2, vec!["agent:31000", "agent:32000"]),
            (new("container/bridge"), 1, vec!["agent:0", "agent:32000"]),
            (new("container"), 0, vec!["10.0.0.1:80", "10.0.0.1:81"]),
            (json!({"container": {"docker": {"portMappings": mapping}}}), 2, vec!["agent:31000", "agent:32000"]),
            (json!({"portDefinitions": [{"port": 8080}], "requirePorts": true}), 1, vec!["agent:8080"]),
            (json!({"portDefinitions": [{"port": 8080}]}), 1, vec!["agent:31000"]),
        ] {
            assert_eq!(addresses(app.clone(), n_ports), expected, "{app}");
        }
        let labelled = group(&json!({"container": {"portMappings": mapping}, "tasks": [{"host": "a"}]}));
        assert_eq!(labelled.targets[0].own.value("__meta_marathon_port_mapping_label_a"), "b");
    }
}
