//! A cluster without nodes: an API server that knows Prometheus-Operator's kinds.

use std::io::Read as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kit::{ControlPlane, add_addresses, conformance, conformance_text};
use serde_json::Value;

/// Where the API server is.
const API_SERVER: &str = "10.244.0.2";
/// The kinds of Prometheus-Operator that there are definitions of.
const KINDS: [&str; 6] =
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

    /// Objects of a namespace by the name of their kind in the API.
    pub fn list(&self, namespace: &str, kind: &str) -> Result<Vec<Value>, String> {
        let (status, body) = self.plane.admin.get(&format!("/api/v1/namespaces/{namespace}/{kind}"))?;
        let mut list: Value = serde_json::from_str(&body).map_err(|error| format!("{status}: {error}"))?;
        list["items"].as_array_mut().map(std::mem::take).ok_or(body)
    }

    /// The data of a Secret.
    pub fn secret(&self, namespace: &str, name: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
        let (status, body) = self.plane.admin.get(&format!("/api/v1/namespaces/{namespace}/secrets/{name}"))?;
        if status != 200 {
            return Err(body);
        }
        let secret: Value = serde_json::from_str(&body).unwrap();
        Ok(data(&secret))
    }

    /// The configuration that Prometheus-Operator has generated.
    pub fn generated(&self, namespace: &str, name: &str) -> Result<String, String> {
        let secret = self.secret(namespace, &format!("prometheus-{name}"))?;
        let (_, packed) = secret.iter().find(|(key, _)| key == "prometheus.yaml.gz").ok_or("no configuration yet")?;
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
