//! An API server, the operator that follows it, and what they say.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use config::{Config, Defaults, RuleChecks, ScrapeConfig};
use kit::{KubeApi, eventually};
use kube_watch::{ApiServer, Watches};
use operator::{Operator, OperatorOptions, Outcome, Placeholders, RuleLanguage};
use serde_json::{Value, json};

pub(crate) const SERVICE_MONITORS: &str = "/apis/monitoring.coreos.com/v1/servicemonitors";
pub(crate) const POD_MONITORS: &str = "/apis/monitoring.coreos.com/v1/podmonitors";
pub(crate) const PROBES: &str = "/apis/monitoring.coreos.com/v1/probes";
pub(crate) const SCRAPE_CONFIGS: &str = "/apis/monitoring.coreos.com/v1alpha1/scrapeconfigs";
pub(crate) const PROMETHEUS_RULES: &str = "/apis/monitoring.coreos.com/v1/prometheusrules";
pub(crate) const PROMETHEUSES: &str = "/apis/monitoring.coreos.com/v1/prometheuses";
pub(crate) const NAMESPACES: &str = "/api/v1/namespaces";
pub(crate) const EVENTS: &str = "/apis/events.k8s.io/v1/events";
pub(crate) const SECRETS: &str = "/api/v1/secrets";
pub(crate) const CONFIG_MAPS: &str = "/api/v1/configmaps";

/// The configuration of jobs, by name.
pub(crate) type Jobs = BTreeMap<String, Arc<ScrapeConfig>>;

pub(crate) struct World {
    pub(crate) api: KubeApi,
    operator: Arc<Operator>,
    runtime: tokio::runtime::Runtime,
    n_calls: Arc<AtomicUsize>,
    n_fences: AtomicUsize,
}

impl World {
    /// An operator for these objects. Without a Prometheus object everything is selected.
    pub(crate) fn new(objects: &[(&str, Value)]) -> Self {
        Self::with(objects, |_, _| {})
    }

    /// The same with the Prometheus object `monitoring/main`.
    pub(crate) fn of_prometheus(objects: &[(&str, Value)]) -> Self {
        let asked = Some(("monitoring".to_owned(), "main".to_owned()));
        Self::with(objects, |_, options| options.prometheus = asked)
    }

    /// The same with what is set before the operator starts.
    pub(crate) fn with(objects: &[(&str, Value)], set: impl FnOnce(&KubeApi, &mut OperatorOptions)) -> Self {
        // kube needs the process' default provider of TLS, even for plain HTTP.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let api = KubeApi::start();
        for collection in [
            SERVICE_MONITORS,
            POD_MONITORS,
            PROBES,
            SCRAPE_CONFIGS,
            PROMETHEUS_RULES,
            PROMETHEUSES,
            NAMESPACES,
            SECRETS,
            CONFIG_MAPS,
        ] {
            api.serve(collection);
        }
        objects.iter().for_each(|(collection, object)| api.put(collection, object));
        let server = ApiServer { api_server: Some(format!("http://{}", api.addr)), ..ApiServer::default() };
        let placeholders = Placeholders::new([("SHARD", "0".to_owned()), ("POD_NAME", "weft-0".to_owned())]);
        let mut options = OperatorOptions { server, placeholders, ..OperatorOptions::default() };
        options.own_namespace = "monitoring".to_owned();
        set(&api, &mut options);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let n_calls = Arc::new(AtomicUsize::new(0));
        let operator = {
            let _guard = runtime.enter();
            Arc::new(Operator::new(Watches::new(&prometheus::Registry::new()).unwrap(), options, Arc::new(Language)))
        };
        let world = Self { api, operator, runtime, n_calls, n_fences: AtomicUsize::new(0) };
        world.apply("global: {scrape_interval: 20s}");
        let (operator, n_calls) = (Arc::clone(&world.operator), Arc::clone(&world.n_calls));
        world.runtime.spawn(async move {
            let changed = || async {
                n_calls.fetch_add(1, Ordering::SeqCst);
            };
            operator.run(changed).await;
        });
        world
    }

    /// Loads another configuration file.
    pub(crate) fn apply(&self, yaml: &str) -> Arc<Outcome> {
        let file = Config::parse(yaml, Path::new("prometheus.yml"), &|_| None).unwrap();
        let _guard = self.runtime.enter();
        self.operator.apply(&file, &Defaults::default())
    }

    pub(crate) fn put(&self, collection: &str, object: &Value) {
        self.api.put(collection, object);
    }

    pub(crate) fn outcome(&self) -> Arc<Outcome> {
        self.operator.outcome()
    }

    /// How often the configuration became another one.
    pub(crate) fn n_calls(&self) -> usize {
        self.n_calls.load(Ordering::SeqCst)
    }

    /// The outcome once it is as asked for; what is seen instead is text.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, see: impl Fn(&Outcome) -> String, expected: &str) -> Arc<Outcome> {
        eventually(what, || {
            let outcome = self.outcome();
            let seen = see(&outcome);
            if seen == expected { Ok(outcome) } else { Err(format!("\n{seen}\nexpected\n{expected}\n")) }
        })
    }

    /// Waits until the outcome says so of an object, `ServiceMonitor team-a/web`.
    #[track_caller]
    pub(crate) fn says(&self, object: &str, verdict: &str) -> Arc<Outcome> {
        self.until(object, |outcome| verdict_of(outcome, object), verdict)
    }

    /// Waits until these are the names of all jobs, in this order.
    #[track_caller]
    pub(crate) fn runs(&self, names: &[&str]) -> Arc<Outcome> {
        self.until("the jobs", |outcome| names_of(outcome).join("\n"), &names.join("\n"))
    }

    /// Waits until the outcome says so of the Prometheus object; an empty text if there is nothing to say.
    #[track_caller]
    pub(crate) fn prometheus_says(&self, error: &str) -> Arc<Outcome> {
        let see = |outcome: &Outcome| match &outcome.prometheus {
            Some(state) => state.error.clone().unwrap_or_default(),
            None => "not looked for".to_owned(),
        };
        self.until("the Prometheus object", see, error)
    }

    /// Returns once every change of ServiceMonitors before is dealt with, and whoever is told about it has been told.
    pub(crate) fn fence(&self) -> Arc<Outcome> {
        // The second is seen by a later reconciliation than the first, before which what follows from the first is done.
        for _ in 0..2 {
            let n = self.n_fences.fetch_add(1, Ordering::SeqCst);
            let name = format!("fence-{n}");
            let broken = json!({"endpoints": [{"interval": n}]});
            self.put(SERVICE_MONITORS, &object("zz", &name, broken));
            let verdict =
                format!("not valid: spec.endpoints[0].interval: invalid type: integer `{n}`, expected a string");
            self.says(&format!("ServiceMonitor zz/{name}"), &verdict);
        }
        self.outcome()
    }
}

/// A language in which all is valid but `bad`; what is enforced is written behind the expression.
#[derive(Debug)]
struct Language;

impl RuleChecks for Language {
    fn check_expr(&self, expr: &str) -> Result<(), String> {
        if expr == "bad" { Err("no language".to_owned()) } else { Ok(()) }
    }

    fn check_template(&self, _: &str, _: &str) -> Result<(), String> {
        Ok(())
    }
}

impl RuleLanguage for Language {
    fn enforce(&self, expr: &str, label: &str, value: &str) -> Result<String, String> {
        Ok(format!("{expr} of {label}={value}"))
    }
}

/// What became of an object.
pub(crate) fn verdict_of(outcome: &Outcome, object: &str) -> String {
    let state = outcome.objects.iter().find(|one| one.object.to_string() == object);
    state.map_or_else(|| "unknown".to_owned(), |one| one.state.to_string())
}

pub(crate) fn names_of(outcome: &Outcome) -> Vec<String> {
    outcome.jobs.iter().map(|job| job.config.job_name.clone()).collect()
}

pub(crate) fn jobs_of(outcome: &Outcome) -> Jobs {
    outcome.jobs.iter().map(|job| (job.config.job_name.clone(), Arc::clone(&job.config))).collect()
}

/// The names of the jobs that are not the same by address.
pub(crate) fn changed(before: &Jobs, now: &Jobs) -> Vec<String> {
    let is_same = |name: &String| match (before.get(name), now.get(name)) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    };
    let mut names: Vec<&String> = before.keys().chain(now.keys()).collect();
    names.sort();
    names.dedup();
    names.into_iter().filter(|name| !is_same(name)).cloned().collect()
}

pub(crate) fn object(namespace: &str, name: &str, spec: Value) -> Value {
    json!({"metadata": {"namespace": namespace, "name": name, "uid": name, "generation": 1}, "spec": spec})
}

pub(crate) fn labelled(mut object: Value, labels: Value) -> Value {
    object["metadata"]["labels"] = labels;
    object
}

/// A ServiceMonitor with one endpoint.
pub(crate) fn monitor(namespace: &str, name: &str, endpoint: Value) -> Value {
    object(namespace, name, json!({"selector": {"matchLabels": {"app": name}}, "endpoints": [endpoint]}))
}

pub(crate) fn web(namespace: &str, name: &str) -> Value {
    monitor(namespace, name, json!({"port": "web"}))
}

pub(crate) fn namespace(name: &str, labels: Value) -> Value {
    json!({"metadata": {"name": name, "labels": labels}})
}

/// A Secret with these texts.
pub(crate) fn secret(namespace: &str, name: &str, data: &[(&str, &str)]) -> Value {
    use base64::Engine as _;
    let encoded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let data: BTreeMap<&str, String> = data.iter().map(|(key, value)| (*key, encoded(value))).collect();
    json!({"metadata": {"namespace": namespace, "name": name}, "data": data})
}

/// The Prometheus object `monitoring/main`, which selects everything, with further fields.
pub(crate) fn main_object(fields: Value) -> Value {
    let mut spec = json!({"scrapeInterval": "30s", "evaluationInterval": "30s"});
    for kind in ["serviceMonitor", "podMonitor", "probe", "scrapeConfig"] {
        spec[format!("{kind}Selector")] = json!({});
        spec[format!("{kind}NamespaceSelector")] = json!({});
    }
    for (name, value) in fields.as_object().unwrap() {
        spec[name] = value.clone();
    }
    object("monitoring", "main", spec)
}
