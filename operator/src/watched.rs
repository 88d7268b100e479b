//! Objects as they are watched. One that has a field of a wrong type is kept, with the reason, and does not keep the others
//! from being read.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube_watch::{resource, trimmed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::assets::AssetKind;
use crate::objects::{
    GROUP, Kind, Meta, PodMonitorSpec, ProbeSpec, PrometheusRuleSpec, PrometheusSpec, ScrapeConfigSpec,
    ServiceMonitorSpec, remove_nulls,
};
use crate::reported::Reported;

/// Who we are where an object says who looks after it, or who wrote to it.
pub(crate) const WRITER: &str = "weft";
/// The annotation that says which operator looks after an object; Prometheus-Operator leaves those of others alone.
pub(crate) const CONTROLLER: &str = "operator.prometheus.io/controller-id";
/// Who Prometheus-Operator is in `metadata.managedFields`.
const OPERATOR: &str = "PrometheusOperator";

/// A kind of `monitoring.coreos.com`.
pub(crate) trait Spec:
    Clone + std::fmt::Debug + Default + DeserializeOwned + PartialEq + Send + Sync + 'static
{
    const KIND: &'static str;
    const VERSION: &'static str;
    const PLURAL: &'static str;
    /// Fields in which no Secrets are looked for: they shape pods, or have names of the user.
    const WITHOUT_ASSETS: &'static [&'static str] = &[];
    /// What the API server puts where a field is not set, as the definition of the kind says; only of fields that are not read.
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[];
    /// Pods are run for it, which an operator may look after.
    const HAS_WORKLOAD: bool = false;
}

macro_rules! spec {
    ($($spec:ident: $kind:ident;)*) => {
        $(impl Spec for $spec {
            const KIND: &'static str = Kind::$kind.as_str();
            const VERSION: &'static str = Kind::$kind.version();
            const PLURAL: &'static str = Kind::$kind.resource();
        })*
    };
}

spec! {
    ServiceMonitorSpec: ServiceMonitor;
    PodMonitorSpec: PodMonitor;
    ProbeSpec: Probe;
    ScrapeConfigSpec: ScrapeConfig;
}

impl Spec for PrometheusRuleSpec {
    const KIND: &'static str = Kind::PrometheusRule.as_str();
    const VERSION: &'static str = Kind::PrometheusRule.version();
    const PLURAL: &'static str = Kind::PrometheusRule.resource();
    // Labels of a rule may be called `name` and `key`.
    const WITHOUT_ASSETS: &'static [&'static str] = &["groups"];
}

impl Spec for PrometheusSpec {
    const KIND: &'static str = "Prometheus";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "prometheuses";
    const HAS_WORKLOAD: bool = true;
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("portName", "web")];
    const WITHOUT_ASSETS: &'static [&'static str] = &[
        "containers",
        "initContainers",
        "volumes",
        "thanos",
        "storage",
        "web",
        "affinity",
        "topologySpreadConstraints",
    ];
}

/// An object that is watched.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Watched<S> {
    /// What the API server's client looks at: namespace, name, version.
    pub(crate) metadata: kube_watch::Meta,
    /// The metadata in our own form, made once: every object is looked at after every change of any other.
    pub(crate) meta: Meta,
    /// What it asks for, or why that cannot be read.
    pub(crate) spec: Result<S, String>,
    /// The Secrets and ConfigMaps that it names.
    pub(crate) assets: BTreeSet<(AssetKind, String)>,
    /// The fields of the spec that are set, by name; without those that the API server has put there.
    pub(crate) fields: BTreeSet<String>,
    /// What its status said when it was seen first in this version.
    pub(crate) reported: Reported,
    /// Prometheus-Operator looks after it; only said of Prometheus objects.
    pub(crate) is_operated: bool,
}

/// The metadata that decides how an object is looked after, or is passed on.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawMeta {
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
    generation: Option<i64>,
    resource_version: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    managed_fields: Option<Vec<ManagedFields>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ManagedFields {
    manager: Option<String>,
}

impl RawMeta {
    /// Is this an object that Prometheus-Operator has written to and that is not given to us?
    fn is_operated(&self) -> bool {
        let mut managers = self.managed_fields.iter().flatten().filter_map(|entry| entry.manager.as_deref());
        let is_ours =
            || self.annotations.as_ref().is_some_and(|all| all.get(CONTROLLER).is_some_and(|id| id == WRITER));
        managers.any(|manager| manager == OPERATOR) && !is_ours()
    }

    /// What the API server's client looks at, and our own form.
    fn split(self) -> (kube_watch::Meta, Meta) {
        let (namespace, name) = (self.namespace.unwrap_or_default(), self.name.unwrap_or_default());
        let version = self.resource_version.unwrap_or_default();
        let of_client = kube_watch::Meta::new(namespace.as_str(), name.as_str()).with_version(version);
        let own = Meta {
            namespace,
            name,
            labels: self.labels.unwrap_or_default(),
            // Nothing reads them, tools write them often, and kubectl keeps the whole object in one of them.
            annotations: BTreeMap::new(),
            generation: self.generation.unwrap_or_default(),
            uid: self.uid.unwrap_or_default(),
        };
        (of_client, own)
    }
}

impl<'de, S: Spec> Deserialize<'de> for Watched<S> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            metadata: RawMeta,
            // Read as JSON first, which cannot fail: an error here would end the whole list, and with it the watch.
            #[serde(default)]
            spec: Value,
            #[serde(default)]
            status: Value,
        }
        let Raw { metadata, mut spec, status } = Raw::deserialize(from)?;
        remove_nulls(&mut spec);
        let mut assets = BTreeSet::new();
        let fields = spec.as_object().into_iter().flatten();
        for (name, value) in fields.clone().filter(|(name, _)| !S::WITHOUT_ASSETS.contains(&name.as_str())) {
            find_assets(name, value, &mut assets);
        }
        let is_default = |name: &str, value: &Value| {
            S::DEFAULTS.iter().any(|default| *default == (name, value.as_str().unwrap_or_default()))
        };
        let fields = fields.filter(|(name, value)| !is_default(name, value)).map(|(name, _)| name.clone()).collect();
        let spec = if spec.is_null() { Ok(S::default()) } else { read_spec(&spec) };
        let (reported, is_operated) = (Reported::read(status), S::HAS_WORKLOAD && metadata.is_operated());
        let (metadata, meta) = metadata.split();
        Ok(Self { metadata, meta, spec, assets, fields, reported, is_operated })
    }
}

/// The spec, or which field of it is of a wrong type.
fn read_spec<S: Spec>(spec: &Value) -> Result<S, String> {
    let error = match serde_path_to_error::deserialize::<_, S>(spec) {
        Ok(spec) => return Ok(spec),
        Err(error) => error,
    };
    let mut place = String::from("spec");
    let mut pointer = String::new();
    let mut reduced = spec.clone();
    for segment in error.path().iter() {
        match segment {
            Segment::Map { key } => {
                place.push_str(&format!(".{key}"));
                pointer.push_str(&format!("/{}", key.replace('~', "~0").replace('/', "~1")));
            }
            Segment::Seq { index } => {
                // Its neighbours are not at fault, and there may be thousands.
                if let Some(Value::Array(items)) = reduced.pointer_mut(&pointer)
                    && let Some(item) = items.get(*index).cloned()
                {
                    *items = vec![item];
                }
                place.push_str(&format!("[{index}]"));
                pointer.push_str("/0");
            }
            _ => {}
        }
    }
    if let Some(field) = hidden_field::<S>(&reduced, &pointer) {
        place.push_str(&format!(".{field}"));
    }
    Err(format!("{place}: {}", error.inner()))
}

/// Of the fields below the place of an error, the one at fault: the one without which there is no error there. serde does
/// not say it where a struct is flattened into another one.
fn hidden_field<S: Spec>(spec: &Value, pointer: &str) -> Option<String> {
    let fields = spec.pointer(pointer)?.as_object()?;
    let is_at_fault = |field: &&String| {
        let mut without = spec.clone();
        without.pointer_mut(pointer).and_then(Value::as_object_mut).and_then(|fields| fields.remove(field.as_str()));
        S::deserialize(&without).is_ok()
    };
    fields.keys().find(is_at_fault).cloned()
}

/// Collects the objects that are named with a key: `{name, key}`.
fn find_assets(field: &str, value: &Value, found: &mut BTreeSet<(AssetKind, String)>) {
    match value {
        Value::Object(pairs) => {
            let text = |name: &str| pairs.get(name).and_then(Value::as_str);
            // By the shape and not by the field: new fields of the API that name Secrets are found without a list of them.
            if let (Some(name), Some(_)) = (text("name"), text("key"))
                && !name.is_empty()
            {
                // References to Secrets have many names; that to a ConfigMap has one.
                let kind = if field == "configMap" { AssetKind::ConfigMap } else { AssetKind::Secret };
                found.insert((kind, name.to_owned()));
            }
            pairs.iter().for_each(|(name, value)| find_assets(name, value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| find_assets(field, item, found)),
        _ => {}
    }
}

impl<S: Spec> kube_watch::Kind for Watched<S> {
    const KIND: &'static str = S::KIND;
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = S::VERSION;
    const PLURAL: &'static str = S::PLURAL;
    const IS_CLUSTER_WIDE: bool = false;

    fn meta_mut(&mut self) -> &mut kube_watch::Meta {
        &mut self.metadata
    }
}

trimmed!(
    /// A Secret; values are in base64.
    pub(crate) Secret { metadata: kube_watch::Meta, data: BTreeMap<String, String> }
);
trimmed!(
    /// A ConfigMap; binary values are in base64.
    pub(crate) ConfigMap { metadata: kube_watch::Meta, data: BTreeMap<String, String>, binary_data: BTreeMap<String, String> }
);
resource!(Secret, "", "v1", "secrets", namespaced);
resource!(ConfigMap, "", "v1", "configmaps", namespaced);

/// What holds values.
pub(crate) trait Holder {
    /// Its values, decoded.
    fn values(&self) -> BTreeMap<String, Vec<u8>>;
}

/// Values in base64. The API server lets no others in.
fn decoded(values: &BTreeMap<String, String>) -> impl Iterator<Item = (String, Vec<u8>)> {
    values.iter().filter_map(|(key, value)| Some((key.clone(), STANDARD.decode(value).ok()?)))
}

impl Holder for Secret {
    fn values(&self) -> BTreeMap<String, Vec<u8>> {
        decoded(&self.data).collect()
    }
}

impl Holder for ConfigMap {
    fn values(&self) -> BTreeMap<String, Vec<u8>> {
        let texts = self.data.iter().map(|(key, value)| (key.clone(), value.clone().into_bytes()));
        texts.chain(decoded(&self.binary_data)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn monitor(spec: Value) -> Watched<ServiceMonitorSpec> {
        let object = json!({"metadata": {"namespace": "a", "name": "m", "generation": 3}, "spec": spec});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_field_of_a_wrong_type_is_named() {
        assert_eq!(monitor(json!({"endpoints": [{"port": "web", "interval": null}]})).spec.unwrap().endpoints.len(), 1);
        let error = monitor(json!({"selector": {"matchLabels": {"a": 1}}})).spec.unwrap_err();
        assert_eq!(error, "spec.selector.matchLabels.a: invalid type: integer `1`, expected a string");
        let error = monitor(json!([])).spec.unwrap_err();
        assert!(error.starts_with("spec"), "{error}");
        // serde says no more than the struct where another one is flattened into it.
        let error = monitor(json!({"endpoints": [{"port": "web"}, {"interval": 30}]})).spec.unwrap_err();
        assert_eq!(error, "spec.endpoints[1].interval: invalid type: integer `30`, expected a string");
        let error = monitor(json!({"sampleLimit": "many"})).spec.unwrap_err();
        assert_eq!(error, "spec.sampleLimit: invalid type: string \"many\", expected i64");
        assert_eq!(monitor(Value::Null).spec.unwrap(), ServiceMonitorSpec::default());
    }

    #[test]
    fn the_objects_that_are_named_are_found() {
        let key = |name: &str| json!({"name": name, "key": "k"});
        let found = monitor(json!({
            "endpoints": [{
                "basicAuth": {"username": key("user"), "password": key("password")},
                "tlsConfig": {"ca": {"configMap": key("ca")}, "cert": {"secret": key("cert")}, "keySecret": key("key")},
                "proxyConnectHeader": {"h": [key("header")]},
                "relabelings": [{"targetLabel": "key", "replacement": "name"}],
            }],
        }));
        let secret = |name: &str| (AssetKind::Secret, name.to_owned());
        let mut expected: BTreeSet<_> = ["user", "password", "cert", "key", "header"].map(secret).into();
        expected.insert((AssetKind::ConfigMap, "ca".to_owned()));
        assert_eq!(found.assets, expected);
    }

    #[test]
    fn what_shapes_pods_names_no_assets() {
        let spec = json!({
            "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "pod", "key": "k"}}}]}],
            "additionalScrapeConfigs": {"name": "jobs", "key": "k"},
        });
        let object = json!({"metadata": {"namespace": "a", "name": "p"}, "spec": spec});
        let prometheus: Watched<PrometheusSpec> = serde_json::from_value(object).unwrap();
        assert_eq!(prometheus.assets, [(AssetKind::Secret, "jobs".to_owned())].into());
    }

    #[test]
    fn what_the_definition_puts_into_an_object_is_not_called_set() {
        let fields = |port: &str| {
            let spec = json!({"portName": port, "replicas": 1});
            let object = json!({"metadata": {"namespace": "a", "name": "p"}, "spec": spec});
            serde_json::from_value::<Watched<PrometheusSpec>>(object).unwrap().fields.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(fields("web"), ["replicas"]);
        assert_eq!(fields("http-web"), ["portName", "replicas"]);
    }

    #[test]
    fn values_are_decoded() {
        let object = json!({"data": {"a": "eA==", "bad": "?"}, "metadata": {}});
        assert_eq!(
            serde_json::from_value::<Secret>(object).unwrap().values(),
            [("a".to_owned(), b"x".to_vec())].into()
        );
        let object = json!({"data": {"a": "x"}, "binaryData": {"b": "eQ=="}, "metadata": {}});
        let values = serde_json::from_value::<ConfigMap>(object).unwrap().values();
        assert_eq!(values, [("a".to_owned(), b"x".to_vec()), ("b".to_owned(), b"y".to_vec())].into());
    }
}
