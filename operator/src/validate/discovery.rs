//! The discoveries of ScrapeConfigs. Upstream: the `validate…SDConfigs` of `pkg/prometheus/resource_selector.go`.

use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::checked::Checked;
use super::http::{check_basic_auth, check_credentials, check_oauth2, check_proxy, check_tls, check_url};
use super::labels::check_names;
use crate::assets::NamespacedAssets;
use crate::objects::{HttpConfig, KeySelector, ProxyConfig};

/// What is checked of one discovery.
#[derive(Clone, Copy)]
enum Check {
    BasicAuth,
    Credentials,
    OAuth2,
    Tls,
    Proxy,
    /// A key of a Secret, if the field is set.
    Secret(&'static str),
    /// A key of a Secret, which must be set.
    RequiredSecret(&'static str),
    /// A field that is a URL.
    Url(&'static str),
    /// What only this kind has.
    Own(fn(&Value) -> Checked),
    /// Azure with OAuth: credentials of its own, which must be set.
    Azure,
}

/// The field, its name in messages, and the checks in their order.
type Kind = (&'static str, &'static str, &'static [Check]);

const KINDS: &[Kind] = {
    use Check::{Azure, BasicAuth, Credentials, OAuth2, Own, Proxy, RequiredSecret, Secret, Tls, Url};
    &[
        ("staticConfigs", "staticConfigs", &[Own(static_labels)]),
        ("httpSDConfigs", "httpSDConfigs", &[Url("url"), BasicAuth, Credentials, OAuth2, Tls, Proxy]),
        (
            "kubernetesSDConfigs",
            "kubernetesSDConfigs",
            &[BasicAuth, Credentials, OAuth2, Tls, Proxy, Own(kubernetes_namespaces), Own(kubernetes_selectors)],
        ),
        ("consulSDConfigs", "consulSDConfigs", &[BasicAuth, Credentials, OAuth2, Tls, Secret("tokenRef"), Proxy]),
        ("dnsSDConfigs", "dnsSDConfigs", &[Own(dns_port)]),
        ("ec2SDConfigs", "ec2SDConfigs", &[Secret("accessKey"), Secret("secretKey"), Tls, Proxy]),
        ("azureSDConfigs", "azureSDConfigs", &[Azure]),
        ("openstackSDConfigs", "openstackSDConfigs", &[Secret("password"), Secret("applicationCredentialSecret"), Tls]),
        ("digitalOceanSDConfigs", "digitalOceanSDConfigs", &[Credentials, OAuth2, Tls, Proxy]),
        ("kumaSDConfigs", "kumaSDConfigs", &[Own(server), Credentials, OAuth2, Tls, BasicAuth, Proxy]),
        ("eurekaSDConfigs", "eurekaSDConfigs", &[Credentials, OAuth2, Tls, BasicAuth, Proxy]),
        ("dockerSDConfigs", "dockerSDConfigs", &[BasicAuth, Credentials, OAuth2, Tls, Url("host"), Proxy]),
        ("linodeSDConfigs", "linodeSDConfigs", &[Credentials, OAuth2, Tls, Proxy]),
        ("hetznerSDConfigs", "hetznerSDConfigs", &[BasicAuth, Credentials, OAuth2, Tls, Proxy]),
        ("nomadSDConfigs", "nomadSDConfigs", &[Own(server), Credentials, OAuth2, Tls, BasicAuth, Proxy]),
        ("dockerSwarmSDConfigs", "dockerswarmSDConfigs", &[Url("host"), Credentials, OAuth2, Tls, BasicAuth, Proxy]),
        ("puppetDBSDConfigs", "puppetDBSDConfigs", &[Own(puppetdb_url), Credentials, OAuth2, Tls, BasicAuth, Proxy]),
        (
            "lightSailSDConfigs",
            "lightSailSDConfigs",
            &[Secret("accessKey"), Secret("secretKey"), Credentials, OAuth2, Tls, BasicAuth, Proxy],
        ),
        (
            "ovhcloudSDConfigs",
            "OVHCloudSDConfigs",
            &[RequiredSecret("applicationSecret"), RequiredSecret("consumerKey")],
        ),
        ("scalewaySDConfigs", "ScalewaySDConfigs", &[RequiredSecret("secretKey"), Proxy, Tls]),
        ("ionosSDConfigs", "IonosSDConfigs", &[Credentials, Proxy, Tls, OAuth2]),
    ]
};

/// Checks all discoveries of a ScrapeConfig.
pub(super) fn check_discoveries(assets: NamespacedAssets<'_>, spec: &Map<String, Value>) -> Checked {
    for (field, shown, checks) in KINDS {
        for (i, config) in spec.get(*field).and_then(Value::as_array).into_iter().flatten().enumerate() {
            for check in *checks {
                // One message of upstream's has a blank before the colon.
                let why = |why: String| match why.strip_prefix(' ') {
                    Some(why) => format!("{shown}: [{i}] {why}"),
                    None => format!("{shown}: [{i}]: {why}"),
                };
                run(*check, assets, config).map_err(why)?;
            }
        }
    }
    Ok(())
}

fn run(check: Check, assets: NamespacedAssets<'_>, config: &Value) -> Checked {
    let http = || HttpConfig::deserialize(config).map_err(|error| error.to_string());
    let secret = |field: &str| {
        let selector =
            config.get(field).map(KeySelector::deserialize).transpose().map_err(|error| error.to_string())?;
        Ok::<_, String>(selector)
    };
    match check {
        Check::BasicAuth => check_basic_auth(assets, http()?.basic_auth.as_ref()),
        Check::Credentials => check_credentials(assets, http()?.authorization.as_ref()),
        Check::OAuth2 => check_oauth2(assets, http()?.oauth2.as_ref()),
        Check::Tls => check_tls(assets, http()?.tls_config.as_ref()),
        Check::Proxy => check_proxy(assets, &ProxyConfig::deserialize(config).map_err(|error| error.to_string())?),
        Check::Secret(field) => match secret(field)? {
            None => Ok(()),
            Some(selector) => assets.secret(&selector).map(|_| ()).map_err(|error| error.to_string()),
        },
        Check::RequiredSecret(field) => {
            let selector = secret(field)?.unwrap_or_default();
            assets.secret(&selector).map(|_| ()).map_err(|error| error.to_string())
        }
        Check::Url(field) => check_url(text(config, field)),
        Check::Own(check) => check(config),
        Check::Azure => azure(assets, config),
    }
}

fn text<'v>(config: &'v Value, field: &str) -> &'v str {
    config.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn static_labels(config: &Value) -> Checked {
    check_names(config.get("labels").and_then(Value::as_object).into_iter().flat_map(Map::keys))
}

fn dns_port(config: &Value) -> Checked {
    let kind = config.get("type").and_then(Value::as_str);
    match kind.filter(|kind| *kind != "SRV" && config.get("port").is_none()) {
        Some(kind) => Err(format!("port required for record type {kind:?}")),
        None => Ok(()),
    }
}

fn server(config: &Value) -> Checked {
    let server = text(config, "server");
    // Go needs both a scheme and a host to connect to.
    let is_url = server.split_once("://").is_some_and(|(scheme, host)| !scheme.is_empty() && !host.is_empty());
    if is_url { check_url(server) } else { Err(format!("must not be empty and have a scheme: {server}")) }
}

fn puppetdb_url(config: &Value) -> Checked {
    let url = text(config, "url");
    check_url(url)?;
    let rest = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    match rest {
        None => Err("URL scheme must be 'http' or 'https'".to_owned()),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Err("host is missing in URL".to_owned()),
        Some(_) => Ok(()),
    }
}

/// With other ways to authenticate nothing else is looked at.
fn azure(assets: NamespacedAssets<'_>, config: &Value) -> Checked {
    // The default, `OAuth`, is the one that needs what follows.
    if matches!(text(config, "authenticationMethod"), "ManagedIdentity" | "SDK" | "WorkloadIdentity") {
        return Ok(());
    }
    for field in ["tenantID", "clientID"] {
        if text(config, field).is_empty() {
            return Err(format!("configuration requires a {field}"));
        }
    }
    if config.get("clientSecret").is_none() {
        return Err("configuration requires a clientSecret".to_owned());
    }
    use Check::{BasicAuth, Credentials, OAuth2, Proxy, Secret, Tls};
    [Secret("clientSecret"), BasicAuth, OAuth2, Proxy, Tls, Credentials]
        .into_iter()
        .try_for_each(|check| run(check, assets, config))
}

fn kubernetes_namespaces(config: &Value) -> Checked {
    let is_own =
        config.get("namespaces").and_then(|namespaces| namespaces.get("ownNamespace")) == Some(&Value::Bool(true));
    if config.get("apiServer").is_some() && is_own {
        return Err("cannot use 'apiServer' and 'namespaces.ownNamespace' simultaneously".to_owned());
    }
    Ok(())
}

/// The roles whose objects may be selected where a role is discovered.
fn allowed_selectors(role: &str) -> Option<&'static [&'static str]> {
    Some(match role {
        "pod" => &["pod"],
        "service" => &["service"],
        "endpointslice" => &["pod", "service", "endpointslice"],
        "endpoints" => &["pod", "service", "endpoints"],
        "node" => &["node"],
        "ingress" => &["ingress"],
        _ => return None,
    })
}

fn kubernetes_selectors(config: &Value) -> Checked {
    let role = text(config, "role");
    for selector in config.get("selectors").and_then(Value::as_array).into_iter().flatten() {
        let selected = text(selector, "role");
        // The message names the role of the selector, though it is that of the discovery that is not known.
        let Some(allowed) = allowed_selectors(&role.to_lowercase()) else {
            return Err(format!(
                "invalid role: {selected:?}, expecting one of: pod, service, endpoints, endpointslice, node or ingress"
            ));
        };
        if !allowed.contains(&selected.to_lowercase().as_str()) {
            return Err(format!(" : {role} role supports only {} selectors", allowed.join(", ")));
        }
    }
    Ok(())
}
