//! The HTTP client fields: read and shown. They stand among a block's own fields, not in a mapping of their own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::decode::Fields;
use crate::node::{Kind, Node};
use crate::yaml::Yaml;
use crate::{
    Authorization, BasicAuth, Error, HttpClientConfig, HttpHeader, JwtBearer, OAuth2, ProxyConfig, SECRET_SHOWN,
    Secret, TlsConfig, TlsVersion, unserved,
};

/// Headers that the client sets itself.
const RESERVED_HEADERS: [&str; 16] = [
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
    "Accept",
];

/// The fields of a block that also holds others.
pub(crate) fn http(fields: &mut Fields<'_>, http2_default: bool) -> Result<HttpClientConfig, Error> {
    let basic_auth = basic_auth(fields)?;
    let mut authorization = authorization(fields)?;
    let oauth2 = oauth2(fields)?;
    let token = fields.secret("bearer_token")?;
    let token_file = fields.path("bearer_token_file")?;
    if token.is_some() && token_file.is_some() {
        return Err(fields.refuse_all("at most one of bearer_token & bearer_token_file must be configured"));
    }
    if token.is_some() || token_file.is_some() {
        if basic_auth.is_some() || oauth2.is_some() {
            let message = "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured";
            return Err(fields.refuse_all(message));
        }
        if authorization.is_some() {
            return Err(fields.refuse_all("authorization is not compatible with bearer_token & bearer_token_file"));
        }
        authorization =
            Some(Authorization { credentials: token, credentials_file: token_file, ..Authorization::default() });
    }
    let n_ways = [basic_auth.is_some(), authorization.is_some(), oauth2.is_some()].iter().filter(|set| **set).count();
    if n_ways > 1 {
        return Err(fields.refuse_all("at most one of basic_auth, oauth2 & authorization must be configured"));
    }
    Ok(HttpClientConfig {
        basic_auth,
        authorization,
        oauth2: oauth2.map(Box::new),
        tls: tls(fields)?,
        follow_redirects: fields.bool("follow_redirects")?.unwrap_or(true),
        enable_http2: fields.bool("enable_http2")?.unwrap_or(http2_default),
        proxy: proxy(fields)?,
        http_headers: headers(fields)?,
    })
}

fn basic_auth(fields: &mut Fields<'_>) -> Result<Option<BasicAuth>, Error> {
    let Some(mut inner) = fields.fields("basic_auth")? else { return Ok(None) };
    let auth = BasicAuth {
        username: inner.text("username")?.unwrap_or_default(),
        username_file: inner.path("username_file")?,
        password: inner.secret("password")?,
        password_file: inner.path("password_file")?,
    };
    if !auth.username.is_empty() && auth.username_file.is_some() {
        let message = "at most one of basic_auth username, username_file & username_ref must be configured";
        return Err(inner.refuse("username_file", message));
    }
    if auth.password.is_some() && auth.password_file.is_some() {
        let message = "at most one of basic_auth password, password_file & password_ref must be configured";
        return Err(inner.refuse("password_file", message));
    }
    inner.finish()?;
    Ok(Some(auth))
}

fn authorization(fields: &mut Fields<'_>) -> Result<Option<Authorization>, Error> {
    let Some(mut inner) = fields.fields("authorization")? else { return Ok(None) };
    let kind = inner.text("type")?.filter(|kind| !kind.is_empty()).unwrap_or_else(|| "Bearer".to_owned());
    let auth = Authorization {
        kind,
        credentials: inner.secret("credentials")?,
        credentials_file: inner.path("credentials_file")?,
    };
    if auth.credentials.is_some() && auth.credentials_file.is_some() {
        let message = "at most one of authorization credentials & credentials_file must be configured";
        return Err(inner.refuse("credentials_file", message));
    }
    if auth.kind.trim().eq_ignore_ascii_case("basic") {
        let message = "authorization type cannot be set to \"basic\", use \"basic_auth\" instead";
        return Err(inner.refuse("type", message));
    }
    inner.finish()?;
    Ok(Some(auth))
}

fn oauth2(fields: &mut Fields<'_>) -> Result<Option<OAuth2>, Error> {
    let Some(mut inner) = fields.fields("oauth2")? else { return Ok(None) };
    let oauth2 = OAuth2 {
        client_id: inner.text("client_id")?.unwrap_or_default(),
        client_secret: inner.secret("client_secret")?,
        client_secret_file: inner.path("client_secret_file")?,
        grant_type: inner.text("grant_type")?.unwrap_or_default(),
        jwt: jwt_bearer(&mut inner)?,
        scopes: inner.texts("scopes")?,
        token_url: inner.text("token_url")?.unwrap_or_default(),
        endpoint_params: inner.text_map("endpoint_params")?,
        tls: tls(&mut inner)?,
        proxy: proxy(&mut inner)?,
    };
    if oauth2.client_id.is_empty() {
        return Err(inner.refuse("client_id", "oauth2 client_id must be configured"));
    }
    if oauth2.token_url.is_empty() {
        return Err(inner.refuse("token_url", "oauth2 token_url must be configured"));
    }
    if oauth2.jwt.is_none() && oauth2.client_secret.is_some() && oauth2.client_secret_file.is_some() {
        let message = "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be configured using grant-type=client_credentials";
        return Err(inner.refuse("client_secret_file", message));
    }
    inner.finish()?;
    Ok(Some(oauth2))
}

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The grant, if `grant_type` asks for another than client credentials.
fn jwt_bearer(fields: &mut Fields<'_>) -> Result<Option<JwtBearer>, Error> {
    let grant = fields.text("grant_type")?.unwrap_or_default();
    let mut text = |name| fields.text(name).map(Option::unwrap_or_default);
    let jwt = JwtBearer {
        certificate_key_id: text("client_certificate_key_id")?,
        signature_algorithm: text("signature_algorithm")?,
        iss: text("iss")?,
        audience: text("audience")?,
        certificate_key: fields.secret("client_certificate_key")?,
        certificate_key_file: fields.path("client_certificate_key_file")?,
        claims: match fields.node("claims").map(json) {
            Some(serde_json::Value::Object(claims)) => claims,
            Some(_) => return Err(fields.refuse("claims", "claims are a mapping of names to values")),
            None => serde_json::Map::new(),
        },
        shown_claims: fields.node("claims").map(|node| unserved::anything("claims", node)),
    };
    if grant != JWT_BEARER {
        return Ok(None);
    }
    if jwt.certificate_key.is_some() && jwt.certificate_key_file.is_some() {
        let message = format!(
            "at most one of oauth2 client_certificate_key, client_certificate_key_file & client_certificate_key_ref must \
             be configured using grant-type={JWT_BEARER}"
        );
        return Err(fields.refuse("client_certificate_key_file", message));
    }
    if !["", "RS256", "RS384", "RS512"].contains(&jwt.signature_algorithm.as_str()) {
        return Err(fields.refuse("signature_algorithm", "valid signature algorithms are RS256, RS384 and RS512"));
    }
    Ok(Some(jwt))
}

/// What YAML says, in JSON.
fn json(node: &Node) -> serde_json::Value {
    use serde_json::Value;
    match &*node.kind {
        Kind::Scalar { text, plain } => match text.to_ascii_lowercase().as_str() {
            _ if !plain => Value::from(text.clone()),
            "" | "~" | "null" => Value::Null,
            "true" | "yes" | "on" => Value::from(true),
            "false" | "no" | "off" => Value::from(false),
            _ => text.parse().map(Value::Number).unwrap_or_else(|_| Value::from(text.clone())),
        },
        Kind::List(items) => items.iter().map(json).collect(),
        Kind::Map(pairs) => pairs.iter().map(|(key, value)| (key.text.clone(), json(value))).collect(),
    }
}

/// `tls_config`; one that says nothing is none.
pub(crate) fn tls(fields: &mut Fields<'_>) -> Result<Option<TlsConfig>, Error> {
    let Some(mut inner) = fields.fields("tls_config")? else { return Ok(None) };
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    let tls = TlsConfig {
        ca: some(inner.text("ca")?),
        ca_file: inner.path("ca_file")?,
        cert: some(inner.text("cert")?),
        cert_file: inner.path("cert_file")?,
        key: inner.secret("key")?,
        key_file: inner.path("key_file")?,
        server_name: some(inner.text("server_name")?),
        insecure_skip_verify: inner.bool("insecure_skip_verify")?.unwrap_or(false),
        min_version: version(&mut inner, "min_version")?,
        max_version: version(&mut inner, "max_version")?,
    };
    for (both, what) in [
        (tls.ca.is_some() && tls.ca_file.is_some(), "ca, ca_file & ca_ref"),
        (tls.cert.is_some() && tls.cert_file.is_some(), "cert, cert_file & cert_ref"),
        (tls.key.is_some() && tls.key_file.is_some(), "key, key_file & key_ref"),
    ] {
        if both {
            return Err(inner.refuse_all(format!("at most one of {what} must be configured")));
        }
    }
    let (cert, key) = (tls.cert.is_some() || tls.cert_file.is_some(), tls.key.is_some() || tls.key_file.is_some());
    if cert && !key {
        let message = "exactly one of key or key_file must be configured when a client certificate is configured";
        return Err(inner.refuse_all(message));
    }
    if key && !cert {
        let message = "exactly one of cert or cert_file must be configured when a client key is configured";
        return Err(inner.refuse_all(message));
    }
    if let (Some(min), Some(max)) = (tls.min_version, tls.max_version)
        && max < min
    {
        let message =
            "tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified";
        return Err(inner.refuse("max_version", message));
    }
    inner.finish()?;
    Ok((tls != TlsConfig::default()).then_some(tls))
}

pub(crate) fn version(fields: &mut Fields<'_>, name: &'static str) -> Result<Option<TlsVersion>, Error> {
    if fields.is_null(name) {
        return Ok(None);
    }
    let Some(text) = fields.text(name)? else { return Ok(None) };
    let found = TlsVersion::ALL.into_iter().find(|version| version.as_str() == text);
    found.map(Some).ok_or_else(|| {
        fields.refuse(name, format!("unknown TLS version: {text}; it is one of TLS10, TLS11, TLS12, TLS13"))
    })
}

/// The proxy fields, which stand among a block's own.
pub(crate) fn proxy(fields: &mut Fields<'_>) -> Result<ProxyConfig, Error> {
    let proxy = ProxyConfig {
        proxy_url: fields.text("proxy_url")?.filter(|url| !url.is_empty()),
        no_proxy: fields.text("no_proxy")?.unwrap_or_default(),
        proxy_from_environment: fields.bool("proxy_from_environment")?.unwrap_or(false),
        proxy_connect_header: connect_headers(fields)?,
    };
    let refuse = |name, message: &str| Err(fields.refuse(name, message));
    if let Some(url) = &proxy.proxy_url {
        url::Url::parse(url).map_err(|error| fields.refuse("proxy_url", format!("not a URL: {error}")))?;
        if proxy.proxy_from_environment {
            return refuse("proxy_url", "if proxy_from_environment is configured, proxy_url must not be configured");
        }
    }
    if !proxy.no_proxy.is_empty() {
        if proxy.proxy_from_environment {
            return refuse("no_proxy", "if proxy_from_environment is configured, no_proxy must not be configured");
        }
        if proxy.proxy_url.is_none() {
            return refuse("no_proxy", "if no_proxy is configured, proxy_url must also be configured");
        }
    }
    if !proxy.proxy_connect_header.is_empty() && proxy.proxy_url.is_none() && !proxy.proxy_from_environment {
        let message =
            "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured";
        return refuse("proxy_connect_header", message);
    }
    Ok(proxy)
}

fn connect_headers(fields: &mut Fields<'_>) -> Result<BTreeMap<String, Vec<Secret>>, Error> {
    let Some(inner) = fields.fields("proxy_connect_header")? else { return Ok(BTreeMap::new()) };
    let mut headers = BTreeMap::new();
    for (key, node) in inner.pairs() {
        let path = inner.at(&key.text);
        let items = match &*node.kind {
            crate::node::Kind::List(items) => &items[..],
            _ if node.is_null() => &[],
            _ => return Err(inner.source.error(node.pos, path, "a header takes a list of values")),
        };
        let values: Result<Vec<Secret>, Error> =
            items.iter().map(|item| crate::decode::scalar(inner.source, item, &path).map(Secret::new)).collect();
        headers.insert(key.text.clone(), values?);
    }
    Ok(headers)
}

fn headers(fields: &mut Fields<'_>) -> Result<BTreeMap<String, HttpHeader>, Error> {
    let Some(inner) = fields.fields("http_headers")? else { return Ok(BTreeMap::new()) };
    let mut headers = BTreeMap::new();
    for (key, node) in inner.pairs() {
        if RESERVED_HEADERS.iter().any(|reserved| reserved.eq_ignore_ascii_case(&key.text)) {
            return Err(inner.refuse(&key.text, format!("setting header {:?} is not allowed", key.text)));
        }
        let mut header = Fields::new(inner.source, Some(node), inner.at(&key.text))?;
        let value = HttpHeader {
            values: header.texts("values")?,
            secrets: header.texts("secrets")?.into_iter().map(Secret::new).collect(),
            files: header.texts("files")?.iter().map(|file| header.source.resolve(file)).collect(),
        };
        header.finish()?;
        headers.insert(key.text.clone(), value);
    }
    Ok(headers)
}

type Pairs = Vec<(String, Yaml)>;

/// Adds the fields as they are printed.
pub(crate) fn show(http: &HttpClientConfig, out: &mut Pairs) {
    if let Some(auth) = &http.basic_auth {
        let mut map = Pairs::new();
        put_text(&mut map, "username", Some(&auth.username));
        put_path(&mut map, "username_file", auth.username_file.as_ref());
        put_secret(&mut map, "password", auth.password.as_ref());
        put_path(&mut map, "password_file", auth.password_file.as_ref());
        out.push(("basic_auth".to_owned(), Yaml::Map(map)));
    }
    if let Some(auth) = &http.authorization {
        let mut map = vec![("type".to_owned(), Yaml::text(&auth.kind))];
        put_secret(&mut map, "credentials", auth.credentials.as_ref());
        put_path(&mut map, "credentials_file", auth.credentials_file.as_ref());
        out.push(("authorization".to_owned(), Yaml::Map(map)));
    }
    if let Some(oauth2) = &http.oauth2 {
        out.push(("oauth2".to_owned(), show_oauth2(oauth2)));
    }
    show_tls(http.tls.as_ref(), out);
    out.push(("follow_redirects".to_owned(), Yaml::raw(http.follow_redirects)));
    out.push(("enable_http2".to_owned(), Yaml::raw(http.enable_http2)));
    show_proxy(&http.proxy, out);
    if !http.http_headers.is_empty() {
        let header = |header: &HttpHeader| {
            let mut map = Pairs::new();
            let files = header.files.iter().map(|file| file.display().to_string());
            for (name, list) in [
                ("values", header.values.clone()),
                ("secrets", header.secrets.iter().map(|_| SECRET_SHOWN.to_owned()).collect()),
                ("files", files.collect()),
            ] {
                if !list.is_empty() {
                    map.push((name.to_owned(), Yaml::texts(list)));
                }
            }
            Yaml::Map(map)
        };
        let map = http.http_headers.iter().map(|(name, value)| (name.clone(), header(value))).collect();
        out.push(("http_headers".to_owned(), Yaml::Map(map)));
    }
}

fn show_oauth2(oauth2: &OAuth2) -> Yaml {
    let mut map = vec![("client_id".to_owned(), Yaml::text(&oauth2.client_id))];
    put_secret(&mut map, "client_secret", oauth2.client_secret.as_ref());
    put_path(&mut map, "client_secret_file", oauth2.client_secret_file.as_ref());
    if let Some(jwt) = &oauth2.jwt {
        put_text(&mut map, "client_certificate_key_id", Some(&jwt.certificate_key_id));
        put_secret(&mut map, "client_certificate_key", jwt.certificate_key.as_ref());
        put_path(&mut map, "client_certificate_key_file", jwt.certificate_key_file.as_ref());
    }
    put_text(&mut map, "grant_type", Some(&oauth2.grant_type));
    if let Some(jwt) = &oauth2.jwt {
        for (name, text) in
            [("signature_algorithm", &jwt.signature_algorithm), ("iss", &jwt.iss), ("audience", &jwt.audience)]
        {
            put_text(&mut map, name, Some(text));
        }
        map.extend(jwt.shown_claims.clone().map(|claims| ("claims".to_owned(), claims)));
    }
    if !oauth2.scopes.is_empty() {
        map.push(("scopes".to_owned(), Yaml::texts(&oauth2.scopes)));
    }
    map.push(("token_url".to_owned(), Yaml::text(&oauth2.token_url)));
    if !oauth2.endpoint_params.is_empty() {
        let params = oauth2.endpoint_params.iter().map(|(name, value)| (name.clone(), Yaml::text(value))).collect();
        map.push(("endpoint_params".to_owned(), Yaml::Map(params)));
    }
    show_tls(oauth2.tls.as_ref(), &mut map);
    show_proxy(&oauth2.proxy, &mut map);
    Yaml::Map(map)
}

/// Adds `tls_config`, if there is one.
pub(crate) fn show_tls(tls: Option<&TlsConfig>, out: &mut Pairs) {
    let Some(tls) = tls else { return };
    let mut map = Pairs::new();
    put_text(&mut map, "ca", tls.ca.as_ref());
    put_text(&mut map, "cert", tls.cert.as_ref());
    put_secret(&mut map, "key", tls.key.as_ref());
    put_path(&mut map, "ca_file", tls.ca_file.as_ref());
    put_path(&mut map, "cert_file", tls.cert_file.as_ref());
    put_path(&mut map, "key_file", tls.key_file.as_ref());
    put_text(&mut map, "server_name", tls.server_name.as_ref());
    map.push(("insecure_skip_verify".to_owned(), Yaml::raw(tls.insecure_skip_verify)));
    for (name, version) in [("min_version", tls.min_version), ("max_version", tls.max_version)] {
        if let Some(version) = version {
            map.push((name.to_owned(), Yaml::text(version.as_str())));
        }
    }
    out.push(("tls_config".to_owned(), Yaml::Map(map)));
}

fn show_proxy(proxy: &ProxyConfig, out: &mut Pairs) {
    put_text(out, "proxy_url", proxy.proxy_url.as_ref().map(|url| without_password(url)).as_ref());
    put_text(out, "no_proxy", Some(&proxy.no_proxy));
    if proxy.proxy_from_environment {
        out.push(("proxy_from_environment".to_owned(), Yaml::raw(true)));
    }
    if !proxy.proxy_connect_header.is_empty() {
        let hidden = |values: &Vec<Secret>| Yaml::texts(values.iter().map(|_| SECRET_SHOWN));
        let map = proxy.proxy_connect_header.iter().map(|(name, values)| (name.clone(), hidden(values))).collect();
        out.push(("proxy_connect_header".to_owned(), Yaml::Map(map)));
    }
}

/// A URL with its password blotted out as Go's `URL.Redacted` does.
pub(crate) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.find(['/', '?', '#']).map_or(rest, |end| &rest[..end]);
    let Some((user, host)) = authority.rsplit_once('@') else { return url.to_owned() };
    match user.split_once(':') {
        Some((name, _)) => format!("{scheme}://{name}:xxxxx@{host}{}", &rest[authority.len()..]),
        None => url.to_owned(),
    }
}

pub(crate) fn put_text(out: &mut Pairs, name: &str, text: Option<&String>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        out.push((name.to_owned(), Yaml::text(text)));
    }
}

pub(crate) fn put_path(out: &mut Pairs, name: &str, path: Option<&PathBuf>) {
    if let Some(path) = path {
        out.push((name.to_owned(), Yaml::text(path.display().to_string())));
    }
}

fn put_secret(out: &mut Pairs, name: &str, secret: Option<&Secret>) {
    if secret.is_some() {
        out.push((name.to_owned(), Yaml::text(SECRET_SHOWN)));
    }
}
