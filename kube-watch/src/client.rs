//! The client of an API server: that of the cluster the process runs in, by a kubeconfig file, or by address and credentials.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::{Authorization, HttpClientConfig, KubernetesSdConfig, TlsConfig};
use http_client::readable_authorities;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::Error;

/// Where a pod finds the token and the certificate authorities of its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// An API server and the credentials for it. Consumers that agree in both share a client and watches. The default is that of the
/// cluster the process runs in, with its service account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiServer {
    /// Its URL.
    pub api_server: Option<String>,
    /// A kubeconfig file, if there is no URL.
    pub kubeconfig_file: Option<PathBuf>,
    /// How it is connected to; only with a URL.
    pub http: HttpClientConfig,
}

impl std::fmt::Display for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.api_server, &self.kubeconfig_file) {
            (Some(url), _) => f.write_str(&without_user(url)),
            (None, Some(path)) => write!(f, "kubeconfig {}", path.display()),
            (None, None) => f.write_str("in-cluster"),
        }
    }
}

/// A URL without user and password.
fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

impl From<&KubernetesSdConfig> for ApiServer {
    fn from(config: &KubernetesSdConfig) -> Self {
        Self {
            api_server: config.api_server.clone(),
            kubeconfig_file: config.kubeconfig_file.clone(),
            http: config.http.clone(),
        }
    }
}

/// The client of one server. It is built when it is first needed, and again after its credentials were refused.
#[derive(Debug)]
pub(crate) struct ClientSlot {
    pub(crate) server: ApiServer,
    client: Mutex<Option<ClientBox>>,
}

struct ClientBox(Client);

impl std::fmt::Debug for ClientBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl ClientSlot {
    pub(crate) fn new(server: ApiServer) -> Self {
        Self { server, client: Mutex::new(None) }
    }

    pub(crate) async fn client(&self) -> Result<Client, Error> {
        // Held while the client is built: the watches of one server start together and share it.
        let mut guard = self.client.lock().await;
        if let Some(client) = &*guard {
            return Ok(client.0.clone());
        }
        let mut config = kube_config(&self.server).await?;
        // It would try again many times before it says that a server is busy. The pauses, and `Retry-After`, are in `fault`.
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|error| Error::Client(error.to_string()))?;
        *guard = Some(ClientBox(client.clone()));
        Ok(client)
    }

    /// Drops the client: its credentials were refused, and the files they come from may have changed.
    pub(crate) async fn reset(&self) {
        *self.client.lock().await = None;
    }
}

async fn kube_config(server: &ApiServer) -> Result<kube::Config, Error> {
    let kubeconfig = match (&server.api_server, &server.kubeconfig_file) {
        (None, None) => {
            let (url, http) = in_cluster(Path::new(SERVICE_ACCOUNT), &|name| std::env::var(name).ok())?;
            kubeconfig_of(&url, &http)?
        }
        (None, Some(path)) => Kubeconfig::read_from(path).map_err(|error| Error::Client(error.to_string()))?,
        (Some(url), _) => kubeconfig_of(url, &server.http)?,
    };
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    config.map_err(|error| Error::Client(error.to_string()))
}

/// The API server of the cluster a pod runs in, and the pod's credentials for it. As in Prometheus' client, neither the file
/// `namespace` nor the one of certificate authorities has to be there.
fn in_cluster(folder: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<(String, HttpClientConfig), Error> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let (Some(host), Some(port)) = (set("KUBERNETES_SERVICE_HOST"), set("KUBERNETES_SERVICE_PORT")) else {
        let why = "not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set; name the server with \
                   api_server or kubeconfig_file";
        return Err(Error::Client(why.to_owned()));
    };
    // Kubernetes gives IPv6 addresses without brackets.
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let token = folder.join("token");
    // The file is read by kube; a missing one is reported here, in words that name it.
    std::fs::metadata(&token).map_err(|source| Error::Read { path: token.clone(), source })?;
    let authorities = folder.join("ca.crt");
    let tls = TlsConfig { ca_file: authorities.exists().then_some(authorities), ..TlsConfig::default() };
    let authorization = Authorization { credentials_file: Some(token), ..Authorization::default() };
    let http = HttpClientConfig { tls: Some(tls), authorization: Some(authorization), ..HttpClientConfig::default() };
    Ok((format!("https://{host}:{port}"), http))
}

/// The HTTP client fields as a kubeconfig, because kube reads the files that one names again when they change.
fn kubeconfig_of(url: &str, http: &HttpClientConfig) -> Result<Kubeconfig, Error> {
    // A kubeconfig has no field for it.
    if http.oauth2.is_some() {
        return Err(Error::Client("oauth2 is not served yet; use basic_auth or authorization".to_owned()));
    }
    let default = TlsConfig::default();
    let tls = http.tls.as_ref().unwrap_or(&default);
    let encoded = |text: &str| Value::from(STANDARD.encode(text));
    let shown = |path: &PathBuf| Value::from(path.display().to_string());
    let mut cluster = Map::new();
    let mut user = Map::new();
    let put = |map: &mut Map<String, Value>, key: &str, value: Option<Value>| {
        if let Some(value) = value {
            map.insert(key.to_owned(), value);
        }
    };
    // kube joins the path of a request to this one.
    put(&mut cluster, "server", Some(url.trim_end_matches('/').into()));
    put(&mut cluster, "insecure-skip-tls-verify", tls.insecure_skip_verify.then_some(true.into()));
    // kube reads a file again when it changes, but refuses all of it for one certificate that cannot be parsed. Then what can be
    // parsed is passed as data. A file that cannot be read at all is passed by name, so that kube's error names it.
    let of_file = tls.ca_file.as_ref().and_then(|path| readable_authorities(&std::fs::read(path).ok()?));
    let of_text =
        tls.ca.as_ref().map(|text| readable_authorities(text.as_bytes()).unwrap_or_else(|| text.clone().into()));
    put(&mut cluster, "certificate-authority", tls.ca_file.as_ref().filter(|_| of_file.is_none()).map(shown));
    put(&mut cluster, "certificate-authority-data", of_file.or(of_text).map(|pem| Value::from(STANDARD.encode(pem))));
    put(&mut cluster, "tls-server-name", tls.server_name.as_deref().map(Value::from));
    put(&mut cluster, "proxy-url", http.proxy.proxy_url.as_deref().map(Value::from));
    put(&mut user, "client-certificate", tls.cert_file.as_ref().map(shown));
    put(&mut user, "client-certificate-data", tls.cert.as_deref().map(encoded));
    put(&mut user, "client-key", tls.key_file.as_ref().map(shown));
    put(&mut user, "client-key-data", tls.key.as_ref().map(|key| encoded(key.expose())));
    if let Some(auth) = &http.authorization {
        // kube sends tokens as Bearer only.
        if !auth.kind.eq_ignore_ascii_case("bearer") {
            let message = format!("authorization type {:?} is not served for api_server; it is Bearer", auth.kind);
            return Err(Error::Client(message));
        }
        put(&mut user, "token", auth.credentials.as_ref().map(|secret| secret.expose().into()));
        put(&mut user, "tokenFile", auth.credentials_file.as_ref().map(shown));
    }
    if let Some(auth) = &http.basic_auth {
        // A kubeconfig has no files for name and password, so these are read once per client.
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path);
            text.map(|text| text.trim().to_owned()).map_err(|source| Error::Read { path: path.clone(), source })
        };
        let username = auth.username_file.as_ref().map_or_else(|| Ok(auth.username.clone()), read)?;
        let given = || auth.password.as_ref().map(|secret| secret.expose().to_owned()).unwrap_or_default();
        let password = auth.password_file.as_ref().map_or_else(|| Ok(given()), read)?;
        put(&mut user, "username", Some(username.into()));
        put(&mut user, "password", Some(password.into()));
    }
    let kubeconfig = json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    });
    // The text of the parser's error could quote a secret.
    serde_json::from_value(kubeconfig).map_err(|_| Error::Client("the HTTP client fields do not fit".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pod_needs_no_namespace_file() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let env = |host: &'static str| {
            move |name: &str| match name {
                "KUBERNETES_SERVICE_HOST" => Some(host.to_owned()),
                "KUBERNETES_SERVICE_PORT" => Some("6443".to_owned()),
                _ => None,
            }
        };
        let error = in_cluster(folder.path(), &env("10.0.0.1")).unwrap_err().to_string();
        assert!(error.contains("token"), "{error}");
        std::fs::write(folder.path().join("token"), "t").unwrap();
        let (url, http) = in_cluster(folder.path(), &env("fd00::1")).unwrap();
        assert_eq!((&*url, http.tls.as_ref().unwrap().ca_file.as_ref()), ("https://[fd00::1]:6443", None));
        let pair = rcgen::KeyPair::generate().unwrap();
        let pem = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap().pem();
        std::fs::write(folder.path().join("ca.crt"), pem).unwrap();
        let (url, http) = in_cluster(folder.path(), &env("10.0.0.1")).unwrap();
        let kubeconfig = kubeconfig_of(&url, &http).unwrap();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        assert_eq!(config.cluster_url.to_string(), "https://10.0.0.1:6443/");
        assert_eq!(config.root_cert.map(|certificates| certificates.len()), Some(1));
        assert_eq!(config.auth_info.token_file.unwrap(), folder.path().join("token").display().to_string());
        let error = in_cluster(folder.path(), &|_| None).unwrap_err().to_string();
        assert!(error.contains("not in a cluster"), "{error}");
    }

    #[test]
    fn a_server_is_shown_without_credentials() {
        let of_url = |url: &str| ApiServer { api_server: Some(url.to_owned()), ..ApiServer::default() }.to_string();
        assert_eq!(of_url("https://me:a@b@api:6443/p@q"), "https://api:6443/p@q");
        assert_eq!(of_url("https://api:6443"), "https://api:6443");
        let of_file = ApiServer { kubeconfig_file: Some("/k".into()), ..ApiServer::default() };
        assert_eq!(
            (of_file.to_string(), ApiServer::default().to_string()),
            ("kubeconfig /k".into(), "in-cluster".into())
        );
    }

    #[test]
    fn a_bundle_of_authorities_is_used_as_far_as_it_can_be_read() {
        let pair = rcgen::KeyPair::generate().unwrap();
        let good = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap().pem();
        let bad = "-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n";
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let (both, whole) = (format!("{bad}{good}"), file("whole", &good));
        for (ca, ca_file, data, path) in [
            (None, whole.clone(), None, whole.as_ref()),
            (None, file("both", &both), Some(&good), None),
            (Some(both.clone()), None, Some(&good), None),
            (Some(good.clone()), None, Some(&good), None),
        ] {
            let http =
                HttpClientConfig { tls: Some(TlsConfig { ca, ca_file, ..TlsConfig::default() }), ..Default::default() };
            let kubeconfig = kubeconfig_of("https://api:6443", &http).unwrap();
            let cluster = kubeconfig.clusters[0].cluster.clone().unwrap();
            assert_eq!(cluster.certificate_authority_data, data.map(|pem| STANDARD.encode(pem)));
            assert_eq!(cluster.certificate_authority, path.map(|path| path.display().to_string()));
        }
    }
}
