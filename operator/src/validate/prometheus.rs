//! What a Prometheus object refers to. Upstream: `Add…ToStore` of `pkg/prometheus/store.go`.
//!
//! Here an error is one of the whole object: half of its credentials would be a server that sends without them.

use super::Validator;
use super::checked::Checked;
use super::http::{Connection, References, check_connection, check_proxy, check_tls};
use super::relabel::check_rules;
use crate::assets::NamespacedAssets;
use crate::objects::{AlertmanagerEndpoints, ApiServerConfig, RemoteRead, RemoteWrite, Sigv4};

/// In upstream's order, which decides which error is the first.
const ALL: &[Connection] = &[Connection::BasicAuth, Connection::OAuth2, Connection::Tls, Connection::Authorization];

impl Validator<'_> {
    /// Is the Prometheus object valid, as far as generating does not find out?
    pub(crate) fn prometheus(&self) -> Checked {
        let (assets, spec) = (self.assets_of(&self.prometheus.metadata), &self.prometheus.spec);
        // In upstream's order, so that the first error is the same.
        each("spec.remoteRead", &spec.remote_read, |one| check_read(assets, one))?;
        each("spec.remoteWrite", &spec.remote_write, |one| check_write(assets, one))?;
        if let Some(server) = &spec.apiserver_config {
            check_api_server(assets, server).map_err(|why| format!("spec.apiserverConfig: {why}"))?;
        }
        let managers = spec.alerting.as_ref().map(|alerting| alerting.alertmanagers.as_slice()).unwrap_or_default();
        each("spec.alerting.alertmanagers", managers, |one| check_alertmanager(assets, one))?;
        if let Some(tracing) = &spec.tracing_config {
            check_tls(assets, tracing.tls_config.as_ref()).map_err(|why| format!("spec.tracingConfig: {why}"))?;
        }
        // Which one a monitor without a class would get must not depend on their order.
        if spec.scrape_classes.iter().filter(|class| class.default == Some(true)).nth(1).is_some() {
            return Err("spec.scrapeClasses: multiple default scrape classes defined".to_owned());
        }
        each("spec.scrapeClasses", &spec.scrape_classes, |class| {
            check_tls(assets, class.tls_config.as_ref()).map_err(|why| format!("tlsConfig: {why}"))?;
            // Otherwise the rules of one class would be said to be wrong in every monitor.
            check_rules(&class.relabelings).map_err(|why| format!("relabelings: {why}"))?;
            check_rules(&class.metric_relabelings).map_err(|why| format!("metricRelabelings: {why}"))
        })
    }
}

fn each<T>(field: &str, all: &[T], check: impl Fn(&T) -> Checked) -> Checked {
    all.iter().enumerate().try_for_each(|(i, one)| check(one).map_err(|why| format!("{field}[{i}]: {why}")))
}

fn check_write(assets: NamespacedAssets<'_>, one: &RemoteWrite) -> Checked {
    let references = References {
        basic_auth: one.basic_auth.as_ref(),
        oauth2: one.oauth2.as_ref(),
        tls: one.tls_config.as_ref(),
        authorization: one.authorization.as_ref(),
    };
    check_connection(assets, references, ALL)?;
    check_sigv4(assets, one.sigv4.as_ref())?;
    let oauth = one.azure_ad.as_ref().and_then(|azure| azure.oauth.as_ref());
    let secret = oauth.map_or(Ok(""), |oauth| assets.secret(&oauth.client_secret));
    secret.map_err(|error| format!("azureAd: {error}"))?;
    check_proxy(assets, &one.proxy)
}

fn check_read(assets: NamespacedAssets<'_>, one: &RemoteRead) -> Checked {
    let references = References {
        basic_auth: one.basic_auth.as_ref(),
        oauth2: one.oauth2.as_ref(),
        tls: one.tls_config.as_ref(),
        authorization: one.authorization.as_ref(),
    };
    check_connection(assets, references, ALL)?;
    check_proxy(assets, &one.proxy)
}

fn check_alertmanager(assets: NamespacedAssets<'_>, one: &AlertmanagerEndpoints) -> Checked {
    let references = References {
        basic_auth: one.basic_auth.as_ref(),
        tls: one.tls_config.as_ref(),
        authorization: one.authorization.as_ref(),
        ..References::default()
    };
    check_connection(assets, references, ALL)?;
    check_sigv4(assets, one.sigv4.as_ref())?;
    check_proxy(assets, &one.proxy)
}

fn check_api_server(assets: NamespacedAssets<'_>, server: &ApiServerConfig) -> Checked {
    let references = References {
        basic_auth: server.basic_auth.as_ref(),
        tls: server.tls_config.as_ref(),
        authorization: server.authorization.as_ref(),
        ..References::default()
    };
    check_connection(assets, references, ALL)?;
    check_proxy(assets, &server.proxy)
}

fn check_sigv4(assets: NamespacedAssets<'_>, sigv4: Option<&Sigv4>) -> Checked {
    // Half a pair is left out: credentials of the environment are then used.
    let Some(Sigv4 { access_key: Some(access), secret_key: Some(secret), .. }) = sigv4 else { return Ok(()) };
    assets.secret(access).map_err(|error| format!("sigv4: accessKey: {error}"))?;
    assets.secret(secret).map_err(|error| format!("sigv4: secretKey: {error}"))?;
    Ok(())
}
