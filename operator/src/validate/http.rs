//! Credentials, TLS and proxies. Upstream: `http_config.go`, `tls_types.go` and `types.go` of the API, `pkg/assets`.

use std::net::IpAddr;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::checked::Checked;
use crate::assets::NamespacedAssets;
use crate::objects::{
    Authorization, BasicAuth, HttpConfig, KeySelector, OAuth2, ProxyConfig, SecretOrConfigMap, TlsConfig,
};

/// What is checked of a connection. The order differs from kind to kind, and decides which error is the first.
#[derive(Clone, Copy, Debug)]
pub(super) enum Connection {
    BasicAuth,
    Authorization,
    OAuth2,
    Tls,
}

/// What a connection refers to; `None` is also what a kind has no field for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct References<'a> {
    pub(super) basic_auth: Option<&'a BasicAuth>,
    pub(super) authorization: Option<&'a Authorization>,
    pub(super) oauth2: Option<&'a OAuth2>,
    pub(super) tls: Option<&'a TlsConfig>,
}

impl<'a> From<&'a HttpConfig> for References<'a> {
    fn from(http: &'a HttpConfig) -> Self {
        Self {
            basic_auth: http.basic_auth.as_ref(),
            authorization: http.authorization.as_ref(),
            oauth2: http.oauth2.as_ref(),
            tls: http.tls_config.as_ref(),
        }
    }
}

/// Reads what a connection refers to, in the order given.
pub(super) fn check_connection(assets: NamespacedAssets<'_>, all: References<'_>, parts: &[Connection]) -> Checked {
    for part in parts {
        let (field, checked) = match part {
            Connection::BasicAuth => ("basicAuth", check_basic_auth(assets, all.basic_auth)),
            Connection::Authorization => ("authorization", check_credentials(assets, all.authorization)),
            Connection::OAuth2 => ("oauth2", check_oauth2(assets, all.oauth2)),
            Connection::Tls => ("tlsConfig", check_tls(assets, all.tls)),
        };
        checked.map_err(|why| format!("{field}: {why}"))?;
    }
    Ok(())
}

/// Reads what an endpoint or a prober refers to.
pub(super) fn check_references(assets: NamespacedAssets<'_>, http: &HttpConfig) -> Checked {
    // Older clients write an empty reference where there is none.
    if let Some(token) = http.bearer_token_secret.as_ref().filter(|token| !token.name.is_empty()) {
        assets.secret(token).map_err(|error| format!("bearerTokenSecret: {error}"))?;
    }
    use Connection::{Authorization, BasicAuth, OAuth2, Tls};
    check_connection(assets, http.into(), &[BasicAuth, Tls, OAuth2, Authorization])
}

pub(super) fn check_basic_auth(assets: NamespacedAssets<'_>, basic_auth: Option<&BasicAuth>) -> Checked {
    let Some(BasicAuth { username, password }) = basic_auth else { return Ok(()) };
    assets.secret(username).map_err(|error| format!("failed to get basic auth username: {error}"))?;
    assets.secret(password).map_err(|error| format!("failed to get basic auth password: {error}"))?;
    Ok(())
}

pub(super) fn check_credentials(assets: NamespacedAssets<'_>, authorization: Option<&Authorization>) -> Checked {
    let Some(auth) = authorization else { return Ok(()) };
    // Credentials of a file, or of the scrape class.
    let Some(credentials) = &auth.credentials else { return Ok(()) };
    check_authorization(auth)?;
    if !credentials.name.is_empty() {
        let kind = &auth.r#type;
        assets
            .secret(credentials)
            .map_err(|error| format!("failed to get authorization token of type {kind:?}: {error}"))?;
    }
    Ok(())
}

fn check_authorization(auth: &Authorization) -> Checked {
    if auth.r#type.trim().eq_ignore_ascii_case("basic") {
        return Err("'authorization' type cannot be set to \"basic\", use \"basicAuth\" instead".to_owned());
    }
    if auth.credentials.is_none() {
        return Err("'authorization' credentials are required".to_owned());
    }
    Ok(())
}

pub(super) fn check_oauth2(assets: NamespacedAssets<'_>, oauth2: Option<&OAuth2>) -> Checked {
    let Some(oauth2) = oauth2 else { return Ok(()) };
    check_oauth2_fields(oauth2)?;
    assets.either(&oauth2.client_id).map_err(|error| format!("failed to get oauth2 client id: {error}"))?;
    assets.secret(&oauth2.client_secret).map_err(|error| format!("failed to get oauth2 client secret: {error}"))?;
    // Behind the credentials, as upstream reads them.
    check_connect_headers(assets, &oauth2.proxy).map_err(|why| format!("failed to get oauth2 proxyConfig: {why}"))?;
    check_tls(assets, oauth2.tls_config.as_ref()).map_err(|why| format!("failed to get oauth2 tlsConfig: {why}"))
}

fn check_oauth2_fields(oauth2: &OAuth2) -> Checked {
    if oauth2.token_url.is_empty() {
        return Err("OAuth2 tokenURL must be specified".to_owned());
    }
    if oauth2.client_id.is_empty() {
        return Err("OAuth2 'clientID' must be specified".to_owned());
    }
    check_one_source(&oauth2.client_id).map_err(|why| format!("invalid OAuth2 'clientID': {why}"))?;
    if let Some(tls) = &oauth2.tls_config {
        check_tls_fields(tls).map_err(|why| format!("invalid OAuth2 'tlsConfig': {why}"))?;
    }
    check_proxy_fields(&oauth2.proxy).map_err(|why| format!("invalid OAuth2 proxyConfig: {why}"))
}

fn check_one_source(selector: &SecretOrConfigMap) -> Checked {
    match (&selector.secret, &selector.config_map) {
        (Some(_), Some(_)) => Err("cannot specify both Secret and ConfigMap".to_owned()),
        _ => Ok(()),
    }
}

/// Fields of an endpoint that exclude one another. Only ServiceMonitors may name `with_files`. Upstream:
/// `HTTPConfig.Validate`.
pub(super) fn check_exclusive(http: &HttpConfig, proxy: &ProxyConfig, with_files: bool) -> Checked {
    // Sorted, as the names stand in messages.
    let set = [
        ("authorization", http.authorization.is_some()),
        ("basicAuth", http.basic_auth.is_some()),
        ("bearerTokenSecret", http.bearer_token_secret.is_some()),
        ("oauth2", http.oauth2.is_some()),
    ];
    let mut set = set.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name);
    if let (Some(first), Some(second)) = (set.next(), set.next()) {
        return Err(format!("{first} and {second} cannot be configured at the same time"));
    }
    if let Some(auth) = &http.authorization {
        check_authorization(auth).map_err(|why| format!("authorization: {why}"))?;
    }
    if let Some(oauth2) = &http.oauth2 {
        check_oauth2_fields(oauth2).map_err(|why| format!("oauth2: {why}"))?;
    }
    if let Some(tls) = &http.tls_config {
        let check = if with_files { check_tls_with_files } else { check_tls_fields };
        check(tls).map_err(|why| format!("tlsConfig: {why}"))?;
    }
    check_proxy_fields(proxy)
}

/// Files may not be named. Upstream: `testForArbitraryFSAccess`.
pub(super) fn check_no_files(http: &HttpConfig) -> Checked {
    if !http.bearer_token_file.is_empty() {
        let why = "it accesses file system via bearer token file which Prometheus specification prohibits";
        return Err(why.to_owned());
    }
    let tls = http.tls_config.as_ref();
    if tls.is_some_and(|tls| ![&tls.ca_file, &tls.cert_file, &tls.key_file].iter().all(|file| file.is_empty())) {
        return Err("it accesses file system via tls config which Prometheus specification prohibits".to_owned());
    }
    Ok(())
}

/// Upstream: `SafeTLSConfig.Validate`.
fn check_tls_fields(tls: &TlsConfig) -> Checked {
    check_tls_sources(tls)?;
    match (tls.cert.is_empty(), tls.key_secret.is_some()) {
        (false, false) => Err("client cert specified without client key".to_owned()),
        (true, true) => Err("client key specified without client cert".to_owned()),
        _ => Ok(()),
    }
}

/// Upstream: `TLSConfig.Validate`.
fn check_tls_with_files(tls: &TlsConfig) -> Checked {
    check_tls_sources(tls)?;
    if !tls.ca.is_empty() && !tls.ca_file.is_empty() {
        return Err("cannot specify both 'caFile' and 'ca'".to_owned());
    }
    if !tls.cert.is_empty() && !tls.cert_file.is_empty() {
        return Err("cannot specify both 'certFile' and 'cert'".to_owned());
    }
    if tls.key_secret.is_some() && !tls.key_file.is_empty() {
        return Err("cannot specify both 'keyFile' and 'keySecret'".to_owned());
    }
    let has_cert = !tls.cert.is_empty() || !tls.cert_file.is_empty();
    let has_key = tls.key_secret.is_some() || !tls.key_file.is_empty();
    match (has_cert, has_key) {
        (true, false) => Err("cannot specify client cert without client key".to_owned()),
        (false, true) => Err("cannot specify client key without client cert".to_owned()),
        _ => Ok(()),
    }
}

fn check_tls_sources(tls: &TlsConfig) -> Checked {
    for (name, source) in [("ca", &tls.ca), ("cert", &tls.cert)] {
        check_one_source(source).map_err(|why| format!("{name} {}: {why}", shown(source)))?;
    }
    // By spelling: `TLS10` to `TLS13` sort as they should.
    if let (Some(min), Some(max)) = (&tls.min_version, &tls.max_version)
        && max < min
    {
        return Err("maxVersion must more than or equal to minVersion".to_owned());
    }
    Ok(())
}

fn shown(source: &SecretOrConfigMap) -> String {
    let (kind, KeySelector { name, key, .. }) = match source {
        SecretOrConfigMap { secret: Some(secret), .. } => ("secret", secret),
        SecretOrConfigMap { config_map: Some(map), .. } => ("configmap", map),
        _ => return "<empty>".to_owned(),
    };
    format!("<{kind}={name},key={key}>")
}

/// Reads certificates and keys, and looks whether they are some. Upstream: `AddTLSConfig`.
pub(super) fn check_tls(assets: NamespacedAssets<'_>, tls: Option<&TlsConfig>) -> Checked {
    let Some(tls) = tls else { return Ok(()) };
    let has_files = ![&tls.ca_file, &tls.cert_file, &tls.key_file].iter().all(|file| file.is_empty());
    let check = if has_files { check_tls_with_files } else { check_tls_fields };
    check(tls).map_err(|why| format!("failed to validate TLS configuration: {why}"))?;
    let read = |what: &str, source: &SecretOrConfigMap| {
        assets.either(source).map_err(|error| format!("failed to get {what} {:?}: {error}", shown(source)))
    };
    let (ca, cert) = (read("ca", &tls.ca)?, read("cert", &tls.cert)?);
    let key = match &tls.key_secret {
        None => "",
        Some(key) => {
            assets.secret(key).map_err(|error| format!("failed to get key {}/{}: {error}", key.name, key.key))?
        }
    };
    if !ca.is_empty() {
        let block = CertificateDer::from_pem_slice(ca.as_bytes());
        block.map_err(|_| format!("ca {}: failed to decode PEM block", shown(&tls.ca)))?;
    }
    if let Some(selector) = tls.key_secret.as_ref().filter(|_| !cert.is_empty() && !key.is_empty()) {
        check_key_pair(cert, key).map_err(|why| {
            format!("cert {}, key <{}/{}>: tls: {why}", shown(&tls.cert), selector.name, selector.key)
        })?;
    }
    Ok(())
}

/// Whether the two belong together is found out when the job is made.
fn check_key_pair(cert: &str, key: &str) -> Result<(), &'static str> {
    CertificateDer::from_pem_slice(cert.as_bytes()).map_err(|_| "failed to find any PEM data in certificate input")?;
    PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| "failed to find any PEM data in key input")?;
    Ok(())
}

/// Upstream: `addProxyConfigToStore`.
pub(super) fn check_proxy(assets: NamespacedAssets<'_>, proxy: &ProxyConfig) -> Checked {
    check_proxy_fields(proxy)?;
    check_connect_headers(assets, proxy)
}

fn check_connect_headers(assets: NamespacedAssets<'_>, proxy: &ProxyConfig) -> Checked {
    for (name, values) in proxy.proxy_connect_header.iter().flatten() {
        for (i, value) in values.iter().enumerate() {
            assets.secret(value).map_err(|error| format!("header[{name}][{i}]: {error}"))?;
        }
    }
    Ok(())
}

/// Upstream: `ProxyConfig.Validate`.
fn check_proxy_fields(proxy: &ProxyConfig) -> Checked {
    let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let from_environment = proxy.proxy_from_environment == Some(true);
    let (has_url, has_exceptions) = (is_set(&proxy.proxy_url), is_set(&proxy.no_proxy));
    let headers = || proxy.proxy_connect_header.iter().flatten();
    let refuse = |why: &str| Err(why.to_owned());
    if headers().next().is_some() && !from_environment && !has_url {
        return refuse("if proxyConnectHeader is configured, proxyUrl or proxyFromEnvironment must also be configured");
    }
    if from_environment && has_url {
        return refuse("if proxyFromEnvironment is configured, proxyUrl must not be configured");
    }
    if from_environment && has_exceptions {
        return refuse("if proxyFromEnvironment is configured, noProxy must not be configured");
    }
    if !has_url && has_exceptions {
        return refuse("if noProxy is configured, proxyUrl must also be configured");
    }
    for (name, values) in headers() {
        if values.is_empty() {
            // The name is misspelled upstream.
            return Err(format!("proxyConnetHeader[{name}]: selector must not be empty"));
        }
        if let Some(i) = values.iter().position(|value| *value == KeySelector::default()) {
            return Err(format!("proxyConnectHeader[{name}][{i}]: selector must be defined"));
        }
    }
    proxy.proxy_url.as_deref().map_or(Ok(()), check_url)
}

/// Is it a URL, as far as Go's `url.Parse` looks?
pub(super) fn check_url(url: &str) -> Checked {
    // Go reads `host` and `/path` as relative references, which `url` does not.
    let Some((_, rest)) = url.split_once("://") else { return Ok(()) };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // What stands before the last `@` are credentials, which may hold one themselves.
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let is_refused =
        |c: &char| matches!(c, '{' | '}' | '|' | '^' | '`' | '\\' | ' ' | '"' | '<' | '>') || c.is_control();
    match host.chars().find(is_refused) {
        Some(c) => Err(format!("parse {url:?}: invalid character {:?} in host name", c.to_string())),
        None => Ok(()),
    }
}

/// `host`, `host:port` or `[address]:port`. Upstream: `validateProberURL`.
pub(super) fn check_host_port(text: &str) -> Checked {
    let is_host = |host: &str| host.parse::<IpAddr>().is_ok() || is_dns_name(host);
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once("]:"));
    // Go's `SplitHostPort` refuses a text with several colons, which is then a host as a whole.
    let split = bracketed.or_else(|| text.split_once(':').filter(|(_, port)| !port.contains(':')));
    let Some((host, port)) = split else {
        return if is_host(text) { Ok(()) } else { Err(format!("invalid host: {text:?}")) };
    };
    if !is_host(host) {
        return Err(format!("invalid host: {host:?}"));
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err(format!("invalid port: {port:?}")),
    }
}

fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    // A dot at the end makes a name absolute.
    name.len() <= 255 && name.trim_end_matches('.').split('.').all(is_label)
}
