//! The file of `--web.config.file`: TLS, passwords, response headers and the rate limit of the HTTP server, as the Prometheus
//! exporter-toolkit defines it (its `docs/web-configuration.md`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::read::read;
use crate::schema::{
    Bool, Codec, Count, Duration, Fields, Keyword, Nested, Optional, Section as _, Shape, TextMap, Texts, Word, scalar,
    section,
};
use crate::yaml::{Key, Tree, Yaml};
use crate::{Error, SECRET_SHOWN, Secret, TlsVersion, load};

section! {
    /// How the HTTP server authenticates, encrypts and limits requests: the file of `--web.config.file`. What asks for more
    /// protection than the server can give keeps it from starting.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct WebConfig as "web_config" {
        /// Serve HTTPS instead of HTTP.
        #[yaml(ServerTls, name = "tls_server_config")]
        pub tls: Option<WebTls>,
        /// The protocol.
        #[yaml(Nested<HttpServerConfig>, name = "http_server_config")]
        pub http_server: HttpServerConfig,
        /// bcrypt hashes by user name. If there are any, every request needs the password of one of these users.
        #[yaml(Users, name = "basic_auth_users")]
        pub users: BTreeMap<String, Secret>,
        /// How many requests are served.
        #[yaml(Nested<RateLimitConfig>)]
        pub rate_limit: RateLimitConfig,
    }
}

section! {
    /// TLS of the server. Of a text and a file for the same thing the file is used. Files are read again when they change.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct WebTls as "tls_server_config" {
        /// The server's certificate chain, PEM.
        #[yaml(PemText)]
        pub cert: Pem,
        /// Its private key, PEM.
        #[yaml(PemText)]
        pub key: Pem,
        /// The certificate authorities of clients, PEM.
        #[yaml(PemText)]
        pub client_ca: Option<Pem>,
        /// Whether clients need a certificate.
        #[yaml(Word<ClientAuth>, name = "client_auth_type")]
        pub client_auth: ClientAuth,
        /// Names of which the certificate of a client must have one, among the alternative names of its subject: DNS names,
        /// addresses of mail, IP addresses and URIs, compared as texts. Without any, every name will do.
        #[yaml(Texts)]
        pub client_allowed_sans: Vec<String>,
        /// The oldest version that is accepted.
        #[yaml(Word<TlsVersion>, default = TlsVersion::Tls12; always)]
        pub min_version: TlsVersion,
        /// The newest version that is accepted.
        #[yaml(Word<TlsVersion>, default = TlsVersion::Tls13; always)]
        pub max_version: TlsVersion,
        /// Go's names of the cipher suites of TLS 1.2 that are accepted; all if it is empty.
        #[yaml(Texts)]
        pub cipher_suites: Vec<String>,
        /// The server's order of cipher suites decides, not the client's.
        #[yaml(Bool, name = "prefer_server_cipher_suites", default = true)]
        pub prefer_server_order: bool,
        /// Go's names of the curves for the key exchange, the preferred one first.
        #[yaml(Texts, name = "curve_preferences")]
        pub curves: Vec<String>,
    }
    check = check_tls;
}

fn check_tls(tls: &mut WebTls, f: &mut Fields<'_>) -> Result<(), Error> {
    // rustls has no older versions, so such a server would accept no connection at all.
    if tls.max_version < TlsVersion::Tls12 {
        return Err(f.refuse("max_version", "TLS 1.2 and 1.3 are served; write TLS12 or TLS13"));
    }
    if tls.max_version < tls.min_version {
        return Err(f.refuse("max_version", "max_version must not be older than min_version"));
    }
    // The fields above are checked also for a server without TLS; certificates are needed only with it.
    if tls.is_off() {
        return Ok(());
    }
    for (pem, message) in
        [(&tls.cert, "missing one of cert or cert_file"), (&tls.key, "missing one of key or key_file")]
    {
        if pem.is_empty() {
            return Err(f.refuse_all(message));
        }
    }
    match (&tls.client_ca, tls.client_auth) {
        // Authorities without a policy would verify nobody, although the file looks as if they did (exporter-toolkit
        // refuses it, too).
        (Some(_), ClientAuth::None) => {
            Err(f.refuse_all("client CA's have been configured without a Client Auth Policy"))
        }
        (None, ClientAuth::IfGiven | ClientAuth::Required) => {
            Err(f.refuse("client_auth_type", "needs client_ca_file, which says whose certificates are valid"))
        }
        _ => Ok(()),
    }
}

impl WebTls {
    /// As in Prometheus, a section without certificates leaves the server at plain HTTP.
    fn is_off(&self) -> bool {
        let no_pem = self.cert.is_empty() && self.key.is_empty() && self.client_ca.is_none();
        no_pem && self.client_auth == ClientAuth::None
    }
}

section! {
    /// The protocol of the server.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct HttpServerConfig as "http_server_config" {
        /// Offer HTTP/2 to TLS clients.
        #[yaml(Bool, default = true)]
        pub http2: bool,
        /// Headers of every response: `Strict-Transport-Security`, `X-Content-Type-Options`, `X-Frame-Options`,
        /// `X-XSS-Protection` and `Content-Security-Policy` may be set.
        #[yaml(TextMap)]
        pub headers: BTreeMap<String, String>,
    }
    check = check_headers;
}

/// Headers that may be set, and their values (none listed: any).
const HEADERS: [(&str, &[&str]); 5] = [
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
    ("Content-Security-Policy", &[]),
];

fn check_headers(http: &mut HttpServerConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    for (name, value) in &http.headers {
        // By exact spelling, as `extraHTTPHeaders` of the exporter-toolkit is a map of canonical names.
        let Some((_, allowed)) = HEADERS.iter().find(|(known, _)| known == name) else {
            return Err(f.refuse("headers", format!("HTTP header {name:?} can not be configured")));
        };
        if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
            let message = format!("invalid value for {name}: {value:?}; write one of {}", allowed.join(", "));
            return Err(f.refuse("headers", message));
        }
        // A line break would let the value add headers of its own to every response.
        if value.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Err(f.refuse("headers", format!("{name} holds a control character")));
        }
    }
    // An empty value means that the header is not sent.
    http.headers.retain(|_, value| !value.is_empty());
    Ok(())
}

section! {
    /// How many requests are served; others are refused.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RateLimitConfig as "rate_limit" {
        /// The time between two requests; 0 is no limit.
        #[yaml(Duration, name = "interval")]
        pub interval_ms: i64,
        /// How many requests may come at once.
        #[yaml(Count)]
        pub burst: u64,
    }
    check = check_rate_limit;
}

fn check_rate_limit(limit: &mut RateLimitConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    if limit.interval_ms > 0 && limit.burst == 0 {
        // The token bucket would never hold a token.
        return Err(f.refuse("burst", "0 would refuse every request; write how many may come at once"));
    }
    Ok(())
}

impl WebConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or asks for what is not valid or not served: the server must not run with less protection than
    /// its file asks for.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::parse(&read(path)?, path)
    }

    /// Reads the text of a file that lies at `path`.
    ///
    /// # Errors
    /// As [`WebConfig::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        load::read_section(path, text, |f| Self::decode(f, ()))
    }
}

/// PEM text, in the configuration itself or in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pem {
    /// The text; secret because it may be a key.
    Inline(Secret),
    /// Where it is.
    File(PathBuf),
}

impl Pem {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Inline(text) if text.expose().is_empty())
    }
}

impl Default for Pem {
    fn default() -> Self {
        Self::Inline(Secret::default())
    }
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// `NoClientCert`: none is asked for.
    #[default]
    None,
    /// `RequestClientCert`: one is asked for; whoever signed it, it is taken.
    Request,
    /// `RequireAnyClientCert`: no connection without one, whoever signed it.
    RequireAny,
    /// `VerifyClientCertIfGiven`: one that is shown must be valid.
    IfGiven,
    /// `RequireAndVerifyClientCert`: no connection without a valid one.
    Required,
}

impl Keyword for ClientAuth {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("NoClientCert", Self::None),
        ("RequestClientCert", Self::Request),
        ("RequireAnyClientCert", Self::RequireAny),
        // Its name in old files.
        ("RequireClientCert", Self::RequireAny),
        ("VerifyClientCertIfGiven", Self::IfGiven),
        ("RequireAndVerifyClientCert", Self::Required),
    ];

    fn unknown(word: &str) -> String {
        format!("invalid ClientAuth: {word}")
    }
}

/// PEM in the field `NAME`, or in the file that `NAME_file` names.
enum PemText {}

impl PemText {
    fn read(f: &mut Fields<'_>, name: &'static str) -> Result<Option<Pem>, Error> {
        let file = match name {
            "cert" => "cert_file",
            "key" => "key_file",
            _ => "client_ca_file",
        };
        // Both before either is refused: a field that is not asked for is unknown.
        let (text, path) = (f.secret(name), f.path(file));
        // If both are set the file is used, as in Prometheus.
        Ok(path?.map(Pem::File).or(text?.map(Pem::Inline)))
    }

    fn yaml(pem: &Pem) -> Yaml {
        match pem {
            Pem::Inline(_) => Yaml::text(SECRET_SHOWN),
            Pem::File(path) => Yaml::text(path.display().to_string()),
        }
    }
}

impl Codec<Pem> for PemText {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<Pem>, Error> {
        Self::read(f, name)
    }

    fn is_zero(pem: &Pem) -> bool {
        pem.is_empty()
    }

    fn encode(pem: &Pem) -> Yaml {
        Self::yaml(pem)
    }

    fn shape() -> Shape {
        Shape::TextOrFile
    }
}

impl Codec<Option<Pem>> for PemText {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<Option<Pem>>, Error> {
        Self::read(f, name).map(Some)
    }

    fn is_zero(pem: &Option<Pem>) -> bool {
        pem.is_none()
    }

    fn encode(pem: &Option<Pem>) -> Yaml {
        pem.as_ref().map_or_else(|| Yaml::text(""), Self::yaml)
    }

    fn shape() -> Shape {
        Shape::TextOrFile
    }
}

/// The section of TLS; one without certificates is none.
enum ServerTls {}

impl Codec<Option<WebTls>> for ServerTls {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<Option<WebTls>>, Error> {
        let tls: Option<Option<WebTls>> = Optional::<WebTls>::decode(f, name, ())?;
        // Filtered after decoding, so that a section without certificates is checked all the same.
        Ok(Some(tls.flatten().filter(|tls| !tls.is_off())))
    }

    fn is_zero(tls: &Option<WebTls>) -> bool {
        tls.is_none()
    }

    fn encode(tls: &Option<WebTls>) -> Yaml {
        Optional::<WebTls>::encode(tls)
    }

    fn shape() -> Shape {
        Shape::Section(WebTls::describe())
    }
}

/// bcrypt hashes of passwords by user name.
enum Users {}

impl Codec<BTreeMap<String, Secret>> for Users {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<BTreeMap<String, Secret>>, Error> {
        let Some(inner) = f.fields(name)? else { return Ok(None) };
        let user = |(key, tree): &(Key, Tree)| {
            let hash = scalar(inner.source, tree, &inner.at(&key.text))?;
            // Checked when loading: a plain password here would otherwise only show as failing logins.
            if !is_bcrypt(hash) {
                let message = "not a bcrypt hash; `htpasswd -nBC 10 USER` prints one";
                return Err(inner.refuse(&key.text, message));
            }
            Ok((key.text.clone(), Secret::new(hash)))
        };
        inner.source.each(inner.pairs(), user).map(Some)
    }

    fn is_zero(users: &BTreeMap<String, Secret>) -> bool {
        users.is_empty()
    }

    fn encode(users: &BTreeMap<String, Secret>) -> Yaml {
        // Hashes are hidden too; they can be attacked offline.
        Yaml::map(users.keys().map(|name| (name, Yaml::text(SECRET_SHOWN))))
    }

    fn shape() -> Shape {
        Shape::Map(Box::new(Shape::Scalar("secret")))
    }
}

/// `$2y$10$` and 53 characters.
fn is_bcrypt(hash: &str) -> bool {
    // The versions of bcrypt differ in bugs of old implementations; the form of the hash is the same.
    let rest = ["$2a$", "$2b$", "$2x$", "$2y$"].iter().find_map(|prefix| hash.strip_prefix(prefix));
    let Some((cost, rest)) = rest.and_then(|rest| rest.split_once('$')) else { return false };
    // The bounds of Go's `bcrypt.MinCost` and `MaxCost`.
    let cost_fits = cost.len() == 2 && cost.parse::<u32>().is_ok_and(|cost| (4..=31).contains(&cost));
    cost_fits && rest.len() == 53 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'/')
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
        assert_eq!((config.http_server.http2, config.rate_limit.interval_ms, config.rate_limit.burst), (false, 10, 5));
        assert_eq!(
            config.http_server.headers.into_iter().collect::<Vec<_>>(),
            [("X-Frame-Options".into(), "deny".into())]
        );
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
            ("tls_server_config: {cert_file: a, key_file: b, client_auth_type: Some}", "invalid ClientAuth: Some"),
            ("tls_server_config: {cert_file: a, key_file: b, max_version: TLS11}", "write TLS12 or TLS13"),
            ("tls_server_config: {cert_file: a, key_file: b, min_version: SSL3}", "unknown TLS version"),
            ("http_server_config: {headers: {X-Other: a}}", "HTTP header \"X-Other\" can not be configured"),
            ("http_server_config: {headers: {X-Frame-Options: maybe}}", "write one of deny, sameorigin"),
            ("http_server_config: {headers: {X-Frame-Options: ''}}", "write one of deny, sameorigin"),
            ("http_server_config: {headers: {X-Content-Type-Options: }}", "write one of nosniff"),
            ("rate_limit: {interval: 1s}", "0 would refuse every request"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part) && error.starts_with("/etc/weft/web.yml:1:"), "{text}: {error}");
        }
        assert!(!parse("basic_auth_users: {ann: hunter2}").unwrap_err().contains("hunter2"));
    }
}
