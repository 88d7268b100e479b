//! Credentials, TLS and proxies of jobs, discoveries and remote endpoints.
//!
//! Upstream: `addBasicAuthToYaml`, `addAuthorizationToYaml`, `addOAuth2ToYaml`, `addTLStoYaml`, `addProxyConfigtoYaml`,
//! `addSigv4ToYaml` of `pkg/prometheus/promcfg.go`. Values of Secrets stand in the configuration itself; TLS material is
//! named by the file in which upstream mounts it ([`tls_asset_path`]). A reference that leads nowhere was refused before;
//! here it is left out.

use crate::assets::NamespacedAssets;
use crate::document::Mapping;
use crate::objects::{
    Authorization, BasicAuth, KeySelector, OAuth2, ProxyConfig, ScrapeClass, SecretOrConfigMap, Sigv4, TlsConfig,
};

/// The folder in which upstream mounts TLS material.
pub(crate) const TLS_ASSETS: &str = "/etc/prometheus/certs";

impl Mapping {
    pub(super) fn put_basic_auth(&mut self, assets: NamespacedAssets<'_>, auth: Option<&BasicAuth>) {
        let Some(auth) = auth else { return };
        let mut section = Mapping::default();
        // Text, and not the file of the Secret: a rotation makes the job again.
        section.put("username", assets.secret(&auth.username).unwrap_or_default());
        section.put("password", assets.secret(&auth.password).unwrap_or_default());
        self.put("basic_auth", section);
    }

    pub(super) fn put_authorization(&mut self, assets: NamespacedAssets<'_>, auth: Option<&Authorization>) {
        let Some(auth) = auth else { return };
        let mut section = Mapping::default();
        section.put("type", if auth.r#type.is_empty() { "Bearer" } else { auth.r#type.trim() });
        section.put_some("credentials", auth.credentials.as_ref().and_then(|key| assets.secret(key).ok()));
        section.put_filled("credentials_file", &auth.credentials_file);
        self.put("authorization", section);
    }

    /// A token in a Secret. One without the name of a Secret is not set.
    pub(super) fn put_bearer_token(&mut self, assets: NamespacedAssets<'_>, token: Option<&KeySelector>) {
        let token = token.filter(|key| !key.name.is_empty());
        self.put_some("bearer_token", token.and_then(|key| assets.secret(key).ok()));
    }

    pub(super) fn put_oauth2(&mut self, assets: NamespacedAssets<'_>, oauth2: Option<&OAuth2>) {
        let Some(oauth2) = oauth2 else { return };
        // Half of the credentials would be refused by the server of tokens with a message that leads nowhere.
        let (Ok(id), Ok(secret)) = (assets.either(&oauth2.client_id), assets.secret(&oauth2.client_secret)) else {
            return;
        };
        let mut section = Mapping::default();
        section.put("client_id", id);
        section.put("client_secret", secret);
        section.put("token_url", &oauth2.token_url);
        section.put_filled("scopes", &oauth2.scopes);
        section.put_filled("endpoint_params", &oauth2.endpoint_params);
        section.put_proxy(assets, &oauth2.proxy);
        section.put_tls(assets, oauth2.tls_config.as_ref());
        self.put("oauth2", section);
    }

    pub(super) fn put_proxy(&mut self, assets: NamespacedAssets<'_>, proxy: &ProxyConfig) {
        self.put_some("proxy_url", proxy.proxy_url.as_ref());
        self.put_some("no_proxy", proxy.no_proxy.as_ref());
        self.put_some("proxy_from_environment", proxy.proxy_from_environment);
        let Some(headers) = &proxy.proxy_connect_header else { return };
        let mut section = Mapping::default();
        for (name, values) in headers {
            let values: Vec<&str> = values.iter().map(|key| assets.secret(key).unwrap_or_default()).collect();
            section.put(name.clone(), values);
        }
        self.put("proxy_connect_header", section);
    }

    pub(super) fn put_tls(&mut self, assets: NamespacedAssets<'_>, tls: Option<&TlsConfig>) {
        let Some(tls) = tls else { return };
        let path = |selector: &SecretOrConfigMap| tls_asset_path(assets.namespace, selector);
        // A key is always in a Secret.
        let key = tls.key_secret.clone().map(|secret| SecretOrConfigMap { secret: Some(secret), config_map: None });
        let mut section = Mapping::default();
        section.put_some("insecure_skip_verify", tls.insecure_skip_verify);
        section.put_some("ca_file", path(&tls.ca));
        section.put_some("cert_file", path(&tls.cert));
        section.put_some("key_file", key.as_ref().and_then(path));
        section.put_some("server_name", tls.server_name.as_ref().filter(|name| !name.is_empty()));
        section.put_some("min_version", tls.min_version.as_ref());
        section.put_some("max_version", tls.max_version.as_ref());
        // Files of the pod. Where a Secret is named too, the object was refused.
        section.put_filled("ca_file", &tls.ca_file);
        section.put_filled("cert_file", &tls.cert_file);
        section.put_filled("key_file", &tls.key_file);
        self.put("tls_config", section);
    }

    pub(super) fn put_sigv4(&mut self, assets: NamespacedAssets<'_>, sigv4: Option<&Sigv4>) {
        let Some(sigv4) = sigv4 else { return };
        let mut section = Mapping::default();
        section.put_filled("region", &sigv4.region);
        if let (Some(access), Some(secret)) = (&sigv4.access_key, &sigv4.secret_key) {
            let (access, secret) =
                (assets.secret(access).unwrap_or_default(), assets.secret(secret).unwrap_or_default());
            // Half a pair of keys would hide credentials of the environment.
            if !access.is_empty() && !secret.is_empty() {
                section.put("access_key", access);
                section.put("secret_key", secret);
            }
        }
        section.put_filled("profile", &sigv4.profile);
        section.put_filled("role_arn", &sigv4.role_arn);
        section.put_filled("external_id", &sigv4.external_id);
        section.put_some("use_fips_sts_endpoint", sigv4.use_fips_sts_endpoint);
        self.put("sigv4", section);
    }
}

/// The file in which upstream mounts a value: `<0 for a Secret, 1 for a ConfigMap>_<namespace>_<name>_<key>`.
pub(crate) fn tls_asset_path(namespace: &str, selector: &SecretOrConfigMap) -> Option<String> {
    let (kind, KeySelector { name, key, .. }) = match selector {
        SecretOrConfigMap { secret: Some(secret), .. } => (0, secret),
        SecretOrConfigMap { config_map: Some(map), .. } => (1, map),
        _ => return None,
    };
    Some(format!("{TLS_ASSETS}/{kind}_{namespace}_{name}_{key}"))
}

/// The TLS settings of a monitor, with files of its scrape class where it says nothing. Upstream:
/// `mergeTLSConfigWithScrapeClass`.
pub(super) fn tls_with_class(tls: Option<&TlsConfig>, class: &ScrapeClass) -> Option<TlsConfig> {
    // An empty section is one that is not set: then everything is that of the class, `insecureSkipVerify` too.
    let Some(tls) = tls.filter(|tls| **tls != TlsConfig::default()) else { return class.tls_config.clone() };
    let mut tls = tls.clone();
    if let Some(class) = &class.tls_config {
        // Only files are taken over, each for itself.
        if tls.ca_file.is_empty() && tls.ca.is_empty() {
            tls.ca_file.clone_from(&class.ca_file);
        }
        if tls.cert_file.is_empty() && tls.cert.is_empty() {
            tls.cert_file.clone_from(&class.cert_file);
        }
        if tls.key_file.is_empty() && tls.key_secret.is_none() {
            tls.key_file.clone_from(&class.key_file);
        }
    }
    Some(tls)
}

/// The `Authorization` header of a monitor, with the credentials of its scrape class where it has none. Upstream:
/// `mergeAuthorizationWithScrapeClass`.
pub(super) fn authorization_with_class(auth: Option<&Authorization>, class: &ScrapeClass) -> Option<Authorization> {
    let Some(auth) = auth.filter(|auth| **auth != Authorization::default()) else { return class.authorization.clone() };
    let mut auth = auth.clone();
    if let Some(class) = &class.authorization {
        // The type stays that of the monitor.
        if auth.credentials.is_none() {
            auth.credentials.clone_from(&class.credentials);
        }
        if auth.credentials.is_none() && auth.credentials_file.is_empty() {
            auth.credentials_file.clone_from(&class.credentials_file);
        }
    }
    Some(auth)
}
