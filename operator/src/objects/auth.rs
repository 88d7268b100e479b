//! How an endpoint is connected to: credentials, TLS, proxies.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One key of a Secret or of a ConfigMap.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(default)]
pub struct KeySelector {
    /// The object.
    pub name: String,
    /// The key in it.
    pub key: String,
    /// It may be missing; only `additional…` fields of a Prometheus object heed it.
    // Read, because `additionalScrapeConfigs` heed it; monitors do not, as upstream.
    pub optional: Option<bool>,
}

/// A key of one of the two. Both is an error.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretOrConfigMap {
    /// A key of a Secret.
    pub secret: Option<KeySelector>,
    /// A key of a ConfigMap.
    pub config_map: Option<KeySelector>,
}

impl SecretOrConfigMap {
    /// Is it not set?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.secret.is_none() && self.config_map.is_none()
    }
}

/// HTTP basic authentication.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct BasicAuth {
    /// The user name.
    pub username: KeySelector,
    /// The password.
    pub password: KeySelector,
}

/// An `Authorization` header. Only some kinds have `credentialsFile`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Authorization {
    /// The scheme, `Bearer` if it is empty.
    pub r#type: String,
    /// What follows the scheme.
    pub credentials: Option<KeySelector>,
    /// A file that holds it.
    pub credentials_file: String,
}

/// A client certificate, and which servers are trusted. Only some kinds have the `…File` fields.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsConfig {
    /// Trusted certificates.
    pub ca: SecretOrConfigMap,
    /// The client's certificate.
    pub cert: SecretOrConfigMap,
    /// The client's key.
    pub key_secret: Option<KeySelector>,
    /// The name that the server's certificate must have.
    pub server_name: Option<String>,
    /// Accept any certificate.
    pub insecure_skip_verify: Option<bool>,
    /// The lowest version, `TLS12` for instance.
    pub min_version: Option<String>,
    /// The highest version.
    pub max_version: Option<String>,
    /// A file of trusted certificates.
    pub ca_file: String,
    /// A file that holds the client's certificate.
    pub cert_file: String,
    /// A file that holds the client's key.
    pub key_file: String,
}

/// A proxy.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyConfig {
    /// Its address.
    pub proxy_url: Option<String>,
    /// Hosts that are reached without it.
    pub no_proxy: Option<String>,
    /// Take it from the environment.
    pub proxy_from_environment: Option<bool>,
    /// Headers of the request to the proxy.
    pub proxy_connect_header: Option<BTreeMap<String, Vec<KeySelector>>>,
}

/// OAuth 2.0 client credentials.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct OAuth2 {
    /// The client.
    pub client_id: SecretOrConfigMap,
    /// Its secret.
    pub client_secret: KeySelector,
    /// Where tokens are asked for.
    pub token_url: String,
    /// Scopes of the token.
    pub scopes: Vec<String>,
    /// Further parameters of the request.
    pub endpoint_params: BTreeMap<String, String>,
    /// TLS towards the token server.
    pub tls_config: Option<TlsConfig>,
    /// The proxy towards it.
    #[serde(flatten)]
    pub proxy: ProxyConfig,
}

/// AWS Signature Version 4.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Sigv4 {
    /// The region.
    pub region: String,
    /// The access key.
    pub access_key: Option<KeySelector>,
    /// The secret key.
    pub secret_key: Option<KeySelector>,
    /// A named profile.
    pub profile: String,
    /// A role to assume.
    pub role_arn: String,
    /// The external id of the role.
    pub external_id: String,
    /// Use the FIPS endpoint.
    #[serde(rename = "useFIPSSTSEndpoint")]
    pub use_fips_sts_endpoint: Option<bool>,
}

/// How an endpoint is connected to, beside its proxy.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpConfig {
    /// An `Authorization` header.
    pub authorization: Option<Authorization>,
    /// Basic authentication.
    pub basic_auth: Option<BasicAuth>,
    /// A token of an OAuth 2.0 server.
    pub oauth2: Option<OAuth2>,
    /// A bearer token; deprecated upstream.
    pub bearer_token_secret: Option<KeySelector>,
    /// A file that holds a bearer token; deprecated upstream.
    pub bearer_token_file: String,
    /// Follow redirects.
    pub follow_redirects: Option<bool>,
    /// Use HTTP/2.
    // Monitors spell it `enableHttp2`, and ScrapeConfigs like this.
    #[serde(alias = "enableHTTP2")]
    pub enable_http2: Option<bool>,
    /// TLS.
    pub tls_config: Option<TlsConfig>,
}
