//! `kuma_sd_configs`: monitoring assignments of Kuma, by long polling of xDS in JSON (upstream: `discovery/xds`).

use std::time::Duration;

use config::KumaSdConfig;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::StatusCode;
use model::{TargetGroup, TargetLabels, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api::{Api, headers, url_of};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::metrics::KumaMetrics;
use crate::store::Publisher;

/// The type of the resources.
const TYPE: &str = "type.googleapis.com/kuma.observability.v1.MonitoringAssignment";
/// How much later than the control plane is told an answer may come.
const LATE: Duration = Duration::from_secs(15);

pub(crate) fn new(config: &KumaSdConfig, context: &Context) -> Box<dyn Discoverer> {
    Box::new(Kuma::new(config, context))
}

struct Kuma {
    config: KumaSdConfig,
    api: Api,
    metrics: KumaMetrics,
    /// Two requests have at least so much time between them.
    interval: Duration,
    /// What the control plane said last: the version of the resources and the answer.
    version: String,
    nonce: String,
}

impl Discoverer for Kuma {
    fn run(self: Box<Self>, publisher: Publisher) -> BoxFuture<'static, ()> {
        run(*self, publisher).boxed()
    }
}

async fn run(mut kuma: Kuma, publisher: Publisher) {
    let mut complete_at = Timestamp::now();
    loop {
        let began = Instant::now();
        publisher.asks();
        let fetched = kuma.fetch().await;
        kuma.metrics.duration.observe(began.elapsed().as_secs_f64());
        match fetched {
            Ok(found) => {
                match found {
                    Some(group) => publisher.replace(vec![group]),
                    None => kuma.metrics.skipped.inc(),
                }
                complete_at = Timestamp::now();
                publisher.report(None);
            }
            Err(error) => {
                kuma.metrics.failures.inc();
                if publisher.report_stale(Some(error.clone()), Some(complete_at)) {
                    tracing::warn!(mechanism = "kuma", %error, "discovery failed; the former target groups are kept, trying again");
                }
            }
        }
        tokio::time::sleep_until(began + kuma.interval).await;
    }
}

impl Kuma {
    fn new(config: &KumaSdConfig, context: &Context) -> Self {
        let milliseconds = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0).max(1));
        Self {
            api: Api::new(&config.http, milliseconds(config.fetch_timeout_ms) + LATE, context),
            metrics: context.metrics.kuma.clone(),
            interval: milliseconds(config.refresh_interval_ms),
            config: config.clone(),
            version: String::new(),
            nonce: String::new(),
        }
    }

    /// All targets; `None` if nothing changed.
    async fn fetch(&mut self) -> Result<Option<TargetGroup>, String> {
        let timeout = model::duration::format_duration_ms(self.config.fetch_timeout_ms);
        let url = url_of(&self.config.server, "/v3/discovery:monitoringassignments", &[("fetch-timeout", &timeout)])?;
        let id = match self.config.client_id.as_str() {
            "" => host_name(),
            id => id.to_owned(),
        };
        // Without what is empty, as protobuf has it in JSON.
        let mut request = json!({"node": {"id": id}, "type_url": TYPE});
        for (name, value) in [("version_info", &self.version), ("response_nonce", &self.nonce)] {
            if !value.is_empty() {
                request[name] = Value::from(value.as_str());
            }
        }
        let headers = headers([("accept", "application/json"), ("content-type", "application/json")])?;
        let answer = self.api.post(&url, &headers, request.to_string().into_bytes()).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let answer = answer.success()?.json(&url)?;
        let targets = targets(&answer)?;
        self.version = either(&answer, "/versionInfo", "/version_info").to_owned();
        self.nonce = answer.text("/nonce");
        Ok(Some(group("kuma", targets)))
    }
}

/// The name of this host.
fn host_name() -> String {
    let name = hostname::get().ok().and_then(|name| name.into_string().ok());
    // Upstream's word where the host has none.
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "prometheus".to_owned())
}

/// JSON of protobuf may have either spelling of a name.
fn either<'v>(value: &'v Value, camel: &str, snake: &str) -> &'v str {
    if value.at(camel).is_null() { value.str(snake) } else { value.str(camel) }
}

fn targets(answer: &Value) -> Result<Vec<TargetLabels>, String> {
    let kind = either(answer, "/typeUrl", "/type_url");
    if kind != TYPE {
        return Err(format!("received invalid typeURL for Kuma MADS v1 Resource: {kind}"));
    }
    let mut targets = Vec::new();
    for assignment in answer.items("/resources") {
        if assignment.str("/@type") != TYPE {
            return Err(format!("unexpected type of a resource: {:?}", assignment.str("/@type")));
        }
        for target in assignment.items("/targets") {
            let mut meta = Meta::new("__meta_kuma_");
            meta.members("label_", target.at("/labels"));
            // Those of the assignment win.
            meta.members("label_", assignment.at("/labels"));
            meta.texts(assignment, &[("mesh", "/mesh"), ("service", "/service")]);
            meta.texts(target, &[("dataplane", "/name")]);
            meta.plain("instance", target.text("/name"));
            meta.plain(model::labels::ADDRESS, target.text("/address"));
            meta.plain("__scheme__", target.text("/scheme"));
            meta.plain("__metrics_path__", either(target, "/metricsPath", "/metrics_path"));
            targets.push(meta.target());
        }
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context, sd, shown};

    const ASSIGNMENTS: &str = r#"{"versionInfo":"v-7","nonce":"n-1","typeUrl":"type.googleapis.com/kuma.observability.v1.MonitoringAssignment",
        "resources":[
          {"@type":"type.googleapis.com/kuma.observability.v1.MonitoringAssignment","mesh":"main","service":"shop",
           "labels":{"kuma.io/zone":"north","commit":"all"},
           "targets":[{"name":"shop-1","scheme":"https","address":"10.11.0.1:9090","metricsPath":"/m","labels":{"commit":"1","role":"a"}},
                      {"name":"shop-2","scheme":"http","address":"10.11.0.2:9090","metrics_path":"/n"}]},
          {"@type":"type.googleapis.com/kuma.observability.v1.MonitoringAssignment","mesh":"main","service":"idle","targets":[]}]}"#;

    fn kuma(url: &str) -> Kuma {
        let text = format!("kuma_sd_configs: [{{server: '{url}', client_id: me, fetch_timeout: 90s}}]");
        let config::SdConfig::Kuma(config) = sd(&text) else { panic!() };
        Kuma::new(&config, &context())
    }

    #[tokio::test]
    async fn assignments_become_targets() {
        let server = Recorded::start_with(|_| Some((String::new(), ASSIGNMENTS.to_owned())));
        let mut kuma = kuma(&format!("{}/base/", server.url));
        let group = kuma.fetch().await.unwrap().unwrap();
        assert_eq!(group.source, "kuma");
        assert_eq!(
            shown(&group),
            [
                r#"{__address__="10.11.0.1:9090", __meta_kuma_dataplane="shop-1", __meta_kuma_label_commit="all", __meta_kuma_label_kuma_io_zone="north", __meta_kuma_label_role="a", __meta_kuma_mesh="main", __meta_kuma_service="shop", __metrics_path__="/m", __scheme__="https", instance="shop-1"}"#,
                r#"{__address__="10.11.0.2:9090", __meta_kuma_dataplane="shop-2", __meta_kuma_label_commit="all", __meta_kuma_label_kuma_io_zone="north", __meta_kuma_mesh="main", __meta_kuma_service="shop", __metrics_path__="/n", __scheme__="http", instance="shop-2"}"#,
            ]
        );
        kuma.fetch().await.unwrap().unwrap();
        let asked = server.asked();
        assert_eq!(asked[0].line, "POST /base/v3/discovery:monitoringassignments?fetch-timeout=1m30s");
        let body = |n: usize| serde_json::from_str::<Value>(&asked[n].body).unwrap();
        assert_eq!(body(0), json!({"node": {"id": "me"}, "type_url": TYPE}));
        assert_eq!(
            body(1),
            json!({"node": {"id": "me"}, "type_url": TYPE, "version_info": "v-7", "response_nonce": "n-1"})
        );
    }

    #[test]
    fn other_resources_are_refused() {
        let error = targets(&json!({"typeUrl": "type.googleapis.com/x"})).unwrap_err();
        assert_eq!(error, "received invalid typeURL for Kuma MADS v1 Resource: type.googleapis.com/x");
        assert!(targets(&json!({"type_url": TYPE, "resources": [{"@type": "y"}]})).is_err());
        assert!(targets(&json!({"type_url": TYPE})).unwrap().is_empty());
    }
}
