//! A kube-apiserver, the objects of an Antrea deployment in it, and the pods' metrics endpoints.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;

use kit::{ControlPlane, Pki};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// The running cluster.
pub(crate) struct Cluster {
    pub(crate) plane: ControlPlane,
}

impl Cluster {
    pub(crate) fn start(advertise: &str) -> Self {
        Self { plane: ControlPlane::start(&ControlPlane::programs().unwrap(), "0.0.0.0", advertise) }
    }

    /// Creates an object.
    pub(crate) fn create(&self, path: &str, object: &Value) -> Value {
        let (status, body) = self.plane.admin.json("POST", path, "application/json", object).unwrap();
        assert!(status == 201 || status == 409, "{path}: {status}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    pub(crate) fn delete(&self, path: &str) {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
        let (status, body) = self.plane.admin.json("DELETE", path, "application/json", &options).unwrap();
        assert_eq!(status, 200, "{path}: {body}");
    }

    /// The ServiceAccount, ClusterRole and ClusterRoleBinding of the seed's manifest.
    pub(crate) fn apply_manifest_rbac(&self) {
        let rbac = "/apis/rbac.authorization.k8s.io/v1";
        self.create(
            "/api/v1/namespaces/monitoring/serviceaccounts",
            &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "prometheus"}}),
        );
        self.create(&format!("{rbac}/clusterroles"), &role(&["nodes", "nodes/proxy", "services", "endpoints", "pods"]));
        self.create(
            &format!("{rbac}/clusterrolebindings"),
            &json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "prometheus"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "prometheus"},
                "subjects": [{"kind": "ServiceAccount", "name": "prometheus", "namespace": "monitoring"}],
            }),
        );
    }

    /// Takes a resource out of the ClusterRole, and ends the watches that were allowed.
    pub(crate) fn forbid(&self, resource: &str) {
        let left = ["nodes", "nodes/proxy", "services", "endpoints", "pods"];
        let left: Vec<&str> = left.into_iter().filter(|r| *r != resource).collect();
        let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/prometheus";
        let (status, body) = self.plane.admin.json("PUT", path, "application/json", &role(&left)).unwrap();
        assert_eq!(status, 200, "{body}");
    }

    /// A pod of Antrea's agent, running.
    pub(crate) fn agent(&self, name: &str, node: &str, ip: &str) {
        self.pod(name, node, ip, &json!([
            {"name": "antrea-agent", "image": "example.invalid/agent:1", "ports": [{"name": "api", "containerPort": 10350, "protocol": "TCP"}]},
            {"name": "antrea-ovs", "image": "example.invalid/ovs:1"},
        ]));
    }

    /// The pod of Antrea's controller with its Service and Endpoints.
    pub(crate) fn controller(&self, name: &str, node: &str, ip: &str) {
        self.pod(name, node, ip, &json!([
            {"name": "antrea-controller", "image": "example.invalid/controller:1", "ports": [{"name": "api", "containerPort": 10349, "protocol": "TCP"}]},
        ]));
        let metadata = json!({"name": "antrea", "namespace": "kube-system", "labels": {"app": "antrea"}});
        self.create(
            "/api/v1/namespaces/kube-system/services",
            &json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata,
                "spec": {"ports": [{"name": "https", "port": 443, "targetPort": "api", "protocol": "TCP"}]}}),
        );
        self.create(
            "/api/v1/namespaces/kube-system/endpoints",
            &json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": [{
                "addresses": [{"ip": ip, "nodeName": node, "targetRef": {"kind": "Pod", "namespace": "kube-system", "name": name}}],
                "ports": [{"name": "https", "port": 10349, "protocol": "TCP"}]}]}),
        );
    }

    fn pod(&self, name: &str, node: &str, ip: &str, containers: &Value) {
        let pods = "/api/v1/namespaces/kube-system/pods";
        self.create(
            pods,
            &json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "labels": {"app": "antrea"}},
                "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": containers},
            }),
        );
        let status = json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "hostIP": "127.0.0.1",
            "conditions": [{"type": "Ready", "status": "True"}]}});
        let path = format!("{pods}/{name}/status");
        let (code, body) = self.plane.admin.json("PATCH", &path, "application/merge-patch+json", &status).unwrap();
        assert_eq!(code, 200, "{body}");
    }

    /// Metrics endpoints over HTTPS with a self-signed certificate, for those with the token only. They end with the
    /// process.
    pub(crate) fn fake_pods(&self, addresses: &[&str], token: &str) -> Vec<std::thread::JoinHandle<()>> {
        let own = Pki::new();
        let (certificate, key) = own.server(&["antrea"]);
        let der = |pem: &str| -> Vec<u8> {
            use rustls::pki_types::pem::PemObject as _;
            CertificateDer::from_pem_slice(pem.as_bytes()).map(|c| c.to_vec()).unwrap_or_default()
        };
        let key = {
            use rustls::pki_types::pem::PemObject as _;
            PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes()).unwrap()
        };
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(der(&certificate))], PrivateKeyDer::Pkcs8(key))
            .unwrap();
        let config = Arc::new(config);
        let start = |address: &&str| {
            let listener = TcpListener::bind(address).unwrap();
            let (config, expected) = (Arc::clone(&config), format!("authorization: bearer {}", token.to_lowercase()));
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (config, expected) = (Arc::clone(&config), expected.clone());
                    std::thread::spawn(move || {
                        serve(StreamOwned::new(ServerConnection::new(config).unwrap(), stream), &expected)
                    });
                }
            })
        };
        addresses.iter().map(start).collect()
    }
}

fn role(resources: &[&str]) -> Value {
    let verbs = json!(["get", "list", "watch"]);
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "prometheus"},
        "rules": [
            {"apiGroups": [""], "resources": resources, "verbs": verbs},
            {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": verbs},
            {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
        ],
    })
}

fn serve(mut stream: StreamOwned<ServerConnection, std::net::TcpStream>, expected: &str) {
    loop {
        let Some(head) = kit::read_head(&mut stream) else { return };
        let allowed = head.to_lowercase().contains(expected);
        let body = include_str!("page.txt");
        let (status, body) = if allowed { ("200 OK", body) } else { ("401 Unauthorized", "") };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}
