//! A client of one configuration block: connections shared by all its requests, TLS files and credentials always fresh.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use config::{HttpClientConfig, TlsConfig};
use http::header::HOST;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, NoProxy, Proxy, RequestBuilder, Url};

use crate::tls::{Fingerprint, client_config, fingerprint};
use crate::{Error, auth};

/// Connections that nothing uses are closed after this long, as upstream does.
const IDLE: Duration = Duration::from_secs(5 * 60);
/// Redirects that are followed, at most.
const REDIRECTS_MAX: usize = 10;
/// Clients kept for one `server_name` and many addresses.
const NAMED_CLIENTS_MAX: usize = 10_000;

/// Makes requests as one `http_config` wants them.
#[derive(Debug)]
pub struct HttpClient {
    config: HttpClientConfig,
    user_agent: String,
    made: Mutex<Made>,
}

/// The clients as made from the files as they were.
#[derive(Debug, Default)]
struct Made {
    fingerprint: Fingerprint,
    client: Option<Client>,
    /// With `server_name`, the name stands in the URL, and each real host has a client that goes there.
    named: HashMap<String, Client>,
}

impl HttpClient {
    /// A client; nothing is read or connected yet, so that a file may appear later.
    ///
    /// # Errors
    /// When the configuration asks for what is not served.
    pub fn new(config: &HttpClientConfig, user_agent: &str) -> Result<Self, Error> {
        if config.oauth2.is_some() {
            return Err(Error::NotServed("oauth2"));
        }
        Ok(Self { config: config.clone(), user_agent: user_agent.to_owned(), made: Mutex::default() })
    }

    /// A request with the credentials and headers of the configuration. The body of its answer is left as it is sent:
    /// nothing is decompressed.
    ///
    /// # Errors
    /// When the URL is none, or a file that the configuration names cannot be used.
    pub fn request(&self, method: Method, url: &str) -> Result<RequestBuilder, Error> {
        let refused = |reason: String| Error::Url { url: url.to_owned(), reason };
        let mut parsed = Url::parse(url).map_err(|error| refused(error.to_string()))?;
        let host = parsed.host_str().ok_or_else(|| refused("it names no host".to_owned()))?.to_owned();
        let mut headers = auth::headers(&self.config)?;
        let name = self.config.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
        let name = name.filter(|name| parsed.scheme() == "https" && *name != host);
        if let Some(name) = name {
            let authority = parsed.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
            headers.insert(HOST, authority.parse().map_err(|_| Error::Header("the target's address".to_owned()))?);
            parsed.set_host(Some(name)).map_err(|error| Error::Tls(format!("server_name {name:?}: {error}")))?;
        }
        let client = self.client(name.map(|name| (name, host.as_str())))?;
        Ok(client.request(method, parsed).headers(headers))
    }

    /// The client for a request: the common one, or the one that reaches `host` under another name.
    fn client(&self, named: Option<(&str, &str)>) -> Result<Client, Error> {
        let now = self.config.tls.as_ref().map(fingerprint).unwrap_or_default();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.fingerprint != now {
            // Connections that were made with the old files are closed once their requests are done.
            *made = Made { fingerprint: now, ..Made::default() };
        }
        let Some((name, host)) = named else {
            if made.client.is_none() {
                made.client = Some(self.build(None)?);
            }
            return Ok(made.client.clone().expect("BUG: it was just made"));
        };
        if made.named.len() >= NAMED_CLIENTS_MAX {
            made.named.clear();
        }
        if let Some(client) = made.named.get(host) {
            return Ok(client.clone());
        }
        let client =
            self.build(Some(Renamed { name: name.to_owned(), host: host.trim_matches(['[', ']']).to_owned() }))?;
        made.named.insert(host.to_owned(), client.clone());
        Ok(client)
    }

    fn build(&self, renamed: Option<Renamed>) -> Result<Client, Error> {
        let no_tls = TlsConfig::default();
        let tls = client_config(self.config.tls.as_ref().unwrap_or(&no_tls), self.config.enable_http2)?;
        let redirects = if self.config.follow_redirects { Policy::limited(REDIRECTS_MAX) } else { Policy::none() };
        let mut builder = Client::builder()
            .user_agent(&self.user_agent)
            .tls_backend_preconfigured(tls)
            .redirect(redirects)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .no_gzip();
        if let Some(renamed) = renamed {
            builder = builder.dns_resolver(Arc::new(renamed));
        }
        if !self.config.enable_http2 {
            builder = builder.http1_only();
        }
        builder = self.proxied(builder)?;
        builder.build().map_err(Error::Build)
    }

    /// Without a word about proxies there is none, whatever the environment says: upstream needs
    /// `proxy.proxy_from_environment` for that.
    fn proxied(&self, builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, Error> {
        let proxy = &self.config.proxy;
        if proxy.proxy_from_environment {
            return Ok(builder);
        }
        let Some(url) = &proxy.proxy_url else { return Ok(builder.no_proxy()) };
        let refused = |error: reqwest::Error| Error::Url { url: "proxy_url".to_owned(), reason: error.to_string() };
        let mut through = Proxy::all(url.as_str()).map_err(refused)?;
        through = through.no_proxy(NoProxy::from_string(&proxy.no_proxy));
        Ok(builder.proxy(through))
    }
}

/// Resolves one name to where another host is, and every other name as usual.
#[derive(Debug)]
struct Renamed {
    name: String,
    host: String,
}

impl Resolve for Renamed {
    fn resolve(&self, name: Name) -> Resolving {
        let host = if name.as_str() == self.name { self.host.clone() } else { name.as_str().to_owned() };
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
