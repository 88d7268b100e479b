//! Requests without an OAuth 2.0 token: reqwest's clients, which are built when first used, and again when a certificate file
//! changed.
//!
//! `server_name` must be sent in the handshake (SNI), while `Host` must be the target's own address. reqwest takes SNI from the
//! URL, so the URL's host becomes the server name, `Host` is set by hand, and a resolver maps the name back to the target
//! (decision 0002). reqwest pools connections by URL, so each such target needs a client of its own; so does each Unix socket,
//! whatever the URL says.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::{HttpClientConfig, TlsConfig};
use http::Method;
use http::header::{HOST, HeaderValue};
use parking_lot::Mutex;
use reqwest::dns::{Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use url::Url;

use crate::proxy::Proxies;
use crate::stamp::Stamp;
use crate::{Error, Resolver, auth, tls};

/// Idle connections live longer than most scrape intervals, so that a scrape does not begin with a handshake.
const IDLE: Duration = Duration::from_secs(300);
/// The most clients of single targets that are kept; beyond that all are dropped and built again.
const CLIENTS_MAX: usize = 10_000;
/// The most headers of a response over TLS or through a proxy.
const HEADERS_MAX: usize = 1000;
/// The key of the client for targets of redirects; no `host:port` is equal to it.
const REDIRECTED: &str = "redirected:";

/// Makes requests as one configuration says, all but OAuth 2.0.
#[derive(Debug)]
pub(crate) struct Transport {
    config: HttpClientConfig,
    user_agent: String,
    resolver: Resolver,
    proxies: Proxies,
    built: Mutex<Option<Built>>,
}

/// How a request is sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Route<'a> {
    /// It carries no credentials and no secret headers.
    pub(crate) untrusted: bool,
    /// It follows a redirect to another server. A target may redirect to another place each time, so neither connections nor
    /// clients for such places are kept.
    pub(crate) redirected: bool,
    /// It is sent over a Unix socket whatever the URL says.
    pub(crate) socket: Option<&'a Path>,
}

#[derive(Debug)]
struct Built {
    stamps: Vec<Option<Stamp>>,
    tls: rustls::ClientConfig,
    common: reqwest::Client,
    /// By the target's `host:port` where there is a `server_name`, by Unix socket, and as [`REDIRECTED`].
    others: HashMap<String, reqwest::Client>,
}

impl Transport {
    /// Files are not read yet: one that is missing now may be there for the first request.
    pub(crate) fn new(config: &HttpClientConfig, user_agent: &str, resolver: &Resolver) -> Result<Self, Error> {
        if let Some(tls) = &config.tls {
            // Mistakes that need no file are reported when the configuration is loaded, not at the first scrape.
            tls::versions(tls)?;
            tls::warn_of_old_versions(tls);
            tls::server_name(tls)?;
        }
        Ok(Self {
            config: config.clone(),
            user_agent: user_agent.to_owned(),
            resolver: resolver.clone(),
            proxies: Proxies::new(&config.proxy, &|name| std::env::var(name).ok())?,
            built: Mutex::new(None),
        })
    }

    /// A request with the configured credentials and headers.
    pub(crate) fn request(
        &self,
        method: Method,
        url: &Url,
        route: Route<'_>,
    ) -> Result<reqwest::RequestBuilder, Error> {
        let headers = auth::headers(&self.config, !route.untrusted)?;
        let (client, url, host) = self.client(url, route)?;
        let mut request = client.request(method, url).headers(headers);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        Ok(request)
    }

    /// Is a request for the URL sent unencrypted, and not through a proxy?
    pub(crate) fn is_direct(&self, url: &Url, socket: Option<&Path>) -> bool {
        url.scheme() == "http" && (socket.is_some() || self.proxies.of(url).is_none())
    }

    /// The proxy for requests of the URL, if there is one.
    pub(crate) fn proxy_of(&self, url: &Url) -> Option<&Url> {
        self.proxies.of(url)
    }

    pub(crate) fn config(&self) -> &HttpClientConfig {
        &self.config
    }

    pub(crate) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    pub(crate) fn user_agent(&self) -> &str {
        &self.user_agent
    }

    /// The client for a URL, and the URL and `Host` to use with it.
    fn client(&self, url: &Url, route: Route<'_>) -> Result<(reqwest::Client, Url, Option<HeaderValue>), Error> {
        let default = TlsConfig::default();
        let config = self.config.tls.as_ref().unwrap_or(&default);
        let stamps = tls::stamps(config);
        let mut guard = self.built.lock();
        // Dropping the old clients also drops their pooled connections, which used the old certificate.
        let current = guard.take().filter(|built| built.stamps == stamps);
        let built = match current {
            Some(built) => built,
            None => {
                let tls = tls::client_config(config, self.http2())?;
                let common = self.build(tls.clone(), None, Route::default())?;
                Built { stamps, tls, common, others: HashMap::new() }
            }
        };
        let built = guard.insert(built);
        let (url, host, detour) = match self.renamed(url, route.socket) {
            Some((named, authority, detour)) => {
                let host = HeaderValue::from_str(&authority);
                (named, Some(host.map_err(|_| Error::Header { name: "Host".to_owned() })?), Some((authority, detour)))
            }
            None => (url.clone(), None, None),
        };
        let key = match (route.socket, &detour) {
            (Some(socket), _) => Some(format!("unix:{}", socket.display())),
            // It can be used for this target only, and is not kept.
            (None, Some(_)) if route.redirected => None,
            (None, Some((authority, _))) => Some(authority.clone()),
            (None, None) if route.redirected => Some(REDIRECTED.to_owned()),
            (None, None) => return Ok((built.common.clone(), url, host)),
        };
        if let Some(client) = key.as_ref().and_then(|key| built.others.get(key)) {
            return Ok((client.clone(), url, host));
        }
        let client = self.build(built.tls.clone(), detour.map(|(_, detour)| detour), route)?;
        if let Some(key) = key {
            // Targets that are gone leave their clients behind; clearing all bounds this without tracking their use.
            if built.others.len() >= CLIENTS_MAX {
                built.others.clear();
            }
            built.others.insert(key, client.clone());
        }
        Ok((client, url, host))
    }

    /// For HTTPS with a `server_name`: the URL with that name, the `Host`, and the mapping of the name to the target. Not through
    /// a proxy, which would connect to the name instead of the target; there the name is only verified.
    fn renamed(&self, url: &Url, socket: Option<&Path>) -> Option<(Url, String, Detour)> {
        let name = self.config.tls.as_ref()?.server_name.as_ref()?;
        let proxied = socket.is_none() && self.proxies.of(url).is_some();
        let host = url.host_str()?;
        if url.scheme() != "https" || proxied || host == name {
            return None;
        }
        let mut named = url.clone();
        named.set_host(Some(name)).ok()?;
        // An address is not sent as SNI, only verified.
        if !matches!(named.host(), Some(url::Host::Domain(_))) {
            return None;
        }
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        // The resolver gets bare IPv6 addresses.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some((named, authority, Detour { name: name.to_ascii_lowercase(), host, resolver: self.resolver.clone() }))
    }

    fn http2(&self) -> bool {
        // HTTP/2 takes the authority from the URL, which is then not the target's.
        self.config.enable_http2 && self.config.tls.as_ref().is_none_or(|tls| tls.server_name.is_none())
    }

    fn build(
        &self,
        tls: rustls::ClientConfig,
        detour: Option<Detour>,
        route: Route<'_>,
    ) -> Result<reqwest::Client, Error> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(&self.user_agent)
            // Redirects are followed by `connection`.
            .redirect(Policy::none())
            .referer(false)
            // The caller asks for and decodes compression itself, within the limit of its body.
            .gzip(false)
            // Accept what Go's client accepts, as `head` does for plain HTTP.
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_max_headers(HEADERS_MAX)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            // Otherwise reqwest would read the environment, which counts only with `proxy_from_environment`.
            .no_proxy();
        if !self.http2() {
            builder = builder.http1_only();
        }
        builder = match detour {
            Some(detour) => builder.dns_resolver(Arc::new(detour)),
            None => builder.dns_resolver(Arc::new(self.resolver.clone())),
        };
        if let Some(socket) = route.socket {
            builder = builder.unix_socket(socket);
        }
        if route.redirected {
            // No connection to a place that is likely not to be visited again.
            builder = builder.pool_max_idle_per_host(0);
        }
        for proxy in self.proxies.reqwest() {
            builder = builder.proxy(proxy);
        }
        builder.build().map_err(Error::Build)
    }
}

/// Resolves the server name to the target, and every other name as usual.
#[derive(Clone, Debug)]
struct Detour {
    name: String,
    host: String,
    resolver: Resolver,
}

impl Resolve for Detour {
    fn resolve(&self, name: Name) -> Resolving {
        let asked = name.as_str().to_ascii_lowercase();
        let host = if asked == self.name { self.host.clone() } else { asked };
        self.resolver.resolving(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_of_where_redirects_lead() {
        let tls =
            TlsConfig { server_name: Some("name.test".to_owned()), insecure_skip_verify: true, ..TlsConfig::default() };
        let config = HttpClientConfig { tls: Some(tls), ..HttpClientConfig::default() };
        let client = Transport::new(&config, "Weft/test", &Resolver::system()).unwrap();
        let kept = |redirected: bool, port: u16| {
            let url = Url::parse(&format!("https://127.0.0.1:{port}/")).unwrap();
            let (_, named, host) = client.client(&url, Route { redirected, ..Route::default() }).unwrap();
            assert_eq!(named.as_str(), format!("https://name.test:{port}/"));
            assert_eq!(host.unwrap(), format!("127.0.0.1:{port}").as_str());
            client.built.lock().as_ref().unwrap().others.len()
        };
        assert_eq!((kept(false, 1), kept(false, 1)), (1, 1));
        assert_eq!((2..20).map(|port| kept(true, port)).max(), Some(1));
        assert_eq!(kept(false, 2), 2);
    }
}
