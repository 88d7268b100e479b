//! How a client of one configuration block speaks HTTP: credentials, TLS, proxy, headers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::Secret;
use crate::yaml::Yaml;

/// The HTTP client fields that scrape configurations, discoveries and senders share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpClientConfig {
    /// `Authorization: Basic …`; at most one of this, `authorization` and `oauth2`.
    pub basic_auth: Option<BasicAuth>,
    /// `Authorization: <type> <credentials>`; `bearer_token` and `bearer_token_file` end here too.
    pub authorization: Option<Authorization>,
    /// Tokens from an OAuth 2.0 server.
    pub oauth2: Option<Box<OAuth2>>,
    /// TLS; `None` when the block does not speak of it, which means the system's roots.
    pub tls: Option<TlsConfig>,
    /// Does the client follow redirects?
    pub follow_redirects: bool,
    /// May the client use HTTP/2?
    pub enable_http2: bool,
    /// Through which proxy.
    pub proxy: ProxyConfig,
    /// Headers of every request, by name.
    pub http_headers: BTreeMap<String, HttpHeader>,
}

impl Default for HttpClientConfig {
    fn default() -> Self {
        Self {
            basic_auth: None,
            authorization: None,
            oauth2: None,
            tls: None,
            follow_redirects: true,
            enable_http2: true,
            proxy: ProxyConfig::default(),
            http_headers: BTreeMap::new(),
        }
    }
}

/// A user and a password; of each at most one of text and file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasicAuth {
    /// The user.
    pub username: String,
    /// The file that holds the user, read at every request.
    pub username_file: Option<PathBuf>,
    /// The password.
    pub password: Option<Secret>,
    /// The file that holds the password, read at every request.
    pub password_file: Option<PathBuf>,
}

/// A scheme and its credentials; at most one of text and file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The scheme, `Bearer` unless said otherwise.
    pub kind: String,
    /// The credentials.
    pub credentials: Option<Secret>,
    /// The file that holds the credentials, read at every request.
    pub credentials_file: Option<PathBuf>,
}

impl Default for Authorization {
    fn default() -> Self {
        Self { kind: "Bearer".to_owned(), credentials: None, credentials_file: None }
    }
}

/// Client credentials for an OAuth 2.0 token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OAuth2 {
    /// Who asks.
    pub client_id: String,
    /// With which secret.
    pub client_secret: Option<Secret>,
    /// The file that holds the secret.
    pub client_secret_file: Option<PathBuf>,
    /// As it is written; empty when it is not. Whatever is not that of `jwt` means client credentials, as upstream has it.
    pub grant_type: String,
    /// Another grant than that of client credentials.
    pub jwt: Option<JwtBearer>,
    /// For what.
    pub scopes: Vec<String>,
    /// Where.
    pub token_url: String,
    /// Further parameters of the request.
    pub endpoint_params: BTreeMap<String, String>,
    /// TLS towards the token server.
    pub tls: Option<TlsConfig>,
    /// The proxy towards the token server.
    pub proxy: ProxyConfig,
}

/// The grant `urn:ietf:params:oauth:grant-type:jwt-bearer` (RFC 7523).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtBearer {
    /// The key that signs, PEM.
    pub certificate_key: Option<Secret>,
    /// The file of that key.
    pub certificate_key_file: Option<PathBuf>,
    /// What the server knows it by.
    pub certificate_key_id: String,
    /// `RS256`, `RS384` or `RS512`.
    pub signature_algorithm: String,
    /// Who signs, if it is not the client's id.
    pub iss: String,
    /// Whom the assertion is for, if it is not the server of tokens.
    pub audience: String,
    /// Further claims; they win over those that the client makes.
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// The same as they are printed.
    pub(crate) shown_claims: Option<Yaml>,
}

/// Whom to trust, and who to be. Of each pair at most one of text and file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// Trusted certificates, PEM.
    pub ca: Option<String>,
    /// The file of trusted certificates.
    pub ca_file: Option<PathBuf>,
    /// The client's certificates, PEM.
    pub cert: Option<String>,
    /// The file of the client's certificates.
    pub cert_file: Option<PathBuf>,
    /// The client's key, PEM.
    pub key: Option<Secret>,
    /// The file of the client's key.
    pub key_file: Option<PathBuf>,
    /// The name the server must prove, instead of the URL's host.
    pub server_name: Option<String>,
    /// Believe any certificate.
    pub insecure_skip_verify: bool,
    /// The lowest protocol version to speak.
    pub min_version: Option<TlsVersion>,
    /// The highest protocol version to speak.
    pub max_version: Option<TlsVersion>,
}

/// A protocol version. rustls speaks the last two; an older minimum is no hindrance, an older maximum is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.0
    Tls10,
    /// TLS 1.1
    Tls11,
    /// TLS 1.2
    Tls12,
    /// TLS 1.3
    Tls13,
}

impl TlsVersion {
    /// Every version, from old to new.
    pub const ALL: [Self; 4] = [Self::Tls10, Self::Tls11, Self::Tls12, Self::Tls13];

    /// As configurations spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls10 => "TLS10",
            Self::Tls11 => "TLS11",
            Self::Tls12 => "TLS12",
            Self::Tls13 => "TLS13",
        }
    }
}

/// Which requests go through which proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyConfig {
    /// The proxy of every request that `no_proxy` does not except.
    pub proxy_url: Option<String>,
    /// Hosts, domains and networks that are asked directly, comma separated.
    pub no_proxy: String,
    /// Take `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` instead.
    pub proxy_from_environment: bool,
    /// Headers for the proxy, of `CONNECT` requests.
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
}

impl ProxyConfig {
    /// Says the block nothing about a proxy?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The values of one header: all of them are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpHeader {
    /// Values that may be seen.
    pub values: Vec<String>,
    /// Values that may not.
    pub secrets: Vec<Secret>,
    /// Files that each hold a value, read at every request.
    pub files: Vec<PathBuf>,
}
