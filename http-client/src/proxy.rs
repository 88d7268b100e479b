//! Which requests use which proxy: `proxy_url` with `no_proxy`, or the environment. The rules are those of Go's
//! `golang.org/x/net/http/httpproxy`, which Prometheus uses.

use std::net::IpAddr;
use std::sync::Arc;

use config::ProxyConfig;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use url::{Host, Url};

use crate::Error;

/// The proxies of one configuration block. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies(Arc<Rules>);

#[derive(Debug, Default)]
struct Rules {
    /// For `http` and for `https`.
    http: Option<Url>,
    https: Option<Url>,
    /// `None` if every request uses the proxy, those to this host included.
    direct: Option<Vec<Exception>>,
    /// Of `CONNECT` requests.
    headers: HeaderMap,
}

/// One entry of `no_proxy`, with the port it is limited to.
#[derive(Debug, PartialEq, Eq)]
enum Exception {
    All,
    Address(IpAddr, Option<u16>),
    Network(IpAddr, u8),
    /// A domain without its leading dot; does it match itself, too, or only its subdomains?
    Domain(String, bool, Option<u16>),
}

impl Proxies {
    /// `env` looks up the variables for `proxy_from_environment`.
    pub(crate) fn new(config: &ProxyConfig, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let headers = connect_headers(config)?;
        if config.proxy_from_environment {
            let of = |name: &str| {
                let set = |name: &str| env(name).filter(|value| !value.is_empty());
                // Here the lower-case name wins, as curl has it; Go looks at the upper-case one first.
                set(name).or_else(|| set(&name.to_ascii_uppercase()))
            };
            let direct = Some(exceptions(&of("no_proxy").unwrap_or_default()));
            let proxy = |name: &'static str| of(name).map(|text| parse(name, &text)).transpose();
            return Ok(Self(Arc::new(Rules {
                http: proxy("http_proxy")?,
                https: proxy("https_proxy")?,
                direct,
                headers,
            })));
        }
        let Some(text) = &config.proxy_url else { return Ok(Self::default()) };
        let proxy = parse("proxy_url", text)?;
        // Without `no_proxy` even localhost goes through the proxy: upstream then uses `http.ProxyURL`, which knows
        // no exceptions.
        let direct = (!config.no_proxy.is_empty()).then(|| exceptions(&config.no_proxy));
        Ok(Self(Arc::new(Rules { http: Some(proxy.clone()), https: Some(proxy), direct, headers })))
    }

    /// The proxy of a request, if it uses one.
    pub(crate) fn of(&self, url: &Url) -> Option<&Url> {
        let proxy = if url.scheme() == "https" { &self.0.https } else { &self.0.http };
        proxy.as_ref().filter(|_| !self.0.direct.as_ref().is_some_and(|list| is_direct(list, url)))
    }

    /// The same for reqwest, which asks for every connection. The headers are sent with `CONNECT` only, which nobody but the proxy
    /// reads.
    pub(crate) fn reqwest(&self) -> Vec<reqwest::Proxy> {
        ["https", "http"]
            .into_iter()
            .filter(|_| self.0.http.is_some() || self.0.https.is_some())
            .map(|scheme| {
                let own = self.clone();
                let proxy = reqwest::Proxy::custom(move |url| {
                    let mut proxy = own.of(url).filter(|_| url.scheme() == scheme)?.clone();
                    // As in Go, the proxy resolves names with `socks5` as it does with `socks5h`.
                    if proxy.scheme() == "socks5" {
                        proxy.set_scheme("socks5h").ok();
                    }
                    Some(proxy)
                });
                if scheme == "https" { proxy.headers(self.0.headers.clone()) } else { proxy }
            })
            .collect()
    }
}

fn connect_headers(config: &ProxyConfig) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, values) in &config.proxy_connect_header {
        let invalid = || Error::Header { name: name.clone() };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        for secret in values {
            let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| invalid())?;
            value.set_sensitive(true);
            headers.append(&key, value);
        }
    }
    Ok(headers)
}

/// Parses a URL, or `host:port`. Errors do not contain the text, which may hold a password.
fn parse(what: &'static str, text: &str) -> Result<Url, Error> {
    let with_host = |url: &Url| url.has_host() && url.host_str() != Some("");
    let url = if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("http://{text}")) };
    let url = url.ok().filter(with_host).ok_or(Error::Proxy { what, reason: "not a URL" })?;
    match url.scheme() {
        "http" | "https" | "socks5" | "socks5h" => Ok(url),
        _ => Err(Error::Proxy { what, reason: "its scheme is none of http, https, socks5 and socks5h" }),
    }
}

fn exceptions(text: &str) -> Vec<Exception> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).filter_map(exception).collect()
}

fn exception(entry: &str) -> Option<Exception> {
    let entry = entry.to_ascii_lowercase();
    if entry == "*" {
        return Some(Exception::All);
    }
    if let Some((address, bits)) = entry.split_once('/') {
        let (address, bits) = (address.parse::<IpAddr>().ok()?, bits.parse::<u8>().ok()?);
        return (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some(Exception::Network(address, bits));
    }
    // Before the port is split off: an IPv6 address has colons itself.
    if let Ok(address) = entry.trim_start_matches('[').trim_end_matches(']').parse() {
        return Some(Exception::Address(address, None));
    }
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (entry.as_str(), None),
    };
    if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
        return Some(Exception::Address(address, port));
    }
    // `*.example.com` and `.example.com` are both the subdomains only.
    let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
    let below = host.strip_prefix('.');
    let domain = below.unwrap_or(host);
    (!domain.is_empty()).then(|| Exception::Domain(domain.to_owned(), below.is_none(), port))
}

/// Is it this host, or excluded?
fn is_direct(list: &[Exception], url: &Url) -> bool {
    let port = url.port_or_known_default();
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Ok(IpAddr::from(address)),
        Some(Host::Ipv6(address)) => Ok(IpAddr::from(address)),
        Some(Host::Domain(name)) => Err(name),
        None => return false,
    };
    // As in Go, never through a proxy once there are rules of exception.
    if address.map_or_else(|name| name == "localhost", |address| address.is_loopback()) {
        return true;
    }
    list.iter().any(|exception| match (exception, &address) {
        (Exception::All, _) => true,
        (Exception::Address(direct, limit), Ok(address)) => direct == address && (limit.is_none() || *limit == port),
        (Exception::Network(network, bits), Ok(address)) => contains(*network, *bits, *address),
        (Exception::Domain(domain, itself, limit), Err(name)) => {
            // The dot keeps `notexample.com` from matching `example.com`.
            let below = name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'));
            (below || *itself && name == domain) && (limit.is_none() || *limit == port)
        }
        _ => false,
    })
}

fn contains(network: IpAddr, bits: u8, address: IpAddr) -> bool {
    // A prefix of 0 bits shifts everything out and matches all addresses.
    let same = |a: u128, b: u128, width: u32| (a ^ b).checked_shr(width - u32::from(bits)).unwrap_or(0) == 0;
    match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(u32::from(a).into(), u32::from(b).into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), b.into(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.of(&Url::parse(url).unwrap()).map(ToString::to_string)
    }

    #[test]
    fn exceptions_are_read_as_go_reads_them() {
        let no_proxy = "10.1.0.0/16, 192.0.2.7,192.0.2.8:81 ,[2001:db8::1]:443,.below.example, *.star.example,both.example:8080,fd00::/8,bad/99,:80";
        let config = ProxyConfig {
            proxy_url: Some("http://p:3128".to_owned()),
            no_proxy: no_proxy.to_owned(),
            ..ProxyConfig::default()
        };
        let proxies = Proxies::new(&config, &|_| None).unwrap();
        for direct in [
            "http://10.1.2.3/",
            "http://192.0.2.7:9/",
            "http://192.0.2.8:81/",
            "https://[2001:db8::1]/",
            "https://a.below.example/",
            "http://a.b.star.example/",
            "http://both.example:8080/",
            "http://a.both.example:8080/",
            "http://[fd00::7]:9100/",
            "http://localhost:9090/",
            "http://127.0.0.3/",
        ] {
            assert_eq!(chosen(&proxies, direct), None, "{direct}");
        }
        for through in [
            "http://10.2.2.3/",
            "http://192.0.2.8/",
            "http://[2001:db8::1]/",
            "http://below.example/",
            "http://notbelow.example/",
            "http://both.example/",
            "https://example.org/",
        ] {
            assert_eq!(chosen(&proxies, through).as_deref(), Some("http://p:3128/"), "{through}");
        }
        let all = ProxyConfig { no_proxy: "a,*".to_owned(), ..config.clone() };
        assert_eq!(chosen(&Proxies::new(&all, &|_| None).unwrap(), "http://example.org/"), None);
        let none = ProxyConfig { no_proxy: String::new(), ..config };
        let none = Proxies::new(&none, &|_| None).unwrap();
        assert!(chosen(&none, "http://localhost/").is_some(), "without no_proxy even this host goes through");
    }

    #[test]
    fn the_environment_is_asked_for_both_schemes() {
        let env = |name: &str| match name {
            "http_proxy" => Some("plain:3128".to_owned()),
            "HTTPS_PROXY" => Some("socks5://u:p@secure".to_owned()),
            "NO_PROXY" => Some("direct.example".to_owned()),
            _ => None,
        };
        let config = ProxyConfig { proxy_from_environment: true, ..ProxyConfig::default() };
        let proxies = Proxies::new(&config, &env).unwrap();
        assert_eq!(chosen(&proxies, "http://a.example/").as_deref(), Some("http://plain:3128/"));
        assert_eq!(chosen(&proxies, "https://a.example/").as_deref(), Some("socks5://u:p@secure"));
        assert_eq!(chosen(&proxies, "http://direct.example/"), None);
        assert_eq!(chosen(&Proxies::new(&config, &|_| None).unwrap(), "http://a.example/"), None);
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_its_text() {
        for text in ["http://", "ftp://u:hunter2@p", "a b"] {
            let config = ProxyConfig { proxy_url: Some(text.to_owned()), ..ProxyConfig::default() };
            let error = Proxies::new(&config, &|_| None).unwrap_err().to_string();
            assert!(error.starts_with("cannot use proxy_url: ") && !error.contains("hunter2"), "{error}");
        }
    }
}
