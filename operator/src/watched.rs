//! Objects as they are watched. One that has a field of a wrong type is kept, with the reason, and does not keep the others from
//! being read.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube_watch::macros::{Api, Client, NamespaceResourceScope, Resource};
use kube_watch::{ObjectMeta, resource, trimmed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::assets::AssetKind;
use crate::objects::{
    Meta, PodMonitorSpec, ProbeSpec, PrometheusSpec, ScrapeConfigSpec, ServiceMonitorSpec, remove_nulls,
};

/// A kind of `monitoring.coreos.com`.
pub(crate) trait Spec:
    Clone + std::fmt::Debug + Default + DeserializeOwned + PartialEq + Send + Sync + 'static
{
    const KIND: &'static str;
    const VERSION: &'static str;
    const PLURAL: &'static str;
    /// Fields in which no Secrets are looked for: they shape pods.
    const WITHOUT_ASSETS: &'static [&'static str] = &[];
}

macro_rules! spec {
    ($($spec:ident: $kind:literal, $version:literal, $plural:literal;)*) => {
        $(impl Spec for $spec {
            const KIND: &'static str = $kind;
            const VERSION: &'static str = $version;
            const PLURAL: &'static str = $plural;
        })*
    };
}

spec! {
    ServiceMonitorSpec: "ServiceMonitor", "v1", "servicemonitors";
    PodMonitorSpec: "PodMonitor", "v1", "podmonitors";
    ProbeSpec: "Probe", "v1", "probes";
    ScrapeConfigSpec: "ScrapeConfig", "v1alpha1", "scrapeconfigs";
}

impl Spec for PrometheusSpec {
    const KIND: &'static str = "Prometheus";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "prometheuses";
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
    pub(crate) metadata: ObjectMeta,
    /// What it asks for, or why that cannot be read.
    pub(crate) spec: Result<S, String>,
    /// The Secrets and ConfigMaps that it names.
    pub(crate) assets: BTreeSet<(AssetKind, String)>,
    /// The fields of the spec, by name.
    pub(crate) fields: BTreeSet<String>,
}

impl<S> Watched<S> {
    /// The metadata in our own form.
    pub(crate) fn meta_of(&self) -> Meta {
        let ObjectMeta { namespace, name, labels, annotations, generation, uid, .. } = self.metadata.clone();
        Meta {
            namespace: namespace.unwrap_or_default(),
            name: name.unwrap_or_default(),
            labels: labels.unwrap_or_default(),
            annotations: annotations.unwrap_or_default(),
            generation: generation.unwrap_or_default(),
            uid: uid.unwrap_or_default(),
        }
    }
}

impl<'de, S: Spec> Deserialize<'de> for Watched<S> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            metadata: ObjectMeta,
            #[serde(default)]
            spec: Value,
        }
        let Raw { metadata, mut spec } = Raw::deserialize(from)?;
        remove_nulls(&mut spec);
        let mut assets = BTreeSet::new();
        let fields = spec.as_object().into_iter().flatten();
        for (name, value) in fields.clone().filter(|(name, _)| !S::WITHOUT_ASSETS.contains(&name.as_str())) {
            find_assets(name, value, &mut assets);
        }
        let fields = fields.map(|(name, _)| name.clone()).collect();
        let read = if spec.is_null() { Ok(S::default()) } else { serde_path_to_error::deserialize(spec) };
        let spec =
            read.map_err(|error: serde_path_to_error::Error<serde_json::Error>| match error.path().to_string() {
                path if path == "." => format!("spec: {}", error.inner()),
                path => format!("spec.{path}: {}", error.inner()),
            });
        Ok(Self { metadata, spec, assets, fields })
    }
}

/// Collects the objects that are named with a key: `{name, key}`.
fn find_assets(field: &str, value: &Value, found: &mut BTreeSet<(AssetKind, String)>) {
    match value {
        Value::Object(pairs) => {
            let text = |name: &str| pairs.get(name).and_then(Value::as_str);
            if let (Some(name), Some(_)) = (text("name"), text("key"))
                && !name.is_empty()
            {
                let kind = if field == "configMap" { AssetKind::ConfigMap } else { AssetKind::Secret };
                found.insert((kind, name.to_owned()));
            }
            pairs.iter().for_each(|(name, value)| find_assets(name, value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| find_assets(field, item, found)),
        _ => {}
    }
}

impl<S: Spec> Resource for Watched<S> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        S::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "monitoring.coreos.com".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        S::VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        S::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<S: Spec> kube_watch::Kind for Watched<S> {
    fn api(client: Client, namespace: Option<&str>) -> Api<Self> {
        match namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        }
    }

    fn trim(&mut self) {
        // The generation tells whether a verdict is about this version of the spec.
        let generation = self.metadata.generation;
        kube_watch::trim_metadata(&mut self.metadata);
        self.metadata.generation = generation;
        // What kubectl keeps here is the whole object once more.
        if let Some(annotations) = &mut self.metadata.annotations {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
}

trimmed!(
    /// A Secret; values are in base64.
    pub(crate) Secret { metadata: ObjectMeta, data: BTreeMap<String, String> }
);
trimmed!(
    /// A ConfigMap; binary values are in base64.
    pub(crate) ConfigMap { metadata: ObjectMeta, data: BTreeMap<String, String>, binary_data: BTreeMap<String, String> }
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
