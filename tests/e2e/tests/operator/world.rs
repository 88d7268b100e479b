//! A cluster without nodes: an API server that knows Prometheus-Operator's kinds.

use std::io::Read as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kit::{ControlPlane, add_addresses, conformance, conformance_text};
use serde_json::Value;

/// Where the API server is.
const API_SERVER: &str = "10.244.0.2";
/// The kinds of Prometheus-Operator that there are definitions of.
pub const KINDS: [&str; 6] =
    ["podmonitors", "probes", "prometheuses", "prometheusrules", "scrapeconfigs", "servicemonitors"];

/// The running cluster.
pub struct World {
    pub plane: ControlPlane,
}

/// Why there can be none.
pub fn cannot() -> Option<String> {
    let absent = conformance("operator/crds").is_none().then(|| "no definitions of the kinds".to_owned());
    absent.or_else(|| ControlPlane::programs().err())
}

impl World {
    /// Starts one with the definitions.
    pub fn start() -> Self {
        let world = Self::without_definitions();
        world.define(&KINDS);
        world
    }

    /// Starts one that does not know the kinds.
    pub fn without_definitions() -> Self {
        add_addresses(&[API_SERVER]);
        Self { plane: ControlPlane::start(&ControlPlane::programs().unwrap(), "0.0.0.0", API_SERVER) }
    }

    /// Applies the definitions of kinds.
    pub fn define(&self, kinds: &[&str]) {
        for kind in kinds {
            let yaml = conformance_text(&format!("operator/crds/monitoring.coreos.com_{kind}.yaml")).unwrap();
            self.plane.apply_definition(&format!("{kind}.monitoring.coreos.com"), &yaml);
        }
    }

    /// Applies objects, namespaces first.
    pub fn apply(&self, objects: &[Value]) {
        let is_namespace = |object: &&Value| object["kind"] == "Namespace";
        objects.iter().filter(is_namespace).for_each(|object| self.plane.apply(object));
        objects.iter().filter(|object| !is_namespace(object)).for_each(|object| self.plane.apply(object));
    }

    /// The Secrets of a namespace.
    pub fn secrets(&self, namespace: &str) -> Result<Vec<Value>, String> {
        let mut list = self.get(&format!("/api/v1/namespaces/{namespace}/secrets"))?;
        list["items"].as_array_mut().map(std::mem::take).ok_or_else(|| "no list".to_owned())
    }

    /// The StatefulSet that Prometheus-Operator makes of a Prometheus object; it is the last of all that it makes.
    pub fn stateful_set(&self, namespace: &str, name: &str) -> Result<Value, String> {
        self.get(&format!("/apis/apps/v1/namespaces/{namespace}/statefulsets/prometheus-{name}"))
    }

    /// An object of the API server.
    pub fn get(&self, path: &str) -> Result<Value, String> {
        match self.plane.admin.get(path)? {
            (200, body) => serde_json::from_str(&body).map_err(|error| error.to_string()),
            (_, body) => Err(body),
        }
    }

    /// The configuration that Prometheus-Operator has generated.
    pub fn generated(&self, namespace: &str, name: &str) -> Result<String, String> {
        self.stateful_set(namespace, name)?;
        let secrets = self.secrets(namespace)?;
        let is = |secret: &&Value| secret["metadata"]["name"] == format!("prometheus-{name}");
        let data = data(secrets.iter().find(is).ok_or("no Secret yet")?);
        let (_, packed) = data.iter().find(|(key, _)| key == "prometheus.yaml.gz").ok_or("no configuration yet")?;
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).map_err(|error| error.to_string())?;
        Ok(text)
    }
}

/// The data of a Secret, decoded.
pub fn data(secret: &Value) -> Vec<(String, Vec<u8>)> {
    let entries = secret["data"].as_object().into_iter().flatten();
    entries.map(|(key, value)| (key.clone(), BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap())).collect()
}
