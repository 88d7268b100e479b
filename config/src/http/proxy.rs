//! Through which proxy a client connects.

use std::collections::BTreeMap;

use crate::schema::{Bool, Fields, SecretText, Text, Url, section};
use crate::{Error, Secret};

section! {
    /// The proxy of an HTTP client. These fields stand among those of the section that uses them.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct ProxyConfig as "proxy_config" {
        /// The proxy of every request that `no_proxy` does not exclude.
        #[yaml(Url)]
        pub proxy_url: Option<String>,
        /// Hosts, domains and networks to connect to directly, separated by commas.
        #[yaml(Text)]
        pub no_proxy: String,
        /// Use the environment variables `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` instead.
        #[yaml(Bool)]
        pub proxy_from_environment: bool,
        /// Headers of `CONNECT` requests to the proxy.
        #[yaml(SecretText)]
        pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
    }
    check = check_proxy;
}

impl ProxyConfig {
    /// Is nothing configured?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn check_proxy(proxy: &mut ProxyConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    let refuse = |name, message: &str| Err(f.refuse(name, message));
    if let Some(url) = &proxy.proxy_url {
        url::Url::parse(url).map_err(|error| f.refuse("proxy_url", format!("not a URL: {error}")))?;
        if proxy.proxy_from_environment {
            return refuse("proxy_url", "if proxy_from_environment is configured, proxy_url must not be configured");
        }
    }
    // The environment has a `NO_PROXY` of its own; without any proxy there is nothing to exclude from.
    if !proxy.no_proxy.is_empty() {
        if proxy.proxy_from_environment {
            return refuse("no_proxy", "if proxy_from_environment is configured, no_proxy must not be configured");
        }
        if proxy.proxy_url.is_none() {
            return refuse("no_proxy", "if no_proxy is configured, proxy_url must also be configured");
        }
    }
    // Headers of `CONNECT` go to the proxy alone, so without one they would never be sent.
    if !proxy.proxy_connect_header.is_empty() && proxy.proxy_url.is_none() && !proxy.proxy_from_environment {
        let message =
            "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured";
        return refuse("proxy_connect_header", message);
    }
    Ok(())
}
