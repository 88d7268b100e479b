//! A kube-apiserver with its etcd, and the certificates that they need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};

use serde_json::Value;

use crate::isolated::command;
use crate::{Http, Process, cache, eventually, free_port};

const ADMIN: &str = "the-admin-token-of-this-test";
/// Where a pod finds its account; below a folder that a test may cover.
const ACCOUNT: &str = "/run/secrets/kubernetes.io/serviceaccount";

/// A certificate authority of a test's own.
#[derive(Debug)]
pub struct Pki {
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    /// A new one.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "each has keys of its own")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "test-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { ca: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// Certificate and key of a server, PEM.
    ///
    /// # Panics
    /// When a name cannot be in a certificate.
    #[must_use]
    pub fn server(&self, names: &[&str]) -> (String, String) {
        let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.signed(params)
    }

    /// Certificate and key of a client, PEM: a common name and no other names, as kubeadm makes them.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn client(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.signed(params)
    }

    /// Certificate and key of a client with names of its own, PEM, as cert-manager makes them.
    ///
    /// # Panics
    /// When a name cannot be in a certificate.
    #[must_use]
    pub fn named_client(&self, names: &[&str]) -> (String, String) {
        let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.signed(params)
    }

    /// Its own certificate, PEM.
    #[must_use]
    pub fn ca(&self) -> String {
        self.ca.pem()
    }

    fn signed(&self, params: CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.ca).unwrap().pem(), key.serialize_pem())
    }
}

/// A running API server and its etcd.
#[derive(Debug)]
pub struct ControlPlane {
    /// Where the API server answers.
    pub port: u16,
    /// Where etcd answers.
    pub etcd_port: u16,
    /// What signed its certificate.
    pub ca_pem: String,
    /// HTTP to the API server, as one who may do everything.
    pub admin: Http,
    advertise: String,
    command: Command,
    server: Process,
    _etcd: Process,
    folder: tempfile::TempDir,
}

impl ControlPlane {
    /// The folder of its programs: `$WEFT_KUBE_BIN`, else what `cargo xtask test` built; or why there is none.
    ///
    /// # Errors
    /// When a program is missing.
    pub fn programs() -> Result<PathBuf, String> {
        let built = || {
            let folders = fs::read_dir(cache()?).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
            let name =
                |path: &Path| path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"kube-apiserver-"));
            folders.filter(|path| name(path)).max()
        };
        let folder = std::env::var_os("WEFT_KUBE_BIN").map(PathBuf::from).or_else(built);
        let folder = folder.filter(|folder| ["kube-apiserver", "etcd"].iter().all(|name| folder.join(name).exists()));
        folder.ok_or_else(|| "no kube-apiserver and etcd; `cargo xtask test` builds them".to_owned())
    }

    /// Starts both; the API server listens on `bind`, and says that it is at `advertise`.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn start(programs: &Path, bind: &str, advertise: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (etcd, etcd_port) = etcd(programs, folder.path());
        let pki = Pki::new();
        let ca_pem = pki.ca.pem();
        let flags = files(&pki, folder.path(), advertise);
        let port = free_port();
        let mut command = Command::new(programs.join("kube-apiserver"));
        command
            .arg(format!("--etcd-servers=http://127.0.0.1:{etcd_port}"))
            .arg(format!("--secure-port={port}"))
            .arg(format!("--bind-address={bind}"))
            .arg(format!("--advertise-address={advertise}"))
            .args(["--authorization-mode=RBAC", "--profiling=false", "--allow-privileged=true"])
            .args([
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-cluster-ip-range=10.96.0.0/24",
            ])
            // Pods would need a `default` ServiceAccount, which only the controller-manager makes.
            .arg("--disable-admission-plugins=ServiceAccount")
            .args(flags);
        let server = Process::start(&mut command, &folder.path().join("apiserver.log"));
        let admin = Http::trusting(format!("https://127.0.0.1:{port}"), &ca_pem, ADMIN);
        let advertise = advertise.to_owned();
        let mut plane = Self { port, etcd_port, ca_pem, admin, advertise, command, server, _etcd: etcd, folder };
        plane.wait();
        plane
    }

    /// Kills the API server, does something, and starts it again on what etcd has.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn restart_api_server(&mut self, meanwhile: impl FnOnce()) {
        self.server.signal("KILL");
        self.server.wait();
        meanwhile();
        self.server = Process::start(&mut self.command, &self.folder.path().join("apiserver.log"));
        self.wait();
    }

    fn wait(&mut self) {
        let Self { server, admin, .. } = self;
        eventually("the API server is ready", || {
            assert!(server.ended().is_none(), "the API server ended:\n{}", server.output());
            match admin.get("/readyz") {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }

    /// A token of a ServiceAccount, by the TokenRequest API.
    ///
    /// # Panics
    /// When the API server gives none.
    #[must_use]
    pub fn token(&self, namespace: &str, account: &str) -> String {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let spec = serde_json::json!({"expirationSeconds": 3600});
        let request =
            serde_json::json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
        let (status, body) = self.admin.json("POST", &path, "application/json", &request).unwrap();
        assert_eq!(status, 201, "{path}: {body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        answer["status"]["token"].as_str().unwrap().to_owned()
    }

    /// Where pods find the API server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}:{}", self.advertise, self.port)
    }

    /// The token of one who may do everything.
    #[must_use]
    pub fn admin_token(&self) -> &'static str {
        ADMIN
    }

    /// What a pod finds: the account's files, in a mount of this test's own, and where the API server is, as environment
    /// variables. Without a token it is one who may do everything.
    ///
    /// # Panics
    /// When the files cannot be written.
    #[must_use]
    pub fn as_a_pod(&self, namespace: &str, token: Option<&str>) -> [(&'static str, String); 2] {
        let account = Path::new(ACCOUNT);
        if !account.exists() {
            command("mount", &["-t", "tmpfs", "none", "/run"]);
            fs::create_dir_all(account).unwrap();
        }
        fs::write(account.join("namespace"), namespace).unwrap();
        fs::write(account.join("token"), token.unwrap_or(ADMIN)).unwrap();
        fs::write(account.join("ca.crt"), &self.ca_pem).unwrap();
        [("KUBERNETES_SERVICE_HOST", self.advertise.clone()), ("KUBERNETES_SERVICE_PORT", self.port.to_string())]
    }

    /// Applies an object, and then its status where that is a resource of its own: there is no kubelet that would write it.
    ///
    /// # Panics
    /// When the API server does not take it.
    #[track_caller]
    pub fn apply(&self, object: &Value) {
        let path = object_path(object);
        // A kind whose definition is new answers a moment later.
        eventually("the API server takes an object", || match self.patch(&path, &object.to_string())? {
            (200 | 201, _) => Ok(()),
            (404, body) => Err(format!("{path}: {body}")),
            (status, body) => panic!("{path}: {status}: {body}\n{object}"),
        });
        if object.get("status").is_some() {
            let (status, body) = self.patch(&format!("{path}/status"), &object.to_string()).unwrap();
            assert_eq!(status, 200, "{path}/status: {body}");
        }
    }

    /// Applies the definition of a kind, YAML.
    ///
    /// # Panics
    /// When the API server does not take it.
    pub fn apply_definition(&self, name: &str, yaml: &str) {
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
        let (status, body) = self.patch(&path, yaml).unwrap();
        assert!(matches!(status, 200 | 201), "{name}: {status}: {body}");
    }

    /// Deletes an object at once.
    ///
    /// # Panics
    /// When the API server does not.
    #[track_caller]
    pub fn delete(&self, object: &Value) {
        let path = object_path(object);
        let options = serde_json::json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
        let (status, body) = self.admin.json("DELETE", &path, "application/json", &options).unwrap();
        assert!(matches!(status, 200 | 202), "{path}: {status}: {body}");
    }

    fn patch(&self, path: &str, body: &str) -> Result<(u16, String), String> {
        let path = format!("{path}?fieldManager=test&force=true");
        self.admin.body("PATCH", &path, "application/apply-patch+yaml", body)
    }
}

/// Where an object is in the API: `/apis/apps/v1/namespaces/monitoring/daemonsets/node-exporter`.
fn object_path(object: &Value) -> String {
    const OF_THE_CLUSTER: &[&str] = &["Namespace", "Node", "ClusterRole", "ClusterRoleBinding", "APIService"];
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("not an object: {object}")).to_owned();
    let (version, kind, name) = (text(&object["apiVersion"]), text(&object["kind"]), text(&object["metadata"]["name"]));
    let lower = kind.to_lowercase();
    let plural = match lower.strip_suffix('y') {
        _ if kind == "Endpoints" => lower,
        Some(stem) => format!("{stem}ies"),
        None if lower.ends_with('s') => format!("{lower}es"),
        None => format!("{lower}s"),
    };
    let api = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    if OF_THE_CLUSTER.contains(&kind.as_str()) {
        return format!("{api}/{plural}/{name}");
    }
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
    format!("{api}/namespaces/{namespace}/{plural}/{name}")
}

fn etcd(programs: &Path, folder: &Path) -> (Process, u16) {
    let (port, peer_port) = (free_port(), free_port());
    let etcd = Process::start(
        Command::new(programs.join("etcd"))
            .args(["--name", "t", "--log-level", "warn", "--unsafe-no-fsync", "--data-dir"])
            .arg(folder.join("etcd"))
            .args(["--listen-client-urls", &format!("http://127.0.0.1:{port}")])
            .args(["--advertise-client-urls", &format!("http://127.0.0.1:{port}")])
            .args(["--listen-peer-urls", &format!("http://127.0.0.1:{peer_port}")])
            .args(["--initial-advertise-peer-urls", &format!("http://127.0.0.1:{peer_port}")])
            .args(["--initial-cluster", &format!("t=http://127.0.0.1:{peer_port}")]),
        &folder.join("etcd.log"),
    );
    let http = Http::new(format!("http://127.0.0.1:{port}"));
    eventually("etcd answers", || http.get("/health").map(drop));
    (etcd, port)
}

/// Certificates, keys and tokens of the API server, as flags that name their files.
fn files(pki: &Pki, folder: &Path, advertise: &str) -> [String; 6] {
    let (certificate, key) = pki.server(&["127.0.0.1", "localhost", "kubernetes.default.svc", advertise]);
    let account_key = KeyPair::generate().unwrap();
    let flag = |flag: &str, name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        format!("--{flag}={}", path.display())
    };
    [
        flag("tls-cert-file", "server.crt", &certificate),
        flag("tls-private-key-file", "server.key", &key),
        flag("client-ca-file", "ca.crt", &pki.ca.pem()),
        flag("token-auth-file", "tokens.csv", &format!("{ADMIN},admin,admin,\"system:masters\"\n")),
        flag("service-account-key-file", "sa.pub", &account_key.public_key_pem()),
        flag("service-account-signing-key-file", "sa.key", &account_key.serialize_pem()),
    ]
}
