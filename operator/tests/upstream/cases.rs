//! Reads a case: its objects, how they were made into a configuration, and what became of them.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use operator::objects::{Object, PodMonitor, Probe, Prometheus, ScrapeConfig, ServiceMonitor};
use operator::{AssetKind, Assets, Options};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The objects of one case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    /// How it was made.
    pub(crate) meta: Value,
    /// The Prometheus object, or the agent.
    pub(crate) prometheus: Prometheus,
    /// What was given beside it.
    pub(crate) service_monitors: Vec<ServiceMonitor>,
    pub(crate) pod_monitors: Vec<PodMonitor>,
    pub(crate) probes: Vec<Probe>,
    pub(crate) scrape_configs: Vec<ScrapeConfig>,
    /// Namespaces, with their labels.
    pub(crate) namespaces: Vec<Object<Value>>,
    /// Secrets and ConfigMaps.
    pub(crate) assets: Assets,
}

/// A YAML file as JSON; all its documents.
pub(crate) fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Case {
    pub(crate) fn read(folder: &Path) -> Self {
        let meta = folder.join("meta.yaml");
        let mut case = Self::default();
        if meta.exists() {
            case.meta = documents(&meta).remove(0);
        }
        for document in documents(&folder.join("input.yaml")) {
            case.add(document);
        }
        if case.meta["selection_applied"] == true {
            case.fill_in_defaults();
        }
        case
    }

    /// What an API server fills in (`default` in the schema of a kind).
    fn fill_in_defaults(&mut self) {
        let fill = |field: &mut String, default: &str| {
            if field.is_empty() {
                *field = default.to_owned();
            }
        };
        fill(&mut self.prometheus.spec.scrape_interval, "30s");
        fill(&mut self.prometheus.spec.evaluation_interval, "30s");
        self.probes.iter_mut().for_each(|probe| fill(&mut probe.spec.prober.path, "/probe"));
    }

    fn add(&mut self, document: Value) {
        let kind = document["kind"].as_str().unwrap_or_else(|| panic!("no kind: {document}")).to_owned();
        match kind.as_str() {
            "Prometheus" | "PrometheusAgent" => self.prometheus = object(document),
            "ServiceMonitor" => self.service_monitors.push(object(document)),
            "PodMonitor" => self.pod_monitors.push(object(document)),
            "Probe" => self.probes.push(object(document)),
            "ScrapeConfig" => self.scrape_configs.push(object(document)),
            "Namespace" => self.namespaces.push(object(document)),
            "Secret" => self.add_asset(AssetKind::Secret, &document),
            "ConfigMap" => self.add_asset(AssetKind::ConfigMap, &document),
            "PrometheusRule" => {}
            other => panic!("unknown kind {other}"),
        }
    }

    fn add_asset(&mut self, kind: AssetKind, document: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pairs = |field: &str| document[field].as_object().cloned().unwrap_or_default().into_iter();
        let decoded = pairs("data").map(|(key, value)| {
            let value = text(&value);
            let bytes = if kind == AssetKind::Secret { base64(&value) } else { value.into_bytes() };
            (key, bytes)
        });
        // The recordings name keys and certificates, and tests make them.
        let decoded = decoded.map(|(key, bytes)| match bytes.as_slice() {
            b"@CA@" | b"@CERT@" => (key, certificate().0.clone().into_bytes()),
            b"@KEY@" => (key, certificate().1.clone().into_bytes()),
            _ => (key, bytes),
        });
        let plain = pairs("stringData").map(|(key, value)| (key, text(&value).into_bytes()));
        let values = decoded.chain(plain).collect();
        let metadata = &document["metadata"];
        self.assets.insert(kind, &text(&metadata["namespace"]), &text(&metadata["name"]), values);
    }

    /// How the generator was called.
    pub(crate) fn options(&self) -> Options {
        let is_on = |name: &str| self.meta["generator_options"][name].as_bool().unwrap_or(false);
        Options {
            endpoint_slices: is_on("endpoint_slice_supported"),
            daemon_set: is_on("daemonset"),
            topology_sharding: is_on("topology_sharding"),
            shard_retention: is_on("shard_retention_policies"),
            pod_topology_labels: is_on("pod_topology_labels_supported"),
        }
    }

    /// The patterns of rule files, from the ConfigMaps that upstream made for them.
    pub(crate) fn rule_files(&self) -> Vec<String> {
        let names = match self.meta["rule_config_map_names"].as_array() {
            Some(names) => names.clone(),
            // A whole operator makes three at least.
            None if self.meta["selection_applied"] == true => {
                let name = &self.prometheus.metadata.name;
                (0..3).map(|i| format!("prometheus-{name}-rulefiles-{i}").into()).collect()
            }
            None => Vec::new(),
        };
        names.iter().map(|name| format!("/etc/prometheus/rules/{}/*.yaml", name.as_str().unwrap())).collect()
    }
}

fn object<S: DeserializeOwned + Default>(document: Value) -> Object<S> {
    let shown = document["metadata"].to_string();
    Object::from_json(document).unwrap_or_else(|error| panic!("{shown}: {error}"))
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A certificate and its key, as PEM.
fn certificate() -> &'static (String, String) {
    static MADE: OnceLock<(String, String)> = OnceLock::new();
    MADE.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    })
}
