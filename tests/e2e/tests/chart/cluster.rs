//! An API server that knows the kinds of the chart, and a namespace that takes no pod but a restricted one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kit::{ControlPlane, add_addresses, conformance_text, eventually};
use serde_json::{Value, json};

use crate::helm::{NAMESPACE, parse, text};
use crate::pod::{self, ADDRESS};

const API_SERVER: &str = "10.244.0.2";
const KINDS: [&str; 6] =
    ["podmonitors", "probes", "prometheuses", "prometheusrules", "scrapeconfigs", "servicemonitors"];

/// The running cluster.
pub struct Cluster {
    pub plane: ControlPlane,
}

impl Cluster {
    /// One with the definitions that the chart has.
    pub fn start() -> Self {
        let cluster = Self::empty();
        for definition in parse(&text("deploy/helm/weft/crds/crds.yaml")) {
            cluster.plane.apply_definition(definition["metadata"]["name"].as_str().unwrap(), &definition.to_string());
            // The first answers of a new kind are 404 and 429.
            let (version, names) = (&definition["spec"]["versions"][0]["name"], &definition["spec"]["names"]);
            let (version, plural) = (version.as_str().unwrap(), names["plural"].as_str().unwrap());
            let path = format!("/apis/monitoring.coreos.com/{version}/{plural}");
            eventually("a kind is served", || cluster.get(&path));
        }
        cluster
    }

    /// One without definitions.
    pub fn empty() -> Self {
        add_addresses(&[API_SERVER, ADDRESS]);
        Self::without_definitions()
    }

    /// One with those of Prometheus-Operator, which look at every field, after another one; `None` where they are not at hand.
    pub fn with_strict_definitions() -> Option<Self> {
        let texts = KINDS.map(|kind| conformance_text(&format!("operator/crds/monitoring.coreos.com_{kind}.yaml")));
        let texts: Vec<String> = texts.into_iter().collect::<Option<_>>()?;
        let cluster = Self::without_definitions();
        for (kind, yaml) in KINDS.iter().zip(texts) {
            cluster.plane.apply_definition(&format!("{kind}.monitoring.coreos.com"), &yaml);
        }
        Some(cluster)
    }

    fn without_definitions() -> Self {
        let cluster = Self { plane: ControlPlane::start(&ControlPlane::programs().unwrap(), "0.0.0.0", API_SERVER) };
        cluster.namespace(NAMESPACE);
        cluster
    }

    /// A namespace where Pod Security refuses all that is not restricted.
    pub fn namespace(&self, name: &str) {
        let labels = json!({
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/enforce-version": "latest",
        });
        self.plane
            .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}));
    }

    /// Applies what Helm rendered, by server-side apply.
    #[track_caller]
    pub fn apply(&self, objects: &[Value]) {
        objects.iter().for_each(|object| self.plane.apply(object));
    }

    /// Deletes it again.
    #[track_caller]
    pub fn delete(&self, objects: &[Value]) {
        objects.iter().for_each(|object| self.plane.delete(object));
    }

    /// Creates a pod as such: status and body of the answer.
    pub fn create_pod(&self, pod: &Value) -> (u16, String) {
        let path = format!("/api/v1/namespaces/{}/pods", pod["metadata"]["namespace"].as_str().unwrap());
        self.plane.admin.json("POST", &path, "application/json", pod).unwrap()
    }

    /// The pod of a release as a kubelet and the controllers for endpoints would have it: running, and behind its Service.
    pub fn run_pod(&self, objects: &[Value]) {
        let mut pod = pod::of(objects);
        pod["status"] = json!({
            "phase": "Running", "podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}],
            "conditions": [{"type": "Ready", "status": "True"}],
        });
        self.plane.apply(&pod);
        let reference = json!({"kind": "Pod", "name": pod["metadata"]["name"], "namespace": NAMESPACE});
        let service = objects.iter().find(|o| o["kind"] == "Service" && o["spec"]["clusterIP"] != "None").unwrap();
        let port = json!([{"name": service["spec"]["ports"][0]["name"], "port": 9090, "protocol": "TCP"}]);
        let (name, mut labels) = (&service["metadata"]["name"], service["metadata"]["labels"].clone());
        self.plane.apply(&json!({
            "apiVersion": "v1", "kind": "Endpoints",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
            "subsets": [{"addresses": [{"ip": ADDRESS, "targetRef": reference}], "ports": port}],
        }));
        labels["kubernetes.io/service-name"] = name.clone();
        self.plane.apply(&json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": true}, "targetRef": reference}],
            "ports": port,
        }));
    }

    /// Ends it: a pod cannot become another one.
    pub fn end_pod(&self, objects: &[Value]) {
        self.plane.delete(&pod::of(objects));
    }

    /// The file by which a client of this machine may do everything.
    pub fn kubeconfig(&self) -> String {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": self.plane.url(), "certificate-authority-data": BASE64_STANDARD.encode(&self.plane.ca_pem),
            }}],
            "users": [{"name": "test", "user": {"token": self.plane.admin_token()}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        })
        .to_string()
    }

    /// An object of the API server.
    pub fn get(&self, path: &str) -> Result<Value, String> {
        match self.plane.admin.get(path)? {
            (200, body) => serde_json::from_str(&body).map_err(|error| error.to_string()),
            (_, body) => Err(body),
        }
    }
}
