//! `--web.config.file`: TLS, passwords, response headers and the rate limit of the HTTP server, as the Prometheus
//! exporter-toolkit defines the file (its `docs/web-configuration.md`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::schema::{Codec as _, Fields, Source, Word, scalar};
use crate::{Error, Secret, TlsVersion, load};

/// How the HTTP server authenticates, encrypts and answers. The default is that of an empty file: nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebConfig {
    /// Serve HTTPS instead of HTTP.
    pub tls: Option<WebTls>,
    /// Offer HTTP/2 to TLS clients.
    pub http2: bool,
    /// Headers of every response.
    pub headers: BTreeMap<String, String>,
    /// bcrypt hashes by user name. When there are any, every request needs one of these users' passwords.
    pub users: BTreeMap<String, Secret>,
    /// Milliseconds between two requests (0: no limit), and how many may come at once.
    pub rate_limit: (i64, u64),
}

/// PEM text, in the file itself or in a file of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pem {
    /// The text; secret where it is a key.
    Inline(Secret),
    /// Where it is.
    File(PathBuf),
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// `NoClientCert`: none is asked for.
    #[default]
    None,
    /// `VerifyClientCertIfGiven`: one that is shown must be valid.
    IfGiven,
    /// `RequireAndVerifyClientCert`: no connection without a valid one.
    Required,
}

/// The server's side of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebTls {
    /// The server's certificate chain.
    pub cert: Pem,
    /// Its private key.
    pub key: Pem,
    /// Who signs the certificates of clients.
    pub client_ca: Option<Pem>,
    /// Whether clients need one.
    pub client_auth: ClientAuth,
    /// The oldest version spoken.
    pub min_version: TlsVersion,
    /// The newest.
    pub max_version: TlsVersion,
    /// Go's names of the cipher suites of TLS 1.2 that may be used; empty: all.
    pub cipher_suites: Vec<String>,
    /// Does the server's order of cipher suites decide?
    pub prefer_server_order: bool,
    /// Go's names of the curves for the key exchange, the preferred one first; empty: the defaults.
    pub curves: Vec<String>,
}

/// Headers that may be set, and what they may say (nothing listed: anything).
const HEADERS: [(&str, &[&str]); 5] = [
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
    ("Content-Security-Policy", &[]),
];

impl Default for WebConfig {
    fn default() -> Self {
        Self { tls: None, http2: true, headers: BTreeMap::new(), users: BTreeMap::new(), rate_limit: (0, 0) }
    }
}

impl WebConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or asks for what is not valid or not served: the server must not run with less protection than
    /// its file asks for.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::parse(&load::read(path)?, path)
    }

    /// Reads the text of a file that lies at `path`.
    ///
    /// # Errors
    /// As [`WebConfig::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let source = Source::new(path, &|_| None);
        let document = load::document(&source, text)?;
        let mut fields = Fields::new(&source, document.as_ref(), String::new())?;
        let tls = fields.fields("tls_server_config")?.map(tls).transpose()?.flatten();
        let (http2, headers) = http(&mut fields)?;
        let config = Self { tls, http2, headers, users: users(&mut fields)?, rate_limit: rate_limit(&mut fields)? };
        fields.finish()?;
        Ok(config)
    }
}

fn tls(mut fields: Fields<'_>) -> Result<Option<WebTls>, Error> {
    let cert = pem(&mut fields, "cert", "cert_file")?;
    let key = pem(&mut fields, "key", "key_file")?;
    let client_ca = pem(&mut fields, "client_ca", "client_ca_file")?;
    let client_auth = client_auth(&mut fields)?;
    if !fields.texts("client_allowed_sans")?.is_empty() {
        let message = "not served yet; sign the certificates of clients by a CA of their own and leave this out";
        return Err(fields.refuse("client_allowed_sans", message));
    }
    let min_version = version(&mut fields, "min_version")?.unwrap_or(TlsVersion::Tls12);
    let max_version = version(&mut fields, "max_version")?.unwrap_or(TlsVersion::Tls13);
    if max_version < TlsVersion::Tls12 {
        return Err(fields.refuse("max_version", "TLS 1.2 and 1.3 are served; write TLS12 or TLS13"));
    }
    if max_version < min_version {
        return Err(fields.refuse("max_version", "max_version must not be older than min_version"));
    }
    let cipher_suites = fields.texts("cipher_suites")?;
    let prefer_server_order = fields.bool("prefer_server_cipher_suites")?.unwrap_or(true);
    let curves = fields.texts("curve_preferences")?;
    fields.finish()?;
    if cert.is_none() && key.is_none() && client_ca.is_none() && client_auth == ClientAuth::None {
        return Ok(None);
    }
    let Some(cert) = cert else { return Err(fields.refuse_all("missing one of cert or cert_file")) };
    let Some(key) = key else { return Err(fields.refuse_all("missing one of key or key_file")) };
    if client_ca.is_some() && client_auth == ClientAuth::None {
        return Err(fields.refuse_all("client CA's have been configured without a Client Auth Policy"));
    }
    if client_ca.is_none() && client_auth != ClientAuth::None {
        return Err(fields.refuse("client_auth_type", "needs client_ca_file, which says whose certificates are valid"));
    }
    Ok(Some(WebTls {
        cert,
        key,
        client_ca,
        client_auth,
        min_version,
        max_version,
        cipher_suites,
        prefer_server_order,
        curves,
    }))
}

fn version(fields: &mut Fields<'_>, name: &'static str) -> Result<Option<TlsVersion>, Error> {
    Ok(Word::<TlsVersion>::decode(fields, name, ())?.flatten())
}

/// If both are set the file wins, as in Prometheus.
fn pem(fields: &mut Fields<'_>, inline: &'static str, file: &'static str) -> Result<Option<Pem>, Error> {
    let text = fields.secret(inline)?;
    Ok(fields.path(file)?.map(Pem::File).or(text.map(Pem::Inline)))
}

fn client_auth(fields: &mut Fields<'_>) -> Result<ClientAuth, Error> {
    match fields.text("client_auth_type")?.as_deref() {
        None | Some("" | "NoClientCert") => Ok(ClientAuth::None),
        Some("VerifyClientCertIfGiven") => Ok(ClientAuth::IfGiven),
        Some("RequireAndVerifyClientCert") => Ok(ClientAuth::Required),
        Some(other @ ("RequestClientCert" | "RequireAnyClientCert" | "RequireClientCert")) => {
            let message = format!("{other} verifies nothing and is not served; write RequireAndVerifyClientCert");
            Err(fields.refuse("client_auth_type", message))
        }
        Some(other) => Err(fields.refuse("client_auth_type", format!("invalid ClientAuth: {other}"))),
    }
}

fn http(fields: &mut Fields<'_>) -> Result<(bool, BTreeMap<String, String>), Error> {
    let Some(mut inner) = fields.fields("http_server_config")? else { return Ok((true, BTreeMap::new())) };
    let http2 = inner.bool("http2")?.unwrap_or(true);
    let mut headers = inner.text_map("headers")?;
    inner.finish()?;
    for (name, value) in &headers {
        let Some((_, allowed)) = HEADERS.iter().find(|(known, _)| known == name) else {
            return Err(inner.refuse("headers", format!("HTTP header {name:?} can not be configured")));
        };
        if !allowed.is_empty() && !value.is_empty() && !allowed.contains(&value.as_str()) {
            let message = format!("invalid value for {name}: {value:?}; write one of {}", allowed.join(", "));
            return Err(inner.refuse("headers", message));
        }
        if value.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Err(inner.refuse("headers", format!("{name} holds a control character")));
        }
    }
    headers.retain(|_, value| !value.is_empty());
    Ok((http2, headers))
}

fn users(fields: &mut Fields<'_>) -> Result<BTreeMap<String, Secret>, Error> {
    let Some(inner) = fields.fields("basic_auth_users")? else { return Ok(BTreeMap::new()) };
    let mut users = BTreeMap::new();
    for (key, tree) in inner.pairs() {
        let hash = scalar(inner.source, tree, &inner.at(&key.text))?;
        if !is_bcrypt(hash) {
            let message = "not a bcrypt hash; `htpasswd -nBC 10 USER` prints one";
            return Err(inner.refuse(&key.text, message));
        }
        users.insert(key.text.clone(), Secret::new(hash));
    }
    Ok(users)
}

/// `$2y$10$` and 53 characters.
fn is_bcrypt(hash: &str) -> bool {
    let rest = ["$2a$", "$2b$", "$2x$", "$2y$"].iter().find_map(|prefix| hash.strip_prefix(prefix));
    let Some((cost, rest)) = rest.and_then(|rest| rest.split_once('$')) else { return false };
    let cost_fits = cost.len() == 2 && cost.parse::<u32>().is_ok_and(|cost| (4..=31).contains(&cost));
    cost_fits && rest.len() == 53 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'/')
}

fn rate_limit(fields: &mut Fields<'_>) -> Result<(i64, u64), Error> {
    let Some(mut inner) = fields.fields("rate_limit")? else { return Ok((0, 0)) };
    let interval_ms = inner.duration_ms("interval")?.unwrap_or(0);
    let burst = inner.count("burst")?.unwrap_or(0);
    inner.finish()?;
    if interval_ms > 0 && burst == 0 {
        return Err(inner.refuse("burst", "0 would refuse every request; write how many may come at once"));
    }
    Ok((interval_ms, burst))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<WebConfig, String> {
        WebConfig::parse(text, Path::new("/etc/weft/web.yml")).map_err(|error| error.to_string())
    }

    const HASH: &str = "$2b$04$abcdefghijklmnopqrstuuSEEFmXzVcFuvW4DCbKKJNMS7zSm3Vdu";

    #[test]
    fn an_empty_file_asks_for_nothing() {
        for text in ["", "# nothing\n", "{}", "tls_server_config:\n", "tls_server_config: {min_version: TLS13}"] {
            assert_eq!(parse(text).unwrap(), WebConfig::default(), "{text}");
        }
    }

    #[test]
    fn everything_that_is_served() {
        let config = parse(&format!(
            "tls_server_config:\n  cert_file: tls.crt\n  key: KEY\n  client_ca_file: /ca.crt\n  client_auth_type: \
             RequireAndVerifyClientCert\n  min_version: TLS13\n  cipher_suites: [TLS_AES_128_GCM_SHA256]\n  \
             prefer_server_cipher_suites: false\n  curve_preferences: [X25519]\nhttp_server_config:\n  http2: false\n  \
             headers: {{X-Frame-Options: deny, X-XSS-Protection: ''}}\nbasic_auth_users:\n  ann: {HASH}\nrate_limit: \
             {{interval: 10ms, burst: 5}}\n"
        ))
        .unwrap();
        let tls = config.tls.unwrap();
        assert_eq!(tls.cert, Pem::File("/etc/weft/tls.crt".into()));
        assert_eq!(tls.key, Pem::Inline(Secret::new("KEY")));
        assert_eq!((tls.client_ca, tls.client_auth), (Some(Pem::File("/ca.crt".into())), ClientAuth::Required));
        assert_eq!((tls.min_version, tls.max_version), (TlsVersion::Tls13, TlsVersion::Tls13));
        assert_eq!((tls.cipher_suites.len(), tls.prefer_server_order, tls.curves.len()), (1, false, 1));
        assert_eq!((config.http2, config.rate_limit), (false, (10, 5)));
        assert_eq!(config.headers.into_iter().collect::<Vec<_>>(), [("X-Frame-Options".into(), "deny".into())]);
        assert_eq!(config.users["ann"].expose(), HASH);
    }

    #[test]
    fn what_is_not_valid_or_not_served_is_refused_by_its_place() {
        for (text, part) in [
            ("basic_auth_users: {ann: secret}", "basic_auth_users.ann: not a bcrypt hash"),
            (
                "basic_auth_user: {}",
                "field basic_auth_user not found in the configuration; did you mean basic_auth_users?",
            ),
            ("tls_server_config: {cert_file: a}", "missing one of key or key_file"),
            ("tls_server_config: {key_file: a}", "missing one of cert or cert_file"),
            ("tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}", "without a Client Auth Policy"),
            ("tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequestClientCert}", "not served"),
            ("tls_server_config: {cert_file: a, key_file: b, client_auth_type: Some}", "invalid ClientAuth: Some"),
            ("tls_server_config: {cert_file: a, key_file: b, client_allowed_sans: [x]}", "not served yet"),
            ("tls_server_config: {cert_file: a, key_file: b, max_version: TLS11}", "write TLS12 or TLS13"),
            ("tls_server_config: {cert_file: a, key_file: b, min_version: SSL3}", "unknown TLS version"),
            ("http_server_config: {headers: {X-Other: a}}", "HTTP header \"X-Other\" can not be configured"),
            ("http_server_config: {headers: {X-Frame-Options: maybe}}", "write one of deny, sameorigin"),
            ("rate_limit: {interval: 1s}", "0 would refuse every request"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part) && error.starts_with("/etc/weft/web.yml:1:"), "{text}: {error}");
        }
        assert!(!parse("basic_auth_users: {ann: hunter2}").unwrap_err().contains("hunter2"));
    }
}
