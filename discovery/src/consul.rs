//! `consul_sd_configs`: the catalog of services and the health of each are followed by blocking queries (upstream:
//! `discovery/consul`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use config::ConsulSdConfig;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::header::{HeaderMap, HeaderName};
use model::{TargetGroup, TargetLabels, Timestamp};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use url::Url;

use crate::api::{Api, headers, shown, url_of};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, separated};
use crate::metrics::ConsulMetrics;
use crate::store::Publisher;

/// Consul answers a blocking query after this time even if nothing changed.
const WAIT: Duration = Duration::from_secs(120);
/// How much later an answer may come.
const LATE: Duration = Duration::from_secs(15);
/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(15);
/// Header of an answer: the state that it shows.
const INDEX: HeaderName = HeaderName::from_static("x-consul-index");

pub(crate) fn new(config: &ConsulSdConfig, context: &Context) -> Box<dyn Discoverer> {
    Box::new(Consul::new(config, context))
}

/// A Consul server and the settings of its queries.
struct Consul {
    config: ConsulSdConfig,
    api: Api,
    metrics: ConsulMetrics,
    /// Two questions for the same thing have at least so much time between them.
    interval: Duration,
}

/// What is followed and not known now, by the name of the service, or without one the catalog: since when, and why if it failed.
type Behind = BTreeMap<String, (Timestamp, Option<String>)>;

/// One discovery that runs.
struct Watch {
    consul: Consul,
    publisher: Publisher,
    behind: Mutex<Behind>,
}

impl Discoverer for Consul {
    fn run(self: Box<Self>, publisher: Publisher) -> BoxFuture<'static, ()> {
        let watch = Watch { consul: *self, publisher, behind: Mutex::default() };
        run(Arc::new(watch)).boxed()
    }
}

async fn run(watch: Arc<Watch>) {
    let datacenter = loop {
        match watch.consul.datacenter().await {
            Ok(datacenter) => break datacenter,
            Err(error) => {
                watch.consul.metrics.failures.inc();
                watch.report("", Err(error));
            }
        }
        tokio::time::sleep(RETRY).await;
    };
    watch.report("", Ok(()));
    let config = &watch.consul.config;
    // Ends with this future.
    let mut services = JoinSet::new();
    if config.services.is_empty() || !config.tags.is_empty() || !config.filter.is_empty() {
        return follow_catalog(&watch, &datacenter, &mut services).await;
    }
    config.services.iter().for_each(|name| watch.begin(name));
    watch.tell();
    for name in &config.services {
        services.spawn(follow_service(Arc::clone(&watch), name.clone(), datacenter.clone()));
    }
    services.join_all().await;
}

/// Follows the names of services, and each of those that are wanted.
async fn follow_catalog(watch: &Arc<Watch>, datacenter: &str, tasks: &mut JoinSet<()>) {
    let consul = &watch.consul;
    let mut followed: BTreeMap<String, AbortHandle> = BTreeMap::new();
    let mut index = 0;
    watch.begin("");
    watch.tell();
    loop {
        let began = Instant::now();
        watch.publisher.asks();
        let asked = consul.ask(("/v1/catalog/services", "services"), &mut index, &consul.config.filter, &[]).await;
        // Those that were aborted are held until they are joined.
        while tasks.try_join_next().is_some() {}
        match asked {
            Ok(Some(services)) => {
                for (name, tags) in services.members("") {
                    if consul.is_wanted(name, &tags.strs("")) && !followed.contains_key(name) {
                        watch.begin(name);
                        let task = follow_service(Arc::clone(watch), name.to_owned(), datacenter.to_owned());
                        followed.insert(name.to_owned(), tasks.spawn(task));
                    }
                }
                let known: BTreeSet<&str> = services.members("").map(|(name, _)| name).collect();
                let gone: Vec<String> = followed.keys().filter(|name| !known.contains(&***name)).cloned().collect();
                for name in &gone {
                    if let Some(task) = followed.remove(name) {
                        task.abort();
                    }
                }
                watch.publisher.update(Vec::new(), &gone);
                watch.end(&gone);
                watch.report("", Ok(()));
            }
            Ok(None) => watch.report("", Ok(())),
            Err(error) => watch.failed("", error).await,
        }
        tokio::time::sleep_until(began + consul.interval).await;
    }
}

/// Follows the instances of a service.
async fn follow_service(watch: Arc<Watch>, name: String, datacenter: String) {
    let consul = &watch.consul;
    let path = format!("/v1/health/service/{}", encoded(&name));
    let tags: Vec<(&str, &str)> = consul.config.tags.iter().map(|tag| ("tag", tag.as_str())).collect();
    let mut index = 0;
    loop {
        let began = Instant::now();
        watch.publisher.asks();
        match consul.ask((&path, "service"), &mut index, &consul.config.health_filter, &tags).await {
            Ok(Some(instances)) => {
                watch.publisher.update(vec![consul.group(&name, &datacenter, &instances)], &[]);
                watch.report(&name, Ok(()));
            }
            Ok(None) => watch.report(&name, Ok(())),
            Err(error) => watch.failed(&name, error).await,
        }
        tokio::time::sleep_until(began + consul.interval).await;
    }
}

impl Watch {
    /// Something is followed that was not answered yet.
    fn begin(&self, name: &str) {
        self.behind.lock().entry(name.to_owned()).or_insert((Timestamp::now(), None));
    }

    /// These are not followed any more.
    fn end(&self, names: &[String]) {
        self.behind.lock().retain(|name, _| !names.contains(name));
    }

    /// It was answered, or not.
    fn report(&self, name: &str, answered: Result<(), String>) {
        match answered {
            Ok(()) => drop(self.behind.lock().remove(name)),
            Err(error) => {
                let mut behind = self.behind.lock();
                behind.entry(name.to_owned()).or_insert((Timestamp::now(), None)).1 = Some(error);
            }
        }
        self.tell();
    }

    async fn failed(&self, name: &str, error: String) {
        self.consul.metrics.failures.inc();
        let what = if name.is_empty() { "services".to_owned() } else { format!("service {name:?}") };
        self.report(name, Err(format!("{what}: {error}")));
        tokio::time::sleep(RETRY).await;
    }

    fn tell(&self) {
        let behind = self.behind.lock();
        let since = behind.values().map(|(since, _)| *since).min();
        // One is enough: a server that is gone fails for all services alike.
        let error = behind.values().find_map(|(_, error)| error.clone());
        if self.publisher.report_stale(error.clone(), since)
            && let Some(error) = error
        {
            tracing::warn!(mechanism = "consul", %error, "discovery failed; the former target groups are kept, trying again");
        }
    }
}

impl Consul {
    fn new(config: &ConsulSdConfig, context: &Context) -> Self {
        Self {
            config: config.clone(),
            api: Api::new(&config.http, WAIT + LATE, context),
            metrics: context.metrics.consul.clone(),
            interval: Duration::from_millis(u64::try_from(config.refresh_interval_ms).unwrap_or(0).max(1)),
        }
    }

    /// The datacenter: the one that is configured, or that of the server.
    async fn datacenter(&self) -> Result<String, String> {
        if !self.config.datacenter.is_empty() {
            return Ok(self.config.datacenter.clone());
        }
        let answer = self.api.json(&self.url("/v1/agent/self", &[])?, &self.headers()?).await;
        let answer = answer.map_err(|error| format!("cannot find out the datacenter: {error}"))?;
        let name = answer.str("/Config/Datacenter");
        if name.is_empty() { Err("the server does not say its datacenter".to_owned()) } else { Ok(name.to_owned()) }
    }

    /// Asks with a blocking query; `None` if nothing changed since `index`.
    async fn ask(
        &self,
        (path, call): (&str, &str),
        index: &mut u64,
        filter: &str,
        more: &[(&str, &str)],
    ) -> Result<Option<Value>, String> {
        let (state, wait) = (index.to_string(), format!("{}ms", WAIT.as_millis()));
        let node_meta: Vec<String> =
            self.config.node_meta.iter().map(|(name, value)| format!("{name}:{value}")).collect();
        let mut parameters = more.to_vec();
        if *index > 0 {
            parameters.push(("index", &state));
        }
        parameters.push(("wait", &wait));
        if self.config.allow_stale {
            parameters.push(("stale", ""));
        }
        parameters.extend(node_meta.iter().map(|pair| ("node-meta", pair.as_str())));
        parameters.extend((!filter.is_empty()).then_some(("filter", filter)));
        let url = self.url(path, &parameters)?;
        let began = Instant::now();
        let answered = self.api.get(&url, &self.headers()?).await;
        self.metrics.duration.with_label_values(&["catalog", call]).observe(began.elapsed().as_secs_f64());
        let answer = answered?.success()?;
        let new: u64 = answer.header(&INDEX).parse().unwrap_or_default();
        let body = answer.json(&url)?;
        let expected = if call == "services" { body.expect_object() } else { body.expect_list() };
        expected.map_err(|error| format!("{}: {error}", shown(&url)))?;
        if new == *index && new > 0 {
            return Ok(None);
        }
        // One that goes back is that of another server, or of one that lost its state.
        *index = if new < *index { 0 } else { new };
        Ok(Some(body))
    }

    fn url(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Url, String> {
        let ConsulSdConfig { server, scheme, path_prefix, datacenter, namespace, partition, .. } = &self.config;
        let (scheme, host) = match server.split_once("://") {
            // The scheme of the section may be the stronger one, and is not taken back.
            Some(("http", host)) => (scheme.as_str(), host),
            Some((scheme, host)) => (scheme, host),
            None => (scheme.as_str(), server.as_str()),
        };
        let prefix = path_prefix.trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        let scope = [("dc", datacenter), ("ns", namespace), ("partition", partition)];
        let scope = scope.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (*name, value.as_str()));
        let parameters: Vec<(&str, &str)> = scope.chain(parameters.iter().copied()).collect();
        url_of(&format!("{scheme}://{host}{slash}{prefix}"), path, &parameters)
    }

    fn headers(&self) -> Result<HeaderMap, String> {
        let token = self.config.token.as_ref().map(|token| ("x-consul-token", token.expose()));
        headers(token.into_iter().chain([("accept", "application/json")]))
    }

    fn is_wanted(&self, name: &str, tags: &[&str]) -> bool {
        let ConsulSdConfig { services, tags: wanted, .. } = &self.config;
        (services.is_empty() || services.iter().any(|service| service == name))
            && wanted.iter().all(|tag| tags.contains(&tag.as_str()))
    }

    fn group(&self, name: &str, datacenter: &str, instances: &Value) -> TargetGroup {
        let mut common = Meta::new("__meta_consul_");
        common.set("service", name);
        common.set("dc", datacenter);
        let targets = instances.items("").iter().map(|instance| self.target(instance)).collect();
        TargetGroup { source: name.to_owned(), labels: common.labels(), targets }
    }

    fn target(&self, instance: &Value) -> TargetLabels {
        let mut meta = Meta::new("__meta_consul_");
        meta.texts(
            instance,
            &[
                ("address", "/Node/Address"),
                ("node", "/Node/Node"),
                ("namespace", "/Service/Namespace"),
                ("partition", "/Service/Partition"),
                ("service_address", "/Service/Address"),
                ("service_id", "/Service/ID"),
            ],
        );
        let port = instance.number("/Service/Port");
        // A service may be registered by another node than the one it runs on.
        let own = instance.str("/Service/Address");
        meta.address(if own.is_empty() { instance.str("/Node/Address") } else { own }, &port);
        meta.set("service_port", port);
        meta.set("health", health(instance.items("/Checks")));
        // Without tags, too, the separators are there.
        let separator = &self.config.tag_separator;
        let tags = instance.strs("/Service/Tags");
        let tags = if tags.is_empty() { separator.repeat(2) } else { separated(separator, &tags) };
        meta.set("tags", tags);
        meta.members("metadata_", instance.at("/Node/Meta"));
        meta.members("service_metadata_", instance.at("/Service/Meta"));
        meta.members("tagged_address_", instance.at("/Node/TaggedAddresses"));
        meta.target()
    }
}

/// The worst of all checks.
fn health(checks: &[Value]) -> &'static str {
    let is_maintenance = |check: &Value| {
        let id = check.str("/CheckID");
        id == "_node_maintenance" || id.starts_with("_service_maintenance:")
    };
    if checks
        .iter()
        .filter(|check| !is_maintenance(check))
        .any(|check| !matches!(check.str("/Status"), "passing" | "warning" | "critical"))
    {
        return "";
    }
    if checks.iter().any(is_maintenance) {
        return "maintenance";
    }
    let worst = ["critical", "warning"];
    worst.into_iter().find(|status| checks.iter().any(|check| check.str("/Status") == *status)).unwrap_or("passing")
}

/// A part of a path.
fn encoded(name: &str) -> String {
    // As `url.PathEscape`, but that what is left is encoded with the URL.
    name.replace('%', "%25").replace('/', "%2F").replace('?', "%3F").replace('#', "%23")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::recorded::{self, Recorded, context, sd};

    fn consul(fields: &str) -> Consul {
        let config::SdConfig::Consul(config) = sd(&format!("consul_sd_configs: [{{{fields}}}]")) else { panic!() };
        Consul::new(&config, &context())
    }

    /// An answer as Consul gives it, with names of our own.
    fn instances() -> Value {
        json!([
            {
                "Node": {
                    "ID": "b78c2e48", "Node": "rack1-n7", "Address": "10.1.0.7", "Datacenter": "north",
                    "TaggedAddresses": {"lan": "192.168.10.7", "wan": "203.0.113.7"}, "Meta": {"rack.name": "1", "empty": ""}
                },
                "Service": {
                    "ID": "shop-1", "Service": "shop", "Tags": ["v2", "green"], "Address": "", "Port": 3341,
                    "Meta": {"version": "2.0", "env-name": "stage"}, "Namespace": "team-a", "Partition": "p1"
                },
                "Checks": [{"CheckID": "serfHealth", "Status": "passing"}, {"CheckID": "c", "Status": "warning"}]
            },
            {
                "Node": {"Node": "rack1-n8", "Address": "10.1.0.8", "TaggedAddresses": null, "Meta": null},
                "Service": {"ID": "shop-2", "Service": "shop", "Tags": [], "Address": "fd00::8", "Port": 80},
                "Checks": []
            }
        ])
    }

    #[test]
    fn instances_become_targets() {
        let group = consul("server: 'c:1'").group("shop", "north", &instances());
        assert_eq!(group.source, "shop");
        assert_eq!(
            recorded::shown(&group),
            [
                r#"{__address__="10.1.0.7:3341", __meta_consul_address="10.1.0.7", __meta_consul_dc="north", __meta_consul_health="warning", __meta_consul_metadata_rack_name="1", __meta_consul_namespace="team-a", __meta_consul_node="rack1-n7", __meta_consul_partition="p1", __meta_consul_service="shop", __meta_consul_service_id="shop-1", __meta_consul_service_metadata_env_name="stage", __meta_consul_service_metadata_version="2.0", __meta_consul_service_port="3341", __meta_consul_tagged_address_lan="192.168.10.7", __meta_consul_tagged_address_wan="203.0.113.7", __meta_consul_tags=",v2,green,"}"#,
                r#"{__address__="[fd00::8]:80", __meta_consul_address="10.1.0.8", __meta_consul_dc="north", __meta_consul_health="passing", __meta_consul_node="rack1-n8", __meta_consul_service="shop", __meta_consul_service_address="fd00::8", __meta_consul_service_id="shop-2", __meta_consul_service_port="80", __meta_consul_tags=",,"}"#,
            ]
        );
    }

    #[test]
    fn the_worst_check_counts() {
        for (checks, expected) in [
            (json!([]), "passing"),
            (json!([{"Status": "passing"}, {"Status": "critical"}, {"Status": "warning"}]), "critical"),
            (json!([{"Status": "critical", "CheckID": "_node_maintenance"}]), "maintenance"),
            (json!([{"Status": "x", "CheckID": "_service_maintenance:a"}, {"Status": "critical"}]), "maintenance"),
            (json!([{"Status": "passing"}, {"Status": "new"}]), ""),
        ] {
            assert_eq!(health(checks.items("")), expected, "{checks}");
        }
    }

    #[test]
    fn services_are_chosen_by_name_and_tags() {
        let all = consul("server: 'c:1'");
        assert!(all.is_wanted("a", &[]) && all.is_wanted("b", &["x"]));
        let some = consul("server: 'c:1', services: [a], tags: [x, y]");
        assert!(some.is_wanted("a", &["y", "z", "x"]) && !some.is_wanted("a", &["x"]));
        assert!(!some.is_wanted("b", &["x", "y"]));
    }

    #[tokio::test]
    async fn questions_say_what_is_wanted() {
        let server = Recorded::start_with(|asked| {
            assert!(asked.head.to_lowercase().contains("x-consul-token: secret\r\n"), "{}", asked.head);
            Some(("X-Consul-Index: 42\r\n".to_owned(), "[]".to_owned()))
        });
        let host = server.url.trim_start_matches("http://");
        let consul = consul(&format!(
            "server: '{host}', path_prefix: /consul/, token: secret, datacenter: north, namespace: ns, partition: pt, \
             node_meta: {{rack: '1'}}, health_filter: 'Service.Port > 1', tags: [x, y]"
        ));
        let mut index = 0;
        let tags = [("tag", "x"), ("tag", "y")];
        for expected in ["", "index=42&"] {
            let path = format!("/v1/health/service/{}", encoded("a/b c"));
            let answer = consul.ask((&path, "service"), &mut index, &consul.config.health_filter, &tags).await.unwrap();
            assert_eq!((answer.is_some(), index), (expected.is_empty(), 42));
            let line = format!(
                "GET /consul/v1/health/service/a%2Fb%20c?dc=north&ns=ns&partition=pt&tag=x&tag=y&{expected}wait=120000ms&stale=\
                 &node-meta=rack%3A1&filter=Service.Port+%3E+1"
            );
            assert_eq!(server.lines().last(), Some(&line));
        }
        // The server lost its state.
        index = 100;
        assert!(consul.ask(("/v1/x", "service"), &mut index, "", &[]).await.unwrap().is_some());
        assert_eq!(index, 0);
        let error = consul.ask(("/v1/x", "services"), &mut index, "", &[]).await.unwrap_err();
        assert!(error.ends_with("the answer is not an object"), "{error}");
    }
}
