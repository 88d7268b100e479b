//! Objects to the configuration that Prometheus-Operator 0.93 generates for the newest Prometheus that it knows.
//!
//! Upstream: `pkg/prometheus/promcfg.go`. Each file here implements one part of it and names the upstream functions that it
//! follows.

mod additional;
mod alerting;
mod global;
mod http;
mod kubernetes_sd;
mod limits;
mod pod_monitor;
mod probe;
mod prometheus_rule;
mod remote;
mod rules;
mod scrape_config;
mod sd_fields;
mod service_monitor;
mod sharding;
mod telemetry;

use config::Yaml;

pub(crate) use http::TLS_ASSETS;
pub use rules::Origin;

use crate::assets::{Assets, NamespacedAssets};
use crate::document::Mapping;
use crate::objects::{
    ApiServerConfig, GROUP, Kind, Meta, ObjectRef, PodMonitor, Probe, Prometheus, PrometheusSpec, ScrapeClass,
    ScrapeConfig, ServiceMonitor,
};
use rules::Rules;

/// What the cluster and the deployment are like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The API server serves `discovery.k8s.io/v1`.
    pub endpoint_slices: bool,
    /// Each node has a server, which scrapes the pods of that node.
    pub daemon_set: bool,
    /// The feature `PrometheusTopologySharding`: shards per zone.
    pub topology_sharding: bool,
    /// The feature `PrometheusShardRetentionPolicy`: shards that are no longer in use scrape nothing.
    pub shard_retention: bool,
    /// Pods carry the label of their zone (Kubernetes 1.35).
    pub pod_topology_labels: bool,
}

/// A job that an object asks for.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name, which is that of the scrape pool.
    pub name: String,
    /// Who asks for it; `None` is `additionalScrapeConfigs` of the Prometheus object.
    pub object: Option<ObjectRef>,
    /// The `scrape_config`.
    pub yaml: Yaml,
    /// What asks for each rule of `relabel_configs`.
    pub relabel_origins: Vec<Origin>,
    /// What asks for each rule of `metric_relabel_configs`.
    pub metric_relabel_origins: Vec<Origin>,
}

/// The selected objects.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selected<'a> {
    /// ServiceMonitors.
    pub service_monitors: &'a [ServiceMonitor],
    /// PodMonitors.
    pub pod_monitors: &'a [PodMonitor],
    /// Probes.
    pub probes: &'a [Probe],
    /// ScrapeConfigs.
    pub scrape_configs: &'a [ScrapeConfig],
}

/// Why nothing can be generated for a Prometheus object.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{field}: {message}")]
pub struct GenerateError {
    /// The field of the object.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

impl GenerateError {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// Generates what a Prometheus object and the objects that it selects ask for.
#[derive(Clone, Copy, Debug)]
pub struct Generator<'a> {
    prometheus: &'a Prometheus,
    assets: &'a Assets,
    options: Options,
}

impl<'a> Generator<'a> {
    /// For this object.
    #[must_use]
    pub fn new(prometheus: &'a Prometheus, assets: &'a Assets, options: Options) -> Self {
        Self { prometheus, assets, options }
    }

    /// All jobs, in upstream's order: by kind, and in a kind by namespace, name and endpoint.
    ///
    /// # Errors
    /// When `additionalScrapeConfigs` cannot be read.
    pub fn jobs(&self, selected: Selected<'_>) -> Result<Vec<Job>, GenerateError> {
        let mut jobs = Vec::new();
        for monitor in in_order(selected.service_monitors, |one| &one.metadata) {
            jobs.extend(self.service_monitor(monitor));
        }
        for monitor in in_order(selected.pod_monitors, |one| &one.metadata) {
            jobs.extend(self.pod_monitor(monitor));
        }
        jobs.extend(in_order(selected.probes, |one| &one.metadata).map(|probe| self.probe(probe)));
        let configs = in_order(selected.scrape_configs, |one| &one.metadata);
        jobs.extend(configs.map(|config| self.scrape_config(config)));
        jobs.extend(self.additional_jobs()?);
        Ok(jobs)
    }

    /// The whole configuration with these jobs. `rule_files` are the patterns of rule files, if there are rules.
    ///
    /// # Errors
    /// When the Prometheus object itself is not valid.
    pub fn configuration(&self, jobs: &[Job], rule_files: &[String]) -> Result<Yaml, GenerateError> {
        let mut out = Mapping::default();
        out.put("global", self.global()?);
        out.put_some("runtime", self.runtime());
        if self.spec().rule_selector.is_some() {
            // Upstream writes the list as soon as rules are selected, even if there are none.
            out.put("rule_files", rule_files);
        }
        // Sections in upstream's order, in which people compare the two.
        out.put("scrape_configs", Yaml::List(jobs.iter().map(|job| job.yaml.clone()).collect()));
        out.put_some("storage", self.storage()?);
        out.put_some("alerting", self.alerting()?);
        out.put_some("remote_write", self.remote_write());
        out.put_some("remote_read", self.remote_read());
        out.put_some("otlp", self.otlp()?);
        out.put_some("tracing", self.tracing()?);
        Ok(out.into_yaml())
    }

    fn spec(&self) -> &'a PrometheusSpec {
        &self.prometheus.spec
    }

    /// The assets that an object of this namespace may name.
    fn assets_of(&self, meta: &'a Meta) -> NamespacedAssets<'a> {
        self.assets.in_namespace(&meta.namespace)
    }

    fn api_server(&self) -> Option<&'a ApiServerConfig> {
        self.spec().apiserver_config.as_ref()
    }

    fn shards(&self) -> i64 {
        // Rules divide by it, and upstream takes 0 and less for 1.
        self.spec().shards.unwrap_or(1).max(1)
    }

    /// The scrape class that a monitor names, or else the default one, or else one that sets nothing. With it its place in
    /// the Prometheus object.
    fn scrape_class(&self, name: Option<&String>) -> (ScrapeClass, String) {
        let classes = &self.spec().scrape_classes;
        let named = name.and_then(|name| classes.iter().position(|class| class.name == *name));
        // A name that no class has was refused before; a monitor without a name gets the default class.
        let place = named.or_else(|| classes.iter().position(|class| class.default == Some(true)));
        match place {
            Some(i) => (classes[i].clone(), format!("spec.scrapeClasses[{i}]")),
            None => (ScrapeClass::default(), String::new()),
        }
    }

    /// Is `enforcedNamespaceLabel` set, and does it hold for the object? Upstream: `namespacelabeler.Labeler`.
    fn enforced_label(&self, kind: Kind, meta: &Meta) -> Option<&'a str> {
        let label = Some(self.spec().enforced_namespace_label.as_str()).filter(|label| !label.is_empty())?;
        let is_excluded = self.spec().excluded_from_enforcement.iter().any(|one| {
            // The schema fills in the group; what is written without it has none.
            (one.group.is_empty() || one.group == GROUP)
                && one.resource == kind.resource()
                && one.namespace == meta.namespace
                // No name excludes all objects of the namespace; a namespace has to be given.
                && (one.name.is_empty() || one.name == meta.name)
        });
        (!is_excluded).then_some(label)
    }

    /// Sets the enforced label to the namespace of the object, after all rules of the user.
    fn enforce_namespace(&self, rules: &mut Rules, kind: Kind, meta: &Meta) {
        if let Some(label) = self.enforced_label(kind, meta) {
            rules.set(label, &meta.namespace, Origin::Prometheus("spec.enforcedNamespaceLabel".to_owned()));
        }
    }

    /// The rules for series, of the scrape class and of the object.
    fn metric_rules(
        &self,
        (kind, meta): (Kind, &Meta),
        (class, class_place): (&ScrapeClass, &str),
        rules: &[crate::objects::RelabelConfig],
        field: &str,
    ) -> Rules {
        let mut out = Rules::default();
        // The class first: what the monitor says has the last word. The enforced label comes behind both, so that no rule of
        // a user
        // removes it.
        out.extend(&class.metric_relabelings, |i| Origin::Prometheus(format!("{class_place}.metricRelabelings[{i}]")));
        out.extend(rules, |i| Origin::Field(format!("{field}[{i}]")));
        self.enforce_namespace(&mut out, kind, meta);
        out
    }
}

/// Objects sorted by `<namespace>/<name>`, byte by byte.
fn in_order<T>(objects: &[T], meta: impl Fn(&T) -> &Meta) -> impl Iterator<Item = &T> {
    let mut sorted: Vec<&T> = objects.iter().collect();
    // By the text and not by the pair: `a-b/x` comes before `a/x`.
    sorted.sort_by_key(|object| format!("{}/{}", meta(object).namespace, meta(object).name));
    sorted.into_iter()
}

/// Joins what a job consists of.
fn job(name: String, object: Option<ObjectRef>, mut fields: Mapping, targets: Rules, series: Rules) -> Job {
    let (rules, relabel_origins) = targets.finish();
    fields.put("relabel_configs", rules);
    // Upstream writes the list of target rules even if it is empty, and that of series rules only if it is not.
    let has_series_rules = series.len() > 0;
    let (rules, metric_relabel_origins) = series.finish();
    if has_series_rules {
        fields.put("metric_relabel_configs", rules);
    }
    Job { name, object, yaml: fields.into_yaml(), relabel_origins, metric_relabel_origins }
}
