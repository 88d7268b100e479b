//! The client: built from its configuration when first used, and again when a certificate file changed.
//!
//! `server_name` must reach the server in the handshake (SNI), while the request must keep the target's own address in
//! `Host`. reqwest takes SNI from the URL, so the URL's host becomes the server name, `Host` is set by hand, and a resolver
//! leads the name back to the target. Connections are pooled by URL, so that each target then needs a client of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use config::{HttpClientConfig, TlsConfig};
use http::Method;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use url::Url;

use crate::tls::{self, Stamp};
use crate::{Error, auth};

/// Idle connections live longer than most scrape intervals, so that a scrape does not begin with a handshake.
const IDLE: Duration = Duration::from_secs(300);
/// As many as Go follows.
const REDIRECTS_MAX: usize = 10;
/// Clients of single targets that are kept; past it they are all made anew.
const CLIENTS_MAX: usize = 10_000;

/// Makes requests as one configuration says. Cheap to share behind an `Arc`; all its requests share connections.
#[derive(Debug)]
pub struct HttpClient {
    config: HttpClientConfig,
    user_agent: String,
    built: Mutex<Option<Built>>,
}

#[derive(Debug)]
struct Built {
    stamps: Vec<Option<Stamp>>,
    tls: rustls::ClientConfig,
    common: reqwest::Client,
    /// By the target's `host:port`; only with a `server_name`.
    of_targets: HashMap<String, reqwest::Client>,
}

impl HttpClient {
    /// A client. Files are not read yet: what is missing now may be there when the first request is made.
    ///
    /// # Errors
    /// When the configuration asks for what is not served, or contradicts itself.
    pub fn new(config: &HttpClientConfig, user_agent: &str) -> Result<Self, Error> {
        if config.oauth2.is_some() {
            let instead = "use basic_auth or authorization";
            return Err(Error::NotServed { what: "oauth2", instead });
        }
        if let Some(tls) = &config.tls {
            tls::versions(tls)?;
            tls::server_name(tls)?;
        }
        proxy(config)?;
        Ok(Self { config: config.clone(), user_agent: user_agent.to_owned(), built: Mutex::new(None) })
    }

    /// A request with credentials and headers on it; the caller adds its own and a timeout, and sends it.
    ///
    /// # Errors
    /// When a file of the configuration cannot be read or used now.
    pub fn request(&self, method: Method, url: &Url) -> Result<reqwest::RequestBuilder, Error> {
        let headers = auth::headers(&self.config)?;
        let (client, url, host) = self.client(url)?;
        let mut request = client.request(method, url).headers(headers);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        Ok(request)
    }

    /// Does a request for the URL go to its host, and over plain TCP?
    pub(crate) fn is_direct(&self, url: &Url) -> bool {
        let proxy = &self.config.proxy;
        url.scheme() == "http" && proxy.proxy_url.is_none() && !proxy.proxy_from_environment
    }

    pub(crate) fn follows_redirects(&self) -> bool {
        self.config.follow_redirects
    }

    pub(crate) fn config(&self) -> &HttpClientConfig {
        &self.config
    }

    pub(crate) fn user_agent(&self) -> &str {
        &self.user_agent
    }

    /// The client for a URL, and the URL and `Host` to use with it.
    fn client(&self, url: &Url) -> Result<(reqwest::Client, Url, Option<HeaderValue>), Error> {
        let default = TlsConfig::default();
        let config = self.config.tls.as_ref().unwrap_or(&default);
        let stamps = tls::stamps(config);
        let mut guard = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        let current = guard.take().filter(|built| built.stamps == stamps);
        let built = match current {
            Some(built) => built,
            None => {
                let tls = tls::client_config(config, self.http2())?;
                let common = self.build(tls.clone(), None)?;
                Built { stamps, tls, common, of_targets: HashMap::new() }
            }
        };
        let built = guard.insert(built);
        let Some((named, authority, target)) = self.renamed(url) else {
            return Ok((built.common.clone(), url.clone(), None));
        };
        let host = HeaderValue::from_str(&authority).map_err(|_| Error::Header { name: "Host".to_owned() })?;
        if let Some(client) = built.of_targets.get(&authority) {
            return Ok((client.clone(), named, Some(host)));
        }
        if built.of_targets.len() >= CLIENTS_MAX {
            built.of_targets.clear();
        }
        let client = self.build(built.tls.clone(), Some(target))?;
        built.of_targets.insert(authority, client.clone());
        Ok((client, named, Some(host)))
    }

    /// For HTTPS with a `server_name`: the URL under that name, the `Host`, and the way back to the target. A proxy would
    /// be asked for the name instead of the target; through one the name is only checked.
    fn renamed(&self, url: &Url) -> Option<(Url, String, Detour)> {
        let name = self.config.tls.as_ref()?.server_name.as_ref()?;
        let proxied = self.config.proxy.proxy_url.is_some() || self.config.proxy.proxy_from_environment;
        let host = url.host_str()?;
        if url.scheme() != "https" || proxied || host == name {
            return None;
        }
        let mut named = url.clone();
        named.set_host(Some(name)).ok()?;
        // An address as server name is not sent, only checked, which the verifier does.
        if !matches!(named.host(), Some(url::Host::Domain(_))) {
            return None;
        }
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some((named, authority, Detour { name: name.to_ascii_lowercase(), host }))
    }

    fn http2(&self) -> bool {
        // HTTP/2 takes the authority from the URL, which then is not the target's.
        self.config.enable_http2 && self.config.tls.as_ref().is_none_or(|tls| tls.server_name.is_none())
    }

    fn build(&self, tls: rustls::ClientConfig, detour: Option<Detour>) -> Result<reqwest::Client, Error> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(&self.user_agent)
            .redirect(redirects(&self.config))
            .referer(false)
            .gzip(false)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true);
        if !self.http2() {
            builder = builder.http1_only();
        }
        if let Some(detour) = detour {
            builder = builder.dns_resolver(Arc::new(detour));
        }
        if !self.config.proxy.proxy_from_environment {
            builder = builder.no_proxy();
        }
        if let Some(proxy) = proxy(&self.config)? {
            builder = builder.proxy(proxy);
        }
        builder.build().map_err(Error::Build)
    }
}

fn proxy(config: &HttpClientConfig) -> Result<Option<reqwest::Proxy>, Error> {
    let Some(url) = &config.proxy.proxy_url else { return Ok(None) };
    let proxy = reqwest::Proxy::all(url).map_err(|error| Error::Proxy(error.without_url()))?;
    let mut headers = HeaderMap::new();
    for (name, values) in &config.proxy.proxy_connect_header {
        let invalid = || Error::Header { name: name.clone() };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        for secret in values {
            let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| invalid())?;
            value.set_sensitive(true);
            headers.append(&key, value);
        }
    }
    let proxy = proxy.no_proxy(reqwest::NoProxy::from_string(&config.proxy.no_proxy));
    Ok(Some(if headers.is_empty() { proxy } else { proxy.headers(headers) }))
}

/// reqwest drops `Authorization` when a redirect leads to another host; other secret headers it would carry along, so
/// such a redirect is an error.
fn redirects(config: &HttpClientConfig) -> Policy {
    if !config.follow_redirects {
        return Policy::none();
    }
    let secret_headers = config.http_headers.values().any(|h| !h.secrets.is_empty() || !h.files.is_empty());
    Policy::custom(move |attempt| {
        let place = |url: &Url| (url.host_str().map(str::to_owned), url.port_or_known_default());
        let elsewhere = attempt.previous().first().is_some_and(|first| place(first) != place(attempt.url()));
        if attempt.previous().len() > REDIRECTS_MAX {
            attempt.error("stopped after 10 redirects")
        } else if secret_headers && elsewhere {
            attempt.error("a redirect to another host would carry secret http_headers along")
        } else {
            attempt.follow()
        }
    })
}

/// Leads the server name to the target, and every other name where it belongs.
#[derive(Clone, Debug)]
struct Detour {
    name: String,
    host: String,
}

impl Resolve for Detour {
    fn resolve(&self, name: Name) -> Resolving {
        let asked = name.as_str().to_ascii_lowercase();
        let host = if asked == self.name { self.host.clone() } else { asked };
        Box::pin(async move {
            // The URL's port replaces this one.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
