//! The HTTP client of a section: authentication, TLS, proxy and headers.

mod oauth2;
mod proxy;
mod tls;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use oauth2::{Claims, OAuth2};
pub use proxy::ProxyConfig;
pub use tls::{TlsConfig, TlsVersion};

use crate::schema::{
    Bool, Fields, Inline, MapOf, Nonzero, OmitDefault, Optional, Path, Paths, SecretText, Section as _, Text, Texts,
    section,
};
use crate::{Error, Secret};

/// Headers that the client sets itself.
const RESERVED_HEADERS: [&str; 18] = [
    "Authorization",
    "Host",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "User-Agent",
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Www-Authenticate",
    "Accept-Encoding",
    "X-Prometheus-Remote-Write-Version",
    "X-Prometheus-Remote-Read-Version",
    "X-Prometheus-Scrape-Timeout-Seconds",
    // Those of the signature of AWS.
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
];

section! {
    /// How an HTTP client authenticates, encrypts and connects. These fields stand among those of the section that uses them.
    /// At most one of `basic_auth`, `authorization` and `oauth2` may be set.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct HttpClientConfig as "http_client_config" in (http2: bool) {
        /// Sends `Authorization: Basic …`.
        #[yaml(Optional<BasicAuth>)]
        pub basic_auth: Option<BasicAuth>,
        /// Sends `Authorization: <type> <credentials>`.
        #[yaml(Optional<Authorization>)]
        pub authorization: Option<Authorization>,
        /// Sends a token of an OAuth 2.0 server.
        #[yaml(Optional<OAuth2>)]
        pub oauth2: Option<Box<OAuth2>>,
        /// Short for `authorization` with these credentials, which it becomes when the file is loaded.
        #[yaml(SecretText)]
        pub bearer_token: Option<Secret>,
        /// Short for `authorization` with this `credentials_file`, which it becomes when the file is loaded.
        #[yaml(Path)]
        pub bearer_token_file: Option<PathBuf>,
        /// TLS; if it is missing or empty, servers need a certificate that the system trusts.
        #[yaml(OmitDefault<TlsConfig>, name = "tls_config")]
        pub tls: Option<TlsConfig>,
        /// Follow HTTP redirects.
        #[yaml(Bool, default = true; always)]
        pub follow_redirects: bool,
        /// Use HTTP/2 if the server offers it.
        #[yaml(Bool, inherited = http2 => "true; false in `remote_write`"; always)]
        pub enable_http2: bool,
        /// The proxy.
        #[yaml(Inline<ProxyConfig>)]
        pub proxy: ProxyConfig,
        /// Headers of every request, by name; those that the client sets itself may not be set.
        #[yaml(MapOf<HttpHeader>)]
        pub http_headers: BTreeMap<String, HttpHeader>,
    }
    check_always = check_http;
}

impl Default for HttpClientConfig {
    // Only `remote_write` has HTTP/2 off by default (`DefaultRemoteWriteHTTPClientConfig` upstream).
    fn default() -> Self {
        Self::defaults(true)
    }
}

fn check_http(http: &mut HttpClientConfig, f: &mut Fields<'_>, _: bool) -> Result<(), Error> {
    // Taken away: upstream's `Validate` moves them to `authorization`, and only that is printed.
    let (token, token_file) = (http.bearer_token.take(), http.bearer_token_file.take());
    if token.is_some() && token_file.is_some() {
        return Err(f.refuse_all("at most one of bearer_token & bearer_token_file must be configured"));
    }
    if token.is_some() || token_file.is_some() {
        // In the order of upstream's `HTTPClientConfig.Validate`: of several faults the same one is reported.
        if http.basic_auth.is_some() || http.oauth2.is_some() {
            let message = "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured";
            return Err(f.refuse_all(message));
        }
        if http.authorization.is_some() {
            return Err(f.refuse_all("authorization is not compatible with bearer_token & bearer_token_file"));
        }
        http.authorization =
            Some(Authorization { credentials: token, credentials_file: token_file, ..Authorization::default() });
    }
    // After the move, so a bearer token counts as `authorization` here.
    let ways = [http.basic_auth.is_some(), http.authorization.is_some(), http.oauth2.is_some()];
    if ways.iter().filter(|set| **set).count() > 1 {
        return Err(f.refuse_all("at most one of basic_auth, oauth2 & authorization must be configured"));
    }
    // Header names have no case.
    let reserved = |name: &String| RESERVED_HEADERS.iter().find(|reserved| reserved.eq_ignore_ascii_case(name));
    let mut names = http.http_headers.keys().filter_map(|name| Some((name, reserved(name)?)));
    if let Some((name, reserved)) = names.next()
        && let Ok(Some(headers)) = f.fields("http_headers")
    {
        return Err(headers.refuse(name, format!("setting header {reserved:?} is not allowed")));
    }
    Ok(())
}

section! {
    /// Credentials of HTTP basic authentication. Files are read for every request.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct BasicAuth as "basic_auth" {
        /// The user name.
        #[yaml(Text)]
        pub username: String,
        /// A file that holds the user name.
        #[yaml(Path)]
        pub username_file: Option<PathBuf>,
        /// The password.
        #[yaml(SecretText)]
        pub password: Option<Secret>,
        /// A file that holds the password.
        #[yaml(Path)]
        pub password_file: Option<PathBuf>,
    }
    check_always = check_basic_auth;
}

fn check_basic_auth(auth: &mut BasicAuth, f: &mut Fields<'_>) -> Result<(), Error> {
    // The message is that of prometheus/common; `username_ref` asks a secret manager, and Prometheus has none.
    if !auth.username.is_empty() && auth.username_file.is_some() {
        let message = "at most one of basic_auth username, username_file & username_ref must be configured";
        f.source.report(f.refuse("username_file", message))?;
    }
    if auth.password.is_some() && auth.password_file.is_some() {
        let message = "at most one of basic_auth password, password_file & password_ref must be configured";
        return Err(f.refuse("password_file", message));
    }
    Ok(())
}

section! {
    /// An `Authorization` header of another type than basic.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct Authorization as "authorization" {
        /// The scheme.
        #[yaml(Nonzero<Text>, name = "type", default = "Bearer".to_owned(); always)]
        pub kind: String,
        /// What follows the scheme.
        #[yaml(SecretText)]
        pub credentials: Option<Secret>,
        /// A file that holds the credentials; it is read for every request.
        #[yaml(Path)]
        pub credentials_file: Option<PathBuf>,
    }
    check = check_authorization;
}

fn check_authorization(auth: &mut Authorization, f: &mut Fields<'_>) -> Result<(), Error> {
    if auth.credentials.is_some() && auth.credentials_file.is_some() {
        let message = "at most one of authorization credentials & credentials_file must be configured";
        return Err(f.refuse("credentials_file", message));
    }
    auth.kind = auth.kind.trim().to_owned();
    if auth.kind.is_empty() {
        auth.kind = Authorization::default().kind;
    }
    // The credentials would be sent as they are, without the encoding that basic authentication needs.
    if auth.kind.eq_ignore_ascii_case("basic") {
        let message = "authorization type cannot be set to \"basic\", use \"basic_auth\" instead";
        return Err(f.refuse("type", message));
    }
    Ok(())
}

section! {
    /// The values of one header; all of them are sent.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct HttpHeader as "http_header" {
        /// Values that are not secret.
        #[yaml(Texts)]
        pub values: Vec<String>,
        /// Values that are never printed.
        #[yaml(SecretText)]
        pub secrets: Vec<Secret>,
        /// Files that each hold a value; they are read for every request.
        #[yaml(Paths)]
        pub files: Vec<PathBuf>,
    }
}

/// Refuses `headers` that a section must not set itself; `authorization` is the error for that one.
pub(crate) fn check_headers(
    headers: &BTreeMap<String, String>,
    f: &Fields<'_>,
    authorization: &str,
) -> Result<(), Error> {
    const RESERVED: [&str; 16] = [
        "host",
        "content-encoding",
        "content-length",
        "content-type",
        "user-agent",
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "www-authenticate",
        "accept-encoding",
        "x-prometheus-remote-write-version",
        "x-prometheus-remote-read-version",
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-content-sha256",
    ];
    // Header names have no case. Upstream, too, has a message of its own for `Authorization` (`validateHeaders`).
    for name in headers.keys() {
        let lower = name.to_ascii_lowercase();
        if lower == "authorization" {
            return Err(f.refuse("headers", authorization));
        }
        if RESERVED.contains(&lower.as_str()) {
            return Err(f.refuse("headers", format!("{name} is a reserved header. It must not be changed")));
        }
    }
    Ok(())
}
